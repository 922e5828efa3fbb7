/* What an input device can be told: a frame, or a text to type. Clicks are in
 * click.c.
 *
 * Both go the way that the source's own events go, behind those that wait
 * already, and are answered when the guest has taken them (events.c says when
 * that is): a test may go on then, and need not guess how long a guest takes.
 * The device has the events whatever its source is.
 *
 * A text is typed character by character, each as a keyboard would: keys that
 * are held go down, one after the other, the key goes down and up, what is held
 * goes up. The next one follows when the guest has taken that, but not before
 * `pace_ms` are over. A call that fails or is given up leaves nothing held. A
 * text is for the driver that listens when it begins: what a driver that goes
 * has not got is not typed to the next one. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "device/input/impl.h"
#include "device/input/keymap.h"
#include "device/input/kinds.h"
#include "device/input/names.h"
#include "device/input/waiting.h"

#define TEXT_BYTES_MAX 16384 /* is looked through in one turn of the loop */

/* The call that types a text. */
struct typing {
    struct waiting w;
    const char *at; /* what is not yet typed */
    unsigned map;
    uint32_t pace_ms;
    uint64_t began_ns; /* with this character */
    uint64_t typed;    /* characters that the guest has taken */
};

/* ---- input.send ---- */

struct event_args {
    const char *type, *code; /* type NULL: the code's name says it */
    int32_t value;
};

struct send_args {
    struct conf_anys events; /* struct event_args */
    uint32_t timeout_ms;
};

/* "30" or "0x1e" */
static bool is_number(const char *s, uint16_t *out)
{
    char *end;
    unsigned long n;

    if (s[0] < '0' || s[0] > '9')
        return false;
    errno = 0;
    n = strtoul(s, &end, 0);
    *out = (uint16_t)n;
    return errno == 0 && *end == '\0' && n <= UINT16_MAX;
}

/* -EINVAL: the sentence is in e; its place is *key. */
static int read_event(const struct event_args *a, struct input_event16 *out,
                      const char **key, struct err *e)
{
    uint16_t type = 0;

    *key = "type";
    if (a->type && !is_number(a->type, &type) && !name_to_type(a->type, &type))
        return err_set(e, -EINVAL, "",
                       "there is no type \"%s\": names are like \"EV_KEY\"",
                       a->type);
    out->type = type;
    out->value = a->value;
    *key = "code";
    if (is_number(a->code, &out->code)) {
        if (a->type)
            return 0;
        return err_set(e, -EINVAL, "", "a number needs a type beside it");
    }
    if (!name_to_code(a->code, &out->type, &out->code))
        return err_set(e, -EINVAL, "",
                       "there is no event \"%s\": names are like \"KEY_A\"",
                       a->code);
    if (a->type && type != out->type)
        return err_set(e, -EINVAL, "", "\"%s\" is not of the type \"%s\"",
                       a->code, a->type);
    return 0;
}

/* May the guest be sent it? */
static int check_event(const struct input *in, const struct input_event16 *ev,
                       bool is_last, const struct event_args *a, struct err *e)
{
    if (ev->type == EV_SYN && ev->code == SYN_MT_REPORT)
        return 0;
    if (ev->type == EV_SYN && ev->code == SYN_REPORT)
        return is_last ? 0
                       : err_set(e, -EINVAL, "",
                                 "it ends a frame: what follows is another");
    if (ev->type >= EV_LED)
        return err_set(e, -EINVAL, "", "\"%s\" is the guest's to say", a->code);
    if (!source_has(&in->desc, ev->type, ev->code))
        return err_set(e, -EINVAL, "", "the device has no \"%s\"", a->code);
    return 0;
}

/* How many events; -EINVAL: e says why, and where. */
static int read_frame(const struct input *in, const struct conf_anys *list,
                      struct input_event16 frame[SOURCE_FRAME_MAX],
                      struct err *e)
{
    const struct input_event16 end = {EV_SYN, SYN_REPORT, 0};
    const char *key;
    bool ended = false;
    int n = list->count, rc;

    for (int i = 0; i < n; i++) {
        const struct event_args *a = list->list[i].data;

        rc = read_event(a, &frame[i], &key, e);
        if (rc == 0)
            rc = check_event(in, &frame[i], i + 1 == n, a, e);
        if (rc < 0) {
            snprintf(e->where, sizeof(e->where), "/params/events/%d/%s", i,
                     key);
            return rc;
        }
        ended = frame[i].type == EV_SYN && frame[i].code == SYN_REPORT;
    }
    if (!ended)
        frame[n++] = end;
    return n;
}

static void frame_taken(struct waiting *w)
{
    waiting_answer(w, NULL);
}

static void give_up_send(struct waiting *w, int code, const char *why)
{
    struct err e;

    err_set(&e, code, "/params/events", "%s", why);
    waiting_answer(w, &e);
}

static void run_send(struct device *d, struct call *c)
{
    const struct send_args *args = c->args;
    struct input *in = input_of(d);
    struct input_event16 frame[SOURCE_FRAME_MAX];
    struct waiting *w;
    struct err e;
    int n;

    if (waiting_refused(in, c))
        return;
    n = read_frame(in, &args->events, frame, &e);
    if (n < 0) {
        call_fail(c, &e);
        return;
    }
    w = waiting_new(in, c, args->timeout_ms, sizeof(*w));
    if (!w)
        return;
    json_add_u64(&c->out, "events", (uint64_t)n);
    w->taken = frame_taken;
    w->give_up = give_up_send;
    waiting_send(w, frame, (unsigned)n);
}

/* ---- input.type ---- */

struct type_args {
    const char *text;
    unsigned keymap;
    uint32_t pace_ms, timeout_ms;
};

static const struct {
    unsigned held;
    uint16_t key;
} held_keys[] = {{STROKE_SHIFT, KEY_LEFTSHIFT}, {STROKE_ALTGR, KEY_RIGHTALT}};

static bool can_type(const struct input *in, const struct stroke *s)
{
    for (unsigned i = 0; i < ARRAY_LEN(held_keys); i++)
        if (s->held & held_keys[i].held &&
            !source_has(&in->desc, EV_KEY, held_keys[i].key))
            return false;
    return source_has(&in->desc, EV_KEY, s->key) &&
           (!s->dead || source_has(&in->desc, EV_KEY, KEY_SPACE));
}

/* The whole text, before any of it is typed. */
static int check_text(const struct input *in, const struct type_args *a,
                      struct err *e)
{
    unsigned place = 0;
    struct stroke s;
    size_t n;

    for (const char *at = a->text; *at; at += n) {
        place++;
        n = utf8_char(at, strnlen(at, 4)); /* conf has checked it */
        if (!keymap_find(a->keymap, at, n, &s))
            return err_set(e, -EINVAL, "/params/text",
                           "character %u, \"%.*s\", is not in the keymap "
                           "\"%s\"",
                           place, utf8_is_control(at, n) ? 0 : (int)n, at,
                           keymap_words[a->keymap]);
        if (!can_type(in, &s))
            return err_set(e, -EINVAL, "/params/text",
                           "the device has no keys for character %u, \"%.*s\"",
                           place, utf8_is_control(at, n) ? 0 : (int)n, at);
    }
    return 0;
}

static void send_key(struct input *in, uint16_t key, int32_t value)
{
    const struct input_event16 frame[] = {{EV_KEY, key, value},
                                          {EV_SYN, SYN_REPORT, 0}};

    events_frame(in, frame, ARRAY_LEN(frame), NULL, NULL);
}

/* All keys of a character, so that whoever goes on with the device has all of
 * them, or none; how the last one goes up is waited for. */
static void send_stroke(struct typing *t, const struct stroke *s)
{
    uint16_t keys[ARRAY_LEN(held_keys) + 1], last;
    struct input *in = t->w.in;
    unsigned n = 0;

    for (unsigned i = 0; i < ARRAY_LEN(held_keys); i++)
        if (s->held & held_keys[i].held)
            keys[n++] = held_keys[i].key;
    keys[n++] = s->key;
    events_hold(in);
    for (unsigned i = 0; i < n; i++)
        send_key(in, keys[i], 1);
    while (n > 1)
        send_key(in, keys[--n], 0);
    last = keys[0];
    if (s->dead) {
        send_key(in, last, 0);
        last = KEY_SPACE;
        send_key(in, last, 1);
    }
    waiting_send(&t->w,
                 (const struct input_event16[]){{EV_KEY, last, 0},
                                                {EV_SYN, SYN_REPORT, 0}},
                 2);
    events_release(in); /* t may be gone */
}

static struct typing *typing_of(struct waiting *w)
{
    return container_of(w, struct typing, w);
}

static void give_up_type(struct waiting *w, int code, const char *why)
{
    struct err e;

    err_set(&e, code, "/params/text",
            "%s; characters that have arrived: %" PRIu64, why,
            typing_of(w)->typed);
    waiting_answer(w, &e);
}

/* The next character, if there is one. */
static void type_on(struct waiting *w)
{
    struct typing *t = typing_of(w);
    struct stroke s;
    size_t n;

    if (!*t->at) {
        json_add_u64(&w->call->out, "characters", t->typed);
        waiting_answer(w, NULL);
        return;
    }
    n = utf8_char(t->at, strnlen(t->at, 4));
    keymap_find(t->map, t->at, n, &s); /* check_text has found it */
    t->at += n;
    t->began_ns = loop_now_ns();
    send_stroke(t, &s);
}

static void character_taken(struct waiting *w)
{
    struct typing *t = typing_of(w);
    uint64_t took_ms = (loop_now_ns() - t->began_ns) / 1000000;

    t->typed++;
    if (took_ms >= t->pace_ms || !*t->at)
        type_on(w);
    else
        waiting_pause(w, t->pace_ms - took_ms, type_on);
}

static void run_type(struct device *d, struct call *c)
{
    const struct type_args *args = c->args;
    struct input *in = input_of(d);
    struct waiting *w;
    struct typing *t;
    struct err e = {0};

    if (waiting_refused(in, c))
        return;
    if (in->typing)
        err_set(&e, -EBUSY, "/params/device",
                "another text is being typed on it");
    else
        check_text(in, args, &e);
    if (e.code < 0) {
        call_fail(c, &e);
        return;
    }
    w = waiting_new(in, c, args->timeout_ms, sizeof(*t));
    if (!w)
        return;
    in->typing = w;
    t = typing_of(w);
    t->at = args->text;
    t->map = args->keymap;
    t->pace_ms = args->pace_ms;
    w->taken = character_taken;
    w->give_up = give_up_type;
    type_on(w);
}

void commands_driver_gone(struct input *in)
{
    if (in->typing)
        in->typing->give_up(in->typing, -EPIPE, "the guest has gone");
    if (in->clicking)
        in->clicking->give_up(in->clicking, -EPIPE, "the guest has gone");
}

/* ---- tables ---- */

static const struct conf_key event_keys[] = {
    {"type", CONF_STR, CONF_AT(struct event_args, type),
     .help = "\"EV_KEY\", or its number as a string. Need not be said if the "
             "code is a name."},
    {"code", CONF_STR, CONF_AT(struct event_args, code), .required = true,
     .help = "\"KEY_A\", or its number as a string."},
    {"value", CONF_I32, CONF_AT(struct event_args, value), .def = "0",
     .help = "1 for a key that goes down, 0 for one that goes up; where an "
             "axis is, or how far it moves."},
    {NULL},
};

static const struct conf_table event_table = {
    .name = "event",
    .size = sizeof(struct event_args),
    .keys = event_keys,
};

static const struct conf_key send_keys[] = {
    {"events", CONF_TABLES, CONF_AT(struct send_args, events), .required = true,
     .min = 1, .max = SOURCE_FRAME_MAX - 1, .table = &event_table,
     .help = "The events of one frame, which the guest gets together. The "
             "SYN_REPORT at its end may be left out."},
    {"timeout_ms", CONF_U32, CONF_AT(struct send_args, timeout_ms),
     .def = WAITING_TIMEOUT_MS, .min = 1, .max = WAITING_MAX_MS,
     .help = "How long the guest may take, milliseconds. After that the call "
             "fails, but the frame stays on its way."},
    {NULL},
};

static const struct conf_table send_table = {
    .name = "input.send",
    .size = sizeof(struct send_args),
    .keys = send_keys,
};

static const struct conf_key type_keys[] = {
    {"text", CONF_STR, CONF_AT(struct type_args, text), .required = true,
     .max = TEXT_BYTES_MAX,
     .help = "What is typed. A newline is the enter key, and there are tab, "
             "escape, backspace (\\b) and delete (\\u007f)."},
    {"keymap", CONF_CHOICE, CONF_AT(struct type_args, keymap), .def = "\"us\"",
     .words = keymap_words, .help = "The keymap that the guest has."},
    {"pace_ms", CONF_U32, CONF_AT(struct type_args, pace_ms), .def = "0",
     .max = WAITING_MAX_MS,
     .help = "Milliseconds from one character to the next, at least. 0: the "
             "next one follows when the guest has taken the one before."},
    {"timeout_ms", CONF_U32, CONF_AT(struct type_args, timeout_ms),
     .def = WAITING_TIMEOUT_MS, .min = 1, .max = WAITING_MAX_MS,
     .help = "How long the guest may take for a character, milliseconds."},
    {NULL},
};

static const struct conf_table type_table = {
    .name = "input.type",
    .size = sizeof(struct type_args),
    .keys = type_keys,
};

const struct command input_commands[] = {
    {"input.send", &send_table,
     "Send a frame of events, and wait until the guest has taken it: until it "
     "has offered as many new buffers as the frame took.",
     run_send},
    {"input.type", &type_table,
     "Type a text, and wait until the guest has taken the last key. A "
     "character that the keymap does not have is an error before anything is "
     "typed.",
     run_type},
    {"input.click", &click_table,
     "Click at a pixel of a screen that a tablet or touch screen points at, "
     "and wait until the guest has taken it: the button or finger goes down "
     "when the guest has taken the place, and up when it has taken that.",
     click_command},
    {"input.replay", &replay_command_table,
     "Start, stop, step or rewind an input device whose source is a replay; "
     "tell where it is.",
     replay_command},
    {NULL},
};
