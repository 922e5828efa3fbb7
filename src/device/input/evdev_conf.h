/* device/input/evdev_conf.h: the keys of a source `evdev`. */
#ifndef VUB_DEVICE_INPUT_EVDEV_CONF_H
#define VUB_DEVICE_INPUT_EVDEV_CONF_H

#include "device/input/describe.h"
#include "device/input/evdev_node.h"

#define EVDEV_HOTKEY_MAX 8

struct evdev_conf {
    const char *path; /* or: */
    struct evdev_match match;
    struct describe_conf describe;
    bool has_match, has_describe;
    bool grab;
    struct conf_strs hotkey;
};

extern const struct source_ops evdev_ops;

/* Has the device all keys of the hot-key? One that can never be pressed would
 * be noticed when it is needed. */
int evdev_check_hotkey(const struct evdev_conf *c, const char *at,
                       const struct source_desc *is, struct errs *e);

#endif
