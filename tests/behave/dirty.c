/* The dirty log of live migration: everything the device writes is in it,
 * before the guest can see the answer, and nothing else is. */
#include <sys/mman.h>
#include <unistd.h>

#include "behave.h"

static struct vub *start(void)
{
    return vub_start(DISK("d", "'queues': 2, 'worker': ['a', 'b'], ",
                          MEMORY) "," DISK("e", "", MEMORY));
}

static void all_ring_modes(void (*one)(struct vub *v,
                                       const struct front_conf *c))
{
    struct vub *v = start();

    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        front_note("mode %u", mode);
        one(v, &ring_modes[mode]);
    }
    vub_free(v);
}

/* Where used entries are written. */
static uint64_t used_page(const struct vq *q)
{
    return q->packed ? q->desc_gpa : q->used_gpa;
}

static void log_reads(struct vub *v, const struct front_conf *c)
{
    struct front *f = front_new(v, "d", c);
    struct vq *q = f->vq[0];
    struct blk_req *r = blk_new(f, 8 * 4096);

    front_log_start(f);
    front_log_clear(f);
    /* Bytes 4000 to 4000 + 8192 of its data: three pages. */
    r->data_gpa += 4000;
    blk_go(q, r, VIRTIO_BLK_T_IN, 0, 8192);
    assert_int_equal(blk_wait(q, r), VIRTIO_BLK_S_OK);
    r->data_gpa -= 4000;
    assert_true(front_log_dirty(f, r->data_gpa));
    assert_true(front_log_dirty(f, r->data_gpa + 4096));
    assert_true(front_log_dirty(f, r->data_gpa + 2 * 4096));
    assert_false(front_log_dirty(f, r->data_gpa + 3 * 4096));
    assert_true(front_log_dirty(f, r->status_gpa));
    assert_true(front_log_dirty(f, used_page(q)));
    assert_false(front_log_dirty(f, f->vq[1]->desc_gpa));

    /* What the device reads is not dirtied by that. */
    front_log_clear(f);
    blk_go(q, r, VIRTIO_BLK_T_OUT, 0, 8 * 4096);
    assert_int_equal(blk_wait(q, r), VIRTIO_BLK_S_OK);
    for (unsigned i = 0; i < 8; i++)
        assert_false(front_log_dirty(f, r->data_gpa + i * 4096));
    assert_true(front_log_dirty(f, r->status_gpa));
    assert_true(front_log_dirty(f, used_page(q)));
    front_free(f);
}

static void what_the_device_writes_is_logged(void **state)
{
    (void)state;
    all_ring_modes(log_reads);
}

static void log_on_and_off(struct vub *v, const struct front_conf *c)
{
    struct front *f = front_new(v, "d", c);
    struct vq *q = f->vq[0];
    struct blk_req *r = blk_new(f, 4096);

    for (unsigned i = 0; i < 5; i++) {
        front_log_start(f);
        front_log_clear(f);
        blk_go(q, r, VIRTIO_BLK_T_IN, 0, 4096);
        blk_wait(q, r);
        assert_true(front_log_dirty(f, r->data_gpa));
        front_log_stop(f);
        front_log_clear(f);
        blk_go(q, r, VIRTIO_BLK_T_IN, 0, 4096);
        blk_wait(q, r);
        assert_int_equal(front_log_count(f), 0);
    }
    /* LOG_ALL without the ring's flag: data only. */
    front_log_start(f);
    vq_tell_addr(q, 0);
    front_log_clear(f);
    blk_go(q, r, VIRTIO_BLK_T_IN, 0, 4096);
    blk_wait(q, r);
    assert_true(front_log_dirty(f, r->data_gpa));
    assert_false(front_log_dirty(f, used_page(q)));
    front_free(f);
}

static void logging_goes_on_and_off_while_rings_run(void **state)
{
    (void)state;
    all_ring_modes(log_on_and_off);
}

/* The spec has the address of the used ring in the log given apart, and it
 * may be one that is no guest memory. */
static void used_entries_are_logged_where_the_front_end_says(void **state)
{
    struct vub *v = start();
    struct front *f = front_new(v, "d", NULL);
    struct vq *q = f->vq[0];
    const uint64_t elsewhere = 63 << 20;
    struct wire_addr a = {
        .flags = WIRE_VRING_F_LOG,
        .desc = front_uva(f, q->desc_gpa),
        .used = front_uva(f, q->used_gpa),
        .avail = front_uva(f, q->avail_gpa),
        .log = elsewhere,
    };

    (void)state;
    front_log_start(f);
    front_ok(f, WIRE_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
    front_log_clear(f);
    blk_verify(q, 0, 512, 1);
    assert_true(front_log_dirty(f, elsewhere));
    assert_false(front_log_dirty(f, q->used_gpa));
    /* Beyond the log: left out, and nothing else happens. */
    a.log = UINT64_MAX - 100;
    front_ok(f, WIRE_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
    blk_verify(q, 0, 512, 2);
    front_free(f);
    vub_free(v);
}

/* It was taken before the log was there: it goes to the log that is there
 * when it is answered. And GET_VRING_BASE answers after that. */
static void requests_in_flight_are_logged_when_they_end(void **state)
{
    struct vub *v = vub_start(DISK("d", "'drain_timeout': 100, ",
                                   "{'type': 'fault', 'next': " MEMORY
                                   ", 'rules': [{'op': 'read',"
                                   " 'offset': '1M', 'stuck': true}]}"));

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front_conf c = ring_modes[mode];
        struct blk_req *r;
        struct front *f;

        c.queues = 1;
        f = front_new(v, "d", &c);
        r = blk_new(f, 4096);
        blk_go(f->vq[0], r, VIRTIO_BLK_T_IN, 2048, 4096);
        blk_verify(f->vq[0], 0, 4096, 1);
        front_log_start(f);
        front_log_clear(f);
        vq_stop(f->vq[0]);
        assert_int_equal(*r->status, VIRTIO_BLK_S_IOERR);
        assert_true(front_log_dirty(f, r->status_gpa));
        assert_true(front_log_dirty(f, used_page(f->vq[0])));
        front_free(f);
    }
    vub_free(v);
}

/* SET_LOG_BASE again: after its answer the old one is not written any more. */
static void a_new_log_takes_the_place_of_the_old(void **state)
{
    struct vub *v = start();
    struct front *f = front_new(v, "d", NULL);
    uint8_t *old;
    int old_fd;

    (void)state;
    front_log_start(f);
    old = f->log;
    old_fd = f->log_fd;
    for (unsigned i = 0; i < 10; i++) {
        f->log = NULL;
        f->log_fd = -1;
        blk_verify(f->vq[0], 0, 4096, i);
        front_log_start(f);
        memset(old, 0, f->log_len);
        front_log_clear(f);
        blk_verify(f->vq[0], 0, 4096, i);
        assert_true(front_log_count(f) > 0);
        for (uint64_t k = 0; k < f->log_len; k++)
            assert_int_equal(old[k], 0);
        munmap(old, f->log_len);
        close(old_fd);
        old = f->log;
        old_fd = f->log_fd;
    }
    assert_int_equal(vub_maps(v, "memfd:front"), 2);
    front_free(f);
    vub_free(v);
}

/* The front-end sets and clears a bit of each byte that the device has the
 * other bits of, as fast as it can: nobody's change may undo another's. */
static void bits_are_set_atomically(void **state)
{
    enum { BYTES = 60, DEPTH = 7, ROUNDS = 3000 };
    struct vub *v = vub_start(DISK("d", "",
                                   "{'type': 'null',"
                                   " 'size': '1G'}"));
    struct front_conf c = {.indirect = true};
    struct front *f = front_new(v, "d", &c);
    uint64_t pages = front_alloc(f, BYTES * 8 * 4096, 8 * 4096);
    struct vq_buf b[DEPTH][BYTES + 2];
    struct vq *q = f->vq[0];
    const uint8_t ours = 1 << DEPTH;
    unsigned rounds = 0;
    uint8_t *log, is = 0;
    void *cookie;

    (void)state;
    front_log_start(f);
    log = f->log + pages / 4096 / 8;
    for (unsigned n = 0; n < DEPTH; n++) {
        struct blk_req *r = blk_new(f, 0);

        r->head->type = htole32(VIRTIO_BLK_T_IN);
        r->head->sector = 0;
        b[n][0] = (struct vq_buf){r->head_gpa, 16};
        for (unsigned k = 0; k < BYTES; k++)
            b[n][1 + k] = (struct vq_buf){pages + (8 * k + n) * 4096, 512};
        b[n][1 + BYTES] = (struct vq_buf){r->status_gpa, 1};
        vq_add(q, b[n], 1, BYTES + 1, &b[n]);
    }
    vq_calls(q, false);
    vq_kick(q);
    while (rounds < ROUNDS) {
        for (unsigned k = 0; k < BYTES; k++)
            if ((__atomic_fetch_xor(&log[k], ours, __ATOMIC_SEQ_CST) & ours) !=
                is)
                front_fail("round %u: our own bit has changed", rounds);
        is ^= ours;
        while (vq_pop(q, NULL, &cookie) != VQ_NONE) {
            struct vq_buf *n = cookie;
            uint8_t bit = (uint8_t)(1 << (n - b[0]) / (BYTES + 2));

            for (unsigned k = 0; k < BYTES; k++)
                if (!(__atomic_fetch_and(&log[k], (uint8_t)~bit,
                                         __ATOMIC_SEQ_CST) &
                      bit))
                    front_fail("round %u: a page is not dirty", rounds);
            vq_add(q, n, 1, BYTES + 1, cookie);
            if (++rounds % DEPTH == 0)
                break;
        }
        vq_kick(q);
    }
    front_free(f);
    vub_free(v);
}

/* CVE-2020-10722. */
static void a_log_that_cannot_be_is_refused(void **state)
{
    static const struct {
        struct wire_log l;
        const char *what;
    } bad[] = {
        {{8192, 0}, "larger than its file"},
        {{4096, 4096}, "beyond its end"},
        {{UINT64_MAX, 0}, "as large as can be"},
        {{4096, UINT64_MAX - 4095}, "offset wraps"},
        {{UINT64_MAX - 4095, 8192}, "sum wraps"},
        {{0, 0}, "nothing"},
    };
    struct vub *v = start();
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    int before = front_fds(f, v), fd = front_memfd(4096), pair[2];
    struct wire_log good = {4096, 0};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        front_note("%s", bad[i].what);
        assert_true(front_ack(f, WIRE_SET_LOG_BASE, &bad[i].l, sizeof(bad[i].l),
                              &fd, 1) > 0);
    }
    assert_true(front_ack(f, WIRE_SET_LOG_BASE, &good, sizeof(good), NULL, 0) >
                0);
    assert_int_equal(pipe(pair), 0);
    assert_true(front_ack(f, WIRE_SET_LOG_BASE, &good, sizeof(good), pair, 1) >
                0);
    assert_int_equal(front_fds(f, v), before);
    blk_verify(f->vq[0], 0, 4096, 1);
    close(fd);
    close(pair[0]);
    close(pair[1]);
    front_free(f);
    vub_free(v);
}

/* A log that does not cover all of memory: what it covers is logged, and
 * nothing is written behind it. */
static void a_log_too_short_is_refused(void **state)
{
    struct vub *v = start();
    struct front *f =
        front_new(v, "d", &(struct front_conf){.mem_bytes = 256 << 20});
    const uint64_t range[] = {8191, 0}; /* bytes: a page of the guest is left */
    int fd = front_memfd(8192);

    (void)state;
    assert_true(front_ack(f, WIRE_SET_LOG_BASE, range, sizeof(range), &fd, 1) >
                0);
    vub_log_wait(v, "guest memory ends at");
    blk_verify(f->vq[0], 0, 4096, 1);
    close(fd);
    front_free(f);
    vub_free(v);
}

/* Memory may grow before the log does. */
static void a_log_too_short_is_not_overrun(void **state)
{
    struct vub *v = start();
    struct front_conf c = {.mem_bytes = 128 << 20};

    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct front *f;
        struct blk_req *r;

        c.packed = packed;
        f = front_new(v, "d", &c);
        f->log_len = 8192;
        f->log_fd = front_memfd(8192);
        f->log =
            mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, f->log_fd, 0);
        f->log_len = 4096; /* half of it: 128 MiB */
        front_log_start(f);
        front_region_tell(f, front_region_add(f, 128 << 20, 128 << 20));
        r = blk_new(f, 0);
        r->data_gpa = (128 << 20) - 4096;
        blk_go(f->vq[0], r, VIRTIO_BLK_T_IN, 0, 65536);
        assert_int_equal(blk_wait(f->vq[0], r), VIRTIO_BLK_S_OK);
        r->data_gpa = 200 << 20;
        blk_go(f->vq[0], r, VIRTIO_BLK_T_IN, 0, 65536);
        assert_int_equal(blk_wait(f->vq[0], r), VIRTIO_BLK_S_OK);
        assert_true(front_log_dirty(f, (128 << 20) - 4096));
        for (unsigned i = 4096; i < 8192; i++)
            assert_int_equal(f->log[i], 0);
        munmap(f->log, 8192);
        f->log = NULL;
        front_free(f);
    }
    vub_free(v);
}

static void a_log_that_shrinks_harms_only_its_session(void **state)
{
    struct vub *v = start();
    struct front *e = front_new(v, "e", NULL);

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front *f = front_new(v, "d", &ring_modes[mode]);
        struct blk_req *r = blk_new(f, 4096);

        front_log_start(f);
        blk_verify(f->vq[0], 0, 4096, 1);
        vub_log_mark(v);
        assert_int_equal(ftruncate(f->log_fd, 0), 0);
        blk_go(f->vq[0], r, VIRTIO_BLK_T_IN, 0, 4096);
        vub_log_wait(v, "shrank");
        blk_verify(e->vq[0], 0, 4096, mode);
        front_free(f);
    }
    front_free(e);
    vub_free(v);
}

/* As in a live migration: full copies, then only what is dirty, and in the
 * end both memories are the same. */
static void follow_the_log(struct vub *v, const struct front_conf *c)
{
    struct front *f = front_new(v, "d", c);
    const uint64_t len = 16 << 20; /* all that is used lies there */
    uint8_t *copy = front_calloc(1, len);
    struct blk_req *r[16];
    unsigned done = 0;
    void *cookie;

    front_log_start(f);
    memcpy(copy, f->region[0].host, len);
    for (unsigned i = 0; i < 16; i++) {
        r[i] = blk_new(f, 4096);
        front_fill(r[i]->data, 4096, i);
        if (!blk_add(f->vq[i % 2], r[i],
                     i % 4 < 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
                     i % 4 < 2 ? i * 8 : (i - 2) * 8, 4096))
            front_fail("no room");
    }
    vq_kick(f->vq[0]);
    vq_kick(f->vq[1]);
    while (done < 500) {
        for (unsigned i = 0; i < 2; i++) {
            struct vq *q = f->vq[i];

            vq_wait(q);
            while (vq_pop(q, NULL, &cookie) != VQ_NONE) {
                struct blk_req *one = cookie;

                done++;
                if (!blk_add(q, one, le32toh(one->head->type),
                             le64toh(one->head->sector), 4096))
                    front_fail("no room");
            }
            vq_kick(q);
        }
        for (uint64_t page = 0; page < len / 4096; page++) {
            uint8_t bit = (uint8_t)(1 << page % 8);

            if (__atomic_fetch_and(&f->log[page / 8], ~bit, __ATOMIC_SEQ_CST) &
                bit)
                memcpy(copy + page * 4096, f->region[0].host + page * 4096,
                       4096);
        }
    }
    vq_stop(f->vq[0]);
    vq_stop(f->vq[1]);
    for (uint64_t page = 0; page < len / 4096; page++)
        if (front_log_dirty(f, page * 4096))
            memcpy(copy + page * 4096, f->region[0].host + page * 4096, 4096);
    /* What the driver wrote is the VMM's own business: its heads, its
     * descriptors and its available ring. The rest must be the same. */
    for (unsigned i = 0; i < 16; i++) {
        memcpy(copy + r[i]->head_gpa, r[i]->head, 16);
        if (i % 4 < 2)
            memcpy(copy + r[i]->data_gpa, r[i]->data, 4096);
        if (*r[i]->status == BLK_S_NONE) /* put on the ring, never taken */
            copy[r[i]->status_gpa] = BLK_S_NONE;
    }
    for (unsigned i = 0; i < 16; i++) {
        assert_memory_equal(copy + r[i]->data_gpa, r[i]->data, 4096);
        assert_int_equal(copy[r[i]->status_gpa], *r[i]->status);
    }
    if (!c->packed)
        for (unsigned i = 0; i < 2; i++)
            assert_memory_equal(copy + f->vq[i]->used_gpa, f->vq[i]->used,
                                6 + 8 * f->vq[i]->size);
    front_free(f);
    free(copy);
}

static void a_copy_that_follows_the_log_is_exact(void **state)
{
    (void)state;
    all_ring_modes(follow_the_log);
}

BEHAVE_MAIN(T(what_the_device_writes_is_logged),
            T(logging_goes_on_and_off_while_rings_run),
            T(used_entries_are_logged_where_the_front_end_says),
            T(requests_in_flight_are_logged_when_they_end),
            T(a_new_log_takes_the_place_of_the_old), T(bits_are_set_atomically),
            T(a_log_that_cannot_be_is_refused), T(a_log_too_short_is_refused),
            T(a_log_too_short_is_not_overrun),
            T(a_log_that_shrinks_harms_only_its_session),
            T(a_copy_that_follows_the_log_is_exact))
