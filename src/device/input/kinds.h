/* device/input/kinds.h: the kinds of sources there are; source.c lists them. */
#ifndef VUB_DEVICE_INPUT_KINDS_H
#define VUB_DEVICE_INPUT_KINDS_H

#include "conf/conf.h"
#include "device/command.h"

extern const struct conf_table evdev_table;
extern const struct conf_table replay_table;
extern const struct conf_table virtual_table;

/* input.replay, for the table in commands.c: it fails if the device's source
 * is no replay. */
extern const struct conf_table replay_command_table;
void replay_command(struct device *d, struct call *c);

/* input.click, likewise: click.c. */
extern const struct conf_table click_table;
void click_command(struct device *d, struct call *c);

#endif
