/* Extents of kept memory for pixels. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "device/gpu/arena.h"
#include "os/memory.h"
#include "pages.h"

static struct loop loop;
static struct arena a;

static int setup(void **state)
{
    struct err e;

    (void)state;
    memset(&a, 0, sizeof(a));
    return arena_open(&a, "arena", &loop, &e);
}

static int teardown(void **state)
{
    (void)state;
    arena_close(&a);
    arena_close(&a); /* safe twice */
    return 0;
}

/* Memory that the file takes. */
static uint64_t taken(void)
{
    struct stat st;

    assert_int_equal(fstat(a.kept.fd, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

static struct extent *filled(uint64_t bytes)
{
    struct extent *x = arena_take(&a, bytes);

    assert_non_null(x);
    for (uint64_t i = 0; i < bytes; i++)
        if (arena_at(&a, x)[i] != 0)
            fail_msg("byte %llu is not zero", (unsigned long long)i);
    memset(arena_at(&a, x), 0xaa, bytes);
    return x;
}

static void turn(void)
{
    uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static void extents_do_not_meet(void **state)
{
    struct extent *x[100];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(x); i++) {
        x[i] = filled(1 + pages_random(20000));
        memset(arena_at(&a, x[i]), (int)i, x[i]->len);
    }
    for (unsigned i = 0; i < ARRAY_LEN(x); i++)
        for (uint64_t k = 0; k < x[i]->len; k++)
            assert_int_equal(arena_at(&a, x[i])[k], i);
}

static void what_is_returned_takes_no_room(void **state)
{
    struct extent *x = filled(100 * PAGE), *y = filled(PAGE);

    (void)state;
    assert_int_equal(taken(), 101 * PAGE);
    arena_return(&a, x);
    turn();
    assert_int_equal(taken(), PAGE);
    assert_int_equal(arena_at(&a, y)[0], 0xaa);
}

static void a_turn_gives_back_no_more_than_some_megabytes(void **state)
{
    struct extent *x = arena_take(&a, UINT64_C(64) << 20);

    (void)state;
    assert_non_null(x);
    for (uint64_t i = 0; i < x->len; i += PAGE)
        arena_at(&a, x)[i] = 1;
    arena_return(&a, x);
    turn();
    assert_in_range(taken(), UINT64_C(32) << 20, UINT64_C(63) << 20);
    for (int i = 0; i < 20; i++)
        turn();
    assert_int_equal(taken(), 0);
}

/* Its place is the only one there is. */
static void what_is_taken_again_is_zeros(void **state)
{
    struct extent *x, *rest;

    (void)state;
    x = filled(3 * PAGE);
    rest = arena_take(&a, ARENA_BYTES - 3 * PAGE);
    assert_non_null(rest);
    assert_null(arena_take(&a, 1));
    arena_return(&a, x);
    x = filled(3 * PAGE);
    assert_int_equal(x->at, 0);
    arena_return(&a, x);
    x = filled(PAGE);
    x = filled(PAGE);
    x = filled(PAGE);
    assert_null(arena_take(&a, 1));
}

static void there_is_no_room_for_more_than_all(void **state)
{
    (void)state;
    assert_null(arena_take(&a, ARENA_BYTES + 1));
    assert_null(arena_take(&a, UINT64_MAX));
    assert_null(arena_take(&a, 0));
    assert_non_null(arena_take(&a, ARENA_BYTES));
}

static void a_claim_may_not_meet_another_or_the_end(void **state)
{
    (void)state;
    assert_non_null(arena_claim(&a, 10 * PAGE, 10 * PAGE));
    assert_null(arena_claim(&a, 10 * PAGE, 10 * PAGE));
    assert_null(arena_claim(&a, 9 * PAGE, PAGE + 1));
    assert_null(arena_claim(&a, 19 * PAGE, 1));
    assert_null(arena_claim(&a, 0, 100 * PAGE));
    assert_non_null(arena_claim(&a, 9 * PAGE, PAGE));
    assert_non_null(arena_claim(&a, 20 * PAGE, PAGE));
    assert_non_null(arena_claim(&a, 0, 1));
    assert_null(arena_claim(&a, 100, 1));
    assert_null(arena_claim(&a, ARENA_BYTES, 1));
    assert_null(arena_claim(&a, ARENA_BYTES - PAGE, PAGE + 1));
    assert_null(arena_claim(&a, UINT64_MAX & ~UINT64_C(0xfff), PAGE));
    assert_null(arena_claim(&a, 30 * PAGE, 0));
    assert_null(arena_claim(&a, 30 * PAGE, UINT64_MAX));
    assert_non_null(arena_claim(&a, ARENA_BYTES - PAGE, PAGE));
}

static void what_nobody_claims_is_given_back(void **state)
{
    (void)state;
    memset(a.kept.at, 1, 30 * PAGE);
    assert_non_null(arena_claim(&a, 10 * PAGE, 2 * PAGE));
    assert_non_null(arena_claim(&a, 20 * PAGE, PAGE - 1));
    assert_int_equal(arena_give_back_rest(&a), 0);
    assert_int_equal(taken(), 3 * PAGE);
    assert_int_equal(a.kept.at[11 * PAGE], 1);
    assert_int_equal(a.kept.at[20 * PAGE], 1);
}

static void nothing_changes_when_it_has_stopped(void **state)
{
    struct extent *x = filled(PAGE), *y = filled(PAGE);

    (void)state;
    arena_return(&a, x);
    arena_stop(&a);
    arena_return(&a, y);
    turn();
    assert_int_equal(taken(), 2 * PAGE);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(extents_do_not_meet),
        TEST(what_is_returned_takes_no_room),
        TEST(a_turn_gives_back_no_more_than_some_megabytes),
        TEST(what_is_taken_again_is_zeros),
        TEST(there_is_no_room_for_more_than_all),
        TEST(a_claim_may_not_meet_another_or_the_end),
        TEST(what_nobody_claims_is_given_back),
        TEST(nothing_changes_when_it_has_stopped),
    };
    int failed;

    if (loop_open(&loop, "arena") < 0)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_close(&loop);
    return failed;
}
