/* The block device, request by request, on every store and engine. */
#include "stores.h"

/* ---- Data ---- */

/* Reads, writes and zeroing at random, against a copy that we keep. */
static void against_a_copy(struct disk *d)
{
    uint8_t *copy = front_calloc(1, DISK_BYTES), *got = malloc(1 << 20);
    uint32_t x = 12345, blocks = DISK_BYTES / d->block_size;

    for (unsigned i = 0; i < 250; i++) {
        uint32_t at, num, len;
        struct vq *q = d->f->vq[i % 2];

        x = x * 1664525 + 1013904223;
        at = x >> 8 & 0xffffff;
        at %= blocks;
        x = x * 1664525 + 1013904223;
        num = 1 + (x >> 8 & 0xffffff) % (i % 10 ? 16 : 256);
        if (num > blocks - at)
            num = blocks - at;
        len = num * d->block_size;
        at *= d->block_size;
        if (i % 3 == 0) {
            front_fill(copy + at, len, i);
            blk_write(q, at / 512, copy + at, len);
        } else if (i % 10 == 7) {
            struct blk_range r = {at / 512, len / 512, i & 1};

            memset(copy + at, 0, len);
            assert_int_equal(blk_ranges(q, VIRTIO_BLK_T_WRITE_ZEROES, &r, 1),
                             VIRTIO_BLK_S_OK);
        } else {
            blk_read(q, at / 512, got, len);
            assert_memory_equal(got, copy + at, len);
        }
        if (i % 50 == 0)
            blk_flush(q);
    }
    for (uint32_t at = 0; at < DISK_BYTES; at += 1 << 20) {
        blk_read(d->q, at / 512, got, 1 << 20);
        assert_memory_equal(got, copy + at, 1 << 20);
    }
    /* The image says the same to whoever looks later. */
    if (d->img) {
        int fd = open(d->img, O_RDONLY | O_CLOEXEC);

        blk_flush(d->q);
        for (uint32_t at = 0; at < DISK_BYTES; at += 1 << 20) {
            assert_int_equal(pread(fd, got, 1 << 20, at), 1 << 20);
            assert_memory_equal(got, copy + at, 1 << 20);
        }
        close(fd);
    }
    free(copy);
    free(got);
}

static void what_is_read_is_what_was_written(void **state)
{
    (void)state;
    on_all_stores(against_a_copy, "'worker': 'w', ");
}

/* Both queues full, on two threads. */
static void many_at_once(struct disk *d)
{
    enum { DEPTH = 24, ROUNDS = 12 };
    struct blk_req *r[2][DEPTH];
    uint8_t want[4096];

    for (unsigned k = 0; k < 2; k++)
        for (unsigned i = 0; i < DEPTH; i++)
            r[k][i] = blk_new(d->f, 4096);
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned write = 2; write-- > 0;) {
            for (unsigned i = 0; i < DEPTH; i++)
                for (unsigned k = 0; k < 2; k++) {
                    uint64_t sector = (k * DEPTH + i) * 8;

                    if (write)
                        front_fill(r[k][i]->data, 4096, round * 100 + sector);
                    else
                        memset(r[k][i]->data, 0, 4096);
                    blk_go(d->f->vq[k], r[k][i],
                           write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, sector,
                           4096);
                }
            for (unsigned i = 0; i < DEPTH; i++)
                for (unsigned k = 0; k < 2; k++)
                    assert_int_equal(blk_wait(d->f->vq[k], r[k][i]),
                                     VIRTIO_BLK_S_OK);
            for (unsigned i = 0; i < DEPTH && !write; i++)
                for (unsigned k = 0; k < 2; k++) {
                    front_fill(want, 4096, round * 100 + (k * DEPTH + i) * 8);
                    assert_memory_equal(r[k][i]->data, want, 4096);
                }
        }
}

static void two_full_queues_do_not_mix(void **state)
{
    (void)state;
    on_all_stores(many_at_once, "'worker': 'w', ");
}

/* ---- Framing ---- */

/* Items 11, 39 and the layouts that others do not take: the head, the data,
 * the ranges and the status byte cut anywhere. All with guard bytes. */
static const uint32_t cuts[][20] = {
    {0},
    {8, 8, 0},
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0},
    {15, 1, 0},
    {16, 0},
    {16, 1, 0},
    {17, 0},
    {16, 511, 2, 0},
    {1, 0},
    {512, 0},
    {513, 0},
    {3, 100, 5, 7, 300, 0},
    {528, 0},
};

static uint32_t fits(const uint32_t *c, uint32_t len)
{
    uint32_t sum = 0;

    while (*c)
        sum += *c++;
    return sum <= len;
}

static void any_cut(struct disk *d)
{
    uint32_t len = d->block_size < 4096 ? 2048 : d->block_size;
    uint8_t *want = front_calloc(2, len), *got = want + len;
    char id[VIRTIO_BLK_ID_BYTES];
    struct virtio_blk_range z[2] = {{htole64(64), htole32(8), 0},
                                    {htole64(128), htole32(8), 0}};

    for (unsigned o = 0; o < ARRAY_LEN(cuts); o++)
        for (unsigned i = 0; i < ARRAY_LEN(cuts); i++) {
            front_fill(want, len, o * 100 + i);
            assert_int_equal(blk_cut(d->q, VIRTIO_BLK_T_OUT, 8, want, len, NULL,
                                     0, cuts[o], NULL),
                             VIRTIO_BLK_S_OK);
            if (fits(cuts[o], 16))
                assert_int_equal(blk_cut(d->q, VIRTIO_BLK_T_IN, 8, NULL, 0, got,
                                         len, cuts[o], cuts[i]),
                                 VIRTIO_BLK_S_OK);
            else
                assert_int_equal(blk_cut(d->q, VIRTIO_BLK_T_IN, 8, NULL, 0, got,
                                         len, NULL, cuts[i]),
                                 VIRTIO_BLK_S_OK);
            assert_memory_equal(got, want, len);
            if (fits(cuts[o], 16) && fits(cuts[i], 1)) {
                assert_int_equal(blk_cut(d->q, VIRTIO_BLK_T_FLUSH, 0, NULL, 0,
                                         NULL, 0, cuts[o], cuts[i]),
                                 VIRTIO_BLK_S_OK);
            }
            if (fits(cuts[o], 16) && fits(cuts[i], sizeof(id))) {
                assert_int_equal(blk_cut(d->q, VIRTIO_BLK_T_GET_ID, 0, NULL, 0,
                                         id, sizeof(id), cuts[o], cuts[i]),
                                 VIRTIO_BLK_S_OK);
                assert_memory_equal(
                    id, "d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
            }
            if (fits(cuts[o], 16 + sizeof(z))) {
                assert_int_equal(blk_cut(d->q, VIRTIO_BLK_T_WRITE_ZEROES, 0, z,
                                         sizeof(z), NULL, 0, cuts[o], NULL),
                                 VIRTIO_BLK_S_OK);
                assert_int_equal(blk_cut(d->q, VIRTIO_BLK_T_DISCARD, 0, z,
                                         sizeof(z), NULL, 0, cuts[o], NULL),
                                 VIRTIO_BLK_S_OK);
            }
        }
    free(want);
}

static void a_request_may_be_cut_anywhere(void **state)
{
    (void)state;
    on_all_stores(any_cut, "'worker': 'w', ");
}

/* Direct I/O wants aligned memory; a guest need not have it. */
static void odd_addresses(struct disk *d)
{
    for (uint64_t off = 0; off < 520; off += off < 16 ? 1 : 63) {
        struct blk_req *r = blk_new(d->f, 16384);
        uint8_t *want = front_calloc(1, 8192);

        r->data_gpa += off;
        r->data += off;
        front_fill(want, 8192, off);
        memcpy(r->data, want, 8192);
        blk_go(d->q, r, VIRTIO_BLK_T_OUT, 16, 8192);
        assert_int_equal(blk_wait(d->q, r), VIRTIO_BLK_S_OK);
        memset(r->data - off, 0x77, 16384);
        blk_go(d->q, r, VIRTIO_BLK_T_IN, 16, 8192);
        assert_int_equal(blk_wait(d->q, r), VIRTIO_BLK_S_OK);
        assert_memory_equal(r->data, want, 8192);
        for (uint64_t i = 0; i < off; i++)
            assert_int_equal(r->data[-1 - (int64_t)i], 0x77);
        for (unsigned i = 0; i < 512; i++)
            assert_int_equal(r->data[8192 + i], 0x77);
        r->data_gpa -= off;
        r->data -= off;
        blk_free(r);
        free(want);
    }
}

static void memory_may_lie_at_odd_addresses(void **state)
{
    (void)state;
    on_all_stores(odd_addresses, "'worker': 'w', ");
}

/* SEG_MAX is true: so many pieces of data, and not just in theory. */
static void seg_max_pieces(struct disk *d)
{
    uint32_t cut[600], seg_max;
    uint8_t *want = front_calloc(2, 512 * 512), *got = want + 512 * 512;

    front_config(d->f, offsetof(struct virtio_blk_config, seg_max), &seg_max,
                 4);
    assert_in_range(seg_max, 2, 256);
    if (!d->q->indirect) {
        free(want);
        return; /* 128 descriptors are too few: by tables only */
    }
    for (unsigned i = 0; i < seg_max - 1; i++)
        cut[i] = 512;
    cut[seg_max - 1] = 0;
    front_fill(want, seg_max * 512, 9);
    /* Behind a head of its own, hence one more in front. */
    memmove(cut + 1, cut, seg_max * sizeof(cut[0]));
    cut[0] = 16;
    for (unsigned i = 0; i < 3; i++) {
        struct vring_desc *t;
        uint64_t table = front_alloc(d->f, (seg_max + 2) * 16, 16), data;
        struct blk_req *r = blk_new(d->f, 0);
        uint32_t type = i ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;
        uint32_t len = seg_max * 512 / d->block_size * d->block_size;

        t = front_calloc(seg_max + 2, sizeof(*t));
        r->head->type = htole32(type);
        r->head->sector = 0;
        t[0] = vq_table_entry(d->q, r->head_gpa, 16, false, true, 0);
        data = front_alloc(d->f, seg_max * 1024, 512);
        for (uint32_t k = 0; k < seg_max; k++) {
            uint32_t piece = k == seg_max - 1 ? len - k * 512 : 512;

            if (seg_max * 512 != len) /* whole blocks, in fewer bytes */
                piece = k == seg_max - 1 ? len - k * (len / seg_max)
                                         : len / seg_max;
            t[1 + k] = vq_table_entry(d->q, data + k * 1024, piece, i, true,
                                      (uint16_t)(1 + k));
            if (!i)
                memcpy(front_ptr(d->f, data + k * 1024),
                       want + (seg_max * 512 != len ? k * (len / seg_max)
                                                    : k * 512),
                       piece);
        }
        t[1 + seg_max] = vq_table_entry(d->q, r->status_gpa, 1, true, false, 0);
        front_poke(d->f, table, t, (seg_max + 2) * 16);
        *r->status = BLK_S_NONE;
        r->done = false;
        vq_add_table(d->q, table, (seg_max + 2) * 16, r);
        vq_kick(d->q);
        assert_int_equal(blk_wait(d->q, r), VIRTIO_BLK_S_OK);
        free(t);
        blk_read(d->q, 0, got, len);
        assert_memory_equal(got, want, len);
    }
    free(want);
}

static void seg_max_is_true(void **state)
{
    (void)state;
    on_all_stores(seg_max_pieces, "'worker': 'w', ");
}

/* And a limit, in rings that would hold more. */
static void more_pieces_than_seg_max_are_an_error(void **state)
{
    struct vub *v = vub_start(DISK("d", "'seg_max': 32, ", MEMORY));
    const struct front_conf confs[] = {
        {.size = 1024},
        {.size = 1024, .packed = true},
        {.size = 1024, .indirect = true},
        {.size = 1024, .indirect = true, .packed = true}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(confs); i++) {
        struct front *f = front_new(v, "d", &confs[i]);
        struct blk_req *r = blk_new(f, 0);
        uint32_t seg_max;
        struct vq_buf b[36];
        uint64_t data;

        front_config(f, offsetof(struct virtio_blk_config, seg_max), &seg_max,
                     4);
        assert_in_range(seg_max, 2, ARRAY_LEN(b) - 3);
        data = front_alloc(f, (seg_max + 1) * 1024, 512);
        for (unsigned n = seg_max; n <= seg_max + 1; n++) {
            b[0] = (struct vq_buf){r->head_gpa, sizeof(*r->head)};
            for (unsigned k = 1; k <= n; k++)
                b[k] = (struct vq_buf){data + k * 1024 - 1024, 512};
            b[n + 1] = (struct vq_buf){r->status_gpa, 1};
            r->head->type = htole32(VIRTIO_BLK_T_IN);
            r->head->sector = 0;
            *r->status = BLK_S_NONE;
            r->done = false;
            if (vq_add(f->vq[0], b, 1, n + 1, r) == VQ_NONE)
                front_fail("no room");
            vq_kick(f->vq[0]);
            assert_int_equal(blk_wait(f->vq[0], r), n > seg_max
                                                        ? VIRTIO_BLK_S_IOERR
                                                        : VIRTIO_BLK_S_OK);
        }
        front_free(f);
    }
    vub_free(v);
}

/* ---- Drains ---- */

/* The rings of a worker share what is behind them. */
static void a_drain_gives_up_requests_of_its_ring_only(void **state)
{
    struct vub *v = vub_start(
        DISK("d", "'queues': 2, 'worker': 'w', 'drain_timeout': 400, ",
             "{'type': 'fault', 'next': " MEMORY ", 'rules':"
             " [{'op': 'read', 'offset': '1M', 'stuck': true}]}"));
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    struct blk_req *r[2];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        r[i] = blk_new(f, 512);
        blk_go(f->vq[i], r[i], VIRTIO_BLK_T_IN, 2048, 512);
        blk_verify(f->vq[i], 0, 4096, i); /* by then it has been taken */
    }
    vq_stop(f->vq[0]);
    assert_int_equal(blk_wait(f->vq[0], r[0]), VIRTIO_BLK_S_IOERR);
    blk_verify(f->vq[1], 0, 4096, 2);
    assert_int_equal(*r[1]->status, BLK_S_NONE);
    vq_stop(f->vq[1]);
    assert_int_equal(blk_wait(f->vq[1], r[1]), VIRTIO_BLK_S_IOERR);
    front_free(f);
    vub_free(v);
}

BEHAVE_MAIN(T(what_is_read_is_what_was_written), T(two_full_queues_do_not_mix),
            T(a_request_may_be_cut_anywhere),
            T(memory_may_lie_at_odd_addresses), T(seg_max_is_true),
            T(more_pieces_than_seg_max_are_an_error),
            T(a_drain_gives_up_requests_of_its_ring_only))
