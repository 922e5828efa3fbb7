/* What a disk takes and what it refuses: ends, ranges, space that is given
 * back, read-only disks; and what its guest is told of that. */
#include "stores.h"

/* ---- Limits ---- */

/* Items 10 and 13: nothing beyond the end, whatever wraps on the way there. */
static void hold_the_end(struct disk *d)
{
    const uint32_t block = d->block_size, per = block / 512;
    const struct {
        uint64_t sector;
        uint32_t len;
    } bad[] = {
        {DISK_SECTORS, block},
        {DISK_SECTORS - per, 2 * block},
        {DISK_SECTORS + 1, block},
        {UINT64_MAX, block},
        {UINT64_MAX - 7, 8 * block},
        {UINT64_MAX / 512, block},
        {UINT64_MAX / 512 + 1, block}, /* times 512 this is 0 */
        {1ull << 55, block},
        {1ull << 63, block},
        {0, block + 1},
        {0, block - 1},
        {0, 1},
        {0, 511},
        {DISK_SECTORS - per, block + 511},
    };
    uint8_t *buf = front_calloc(1, 65536);

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(
            blk_do(d->q, VIRTIO_BLK_T_IN, bad[i].sector, buf, bad[i].len),
            VIRTIO_BLK_S_IOERR);
        assert_int_equal(
            blk_do(d->q, VIRTIO_BLK_T_OUT, bad[i].sector, buf, bad[i].len),
            VIRTIO_BLK_S_IOERR);
    }
    if (per > 1)
        assert_int_equal(blk_do(d->q, VIRTIO_BLK_T_IN, 1, buf, block),
                         VIRTIO_BLK_S_IOERR);
    if (d->img) {
        struct stat st;

        assert_int_equal(stat(d->img, &st), 0);
        assert_int_equal(st.st_size, DISK_BYTES);
    }
    blk_verify(d->q, DISK_SECTORS - per, block, 1); /* the last one is there */
    blk_verify(d->q, 0, block, 1);
    free(buf);
}

static void requests_beyond_the_end_fail(void **state)
{
    (void)state;
    on_all_stores(hold_the_end, "'worker': 'w', ");
}

/* cloud-hypervisor#7873, #7874; items 13 and 39. */
static void hold_range_limits(struct disk *d)
{
    const uint32_t per = d->block_size / 512;
    const struct {
        uint32_t type;
        uint8_t status;
        struct blk_range r;
    } cases[] = {
        {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_IOERR, {DISK_SECTORS, per, 0}},
        {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_IOERR, {per, DISK_SECTORS, 0}},
        {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_IOERR, {0, 0x800008, 0}},
        {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_IOERR, {0, 0xffffffff, 0}},
        {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_IOERR, {UINT64_MAX, per, 0}},
        {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_IOERR, {UINT64_MAX - 7, 8, 0}},
        {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_IOERR, {1ull << 55, per, 0}},
        {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_UNSUPP, {0, per, 1}},
        {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_UNSUPP, {0, per, 2}},
        {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_UNSUPP, {0, per, 1u << 31}},
        {VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_S_IOERR, {DISK_SECTORS, per, 0}},
        {VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_S_IOERR, {0, 0x800008, 0}},
        {VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_S_IOERR, {0, 0xffffffff, 0}},
        {VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_S_IOERR, {UINT64_MAX, per, 0}},
        {VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_S_UNSUPP, {0, per, 2}},
        {VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_S_UNSUPP, {0, per, 3}},
        {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_OK, {0, 0, 0}},
        {VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_S_OK, {DISK_SECTORS, 0, 1}},
        {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_S_OK, {DISK_SECTORS - per, per, 0}},
    };
    static const uint32_t lens[] = {0, 1, 8, 15, 17, 31, 33 * 16, 64 * 16};
    uint8_t *want = front_calloc(2, 65536), *got = want + 65536;
    struct blk_range many[32];

    front_fill(want, 65536, 4);
    blk_write(d->q, 0, want, 65536);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        if (cases[i].status == VIRTIO_BLK_S_OK)
            continue;
        assert_int_equal(blk_ranges(d->q, cases[i].type, &cases[i].r, 1),
                         cases[i].status);
        /* One bad one spoils all, the good ones before it too. */
        many[0] = (struct blk_range){0, per, 0};
        many[1] = cases[i].r;
        assert_int_equal(blk_ranges(d->q, cases[i].type, many, 2),
                         cases[i].status);
        many[1] = many[0];
        many[0] = cases[i].r;
        assert_int_equal(blk_ranges(d->q, cases[i].type, many, 2),
                         cases[i].status);
    }
    for (unsigned i = 0; i < ARRAY_LEN(lens); i++)
        for (unsigned k = 0; k < 2; k++)
            assert_int_equal(
                blk_do(d->q,
                       k ? VIRTIO_BLK_T_DISCARD : VIRTIO_BLK_T_WRITE_ZEROES, 0,
                       got + 1024, lens[i]),
                VIRTIO_BLK_S_IOERR);
    blk_read(d->q, 0, got, 65536);
    assert_memory_equal(got, want, 65536);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
        if (cases[i].status == VIRTIO_BLK_S_OK)
            assert_int_equal(blk_ranges(d->q, cases[i].type, &cases[i].r, 1),
                             VIRTIO_BLK_S_OK);

    /* As many segments as the config space says, each other block. */
    for (unsigned i = 0; i < 32; i++)
        many[i] = (struct blk_range){(2 * i + 1) * per, per, 0};
    for (uint32_t at = 0; at < 64 * d->block_size; at += 32768) {
        front_fill(want, 32768, at);
        blk_write(d->q, at / 512, want, 32768);
    }
    assert_int_equal(blk_ranges(d->q, VIRTIO_BLK_T_WRITE_ZEROES, many, 32),
                     VIRTIO_BLK_S_OK);
    for (uint32_t at = 0; at < 64 * d->block_size; at += 32768) {
        front_fill(want, 32768, at);
        for (uint32_t k = 0; k < 32768; k++)
            if ((at + k) / d->block_size % 2)
                want[k] = 0;
        blk_read(d->q, at / 512, got, 32768);
        assert_memory_equal(got, want, 32768);
    }
    assert_int_equal(vub_log_count(d->v, "is broken"), 0);
    free(want);
}

static void ranges_are_held_to_their_limits(void **state)
{
    (void)state;
    on_all_stores(hold_range_limits, "'worker': 'w', ");
}

/* ---- Space ---- */

static blkcnt_t blocks_of(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        front_fail("stat %s", path);
    return st.st_blocks;
}

static void give_back(struct disk *d)
{
    struct blk_range r = {0, 4096, 0}; /* 2 MiB */
    uint8_t *buf = front_calloc(1, 1 << 20), *zero = front_calloc(1, 1 << 20);
    blkcnt_t full, less;

    if (!d->img)
        goto out;
    front_fill(buf, 1 << 20, 1);
    for (unsigned i = 0; i < 4; i++)
        blk_write(d->q, i * 2048, buf, 1 << 20);
    blk_flush(d->q);
    full = blocks_of(d->img);
    assert_int_equal(blk_ranges(d->q, VIRTIO_BLK_T_DISCARD, &r, 1),
                     VIRTIO_BLK_S_OK);
    less = blocks_of(d->img);
    assert_true(less <= full - 4096 + 64);
    r.sector = 4096;
    r.num = 2048;
    r.flags = VIRTIO_BLK_RANGE_F_UNMAP;
    assert_int_equal(blk_ranges(d->q, VIRTIO_BLK_T_WRITE_ZEROES, &r, 1),
                     VIRTIO_BLK_S_OK);
    assert_true(blocks_of(d->img) <= less - 2048 + 64);
    blk_read(d->q, 4096, buf, 1 << 20);
    assert_memory_equal(buf, zero, 1 << 20);
    /* Without the flag the space stays taken. */
    less = blocks_of(d->img);
    r.sector = 6144;
    r.flags = 0;
    assert_int_equal(blk_ranges(d->q, VIRTIO_BLK_T_WRITE_ZEROES, &r, 1),
                     VIRTIO_BLK_S_OK);
    blk_flush(d->q);
    assert_true(blocks_of(d->img) + 64 >= less);
    blk_read(d->q, 6144, buf, 1 << 20);
    assert_memory_equal(buf, zero, 1 << 20);
out:
    free(buf);
    free(zero);
}

static void discarding_gives_space_back(void **state)
{
    (void)state;
    on_all_stores(give_back, "'worker': 'w', ");
}

/* ---- What the guest is told ---- */

static void the_serial_is_the_configs_or_the_id(void **state)
{
    struct vub *v =
        vub_start(DISK("short", "'serial': 'vub-root', ", MEMORY) "," DISK(
            "full", "'serial': '12345678901234567890', ",
            MEMORY) "," DISK("a-device-id-that-is-longer", "", MEMORY));
    static const char *const ids[] = {"short", "full",
                                      "a-device-id-that-is-longer"};
    static const char *const want[] = {"vub-root", "12345678901234567890",
                                       "a-device-id-that-is-"};
    char id[VIRTIO_BLK_ID_BYTES + 1];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct front *f = front_new(v, ids[i], NULL);

        blk_get_id(f->vq[0], id);
        assert_string_equal(id, want[i]);
        /* Into less and more room than 20 bytes: no byte too many. */
        for (uint32_t len = 0; len <= 40; len++) {
            char room[41];

            memset(room, 0x33, sizeof(room));
            blk_cut(f->vq[0], VIRTIO_BLK_T_GET_ID, 0, NULL, 0, room, len, NULL,
                    NULL);
            if (len <= 20)
                assert_memory_equal(room, id, len);
        }
        front_free(f);
    }
    vub_free(v);
}

static void unknown_requests_are_unsupported(void **state)
{
    static const uint32_t types[] = {2,  3,  5,  6,  7,        9,
                                     10, 12, 14, 15, 16,       18,
                                     20, 22, 24, 26, 1u << 31, 0xffffffff};
    struct vub *v = vub_start(DISK("d", "", MEMORY));
    struct front *f = front_new(v, "d", NULL);
    uint8_t buf[512] = {0};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        assert_int_equal(blk_do(f->vq[0], types[i], 0, buf, 512),
                         VIRTIO_BLK_S_UNSUPP);
        assert_int_equal(blk_do(f->vq[0], types[i], 0, buf, 0),
                         VIRTIO_BLK_S_UNSUPP);
    }
    blk_verify(f->vq[0], 0, 512, 1);
    front_free(f);
    vub_free(v);
}

static void the_config_space_is_true(void **state)
{
    struct vub *v = vub_start(
        "{'id': 'd', 'type': 'block', 'queues': 3, 'logical_block_size': 4096,"
        " 'physical_block_size': 16384, 'store': {'type': 'memory',"
        " 'size': '9M'}}," DISK("e", "'read_only': true, ", MEMORY));
    struct virtio_blk_config c;
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 3});
    uint8_t buf[4096];

    (void)state;
    front_config(f, 0, &c, sizeof(c));
    assert_int_equal(le64toh(c.capacity), 9 << 11);
    assert_int_equal(le32toh(c.blk_size), 4096);
    assert_int_equal(c.topology.physical_block_exp, 2);
    assert_int_equal(c.topology.alignment_offset, 0);
    assert_int_equal(le16toh(c.num_queues), 3);
    assert_true(le32toh(c.max_discard_sectors) > 0);
    assert_int_equal(le32toh(c.max_discard_seg), 32);
    assert_int_equal(le32toh(c.discard_sector_alignment) % 8, 0);
    assert_true(le32toh(c.max_write_zeroes_sectors) > 0);
    assert_int_equal(le32toh(c.max_write_zeroes_seg), 32);
    assert_int_equal(c.write_zeroes_may_unmap, 1);
    for (uint64_t s = 1; s < 8; s++)
        assert_int_equal(blk_do(f->vq[0], VIRTIO_BLK_T_IN, s, buf, 4096),
                         VIRTIO_BLK_S_IOERR);
    assert_int_equal(blk_do(f->vq[0], VIRTIO_BLK_T_OUT, 0, buf, 512),
                     VIRTIO_BLK_S_IOERR);
    blk_verify(f->vq[2], 8, 4096, 1);
    front_free(f);
    f = front_new(v, "e", NULL);
    front_config(f, 0, &c, sizeof(c));
    assert_int_equal(c.max_discard_sectors, 0);
    assert_int_equal(c.max_write_zeroes_sectors, 0);
    front_free(f);
    vub_free(v);
}

/* ---- Read-only ---- */

/* Items 9, 32, 38: every kind of writing. */
static void refuse_writing(struct disk *d)
{
    struct blk_range r = {0, d->block_size / 512, 0};
    uint8_t *buf = front_calloc(2, 65536), *got = buf + 65536;
    char path[64], line[256];
    bool opened_for_writing = false;

    front_fill(buf, 65536, 1);
    blk_read(d->q, 0, got, 65536);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(blk_do(d->q, VIRTIO_BLK_T_OUT, 0, buf, 65536),
                         VIRTIO_BLK_S_IOERR);
        r.flags = 0;
        assert_int_not_equal(blk_ranges(d->q, VIRTIO_BLK_T_DISCARD, &r, 1),
                             VIRTIO_BLK_S_OK);
        r.flags = round;
        assert_int_not_equal(blk_ranges(d->q, VIRTIO_BLK_T_WRITE_ZEROES, &r, 1),
                             VIRTIO_BLK_S_OK);
        assert_int_equal(blk_do(d->q, VIRTIO_BLK_T_FLUSH, 0, NULL, 0),
                         VIRTIO_BLK_S_OK);
        memset(buf, 0, 65536);
        blk_read(d->q, 0, got, 65536);
        assert_memory_equal(got, buf, 65536);
        front_fill(buf, 65536, 1);
    }
    for (int fd = 0; d->img && fd < 200; fd++) {
        ssize_t n;
        FILE *info;

        snprintf(path, sizeof(path), "/proc/%d/fd/%d", d->v->pid, fd);
        n = readlink(path, line, sizeof(line) - 1);
        if (n < 0)
            continue;
        line[n] = 0;
        if (strcmp(line, d->img) != 0)
            continue;
        snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", d->v->pid, fd);
        info = fopen(path, "re");
        while (info && fgets(line, sizeof(line), info)) {
            unsigned flags;

            if (sscanf(line, "flags: %o", &flags) == 1)
                opened_for_writing |= (flags & O_ACCMODE) != O_RDONLY;
        }
        if (info)
            fclose(info);
    }
    assert_false(opened_for_writing);
    free(buf);
}

static void a_read_only_disk_refuses_all_that_writes(void **state)
{
    (void)state;
    on_all_stores(refuse_writing, "'worker': 'w', 'read_only': true, ");
}

BEHAVE_MAIN(T(requests_beyond_the_end_fail), T(ranges_are_held_to_their_limits),
            T(discarding_gives_space_back),
            T(the_serial_is_the_configs_or_the_id),
            T(unknown_requests_are_unsupported), T(the_config_space_is_true),
            T(a_read_only_disk_refuses_all_that_writes))
