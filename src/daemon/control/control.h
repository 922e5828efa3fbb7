/* daemon/control/control.h: the control socket.
 *
 * A unix socket on which the user who runs vub, and root, say what they want
 * done: docs/control.md. control.c accepts and tells events; client.c is a
 * connection, rpc.c what a line is, request.c what becomes of one, commands.c
 * what there is to ask for. gather.c asks all devices, status.c and stats.c
 * say what. ctl.c is the other end.
 * Threads: the main loop. Nothing on it blocks, and nothing waits for it. */
#ifndef VUB_DAEMON_CONTROL_CONTROL_H
#define VUB_DAEMON_CONTROL_CONTROL_H

#include "base/log.h"
#include "daemon/change.h"
#include "daemon/control/request.h"
#include "daemon/devices.h"
#include "daemon/hand_over.h"
#include "daemon/origin.h"
#include "daemon/reload.h"
#include "loop/timer.h"

struct command_row;
struct look;
struct watchdog;

struct control {
    struct loop *main;
    struct devices *devices;
    struct changer *changer;
    struct reload *reload;
    struct hand_over *hand_over;
    const struct origin *origin;
    const struct watchdog *watchdog;
    void (*quit)(void *arg, int pid); /* somebody wants vub to end */
    void *arg;
    const char *dir; /* where relative paths of requests start; not owned */
    /* In the process of an isolated device: who asks is its keeper, and nobody
     * else. It has gone. NULL: this is no such process. */
    void (*keeper_gone)(void *arg);

    struct place place;
    struct watch watch;
    struct timer retry; /* after a failed accept */
    struct list clients, requests;
    unsigned num_clients;
    bool open, watching;
    struct log_limit strangers, failures;

    unsigned subscribers;    /* atomic */
    unsigned events_waiting; /* atomic: posted, and not yet told */
    unsigned events_lost;    /* atomic: since then */

    struct list gathers; /* gather.c's */
};

/* Takes the socket, which listens. */
void control_open(struct control *c, struct place *place, struct loop *main);
/* One who is there already: takes fd, the keeper's, who hears all events. */
int control_adopt(struct control *c, int fd, struct err *e);
/* Tells it something, without an answer; members: of the params. */
void control_tell_keeper(struct control *c, const char *method,
                         const char *members);
/* The workers run: accepts from now on. */
int control_start(struct control *c, struct err *e);
/* The loops run no more; before loop_close, which calls the rest. Safe on a
 * zero struct. */
void control_close(struct control *c);
/* After loop_close. */
void control_free(struct control *c);

/* A device is freed next. */
void control_forget(struct control *c, struct served *s);

/* [any thread] Something has happened: members of the event's object, the first
 * of which is "event". Takes members. */
void control_event(struct control *c, struct json_out *members);
/* [any thread] Does anybody listen? Else there is no need to say it. */
static inline bool control_wants_events(const struct control *c)
{
    return __atomic_load_n(&c->subscribers, __ATOMIC_RELAXED) > 0;
}
void control_subscribe(struct control *c, struct client *client);

/* keeper.c: what a keeper asks beside what others may. False: nothing of that
 * name. */
bool keeper_find(const char *name, struct command_row *row);

/* throttle.c */
extern const struct conf_table throttle_set_table;
void throttle_run_set(struct request *r);

/* changes.c */
extern const struct conf_table device_add_table;
void changes_run_add(struct request *r);
void changes_run_remove(struct request *r);
void changes_run_reload_device(struct request *r);
void changes_run_reload(struct request *r);

/* hand.c */
extern const struct conf_table hand_over_table;
void hand_over_run(struct request *r);

/* status.c, stats.c: their arguments are a struct command_device */
void status_run(struct request *r);
void stats_run(struct request *r);
void metrics_run(struct request *r);

#endif
