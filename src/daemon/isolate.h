/* daemon/isolate.h: "isolation": "process": a device in a process of its own.
 *
 * This process is the device's keeper: it has the device's socket and its
 * front-ends, which a relay (vhost/relay.h) passes on, and starts the process
 * that serves them, again and again if that ends. The broker makes it, a fork
 * of itself that goes on as a vub of this one device: it looks the device up in
 * the config by itself, and takes nothing from us but four descriptors: a door
 * (os/door.h), by which front-ends come to it; a connection on which kept
 * memory (os/keep.h) is told and given back; one on which it is controlled as
 * vub is by the control socket, and which ends it; and one for its log.
 *
 * A guest may have taken that process over: what it says is believed only of
 * its own device.
 *
 * Threads: the main one; open: any. */
#ifndef VUB_DAEMON_ISOLATE_H
#define VUB_DAEMON_ISOLATE_H

#include "daemon/config.h"
#include "loop/loop.h"
#include "vhost/endpoint.h"

struct isolated;
struct keep_item;
struct place;
struct sandbox_rules;

static inline bool isolate_wanted(const struct conf_any *device)
{
    const struct device_common *common = device->data;

    return common->isolation == ISOLATION_PROCESS;
}

/* The rules between devices that isolation makes. Devices may have bad keys. */
void isolate_check(const struct config *c, struct errs *e);

/* ---- the keeper ---- */

struct isolate_events {
    /* It is closed, and its process has ended. */
    void (*closed)(void *arg);
    void (*suspended)(struct endpoint_visitor *visitor, struct keep_item *kept,
                      int count, void *arg);
    /* It is not suspended, and goes on. */
    void (*stays)(const struct err *e, void *arg);
    /* The visitor is served here, or why not. */
    void (*arrived)(const struct err *e, void *arg);
    /* The front-end has gone, and on_disconnect is "exit". */
    void (*left)(void *arg);
    void (*event)(const struct endpoint_event *event, void *arg);
    /* Members of an event that the process, or we, tell of; taken. */
    void (*told)(struct json_out *members, void *arg);
    void *arg;
};

/* What another vub has kept of it: its process finds it. Taken; the list is the
 * caller's. */
struct isolate_inherited {
    const struct keep_item *items;
    int count;
};

/* Starts a process for the device, which opens it. reread: the config was read
 * later than the broker has it. kept: NULL: nothing. NULL: no memory, and kept
 * is the caller's. [any thread] */
struct isolated *isolate_begin(const struct conf_any *device, bool reread,
                               const struct isolate_inherited *kept);
/* Waits until it has: errors are those of opening it, and isolate_free follows.
 * [any thread] */
int isolate_await(struct isolated *i, struct errs *e);
/* Takes the socket, and the visitor, if there is one: endpoint.h. */
int isolate_place(struct isolated *i, struct place *place,
                  struct endpoint_visitor *visitor, struct loop *main,
                  const struct isolate_events *events, struct err *e);
/* Front-ends are served from now on. */
int isolate_start(struct isolated *i, struct err *e);
/* Another vub is to go on with it: as endpoint_suspend, the front-end notices
 * nothing, and the socket's file stays. If its process has what would be lost
 * with it: stays. Else that ends, and then: suspended, with who was served (fd
 * -1: nobody), the caller's, and what is kept, whose fds are the caller's, and
 * the list to be freed; and closed. After isolate_start; isolate_close may come
 * meanwhile, then closed comes alone. */
void isolate_suspend(struct isolated *i);
/* The front-end is let go, and the process ends; then closed, never from
 * inside. Of one that was started. Safe twice. */
void isolate_close(struct isolated *i);
/* After closed, or when no loop runs, or of one that was not placed: what is
 * left of its process ends. Its loop has some turns to go. */
void isolate_free(struct isolated *i);

/* How often its process has been started again. */
unsigned isolate_restarts(const struct isolated *i);
/* Adds a member "process": which one, and what has become of those before. */
void isolate_status(const struct isolated *i, struct json_out *o);

/* ---- what the process is asked ---- */

struct isolate_call {
    /* One of both: members of the result, as the process has written them, or
     * the object of an error. Both NULL: the process was lost meanwhile. Good
     * for the call. */
    void (*answered)(struct isolate_call *c, const char *members,
                     const char *error);

    /* It is about what the guest does: asked when the process knows the guest
     * that is there. */
    bool waits;

    /* isolate's */
    struct list node;
    uint64_t id;
    char *method, *params; /* while it waits */
    bool cancelled;        /* likewise */
};

/* params: JSON; NULL: none. Always answered, but never from inside; with why it
 * was not asked in e: not at all. */
int isolate_ask(struct isolated *i, struct isolate_call *c, const char *method,
                const char *params, struct err *e);
/* Nobody waits for the answer any more, which comes all the same. */
void isolate_cancel(struct isolated *i, struct isolate_call *c);
/* Nobody wants to hear the answer, which does not come then. */
void isolate_forget(struct isolate_call *c);
/* Its config says other limits of throttles now, and nothing else: its process
 * is told. */
void isolate_adjusted(struct isolated *i);
/* The source of the config may have changed. */
void isolate_refresh(struct isolated *i);
/* The level and format of log lines have changed. */
void isolate_set_log(struct isolated *i);

/* ---- the process ---- */

/* What it has. */
struct isolate_ends {
    int door, keep, control;
};

/* What sandbox_rules.spawn is: rules are of a struct confine. */
int isolate_spawn(const struct sandbox_rules *rules, const char *id,
                  bool reread, const int *fds);

#endif
