/* Filter `trace`: what is in the file of what was asked, when it is full, when
 * it cannot be written, and what is believed of a file that somebody else has
 * made. */
#include "rig.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "left.h"
#include "store/trace_file.h"

#define MEMORY "'next': {'type': 'memory', 'size': '1M'}"
#define TRACE(more) "{'type': 'trace', 'path': '@/t.trace'" more ", " MEMORY "}"
#define SECOND_FILE ", 'second': '@/u.trace'"
#define SMALL ", 'max_size': '1M'"

static char buf[8192];

static int write_at(struct rig *rig, uint64_t offset)
{
    return rig_do(rig, STORE_WRITE, 0, offset, buf, 4096);
}

static void write_many(struct rig *rig, unsigned num)
{
    while (num-- > 0)
        assert_int_equal(write_at(rig, 4096), 0);
}

/* ---- reading ---- */

struct found {
    struct trace_head head;
    struct trace_record *list;
    unsigned num;
    bool torn;
};

static struct found found;

static void forget(void)
{
    free(found.list);
    found = (struct found){.list = NULL};
}

static void find(const struct rig *rig, const char *name)
{
    FILE *f = fopen(rig_path(rig, name), "r");
    struct trace_reader r;
    struct trace_record one;
    struct err e;
    int rc;

    forget();
    assert_non_null(f);
    if (trace_read_head(&r, f, &e) < 0)
        fail_msg("%s", e.text);
    while ((rc = trace_next(&r, &one, &e)) > 0) {
        found.list = realloc(found.list, (found.num + 1) * sizeof(one));
        assert_non_null(found.list);
        found.list[found.num++] = one;
    }
    if (rc < 0)
        fail_msg("%s", e.text);
    found.head = r.head;
    found.torn = r.torn;
    fclose(f);
}

/* How many marks of a kind; *sum: of their lengths. */
static unsigned marks(unsigned op, uint64_t *sum)
{
    unsigned num = 0;

    *sum = 0;
    for (unsigned i = 0; i < found.num; i++)
        if (found.list[i].op == op) {
            num++;
            *sum += found.list[i].len;
        }
    return num;
}

/* Its thread does it when it comes to it. */
static void wait_for(struct rig *rig, const char *text)
{
    uint64_t until = loop_now_ns() + UINT64_C(20000000000);

    while (!strstr(rig_status(rig), text)) {
        uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
        assert_true(loop_now_ns() < until);
    }
}

/* ---- requests ---- */

static void each_request_is_there_with_its_times_and_its_result(void **state)
{
    static const uint8_t ops[] = {STORE_WRITE, STORE_READ, STORE_FLUSH,
                                  STORE_ZERO, STORE_READ};
    struct rig *rig = *state;

    rig_open_with(rig, "{'type': 'trace', 'path': '@/t.trace', 'next': "
                       "{'type': 'fault', 'rules': [{'offset': 65536, "
                       "'length': 512, 'error': 'ENOSPC'}], " MEMORY "}}");
    assert_int_equal(rig_do(rig, STORE_WRITE, STORE_FUA, 8192, buf, 4096), 0);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, 512), 0);
    assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), 0);
    assert_int_equal(rig_do(rig, STORE_ZERO, STORE_UNMAP, 0, NULL, 4096), 0);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 65536, buf, 4096), -ENOSPC);
    rig_close(rig);

    find(rig, "t.trace");
    assert_int_equal(found.head.size, 1 << 20);
    assert_int_equal(found.head.block_size, 512);
    assert_string_equal(found.head.device, "test");
    assert_string_equal(found.head.store, "fault");
    assert_in_range(found.head.start_real_ns / 1000000000,
                    (uint64_t)time(NULL) - 60, (uint64_t)time(NULL));
    assert_int_equal(found.num, ARRAY_LEN(ops));
    for (unsigned i = 0; i < found.num; i++) {
        assert_int_equal(found.list[i].op, ops[i]);
        assert_int_equal(found.list[i].sequence, i);
        assert_int_equal(found.list[i].worker, 0);
        assert_int_equal(found.list[i].error, i == 4 ? ENOSPC : 0);
        if (i)
            assert_true(found.list[i].submit_ns >= found.list[i - 1].done_ns);
    }
    assert_int_equal(found.list[0].flags, STORE_FUA);
    assert_int_equal(found.list[0].offset, 8192);
    assert_int_equal(found.list[0].len, 4096);
    assert_int_equal(found.list[3].flags, STORE_UNMAP);
}

static void what_is_little_is_written_after_a_while(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, TRACE(""));
    write_many(rig, 3);
    wait_for(rig, "'records':3");
    find(rig, "t.trace");
    assert_int_equal(found.num, 3);
}

static void a_second_channel_is_another_worker(void **state)
{
    struct rig *rig = *state;
    struct store_channel *first, *second;
    struct err e;

    rig_open_with(rig, TRACE(""));
    assert_int_equal(store_channel_open(&second, rig->store, &rig->loop, &e),
                     0);
    write_many(rig, 2);
    first = rig->ch;
    rig->ch = second;
    write_many(rig, 1);
    rig->ch = first;
    store_channel_close(second);
    rig_close(rig);
    find(rig, "t.trace");
    assert_int_equal(found.num, 3);
    for (unsigned i = 0; i < 3; i++)
        if (found.list[i].worker == 1)
            assert_int_equal(found.list[i].sequence, 0);
    assert_int_equal(
        found.list[0].worker + found.list[1].worker + found.list[2].worker, 1);
}

/* ---- how large ---- */

static void a_full_file_ends_and_says_so(void **state)
{
    struct rig *rig = *state;
    struct stat st;
    uint64_t sum;

    rig_open_with(rig, TRACE(SMALL));
    write_many(rig, 28000);
    wait_for(rig, "'state':'full'");
    write_many(rig, 100);
    rig_close(rig);
    assert_int_equal(stat(rig_path(rig, "t.trace"), &st), 0);
    assert_in_range(st.st_size, (1 << 20) - 200, 1 << 20);
    find(rig, "t.trace");
    assert_int_equal(found.list[found.num - 1].op, TRACE_STOP);
    assert_int_equal(marks(TRACE_STOP, &sum), 1);
    for (unsigned i = 0; i + 1 < found.num; i++)
        assert_int_equal(found.list[i].sequence, i);
}

static void a_ring_has_the_latest_in_its_two_files(void **state)
{
    struct rig *rig = *state;
    uint32_t first, last, part;
    uint64_t session;

    rig_open_with(rig, TRACE(SMALL SECOND_FILE));
    /* 16 batches do not fit into two files of 8; the third part is begun. */
    write_many(rig, 30000);
    rig_close(rig);
    find(rig, "t.trace");
    part = found.head.part;
    session = found.head.session;
    assert_int_equal(part, 2);
    first = found.list[0].sequence;
    assert_int_equal(found.list[found.num - 1].sequence, 29999);
    find(rig, "u.trace");
    assert_int_equal(found.head.part, 1);
    assert_true(found.head.session == session);
    last = found.list[found.num - 1].sequence;
    assert_int_equal(last + 1, first);
}

/* ---- what there is no room for ---- */

static int lock(const struct rig *rig)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(rig_path(rig, "t.trace"), O_RDWR | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
    return fd;
}

static void what_is_lost_while_nothing_is_written_is_counted(void **state)
{
    struct rig *rig = *state;
    int fd = lock(rig);
    uint64_t lost;

    rig_open_with(rig, TRACE(", 'buffer': '128K'"));
    write_many(rig, 5000);
    assert_true(strstr(rig_status(rig), "'state':'waiting'"));
    assert_true(strstr(rig_status(rig), "'lost':1800"));
    close(fd);
    wait_for(rig, "'records':3200");
    write_many(rig, 10);
    rig_close(rig);
    find(rig, "t.trace");
    assert_int_equal(marks(TRACE_LOST, &lost), 1);
    assert_int_equal(lost, 1800);
    assert_int_equal(found.num, 3200 + 1 + 10);
    assert_int_equal(found.list[3200].op, TRACE_LOST);
    assert_int_equal(found.list[3201].sequence, 5000);
}

/* How large files may get: as a disk that is full. */
static void set_room(rlim_t bytes)
{
    struct rlimit r;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
    r.rlim_cur = MIN(bytes, r.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* Whatever is there when there is room again can be read. */
static void a_disk_that_was_full_has_a_whole_trace_then(void **state)
{
    struct rig *rig = *state;
    uint64_t lost;

    signal(SIGXFSZ, SIG_IGN);
    set_room(0);
    rig_open_with(rig, TRACE(""));
    write_many(rig, 10);
    wait_for(rig, "'lost':10");
    set_room(RLIM_INFINITY);
    write_many(rig, 5);
    rig_close(rig);
    find(rig, "t.trace");
    assert_int_equal(marks(TRACE_LOST, &lost), 1);
    assert_int_equal(lost, 10);
    assert_int_equal(found.num, 1 + 5);
}

static void a_ring_goes_on_after_its_disk_was_full(void **state)
{
    struct rig *rig = *state;
    uint64_t lost;

    signal(SIGXFSZ, SIG_IGN);
    rig_open_with(rig, TRACE(SMALL SECOND_FILE));
    write_many(rig, 13000);
    wait_for(rig, "'records':13000");
    set_room(0);
    write_many(rig, 200); /* the other file would begin */
    wait_for(rig, "'lost':200");
    set_room(RLIM_INFINITY);
    write_many(rig, 5);
    rig_close(rig);
    find(rig, "u.trace");
    assert_int_equal(found.head.part, 1);
    assert_int_equal(marks(TRACE_LOST, &lost), 1);
    assert_int_equal(lost, 200);
    assert_int_equal(found.num, 1 + 5);
}

static void who_never_gets_the_file_loses_all_and_leaves_it_alone(void **state)
{
    struct rig *rig = *state;
    int fd = lock(rig);
    struct stat st;

    rig_open_with(rig, TRACE(""));
    write_many(rig, 10);
    rig_close(rig);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 0);
    close(fd);
}

/* ---- files that are there ---- */

static void refused(struct rig *rig, const char *config, const char *where,
                    const char *text)
{
    assert_true(rig_open(rig, config, false) < 0);
    assert_int_equal(rig->errs.count, 1);
    assert_string_equal(rig->errs.list[0].where, where);
    if (!strstr(rig->errs.list[0].text, text))
        fail_msg("%s", rig->errs.list[0].text);
    rig_close(rig);
}

static void a_file_that_is_no_trace_is_left_alone(void **state)
{
    struct rig *rig = *state;

    rig_numbers(rig, "t.trace", 4096);
    refused(rig, TRACE(""), "/store/path", "that is no trace");
    assert_int_equal(unlink(rig_path(rig, "t.trace")), 0);
    rig_numbers(rig, "u.trace", 4096);
    refused(rig, TRACE(SECOND_FILE), "/store/second", "that is no trace");
    assert_int_equal(unlink(rig_path(rig, "t.trace")), 0);
    assert_int_equal(mkdir(rig_path(rig, "t.trace"), 0700), 0);
    refused(rig, TRACE(""), "/store/path", "directory");
    assert_int_equal(rmdir(rig_path(rig, "t.trace")), 0);
}

static void a_ring_s_files_are_two(void **state)
{
    struct rig *rig = *state;

    rig_file(rig, "t.trace", 0);
    assert_int_equal(
        symlink(rig_path(rig, "t.trace"), rig_path(rig, "u.trace")), 0);
    refused(rig, TRACE(SECOND_FILE), "/store/second", "the same file");
}

static void an_old_trace_goes(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, TRACE(""));
    write_many(rig, 2000);
    rig_close(rig);
    rig_open_with(rig, TRACE(""));
    write_many(rig, 1);
    rig_close(rig);
    find(rig, "t.trace");
    assert_int_equal(found.num, 1);
}

static void the_next_process_goes_on_in_the_file(void **state)
{
    struct rig *rig = *state;
    struct left left;
    struct err e;
    uint64_t sum, session;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_open(rig, TRACE(""), false), 0);
        if (store_keep(rig->store, "s", &e) < 0)
            fail_msg("%s", e.text);
        rig_channel(rig, true);
        write_many(rig, 10);
        if (i == 0)
            left_take(&left, "test");
        rig_close(rig);
        if (i == 0)
            left_put(&left);
        if (i == 0)
            find(rig, "t.trace");
        if (i == 0)
            session = found.head.session;
    }
    find(rig, "t.trace");
    assert_true(found.head.session == session);
    assert_int_equal(found.num, 21);
    assert_int_equal(marks(TRACE_GOES_ON, &sum), 1);
    assert_int_equal(found.list[10].op, TRACE_GOES_ON);
    assert_int_equal(found.list[11].sequence, 0);
    assert_true(found.list[11].submit_ns > found.list[9].done_ns);
}

/* ---- the reader ---- */

static struct trace_head good_head(void)
{
    return (struct trace_head){.session = 3,
                               .block_size = 512,
                               .size = 1 << 20,
                               .device = "disk",
                               .store = "file"};
}

static const struct trace_record good_record = {
    .submit_ns = 5,
    .done_ns = 9,
    .offset = 512,
    .len = 1024,
    .sequence = 77,
    .error = EIO,
    .worker = 2,
    .op = STORE_WRITE,
    .flags = STORE_FUA,
};

static void what_is_written_is_read(void **state)
{
    const struct trace_head h = good_head();
    uint8_t head[TRACE_HEAD_BYTES], record[TRACE_RECORD_BYTES];
    uint8_t again[TRACE_HEAD_BYTES];
    struct trace_head h2;
    struct trace_record r;
    struct err e;

    (void)state;
    trace_put_head(&h, head);
    trace_put(&good_record, record);
    assert_int_equal(trace_get_head(&h2, head, &e), 0);
    assert_int_equal(h2.size, h.size);
    assert_string_equal(h2.store, "file");
    trace_put_head(&h2, again);
    assert_memory_equal(again, head, sizeof(head));
    assert_int_equal(trace_get(&r, record, &h, &e), 0);
    assert_int_equal(r.flags, STORE_FUA);
    trace_put(&r, again);
    assert_memory_equal(again, record, sizeof(record));
}

static void a_head_that_cannot_be_is_refused(void **state)
{
    static const struct {
        unsigned at;
        uint8_t value;
        const char *text;
    } bad[] = {
        {0, 'V', "no trace of vub"},    {8, 2, "version 2"},
        {13, 2, "512 and 40"},          {16, 41, "256 and 41"},
        {32, 1, "1048577 bytes"},       {39, 0x80, "cannot be"},
        {41, 3, "blocks of 768 bytes"}, {43, 4, "cannot be"},
    };
    const struct trace_head h = good_head();
    uint8_t head[TRACE_HEAD_BYTES];
    struct trace_head out;
    struct err e;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        trace_put_head(&h, head);
        head[bad[i].at] = bad[i].value;
        assert_int_equal(trace_get_head(&out, head, &e), -EINVAL);
        if (!strstr(e.text, bad[i].text))
            fail_msg("%u: %s", bad[i].at, e.text);
    }
    trace_put_head(&h, head);
    memset(head + 64, 'x', TRACE_DEVICE_BYTES);
    assert_int_equal(trace_get_head(&out, head, &e), -EINVAL);
}

static void a_record_that_cannot_be_is_refused(void **state)
{
    const struct trace_head h = good_head();
    struct trace_record bad[7];
    uint8_t bytes[TRACE_RECORD_BYTES];
    struct trace_record out;
    struct err e;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        bad[i] = good_record;
    bad[0].op = STORE_ZERO + 1;
    bad[1].done_ns = 4;
    bad[2].offset = UINT64_MAX - 511;
    bad[3].len = STORE_SIZE_MAX;
    bad[4].len = 1;
    bad[5].error = 4096;
    bad[6].submit_ns = bad[6].done_ns = UINT64_MAX;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        trace_put(&bad[i], bytes);
        if (trace_get(&out, bytes, &h, &e) != -EINVAL)
            fail_msg("%u is read", i);
    }
}

static void a_torn_end_is_told(void **state)
{
    struct rig *rig = *state;
    struct stat st;

    rig_open_with(rig, TRACE(""));
    write_many(rig, 3);
    rig_close(rig);
    assert_int_equal(stat(rig_path(rig, "t.trace"), &st), 0);
    assert_int_equal(truncate(rig_path(rig, "t.trace"), st.st_size - 1), 0);
    find(rig, "t.trace");
    assert_int_equal(found.num, 2);
    assert_true(found.torn);
}

static int teardown(void **state)
{
    forget();
    return rig_teardown(state);
}

#define TEST(t)                                                                \
    {                                                                          \
#t, t, rig_setup, teardown, NULL                                       \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(each_request_is_there_with_its_times_and_its_result),
        TEST(what_is_little_is_written_after_a_while),
        TEST(a_second_channel_is_another_worker),
        TEST(a_full_file_ends_and_says_so),
        TEST(a_ring_has_the_latest_in_its_two_files),
        TEST(what_is_lost_while_nothing_is_written_is_counted),
        TEST(a_disk_that_was_full_has_a_whole_trace_then),
        TEST(a_ring_goes_on_after_its_disk_was_full),
        TEST(who_never_gets_the_file_loses_all_and_leaves_it_alone),
        TEST(a_file_that_is_no_trace_is_left_alone),
        TEST(a_ring_s_files_are_two),
        TEST(an_old_trace_goes),
        TEST(the_next_process_goes_on_in_the_file),
        TEST(what_is_written_is_read),
        TEST(a_head_that_cannot_be_is_refused),
        TEST(a_record_that_cannot_be_is_refused),
        TEST(a_torn_end_is_told),
    };

    return cmocka_run_group_tests_name("store trace", tests, NULL, NULL);
}
