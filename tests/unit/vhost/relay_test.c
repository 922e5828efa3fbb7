/* What a relay passes on, and what it makes of answers: the test is front-end
 * and child. */
#include "rig.h"

#define PF_ACK FEATURE(WIRE_PF_REPLY_ACK)

static struct front_msg m;

/* A front-end that has acked these protocol features, and its leg. */
static struct front *begin(struct rig *r, uint64_t protocol, int *leg)
{
    struct front *f;

    rig_child_here(r);
    f = front_connect_path(r->at.path);
    *leg = child_greet(r, RIG_FEATURES, 1);
    if (!protocol)
        return f;
    front_send(f, WIRE_SET_PROTOCOL_FEATURES, 0, &protocol, sizeof(protocol),
               NULL, 0);
    child_need(*leg, WIRE_SET_PROTOCOL_FEATURES, &m);
    assert_int_equal(m.u64,
                     protocol | PF_ACK | FEATURE(WIRE_PF_INFLIGHT_SHMFD));
    child_answer_u64(*leg, WIRE_SET_PROTOCOL_FEATURES, 0);
    f->protocol = protocol;
    return f;
}

static void end(struct rig *r, struct front *f, int leg)
{
    front_free(f);
    child_need_hangup(leg);
    rig_free(r);
}

static void an_answer_comes_once_and_as_it_was_asked_for(void **state)
{
    struct rig *r = rig_new(NULL);
    struct wire_state s = {0, 256};
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    front_send(f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    child_need(leg, WIRE_GET_FEATURES, &m);
    assert_int_equal(m.h.flags, WIRE_VERSION);
    child_answer_u64(leg, WIRE_GET_FEATURES, RIG_FEATURES);
    front_reply(f, WIRE_GET_FEATURES, &m);
    assert_int_equal(m.u64, RIG_FEATURES);

    /* One that wants no answer, and one that wants one. */
    front_send(f, WIRE_SET_VRING_NUM, 0, &s, sizeof(s), NULL, 0);
    child_ok(leg, WIRE_SET_VRING_NUM);
    front_send(f, WIRE_SET_VRING_BASE, WIRE_NEED_REPLY, &s, sizeof(s), NULL, 0);
    child_ok(leg, WIRE_SET_VRING_BASE);
    front_reply(f, WIRE_SET_VRING_BASE, &m);
    assert_int_equal(m.u64, 0);
    end(r, f, leg);
}

static void acks_are_not_sent_to_who_has_not_acked_them(void **state)
{
    struct rig *r = rig_new(NULL);
    struct wire_state s = {0, 256};
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, 0, &leg);
    front_send(f, WIRE_SET_VRING_NUM, WIRE_NEED_REPLY, &s, sizeof(s), NULL, 0);
    child_ok(leg, WIRE_SET_VRING_NUM);
    front_send(f, WIRE_GET_FEATURES, WIRE_NEED_REPLY, NULL, 0, NULL, 0);
    child_need(leg, WIRE_GET_FEATURES, &m);
    assert_int_equal(m.h.flags, WIRE_VERSION);
    child_answer_u64(leg, WIRE_GET_FEATURES, 3);
    front_reply(f, WIRE_GET_FEATURES, &m);
    end(r, f, leg);
}

static void a_refusal_that_cannot_be_told_ends_the_session(void **state)
{
    struct rig *r = rig_new(NULL);
    struct wire_state s = {0, 256};
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    front_send(f, WIRE_SET_VRING_NUM, WIRE_NEED_REPLY, &s, sizeof(s), NULL, 0);
    child_need(leg, WIRE_SET_VRING_NUM, &m);
    child_answer_u64(leg, WIRE_SET_VRING_NUM, 1);
    front_reply(f, WIRE_SET_VRING_NUM, &m);
    assert_int_equal(m.u64, 1);
    /* What a child does not know is passed over. */
    front_send(f, WIRE_SET_STATUS, 0, &s, sizeof(s), NULL, 0);
    child_need(leg, WIRE_SET_STATUS, &m);
    child_answer_u64(leg, WIRE_SET_STATUS, 1);

    /* The child is asked once more, to say why, and ends it. */
    front_send(f, WIRE_SET_VRING_NUM, 0, &s, sizeof(s), NULL, 0);
    child_need(leg, WIRE_SET_VRING_NUM, &m);
    assert_true(m.h.flags & WIRE_NEED_REPLY);
    child_answer_u64(leg, WIRE_SET_VRING_NUM, 1);
    child_need(leg, WIRE_SET_VRING_NUM, &m);
    assert_false(m.h.flags & WIRE_NEED_REPLY);
    rig_leg_ended(r, r->last_leg);
    front_need_hangup(f);
    end(r, f, leg);
}

static void what_was_not_acked_is_refused_by_the_relay(void **state)
{
    struct rig *r = rig_new(NULL);
    struct wire_inflight in = {0, 0, 1, 128};
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    assert_int_equal(
        front_ack(f, WIRE_GET_INFLIGHT_FD, &in, WIRE_INFLIGHT_BYTES, NULL, 0),
        1);
    assert_int_equal(front_ack(f, WIRE_GET_QUEUE_NUM, NULL, 0, NULL, 0), 1);
    front_send(f, WIRE_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0);
    front_send(f, WIRE_SET_OWNER, 0, NULL, 0, NULL, 0);
    child_ok(leg, WIRE_SET_OWNER);
    end(r, f, leg);
}

static void a_message_of_wrong_form_is_the_childs_to_judge(void **state)
{
    struct rig *r = rig_new(NULL);
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    front_send(f, WIRE_SET_VRING_NUM, 0, "abc", 3, NULL, 0);
    child_need(leg, WIRE_SET_VRING_NUM, &m);
    assert_int_equal(m.h.size, 3);
    rig_leg_ended(r, r->last_leg);
    front_need_hangup(f);
    end(r, f, leg);
}

static void a_message_that_is_too_long_is_the_childs_to_judge(void **state)
{
    struct wire_header h = {WIRE_GET_FEATURES, WIRE_VERSION, 300}, got;
    struct rig *r = rig_new(NULL);
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    front_send_bytes(f, &h, sizeof(h), NULL, 0);
    front_need_fd(leg, POLLIN, "a header");
    assert_int_equal(read(leg, &got, sizeof(got)), sizeof(got));
    assert_memory_equal(&got, &h, sizeof(h));
    /* It may be lost instead. */
    close(leg);
    rig_child_lost(r);
    front_need_hangup(f);
    front_free(f);
    rig_free(r);
}

static void fds_go_along(void **state)
{
    struct rig *r = rig_new(NULL);
    struct wire_table t = {.num = 3};
    struct front *f;
    int leg, fds[3];

    (void)state;
    f = begin(r, PF_ACK, &leg);
    for (int i = 0; i < 3; i++)
        fds[i] = front_memfd(4096 * (unsigned)(i + 1));
    front_send(f, WIRE_SET_MEM_TABLE, 0, &t, 8 + 3 * sizeof(t.regions[0]), fds,
               3);
    child_need(leg, WIRE_SET_MEM_TABLE, &m);
    assert_int_equal(m.num_fds, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(lseek(m.fds[i], 0, SEEK_END), 4096 * (i + 1));
        close(m.fds[i]);
        close(fds[i]);
    }
    child_answer_u64(leg, WIRE_SET_MEM_TABLE, 0);
    end(r, f, leg);
}

/* The last record is the relay's own. */
static void need_record(int leg, int *fd)
{
    child_need(leg, WIRE_SET_INFLIGHT_FD, &m);
    assert_int_equal(m.inflight.num_queues, 1);
    assert_int_equal(m.inflight.queue_size, 1024);
    assert_int_equal(m.num_fds, 1);
    *fd = m.fds[0];
    child_answer_u64(leg, WIRE_SET_INFLIGHT_FD, 0);
}

static void send_kick(struct front *f)
{
    uint64_t u64 = WIRE_VRING_NOFD;

    front_send(f, WIRE_SET_VRING_KICK, 0, &u64, sizeof(u64), NULL, 0);
}

static void a_front_end_without_a_record_gets_one(void **state)
{
    struct rig *r = rig_new(NULL);
    struct wire_state s = {0, 0};
    uint16_t version = 1;
    struct front *f;
    int leg, record;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    send_kick(f);
    need_record(leg, &record);
    child_ok(leg, WIRE_SET_VRING_KICK);
    send_kick(f);
    child_ok(leg, WIRE_SET_VRING_KICK);

    /* A ring that has stopped may start anywhere. */
    assert_int_equal(pwrite(record, &version, 2, 8), 2);
    front_send(f, WIRE_GET_VRING_BASE, 0, &s, sizeof(s), NULL, 0);
    child_need(leg, WIRE_GET_VRING_BASE, &m);
    child_answer(leg, WIRE_GET_VRING_BASE, &s, sizeof(s));
    front_reply(f, WIRE_GET_VRING_BASE, &m);
    assert_int_equal(pread(record, &version, 2, 8), 2);
    assert_int_equal(version, 0);
    close(record);
    end(r, f, leg);
}

static void a_front_end_with_a_record_keeps_it(void **state)
{
    struct rig *r = rig_new(NULL);
    struct wire_inflight in = {4096, 0, 1, 16};
    struct front *f;
    int leg, fd = front_memfd(4096);

    (void)state;
    f = begin(r, PF_ACK | FEATURE(WIRE_PF_INFLIGHT_SHMFD), &leg);
    front_send(f, WIRE_SET_INFLIGHT_FD, 0, &in, WIRE_INFLIGHT_BYTES, &fd, 1);
    child_ok(leg, WIRE_SET_INFLIGHT_FD);
    send_kick(f);
    child_ok(leg, WIRE_SET_VRING_KICK);
    close(fd);
    end(r, f, leg);
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
    struct rig *r = rig_new(NULL);
    struct wire_inflight in = {4096, 0, 1, 16};
    struct front *f;
    int leg, fd = front_memfd(4096);

    (void)state;
    f = begin(r, PF_ACK | FEATURE(WIRE_PF_INFLIGHT_SHMFD), &leg);
    for (int i = 0; i < 2; i++)
        front_send(f, WIRE_GET_INFLIGHT_FD, WIRE_NEED_REPLY, &in,
                   WIRE_INFLIGHT_BYTES, NULL, 0);
    child_need(leg, WIRE_GET_INFLIGHT_FD, &m);
    answer_with_fd(leg, WIRE_GET_INFLIGHT_FD, &in, WIRE_INFLIGHT_BYTES, fd);
    front_send(f, WIRE_SET_OWNER, 0, NULL, 0, NULL, 0);
    child_ok(leg, WIRE_SET_OWNER);
    front_reply(f, WIRE_GET_INFLIGHT_FD, &m);
    assert_int_equal(m.num_fds, 1);
    close(m.fds[0]);
    front_reply(f, WIRE_GET_INFLIGHT_FD, &m);
    assert_int_equal(m.h.size, 8);
    assert_int_equal(m.u64, 1);

    front_send(f, WIRE_GET_INFLIGHT_FD, 0, &in, WIRE_INFLIGHT_BYTES, NULL, 0);
    child_need(leg, WIRE_GET_INFLIGHT_FD, &m);
    answer_with_fd(leg, WIRE_GET_INFLIGHT_FD, &in, WIRE_INFLIGHT_BYTES, fd);
    front_reply(f, WIRE_GET_INFLIGHT_FD, &m);
    assert_int_equal(m.num_fds, 1);
    close(m.fds[0]);
    close(fd);
    end(r, f, leg);
}

/* It would keep its connection from hanging up, in the transcript. */
static void a_socket_of_the_keepers_is_no_channel(void **state)
{
    struct rig *r = rig_new(NULL);
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, PF_ACK | FEATURE(WIRE_PF_BACKEND_REQ), &leg);
    __atomic_store_n(&address_sockets_are_own, true, __ATOMIC_RELAXED);
    assert_int_equal(
        front_ack(f, WIRE_SET_BACKEND_REQ_FD, NULL, 0, &f->sock, 1), 1);
    __atomic_store_n(&address_sockets_are_own, false, __ATOMIC_RELAXED);
    front_send(f, WIRE_SET_OWNER, 0, NULL, 0, NULL, 0);
    child_ok(leg, WIRE_SET_OWNER);
    end(r, f, leg);
}

/* ---- a child that is lost ---- */

static void the_next_child_is_told_what_was_said(void **state)
{
    struct rig *r = rig_new(NULL);
    uint64_t features = FEATURE(VIRTIO_F_VERSION_1);
    struct wire_state s = {0, 256};
    struct front *f;
    int leg, record;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    front_send(f, WIRE_SET_FEATURES, 0, &features, sizeof(features), NULL, 0);
    child_ok(leg, WIRE_SET_FEATURES);
    front_send(f, WIRE_SET_VRING_NUM, 0, &s, sizeof(s), NULL, 0);
    child_ok(leg, WIRE_SET_VRING_NUM);
    send_kick(f);
    need_record(leg, &record);
    close(record);
    child_ok(leg, WIRE_SET_VRING_KICK);
    close(leg);
    rig_child_lost(r);

    /* Before it is there. */
    front_send(f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    rig_child_here(r);
    leg = child_greet(r, RIG_FEATURES, 0);
    child_need(leg, WIRE_SET_PROTOCOL_FEATURES, &m);
    assert_true(m.u64 & FEATURE(WIRE_PF_INFLIGHT_SHMFD));
    child_answer_u64(leg, WIRE_SET_PROTOCOL_FEATURES, 0);
    child_need(leg, WIRE_SET_FEATURES, &m);
    assert_int_equal(m.u64, features);
    child_answer_u64(leg, WIRE_SET_FEATURES, 0);
    need_record(leg, &record);
    close(record);
    child_ok(leg, WIRE_SET_VRING_NUM);
    child_ok(leg, WIRE_SET_VRING_KICK);
    child_need(leg, WIRE_GET_FEATURES, &m);
    child_answer_u64(leg, WIRE_GET_FEATURES, 7);
    front_reply(f, WIRE_GET_FEATURES, &m);
    assert_int_equal(m.u64, 7);
    end(r, f, leg);
}

static void what_was_not_answered_is_asked_again(void **state)
{
    struct rig *r = rig_new(NULL);
    struct wire_state s = {0, 0};
    struct front *f;
    int leg, fd = front_memfd(4096);
    uint64_t ring = 0;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    front_send(f, WIRE_SET_VRING_CALL, WIRE_NEED_REPLY, &ring, sizeof(ring),
               &fd, 1);
    close(fd);
    for (int i = 0; i < 3; i++) {
        child_need(leg, WIRE_SET_VRING_CALL, &m);
        assert_int_equal(m.num_fds, 1);
        assert_int_equal(lseek(m.fds[0], 0, SEEK_END), 4096);
        close(m.fds[0]);
        /* It hangs up before its end is seen, or after. */
        if (i & 1)
            rig_child_lost(r);
        close(leg);
        rig_child_lost(r);
        rig_child_here(r);
        leg = child_greet(r, RIG_FEATURES, 0);
        child_ok(leg, WIRE_SET_PROTOCOL_FEATURES);
    }
    child_ok(leg, WIRE_SET_VRING_CALL);
    front_reply(f, WIRE_SET_VRING_CALL, &m);
    assert_int_equal(m.u64, 0);

    front_send(f, WIRE_GET_VRING_BASE, 0, &s, sizeof(s), NULL, 0);
    child_need(leg, WIRE_GET_VRING_BASE, &m);
    close(leg);
    rig_child_lost(r);
    rig_child_here(r);
    leg = child_greet(r, RIG_FEATURES, 0);
    child_ok(leg, WIRE_SET_PROTOCOL_FEATURES);
    child_ok(leg, WIRE_SET_VRING_CALL);
    child_need(leg, WIRE_GET_VRING_BASE, &m);
    s.num = 77;
    child_answer(leg, WIRE_GET_VRING_BASE, &s, sizeof(s));
    front_reply(f, WIRE_GET_VRING_BASE, &m);
    assert_int_equal(m.state.num, 77);
    end(r, f, leg);
}

static void a_child_that_offers_less_is_not_gone_on_with(void **state)
{
    struct rig *r = rig_new(NULL);
    uint64_t features = RIG_FEATURES;
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    front_send(f, WIRE_SET_FEATURES, WIRE_NEED_REPLY, &features,
               sizeof(features), NULL, 0);
    child_ok(leg, WIRE_SET_FEATURES);
    front_reply(f, WIRE_SET_FEATURES, &m);
    close(leg);
    rig_child_lost(r);
    rig_child_here(r);
    leg = child_greet(r, FEATURE(VIRTIO_F_VERSION_1), 0);
    front_need_hangup(f);
    end(r, f, leg);
}

static void a_front_end_may_go_while_it_waits(void **state)
{
    struct rig *r = rig_new(NULL);
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    front_send(f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    child_need(leg, WIRE_GET_FEATURES, &m);
    close(leg);
    rig_child_lost(r);
    front_free(f);
    rig_need_disconnected(r, 1);
    f = front_connect_path(r->at.path); /* waits in the backlog */
    front_send(f, WIRE_SET_OWNER, 0, NULL, 0, NULL, 0);
    rig_child_here(r);
    leg = child_greet(r, RIG_FEATURES, 1);
    child_ok(leg, WIRE_SET_OWNER);
    end(r, f, leg);
}

/* What the device knows of a guest is not the next one's to see. */
static void a_guest_that_ends_while_no_child_is_there_is_forgotten(void **state)
{
    struct rig *r = rig_new(NULL);
    struct wire_state s = {0, 0};
    struct front *f;
    int leg, record;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    send_kick(f);
    need_record(leg, &record);
    close(record);
    child_ok(leg, WIRE_SET_VRING_KICK);
    front_send(f, WIRE_GET_VRING_BASE, 0, &s, sizeof(s), NULL, 0);
    child_need(leg, WIRE_GET_VRING_BASE, &m);
    child_answer(leg, WIRE_GET_VRING_BASE, &s, sizeof(s));
    front_reply(f, WIRE_GET_VRING_BASE, &m);
    close(leg);
    rig_child_lost(r);
    front_free(f);
    rig_need_disconnected(r, 1);

    rig_child_here(r);
    f = front_connect_path(r->at.path);
    leg = child_greet(r, RIG_FEATURES, 1);
    child_ok(leg, WIRE_RESET_DEVICE);
    front_send(f, WIRE_SET_OWNER, 0, NULL, 0, NULL, 0);
    child_ok(leg, WIRE_SET_OWNER);
    end(r, f, leg);
}

static void a_front_end_is_dropped_if_no_child_comes(void **state)
{
    struct rig *r = rig_new(NULL);
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    rig_give_up(r); /* nothing to give up */
    close(leg);
    rig_child_lost(r);
    rig_give_up(r);
    front_need_hangup(f);
    front_free(f);
    f = front_connect_path(r->at.path);
    rig_child_here(r);
    leg = child_greet(r, RIG_FEATURES, 1);
    end(r, f, leg);
}

static void a_half_done_session_goes_if_another_one_waits(void **state)
{
    struct rig *r = rig_new(NULL);
    struct front *f, *other;
    int leg, next;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    front_send_bytes(f, "\1\0\0\0", 4, NULL, 0);
    other = front_connect_path(r->at.path);
    front_need_hangup(f);
    next = child_greet(r, RIG_FEATURES, 1);
    child_need_hangup(leg);
    front_free(f);
    end(r, other, next);
}

static void one_that_waits_for_the_child_is_not_half_done(void **state)
{
    struct rig *r = rig_new(NULL);
    struct front *f, *other;
    int leg, next;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    front_send(f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    child_need(leg, WIRE_GET_FEATURES, &m);
    other = front_connect_path(r->at.path);
    assert_false(front_wait_fd(f->sock, POLLIN, 4000));
    child_answer_u64(leg, WIRE_GET_FEATURES, 1);
    front_reply(f, WIRE_GET_FEATURES, &m);
    front_free(f);
    next = child_greet(r, RIG_FEATURES, 1);
    child_need_hangup(leg);
    end(r, other, next);
}

/* ---- a child that lies ---- */

static void need_end_of(struct rig *r, struct front *f, int leg)
{
    front_need_hangup(f);
    front_free(f);
    child_need_hangup(leg);
    /* Others are served. */
    f = front_connect_path(r->at.path);
    leg = child_greet(r, RIG_FEATURES, 1);
    end(r, f, leg);
}

static void an_answer_to_nothing_ends_the_session(void **state)
{
    struct rig *r = rig_new(NULL);
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    child_answer_u64(leg, WIRE_GET_FEATURES, 1);
    need_end_of(r, f, leg);
}

static void an_answer_to_something_else_ends_the_session(void **state)
{
    struct rig *r = rig_new(NULL);
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    front_send(f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    child_need(leg, WIRE_GET_FEATURES, &m);
    child_answer_u64(leg, WIRE_GET_PROTOCOL_FEATURES, 1);
    need_end_of(r, f, leg);
}

static void an_answer_of_another_size_ends_the_session(void **state)
{
    struct rig *r = rig_new(NULL);
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    front_send(f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    child_need(leg, WIRE_GET_FEATURES, &m);
    child_answer(leg, WIRE_GET_FEATURES, "0123456789abcdef", 16);
    need_end_of(r, f, leg);
}

static void an_answer_with_an_fd_ends_the_session(void **state)
{
    struct rig *r = rig_new(NULL);
    struct wire_header h = {WIRE_GET_FEATURES, WIRE_VERSION | WIRE_REPLY, 8};
    struct front *f;
    int leg, fd = front_memfd(4096);

    (void)state;
    f = begin(r, PF_ACK, &leg);
    front_send(f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    child_need(leg, WIRE_GET_FEATURES, &m);
    front_send_on(leg, false, &h, sizeof(h), &fd, 1);
    front_send_on(leg, false, "12345678", 8, NULL, 0);
    close(fd);
    need_end_of(r, f, leg);
}

static void an_endless_answer_ends_the_session(void **state)
{
    struct rig *r = rig_new(NULL);
    struct wire_header h = {WIRE_GET_FEATURES, WIRE_VERSION | WIRE_REPLY,
                            UINT32_MAX};
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    front_send_on(leg, false, &h, sizeof(h), NULL, 0);
    need_end_of(r, f, leg);
}

static void a_child_with_too_many_queues_gets_no_front_end(void **state)
{
    struct rig *r = rig_new(NULL);
    struct front *f;
    int leg;

    (void)state;
    rig_child_here(r);
    f = front_connect_path(r->at.path);
    leg = child_greet(r, RIG_FEATURES, 65);
    need_end_of(r, f, leg);
}

static void half_an_answer_keeps_nobody_from_ending(void **state)
{
    struct rig *r = rig_new(NULL);
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    front_send(f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    child_need(leg, WIRE_GET_FEATURES, &m);
    front_send_on(leg, false, "\1\0\0\0", 4, NULL, 0);
    end(r, f, leg);
}

static void a_child_that_hangs_up_and_lives_loses_its_front_end(void **state)
{
    struct rig *r = rig_new(NULL);
    struct front *f;
    int leg;

    (void)state;
    f = begin(r, PF_ACK, &leg);
    close(leg);
    front_need_hangup(f); /* some seconds later */
    front_free(f);
    rig_free(r);
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
        T(the_next_child_is_told_what_was_said),
        T(what_was_not_answered_is_asked_again),
        T(a_child_that_offers_less_is_not_gone_on_with),
        T(a_front_end_may_go_while_it_waits),
        T(a_guest_that_ends_while_no_child_is_there_is_forgotten),
        T(a_front_end_is_dropped_if_no_child_comes),
        T(a_half_done_session_goes_if_another_one_waits),
        T(one_that_waits_for_the_child_is_not_half_done),
        T(an_answer_to_nothing_ends_the_session),
        T(an_answer_to_something_else_ends_the_session),
        T(an_answer_of_another_size_ends_the_session),
        T(an_answer_with_an_fd_ends_the_session),
        T(an_endless_answer_ends_the_session),
        T(a_child_with_too_many_queues_gets_no_front_end),
        T(half_an_answer_keeps_nobody_from_ending),
        T(a_child_that_hangs_up_and_lives_loses_its_front_end),
    };

    return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
