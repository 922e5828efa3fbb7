/* vhost/endpoint.h: one device on one unix socket.
 *
 * Spec: vhost-user. The listening socket is the same until close; front-ends
 * come and go on it, one at a time, the next ones wait. The endpoint owns its
 * device from endpoint_open on. Threads: open, before the loops run; the rest
 * on the device's home loop. */
#ifndef VUB_VHOST_ENDPOINT_H
#define VUB_VHOST_ENDPOINT_H

#include "base/err.h"
#include "os/sock.h"
#include "virtio/device.h"

struct endpoint;
struct json_out;
struct metrics;

/* Something has happened that somebody may want to know of. */
struct endpoint_event {
    enum {
        ENDPOINT_CONNECTED,      /* pid, uid */
        ENDPOINT_DISCONNECTED,   /* pid, uid, why */
        ENDPOINT_RING_BROKEN,    /* ring, why */
        ENDPOINT_CONFIG_CHANGED, /* the config space */
    } what;
    int pid;
    unsigned uid, ring;
    const char *why; /* a clause; good for the call */
};

/* A front-end that is served, on its way to another process. */
struct endpoint_visitor {
    int fd; /* the connection; between two messages. -1: nobody is served */
    int pid;
    unsigned uid;
    struct transcript *said; /* vhost/transcript.h; NULL with fd -1 */
    bool has_run; /* rings of this device have run there: an in-flight record
                   * in use does not tell of a crash */
};

/* Closes what is in it, and leaves the connection as it is for others. */
void endpoint_visitor_drop(struct endpoint_visitor *v);

struct endpoint_conf {
    int fd;              /* its socket: if it listens it is accepted on, if
                          * it is connected it is used, if it is a door its
                          * visits are. Taken */
    enum sock_kind kind; /* which of these */
    const char *path;    /* of its file, which is removed at the end; NULL: it
                          * was given to us. Kept by the caller */
    uint16_t queue_size; /* largest ring accepted */
    uint32_t drain_timeout_ms; /* after it a session ends whose requests do
                                * not */
    /* A front-end whose rings a back-end before us has run is answered when
     * they run again, not before: it says no more until then. For the next
     * child of an isolated device, whose front-end may be about to stop them
     * (vhost/relay.h). */
    bool recovers_first;
    bool any_memory; /* guest memory may be any file, see memory_is_ram */
    bool exit_on_disconnect;
    /* [home] With exit_on_disconnect: the front-end has gone. */
    void (*disconnected)(struct endpoint *ep, void *arg);
    /* [any of the device's loops] NULL: nobody wants to know. */
    void (*event)(struct endpoint *ep, const struct endpoint_event *event,
                  void *arg);
    void *arg;
    /* One that another process has served so far: it is told again what it has
     * said, and nothing of it is answered. Taken, what is in it, by an
     * endpoint_open that succeeds; NULL: nobody. With kind SOCK_CONNECTED fd is
     * -1 then. */
    struct endpoint_visitor *visitor;
    /* [home, never from inside] All of that is done and the device has started,
     * if rings run (e NULL); or why not: the session has ended, and the
     * connection was neither read nor shut down, so whoever has a copy may go
     * on with it. Once, if there is a visitor; NULL: nobody wants to know. From
     * then on what was handed on is out of date elsewhere. */
    void (*arrived)(struct endpoint *ep, const struct err *e, void *arg);
    /* Nobody is accepted, and no ring starts, before endpoint_go(): another
     * process may have it all back until then. prepared [home, never from
     * inside]: the visitor, if there is one, has told all that he has said, and
     * nothing was refused; else arrived says why. */
    bool waits;
    void (*prepared)(struct endpoint *ep, void *arg);
    bool borrowed; /* with waits: the socket's file is not ours to remove yet */
};

/* d->home and d->ring_loop are set. On failure d is still the caller's, and so
 * is the socket. */
int endpoint_open(struct endpoint **out, struct device *d,
                  const struct endpoint_conf *c, struct err *e);
/* [home] Accepts from now on. */
int endpoint_start(struct endpoint *ep, struct err *e);
/* [home] With waits, once, after prepared: whatever is there may run. arrived
 * comes. */
void endpoint_go(struct endpoint *ep);
/* [home] Ends the session: rings are drained first, within the drain
 * time-out. Removes the socket file, then calls closed (once, [home], never
 * from inside). Safe twice. */
void endpoint_close(struct endpoint *ep,
                    void (*closed)(struct endpoint *ep, void *arg), void *arg);
/* [home, after endpoint_start] As endpoint_close, but the front-end is to
 * notice nothing, and so is whoever connects: rings are drained and stopped,
 * the device is told to save what it knows, and the socket's file stays. Then
 * suspended (once, [home], never from inside): e NULL, and who was served (fd
 * -1: nobody), what is in it is the caller's; closed comes after it, as for
 * endpoint_close. Or why it cannot be handed on (visitor NULL): it goes on as
 * it was, and closed does not come. After endpoint_close it may not be called;
 * that may be called at any time, and it is closed then. */
void endpoint_suspend(struct endpoint *ep,
                      void (*suspended)(struct endpoint *ep,
                                        struct endpoint_visitor *visitor,
                                        const struct err *e, void *arg),
                      void (*closed)(struct endpoint *ep, void *arg),
                      void *arg);
/* After closed, or if never started: frees it and closes its device. */
void endpoint_free(struct endpoint *ep);

/* [home] SIGHUP: the device looks at its source again. */
void endpoint_refresh(struct endpoint *ep);

/* [home] Adds members to an object: the state, the front-end, what it has
 * negotiated, and the rings with their counters. */
void endpoint_status(struct endpoint *ep, struct json_out *o);
/* [home] Of that only the state, and all numbers of the rings. */
void endpoint_stats(struct endpoint *ep, struct json_out *o);
void endpoint_metrics(struct endpoint *ep, struct metrics *m);

struct device *endpoint_device(struct endpoint *ep);
/* The features that front-ends are offered. */
uint64_t endpoint_offered(const struct endpoint *ep);
/* [any] Counters of a queue, since endpoint_open; good until endpoint_free. */
const struct ring_stats *endpoint_ring_stats(const struct endpoint *ep,
                                             unsigned queue);

#endif
