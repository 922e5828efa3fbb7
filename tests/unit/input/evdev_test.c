/* A device of the host that another process goes on with: what happened to it
 * in between nobody has read. The linker puts a device that the test plays in
 * the place of evdev_node.c: __wrap_node_*. */
#include "pad.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device/input/evdev_node.h"

#define EVDEV                                                                  \
    "'source': {'type': 'evdev', 'path': '/dev/input/played', 'hotkey': "      \
    "['KEY_LEFTCTRL', 'KEY_LEFTSHIFT']}"

/* The device, whoever has it open. */
static struct {
    bool down[KEY_CNT];
    int32_t x;
    bool grabbed;
    unsigned leds_written;
    int fd; /* of who has it open */
    struct input_event16 next[64];
    unsigned num_next, at;
} host;

struct evdev_node {
    int nothing;
};

static struct evdev_node the_node;

int __wrap_node_open(struct evdev_node **out, const char *path, struct err *e);
void __wrap_node_close(struct evdev_node *n);
int __wrap_node_fd(const struct evdev_node *n);
const char *__wrap_node_path(const struct evdev_node *n);
void __wrap_node_describe(const struct evdev_node *n, struct source_desc *d);
int __wrap_node_next(struct evdev_node *n, struct input_event16 *ev,
                     uint64_t *dropped);
bool __wrap_node_key_is_down(const struct evdev_node *n, unsigned code);
bool __wrap_node_any_key_is_down(const struct evdev_node *n);
unsigned __wrap_node_places(const struct evdev_node *n,
                            struct input_event16 ev[NODE_PLACES_MAX]);
int __wrap_node_grab(struct evdev_node *n, bool grab);
int __wrap_node_write(struct evdev_node *n, unsigned type, unsigned code,
                      int32_t value);

int __wrap_node_open(struct evdev_node **out, const char *path, struct err *e)
{
    (void)path, (void)e;
    *out = &the_node;
    host.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    host.num_next = host.at = 0; /* what it had not read is lost */
    return 0;
}

void __wrap_node_close(struct evdev_node *n)
{
    if (!n)
        return;
    close(host.fd);
    host.grabbed = false;
}

int __wrap_node_fd(const struct evdev_node *n)
{
    (void)n;
    return host.fd;
}

const char *__wrap_node_path(const struct evdev_node *n)
{
    (void)n;
    return "/dev/input/played";
}

void __wrap_node_describe(const struct evdev_node *n, struct source_desc *d)
{
    (void)n;
    memset(d, 0, sizeof(*d));
    strcpy(d->name, "played");
    for (unsigned code = KEY_ESC; code < 60; code++)
        source_set(d, EV_KEY, code);
    source_set(d, EV_LED, LED_CAPSL);
    source_set(d, EV_ABS, ABS_X);
    d->abs[ABS_X].max = 1000;
}

int __wrap_node_next(struct evdev_node *n, struct input_event16 *ev,
                     uint64_t *dropped)
{
    uint64_t count;

    (void)n, (void)dropped;
    if (host.at == host.num_next) {
        host.at = host.num_next = 0;
        while (read(host.fd, &count, sizeof(count)) > 0)
            ;
        return 0;
    }
    *ev = host.next[host.at++];
    if (ev->type == EV_KEY)
        host.down[ev->code] = ev->value != 0;
    if (ev->type == EV_ABS)
        host.x = ev->value;
    return 1;
}

bool __wrap_node_key_is_down(const struct evdev_node *n, unsigned code)
{
    (void)n;
    return host.down[code];
}

bool __wrap_node_any_key_is_down(const struct evdev_node *n)
{
    (void)n;
    for (unsigned code = 0; code < KEY_CNT; code++)
        if (host.down[code])
            return true;
    return false;
}

unsigned __wrap_node_places(const struct evdev_node *n,
                            struct input_event16 ev[NODE_PLACES_MAX])
{
    (void)n;
    ev[0] = (struct input_event16){EV_ABS, ABS_X, host.x};
    return 1;
}

int __wrap_node_grab(struct evdev_node *n, bool grab)
{
    (void)n;
    host.grabbed = grab;
    return 0;
}

int __wrap_node_write(struct evdev_node *n, unsigned type, unsigned code,
                      int32_t value)
{
    (void)n, (void)code;
    host.leds_written += type == EV_LED && value;
    return 0;
}

/* ---- */

static void happen(uint16_t type, uint16_t code, int32_t value)
{
    const uint64_t one = 1;

    host.next[host.num_next++] = (struct input_event16){type, code, value};
    host.next[host.num_next++] = (struct input_event16){EV_SYN, SYN_REPORT, 0};
    assert_int_equal(write(host.fd, &one, sizeof(one)), sizeof(one));
}

static void key(struct pad *p, uint16_t code, int32_t value)
{
    happen(EV_KEY, code, value);
    pad_play(p);
}

static struct pad *begin(void)
{
    struct pad *p;

    memset(&host, 0, sizeof(host));
    p = pad_open(EVDEV);
    pad_record(p, false, 64);
    pad_start(p, false, 64, 64);
    pad_play(p);
    assert_true(host.grabbed);
    happen(EV_ABS, ABS_X, 7);
    pad_play(p);
    p->num_checked = p->num_seen;
    return p;
}

static void go_on(struct pad *p)
{
    pad_start(p, false, 64, 64);
    pad_play(p);
}

static void what_happened_in_between_is_made_good(void **state)
{
    struct pad *p = begin();

    (void)state;
    key(p, KEY_A, 1);
    key(p, KEY_B, 1);
    for (unsigned i = 0; i < 4; i++)
        pad_expect(p, i % 2 ? EV_SYN : EV_KEY,
                   i == 0   ? KEY_A
                   : i == 2 ? KEY_B
                            : SYN_REPORT,
                   i % 2 == 0);
    pad_hand_on(p, EVDEV);
    host.down[KEY_B] = false;
    host.down[KEY_C] = true;
    host.x = 500;
    go_on(p);
    assert_true(host.grabbed); /* at once: the host has seen no key go down */
    pad_expect(p, EV_ABS, ABS_X, 500);
    pad_expect(p, EV_KEY, KEY_B, 0);
    pad_expect(p, EV_KEY, KEY_C, 1);
    pad_expect_syn(p);
    key(p, KEY_A, 0);
    key(p, KEY_C, 0);
    pad_expect_key(p, KEY_A, 0);
    pad_expect_key(p, KEY_C, 0);
    pad_expect_none(p);
    assert_false(pad_holds(p));
    pad_free(p);
}

static void nothing_is_told_if_nothing_happened(void **state)
{
    struct pad *p = begin();

    (void)state;
    key(p, KEY_A, 1);
    p->num_checked = p->num_seen;
    for (unsigned i = 0; i < 4; i++) {
        if (i % 2)
            pad_hand_on(p, EVDEV);
        else
            pad_kill(p, EVDEV);
        go_on(p);
        pad_expect_none(p);
        assert_true(state_key(&p->believed, KEY_A));
    }
    pad_free(p);
}

static void the_hotkey_lets_go_of_what_is_held_even_then(void **state)
{
    struct pad *p = begin();

    (void)state;
    key(p, KEY_A, 1);
    pad_kill(p, EVDEV);
    go_on(p);
    key(p, KEY_LEFTCTRL, 1);
    key(p, KEY_LEFTSHIFT, 1);
    assert_false(pad_holds(p));
    pad_free(p);
}

static void a_device_that_the_host_has_stays_the_hosts(void **state)
{
    struct pad *p = begin();

    (void)state;
    key(p, KEY_LEFTCTRL, 1);
    key(p, KEY_LEFTSHIFT, 1);
    key(p, KEY_LEFTCTRL, 0);
    key(p, KEY_LEFTSHIFT, 0);
    assert_false(host.grabbed);
    assert_false(pad_holds(p));
    p->num_checked = p->num_seen;
    pad_kill(p, EVDEV);
    go_on(p);
    key(p, KEY_A, 1);
    assert_false(host.grabbed);
    pad_expect_none(p);
    /* And comes back. KEY_A, which the host saw go down, is the host's. */
    key(p, KEY_LEFTCTRL, 1);
    key(p, KEY_LEFTSHIFT, 1);
    pad_hand_on(p, EVDEV);
    go_on(p);
    key(p, KEY_A, 0);
    key(p, KEY_LEFTCTRL, 0);
    key(p, KEY_LEFTSHIFT, 0);
    pad_expect_none(p);
    assert_true(host.grabbed);
    key(p, KEY_A, 1);
    pad_expect_key(p, KEY_A, 1);
    pad_free(p);
}

static void leds_shine_again(void **state)
{
    struct pad *p = begin();

    (void)state;
    p->in->source->ops->status(p->in->source, EV_LED, LED_CAPSL, 1);
    assert_int_equal(host.leds_written, 1);
    pad_kill(p, EVDEV);
    assert_int_equal(host.leds_written, 2);
    pad_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_happened_in_between_is_made_good),
        cmocka_unit_test(nothing_is_told_if_nothing_happened),
        cmocka_unit_test(the_hotkey_lets_go_of_what_is_held_even_then),
        cmocka_unit_test(a_device_that_the_host_has_stays_the_hosts),
        cmocka_unit_test(leds_shine_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
