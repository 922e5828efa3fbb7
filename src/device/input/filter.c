/* Masks and ids are done once, to the description: what it lacks the device
 * leaves out of frames anyway. Only values are left to be changed in each
 * frame. */
#include "device/input/filter.h"

#include <stdio.h>
#include <string.h>

#include "device/input/codes.h"
#include "device/input/names.h"

/* ---- the description ---- */

static void mask_bits(const struct event_set *masked, struct source_desc *d)
{
    for (unsigned type = 0; type < SOURCE_EV_TYPES; type++) {
        for (unsigned i = 0; i < SOURCE_BITS_BYTES; i++)
            d->bits[type][i] &= (uint8_t)~masked->bits[type][i];
    }
}

static bool has_any(const struct source_desc *d)
{
    for (unsigned type = 0; type < SOURCE_EV_TYPES; type++) {
        for (unsigned i = 0; i < SOURCE_BITS_BYTES; i++) {
            if (d->bits[type][i])
                return true;
        }
    }
    return false;
}

static int set_axis(struct filter *f, const struct axis_conf *a, int index,
                    const char *at, struct source_desc *d, struct errs *e)
{
    char place[40];
    uint16_t type, code;

    name_to_code(a->code, &type, &code); /* checked */
    if (!source_has(d, EV_ABS, code)) {
        snprintf(place, sizeof(place), "filter/axes/%d/code", index);
        return errs_at(e, at, place, "the device has no %s", a->code);
    }
    f->scales = true;
    f->from[code] = d->abs[code];
    f->to[code] = (struct source_abs){a->min, a->max, a->fuzz, a->flat, a->res};
    f->scaled[code / 8] |= (uint8_t)(1u << code % 8);
    d->abs[code] = f->to[code];
    return 0;
}

int filter_open(struct filter *f, const struct filter_conf *c, const char *at,
                struct source_desc *d, struct errs *e)
{
    struct event_set masked = {{{0}}};
    int rc = 0;

    *f = (struct filter){.scales = false};
    ids_apply(&c->ids, d);
    for (int i = 0; i < c->mask.count; i++)
        event_set_add(&masked, c->mask.list[i]);
    mask_bits(&masked, d);
    if (c->mask.count && !has_any(d))
        return errs_at(e, at, "filter/mask", "nothing is left of the device");
    for (int i = 0; i < c->axes.count && rc == 0; i++)
        rc = set_axis(f, c->axes.list[i].data, i, at, d, e);
    return rc;
}

/* ---- frames ---- */

/* From one range to another; what lies outside stays at the end. */
static int32_t scale(int32_t value, const struct source_abs *from,
                     const struct source_abs *to)
{
    int64_t width = (int64_t)from->max - from->min;
    int64_t at = (int64_t)MAX(MIN(value, from->max), from->min) - from->min;
    __int128 scaled;

    if (width <= 0)
        return to->min;
    scaled = (__int128)at * ((int64_t)to->max - to->min) + width / 2;
    return (int32_t)(to->min + (int64_t)(scaled / width));
}

static bool is_scaled(const struct filter *f, const struct input_event16 *ev)
{
    return ev->type == EV_ABS && ev->code < SOURCE_ABS_MAX &&
           f->scaled[ev->code / 8] & 1u << ev->code % 8;
}

void filter_frame(const struct filter *f, const struct input_event16 *ev,
                  unsigned n, struct input_event16 *out)
{
    for (unsigned i = 0; i < n; i++) {
        out[i] = ev[i];
        if (is_scaled(f, &ev[i]))
            out[i].value =
                scale(ev[i].value, &f->from[ev[i].code], &f->to[ev[i].code]);
    }
}

/* ---- the table ---- */

static int axis_of(const struct filter_conf *c, int index)
{
    const struct axis_conf *a = c->axes.list[index].data;
    uint16_t type, code;

    if (!a->code || !name_to_code(a->code, &type, &code) || type != EV_ABS)
        return -1; /* told already */
    return code;
}

static void check_axis(const struct filter_conf *c, int index, const char *at,
                       struct errs *e)
{
    int code = axis_of(c, index);
    char place[40];

    snprintf(place, sizeof(place), "axes/%d/code", index);
    if (code == ABS_MT_SLOT || code == ABS_MT_TRACKING_ID)
        errs_at(e, at, place,
                "its values are numbers of contacts, which "
                "cannot be scaled");
    for (int i = 0; i < index && code >= 0; i++)
        if (axis_of(c, i) == code)
            errs_at(e, at, place, "axes/%d is of the same axis", i);
}

static void check_filter(void *data, const char *at, struct errs *e)
{
    const struct filter_conf *c = data;

    event_names_check(&c->mask, at, "mask", e);
    for (int i = 0; i < c->axes.count; i++)
        check_axis(c, i, at, e);
}

#define ID_KEY(id, what)                                                       \
    {                                                                          \
#id, CONF_HEX, CONF_AT(struct filter_conf, ids.id),                    \
            .max = 0xffff,                                                     \
            .seen_offset = CONF_SEEN(struct filter_conf, ids.has_##id),        \
            .help = what                                                       \
    }

static const struct conf_key filter_keys[] = {
    {"mask", CONF_STRS, CONF_AT(struct filter_conf, mask),
     .help = "Events that the guest does not see: codes (\"KEY_POWER\"), all "
             "codes whose names start so (\"ABS_MT_*\"), all of a type "
             "(\"EV_MSC\")."},
    ID_KEY(bustype, "Another bus: 3 is USB, 6 is virtual."),
    ID_KEY(vendor, "Another vendor's id."),
    ID_KEY(product, "Another product's id."),
    ID_KEY(version, "Another version."),
    {"axes", CONF_TABLES, CONF_AT(struct filter_conf, axes),
     .table = &axis_table,
     .help = "Other ranges of absolute axes. Values are scaled to them."},
    {NULL},
};

const struct conf_table filter_table = {
    .name = "filter",
    .size = sizeof(struct filter_conf),
    .keys = filter_keys,
    .help = "What the guest sees otherwise than the source has it.",
    .check = check_filter,
};
