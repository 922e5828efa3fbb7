/* Who may go, and when: limits of every kind, turns of users, drains. The clock
 * is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "os/thread.h"
#include "store/budget.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define SEATS 4

struct seat {
    struct budget_user user;
    struct budget_seat seat;
    struct list asked, go;
    uint64_t next_ns;
    unsigned woken;
};

struct rig {
    struct budget b;
    struct seat s[SEATS];
    uint64_t now_ns;
};

static void on_wake(struct budget_seat *s)
{
    __atomic_add_fetch(&container_of(s, struct seat, seat)->woken, 1,
                       __ATOMIC_RELAXED);
}

/* Each seat is of a user of its own. */
static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    assert_int_equal(budget_init(&rig->b), 0);
    rig->now_ns = 100 * SECOND;
    for (unsigned i = 0; i < SEATS; i++) {
        struct seat *s = &rig->s[i];

        list_init(&s->asked);
        list_init(&s->go);
        s->seat.wake = on_wake;
        budget_user_add(&s->user, &rig->b);
        budget_seat_add(&s->seat, &s->user);
    }
    *state = rig;
    return 0;
}

static struct store_req *next(struct seat *s)
{
    struct list *node = list_pop(&s->go);

    return node ? container_of(node, struct store_req, node) : NULL;
}

static unsigned drop_gone(struct seat *s)
{
    struct store_req *r;
    unsigned n = 0;

    for (; (r = next(s)) != NULL; n++)
        free(r);
    return n;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    for (unsigned i = 0; i < SEATS; i++) {
        struct seat *s = &rig->s[i];

        budget_take_out(&s->seat, &s->asked, rig, false, rig->now_ns, &s->go);
        drop_gone(s);
        budget_seat_del(&s->seat);
        budget_user_del(&s->user);
    }
    budget_fini(&rig->b);
    free(rig);
    return 0;
}

static struct store_req *ask(struct rig *rig, unsigned seat, enum store_op op,
                             uint64_t len)
{
    struct store_req *r = calloc(1, sizeof(*r));

    r->op = op;
    r->len = len;
    r->owner = rig;
    list_add(&rig->s[seat].asked, &r->node);
    return r;
}

static void ask_many(struct rig *rig, unsigned seat, unsigned n,
                     enum store_op op, uint64_t len)
{
    while (n-- > 0)
        ask(rig, seat, op, len);
}

static void look(struct rig *rig, unsigned seat)
{
    struct seat *s = &rig->s[seat];

    s->next_ns = budget_go(&s->seat, &s->asked, rig->now_ns, &s->go);
}

/* Looks; how many may go. */
static unsigned gone(struct rig *rig, unsigned seat)
{
    look(rig, seat);
    return drop_gone(&rig->s[seat]);
}

static void set(struct rig *rig, struct limits l)
{
    budget_set(&rig->b, &l, rig->now_ns);
}

#define OPS(...)                                                               \
    (struct limits)                                                            \
    {                                                                          \
        .ops = { __VA_ARGS__ }                                                 \
    }
#define BYTES(...)                                                             \
    (struct limits)                                                            \
    {                                                                          \
        .bytes = { __VA_ARGS__ }                                               \
    }

/* ---- limits ---- */

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

#define B_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

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

    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
