/* base/histogram.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/histogram.h"

static void each_bucket_ends_where_the_next_begins(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        uint64_t upto = histogram_upto(i);

        assert_int_equal(histogram_bucket(upto), i);
        assert_int_equal(histogram_bucket(upto + 1), i + 1);
    }
    assert_int_equal(histogram_bucket(0), 0);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_upto(HISTOGRAM_BUCKETS - 1), UINT64_MAX);
}

static void a_bucket_is_no_wider_than_a_quarter_of_its_values(void **state)
{
    (void)state;
    for (unsigned i = 4; i < HISTOGRAM_BUCKETS - 1; i++) {
        uint64_t first = histogram_upto(i - 1) + 1;

        assert_true((histogram_upto(i) - first + 1) * 4 <= first);
    }
}

static void quantiles_are_known_to_a_bucket(void **state)
{
    static struct histogram h, copy;

    (void)state;
    histogram_read(&h, &copy);
    assert_int_equal(histogram_count(&copy), 0);
    assert_int_equal(histogram_quantile(&copy, 500000), 0);
    for (uint64_t i = 1; i <= 1000; i++)
        histogram_add(&h, i * 1000, 1);
    histogram_read(&h, &copy);
    assert_int_equal(histogram_count(&copy), 1000);
    assert_int_equal(copy.sum, 500500000);
    assert_int_equal(copy.max, 1000000);
    assert_in_range(histogram_quantile(&copy, 500000), 500000, 625000);
    assert_in_range(histogram_quantile(&copy, 900000), 900000, 1000000);
    assert_in_range(histogram_quantile(&copy, 1), 1000, 1250);
    /* No value is above the largest. */
    assert_int_equal(histogram_quantile(&copy, 999000), 1000000);
    assert_int_equal(histogram_quantile(&copy, 1000000), 1000000);
}

static void many_at_once_are_as_many_times_one(void **state)
{
    static struct histogram one, other;

    (void)state;
    histogram_add(&one, 77, 3);
    for (int i = 0; i < 3; i++)
        histogram_add(&other, 77, 1);
    assert_memory_equal(&one, &other, sizeof(one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bucket_ends_where_the_next_begins),
        cmocka_unit_test(a_bucket_is_no_wider_than_a_quarter_of_its_values),
        cmocka_unit_test(quantiles_are_known_to_a_bucket),
        cmocka_unit_test(many_at_once_are_as_many_times_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
