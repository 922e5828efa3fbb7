/* device/input/filter.h: what is changed between a source and the guest.
 *
 * A device can show itself otherwise than its source is: without some events,
 * under another name, with other ids, with other ranges of its axes, whose
 * values are then scaled. Some drivers refuse nodes as they are.
 * Threads: filter_check and filter_open the main one, the others any. */
#ifndef VUB_DEVICE_INPUT_FILTER_H
#define VUB_DEVICE_INPUT_FILTER_H

#include "device/input/describe.h"
#include "device/input/source.h"

/* Key "filter" of an input device; nothing but zeros: everything passes. */
struct filter_conf {
    const char *name, *serial; /* NULL: the source's */
    struct ids_conf ids;
    struct conf_strs mask; /* as event_set_add() takes them */
    struct conf_anys axes; /* struct axis_conf */
};

extern const struct conf_table filter_table;

/* What a filter does, ready to do it. */
struct filter {
    const struct filter_conf *conf;
    struct event_set masked;
    uint8_t scaled[SOURCE_ABS_MAX / 8];
    struct source_abs from[SOURCE_ABS_MAX]; /* of those scaled */
    struct source_abs to[SOURCE_ABS_MAX];
};

/* Makes f of c, which outlives it, and of the source's description; d becomes
 * what the guest sees. at: the JSON Pointer of c. */
int filter_open(struct filter *f, const struct filter_conf *c, const char *at,
                struct source_desc *d, struct errs *e);

/* Changes a frame in place and returns how many events are left: 0, if none
 * but SYN_REPORT is. */
unsigned filter_frame(const struct filter *f, struct input_event16 *ev,
                      unsigned n);

/* Is an event masked? For those that go to the source too: LEDs. */
static inline bool filter_masks(const struct filter *f, unsigned type,
                                unsigned code)
{
    return event_set_has(&f->masked, type, code);
}

#endif
