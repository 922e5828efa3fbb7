/* daemon/control/request.h: one request of a client, from its line to its
 * answer.
 *
 * A request of a device's command goes to the device's home loop and back by
 * mail; others are answered on the main loop, at once or later. The client may
 * have gone by then: the command is told (call.cancel), and the answer goes
 * nowhere.
 * Threads: the main loop, but for what runs at home. */
#ifndef VUB_DAEMON_CONTROL_REQUEST_H
#define VUB_DAEMON_CONTROL_REQUEST_H

#include "daemon/change.h"
#include "daemon/control/client.h"
#include "daemon/control/rpc.h"
#include "daemon/isolate.h"

struct control;

struct request {
    struct control *control;
    struct client *client; /* NULL: it has gone */
    struct list node;      /* the client's, while it is there */
    struct list all;       /* the control's */
    struct rpc_request rpc;

    struct call call;              /* args and out serve all commands */
    const struct command *command; /* a device's; NULL: one of ours */
    struct served *served;         /* that it is for */
    struct turn turn;              /* changes.c's */
    struct served_call at_home;
    struct mail there, back, stop, stopped;
    struct isolate_call process; /* instead, if the device has one */
    bool is_at_process;
    unsigned under_way; /* letters */
    bool abandoned;     /* atomic: its client has gone */
    bool failed;
    struct err why;
};

/* Reads a line and runs what it asks for. */
void request_run(struct control *control, struct client *client,
                 const char *line, size_t len);
/* Answers with what is in r->call.out. r is gone. */
void request_done(struct request *r);
void request_fail(struct request *r, int code, const struct err *why);
void request_fail_all(struct request *r, int code, const struct errs *e);
/* Nobody waits for it any more, but for an answer that says so. */
void request_cancel(struct request *r);
/* Its client has gone. */
void request_abandon(struct request *r);
/* Without an answer; no loop runs any more. */
void request_free(struct request *r);

#endif
