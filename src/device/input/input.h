/* device/input/input.h: the virtio input device.
 *
 * Spec: virtio, "Input Device". input.c is the device: config, rings, life;
 * config_space.c answers what the driver asks about it; events.c brings the
 * events of its source to the guest; status.c takes LEDs and the like back;
 * commands.c types. Where events come from is behind source.h.
 * Threads: one, the home loop's. */
#ifndef VUB_DEVICE_INPUT_INPUT_H
#define VUB_DEVICE_INPUT_INPUT_H

#include "device/devices.h"
#include "device/input/filter.h"

/* The keys of an input device, without those of its source. */
struct input_conf {
    struct device_common common;
    const char *name, *serial; /* NULL: the source's */
    struct conf_any source;
    struct filter_conf filter;
};

extern const struct conf_table input_table;

#endif
