/* A back-end that is killed, and the one after it: what was in flight is done,
 * once for the guest, in its order, before anything new. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "behave.h"

#define MiB (1u << 20)
#define STUCK_SECTOR (8 * 2048u) /* requests from 8 MiB on never end */

/* A disk of 16 MiB whose upper half never answers, or, after its
 * healing, one that does. */
static void sick(struct vub *v, const char *store)
{
    vub_config(v,
               "{'id': 'd', 'type': 'block', 'queues': 2,"
               " 'drain_timeout': 200, 'store': {'type': 'fault',"
               " 'next': %s, 'rules': [{'op': 'any', 'offset': '8M',"
               " 'stuck': true}]}}, " DISK("e", "", MEMORY),
               store);
}

static void healed(struct vub *v, const char *store)
{
    vub_config(v,
               "{'id': 'd', 'type': 'block', 'queues': 2, 'store': %s}, " DISK(
                   "e", "", MEMORY),
               store);
}

static const char file[] = "{'type': 'file', 'path': 'img'}";
static const char null[] = "{'type': 'null', 'size': '16M'}";

static struct vub *new_with_image(void)
{
    struct vub *v = vub_new();
    int fd = open(vub_path(v, "img"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    assert_int_equal(ftruncate(fd, 16 * MiB), 0);
    close(fd);
    return v;
}

static struct front_conf recorded(const struct front_conf *mode)
{
    struct front_conf c = *mode;

    c.inflight = true;
    c.size = 64;
    return c;
}

/* What QEMU knows after a crash: for split rings the used index, for packed
 * ones the value it began with. */
static void bases_after_a_crash(struct front *f)
{
    for (unsigned i = 0; i < 2; i++) {
        struct vq *q = f->vq[i];

        q->base = q->packed ? 1u << 15 | 1u << 31 : le16_load(&q->used->idx);
    }
}

static unsigned recorded_in_flight(struct front *f, unsigned queue)
{
    unsigned n = 0;

    for (unsigned i = 0; i < f->inflight.queue_size; i++)
        n += f->conf.packed ? front_inflight_packed(f, queue)->desc[i].inflight
                            : front_inflight_split(f, queue)->desc[i].inflight;
    return n;
}

static void all_ring_modes(void (*one)(const struct front_conf *c))
{
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front_conf c = recorded(&ring_modes[mode]);

        front_note("%s", mode_name(&c));
        one(&c);
    }
}

/* ---- The crash ---- */

static void survive(const struct front_conf *c)
{
    struct vub *v = new_with_image();
    struct blk_req *r[8], *later[4];
    uint8_t want[12][4096], got[4096];
    struct front *f;

    sick(v, file);
    vub_run(v);
    f = front_new(v, "d", c);
    for (unsigned i = 0; i < 8; i++) {
        r[i] = blk_new(f, 4096);
        front_fill(want[i], 4096, i);
        memcpy(r[i]->data, want[i], 4096);
        blk_go(f->vq[i % 2], r[i], VIRTIO_BLK_T_OUT, STUCK_SECTOR + i * 8,
               4096);
        /* Others end meanwhile, so that the record has holes. */
        for (unsigned k = 0; k < i; k++)
            blk_verify(f->vq[i % 2], k * 8, 4096, i);
    }
    blk_verify(f->vq[0], 0, 4096, 100);
    blk_verify(f->vq[1], 8, 4096, 101);
    assert_int_equal(recorded_in_flight(f, 0), 4);
    assert_int_equal(recorded_in_flight(f, 1), 4);

    vub_kill(v);
    for (unsigned i = 0; i < 4; i++) { /* nobody is there */
        later[i] = blk_new(f, 4096);
        front_fill(want[8 + i], 4096, 8 + i);
        memcpy(later[i]->data, want[8 + i], 4096);
        if (!blk_add(f->vq[i % 2], later[i], VIRTIO_BLK_T_OUT,
                     STUCK_SECTOR + (8 + i) * 8, 4096))
            front_fail("no room");
        vq_show(f->vq[i % 2]);
    }
    healed(v, file);
    vub_run(v);
    bases_after_a_crash(f);
    front_resume(f);
    vub_log_wait(v, "requests to recover");
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(blk_wait(f->vq[i % 2], r[i]), VIRTIO_BLK_S_OK);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(blk_wait(f->vq[i % 2], later[i]), VIRTIO_BLK_S_OK);
    for (unsigned i = 0; i < 12; i++) {
        blk_read(f->vq[i % 2], STUCK_SECTOR + i * 8, got, 4096);
        assert_memory_equal(got, want[i], 4096);
    }
    assert_int_equal(recorded_in_flight(f, 0), 0);
    assert_int_equal(recorded_in_flight(f, 1), 0);
    assert_int_equal(vq_used(f->vq[0]), 0);
    assert_int_equal(f->vq[0]->num_free, c->size);
    front_free(f);
    vub_free(v);
}

static void requests_in_flight_survive_a_kill(void **state)
{
    (void)state;
    all_ring_modes(survive);
}

/* The store is one that answers at once, so the order of answers is the order
 * in which requests were done again. */
static void keep_order(const struct front_conf *c)
{
    enum { OLD = 12, NEW = 4 };
    struct vub *v = new_with_image();
    struct blk_req *r[OLD + NEW], *noise[8];
    struct front *f;

    sick(v, null);
    vub_run(v);
    f = front_new(v, "d", c);
    /* Mix up the free list, so that descriptor order is not the order. */
    for (unsigned i = 0; i < 8; i++) {
        noise[i] = blk_new(f, 512);
        if (!blk_add(f->vq[0], noise[i], VIRTIO_BLK_T_IN, i, 512))
            front_fail("no room");
    }
    vq_kick(f->vq[0]);
    for (unsigned i = 0; i < 8; i++)
        blk_wait(f->vq[0], noise[i]);
    for (unsigned i = 0; i < OLD; i++) {
        r[i] = blk_new(f, 512);
        blk_go(f->vq[0], r[i], VIRTIO_BLK_T_IN, STUCK_SECTOR + i, 512);
        if (i % 3 == 0) {
            blk_go(f->vq[0], noise[0], VIRTIO_BLK_T_IN, i, 512);
            blk_wait(f->vq[0], noise[0]);
        }
    }
    blk_go(f->vq[0], noise[0], VIRTIO_BLK_T_IN, 0, 512);
    blk_wait(f->vq[0], noise[0]);
    assert_int_equal(recorded_in_flight(f, 0), OLD);
    vub_kill(v);
    for (unsigned i = OLD; i < OLD + NEW; i++) {
        r[i] = blk_new(f, 512);
        if (!blk_add(f->vq[0], r[i], VIRTIO_BLK_T_IN, i, 512))
            front_fail("no room");
    }
    vq_show(f->vq[0]);
    healed(v, null);
    vub_run(v);
    bases_after_a_crash(f);
    front_resume(f);
    for (unsigned i = 0; i < OLD + NEW; i++)
        assert_int_equal(blk_wait(f->vq[0], r[i]), VIRTIO_BLK_S_OK);
    for (unsigned i = 1; i < OLD + NEW; i++)
        assert_true(r[i]->order == r[i - 1]->order + 1);
    front_free(f);
    vub_free(v);
}

static void they_are_done_again_in_their_order(void **state)
{
    (void)state;
    all_ring_modes(keep_order);
}

/* Killed again and again at any moment, with writes in flight: in the end
 * every sector has what was last written to it. */
static void keep_every_write(const struct front_conf *c)
{
    enum { DEPTH = 8, TOTAL = 400 };
    struct vub *v = new_with_image();
    uint32_t last[DEPTH] = {0};
    struct blk_req *r[DEPTH];
    unsigned done = 0, kills = 0;
    uint8_t want[4096], got[4096];
    struct front *f;
    void *cookie;

    healed(v, file);
    vub_run(v);
    f = front_new(v, "d", c);
    for (unsigned i = 0; i < DEPTH; i++) {
        r[i] = blk_new(f, 4096);
        front_fill(r[i]->data, 4096, ++last[i] * 100 + i);
        blk_go(f->vq[i % 2], r[i], VIRTIO_BLK_T_OUT, i * 8, 4096);
    }
    while (done < TOTAL) {
        if (done / 80 > kills) {
            kills++;
            vub_kill(v);
            vub_run(v);
            bases_after_a_crash(f);
            front_resume(f);
        }
        for (unsigned k = 0; k < 2; k++) {
            struct vq *q = f->vq[k];

            vq_wait(q);
            while (vq_pop(q, NULL, &cookie) != VQ_NONE) {
                struct blk_req *one = cookie;
                unsigned i = (unsigned)(le64toh(one->head->sector) / 8);

                assert_int_equal(*one->status, VIRTIO_BLK_S_OK);
                done++;
                front_fill(one->data, 4096, ++last[i] * 100 + i);
                if (!blk_add(q, one, VIRTIO_BLK_T_OUT, i * 8, 4096))
                    front_fail("no room");
            }
            vq_kick(q);
        }
    }
    for (unsigned i = 0; i < DEPTH; i++)
        assert_int_equal(blk_wait(f->vq[i % 2], r[i]), VIRTIO_BLK_S_OK);
    for (unsigned i = 0; i < DEPTH; i++) {
        front_fill(want, 4096, last[i] * 100 + i);
        blk_read(f->vq[i % 2], i * 8, got, 4096);
        assert_memory_equal(got, want, 4096);
    }
    front_free(f);
    vub_free(v);
}

static void no_write_is_lost_over_many_kills(void **state)
{
    (void)state;
    all_ring_modes(keep_every_write);
}

/* ---- After it ---- */

static uint8_t writeback(struct front *f)
{
    uint8_t b;

    front_config(f, offsetof(struct virtio_blk_config, writeback), &b, 1);
    return b;
}

/* QEMU does not say again what the guest had set. */
static void a_recovered_session_is_write_through(void **state)
{
    struct vub *v = new_with_image();
    struct front_conf c = recorded(&ring_modes[0]);
    struct front *f;
    struct blk_req *r;

    (void)state;
    sick(v, file);
    vub_run(v);
    f = front_new(v, "d", &c);
    assert_int_equal(writeback(f), 1);
    /* Killed with nothing in flight: what the guest had set nobody says. */
    blk_verify(f->vq[0], 0, 4096, 1);
    vub_kill(v);
    vub_run(v);
    bases_after_a_crash(f);
    front_resume(f);
    assert_int_equal(writeback(f), 0);
    blk_verify(f->vq[0], 0, 4096, 2);

    r = blk_new(f, 4096);
    blk_go(f->vq[0], r, VIRTIO_BLK_T_OUT, STUCK_SECTOR, 4096);
    blk_verify(f->vq[0], 0, 4096, 3);
    vub_kill(v);
    healed(v, file);
    vub_run(v);
    bases_after_a_crash(f);
    front_resume(f);
    assert_int_equal(blk_wait(f->vq[0], r), VIRTIO_BLK_S_OK);
    assert_int_equal(writeback(f), 0);
    assert_int_equal(front_set_config(f, 32, "\1", 1), 0); /* told otherwise */
    assert_int_equal(writeback(f), 1);
    front_free(f);
    vub_free(v);
}

static void refuse_volatile(const struct front_conf *c)
{
    struct vub *v = new_with_image();
    struct front *f, *e;
    struct blk_req *r;

    sick(v, MEMORY);
    vub_run(v);
    f = front_new(v, "d", c);
    r = blk_new(f, 4096);
    blk_go(f->vq[0], r, VIRTIO_BLK_T_OUT, STUCK_SECTOR, 4096);
    blk_verify(f->vq[0], 0, 4096, 1);
    vub_kill(v);
    healed(v, MEMORY);
    vub_run(v);
    bases_after_a_crash(f);
    front_resume(f);
    vq_need_err(f->vq[0]);
    vub_log_wait(v, "has forgotten what was written");
    assert_int_equal(*r->status, BLK_S_NONE);
    e = front_new(v, "e", NULL);
    blk_verify(e->vq[0], 0, 4096, 1);
    front_free(e);
    front_free(f);
    vub_free(v);
}

static void a_volatile_store_refuses_to_recover(void **state)
{
    (void)state;
    all_ring_modes(refuse_volatile);
}

/* The front-end went away and the back-end did not. The next session is there
 * at once, and its rings wait until the requests of the old one are answered:
 * else they would be done twice. */
static void hand_on(const struct front_conf *c)
{
    struct vub *v = new_with_image();
    struct blk_req *r[4];
    struct front *f;

    sick(v, file);
    vub_run(v);
    f = front_new(v, "d", c);
    for (unsigned i = 0; i < 4; i++) {
        r[i] = blk_new(f, 4096);
        blk_go(f->vq[i % 2], r[i], VIRTIO_BLK_T_IN, STUCK_SECTOR + i * 8, 4096);
    }
    blk_verify(f->vq[0], 0, 4096, 1);
    blk_verify(f->vq[1], 8, 4096, 2);
    bases_after_a_crash(f);
    front_resume(f);
    front_settle(f);
    /* drain_timeout later they are given up and answered. */
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(blk_wait(f->vq[i % 2], r[i]), VIRTIO_BLK_S_IOERR);
    blk_verify(f->vq[0], 0, 4096, 3);
    blk_verify(f->vq[1], 8, 4096, 4);
    assert_int_equal(recorded_in_flight(f, 0), 0);
    assert_int_equal(vub_log_count(v, "with requests to recover"), 0);
    front_free(f);
    vub_free(v);
}

static void the_next_session_starts_after_the_last_request_of_this(void **state)
{
    (void)state;
    all_ring_modes(hand_on);
}

/* SIGTERM is bounded, and what it gave up is answered. */
static void a_clean_stop_leaves_nothing_in_flight(void **state)
{
    struct vub *v = new_with_image();
    struct front_conf c = recorded(&ring_modes[5]);
    struct blk_req *r;
    struct front *f;

    (void)state;
    sick(v, file);
    vub_run(v);
    f = front_new(v, "d", &c);
    r = blk_new(f, 4096);
    blk_go(f->vq[0], r, VIRTIO_BLK_T_OUT, STUCK_SECTOR, 4096);
    blk_verify(f->vq[0], 0, 4096, 1);
    vub_stop(v);
    assert_int_equal(blk_wait(f->vq[0], r), VIRTIO_BLK_S_IOERR);
    assert_int_equal(recorded_in_flight(f, 0), 0);
    healed(v, file);
    vub_run(v);
    front_resume(f);
    blk_verify(f->vq[0], 0, 4096, 2);
    front_free(f);
    vub_free(v);
}

/* ---- Hostile records ---- */

/* Item 4, CVE-2021-3839, CVE-2022-0669. */
static void numbers_of_a_record_are_checked(void **state)
{
    const uint64_t len = 64 * 1024;
    const struct {
        struct wire_inflight w;
        const char *what;
    } bad[] = {
        {{len, 0, 3, 128}, "more queues than there are"},
        {{len, 0, 0xffff, 128}, "65535 queues"},
        {{len, 0, 2, 0xffff}, "65535 descriptors"},
        {{len, 0, 2, 1025}, "1025 descriptors"},
        {{len, 0, 0, 128}, "no queue"},
        {{len, 0, 2, 0}, "no descriptor"},
        {{64, 0, 2, 128}, "too small for them"},
        {{0, 0, 2, 128}, "nothing"},
        {{len * 2, 0, 2, 128}, "larger than the file"},
        {{len, 4096, 2, 128}, "beyond its end"},
        {{UINT64_MAX, 0, 2, 128}, "as large as can be"},
        {{len, UINT64_MAX - 4095, 2, 128}, "offset wraps"},
        {{UINT64_MAX - 4095, 8192, 2, 128}, "sum wraps"},
    };
    struct vub *v = vub_start(DISK("d", "'queues': 2, ", MEMORY));
    struct front *f = front_connect(v, "d");
    int before, fd = front_memfd(len), pair[2];

    (void)state;
    front_negotiate(f, &(struct front_conf){.queues = 2});
    before = front_fds(f, v);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        front_note("%s", bad[i].what);
        assert_true(front_ack(f, WIRE_SET_INFLIGHT_FD, &bad[i].w,
                              WIRE_INFLIGHT_BYTES, &fd, 1) > 0);
    }
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    assert_true(front_ack(f, WIRE_SET_INFLIGHT_FD,
                          &(struct wire_inflight){len, 0, 2, 128},
                          WIRE_INFLIGHT_BYTES, &pair[0], 1) > 0);
    for (unsigned i = 0; i < 6; i++)
        assert_true(front_ack(f, WIRE_GET_INFLIGHT_FD, &bad[i].w,
                              WIRE_INFLIGHT_BYTES, NULL, 0) > 0);
    assert_int_equal(front_fds(f, v), before);
    front_share(f);
    front_start_rings(f);
    blk_verify(f->vq[0], 0, 4096, 1);
    close(fd);
    close(pair[0]);
    close(pair[1]);
    front_free(f);
    vub_free(v);
}

static void a_record_smaller_than_its_ring_breaks_the_ring(void **state)
{
    struct vub *v = vub_start(DISK("d", "'queues': 2, ", MEMORY));

    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        struct front_conf c = {
            .queues = 2, .size = 64, .packed = packed, .inflight = true};
        struct front *f = front_connect(v, "d");

        front_negotiate(f, &c);
        front_share(f);
        vq_new(f, 0, 128, packed, false, false);
        front_start_rings(f);
        vq_need_err(f->vq[0]);
        vub_log_wait(v, "its in-flight record has room for 64");
        blk_verify(f->vq[1], 0, 4096, 1);
        front_free(f);
    }
    vub_free(v);
}

/* A record of the front-end's own making. Ours may be sealed. */
static void own_record(struct front *f, uint64_t len)
{
    f->inflight = (struct wire_inflight){len, 0, 2, 64};
    f->inflight_fd = front_memfd(len);
    f->inflight_mem =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, f->inflight_fd, 0);
    assert_ptr_not_equal(f->inflight_mem, MAP_FAILED);
}

/* Any bytes at all in the record: the ring starts or breaks, and that is all.
 * The seeds are fixed; a failure says which. */
static void garbage_in_a_record_harms_nobody(void **state)
{
    struct vub *v = new_with_image();
    struct front *e;

    (void)state;
    healed(v, null);
    vub_run(v);
    e = front_new(v, "e", NULL);
    for (unsigned packed = 0; packed < 2; packed++)
        for (unsigned seed = 0; seed < 150; seed++) {
            struct front_conf c = {.queues = 2,
                                   .size = 16,
                                   .packed = packed,
                                   .inflight = true,
                                   .rings_stopped = true};
            struct front *f = front_connect(v, "d");
            uint64_t x = seed * 0x9e3779b97f4a7c15u + packed + 1;
            size_t part;

            front_note("seed %u, %s", seed, packed ? "packed" : "split");
            front_set_up(f, &c);
            part = f->inflight.mmap_size / 2;
            front_inflight_split(f, 0)->version = 1;
            front_inflight_split(f, 0)->desc_num = 16;
            if (packed)
                for (unsigned i = 0; i < 16; i++)
                    front_inflight_packed(f, 0)->desc[i].next =
                        (uint16_t)(i + 1);
            for (unsigned n = 0; n < 1 + seed % 40; n++) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                /* Small numbers are the more dangerous ones. */
                f->inflight_mem[x % (seed % 2 ? part : 128)] =
                    (uint8_t)(seed % 3 ? x >> 40 & 31 : x >> 40);
            }
            vq_start(f->vq[0]);
            vq_start(f->vq[1]);
            vq_notify(f->vq[0]);
            front_settle(f);
            blk_verify(e->vq[0], 0, 512, seed);
            if (seed % 5 == 0)
                vq_stop(f->vq[0]);
            front_free(f);
        }
    assert_true(vub_alive(v));
    front_free(e);
    vub_free(v);
}

static void a_record_that_shrinks_harms_only_its_session(void **state)
{
    struct vub *v = new_with_image();
    struct front *e;

    (void)state;
    healed(v, file);
    vub_run(v);
    e = front_new(v, "e", NULL);
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front_conf c = recorded(&ring_modes[mode]);
        struct front *f = front_connect(v, "d");
        struct blk_req *r;

        front_negotiate(f, &c);
        front_share(f);
        own_record(f, 64 * 1024);
        front_start_rings(f);
        blk_verify(f->vq[0], 0, 4096, 1);
        r = blk_new(f, 4096);
        assert_int_equal(ftruncate(f->inflight_fd, 0), 0);
        vub_log_mark(v);
        blk_go(f->vq[0], r, VIRTIO_BLK_T_IN, 0, 4096);
        vub_log_wait(v, "shrank");
        blk_verify(e->vq[0], 0, 4096, mode);
        front_free(f);
    }
    front_free(e);
    vub_free(v);
}

BEHAVE_MAIN(T(requests_in_flight_survive_a_kill),
            T(they_are_done_again_in_their_order),
            T(no_write_is_lost_over_many_kills),
            T(a_recovered_session_is_write_through),
            T(a_volatile_store_refuses_to_recover),
            T(the_next_session_starts_after_the_last_request_of_this),
            T(a_clean_stop_leaves_nothing_in_flight),
            T(numbers_of_a_record_are_checked),
            T(a_record_smaller_than_its_ring_breaks_the_ring),
            T(garbage_in_a_record_harms_nobody),
            T(a_record_that_shrinks_harms_only_its_session))
