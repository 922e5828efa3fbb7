/* Requests: every layout, every type, every mistake a guest can make.
 * Spec: virtio, "Block Device", "Device Operation". */
#include "disk.h"

#include <stdlib.h>
#include <string.h>

#include "device/block/impl.h"

#define MEMORY "'store': {'type': 'memory', 'size': '1M'}"
#define FILE_DISK "'store': {'type': 'file', 'path': '@/disk', 'lock': false}"
#define SECTORS 2048

static char data[16384], back[16384];

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + i / 256 + 1);
    memset(back, 0, sizeof(back));
    return 0;
}

static void the_usual_layout(void **state)
{
    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        struct disk *d = disk_new(MEMORY, packed);
        struct disk_call c = {.type = VIRTIO_BLK_T_IN,
                              .sector = 8,
                              .in = back,
                              .in_len = sizeof(back)};

        assert_int_equal(disk_write(d, 8, data, sizeof(data)), 0);
        assert_int_equal(disk_call(d, &c), 0);
        assert_memory_equal(back, data, sizeof(data));
        assert_int_equal(c.written, sizeof(back) + 1);
        assert_int_equal(disk_write(d, SECTORS - 1, data, 512), 0);
        assert_int_equal(disk_read(d, SECTORS - 1, back, 512), 0);
        disk_free(d);
    }
}

/* Spec, "Message Framing": any layout of descriptors will do. */
static void any_layout(void **state)
{
    static const unsigned ones[] = {1, 1, 1, 1, 1, 1, 1, 1, 1,
                                    1, 1, 1, 1, 1, 1, 1, 0};
    static const unsigned whole[] = {1 << 20, 0};
    static const unsigned odd[] = {3, 20, 1, 100, 399, 512, 0};
    static const unsigned before[] = {15, 2, 0};
    static const unsigned after[] = {17, 0};
    static const unsigned *const cuts[] = {NULL, ones,   whole,
                                           odd,  before, after};
    struct disk *d = disk_new(FILE_DISK, false);

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cuts) * ARRAY_LEN(cuts) * 2; i++) {
        struct disk_call w = {
            .type = VIRTIO_BLK_T_OUT,
            .sector = i,
            .out = data + i,
            .out_len = 1024,
            .out_cuts = cuts[i / 2 % ARRAY_LEN(cuts)],
            .in_cuts = cuts[i / 2 / ARRAY_LEN(cuts)],
            .joined = i % 2,
        };
        struct disk_call r = {
            .type = VIRTIO_BLK_T_IN,
            .sector = i,
            .in = back,
            .in_len = 1024,
            .out_cuts = cuts[i / 2 / ARRAY_LEN(cuts)],
            .in_cuts = cuts[i / 2 % ARRAY_LEN(cuts)],
            .joined = i % 2,
            /* across two regions that lie apart here */
            .at = i % 3 ? 0 : GUEST_SECOND - 300,
        };

        assert_int_equal(disk_call(d, &w), 0);
        memset(back, 0, 1024);
        assert_int_equal(disk_call(d, &r), 0);
        assert_memory_equal(back, data + i, 1024);
    }
    disk_free(d);
}

/* The same through bounce buffers and threads, which end later. */
static void any_layout_with_direct_io(void **state)
{
    static const unsigned odd[] = {3, 20, 1, 100, 399, 512, 0};
    static const unsigned odd_in[] = {511, 77, 3, 0};
    struct disk *d;
    struct disk_call w = {.type = VIRTIO_BLK_T_OUT,
                          .out = data,
                          .out_len = 8192,
                          .out_cuts = odd};
    struct disk_call r = {
        .type = VIRTIO_BLK_T_IN, .in = back, .in_len = 8192, .in_cuts = odd_in};

    (void)state;
    if (!disk_can_do_direct_io())
        skip();
    d = disk_new("'logical_block_size': 4096, 'store': {'type': 'file',"
                 " 'path': '@/disk', 'direct': true}",
                 false);
    assert_int_equal(disk_call(d, &w), 0);
    assert_int_equal(disk_call(d, &r), 0);
    assert_memory_equal(back, data, 8192);
    disk_free(d);
}

static void a_request_without_status_is_given_back_undone(void **state)
{
    struct disk *d = disk_new(MEMORY, false);
    struct virtio_blk_req_head *head = guest_at(d->guest, GUEST_DATA);
    const struct piece p[] = {{GUEST_DATA, 16, false},
                              {GUEST_DATA + 64, 512, false}};

    (void)state;
    head->type = htole32(VIRTIO_BLK_T_OUT);
    head->sector = htole64(3);
    memset(guest_at(d->guest, GUEST_DATA + 64), 0x77, 512);
    guest_offer(d->guest, 5, p, 2);
    disk_settle(d);
    guest_expect(d->guest, 5, 0);
    /* The ring lives, and nothing was written. */
    assert_int_equal(disk_read(d, 3, back, 512), 0);
    assert_int_equal(back[0], 0);
    assert_int_equal(block_stats(d->device, 0)->requests[BLOCK_STAT_OTHER], 1);
    disk_free(d);
}

static void a_header_that_is_too_short_is_an_error(void **state)
{
    struct disk *d = disk_new(MEMORY, false);
    uint8_t *status = guest_at(d->guest, GUEST_DATA + 128);
    const struct piece p[] = {{GUEST_DATA, 15, false},
                              {GUEST_DATA + 128, 1, true}};

    (void)state;
    *status = 0xff;
    guest_offer(d->guest, 0, p, 2);
    disk_settle(d);
    guest_expect(d->guest, 0, 1);
    assert_int_equal(*status, VIRTIO_BLK_S_IOERR);
    /* No header at all. */
    *status = 0xff;
    guest_offer(d->guest, 1, p + 1, 1);
    disk_settle(d);
    guest_expect(d->guest, 1, 1);
    assert_int_equal(*status, VIRTIO_BLK_S_IOERR);
    disk_free(d);
}

static void unknown_types_are_unsupported(void **state)
{
    static const uint32_t types[] = {2,         3,
                                     7,         VIRTIO_BLK_T_GET_LIFETIME,
                                     12,        VIRTIO_BLK_T_SECURE_ERASE,
                                     15,        16,
                                     0x80000000};
    struct disk *d = disk_new(MEMORY, false);

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(types); i++)
        assert_int_equal(disk_call(d, &(struct disk_call){.type = types[i],
                                                          .in = back,
                                                          .in_len = 512}),
                         VIRTIO_BLK_S_UNSUPP);
    disk_free(d);
}

static void sectors_outside_the_disk_are_errors(void **state)
{
    static const struct {
        uint64_t sector;
        size_t len;
    } bad[] = {
        {SECTORS, 512},
        {SECTORS - 1, 1024},
        {UINT64_MAX, 512},
        {UINT64_MAX >> 9, 512},
        {(UINT64_MAX >> 9) + 1, 512}, /* 0 if it wraps */
        {UINT64_MAX - 1, 1024},
        {0, 100},
        {0, 1},
        {1, 513},
    };
    struct disk *d = disk_new(MEMORY, false);

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(disk_read(d, bad[i].sector, back, bad[i].len),
                         VIRTIO_BLK_S_IOERR);
        assert_int_equal(disk_write(d, bad[i].sector, data, bad[i].len),
                         VIRTIO_BLK_S_IOERR);
    }
    assert_int_equal(block_stats(d->device, 0)->errors, 2 * ARRAY_LEN(bad));
    /* Nothing at all, at the very end, is no mistake. */
    assert_int_equal(disk_read(d, SECTORS, back, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(disk_read(d, SECTORS + 1, back, 0), VIRTIO_BLK_S_IOERR);
    disk_free(d);
}

static void parts_of_logical_blocks_are_errors(void **state)
{
    struct disk *d = disk_new("'logical_block_size': 4096, " MEMORY, false);

    (void)state;
    assert_int_equal(disk_read(d, 0, back, 4096), VIRTIO_BLK_S_OK);
    assert_int_equal(disk_read(d, 1, back, 4096), VIRTIO_BLK_S_IOERR);
    assert_int_equal(disk_read(d, 0, back, 512), VIRTIO_BLK_S_IOERR);
    assert_int_equal(disk_write(d, 8, data, 4096 + 512), VIRTIO_BLK_S_IOERR);
    disk_free(d);
}

static void errors_of_the_store_reach_the_guest(void **state)
{
    struct disk *d =
        disk_new("'store': {'type': 'fault', 'rules': ["
                 "{'op': 'write', 'count': 1, 'error': 'ENOSPC'},"
                 "{'op': 'read', 'count': 1}, {'op': 'flush', 'count': 1},"
                 "{'op': 'zero', 'after': 1, 'count': 1}],"
                 "'next': {'type': 'memory', 'size': '1M'}}",
                 false);
    struct virtio_blk_range ranges[2] = {{0, htole32(1), 0},
                                         {htole64(1), htole32(1), 0}};
    struct disk_call zero = {.type = VIRTIO_BLK_T_WRITE_ZEROES,
                             .out = ranges,
                             .out_len = sizeof(ranges)};

    (void)state;
    assert_int_equal(disk_write(d, 0, data, 512), VIRTIO_BLK_S_IOERR);
    assert_int_equal(disk_read(d, 0, back, 512), VIRTIO_BLK_S_IOERR);
    assert_int_equal(disk_flush(d), VIRTIO_BLK_S_IOERR);
    assert_int_equal(disk_call(d, &zero), VIRTIO_BLK_S_IOERR);
    /* And it goes on. */
    assert_int_equal(disk_write(d, 0, data, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(disk_flush(d), VIRTIO_BLK_S_OK);
    assert_int_equal(disk_call(d, &zero), VIRTIO_BLK_S_OK);
    assert_int_equal(disk_read(d, 0, back, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(back[0], 0);
    disk_free(d);
}

/* Spec: a string of up to 20 bytes, padded with NUL, not ended by it. */
static void the_serial_fills_its_20_bytes_or_what_there_is(void **state)
{
    struct disk *d =
        disk_new("'serial': 'twenty-bytes-of-text', " MEMORY, false);
    struct disk_call c = {
        .type = VIRTIO_BLK_T_GET_ID, .in = back, .in_len = 20};

    (void)state;
    assert_int_equal(disk_call(d, &c), VIRTIO_BLK_S_OK);
    assert_memory_equal(back, "twenty-bytes-of-text", 20);
    c.in_len = 6;
    assert_int_equal(disk_call(d, &c), VIRTIO_BLK_S_OK);
    assert_memory_equal(back, "twenty", 6);
    c.in_len = 64;
    assert_int_equal(disk_call(d, &c), VIRTIO_BLK_S_OK);
    assert_memory_equal(back, "twenty-bytes-of-text", 20);
    assert_int_equal((uint8_t)back[20], 0xaa); /* not ours */
    disk_free(d);

    d = disk_new(MEMORY, false); /* by default: the id */
    c.in_len = 20;
    assert_int_equal(disk_call(d, &c), VIRTIO_BLK_S_OK);
    assert_memory_equal(back, "test\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    disk_free(d);
}

/* Spec: "MUST set the status byte to IOERR for a write request ... and MUST
 * NOT write any data". */
static void a_read_only_disk_refuses_all_that_writes(void **state)
{
    struct disk *d = disk_new("'read_only': true, " FILE_DISK, false);
    const struct virtio_blk_range one = blk_range(0, 1, 0);
    uint64_t f = disk_features(d);

    (void)state;
    assert_true(f & FEATURE(VIRTIO_BLK_F_RO));
    assert_false(f & FEATURE(VIRTIO_BLK_F_DISCARD));
    assert_false(f & FEATURE(VIRTIO_BLK_F_WRITE_ZEROES));
    assert_int_equal(disk_write(d, 0, data, 512), VIRTIO_BLK_S_IOERR);
    assert_int_equal(disk_ranges(d, VIRTIO_BLK_T_DISCARD, &one, sizeof(one)),
                     VIRTIO_BLK_S_IOERR);
    assert_int_equal(
        disk_ranges(d, VIRTIO_BLK_T_WRITE_ZEROES, &one, sizeof(one)),
        VIRTIO_BLK_S_IOERR);
    assert_int_equal(disk_flush(d), VIRTIO_BLK_S_OK);
    assert_int_equal(disk_read(d, 0, back, 512), VIRTIO_BLK_S_OK);
    assert_int_equal(back[0], 0);
    disk_free(d);
}

/* Spec: a flush has no data; what a guest sends along is not looked at, and
 * where it may be written, nothing is. */
static void a_flush_is_one_whatever_comes_along(void **state)
{
    static const unsigned odd[] = {7, 9, 100, 0};
    struct disk *d = disk_new(FILE_DISK, false);
    struct disk_call c = {.type = VIRTIO_BLK_T_FLUSH,
                          .sector = UINT64_MAX,
                          .out = data,
                          .out_len = 700,
                          .out_cuts = odd,
                          .in = back,
                          .in_len = 300,
                          .in_cuts = odd};

    (void)state;
    assert_int_equal(disk_call(d, &c), VIRTIO_BLK_S_OK);
    assert_int_equal(c.written, 301);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal((uint8_t)back[i], 0xaa);
    assert_int_equal(block_stats(d->device, 0)->requests[BLOCK_STAT_FLUSH], 1);
    disk_free(d);
}

/* Not offered, and asked for all the same. */
static void what_the_file_cannot_is_unsupported(void **state)
{
    struct disk *d = disk_new(FILE_DISK, false);
    struct block *b = block_of(d->device);
    const struct virtio_blk_range one = blk_range(0, 1, 0);
    struct virtio_blk_config c;

    (void)state;
    b->can_discard = false;
    assert_int_equal(disk_write(d, 0, data, 512), VIRTIO_BLK_S_OK);
    assert_false(disk_features(d) & FEATURE(VIRTIO_BLK_F_DISCARD));
    c = disk_config(d);
    assert_int_equal(c.max_discard_sectors, 0);
    assert_int_equal(c.max_discard_seg, 0);
    assert_int_equal(c.write_zeroes_may_unmap, 0);
    assert_int_equal(disk_ranges(d, VIRTIO_BLK_T_DISCARD, &one, sizeof(one)),
                     VIRTIO_BLK_S_UNSUPP);
    assert_int_equal(disk_read(d, 0, back, 512), VIRTIO_BLK_S_OK);
    assert_memory_equal(back, data, 512);
    assert_int_equal(
        disk_ranges(d, VIRTIO_BLK_T_WRITE_ZEROES, &one, sizeof(one)),
        VIRTIO_BLK_S_OK);
    disk_free(d);
}

/* Of a request's data, however its descriptors lie. */
static void seg_max_is_the_limit(void **state)
{
    static const unsigned fine[] = {512, 512, 512, 512, 1, 0};
    static const unsigned many[] = {512, 512, 512, 256, 256, 1, 0};
    static const unsigned fine_out[] = {16, 512, 512, 512, 512, 0};
    static const unsigned many_out[] = {16, 512, 512, 512, 256, 256, 0};
    static const unsigned cut_head[] = {5, 5, 6, 512, 512, 512, 512, 0};
    static const unsigned both[] = {5, 5, 6, 512, 512, 512, 256, 256, 0};
    struct disk_call r = {.type = VIRTIO_BLK_T_IN, .in = back, .in_len = 2048};
    struct disk_call w = {
        .type = VIRTIO_BLK_T_OUT, .out = data, .out_len = 2048};

    (void)state;
    for (int i = 0; i < 8; i++) {
        struct disk *d = disk_new("'seg_max': 4, " MEMORY, i & 1);

        assert_int_equal(le32toh(disk_config(d).seg_max), 4);
        r.joined = w.joined = i & 2;
        /* One of the pieces crosses into another region: one segment still. */
        r.at = w.at = i & 4 ? GUEST_SECOND - 300 : 0;
        r.in_cuts = fine;
        assert_int_equal(disk_call(d, &r), VIRTIO_BLK_S_OK);
        r.in_cuts = many;
        assert_int_equal(disk_call(d, &r), VIRTIO_BLK_S_IOERR);
        w.out_cuts = many_out;
        assert_int_equal(disk_call(d, &w), VIRTIO_BLK_S_IOERR);
        w.out_cuts = fine_out;
        assert_int_equal(disk_call(d, &w), VIRTIO_BLK_S_OK);
        w.out_cuts = both;
        assert_int_equal(disk_call(d, &w), VIRTIO_BLK_S_IOERR);
        w.out_cuts = cut_head; /* the header's pieces are none of the data's */
        if (!w.joined)         /* neighbours in memory are told apart no more */
            assert_int_equal(disk_call(d, &w), VIRTIO_BLK_S_OK);
        disk_free(d);
    }
}

static void seg_max_holds_in_tables(void **state)
{
    struct piece p[7] = {{GUEST_DATA, 16, false}};
    struct virtio_blk_req_head *head;

    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        struct disk *d = disk_new("'seg_max': 4, " MEMORY, packed);

        head = guest_at(d->guest, GUEST_DATA);
        *head = (struct virtio_blk_req_head){0};
        for (unsigned segs = 4; segs <= 5; segs++) {
            uint8_t *status = guest_at(d->guest, GUEST_DATA + 64);

            *status = 0xaa;
            for (unsigned i = 1; i <= segs; i++)
                p[i] = (struct piece){GUEST_DATA + i * 1024, 512, true};
            p[segs + 1] = (struct piece){GUEST_DATA + 64, 1, true};
            guest_offer_table(d->guest, 0, GUEST_DATA + 8192, p, segs + 2);
            disk_settle(d);
            guest_expect(d->guest, 0, segs * 512 + 1);
            assert_int_equal(*status,
                             segs == 4 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
        }
        disk_free(d);
    }
}

static void counters_tell_what_was_done(void **state)
{
    struct disk *d = disk_new(MEMORY, false);
    const struct block_stats *s = block_stats(d->device, 0);
    const struct virtio_blk_range one = blk_range(0, 1, 0);

    (void)state;
    disk_write(d, 0, data, 4096);
    disk_write(d, 0, data, 512);
    disk_read(d, 0, back, 8192);
    disk_flush(d);
    disk_ranges(d, VIRTIO_BLK_T_DISCARD, &one, sizeof(one));
    disk_ranges(d, VIRTIO_BLK_T_WRITE_ZEROES, &one, sizeof(one));
    disk_read(d, SECTORS, back, 512);
    disk_call(d, &(struct disk_call){.type = 99});
    assert_int_equal(s->requests[BLOCK_STAT_WRITE], 2);
    assert_int_equal(s->requests[BLOCK_STAT_READ], 2);
    assert_int_equal(s->requests[BLOCK_STAT_FLUSH], 1);
    assert_int_equal(s->requests[BLOCK_STAT_DISCARD], 1);
    assert_int_equal(s->requests[BLOCK_STAT_ZERO], 1);
    assert_int_equal(s->requests[BLOCK_STAT_OTHER], 1);
    assert_int_equal(s->bytes_written, 4608);
    assert_int_equal(s->bytes_read, 8192);
    assert_int_equal(s->errors, 2);
    disk_free(d);
}

/* A turn is bounded, so that a busy guest does not keep the loop. */
static void a_turn_ends_and_goes_on_later(void **state)
{
    struct disk *d = disk_new("'store': {'type': 'null', 'size': '1G'}", false);
    struct ring *r = &d->guest->ring;
    struct virtio_blk_req_head *head = guest_at(d->guest, GUEST_DATA);
    unsigned turns = 1;

    (void)state;
    memset(head, 0, sizeof(*head));
    /* Three pieces each: 42 requests of 128 KiB, all to the same memory. */
    for (uint16_t i = 0; i < 42; i++) {
        const struct piece p[] = {{GUEST_DATA, 16, false},
                                  {GUEST_SECOND, 0x20000, true},
                                  {GUEST_DATA + 64, 1, true}};

        guest_offer(d->guest, (uint16_t)(3 * i), p, 3);
    }
    while (ring_has_work(r)) {
        d->device->ops->ring_kick(d->device, r);
        turns++;
    }
    ring_flush(r);
    assert_int_equal(turns, 3);
    assert_int_equal(block_stats(d->device, 0)->requests[BLOCK_STAT_READ], 42);
    disk_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_usual_layout, setup),
        cmocka_unit_test_setup(any_layout, setup),
        cmocka_unit_test_setup(any_layout_with_direct_io, setup),
        cmocka_unit_test_setup(a_request_without_status_is_given_back_undone,
                               setup),
        cmocka_unit_test_setup(a_header_that_is_too_short_is_an_error, setup),
        cmocka_unit_test_setup(unknown_types_are_unsupported, setup),
        cmocka_unit_test_setup(sectors_outside_the_disk_are_errors, setup),
        cmocka_unit_test_setup(parts_of_logical_blocks_are_errors, setup),
        cmocka_unit_test_setup(errors_of_the_store_reach_the_guest, setup),
        cmocka_unit_test_setup(the_serial_fills_its_20_bytes_or_what_there_is,
                               setup),
        cmocka_unit_test_setup(a_read_only_disk_refuses_all_that_writes, setup),
        cmocka_unit_test_setup(a_flush_is_one_whatever_comes_along, setup),
        cmocka_unit_test_setup(what_the_file_cannot_is_unsupported, setup),
        cmocka_unit_test_setup(seg_max_is_the_limit, setup),
        cmocka_unit_test_setup(seg_max_holds_in_tables, setup),
        cmocka_unit_test_setup(counters_tell_what_was_done, setup),
        cmocka_unit_test_setup(a_turn_ends_and_goes_on_later, setup),
    };

    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
