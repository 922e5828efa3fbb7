/* Sources evdev and replay in the real program, seen by a front-end: devices
 * of a host that umockdev plays, and recordings of the same devices. */
#include "behave/behave.h"
#include "device/input/codes.h"
#include "front/input.h"
#include "host.h"

/* ---- helpers ---- */

static int begin(void **state)
{
    (void)state;
    host_begin();
    return 0;
}

static int end(void **state)
{
    behave_teardown(state);
    host_end();
    return 0;
}

/* vub with one device, and a front-end. */
static struct input *serve(struct vub **v, const char *source)
{
    struct input *f;

    *v = vub_start("{'id': 'd', 'type': 'input', 'source': {%s}}", source);
    f = input_new(*v, "d", NULL, 64);
    return f;
}

static void finish(struct vub *v, struct input *f)
{
    input_free(f);
    vub_free(v);
}

static void expect_described(struct input *f, const struct source_desc *d)
{
    uint8_t u[128];
    uint8_t bits[128];
    unsigned n;

    n = input_config(f, VIRTIO_INPUT_CFG_ID_NAME, 0, u);
    assert_int_equal(n, strlen(d->name));
    assert_memory_equal(u, d->name, n);
    assert_int_equal(input_config(f, VIRTIO_INPUT_CFG_ID_DEVIDS, 0, u), 8);
    assert_int_equal(u[2] | u[3] << 8, d->vendor);
    for (unsigned type = EV_KEY; type <= EV_SND; type++) {
        memset(bits, 0, sizeof(bits));
        input_config(f, VIRTIO_INPUT_CFG_EV_BITS, (uint8_t)type, bits);
        assert_memory_equal(bits, d->bits[type], sizeof(bits));
    }
    for (unsigned code = 0; code < SOURCE_ABS_MAX; code++) {
        struct virtio_input_absinfo abs;

        n = input_config(f, VIRTIO_INPUT_CFG_ABS_INFO, (uint8_t)code, u);
        assert_int_equal(n, source_has(d, EV_ABS, code) ? sizeof(abs) : 0);
        if (n == 0)
            continue;
        memcpy(&abs, u, sizeof(abs));
        assert_int_equal((int32_t)le32toh(abs.min), d->abs[code].min);
        assert_int_equal((int32_t)le32toh(abs.max), d->abs[code].max);
        assert_int_equal((int32_t)le32toh(abs.res), d->abs[code].res);
    }
}

/* The guest sees all of the recording; emit: when the device does it. */
static void expect_played(struct input *f, struct host_device *d, bool emit)
{
    const struct recording *r = &d->rec;

    for (size_t i = 0; emit && i < r->count; i++)
        host_emit(d, r->events[i].type, r->events[i].code, r->events[i].value);
    for (size_t i = 0; i < r->count; i++) {
        const struct recorded *ev = &r->events[i];

        front_note("event %zu of %s", i, r->desc.name);
        input_need(f, ev->type, ev->code, ev->type == EV_SYN ? 0 : ev->value);
    }
}

/* ---- evdev ---- */

static void passes_through(const char *data)
{
    struct host_device *d = host_add(3, data);
    struct vub *v;
    struct input *f = serve(&v, "'type': 'evdev', 'path': '/dev/input/event3'");

    expect_described(f, &d->rec.desc);
    host_wait_grab(d, true);
    expect_played(f, d, true);
    finish(v, f);
}

static void a_keyboard_is_passed_through(void **state)
{
    (void)state;
    passes_through("keyboard.evemu");
}

/* QEMU's documentation of its vhost-user-input, but for the program's name.
 * Spec: vhost-user, "Backend program conventions". */
static struct vub *program_with(const char *more)
{
    struct vub *v = vub_new();

    v->program = "input";
    vub_arg(v, "--socket-path=%s", vub_path(v, "d.sock"));
    vub_arg(v, "--evdev-path=/dev/input/event17");
    if (more)
        vub_arg(v, "%s", more);
    vub_run(v);
    return v;
}

static void a_program_passes_a_device_through(void **state)
{
    struct host_device *d = host_add(17, "keyboard.evemu");
    struct vub *v = program_with(NULL);
    struct input *f = input_new(v, "d", NULL, 64);

    (void)state;
    expect_described(f, &d->rec.desc);
    host_wait_grab(d, true);
    expect_played(f, d, true);
    input_free(f);
    assert_int_equal(vub_wait(v), 0); /* it ends with its front-end */
    vub_free(v);
}

static void a_program_does_not_grab_if_told_so(void **state)
{
    struct host_device *d = host_add(17, "keyboard.evemu");
    struct vub *v = program_with("--no-grab");
    struct input *f = input_new(v, "d", NULL, 64);

    (void)state;
    expect_played(f, d, true);
    assert_false(__atomic_load_n(&d->grabbed, __ATOMIC_SEQ_CST));
    input_free(f);
    assert_int_equal(vub_wait(v), 0);
    vub_free(v);
}

static void a_mouse_is_passed_through(void **state)
{
    (void)state;
    passes_through("mouse.evemu");
}

static void a_tablet_is_passed_through(void **state)
{
    (void)state;
    passes_through("tablet.evemu");
}

static void a_touch_screen_is_passed_through(void **state)
{
    (void)state;
    passes_through("touch.yml");
}

static void leds_are_written_to_the_device(void **state)
{
    struct host_device *d = host_add(3, "keyboard.evemu");
    struct vub *v;
    struct input *f = serve(&v, "'type': 'evdev', 'path': '/dev/input/event3'");

    (void)state;
    input_status(f, EV_LED, LED_CAPSL, 1);
    host_expect(d, EV_LED, LED_CAPSL, 1);
    input_status(f, EV_LED, LED_KANA, 1); /* it has none */
    input_status(f, EV_LED, LED_CAPSL, 0);
    host_expect(d, EV_LED, LED_CAPSL, 0);
    finish(v, f);
}

static void force_feedback_is_passed_on_but_for_effects(void **state)
{
    struct host_device *d = host_add(3, "mouse.evemu");
    struct vub *v;
    struct input *f;
    uint8_t bits[128];

    (void)state;
    source_set(&d->rec.desc, EV_FF, FF_GAIN);
    f = serve(&v, "'type': 'evdev', 'path': '/dev/input/event3'");
    assert_int_equal(input_config(f, VIRTIO_INPUT_CFG_EV_BITS, EV_FF, bits),
                     FF_GAIN / 8 + 1);
    input_status(f, EV_FF, FF_GAIN, 0x8000);
    host_expect(d, EV_FF, FF_GAIN, 0x8000);
    input_status(f, EV_FF, FF_AUTOCENTER, 1); /* it has none */
    input_status(f, EV_FF, 2, 1);             /* plays an effect, stops it */
    host_expect(d, EV_FF, 2, 1);
    input_status(f, EV_FF, 2, 0);
    host_expect(d, EV_FF, 2, 0);
    expect_played(f, d, true);
    finish(v, f);
}

static void it_is_grabbed_while_a_driver_listens(void **state)
{
    struct host_device *d = host_add(3, "mouse.evemu");
    struct vub *v;
    struct input *f;

    (void)state;
    v = vub_start("{'id': 'd', 'type': 'input', 'source': {'type': 'evdev',"
                  " 'path': '/dev/input/event3'}}");
    assert_false(d->grabbed);
    f = input_new(v, "d", NULL, 64);
    host_wait_grab(d, true);
    input_free(f);
    host_wait_grab(d, false);
    f = input_new(v, "d", NULL, 64);
    host_wait_grab(d, true);
    finish(v, f);
}

static void it_is_not_grabbed_if_that_is_not_wanted(void **state)
{
    struct host_device *d = host_add(3, "mouse.evemu");
    struct vub *v;
    struct input *f = serve(
        &v, "'type': 'evdev', 'path': '/dev/input/event3', 'grab': false");

    (void)state;
    expect_played(f, d, true);
    assert_false(d->grabbed);
    finish(v, f);
}

static void a_grab_that_fails_is_told_once(void **state)
{
    struct host_device *d = host_add(3, "mouse.evemu");
    struct vub *v;
    struct input *f;

    (void)state;
    d->no_grab = true;
    f = serve(&v, "'type': 'evdev', 'path': '/dev/input/event3'");
    vub_log_wait(v, "cannot grab /dev/input/event3: Device or resource busy");
    expect_played(f, d, true);
    assert_int_equal(vub_log_count(v, "cannot grab"), 1);
    finish(v, f);
}

static void a_grab_waits_until_keys_are_up(void **state)
{
    struct host_device *d = host_add(3, "keyboard.evemu");
    struct vub *v;
    struct input *f;

    (void)state;
    d->keys[KEY_ENTER / 8] |= 1u << KEY_ENTER % 8;
    f = serve(&v, "'type': 'evdev', 'path': '/dev/input/event3'");
    host_emit(d, EV_KEY, KEY_A, 1);
    host_emit(d, EV_SYN, SYN_REPORT, 0);
    input_need(f, EV_KEY, KEY_A, 1);
    input_need(f, EV_SYN, SYN_REPORT, 0);
    assert_false(d->grabbed);
    host_emit(d, EV_KEY, KEY_ENTER, 0);
    host_emit(d, EV_KEY, KEY_A, 0);
    host_emit(d, EV_SYN, SYN_REPORT, 0);
    host_wait_grab(d, true);
    finish(v, f);
}

static void press(struct host_device *d, unsigned code, int32_t value)
{
    host_emit(d, EV_KEY, code, value);
    host_emit(d, EV_SYN, SYN_REPORT, 0);
}

static void expect_key(struct input *f, unsigned code, int32_t value)
{
    input_need(f, EV_KEY, code, value);
    input_need(f, EV_SYN, SYN_REPORT, 0);
}

static void a_hot_key_gives_it_back_and_takes_it(void **state)
{
    struct host_device *d = host_add(3, "keyboard.evemu");
    struct vub *v;
    struct input *f =
        serve(&v, "'type': 'evdev', 'path': '/dev/input/event3', 'hotkey':"
                  " ['KEY_LEFTCTRL', 'KEY_RIGHTCTRL']");

    (void)state;
    host_wait_grab(d, true);
    press(d, KEY_LEFTCTRL, 1);
    expect_key(f, KEY_LEFTCTRL, 1);
    press(d, 97, 1); /* KEY_RIGHTCTRL: now the host has it */
    expect_key(f, KEY_LEFTCTRL, 0);
    host_wait_grab(d, false);
    press(d, KEY_LEFTCTRL, 0);
    press(d, 97, 0);
    press(d, KEY_A, 1); /* the host's */
    press(d, KEY_A, 0);
    press(d, 97, 1);
    press(d, KEY_LEFTCTRL, 1); /* the guest's again, when they are up */
    vub_log_wait(v, "given it to the guest");
    assert_false(d->grabbed);
    press(d, KEY_LEFTCTRL, 0);
    press(d, 97, 0);
    host_wait_grab(d, true);
    press(d, KEY_S, 1);
    expect_key(f, KEY_S, 1);
    finish(v, f);
}

static void a_hot_key_that_it_does_not_have_is_refused(void **state)
{
    struct vub *v = vub_new();

    (void)state;
    host_add(3, "mouse.evemu");
    vub_config(v, "{'id': 'd', 'type': 'input', 'source': {'type': 'evdev',"
                  " 'path': '/dev/input/event3',"
                  " 'hotkey': ['BTN_LEFT', 'KEY_F24']}}");
    vub_spawn(v);
    vub_log_wait(v, "/devices/0/source/hotkey/1: the device (");
    vub_log_wait(v, "has no KEY_F24");
    assert_int_equal(vub_wait(v), 2);
    vub_free(v);
}

/* The kernel says SYN_DROPPED, and then, by ioctl, which keys are down. */
static void lost_events_become_one_frame_of_differences(void **state)
{
    struct host_device *d = host_add(3, "keyboard.evemu");
    struct vub *v;
    struct input *f = serve(&v, "'type': 'evdev', 'path': '/dev/input/event3'");

    (void)state;
    press(d, KEY_A, 1);
    expect_key(f, KEY_A, 1);
    d->keys[KEY_S / 8] |= 1u << KEY_S % 8; /* A went up, S went down: lost */
    host_emit(d, EV_SYN, SYN_DROPPED, 0);
    input_need(f, EV_KEY, KEY_A, 0);
    input_need(f, EV_KEY, KEY_S, 1);
    input_need(f, EV_SYN, SYN_REPORT, 0);
    press(d, KEY_S, 0);
    expect_key(f, KEY_S, 0);
    finish(v, f);
}

static void it_is_found_by_what_it_is_like(void **state)
{
    struct host_device *mouse = host_add(3, "mouse.evemu");
    struct host_device *tablet = host_add(5, "tablet.evemu");
    struct vub *v;
    struct input *f;

    (void)state;
    f = serve(&v, "'type': 'evdev', 'match': {'vendor': '0x046d'}");
    expect_played(f, mouse, true);
    finish(v, f);
    f = serve(&v, "'type': 'evdev', 'match': {'name': 'Test Tablet',"
                  " 'phys': '/dev/input/event5'}");
    expect_played(f, tablet, true);
    finish(v, f);
}

/* umockdev never gives a name twice, so it comes back with another number. */
static void what_is_pulled_out_may_come_back(void **state)
{
    struct host_device *d = host_add(3, "keyboard.evemu");
    struct vub *v;
    struct input *f =
        serve(&v, "'type': 'evdev', 'match': {'vendor': '0x046d'}");

    (void)state;
    press(d, KEY_A, 1);
    expect_key(f, KEY_A, 1);
    input_status(f, EV_LED, LED_CAPSL, 1);
    host_expect(d, EV_LED, LED_CAPSL, 1);
    host_remove(d);
    vub_log_wait(v, "/dev/input/event3 has gone");
    expect_key(f, KEY_A, 0);
    host_add(4, "mouse.evemu");
    vub_log_wait(v, "/dev/input/event4 (\"Test Mouse\") is another device than "
                    "the guest was told of: it does not have KEY_ESC. It is "
                    "not used");
    d = host_add(5, "keyboard.evemu");
    vub_log_wait(v, "/dev/input/event5 is there");
    host_expect(d, EV_LED, LED_CAPSL, 1);
    host_wait_grab(d, true);
    press(d, KEY_S, 1);
    expect_key(f, KEY_S, 1);
    finish(v, f);
}

static void what_is_described_may_come_later(void **state)
{
    struct host_device *d;
    struct vub *v;
    struct input *f =
        serve(&v, "'type': 'evdev', 'path': '/dev/input/event3', 'describe':"
                  " {'name': 'Later', 'events': ['KEY_A', 'KEY_S']}");

    (void)state;
    vub_log_wait(v, "it may come later");
    d = host_add(3, "keyboard.evemu");
    vub_log_wait(v, "/dev/input/event3 is there");
    press(d, KEY_D, 1); /* not described */
    press(d, KEY_A, 1);
    expect_key(f, KEY_A, 1);
    finish(v, f);
}

static void a_filter_changes_what_the_guest_sees(void **state)
{
    struct host_device *d = host_add(3, "tablet.evemu");
    struct vub *v = vub_start(
        "{'id': 'd', 'type': 'input', 'name': 'Other', 'filter': {'mask':"
        " ['EV_MSC', 'BTN_MIDDLE'], 'vendor': '0x1af4', 'axes': [{'code':"
        " 'ABS_X', 'max': 1023}]}, 'source': {'type': 'evdev', 'path':"
        " '/dev/input/event3'}}");
    struct input *f = input_new(v, "d", NULL, 64);
    struct source_desc seen = d->rec.desc;

    (void)state;
    strcpy(seen.name, "Other");
    seen.vendor = 0x1af4;
    seen.abs[ABS_X].max = 1023;
    memset(seen.bits[EV_MSC], 0, SOURCE_BITS_BYTES);
    seen.bits[EV_KEY][BTN_MIDDLE / 8] &= (uint8_t) ~(1u << BTN_MIDDLE % 8);
    expect_described(f, &seen);
    host_emit(d, EV_ABS, ABS_X, 32767);
    host_emit(d, EV_KEY, BTN_MIDDLE, 1);
    host_emit(d, EV_SYN, SYN_REPORT, 0);
    input_need(f, EV_ABS, ABS_X, 1023);
    input_need(f, EV_SYN, SYN_REPORT, 0);
    finish(v, f);
}

/* ---- replay ---- */

static void is_replayed(const char *data)
{
    struct host_device *d = host_read(data);
    char source[300];
    struct vub *v;
    struct input *f;

    for (unsigned asap = 0; asap < 2; asap++) {
        snprintf(source, sizeof(source),
                 "'type': 'replay', 'path': '" DATA "/%s', 'pace': '%s'", data,
                 asap ? "asap" : "realtime");
        f = serve(&v, source);
        expect_described(f, &d->rec.desc);
        expect_played(f, d, false);
        finish(v, f);
    }
}

static void recordings_of_both_forms_are_replayed(void **state)
{
    (void)state;
    is_replayed("keyboard.evemu");
    is_replayed("mouse.evemu");
    is_replayed("tablet.evemu");
    is_replayed("touch.yml");
}

static void nothing_is_lost_in_a_ring_of_four(void **state)
{
    struct host_device *d = host_read("touch.yml");
    struct vub *v = vub_start("{'id': 'd', 'type': 'input', 'source': {'type': "
                              "'replay', 'path': '" DATA
                              "/touch.yml', 'pace': 'asap', 'loops': 50}}");
    struct input *f = input_new(v, "d", &(struct front_conf){.size = 4}, 4);

    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        expect_played(f, d, false);
        /* Each pass leaves things as it has found them. */
        input_need_frame(f, EV_ABS, ABS_MT_SLOT, 0);
    }
    finish(v, f);
}

#define E(f) cmocka_unit_test_setup_teardown(f, begin, end)

BEHAVE_MAIN(E(a_keyboard_is_passed_through), E(a_mouse_is_passed_through),
            E(a_program_passes_a_device_through),
            E(a_program_does_not_grab_if_told_so),
            E(a_tablet_is_passed_through), E(a_touch_screen_is_passed_through),
            E(leds_are_written_to_the_device),
            E(force_feedback_is_passed_on_but_for_effects),
            E(it_is_grabbed_while_a_driver_listens),
            E(it_is_not_grabbed_if_that_is_not_wanted),
            E(a_grab_that_fails_is_told_once),
            E(a_grab_waits_until_keys_are_up),
            E(a_hot_key_gives_it_back_and_takes_it),
            E(a_hot_key_that_it_does_not_have_is_refused),
            E(lost_events_become_one_frame_of_differences),
            E(it_is_found_by_what_it_is_like),
            E(what_is_pulled_out_may_come_back),
            E(what_is_described_may_come_later),
            E(a_filter_changes_what_the_guest_sees),
            E(recordings_of_both_forms_are_replayed),
            E(nothing_is_lost_in_a_ring_of_four))
