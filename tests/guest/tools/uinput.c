/* What of the evdev source needs a kernel: devices made through /dev/uinput,
 * served by a vub beside them, seen by a front-end. Run in a guest (scenario
 * uinput), as root; VUB in the environment is the program. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libevdev/libevdev-uinput.h>
#include <libevdev/libevdev.h>

#include "../../behave/behave.h"
#include "front/input.h"

#define NAME "vub test keyboard"

/* A keyboard with LEDs; more: one key more than that. */
static struct libevdev_uinput *plug(const char *name, bool more)
{
    static const unsigned keys[] = {KEY_A, KEY_B, KEY_LEFTCTRL, KEY_RIGHTCTRL,
                                    KEY_Z};
    struct libevdev *dev = libevdev_new();
    struct libevdev_uinput *u;
    int rc;

    libevdev_set_name(dev, name);
    libevdev_set_id_vendor(dev, 0x1234);
    libevdev_set_id_product(dev, 0x5678);
    libevdev_enable_event_type(dev, EV_KEY);
    libevdev_enable_event_type(dev, EV_LED);
    for (unsigned i = 0; i < ARRAY_LEN(keys) - !more; i++)
        libevdev_enable_event_code(dev, EV_KEY, keys[i], NULL);
    libevdev_enable_event_code(dev, EV_LED, LED_CAPSL, NULL);
    rc = libevdev_uinput_create_from_device(dev, LIBEVDEV_UINPUT_OPEN_MANAGED,
                                            &u);
    libevdev_free(dev);
    if (rc < 0)
        front_fail("uinput: %s", strerror(-rc));
    return u;
}

static void press(struct libevdev_uinput *u, unsigned key, int value)
{
    libevdev_uinput_write_event(u, EV_KEY, key, value);
    libevdev_uinput_write_event(u, EV_SYN, SYN_REPORT, 0);
}

static struct vub *serve(const char *more)
{
    return vub_start("{'id': 'k', 'type': 'input', 'source': {'type': 'evdev',"
                     " 'match': {'name': '" NAME "'}%s}}",
                     more);
}

/* Somebody else on this machine who listens. */
static int listen_beside(struct libevdev_uinput *u)
{
    int fd =
        open(libevdev_uinput_get_devnode(u), O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        front_fail("%s: %s", libevdev_uinput_get_devnode(u), strerror(errno));
    return fd;
}

static bool hears(int fd)
{
    struct input_event ev[64];
    bool any = false;

    while (read(fd, ev, sizeof(ev)) > 0)
        any = true;
    return any;
}

/* ---- */

static void events_go_to_the_guest_and_leds_come_back(void **state)
{
    struct libevdev_uinput *u = plug(NAME, false);
    struct vub *v = serve("");
    struct input *in = input_new(v, "k", NULL, 64);
    struct input_event ev = {0};
    uint8_t name[128] = {0};

    (void)state;
    input_config(in, 1, 0, name);
    assert_string_equal((char *)name, NAME);
    press(u, KEY_A, 1);
    input_need_frame(in, EV_KEY, KEY_A, 1);
    press(u, KEY_A, 0);
    input_need_frame(in, EV_KEY, KEY_A, 0);
    input_status(in, EV_LED, LED_CAPSL, 1);
    front_need_fd(libevdev_uinput_get_fd(u), POLLIN, "an LED");
    assert_int_equal(read(libevdev_uinput_get_fd(u), &ev, sizeof(ev)),
                     sizeof(ev));
    assert_int_equal(ev.type, EV_LED);
    assert_int_equal(ev.code, LED_CAPSL);
    assert_int_equal(ev.value, 1);
    input_free(in);
    vub_free(v);
    libevdev_uinput_destroy(u);
}

static void it_is_grabbed_while_a_driver_listens(void **state)
{
    struct libevdev_uinput *u = plug(NAME, false);
    struct vub *v = serve("");
    struct input *in = input_new(v, "k", NULL, 64);
    int beside = listen_beside(u);

    (void)state;
    press(u, KEY_A, 1);
    press(u, KEY_A, 0);
    input_need_frame(in, EV_KEY, KEY_A, 1);
    input_need_frame(in, EV_KEY, KEY_A, 0);
    assert_false(hears(beside));
    input_free(in);
    vub_log_wait(v, "is gone");
    /* A session more says that the one before is over. */
    in = input_new(v, "k", NULL, 64);
    vq_stop(in->events);
    vq_stop(in->status);
    press(u, KEY_B, 1);
    press(u, KEY_B, 0);
    front_need_fd(beside, POLLIN, "the host's own events");
    assert_true(hears(beside));
    input_free(in);
    vub_free(v);
    close(beside);
    libevdev_uinput_destroy(u);
}

static void without_grab_the_host_hears_it_too(void **state)
{
    struct libevdev_uinput *u = plug(NAME, false);
    struct vub *v = serve(", 'grab': false");
    struct input *in = input_new(v, "k", NULL, 64);
    int beside = listen_beside(u);

    (void)state;
    press(u, KEY_A, 1);
    input_need_frame(in, EV_KEY, KEY_A, 1);
    assert_true(hears(beside));
    input_free(in);
    vub_free(v);
    close(beside);
    libevdev_uinput_destroy(u);
}

static void a_hot_key_gives_it_back_and_takes_it(void **state)
{
    struct libevdev_uinput *u = plug(NAME, false);
    struct vub *v = serve(", 'hotkey': ['KEY_LEFTCTRL', 'KEY_RIGHTCTRL']");
    struct input *in = input_new(v, "k", NULL, 64);
    struct input_ev ev;
    int beside = listen_beside(u);

    (void)state;
    press(u, KEY_LEFTCTRL, 1);
    input_need_frame(in, EV_KEY, KEY_LEFTCTRL, 1);
    press(u, KEY_RIGHTCTRL, 1);
    /* What the guest holds is released. */
    do {
        while (!input_take(in, &ev))
            vq_wait(in->events);
    } while (ev.type != EV_KEY || ev.code != KEY_LEFTCTRL || ev.value != 0);
    press(u, KEY_RIGHTCTRL, 0);
    press(u, KEY_LEFTCTRL, 0);
    press(u, KEY_A, 1);
    press(u, KEY_A, 0);
    front_need_fd(beside, POLLIN, "the host's own events");
    press(u, KEY_LEFTCTRL, 1);
    press(u, KEY_RIGHTCTRL, 1);
    press(u, KEY_RIGHTCTRL, 0);
    press(u, KEY_LEFTCTRL, 0);
    press(u, KEY_B, 1);
    for (bool found = false; !found;) {
        while (!input_take(in, &ev))
            vq_wait(in->events);
        assert_false(ev.type == EV_KEY && ev.code == KEY_A);
        found = ev.type == EV_KEY && ev.code == KEY_B && ev.value == 1;
    }
    input_free(in);
    vub_free(v);
    close(beside);
    libevdev_uinput_destroy(u);
}

static void unplugged_it_releases_its_keys_and_it_may_come_back(void **state)
{
    struct libevdev_uinput *u = plug(NAME, false), *other;
    struct vub *v = serve("");
    struct input *in = input_new(v, "k", NULL, 64);

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        press(u, KEY_A, 1);
        input_need_frame(in, EV_KEY, KEY_A, 1);
        libevdev_uinput_destroy(u);
        input_need_frame(in, EV_KEY, KEY_A, 0);
        vub_log_mark(v);
        /* One of the same name is not the same yet. */
        other = plug(NAME, true);
        vub_log_wait(v, "is another device");
        libevdev_uinput_destroy(other);
        vub_log_mark(v);
        u = plug(NAME, false);
        vub_log_wait(v, "is there");
        press(u, KEY_B, 1);
        input_need_frame(in, EV_KEY, KEY_B, 1);
        press(u, KEY_B, 0);
        input_need_frame(in, EV_KEY, KEY_B, 0);
    }
    input_free(in);
    vub_free(v);
    libevdev_uinput_destroy(u);
}

#define BY_ID "/dev/input/by-id"
#define LINK BY_ID "/usb-vub_test-event-kbd"

/* As udev does it: another link, then its name is changed to the one wanted. */
static void link_to(const char *node)
{
    unlink(LINK ".new");
    assert_int_equal(symlink(node, LINK ".new"), 0);
    assert_int_equal(rename(LINK ".new", LINK), 0);
}

/* Nodes are numbered anew each time, and it is the link that counts, also if
 * the directory of links is not there while there are none. */
static void a_link_of_by_id_leads_to_what_is_plugged_in(void **state)
{
    struct libevdev_uinput *u = plug(NAME, false), *between[3];
    char node[64], was[64] = "";
    struct vub *v;
    struct input *in;

    (void)state;
    mkdir(BY_ID, 0755);
    /* Relative, as udev's are. */
    snprintf(node, sizeof(node), "..%s",
             strrchr(libevdev_uinput_get_devnode(u), '/'));
    link_to(node);
    v = vub_start("{'id': 'k', 'type': 'input', 'source': {'type': 'evdev',"
                  " 'path': '" LINK "'}}");
    in = input_new(v, "k", NULL, 64);
    for (unsigned i = 0; i < ARRAY_LEN(between); i++) {
        press(u, KEY_A, 1);
        input_need_frame(in, EV_KEY, KEY_A, 1);
        vub_log_mark(v);
        strcpy(was, node);
        libevdev_uinput_destroy(u);
        input_need_frame(in, EV_KEY, KEY_A, 0);
        vub_log_wait(v, "has gone");
        unlink(LINK);
        if (i == 1)
            assert_int_equal(rmdir(BY_ID), 0);
        /* Its number is somebody else's now. */
        between[i] = plug("vub test stranger", false);
        u = plug(NAME, false);
        snprintf(node, sizeof(node), "..%s",
                 strrchr(libevdev_uinput_get_devnode(u), '/'));
        assert_string_not_equal(node, was);
        vub_log_mark(v);
        if (i == 1)
            assert_int_equal(mkdir(BY_ID, 0755), 0);
        link_to(node);
        vub_log_wait(v, "is there");
        press(between[i], KEY_B, 1); /* nobody asks */
        press(u, KEY_A, 1);
        input_need_frame(in, EV_KEY, KEY_A, 1);
        press(u, KEY_A, 0);
        input_need_frame(in, EV_KEY, KEY_A, 0);
    }
    input_free(in);
    vub_free(v);
    for (unsigned i = 0; i < ARRAY_LEN(between); i++)
        libevdev_uinput_destroy(between[i]);
    libevdev_uinput_destroy(u);
    unlink(LINK);
    rmdir(BY_ID);
}

/* More than the kernel keeps for a reader: it says SYN_DROPPED, and the reader
 * has to look how things are. */
static void dropped_events_leave_no_key_stuck(void **state)
{
    struct libevdev_uinput *u = plug(NAME, false);
    struct vub *v = serve("");
    struct input *in = input_new(v, "k", NULL, 64);
    bool a = false, b = false;
    struct input_ev ev;

    (void)state;
    press(u, KEY_A, 1);
    input_need_frame(in, EV_KEY, KEY_A, 1);
    a = true;
    vub_signal(v, SIGSTOP);
    for (unsigned i = 0; i < 500; i++) {
        press(u, KEY_LEFTCTRL, 1);
        press(u, KEY_LEFTCTRL, 0);
    }
    press(u, KEY_A, 0);
    press(u, KEY_B, 1);
    for (unsigned i = 0; i < 500; i++) {
        press(u, KEY_RIGHTCTRL, 1);
        press(u, KEY_RIGHTCTRL, 0);
    }
    vub_signal(v, SIGCONT);
    press(u, KEY_LEFTCTRL, 1);
    press(u, KEY_LEFTCTRL, 0);
    while (a || !b) {
        while (!input_take(in, &ev))
            vq_wait(in->events);
        if (ev.type == EV_KEY && ev.code == KEY_A)
            a = ev.value != 0;
        if (ev.type == EV_KEY && ev.code == KEY_B)
            b = ev.value != 0;
    }
    press(u, KEY_B, 0);
    for (bool found = false; !found;) {
        while (!input_take(in, &ev))
            vq_wait(in->events);
        found = ev.type == EV_KEY && ev.code == KEY_B && ev.value == 0;
    }
    input_free(in);
    vub_free(v);
    libevdev_uinput_destroy(u);
}

#define FINGERS 32

/* A screen for which the kernel keeps more events than vub reads in a turn. */
static struct libevdev_uinput *plug_screen(void)
{
    static const unsigned axes[] = {ABS_MT_POSITION_X,  ABS_MT_POSITION_Y,
                                    ABS_MT_TOUCH_MAJOR, ABS_MT_TOUCH_MINOR,
                                    ABS_MT_PRESSURE,    ABS_MT_ORIENTATION};
    struct input_absinfo range = {.maximum = 65535};
    struct libevdev *dev = libevdev_new();
    struct libevdev_uinput *u;
    int rc;

    libevdev_set_name(dev, NAME);
    libevdev_enable_event_code(dev, EV_KEY, BTN_TOUCH, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(axes); i++)
        libevdev_enable_event_code(dev, EV_ABS, axes[i], &range);
    libevdev_enable_event_code(dev, EV_ABS, ABS_MT_TRACKING_ID, &range);
    range.maximum = FINGERS - 1;
    libevdev_enable_event_code(dev, EV_ABS, ABS_MT_SLOT, &range);
    rc = libevdev_uinput_create_from_device(dev, LIBEVDEV_UINPUT_OPEN_MANAGED,
                                            &u);
    libevdev_free(dev);
    if (rc < 0)
        front_fail("uinput: %s", strerror(-rc));
    return u;
}

/* Numbers about those that vub takes in a turn, of which libevdev has read some
 * more. */
static void the_last_of_many_events_does_not_wait_for_another(void **state)
{
    struct libevdev_uinput *u = plug_screen();
    struct vub *v = serve("");
    struct input *in = input_new(v, "k", NULL, 64);
    struct input_ev ev;

    (void)state;
    press(u, BTN_TOUCH, 1);
    do
        while (!input_take(in, &ev))
            vq_wait(in->events);
    while (ev.type != EV_KEY || ev.value != 1);
    for (unsigned many = 250; many < 272; many += 2) {
        vub_signal(v, SIGSTOP);
        for (unsigned i = 1; i < many; i++)
            press(u, BTN_TOUCH, i & 1 ? 0 : 1);
        press(u, BTN_TOUCH, 1);
        press(u, BTN_TOUCH, 0);
        vub_signal(v, SIGCONT);
        for (unsigned i = 0; i < many / 2 + 1;) {
            while (!input_take(in, &ev))
                vq_wait(in->events);
            i += ev.type == EV_KEY && ev.value == 0;
        }
        press(u, BTN_TOUCH, 1);
        do
            while (!input_take(in, &ev))
                vq_wait(in->events);
        while (ev.type != EV_KEY || ev.value != 1);
    }
    input_free(in);
    vub_free(v);
    libevdev_uinput_destroy(u);
}

BEHAVE_MAIN(T(events_go_to_the_guest_and_leds_come_back),
            T(it_is_grabbed_while_a_driver_listens),
            T(without_grab_the_host_hears_it_too),
            T(a_hot_key_gives_it_back_and_takes_it),
            T(unplugged_it_releases_its_keys_and_it_may_come_back),
            T(a_link_of_by_id_leads_to_what_is_plugged_in),
            T(dropped_events_leave_no_key_stuck),
            T(the_last_of_many_events_does_not_wait_for_another))
