/* vhost/endpoint_impl.h: what a session asks of its endpoint. For vhost/. */
#ifndef VUB_VHOST_ENDPOINT_IMPL_H
#define VUB_VHOST_ENDPOINT_IMPL_H

#include "base/log.h"
#include "vhost/endpoint.h"

struct closer;
struct endpoint_visitor;
struct session;
struct vring_kept;

/* Lines that a front-end can cause by coming and going: one limit for each
 * kind, for all sessions. */
enum endpoint_line {
    LINE_CONNECTED,
    LINE_STARTING,
    LINE_GONE,
    LINE_REFUSED, /* a message */
    LINE_ODD,     /* it asks for what it cannot have */
    LINES,
};

const struct endpoint_conf *endpoint_conf(const struct endpoint *ep);
struct log_limit *endpoint_limit(struct endpoint *ep, enum endpoint_line line);
/* Of whatever its front-ends send. */
struct closer *endpoint_closer(const struct endpoint *ep);
/* Of ring `index`, over all sessions. */
struct vring_kept *endpoint_kept(struct endpoint *ep, unsigned index);
/* [any of the device's loops] Tells of e, if somebody wants to know. */
void endpoint_tell(struct endpoint *ep, const struct endpoint_event *e);
/* Whose front-end is there; NULL: none is. */
struct session *endpoint_session(const struct endpoint *ep);
/* [home] "none", "connected" or "running". */
const char *endpoint_state(struct endpoint *ep);
/* stats.c: members of an object. */
void stats_add_counters(struct json_out *o, const struct ring_stats *s);
/* How many live whose front-end has gone: their requests are waited for. */
unsigned endpoint_draining(const struct endpoint *ep);
/* The front-end is to go, and why: a clause, or NULL. If it came by a door,
 * that is said there. */
void endpoint_visit_ends(struct endpoint *ep, uint64_t number, const char *why);
/* The front-end has gone: the next one may be accepted. */
void endpoint_session_ending(struct endpoint *ep, struct session *s);
/* The last request is answered; s is freed after this. */
void endpoint_session_over(struct endpoint *ep, struct session *s);
/* suspend.c: the front-end is to be handed on, or has been. */
bool endpoint_is_suspending(const struct endpoint *ep);
/* s has let its front-end go, which is taken; it will be over soon. */
void endpoint_session_parted(struct endpoint *ep, struct session *s,
                             const struct endpoint_visitor *v);
/* device_host.display_left */
void suspension_display_left(struct device *d, bool whole);
/* The visitor has been told all, or why not. */
void endpoint_session_arrived(struct endpoint *ep, const char *why);
/* Rings of this device run, or have run, in this process. */
void endpoint_mark_run(struct endpoint *ep);
bool endpoint_has_run(const struct endpoint *ep);
/* This device has started, here. */
void endpoint_mark_started(struct endpoint *ep);
bool endpoint_has_started(const struct endpoint *ep);
/* Has the config space changed since the device was opened? A front-end that
 * comes may know it from before. */
bool endpoint_config_changed(const struct endpoint *ep);
/* The current session has begun a message and not ended it. */
void endpoint_session_half_done(struct endpoint *ep);
/* Has every session before s answered its last request? */
bool endpoint_is_clear(const struct endpoint *ep, const struct session *s);

#endif
