/* How large rings may be, how many, and how long they last. */
#include "rings.h"

static struct vub *start(void)
{
    return vub_start(DISK("d", "'queues': 2, ", MEMORY));
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

BEHAVE_MAIN(T(split_rings_are_powers_of_two_up_to_1024),
            T(packed_rings_may_have_any_size_up_to_1024),
            T(the_config_may_ask_for_smaller_rings),
            T(a_size_said_before_the_features_is_checked_too), T(indices_wrap),
            T(sixty_four_rings_on_three_workers))
