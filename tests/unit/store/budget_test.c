/* Limits of every kind: who may go, and when. */
#include "budget_rig.h"

static void without_limits_all_go(void **state)
{
    struct rig *rig = *state;

    assert_false(budget_is_limited(&rig->b));
    ask_many(rig, 0, 1000, STORE_READ, 1 << 20);
    assert_int_equal(gone(rig, 0), 1000);
    assert_true(rig->s[0].next_ns == BUDGET_NEVER_NS);
}

static void a_burst_goes_and_then_as_the_rate_has_it(void **state)
{
    struct rig *rig = *state;

    set(rig, OPS({1000, 50}));
    assert_true(budget_is_limited(&rig->b));
    ask_many(rig, 0, 200, STORE_READ, 4096);
    assert_int_equal(gone(rig, 0), 50);
    assert_int_equal(rig->s[0].next_ns, MS);
    assert_int_equal(gone(rig, 0), 0);
    for (unsigned i = 0; i < 10; i++) {
        rig->now_ns += 5 * MS;
        assert_int_equal(gone(rig, 0), 5);
    }
    rig->now_ns += SECOND;
    assert_int_equal(gone(rig, 0), 50); /* no more is saved up */
}

static void requests_go_in_their_order(void **state)
{
    static const enum store_op ops[] = {STORE_READ, STORE_WRITE, STORE_FLUSH,
                                        STORE_DISCARD, STORE_ZERO};
    struct rig *rig = *state;
    unsigned n = 0;

    set(rig, OPS({1000, 10}));
    for (unsigned i = 0; i < 100; i++)
        ask(rig, 0, ops[i * 7 % 5], 512)->user = (uint16_t)i;
    for (; n < 100; rig->now_ns += 10 * MS) {
        struct store_req *r;

        look(rig, 0);
        for (; (r = next(&rig->s[0])) != NULL; n++) {
            assert_int_equal(r->user, n);
            free(r);
        }
    }
}

static void bytes_are_those_read_written_and_zeroed(void **state)
{
    struct rig *rig = *state;

    set(rig, BYTES({1000000, 10000}));
    ask(rig, 0, STORE_READ, 4000);
    ask(rig, 0, STORE_WRITE, 4000);
    ask(rig, 0, STORE_ZERO, 4000);
    assert_int_equal(gone(rig, 0), 2);
    assert_int_equal(rig->s[0].next_ns, 2 * MS);
    /* These have none, and wait for nobody. */
    ask(rig, 0, STORE_DISCARD, 1 << 30);
    ask(rig, 0, STORE_FLUSH, 0);
    assert_int_equal(gone(rig, 0), 2);
    rig->now_ns += 2 * MS;
    assert_int_equal(gone(rig, 0), 1);
}

static void each_is_an_operation(void **state)
{
    struct rig *rig = *state;

    set(rig, OPS({100, 2}));
    ask(rig, 0, STORE_FLUSH, 0);
    ask(rig, 0, STORE_DISCARD, 4096);
    ask(rig, 0, STORE_FLUSH, 0);
    assert_int_equal(gone(rig, 0), 2);
    rig->now_ns += 10 * MS;
    assert_int_equal(gone(rig, 0), 1);
}

static void reads_do_not_wait_for_writes_with_a_limit_of_their_own(void **state)
{
    struct rig *rig = *state;
    struct store_req *r;

    set(rig, OPS({1000, 0}, {0}, {10, 1}));
    for (unsigned i = 0; i < 20; i++)
        ask(rig, 0, i % 2 ? STORE_READ : STORE_WRITE, 512);
    look(rig, 0);
    for (unsigned i = 0; i < 11; i++) {
        r = next(&rig->s[0]);
        assert_non_null(r);
        assert_int_equal(r->op, i == 0 ? STORE_WRITE : STORE_READ);
        free(r);
    }
    assert_null(next(&rig->s[0]));
    assert_int_equal(rig->s[0].next_ns, 100 * MS);
    rig->now_ns += 100 * MS;
    assert_int_equal(gone(rig, 0), 1);
}

static void all_limits_hold_together(void **state)
{
    struct rig *rig = *state;
    struct limits l = {.ops = {{1000, 100}, {500, 50}},
                       .bytes = {{1 << 20, 100 << 10}}};
    unsigned seconds = 0;

    set(rig, l);
    ask_many(rig, 0, 200, STORE_READ, 512);
    assert_int_equal(gone(rig, 0), 50); /* reads */
    ask_many(rig, 1, 200, STORE_WRITE, 512);
    assert_int_equal(gone(rig, 1), 50); /* all operations */
    ask_many(rig, 2, 1, STORE_WRITE, 200 << 10);
    assert_int_equal(gone(rig, 2), 0); /* all bytes */
    while (gone(rig, 2) == 0) { /* it is saved up for, beside the others */
        rig->now_ns += SECOND;
        assert_in_range(++seconds, 1, 6);
    }
    assert_in_range(seconds, 2, 6);
}

/* In parts, with others in between: it never takes what is not there. */
static void a_request_larger_than_the_burst_is_saved_up_for(void **state)
{
    struct rig *rig = *state;
    unsigned small = 0;
    uint64_t waited = 0;

    set(rig, BYTES({1000000, 100000}));
    ask(rig, 0, STORE_READ, 1000000);
    assert_int_equal(gone(rig, 0), 0); /* a burst of it is paid */
    ask_many(rig, 1, 1000, STORE_READ, 1000);
    while (gone(rig, 0) == 0) {
        assert_true(rig->s[0].next_ns <= 100 * MS);
        rig->now_ns += MS;
        waited += MS;
        small += gone(rig, 1);
        assert_true(waited < 3 * SECOND);
    }
    /* 900000 bytes in turn with others, who get as much. */
    assert_in_range(waited, 1700 * MS, 1900 * MS);
    assert_in_range(small, 800, 1000);
}

static void a_change_holds_for_those_that_wait(void **state)
{
    struct rig *rig = *state;

    set(rig, OPS({1, 1}));
    ask_many(rig, 0, 500, STORE_READ, 512);
    assert_int_equal(gone(rig, 0), 1);
    assert_int_equal(rig->s[0].next_ns, SECOND);
    assert_int_equal(rig->s[0].woken, 0);
    set(rig, OPS({1000, 1000}));
    assert_int_equal(rig->s[0].woken, 1);
    assert_int_equal(rig->s[1].woken, 0); /* nothing waits there */
    rig->now_ns += 100 * MS;
    assert_int_equal(gone(rig, 0), 100);
    set(rig, OPS({0}));
    assert_int_equal(rig->s[0].woken, 2);
    ask(rig, 0, STORE_READ, 1024);
    look(rig, 0);
    for (unsigned i = 0; i < 400; i++) {
        struct store_req *r = next(&rig->s[0]);

        assert_int_equal(r->len, i < 399 ? 512 : 1024); /* in their order */
        free(r);
    }
    assert_null(next(&rig->s[0]));
}

static void what_waits_is_told(void **state)
{
    struct rig *rig = *state;
    struct budget_look l;

    set(rig, OPS({10, 1}));
    ask_many(rig, 0, 3, STORE_READ, 512);
    assert_int_equal(gone(rig, 0), 1);
    rig->now_ns += 100 * MS;
    ask(rig, 0, STORE_READ, 512);
    assert_int_equal(gone(rig, 0), 1);
    budget_user_look(&rig->s[0].user, rig->now_ns + 50 * MS, &l);
    assert_int_equal(l.waiting, 2);
    assert_int_equal(l.oldest_ns, 150 * MS);
    assert_int_equal(l.held, 1);
    assert_int_equal(l.held_ns, 100 * MS);
    budget_user_look(&rig->s[1].user, rig->now_ns, &l);
    assert_int_equal(l.waiting, 0);
    assert_int_equal(l.oldest_ns, 0);
}

#define B_TEST(t)                                                              \
    cmocka_unit_test_setup_teardown(t, budget_setup, budget_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        B_TEST(without_limits_all_go),
        B_TEST(a_burst_goes_and_then_as_the_rate_has_it),
        B_TEST(requests_go_in_their_order),
        B_TEST(bytes_are_those_read_written_and_zeroed),
        B_TEST(each_is_an_operation),
        B_TEST(reads_do_not_wait_for_writes_with_a_limit_of_their_own),
        B_TEST(all_limits_hold_together),
        B_TEST(a_request_larger_than_the_burst_is_saved_up_for),
        B_TEST(a_change_holds_for_those_that_wait),
        B_TEST(what_waits_is_told),
    };

    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
