/* input.send and input.type, called as the control socket would. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "device/input/keymap.h"

/* ---- input.send ---- */

static void a_frame_is_answered_when_it_is_taken(void **state)
{
    struct pad *p = pad_listening("tablet");
    struct asked *a =
        ask(p, "input.send",
            "{'events': [{'type': 'EV_ABS', 'code': 'ABS_X', 'value': 5},"
            " {'code': 'REL_WHEEL', 'value': -1},"
            " {'type': '1', 'code': '0x110', 'value': 1}]}");

    (void)state;
    assert_false(a->answered);
    pad_settle(p);
    assert_false(a->answered); /* the guest has it, but has not dealt with it */
    assert_int_equal(pad_take(p, true), 4);
    pad_settle(p);
    ask_expect_done(a, "{\"events\":4}");
    pad_expect(p, EV_ABS, ABS_X, 5);
    pad_expect(p, EV_REL, REL_WHEEL, -1);
    pad_expect(p, EV_KEY, BTN_LEFT, 1);
    pad_expect_syn(p);
    a = ask(p, "input.send",
            "{'events': [{'code': 'BTN_LEFT'},"
            " {'code': 'SYN_REPORT'}]}");
    pad_play(p);
    ask_expect_done(a, "{\"events\":2}");
    pad_expect_key(p, BTN_LEFT, 0);
    pad_free(p);
}

static void what_cannot_be_sent_is_told_with_its_place(void **state)
{
    struct pad *p = pad_listening("keyboard");

    (void)state;
#define BAD(events, where, text)                                               \
    ask_expect_error(ask(p, "input.send", "{'events': [" events "]}"),         \
                     -EINVAL, "/params/events/" where, text)
    BAD("{'code': 'KEY_A'}, {'code': 'KEY_ANY'}", "1/code",
        "there is no event \"KEY_ANY\": names are like \"KEY_A\"");
    BAD("{'code': '30'}", "0/code", "a number needs a type beside it");
    BAD("{'type': 'EV_NO', 'code': '30'}", "0/type",
        "there is no type \"EV_NO\": names are like \"EV_KEY\"");
    BAD("{'type': 'EV_REL', 'code': 'KEY_A'}", "0/code",
        "\"KEY_A\" is not of the type \"EV_REL\"");
    BAD("{'code': 'BTN_LEFT'}", "0/code", "the device has no \"BTN_LEFT\"");
    BAD("{'type': '1', 'code': '65535'}", "0/code",
        "the device has no \"65535\"");
    BAD("{'code': 'LED_CAPSL'}", "0/code",
        "\"LED_CAPSL\" is the guest's to say");
    BAD("{'code': 'SYN_REPORT'}, {'code': 'KEY_A'}", "0/code",
        "it ends a frame: what follows is another");
    pad_play(p);
    pad_expect_none(p);
    pad_free(p);
}

static void without_a_driver_it_fails_at_once(void **state)
{
    struct pad *p = pad_preset("keyboard");
    struct asked *a;

    (void)state;
    ask_expect_error(ask(p, "input.send", "{'events': [{'code': 'KEY_A'}]}"),
                     -ENOTCONN, "/params/device",
                     "no driver of a guest listens");
    ask_expect_error(ask(p, "input.type", "{'text': 'x'}"), -ENOTCONN,
                     "/params/device", "no driver of a guest listens");
    pad_start(p, false, 64, 64);
    a = ask(p, "input.send", "{'events': [{'code': 'KEY_A', 'value': 1}]}");
    pad_settle(p);
    pad_stop(p);
    pad_settle(p);
    ask_expect_error(a, -EPIPE, "/params/events", "the guest has gone");
    pad_free(p);
}

static void a_guest_that_takes_nothing_is_not_waited_for(void **state)
{
    struct pad *p = pad_preset("keyboard");
    struct asked *a;

    (void)state;
    pad_start(p, false, 8, 0);
    a = ask(p, "input.send",
            "{'events': [{'code': 'KEY_A', 'value': 1}], 'timeout_ms': 20}");
    ask_wait(p, a);
    ask_expect_error(a, -ETIMEDOUT, "/params/events",
                     "the guest does not take what is sent");
    /* It comes nevertheless, and harms nobody. */
    for (uint16_t i = 0; i < 8; i++)
        pad_offer(p, i, 8, true);
    pad_play(p);
    pad_expect(p, EV_KEY, KEY_A, 1);
    pad_free(p);
}

static void a_call_that_is_given_up_is_answered(void **state)
{
    struct pad *p = pad_preset("keyboard");
    struct asked *a;

    (void)state;
    pad_start(p, false, 8, 0);
    a = ask(p, "input.send", "{'events': [{'code': 'KEY_A', 'value': 1}]}");
    a->call.cancel(&a->call);
    ask_expect_error(a, -ECANCELED, "/params/events", "nobody waits any more");
    a = ask(p, "input.type", "{'text': 'ab'}");
    a->call.cancel(&a->call);
    ask_expect_error(a, -ECANCELED, "/params/text",
                     "nobody waits any more; characters that have arrived: 0");
    a = ask(p, "input.type", "{'text': 'c'}"); /* the device is free again */
    a->call.cancel(&a->call);
    asked_free(a);
    pad_free(p);
}

/* ---- input.type ---- */

/* What the guest's keymap makes of what it saw. */
static void read_text(struct pad *p, unsigned map, char *out)
{
    bool shift = false, altgr = false, dead = false;
    size_t len = 0;

    for (unsigned i = 0; i < p->num_seen; i++) {
        const struct input_event16 *e = &p->seen[i];

        if (e->type != EV_KEY)
            continue;
        if (e->code == KEY_LEFTSHIFT)
            shift = e->value;
        if (e->code == KEY_RIGHTALT)
            altgr = e->value;
        if (!e->value || e->code == KEY_LEFTSHIFT || e->code == KEY_RIGHTALT)
            continue;
        if (dead) {
            assert_int_equal(e->code, KEY_SPACE);
            dead = false;
            continue;
        }
        /* Backwards: every character that this stroke is. */
        for (uint32_t c = 1; c < 0x3000; c++) {
            char utf8[4];
            size_t n = 1;
            struct stroke s;

            if (c < 0x80) {
                utf8[0] = (char)c;
            } else if (c < 0x800) {
                utf8[0] = (char)(0xc0 | c >> 6);
                utf8[1] = (char)(0x80 | (c & 63));
                n = 2;
            } else {
                utf8[0] = (char)(0xe0 | c >> 12);
                utf8[1] = (char)(0x80 | (c >> 6 & 63));
                utf8[2] = (char)(0x80 | (c & 63));
                n = 3;
            }
            if (!keymap_find(map, utf8, n, &s) || s.key != e->code ||
                s.held !=
                    (unsigned)(shift * STROKE_SHIFT | altgr * STROKE_ALTGR))
                continue;
            memcpy(out + len, utf8, n);
            len += n;
            dead = s.dead;
        }
    }
    out[len] = '\0';
}

static void type_all(const char *map, unsigned index, const char *text)
{
    static const unsigned buffers[] = {1, 4, 64};

    for (unsigned i = 0; i < ARRAY_LEN(buffers); i++) {
        struct pad *p = pad_preset("keyboard");
        char params[1024], out[1024], escaped[512];
        struct asked *a;
        size_t n = 0;

        for (const char *c = text; *c; c++) {
            if (*c == '\\')
                escaped[n++] = '\\';
            escaped[n++] = *c;
        }
        escaped[n] = '\0';
        pad_start(p, i & 1, 64, buffers[i]);
        snprintf(params, sizeof(params), "{'text': '%s', 'keymap': '%s'}",
                 escaped, map);
        a = ask(p, "input.type", params);
        pad_play(p);
        assert_true(a->answered);
        assert_int_equal(a->e.code, 0);
        asked_free(a);
        read_text(p, index, out);
        assert_string_equal(out, text);
        assert_false(pad_holds(p));
        assert_null(p->in->typing);
        pad_free(p);
    }
}

static void what_is_typed_is_what_is_read(void **state)
{
    (void)state;
    type_all("us", 0,
             "Hello, World! 0123456789 ~`@#$%^&*()_+-={}[]|\\:;<>?,./");
    type_all("us", 0, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    type_all("de", 1, "Größe: 3 µm² @home {a} [b] ~/c\\d | e^2 `x` <y> Zoß €");
}

static void what_the_keymap_has_not_is_not_typed(void **state)
{
    struct pad *p = pad_listening("keyboard");
    struct asked *a;

    (void)state;
    ask_expect_error(ask(p, "input.type", "{'text': 'caf\303\251 au lait'}"),
                     -EINVAL, "/params/text",
                     "character 4, \"\303\251\", is not in the keymap \"us\"");
    ask_expect_error(ask(p, "input.type", "{'text': 'a\\u0001'}"), -EINVAL,
                     "/params/text",
                     "character 2, \"\", is not in the keymap \"us\"");
    a = ask(p, "input.type", "{'text': ''}");
    ask_expect_done(a, "{\"characters\":0}");
    pad_play(p);
    pad_expect_none(p);
    pad_free(p);
    p = pad_listening("mouse");
    ask_expect_error(ask(p, "input.type", "{'text': 'a'}"), -EINVAL,
                     "/params/text",
                     "the device has no keys for character 1, \"a\"");
    pad_free(p);
}

static void one_text_at_a_time(void **state)
{
    struct pad *p = pad_listening("keyboard");
    struct asked *a = ask(p, "input.type", "{'text': 'one\\n'}");

    (void)state;
    ask_expect_error(ask(p, "input.type", "{'text': 'two'}"), -EBUSY,
                     "/params/device", "another text is being typed on it");
    pad_play(p);
    ask_expect_done(a, "{\"characters\":4}");
    a = ask(p, "input.type", "{'text': 'two'}");
    pad_play(p);
    ask_expect_done(a, "{\"characters\":3}");
    pad_free(p);
}

static void a_pace_is_kept(void **state)
{
    struct pad *p = pad_listening("keyboard");
    uint64_t began = loop_now_ns(), took;
    struct asked *a = ask(p, "input.type", "{'text': 'abc', 'pace_ms': 30}");

    (void)state;
    while (!a->answered) {
        pad_play(p);
        if (!a->answered)
            uv_run(&p->loop.uv, UV_RUN_ONCE);
    }
    took = loop_now_ns() - began;
    ask_expect_done(a, "{\"characters\":3}");
    assert_true(took >= 59 * 1000000u); /* none after the last */
    pad_free(p);
}

static void a_guest_that_stops_reading_stops_the_text(void **state)
{
    struct pad *p = pad_preset("keyboard");
    struct asked *a;

    (void)state;
    pad_start(p, true, 8, 8);
    a = ask(p, "input.type", "{'text': 'abc', 'timeout_ms': 20}");
    pad_settle(p);
    pad_take(p, true); /* the first */
    pad_settle(p);
    while (!a->answered) /* takes no more */
        uv_run(&p->loop.uv, UV_RUN_ONCE);
    ask_expect_error(
        a, -ETIMEDOUT, "/params/text",
        "the guest does not take what is sent; characters that have "
        "arrived: 1");
    pad_play(p);
    assert_false(pad_holds(p));
    pad_free(p);
}

/* The driver stops, and another one starts. */
static void restart(struct pad *p)
{
    pad_stop(p);
    pad_start(p, false, 64, 64);
}

static void a_text_is_not_typed_to_the_next_driver(void **state)
{
    struct pad *p = pad_listening("keyboard");
    struct asked *a;

    (void)state;
    /* While it waits for its pace. */
    a = ask(p, "input.type", "{'text': 'ab', 'pace_ms': 20}");
    pad_play(p);
    restart(p);
    ask_expect_error(a, -EPIPE, "/params/text",
                     "the guest has gone; characters that have arrived: 1");
    /* While the guest has not taken what it was sent. */
    a = ask(p, "input.type", "{'text': 'cd'}");
    pad_settle(p);
    restart(p);
    ask_expect_error(a, -EPIPE, "/params/text",
                     "the guest has gone; characters that have arrived: 0");
    /* When it has, but nobody has told yet. */
    a = ask(p, "input.type", "{'text': 'ef'}");
    pad_settle(p);
    pad_take(p, true);
    p->device->ops->ring_kick(p->device, &p->events->ring);
    restart(p);
    ask_expect_error(a, -EPIPE, "/params/text",
                     "the guest has gone; characters that have arrived: 0");
    /* Keys of other texts than these. */
    a = ask(p, "input.type", "{'text': 'x'}");
    pad_play(p);
    ask_expect_done(a, "{\"characters\":1}");
    for (unsigned i = 0; i < p->num_seen; i++)
        assert_false(p->seen[i].code == KEY_B || p->seen[i].code == KEY_D ||
                     p->seen[i].code == KEY_F);
    assert_false(pad_holds(p));
    pad_free(p);
}

static void a_text_is_not_looked_at_if_nobody_listens(void **state)
{
    struct pad *p = pad_preset("mouse");

    (void)state;
    ask_expect_error(ask(p, "input.type", "{'text': '\303\251'}"), -ENOTCONN,
                     "/params/device", "no driver of a guest listens");
    ask_expect_error(ask(p, "input.send", "{'events': [{'code': 'KEY_NO'}]}"),
                     -ENOTCONN, "/params/device",
                     "no driver of a guest listens");
    pad_free(p);
}

static void a_text_has_a_length(void **state)
{
    const struct command *c = input_commands;
    char text[16384 + 20];
    struct errs e = ERRS_EMPTY;
    struct conf_doc *doc;
    void *args;

    (void)state;
    while (strcmp(c->name, "input.type") != 0)
        c++;
    for (size_t len = 16384; len < 16386; len++) {
        int n =
            snprintf(text, sizeof(text), "{\"text\": \"%0*d\"}", (int)len, 0);
        int rc = conf_read_text(&doc, &args, c->params, text, (size_t)n, "/",
                                NULL, &e);

        assert_true((rc == 0) == (len == 16384));
        if (rc == 0)
            conf_free(doc);
    }
    assert_string_equal(e.list[0].where, "/text");
    assert_string_equal(e.list[0].text, "must be a string of at most 16384 "
                                        "bytes, this has 16385");
    errs_free(&e);
}

static void a_frame_that_the_guest_does_not_get_is_answered(void **state)
{
    struct pad *p = pad_listening("keyboard");

    (void)state;
    /* The guest repeats by itself. */
    ask_expect_done(
        ask(p, "input.send", "{'events': [{'code': 'KEY_A', 'value': 2}]}"),
        "{\"events\":2}");
    pad_play(p);
    pad_expect_none(p);
    pad_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_answered_when_it_is_taken),
        cmocka_unit_test(what_cannot_be_sent_is_told_with_its_place),
        cmocka_unit_test(without_a_driver_it_fails_at_once),
        cmocka_unit_test(a_guest_that_takes_nothing_is_not_waited_for),
        cmocka_unit_test(a_call_that_is_given_up_is_answered),
        cmocka_unit_test(what_is_typed_is_what_is_read),
        cmocka_unit_test(what_the_keymap_has_not_is_not_typed),
        cmocka_unit_test(one_text_at_a_time),
        cmocka_unit_test(a_pace_is_kept),
        cmocka_unit_test(a_guest_that_stops_reading_stops_the_text),
        cmocka_unit_test(a_text_is_not_typed_to_the_next_driver),
        cmocka_unit_test(a_text_is_not_looked_at_if_nobody_listens),
        cmocka_unit_test(a_text_has_a_length),
        cmocka_unit_test(a_frame_that_the_guest_does_not_get_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
