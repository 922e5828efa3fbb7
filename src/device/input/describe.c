/* The config's names are looked up twice: by the check of the table, which says
 * what is wrong with them, and when a description is made of them, where
 * nothing can be wrong any more. */
#include "device/input/describe.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "device/input/codes.h"
#include "device/input/names.h"

#define AXIS_MAX 65535 /* of an axis whose range nobody says */

/* ---- names ---- */

/* "ABS_MAX" is a name too, but of no axis. */
static bool is_limit(const char *name)
{
    size_t len = strlen(name);

    return len > 4 && strcmp(name + len - 4, "_MAX") == 0;
}

bool event_set_add(struct event_set *set, const char *name)
{
    size_t len = strlen(name);
    bool many = len > 0 && name[len - 1] == '*', found = false;
    uint16_t type, code;
    uint16_t only = 0;

    if (!many && name_to_code(name, &type, &code) && type != EV_SYN) {
        set->bits[type][code / 8] |= (uint8_t)(1u << code % 8);
        return true;
    }
    if (!many && (!name_to_type(name, &only) || only == EV_SYN))
        return false;
    for (unsigned t = EV_SYN + 1; t < SOURCE_EV_TYPES; t++) {
        for (unsigned c = 0; c < SOURCE_BITS_BYTES * 8; c++) {
            const char *one = only && t != only ? NULL : name_of_code(t, c);

            if (!one || is_limit(one) ||
                (many && strncmp(one, name, len - 1) != 0))
                continue;
            set->bits[t][c / 8] |= (uint8_t)(1u << c % 8);
            found = true;
        }
    }
    return found;
}

void event_names_check(const struct conf_strs *names, const char *at,
                       const char *key, struct errs *e)
{
    struct event_set set = {{{0}}};
    char place[80];

    if (names->count > 0 && names_missing(at, e))
        return;
    for (int i = 0; i < names->count; i++) {
        if (event_set_add(&set, names->list[i]))
            continue;
        snprintf(place, sizeof(place), "%s/%d", key, i);
        errs_at(
            e, at, place,
            "there is no event \"%s\": names are those of "
            "input-event-codes.h, like \"KEY_A\", \"ABS_MT_*\" or \"EV_KEY\"",
            names->list[i]);
    }
}

void desc_text(char out[128], const char *s, size_t len)
{
    size_t used = 0;

    while (len > 0) {
        size_t n = utf8_char(s, len);
        bool good = n > 0 && !utf8_is_control(s, n);

        n = n ? n : 1;
        if (used + (good ? n : 1) >= 128)
            break;
        memcpy(out + used, good ? s : "?", good ? n : 1);
        used += good ? n : 1;
        s += n;
        len -= n;
    }
    out[used] = '\0';
}

/* ---- making a description ---- */

void ids_apply(const struct ids_conf *ids, struct source_desc *d)
{
    if (ids->has_bustype)
        d->bustype = (uint16_t)ids->bustype;
    if (ids->has_vendor)
        d->vendor = (uint16_t)ids->vendor;
    if (ids->has_product)
        d->product = (uint16_t)ids->product;
    if (ids->has_version)
        d->version = (uint16_t)ids->version;
}

static void set_axes(const struct conf_anys *axes, struct source_desc *d)
{
    uint16_t type, code;

    for (unsigned i = 0; i < SOURCE_ABS_MAX; i++) {
        if (source_has(d, EV_ABS, i))
            d->abs[i] = (struct source_abs){.max = AXIS_MAX};
    }
    for (int i = 0; i < axes->count; i++) {
        const struct axis_conf *a = axes->list[i].data;

        name_to_code(a->code, &type, &code); /* checked */
        source_set(d, EV_ABS, code);
        d->abs[code] =
            (struct source_abs){a->min, a->max, a->fuzz, a->flat, a->res};
    }
}

void describe_make(const struct describe_conf *c, struct source_desc *d)
{
    struct event_set set = {{{0}}};
    uint16_t prop;

    *d = (struct source_desc){.bustype = BUS_VIRTUAL};
    desc_text(d->name, c->name, strlen(c->name));
    if (c->serial)
        desc_text(d->serial, c->serial, strlen(c->serial));
    ids_apply(&c->ids, d);
    for (int i = 0; i < c->events.count; i++)
        event_set_add(&set, c->events.list[i]);
    memcpy(d->bits, set.bits, sizeof(d->bits));
    for (int i = 0; i < c->properties.count; i++) {
        if (name_to_prop(c->properties.list[i], &prop))
            d->props[prop / 8] |= (uint8_t)(1u << prop % 8);
    }
    set_axes(&c->axes, d);
    d->repeat_ms[0] = 250; /* as in Linux; if EV_REP */
    d->repeat_ms[1] = 33;
}

/* ---- comparing ---- */

static const char *event_name(unsigned type, unsigned code, char *room,
                              size_t size)
{
    const char *name = name_of_code(type, code);

    if (name)
        return name;
    snprintf(room, size, "type 0x%02x code 0x%02x", type, code);
    return room;
}

bool desc_fits(const struct source_desc *told, const struct source_desc *is,
               bool may_have_more, char *why, size_t size)
{
    char room[40];

    for (unsigned type = 0; type < SOURCE_EV_TYPES; type++) {
        for (unsigned code = 0; code < SOURCE_BITS_BYTES * 8; code++) {
            bool has = source_has(is, type, code);

            if (has == source_has(told, type, code) || (has && may_have_more))
                continue;
            snprintf(why, size, "%s %s", has ? "it has" : "it does not have",
                     event_name(type, code, room, sizeof(room)));
            return false;
        }
    }
    for (unsigned code = 0; code < SOURCE_ABS_MAX; code++) {
        const struct source_abs *a = &told->abs[code], *b = &is->abs[code];

        if (!source_has(told, EV_ABS, code) ||
            (a->min == b->min && a->max == b->max))
            continue;
        snprintf(why, size, "the range of %s is %d to %d, not %d to %d",
                 event_name(EV_ABS, code, room, sizeof(room)), b->min, b->max,
                 a->min, a->max);
        return false;
    }
    if (!may_have_more &&
        memcmp(told->props, is->props, sizeof(is->props)) != 0) {
        snprintf(why, size, "it has other properties");
        return false;
    }
    return true;
}

/* ---- tables ---- */

static void check_axis(void *data, const char *at, struct errs *e)
{
    const struct axis_conf *a = data;
    uint16_t type, code;

    if (!names_missing(at, e) &&
        (!name_to_code(a->code, &type, &code) || type != EV_ABS))
        errs_at(e, at, "code",
                "there is no axis \"%s\": names are those of "
                "input-event-codes.h, like \"ABS_X\"",
                a->code);
    if (a->max <= a->min)
        errs_at(e, at, "max", "%d is not more than min, which is %d", a->max,
                a->min);
}

static const struct conf_key axis_keys[] = {
    {"code", CONF_STR, CONF_AT(struct axis_conf, code), .required = true,
     .help = "The axis: \"ABS_X\"."},
    {"min", CONF_I32, CONF_AT(struct axis_conf, min), .def = "0",
     .help = "Its smallest value."},
    {"max", CONF_I32, CONF_AT(struct axis_conf, max), .required = true,
     .help = "Its largest value: more than min."},
    {"fuzz", CONF_I32, CONF_AT(struct axis_conf, fuzz), .def = "0",
     .help = "Changes up to this are noise."},
    {"flat", CONF_I32, CONF_AT(struct axis_conf, flat), .def = "0",
     .help = "Values up to this from the middle are its rest."},
    {"resolution", CONF_I32, CONF_AT(struct axis_conf, res), .def = "0",
     .help = "Units per millimetre, or per radian; 0: not known."},
    {NULL},
};

const struct conf_table axis_table = {
    .name = "axis",
    .size = sizeof(struct axis_conf),
    .keys = axis_keys,
    .help = "The range of an absolute axis.",
    .check = check_axis,
};

static void check_describe(void *data, const char *at, struct errs *e)
{
    const struct describe_conf *c = data;
    char place[80];
    uint16_t prop;

    if (names_missing(at, e))
        return;
    event_names_check(&c->events, at, "events", e);
    for (int i = 0; i < c->properties.count; i++) {
        if (name_to_prop(c->properties.list[i], &prop))
            continue;
        snprintf(place, sizeof(place), "properties/%d", i);
        errs_at(e, at, place,
                "there is no property \"%s\": names are those of "
                "input-event-codes.h, like \"INPUT_PROP_DIRECT\"",
                c->properties.list[i]);
    }
}

#define ID_KEY(id, what)                                                       \
    {                                                                          \
#id, CONF_HEX, CONF_AT(struct describe_conf, ids.id),                  \
            .max = 0xffff,                                                     \
            .seen_offset = CONF_SEEN(struct describe_conf, ids.has_##id),      \
            .help = what                                                       \
    }

static const struct conf_key describe_keys[] = {
    {"name", CONF_STR, CONF_AT(struct describe_conf, name), .required = true,
     .min = 1, .max = 127, .help = "The name that the guest sees."},
    {"serial", CONF_STR, CONF_AT(struct describe_conf, serial), .max = 127,
     .help = "The serial number that the guest sees; none if it is left out."},
    ID_KEY(bustype, "The bus: 3 is USB, 6 (the default) is virtual."),
    ID_KEY(vendor, "The vendor's id."),
    ID_KEY(product, "The product's id."),
    ID_KEY(version, "The version of the product."),
    {"events", CONF_STRS, CONF_AT(struct describe_conf, events),
     .required = true,
     .help = "Which events it may have: codes (\"KEY_A\"), all codes whose "
             "names start so (\"KEY_*\"), all of a type (\"EV_LED\")."},
    {"properties", CONF_STRS, CONF_AT(struct describe_conf, properties),
     .help = "Its properties, like \"INPUT_PROP_DIRECT\"."},
    {"axes", CONF_TABLES, CONF_AT(struct describe_conf, axes),
     .table = &axis_table,
     .help = "Its absolute axes, which need not be in events. An axis of "
             "events that is not here has the range 0 to 65535."},
    {NULL},
};

const struct conf_table describe_table = {
    .name = "describe",
    .size = sizeof(struct describe_conf),
    .keys = describe_keys,
    .help = "What a guest sees of the device. Names are those of Linux' "
            "input-event-codes.h.",
    .check = check_describe,
};
