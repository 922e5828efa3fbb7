/* Nothing stays held: sources that go, drivers that come and go. */
#include <string.h>

#include "pad.h"

static void touch(struct pad *p, int32_t slot, int32_t id)
{
    FRAME(p, {EV_ABS, ABS_MT_SLOT, slot}, {EV_ABS, ABS_MT_TRACKING_ID, id},
          {EV_ABS, ABS_MT_POSITION_X, 10 * slot}, {EV_KEY, BTN_TOUCH, 1});
}

static void a_source_that_goes_lets_go(void **state)
{
    struct pad *p = pad_preset("keyboard");

    (void)state;
    pad_start(p, false, 64, 64);
    pad_key(p, KEY_A, 1);
    pad_key(p, KEY_LEFTSHIFT, 1);
    pad_play(p);
    assert_true(pad_holds(p));
    p->num_checked = p->num_seen;
    p->in->source->host->lost(p->in->source);
    pad_play(p);
    pad_expect(p, EV_KEY, KEY_A, 0);
    pad_expect(p, EV_KEY, KEY_LEFTSHIFT, 0);
    pad_expect_syn(p);
    p->in->source->host->lost(p->in->source); /* once is enough */
    pad_play(p);
    pad_expect_none(p);
    pad_key(p, KEY_A, 1);
    pad_play(p);
    pad_expect_key(p, KEY_A, 1);
    assert_int_equal(p->in->stats.dropped, 0);
    pad_free(p);
}

static void every_contact_is_lifted(void **state)
{
    struct pad *p = pad_preset("touch");

    (void)state;
    pad_start(p, true, 64, 64);
    touch(p, 0, 5);
    touch(p, 3, 6);
    pad_play(p);
    p->num_checked = p->num_seen;
    p->in->source->host->lost(p->in->source);
    pad_play(p);
    pad_expect(p, EV_ABS, ABS_MT_SLOT, 0);
    pad_expect(p, EV_ABS, ABS_MT_TRACKING_ID, -1);
    pad_expect(p, EV_ABS, ABS_MT_SLOT, 3);
    pad_expect(p, EV_ABS, ABS_MT_TRACKING_ID, -1);
    pad_expect(p, EV_KEY, BTN_TOUCH, 0);
    pad_expect_syn(p);
    pad_expect_none(p);
    assert_false(pad_holds(p));
    pad_free(p);
}

static void contacts_without_slots_are_lifted_too(void **state)
{
    struct pad *p = pad_open(
        "'source': {'type': 'virtual', 'describe': {'name': 'a', 'events': "
        "['ABS_MT_POSITION_X', 'ABS_MT_POSITION_Y', 'BTN_TOUCH']}}");

    (void)state;
    pad_start(p, true, 64, 64);
    FRAME(p, {EV_ABS, ABS_MT_POSITION_X, 1}, {EV_SYN, SYN_MT_REPORT, 0},
          {EV_ABS, ABS_MT_POSITION_X, 2}, {EV_SYN, SYN_MT_REPORT, 0},
          {EV_KEY, BTN_TOUCH, 1});
    pad_play(p);
    assert_int_equal(p->num_seen, 6);
    p->num_checked = p->num_seen;
    p->in->source->host->lost(p->in->source);
    pad_play(p);
    pad_expect(p, EV_SYN, SYN_MT_REPORT, 0);
    pad_expect(p, EV_KEY, BTN_TOUCH, 0);
    pad_expect_syn(p);
    pad_expect_none(p);
    pad_free(p);
}

static void a_driver_that_stops_is_told_before_it_has_stopped(void **state)
{
    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct pad *p = pad_preset("keyboard");

        pad_start(p, packed, 64, 64);
        pad_key(p, KEY_A, 1);
        pad_play(p);
        pad_key(p, KEY_B, 1); /* not given any more */
        pad_stop(p);
        pad_take(p, false);
        pad_expect_key(p, KEY_A, 1);
        pad_expect_key(p, KEY_A, 0);
        pad_expect_none(p);
        assert_int_equal(p->in->stats.dropped, 1);
        /* It starts again: nothing is held, though here both still are. */
        pad_start(p, packed, 64, 64);
        pad_play(p);
        pad_expect_none(p);
        pad_key(p, KEY_A, 0);
        pad_key(p, KEY_B, 1);
        pad_play(p);
        assert_true(state_key(&p->believed, KEY_B));
        assert_false(state_key(&p->believed, KEY_A));
        pad_free(p);
    }
}

static void without_buffers_the_next_driver_is_told_first(void **state)
{
    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct pad *p = pad_preset("touch");

        pad_start(p, packed, 4, 4);
        pad_settle(p);
        touch(p, 2, 9); /* five events: one is left */
        pad_settle(p);
        touch(p, 4, 10); /* not begun */
        pad_stop(p);
        assert_int_equal(pad_take(p, false), 4);
        assert_true(p->inside);
        pad_start(p, packed, 4, 4);
        touch(p, 1, 11);
        pad_play(p);
        p->num_checked = 4;
        pad_expect_syn(p); /* the rest */
        pad_expect(p, EV_ABS, ABS_MT_TRACKING_ID, -1);
        pad_expect(p, EV_KEY, BTN_TOUCH, 0);
        pad_expect_syn(p);
        assert_false(p->inside);
        assert_true(p->believed.contact[1]
                        .value[ABS_MT_TRACKING_ID - ABS_MT_TOUCH_MAJOR] == 11);
        pad_free(p);
    }
}

static void a_disabled_ring_is_left_alone(void **state)
{
    struct pad *p = pad_preset("keyboard");

    (void)state;
    pad_start(p, false, 64, 64);
    pad_key(p, KEY_A, 1);
    pad_play(p);
    p->num_checked = p->num_seen;
    p->events->ring.enabled = false; /* as QEMU does before it stops one */
    pad_stop(p);
    assert_int_equal(pad_take(p, false), 0);
    pad_start(p, false, 64, 64);
    pad_play(p);
    pad_expect_key(p, KEY_A, 0);
    pad_free(p);
}

static void a_reset_forgets_the_guest(void **state)
{
    struct pad *p = pad_preset("keyboard");

    (void)state;
    pad_start(p, false, 64, 64);
    pad_key(p, KEY_A, 1);
    pad_play(p);
    p->num_checked = p->num_seen;
    p->events->ring.enabled = false;
    pad_stop(p);
    p->device->ops->reset(p->device);
    pad_start(p, false, 64, 64);
    pad_play(p);
    pad_expect_none(p);
    pad_free(p);
}

static void a_driver_is_told_where_axes_and_switches_are(void **state)
{
    struct pad *p = pad_open(
        "'source': {'type': 'virtual', 'describe': {'name': 'a', 'events': "
        "['SW_LID', 'SW_DOCK', 'KEY_A', 'ABS_X', 'ABS_Y']}}");

    (void)state;
    FRAME(p, {EV_SW, 0, 1}, {EV_ABS, ABS_Y, 5}, {EV_KEY, KEY_A, 1});
    pad_settle(p);
    pad_start(p, false, 64, 64);
    pad_play(p);
    pad_expect(p, EV_ABS, ABS_Y, 5);
    pad_expect(p, EV_SW, 0, 1);
    pad_expect_syn(p);
    pad_expect_none(p);
    /* It goes; the lid is opened; the next one is told. */
    pad_stop(p);
    FRAME(p, {EV_SW, 0, 0});
    pad_start(p, false, 64, 64);
    pad_play(p);
    pad_expect(p, EV_ABS, ABS_Y, 5);
    pad_expect(p, EV_SW, 0, 0);
    pad_expect_syn(p);
    pad_expect_none(p);
    pad_free(p);
}

static void frames_that_nobody_hears_do_not_wait(void **state)
{
    struct pad *p = pad_preset("keyboard");

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        pad_key(p, KEY_A, 1);
        pad_key(p, KEY_A, 0);
    }
    assert_int_equal(p->in->events.count, 0);
    assert_int_equal(p->in->stats.dropped, 0);
    pad_start(p, false, 64, 64);
    pad_play(p);
    pad_expect_none(p);
    pad_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_that_goes_lets_go),
        cmocka_unit_test(every_contact_is_lifted),
        cmocka_unit_test(contacts_without_slots_are_lifted_too),
        cmocka_unit_test(a_driver_that_stops_is_told_before_it_has_stopped),
        cmocka_unit_test(without_buffers_the_next_driver_is_told_first),
        cmocka_unit_test(a_disabled_ring_is_left_alone),
        cmocka_unit_test(a_reset_forgets_the_guest),
        cmocka_unit_test(a_driver_is_told_where_axes_and_switches_are),
        cmocka_unit_test(frames_that_nobody_hears_do_not_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
