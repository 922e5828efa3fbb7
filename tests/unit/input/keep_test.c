/* An input device that another process goes on with: no event is lost or comes
 * twice, no key is stuck. */
#include "pad.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEYBOARD "'source': {'type': 'virtual', 'preset': 'keyboard'}"
#define MOUSE "'source': {'type': 'virtual', 'preset': 'mouse'}"
#define TABLET "'source': {'type': 'virtual', 'preset': 'tablet'}"

static struct pad *keyboard(bool packed, uint16_t size, unsigned buffers)
{
    struct pad *p = pad_open(KEYBOARD);

    pad_record(p, packed, size);
    pad_start(p, packed, size, buffers);
    return p;
}

/* What keyboard() has made. */
static void kill_and_go_on(struct pad *p, const char *keys)
{
    pad_kill(p, keys);
    pad_start(p, false, 64, 64);
    pad_play(p);
}

/* ---- what a guest sees ---- */

static void keys_that_are_held_stay_so(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 2; how++) {
        struct pad *p = keyboard(false, 64, 64);

        pad_key(p, KEY_A, 1);
        pad_key(p, KEY_LEFTSHIFT, 1);
        pad_play(p);
        if (how == 0)
            pad_hand_on(p, KEYBOARD);
        else
            pad_kill(p, KEYBOARD);
        pad_start(p, false, 64, 64);
        pad_play(p);
        pad_key(p, KEY_A, 0);
        pad_play(p);
        assert_true(state_key(&p->believed, KEY_LEFTSHIFT));
        pad_key(p, KEY_LEFTSHIFT, 0);
        pad_play(p);
        pad_expect_key(p, KEY_A, 1);
        pad_expect_key(p, KEY_LEFTSHIFT, 1);
        pad_expect_key(p, KEY_A, 0);
        pad_expect_key(p, KEY_LEFTSHIFT, 0);
        pad_expect_none(p);
        pad_free(p);
    }
}

static void a_driver_that_goes_lets_go_of_them_even_then(void **state)
{
    struct pad *p = keyboard(false, 64, 64);

    (void)state;
    pad_key(p, KEY_A, 1);
    pad_play(p);
    kill_and_go_on(p, KEYBOARD);
    pad_stop(p);
    pad_take(p, true);
    assert_false(pad_holds(p));
    pad_free(p);
}

static void what_waits_for_buffers_waits_on(void **state)
{
    struct pad *p = keyboard(true, 64, 3);

    (void)state;
    pad_key(p, KEY_A, 1); /* two buffers */
    pad_key(p, KEY_A, 0); /* a part of this */
    pad_key(p, KEY_B, 1);
    pad_settle(p);
    assert_int_equal(pad_take(p, false), 3);
    assert_true(p->inside);
    pad_hand_on(p, KEYBOARD);
    for (uint16_t id = 0; id < 3; id++)
        pad_offer(p, id, 8, true);
    p->buffers = 3;
    pad_start(p, true, 64, 3);
    pad_play(p);
    pad_expect_key(p, KEY_A, 1);
    pad_expect_key(p, KEY_A, 0);
    pad_expect_key(p, KEY_B, 1);
    pad_expect_none(p);
    pad_free(p);
}

/* The guest has not seen buffers that were filled but not shown. */
static void what_was_not_shown_comes_again(void **state)
{
    struct pad *p = keyboard(false, 64, 64);

    (void)state;
    pad_key(p, KEY_A, 1);
    pad_play(p);
    pad_key(p, KEY_A, 0);
    pad_key(p, KEY_B, 1);
    p->device->ops->ring_kick(p->device, &p->events->ring);
    kill_and_go_on(p, KEYBOARD);
    pad_expect_key(p, KEY_A, 1);
    pad_expect_key(p, KEY_A, 0);
    pad_expect_key(p, KEY_B, 1);
    pad_expect_none(p);
    pad_free(p);
}

static void a_queue_that_was_full_is_made_good(void **state)
{
    struct pad *p = pad_open(TABLET);

    (void)state;
    pad_record(p, false, 16);
    pad_start(p, false, 16, 16);
    FRAME(p, {EV_KEY, BTN_LEFT, 1});
    pad_play(p);
    for (int i = 0; i < 3000; i++)
        FRAME(p, {EV_ABS, ABS_X, i}, {EV_ABS, ABS_Y, i});
    FRAME(p, {EV_KEY, BTN_LEFT, 0});
    for (int i = 0; i < 3000; i++)
        FRAME(p, {EV_KEY, BTN_RIGHT, i % 2}, {EV_KEY, BTN_MIDDLE, i % 2});
    FRAME(p, {EV_KEY, BTN_RIGHT, 1}, {EV_ABS, ABS_X, 7777});
    assert_true(p->in->events.behind);
    pad_kill(p, TABLET);
    pad_start(p, false, 16, 16);
    pad_play(p);
    assert_false(state_key(&p->believed, BTN_LEFT));
    assert_true(state_key(&p->believed, BTN_RIGHT));
    assert_false(state_key(&p->believed, BTN_MIDDLE) &&
                 !state_key(&p->in->events.source, BTN_MIDDLE));
    assert_int_equal(p->believed.abs[ABS_X], 7777);
    assert_int_equal(p->believed.abs[ABS_Y], 2999);
    pad_free(p);
}

static void another_device_lets_go_of_what_the_guest_holds(void **state)
{
    struct pad *p = keyboard(false, 64, 64);

    (void)state;
    pad_key(p, KEY_A, 1);
    pad_play(p);
    pad_key(p, KEY_B, 1);
    kill_and_go_on(p, MOUSE);
    pad_expect_key(p, KEY_A, 1);
    pad_expect_key(p, KEY_A, 0);
    pad_expect_none(p);
    pad_free(p);
}

static void a_driver_that_comes_later_begins_anew(void **state)
{
    struct pad *p = keyboard(false, 64, 64);

    (void)state;
    pad_key(p, KEY_A, 1);
    pad_play(p);
    pad_stop(p);
    pad_take(p, true);
    assert_false(pad_holds(p));
    kill_and_go_on(p, KEYBOARD);
    pad_expect_key(p, KEY_A, 1);
    pad_expect_key(p, KEY_A, 0);
    pad_expect_none(p);
    pad_free(p);
}

/* It was suspended for another process, of which nothing came. */
static void the_same_device_can_go_on(void **state)
{
    struct pad *p = keyboard(false, 64, 64);

    (void)state;
    pad_key(p, KEY_A, 1);
    pad_play(p);
    pad_key(p, KEY_B, 1);
    p->device->suspends = true;
    pad_stop(p);
    p->device->suspends = false;
    pad_start(p, false, 64, 64);
    pad_play(p);
    pad_key(p, KEY_A, 0);
    pad_play(p);
    pad_expect_key(p, KEY_A, 1);
    pad_expect_key(p, KEY_B, 1);
    pad_expect_key(p, KEY_A, 0);
    pad_expect_none(p);
    kill_and_go_on(p, KEYBOARD);
    pad_expect_none(p);
    pad_free(p);
}

/* ---- what a guest has said ---- */

static void what_the_guest_has_set_stays_so(void **state)
{
    struct pad *p = keyboard(false, 64, 64);
    struct source *s = p->in->source;
    struct json_out o = JSON_OUT_EMPTY;
    uint8_t ask[2] = {VIRTIO_INPUT_CFG_EV_BITS, EV_KEY};
    struct virtio_input_config c;

    (void)state;
    s->ops->status(s, EV_LED, LED_CAPSL, 1);
    s->ops->status(s, EV_REP, REP_DELAY, 444);
    assert_int_equal(
        p->device->ops->config_write(p->device, 0, ask, sizeof(ask)), 0);
    pad_kill(p, KEYBOARD);
    p->device->ops->config_read(p->device, &c);
    assert_int_equal(c.select, VIRTIO_INPUT_CFG_EV_BITS);
    assert_int_equal(c.subsel, EV_KEY);
    assert_true(c.size > 0);
    p->in->source->ops->describe(p->in->source, &o);
    assert_non_null(strstr(o.text, "\"leds\":[\"LED_CAPSL\"]"));
    assert_non_null(strstr(o.text, "\"repeat_delay_ms\":444"));
    json_out_free(&o);
    pad_free(p);
}

/* ---- every moment ---- */

/* Keys that go down and up, by their number. */
static struct input_event16 key_nr(unsigned i)
{
    return (struct input_event16){EV_KEY, (uint16_t)(KEY_Q + i / 2 % 7),
                                  i % 2 == 0};
}

/* All that the guest has seen are the first of those. */
static unsigned check_seen(struct pad *p)
{
    unsigned i;

    for (i = 0; p->num_checked + 1 < p->num_seen; i++) {
        struct input_event16 e = key_nr(i);

        pad_expect(p, e.type, e.code, e.value);
        pad_expect_syn(p);
    }
    p->num_checked = 0;
    return i;
}

static void nothing_is_lost_and_nothing_comes_twice(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 40; seed++) {
        bool packed = seed % 2;
        struct pad *p = keyboard(packed, 32, 4 + seed % 28);
        unsigned sent = 0;

        srandom(seed);
        for (unsigned turn = 0; turn < 300; turn++) {
            unsigned what = (unsigned)random() % 16;

            for (unsigned n = (unsigned)random() % 4; n > 0; n--, sent++)
                pad_key(p, key_nr(sent).code, key_nr(sent).value);
            if (what < 8) {
                pad_settle(p);
                pad_take(p, true);
            } else if (what < 12) {
                p->device->ops->ring_kick(p->device, &p->events->ring);
                if (what == 8)
                    ring_flush(&p->events->ring);
            }
            if (what < 4)
                continue;
            if (what == 5)
                pad_hand_on(p, KEYBOARD);
            else if (what > 5)
                pad_kill(p, KEYBOARD);
            else
                continue;
            pad_start(p, packed, 32, 4 + seed % 28);
        }
        pad_play(p);
        assert_int_equal(check_seen(p), sent);
        pad_free(p);
    }
}

/* The number of keys that have been sent, for sure. */
static volatile unsigned *sent_by_child;

static void send_until_killed(struct pad *p, unsigned from)
{
    for (unsigned i = from;; i++) {
        /* Not more than the guest takes: none is to be dropped. */
        while (p->in->events.count > 64) {
            p->device->ops->ring_kick(p->device, &p->events->ring);
            ring_flush(&p->events->ring);
        }
        pad_key(p, key_nr(i).code, key_nr(i).value);
        *sent_by_child = i + 1;
        if (i % 3 == 0) {
            p->device->ops->ring_kick(p->device, &p->events->ring);
            ring_flush(&p->events->ring);
        }
    }
}

static void sigkill_at_any_moment_changes_nothing_for_the_guest(void **state)
{
    struct pad *p = keyboard(false, 32, 32);
    unsigned seen = 0;

    (void)state;
    sent_by_child = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(sent_by_child != MAP_FAILED);
    for (unsigned round = 0; round < 150; round++) {
        unsigned until = seen + 5 + round % 60;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            send_until_killed(p, seen);
        while (*sent_by_child < until)
            pad_take(p, true);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        pad_take(p, true);
        pad_kill(p, KEYBOARD);
        pad_start(p, false, 32, 32);
        pad_play(p);
        seen = check_seen(p);
        assert_in_range(seen, *sent_by_child, *sent_by_child + 1);
        *sent_by_child = seen;
        if (seen > PAD_SEEN / 2 - 4000)
            break;
    }
    munmap((void *)sent_by_child, 4096);
    pad_free(p);
}

/* ---- replays ---- */

#define REPLAY_FRAMES 400

static char replay_keys[256], recording[] = "/tmp/vub-keep-replay-XXXXXX";

static void make_recording(const char *pace)
{
    FILE *f;
    int fd;

    strcpy(recording + sizeof(recording) - 7, "XXXXXX");
    fd = mkstemp(recording);
    assert_true(fd >= 0);
    f = fdopen(fd, "w");
    /* keys up to 63 */
    fprintf(f, "N: keys\nB: 01 ff ff ff ff ff ff ff ff\n");
    for (unsigned i = 0; i < REPLAY_FRAMES; i++)
        fprintf(f, "E: 0.%06u 0001 %04x %d\nE: 0.%06u 0000 0000 0\n", i * 500,
                key_nr(i).code, key_nr(i).value, i * 500);
    assert_int_equal(fclose(f), 0);
    snprintf(replay_keys, sizeof(replay_keys),
             "'source': {'type': 'replay', 'path': '%s', 'pace': '%s'}",
             recording, pace);
}

static void a_replay_goes_on_where_it_was(void **state)
{
    static const char *const paces[] = {"asap", "realtime"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(paces); i++) {
        struct pad *p;
        unsigned ends = 0;

        make_recording(paces[i]);
        p = pad_open(replay_keys);
        pad_record(p, false, 32);
        pad_start(p, false, 32, 32);
        for (unsigned turn = 0; p->num_seen < 2 * REPLAY_FRAMES; turn++) {
            pad_settle(p);
            if (turn % 16 == 3 && ++ends % 2)
                pad_kill(p, replay_keys);
            else if (turn % 16 == 11)
                pad_hand_on(p, replay_keys);
            if (!p->events->started)
                pad_start(p, false, 32, 32);
            pad_take(p, true);
        }
        pad_play(p);
        assert_int_equal(check_seen(p), REPLAY_FRAMES);
        assert_false(pad_holds(p));
        pad_free(p);
        unlink(recording);
    }
}

/* ---- what nobody has meant ---- */

static void nonsense_that_is_found_does_no_harm(void **state)
{
    (void)state;
    make_recording("asap");
    for (unsigned seed = 0; seed < 120; seed++) {
        const char *keys = seed % 3 == 0 ? replay_keys : KEYBOARD;
        struct pad *p = pad_open(keys);

        pad_record(p, false, 32);
        pad_start(p, false, 32, 8);
        for (unsigned i = 0; seed % 3 && i < 50; i++)
            pad_key(p, key_nr(i).code, key_nr(i).value);
        for (unsigned i = 0; i < 10; i++) {
            pad_settle(p);
            pad_take(p, true);
        }
        pad_spoil(p, keys, seed);
        pad_start(p, false, 32, 8);
        for (unsigned i = 0; i < 10; i++) {
            pad_settle(p);
            pad_take(p, true);
        }
        if (seed % 3) {
            pad_key(p, KEY_X, 1);
            pad_key(p, KEY_X, 0);
        }
        pad_stop(p);
        pad_start(p, false, 32, 8);
        pad_free(p);
    }
    unlink(recording);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_that_are_held_stay_so),
        cmocka_unit_test(a_driver_that_goes_lets_go_of_them_even_then),
        cmocka_unit_test(what_waits_for_buffers_waits_on),
        cmocka_unit_test(what_was_not_shown_comes_again),
        cmocka_unit_test(a_queue_that_was_full_is_made_good),
        cmocka_unit_test(another_device_lets_go_of_what_the_guest_holds),
        cmocka_unit_test(a_driver_that_comes_later_begins_anew),
        cmocka_unit_test(the_same_device_can_go_on),
        cmocka_unit_test(what_the_guest_has_set_stays_so),
        cmocka_unit_test(nothing_is_lost_and_nothing_comes_twice),
        cmocka_unit_test(sigkill_at_any_moment_changes_nothing_for_the_guest),
        cmocka_unit_test(a_replay_goes_on_where_it_was),
        cmocka_unit_test(nonsense_that_is_found_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
