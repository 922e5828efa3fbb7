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
#include "store/command.h"

struct control;

struct request {
    struct control *control;
    struct client *client; /* NULL: it has gone */
    struct list node;      /* the client's, while it is there */
    struct list all;       /* the control's */
    struct rpc_request rpc;

    struct call call;                  /* args and out serve all commands */
    const struct command *command;     /* a device's; NULL: another */
    const struct store_command *store; /* a store's; NULL: another */
    struct store_search search;        /* for that store */
    struct served *served;             /* that it is for */
    struct turn turn;                  /* changes.c's */
    struct served_call at_home;
    struct mail there, back, stop, stopped;
    struct isolate_call process; /* instead, if the device has one */
    struct served *process_of;   /* that is asked; NULL: none is */
    void (*passed)(struct request *r, struct served *s, const char *members,
                   const char *error);
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
/* Asks the process of an isolated device the same; with why not in r->why. The
 * answer is members of the result, or an error, or neither: the process has
 * ended. */
int request_pass(struct request *r, struct served *s,
                 void (*answered)(struct request *r, struct served *s,
                                  const char *members, const char *error));
/* Answers with one of both, as they are. r is gone. */
void request_pass_on(struct request *r, const char *members, const char *error);
/* Nobody waits for it any more, but for an answer that says so. */
void request_cancel(struct request *r);
/* Its client has gone. */
void request_abandon(struct request *r);
/* Without an answer; no loop runs any more. */
void request_free(struct request *r);

#endif
