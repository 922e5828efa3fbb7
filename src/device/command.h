/* device/command.h: what a device can be told over the control socket.
 *
 * A device type has a table of commands (device_type.commands). The control
 * socket reads a call's parameters by the command's conf table, finds the
 * device that the parameter "device" names, and runs the command on that
 * device's home loop; the answer goes back to the caller from there. A call may
 * be kept and answered later; who answers it does so once.
 * Threads: [home] of the device. */
#ifndef VUB_DEVICE_COMMAND_H
#define VUB_DEVICE_COMMAND_H

#include "base/err.h"
#include "base/json_out.h"
#include "base/list.h"

struct conf_doc;
struct json;
struct conf_table;
struct device;

/* One call of a command. */
struct call {
    const void *args; /* the struct of command.params; good until answered, */
    struct conf_doc *doc;      /* or as long as somebody has a ref of this */
    const struct json *params; /* what args were read from, good as long as
                                * they; NULL: no text */
    const char *dir;           /* where its relative paths start */
    struct json_out out;       /* the members of the result's object */
    struct list node;          /* the device's, while it keeps the call */
    void *user;                /* likewise */
    /* Nobody waits for the answer any more, which is still due: soon, then.
     * The device's; NULL: it will come anyway. */
    void (*cancel)(struct call *c);

    /* The control socket's: e NULL, or why it was not done. */
    void (*answered)(struct call *c, const struct err *e);
};

struct command {
    const char *name;                /* "input.send"; NULL ends a table */
    const struct conf_table *params; /* beside "device", which all have */
    const char *help;                /* a sentence or two */
    void (*run)(struct device *d, struct call *c);
};

/* Answers c with what is in c->out. c is gone. */
static inline void call_done(struct call *c)
{
    c->answered(c, NULL);
}

static inline void call_fail(struct call *c, const struct err *e)
{
    c->answered(c, e);
}

#endif
