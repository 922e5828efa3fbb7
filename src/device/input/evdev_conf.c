/* A device is named by a path, or by what it is like, and never both. Keys of
 * the hot-key are checked twice: that there are such keys, when the config is
 * read; that this device has them, when it is there. */
#include "device/input/evdev_conf.h"

#include <stdio.h>

#include "device/input/codes.h"
#include "device/input/kinds.h"
#include "device/input/names.h"

static void check_match(void *data, const char *at, struct errs *e)
{
    const struct evdev_match *m = data;

    if (!m->name && !m->phys && !m->uniq && !m->has_vendor && !m->has_product)
        errs_at(e, at, NULL, "must have at least one key");
}

static const struct conf_key match_keys[] = {
    {"name", CONF_STR, CONF_AT(struct evdev_match, name), .min = 1,
     .help = "Its name, whole."},
    {"phys", CONF_STR, CONF_AT(struct evdev_match, phys), .min = 1,
     .help = "Where it is plugged in: \"usb-0000:00:14.0-2/input0\"."},
    {"uniq", CONF_STR, CONF_AT(struct evdev_match, uniq), .min = 1,
     .help = "Its serial number."},
    {"vendor", CONF_HEX, CONF_AT(struct evdev_match, vendor), .max = 0xffff,
     .seen_offset = CONF_SEEN(struct evdev_match, has_vendor),
     .help = "Its vendor's id."},
    {"product", CONF_HEX, CONF_AT(struct evdev_match, product), .max = 0xffff,
     .seen_offset = CONF_SEEN(struct evdev_match, has_product),
     .help = "Its product's id."},
    {NULL},
};

static const struct conf_table match_table = {
    .name = "match",
    .size = sizeof(struct evdev_match),
    .keys = match_keys,
    .help = "What a device must be like: all that is given here.",
    .check = check_match,
};

static void check_evdev(void *data, const char *at, struct errs *e)
{
    const struct evdev_conf *c = data;
    uint16_t type, code;
    char place[40];

    if (!c->path == !c->has_match)
        errs_at(e, at, NULL, "must have either \"path\" or \"match\"%s",
                c->path ? ", not both" : "");
    if (c->hotkey.count > EVDEV_HOTKEY_MAX)
        errs_at(e, at, "hotkey", "has %d keys, %d are the most",
                c->hotkey.count, EVDEV_HOTKEY_MAX);
    if (c->hotkey.count > 0 && names_missing(at, e))
        return;
    for (int i = 0; i < c->hotkey.count; i++) {
        if (name_to_code(c->hotkey.list[i], &type, &code) && type == EV_KEY)
            continue;
        snprintf(place, sizeof(place), "hotkey/%d", i);
        errs_at(e, at, place, "there is no key \"%s\"", c->hotkey.list[i]);
    }
}

int evdev_check_hotkey(const struct evdev_conf *c, const char *at,
                       const struct source_desc *is, struct errs *e)
{
    uint16_t type, code;
    char place[40];

    for (int i = 0; i < c->hotkey.count; i++) {
        name_to_code(c->hotkey.list[i], &type, &code); /* checked */
        if (source_has(is, EV_KEY, code))
            continue;
        snprintf(place, sizeof(place), "hotkey/%d", i);
        return errs_at(e, at, place, "the device (\"%s\") has no %s", is->name,
                       c->hotkey.list[i]);
    }
    return 0;
}

static const struct conf_key evdev_keys[] = {
    {"path", CONF_PATH, CONF_AT(struct evdev_conf, path),
     .help = "The device: /dev/input/event3, or better a link of "
             "/dev/input/by-id, which still leads to it after it was "
             "unplugged. Either this or match."},
    {"match", CONF_TABLE, CONF_AT(struct evdev_conf, match),
     .table = &match_table,
     .seen_offset = CONF_SEEN(struct evdev_conf, has_match),
     .help = "The first device of /dev/input that is like this."},
    {"grab", CONF_BOOL, CONF_AT(struct evdev_conf, grab), .def = "true",
     .help = "Keep its events from everybody else on this machine while a "
             "driver in the guest listens."},
    {"hotkey", CONF_STRS, CONF_AT(struct evdev_conf, hotkey),
     .help = "Keys of this device that, held together, give it back to this "
             "machine, and to the guest again: [\"KEY_LEFTCTRL\", "
             "\"KEY_RIGHTCTRL\"]."},
    {"describe", CONF_TABLE, CONF_AT(struct evdev_conf, describe),
     .table = &describe_table,
     .seen_offset = CONF_SEEN(struct evdev_conf, has_describe),
     .help = "What the guest is told, so that the device may be absent when "
             "vub starts. The device must have all of this; what else it has "
             "is left out."},
    {NULL},
};

const struct conf_table evdev_table = {
    .name = "evdev",
    .size = sizeof(struct evdev_conf),
    .keys = evdev_keys,
    .help = "An input device of this machine. It may go and come back while "
            "vub runs.",
    .check = check_evdev,
    .ops = &evdev_ops,
};
