/* base/decades.h, beside what libm says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/decades.h"

static void a_power_of_ten_is_in_its_own_decade(void **state)
{
    (void)state;
    for (int n = -DECADES_MAX; n <= DECADES_MAX; n++) {
        double power = decades_power(n);

        assert_true(fabs(power / pow(10, n) - 1) < 1e-15);
        assert_int_equal(decades_floor(power), n);
        assert_true(decades_log(power) == n);
        if (n > -DECADES_MAX)
            assert_int_equal(decades_floor(nextafter(power, 0)), n - 1);
    }
}

static void logarithms_are_good_to_twelve_digits(void **state)
{
    (void)state;
    for (double x = 1e-9; x < 1e12; x *= 1.00317)
        assert_true(fabs(decades_log(x) - log10(x)) < 1e-12 * 12);
}

static void what_has_no_decade_is_at_a_border(void **state)
{
    (void)state;
    assert_int_equal(decades_floor(0), -DECADES_MAX);
    assert_int_equal(decades_floor(-1), -DECADES_MAX);
    assert_int_equal(decades_floor(NAN), -DECADES_MAX);
    assert_int_equal(decades_floor(INFINITY), DECADES_MAX);
    assert_true(decades_log(0) == -DECADES_MAX);
    assert_true(decades_log(NAN) == -DECADES_MAX);
    assert_true(decades_log(INFINITY) == DECADES_MAX);
    assert_true(decades_power(DECADES_MAX + 1) == decades_power(DECADES_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_of_ten_is_in_its_own_decade),
        cmocka_unit_test(logarithms_are_good_to_twelve_digits),
        cmocka_unit_test(what_has_no_decade_is_at_a_border),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
