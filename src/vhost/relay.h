/* vhost/relay.h: the keeper's side of an isolated device: front-ends' messages
 * to a child that serves them, and its answers back.
 *
 * The relay has the device's socket and its front-ends' connections, one at a
 * time as an endpoint does. To the child it speaks vhost-user too, over a
 * socketpair for each front-end: a leg. One message at a time goes there and is
 * answered before the next one, so the relay knows what the child has done. It
 * keeps a transcript of that: if the child is lost the front-end waits, the
 * next child is told the transcript, and then the message that was not
 * answered. Guest memory, kicks and calls go from the front-end's hands to the
 * child's: data never comes by here, but for what a GPU shows (relay_display).
 *
 * The child is trusted no more than the front-end: a guest may have taken it
 * over. What it says wrongly ends its own front-end's session.
 *
 * Who owns the relay starts children, and tells of them:
 *
 *     relay_start
 *       relay_child_here          a child is ready; its front-end is passed
 *         pass(leg) ...           one for each front-end
 *         relay_leg_ended         it has ended that session on purpose
 *       relay_child_lost          front-ends wait for
 *       relay_child_here          the next one
 *     relay_close
 *
 * The child's endpoint is opened with recovers_first: else a front-end could be
 * told that a ring has stopped whose requests in flight nobody has served.
 * Threads: the device's home loop in the keeper; open, before the loops run. */
#ifndef VUB_VHOST_RELAY_H
#define VUB_VHOST_RELAY_H

#include "loop/loop.h"
#include "vhost/endpoint.h"

struct relay;

struct relay_conf {
    const char *id;    /* of the device, for log lines; kept by the caller */
    struct loop *home; /* everything here runs on it */
    /* As in endpoint_conf; arrived, when a child has been told all. */
    int fd;
    enum sock_kind kind;
    const char *path;
    uint16_t queue_size;
    bool config_acts; /* as in device_ops: SET_CONFIG is not told again */
    struct endpoint_visitor *visitor;
    void (*arrived)(struct relay *r, const struct err *e, void *arg);
    bool exit_on_disconnect;
    void (*disconnected)(struct relay *r, void *arg);

    /* Gives fd, taken, to the child, over its door, with who is at the other
     * end of the connection. leg: its number, of which no two are the same, and
     * none is 0; by it relay_leg_ended is told. Negative errno: the child is
     * not to be reached; relay_child_lost follows soon. */
    int (*pass)(struct relay *r, uint64_t leg, int fd, int pid, unsigned uid,
                void *arg);
    /* ENDPOINT_CONNECTED and ENDPOINT_DISCONNECTED: once for each front-end,
     * however many children serve it; those of the child's are of legs. NULL:
     * nobody wants to know. */
    void (*event)(struct relay *r, const struct endpoint_event *event,
                  void *arg);
    /* What relay_is_telling says has become false. NULL: likewise. */
    void (*told)(struct relay *r, void *arg);
    /* The child has not answered a message for answer_ms; what: its name. It is
     * to be ended: nothing more comes of it. 0: it has as long as it likes. */
    uint64_t answer_ms;
    void (*overdue)(struct relay *r, const char *what, void *arg);
    void *arg; /* of all calls */
};

/* On failure the socket (and the visitor) is still the caller's. */
int relay_open(struct relay **out, const struct relay_conf *c, struct err *e);
/* Front-ends are accepted whenever a child is here. */
int relay_start(struct relay *r, struct err *e);

/* A child waits at its door. May call pass. */
void relay_child_here(struct relay *r);
/* Does the child that is here not know yet all that the front-end has said? */
bool relay_is_telling(const struct relay *r);
/* The child is lost, and its legs with it: the front-end waits. Safe if none
 * was here. */
void relay_child_lost(struct relay *r);
/* The child says that it ends the session of this leg, and why: a clause, or
 * NULL; its front-end's connection is closed. A leg that ends without that
 * waits for relay_child_lost, some seconds. */
void relay_leg_ended(struct relay *r, uint64_t leg, const char *why);
/* No child comes in sensible time: the front-end that waits is dropped, and the
 * next one is accepted when a child is here. why: a clause. */
void relay_give_up(struct relay *r, const char *why);

/* Ends the front-end's connection and the leg, and removes the socket file;
 * then calls closed (once, never from inside). What the child has under way it
 * drains by itself: its door ends it. Safe twice. */
void relay_close(struct relay *r, void (*closed)(struct relay *r, void *arg),
                 void *arg);
/* [after relay_start] The front-end is handed on, as endpoint_suspend does it:
 * its rings are drained and stopped by the child, and nobody is accepted any
 * more. Then suspended (once, never from inside): who was served (fd -1:
 * nobody, or it could not be handed on and is dropped), what is in it is the
 * caller's. visitor NULL: relay_close came first. After it the leg is still
 * open, for to a child whose front-end hangs up the guest is gone for good: the
 * child is to be ended, and then the relay to be closed, which leaves the
 * socket's file. To go on here after all: another relay with that visitor. */
void relay_suspend(struct relay *r,
                   void (*suspended)(struct relay *r,
                                     struct endpoint_visitor *visitor,
                                     void *arg),
                   void *arg);
/* After closed, or if never started. */
void relay_free(struct relay *r);

/* Members of an object: "front_end" with its process and whether it waits for a
 * child. */
void relay_status(const struct relay *r, struct json_out *o);

#endif
