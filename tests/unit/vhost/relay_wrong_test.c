/* A child that says or does what it may not: its front-end is lost, and nobody
 * else. The test is front-end and child. */
#include "rig.h"

#define PF_ACK FEATURE(WIRE_PF_REPLY_ACK)

static struct front_msg m;

static void need_end_of(struct talk *t)
{
    front_need_hangup(t->f);
    front_free(t->f);
    child_need_hangup(t->leg);
    /* Others are served. */
    t->f = front_connect_path(t->r->at.path);
    t->leg = child_greet(t->r, RIG_FEATURES, 1);
    talk_end(t);
}

static void an_answer_to_nothing_ends_the_session(void **state)
{
    struct talk talk = talk_begin(PF_ACK);

    (void)state;
    child_answer_u64(talk.leg, WIRE_GET_FEATURES, 1);
    need_end_of(&talk);
}

static void an_answer_to_something_else_ends_the_session(void **state)
{
    struct talk talk = talk_begin(PF_ACK);

    (void)state;
    front_send(talk.f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    child_need(talk.leg, WIRE_GET_FEATURES, &m);
    child_answer_u64(talk.leg, WIRE_GET_PROTOCOL_FEATURES, 1);
    need_end_of(&talk);
}

static void an_answer_of_another_size_ends_the_session(void **state)
{
    struct talk talk = talk_begin(PF_ACK);

    (void)state;
    front_send(talk.f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    child_need(talk.leg, WIRE_GET_FEATURES, &m);
    child_answer(talk.leg, WIRE_GET_FEATURES, "0123456789abcdef", 16);
    need_end_of(&talk);
}

static void an_answer_with_an_fd_ends_the_session(void **state)
{
    struct talk talk = talk_begin(PF_ACK);
    struct wire_header h = {WIRE_GET_FEATURES, WIRE_VERSION | WIRE_REPLY, 8};
    int fd = front_memfd(4096);

    (void)state;
    front_send(talk.f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    child_need(talk.leg, WIRE_GET_FEATURES, &m);
    front_send_on(talk.leg, false, &h, sizeof(h), &fd, 1);
    front_send_on(talk.leg, false, "12345678", 8, NULL, 0);
    close(fd);
    need_end_of(&talk);
}

static void an_endless_answer_ends_the_session(void **state)
{
    struct talk talk = talk_begin(PF_ACK);
    struct wire_header h = {WIRE_GET_FEATURES, WIRE_VERSION | WIRE_REPLY,
                            UINT32_MAX};

    (void)state;
    front_send_on(talk.leg, false, &h, sizeof(h), NULL, 0);
    need_end_of(&talk);
}

static void a_child_with_too_many_queues_gets_no_front_end(void **state)
{
    struct talk talk = {.r = rig_new(NULL)};

    (void)state;
    rig_child_here(talk.r);
    talk.f = front_connect_path(talk.r->at.path);
    talk.leg = child_greet(talk.r, RIG_FEATURES, 65);
    need_end_of(&talk);
}

static void half_an_answer_keeps_nobody_from_ending(void **state)
{
    struct talk talk = talk_begin(PF_ACK);

    (void)state;
    front_send(talk.f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    child_need(talk.leg, WIRE_GET_FEATURES, &m);
    front_send_on(talk.leg, false, "\1\0\0\0", 4, NULL, 0);
    talk_end(&talk);
}

static void a_child_that_hangs_up_and_lives_loses_its_front_end(void **state)
{
    struct talk talk = talk_begin(PF_ACK);

    (void)state;
    close(talk.leg);
    front_need_hangup(talk.f); /* some seconds later */
    front_free(talk.f);
    rig_free(talk.r);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(an_answer_to_nothing_ends_the_session),
        T(an_answer_to_something_else_ends_the_session),
        T(an_answer_of_another_size_ends_the_session),
        T(an_answer_with_an_fd_ends_the_session),
        T(an_endless_answer_ends_the_session),
        T(a_child_with_too_many_queues_gets_no_front_end),
        T(half_an_answer_keeps_nobody_from_ending),
        T(a_child_that_hangs_up_and_lives_loses_its_front_end),
    };

    return cmocka_run_group_tests_name("relay_wrong", tests, NULL, NULL);
}
