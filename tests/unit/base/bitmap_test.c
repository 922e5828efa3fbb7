/* Many bits, against an array of bools. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bitmap.h"
#include "base/prng.h"

#define BITS 1024u

static uint64_t words[BITS / 64];
static bool model[BITS];

static void bits_are_what_they_were_set_to(void **state)
{
    struct prng g = prng_of(1, 0);
    uint8_t *map = (uint8_t *)words;

    (void)state;
    for (unsigned turn = 0; turn < 20000; turn++) {
        uint64_t from = prng_below(&g, BITS + 1);
        uint64_t to = from + prng_below(&g, BITS + 1 - from);
        uint64_t changed = 0, count = 0, end;
        bool value = prng_below(&g, 2);

        if (turn % 3)
            to = MIN(to, from + 70);
        for (uint64_t i = from; i < to; i++) {
            count += model[i];
            changed += model[i] != value;
        }
        assert_int_equal(bitmap_count(map, from, to), count);
        assert_int_equal(bitmap_set(map, from, to, value), changed);
        for (uint64_t i = from; i < to; i++)
            model[i] = value;
        from = prng_below(&g, BITS);
        to = from + 1 + prng_below(&g, BITS - from);
        for (end = from + 1; end < to && model[end] == model[from];)
            end++;
        assert_int_equal(bitmap_has(map, from), model[from]);
        assert_int_equal(bitmap_run_end(map, from, to), end);
    }
    for (unsigned i = 0; i < BITS; i++)
        assert_int_equal(bitmap_has(map, i), model[i]);
}

/* So a map can lie on a file. */
static void they_lie_as_they_are_numbered(void **state)
{
    uint8_t *map = (uint8_t *)words;

    (void)state;
    bitmap_set(map, 0, BITS, false);
    bitmap_set(map, 9, 11, true);
    assert_int_equal(map[0], 0);
    assert_int_equal(map[1], 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_what_they_were_set_to),
        cmocka_unit_test(they_lie_as_they_are_numbered),
    };

    return cmocka_run_group_tests_name("bitmap", tests, NULL, NULL);
}
