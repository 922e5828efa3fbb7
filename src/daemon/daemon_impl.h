/* daemon/daemon_impl.h: what the files of the daemon share.
 *
 * daemon.c is the order of a start and of an end; daemon_stop.c what vub stops
 * for, and how; daemon_tell.c who is told of what. Threads: the main one. */
#ifndef VUB_DAEMON_DAEMON_IMPL_H
#define VUB_DAEMON_DAEMON_IMPL_H

#include "daemon/change.h"
#include "daemon/confine.h"
#include "daemon/control/control.h"
#include "daemon/daemon.h"
#include "daemon/devices.h"
#include "daemon/hand_over.h"
#include "daemon/isolate.h"
#include "daemon/origin.h"
#include "daemon/reload.h"
#include "daemon/run.h"
#include "daemon/service.h"
#include "daemon/sockets.h"
#include "daemon/take_over.h"
#include "daemon/watchdog.h"
#include "loop/timer.h"
#include "loop/watch.h"

#define DAEMON_SIGNALS 3

struct daemon {
    const struct config *conf; /* that it has started with */
    struct conf_doc *doc;      /* likewise */
    const struct daemon_conf *how;
    struct errs *e;
    int ready_fd; /* how's, until it is closed */
    struct sockets sockets;
    struct devices devices;
    struct list gone; /* devices that somebody has a ref of yet */
    struct changer changer;
    struct turn start; /* takes the first turn */
    struct reload reload;
    struct watchdog watchdog;
    struct control control;
    struct service service;
    struct run run;
    struct confine confine;
    struct take_over take_over; /* --take-over, until all runs */
    struct origin origin;       /* what is told of it later */
    struct hand_over hand_over; /* the other way round */
    struct loop main;
    uv_signal_t signals[DAEMON_SIGNALS];
    struct timer deadline;
    struct watch parent;
    int parent_fd; /* -1: not watched */
    struct served_events events;
    int starting, going, closing;     /* answers waited for */
    bool main_open, ending, stopping; /* ending: the command is told to end */
    bool service_told;                /* of that */
    int status;                       /* the command's */
    int rc;
};

/* ---- daemon_stop.c ---- */

/* Sets whatever is called when there is a reason to stop. */
void daemon_stop_init(struct daemon *d);
/* Takes signals, and watches the parent if it is to: the main loop is open, and
 * does not run yet. */
int daemon_stop_open(struct daemon *d);
/* Before loop_close; safe after a failed open, too. */
void daemon_stop_close(struct daemon *d);
/* Ends all, and the main loop then; d->rc says if it is for an error. Safe
 * twice. */
void daemon_stop(struct daemon *d);

/* ---- daemon_tell.c ---- */

/* Sets what is called when there is an event to tell. */
void daemon_tell_init(struct daemon *d);
/* The control socket is open: events go there. */
void daemon_tell_open(struct daemon *d);
void daemon_tell_close(void);
/* A line: what it is, and where it can be had. */
void daemon_tell_where(const struct served *s);
/* "device.added" and the like. */
void daemon_tell_device(struct daemon *d, const struct served *s,
                        const char *event);
/* Whoever wants to know that all is served. */
void daemon_tell_ready(struct daemon *d);

#endif
