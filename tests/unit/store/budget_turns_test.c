/* Whose turn it is: users of one budget, their drains, their threads. */
#include "budget_rig.h"

#include "os/thread.h"

/* ---- turns ---- */

/* Keeps n waiting, and looks every ms for a second. */
static void run_second(struct rig *rig, const unsigned *depth,
                       const uint64_t *len, uint64_t *bytes)
{
    memset(bytes, 0, SEATS * sizeof(*bytes));
    for (unsigned ms = 0; ms < 1000; ms++) {
        for (unsigned i = 0; i < SEATS; i++) {
            struct seat *s = &rig->s[i];

            while (s->user.waiting < depth[i]) {
                ask(rig, i, STORE_WRITE, len[i]);
                bytes[i] += len[i] * gone(rig, i);
            }
            bytes[i] += len[i] * gone(rig, i);
        }
        rig->now_ns += MS;
    }
}

static void users_get_the_same_however_much_they_ask_for(void **state)
{
    struct rig *rig = *state;
    const unsigned depth[SEATS] = {1, 64, 8, 0};
    const uint64_t len[SEATS] = {4096, 4096, 4096, 4096};
    uint64_t bytes[SEATS];

    set(rig, OPS({3000, 0}));
    run_second(rig, depth, len, bytes); /* the burst is gone then */
    run_second(rig, depth, len, bytes);
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(bytes[i] / 4096, 950, 1050);
}

/* Of bytes, if these are what is scarce. */
static void large_requests_get_no_more_than_small_ones(void **state)
{
    struct rig *rig = *state;
    const unsigned depth[SEATS] = {4, 4, 64, 0};
    const uint64_t len[SEATS] = {256 << 10, 4096, 64 << 10, 0};
    uint64_t bytes[SEATS];

    set(rig, BYTES({30 << 20, 0}));
    run_second(rig, depth, len, bytes);
    run_second(rig, depth, len, bytes);
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(bytes[i] >> 10, 9 << 10, 11 << 10);
}

static void what_one_does_not_ask_for_others_get(void **state)
{
    struct rig *rig = *state;
    const unsigned depth[SEATS] = {32, 0, 0, 0}, both[SEATS] = {32, 32, 0, 0};
    const uint64_t len[SEATS] = {512, 512, 512, 512};
    uint64_t bytes[SEATS];

    set(rig, OPS({1000, 0}));
    run_second(rig, depth, len, bytes);
    run_second(rig, depth, len, bytes);
    assert_in_range(bytes[0] / 512, 980, 1001);
    /* And nobody has saved up turns, or has to make up for them. */
    run_second(rig, both, len, bytes);
    assert_in_range(bytes[0] / 512, 480, 520);
    assert_in_range(bytes[1] / 512, 480, 520);
}

/* A disk whose queues are spread over workers is one user all the same. */
static void more_seats_are_no_more_turns(void **state)
{
    struct rig *rig = *state;
    unsigned got[3] = {0};

    budget_seat_del(&rig->s[1].seat);
    budget_seat_add(&rig->s[1].seat, &rig->s[0].user);
    set(rig, OPS({1000, 0}));
    for (unsigned i = 0; i < 3; i++)
        ask_many(rig, i, 1000, STORE_READ, 512);
    for (unsigned ms = 0; ms < 500; ms++, rig->now_ns += MS)
        for (unsigned i = 0; i < 3; i++)
            got[i] += gone(rig, i);
    assert_in_range(got[0] + got[1] + got[2], 590, 600);
    assert_in_range(got[2], 200, 301); /* the burst went to the first */
    memset(got, 0, sizeof(got));
    for (unsigned ms = 0; ms < 500; ms++, rig->now_ns += MS)
        for (unsigned i = 0; i < 3; i++)
            got[i] += gone(rig, i);
    assert_in_range(got[2], 248, 252);
    assert_in_range(got[0], 123, 127);
    assert_in_range(got[1], 123, 127);
}

/* ---- drains ---- */

static void a_drain_lets_all_of_its_owner_go(void **state)
{
    struct rig *rig = *state;
    struct seat *s = &rig->s[0];
    struct store_req *r;

    set(rig, OPS({10, 1}));
    for (unsigned i = 0; i < 20; i++)
        if (i % 2)
            ask(rig, 0, STORE_READ, 512)->owner = s;
        else
            ask(rig, 0, STORE_READ, 512);
    assert_int_equal(gone(rig, 0), 1);
    ask(rig, 0, STORE_READ, 512)->owner = s; /* of a batch not kicked */
    budget_take_out(&s->seat, &s->asked, s, true, rig->now_ns, &s->go);
    for (unsigned i = 0; i < 11; i++) {
        r = next(s);
        assert_non_null(r);
        assert_ptr_equal(r->owner, s);
        free(r);
    }
    assert_null(next(s));
    assert_int_equal(s->user.waiting, 9);
}

/* 11 went early, at 10 a second for four users. */
static void what_a_drain_let_go_is_waited_for_by_its_user_alone(void **state)
{
    struct rig *rig = *state;
    struct seat *s = &rig->s[0];

    set(rig, OPS({10, 1}));
    ask_many(rig, 0, 12, STORE_READ, 512);
    assert_int_equal(gone(rig, 0), 1);
    budget_take_out(&s->seat, &s->asked, rig, true, rig->now_ns, &s->go);
    assert_int_equal(drop_gone(s), 11);
    ask(rig, 0, STORE_READ, 512);
    ask(rig, 1, STORE_READ, 512);
    rig->now_ns += 100 * MS;
    assert_int_equal(gone(rig, 0), 0);
    assert_int_equal(gone(rig, 1), 1);
    assert_int_equal(gone(rig, 0), 0);
    assert_in_range(s->next_ns, 4299 * MS, 4300 * MS);
    rig->now_ns += 4299 * MS;
    assert_int_equal(gone(rig, 0), 0);
    rig->now_ns += MS;
    assert_int_equal(gone(rig, 0), 1);
}

static void who_hurries_is_quiet_for_as_long(void **state)
{
    struct rig *rig = *state;
    struct seat *s = &rig->s[0];
    struct store_req r = {.op = STORE_WRITE, .len = 10000};

    set(rig, BYTES({100000, 0}));
    budget_hurry(&s->seat, &r, rig->now_ns);
    ask(rig, 0, STORE_READ, 512);
    assert_int_equal(gone(rig, 0), 0);
    assert_int_equal(s->next_ns, 400 * MS);
    /* But not when somebody has other plans. */
    set(rig, BYTES({100001, 0}));
    assert_int_equal(gone(rig, 0), 1);
}

static void others_are_woken_when_the_first_leaves(void **state)
{
    struct rig *rig = *state;
    struct seat *s = &rig->s[0];

    set(rig, BYTES({1000, 1000}));
    ask(rig, 0, STORE_READ, 3000);
    assert_int_equal(gone(rig, 0), 0);
    ask(rig, 1, STORE_READ, 500);
    rig->now_ns += 600 * MS;
    assert_int_equal(gone(rig, 1), 1); /* its turn */
    ask(rig, 1, STORE_READ, 100);
    rig->now_ns += 100 * MS;
    budget_take_out(&s->seat, &s->asked, rig, false, rig->now_ns, &s->go);
    assert_int_equal(drop_gone(s), 1);
    ask(rig, 1, STORE_READ, 100);
    assert_int_equal(gone(rig, 1), 2);
}

static void what_is_taken_out_has_paid_for_nobody(void **state)
{
    struct rig *rig = *state;
    struct seat *s = &rig->s[0];

    set(rig, BYTES({1000, 1000}));
    ask(rig, 0, STORE_READ, 3000)->owner = s;
    ask(rig, 0, STORE_READ, 3000);
    rig->now_ns += SECOND;
    assert_int_equal(gone(rig, 0), 0);
    rig->now_ns += SECOND;
    assert_int_equal(gone(rig, 0), 0);
    budget_take_out(&s->seat, &s->asked, s, false, rig->now_ns, &s->go);
    assert_int_equal(drop_gone(s), 1);
    for (unsigned i = 0; i < 2; i++) {
        rig->now_ns += SECOND;
        assert_int_equal(gone(rig, 0), 0);
    }
    rig->now_ns += SECOND;
    assert_int_equal(gone(rig, 0), 1);
}

/* ---- threads ---- */

struct runner {
    struct rig *rig;
    unsigned seat;
    uint64_t gone;
    struct thread thread;
};

static uint64_t clock_ns; /* atomic */

#define RUN_NS (2 * SECOND)
#define STEP_NS (20 * UINT64_C(1000))

/* Each keeps 16 waiting, by a clock that all push on. */
static void run(void *arg)
{
    struct runner *u = arg;
    struct seat *s = &u->rig->s[u->seat];
    unsigned waiting = 0;
    uint64_t now;

    do {
        now = __atomic_add_fetch(&clock_ns, STEP_NS, __ATOMIC_RELAXED);
        for (; waiting < 16; waiting++)
            ask(u->rig, u->seat, STORE_WRITE, 4096);
        budget_go(&s->seat, &s->asked, 100 * SECOND + now, &s->go);
        for (struct store_req *r; (r = next(s)) != NULL; free(r)) {
            u->gone++;
            waiting--;
        }
        if (waiting == 16)
            thread_yield();
    } while (now < RUN_NS);
}

static void threads_together_get_no_more_than_the_limit(void **state)
{
    struct rig *rig = *state;
    struct runner u[SEATS];
    uint64_t all = 0, end;
    struct err e;

    set(rig, OPS({20000, 0}));
    clock_ns = 0;
    for (unsigned i = 0; i < SEATS; i++) {
        u[i] = (struct runner){.rig = rig, .seat = i};
        assert_int_equal(thread_start(&u[i].thread, "test", run, &u[i], &e), 0);
    }
    for (unsigned i = 0; i < SEATS; i++) {
        thread_join(&u[i].thread);
        all += u[i].gone;
    }
    end = __atomic_load_n(&clock_ns, __ATOMIC_RELAXED);
    assert_true(all <= 2000 + end / 50000 + 1);
    assert_true(all >= (RUN_NS - SECOND) / 50000);
}

#define B_TEST(t)                                                              \
    cmocka_unit_test_setup_teardown(t, budget_setup, budget_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        B_TEST(users_get_the_same_however_much_they_ask_for),
        B_TEST(large_requests_get_no_more_than_small_ones),
        B_TEST(what_one_does_not_ask_for_others_get),
        B_TEST(more_seats_are_no_more_turns),
        B_TEST(a_drain_lets_all_of_its_owner_go),
        B_TEST(what_a_drain_let_go_is_waited_for_by_its_user_alone),
        B_TEST(who_hurries_is_quiet_for_as_long),
        B_TEST(others_are_woken_when_the_first_leaves),
        B_TEST(what_is_taken_out_has_paid_for_nobody),
        B_TEST(threads_together_get_no_more_than_the_limit),
    };

    return cmocka_run_group_tests_name("budget turns", tests, NULL, NULL);
}
