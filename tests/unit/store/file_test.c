/* What is particular to files: what is refused at open, sizes that change,
 * files that are shorter than they were, engines that fail. */
#include "rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_BYTES (4u << 20)

struct how {
    const char *config;
    bool alone;
};

static const struct how hows[] = {
    {"{'type': 'file', 'path': 'disk'}", true},
    {"{'type': 'file', 'path': 'disk'}", false},
    {"{'type': 'file', 'path': 'disk', 'engine': 'threads'}", false},
};

/* Opening must fail at `where` with `text` in the sentence. */
static void expect_error(struct rig *rig, const char *config, const char *where,
                         const char *text)
{
    assert_true(rig_open(rig, config, false) < 0);
    assert_int_equal(rig->errs.count, 1);
    assert_string_equal(rig->errs.list[0].where, where);
    if (!strstr(rig->errs.list[0].text, text))
        fail_msg("\"%s\" does not say \"%s\"", rig->errs.list[0].text, text);
    rig_close(rig);
}

static void what_is_no_disk_is_refused_with_its_place(void **state)
{
    struct rig *rig = *state;

    expect_error(rig, "{'type': 'file', 'path': '@/none'}", "/store/path",
                 "No such file or directory");
    expect_error(rig, "{'type': 'file', 'path': '@'}", "/store/path",
                 "is a directory");
    assert_int_equal(mkfifo(rig_path(rig, "fifo"), 0600), 0);
    expect_error(rig, "{'type': 'file', 'path': 'fifo'}", "/store/path",
                 "neither a regular file nor a block device");
    expect_error(rig, "{'type': 'file', 'path': '/dev/zero'}", "/store/path",
                 "neither a regular file nor a block device");
    expect_error(rig, "{'type': 'file', 'path': 'fifo/x'}", "/store/path",
                 "Not a directory");
}

static void sizes_that_are_no_whole_sectors_are_cut(void **state)
{
    struct rig *rig = *state;

    rig_file(rig, "disk", 10000);
    assert_int_equal(rig_open(rig, "{'type': 'file', 'path': 'disk'}", false),
                     0);
    assert_int_equal(store_size(rig->store), 9728);
}

static void a_read_only_file_needs_no_right_to_write(void **state)
{
    struct rig *rig = *state;

    rig_file(rig, "disk", DISK_BYTES);
    assert_int_equal(chmod(rig_path(rig, "disk"), 0400), 0);
    if (geteuid() != 0)
        expect_error(rig, "{'type': 'file', 'path': 'disk'}", "/store/path",
                     "Permission denied");
    assert_int_equal(rig_open(rig, "{'type': 'file', 'path': 'disk'}", true),
                     0);
}

static void a_new_size_is_seen_when_asked_for(void **state)
{
    struct rig *rig = *state;
    struct err e;
    char buf[512];

    rig_file(rig, "disk", DISK_BYTES);
    assert_int_equal(rig_open(rig, "{'type': 'file', 'path': 'disk'}", false),
                     0);
    rig_channel(rig, true);
    assert_int_equal(store_refresh(rig->store, &e), 0);
    assert_int_equal(truncate(rig_path(rig, "disk"), 2 * DISK_BYTES), 0);
    assert_int_equal(rig_do(rig, STORE_READ, 0, DISK_BYTES, buf, 512), -EIO);
    assert_int_equal(store_refresh(rig->store, &e), 1);
    assert_int_equal(store_size(rig->store), 2 * DISK_BYTES);
    assert_int_equal(rig_do(rig, STORE_READ, 0, DISK_BYTES, buf, 512), 0);
    assert_int_equal(truncate(rig_path(rig, "disk"), 1000), 0);
    assert_int_equal(store_refresh(rig->store, &e), 1);
    assert_int_equal(store_size(rig->store), 512);
}

static void reading_what_a_file_has_lost_is_an_error(void **state)
{
    struct rig *rig = *state;
    char *buf = malloc(65536);

    for (unsigned i = 0; i < ARRAY_LEN(hows); i++) {
        rig_numbers(rig, "disk", DISK_BYTES);
        assert_int_equal(rig_open(rig, hows[i].config, false), 0);
        rig_channel(rig, hows[i].alone);
        assert_int_equal(truncate(rig_path(rig, "disk"), DISK_BYTES / 2), 0);
        /* All of it, and half of it. */
        assert_int_equal(rig_do(rig, STORE_READ, 0, DISK_BYTES / 2, buf, 65536),
                         -EIO);
        assert_int_equal(
            rig_do(rig, STORE_READ, 0, DISK_BYTES / 2 - 4096, buf, 65536),
            -EIO);
        assert_int_equal(
            rig_do(rig, STORE_READ, 0, DISK_BYTES / 2 - 65536, buf, 65536), 0);
        assert_true(rig_is_pattern(buf, 65536, DISK_BYTES / 2 - 65536, 0));
        rig_close(rig);
    }
    free(buf);
}

/* A limit on the size of files is a disk that cannot be written in part. */
static void an_error_of_the_file_is_the_requests(void **state)
{
    const struct rlimit low = {DISK_BYTES / 2, RLIM_INFINITY};
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    struct rig *rig = *state;
    char buf[8192] = {0};

    signal(SIGXFSZ, SIG_IGN);
    for (unsigned i = 0; i < ARRAY_LEN(hows); i++) {
        int at_all, in_part;

        rig_file(rig, "disk", DISK_BYTES);
        assert_int_equal(rig_open(rig, hows[i].config, false), 0);
        rig_channel(rig, hows[i].alone);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
        at_all = rig_do(rig, STORE_WRITE, 0, DISK_BYTES / 2, buf, 4096);
        in_part = rig_do(rig, STORE_WRITE, 0, DISK_BYTES / 2 - 4096, buf, 8192);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
        assert_int_equal(at_all, -EFBIG);
        assert_int_equal(in_part, -EFBIG);
        assert_int_equal(rig_do(rig, STORE_WRITE, 0, DISK_BYTES / 2, buf, 4096),
                         0);
        rig_close(rig);
    }
}

/* It was there at open, and is not when it is needed. */
static void threads_take_over_from_an_io_uring_that_fails(void **state)
{
    struct rig *rig = *state;
    struct rlimit before, low;
    char buf[4096];
    int next, rc;

    rig_numbers(rig, "disk", DISK_BYTES);
    assert_int_equal(rig_open(rig, "{'type': 'file', 'path': 'disk'}", false),
                     0);
    rig_channel(rig, false);
    next = open("/dev/null", O_RDONLY);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = (struct rlimit){(rlim_t)next, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    rc = rig_do(rig, STORE_READ, 0, 4096, buf, 4096);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(rc, 0);
    assert_true(rig_is_pattern(buf, 4096, 4096, 0));
}

/* All of it can be reached, and no sum wraps. */
static void the_largest_file_there_is(void **state)
{
    const uint64_t size = INT64_MAX - 511;
    static const struct how largest[] = {
        {"{'type': 'file', 'path': '@/disk'}", true},
        {"{'type': 'file', 'path': '@/disk', 'engine': 'io_uring'}", false},
        {"{'type': 'file', 'path': '@/disk', 'engine': 'threads'}", false},
    };
    struct rig shm;
    char buf[512], back[512];

    (void)state;
    if (access("/dev/shm", W_OK) < 0)
        skip();
    rig_init(&shm, "/dev/shm");
    for (unsigned i = 0; i < ARRAY_LEN(largest); i++) {
        rig_file(&shm, "disk", size);
        if (rig_open(&shm, largest[i].config, false) < 0) {
            rig_close(&shm);
            continue;
        }
        assert_int_equal(store_size(shm.store), size);
        rig_channel(&shm, largest[i].alone);
        rig_pattern(buf, 512, 0, i + 1);
        assert_int_equal(rig_do(&shm, STORE_WRITE, 0, size - 512, buf, 512), 0);
        assert_int_equal(rig_do(&shm, STORE_READ, 0, size - 512, back, 512), 0);
        assert_memory_equal(buf, back, 512);
        assert_int_equal(rig_do(&shm, STORE_ZERO, 0, size - 512, NULL, 512), 0);
        assert_int_equal(rig_do(&shm, STORE_READ, 0, size - 512, back, 512), 0);
        assert_true(rig_is_zero(back, 512));
        assert_int_equal(rig_do(&shm, STORE_DISCARD, 0, 512, NULL, size - 512),
                         0);
        assert_int_equal(rig_do(&shm, STORE_READ, 0, size - 512, back, 1024),
                         -EIO);
        assert_int_equal(rig_do(&shm, STORE_READ, 0, size, back, 512), -EIO);
        rig_close(&shm);
    }
    rig_fini(&shm);
}

/* Channels of one store on several loops are the rule with many queues. */
static void a_file_may_have_many_channels(void **state)
{
    struct rig *rig = *state;
    struct store_channel *first;
    char buf[4096];

    rig_numbers(rig, "disk", DISK_BYTES);
    assert_int_equal(rig_open(rig, "{'type': 'file', 'path': 'disk'}", false),
                     0);
    rig_channel(rig, false);
    first = rig->ch;
    rig_channel(rig, false);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 4096, buf, 4096), 0);
    store_channel_close(rig->ch);
    rig->ch = first;
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, 4096), 0);
    assert_true(rig_is_pattern(buf, 4096, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(what_is_no_disk_is_refused_with_its_place),
        RIG_TEST(sizes_that_are_no_whole_sectors_are_cut),
        RIG_TEST(a_read_only_file_needs_no_right_to_write),
        RIG_TEST(a_new_size_is_seen_when_asked_for),
        RIG_TEST(reading_what_a_file_has_lost_is_an_error),
        RIG_TEST(an_error_of_the_file_is_the_requests),
        RIG_TEST(threads_take_over_from_an_io_uring_that_fails),
        RIG_TEST(the_largest_file_there_is),
        RIG_TEST(a_file_may_have_many_channels),
    };

    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
