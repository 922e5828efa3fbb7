/* Turns at a ring: chains come in groups, each once and in order, whatever is
 * taken ahead, and a turn ends. */
#include "guest.h"
#include "virtio/turn.h"

#define MANY 100 /* chains: more than are taken ahead */

static int split_setup(void **state)
{
    *state = guest_new(false, 256);
    return 0;
}

static int packed_setup(void **state)
{
    *state = guest_new(true, 256);
    return 0;
}

#define MANY_SPLIT(t)                                                          \
    {                                                                          \
        "split: " #t, t, split_setup, guest_teardown, NULL                     \
    }
#define MANY_BOTH(t)                                                           \
    MANY_SPLIT(t),                                                             \
    {                                                                          \
        "packed: " #t, t, packed_setup, guest_teardown, NULL                   \
    }

static struct guest *started(void **state, unsigned chains)
{
    struct guest *g = *state;

    guest_start(g);
    for (unsigned i = 0; i < chains; i++)
        guest_offer_small(g, (uint16_t)(2 * i));
    return g;
}

/* Answers a group; its chains are those from `next` on. */
static unsigned answer(struct ring_turn *t, unsigned n, unsigned next)
{
    assert_true(n <= TURN_GROUP);
    for (unsigned i = 0; i < n; i++, next++) {
        assert_int_equal(t->group[i]->id, 2 * next);
        chain_done(t->group[i], 8);
    }
    return next;
}

static void expect_answers(struct guest *g, unsigned chains)
{
    for (unsigned i = 0; i < chains; i++)
        guest_expect(g, (uint16_t)(2 * i), 8);
    guest_expect_none(g);
}

static void chains_come_in_order_once_each(void **state)
{
    struct guest *g = started(state, MANY);
    struct ring_turn t;
    unsigned n, next = 0;

    ring_turn_begin(&t, &g->ring, false);
    while ((n = ring_turn_next(&t)) > 0) {
        ring_turn_ahead(&t);
        next = answer(&t, n, next);
    }
    ring_flush(&g->ring);
    assert_int_equal(next, MANY);
    assert_int_equal(t.bytes, MANY * 8);
    expect_answers(g, MANY);
}

static void they_need_not_be_taken_ahead(void **state)
{
    struct guest *g = started(state, MANY);
    struct ring_turn t;
    unsigned n, next = 0;

    ring_turn_begin(&t, &g->ring, false);
    while ((n = ring_turn_next(&t)) > 0)
        next = answer(&t, n, next);
    ring_flush(&g->ring);
    expect_answers(g, MANY);
}

/* A guest that polls need not wait for the end of the turn. */
static void a_group_is_shown_before_the_next_one_is_given(void **state)
{
    struct guest *g = started(state, 2 * TURN_GROUP);
    struct ring_turn t;

    ring_turn_begin(&t, &g->ring, false);
    assert_int_equal(ring_turn_next(&t), TURN_GROUP);
    ring_turn_ahead(&t);
    answer(&t, TURN_GROUP, 0);
    guest_expect_none(g);
    assert_int_equal(ring_turn_next(&t), TURN_GROUP);
    expect_answers(g, TURN_GROUP);
    answer(&t, TURN_GROUP, TURN_GROUP);
    assert_int_equal(ring_turn_next(&t), 0);
}

static void what_was_answered_at_once_is_shown_first(void **state)
{
    struct guest *g = started(state, 2 * TURN_GROUP);
    struct ring_turn t;

    ring_turn_begin(&t, &g->ring, false);
    assert_int_equal(ring_turn_next(&t), TURN_GROUP);
    answer(&t, TURN_GROUP, 0);
    ring_turn_ahead(&t);
    expect_answers(g, TURN_GROUP);
    assert_int_equal(ring_turn_next(&t), TURN_GROUP);
    answer(&t, TURN_GROUP, TURN_GROUP);
    assert_int_equal(ring_turn_next(&t), 0);
}

static void what_is_asked_meanwhile_is_taken_too(void **state)
{
    struct guest *g = started(state, TURN_GROUP);
    struct ring_turn t;

    ring_turn_begin(&t, &g->ring, false);
    assert_int_equal(ring_turn_next(&t), TURN_GROUP);
    ring_turn_ahead(&t); /* there is nothing */
    guest_offer_small(g, 2 * TURN_GROUP);
    answer(&t, TURN_GROUP, 0);
    assert_int_equal(ring_turn_next(&t), 1);
    answer(&t, 1, TURN_GROUP);
    assert_int_equal(ring_turn_next(&t), 0); /* that group was not full */
    ring_flush(&g->ring);
    expect_answers(g, TURN_GROUP + 1);
}

static void chains_taken_ahead_come_from_a_broken_ring_too(void **state)
{
    struct guest *g = started(state, MANY);
    struct ring_turn t;

    ring_turn_begin(&t, &g->ring, false);
    assert_int_equal(ring_turn_next(&t), TURN_GROUP);
    ring_turn_ahead(&t);
    ring_break(&g->ring, "its store was told to break it");
    answer(&t, TURN_GROUP, 0);
    assert_int_equal(ring_turn_next(&t), TURN_GROUP);
    ring_turn_ahead(&t);
    answer(&t, TURN_GROUP, TURN_GROUP);
    assert_int_equal(ring_turn_next(&t), 0);
    assert_int_equal(g->ring.in_flight, 0);
}

/* The device says when bytes are many. */
static void a_turn_ends_when_there_were_many_bytes(void **state)
{
    struct guest *g = started(state, MANY);
    struct ring_turn t;

    ring_turn_begin(&t, &g->ring, false);
    assert_int_equal(ring_turn_next(&t), TURN_GROUP);
    t.bytes += TURN_BYTES;
    ring_turn_ahead(&t);
    answer(&t, TURN_GROUP, 0);
    assert_int_equal(ring_turn_next(&t), 0);
    assert_true(ring_has_work(&g->ring));
}

/* However fast the guest asks again. */
static void a_turn_ends_when_there_were_many_chains(void **state)
{
    struct guest *g = started(state, MANY);
    struct ring_turn t;
    unsigned n, total = 0;

    ring_turn_begin(&t, &g->ring, false);
    while ((n = ring_turn_next(&t)) > 0) {
        uint16_t id;
        uint32_t len;

        ring_turn_ahead(&t);
        for (unsigned i = 0; i < n; i++)
            chain_done(t.group[i], 8);
        ring_publish(&g->ring);
        while (guest_take(g, &id, &len))
            guest_offer_small(g, id);
        total += n;
    }
    assert_int_equal(total, TURN_CHAINS);
    assert_int_equal(g->ring.in_flight, 0);
    assert_true(ring_has_work(&g->ring));
}

static void a_guest_that_has_lost_its_mind_breaks_the_ring(void **state)
{
    struct guest *g = started(state, 3);
    struct ring_turn t;

    le16_store(&guest_avail(g)->idx, (uint16_t)(g->size + 1));
    ring_turn_begin(&t, &g->ring, false);
    assert_int_equal(ring_turn_next(&t), 0);
    assert_string_equal(g->ring.broken, "its available index has run away");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MANY_BOTH(chains_come_in_order_once_each),
        MANY_BOTH(they_need_not_be_taken_ahead),
        MANY_BOTH(a_group_is_shown_before_the_next_one_is_given),
        MANY_SPLIT(what_was_answered_at_once_is_shown_first),
        MANY_BOTH(what_is_asked_meanwhile_is_taken_too),
        MANY_SPLIT(chains_taken_ahead_come_from_a_broken_ring_too),
        MANY_BOTH(a_turn_ends_when_there_were_many_bytes),
        MANY_BOTH(a_turn_ends_when_there_were_many_chains),
        MANY_SPLIT(a_guest_that_has_lost_its_mind_breaks_the_ring),
    };

    return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
