/* daemon/control/commands.h: THE table of commands: what vub does itself, and
 * what its device types do.
 *
 * The same rows read calls, answer `help`, and make `vub ctl --help` and a
 * section of vub-ctl(1). Threads: any, but for run. */
#ifndef VUB_DAEMON_CONTROL_COMMANDS_H
#define VUB_DAEMON_CONTROL_COMMANDS_H

#include <stdio.h>

#include "conf/conf.h"
#include "device/devices.h"
#include "store/command.h"

struct request;

struct command_row {
    const char *name;
    const struct conf_table *params; /* NULL: none */
    const char *help;
    void (*run)(struct request *r);    /* of ours: it answers */
    const struct command *device;      /* of a device type's */
    const struct conf_table *type;     /* that one */
    const struct store_command *store; /* of a store's */
    const char *store_type;            /* that one */
};

/* What every command of a device has beside its own. */
struct command_device {
    const char *device;
};
extern const struct conf_table command_device_table;
/* And of a store. */
struct command_store {
    struct command_device device; /* first: it may be read as that */
    const char *filter;           /* NULL: any */
};
/* Of a row: what it has beside params. NULL: nothing. */
const struct conf_table *command_common(const struct command_row *row);
/* Of those for all devices, or for one. */
extern const struct conf_table command_only_table;

/* The i-th of all; false: there are fewer. */
bool commands_at(unsigned i, struct command_row *row);
/* 0, or a code of rpc.h with the sentence in e. */
int commands_find(const char *name, struct command_row *row, struct errs *e);

/* The commands for a terminal, and in mdoc. */
void commands_help(FILE *f);
void commands_man(FILE *f);

#endif
