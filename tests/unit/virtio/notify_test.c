/* Who is told of what: kicks and calls, by flags and by event index, around
 * every place where an index wraps. */
#include "guest.h"

/* One request and its answer, with a flush. */
static void one(struct guest *g)
{
    struct chain *c;
    const struct piece p = {GUEST_DATA, 4, true};

    guest_offer(g, 0, &p, 1);
    c = ring_pop(&g->ring);
    assert_non_null(c);
    chain_done(c, 4);
    ring_flush(&g->ring);
    guest_expect(g, 0, 4);
}

/* ---- calls, by flags ---- */

static void no_call_when_the_flag_says_so(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    one(g);
    assert_true(guest_called(g));
    if (g->packed)
        le16_store(&guest_driver_event(g)->flags, VRING_PACKED_EVENT_DISABLE);
    else
        le16_store(&guest_avail(g)->flags, VRING_AVAIL_F_NO_INTERRUPT);
    one(g);
    assert_false(guest_called(g));
    assert_int_equal(g->stats.calls, 1);
    le16_store(
        g->packed ? &guest_driver_event(g)->flags : &guest_avail(g)->flags, 0);
    one(g);
    assert_true(guest_called(g));
}

static void no_call_without_an_answer(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    ring_flush(&g->ring);
    guest_offer_small(g, 0);
    assert_non_null(ring_pop(&g->ring));
    ring_flush(&g->ring);
    assert_false(guest_called(g));
}

/* Without the event index its values mean nothing. */
static void an_event_that_was_not_agreed_on_is_a_plain_call(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    le16_store(&guest_driver_event(g)->flags, VRING_PACKED_EVENT_DESC);
    le16_store(&guest_driver_event(g)->off_wrap, 5);
    one(g);
    assert_true(guest_called(g));
    one(g);
    assert_true(guest_called(g));
}

/* ---- calls, by event index ---- */

static void want_call(struct guest *g, uint16_t at, bool wrap)
{
    if (g->packed) {
        le16_store(&guest_driver_event(g)->off_wrap,
                   (uint16_t)(at | (wrap ? 0x8000 : 0)));
        le16_store(&guest_driver_event(g)->flags, VRING_PACKED_EVENT_DESC);
    } else {
        le16_store(&guest_avail(g)->ring[g->size], at);
    }
}

/* For every place and every batch size: one call, just when the batch has the
 * answer asked for. The split index begins shortly before it wraps. */
static void a_call_for_the_answer_asked_for(void **state)
{
    struct guest *g = *state;
    const struct piece p = {GUEST_DATA, 4, true};

    g->event_idx = true;
    if (!g->packed) {
        g->next_avail = g->next_used = 65530;
        g->setup.base = 65530;
        le16_store(&guest_avail(g)->idx, 65530);
        le16_store(&guest_used(g)->idx, 65530);
    }
    guest_start(g);
    one(g);
    assert_true(guest_called(g)); /* the first one, whatever is asked for */
    for (unsigned i = 0; i < 400; i++) {
        uint16_t batch = (uint16_t)(1 + i % 5);
        unsigned ahead = i / 5 % 7;
        unsigned at = g->next_used + ahead;
        bool wrap = g->used_wrap;

        if (g->packed && at >= g->size) {
            at -= g->size;
            wrap = !wrap;
        }
        want_call(g, (uint16_t)at, wrap);
        for (uint16_t k = 0; k < batch; k++) {
            guest_offer(g, k, &p, 1);
            chain_done(ring_pop(&g->ring), 0);
        }
        ring_flush(&g->ring);
        assert_int_equal(guest_called(g), ahead < batch);
        for (uint16_t k = 0; k < batch; k++)
            guest_expect(g, k, 0);
    }
}

/* A guest that asked long ago and does not look is left alone. */
static void no_call_for_an_answer_given_already(void **state)
{
    struct guest *g = *state;

    g->event_idx = true;
    guest_start(g);
    one(g);
    assert_true(guest_called(g));
    want_call(g, 0, true); /* that was the first answer */
    for (int i = 0; i < 6; i++) {
        one(g);
        assert_false(guest_called(g));
    }
}

static void a_packed_event_may_be_off_and_on(void **state)
{
    struct guest *g = *state;

    g->event_idx = true;
    guest_start(g);
    le16_store(&guest_driver_event(g)->flags, VRING_PACKED_EVENT_DISABLE);
    one(g);
    assert_false(guest_called(g));
    le16_store(&guest_driver_event(g)->flags, VRING_PACKED_EVENT_ENABLE);
    one(g);
    assert_true(guest_called(g));
}

/* So many answers between two flushes that the index went round. */
static void a_call_after_a_whole_turn_of_the_index(void **state)
{
    struct guest *g = *state;
    const struct piece p = {GUEST_DATA, 4, true};

    g->event_idx = true;
    guest_start(g);
    one(g);
    assert_true(guest_called(g));
    want_call(g, 60000, false);
    for (unsigned i = 0; i < 65536; i++) {
        guest_offer(g, 0, &p, 1);
        chain_done(ring_pop(&g->ring), 0);
        ring_publish(&g->ring);
        guest_expect(g, 0, 0);
    }
    ring_flush(&g->ring);
    assert_true(guest_called(g));
}

/* ---- kicks ---- */

static bool kick_flag_off(struct guest *g)
{
    return g->packed
               ? le16_load(&guest_device_event(g)->flags) ==
                     VRING_PACKED_EVENT_DISABLE
               : le16_load(&guest_used(g)->flags) == VRING_USED_F_NO_NOTIFY;
}

static void kicks_are_wanted_from_the_start(void **state)
{
    struct guest *g = *state;

    if (!g->packed)
        guest_used(g)->flags = htole16(VRING_USED_F_NO_NOTIFY);
    guest_start(g);
    assert_false(kick_flag_off(g));
}

static void kicks_go_off_and_on_by_flag(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    for (int i = 0; i < 2; i++) {
        ring_notify_off(&g->ring);
        ring_notify_off(&g->ring);
        assert_true(kick_flag_off(g));
        assert_false(ring_notify_on(&g->ring));
        assert_false(kick_flag_off(g));
    }
}

static void what_came_while_kicks_were_off_is_noticed(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    ring_notify_off(&g->ring);
    guest_offer_small(g, 0);
    assert_true(ring_notify_on(&g->ring));
    assert_non_null(ring_pop(&g->ring));
    assert_false(ring_notify_on(&g->ring));
}

static void kicks_by_event_index_are_for_the_next_request(void **state)
{
    struct guest *g = *state;

    g->event_idx = true;
    guest_start(g);
    for (unsigned i = 0; i < 20; i++) {
        uint16_t event;

        ring_notify_off(&g->ring);
        one(g);
        assert_false(ring_notify_on(&g->ring));
        if (g->packed) {
            event = le16_load(&guest_device_event(g)->off_wrap);
            assert_int_equal(le16_load(&guest_device_event(g)->flags),
                             VRING_PACKED_EVENT_DESC);
            assert_int_equal(event, g->next_avail | g->avail_wrap << 15);
        } else {
            event = le16_load((le16 *)&guest_used(g)->ring[g->size]);
            assert_int_equal(event, g->next_avail);
            assert_int_equal(le16_load(&guest_used(g)->flags), 0);
        }
    }
}

static void kicks_by_event_index_go_off(void **state)
{
    struct guest *g = *state;

    g->event_idx = true;
    guest_start(g);
    one(g);
    ring_notify_off(&g->ring);
    if (g->packed)
        assert_true(kick_flag_off(g));
    else /* the index stays behind, where no guest passes it again */
        assert_int_equal(le16_load((le16 *)&guest_used(g)->ring[g->size]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BOTH(no_call_when_the_flag_says_so),
        TEST_BOTH(no_call_without_an_answer),
        TEST_PACKED(an_event_that_was_not_agreed_on_is_a_plain_call),
        TEST_BOTH(a_call_for_the_answer_asked_for),
        TEST_BOTH(no_call_for_an_answer_given_already),
        TEST_PACKED(a_packed_event_may_be_off_and_on),
        TEST_SPLIT(a_call_after_a_whole_turn_of_the_index),
        TEST_BOTH(kicks_are_wanted_from_the_start),
        TEST_BOTH(kicks_go_off_and_on_by_flag),
        TEST_BOTH(what_came_while_kicks_were_off_is_noticed),
        TEST_BOTH(kicks_by_event_index_are_for_the_next_request),
        TEST_BOTH(kicks_by_event_index_go_off),
    };

    return cmocka_run_group_tests_name("notifications", tests, NULL, NULL);
}
