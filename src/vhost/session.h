/* vhost/session.h: one connection of a front-end, from accept to the last
 * request answered.
 *
 * One message is handled at a time. A handler may ask things of rings on other
 * loops; the message is answered when all have come back: session_hold counts
 * what is waited for, session_release gives it back, at zero the answer goes.
 *
 * A session whose front-end has gone lives on until its rings are drained;
 * meanwhile the endpoint may have the next one, which starts no ring before.
 *
 * A front-end may be handed on to another process: between two messages the
 * rings are drained, and the session parts with its connection and with what
 * has been said there. The other way round a session begins with being told
 * that again (vhost/resume.c); it hears nothing else before, and answers
 * nothing of it.
 * Threads: the device's home loop, but for what vring.h says. */
#ifndef VUB_VHOST_SESSION_H
#define VUB_VHOST_SESSION_H

#include "base/log.h"
#include "vhost/conn.h"
#include "vhost/transcript.h"
#include "vhost/vring.h"
#include "virtio/inflight.h"

struct endpoint;
struct endpoint_visitor;
struct backend;
struct door_visit;

struct session {
    struct endpoint *endpoint;
    struct device *device;
    struct conn conn;
    struct transcript *said;
    int peer_pid;
    unsigned peer_uid;
    uint64_t visit; /* its number at a door */
    bool heard;     /* something of the front-end behind it */

    uint64_t protocol; /* protocol features acked */
    uint64_t features;
    bool has_features, warned_features, warned_protocol, warned_memory;
    struct mem *mem;
    struct dirty *dirty;
    bool record_sent; /* an fd in an answer */
    struct inflight *inflight;
    struct backend *backend; /* back-end channel, or NULL */
    struct vring vrings[DEVICE_MAX_QUEUES];
    unsigned num_vrings;

    /* the device, as this session drives it */
    enum { DEVICE_STOPPED, DEVICE_STARTING, DEVICE_STARTED } device_state;
    bool start_held;     /* what was said waits for its start */
    bool config_changed; /* to be told when a ring runs */
    bool has_display;    /* it gave the device one */

    /* what another process has heard */
    bool telling;   /* it is told again */
    bool held;      /* no ring starts before session_go */
    bool resumed;   /* it was: the front-end knows us as somebody else */
    bool in_resume; /* resume_next runs: not again from inside */
    bool arrived;   /* all of it is done, and the device has started */
    unsigned next_told;
    struct msg told_msg; /* with fds of its own */

    /* for another process */
    bool leaving;       /* no more messages; rings stop when there is none */
    bool parting;       /* rings are being stopped for that */
    bool display_waits; /* one that the device has not been given */

    /* the message being handled */
    struct msg *msg;
    struct msg *queued; /* came while rings were starting */
    unsigned holds;
    int result; /* of the message: 0 or negative */
    struct err err;
    /* Builds the answer when the last hold is gone; NULL: an ack if asked. */
    void (*finish)(struct session *s);
    bool replied;

    bool ending, conn_gone;
    bool has_run;    /* a ring */
    bool told;       /* who it is */
    bool start_told; /* that rings run, since none did */
    bool recovered;  /* the device, when it was started */
    bool ambushed;   /* atomic: an eventfd of it was made to block */
    bool shunned;    /* and its successors wait for that */
    bool left;       /* the front-end hung up, with no ring running */
    struct mail end_later;
    struct list node; /* endpoint's list of sessions */
};

/* Takes the visit's fd. NULL: no memory, it is closed. */
struct session *session_new(struct endpoint *ep,
                            const struct door_visit *visit);
/* The same for one that has been served elsewhere: what is in it is taken, in
 * any case. Then session_resume(). NULL: no memory. */
struct session *session_new_visitor(struct endpoint *ep,
                                    struct endpoint_visitor *visitor);
/* The front-end has gone or must go; why is logged, NULL: nothing is. Safe
 * twice. endpoint_session_over comes when all is drained. */
void session_end(struct session *s, enum log_level level, const char *why);

/* Does any ring run? */
bool session_runs(const struct session *s);

void session_hold(struct session *s);
void session_release(struct session *s);

/* Sends the answer of the message being handled. fd: -1 or closed after. */
void session_reply(struct session *s, const void *payload, uint32_t len,
                   int fd);

/* Starts every ring that has become ready (vhost/message_ring.c). */
void session_start_rings(struct session *s);
/* [home] The device has answered its start. */
void session_device_started(struct session *s, const struct err *e);
/* No ring runs any more: lets the device stop. */
void session_rings_stopped(struct session *s);
void session_config_changed(struct session *s);
/* The front-end is to be handed on: endpoint_session_parted() comes, unless the
 * session ends before. */
void session_leave(struct session *s);

/* vhost/resume.c: what the front-end has said is told again. */
void session_resume(struct session *s);
/* What waits for that may run: endpoint_conf.waits. */
void session_go(struct session *s);
/* The front-end has gone before it has arrived: that is nobody's fault. */
void resume_left(struct session *s);
/* The message being told is dealt with: goes on. */
void resume_next(struct session *s);
/* The device has started. */
void resume_look(struct session *s);
/* The session ends; if it has not arrived yet, that is why. */
void resume_fails(struct session *s, const char *why);

/* The features that are offered to front-ends. */
uint64_t session_offered(const struct device *d);

/* vhost/message.c: looks the message up, checks its form, handles it. */
void session_handle(struct session *s, struct msg *m);

/* What a front-end forgot when memory is not shared, as a clause. */
#define MEMORY_HINT                                                            \
    "is all guest memory shared? QEMU: -object memory-backend-memfd,id=mem,"   \
    "size=SIZE,share=on -machine memory-backend=mem"

#endif
