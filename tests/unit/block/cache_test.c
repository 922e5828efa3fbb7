/* Switching the write cache off, on a medium that takes its time to make
 * things stable, or cannot. The linker puts __wrap_file_sync in the place of
 * file_sync. */
#include "disk.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "os/file.h"

#define FILE_DISK                                                              \
    "'store': {'type': 'file', 'path': '@/disk', 'engine': 'threads'}"

int __real_file_sync(int fd);
int __wrap_file_sync(int fd);

static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool shut; /* those who come wait */
    int result;
    unsigned entered, left;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

int __wrap_file_sync(int fd)
{
    int rc;

    pthread_mutex_lock(&gate.lock);
    gate.entered++;
    pthread_cond_broadcast(&gate.moved);
    while (gate.shut)
        pthread_cond_wait(&gate.moved, &gate.lock);
    gate.left++;
    rc = gate.result;
    gate.result = 0;
    pthread_cond_broadcast(&gate.moved);
    pthread_mutex_unlock(&gate.lock);
    return rc < 0 ? rc : __real_file_sync(fd);
}

static int setup(void **state)
{
    (void)state;
    gate.shut = false;
    gate.result = 0;
    gate.entered = gate.left = 0;
    alarm(60); /* a home loop that waits waits for ever */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    alarm(0);
    return 0;
}

static void gate_set(bool shut, int result)
{
    pthread_mutex_lock(&gate.lock);
    gate.shut = shut;
    gate.result = result;
    pthread_cond_broadcast(&gate.moved);
    pthread_mutex_unlock(&gate.lock);
}

/* Waits until `what` is n. */
static void gate_wait(const unsigned *what, unsigned n)
{
    pthread_mutex_lock(&gate.lock);
    while (*what != n)
        pthread_cond_wait(&gate.moved, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static void set_wce(struct disk *d, uint8_t on)
{
    assert_int_equal(
        d->device->ops->config_write(
            d->device, offsetof(struct virtio_blk_config, writeback), &on, 1),
        0);
}

static void switching_never_waits_for_the_medium(void **state)
{
    struct disk *d = disk_new(FILE_DISK, false);

    (void)state;
    gate_set(true, 0);
    set_wce(d, 0);
    gate_wait(&gate.entered, 1);
    for (unsigned i = 0; i < 50; i++) {
        set_wce(d, 1);
        set_wce(d, 0);
    }
    assert_int_equal(disk_config(d).writeback, 0);
    assert_int_equal(gate.entered, 1);
    gate_set(false, 0);
    /* What was written since it began is made stable too, once for all. */
    gate_wait(&gate.left, 2);
    /* And again when all that is over. */
    set_wce(d, 1);
    set_wce(d, 0);
    disk_free(d);
    assert_in_range(gate.left, 3, 4);
}

static void what_could_not_be_made_stable_fails_a_flush(void **state)
{
    struct disk *d = disk_new(FILE_DISK, false);
    static char buf[512];

    (void)state;
    assert_int_equal(disk_write(d, 0, buf, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(disk_flush(d), VIRTIO_BLK_S_OK);
    gate_set(false, -EIO);
    set_wce(d, 0);
    gate_wait(&gate.left, 2);
    set_wce(d, 1);
    set_wce(d, 0); /* ends the thread of before, or has it go on */
    gate_wait(&gate.left, 3);
    set_wce(d, 1);
    assert_int_equal(disk_write(d, 0, buf, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(disk_flush(d), VIRTIO_BLK_S_IOERR);
    assert_int_equal(disk_flush(d), VIRTIO_BLK_S_OK);
    disk_free(d);
}

/* A guest can have it happen as often as it likes. */
static void errors_of_that_do_not_fill_the_log(void **state)
{
    struct disk *d = disk_new(FILE_DISK, false);
    int err = dup(STDERR_FILENO), in[2];
    char log[16384];
    ssize_t n;
    unsigned lines = 0;

    (void)state;
    assert_int_equal(pipe(in), 0);
    dup2(in[1], STDERR_FILENO);
    for (unsigned i = 1; i <= 40; i++) {
        gate_set(false, -EIO);
        set_wce(d, 0);
        gate_wait(&gate.left, i);
        set_wce(d, 1);
    }
    disk_free(d);
    dup2(err, STDERR_FILENO);
    close(err);
    close(in[1]);
    n = read(in[0], log, sizeof(log) - 1);
    close(in[0]);
    assert_true(n > 0);
    log[n] = '\0';
    for (const char *at = log; (at = strstr(at, "could not be made")); at++)
        lines++;
    assert_in_range(lines, 1, 10);
}

static void an_error_of_a_flush_is_the_guests(void **state)
{
    struct disk *d = disk_new(FILE_DISK, false);

    (void)state;
    gate_set(false, -EIO);
    assert_int_equal(disk_flush(d), VIRTIO_BLK_S_IOERR);
    gate_set(false, -ENOSPC);
    assert_int_equal(disk_flush(d), VIRTIO_BLK_S_IOERR);
    assert_int_equal(disk_flush(d), VIRTIO_BLK_S_OK);
    disk_free(d);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(switching_never_waits_for_the_medium),
        TEST(what_could_not_be_made_stable_fails_a_flush),
        TEST(errors_of_that_do_not_fill_the_log),
        TEST(an_error_of_a_flush_is_the_guests),
    };

    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
