/* What a relay passes on, and what it makes of answers: the test is front-end
 * and child. */
#include "rig.h"

#define PF_ACK FEATURE(WIRE_PF_REPLY_ACK)

static struct front_msg m;

static void an_answer_comes_once_and_as_it_was_asked_for(void **state)
{
    struct talk talk = talk_begin(PF_ACK);
    struct wire_state s = {0, 256};

    (void)state;
    front_send(talk.f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    child_need(talk.leg, WIRE_GET_FEATURES, &m);
    assert_int_equal(m.h.flags, WIRE_VERSION);
    child_answer_u64(talk.leg, WIRE_GET_FEATURES, RIG_FEATURES);
    front_reply(talk.f, WIRE_GET_FEATURES, &m);
    assert_int_equal(m.u64, RIG_FEATURES);

    /* One that wants no answer, and one that wants one. */
    front_send(talk.f, WIRE_SET_VRING_NUM, 0, &s, sizeof(s), NULL, 0);
    child_ok(talk.leg, WIRE_SET_VRING_NUM);
    front_send(talk.f, WIRE_SET_VRING_BASE, WIRE_NEED_REPLY, &s, sizeof(s),
               NULL, 0);
    child_ok(talk.leg, WIRE_SET_VRING_BASE);
    front_reply(talk.f, WIRE_SET_VRING_BASE, &m);
    assert_int_equal(m.u64, 0);
    talk_end(&talk);
}

static void acks_are_not_sent_to_who_has_not_acked_them(void **state)
{
    struct talk talk = talk_begin(0);
    struct wire_state s = {0, 256};

    (void)state;
    front_send(talk.f, WIRE_SET_VRING_NUM, WIRE_NEED_REPLY, &s, sizeof(s), NULL,
               0);
    child_ok(talk.leg, WIRE_SET_VRING_NUM);
    front_send(talk.f, WIRE_GET_FEATURES, WIRE_NEED_REPLY, NULL, 0, NULL, 0);
    child_need(talk.leg, WIRE_GET_FEATURES, &m);
    assert_int_equal(m.h.flags, WIRE_VERSION);
    child_answer_u64(talk.leg, WIRE_GET_FEATURES, 3);
    front_reply(talk.f, WIRE_GET_FEATURES, &m);
    talk_end(&talk);
}

static void a_refusal_that_cannot_be_told_ends_the_session(void **state)
{
    struct talk talk = talk_begin(PF_ACK);
    struct wire_state s = {0, 256};

    (void)state;
    front_send(talk.f, WIRE_SET_VRING_NUM, WIRE_NEED_REPLY, &s, sizeof(s), NULL,
               0);
    child_need(talk.leg, WIRE_SET_VRING_NUM, &m);
    child_answer_u64(talk.leg, WIRE_SET_VRING_NUM, 1);
    front_reply(talk.f, WIRE_SET_VRING_NUM, &m);
    assert_int_equal(m.u64, 1);
    /* What a child does not know is passed over. */
    front_send(talk.f, WIRE_SET_STATUS, 0, &s, sizeof(s), NULL, 0);
    child_need(talk.leg, WIRE_SET_STATUS, &m);
    child_answer_u64(talk.leg, WIRE_SET_STATUS, 1);

    /* The child is asked once more, to say why, and ends it. */
    front_send(talk.f, WIRE_SET_VRING_NUM, 0, &s, sizeof(s), NULL, 0);
    child_need(talk.leg, WIRE_SET_VRING_NUM, &m);
    assert_true(m.h.flags & WIRE_NEED_REPLY);
    child_answer_u64(talk.leg, WIRE_SET_VRING_NUM, 1);
    child_need(talk.leg, WIRE_SET_VRING_NUM, &m);
    assert_false(m.h.flags & WIRE_NEED_REPLY);
    rig_leg_ended(talk.r, talk.r->last_leg);
    front_need_hangup(talk.f);
    talk_end(&talk);
}

static void what_was_not_acked_is_refused_by_the_relay(void **state)
{
    struct talk talk = talk_begin(PF_ACK);
    struct wire_inflight in = {0, 0, 1, 128};

    (void)state;
    assert_int_equal(front_ack(talk.f, WIRE_GET_INFLIGHT_FD, &in,
                               WIRE_INFLIGHT_BYTES, NULL, 0),
                     1);
    assert_int_equal(front_ack(talk.f, WIRE_GET_QUEUE_NUM, NULL, 0, NULL, 0),
                     1);
    front_send(talk.f, WIRE_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0);
    front_send(talk.f, WIRE_SET_OWNER, 0, NULL, 0, NULL, 0);
    child_ok(talk.leg, WIRE_SET_OWNER);
    talk_end(&talk);
}

static void a_message_of_wrong_form_is_the_childs_to_judge(void **state)
{
    struct talk talk = talk_begin(PF_ACK);

    (void)state;
    front_send(talk.f, WIRE_SET_VRING_NUM, 0, "abc", 3, NULL, 0);
    child_need(talk.leg, WIRE_SET_VRING_NUM, &m);
    assert_int_equal(m.h.size, 3);
    rig_leg_ended(talk.r, talk.r->last_leg);
    front_need_hangup(talk.f);
    talk_end(&talk);
}

static void a_message_that_is_too_long_is_the_childs_to_judge(void **state)
{
    struct wire_header h = {WIRE_GET_FEATURES, WIRE_VERSION, 300}, got;
    struct talk talk = talk_begin(PF_ACK);

    (void)state;
    front_send_bytes(talk.f, &h, sizeof(h), NULL, 0);
    front_need_fd(talk.leg, POLLIN, "a header");
    assert_int_equal(read(talk.leg, &got, sizeof(got)), sizeof(got));
    assert_memory_equal(&got, &h, sizeof(h));
    /* It may be lost instead. */
    close(talk.leg);
    rig_child_lost(talk.r);
    front_need_hangup(talk.f);
    front_free(talk.f);
    rig_free(talk.r);
}

static void fds_go_along(void **state)
{
    struct talk talk = talk_begin(PF_ACK);
    struct wire_table t = {.num = 3};
    int fds[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        fds[i] = front_memfd(4096 * (unsigned)(i + 1));
    front_send(talk.f, WIRE_SET_MEM_TABLE, 0, &t, 8 + 3 * sizeof(t.regions[0]),
               fds, 3);
    child_need(talk.leg, WIRE_SET_MEM_TABLE, &m);
    assert_int_equal(m.num_fds, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(lseek(m.fds[i], 0, SEEK_END), 4096 * (i + 1));
        close(m.fds[i]);
        close(fds[i]);
    }
    child_answer_u64(talk.leg, WIRE_SET_MEM_TABLE, 0);
    talk_end(&talk);
}

static void a_front_end_without_a_record_gets_one(void **state)
{
    struct talk talk = talk_begin(PF_ACK);
    struct wire_state s = {0, 0};
    uint16_t version = 1;
    int record;

    (void)state;
    talk_kick(&talk);
    record = child_record(talk.leg);
    child_ok(talk.leg, WIRE_SET_VRING_KICK);
    talk_kick(&talk);
    child_ok(talk.leg, WIRE_SET_VRING_KICK);

    /* A ring that has stopped may start anywhere. */
    assert_int_equal(pwrite(record, &version, 2, 8), 2);
    front_send(talk.f, WIRE_GET_VRING_BASE, 0, &s, sizeof(s), NULL, 0);
    child_need(talk.leg, WIRE_GET_VRING_BASE, &m);
    child_answer(talk.leg, WIRE_GET_VRING_BASE, &s, sizeof(s));
    front_reply(talk.f, WIRE_GET_VRING_BASE, &m);
    assert_int_equal(pread(record, &version, 2, 8), 2);
    assert_int_equal(version, 0);
    close(record);
    talk_end(&talk);
}

static void a_front_end_with_a_record_keeps_it(void **state)
{
    struct talk talk = talk_begin(PF_ACK | FEATURE(WIRE_PF_INFLIGHT_SHMFD));
    struct wire_inflight in = {4096, 0, 1, 16};
    int fd = front_memfd(4096);

    (void)state;
    front_send(talk.f, WIRE_SET_INFLIGHT_FD, 0, &in, WIRE_INFLIGHT_BYTES, &fd,
               1);
    child_ok(talk.leg, WIRE_SET_INFLIGHT_FD);
    talk_kick(&talk);
    child_ok(talk.leg, WIRE_SET_VRING_KICK);
    close(fd);
    talk_end(&talk);
}

static void answer_with_fd(int leg, uint32_t request, const void *payload,
                           uint32_t len, int fd)
{
    struct wire_header h = {request, WIRE_VERSION | WIRE_REPLY, len};

    front_send_on(leg, false, &h, sizeof(h), &fd, 1);
    front_send_on(leg, false, payload, len, NULL, 0);
}

/* Fds under way count against the whole process's user. */
static void a_record_is_not_sent_before_the_last_one_is_read(void **state)
{
    struct talk talk = talk_begin(PF_ACK | FEATURE(WIRE_PF_INFLIGHT_SHMFD));
    struct wire_inflight in = {4096, 0, 1, 16};
    int fd = front_memfd(4096);

    (void)state;
    for (int i = 0; i < 2; i++)
        front_send(talk.f, WIRE_GET_INFLIGHT_FD, WIRE_NEED_REPLY, &in,
                   WIRE_INFLIGHT_BYTES, NULL, 0);
    child_need(talk.leg, WIRE_GET_INFLIGHT_FD, &m);
    answer_with_fd(talk.leg, WIRE_GET_INFLIGHT_FD, &in, WIRE_INFLIGHT_BYTES,
                   fd);
    front_send(talk.f, WIRE_SET_OWNER, 0, NULL, 0, NULL, 0);
    child_ok(talk.leg, WIRE_SET_OWNER);
    front_reply(talk.f, WIRE_GET_INFLIGHT_FD, &m);
    assert_int_equal(m.num_fds, 1);
    close(m.fds[0]);
    front_reply(talk.f, WIRE_GET_INFLIGHT_FD, &m);
    assert_int_equal(m.h.size, 8);
    assert_int_equal(m.u64, 1);

    front_send(talk.f, WIRE_GET_INFLIGHT_FD, 0, &in, WIRE_INFLIGHT_BYTES, NULL,
               0);
    child_need(talk.leg, WIRE_GET_INFLIGHT_FD, &m);
    answer_with_fd(talk.leg, WIRE_GET_INFLIGHT_FD, &in, WIRE_INFLIGHT_BYTES,
                   fd);
    front_reply(talk.f, WIRE_GET_INFLIGHT_FD, &m);
    assert_int_equal(m.num_fds, 1);
    close(m.fds[0]);
    close(fd);
    talk_end(&talk);
}

/* It would keep its connection from hanging up, in the transcript. */
static void a_socket_of_the_keepers_is_no_channel(void **state)
{
    struct talk talk = talk_begin(PF_ACK | FEATURE(WIRE_PF_BACKEND_REQ));

    (void)state;
    __atomic_store_n(&address_sockets_are_own, true, __ATOMIC_RELAXED);
    assert_int_equal(
        front_ack(talk.f, WIRE_SET_BACKEND_REQ_FD, NULL, 0, &talk.f->sock, 1),
        1);
    __atomic_store_n(&address_sockets_are_own, false, __ATOMIC_RELAXED);
    front_send(talk.f, WIRE_SET_OWNER, 0, NULL, 0, NULL, 0);
    child_ok(talk.leg, WIRE_SET_OWNER);
    talk_end(&talk);
}

static void a_half_done_session_goes_if_another_one_waits(void **state)
{
    struct talk talk = talk_begin(PF_ACK);
    struct front *other;
    int next;

    (void)state;
    front_send_bytes(talk.f, "\1\0\0\0", 4, NULL, 0);
    other = front_connect_path(talk.r->at.path);
    front_need_hangup(talk.f);
    next = child_greet(talk.r, RIG_FEATURES, 1);
    child_need_hangup(talk.leg);
    front_free(talk.f);
    talk.f = other;
    talk.leg = next;
    talk_end(&talk);
}

static void one_that_waits_for_the_child_is_not_half_done(void **state)
{
    struct talk talk = talk_begin(PF_ACK);
    struct front *other;
    int next;

    (void)state;
    front_send(talk.f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    child_need(talk.leg, WIRE_GET_FEATURES, &m);
    other = front_connect_path(talk.r->at.path);
    assert_false(front_wait_fd(talk.f->sock, POLLIN, 4000));
    child_answer_u64(talk.leg, WIRE_GET_FEATURES, 1);
    front_reply(talk.f, WIRE_GET_FEATURES, &m);
    front_free(talk.f);
    next = child_greet(talk.r, RIG_FEATURES, 1);
    child_need_hangup(talk.leg);
    talk.f = other;
    talk.leg = next;
    talk_end(&talk);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(an_answer_comes_once_and_as_it_was_asked_for),
        T(acks_are_not_sent_to_who_has_not_acked_them),
        T(a_refusal_that_cannot_be_told_ends_the_session),
        T(what_was_not_acked_is_refused_by_the_relay),
        T(a_message_of_wrong_form_is_the_childs_to_judge),
        T(a_message_that_is_too_long_is_the_childs_to_judge),
        T(fds_go_along),
        T(a_front_end_without_a_record_gets_one),
        T(a_front_end_with_a_record_keeps_it),
        T(a_record_is_not_sent_before_the_last_one_is_read),
        T(a_socket_of_the_keepers_is_no_channel),
        T(a_half_done_session_goes_if_another_one_waits),
        T(one_that_waits_for_the_child_is_not_half_done),
    };

    return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
