/* Events from the source to the guest: order, buffers, calls, overflow. */
#include <string.h>

#include "pad.h"

#define WHEEL 8 /* REL_WHEEL */

static void a_frame_that_fits_goes_with_one_call(void **state)
{
    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct pad *p = pad_preset("tablet");

        pad_start(p, packed, 64, 64);
        pad_settle(p);
        assert_int_equal(p->calls, 0);
        FRAME(p, {EV_ABS, ABS_X, 100}, {EV_ABS, ABS_Y, 200},
              {EV_KEY, BTN_LEFT, 1});
        pad_settle(p);
        assert_int_equal(p->calls, 1);
        assert_int_equal(pad_take(p, true), 4);
        pad_expect(p, EV_ABS, ABS_X, 100);
        pad_expect(p, EV_ABS, ABS_Y, 200);
        pad_expect(p, EV_KEY, BTN_LEFT, 1);
        pad_expect_syn(p);
        assert_int_equal(p->in->stats.frames, 1);
        assert_int_equal(p->in->stats.events, 4);
        assert_int_equal(p->in->stats.refills, 0);
        pad_free(p);
    }
}

static void frames_of_one_turn_share_a_call(void **state)
{
    struct pad *p = pad_preset("keyboard");

    (void)state;
    pad_start(p, false, 64, 64);
    pad_settle(p);
    for (uint16_t i = 0; i < 10; i++)
        pad_key(p, KEY_A, !(i & 1));
    pad_settle(p);
    assert_int_equal(p->calls, 1);
    assert_int_equal(pad_take(p, true), 20);
    pad_free(p);
}

/* 4 buffers are what QEMU's own ring has; 1 is the least. */
static void a_longer_frame_takes_a_call_for_each_refill(void **state)
{
    static const unsigned buffers[] = {1, 2, 4, 64};

    (void)state;
    for (unsigned b = 0; b < 2 * ARRAY_LEN(buffers); b++) {
        struct pad *p = pad_preset("touch");
        unsigned n = buffers[b / 2], turns = 0, taken, frame_turns;

        pad_start(p, b & 1, (uint16_t)MAX(n, 2u), n);
        pad_settle(p);
        FRAME(p, {EV_ABS, ABS_MT_SLOT, 0}, {EV_ABS, ABS_MT_TRACKING_ID, 7},
              {EV_ABS, ABS_MT_POSITION_X, 1}, {EV_ABS, ABS_MT_POSITION_Y, 2},
              {EV_ABS, ABS_X, 1}, {EV_ABS, ABS_Y, 2}, {EV_KEY, BTN_TOUCH, 1});
        /* Comes behind it, whatever is free when. */
        FRAME(p, {EV_ABS, ABS_MT_POSITION_X, 3});
        pad_settle(p);
        while ((taken = pad_take(p, true)) > 0) {
            assert_true(taken <= n);
            turns++;
            assert_int_equal(p->calls, turns);
            pad_settle(p);
        }
        assert_int_equal(turns, (10 + n - 1) / n);
        frame_turns = (8 + n - 1) / n;
        assert_int_equal(p->in->stats.refills >= frame_turns - 1, true);
        pad_expect(p, EV_ABS, ABS_MT_SLOT, 0);
        pad_expect(p, EV_ABS, ABS_MT_TRACKING_ID, 7);
        pad_expect(p, EV_ABS, ABS_MT_POSITION_X, 1);
        pad_expect(p, EV_ABS, ABS_MT_POSITION_Y, 2);
        pad_expect(p, EV_ABS, ABS_X, 1);
        pad_expect(p, EV_ABS, ABS_Y, 2);
        pad_expect(p, EV_KEY, BTN_TOUCH, 1);
        pad_expect_syn(p);
        pad_expect(p, EV_ABS, ABS_MT_POSITION_X, 3);
        pad_expect_syn(p);
        pad_expect_none(p);
        pad_free(p);
    }
}

static void a_ring_with_free_buffers_has_no_work(void **state)
{
    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct pad *p = pad_preset("mouse");

        pad_start(p, packed, 64, 64);
        pad_settle(p);
        assert_false(ring_has_work(&p->events->ring));
        FRAME(p, {EV_REL, REL_X, 1});
        pad_settle(p);
        assert_false(ring_has_work(&p->events->ring));
        assert_int_equal(pad_take(p, true), 2);
        assert_true(ring_has_work(&p->events->ring));
        pad_settle(p);
        assert_int_equal(p->events->ring.in_flight, 0);
        pad_free(p);
    }
}

/* ---- buffers of no use ---- */

static void bad_buffers_come_back_and_nothing_is_lost(void **state)
{
    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct pad *p = pad_preset("mouse");

        pad_start(p, packed, 8, 0);
        pad_offer(p, 0, 7, true);
        pad_offer(p, 1, 8, false);
        pad_offer(p, 2, 4096, true);
        pad_offer(p, 3, 1, true);
        pad_settle(p);
        FRAME(p, {EV_REL, REL_X, -5});
        pad_settle(p);
        guest_expect(p->events, 0, 0);
        guest_expect(p->events, 1, 0);
        guest_expect(p->events, 2, 8); /* one event, however long it is */
        guest_expect(p->events, 3, 0);
        assert_int_equal(p->in->stats.bad, 3);
        pad_offer(p, 4, 8, true);
        pad_settle(p);
        guest_expect(p->events, 4, 8);
        assert_null(p->events->ring.broken);
        pad_free(p);
    }
}

/* ---- what is left out ---- */

static void what_the_device_does_not_have_is_left_out(void **state)
{
    struct pad *p = pad_preset("keyboard");

    (void)state;
    pad_start(p, false, 64, 64);
    FRAME(p, {EV_KEY, BTN_LEFT, 1}, {EV_REL, REL_X, 1}, {EV_LED, LED_CAPSL, 1},
          {EV_MSC, MSC_SCAN, 30}, {EV_KEY, KEY_A, 1}, {EV_KEY, KEY_A, 2});
    FRAME(p, {EV_KEY, KEY_A, 2});
    FRAME(p, {EV_LED, LED_CAPSL, 0}, {99, 1, 1}, {EV_KEY, 0xffff, 1});
    pad_play(p);
    pad_expect(p, EV_MSC, MSC_SCAN, 30);
    pad_expect(p, EV_KEY, KEY_A, 1);
    pad_expect_syn(p);
    pad_expect_none(p);
    pad_free(p);
}

static void without_repeat_of_its_own_a_guest_gets_repeats(void **state)
{
    struct pad *p = pad_open("'source': {'type': 'virtual', 'describe': "
                             "{'name': 'k', 'events': 'KEY_A'}}");

    (void)state;
    pad_start(p, false, 64, 64);
    pad_key(p, KEY_A, 2);
    pad_play(p);
    pad_expect(p, EV_KEY, KEY_A, 2);
    pad_free(p);
}

/* ---- taken ---- */

static unsigned taken, untaken;

static void on_sent(void *arg, bool is_taken)
{
    unsigned *count = arg;

    ++*count;
    taken += is_taken;
    untaken += !is_taken;
}

static enum frame_fate send_watched(struct pad *p, uint16_t code, int32_t value,
                                    unsigned *count)
{
    const struct input_event16 ev[] = {{EV_KEY, code, value},
                                       {EV_SYN, SYN_REPORT, 0}};

    return p->in->source->host->frame(p->in->source, ev, 2, on_sent, count);
}

static void a_frame_is_taken_when_its_buffers_are_back(void **state)
{
    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct pad *p = pad_preset("keyboard");
        unsigned first = 0, second = 0;
        uint16_t id;
        uint32_t len;

        taken = untaken = 0;
        pad_start(p, packed, 8, 8);
        pad_settle(p);
        send_watched(p, KEY_A, 1, &first);
        assert_int_equal(first, 0);
        pad_settle(p);
        send_watched(p, KEY_A, 0, &second);
        pad_settle(p);
        assert_int_equal(first, 0);
        /* Three of the four buffers come back, one by one. */
        for (unsigned i = 0; i < 4; i++) {
            assert_true(guest_take(p->events, &id, &len));
            pad_offer(p, id, 8, true);
            pad_settle(p);
            assert_int_equal(first, i >= 1);
            assert_int_equal(second, i >= 3);
        }
        assert_int_equal(taken, 2);
        pad_free(p);
    }
}

static void who_waits_is_told_when_the_guest_goes(void **state)
{
    struct pad *p = pad_preset("keyboard");
    unsigned given = 0, queued = 0, nobody = 0, nothing = 0;

    (void)state;
    taken = untaken = 0;
    assert_int_equal(send_watched(p, KEY_A, 1, &nobody), FRAME_LOST);
    pad_start(p, false, 2, 2);
    pad_settle(p);
    /* It has no such button. */
    assert_int_equal(send_watched(p, BTN_LEFT, 1, &nothing), FRAME_EMPTY);
    assert_int_equal(send_watched(p, KEY_B, 1, &given), FRAME_WAITS);
    assert_int_equal(send_watched(p, KEY_C, 1, &queued), FRAME_WAITS);
    pad_settle(p);
    assert_int_equal(given + queued, 0);
    pad_stop(p);
    assert_int_equal(given + queued, 0); /* never from inside */
    pad_settle(p);
    assert_int_equal(given, 1);
    assert_int_equal(queued, 1);
    assert_int_equal(nobody + nothing, 0);
    assert_int_equal(untaken, 2);
    pad_start(p, false, 2, 0);
    assert_int_equal(send_watched(p, KEY_D, 1, &queued), FRAME_WAITS);
    pad_free(p); /* closed before it is told */
    assert_int_equal(queued, 2);
    assert_int_equal(taken, 0);
}

/* ---- overflow ---- */

static void an_overflow_leaves_no_key_stuck(void **state)
{
    struct pad *p = pad_preset("keyboard");
    unsigned events;

    (void)state;
    pad_start(p, false, 4, 4);
    pad_settle(p);
    pad_key(p, KEY_LEFTSHIFT, 1);
    for (unsigned i = 0; i < EVENTS_MAX; i++) {
        pad_key(p, KEY_A, 1);
        pad_key(p, KEY_A, 0);
    }
    pad_key(p, KEY_LEFTSHIFT, 0); /* lost */
    pad_key(p, KEY_B, 1);         /* lost, and still held */
    pad_settle(p);
    assert_true(p->in->stats.dropped > EVENTS_MAX);
    assert_true(p->in->events.count > EVENTS_MAX - 8);
    pad_play(p);
    assert_false(p->inside);
    assert_false(state_key(&p->believed, KEY_LEFTSHIFT));
    assert_false(state_key(&p->believed, KEY_A));
    assert_true(state_key(&p->believed, KEY_B));
    events = p->num_seen;
    pad_key(p, KEY_B, 0);
    pad_play(p);
    assert_int_equal(p->num_seen, events + 2);
    assert_false(pad_holds(p));
    pad_free(p);
}

static void motion_gives_way_to_keys_and_is_made_up_for(void **state)
{
    struct pad *p = pad_preset("tablet");
    unsigned at;

    (void)state;
    pad_start(p, true, 4, 0);
    pad_settle(p);
    for (int32_t i = 0; i < 2 * EVENTS_MAX; i++)
        FRAME(p, {EV_ABS, ABS_X, i % 1000}, {EV_REL, WHEEL, 1});
    assert_true(p->in->events.count <= EVENTS_MOTION_MAX);
    FRAME(p, {EV_ABS, ABS_X, 12345}, {EV_ABS, ABS_Y, 777});
    FRAME(p, {EV_KEY, BTN_LEFT, 1});
    FRAME(p, {EV_KEY, BTN_LEFT, 0});
    for (unsigned i = 0; i < 4; i++)
        pad_offer(p, (uint16_t)i, 8, true);
    pad_play(p);
    /* The click is where it was meant to be. */
    for (at = 0; p->seen[at].type != EV_KEY; at++)
        ;
    p->num_checked = at - 4;
    pad_expect(p, EV_REL, WHEEL, (int32_t)(2 * EVENTS_MAX - (at - 4) / 3));
    pad_expect(p, EV_ABS, ABS_X, 12345);
    pad_expect(p, EV_ABS, ABS_Y, 777);
    pad_expect_syn(p);
    pad_expect_key(p, BTN_LEFT, 1);
    pad_expect_key(p, BTN_LEFT, 0);
    pad_expect_none(p);
    pad_free(p);
}

/* Frames of chance, a guest that takes when it likes: whatever is dropped, at
 * the end it believes what is so. */
static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x >> 8;
}

static void random_frame(struct pad *p, uint64_t *x)
{
    struct input_event16 ev[20];
    unsigned n = 0;

    for (uint64_t i = next(x) % 6; i < 6; i++) {
        uint64_t what = next(x) % 8;

        if (what < 2) {
            ev[n++] = (struct input_event16){
                EV_KEY, (uint16_t)(KEY_Q + next(x) % 8), next(x) & 1};
        } else if (what < 3) {
            ev[n++] = (struct input_event16){EV_SW, (uint16_t)(next(x) % 3),
                                             next(x) & 1};
        } else if (what < 5) {
            ev[n++] = (struct input_event16){EV_ABS, (uint16_t)(next(x) % 2),
                                             (int32_t)(next(x) % 100)};
        } else if (what < 6) {
            ev[n++] = (struct input_event16){EV_REL, REL_X,
                                             (int32_t)(next(x) % 9) - 4};
        } else {
            ev[n++] = (struct input_event16){EV_ABS, ABS_MT_SLOT,
                                             (int32_t)(next(x) % 5)};
            ev[n++] = (struct input_event16){
                EV_ABS, ABS_MT_TRACKING_ID,
                next(x) % 3 ? (int32_t)(next(x) % 100) : -1};
            ev[n++] = (struct input_event16){EV_ABS, ABS_MT_POSITION_X,
                                             (int32_t)(next(x) % 100)};
        }
    }
    ev[n] = (struct input_event16){EV_SYN, SYN_REPORT, 0};
    pad_frame(p, ev);
}

static void check_agreement(struct pad *p, uint64_t seed)
{
    const struct input_state *a = &p->in->events.source, *b = &p->believed;

    if (memcmp(a->keys, b->keys, sizeof(a->keys)) != 0)
        fail_msg("seed %u: the guest believes in other keys", (unsigned)seed);
    assert_int_equal(a->sw & a->sw_known, b->sw & b->sw_known);
    for (unsigned i = 0; i < ABS_CNT; i++)
        if (a->abs_known >> i & 1)
            assert_int_equal(a->abs[i], b->abs[i]);
    for (unsigned i = 0; i < STATE_SLOTS; i++)
        for (unsigned k = 0; k < STATE_CONTACT_CNT; k++) {
            int32_t was = b->contact[i].known >> k & 1 ? b->contact[i].value[k]
                                                       : (k == 9 ? -1 : 0);

            if (a->contact[i].known >> k & 1)
                assert_int_equal(a->contact[i].value[k], was);
        }
    assert_memory_equal(&p->in->events.guest.keys, b->keys, sizeof(b->keys));
}

static void whatever_is_dropped_the_guest_ends_up_right(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        static const unsigned buffers[] = {1, 4, 64, 7};
        uint64_t x = seed * 0x9e3779b97f4a7c15u;
        struct pad *p = pad_open(
            "'source': {'type': 'virtual', 'describe': {'name': 'all', "
            "'events': ['KEY_*', 'SW_*', 'REL_*', 'ABS_X', 'ABS_Y', "
            "'ABS_MT_*']}}");
        uint16_t size = (uint16_t)buffers[seed % 4];
        bool packed = seed & 1, sunny;

        if (!packed)
            size = size == 7 ? 8 : size;
        pad_start(p, packed, size, size);
        for (unsigned round = 0; round < 4000; round++) {
            sunny = round / 500 % 2;
            random_frame(p, &x);
            if (next(&x) % (sunny ? 2 : 40) == 0) {
                pad_settle(p);
                p->num_seen = 0;
                pad_take(p, true);
            }
            if (next(&x) % 1500 == 0)
                p->in->source->host->lost(p->in->source);
        }
        do {
            pad_settle(p);
            p->num_seen = 0;
        } while (pad_take(p, true) > 0);
        assert_int_equal(p->in->events.count, 0);
        assert_false(p->in->events.behind);
        assert_false(p->inside);
        check_agreement(p, seed);
        pad_free(p);
    }
}

/* Motion is conserved, too. */
static void relative_motion_adds_up(void **state)
{
    struct pad *p = pad_preset("mouse");
    int64_t sent = 0, seen = 0;
    uint64_t x = 99;

    (void)state;
    pad_start(p, false, 4, 4);
    for (unsigned i = 0; i < 20000; i++) {
        int32_t by = (int32_t)(next(&x) % 21) - 10;

        FRAME(p, {EV_REL, REL_X, by});
        sent += by;
        if (i % 50 == 0) {
            pad_settle(p);
            pad_take(p, true);
        }
    }
    pad_play(p);
    for (unsigned i = 0; i < p->num_seen; i++)
        if (p->seen[i].type == EV_REL)
            seen += p->seen[i].value;
    assert_int_equal(sent, seen);
    assert_true(p->in->stats.dropped > 0);
    pad_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_that_fits_goes_with_one_call),
        cmocka_unit_test(frames_of_one_turn_share_a_call),
        cmocka_unit_test(a_longer_frame_takes_a_call_for_each_refill),
        cmocka_unit_test(a_ring_with_free_buffers_has_no_work),
        cmocka_unit_test(bad_buffers_come_back_and_nothing_is_lost),
        cmocka_unit_test(what_the_device_does_not_have_is_left_out),
        cmocka_unit_test(without_repeat_of_its_own_a_guest_gets_repeats),
        cmocka_unit_test(a_frame_is_taken_when_its_buffers_are_back),
        cmocka_unit_test(who_waits_is_told_when_the_guest_goes),
        cmocka_unit_test(an_overflow_leaves_no_key_stuck),
        cmocka_unit_test(motion_gives_way_to_keys_and_is_made_up_for),
        cmocka_unit_test(whatever_is_dropped_the_guest_ends_up_right),
        cmocka_unit_test(relative_motion_adds_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
