/* A relay whose child is lost: the next one is told what the front-end has
 * said, and the front-end notices nothing, or goes. The test is front-end and
 * child. */
#include "rig.h"

#define PF_ACK FEATURE(WIRE_PF_REPLY_ACK)

static struct front_msg m;

static void the_next_child_is_told_what_was_said(void **state)
{
    struct talk talk = talk_begin(PF_ACK);
    uint64_t features = FEATURE(VIRTIO_F_VERSION_1);
    struct wire_state s = {0, 256};

    (void)state;
    front_send(talk.f, WIRE_SET_FEATURES, 0, &features, sizeof(features), NULL,
               0);
    child_ok(talk.leg, WIRE_SET_FEATURES);
    front_send(talk.f, WIRE_SET_VRING_NUM, 0, &s, sizeof(s), NULL, 0);
    child_ok(talk.leg, WIRE_SET_VRING_NUM);
    talk_kick(&talk);
    close(child_record(talk.leg));
    child_ok(talk.leg, WIRE_SET_VRING_KICK);
    close(talk.leg);
    rig_child_lost(talk.r);

    /* Before it is there. */
    front_send(talk.f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    rig_child_here(talk.r);
    talk.leg = child_greet(talk.r, RIG_FEATURES, 0);
    child_need(talk.leg, WIRE_SET_PROTOCOL_FEATURES, &m);
    assert_true(m.u64 & FEATURE(WIRE_PF_INFLIGHT_SHMFD));
    child_answer_u64(talk.leg, WIRE_SET_PROTOCOL_FEATURES, 0);
    child_need(talk.leg, WIRE_SET_FEATURES, &m);
    assert_int_equal(m.u64, features);
    child_answer_u64(talk.leg, WIRE_SET_FEATURES, 0);
    close(child_record(talk.leg));
    child_ok(talk.leg, WIRE_SET_VRING_NUM);
    child_ok(talk.leg, WIRE_SET_VRING_KICK);
    child_need(talk.leg, WIRE_GET_FEATURES, &m);
    child_answer_u64(talk.leg, WIRE_GET_FEATURES, 7);
    front_reply(talk.f, WIRE_GET_FEATURES, &m);
    assert_int_equal(m.u64, 7);
    talk_end(&talk);
}

static void what_was_not_answered_is_asked_again(void **state)
{
    struct talk talk = talk_begin(PF_ACK);
    struct wire_state s = {0, 0};
    int fd = front_memfd(4096);
    uint64_t ring = 0;

    (void)state;
    front_send(talk.f, WIRE_SET_VRING_CALL, WIRE_NEED_REPLY, &ring,
               sizeof(ring), &fd, 1);
    close(fd);
    for (int i = 0; i < 3; i++) {
        child_need(talk.leg, WIRE_SET_VRING_CALL, &m);
        assert_int_equal(m.num_fds, 1);
        assert_int_equal(lseek(m.fds[0], 0, SEEK_END), 4096);
        close(m.fds[0]);
        /* It hangs up before its end is seen, or after. */
        if (i & 1)
            rig_child_lost(talk.r);
        talk_next_child(&talk, RIG_FEATURES);
        child_ok(talk.leg, WIRE_SET_PROTOCOL_FEATURES);
    }
    child_ok(talk.leg, WIRE_SET_VRING_CALL);
    front_reply(talk.f, WIRE_SET_VRING_CALL, &m);
    assert_int_equal(m.u64, 0);

    front_send(talk.f, WIRE_GET_VRING_BASE, 0, &s, sizeof(s), NULL, 0);
    child_need(talk.leg, WIRE_GET_VRING_BASE, &m);
    talk_next_child(&talk, RIG_FEATURES);
    child_ok(talk.leg, WIRE_SET_PROTOCOL_FEATURES);
    child_ok(talk.leg, WIRE_SET_VRING_CALL);
    child_need(talk.leg, WIRE_GET_VRING_BASE, &m);
    s.num = 77;
    child_answer(talk.leg, WIRE_GET_VRING_BASE, &s, sizeof(s));
    front_reply(talk.f, WIRE_GET_VRING_BASE, &m);
    assert_int_equal(m.state.num, 77);
    talk_end(&talk);
}

static void a_child_that_offers_less_is_not_gone_on_with(void **state)
{
    struct talk talk = talk_begin(PF_ACK);
    uint64_t features = RIG_FEATURES;

    (void)state;
    front_send(talk.f, WIRE_SET_FEATURES, WIRE_NEED_REPLY, &features,
               sizeof(features), NULL, 0);
    child_ok(talk.leg, WIRE_SET_FEATURES);
    front_reply(talk.f, WIRE_SET_FEATURES, &m);
    talk_next_child(&talk, FEATURE(VIRTIO_F_VERSION_1));
    front_need_hangup(talk.f);
    talk_end(&talk);
}

static void a_front_end_may_go_while_it_waits(void **state)
{
    struct talk talk = talk_begin(PF_ACK);

    (void)state;
    front_send(talk.f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    child_need(talk.leg, WIRE_GET_FEATURES, &m);
    close(talk.leg);
    rig_child_lost(talk.r);
    front_free(talk.f);
    rig_need_disconnected(talk.r, 1);
    talk.f = front_connect_path(talk.r->at.path); /* waits in the backlog */
    front_send(talk.f, WIRE_SET_OWNER, 0, NULL, 0, NULL, 0);
    rig_child_here(talk.r);
    talk.leg = child_greet(talk.r, RIG_FEATURES, 1);
    child_ok(talk.leg, WIRE_SET_OWNER);
    talk_end(&talk);
}

/* What the device knows of a guest is not the next one's to see. */
static void a_guest_that_ends_while_no_child_is_there_is_forgotten(void **state)
{
    struct talk talk = talk_begin(PF_ACK);
    struct wire_state s = {0, 0};

    (void)state;
    talk_kick(&talk);
    close(child_record(talk.leg));
    child_ok(talk.leg, WIRE_SET_VRING_KICK);
    front_send(talk.f, WIRE_GET_VRING_BASE, 0, &s, sizeof(s), NULL, 0);
    child_need(talk.leg, WIRE_GET_VRING_BASE, &m);
    child_answer(talk.leg, WIRE_GET_VRING_BASE, &s, sizeof(s));
    front_reply(talk.f, WIRE_GET_VRING_BASE, &m);
    close(talk.leg);
    rig_child_lost(talk.r);
    front_free(talk.f);
    rig_need_disconnected(talk.r, 1);

    rig_child_here(talk.r);
    talk.f = front_connect_path(talk.r->at.path);
    talk.leg = child_greet(talk.r, RIG_FEATURES, 1);
    child_ok(talk.leg, WIRE_RESET_DEVICE);
    front_send(talk.f, WIRE_SET_OWNER, 0, NULL, 0, NULL, 0);
    child_ok(talk.leg, WIRE_SET_OWNER);
    talk_end(&talk);
}

static void a_front_end_is_dropped_if_no_child_comes(void **state)
{
    struct talk talk = talk_begin(PF_ACK);

    (void)state;
    rig_give_up(talk.r); /* nothing to give up */
    close(talk.leg);
    rig_child_lost(talk.r);
    rig_give_up(talk.r);
    front_need_hangup(talk.f);
    front_free(talk.f);
    talk.f = front_connect_path(talk.r->at.path);
    rig_child_here(talk.r);
    talk.leg = child_greet(talk.r, RIG_FEATURES, 1);
    talk_end(&talk);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(the_next_child_is_told_what_was_said),
        T(what_was_not_answered_is_asked_again),
        T(a_child_that_offers_less_is_not_gone_on_with),
        T(a_front_end_may_go_while_it_waits),
        T(a_guest_that_ends_while_no_child_is_there_is_forgotten),
        T(a_front_end_is_dropped_if_no_child_comes),
    };

    return cmocka_run_group_tests_name("relay_lost", tests, NULL, NULL);
}
