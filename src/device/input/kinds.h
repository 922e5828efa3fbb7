/* device/input/kinds.h: the kinds of sources there are; source.c lists them. */
#ifndef VUB_DEVICE_INPUT_KINDS_H
#define VUB_DEVICE_INPUT_KINDS_H

#include "conf/conf.h"

extern const struct conf_table evdev_table;
extern const struct conf_table replay_table;
extern const struct conf_table virtual_table;

#endif
