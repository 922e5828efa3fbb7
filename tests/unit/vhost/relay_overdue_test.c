/* A child that hangs: it has a message, and neither answers nor ends. */
#include <semaphore.h>

#include "rig.h"

#define PF_ACK FEATURE(WIRE_PF_REPLY_ACK)
#define ANSWER_MS 200

static struct front_msg m;
static sem_t overdue;
static char overdue_with[64];

static void on_overdue(struct relay *r, const char *what, void *arg)
{
    (void)r;
    (void)arg;
    snprintf(overdue_with, sizeof(overdue_with), "%s", what);
    sem_post(&overdue);
}

static struct rig *begin(void)
{
    const struct relay_conf conf = {.answer_ms = ANSWER_MS,
                                    .overdue = on_overdue};

    sem_init(&overdue, 0, 0);
    return rig_new(&conf);
}

static struct front *greet(struct rig *r, int *leg)
{
    uint64_t protocol = PF_ACK;
    struct front *f;

    rig_child_here(r);
    f = front_connect_path(r->at.path);
    *leg = child_greet(r, RIG_FEATURES, 1);
    front_send(f, WIRE_SET_PROTOCOL_FEATURES, 0, &protocol, sizeof(protocol),
               NULL, 0);
    child_ok(*leg, WIRE_SET_PROTOCOL_FEATURES);
    f->protocol = protocol;
    return f;
}

/* Its owner ends it, and the next one has the message; or what it is told
 * before. */
static void the_next_child_gets_what_one_that_hangs_has(void **state)
{
    struct rig *r = begin();
    struct wire_state s = {0, 256};
    struct front *f;
    int leg;

    (void)state;
    f = greet(r, &leg);
    front_send(f, WIRE_SET_VRING_NUM, WIRE_NEED_REPLY, &s, sizeof(s), NULL, 0);
    child_need(leg, WIRE_SET_VRING_NUM, &m);
    sem_wait(&overdue);
    assert_string_equal(overdue_with, "SET_VRING_NUM");
    close(leg);
    rig_child_lost(r);

    rig_child_here(r);
    leg = child_greet(r, RIG_FEATURES, 0);
    child_need(leg, WIRE_SET_PROTOCOL_FEATURES, &m);
    sem_wait(&overdue);
    assert_string_equal(overdue_with, "SET_PROTOCOL_FEATURES");
    close(leg);
    rig_child_lost(r);

    rig_child_here(r);
    leg = child_greet(r, RIG_FEATURES, 0);
    child_ok(leg, WIRE_SET_PROTOCOL_FEATURES);
    child_ok(leg, WIRE_SET_VRING_NUM);
    front_reply(f, WIRE_SET_VRING_NUM, &m);
    assert_int_equal(m.u64, 0);
    front_free(f);
    child_need_hangup(leg);
    rig_free(r);
}

/* One that has nothing to answer may be silent for as long as it likes. */
static void who_was_not_asked_is_not_overdue(void **state)
{
    struct rig *r = begin();
    struct front *f;
    int leg;

    (void)state;
    f = greet(r, &leg);
    assert_false(front_wait_fd(leg, POLLIN, 2 * ANSWER_MS));
    front_send(f, WIRE_SET_OWNER, 0, NULL, 0, NULL, 0);
    child_ok(leg, WIRE_SET_OWNER);
    assert_false(front_wait_fd(leg, POLLIN, 2 * ANSWER_MS));
    assert_int_equal(sem_trywait(&overdue), -1);
    front_free(f);
    child_need_hangup(leg);
    rig_free(r);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(the_next_child_gets_what_one_that_hangs_has),
        T(who_was_not_asked_is_not_overdue),
    };

    return cmocka_run_group_tests_name("relay, overdue", tests, NULL, NULL);
}
