/* The life of rings: how they start, stop and start again. */
#include <poll.h>
#include <unistd.h>

#include "behave.h"

static struct vub *start(void)
{
    return vub_start(
        DISK("d", "'queues': 4, ", MEMORY) "," DISK("e", "", MEMORY));
}

static void put_read(struct vq *q, struct blk_req *r, uint64_t sector)
{
    if (!blk_add(q, r, VIRTIO_BLK_T_IN, sector, 512))
        front_fail("no room for a request");
}

/* ---- Start ---- */

/* Spec, "Ring states". */
static void a_kick_before_enable_is_not_lost(void **state)
{
    struct vub *v = start();

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front_conf c = ring_modes[mode];
        struct blk_req *r;
        struct front *f;
        struct vq *q;

        c.rings_stopped = true;
        f = front_new(v, "d", &c);
        q = f->vq[0];
        r = blk_new(f, 512);
        vq_tell(q);
        put_read(q, r, 0);
        vq_show(q);
        vq_notify(q);
        front_settle(f);
        assert_int_equal(vq_used(q), 0);
        vq_enable(q, true);
        assert_int_equal(blk_wait(q, r), VIRTIO_BLK_S_OK);
        front_free(f);
    }
    vub_free(v);
}

/* And one that is disabled later does not serve until it is enabled again. */
static void a_disabled_ring_waits(void **state)
{
    struct vub *v = start();

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front *f = front_new(v, "d", &ring_modes[mode]);
        struct vq *q = f->vq[0];
        struct blk_req *r = blk_new(f, 512);

        for (uint64_t i = 0; i < 5; i++) {
            vq_enable(q, false);
            put_read(q, r, i);
            vq_show(q);
            vq_notify(q);
            blk_verify(f->vq[1], i * 8, 4096, i); /* its loop has turned */
            front_settle(f);
            assert_int_equal(vq_used(q), 0);
            vq_enable(q, true);
            assert_int_equal(blk_wait(q, r), VIRTIO_BLK_S_OK);
        }
        front_free(f);
    }
    vub_free(v);
}

/* Requests that were there before the ring started need no kick. */
static void requests_that_wait_are_served_without_a_kick(void **state)
{
    struct vub *v = start();

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front_conf c = ring_modes[mode];
        struct blk_req *r[8];
        struct front *f;

        c.rings_stopped = true;
        f = front_new(v, "d", &c);
        for (unsigned i = 0; i < 8; i++) {
            r[i] = blk_new(f, 512);
            put_read(f->vq[0], r[i], i);
        }
        vq_show(f->vq[0]);
        vq_start(f->vq[0]);
        for (unsigned i = 0; i < 8; i++)
            assert_int_equal(blk_wait(f->vq[0], r[i]), VIRTIO_BLK_S_OK);
        assert_int_equal(f->vq[0]->kicks, 0);
        front_free(f);
    }
    vub_free(v);
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
    struct vub *v = start();

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front *f = front_new(v, "d", &ring_modes[mode]);
        struct vq *q = f->vq[0];
        struct blk_req *r = blk_new(f, 512);
        uint32_t base;

        blk_verify(q, 0, 4096, mode);
        base = vq_stop(q);
        put_read(q, r, 0);
        vq_show(q);
        vq_notify(q);
        vq_enable(q, false);
        vq_enable(q, true);
        blk_verify(f->vq[1], 0, 4096, mode);
        assert_int_equal(vq_used(q), 0);
        assert_int_equal(vq_stop(q), base); /* again: the same answer */
        vq_start(q);
        assert_int_equal(blk_wait(q, r), VIRTIO_BLK_S_OK);
        front_free(f);
    }
    vub_free(v);
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
    struct vub *v = start();

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front *f = front_new(v, "d", &ring_modes[mode]);

        for (unsigned boot = 0; boot < 10; boot++) {
            blk_verify(f->vq[0], 0, 4096, boot);
            blk_verify(f->vq[1], 8, 4096, boot);
            for (unsigned i = 0; i < 2; i++) {
                vq_enable(f->vq[i], false);
                vq_stop(f->vq[i]);
                vq_reset(f->vq[i]);
            }
            for (unsigned i = 0; i < 2; i++)
                vq_start(f->vq[i]);
        }
        front_free(f);
    }
    vub_free(v);
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

/* ---- Sizes ---- */

static void split_rings_are_powers_of_two_up_to_1024(void **state)
{
    static const uint32_t bad[] = {
        0,    3,     5,          12,    100,        1000,      513,
        2048, 32768, 0x00010080, 65536, 0x80000000, 0xffffffff};
    struct vub *v = start();

    (void)state;
    for (uint16_t size = 4; size <= 1024; size *= 2)
        for (int indirect = 0; indirect < 2; indirect++) {
            struct front_conf c = {.size = size, .indirect = indirect};
            struct front *f = front_new(v, "d", &c);

            for (uint64_t i = 0; i < 40; i++)
                blk_verify(f->vq[0], i * 8, 4096, i);
            front_free(f);
        }
    for (uint16_t size = 1; size <= 2; size *= 2) { /* by tables alone */
        struct front_conf c = {.size = size, .indirect = true};
        struct front *f = front_new(v, "d", &c);

        for (uint64_t i = 0; i < 10; i++)
            blk_verify(f->vq[0], i * 8, 4096, i);
        front_free(f);
    }
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct front *f = front_new(v, "d", NULL);
        struct wire_state s = {1, bad[i]};

        assert_true(front_ack(f, WIRE_SET_VRING_NUM, &s, sizeof(s), NULL, 0) >
                    0);
        blk_verify(f->vq[0], 0, 4096, i);
        front_free(f);
    }
    vub_free(v);
}

static void packed_rings_may_have_any_size_up_to_1024(void **state)
{
    static const uint16_t good[] = {3,   4,   5,    7,    16,  33,
                                    100, 255, 1000, 1023, 1024};
    static const uint32_t bad[] = {0,     1025,       2048,
                                   32768, 0x00010003, 0xffffffff};
    struct vub *v = start();

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(good); i++)
        for (unsigned how = 0; how < 4; how++) {
            struct front_conf c = {.size = good[i],
                                   .packed = true,
                                   .indirect = how & 1,
                                   .event_idx = how & 2};
            struct front *f = front_new(v, "d", &c);

            for (uint64_t k = 0; k < 40; k++)
                blk_verify(f->vq[0], k * 8, 4096, k);
            front_free(f);
        }
    for (uint16_t size = 1; size <= 2; size++) {
        struct front_conf c = {.size = size, .packed = true, .indirect = true};
        struct front *f = front_new(v, "d", &c);

        for (uint64_t k = 0; k < 10; k++)
            blk_verify(f->vq[0], k * 8, 4096, k);
        front_free(f);
    }
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct front *f =
            front_new(v, "d", &(struct front_conf){.packed = true});
        struct wire_state s = {1, bad[i]};

        assert_true(front_ack(f, WIRE_SET_VRING_NUM, &s, sizeof(s), NULL, 0) >
                    0);
        front_free(f);
    }
    vub_free(v);
}

static void the_config_may_ask_for_smaller_rings(void **state)
{
    struct vub *v = vub_start(DISK("d", "'queue_size': 64, ", MEMORY));
    struct front *f = front_new(v, "d", &(struct front_conf){.size = 64});
    struct wire_state s = {0, 128};

    (void)state;
    blk_verify(f->vq[0], 0, 4096, 1);
    vq_stop(f->vq[0]);
    assert_true(front_ack(f, WIRE_SET_VRING_NUM, &s, sizeof(s), NULL, 0) > 0);
    front_free(f);
    vub_free(v);
}

/* A power of two that is checked only when features are known. */
static void a_size_said_before_the_features_is_checked_too(void **state)
{
    struct vub *v = start();
    struct front *f = front_connect(v, "d");
    struct wire_state s = {0, 100};
    struct vq *q;
    int64_t rc;

    (void)state;
    f->protocol = front_get(f, WIRE_GET_PROTOCOL_FEATURES);
    front_send(f, WIRE_SET_PROTOCOL_FEATURES, 0, &f->protocol, 8, NULL, 0);
    rc = front_ack(f, WIRE_SET_VRING_NUM, &s, sizeof(s), NULL, 0);
    front_negotiate(f, &(struct front_conf){.queues = 2});
    front_share(f);
    if (rc == 0) {
        q = vq_new(f, 0, 128, false, false, false);
        vq_tell_addr(q, 0);
        vq_tell_fd(q, WIRE_SET_VRING_ERR, q->err_fd);
        vq_tell_fd(q, WIRE_SET_VRING_KICK, q->kick_fd);
        vq_enable(q, true);
        vq_need_err(q);
        vub_log_wait(v, "ring 0 is broken");
    }
    q = vq_new(f, 1, 128, false, false, false);
    vq_start(q);
    blk_verify(q, 0, 4096, 1);
    front_free(f);
    vub_free(v);
}

/* ---- Many ---- */

/* More requests than a 16-bit index counts. */
static void indices_wrap(void **state)
{
    enum { TOTAL = 70000, DEPTH = 32 };
    struct vub *v = vub_start(DISK("d", "", "{'type': 'null', 'size': '1G'}"));
    static const struct front_conf confs[] = {
        {.event_idx = true},
        {.packed = true, .size = 37, .indirect = true, .event_idx = true},
    };

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(confs); mode++) {
        struct front *f = front_new(v, "d", &confs[mode]);
        struct vq *q = f->vq[0];
        struct blk_req *r[DEPTH];
        unsigned sent = 0, done = 0;
        void *cookie;

        for (unsigned i = 0; i < DEPTH; i++) {
            r[i] = blk_new(f, 512);
            put_read(q, r[i], sent++);
        }
        vq_kick(q);
        while (done < TOTAL) {
            vq_wait(q);
            while (vq_pop(q, NULL, &cookie) != VQ_NONE) {
                struct blk_req *one = cookie;

                if (*one->status != VIRTIO_BLK_S_OK)
                    front_fail("request %u: status %u", done, *one->status);
                done++;
                if (sent < TOTAL)
                    put_read(q, one, sent++ % 1000);
            }
            vq_kick(q);
        }
        front_free(f);
    }
    vub_free(v);
}

static void sixty_four_rings_on_three_workers(void **state)
{
    struct vub *v = vub_start(
        DISK("d", "'queues': 64, 'worker': ['a', 'b', 'c'], ", MEMORY));
    struct front_conf c = {.queues = 64, .size = 16, .mem_bytes = 256 << 20};

    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        struct front *f;

        c.packed = packed;
        f = front_new(v, "d", &c);
        for (unsigned i = 0; i < 64; i++)
            blk_verify(f->vq[i], i * 8, 4096, i);
        for (unsigned i = 0; i < 64; i += 2)
            vq_stop(f->vq[i]);
        for (unsigned i = 1; i < 64; i += 2)
            blk_verify(f->vq[i], i * 8, 4096, i);
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
            T(stopping_under_load_loses_nothing),
            T(split_rings_are_powers_of_two_up_to_1024),
            T(packed_rings_may_have_any_size_up_to_1024),
            T(the_config_may_ask_for_smaller_rings),
            T(a_size_said_before_the_features_is_checked_too), T(indices_wrap),
            T(sixty_four_rings_on_three_workers))
