/* Copying from a mapping of the image: when it is done, and that a guest cannot
 * tell. What is mapped is seen in /proc/self/pagemap. Copies that are slow,
 * which those of a busy machine are too, send requests another way for a while,
 * so the tests ask until it has happened. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"
#include "os/memory.h"
#include "store/guard.h"

#define GROUP (64u << 10)
#define DISK_BYTES (1u << 20)
#define OFTEN 100000 /* more than it can take */

#define ON_DISK NULL
#define IN_MEMORY "/dev/shm"

/* Where the disk is mapped; 0: nowhere. */
static uint64_t mapped_at(const struct rig *rig)
{
    const char *path = rig_path(rig, "disk");
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    uint64_t at = 0;

    assert_non_null(maps);
    while (!at && fgets(line, sizeof(line), maps))
        if (strstr(line, path))
            at = strtoull(line, NULL, 16);
    fclose(maps);
    return at;
}

/* Bytes of the disk that are mapped and there; -1: it has no mapping. */
static long mapped_bytes(const struct rig *rig)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), at = mapped_at(rig);
    uint64_t entries[DISK_BYTES / 4096];
    size_t size = DISK_BYTES / page * sizeof(entries[0]);
    long found = 0;
    int fd;

    if (!at)
        return -1;
    fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(
        pread(fd, entries, size, (off_t)(at / page * sizeof(entries[0]))),
        size);
    close(fd);
    for (uint64_t i = 0; i < DISK_BYTES / page; i++)
        if (entries[i] >> 63) /* Linux, pagemap: it is present */
            found += (long)page;
    return found;
}

static void ask(struct rig *rig, enum store_op op, uint64_t at, char *buf)
{
    assert_int_equal(rig_do(rig, op, 0, at, buf, 4096), 0);
}

/* Reads somewhere in each of some groups until `num` of them are mapped. */
static void read_until(struct rig *rig, const uint64_t *at, unsigned of,
                       unsigned num)
{
    char buf[4096];

    for (unsigned i = 0; mapped_bytes(rig) != num * (long)GROUP; i++) {
        assert_true(i < OFTEN);
        ask(rig, STORE_READ, at[i % of], buf);
        assert_true(rig_is_pattern(buf, sizeof(buf), at[i % of], 0));
    }
}

static void open_disk(struct rig *rig, const char *parent, const char *more,
                      bool alone)
{
    char config[128];

    rig_init(rig, parent);
    rig_numbers(rig, "disk", DISK_BYTES);
    snprintf(config, sizeof(config), "{'type': 'file', 'path': 'disk'%s}",
             more);
    assert_int_equal(rig_open(rig, config, false), 0);
    rig_channel(rig, alone);
}

/* One that is mapped, if the kernel tells what is cached: Linux 6.5. */
static void begin(struct rig *rig, const char *parent, const char *more)
{
    FILE *self = fopen("/proc/self/exe", "re");
    int rc;

    assert_non_null(self);
    rc = file_is_cached(fileno(self), 0, 4096);
    fclose(self);
    if (rc < 0)
        skip();
    open_disk(rig, parent, more, true);
}

static void end(struct rig *rig)
{
    rig_close(rig);
    assert_int_equal(mapped_bytes(rig), -1);
    rig_fini(rig);
}

static const char *const parents[] = {ON_DISK, IN_MEMORY};

static void what_is_read_often_is_mapped(void **state)
{
    struct rig rig;
    char buf[4096];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(parents); i++) {
        begin(&rig, parents[i], "");
        ask(&rig, STORE_READ, 0, buf);
        assert_int_equal(mapped_bytes(&rig), 0);
        read_until(&rig, (uint64_t[]){3 * GROUP}, 1, 1);
        read_until(&rig, (uint64_t[]){3 * GROUP, 5 * GROUP + 4096}, 2, 2);
        end(&rig);
    }
}

static void what_was_written_is_read(void **state)
{
    char was[4096], buf[4096];
    struct rig rig;

    (void)state;
    memset(was, 7, sizeof(was));
    for (unsigned i = 0; i < ARRAY_LEN(parents); i++) {
        int fd;

        begin(&rig, parents[i], "");
        read_until(&rig, (uint64_t[]){0}, 1, 1);
        for (int j = 0; j < 100; j++) {
            was[0] = (char)j;
            if (j % 50 == 49)
                assert_int_equal(rig_do(&rig, STORE_FLUSH, 0, 0, NULL, 0), 0);
            ask(&rig, STORE_WRITE, 8192, was);
            ask(&rig, STORE_READ, 8192, buf);
            assert_memory_equal(buf, was, sizeof(was));
        }
        fd = open(rig_path(&rig, "disk"), O_RDONLY);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, buf, sizeof(buf), 8192), sizeof(buf));
        assert_memory_equal(buf, was, sizeof(was));
        close(fd);
        end(&rig);
    }
}

static struct timespec changed(const struct rig *rig)
{
    struct stat st;

    assert_int_equal(stat(rig_path(rig, "disk"), &st), 0);
    return st.st_mtim;
}

static void a_file_in_memory_has_a_time_of_change(void **state)
{
    struct timespec before, now;
    char buf[4096] = {0};
    struct rig rig;
    int i;

    (void)state;
    begin(&rig, IN_MEMORY, "");
    for (i = 0; mapped_bytes(&rig) != GROUP && i < OFTEN; i++)
        ask(&rig, STORE_WRITE, 0, buf);
    before = now = changed(&rig);
    for (; i < 100 * OFTEN && before.tv_sec == now.tv_sec &&
           before.tv_nsec == now.tv_nsec;
         i++) {
        ask(&rig, STORE_WRITE, 0, buf);
        now = changed(&rig);
    }
    assert_true(i < 100 * OFTEN);
    end(&rig);
}

/* Bytes that this process has written by system calls so far; -1: the kernel
 * does not count. */
static long long written_by_calls(void)
{
    FILE *io = fopen("/proc/self/io", "re");
    long long bytes = -1;
    char line[128];

    while (io && fgets(line, sizeof(line), io))
        if (sscanf(line, "wchar: %lld", &bytes) == 1)
            break;
    if (io)
        fclose(io);
    return bytes;
}

static void what_is_written_one_by_one_is_copied_mostly(void **state)
{
    enum { NUM = 100 };
    char buf[4096] = {0};
    long long by_calls = NUM * sizeof(buf);
    struct rig rig;

    (void)state;
    if (written_by_calls() < 0)
        skip();
    begin(&rig, IN_MEMORY, "");
    for (int i = 0; by_calls > (long long)(NUM / 2 * sizeof(buf)); i++) {
        long long before = written_by_calls();

        assert_true(i < OFTEN / NUM);
        for (int j = 0; j < NUM; j++)
            ask(&rig, STORE_WRITE, 0, buf);
        by_calls = written_by_calls() - before;
    }
    end(&rig);
}

static void the_first_write_after_a_pause_changes_the_time(void **state)
{
    struct timespec before, now;
    char buf[4096] = {0};
    struct rig rig;
    uint64_t ns;

    (void)state;
    begin(&rig, IN_MEMORY, "");
    read_until(&rig, (uint64_t[]){0}, 1, 1);
    rig_pattern(buf, sizeof(buf), 0, 0);
    for (int i = 0; i < 10; i++)
        ask(&rig, STORE_WRITE, 0, buf);
    ask(&rig, STORE_READ, 0, buf);
    before = changed(&rig);
    ns = loop_now_ns();
    while (loop_now_ns() - ns < UINT64_C(200000000))
        ;
    ask(&rig, STORE_WRITE, 0, buf);
    now = changed(&rig);
    assert_true(before.tv_sec != now.tv_sec || before.tv_nsec != now.tv_nsec);
    end(&rig);
}

static void no_more_is_mapped_than_is_allowed(void **state)
{
    struct rig rig;

    (void)state;
    begin(&rig, ON_DISK, ", 'map': '128K'");
    for (uint64_t at = 0; at < DISK_BYTES; at += GROUP) {
        char buf[4096];

        for (int i = 0; i < 300; i++)
            ask(&rig, STORE_READ, at, buf);
        assert_in_range(mapped_bytes(&rig), 0, 2 * GROUP);
    }
    read_until(&rig, (uint64_t[]){0, GROUP, 9 * GROUP}, 3, 2);
    end(&rig);
}

/* Each group makes room for the next one of the same batch. */
static void nor_in_a_batch(void **state)
{
    enum { NUM = DISK_BYTES / GROUP };
    struct ask *asks = calloc(NUM, sizeof(*asks));
    struct rig rig;
    char buf[4096];

    (void)state;
    begin(&rig, ON_DISK, ", 'map': '64K'");
    for (int round = 0; round < 300; round++) {
        for (unsigned i = 0; i < NUM; i++) {
            rig_ask(&asks[i], STORE_READ, 0, i * GROUP, buf, sizeof(buf),
                    sizeof(buf));
            asks[i].done = store_submit(rig.ch, &asks[i].req) == STORE_DONE;
        }
        store_kick(rig.ch);
        for (unsigned i = 0; i < NUM; i++)
            assert_int_equal(rig_wait(&rig, &asks[i]), 0);
        assert_in_range(mapped_bytes(&rig), 0, GROUP);
    }
    free(asks);
    end(&rig);
}

static void who_shares_a_loop_or_says_so_maps_nothing(void **state)
{
    struct rig rig;
    char buf[4096];

    (void)state;
    for (int i = 0; i < 3; i++) {
        open_disk(&rig, ON_DISK,
                  i == 0   ? ", 'map': 0"
                  : i == 1 ? ", 'direct': true"
                           : "",
                  i != 2);
        for (int j = 0; j < 300; j++)
            ask(&rig, STORE_READ, 0, buf);
        assert_in_range(mapped_bytes(&rig) + 1, 0, 1);
        end(&rig);
    }
}

/* Reads of a hole through a mapping would fill it. */
static void what_is_discarded_is_no_longer_mapped(void **state)
{
    struct rig rig;
    struct stat st;
    char buf[4096];

    (void)state;
    begin(&rig, IN_MEMORY, "");
    read_until(&rig, (uint64_t[]){0, 2 * GROUP}, 2, 2);
    assert_int_equal(rig_do(&rig, STORE_DISCARD, 0, 0, NULL, 2 * GROUP), 0);
    assert_int_equal(mapped_bytes(&rig), GROUP);
    for (int i = 0; i < 300; i++) {
        ask(&rig, STORE_READ, 4096, buf);
        assert_int_equal(buf[0] | buf[4095], 0);
    }
    assert_int_equal(stat(rig_path(&rig, "disk"), &st), 0);
    assert_true(st.st_blocks * 512 <= DISK_BYTES - 2 * (long)GROUP);
    end(&rig);
}

static void what_is_left_around_a_hole_counts_as_mapped(void **state)
{
    struct rig rig;
    char buf[4096];

    (void)state;
    begin(&rig, IN_MEMORY, ", 'map': '128K'");
    for (uint64_t at = 0; at < DISK_BYTES; at += GROUP) {
        for (int i = 0; i < 300; i++)
            ask(&rig, STORE_READ, at, buf);
        assert_int_equal(
            rig_do(&rig, STORE_DISCARD, 0, at + 8192, NULL, sizeof(buf)), 0);
        assert_in_range(mapped_bytes(&rig), 0, 2 * GROUP);
    }
    end(&rig);
}

/* Of our page tables, KiB. */
static long tables_kib(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[128];
    long kib = 0;

    assert_non_null(status);
    while (fgets(line, sizeof(line), status))
        if (sscanf(line, "VmPTE: %ld", &kib) == 1)
            break;
    fclose(status);
    return kib;
}

#define TABLE_BYTES (2u << 20) /* is told by one page of them */
#define TABLES 128u

/* Linux does, since 6.14. */
static bool empty_tables_are_given_back(void)
{
    long before = tables_kib();
    uint8_t *at = memory_zeros(2 * TABLES * TABLE_BYTES);
    bool given_back;

    assert_non_null(at);
    madvise(at, 2 * TABLES * TABLE_BYTES, MADV_NOHUGEPAGE);
    for (uint64_t i = 0; i < TABLES; i++)
        at[i * TABLE_BYTES] = 1;
    memory_give_back(at, 2 * TABLES * TABLE_BYTES);
    given_back = tables_kib() - before < (long)TABLES;
    memory_release(at, 2 * TABLES * TABLE_BYTES);
    return given_back;
}

static void who_walks_over_a_large_image_leaves_no_page_tables(void **state)
{
    char buf[4096] = {0}, *group = calloc(1, GROUP);
    struct rig rig;
    long before;

    (void)state;
    if (!empty_tables_are_given_back())
        skip();
    rig_init(&rig, IN_MEMORY);
    rig_file(&rig, "disk", TABLES * TABLE_BYTES);
    rig_open_with(&rig, "{'type': 'file', 'path': 'disk', 'map': '64K'}");
    before = tables_kib();
    for (uint64_t at = 0; at < TABLES * TABLE_BYTES; at += TABLE_BYTES) {
        assert_int_equal(rig_do(&rig, STORE_WRITE, 0, at, group, GROUP), 0);
        for (int i = 0; i < 300; i++)
            ask(&rig, STORE_READ, at, buf);
    }
    assert_true(tables_kib() - before < (long)TABLES);
    free(group);
    rig_close(&rig);
    rig_fini(&rig);
}

static void what_a_file_loses_is_an_error_and_the_rest_is_served(void **state)
{
    struct rig rig;
    char buf[4096];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(parents); i++) {
        begin(&rig, parents[i], "");
        read_until(&rig, (uint64_t[]){0, 8 * GROUP}, 2, 2);
        assert_int_equal(truncate(rig_path(&rig, "disk"), 4 * GROUP), 0);
        assert_int_equal(
            rig_do(&rig, STORE_READ, 0, 8 * GROUP, buf, sizeof(buf)), -EIO);
        ask(&rig, STORE_READ, 0, buf);
        assert_true(rig_is_pattern(buf, sizeof(buf), 0, 0));
        for (int j = 0; j < 100; j++)
            ask(&rig, STORE_WRITE, 0, buf);
        end(&rig);
    }
}

static void a_slow_one_keeps_others_away_for_a_while(void **state)
{
    struct guard slow = {0}, quick = {.slow_ns = UINT64_C(1000000000000)};

    (void)state;
    assert_true(guard_allows(&quick));
    guard_called(&quick, GUARD_LOOK_BYTES);
    assert_true(guard_allows(&quick));

    assert_true(guard_allows(&slow));
    while (loop_now_ns() == slow.last_ns)
        ;
    guard_called(&slow, GUARD_LOOK_BYTES);
    assert_false(guard_allows(&slow));
    while (!guard_allows(&slow))
        guard_pause(&slow);
    assert_true(loop_now_ns() >= slow.until_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: cmocka takes signals back from us before each one. */
        cmocka_unit_test(what_a_file_loses_is_an_error_and_the_rest_is_served),
        cmocka_unit_test(what_is_read_often_is_mapped),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(a_file_in_memory_has_a_time_of_change),
        cmocka_unit_test(what_is_written_one_by_one_is_copied_mostly),
        cmocka_unit_test(the_first_write_after_a_pause_changes_the_time),
        cmocka_unit_test(no_more_is_mapped_than_is_allowed),
        cmocka_unit_test(nor_in_a_batch),
        cmocka_unit_test(who_shares_a_loop_or_says_so_maps_nothing),
        cmocka_unit_test(what_is_discarded_is_no_longer_mapped),
        cmocka_unit_test(what_is_left_around_a_hole_counts_as_mapped),
        cmocka_unit_test(who_walks_over_a_large_image_leaves_no_page_tables),
        cmocka_unit_test(a_slow_one_keeps_others_away_for_a_while),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
