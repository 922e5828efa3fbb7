/* Input devices: what a guest sees of them, on every kind of ring; frames that
 * are sent over the control socket; front-ends that come, go and misbehave. */
#include <poll.h>
#include <unistd.h>

#include "desk.h"

/* ---- the control socket ---- */

static void send_key(struct ctl *c, const char *id, const char *key, int value)
{
    char params[256];

    snprintf(params, sizeof(params),
             "{'device': '%s', 'events': [{'code': '%s', 'value': %d}]}", id,
             key, value);
    ctl_call(c, "input.send", params);
}

/* ---- what a guest sees ---- */

static void the_config_space_answers(void **state)
{
    struct vub *v = ctl_start(KEY("t", "touch") "," KEY("k", "keyboard"));
    struct input *in = input_new(v, "t", NULL, 4);
    uint8_t out[128], byte;
    char name[16] = "";

    (void)state;
    assert_int_equal(input_config(in, VIRTIO_INPUT_CFG_ID_NAME, 0, out), 9);
    memcpy(name, out, 9);
    assert_string_equal(name, "vub touch");
    assert_int_equal(input_config(in, VIRTIO_INPUT_CFG_ID_SERIAL, 0, out), 0);
    assert_int_equal(input_config(in, VIRTIO_INPUT_CFG_PROP_BITS, 0, out), 1);
    assert_int_equal(input_config(in, VIRTIO_INPUT_CFG_EV_BITS, ABS, out), 8);
    assert_int_equal(input_config(in, VIRTIO_INPUT_CFG_ABS_INFO, 0, out), 20);
    assert_int_equal(input_config(in, VIRTIO_INPUT_CFG_ABS_INFO, 9, out), 0);
    /* subsel alone, then select alone. */
    byte = EVKEY;
    assert_int_equal(front_set_config(in->f, 1, &byte, 1), 0);
    byte = VIRTIO_INPUT_CFG_EV_BITS;
    assert_int_equal(front_set_config(in->f, 0, &byte, 1), 0);
    front_config(in->f, 2, &byte, 1);
    assert_int_equal(byte, BTN_TOUCH / 8 + 1);
    /* Any offset and length: bytes that are the device's are ignored where the
     * driver's are among them, and refused where they are alone. */
    memset(out, 0xff, sizeof(out));
    for (uint32_t offset = 0; offset <= 136; offset++)
        for (uint32_t len = 1; len <= 128 && offset + len <= 256; len += 9)
            assert_true((front_set_config(in->f, offset, out, len) == 0) ==
                        (offset < 2));
    assert_true(front_lives(in->f));
    input_free(in);
    vub_free(v);
}

static void events_arrive_on_every_kind_of_ring(void **state)
{
    static const unsigned buffers[] = {1, 4, 64};
    struct vub *v = ctl_start(KEY("t", "touch") "," KEY("k", "keyboard"));
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    for (unsigned i = 0; i < ARRAY_LEN(ring_modes) * ARRAY_LEN(buffers); i++) {
        struct front_conf conf = ring_modes[i / ARRAY_LEN(buffers)];
        unsigned n = buffers[i % ARRAY_LEN(buffers)];
        struct input *in;

        front_note("ring mode %u, %u buffers", i / (unsigned)ARRAY_LEN(buffers),
                   n);
        conf.size = n == 1 ? 2 : (uint16_t)n;
        in = input_new(v, "t", &conf, n);
        if (i > 0) { /* where the axes are; but nothing is held */
            input_need(in, ABS, 0x2f, 1);
            input_need(in, ABS, 0x35, 100);
            input_need(in, ABS, 0x36, 32767);
            input_need(in, SYN, 0, 0);
        }
        ctl_call(&c, "input.send",
                 "{'device': 't', 'events': ["
                 "{'code': 'ABS_MT_SLOT', 'value': 1},"
                 "{'code': 'ABS_MT_TRACKING_ID', 'value': 17},"
                 "{'code': 'ABS_MT_POSITION_X', 'value': 100},"
                 "{'code': 'ABS_MT_POSITION_Y', 'value': 32767},"
                 "{'code': 'BTN_TOUCH', 'value': 1}]}");
        input_need(in, ABS, 0x2f, 1);
        input_need(in, ABS, 0x39, 17);
        input_need(in, ABS, 0x35, 100);
        input_need(in, ABS, 0x36, 32767);
        assert_false(ctl_has_answer(&c));
        input_need(in, EVKEY, BTN_TOUCH, 1);
        input_need(in, SYN, 0, 0);
        ctl_need(&c, "\"events\":6");
        ctl_call(&c, "input.send",
                 "{'device': 't', 'events': ["
                 "{'code': 'ABS_MT_TRACKING_ID', 'value': -1},"
                 "{'code': 'BTN_TOUCH', 'value': 0}]}");
        input_need(in, ABS, 0x39, -1);
        input_need(in, EVKEY, BTN_TOUCH, 0);
        input_need(in, SYN, 0, 0);
        ctl_need(&c, "\"events\":3");
        input_free(in);
    }
    front_note(" ");
    ctl_close(&c);
    vub_free(v);
}

static void a_frame_that_fits_calls_once(void **state)
{
    struct desk d = desk_open(KEY("k", "keyboard"), "k", NULL, 64);
    uint64_t calls;

    (void)state;
    d.in->hold = true;
    vq_wait_ms(d.in->events, 0); /* a ring that starts may have called */
    d.in->events->calls = 0;
    ctl_call(&d.c, "input.send",
             "{'device': 'k', 'events': ["
             "{'code': 'KEY_A', 'value': 1}, {'code': 'KEY_B', 'value': 1},"
             "{'code': 'KEY_A', 'value': 0}, {'code': 'KEY_B', 'value': 0}]}");
    input_need(d.in, EVKEY, KEY_A, 1);
    input_need(d.in, EVKEY, KEY_B, 1);
    input_need(d.in, EVKEY, KEY_A, 0);
    input_need(d.in, EVKEY, KEY_B, 0);
    input_need(d.in, SYN, 0, 0);
    if (d.in->events->calls == 0) { /* we were quicker than it */
        front_need_fd(d.in->events->call_fd, POLLIN, "the frame's call");
        assert_int_equal(read(d.in->events->call_fd, &calls, sizeof(calls)),
                         sizeof(calls));
        assert_int_equal(calls, 1);
    } else {
        assert_int_equal(d.in->events->calls, 1);
    }
    /* It is answered when the guest has given all five buffers back. */
    input_refill(d.in, 4);
    front_settle(d.in->f);
    ctl_call(&d.c, "status", "{'device': 'k'}");
    ctl_need(&d.c, "\"events\":5");
    input_refill(d.in, 1);
    ctl_need(&d.c, "\"id\":1");
    desk_close(&d);
}

static void a_text_is_typed(void **state)
{
    struct desk d =
        desk_open(KEY("k", "keyboard"), "k",
                  &(struct front_conf){.packed = true, .event_idx = true}, 4);

    (void)state;
    ctl_call(&d.c, "input.type", "{'device': 'k', 'text': 'Ab'}");
    input_need_frame(d.in, EVKEY, KEY_SHIFT, 1);
    input_need_frame(d.in, EVKEY, KEY_A, 1);
    input_need_frame(d.in, EVKEY, KEY_A, 0);
    input_need_frame(d.in, EVKEY, KEY_SHIFT, 0);
    input_need_frame(d.in, EVKEY, KEY_B, 1);
    input_need_frame(d.in, EVKEY, KEY_B, 0);
    ctl_need(&d.c, "\"characters\":2");
    ctl_call(&d.c, "input.type", "{'device': 'k', 'text': 'a\303\251'}");
    ctl_need(&d.c, "character 2");
    desk_close(&d);
}

static void a_place_is_clicked(void **state)
{
    struct desk d =
        desk_open(KEY("p", "tablet") "," KEY("t", "touch"), "p", NULL, 4);

    (void)state;
    d.in->hold = true; /* each frame waits until the one before is taken */
    ctl_call(&d.c, "input.click",
             "{'device': 'p', 'x': 1023, 'y': 0, 'width': 1024, 'height': 768,"
             " 'button': 'middle', 'count': 2, 'gap_ms': 1}");
    input_need(d.in, ABS, 0, 32752);
    input_need(d.in, ABS, 1, 21);
    input_need(d.in, SYN, 0, 0);
    for (int i = 0; i < 4; i++) {
        struct input_ev ev;

        front_settle(d.in->f);
        assert_false(input_take(d.in, &ev));
        input_refill(d.in, 4);
        input_need(d.in, EVKEY, BTN_MIDDLE, i % 2 == 0);
        input_need(d.in, SYN, 0, 0);
    }
    assert_false(ctl_has_answer(&d.c));
    input_refill(d.in, 4);
    ctl_need(&d.c, "\"clicks\":2,\"at\":[32752,21]");
    input_free(d.in);
    d.in = input_new(d.v, "t", NULL, 8);
    ctl_call(&d.c, "input.click",
             "{'device': 't', 'x': 0, 'y': 0, 'width': 1, 'height': 2}");
    input_need(d.in, ABS, 0x39, 1);
    input_need(d.in, ABS, 0x35, 16384);
    input_need(d.in, ABS, 0x36, 8192);
    input_need(d.in, ABS, 0, 16384);
    input_need(d.in, ABS, 1, 8192);
    input_need(d.in, EVKEY, BTN_TOUCH, 1);
    input_need(d.in, SYN, 0, 0);
    input_need(d.in, ABS, 0x39, -1);
    input_need(d.in, EVKEY, BTN_TOUCH, 0);
    input_need(d.in, SYN, 0, 0);
    ctl_need(&d.c, "\"clicks\":1,\"at\":[16384,8192]");
    ctl_call(&d.c, "input.click",
             "{'device': 't', 'x': 5, 'y': 0, 'width': 5, 'height': 2}");
    ctl_need(&d.c, "5 is outside");
    desk_close(&d);
}

/* The client hangs up while a button is down. */
static void a_click_that_nobody_waits_for_lets_go(void **state)
{
    struct desk d = desk_open(KEY("p", "tablet"), "p", NULL, 4);

    (void)state;
    ctl_call(&d.c, "input.click",
             "{'device': 'p', 'x': 0, 'y': 0, 'width': 1, 'height': 1,"
             " 'hold_ms': 60000}");
    input_need(d.in, ABS, 0, 16384);
    input_need(d.in, ABS, 1, 16384);
    input_need(d.in, SYN, 0, 0);
    input_need_frame(d.in, EVKEY, BTN_LEFT, 1);
    ctl_close(&d.c);
    input_need_frame(d.in, EVKEY, BTN_LEFT, 0);
    desk_close(&d);
}

static void the_guest_sets_leds(void **state)
{
    struct desk d = desk_open(KEY("k", "keyboard"), "k", NULL, 64);

    (void)state;
    input_status(d.in, LED, 1, 1);
    input_status(d.in, LED, 9, 1);    /* it has no such LED */
    input_status(d.in, 77, 65535, 1); /* nor anything like that */
    ctl_call(&d.c, "status", "{'device': 'k'}");
    ctl_need(&d.c, "\"leds\":[\"LED_CAPSL\"]");
    input_status(d.in, LED, 1, 0);
    ctl_call(&d.c, "status", "{'device': 'k'}");
    ctl_need(&d.c, "\"leds\":[]");
    desk_close(&d);
}

/* ---- coming and going ---- */

static void a_held_key_goes_up_when_the_front_end_hangs_up(void **state)
{
    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct desk d = desk_open(KEY("k", "keyboard"), "k",
                                  &(struct front_conf){.packed = packed}, 64);

        send_key(&d.c, "k", "KEY_A", 1);
        input_need_frame(d.in, EVKEY, KEY_A, 1);
        ctl_need(&d.c, "\"events\":2");
        front_disconnect(d.in->f);
        /* In the memory that the guest still has. */
        input_need_frame(d.in, EVKEY, KEY_A, 0);
        /* It goes on with the next connection, where nothing is held, from
         * where the used ring is: no buffer is ever lost. */
        d.in->events->base = packed ? 4u * 0x10001 | 0x80008000 : 4;
        front_resume(d.in->f);
        send_key(&d.c, "k", "KEY_B", 1);
        input_need_frame(d.in, EVKEY, KEY_B, 1);
        ctl_need(&d.c, "\"events\":2");
        desk_close(&d);
    }
}

static void a_held_key_goes_up_before_a_ring_has_stopped(void **state)
{
    struct desk d = desk_open(KEY("k", "keyboard"), "k", NULL, 64);

    (void)state;
    send_key(&d.c, "k", "KEY_A", 1);
    input_need_frame(d.in, EVKEY, KEY_A, 1);
    ctl_need(&d.c, "\"events\":2");
    vq_stop(d.in->events);
    assert_int_equal(vq_used(d.in->events), 2);
    input_need_frame(d.in, EVKEY, KEY_A, 0);
    /* Without a driver nothing is sent. */
    send_key(&d.c, "k", "KEY_B", 1);
    ctl_need(&d.c, "no driver");
    vq_start(d.in->events);
    send_key(&d.c, "k", "KEY_B", 1);
    input_need_frame(d.in, EVKEY, KEY_B, 1);
    ctl_need(&d.c, "\"events\":2");
    desk_close(&d);
}

static void a_disabled_ring_gets_nothing(void **state)
{
    struct desk d = desk_open(KEY("k", "keyboard"), "k", NULL, 64);

    (void)state;
    send_key(&d.c, "k", "KEY_A", 1);
    input_need_frame(d.in, EVKEY, KEY_A, 1);
    ctl_need(&d.c, "\"events\":2");
    vq_enable(d.in->events, false);
    send_key(&d.c, "k", "KEY_A", 0);
    ctl_call(&d.c, "status", "{'device': 'k'}");
    ctl_need(&d.c, "\"queued_events\":2");
    assert_int_equal(vq_used(d.in->events), 0);
    vq_enable(d.in->events, true);
    input_need_frame(d.in, EVKEY, KEY_A, 0);
    ctl_need(&d.c, "\"events\":2");
    desk_close(&d);
}

/* ---- who misbehaves ---- */

/* A keyboard whose guest reads, beside the one that is attacked. */
static void still_works(struct ctl *c, struct input *other, int value)
{
    send_key(c, "other", "KEY_B", value);
    input_need_frame(other, EVKEY, KEY_B, value);
    ctl_need(c, "\"events\":2");
}

static void a_guest_that_never_refills_harms_nobody(void **state)
{
    struct desk d = desk_open(KEY("k", "keyboard") "," KEY("other", "keyboard"),
                              "k", NULL, 4);
    struct input *other = input_new(d.v, "other", NULL, 4);
    long before;

    (void)state;
    still_works(&d.c, other, 1);
    before = vub_rss_kib(d.v);
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 50; i++)
            ctl_call(&d.c, "input.send",
                     i & 1 ? "{'device': 'k', 'timeout_ms': 1, 'events': "
                             "[{'code': 'KEY_A', 'value': 0}]}"
                           : "{'device': 'k', 'timeout_ms': 1, 'events': "
                             "[{'code': 'KEY_A', 'value': 1}]}");
        for (unsigned i = 0; i < 50; i++)
            ctl_need(&d.c, "error");
    }
    still_works(&d.c, other, 0);
    ctl_call(&d.c, "status", "{'device': 'k'}");
    assert_non_null(strstr(ctl_answer(&d.c), "\"queued_events\":40"));
    assert_int_equal(vub_log_count(d.v, "frames are dropped"), 1);
    /* With sanitizers what was freed is kept for a while. */
    if (vub_maps(d.v, "libasan") == 0 && vub_maps(d.v, "libtsan") == 0)
        assert_true(vub_rss_kib(d.v) - before < 4096);
    input_free(other);
    desk_close(&d);
}

static void bad_buffers_harm_nobody(void **state)
{
    struct vub *v =
        ctl_start(KEY("k", "keyboard") "," KEY("other", "keyboard"));
    struct input *other = input_new(v, "other", NULL, 4);
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    for (unsigned packed = 0; packed < 2; packed++) {
        struct front_conf conf = {.packed = packed};
        struct input *in = input_new(v, "k", &conf, 0);
        uint64_t gpa = front_alloc(in->f, 4096, 8);
        const struct vq_buf small = {gpa, 7}, whole = {gpa, 4096};
        const struct vq_buf outside = {UINT64_C(1) << 60, 8};
        uint32_t len;

        vq_add(in->events, &small, 0, 1, NULL);
        vq_add(in->events, &whole, 1, 0, NULL);
        vq_add(in->events, &whole, 0, 1, NULL);
        vq_add(in->events, &whole, 0, 1, NULL);
        vq_kick(in->events);
        send_key(&c, "k", "KEY_A", 1);
        vq_wait(in->events);
        for (unsigned i = 0; i < 4; i++) {
            assert_true(vq_pop(in->events, &len, NULL) != VQ_NONE);
            assert_int_equal(len, i < 2 ? 0 : 8);
        }
        /* A status event that is none, and one that lies nowhere. */
        vq_add(in->status, &small, 1, 0, NULL);
        vq_add(in->status, &small, 0, 1, NULL);
        vq_kick(in->status);
        vq_wait(in->status);
        assert_true(vq_pop(in->status, &len, NULL) != VQ_NONE);
        assert_true(vq_pop(in->status, &len, NULL) != VQ_NONE);
        vq_add(in->status, &outside, 1, 0, NULL);
        vq_kick(in->status);
        vq_need_err(in->status);
        vq_add(in->events, &outside, 0, 1, NULL);
        vq_kick(in->events);
        send_key(&c, "k", "KEY_A", 0);
        vq_need_err(in->events);
        front_free(in->f);
        free(in);
        ctl_need(&c, "error"); /* two calls were not taken */
        ctl_need(&c, "error");
        still_works(&c, other, (int)packed ^ 1);
    }
    input_free(other);
    ctl_close(&c);
    vub_free(v);
}

/* An available index that runs away, while an event waits for buffers. */
static void a_broken_ring_harms_nobody(void **state)
{
    struct desk d = desk_open(KEY("k", "keyboard") "," KEY("other", "keyboard"),
                              "k", NULL, 2);
    struct input *other = input_new(d.v, "other", NULL, 4);

    (void)state;
    d.in->hold = true;
    send_key(&d.c, "k", "KEY_A", 1);
    send_key(&d.c, "k", "KEY_A", 0);
    input_need_frame(d.in, EVKEY, KEY_A, 1);
    vq_avail_idx(d.in->events, 40000);
    vq_notify(d.in->events);
    vq_need_err(d.in->events);
    input_free(d.in);
    ctl_need(&d.c, "error");
    ctl_need(&d.c, "error");
    still_works(&d.c, other, 1);
    d.in = input_new(d.v, "k", NULL, 2);
    send_key(&d.c, "k", "KEY_B", 1);
    input_need_frame(d.in, EVKEY, KEY_A, 0); /* what was not told before */
    input_need_frame(d.in, EVKEY, KEY_B, 1);
    ctl_need(&d.c, "\"events\":2");
    input_free(other);
    desk_close(&d);
}

static void a_device_that_stops_ends_its_calls(void **state)
{
    struct desk d = desk_open(KEY("k", "keyboard"), "k", NULL, 1);

    (void)state;
    d.in->hold = true;
    ctl_call(&d.c, "input.type",
             "{'device': 'k', 'text': 'hello', 'timeout_ms': 3600000}");
    send_key(&d.c, "k", "KEY_A", 1);
    input_need(d.in, EVKEY, 35, 1);
    vub_stop(d.v);
    desk_close(&d);
}

BEHAVE_MAIN(T(the_config_space_answers), T(events_arrive_on_every_kind_of_ring),
            T(a_frame_that_fits_calls_once), T(a_text_is_typed),
            T(a_place_is_clicked), T(a_click_that_nobody_waits_for_lets_go),
            T(the_guest_sets_leds),
            T(a_held_key_goes_up_when_the_front_end_hangs_up),
            T(a_held_key_goes_up_before_a_ring_has_stopped),
            T(a_disabled_ring_gets_nothing),
            T(a_guest_that_never_refills_harms_nobody),
            T(bad_buffers_harm_nobody), T(a_broken_ring_harms_nobody),
            T(a_device_that_stops_ends_its_calls))
