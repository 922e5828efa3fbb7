/* daemon/served.h: one device of the config while the program runs.
 *
 * Opened before there are threads. From then on its endpoint is
 * touched on its home loop only: the main loop asks by mail, one thing at a
 * time, and is answered by mail.
 * Threads: the main one. */
#ifndef VUB_DAEMON_SERVED_H
#define VUB_DAEMON_SERVED_H

#include "daemon/sockets.h"
#include "daemon/workers.h"
#include "vhost/endpoint.h"

struct served;

/* What the main loop is told. */
struct served_events {
    /* The answer to served_start: e NULL, or why not. */
    void (*started)(struct served *s, const struct err *e, void *arg);
    /* The answer to served_refresh; none comes if it closes first. */
    void (*refreshed)(struct served *s, void *arg);
    /* The answer to served_close: nothing of it is left on its loops. */
    void (*closed)(struct served *s, void *arg);
    /* The front-end has gone, and on_disconnect is "exit". Once. */
    void (*left)(struct served *s, void *arg);
    /* [any of its loops] Something that somebody may want to know of. */
    void (*event)(struct served *s, const struct endpoint_event *event,
                  void *arg);
    void *arg;
};

/* A command that the device is told: request.c's. */
struct served_call {
    struct list node;
    struct call *call; /* NULL: answered */
    bool cancelled;
};

struct served {
    const struct conf_any *conf;
    const struct device_common *common; /* conf->data */
    struct place place; /* its socket; the fd is the endpoint's */
    bool closed;

    /* served.c's */
    struct device *device; /* ours until it is bound, then the endpoint's */
    struct endpoint *endpoint;
    struct loop **ring_loop;
    struct loop *home, *main;
    const struct served_events *events;
    struct mail ask, answer, left;
    void (*asked)(struct served *s); /* what the mail under way asks for */
    bool want_start, want_refresh, want_close, closing, refreshing;
    struct list calls;        /* home's: those it has not answered */
    bool has_left, close_due; /* home's */
    int start_rc;
    struct err why;
};

/* Opens the device. On failure errors are in e, and there is nothing to
 * free. */
int served_open(struct served *s, const struct conf_any *conf, struct errs *e);
/* Puts it onto its loops, with its socket, which it takes. */
int served_place(struct served *s, const struct workers *ws,
                 struct place *place, struct err *e);

/* Once, when the workers run. */
void served_start(struct served *s, struct loop *main,
                  const struct served_events *events);
/* After served_start; many at once are one. True: an answer will come, else the
 * one to come is for this too. */
bool served_refresh(struct served *s);
/* After served_start, at any moment, once. */
void served_close(struct served *s);

/* After closed, or before served_start; its loops do not run then. */
void served_free(struct served *s);

/* Runs m->run on its home loop; always before it closes if it is not closing.
 */
void served_post(struct served *s, struct mail *m);
bool served_is_closing(const struct served *s);
/* [home] NULL: it is closed, or never started. */
struct endpoint *served_endpoint(const struct served *s);
/* [home] A call begins. NULL: there is no device any more. Before it closes it
 * is told to cancel those that it has not answered, and it is closed only when
 * it has answered all. */
struct device *served_call_begin(struct served *s, struct served_call *c,
                                 struct call *call);
/* [home] Nobody waits for it any more. */
void served_call_cancel(struct served_call *c);
/* [home] It is answered: first the one, then, when the answer is on its way,
 * the other. */
void served_call_end(struct served_call *c);
void served_call_ended(struct served *s);

/* "block, 2 queues on a, b": for the log. */
void served_describe(const struct served *s, char *out, size_t room);

#endif
