/* device/input/filter.h: what is changed between a source and the guest.
 *
 * A device can show itself otherwise than its source is: without some events,
 * with other ids, with other ranges of its axes, whose values are then scaled.
 * Some drivers refuse nodes as they are. (Its name and serial number are keys
 * of the device itself.) Threads: the main one; filter_frame any. */
#ifndef VUB_DEVICE_INPUT_FILTER_H
#define VUB_DEVICE_INPUT_FILTER_H

#include "device/input/describe.h"
#include "device/input/source.h"

/* Key "filter" of an input device; nothing but zeros: everything passes. */
struct filter_conf {
    struct ids_conf ids;
    struct conf_strs mask; /* as event_set_add() takes them */
    struct conf_anys axes; /* struct axis_conf */
};

extern const struct conf_table filter_table;

/* What a filter does to each frame: nothing, if it is all zeros. */
struct filter {
    bool scales;
    uint8_t scaled[SOURCE_ABS_MAX / 8];
    struct source_abs from[SOURCE_ABS_MAX]; /* of those scaled */
    struct source_abs to[SOURCE_ABS_MAX];
};

/* Makes f of c, the key "filter" of the device at `at`, and of the source's
 * description. d becomes what the guest sees; what it does not have any more
 * is left out of frames by the device, as always. */
int filter_open(struct filter *f, const struct filter_conf *c, const char *at,
                struct source_desc *d, struct errs *e);

/* Scales a frame of n events: from ev to out, which may be ev. */
void filter_frame(const struct filter *f, const struct input_event16 *ev,
                  unsigned n, struct input_event16 *out);

#endif
