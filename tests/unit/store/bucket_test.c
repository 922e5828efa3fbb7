/* Token buckets: what comes, what is kept, how long one waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/bucket.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

static struct bucket new_bucket(uint64_t rate, uint64_t burst)
{
    struct bucket b = {0};

    bucket_set(&b, rate, burst, 5 * SECOND);
    return b;
}

static void a_new_bucket_is_full(void **state)
{
    struct bucket b = new_bucket(1000, 300);

    (void)state;
    assert_int_equal(bucket_wait_ns(&b, 300), 0);
    bucket_take(&b, 300);
    assert_int_equal(bucket_wait_ns(&b, 1), MS);
}

static void a_burst_is_a_tenth_of_a_second_unless_said(void **state)
{
    (void)state;
    assert_int_equal(bucket_depth(1000, 0), 100);
    assert_int_equal(bucket_depth(1000, 5000), 5000);
    assert_int_equal(bucket_depth(1000, 3), 10); /* a loop's timers */
    assert_int_equal(bucket_depth(1, 0), 1);
    assert_int_equal(bucket_depth(UINT64_C(1) << 62, 1),
                     (UINT64_C(1) << 62) / 100);
}

static void tokens_come_at_the_rate_and_are_kept_up_to_the_depth(void **state)
{
    struct bucket b = new_bucket(1000, 300);

    (void)state;
    bucket_take(&b, 300);
    bucket_fill(&b, 5 * SECOND + 250 * MS);
    assert_int_equal(b.level, 250);
    bucket_fill(&b, 5 * SECOND + 200 * MS); /* another's older clock */
    assert_int_equal(b.level, 250);
    bucket_fill(&b, 6 * SECOND);
    assert_int_equal(b.level, 300);
    bucket_fill(&b, UINT64_MAX);
    assert_int_equal(b.level, 300);
}

/* However often somebody looks, at times that fit no token. */
static void no_fraction_is_lost_and_none_is_made(void **state)
{
    static const uint64_t rates[] = {
        1, 3, 7, 999, 1000000, 123456789, 4 << 20, UINT64_C(987654321987)};
    static const uint64_t steps[] = {1, 7, 999, 100003, 33333333};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rates); i++)
        for (unsigned k = 0; k < ARRAY_LEN(steps); k++) {
            struct bucket b = new_bucket(rates[i], UINT64_C(1) << 60);
            uint64_t ns = 0;

            bucket_take(&b, b.level);
            for (unsigned n = 0; n < 10000; n++) {
                ns += steps[k];
                bucket_fill(&b, 5 * SECOND + ns);
            }
            assert_true(b.level ==
                        (uint64_t)((unsigned __int128)rates[i] * ns / SECOND));
        }
}

/* It is there after the wait, and was not a while before. */
static void a_wait_is_as_long_as_it_must_be(void **state)
{
    static const uint64_t rates[] = {1,
                                     3,
                                     999,
                                     1 << 20,
                                     5000000,
                                     UINT64_C(1) << 33,
                                     (UINT64_C(1) << 61) + 12345};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rates); i++) {
        struct bucket b = new_bucket(rates[i], rates[i] / 4 * 3);
        uint64_t at = 5 * SECOND + 777, wait, need;

        bucket_take(&b, b.level);
        bucket_fill(&b, at);
        need = b.depth;
        wait = bucket_wait_ns(&b, need);
        assert_true(wait > 0);
        bucket_fill(&b, at + wait - wait / 1000 - 2);
        assert_true(b.level < need);
        bucket_fill(&b, at + wait);
        assert_int_equal(bucket_wait_ns(&b, need), 0);
    }
}

static void a_change_keeps_what_there_is(void **state)
{
    struct bucket b = new_bucket(1000, 300);

    (void)state;
    bucket_set(&b, 10, 20, 5 * SECOND);
    assert_int_equal(b.level, 20);
    bucket_take(&b, 20);
    bucket_set(&b, 1000, 300, 5 * SECOND);
    assert_int_equal(b.level, 0);
    bucket_set(&b, 10, 20, 5 * SECOND + 7 * MS);
    assert_int_equal(b.level, 7); /* at the old rate */
    bucket_set(&b, 0, 0, 6 * SECOND);
    assert_int_equal(bucket_wait_ns(&b, UINT64_MAX), 0);
    bucket_take(&b, UINT64_MAX);
    assert_int_equal(bucket_worth_ns(&b, UINT64_MAX), 0);
    bucket_set(&b, 50, 5, 7 * SECOND);
    assert_int_equal(b.level, 5);
}

static void worth_is_time_and_has_an_end(void **state)
{
    struct bucket b = new_bucket(1000, 0);

    (void)state;
    assert_int_equal(bucket_worth_ns(&b, 0), 0);
    assert_int_equal(bucket_worth_ns(&b, 1), MS);
    assert_int_equal(bucket_worth_ns(&b, 2500), 2500 * MS);
    assert_int_equal(bucket_worth_ns(&b, UINT64_MAX), BUCKET_FOREVER_NS);
    b = new_bucket(3, 0);
    assert_int_equal(bucket_worth_ns(&b, 1), 333333334);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_bucket_is_full),
        cmocka_unit_test(a_burst_is_a_tenth_of_a_second_unless_said),
        cmocka_unit_test(tokens_come_at_the_rate_and_are_kept_up_to_the_depth),
        cmocka_unit_test(no_fraction_is_lost_and_none_is_made),
        cmocka_unit_test(a_wait_is_as_long_as_it_must_be),
        cmocka_unit_test(a_change_keeps_what_there_is),
        cmocka_unit_test(worth_is_time_and_has_an_end),
    };

    return cmocka_run_group_tests_name("bucket", tests, NULL, NULL);
}
