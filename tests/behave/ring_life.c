/* The life of rings: how they start, stop and start again. */
#include <unistd.h>

#include "rings.h"

static struct vub *start(void)
{
    return vub_start(
        DISK("d", "'queues': 4, ", MEMORY) "," DISK("e", "", MEMORY));
}

/* ---- Start ---- */

/* Spec, "Ring states". */
static void a_kick_before_enable_is_not_lost(void **state)
{
    struct rings t = {.v = start(), .stopped = true};

    (void)state;
    while (rings_next(&t)) {
        vq_tell(t.q);
        put_read(t.q, t.r, 0);
        vq_show(t.q);
        vq_notify(t.q);
        front_settle(t.f);
        assert_int_equal(vq_used(t.q), 0);
        vq_enable(t.q, true);
        assert_int_equal(blk_wait(t.q, t.r), VIRTIO_BLK_S_OK);
    }
}

/* And one that is disabled later does not serve until it is enabled again. */
static void a_disabled_ring_waits(void **state)
{
    struct rings t = {.v = start()};

    (void)state;
    while (rings_next(&t)) {
        for (uint64_t i = 0; i < 5; i++) {
            vq_enable(t.q, false);
            put_read(t.q, t.r, i);
            vq_show(t.q);
            vq_notify(t.q);
            blk_verify(t.f->vq[1], i * 8, 4096, i); /* its loop has turned */
            front_settle(t.f);
            assert_int_equal(vq_used(t.q), 0);
            vq_enable(t.q, true);
            assert_int_equal(blk_wait(t.q, t.r), VIRTIO_BLK_S_OK);
        }
    }
}

/* Requests that were there before the ring started need no kick. */
static void requests_that_wait_are_served_without_a_kick(void **state)
{
    struct rings t = {.v = start(), .stopped = true};

    (void)state;
    while (rings_next(&t)) {
        struct blk_req *r[8];

        for (unsigned i = 0; i < 8; i++) {
            r[i] = blk_new(t.f, 512);
            put_read(t.q, r[i], i);
        }
        vq_show(t.q);
        vq_start(t.q);
        for (unsigned i = 0; i < 8; i++)
            assert_int_equal(blk_wait(t.q, r[i]), VIRTIO_BLK_S_OK);
        assert_int_equal(t.q->kicks, 0);
    }
}

/* Firmware uses one queue of several, and not always the first. */
static void each_ring_starts_on_its_own(void **state)
{
    struct vub *v = start();

    (void)state;
    for (unsigned only = 0; only < 4; only++) {
        struct front_conf c = {.queues = 4, .rings_stopped = true};
        struct front *f = front_new(v, "d", &c);

        vq_start(f->vq[only]);
        blk_verify(f->vq[only], 0, 4096, only);
        vq_start(f->vq[(only + 1) % 4]);
        blk_verify(f->vq[(only + 1) % 4], 0, 4096, only);
        blk_verify(f->vq[only], 0, 4096, only);
        front_free(f);
    }
    vub_free(v);
}

/* One ring of 16, then the kernel's: other rings, other sizes, from 0. */
static void firmware_hands_over_to_a_kernel(void **state)
{
    struct vub *v = start();
    struct front *f = front_new(v, "d", &(struct front_conf){.size = 16});

    (void)state;
    for (unsigned boot = 0; boot < 5; boot++) {
        blk_verify(f->vq[0], 0, 4096, boot);
        for (unsigned i = 0; i < FRONT_QUEUES_MAX; i++)
            if (f->vq[i])
                vq_stop(f->vq[i]);
        for (unsigned i = 0; i < 4; i++)
            vq_start(vq_new(f, i, 256, false, false, false));
        for (unsigned i = 0; i < 4; i++)
            blk_verify(f->vq[i], i * 8, 4096, boot + i);
        for (unsigned i = 0; i < 4; i++) {
            vq_stop(f->vq[i]);
            vq_free(f->vq[i]);
        }
        vq_start(vq_new(f, 0, 16, false, false, false));
    }
    front_free(f);
    vub_free(v);
}

/* ---- Stop, and start again ---- */

static void a_ring_goes_on_where_it_stopped(void **state)
{
    struct vub *v = start();

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front_conf c = ring_modes[mode];
        struct front *f;

        c.size = 8; /* so that it wraps */
        f = front_new(v, "d", &c);
        for (unsigned i = 0; i < 25; i++) {
            struct vq *q = f->vq[i % 2];
            uint32_t place;

            blk_verify(q, i * 8, 4096, i);
            vq_stop(q);
            place = q->packed
                        ? (uint32_t)q->avail_idx | (uint32_t)q->avail_wrap << 15
                        : q->avail_idx;
            if (q->packed) {
                /* Nothing in flight: both places are the same. */
                assert_int_equal(q->base & 0xffff, place);
                assert_int_equal(q->base >> 16, place);
            } else {
                assert_int_equal(q->base, place);
            }
            vq_start(q);
        }
        front_free(f);
    }
    vub_free(v);
}

/* What the guest adds meanwhile is not served before the start. */
static void a_stopped_ring_is_left_alone(void **state)
{
    struct rings t = {.v = start()};

    (void)state;
    while (rings_next(&t)) {
        uint32_t base;

        blk_verify(t.q, 0, 4096, t.mode);
        base = vq_stop(t.q);
        put_read(t.q, t.r, 0);
        vq_show(t.q);
        vq_notify(t.q);
        vq_enable(t.q, false);
        vq_enable(t.q, true);
        blk_verify(t.f->vq[1], 0, 4096, t.mode);
        assert_int_equal(vq_used(t.q), 0);
        assert_int_equal(vq_stop(t.q), base); /* again: the same answer */
        vq_start(t.q);
        assert_int_equal(blk_wait(t.q, t.r), VIRTIO_BLK_S_OK);
    }
}

static void a_ring_that_never_ran_answers_with_its_base(void **state)
{
    struct vub *v = start();
    struct front *f = front_new(
        v, "d", &(struct front_conf){.queues = 4, .rings_stopped = true});

    (void)state;
    assert_int_equal(vq_stop(f->vq[0]), 0);
    front_ok_state(f, WIRE_SET_VRING_BASE, 1, 1234);
    assert_int_equal(vq_stop(f->vq[1]), 1234);
    front_free(f);
    vub_free(v);
}

/* After a migration the indices are anything. */
static void set_vring_base_is_where_a_ring_begins(void **state)
{
    static const uint16_t bases[] = {1, 100, 127, 128, 0x7fff, 0xfff0, 0xffff};
    struct vub *v = start();

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bases); i++) {
        struct front *f =
            front_new(v, "d", &(struct front_conf){.rings_stopped = true});
        struct vq *q = f->vq[0];

        q->base = q->avail_idx = q->used_idx = q->kicked = bases[i];
        q->avail->idx = q->used->idx = htole16(bases[i]);
        vq_start(q);
        for (uint64_t k = 0; k < 20; k++)
            blk_verify(q, k * 8, 4096, k);
        assert_int_equal(vq_stop(q), q->avail_idx);
        front_free(f);
    }
    /* Packed: place 5 of the lap with the other wrap counter. */
    for (unsigned wrap = 0; wrap < 2; wrap++) {
        struct front_conf c = {.packed = true, .rings_stopped = true};
        struct front *f = front_new(v, "d", &c);
        struct vq *q = f->vq[0];

        q->avail_idx = q->used_idx = 5;
        q->avail_wrap = q->used_wrap = wrap;
        q->base = 5u | wrap << 15 | 5u << 16 | wrap << 31;
        /* What this lap has passed is used by its counter, the rest by the
         * one before. */
        for (unsigned i = 0; i < q->size; i++)
            if ((i < 5) == wrap)
                q->pdesc[i].flags = htole16(VRING_PACKED_DESC_F_AVAIL |
                                            VRING_PACKED_DESC_F_USED);
        vq_start(q);
        for (uint64_t k = 0; k < 200; k++)
            blk_verify(q, k * 8, 4096, k);
        front_free(f);
    }
    vub_free(v);
}

static void a_base_that_makes_no_sense_breaks_the_ring(void **state)
{
    struct vub *v = start();

    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct front_conf c = {
            .queues = 2, .packed = packed, .rings_stopped = true};
        struct front *f = front_new(v, "d", &c);

        f->vq[0]->base = packed ? 0x7fff7fff : 5000;
        vub_log_mark(v);
        vq_start(f->vq[0]);
        vq_need_err(f->vq[0]);
        vub_log_wait(v, "ring 0 is broken");
        vq_start(f->vq[1]);
        blk_verify(f->vq[1], 0, 4096, packed);
        front_free(f);
    }
    vub_free(v);
}

/* The guest reboots: everything from 0, on the same session. */
static void a_guest_may_reboot_many_times(void **state)
{
    struct rings t = {.v = start()};

    (void)state;
    while (rings_next(&t)) {
        for (unsigned boot = 0; boot < 10; boot++) {
            blk_verify(t.q, 0, 4096, boot);
            blk_verify(t.f->vq[1], 8, 4096, boot);
            for (unsigned i = 0; i < 2; i++) {
                vq_enable(t.f->vq[i], false);
                vq_stop(t.f->vq[i]);
                vq_reset(t.f->vq[i]);
            }
            for (unsigned i = 0; i < 2; i++)
                vq_start(t.f->vq[i]);
        }
    }
}

/* ---- GET_VRING_BASE drains ---- */

/* The store never answers: a little before drain_timeout the request is given
 * up, and then the front-end has its answer. */
static void get_vring_base_waits_for_what_is_in_flight(void **state)
{
    struct vub *v = vub_start(
        DISK("d", "'drain_timeout': 1000, ",
             "{'type': 'fault', 'next': " MEMORY
             ", 'rules': [{'op': 'read', 'offset': '1M', 'stuck': true}]}"));

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front_conf c = ring_modes[mode];
        struct blk_req *r[4];
        struct front *f;
        int64_t began;

        c.queues = 1;
        f = front_new(v, "d", &c);
        for (unsigned i = 0; i < 4; i++) {
            r[i] = blk_new(f, 512);
            put_read(f->vq[0], r[i], 2048 + i);
        }
        vq_kick(f->vq[0]);
        blk_verify(f->vq[0], 0, 4096, mode); /* overtakes them */
        began = front_now_ms();
        vq_stop(f->vq[0]);
        assert_in_range(front_now_ms() - began, 700, 999);
        assert_int_equal(vq_used(f->vq[0]), 4);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(blk_wait(f->vq[0], r[i]), VIRTIO_BLK_S_IOERR);
        vq_start(f->vq[0]);
        blk_verify(f->vq[0], 0, 4096, mode);
        front_free(f);
    }
    vub_free(v);
}

/* A ring that is always full when it is stopped: what was taken is answered,
 * what was not is at the base, nothing is between. */
static void stopping_under_load_loses_nothing(void **state)
{
    struct vub *v = vub_new();
    FILE *img;

    (void)state;
    img = fopen(vub_path(v, "img"), "we");
    assert_int_equal(ftruncate(fileno(img), 1 << 20), 0);
    fclose(img);
    vub_config(v, DISK("d", "'queues': 2, 'worker': ['a', 'b'], ",
                       "{'type': 'file', 'path': 'img',"
                       " 'engine': 'threads'}"));
    vub_run(v);
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front_conf c = ring_modes[mode];
        struct blk_req *r[32];
        struct front *f;
        struct vq *q;

        c.size = 64;
        c.inflight = mode & 1;
        f = front_new(v, "d", &c);
        q = f->vq[1];
        for (unsigned i = 0; i < 32; i++)
            r[i] = blk_new(f, 4096);
        for (unsigned round = 0; round < 20; round++) {
            unsigned n = q->indirect ? 32 : 20;

            for (unsigned i = 0; i < n; i++)
                if (!blk_add(q, r[i], VIRTIO_BLK_T_IN, i, 4096))
                    front_fail("no room");
            vq_kick(q);
            vq_stop(q);
            if (!q->packed) /* taken is answered */
                assert_int_equal((uint16_t)q->base,
                                 le16_load_acquire(&q->used->idx));
            else
                assert_int_equal(q->base & 0xffff, q->base >> 16);
            vq_start(q);
            for (unsigned i = 0; i < n; i++)
                assert_int_equal(blk_wait(q, r[i]), VIRTIO_BLK_S_OK);
        }
        front_free(f);
    }
    vub_free(v);
}

BEHAVE_MAIN(T(a_kick_before_enable_is_not_lost), T(a_disabled_ring_waits),
            T(requests_that_wait_are_served_without_a_kick),
            T(each_ring_starts_on_its_own), T(firmware_hands_over_to_a_kernel),
            T(a_ring_goes_on_where_it_stopped), T(a_stopped_ring_is_left_alone),
            T(a_ring_that_never_ran_answers_with_its_base),
            T(set_vring_base_is_where_a_ring_begins),
            T(a_base_that_makes_no_sense_breaks_the_ring),
            T(a_guest_may_reboot_many_times),
            T(get_vring_base_waits_for_what_is_in_flight),
            T(stopping_under_load_loses_nothing))
