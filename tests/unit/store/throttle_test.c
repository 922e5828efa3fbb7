/* Filter `throttle`: what waits, what ends the waiting, names. Time is real
 * here; where a test must not depend on it, nothing comes for minutes. */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

#include "store/throttle.h"

#define MEMORY "'next': {'type': 'memory', 'size': '16M'}"
/* One request of 512 bytes, and the next in eight minutes. */
#define SLOW "{'type': 'throttle', 'bps': 1, 'bps_burst': 512, " MEMORY "}"

static char buf[1 << 20];

static struct ask *ask_for(struct rig *rig, const void *owner, enum store_op op,
                           uint64_t len)
{
    struct ask *a = malloc(sizeof(*a));

    rig_ask(a, op, 0, 0, buf, len, len);
    a->req.owner = owner;
    rig_submit(rig, a);
    return a;
}

static void expect(struct ask *a, int result)
{
    assert_true(a->done);
    assert_int_equal(a->req.result, result);
    free(a);
}

/* For how long, when it has nothing to do; -1: until somebody comes. */
static int would_sleep_ms(struct rig *rig)
{
    uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    return uv_backend_timeout(&rig->loop.uv);
}

static void no_limits_keep_nothing_waiting(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, "{'type': 'throttle', " MEMORY "}");
    for (unsigned i = 0; i < 1000; i++)
        expect(ask_for(rig, NULL, STORE_WRITE, 4096), 0);
    assert_false(rig->store->info.serial);
    assert_int_equal(would_sleep_ms(rig), -1);
}

static void what_is_within_the_burst_is_done_at_once(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, "{'type': 'throttle', 'iops': 100, 'iops_burst': 1000, "
                       "'bps': '1M', 'bps_burst': '8M', " MEMORY "}");
    rig_pattern(buf, sizeof(buf), 0, 3);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, sizeof(buf)), 0);
    memset(buf, 0, sizeof(buf));
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, sizeof(buf)), 0);
    assert_true(rig_is_pattern(buf, sizeof(buf), 0, 3));
    for (unsigned i = 0; i < 900; i++)
        expect(ask_for(rig, NULL, STORE_READ, 4096), 0);
}

/* Only while somebody waits; a loop with nothing to do sleeps. */
static void a_timer_runs_while_something_waits(void **state)
{
    struct rig *rig = *state;
    struct ask *a;

    rig_open_with(rig, "{'type': 'throttle', 'iops': 1, " MEMORY "}");
    expect(ask_for(rig, NULL, STORE_READ, 512), 0);
    assert_int_equal(would_sleep_ms(rig), -1);
    a = ask_for(rig, NULL, STORE_READ, 512);
    assert_false(a->done);
    assert_true(would_sleep_ms(rig) > 0);
    assert_int_equal(rig_wait(rig, a), 0);
    free(a);
    assert_int_equal(would_sleep_ms(rig), -1);
}

static void the_rate_is_held(void **state)
{
    struct rig *rig = *state;
    uint64_t start, took_ms;
    struct ask *a[300];

    rig_open_with(rig, "{'type': 'throttle', 'iops': 1000, " MEMORY "}");
    start = loop_now_ns();
    for (unsigned i = 0; i < ARRAY_LEN(a); i++)
        a[i] = ask_for(rig, NULL, STORE_READ, 512);
    for (unsigned i = 0; i < ARRAY_LEN(a); i++) {
        assert_int_equal(rig_wait(rig, a[i]), 0);
        free(a[i]);
    }
    took_ms = (loop_now_ns() - start) / 1000000;
    assert_true(took_ms >= 199); /* no upper bound: machines are slow */
}

static void a_drain_ends_the_waiting_of_its_owner(void **state)
{
    struct rig *rig = *state;
    struct ask *mine[5], *theirs;
    int me, they;

    rig_open_with(rig, SLOW);
    expect(ask_for(rig, &me, STORE_READ, 512), 0);
    for (unsigned i = 0; i < ARRAY_LEN(mine); i++)
        mine[i] = ask_for(rig, &me, STORE_READ, 512);
    theirs = ask_for(rig, &they, STORE_READ, 512);
    store_drain(rig->ch, &me, false);
    for (unsigned i = 0; i < ARRAY_LEN(mine); i++)
        expect(mine[i], 0);
    assert_false(theirs->done);
    store_drain(rig->ch, &they, true);
    expect(theirs, -EIO);
    assert_int_equal(rig->ch->pending, 0);
}

/* Even one whose batch is not kicked. */
static void what_is_cancelled_is_not_done(void **state)
{
    struct rig *rig = *state;
    struct ask *a, b;
    int me;

    rig_open_with(rig, SLOW);
    memset(buf, 1, 512);
    expect(ask_for(rig, &me, STORE_WRITE, 512), 0);
    memset(buf, 2, 512);
    a = ask_for(rig, &me, STORE_WRITE, 512);
    rig_ask(&b, STORE_WRITE, 0, 0, buf, 512, 512);
    b.req.owner = &me;
    assert_int_equal(store_submit(rig->ch, &b.req), STORE_PENDING);
    store_drain(rig->ch, &me, true);
    expect(a, -EIO);
    assert_true(b.done);
    assert_int_equal(b.req.result, -EIO);
    rig_ask(&b, STORE_READ, STORE_HURRY, 0, buf, 512, 512);
    rig_submit(rig, &b);
    assert_true(b.done);
    assert_int_equal(buf[0], 1);
}

static void who_hurries_does_not_wait(void **state)
{
    struct rig *rig = *state;
    struct ask *a, b;

    rig_open_with(rig, SLOW);
    expect(ask_for(rig, NULL, STORE_READ, 512), 0);
    a = ask_for(rig, NULL, STORE_READ, 512);
    for (unsigned i = 0; i < 10; i++) {
        rig_ask(&b, STORE_READ, STORE_HURRY, 0, buf, 512, 512);
        rig_submit(rig, &b);
        assert_true(b.done);
    }
    assert_false(a->done);
    store_drain(rig->ch, NULL, true);
    expect(a, -EIO);
}

/* An answer that brings the next request, as commands of many steps do. */
struct chain_of {
    struct store_req req;
    struct store_channel *ch;
    unsigned left;
};

static void on_step(struct store_req *r)
{
    struct chain_of *c = container_of(r, struct chain_of, req);

    while (c->left-- > 1) {
        if (store_submit(c->ch, r) == STORE_PENDING) {
            store_kick(c->ch);
            return;
        }
    }
}

static void however_many_follow_from_an_answer_the_stack_is_enough(void **state)
{
    struct rig *rig = *state;
    struct chain_of c = {.left = 200000};

    rig_open_with(rig, "{'type': 'throttle', 'iops': 1000000000, 'next':"
                       " {'type': 'null', 'size': '1M'}}");
    c.ch = rig->ch;
    c.req.op = STORE_FLUSH;
    c.req.done = on_step;
    assert_int_equal(store_submit(c.ch, &c.req), STORE_PENDING);
    store_kick(c.ch);
    assert_true(c.left == 0);
}

static void set(const char *name, struct limits_conf c)
{
    struct json_out o = JSON_OUT_EMPTY;
    struct err e;

    assert_int_equal(throttle_set(name, &c, &o, &e), 0);
    json_out_free(&o);
}

static void a_change_frees_those_that_wait(void **state)
{
    struct rig *rig = *state;
    struct ask *a, *b;

    rig_open_with(rig, SLOW);
    expect(ask_for(rig, NULL, STORE_READ, 512), 0);
    a = ask_for(rig, NULL, STORE_READ, 512);
    b = ask_for(rig, NULL, STORE_READ, 512);
    set("test", (struct limits_conf){.has_bps = {true}});
    assert_int_equal(rig_wait(rig, a), 0);
    assert_true(b->done);
    free(a);
    expect(b, 0);
    expect(ask_for(rig, NULL, STORE_READ, 512), 0);
}

/* The letter that says so is on its way when the channel closes. */
static void a_channel_may_close_while_it_is_told(void **state)
{
    struct rig *rig = *state;
    struct ask *a;
    int me;

    rig_open_with(rig, SLOW);
    expect(ask_for(rig, &me, STORE_READ, 512), 0);
    a = ask_for(rig, &me, STORE_READ, 512);
    set("test", (struct limits_conf){.has_bps = {true}, .bps = {2}});
    store_drain(rig->ch, &me, true);
    expect(a, -EIO);
    rig_close(rig);
    uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
}

static void limits_that_make_no_sense_are_refused(void **state)
{
    struct limits_conf c = {.has_iops_burst = {true}, .iops_burst = {5}};
    struct json_out o = JSON_OUT_EMPTY;
    struct rig *rig = *state;
    struct err e;

    rig_open_with(rig, SLOW);
    assert_int_equal(throttle_set("other", &c, &o, &e), -ENOENT);
    assert_string_equal(e.where, "name");
    assert_int_equal(throttle_set("test", &c, &o, &e), -EINVAL);
    assert_string_equal(e.where, "iops_burst");
    assert_null(o.text);
}

static void a_change_is_answered_with_what_is_true_now(void **state)
{
    struct limits_conf c = {.has_bps = {false, true}, .bps = {0, 1 << 20}};
    struct json_out o = JSON_OUT_EMPTY;
    struct rig *rig = *state;
    struct err e;

    rig_open_with(rig, SLOW);
    assert_int_equal(throttle_set("test", &c, &o, &e), 0);
    assert_string_equal(o.text, "\"bps\":1,\"bps_burst\":512,"
                                "\"bps_read\":1048576,"
                                "\"bps_read_burst\":104857");
    json_out_free(&o);
}

static void status_tells_of_throttles_and_their_users(void **state)
{
    struct json_out o = JSON_OUT_EMPTY;
    struct rig *rig = *state;
    struct ask *a;

    throttle_status(&o, NULL);
    assert_null(o.text);
    rig_open_with(rig,
                  "{'type': 'throttle', 'bps': 1, 'bps_burst': 512, 'next':"
                  " {'type': 'throttle', 'name': 'gold', " MEMORY "}}");
    expect(ask_for(rig, NULL, STORE_READ, 512), 0);
    a = ask_for(rig, NULL, STORE_READ, 512);
    throttle_status(&o, "somebody");
    assert_null(o.text);
    throttle_status(&o, "test");
    assert_non_null(strstr(o.text, "{\"name\":\"gold\",\"users\":[{\"device\":"
                                   "\"test\",\"waiting\":0,"));
    assert_non_null(strstr(o.text, "{\"name\":\"test\",\"bps\":1,"
                                   "\"bps_burst\":512,\"users\":[{\"device\":"
                                   "\"test\",\"waiting\":1,"));
    json_out_free(&o);
    store_drain(rig->ch, NULL, false);
    expect(a, 0);
}

static void those_of_one_name_say_the_same(void **state)
{
    struct rig *rig = *state;

    rig_open_with(
        rig, "{'type': 'throttle', 'name': 'gold', 'next':"
             " {'type': 'throttle', 'name': 'gold', 'iops': 1, 'next':"
             " {'type': 'throttle', 'name': 'gold', 'iops': 1, " MEMORY "}}}");
    rig_close(rig);
    assert_int_equal(
        rig_open(rig,
                 "{'type': 'throttle', 'name': 'gold', 'iops': 1, 'next':"
                 " {'type': 'throttle', 'name': 'gold', 'bps': 1, " MEMORY "}}",
                 false),
        -EBUSY);
    assert_string_equal(rig->errs.list[0].where, "/store");
    assert_non_null(strstr(rig->errs.list[0].text, "another throttle \"gold\" "
                                                   "has other limits"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(no_limits_keep_nothing_waiting),
        RIG_TEST(what_is_within_the_burst_is_done_at_once),
        RIG_TEST(a_timer_runs_while_something_waits),
        RIG_TEST(the_rate_is_held),
        RIG_TEST(a_drain_ends_the_waiting_of_its_owner),
        RIG_TEST(what_is_cancelled_is_not_done),
        RIG_TEST(who_hurries_does_not_wait),
        RIG_TEST(however_many_follow_from_an_answer_the_stack_is_enough),
        RIG_TEST(a_change_frees_those_that_wait),
        RIG_TEST(a_channel_may_close_while_it_is_told),
        RIG_TEST(limits_that_make_no_sense_are_refused),
        RIG_TEST(a_change_is_answered_with_what_is_true_now),
        RIG_TEST(status_tells_of_throttles_and_their_users),
        RIG_TEST(those_of_one_name_say_the_same),
    };

    return cmocka_run_group_tests_name("throttle", tests, NULL, NULL);
}
