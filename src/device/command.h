/* device/command.h: what a device can be told over the control socket.
 *
 * A device type has a table of commands (device_type.commands). The control
 * socket reads a call's parameters by the command's conf table, finds the
 * device that the parameter "device" names, and runs the command on that
 * device's home loop; the answer goes back to the caller from there.
 * Threads: [home] of the device. */
#ifndef VUB_DEVICE_COMMAND_H
#define VUB_DEVICE_COMMAND_H

#include "base/call.h"

struct conf_table;
struct device;

struct command {
    const char *name;                /* "input.send"; NULL ends a table */
    const struct conf_table *params; /* beside "device", which all have */
    const char *help;                /* a sentence or two */
    void (*run)(struct device *d, struct call *c);
};

#endif
