/* input.click, called as the control socket would: pixels, frames, and what is
 * held. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "device/input/click.h"

#define TABLET "'source': {'type': 'virtual', 'preset': 'tablet'}"
#define TOUCH "'source': {'type': 'virtual', 'preset': 'touch'}"
#define AT "'x': 320, 'y': 120, 'width': 640, 'height': 480"
/* Where that is, from 0 to 32767. */
#define AT_X 16409
#define AT_Y 8226

/* ---- pixels ---- */

/* How those who scale a place to a screen do it. */
static int64_t scaled(const struct source_abs *axis, int32_t place,
                      uint32_t side, int how)
{
    int64_t from = (int64_t)place - axis->min;
    int64_t len = (int64_t)axis->max - axis->min;

    if (how == 0) /* X, libinput */
        return from * side / (len + 1);
    if (how == 1) /* QEMU, Windows */
        return from * side / len;
    return (2 * from * (side - 1) + len) / (2 * len); /* to the nearest */
}

static void check_screen(const struct source_abs *axis, uint32_t side,
                         int num_hows)
{
    int32_t place, before = INT32_MIN;

    for (uint32_t at = 0; at < side; at++) {
        assert_true(click_place(axis, at, side, &place));
        assert_true(place >= axis->min && place <= axis->max);
        if (at > 0)
            assert_true(place > before);
        before = place;
        for (int how = 0; how < num_hows; how++)
            if (scaled(axis, place, side, how) != at)
                fail_msg("pixel %u of %u is place %d, which is pixel %d by "
                         "scaling %d",
                         at, side, place, (int)scaled(axis, place, side, how),
                         how);
    }
}

static void every_pixel_is_found_again(void **state)
{
    static const struct source_abs axes[] = {
        {.min = 0, .max = 32767},
        {.min = 0, .max = 65535},
        {.min = -32768, .max = 32767},
        {.min = 1000, .max = 1000 + 32767},
        {.min = INT32_MIN, .max = INT32_MAX},
    };
    static const uint32_t sides[] = {1,   2,   3,    7,    320,  480,  640,
                                     720, 799, 1080, 1366, 1920, 2160, 3840};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(axes); i++)
        for (unsigned k = 0; k < ARRAY_LEN(sides); k++)
            check_screen(&axes[i], sides[k], 3);
}

static void so_it_is_with_hardly_more_places_than_pixels(void **state)
{
    (void)state;
    for (int32_t max = 0; max < 64; max++) {
        const struct source_abs axis = {.min = -5, .max = max - 5};
        int32_t place;

        for (uint32_t side = 1; side <= (uint32_t)max + 1; side++)
            check_screen(&axis, side, 1);
        assert_false(click_place(&axis, 0, (uint32_t)max + 2, &place));
    }
}

static void an_axis_without_a_range_has_no_pixel(void **state)
{
    const struct source_abs none = {.min = 0, .max = -1};
    const struct source_abs odd = {.min = INT32_MAX, .max = INT32_MIN};
    int32_t place;

    (void)state;
    assert_false(click_place(&none, 0, 1, &place));
    assert_false(click_place(&odd, 0, 1, &place));
}

/* ---- tablets ---- */

static void expect_place(struct pad *p, int32_t x, int32_t y)
{
    pad_expect(p, EV_ABS, ABS_X, x);
    pad_expect(p, EV_ABS, ABS_Y, y);
    pad_expect_syn(p);
}

static void expect_key(struct pad *p, uint16_t key, int32_t value)
{
    pad_expect(p, EV_KEY, key, value);
    pad_expect_syn(p);
}

/* What there is now, and no more: the guest deals with it. */
static void take(struct pad *p)
{
    pad_settle(p);
    pad_expect_none(p);
    pad_take(p, true);
}

static void each_frame_waits_for_the_one_before(void **state)
{
    struct pad *p = pad_listening("tablet");
    struct asked *a = ask(p, "input.click", "{" AT "}");

    (void)state;
    take(p);
    expect_place(p, AT_X, AT_Y);
    take(p);
    expect_key(p, BTN_LEFT, 1);
    take(p);
    expect_key(p, BTN_LEFT, 0);
    assert_false(a->answered);
    pad_settle(p);
    ask_expect_done(a, "{\"clicks\":1,\"at\":[16409,8226]}");
    pad_expect_none(p);
    assert_null(p->in->clicking);
    pad_free(p);
}

static void a_double_click_has_a_gap(void **state)
{
    struct pad *p = pad_listening("tablet");
    uint64_t began = loop_now_ns();
    struct asked *a = ask(
        p, "input.click",
        "{" AT ", 'button': 'right', 'count': 2, 'gap_ms': 20, 'hold_ms': 5}");

    (void)state;
    while (!a->answered) {
        pad_play(p);
        if (!a->answered)
            uv_run(&p->loop.uv, UV_RUN_ONCE);
    }
    assert_true(loop_now_ns() - began >= 29 * 1000000u);
    ask_expect_done(a, "{\"clicks\":2,\"at\":[16409,8226]}");
    expect_place(p, AT_X, AT_Y);
    for (unsigned i = 0; i < 2; i++) {
        expect_key(p, BTN_RIGHT, 1);
        expect_key(p, BTN_RIGHT, 0);
    }
    pad_expect_none(p);
    pad_free(p);
}

static void each_button_is_clicked_on_every_ring(void **state)
{
    static const char *const names[] = {"left", "right", "middle"};

    (void)state;
    for (unsigned i = 0; i < 3 * 4; i++) {
        struct pad *p = pad_preset("tablet");
        char params[256];
        struct asked *a;

        pad_start(p, i & 1, 8, i / 3 % 2 ? 1 : 4);
        snprintf(params, sizeof(params),
                 "{" AT ", 'button': '%s', 'count': 3, 'gap_ms': 0}",
                 names[i % 3]);
        a = ask(p, "input.click", params);
        pad_play(p);
        ask_expect_done(a, "{\"clicks\":3,\"at\":[16409,8226]}");
        expect_place(p, AT_X, AT_Y);
        for (unsigned k = 0; k < 3; k++) {
            expect_key(p, (uint16_t)(BTN_LEFT + i % 3), 1);
            expect_key(p, (uint16_t)(BTN_LEFT + i % 3), 0);
        }
        pad_expect_none(p);
        pad_free(p);
    }
}

/* ---- fingers ---- */

static void a_finger_comes_and_goes(void **state)
{
    struct pad *p = pad_listening("touch");

    (void)state;
    for (int32_t id = 1; id <= 2; id++) {
        struct asked *a = ask(p, "input.click", "{" AT "}");

        take(p);
        pad_expect(p, EV_ABS, ABS_MT_TRACKING_ID, id);
        pad_expect(p, EV_ABS, ABS_MT_POSITION_X, AT_X);
        pad_expect(p, EV_ABS, ABS_MT_POSITION_Y, AT_Y);
        pad_expect(p, EV_ABS, ABS_X, AT_X);
        pad_expect(p, EV_ABS, ABS_Y, AT_Y);
        expect_key(p, BTN_TOUCH, 1);
        take(p);
        pad_expect(p, EV_ABS, ABS_MT_TRACKING_ID, -1);
        expect_key(p, BTN_TOUCH, 0);
        pad_settle(p);
        ask_expect_done(a, "{\"clicks\":1,\"at\":[16409,8226]}");
        pad_expect_none(p);
    }
    pad_free(p);
}

/* Whoever else puts fingers down goes on as if nothing had been. */
static void a_finger_takes_no_other_s_slot(void **state)
{
    struct pad *p = pad_listening("touch");
    struct asked *a;

    (void)state;
    FRAME(p, {EV_ABS, ABS_MT_SLOT, 1}, {EV_ABS, ABS_MT_TRACKING_ID, 2},
          {EV_KEY, BTN_TOUCH, 1});
    FRAME(p, {EV_ABS, ABS_MT_SLOT, 0}, {EV_ABS, ABS_MT_TRACKING_ID, 1});
    pad_play(p);
    p->num_checked = p->num_seen;
    a = ask(p, "input.click", "{" AT "}");
    take(p);
    pad_expect(p, EV_ABS, ABS_MT_SLOT, 2);
    pad_expect(p, EV_ABS, ABS_MT_TRACKING_ID, 3);
    pad_expect(p, EV_ABS, ABS_MT_POSITION_X, AT_X);
    pad_expect(p, EV_ABS, ABS_MT_POSITION_Y, AT_Y);
    pad_expect(p, EV_ABS, ABS_MT_SLOT, 0);
    pad_expect_syn(p);
    FRAME(p, {EV_ABS, ABS_MT_TRACKING_ID, -1});
    take(p);
    pad_expect(p, EV_ABS, ABS_MT_TRACKING_ID, -1);
    pad_expect_syn(p);
    pad_expect(p, EV_ABS, ABS_MT_SLOT, 2);
    pad_expect(p, EV_ABS, ABS_MT_TRACKING_ID, -1);
    pad_expect(p, EV_ABS, ABS_MT_SLOT, 0);
    pad_expect_syn(p); /* BTN_TOUCH is the other finger's */
    pad_play(p);
    ask_expect_done(a, "{\"clicks\":1,\"at\":[16409,8226]}");
    FRAME(p, {EV_ABS, ABS_MT_SLOT, 1}, {EV_ABS, ABS_MT_TRACKING_ID, -1},
          {EV_KEY, BTN_TOUCH, 0});
    pad_play(p);
    assert_false(pad_holds(p));
    pad_free(p);
}

static void there_are_only_so_many_fingers(void **state)
{
    struct pad *p = pad_listening("touch");

    (void)state;
    for (int32_t i = 0; i < 10; i++)
        FRAME(p, {EV_ABS, ABS_MT_SLOT, i}, {EV_ABS, ABS_MT_TRACKING_ID, i});
    pad_play(p);
    ask_expect_error(ask(p, "input.click", "{" AT "}"), -EBUSY,
                     "/params/device",
                     "there are as many fingers on it as it can tell apart; "
                     "clicks that have arrived: 0");
    assert_null(p->in->clicking);
    pad_free(p);
}

static void a_screen_that_knows_one_finger_is_touched(void **state)
{
    struct pad *p = pad_open(
        "'source': {'type': 'virtual', 'describe': {'name': 'Touch',"
        " 'events': 'BTN_TOUCH', 'axes': [{'code': 'ABS_X', 'max': 639},"
        " {'code': 'ABS_Y', 'min': 10, 'max': 489}]}}");
    struct asked *a;

    (void)state;
    pad_start(p, false, 64, 64);
    a = ask(p, "input.click", "{" AT "}");
    pad_play(p);
    ask_expect_done(a, "{\"clicks\":1,\"at\":[320,130]}");
    pad_expect(p, EV_ABS, ABS_X, 320);
    pad_expect(p, EV_ABS, ABS_Y, 130);
    expect_key(p, BTN_TOUCH, 1);
    expect_key(p, BTN_TOUCH, 0);
    pad_expect_none(p);
    ask_expect_error(
        ask(p, "input.click", "{'x': 1, 'y': 1, 'width': 640, 'height': 481}"),
        -ERANGE, "/params/height",
        "481 pixels are more than ABS_Y has places: from 10 to "
        "489");
    pad_free(p);
}

/* ---- what cannot be clicked ---- */

static void a_click_is_within_its_screen(void **state)
{
    (void)state;
    ask_refused("input.click", "{'x': 640, 'y': 0, 'width': 640, 'height': 1}",
                "/x",
                "640 is outside: the screen has 640 pixels in a row, from 0 "
                "on");
    ask_refused("input.click", "{'x': 0, 'y': 7, 'width': 640, 'height': 7}",
                "/y", "7 is outside: the screen has 7 rows, from 0 on");
    ask_refused("input.click", "{'x': 0, 'y': 0, 'width': 0, 'height': 7}",
                "/width", "must be a whole number from 1 to 65536, not 0");
    ask_refused("input.click", "{" AT ", 'count': 0}", "/count",
                "must be a whole number from 1 to 10, not 0");
}

static void what_has_no_place_is_not_clicked(void **state)
{
    static const char *const presets[] = {"keyboard", "mouse"};
    struct pad *p;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(presets); i++) {
        p = pad_listening(presets[i]);
        ask_expect_error(ask(p, "input.click", "{" AT "}"), -EINVAL,
                         "/params/device",
                         "it does not point at places: it has no axes ABS_X "
                         "and ABS_Y");
        pad_free(p);
    }
    p = pad_listening("touch");
    ask_expect_error(ask(p, "input.click", "{" AT ", 'button': 'middle'}"),
                     -EINVAL, "/params/button",
                     "the device has no \"BTN_MIDDLE\"");
    pad_play(p);
    pad_expect_none(p);
    pad_free(p);
    p = pad_open("'source': {'type': 'virtual', 'describe': {'name': 'Pad',"
                 " 'properties': 'INPUT_PROP_POINTER',"
                 " 'events': ['BTN_LEFT', 'BTN_TOUCH'],"
                 " 'axes': [{'code': 'ABS_X', 'max': 4000},"
                 " {'code': 'ABS_Y', 'max': 4000}]}}");
    pad_start(p, false, 64, 64);
    ask_expect_error(ask(p, "input.click", "{" AT "}"), -EINVAL,
                     "/params/device",
                     "a place on it is none of a screen: it moves a pointer, "
                     "as a touchpad does");
    pad_free(p);
}

static void a_click_needs_a_driver(void **state)
{
    struct pad *p = pad_preset("tablet");

    (void)state;
    ask_expect_error(ask(p, "input.click", "{" AT "}"), -ENOTCONN,
                     "/params/device", "no driver of a guest listens");
    pad_free(p);
}

static void a_button_that_is_held_cannot_be_clicked(void **state)
{
    struct pad *p = pad_listening("tablet");
    struct asked *a;

    (void)state;
    pad_key(p, BTN_LEFT, 1);
    pad_play(p);
    p->num_checked = p->num_seen;
    a = ask(p, "input.click", "{" AT "}");
    pad_play(p);
    ask_expect_error(a, -EBUSY, "/params/device",
                     "that button is held already; clicks that have arrived: "
                     "0");
    expect_place(p, AT_X, AT_Y);
    pad_expect_none(p);
    assert_true(pad_holds(p)); /* it is not the click's */
    pad_free(p);
}

static void one_click_at_a_time(void **state)
{
    struct pad *p = pad_listening("tablet");
    struct asked *a = ask(p, "input.click", "{" AT "}");

    (void)state;
    ask_expect_error(ask(p, "input.click", "{" AT "}"), -EBUSY,
                     "/params/device", "another click is under way");
    pad_play(p);
    ask_expect_done(a, "{\"clicks\":1,\"at\":[16409,8226]}");
    pad_free(p);
}

/* ---- clicks that end early ---- */

/* A click whose button, or finger, is down. */
static struct asked *go_down(struct pad *p, const char *more)
{
    char params[256];
    struct asked *a;

    snprintf(params, sizeof(params), "{" AT "%s}", more);
    a = ask(p, "input.click", params);
    while (!pad_holds(p)) {
        pad_settle(p);
        pad_take(p, true);
    }
    assert_false(a->answered);
    return a;
}

static void a_click_that_is_given_up_holds_nothing(void **state)
{
    static const char *const presets[] = {"tablet", "touch"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(presets); i++) {
        struct pad *p = pad_listening(presets[i]);
        struct asked *a = go_down(p, ", 'hold_ms': 60000");

        a->call.cancel(&a->call);
        ask_expect_error(a, -ECANCELED, "/params/device",
                         "nobody waits any more; clicks that have arrived: 0");
        pad_play(p);
        assert_false(pad_holds(p));
        a = ask(p, "input.click", "{" AT "}");
        pad_play(p);
        ask_expect_done(a, "{\"clicks\":1,\"at\":[16409,8226]}");
        pad_free(p);
    }
}

static void a_guest_that_takes_no_click_is_not_waited_for(void **state)
{
    struct pad *p = pad_preset("tablet");
    struct asked *a;

    (void)state;
    pad_start(p, false, 8, 8);
    a = ask(p, "input.click", "{" AT ", 'timeout_ms': 20}");
    pad_settle(p);
    pad_take(p, true); /* the place */
    ask_wait(p, a);
    ask_expect_error(a, -ETIMEDOUT, "/params/device",
                     "the guest does not take what is sent; clicks that have "
                     "arrived: 0");
    pad_play(p);
    assert_false(pad_holds(p));
    pad_free(p);
}

static void a_driver_that_goes_ends_the_click(void **state)
{
    struct pad *p = pad_listening("tablet");
    struct asked *a = go_down(p, "");

    (void)state;
    pad_stop(p);
    pad_start(p, false, 64, 64);
    ask_expect_error(a, -EPIPE, "/params/device",
                     "the guest has gone; clicks that have arrived: 0");
    pad_play(p);
    assert_false(pad_holds(p));
    a = ask(p, "input.click", "{" AT "}");
    pad_play(p);
    ask_expect_done(a, "{\"clicks\":1,\"at\":[16409,8226]}");
    pad_free(p);
}

/* The process ends while a button is down, and another one goes on. */
static void another_process_lets_go(void **state)
{
    static const char *const keys[] = {TABLET, TOUCH};

    (void)state;
    for (unsigned i = 0; i < 2 * ARRAY_LEN(keys); i++) {
        const char *is = keys[i / 2];
        struct pad *p = pad_open(is);
        struct asked *a;

        pad_record(p, false, 64);
        pad_start(p, false, 64, 64);
        FRAME(p, {EV_KEY, BTN_RIGHT, 1}); /* of the tablet: stays */
        a = go_down(p, ", 'hold_ms': 60000");
        if (i % 2)
            pad_kill(p, is);
        else
            pad_hand_on(p, is);
        asked_free(a);
        pad_start(p, false, 64, 64);
        pad_play(p);
        assert_false(state_key(&p->believed, BTN_LEFT));
        assert_false(state_key(&p->believed, BTN_TOUCH));
        assert_int_equal(pad_holds(p), i / 2 == 0);
        assert_int_equal(state_key(&p->believed, BTN_RIGHT), i / 2 == 0);
        a = ask(p, "input.click", "{" AT "}");
        pad_play(p);
        ask_expect_done(a, "{\"clicks\":1,\"at\":[16409,8226]}");
        pad_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pixel_is_found_again),
        cmocka_unit_test(so_it_is_with_hardly_more_places_than_pixels),
        cmocka_unit_test(an_axis_without_a_range_has_no_pixel),
        cmocka_unit_test(each_frame_waits_for_the_one_before),
        cmocka_unit_test(a_double_click_has_a_gap),
        cmocka_unit_test(each_button_is_clicked_on_every_ring),
        cmocka_unit_test(a_finger_comes_and_goes),
        cmocka_unit_test(a_finger_takes_no_other_s_slot),
        cmocka_unit_test(there_are_only_so_many_fingers),
        cmocka_unit_test(a_screen_that_knows_one_finger_is_touched),
        cmocka_unit_test(a_click_is_within_its_screen),
        cmocka_unit_test(what_has_no_place_is_not_clicked),
        cmocka_unit_test(a_click_needs_a_driver),
        cmocka_unit_test(a_button_that_is_held_cannot_be_clicked),
        cmocka_unit_test(one_click_at_a_time),
        cmocka_unit_test(a_click_that_is_given_up_holds_nothing),
        cmocka_unit_test(a_guest_that_takes_no_click_is_not_waited_for),
        cmocka_unit_test(a_driver_that_goes_ends_the_click),
        cmocka_unit_test(another_process_lets_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
