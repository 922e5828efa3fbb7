/* base/call.h: one call of a command over the control socket, for whoever runs
 * it: a device (device/command.h), or a store (store/command.h).
 *
 * A call may be kept and answered later; who answers it does so once.
 * Threads: the home loop of the device. */
#ifndef VUB_BASE_CALL_H
#define VUB_BASE_CALL_H

#include "base/err.h"
#include "base/json_out.h"
#include "base/list.h"

struct conf_doc;
struct json;

struct call {
    const void *args; /* the struct of command.params; good until answered, */
    struct conf_doc *doc;      /* or as long as somebody has a ref of this */
    const struct json *params; /* what args were read from, good as long as
                                * they; NULL: no text */
    const char *dir;           /* where its relative paths start */
    struct json_out out;       /* the members of the result's object */
    struct list node;          /* who keeps the call, while he does */
    void *user;                /* likewise */
    /* Nobody waits for the answer any more, which is still due: soon, then.
     * Whose the call is; NULL: it will come anyway. */
    void (*cancel)(struct call *c);

    /* The control socket's: e NULL, or why it was not done. */
    void (*answered)(struct call *c, const struct err *e);
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
