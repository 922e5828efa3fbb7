/* Source `virtual`: a device that nobody has. It is one of four presets, or
 * what the config describes, and has no events of its own: commands send them
 * (commands.c). So it works where there is no /dev/input, and no root.
 *
 *     {"type": "virtual", "preset": "keyboard"}
 *     {"type": "virtual", "describe": {"name": "Dial", "events": "REL_DIAL"}}
 *
 * What the presets offer is what drivers look for: Linux (udev tells a
 * keyboard by its first 31 keys, and a tablet with mouse buttons but without
 * BTN_TOUCH is a mouse with a place), and Windows' vioinput (which wants ABS_X
 * and ABS_Y of a touch screen besides those of its contacts). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/input/codes.h"
#include "device/input/describe.h"
#include "device/input/kinds.h"
#include "device/input/names.h"

/* Nobody's, so that guests can tell these devices by it; and the presets'
 * place in the list, from 1, is their product. */
#define VENDOR 0x7662 /* "vb" */

#define TOUCH_SLOTS 10
#define RANGE_MAX 32767 /* of absolute axes; as in QEMU */
#define REPEAT_DELAY_MS 250
#define REPEAT_PERIOD_MS 33 /* both as in Linux */

enum preset {
    PRESET_KEYBOARD,
    PRESET_MOUSE,
    PRESET_TABLET,
    PRESET_TOUCH,
};

static const char *const preset_words[] = {"keyboard", "mouse", "tablet",
                                           "touch", NULL};

struct virtual_conf {
    unsigned preset;
    bool has_preset, has_describe;
    struct describe_conf describe;
};

struct virtual
{
    struct source source;
    /* As the guest has set them. */
    uint16_t leds; /* bits */
    int32_t repeat_ms[2];
};

/* ---- presets ---- */

struct range {
    uint16_t type, first, last;
};

/* Ranges up to one of type EV_SYN; codes without a name are left out. */
static void set_ranges(struct source_desc *d, const struct range *r)
{
    for (; r->type != EV_SYN; r++)
        for (unsigned code = r->first; code <= r->last; code++)
            if (name_of_code(r->type, code))
                source_set(d, r->type, code);
}

static void set_axis(struct source_desc *d, unsigned code, int32_t max)
{
    source_set(d, EV_ABS, code);
    d->abs[code] = (struct source_abs){.max = max};
}

static void make_keyboard(struct source_desc *d)
{
    static const struct range ranges[] = {
        {EV_KEY, KEY_ESC, KEY_MICMUTE},
        {EV_MSC, MSC_SCAN, MSC_SCAN},
        {EV_LED, LED_NUML, LED_KANA},
        {EV_REP, REP_DELAY, REP_PERIOD},
        {EV_SYN},
    };

    set_ranges(d, ranges);
}

static void make_mouse(struct source_desc *d)
{
    static const struct range ranges[] = {
        {EV_KEY, BTN_LEFT, BTN_EXTRA},
        {EV_REL, REL_X, REL_Y},
        {EV_REL, REL_HWHEEL, REL_HWHEEL},
        {EV_REL, REL_WHEEL, REL_WHEEL},
        {EV_REL, REL_WHEEL_HI_RES, REL_HWHEEL_HI_RES},
        {EV_SYN},
    };

    set_ranges(d, ranges);
}

static void make_tablet(struct source_desc *d)
{
    static const struct range ranges[] = {
        {EV_KEY, BTN_LEFT, BTN_EXTRA},
        {EV_REL, REL_HWHEEL, REL_HWHEEL},
        {EV_REL, REL_WHEEL, REL_WHEEL},
        {EV_SYN},
    };

    set_ranges(d, ranges);
    set_axis(d, ABS_X, RANGE_MAX);
    set_axis(d, ABS_Y, RANGE_MAX);
}

static void make_touch(struct source_desc *d)
{
    source_set(d, EV_KEY, BTN_TOUCH);
    set_axis(d, ABS_X, RANGE_MAX);
    set_axis(d, ABS_Y, RANGE_MAX);
    set_axis(d, ABS_MT_SLOT, TOUCH_SLOTS - 1);
    set_axis(d, ABS_MT_POSITION_X, RANGE_MAX);
    set_axis(d, ABS_MT_POSITION_Y, RANGE_MAX);
    set_axis(d, ABS_MT_TRACKING_ID, UINT16_MAX);
    d->props[INPUT_PROP_DIRECT / 8] |= 1u << INPUT_PROP_DIRECT % 8;
}

static void make_preset(struct source_desc *d, enum preset p)
{
    static void (*const makers[])(struct source_desc *) = {
        [PRESET_KEYBOARD] = make_keyboard,
        [PRESET_MOUSE] = make_mouse,
        [PRESET_TABLET] = make_tablet,
        [PRESET_TOUCH] = make_touch,
    };

    snprintf(d->name, sizeof(d->name), "vub %s", preset_words[p]);
    d->bustype = BUS_VIRTUAL;
    d->vendor = VENDOR;
    d->product = (uint16_t)(p + 1);
    d->version = 1;
    makers[p](d);
}

/* ---- the source ---- */

static struct virtual *virtual_of(struct source *s)
{
    return container_of(s, struct virtual, source);
}

/* What the guest has set. */
enum { NOTE_LEDS, NOTE_DELAY, NOTE_PERIOD };

static int virtual_open(struct source **out, const struct conf_any *c,
                        const char *id, struct errs *e)
{
    const struct virtual_conf *conf = c->data;
    struct virtual *v = calloc(1, sizeof(*v));

    (void)id;
    if (!v)
        return errs_nomem(e);
    if (conf->has_preset)
        make_preset(&v->source.desc, conf->preset);
    else
        describe_make(&conf->describe, &v->source.desc);
    v->repeat_ms[REP_DELAY] = v->source.desc.repeat_ms[REP_DELAY] =
        REPEAT_DELAY_MS;
    v->repeat_ms[REP_PERIOD] = v->source.desc.repeat_ms[REP_PERIOD] =
        REPEAT_PERIOD_MS;
    v->source.note.word[NOTE_DELAY] = REPEAT_DELAY_MS;
    v->source.note.word[NOTE_PERIOD] = REPEAT_PERIOD_MS;
    *out = &v->source;
    return 0;
}

static int virtual_start(struct source *s, struct loop *home, struct err *e)
{
    (void)s;
    (void)home;
    (void)e;
    return 0;
}

static void note(struct virtual *v)
{
    uint64_t *word = v->source.note.word;

    word[NOTE_LEDS] = v->leds;
    word[NOTE_DELAY] = (uint32_t)v->repeat_ms[REP_DELAY];
    word[NOTE_PERIOD] = (uint32_t)v->repeat_ms[REP_PERIOD];
    v->source.host->noted(&v->source);
}

static void virtual_recall(struct source *s)
{
    struct virtual *v = virtual_of(s);
    const uint64_t *word = s->note.word;

    v->leds = (uint16_t)word[NOTE_LEDS];
    v->repeat_ms[REP_DELAY] = (int32_t)word[NOTE_DELAY];
    v->repeat_ms[REP_PERIOD] = (int32_t)word[NOTE_PERIOD];
}

static void virtual_status(struct source *s, uint16_t type, uint16_t code,
                           int32_t value)
{
    struct virtual *v = virtual_of(s);

    if (type == EV_LED && code < LED_CNT)
        v->leds = (uint16_t)((v->leds & ~(1u << code)) | (unsigned)(value != 0)
                                                             << code);
    else if (type == EV_REP && code <= REP_PERIOD)
        v->repeat_ms[code] = value;
    else
        return;
    note(v);
}

static void virtual_describe(struct source *s, struct json_out *o)
{
    const struct virtual *v = virtual_of(s);

    if (source_has_type(&s->desc, EV_LED)) {
        json_begin(o, "leds", '[');
        for (unsigned i = 0; i < LED_CNT; i++)
            if (v->leds & 1u << i)
                json_add_str(o, NULL, name_of_code(EV_LED, i));
        json_end(o, ']');
    }
    if (source_has_type(&s->desc, EV_REP)) {
        json_add_i64(o, "repeat_delay_ms", v->repeat_ms[REP_DELAY]);
        json_add_i64(o, "repeat_period_ms", v->repeat_ms[REP_PERIOD]);
    }
}

static void virtual_close(struct source *s)
{
    free(virtual_of(s));
}

static const struct source_ops virtual_ops = {
    .type = "virtual",
    .open = virtual_open,
    .start = virtual_start,
    .recall = virtual_recall,
    .status = virtual_status,
    .describe = virtual_describe,
    .close = virtual_close,
};

static void virtual_check(void *data, const char *at, struct errs *e)
{
    const struct virtual_conf *conf = data;

    if (conf->has_preset == conf->has_describe)
        errs_at(e, at, NULL,
                conf->has_preset
                    ? "it is a preset or described, not both: leave one out"
                    : "it needs a preset, or a description (\"describe\")");
}

static const struct conf_key virtual_keys[] = {
    {"preset", CONF_CHOICE, CONF_AT(struct virtual_conf, preset),
     .words = preset_words,
     .seen_offset = CONF_SEEN(struct virtual_conf, has_preset),
     .help = "A whole keyboard, a mouse with five buttons and wheels, a tablet "
             "(a mouse that points at a place), or a touch screen for ten "
             "fingers."},
    {"describe", CONF_TABLE, CONF_AT(struct virtual_conf, describe),
     .table = &describe_table,
     .seen_offset = CONF_SEEN(struct virtual_conf, has_describe),
     .help = "Any other device."},
    {NULL},
};

const struct conf_table virtual_table = {
    .name = "virtual",
    .size = sizeof(struct virtual_conf),
    .keys = virtual_keys,
    .help = "A device without hardware, whose events are sent over the "
            "control socket (input.send, input.type).",
    .check = virtual_check,
    .ops = &virtual_ops,
};
