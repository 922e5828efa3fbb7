/* A child that is killed at each message, and at each of three moments of it:
 * the front-end goes through a whole session and notices nothing, and what it
 * has written is there. */
#include "kids.h"

#define DISK_BYTES (4u << 20)
#define PF(name) FEATURE(WIRE_PF_##name)

static struct front_msg m;

/* A whole session, with data; all answers are what they ought to be. */
static void live(struct rig *r, const struct front_conf *c)
{
    struct front *f = front_connect_path(r->at.path);
    uint32_t base;

    front_set_up(f, c);
    assert_int_equal(blk_capacity(f), DISK_BYTES / 512);
    blk_verify(f->vq[0], 0, 4096, 1);
    blk_verify(f->vq[0], 64, 65536, 2);
    base = vq_stop(f->vq[0]);
    assert_int_equal(base & 0x7fff, f->vq[0]->avail_idx & 0x7fff);
    vq_start(f->vq[0]);
    blk_verify(f->vq[0], 8, 8192, 3);
    vq_stop(f->vq[0]);
    vq_reset(f->vq[0]);
    vq_start(f->vq[0]);
    blk_verify(f->vq[0], 16, 8192, 4);
    assert_false(front_wait_fd(f->sock, POLLIN, 0)); /* no answer too many */
    front_free(f);
}

static void live_and_die(const struct front_conf *c, enum kids_kill when)
{
    struct rig *r = rig_new(NULL);
    unsigned n = 0;

    kids_start(r, DISK_BYTES);
    do {
        front_note("message %u, moment %d", n, when);
        kids_kill_at(r, n, when, 0);
        live(r, c);
        n++;
    } while (kids_killed(r) == n);
    assert_true(n > 25);
    kids_stop(r);
    rig_free(r);
}

static void a_session_outlives_a_child_before_any_message(void **state)
{
    (void)state;
    live_and_die(&(struct front_conf){.event_idx = true}, KILL_BEFORE);
}

static void a_session_outlives_a_child_that_has_not_answered(void **state)
{
    (void)state;
    live_and_die(&(struct front_conf){.packed = true}, KILL_UNANSWERED);
}

static void a_session_outlives_a_child_that_has_answered(void **state)
{
    (void)state;
    live_and_die(&(struct front_conf){.inflight = true, .indirect = true},
                 KILL_ANSWERED);
}

static void a_front_end_without_acks_notices_nothing_either(void **state)
{
    (void)state;
    live_and_die(&(struct front_conf){.protocol_off = PF(REPLY_ACK) |
                                                      PF(INFLIGHT_SHMFD) |
                                                      PF(MQ)},
                 KILL_UNANSWERED);
}

/* Telling it all takes some messages: the second of those is the next child's
 * last one, and so on. */
static void children_may_die_while_they_are_told(void **state)
{
    struct rig *r = rig_new(NULL);
    struct front *f;

    (void)state;
    kids_start(r, DISK_BYTES);
    f = front_connect_path(r->at.path);
    front_set_up(f, &(struct front_conf){.packed = true});
    for (unsigned n = 0; n < 16; n++) {
        unsigned before = kids_killed(r);

        front_note("message %u", n);
        kids_kill_at(r, n, n % 3, 0);
        kids_kill(r);
        blk_verify(f->vq[0], 8 * n, 4096, n);
        front_settle(f);
        assert_true(kids_killed(r) >= before + 1);
    }
    front_free(f);
    kids_stop(r);
    rig_free(r);
}

#define REQUESTS 32

/* Requests in flight when it dies are served by the next one, each once. */
static void requests_in_flight_are_served(void **state)
{
    static const struct front_conf confs[] = {
        {.event_idx = true},
        {.packed = true, .indirect = true},
        {.inflight = true},
    };
    struct blk_req *reqs[REQUESTS];
    struct rig *r = rig_new(NULL);

    (void)state;
    kids_start(r, DISK_BYTES);
    for (unsigned c = 0; c < ARRAY_LEN(confs); c++) {
        struct front *f = front_connect_path(r->at.path);

        front_set_up(f, &confs[c]);
        for (unsigned round = 0; round < 8; round++) {
            front_note("conf %u, round %u", c, round);
            for (unsigned i = 0; i < REQUESTS; i++) {
                reqs[i] = blk_new(f, 65536);
                front_fill(reqs[i]->data, 65536, round * REQUESTS + i);
                blk_go(f->vq[0], reqs[i], VIRTIO_BLK_T_OUT, i * 128, 65536);
                if (i == 4 * round)
                    kids_kill(r);
            }
            kids_kill(r);
            for (unsigned i = 0; i < REQUESTS; i++) {
                static uint8_t want[65536], got[65536];

                assert_int_equal(blk_wait(f->vq[0], reqs[i]), VIRTIO_BLK_S_OK);
                blk_free(reqs[i]);
                front_fill(want, sizeof(want), round * REQUESTS + i);
                blk_read(f->vq[0], i * 128, got, sizeof(got));
                assert_memory_equal(got, want, sizeof(got));
            }
        }
        front_free(f);
    }
    kids_stop(r);
    rig_free(r);
}

/* Whatever a stopped ring has taken is answered, whoever has taken it, and if
 * the ring has been disabled since. */
static void stopped_rings_have_nothing_in_flight(void **state)
{
    static const struct front_conf confs[] = {
        {.event_idx = true},
        {.packed = true},
        {.inflight = true},
    };
    struct rig *r = rig_new(NULL);

    (void)state;
    kids_start(r, DISK_BYTES);
    for (unsigned c = 0; c < ARRAY_LEN(confs); c++) {
        struct front *f = front_connect_path(r->at.path);
        struct blk_req *req;

        front_note("conf %u", c);
        kids_stick(r);
        front_set_up(f, &confs[c]);
        req = blk_new(f, 512);
        blk_go(f->vq[0], req, VIRTIO_BLK_T_OUT, KIDS_STUCK, 512);
        blk_verify(f->vq[0], 0, 512, c);
        assert_false(req->done);
        vq_enable(f->vq[0], false);
        kids_kill(r);
        vq_stop(f->vq[0]);
        assert_int_equal(vq_used(f->vq[0]), 1);
        assert_int_equal(blk_wait(f->vq[0], req), VIRTIO_BLK_S_OK);
        vq_start(f->vq[0]);
        blk_verify(f->vq[0], 0, 512, c);
        front_free(f);
    }
    kids_stop(r);
    rig_free(r);
}

/* As after a migration, the dirty log and the back-end channel are the next
 * child's too. */
static void log_and_channel_are_passed_on(void **state)
{
    struct rig *r = rig_new(NULL);
    struct front *f;
    uint8_t wce = 0;

    (void)state;
    kids_start(r, DISK_BYTES);
    f = front_connect_path(r->at.path);
    front_set_up(f, &(struct front_conf){.backend_channel = true});
    front_log_start(f);
    kids_kill(r);
    front_settle(f);
    front_log_clear(f);
    blk_verify(f->vq[0], 0, 4096, 9);
    assert_true(front_log_count(f) > 0);
    kids_kill(r);
    front_log_stop(f);
    front_need_config_change(f); /* what has changed meanwhile nobody knows */
    assert_int_equal(
        front_set_config(f, offsetof(struct virtio_blk_config, writeback), &wce,
                         1),
        0);
    front_free(f);
    kids_stop(r);
    rig_free(r);
}

static void a_device_is_reset_though_its_child_dies(void **state)
{
    struct rig *r = rig_new(NULL);

    (void)state;
    kids_start(r, DISK_BYTES);
    for (unsigned when = 0; when < 3; when++) {
        struct front *f = front_connect_path(r->at.path);

        front_set_up(f, &(struct front_conf){.packed = true});
        blk_verify(f->vq[0], 0, 4096, when);
        kids_kill_at(r, 0, when, 0);
        front_ok(f, WIRE_RESET_DEVICE, NULL, 0, NULL, 0);
        vq_reset(f->vq[0]);
        vq_start(f->vq[0]);
        blk_verify(f->vq[0], 8, 4096, when);
        front_free(f);
    }
    assert_int_equal(kids_killed(r), 3);
    kids_stop(r);
    rig_free(r);
}

/* Once in the middle of requests; the next child is killed too. */
static void a_front_end_is_handed_on(void **state)
{
    static const struct front_conf confs[] = {
        {.event_idx = true},
        {.packed = true},
        {.inflight = true, .packed = true},
    };
    struct rig *r = rig_new(NULL);

    (void)state;
    kids_start(r, DISK_BYTES);
    assert_false(kids_hand_on(r));
    for (unsigned c = 0; c < ARRAY_LEN(confs); c++) {
        struct front *f = front_connect_path(r->at.path);
        struct blk_req *reqs[REQUESTS];

        front_note("conf %u", c);
        front_set_up(f, &confs[c]);
        for (unsigned i = 0; i < REQUESTS; i++) {
            reqs[i] = blk_new(f, 65536);
            blk_go(f->vq[0], reqs[i], VIRTIO_BLK_T_OUT, i * 128, 65536);
        }
        assert_true(kids_hand_on(r));
        for (unsigned i = 0; i < REQUESTS; i++)
            assert_int_equal(blk_wait(f->vq[0], reqs[i]), VIRTIO_BLK_S_OK);
        blk_verify(f->vq[0], 0, 4096, 1);
        kids_kill(r);
        blk_verify(f->vq[0], 0, 4096, 2);
        assert_true(kids_hand_on(r));
        blk_verify(f->vq[0], 0, 4096, 3);
        vq_stop(f->vq[0]);
        if (!confs[c].inflight) /* a record of its own it would reset too */
            vq_reset(f->vq[0]);
        assert_true(kids_hand_on(r));
        vq_start(f->vq[0]);
        blk_verify(f->vq[0], 0, 4096, 4);
        front_free(f);
        assert_false(kids_hand_on(r));
    }
    assert_int_equal(r->arrived, 3 * ARRAY_LEN(confs));
    kids_stop(r);
    rig_free(r);
}

static void front_ends_come_and_go_with_children(void **state)
{
    struct rig *r = rig_new(NULL);

    (void)state;
    kids_start(r, DISK_BYTES);
    for (unsigned i = 0; i < 10; i++) {
        struct front *f = front_connect_path(r->at.path);

        front_send(f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
        if (i & 1)
            kids_kill(r);
        front_reply(f, WIRE_GET_FEATURES, &m);
        front_free(f);
        if (i & 2)
            kids_kill(r);
        live(r, &(struct front_conf){.packed = i & 1});
    }
    kids_stop(r);
    rig_free(r);
}

int main(int argc, char **argv)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(a_session_outlives_a_child_before_any_message),
        T(a_session_outlives_a_child_that_has_not_answered),
        T(a_session_outlives_a_child_that_has_answered),
        T(a_front_end_without_acks_notices_nothing_either),
        T(children_may_die_while_they_are_told),
        T(requests_in_flight_are_served),
        T(stopped_rings_have_nothing_in_flight),
        T(log_and_channel_are_passed_on),
        T(a_device_is_reset_though_its_child_dies),
        T(a_front_end_is_handed_on),
        T(front_ends_come_and_go_with_children),
    };

    kids_main(argc, argv);
    return cmocka_run_group_tests_name("relay_kill", tests, NULL, NULL);
}
