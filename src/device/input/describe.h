/* device/input/describe.h: a device described by the config.
 *
 *     {"name": "Pad", "vendor": "0x046d", "events": ["BTN_LEFT", "KEY_*"],
 *      "axes": [{"code": "ABS_X", "max": 32767}]}
 *
 * For a source that has nothing else to describe it: a virtual one, or an
 * evdev device that may be absent when vub starts. Names are those of Linux'
 * input event codes; the table's check knows them, so a description that was
 * read can be made. Threads: the main one. */
#ifndef VUB_DEVICE_INPUT_DESCRIBE_H
#define VUB_DEVICE_INPUT_DESCRIBE_H

#include "conf/conf.h"
#include "device/input/source.h"

/* The keys "bustype", "vendor", "product" and "version". */
struct ids_conf {
    uint32_t bustype, vendor, product, version;
    bool has_bustype, has_vendor, has_product, has_version;
};

/* An element of the list "axes". */
struct axis_conf {
    const char *code; /* "ABS_X" */
    int32_t min, max, fuzz, flat, res;
};

struct describe_conf {
    const char *name, *serial; /* serial may be NULL */
    struct ids_conf ids;
    struct conf_strs events;     /* as event_set_add() takes them */
    struct conf_strs properties; /* "INPUT_PROP_DIRECT" */
    struct conf_anys axes;       /* struct axis_conf */
};

extern const struct conf_table describe_table;
/* Of a list of struct axis_conf; its check finds bad codes and ranges. */
extern const struct conf_table axis_table;

/* d is whole after. EV_ABS of the events without an element in axes have the
 * range 0..65535. */
void describe_make(const struct describe_conf *c, struct source_desc *d);

/* ids over d's, where given. */
void ids_apply(const struct ids_conf *ids, struct source_desc *d);

/* Can a device that is as `is` stand for what a guest was told? It has the same
 * events, axes and properties, or more if may_have_more. False: why gets a
 * sentence. */
bool desc_fits(const struct source_desc *told, const struct source_desc *is,
               bool may_have_more, char *why, size_t size);

/* Copies a text that a device, or its recording, has of itself: what is no
 * UTF-8 or no character to show becomes '?', what is too long is cut. */
void desc_text(char out[128], const char *s, size_t len);

/* Which events: of all types but EV_SYN. */
struct event_set {
    uint8_t bits[SOURCE_EV_TYPES][SOURCE_BITS_BYTES];
};

/* Adds what `name` names: a code ("KEY_A"), all codes whose names start so
 * ("ABS_MT_*"), or all of a type ("EV_MSC"). False: there is no such name. */
bool event_set_add(struct event_set *set, const char *name);

static inline bool event_set_has(const struct event_set *set, unsigned type,
                                 unsigned code)
{
    return type < SOURCE_EV_TYPES && code < SOURCE_BITS_BYTES * 8 &&
           set->bits[type][code / 8] & 1u << code % 8;
}

/* For the check of a table with a list of such names: what names nothing is
 * an error at key[i]. */
void event_names_check(const struct conf_strs *names, const char *at,
                       const char *key, struct errs *e);

#endif
