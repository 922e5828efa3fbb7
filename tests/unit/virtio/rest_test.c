/* Buffers that wait for events: ring_rest, and what a ring has to do then. */
#include "guest.h"

static struct chain *pop(struct guest *g)
{
    struct chain *c = ring_pop(&g->ring);

    assert_non_null(c);
    return c;
}

static void offer(struct guest *g, uint16_t id, unsigned descs)
{
    const struct piece p[] = {
        {GUEST_DATA + 64u * id, 8, true},
        {GUEST_DATA + 64u * id + 16, 8, true},
        {GUEST_DATA + 64u * id + 32, 8, true},
    };

    guest_offer(g, id, p, descs);
}

static void what_rests_is_no_work_until_more_comes(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    assert_int_equal(ring_rest(&g->ring), 0);
    assert_false(ring_has_work(&g->ring));
    offer(g, 0, 1);
    assert_true(ring_has_work(&g->ring));
    offer(g, 1, 1);
    assert_int_equal(ring_rest(&g->ring), 2);
    assert_false(ring_has_work(&g->ring));
    assert_false(ring_notify_on(&g->ring));
    offer(g, 2, 1);
    assert_true(ring_has_work(&g->ring));
    assert_true(ring_notify_on(&g->ring));
    assert_int_equal(ring_rest(&g->ring), 3);
    assert_false(ring_has_work(&g->ring));
}

static void what_rests_is_popped_in_order(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    offer(g, 3, 1);
    offer(g, 5, 2);
    assert_int_equal(ring_rest(&g->ring), 2);
    chain_done(pop(g), 8);
    ring_flush(&g->ring);
    guest_expect(g, 3, 8);
    assert_int_equal(ring_rest(&g->ring), 1);
    assert_false(ring_has_work(&g->ring));
    chain_done(pop(g), 8);
    assert_null(ring_pop(&g->ring));
    ring_flush(&g->ring);
    guest_expect(g, 5, 8);
    assert_int_equal(ring_rest(&g->ring), 0);
}

/* Lap after lap, with a ring that is now and then full of chains at rest. */
static void a_ring_rests_wherever_it_is(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    for (unsigned round = 0; round < 40; round++) {
        unsigned n = 1 + round % g->size;

        for (unsigned i = 0; i < n; i++)
            offer(g, (uint16_t)i, 1);
        assert_true(ring_has_work(&g->ring));
        assert_int_equal(ring_rest(&g->ring), n);
        assert_false(ring_has_work(&g->ring));
        for (unsigned i = 0; i < n; i++) {
            chain_done(pop(g), 1);
            assert_int_equal(ring_rest(&g->ring), n - 1 - i);
            assert_false(ring_has_work(&g->ring));
        }
        ring_flush(&g->ring);
        for (unsigned i = 0; i < n; i++)
            guest_expect(g, (uint16_t)i, 1);
        assert_false(ring_has_work(&g->ring));
    }
}

/* With the event index the guest kicks for what is behind, not for what it
 * has offered long ago. */
static void the_kick_asked_for_is_that_of_the_next(void **state)
{
    struct guest *g = *state;

    g->event_idx = true;
    guest_start(g);
    offer(g, 0, 1);
    offer(g, 1, 1);
    assert_int_equal(ring_rest(&g->ring), 2);
    assert_false(ring_notify_on(&g->ring));
    if (g->packed)
        assert_int_equal(le16_load(&guest_device_event(g)->off_wrap),
                         2 | 1 << 15);
    else
        assert_int_equal(
            le16_load((le16 *)(void *)&guest_used(g)->ring[g->size]), 2);
}

static void a_runaway_index_breaks_a_ring_at_rest(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    assert_int_equal(ring_rest(&g->ring), 0);
    le16_store(&guest_avail(g)->idx, 1000);
    assert_true(ring_has_work(&g->ring));
    assert_int_equal(ring_rest(&g->ring), 0);
    assert_non_null(g->ring.broken);
    assert_false(ring_has_work(&g->ring));
}

/* A chain that never ends takes all there is, and no more. */
static void a_chain_without_end_does_not_hold_us(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    for (unsigned i = 0; i < g->size; i++) {
        le16_store(&guest_packed_desc(g, i)->flags,
                   VRING_PACKED_DESC_F_AVAIL | VRING_DESC_F_NEXT);
    }
    assert_int_equal(ring_rest(&g->ring), 0);
    assert_false(ring_has_work(&g->ring));
    assert_null(ring_pop(&g->ring));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BOTH(what_rests_is_no_work_until_more_comes),
        TEST_BOTH(what_rests_is_popped_in_order),
        TEST_BOTH(a_ring_rests_wherever_it_is),
        TEST_BOTH(the_kick_asked_for_is_that_of_the_next),
        TEST_SPLIT(a_runaway_index_breaks_a_ring_at_rest),
        TEST_PACKED(a_chain_without_end_does_not_hold_us),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
