/* daemon/isolate_impl.h: what the files of isolate share.
 *
 * isolate.c is the keeper of a device, through all the processes that it has;
 * isolate_ask.c what they are asked for others;
 * isolate_process.c one process, from its making to its end; isolate_talk.c
 * what is said on its control connection; isolate_pulse.c whether it lives;
 * isolate_keep.c kept memory, at both ends; isolate_child.c is the process. */
#ifndef VUB_DAEMON_ISOLATE_IMPL_H
#define VUB_DAEMON_ISOLATE_IMPL_H

#include "daemon/control/client.h"
#include "daemon/isolate.h"
#include "daemon/sockets.h"
#include "loop/timer.h"
#include "os/keep.h"

struct closer;
struct relay;

/* ---- kept memory ---- */

/* The keeper's: what the process has told. */
struct isolate_kept {
    const char *id;          /* of the device */
    struct keep_item *items; /* [count], at most so many: */
    unsigned most;
    unsigned count, room;
    bool told_full;
    struct closer *closer;
};

int isolate_kept_open(struct isolate_kept *k, const char *id, unsigned most);
/* Takes its fd. */
void isolate_kept_add(struct isolate_kept *k, const struct keep_item *item);
/* All of it: the fds are the caller's, and the list to be freed. */
int isolate_kept_take(struct isolate_kept *k, struct keep_item **items);
void isolate_kept_close(struct isolate_kept *k);
/* All that there is from the *given-th on, and that it is all. -EAGAIN: the
 * rest when sock can be written to. */
int isolate_kept_give(const struct isolate_kept *k, int sock, unsigned *given);
/* What has been told, so much of it at most; 0: nothing more comes, -EAGAIN:
 * nothing more now, or what is left. Else something was said that cannot be. */
int isolate_kept_hear(struct isolate_kept *k, int sock, unsigned most);

/* The process's: takes what is given, and tells of what comes. sock is its. */
int isolate_keep_begin(int sock);

/* ---- a process ---- */

enum heard {
    HEARD_NOTHING, /* or what was for somebody else */
    HEARD_READY,
    HEARD_FAILED, /* with errors */
    HEARD_NONSENSE,
};

struct isolate_process {
    struct isolated *owner; /* NULL: nobody's any more */
    int line, door, keep;   /* -1: closed */
    int control;            /* likewise; or it is talk's */
    int pid;
    bool ready;
    bool config_acts; /* as its device_ops say */
    uint64_t offers;  /* features */
    unsigned given;   /* of kept memory */

    bool orphan; /* the broker, which has made it, has ended */
    bool silent; /* nothing comes by its door any more */

    bool watched, talks;
    struct watch at_line, at_door, at_keep;
    struct client talk;
    unsigned handles; /* whose gone is waited for */
    struct list calls;
    uint64_t last_id;

    /* isolate_pulse.c's */
    struct timer pulse;
    struct isolate_call ping;
    bool has_pulse;  /* pulse is open */
    bool asked;      /* and ping is not answered */
    unsigned missed; /* pulses without an answer */
};

/* Makes one; NULL: e says why not. */
struct isolate_process *process_new(struct isolated *i, struct err *e);
/* [blocks] Until it has opened the device. */
int process_wait(struct isolate_process *p, struct errs *e);
/* Would it take what a front-end has said to another process? It is told that
 * when there is no way back. */
int process_suits(const struct isolate_process *p, struct transcript *said,
                  struct err *e);
/* From now on the owner is told: isolate_was_heard, isolate_lost. On failure it
 * is still to be dropped. */
int process_watch(struct isolate_process *p, struct loop *loop, struct err *e);
/* It is to end, in its own time. */
void process_end(struct isolate_process *p);
/* It has said what it should not: it ends now. */
void process_kill(struct isolate_process *p, const char *why);
/* It is over, or is killed: calls are answered, unless quietly; nobody is told
 * of anything any more, and p is freed some time. */
void process_drop(struct isolate_process *p, bool quietly);

/* One of its handles has. */
void process_handle_gone(struct isolate_process *p);

/* isolate_pulse.c: from now on it is killed if it hangs, until stop, or until
 * it is to end. It is ready, and watched. */
void process_pulse_start(struct isolate_process *p);
void process_pulse_stop(struct isolate_process *p); /* safe without start */

/* isolate_talk.c: a line that the process has said. errors: of HEARD_FAILED. */
enum heard process_hear(struct isolate_process *p, const char *text, size_t len,
                        struct errs *errors);
/* The object of an error that a process has written. */
void process_read_error(const char *text, struct err *e);
int process_ask(struct isolate_process *p, struct isolate_call *c,
                const char *method, const char *params, struct err *e);
void process_notify(struct isolate_process *p, const char *method,
                    const char *members);
/* How it logs. */
void process_greet(struct isolate_process *p);

/* ---- the keeper ---- */

enum isolate_state {
    ISOLATE_STARTING, /* a process is, and is not ready */
    ISOLATE_RUNNING,
    ISOLATE_WAITING, /* for the next one */
    ISOLATE_CLOSED,
};

struct isolated {
    struct conf_any conf;
    const struct device_common *common;
    bool reread; /* its config was read later than the broker has it */
    struct isolate_kept kept;
    struct isolate_process *process; /* NULL: there is none */
    struct err why_not;              /* there is no first one */

    /* from isolate_place on */
    struct loop *main;
    struct isolate_events events;
    struct relay *relay;
    struct timer next, patience;
    unsigned timers; /* whose gone is waited for */
    bool placed, closing, relay_closed, closed;
    bool suspending; /* until its relay has handed on */
    bool asks;       /* before: whether its process may be killed, by: */
    struct isolate_call asked;
    bool handed_on;                  /* that has: its process is to end */
    struct endpoint_visitor visitor; /* then */

    enum isolate_state state;
    uint64_t ready_ns; /* since when the last one has run */
    uint64_t delay_ms; /* before the next one */
    unsigned restarts;
    char reason[256]; /* of the last end; "": there was none */
    bool has_reason;  /* of the process that ends now */
    struct log_limit lines;
    struct list waiting; /* calls */
};

/* isolate_ask.c: the process knows the guest, or there is none any more. */
void isolate_on_told(struct relay *r, void *arg);
void isolate_fail_waiting(struct isolated *i);

/* For processes. */
void isolate_was_heard(struct isolated *i, enum heard what,
                       const struct errs *errors);
/* how: as broker_news of the end has it; negative errno: it was never there. */
void isolate_lost(struct isolated *i, int how);
void isolate_leg_ended(struct isolated *i, uint64_t number, const char *why);
void isolate_event_told(struct isolated *i, const char *members, size_t len);

#endif
