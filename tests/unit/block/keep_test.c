/* A disk that another process goes on with: its write cache, its memory. */
#include "disk.h"

#include <string.h>
#include <sys/mman.h>

#include "device/block/impl.h"
#include "left.h"

#define MEMORY "'store': {'type': 'memory', 'size': '1M'}"
#define FILE_DISK "'store': {'type': 'file', 'path': '@/disk'}"

static bool write_through(struct disk *d)
{
    return block_of(d->device)->write_through;
}

static void set_wce(struct disk *d, uint8_t on)
{
    assert_int_equal(
        d->device->ops->config_write(
            d->device, offsetof(struct virtio_blk_config, writeback), &on, 1),
        0);
}

/* d is killed; the one that goes on, open. */
static struct disk *kill_and_open(struct disk *d, const char *config)
{
    struct left left;

    left_take(&left, "test");
    disk_free(d);
    assert_int_equal(left_count("test"), 0);
    left_put(&left);
    return disk_open(config);
}

/* d is stopped as it is for another process, which goes on. */
static struct disk *hand_on(struct disk *d, const char *config)
{
    struct err e = {0};

    d->device->suspends = true;
    disk_stop_ring(d);
    disk_stop(d);
    if (d->device->ops->save(d->device, &e) < 0)
        fail_msg("%s", e.text);
    return kill_and_open(d, config);
}

static void the_write_cache_stays_as_the_guest_has_set_it(void **state)
{
    struct disk *d = disk_new(FILE_DISK, false);

    (void)state;
    for (uint8_t on = 0; on < 2; on++) {
        set_wce(d, on);
        d = kill_and_open(d, FILE_DISK);
        assert_int_equal(disk_config(d).writeback, on);
        assert_int_equal(disk_start(d, disk_features(d), true), 0);
        assert_int_equal(disk_config(d).writeback, on);
        assert_int_equal(write_through(d), !on);
        assert_int_equal(disk_start_ring(d, false, NULL), 0);
        d = hand_on(d, FILE_DISK);
        assert_int_equal(disk_start(d, disk_features(d), true), 0);
        assert_int_equal(disk_config(d).writeback, on);
    }
    disk_free(d);
}

/* The guest that comes is one of a back-end that is not of ours. */
static void a_disk_that_has_served_nobody_knows_of_nobody(void **state)
{
    struct disk *d = disk_open(FILE_DISK);

    (void)state;
    d = kill_and_open(d, FILE_DISK);
    assert_int_equal(disk_config(d).writeback, 1);
    assert_int_equal(disk_start(d, disk_features(d), true), 0);
    assert_int_equal(disk_config(d).writeback, 0);
    disk_free(d);
}

static void the_config_decides_when_a_disk_has_gone(void **state)
{
    struct disk *d = disk_new(FILE_DISK, false);

    (void)state;
    set_wce(d, 0);
    disk_free(d);
    assert_int_equal(left_count("test"), 0);
    d = disk_open(FILE_DISK);
    assert_int_equal(disk_config(d).writeback, 1);
    disk_free(d);
}

static void a_disk_in_memory_goes_on_with_its_guest(void **state)
{
    static char buf[4096], again[4096];
    struct disk *d = disk_new(MEMORY, false);

    (void)state;
    memset(buf, 'x', sizeof(buf));
    assert_int_equal(disk_write(d, 8, buf, sizeof(buf)), VIRTIO_BLK_S_OK);
    for (unsigned i = 0; i < 3; i++) {
        d = hand_on(d, MEMORY);
        assert_int_equal(disk_start(d, disk_features(d), true), 0);
        assert_int_equal(disk_start_ring(d, false, NULL), 0);
        memset(again, 0, sizeof(again));
        assert_int_equal(disk_read(d, 8, again, sizeof(again)),
                         VIRTIO_BLK_S_OK);
        assert_memory_equal(buf, again, sizeof(buf));
    }
    disk_free(d);
    assert_int_equal(left_count("test"), 0);
}

static void a_disk_in_memory_that_was_not_saved_is_refused(void **state)
{
    struct disk *d = disk_new(MEMORY, false);
    struct err e;

    (void)state;
    d = kill_and_open(d, MEMORY);
    assert_int_equal(disk_start(d, disk_features(d), false), 0);
    assert_true(disk_start_ring(d, false, &e) < 0);
    assert_non_null(strstr(e.text, "has forgotten"));
    disk_stop(d);
    /* The next one begins anew. */
    assert_int_equal(disk_start(d, disk_features(d), false), 0);
    assert_int_equal(disk_start_ring(d, false, &e), 0);
    disk_free(d);
}

static void a_guest_that_has_gone_before_is_not_missed(void **state)
{
    struct disk *d = disk_new(MEMORY, false);
    struct err e;

    (void)state;
    disk_stop_ring(d);
    disk_stop(d);
    d = kill_and_open(d, MEMORY);
    assert_int_equal(disk_start(d, disk_features(d), false), 0);
    assert_int_equal(disk_start_ring(d, false, &e), 0);
    disk_free(d);
}

static void a_guest_is_told_the_size_that_it_knows(void **state)
{
    struct disk *d = disk_new(MEMORY, false);
    struct err e;

    (void)state;
    assert_int_equal(store_resize(block_of(d->device)->store, 2 << 20, &e), 0);
    block_resized(block_of(d->device));
    d = hand_on(d, MEMORY);
    assert_int_equal(le64toh(disk_config(d).capacity), (2 << 20) / 512);
    assert_int_equal(d->config_changes, 0);
    disk_free(d);
}

static void nonsense_that_is_found_does_no_harm(void **state)
{
    static char buf[512];

    (void)state;
    for (unsigned seed = 0; seed < 20; seed++) {
        struct disk *d = disk_new(MEMORY, false);
        struct left left;
        struct err e;

        assert_int_equal(store_save(block_of(d->device)->store, &e), 0);
        left_take(&left, "test");
        left_spoil(&left, seed);
        disk_free(d);
        left_put(&left);
        d = disk_open(MEMORY);
        assert_int_equal(disk_start(d, disk_features(d), false), 0);
        if (disk_start_ring(d, false, &e) == 0)
            assert_int_equal(disk_write(d, 0, buf, 512), VIRTIO_BLK_S_OK);
        disk_free(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_write_cache_stays_as_the_guest_has_set_it),
        cmocka_unit_test(a_disk_that_has_served_nobody_knows_of_nobody),
        cmocka_unit_test(the_config_decides_when_a_disk_has_gone),
        cmocka_unit_test(a_disk_in_memory_goes_on_with_its_guest),
        cmocka_unit_test(a_disk_in_memory_that_was_not_saved_is_refused),
        cmocka_unit_test(a_guest_that_has_gone_before_is_not_missed),
        cmocka_unit_test(a_guest_is_told_the_size_that_it_knows),
        cmocka_unit_test(nonsense_that_is_found_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
