/* The device around its requests: what it offers, its config space and write
 * cache, start, stop, recovery, and a disk that changes its size. */
#include "disk.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/block/impl.h"

#define MEMORY "'store': {'type': 'memory', 'size': '1M'}"
#define FILE_DISK "'store': {'type': 'file', 'path': '@/disk'}"

static bool write_through(struct disk *d)
{
    return block_of(d->device)->write_through;
}

static int set_wce(struct disk *d, uint8_t on)
{
    return d->device->ops->config_write(
        d->device, offsetof(struct virtio_blk_config, writeback), &on, 1);
}

static void the_config_space_tells_the_truth(void **state)
{
    struct disk *d = disk_open("'queues': 4, 'logical_block_size': 1024,"
                               "'physical_block_size': 8192, " FILE_DISK);
    struct virtio_blk_config c = disk_config(d);
    uint64_t f = disk_features(d);

    (void)state;
    assert_true(f & FEATURE(VIRTIO_BLK_F_MQ));
    assert_true(f & FEATURE(VIRTIO_BLK_F_FLUSH));
    assert_true(f & FEATURE(VIRTIO_BLK_F_CONFIG_WCE));
    assert_true(f & FEATURE(VIRTIO_BLK_F_WRITE_ZEROES));
    assert_false(f & FEATURE(VIRTIO_BLK_F_RO));
    assert_false(f & FEATURE(VIRTIO_BLK_F_SIZE_MAX));
    assert_int_equal(le64toh(c.capacity), 2048);
    assert_int_equal(le32toh(c.seg_max), 126);
    assert_int_equal(le32toh(c.blk_size), 1024);
    assert_int_equal(c.topology.physical_block_exp, 3);
    assert_int_equal(le16toh(c.topology.min_io_size), 8);
    assert_int_equal(le16toh(c.num_queues), 4);
    assert_int_equal(c.writeback, 1);
    assert_int_equal(d->device->chain_max, 128);
    assert_int_equal(d->device->num_queues, 4);
    disk_free(d);
}

static void small_rings_have_small_requests(void **state)
{
    struct disk *d = disk_open("'queue_size': 16, " MEMORY);
    struct virtio_blk_config c = disk_config(d);

    (void)state;
    assert_int_equal(le32toh(c.seg_max), 14);
    disk_free(d);
    d = disk_open("'queue_size': 2, " MEMORY);
    c = disk_config(d);
    assert_int_equal(le32toh(c.seg_max), 1);
    disk_free(d);
}

static void bad_keys_have_their_place(void **state)
{
    static const struct {
        const char *config, *where, *text;
    } bad[] = {
        {"'logical_block_size': 1000, " MEMORY, "/device/logical_block_size",
         "1000 is not a power of two"},
        {"'logical_block_size': 4096, 'physical_block_size': 512, " MEMORY,
         "/device/physical_block_size", "less than the logical"},
        {"'serial': 'one-that-is-21-bytes!', " MEMORY, "/device/serial", ""},
        {"'queues': 0, " MEMORY, "/device/queues", ""},
        {"'queues': 65, " MEMORY, "/device/queues", ""},
        {"'store': {'type': 'memory', 'size': 1000}", "/device/store/size",
         "not a whole number of 512-byte sectors"},
        {"'logical_block_size': 4096, 'store': {'type': 'memory',"
         " 'size': 512}",
         "/device/store", "not one block"},
        {"'store': {'type': 'file', 'path': 'none'}", "/device/store/path",
         "No such file"},
        {"'serial': 'x'", "/device/store", ""},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e;

        disk_open_fails(bad[i].config, &e);
        assert_string_equal(e.where, bad[i].where);
        if (!strstr(e.text, bad[i].text))
            fail_msg("\"%s\" does not say \"%s\"", e.text, bad[i].text);
    }
}

static void the_guest_switches_the_write_cache(void **state)
{
    struct disk *d = disk_new(FILE_DISK, false);
    static char buf[512];

    (void)state;
    assert_false(write_through(d));
    assert_int_equal(set_wce(d, 0), 0);
    assert_true(write_through(d));
    assert_int_equal(disk_config(d).writeback, 0);
    assert_int_equal(disk_write(d, 0, buf, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(set_wce(d, 1), 0);
    assert_false(write_through(d));
    assert_int_equal(set_wce(d, 0), 0);
    assert_int_equal(set_wce(d, 1), 0);
    assert_int_equal(set_wce(d, 0), 0);
    assert_int_equal(disk_write(d, 0, buf, 512), VIRTIO_BLK_S_OK);
    disk_stop_ring(d);
    d->device->ops->reset(d->device);
    assert_int_equal(disk_config(d).writeback, 1);
    disk_free(d);
}

/* QEMU may send the whole space. */
static void other_bytes_of_the_config_are_not_writable(void **state)
{
    struct disk *d = disk_open(FILE_DISK);
    const struct device_ops *ops = d->device->ops;
    struct virtio_blk_config c = disk_config(d), after;
    const uint32_t at = offsetof(struct virtio_blk_config, writeback);

    (void)state;
    c.capacity = htole64(1);
    c.num_queues = htole16(9);
    c.writeback = 0;
    assert_int_equal(ops->config_write(d->device, 0, &c, sizeof(c)), 0);
    after = disk_config(d);
    assert_int_equal(le64toh(after.capacity), 2048);
    assert_int_equal(le16toh(after.num_queues), 1);
    assert_int_equal(after.writeback, 0);
    assert_int_equal(ops->config_write(d->device, 0, &c, 8), -EACCES);
    assert_int_equal(ops->config_write(d->device, 0, &c, at), -EACCES);
    assert_int_equal(ops->config_write(d->device, at + 1, &c, 8), -EACCES);
    assert_int_equal(ops->config_write(d->device, at, &c, 0), -EACCES);
    disk_free(d);
}

/* Spec, "Device Operation": a write that no flush can follow is stable when
 * it is answered. */
static void a_driver_that_cannot_flush_need_not(void **state)
{
    struct disk *d = disk_open(FILE_DISK);
    uint64_t f = disk_features(d);

    (void)state;
    disk_start(
        d,
        f & ~(FEATURE(VIRTIO_BLK_F_FLUSH) | FEATURE(VIRTIO_BLK_F_CONFIG_WCE)),
        false);
    assert_true(write_through(d));
    assert_int_equal(disk_config(d).writeback, 1);
    disk_stop(d);
    disk_start(d, f, false);
    assert_false(write_through(d));
    disk_stop(d);
    /* "MUST initialize writeback to 0" */
    disk_start(d, f & ~FEATURE(VIRTIO_BLK_F_FLUSH), false);
    assert_true(write_through(d));
    assert_int_equal(disk_config(d).writeback, 0);
    disk_stop(d);
    /* Who has read 0 does not flush: it must stay so. */
    disk_start(d, f, false);
    assert_true(write_through(d));
    disk_free(d);
}

static void after_recovery_writes_are_stable_until_told_otherwise(void **state)
{
    struct disk *d = disk_open(FILE_DISK);

    (void)state;
    disk_start(d, disk_features(d), true);
    assert_true(write_through(d));
    disk_stop(d);
    disk_start(d, disk_features(d), false);
    assert_true(write_through(d));
    assert_int_equal(set_wce(d, 1), 0);
    assert_false(write_through(d));
    disk_free(d);
}

static void without_write_cache_all_is_stable(void **state)
{
    struct disk *d = disk_open("'write_cache': false, " FILE_DISK);

    (void)state;
    assert_int_equal(disk_config(d).writeback, 0);
    disk_start(d, disk_features(d), false);
    assert_true(write_through(d));
    disk_free(d);
    /* Memory has nothing to flush. */
    d = disk_open(MEMORY);
    assert_int_equal(disk_config(d).writeback, 0);
    disk_free(d);
}

static void a_volatile_disk_refuses_to_recover(void **state)
{
    struct disk *d = disk_open(MEMORY);
    struct err e = {0};

    (void)state;
    assert_int_equal(disk_start(d, disk_features(d), true), 0);
    d->guest = guest_new(false, 16);
    d->guest->setup.priv_size = d->device->priv_size;
    guest_start(d->guest);
    d->guest->ring.recovered = 3;
    assert_true(disk_start_ring(d, false, &e) < 0);
    assert_non_null(strstr(e.text, "has forgotten"));
    d->guest->ring.recovered = 0;
    disk_free(d);
}

/* ---- the image lock ---- */

static void start_waits_for_the_lock(void **state)
{
    struct disk *first = disk_new(FILE_DISK, false);
    struct disk *second = disk_open(FILE_DISK);
    const struct device_start s = {disk_features(second), false};
    char path[128], other[192];

    (void)state;
    /* Both on the same file. */
    snprintf(path, sizeof(path), "%s/disk", first->dir);
    disk_free(second);
    snprintf(other, sizeof(other), "'store': {'type': 'file', 'path': '%s'}",
             path);
    second = disk_open(other);
    second->device->ops->start(second->device, &s);
    assert_int_equal(second->starts_answered, 0);
    /* Stopped while it waits: no answer comes. */
    second->device->ops->stop(second->device);
    uv_run(&second->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(second->starts_answered, 0);

    second->device->ops->start(second->device, &s);
    second->runs = true;
    assert_int_equal(second->starts_answered, 0);
    disk_stop_ring(first);
    disk_stop(first);
    while (!second->starts_answered)
        uv_run(&second->loop.uv, UV_RUN_ONCE);
    assert_int_equal(second->start_err.code, 0);
    disk_free(second);
    disk_free(first);
}

static void waiting_for_the_lock_ends_with_a_sentence(void **state)
{
    struct disk *first = disk_new(FILE_DISK, false);
    struct disk *second;
    char config[192];

    (void)state;
    snprintf(config, sizeof(config),
             "'store': {'type': 'file', 'path': '%s/disk'}", first->dir);
    second = disk_open(config);
    block_of(second->device)->acquire.tries = 0;
    second->device->ops->start(
        second->device, &(struct device_start){disk_features(second), false});
    /* As if the other tries had been made. */
    block_of(second->device)->acquire.tries = 98;
    while (!second->starts_answered)
        uv_run(&second->loop.uv, UV_RUN_ONCE);
    assert_int_equal(second->start_err.code, -EAGAIN);
    assert_non_null(strstr(second->start_err.text, "locked"));
    disk_free(second);
    disk_free(first);
}

/* ---- rings ---- */

static void rings_of_a_loop_share_a_channel(void **state)
{
    struct disk *d = disk_new("'queues': 3, " FILE_DISK, false);
    struct block *b = block_of(d->device);
    struct ring second = {.index = 2, .loop = &d->loop};
    struct err e;

    (void)state;
    assert_int_equal(d->device->ops->ring_start(d->device, &second, &e), 0);
    assert_ptr_equal(b->rings[0].ch, b->rings[2].ch);
    disk_stop_ring(d);
    assert_non_null(b->rings[2].ch);
    d->device->ops->ring_stop(d->device, &second);
    assert_null(b->channels[0].ch);
    disk_free(d);
}

static void a_store_that_needs_order_needs_one_loop(void **state)
{
    struct disk *d = disk_open("'queues': 2, 'store': {'type': 'fault',"
                               " 'next': {'type': 'memory', 'size': '1M'}}");

    (void)state;
    assert_int_equal(disk_start(d, disk_features(d), false), 0);
    disk_stop(d);
    d->ring_loop[1] = &d->other_loop;
    assert_int_equal(disk_start(d, disk_features(d), false), -EINVAL);
    assert_non_null(strstr(d->start_err.text, "one worker"));
    disk_free(d);
}

static void a_drain_gives_up_what_is_stuck(void **state)
{
    struct disk *d = disk_new("'store': {'type': 'fault', 'rules':"
                              " [{'op': 'read', 'stuck': true}],"
                              " 'next': {'type': 'memory', 'size': '1M'}}",
                              false);
    static char buf[512];
    struct disk_call c = {.type = VIRTIO_BLK_T_IN, .in = buf, .in_len = 512};

    (void)state;
    disk_send(d, &c, 0);
    assert_int_equal(d->guest->ring.in_flight, 1);
    d->device->ops->ring_drain(d->device, &d->guest->ring, DRAIN_BEGIN);
    assert_int_equal(d->guest->ring.in_flight, 1);
    d->device->ops->ring_drain(d->device, &d->guest->ring, DRAIN_CANCEL);
    assert_int_equal(d->guest->ring.in_flight, 0);
    ring_flush(&d->guest->ring);
    assert_int_equal(disk_answer(d, &c), VIRTIO_BLK_S_IOERR);
    disk_free(d);
}

/* ---- counters ---- */

struct reader {
    const struct block_stats *stats;
    bool stop;
    uint64_t last;
    unsigned looks;
};

static void read_on(void *arg)
{
    struct reader *r = arg;
    bool stop;

    do {
        uint64_t now;

        stop = __atomic_load_n(&r->stop, __ATOMIC_ACQUIRE);
        now = __atomic_load_n(&r->stats->requests[BLOCK_STAT_WRITE],
                              __ATOMIC_RELAXED);
        assert_true(now >= r->last);
        r->last = now;
        r->looks++;
    } while (!stop);
}

/* Rings, sessions and devices' resets come and go. */
static void counters_count_from_the_start(void **state)
{
    struct disk *d = disk_new("'queues': 2, " FILE_DISK, false);
    struct reader reader = {.stats = block_stats(d->device, 0)};
    struct thread thread;
    static char buf[4096];
    struct err e;

    (void)state;
    assert_int_equal(thread_start(&thread, "reader", read_on, &reader, &e), 0);
    for (unsigned i = 1; i <= 20; i++) {
        if (i > 1) {
            if (i % 3 == 0) {
                disk_stop(d);
                if (i % 2)
                    d->device->ops->reset(d->device);
                disk_start(d, disk_features(d), false);
            }
            assert_int_equal(disk_start_ring(d, false, &e), 0);
        }
        assert_int_equal(disk_write(d, 0, buf, 4096), VIRTIO_BLK_S_OK);
        assert_int_equal(disk_read(d, 8192, buf, 512), VIRTIO_BLK_S_IOERR);
        disk_stop_ring(d);
        assert_ptr_equal(block_stats(d->device, 0), reader.stats);
        assert_int_equal(reader.stats->requests[BLOCK_STAT_WRITE], i);
        assert_int_equal(reader.stats->requests[BLOCK_STAT_READ], i);
        assert_int_equal(reader.stats->bytes_written, i * 4096);
        assert_int_equal(reader.stats->bytes_read, 0);
        assert_int_equal(reader.stats->errors, i);
    }
    __atomic_store_n(&reader.stop, true, __ATOMIC_RELEASE);
    thread_join(&thread);
    assert_int_equal(reader.last, 20);
    assert_true(reader.looks > 0);
    assert_int_equal(block_stats(d->device, 1)->requests[BLOCK_STAT_WRITE], 0);
    disk_free(d);
}

/* ---- size ---- */

static void a_new_size_is_told(void **state)
{
    struct disk *d = disk_new(FILE_DISK, false);
    struct virtio_blk_config c;
    static char buf[512];

    (void)state;
    d->device->ops->refresh(d->device);
    assert_int_equal(d->config_changes, 0);
    assert_int_equal(disk_read(d, 2048, buf, 512), VIRTIO_BLK_S_IOERR);
    disk_file(d, "disk", 2 << 20);
    d->device->ops->refresh(d->device);
    assert_int_equal(d->config_changes, 1);
    c = disk_config(d);
    assert_int_equal(le64toh(c.capacity), 4096);
    assert_int_equal(disk_read(d, 2048, buf, 512), VIRTIO_BLK_S_OK);
    disk_file(d, "disk", 4096);
    /* Not told yet: what is gone is an error, not a crash. */
    assert_int_equal(disk_read(d, 2048, buf, 512), VIRTIO_BLK_S_IOERR);
    d->device->ops->refresh(d->device);
    assert_int_equal(d->config_changes, 2);
    assert_int_equal(disk_read(d, 2048, buf, 512), VIRTIO_BLK_S_IOERR);
    assert_int_equal(disk_read(d, 0, buf, 512), VIRTIO_BLK_S_OK);
    disk_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_config_space_tells_the_truth),
        cmocka_unit_test(small_rings_have_small_requests),
        cmocka_unit_test(bad_keys_have_their_place),
        cmocka_unit_test(the_guest_switches_the_write_cache),
        cmocka_unit_test(other_bytes_of_the_config_are_not_writable),
        cmocka_unit_test(a_driver_that_cannot_flush_need_not),
        cmocka_unit_test(after_recovery_writes_are_stable_until_told_otherwise),
        cmocka_unit_test(without_write_cache_all_is_stable),
        cmocka_unit_test(a_volatile_disk_refuses_to_recover),
        cmocka_unit_test(start_waits_for_the_lock),
        cmocka_unit_test(waiting_for_the_lock_ends_with_a_sentence),
        cmocka_unit_test(rings_of_a_loop_share_a_channel),
        cmocka_unit_test(a_store_that_needs_order_needs_one_loop),
        cmocka_unit_test(a_drain_gives_up_what_is_stuck),
        cmocka_unit_test(counters_count_from_the_start),
        cmocka_unit_test(a_new_size_is_told),
    };

    return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}
