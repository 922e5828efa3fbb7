/* store/command.h: what a store can be told over the control socket.
 *
 * A kind of store, mostly a filter, has a table of commands
 * (store_ops.commands). The control socket finds the device that the parameter
 * "device" names, and among its stores, and what they are around, the one of
 * that kind: by the parameter "filter", which is a name that a config gives, or
 * without, if there is just one. The command runs on the home loop of the
 * device. A filter whose commands touch what its requests touch says serial:
 * then that is the only loop.
 * Threads: [home] */
#ifndef VUB_STORE_COMMAND_H
#define VUB_STORE_COMMAND_H

#include "base/call.h"
#include "store/store.h"

struct store_command {
    const char *name;                /* "fault.arm"; NULL ends a table */
    const struct conf_table *params; /* beside "device" and "filter" */
    const char *help;                /* a sentence or two */
    void (*run)(struct store *s, struct call *c);
};

/* The i-th of all, and the type of the stores that have it; NULL: there are
 * fewer. */
const struct store_command *store_command_at(unsigned i, const char **type);

/* Whoever looks for a store. */
struct store_search {
    const char *type;
    const char *name; /* NULL: any */
    struct store *found;
    unsigned count; /* how many there are: found is the first */
};

/* Looks at s and at all that it is around. */
void store_search(struct store_search *f, struct store *s);
/* What came of it, all stores of a device being looked at: 0, or a sentence,
 * with the place of a parameter. */
int store_search_over(const struct store_search *f, struct err *e);

#endif
