/* The image lock, against another of our own and against QEMU's tools. */
#include "rig.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"

#define CONFIG "{'type': 'file', 'path': '@/disk'}"

struct two {
    struct rig rig;
    struct rig other; /* of the same directory, without a loop */
};

static int setup(void **state)
{
    static struct two two;

    memset(&two, 0, sizeof(two));
    rig_init(&two.rig, NULL);
    memcpy(two.other.dir, two.rig.dir, sizeof(two.rig.dir));
    rig_file(&two.rig, "disk", 1 << 20);
    *state = &two;
    return 0;
}

static int teardown(void **state)
{
    struct two *two = *state;

    rig_close(&two->other);
    rig_fini(&two->rig);
    return 0;
}

/* Opens both, takes the lock with the first; what does the second get? */
static int second(struct two *two, bool first_reads, bool second_reads)
{
    struct err e;
    int rc;

    assert_int_equal(rig_open(&two->rig, CONFIG, first_reads), 0);
    assert_int_equal(rig_open(&two->other, CONFIG, second_reads), 0);
    assert_int_equal(store_acquire(two->rig.store, &e), 0);
    rc = store_acquire(two->other.store, &e);
    if (rc < 0)
        assert_non_null(strstr(e.text, "locked"));
    return rc;
}

static void two_writers_exclude_each_other(void **state)
{
    struct two *two = *state;
    struct err e;

    assert_int_equal(second(two, false, false), -EAGAIN);
    /* The one that failed has left nothing behind, and the first still has
     * it. */
    assert_int_equal(store_acquire(two->rig.store, &e), 0);
    assert_int_equal(store_acquire(two->other.store, &e), -EAGAIN);
    store_release(two->rig.store);
    assert_int_equal(store_acquire(two->other.store, &e), 0);
    assert_int_equal(store_acquire(two->rig.store, &e), -EAGAIN);
    store_release(two->other.store);
    store_release(two->other.store); /* safe twice */
}

static void a_writer_keeps_readers_out(void **state)
{
    assert_int_equal(second(*state, false, true), -EAGAIN);
}

static void a_reader_keeps_writers_out(void **state)
{
    assert_int_equal(second(*state, true, false), -EAGAIN);
}

static void two_readers_get_along(void **state)
{
    assert_int_equal(second(*state, true, true), 0);
}

static void closing_the_store_lets_go(void **state)
{
    struct two *two = *state;
    struct err e;

    assert_int_equal(second(two, false, false), -EAGAIN);
    rig_close(&two->rig);
    assert_int_equal(store_acquire(two->other.store, &e), 0);
}

static void without_lock_nobody_is_asked(void **state)
{
    struct two *two = *state;
    struct err e;

    assert_int_equal(rig_open(&two->rig, CONFIG, false), 0);
    assert_int_equal(
        rig_open(&two->other,
                 "{'type': 'file', 'path': '@/disk', 'lock': false}", false),
        0);
    assert_int_equal(store_acquire(two->rig.store, &e), 0);
    assert_int_equal(store_acquire(two->other.store, &e), 0);
}

/* A filter passes it on. */
static void a_filtered_file_is_locked_too(void **state)
{
    struct two *two = *state;
    struct err e;

    assert_int_equal(rig_open(&two->rig, CONFIG, false), 0);
    assert_int_equal(
        rig_open(&two->other, "{'type': 'fault', 'next': " CONFIG "}", false),
        0);
    assert_int_equal(store_acquire(two->other.store, &e), 0);
    assert_int_equal(store_acquire(two->rig.store, &e), -EAGAIN);
}

/* ---- QEMU's tools ---- */

static void need(const char *program)
{
    char command[64];

    snprintf(command, sizeof(command), "which %s >/dev/null 2>&1", program);
    if (system(command) != 0)
        skip();
}

/* Exit status of a command with the image's path for %s. */
static int tool(const struct two *two, const char *format)
{
    char command[512];
    int n =
        snprintf(command, sizeof(command), format, rig_path(&two->rig, "disk"));

    snprintf(command + n, sizeof(command) - (size_t)n, " >/dev/null 2>&1");
    return WEXITSTATUS(system(command));
}

static void qemu_is_kept_out(void **state)
{
    struct two *two = *state;
    struct err e;

    need("qemu-io");
    need("qemu-img");
    assert_int_equal(rig_open(&two->rig, CONFIG, false), 0);
    assert_int_equal(tool(two, "qemu-io -f raw -c 'write 0 512' %s"), 0);
    assert_int_equal(store_acquire(two->rig.store, &e), 0);
    assert_int_not_equal(tool(two, "qemu-io -f raw -c 'write 0 512' %s"), 0);
    assert_int_not_equal(tool(two, "qemu-img resize -f raw %s 2M"), 0);
    assert_int_not_equal(tool(two, "qemu-img convert -O raw %s /dev/null"), 0);
    store_release(two->rig.store);
    assert_int_equal(tool(two, "qemu-io -f raw -c 'write 0 512' %s"), 0);
}

static void qemu_keeps_us_out(void **state)
{
    struct two *two = *state;
    char command[256];
    struct err e;
    FILE *tool;
    int fd;

    need("qemu-io");
    assert_int_equal(rig_open(&two->rig, CONFIG, false), 0);
    assert_int_equal(rig_open(&two->other, CONFIG, true), 0);
    fd = open(rig_path(&two->rig, "disk"), O_RDONLY);
    assert_true(fd >= 0);
    /* It has the image while it waits for commands. */
    snprintf(command, sizeof(command), "exec qemu-io -f raw %s >/dev/null 2>&1",
             rig_path(&two->rig, "disk"));
    tool = popen(command, "w");
    assert_non_null(tool);
    while (file_lock_test(fd, 101) == 0)
        sched_yield();
    assert_int_equal(store_acquire(two->rig.store, &e), -EAGAIN);
    assert_int_equal(store_acquire(two->other.store, &e), -EAGAIN);
    assert_int_equal(pclose(tool), 0);
    assert_int_equal(store_acquire(two->rig.store, &e), 0);
    close(fd);
}

#define TEST(t)                                                                \
    {                                                                          \
#t, t, setup, teardown, NULL                                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_writers_exclude_each_other),
        TEST(a_writer_keeps_readers_out),
        TEST(a_reader_keeps_writers_out),
        TEST(two_readers_get_along),
        TEST(closing_the_store_lets_go),
        TEST(without_lock_nobody_is_asked),
        TEST(a_filtered_file_is_locked_too),
        TEST(qemu_is_kept_out),
        TEST(qemu_keeps_us_out),
    };

    return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
