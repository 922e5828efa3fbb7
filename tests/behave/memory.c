/* Guest memory: what is refused, what may change under load, and what happens
 * when it is taken away. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "behave.h"

#define MiB (1u << 20)
#define HINT "-object memory-backend-memfd"

static int64_t send_table(struct front *f, const struct wire_region *r,
                          uint32_t num, const int *fds, unsigned num_fds)
{
    struct wire_table t = {.num = num};

    memcpy(t.regions, r, sizeof(*r) * (num < 8 ? num : 8));
    return front_ack(f, WIRE_SET_MEM_TABLE, &t,
                     (uint32_t)(8 + sizeof(*r) * (num < 8 ? num : 8)), fds,
                     num_fds);
}

/* ---- What is refused ---- */

/* Each with a sound region before it. The old table stays in use. */
static void regions_that_cannot_be_are_refused(void **state)
{
    const uint64_t base = 1ull << 40, len = MiB;
    const struct wire_region good = {base, len, base, 0};
    const struct {
        const char *what;
        struct wire_region r;
    } bad[] = {
        {"same guest address", {base, len, base + len, 0}},
        {"guest addresses overlap at the end",
         {base + len - 4096, len, base + 2 * len, 0}},
        {"guest addresses overlap at the start",
         {base - len + 4096, len, base + 2 * len, 0}},
        {"one inside the other", {base + 4096, 4096, base + 2 * len, 0}},
        {"user addresses overlap", {base + 2 * len, len, base + 4096, 0}},
        {"guest address wraps", {UINT64_MAX - 4095, len, base + len, 0}},
        {"user address wraps", {base + len, len, UINT64_MAX - 4095, 0}},
        {"offset wraps", {base + len, len, base + len, UINT64_MAX - 4095}},
        {"offset and length wrap", {base + len, len, base + len, 1ull << 63}},
        {"beyond the end of the file", {base + len, len, base + len, 4096}},
        {"longer than the file", {base + len, len + 1, base + len, 0}},
        {"as long as can be", {base + len, UINT64_MAX, base + len, 0}},
        {"empty", {base + len, 0, base + len, 0}},
    };
    struct vub *v = two_disks();
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    int before = front_fds(f, v), maps = vub_maps(v, "memfd"), fd[2];

    (void)state;
    fd[0] = front_memfd(len);
    fd[1] = front_memfd(len);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct wire_region both[2] = {good, bad[i].r};
        struct wire_one_region one = {0, bad[i].r};
        struct wire_one_region first = {0, good};

        if (send_table(f, both, 2, fd, 2) <= 0)
            front_fail("SET_MEM_TABLE: %s", bad[i].what);
        front_ok(f, WIRE_ADD_MEM_REG, &first, sizeof(first), &fd[0], 1);
        if (front_ack(f, WIRE_ADD_MEM_REG, &one, sizeof(one), &fd[1], 1) <= 0)
            front_fail("ADD_MEM_REG: %s", bad[i].what);
        front_ok(f, WIRE_REM_MEM_REG, &first, sizeof(first), NULL, 0);
        blk_verify(f->vq[i % 2], i * 8, 4096, i);
    }
    close(fd[0]);
    close(fd[1]);
    assert_int_equal(front_fds(f, v), before);
    assert_int_equal(vub_maps(v, "memfd"), maps);
    front_free(f);
    vub_free(v);
}

/* Item 3: the count is the front-end's word only. */
static void the_number_of_regions_must_fit_the_message(void **state)
{
    static const uint32_t counts[] = {2, 7, 9, 255, 0x10000000, 0xffffffff};
    struct vub *v = two_disks();
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    struct wire_table t = {.regions = {front_region_wire(f, 0)}};
    int before = front_fds(f, v), fds[9];

    (void)state;
    for (int i = 0; i < 9; i++)
        fds[i] = f->region[0].fd;
    for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
        t.num = counts[i];
        assert_true(front_ack(f, WIRE_SET_MEM_TABLE, &t, 8 + 32, fds, 1) > 0);
        assert_true(front_ack(f, WIRE_SET_MEM_TABLE, &t, 8 + 32, fds, 2) > 0);
    }
    t.num = 1;
    assert_true(front_ack(f, WIRE_SET_MEM_TABLE, &t, 8 + 32, fds, 2) > 0);
    assert_true(front_ack(f, WIRE_SET_MEM_TABLE, &t, 8 + 33, fds, 1) > 0);
    blk_verify(f->vq[0], 0, 4096, 1);
    assert_int_equal(front_fds(f, v), before);
    front_free(f);
    vub_free(v);
}

static void an_fd_that_cannot_be_mapped_is_refused(void **state)
{
    struct vub *v = two_disks();
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    struct wire_region r = {1ull << 40, MiB, 1ull << 40, 0};
    struct wire_one_region one = {0, r};
    int before = front_fds(f, v), fds[5], pair[2];
    char path[64];

    (void)state;
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    fds[0] = pair[0];
    fds[1] = pair[1];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                     0);
    fds[2] = pair[0];
    close(pair[1]);
    fds[3] = open("/", O_RDONLY | O_CLOEXEC);
    /* Guest memory that may only be read is none. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", f->region[0].fd);
    fds[4] = open(path, O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 5; i++) {
        assert_true(
            front_ack(f, WIRE_ADD_MEM_REG, &one, sizeof(one), &fds[i], 1) > 0);
        assert_true(send_table(f, &r, 1, &fds[i], 1) > 0);
    }
    blk_verify(f->vq[0], 0, 4096, 1);
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    assert_int_equal(front_fds(f, v), before);
    front_free(f);
    vub_free(v);
}

/* A page of any other file may never come, and the worker would wait for it. */
static void memory_in_a_file_on_disk_must_be_allowed(void **state)
{
    struct vub *v = vub_new_in("/var/tmp");
    struct wire_region r = {1 << 30, MiB, 1ull << 40, 0};
    struct wire_one_region one = {0, r};
    const uint64_t range[] = {1 << 16, 0};
    struct front *f;
    int fd;

    (void)state;
    fd = open(vub_path(v, "memory"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, MiB), 0);
    if (fcntl(fd, F_GET_SEALS) >= 0) {
        print_message("/var/tmp is no disk here\n");
        close(fd);
        vub_free(v);
        skip();
    }
    for (unsigned any = 0; any < 2; any++) {
        vub_config(v,
                   DISK("d", "'any_memory': %s, 'queues': 2, ",
                        MEMORY) "," DISK("e", "", MEMORY),
                   any ? "true" : "false");
        vub_run(v);
        f = front_new(v, "d", &(struct front_conf){.queues = 2});
        assert_int_equal(
            front_ack(f, WIRE_ADD_MEM_REG, &one, sizeof(one), &fd, 1) == 0,
            any);
        assert_int_equal(
            front_ack(f, WIRE_SET_LOG_BASE, range, sizeof(range), &fd, 1) == 0,
            any);
        blk_verify(f->vq[0], 0, 4096, 1);
        assert_int_equal(vub_log_count(v, "\"any_memory\": true"), 2);
        front_free(f);
        vub_stop(v);
    }
    close(fd);
    vub_free(v);
}

static void what_is_removed_must_be_there(void **state)
{
    struct vub *v = two_disks();
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    struct wire_one_region one = {0, front_region_wire(f, 0)};

    (void)state;
    one.region.gpa += 4096;
    assert_true(front_ack(f, WIRE_REM_MEM_REG, &one, sizeof(one), NULL, 0) > 0);
    one.region.gpa -= 4096;
    one.region.len -= 4096;
    assert_true(front_ack(f, WIRE_REM_MEM_REG, &one, sizeof(one), NULL, 0) > 0);
    one.region.len += 4096;
    one.region.uva += 4096;
    assert_true(front_ack(f, WIRE_REM_MEM_REG, &one, sizeof(one), NULL, 0) > 0);
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    vub_free(v);
}

/* ---- The forgotten option ---- */

static void memory_without_fds_names_the_forgotten_option(void **state)
{
    struct vub *v = two_disks();
    struct front *f = front_connect(v, "d");
    struct wire_region r = {0, MiB, 0, 0};
    struct wire_one_region one = {0, r};
    struct wire_table t = {1, 0, {r}};

    (void)state;
    front_negotiate(f, &(struct front_conf){0});
    assert_true(send_table(f, &r, 1, NULL, 0) > 0);
    assert_non_null(strstr(vub_log_wait(v, HINT), "share=on"));
    vub_log_mark(v);
    assert_true(front_ack(f, WIRE_ADD_MEM_REG, &one, sizeof(one), NULL, 0) > 0);
    assert_non_null(strstr(vub_log_wait(v, HINT), "share=on"));
    vub_log_mark(v);
    front_send(f, WIRE_SET_MEM_TABLE, 0, &t, 8 + 32, NULL, 0);
    front_need_hangup(f);
    assert_non_null(strstr(vub_log_wait(v, HINT), "share=on"));
    front_free(f);
    vub_free(v);
}

static void a_ring_outside_memory_names_it_too(void **state)
{
    struct vub *v = two_disks();

    (void)state;
    for (int part = 0; part < 3; part++)
        for (int packed = 0; packed < 2; packed++) {
            struct front_conf c = {
                .queues = 2, .rings_stopped = true, .packed = packed};
            struct front *f = front_new(v, "d", &c);
            struct vq *q = f->vq[0];
            /* The last byte of one part is one too far. */
            uint64_t end = FRONT_UVA + f->region[0].len;
            struct wire_addr a = {
                .desc = front_uva(f, q->desc_gpa),
                .avail = front_uva(f, q->avail_gpa),
                .used = front_uva(f, q->used_gpa),
            };

            vub_log_mark(v);
            vq_tell(q);
            vq_stop(q);
            if (part == 0)
                a.desc = end - 16 * 127;
            else if (part == 1)
                a.avail = packed ? end : end - (4 + 2 * 128 - 2);
            else
                a.used = packed ? end : end - (4 + 8 * 128 - 4);
            front_ok(f, WIRE_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
            vq_tell_fd(q, WIRE_SET_VRING_KICK, q->kick_fd);
            vq_enable(q, true);
            vq_need_err(q);
            assert_non_null(strstr(vub_log_wait(v, HINT), "share=on"));
            assert_int_equal(vub_log_count(v, "is broken"), 1);
            vq_start(f->vq[1]);
            blk_verify(f->vq[1], 0, 4096, 1);
            front_free(f);
        }
    vub_free(v);
}

static void a_buffer_outside_memory_names_it_too(void **state)
{
    struct vub *v = two_disks();

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(ring_modes); i++) {
        struct front *f = front_new(v, "d", &ring_modes[i]);
        struct blk_req *r = blk_new(f, 4096);

        vub_log_mark(v);
        r->data_gpa = f->region[0].len - 4095;
        blk_go(f->vq[0], r, VIRTIO_BLK_T_OUT, 0, 4096);
        vq_need_err(f->vq[0]);
        assert_non_null(strstr(vub_log_wait(v, "is broken"), HINT));
        assert_int_equal(vub_log_count(v, "is broken"), 1);
        blk_verify(f->vq[1], 0, 4096, i);
        front_free(f);
    }
    vub_free(v);
}

static void rings_must_be_aligned(void **state)
{
    struct vub *v = two_disks();

    (void)state;
    for (int part = 0; part < 3; part++) {
        struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
        struct vq *q = f->vq[0];
        struct wire_addr a = {
            .desc = front_uva(f, q->desc_gpa) + (part == 0 ? 8 : 0),
            .avail = front_uva(f, q->avail_gpa) + (part == 1 ? 1 : 0),
            .used = front_uva(f, q->used_gpa) + (part == 2 ? 2 : 0),
        };

        vq_stop(q);
        front_ok(f, WIRE_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
        vq_tell_fd(q, WIRE_SET_VRING_KICK, q->kick_fd);
        vq_need_err(q);
        vub_log_wait(v, "not aligned");
        blk_verify(f->vq[1], 0, 4096, 1);
        front_free(f);
    }
    vub_free(v);
}

/* ---- Many regions, and their borders ---- */

static void there_may_be_509_regions(void **state)
{
    struct vub *v = two_disks();
    struct front *f = front_connect(v, "d");
    struct wire_one_region extra;
    uint8_t *buf = front_calloc(1, 509 * 4096), *back;
    struct vq_buf b[128];
    struct blk_req *r;
    uint32_t n = 0;

    (void)state;
    back = front_calloc(1, 509 * 4096);
    front_negotiate(f, &(struct front_conf){.indirect = true});
    front_region_add(f, 0, 16 * MiB);
    for (uint64_t i = 1; i < 509; i++) /* neighbours, in steps of one page */
        front_region_add(f, 16 * MiB + (i - 1) * 4096, 4096);
    front_share(f);
    front_start_rings(f);

    front_region_add(f, 1ull << 40, 4096);
    extra = (struct wire_one_region){0, front_region_wire(f, 509)};
    assert_true(front_ack(f, WIRE_ADD_MEM_REG, &extra, sizeof(extra),
                          &f->region[509].fd, 1) > 0);

    /* One descriptor over 300 regions, written and read back shifted. */
    front_fill(buf, 300 * 4096, 5);
    for (int i = 0; i < 300; i++)
        memcpy(front_ptr(f, 16 * MiB + (uint64_t)i * 4096), buf + i * 4096,
               4096);
    r = blk_new(f, 0);
    r->head->type = htole32(VIRTIO_BLK_T_OUT);
    r->head->sector = 0;
    b[n++] = (struct vq_buf){r->head_gpa, 16};
    b[n++] = (struct vq_buf){16 * MiB, 300 * 4096};
    b[n++] = (struct vq_buf){r->status_gpa, 1};
    *r->status = BLK_S_NONE;
    vq_add(f->vq[0], b, 2, 1, r);
    vq_kick(f->vq[0]);
    assert_int_equal(blk_wait(f->vq[0], r), VIRTIO_BLK_S_OK);

    r->head->type = htole32(VIRTIO_BLK_T_IN);
    b[1] = (struct vq_buf){16 * MiB + 100, 300 * 4096};
    r->done = false;
    vq_add(f->vq[0], b, 1, 2, r);
    vq_kick(f->vq[0]);
    assert_int_equal(blk_wait(f->vq[0], r), VIRTIO_BLK_S_OK);
    for (uint32_t i = 0; i < 300 * 4096; i++)
        back[i] = *(uint8_t *)front_ptr(f, 16 * MiB + 100 + i);
    assert_memory_equal(buf, back, 300 * 4096);

    for (unsigned i = 1; i < 509; i += 2)
        front_region_untell(f, i);
    for (unsigned i = 1; i < 509; i += 2)
        front_region_tell(f, i);
    blk_verify(f->vq[0], 0, 65536, 7);
    front_free(f);
    free(buf);
    free(back);
    vub_free(v);
}

/* A region of 32 MiB, and another one right behind it. */
#define BORDER (32ull * MiB)

static struct front *with_a_border(struct vub *v, const struct front_conf *c)
{
    struct front *f = front_connect(v, "d");

    front_negotiate(f, c);
    front_region_add(f, 0, BORDER);
    front_region_add(f, BORDER, 16 * MiB);
    front_share(f);
    front_start_rings(f);
    return f;
}

static void heads_and_data_may_cross_regions(void **state)
{
    const uint64_t mid = BORDER / 2; /* no border here */
    struct virtio_blk_req_head head = {htole32(VIRTIO_BLK_T_IN), 0, 0};
    struct vub *v = two_disks();
    uint8_t want[4096], got[4096];

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front *f = with_a_border(v, &ring_modes[mode]);
        struct blk_req *r = blk_new(f, 0);
        struct vq *q = f->vq[0];

        front_fill(want, sizeof(want), mode);
        blk_write(q, 0, want, sizeof(want));
        for (uint64_t back = 0; back <= 17; back++)
            for (int which = 0; which < 2; which++) {
                struct vq_buf b[3] = {{which ? mid : BORDER - back, 16},
                                      {which ? BORDER - back * 255 : mid, 4096},
                                      {r->status_gpa, 1}};

                memset(got, 0, sizeof(got));
                front_poke(f, b[1].gpa, got, sizeof(got));
                front_poke(f, b[0].gpa, &head, sizeof(head));
                *r->status = BLK_S_NONE;
                r->done = false;
                vq_add(q, b, 1, 2, r);
                vq_kick(q);
                assert_int_equal(blk_wait(q, r), VIRTIO_BLK_S_OK);
                front_peek(f, b[1].gpa, got, sizeof(got));
                assert_memory_equal(got, want, sizeof(got));
            }
        front_free(f);
    }
    vub_free(v);
}

/* Item 1 of what others got wrong: a stack overflow by an indirect table in
 * two regions. Every byte of it may be the last one of the first region. */
static void indirect_tables_may_cross_regions(void **state)
{
    struct vub *v = two_disks();
    uint8_t want[4096];

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front *f;
        struct blk_req *r;
        struct vq *q;

        if (!ring_modes[mode].indirect)
            continue;
        f = with_a_border(v, &ring_modes[mode]);
        q = f->vq[0];
        r = blk_new(f, 4096);
        front_fill(want, sizeof(want), mode);
        blk_write(q, 0, want, sizeof(want));
        r->head->type = htole32(VIRTIO_BLK_T_IN);
        r->head->sector = 0;
        for (uint64_t back = 0; back <= 48; back++) {
            struct vring_desc t[3] = {
                vq_table_entry(q, r->head_gpa, 16, false, true, 0),
                vq_table_entry(q, r->data_gpa, 4096, true, true, 1),
                vq_table_entry(q, r->status_gpa, 1, true, false, 2),
            };

            front_poke(f, BORDER - back, t, sizeof(t));
            memset(r->data, 0, 4096);
            *r->status = BLK_S_NONE;
            r->done = false;
            vq_add_table(q, BORDER - back, sizeof(t), r);
            vq_kick(q);
            assert_int_equal(blk_wait(q, r), VIRTIO_BLK_S_OK);
            assert_memory_equal(r->data, want, sizeof(want));
        }
        front_free(f);
    }
    vub_free(v);
}

/* CVE-2018-1059: the whole range is looked at, not its start. */
static void a_buffer_that_leaves_memory_breaks_the_ring(void **state)
{
    struct vub *v = two_disks();
    const struct vq_buf bad[] = {
        {64ull * MiB - 1, 2},     {64ull * MiB - 512, 0xffffffff},
        {64ull * MiB, 512},       {UINT64_MAX - 100, 512},
        {UINT64_MAX - 511, 512},  {1ull << 63, 512},
        {64ull * MiB - 511, 512},
    };

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++)
        for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
            struct front *f = front_new(v, "d", &ring_modes[mode]);
            struct blk_req *r = blk_new(f, 512);

            r->data_gpa = bad[i].gpa;
            vub_log_mark(v);
            blk_go(f->vq[0], r, VIRTIO_BLK_T_IN, 0, bad[i].len);
            vq_need_err(f->vq[0]);
            assert_int_equal(vub_log_count(v, "is broken"), 1);
            assert_int_equal(*r->status, BLK_S_NONE);
            blk_verify(f->vq[1], 0, 4096, i);
            front_free(f);
        }
    vub_free(v);
}

BEHAVE_MAIN(T(regions_that_cannot_be_are_refused),
            T(the_number_of_regions_must_fit_the_message),
            T(an_fd_that_cannot_be_mapped_is_refused),
            T(memory_in_a_file_on_disk_must_be_allowed),
            T(what_is_removed_must_be_there),
            T(memory_without_fds_names_the_forgotten_option),
            T(a_ring_outside_memory_names_it_too),
            T(a_buffer_outside_memory_names_it_too), T(rings_must_be_aligned),
            T(there_may_be_509_regions), T(heads_and_data_may_cross_regions),
            T(indirect_tables_may_cross_regions),
            T(a_buffer_that_leaves_memory_breaks_the_ring))
