/* vhost/vring.h: the life of one ring of a session.
 *
 * Spec: vhost-user, "Ring states". A message issues at most one command per
 * vring; so a vring has at most one under way, and needs no lock. A vring has
 * two halves. The home half is what the front-end has said so far (size,
 * addresses, fds); it is touched on the session's home loop while no command is
 * under way. The run half is the ring itself, touched on its own loop only.
 * Commands go from one to the other by mail, one at a time, and the session
 * answers the front-end when all have come back:
 *
 *        start              stop: no new requests, then nothing in flight
 *     STOPPED ----> STARTED ----> STOPPED
 *
 * A vring that is STOPPED has no handles, no ring memory, and may be freed. */
#ifndef VUB_VHOST_VRING_H
#define VUB_VHOST_VRING_H

#include "base/log.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/watch.h"
#include "virtio/device.h"
#include "virtio/dirty.h"
#include "virtio/ring.h"

struct session;

/* What a ring of a device keeps from one session to the next. */
struct vring_kept {
    struct ring_stats stats; /* since the device was opened */
    struct log_limit limit;  /* of lines that a guest can cause */
} __attribute__((aligned(64)));

struct vring {
    struct session *session;
    struct device *device;
    struct vring_kept *kept; /* the endpoint's */
    struct loop *loop, *home;
    unsigned index;
    uint32_t drain_timeout_ms;

    /* home half */
    struct {
        uint16_t size; /* 0: not said */
        uint32_t base; /* as SET_VRING_BASE has it */
        bool has_addr, has_kick;
        uint64_t desc, driver, device; /* user addresses */
        bool log_used;
        uint64_t log_gpa;
        int kick_fd, call_fd, err_fd; /* until start takes the first; -1 */
        bool started;                 /* the run half lives */
        bool enabled;
    } set;

    /* the command under way; home -> ring -> home */
    struct {
        struct mail there, back;
        void (*run)(struct vring *v);
        void (*then)(struct vring *v); /* [home] before the session goes on */
        bool busy;
        struct ring_setup setup;
        struct mem *mem;
        struct dirty *dirty;
        void *parts[3];
        int fd;
        int rc;
    } cmd;

    /* run half */
    struct ring ring;
    struct watch kick;
    struct spin spin;
    struct defer flush, wanted; /* wanted: a kick, by the device */
    struct timer timer;
    int kick_fd, call_fd, err_fd;
    bool device_started; /* ring_start has succeeded */
    bool polled;         /* a NOFD kick */
    bool stopping;       /* as soon as what was recovered is taken */
    bool draining, hurried;
    int closing; /* handles whose gone is waited for */
    bool told_broken, told_fatal;
    struct mail fatal; /* to home: end the session */
    const char *fatal_why;
};

/* Fills v, STOPPED and disabled. */
void vring_init(struct vring *v, struct session *s, struct device *d,
                unsigned index, struct vring_kept *kept,
                uint32_t drain_timeout_ms);
/* STOPPED; closes the fds it was given. */
void vring_fini(struct vring *v);

/* All of these are [home], and end in session_release() when the ring has
 * done it; session_hold() was called inside. */

/* cmd.setup is filled; the started ring owns kick and call fds. */
void vring_start(struct vring *v);
/* It cannot start: told like a broken one. A new kick fd tries again. */
void vring_refuse(struct vring *v, const char *why);
/* Drains. v->set.base is the new base then. */
void vring_stop(struct vring *v);
/* Enabled and logged as v->set says, in this log (NULL: none). */
void vring_update(struct vring *v, struct dirty *dirty);
/* Takes a ref of mem; parts: host addresses, or NULL in the first: the ring
 * does not lie in it and breaks. */
void vring_set_mem(struct vring *v, struct mem *mem, void *const parts[3]);
/* Take fd (-1: none), of a started ring. */
void vring_set_kick(struct vring *v, int fd);
void vring_set_call(struct vring *v, int fd);
void vring_set_err(struct vring *v, int fd);

#endif
