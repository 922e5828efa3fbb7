/* input.click: a pixel of a screen is clicked at.
 *
 * A place on an axis is not a pixel: who sees it scales it to the screen, and
 * they do not all do it alike. QEMU and Windows take the axis to be as long as
 * its largest value says, X and libinput one longer; some round, most cut
 * off. So what is sent is the middle of the pixel, which all of them find, or,
 * where there are hardly more places than pixels, the first place that is the
 * pixel's.
 *
 * With a tablet the pointer moves first, and the button goes down in a frame of
 * its own: what is under the pointer knows of it then. A finger comes and goes
 * in two frames, in a slot that nobody uses. Each frame is sent when the guest
 * has taken the one before.
 *
 * A click that fails or is given up leaves nothing held. Nor does one whose
 * process ends: what it holds is in `input.click`, and a process that finds the
 * device as this one has left it lets go of that (keep.c). */
#include "device/input/click.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "device/input/kinds.h"
#include "device/input/names.h"
#include "device/input/waiting.h"

#define COUNT_MAX 10
#define PAUSE_MAX_MS 60000

enum button { BUTTON_LEFT, BUTTON_RIGHT, BUTTON_MIDDLE };

static const char *const button_words[] = {
    [BUTTON_LEFT] = "left",
    [BUTTON_RIGHT] = "right",
    [BUTTON_MIDDLE] = "middle",
    NULL,
};

static const uint16_t button_codes[] = {
    [BUTTON_LEFT] = BTN_LEFT,
    [BUTTON_RIGHT] = BTN_RIGHT,
    [BUTTON_MIDDLE] = BTN_MIDDLE,
};

struct click_args {
    uint32_t x, y, width, height;
    unsigned button;
    uint32_t count, hold_ms, gap_ms, timeout_ms;
};

/* How the device clicks. */
enum way {
    WAY_BUTTON, /* of a tablet */
    WAY_FINGER, /* in a slot */
    WAY_TOUCH,  /* of a screen that knows one finger only */
};

struct click {
    struct waiting w;
    const struct click_args *args; /* until the call is answered */
    enum way way;
    uint16_t key; /* what goes down: BTN_* */
    int32_t place[2];
    uint32_t done; /* clicks that the guest has taken */
};

bool click_place(const struct source_abs *axis, uint32_t at, uint32_t side,
                 int32_t *out)
{
    int64_t places = (int64_t)axis->max - axis->min + 1, first, middle;

    if (places < side)
        return false;
    first = ((int64_t)at * places + side - 1) / side;
    middle = (2 * (int64_t)at + 1) * places / (2 * (int64_t)side);
    *out = (int32_t)(axis->min + MAX(first, middle));
    return true;
}

/* ---- frames ---- */

struct frame {
    struct input_event16 ev[10]; /* what a finger that comes needs: 9 */
    unsigned n;
};

static void put(struct frame *f, unsigned type, unsigned code, int32_t value)
{
    f->ev[f->n++] =
        (struct input_event16){(uint16_t)type, (uint16_t)code, value};
}

/* If the device has it. */
static void put_if(const struct input *in, struct frame *f, unsigned type,
                   unsigned code, int32_t value)
{
    if (source_has(&in->desc, type, code))
        put(f, type, code, value);
}

static void put_end(struct frame *f)
{
    put(f, EV_SYN, SYN_REPORT, 0);
}

static bool slot_is_used(const struct input *in, unsigned i)
{
    const struct state_contact *c = &in->events.source.contact[i];
    const unsigned id = ABS_MT_TRACKING_ID - ABS_MT_TOUCH_MAJOR;

    return c->known & 1u << id && c->value[id] >= 0;
}

static bool id_is_used(const struct input *in, int32_t id)
{
    for (unsigned i = 0; i < STATE_SLOTS; i++)
        if (slot_is_used(in, i) &&
            in->events.source.contact[i]
                    .value[ABS_MT_TRACKING_ID - ABS_MT_TOUCH_MAJOR] == id)
            return true;
    return false;
}

/* One that no finger on the screen has, and the last one had not. */
static int32_t next_id(struct input *in)
{
    int32_t max = in->desc.abs[ABS_MT_TRACKING_ID].max;

    for (unsigned i = 0; i <= STATE_SLOTS; i++) {
        in->click.id = in->click.id < max ? in->click.id + 1 : 0;
        if (!id_is_used(in, in->click.id))
            break;
    }
    return in->click.id;
}

/* -1: all are used. */
static int32_t free_slot(const struct input *in)
{
    int32_t max = in->desc.abs[ABS_MT_SLOT].max;

    for (int32_t i = 0; i <= max && i < STATE_SLOTS; i++)
        if (!slot_is_used(in, (unsigned)i))
            return i;
    return -1;
}

static bool others_are_used(const struct input *in, unsigned slot)
{
    for (unsigned i = 0; i < STATE_SLOTS; i++)
        if (i != slot && slot_is_used(in, i))
            return true;
    return false;
}

/* What is between the two is about a slot. Afterwards the current one is as it
 * was: others speak of theirs without saying which. */
static void begin_slot(const struct input *in, struct frame *f, int32_t slot)
{
    if (slot != in->events.source.slot)
        put(f, EV_ABS, ABS_MT_SLOT, slot);
}

static void end_slot(const struct input *in, struct frame *f, int32_t slot)
{
    int32_t was = in->events.source.slot;

    if (slot != was && was >= 0)
        put(f, EV_ABS, ABS_MT_SLOT, was);
}

/* A finger comes. What there is of a single one, BTN_TOUCH and a place, belongs
 * to those that were there before. */
static bool put_finger(const struct click *c, struct frame *f)
{
    struct input *in = c->w.in;
    int32_t slot = free_slot(in);

    if (slot < 0)
        return false;
    begin_slot(in, f, slot);
    put(f, EV_ABS, ABS_MT_TRACKING_ID, next_id(in));
    put(f, EV_ABS, ABS_MT_POSITION_X, c->place[0]);
    put(f, EV_ABS, ABS_MT_POSITION_Y, c->place[1]);
    end_slot(in, f, slot);
    if (!others_are_used(in, (unsigned)slot)) {
        put_if(in, f, EV_ABS, ABS_X, c->place[0]);
        put_if(in, f, EV_ABS, ABS_Y, c->place[1]);
        put_if(in, f, EV_KEY, BTN_TOUCH, 1);
    }
    in->click.holds_slot = true;
    in->click.slot = (uint8_t)slot;
    return true;
}

/* False: it is down already. */
static bool put_key(const struct click *c, struct frame *f)
{
    struct input *in = c->w.in;

    if (state_key(&in->events.source, c->key))
        return false;
    if (c->way == WAY_TOUCH) {
        put(f, EV_ABS, ABS_X, c->place[0]);
        put(f, EV_ABS, ABS_Y, c->place[1]);
    }
    put(f, EV_KEY, c->key, 1);
    in->click.holds_key = c->key;
    return true;
}

/* What lets go of what is held, if anything is. */
static void put_release(const struct input *in, struct frame *f)
{
    const struct click_hold *h = &in->click;

    if (h->holds_key)
        put(f, EV_KEY, h->holds_key, 0);
    if (!h->holds_slot)
        return;
    begin_slot(in, f, h->slot);
    put(f, EV_ABS, ABS_MT_TRACKING_ID, -1);
    end_slot(in, f, h->slot);
    if (!others_are_used(in, h->slot))
        put_if(in, f, EV_KEY, BTN_TOUCH, 0);
}

bool click_released(const struct input *in, struct input_state *s)
{
    struct frame f = {.n = 0};

    put_release(in, &f);
    for (unsigned i = 0; i < f.n; i++)
        state_apply(s, &f.ev[i]);
    return f.n > 0;
}

/* ---- a click, step by step ---- */

static struct click *click_of(struct waiting *w)
{
    return container_of(w, struct click, w);
}

/* The frame that lets go, which is about to be sent. False: nothing is held. */
static bool take_release(struct input *in, struct frame *f)
{
    f->n = 0;
    put_release(in, f);
    in->click.holds_key = 0;
    in->click.holds_slot = false;
    if (f->n == 0)
        return false;
    put_end(f);
    return true;
}

static void give_up_click(struct waiting *w, int code, const char *why)
{
    struct frame f;
    struct err e;

    if (take_release(w->in, &f))
        events_frame(w->in, f.ev, f.n, NULL, NULL);
    err_set(&e, code, "/params/device",
            "%s; clicks that have arrived: %" PRIu32, why, click_of(w)->done);
    waiting_answer(w, &e);
}

static void go_up(struct waiting *w)
{
    struct frame f;

    take_release(w->in, &f);
    waiting_send(w, f.ev, f.n);
}

static void go_down(struct waiting *w)
{
    struct click *c = click_of(w);
    struct frame f = {.n = 0};

    if (c->way == WAY_FINGER && !put_finger(c, &f)) {
        give_up_click(w, -EBUSY,
                      "there are as many fingers on it as it can tell apart");
    } else if (c->way != WAY_FINGER && !put_key(c, &f)) {
        give_up_click(w, -EBUSY, "that button is held already");
    } else {
        put_end(&f);
        waiting_send(w, f.ev, f.n);
    }
}

static void answer_click(struct click *c)
{
    struct json_out *o = &c->w.call->out;

    json_add_u64(o, "clicks", c->done);
    json_begin(o, "at", '[');
    json_add_i64(o, NULL, c->place[0]);
    json_add_i64(o, NULL, c->place[1]);
    json_end(o, ']');
    waiting_answer(&c->w, NULL);
}

static void up_taken(struct waiting *w);

static void down_taken(struct waiting *w)
{
    uint32_t ms = click_of(w)->args->hold_ms;

    w->taken = up_taken;
    if (ms > 0)
        waiting_pause(w, ms, go_up);
    else
        go_up(w);
}

static void up_taken(struct waiting *w)
{
    struct click *c = click_of(w);

    c->done++;
    if (c->done == c->args->count) {
        answer_click(c);
        return;
    }
    w->taken = down_taken;
    if (c->args->gap_ms > 0)
        waiting_pause(w, c->args->gap_ms, go_down);
    else
        go_down(w);
}

static void place_taken(struct waiting *w)
{
    w->taken = down_taken;
    go_down(w);
}

static void begin(struct click *c)
{
    struct frame f = {.n = 0};

    if (c->way != WAY_BUTTON) {
        place_taken(&c->w);
        return;
    }
    put(&f, EV_ABS, ABS_X, c->place[0]);
    put(&f, EV_ABS, ABS_Y, c->place[1]);
    put_end(&f);
    c->w.taken = place_taken;
    waiting_send(&c->w, f.ev, f.n);
}

/* ---- what the device can do ---- */

static bool has_both(const struct input *in, unsigned x, unsigned y)
{
    return source_has(&in->desc, EV_ABS, x) && source_has(&in->desc, EV_ABS, y);
}

static int find_way(const struct input *in, enum button b, enum way *way,
                    uint16_t *key, struct err *e)
{
    const uint8_t *props = in->desc.props;
    bool left = b == BUTTON_LEFT;

    *key = BTN_TOUCH;
    if (props[INPUT_PROP_POINTER / 8] & 1u << INPUT_PROP_POINTER % 8)
        return err_set(e, -EINVAL, "/params/device",
                       "a place on it is none of a screen: it moves a pointer, "
                       "as a touchpad does");
    if (left && has_both(in, ABS_MT_SLOT, ABS_MT_TRACKING_ID) &&
        has_both(in, ABS_MT_POSITION_X, ABS_MT_POSITION_Y)) {
        *way = WAY_FINGER;
        return 0;
    }
    if (!has_both(in, ABS_X, ABS_Y))
        return err_set(e, -EINVAL, "/params/device",
                       "it does not point at places: it has no axes ABS_X and "
                       "ABS_Y");
    *way = WAY_BUTTON;
    if (source_has(&in->desc, EV_KEY, button_codes[b])) {
        *key = button_codes[b];
        return 0;
    }
    *way = WAY_TOUCH;
    if (left && source_has(&in->desc, EV_KEY, BTN_TOUCH))
        return 0;
    return err_set(e, -EINVAL, "/params/button", "the device has no \"%s\"",
                   name_of_code(EV_KEY, button_codes[b]));
}

static int find_place(const struct input *in, enum way way,
                      const struct click_args *a, int32_t place[2],
                      struct err *e)
{
    const unsigned codes[2] = {
        way == WAY_FINGER ? ABS_MT_POSITION_X : ABS_X,
        way == WAY_FINGER ? ABS_MT_POSITION_Y : ABS_Y,
    };
    const uint32_t at[2] = {a->x, a->y}, side[2] = {a->width, a->height};

    for (unsigned i = 0; i < 2; i++)
        if (!click_place(&in->desc.abs[codes[i]], at[i], side[i], &place[i]))
            return err_set(
                e, -ERANGE, i == 0 ? "/params/width" : "/params/height",
                "%" PRIu32 " pixels are more than %s has places: "
                "from %" PRId32 " to %" PRId32,
                side[i], name_of_code(EV_ABS, codes[i]),
                in->desc.abs[codes[i]].min, in->desc.abs[codes[i]].max);
    return 0;
}

void click_command(struct device *d, struct call *call)
{
    const struct click_args *a = call->args;
    struct input *in = input_of(d);
    int32_t place[2];
    struct waiting *w;
    struct click *c;
    enum way way = WAY_BUTTON;
    uint16_t key = 0;
    struct err e = {0};

    if (waiting_refused(in, call))
        return;
    if (in->clicking)
        err_set(&e, -EBUSY, "/params/device", "another click is under way");
    else if (find_way(in, a->button, &way, &key, &e) == 0)
        find_place(in, way, a, place, &e);
    if (e.code < 0) {
        call_fail(call, &e);
        return;
    }
    w = waiting_new(in, call, a->timeout_ms, sizeof(*c));
    if (!w)
        return;
    c = click_of(w);
    c->args = a;
    c->way = way;
    c->key = key;
    memcpy(c->place, place, sizeof(place));
    w->give_up = give_up_click;
    in->clicking = w;
    begin(c);
}

/* ---- its parameters ---- */

static void check_click(void *data, const char *at, struct errs *e)
{
    const struct click_args *a = data;

    if (a->x >= a->width)
        errs_at(e, at, "x",
                "%" PRIu32 " is outside: the screen has %" PRIu32
                " pixels in a row, from 0 on",
                a->x, a->width);
    if (a->y >= a->height)
        errs_at(e, at, "y",
                "%" PRIu32 " is outside: the screen has %" PRIu32
                " rows, from 0 on",
                a->y, a->height);
}

static const struct conf_key click_keys[] = {
    {"x", CONF_U32, CONF_AT(struct click_args, x), .required = true,
     .max = CLICK_SIDE_MAX - 1, .help = "The pixel, from the left, from 0 on."},
    {"y", CONF_U32, CONF_AT(struct click_args, y), .required = true,
     .max = CLICK_SIDE_MAX - 1, .help = "The pixel, from the top, from 0 on."},
    {"width", CONF_U32, CONF_AT(struct click_args, width), .required = true,
     .min = 1, .max = CLICK_SIDE_MAX,
     .help = "Of the screen that the device points at, pixels: of all of it, "
             "where the guest has several displays."},
    {"height", CONF_U32, CONF_AT(struct click_args, height), .required = true,
     .min = 1, .max = CLICK_SIDE_MAX, .help = "Of the screen, pixels."},
    {"button", CONF_CHOICE, CONF_AT(struct click_args, button),
     .def = "\"left\"", .words = button_words,
     .help = "Of a tablet. What a finger does on a touch screen is left."},
    {"count", CONF_U32, CONF_AT(struct click_args, count), .def = "1", .min = 1,
     .max = COUNT_MAX, .help = "2: a double click."},
    {"hold_ms", CONF_U32, CONF_AT(struct click_args, hold_ms), .def = "0",
     .max = PAUSE_MAX_MS,
     .help = "Milliseconds from when the guest has taken that it is down to "
             "when it goes up: a long press."},
    {"gap_ms", CONF_U32, CONF_AT(struct click_args, gap_ms), .def = "50",
     .max = PAUSE_MAX_MS,
     .help = "Milliseconds between one click and the next. Guests take what is "
             "much shorter for a button that bounces, and what is longer than "
             "some hundreds for two clicks."},
    {"timeout_ms", CONF_U32, CONF_AT(struct click_args, timeout_ms),
     .def = WAITING_TIMEOUT_MS, .min = 1, .max = WAITING_MAX_MS,
     .help = "How long the guest may take for a frame, milliseconds."},
    {NULL},
};

const struct conf_table click_table = {
    .name = "input.click",
    .size = sizeof(struct click_args),
    .keys = click_keys,
    .check = check_click,
};
