/* daemon/served.h: one device while the program runs.
 *
 * Opened, put onto its loops, started, closed, gone, freed. From its start on
 * its endpoint is touched on its home loop only: the main loop asks by mail,
 * one thing at a time, and is answered by mail. Whoever has sent letters of his
 * own home has a ref until they are back: it is freed with the last.
 *
 * An isolated one is at home on the main loop, where its keeper is
 * (isolate.h), and uses no workers.
 * Threads: the main one, but for what runs at home. */
#ifndef VUB_DAEMON_SERVED_H
#define VUB_DAEMON_SERVED_H

#include "daemon/sockets.h"
#include "daemon/workers.h"
#include "os/keep.h"
#include "vhost/endpoint.h"

struct served;
struct change;   /* change.h */
struct isolated; /* isolate.h */
struct look;     /* control/gather.c */

/* What the main loop is told. */
struct served_events {
    /* The answer to served_start: e NULL, or why not. With waits: whatever may
     * fail has been done. */
    void (*started)(struct served *s, const struct err *e, void *arg);
    /* The answer to served_go: whoever was handed over goes on here, or why
     * not; it is served all the same. */
    void (*went)(struct served *s, const struct err *e, void *arg);
    /* The answer to served_refresh; before closed, if it closes. */
    void (*refreshed)(struct served *s, void *arg);
    /* The answer to served_close: no front-end is served any more. */
    void (*closed)(struct served *s, void *arg);
    /* The answer to served_suspend, if it goes on as it was; else closed and
     * gone come. */
    void (*refused)(struct served *s, const struct err *e, void *arg);
    /* After closed: nothing of it is left on its loops, nor of what it has
     * opened. */
    void (*gone)(struct served *s, void *arg);
    /* Nobody has a ref any more: served_free is due. */
    void (*unused)(struct served *s, void *arg);
    /* The front-end has gone, and on_disconnect is "exit". Once. */
    void (*left)(struct served *s, void *arg);
    /* [any of its loops] Something that somebody may want to know of. */
    void (*event)(struct served *s, const struct endpoint_event *event,
                  void *arg);
    /* Members of an event that an isolated device tells of; taken. */
    void (*told)(struct served *s, struct json_out *members, void *arg);
    void *arg;
};

/* What a device leaves to another process, or to the next one in this one. */
struct heritage {
    struct endpoint_visitor visitor; /* who was served; fd -1: nobody */
    struct keep_item *kept;          /* [num_kept] its fds too */
    int num_kept;                    /* negative errno: what there is is lost */
};

#define HERITAGE_NONE ((struct heritage){.visitor = {.fd = -1}})
/* Nobody goes on with it. Safe twice. */
void heritage_drop(struct heritage *h);

/* A command that the device is told: request.c's. */
struct served_call {
    struct list node;
    struct call *call; /* NULL: answered */
    bool cancelled;
};

struct served {
    const struct conf_any *conf;        /* &config */
    const struct device_common *common; /* conf->data */
    struct conf_doc *doc; /* has all that conf points at; NULL: the caller's */
    struct place place;   /* its socket; the fd is the endpoint's */
    int listener;         /* that fd's number, until it is closed; -1: none */
    /* What it goes on with, of served_inherit; what it leaves, once it is gone
     * after served_suspend. */
    struct heritage heritage;
    bool inherits;
    bool waits; /* for served_go, before anybody is served */
    bool closing, closed, gone;
    bool suspending;       /* closing, to be handed over */
    bool returns;          /* it was handed over, and is not after all */
    struct change *change; /* that is waiting for it; NULL: none */
    struct look *looks;    /* gather.c's letters; NULL: none yet */
    struct list node;      /* the daemon's, when it is gone */
    bool is_here;          /* isolated or not, this is the process for it */
    bool is_later;         /* its config was read later than the broker's */
    /* It is isolated: this process has no device and no endpoint of it, but
     * this. NULL: it is not, or not open. */
    struct isolated *isolated;

    /* ---- served.c's ---- */

    struct conf_any config;
    unsigned refs;
    struct worker_uses uses;
    struct device *device; /* ours until it is bound, then the endpoint's */
    struct endpoint *endpoint;
    struct loop **ring_loop;
    struct loop *home, *main;
    const struct served_events *events;

    struct mail ask, answer, left, gone_mail;
    void (*asked)(struct served *s); /* what the letter under way asks for */
    /* The main loop's: what it has not asked for yet. */
    struct {
        bool start, go, suspend, refresh, close;
    } wants;
    bool refreshing; /* it waits for an answer to the last */
    bool is_gone;    /* what it was told */
    /* Home's; but what the letter that is back answers. */
    struct {
        struct list calls; /* those that are not answered */
        bool has_left, close_due;
        bool arrives; /* a visitor, of an isolated one */
        bool went;    /* it was told to go */
        bool awaited; /* the answer to the letter that is there comes later */
        bool stays;   /* it could not be suspended */
        int start_rc, went_rc;
        struct err why;
    } there;
};

/* Of a device that the config has; one more owner of doc, which may be NULL.
 * The caller's is the first ref. NULL: no memory. */
struct served *served_new(const struct conf_any *conf, struct conf_doc *doc);
/* It goes on with that, which is taken: before it is opened. */
void served_inherit(struct served *s, struct heritage *h);
/* It does not: h has it again, if it was given any. */
void served_disinherit(struct served *s, struct heritage *h);
/* Of one that has a process of its own: that opens it meanwhile. Need not be
 * called. [any thread] */
void served_begin(struct served *s);
/* Opens the device, or has its process do so. [any thread] */
int served_open(struct served *s, struct errs *e);
/* Takes its workers. */
int served_use(struct served *s, struct workers *ws, struct err *e);
/* Puts it onto their loops, with its socket, which it takes. */
int served_place(struct served *s, struct place *place, struct err *e);

/* Once, when its workers run. */
void served_start(struct served *s, struct loop *main,
                  const struct served_events *events);
/* After started, of one that waits. */
void served_go(struct served *s);
/* After served_start; many at once are one. True: an answer will come, else the
 * one to come is for this too. */
bool served_refresh(struct served *s);
/* After served_start, at any moment. Safe twice. */
void served_close(struct served *s);

/* After served_start: closes it so that another process can go on with it, and
 * nobody notices; or it is refused, and it goes on here. */
void served_suspend(struct served *s);

/* Does another config of it differ by no more than limits of throttles, which
 * can change while it runs? */
bool served_can_adjust(const struct served *s, const struct conf_any *is);
/* They have. */
void served_adjusted(struct served *s);

struct served *served_ref(struct served *s);
void served_unref(struct served *s);

/* Of one that was started, when no loop runs: closes what is open. Its loops
 * have some turns to go. */
void served_end(struct served *s);
/* After gone, or served_end and the end of its loops, or of one that was never
 * started. */
void served_free(struct served *s, struct workers *ws);

/* Runs m->run on its home loop; always before it closes if it is not closing.
 */
void served_post(struct served *s, struct mail *m);
bool served_is_closing(const struct served *s);
/* [home] NULL: it is closed, never started, or isolated. */
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
/* [home] All are told, served.c does it before the device closes. */
void served_cancel_calls(struct served *s);

#endif
