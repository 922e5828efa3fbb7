/* Filter `delay`: how long requests are held, by the clock and by chance, and
 * who lets them go. */
#include "rig.h"

#include <errno.h>
#include <string.h>

#include "store/delay.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define MEMORY "'next': {'type': 'memory', 'size': '1M'}"
#define DELAY(keys) "{'type': 'delay', " keys ", " MEMORY "}"
/* Nobody waits for it. */
#define LONG DELAY("'all': {'us': 60000000}")

static char buf[8192];

static uint64_t took_ns(struct rig *rig, enum store_op op)
{
    uint64_t start = loop_now_ns();

    assert_int_equal(rig_do(rig, op, 0, 0, buf, op == STORE_FLUSH ? 0 : 512),
                     0);
    return loop_now_ns() - start;
}

static void each_operation_has_its_time(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, DELAY("'read': {'us': 30000}, 'all': {'us': 10000},"
                             "'write': {'us': 0}"));
    assert_true(rig->store->info.serial);
    assert_true(took_ns(rig, STORE_READ) >= 30 * MS);
    assert_in_range(took_ns(rig, STORE_FLUSH), 10 * MS, 10000 * MS);
    assert_true(strstr(rig_status(rig), "'waiting':0,'held':2"));
    took_ns(rig, STORE_WRITE);
    assert_true(strstr(rig_status(rig), "'waiting':0,'held':2"));
}

static void an_exact_one_is_not_too_early(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, DELAY("'all': {'us': 300}, 'exact': true"));
    for (unsigned i = 0; i < 50; i++)
        assert_true(took_ns(rig, STORE_READ) >= 300 * US);
}

/* One that comes later and goes sooner. */
static void they_go_when_it_is_their_time(void **state)
{
    struct rig *rig = *state;
    struct ask slow, fast, first;

    rig_open_with(rig, DELAY("'read': {'us': 60000000}, 'write': {'us': 20000},"
                             "'flush': {'us': 20000}"));
    rig_ask(&slow, STORE_READ, 0, 0, buf, 512, 512);
    rig_ask(&first, STORE_FLUSH, 0, 0, NULL, 0, 512);
    rig_ask(&fast, STORE_WRITE, 0, 0, buf, 512, 512);
    rig_submit(rig, &slow);
    rig_submit(rig, &first);
    rig_submit(rig, &fast);
    assert_int_equal(rig_wait(rig, &fast), 0);
    assert_true(first.done);
    assert_false(slow.done);
    assert_true(strstr(rig_status(rig), "'waiting':1"));
    store_drain(rig->ch, NULL, true);
    assert_int_equal(slow.req.result, -EIO);
}

static void a_drain_lets_go_at_once(void **state)
{
    static char mine, other;
    struct rig *rig = *state;
    struct ask a[20];

    rig_open_with(rig, LONG);
    for (unsigned i = 0; i < 20; i++) {
        rig_ask(&a[i], STORE_WRITE, 0, i * 512, buf, 512, 512);
        a[i].req.owner = i % 3 ? &mine : &other;
        rig_submit(rig, &a[i]);
    }
    store_drain(rig->ch, &mine, false);
    for (unsigned i = 0; i < 20; i++) {
        if (i % 3)
            assert_int_equal(rig_wait(rig, &a[i]), 0);
        else
            assert_false(a[i].done);
    }
    store_drain(rig->ch, &other, true);
    for (unsigned i = 0; i < 20; i += 3) {
        assert_true(a[i].done);
        assert_int_equal(a[i].req.result, -EIO);
    }
}

static void one_in_a_hurry_is_not_held(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, LONG);
    assert_int_equal(rig_do(rig, STORE_WRITE, STORE_HURRY, 0, buf, 512), 0);
    assert_non_null(strstr(rig_status(rig), "'waiting':0,'held':0"));
}

static void nothing_given_is_not_held(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, DELAY("'seed': 3"));
    took_ns(rig, STORE_READ);
    assert_true(strstr(rig_status(rig), "'seed':3,'waiting':0,'held':0"));
}

/* ---- how long ---- */

static const struct delay_conf disk = {
    .all.kind = DELAY_DISK,
    .seed = 9,
    .rpm = 6000, /* 10 ms */
    .seek_min_us = 1000,
    .seek_max_us = 9000,
    .rate = 1000000,
};

static uint64_t held(struct delay_clock *c, enum store_op op, uint64_t at,
                     uint64_t len, uint64_t now)
{
    struct store_req r = {.op = op, .offset = at, .len = len};

    return delay_until_ns(c, &r, UINT64_C(1) << 40, now) - now;
}

static void a_disk_turns_and_its_arm_moves(void **state)
{
    struct delay_clock c;
    uint64_t now = 1000 * MS, ns;

    (void)state;
    delay_clock_init(&c, &disk);
    /* It stands at the start: data moves, nothing else. */
    assert_true(held(&c, STORE_READ, 0, 1000, now) == MS);
    now += 100 * MS;
    assert_true(held(&c, STORE_WRITE, 1000, 5000, now) == 5 * MS);
    now += 100 * MS;
    ns = held(&c, STORE_READ, 1000, 1000, now); /* the next track */
    assert_in_range(ns, 2 * MS, 12 * MS + 100 * US);
    now += 100 * MS;
    ns = held(&c, STORE_READ, (UINT64_C(1) << 40) - 1000, 1000, now);
    assert_in_range(ns, 10 * MS - 100 * US, 20 * MS);
    now += 100 * MS;
    /* Half of the way back: the root of a half of 8 ms more. */
    ns = held(&c, STORE_READ, UINT64_C(1) << 39, 1000, now);
    assert_in_range(ns, 7656 * US, 17660 * US);
    now += 100 * MS;
    assert_in_range(held(&c, STORE_FLUSH, 0, 0, now), 0, 10 * MS);
    /* And what comes while it is busy waits for it. */
    now += 100 * MS;
    ns = held(&c, STORE_FLUSH, 0, 0, now);
    assert_true(held(&c, STORE_READ, (UINT64_C(1) << 39) + 1000, 1000, now) ==
                ns + MS);
}

static void the_same_seed_is_the_same_time(void **state)
{
    static const struct delay_conf confs[] = {
        {.all = {DELAY_UNIFORM, 1000, 1000}, .seed = 4},
        {.all = {DELAY_NORMAL, 1000, 200}, .seed = 4},
    };
    const struct delay_conf *all[] = {&confs[0], &confs[1], &disk};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct delay_conf seed = *all[i];
        struct delay_clock a, b, c;
        bool differs = false;
        uint64_t sum = 0;

        seed.seed++;
        delay_clock_init(&a, all[i]);
        delay_clock_init(&b, all[i]);
        delay_clock_init(&c, &seed);
        for (uint64_t k = 0; k < 5000; k++) {
            uint64_t at = k * 7919 % 1000 * 4096, now = k * 1000 * MS;
            uint64_t ns = held(&a, k % 3, at, 512, now);

            assert_true(ns == held(&b, k % 3, at, 512, now));
            differs |= ns != held(&c, k % 3, at, 512, now);
            sum += ns;
        }
        assert_true(differs);
        if (i < 2)
            assert_in_range(sum / 5000, 950 * US, 1050 * US);
    }
}

static void times_do_not_wrap(void **state)
{
    struct delay_conf slow = disk;
    struct delay_clock c;
    uint64_t last = 0;

    (void)state;
    slow.rate = 1024;
    slow.rpm = 1;
    delay_clock_init(&c, &slow);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t ns = held(&c, STORE_READ, i % 2 ? 0 : UINT64_MAX / 4,
                           UINT64_MAX / 4, MS);

        assert_true(ns > last);
        last = ns;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(each_operation_has_its_time),
        RIG_TEST(an_exact_one_is_not_too_early),
        RIG_TEST(they_go_when_it_is_their_time),
        RIG_TEST(a_drain_lets_go_at_once),
        RIG_TEST(one_in_a_hurry_is_not_held),
        RIG_TEST(nothing_given_is_not_held),
        cmocka_unit_test(a_disk_turns_and_its_arm_moves),
        cmocka_unit_test(the_same_seed_is_the_same_time),
        cmocka_unit_test(times_do_not_wrap),
    };

    return cmocka_run_group_tests_name("delay", tests, NULL, NULL);
}
