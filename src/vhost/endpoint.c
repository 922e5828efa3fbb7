/* One session at a time is talked to; those before it may still be waiting
 * for their last requests. While one is talked to, further front-ends wait in
 * the listening socket's backlog, unaccepted: that someone waits is noticed
 * once, and then a session that has not said one whole message for a while, or
 * not taken an answer, is dropped in favour of the one that waits. Nobody may
 * be behind it any more: a socket can lie in its own other end, sent and not
 * received, and then does not hang up when all processes have ended. */
#include "vhost/endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "os/door.h"
#include "os/sock.h"
#include "vhost/endpoint_state.h"
#include "vhost/session.h"

#define RETRY_MS 1000
/* What a worker loses to a front-end that stops it, and is dropped for that, is
 * a second or two of these. */
#define SHUN_MS 60000

struct device *endpoint_device(struct endpoint *ep)
{
    return ep->device;
}

uint64_t endpoint_offered(const struct endpoint *ep)
{
    return session_offered(ep->device);
}

const struct endpoint_conf *endpoint_conf(const struct endpoint *ep)
{
    return &ep->conf;
}

struct log_limit *endpoint_limit(struct endpoint *ep, enum endpoint_line line)
{
    return &ep->limits[line];
}

struct closer *endpoint_closer(const struct endpoint *ep)
{
    return ep->closer;
}

struct vring_kept *endpoint_kept(struct endpoint *ep, unsigned index)
{
    return &ep->kept[index];
}

const struct ring_stats *endpoint_ring_stats(const struct endpoint *ep,
                                             unsigned queue)
{
    return &ep->kept[queue].stats;
}

void endpoint_tell(struct endpoint *ep, const struct endpoint_event *e)
{
    if (ep->conf.event)
        ep->conf.event(ep, e, ep->conf.arg);
}

struct session *endpoint_session(const struct endpoint *ep)
{
    return ep->current;
}

unsigned endpoint_draining(const struct endpoint *ep)
{
    unsigned count = 0;

    LIST_EACH (&ep->sessions, node)
        count++;
    return count - (ep->current != NULL);
}

/* ---- what the device asks ---- */

static void host_started(struct device *d, const struct err *e)
{
    struct endpoint *ep = d->host_data;

    LIST_EACH_SAFE (&ep->sessions, node)
        session_device_started(container_of(node, struct session, node), e);
}

static void host_config_changed(struct device *d)
{
    struct endpoint *ep = d->host_data;

    endpoint_tell(ep,
                  &(struct endpoint_event){.what = ENDPOINT_CONFIG_CHANGED});
    ep->config_changed = true;
    if (ep->current)
        session_config_changed(ep->current);
}

static void host_drop(struct device *d, const char *why)
{
    struct endpoint *ep = d->host_data;

    if (ep->current)
        session_end(ep->current, LOG_WARN, why);
}

/* What another process goes on with is not shut down. */
static void host_give_back(struct device *d, int fd)
{
    struct endpoint *ep = d->host_data;

    if (endpoint_is_suspending(ep))
        closer_fd(ep->closer, fd);
    else
        closer_sock(ep->closer, fd);
}

static const struct device_host host = {
    .started = host_started,
    .config_changed = host_config_changed,
    .drop = host_drop,
    .give_back = host_give_back,
    .display_left = suspension_display_left,
};

/* ---- sessions ---- */

/* visit: its fd is the session's. */
static void begin(struct endpoint *ep, const struct door_visit *visit)
{
    ep->current = session_new(ep, visit);
    if (ep->current)
        list_add(&ep->sessions, &ep->current->node);
    else
        log_error(ep->device->id, "no memory for a front-end");
}

void endpoint_visit_ends(struct endpoint *ep, uint64_t number, const char *why)
{
    if (ep->conf.kind == SOCK_DOOR)
        door_end(ep->listen_fd, number, why);
}

static void visit_of(struct door_visit *v, int fd)
{
    *v = (struct door_visit){.fd = fd};
    sock_peer(fd, &v->pid, &v->uid);
}

/* Too much of what front-ends have sent is not closed yet. */
static bool is_choked(const struct endpoint *ep)
{
    return closer_waiting(ep->closer) > CLOSER_MANY;
}

/* As sock_accept. */
static int accept_visit(struct endpoint *ep, struct door_visit *v)
{
    int rc;

    if (ep->conf.kind == SOCK_DOOR) {
        rc = door_accept(ep->listen_fd, v);
        if (rc == 0)
            watch_stop(&ep->watch); /* who brings them is ending this */
        return rc == 0 ? -EAGAIN : rc;
    }
    rc = sock_accept(ep->listen_fd);
    if (rc >= 0)
        visit_of(v, rc);
    return rc;
}

static void accept_next(struct endpoint *ep)
{
    struct door_visit visit;
    int rc;

    if (ep->current || ep->closing || ep->listen_fd < 0 || ep->conf.waits ||
        endpoint_is_suspending(ep))
        return;
    ep->waiting = false;
    if (is_choked(ep)) {
        watch_stop(&ep->watch); /* on_closer_idle goes on */
        return;
    }
    rc = accept_visit(ep, &visit);
    if (rc >= 0) {
        begin(ep, &visit);
    } else if (rc != -EAGAIN && rc != -ECONNABORTED) {
        log_error(ep->device->id, "cannot accept a front-end: %s",
                  strerror(-rc));
        watch_stop(&ep->watch); /* it stays readable: try again later */
        timer_start(&ep->timer, RETRY_MS);
    }
}

static void on_readable(struct watch *w, int status, int events)
{
    struct endpoint *ep = container_of(w, struct endpoint, watch);

    (void)events;
    if (status < 0) {
        log_error(ep->device->id, "the listening socket broke");
        watch_stop(w);
        return;
    }
    if (!ep->current) {
        accept_next(ep);
        return;
    }
    ep->waiting = true;
    watch_stop(w);
    timer_start(&ep->timer, HALF_DONE_MS);
}

void endpoint_listen_again(struct endpoint *ep)
{
    uint64_t now_ns = loop_now_ns();

    if (ep->listen_fd < 0 || ep->closing || ep->conf.waits ||
        endpoint_is_suspending(ep))
        return;
    if (!ep->current && now_ns < ep->shunned_ns) {
        watch_stop(&ep->watch);
        timer_start(&ep->timer, (ep->shunned_ns - now_ns) / 1000000 + 1);
    } else {
        watch_start(&ep->watch, UV_READABLE);
    }
}

static void on_closer_idle(struct mail *m)
{
    struct endpoint *ep = container_of(m, struct endpoint, closer_idle);

    __atomic_store_n(&ep->closer_told, false, __ATOMIC_SEQ_CST);
    if (ep->current)
        conn_unchoke(&ep->current->conn);
    else
        endpoint_listen_again(ep);
}

/* [the closer's thread] */
static void closer_idle(void *arg)
{
    struct endpoint *ep = arg;

    if (!__atomic_exchange_n(&ep->closer_told, true, __ATOMIC_SEQ_CST))
        loop_post(ep->device->home, &ep->closer_idle);
}

static void on_timer(struct timer *t)
{
    struct endpoint *ep = container_of(t, struct endpoint, timer);
    uint64_t since_ns, for_ms;

    if (endpoint_is_suspending(ep)) {
        suspension_late(ep);
        return;
    }
    if (!ep->current)
        endpoint_listen_again(ep);
    /* A session that is not half-done tells when it gets so. */
    if (!ep->waiting || !ep->current ||
        !conn_half_done(&ep->current->conn, &since_ns))
        return;
    for_ms = (loop_now_ns() - since_ns) / 1000000;
    if (for_ms >= HALF_DONE_MS)
        session_end(ep->current, LOG_WARN,
                    "it has sent no whole message, or not taken an answer, for "
                    "some seconds, and another front-end waits");
    else
        timer_start(t, HALF_DONE_MS - for_ms);
}

/* If s has stopped a worker, the next ones wait a while. */
static void shun(struct endpoint *ep, struct session *s)
{
    if (s->shunned || !__atomic_load_n(&s->ambushed, __ATOMIC_RELAXED))
        return;
    s->shunned = true;
    ep->shunned_ns = loop_now_ns() + SHUN_MS * UINT64_C(1000000);
    log_warn(ep->device->id, "no front-end is accepted for %d seconds",
             SHUN_MS / 1000);
}

void endpoint_session_ending(struct endpoint *ep, struct session *s)
{
    if (ep->current != s)
        return;
    ep->current = NULL;
    shun(ep, s);
    endpoint_listen_again(ep);
}

void endpoint_session_over(struct endpoint *ep, struct session *s)
{
    list_del(&s->node);
    /* It may have hung up before it did so, and another one have come. */
    shun(ep, s);
    if (!ep->current)
        endpoint_listen_again(ep);
    if (ep->closing) {
        endpoint_close_when_clear(ep);
        return;
    }
    if (endpoint_is_suspending(ep)) {
        suspension_go_on(ep);
        return;
    }
    if (ep->conf.exit_on_disconnect && ep->conf.disconnected)
        ep->conf.disconnected(ep, ep->conf.arg);
    /* Its successor may have been waiting for this. */
    if (ep->current) {
        session_hold(ep->current);
        session_release(ep->current);
    }
}

void endpoint_mark_run(struct endpoint *ep)
{
    ep->has_run = true;
}

bool endpoint_has_run(const struct endpoint *ep)
{
    return ep->has_run;
}

void endpoint_mark_started(struct endpoint *ep)
{
    ep->has_started = true;
}

bool endpoint_has_started(const struct endpoint *ep)
{
    return ep->has_started;
}

bool endpoint_config_changed(const struct endpoint *ep)
{
    return ep->config_changed;
}

void endpoint_session_half_done(struct endpoint *ep)
{
    if (ep->waiting && !timer_runs(&ep->timer) && !endpoint_is_suspending(ep))
        timer_start(&ep->timer, HALF_DONE_MS);
}

bool endpoint_is_clear(const struct endpoint *ep, const struct session *s)
{
    return ep->sessions.next == &s->node;
}

/* ---- life ---- */

static void on_closed_later(struct mail *m)
{
    struct endpoint *ep = container_of(m, struct endpoint, closed_later);

    suspension_give_up(ep);
    ep->closed(ep, ep->closed_arg);
}

static void handle_gone(struct endpoint *ep)
{
    if (--ep->handles == 0)
        loop_post(ep->device->home, &ep->closed_later);
}

static void on_watch_gone(struct watch *w)
{
    handle_gone(container_of(w, struct endpoint, watch));
}

static void on_timer_gone(struct timer *t)
{
    handle_gone(container_of(t, struct endpoint, timer));
}

void endpoint_close_when_clear(struct endpoint *ep)
{
    if (!list_empty(&ep->sessions))
        return;
    /* No mail of its comes behind closed_later. */
    closer_free(ep->closer);
    ep->closer = NULL;
    if (!ep->started) {
        loop_post(ep->device->home, &ep->closed_later);
        return;
    }
    ep->handles = 1;
    if (ep->listen_fd >= 0) {
        ep->handles++;
        watch_close(&ep->watch);
    }
    timer_close(&ep->timer);
}

/* ---- those who come from another process ---- */

static void on_arrived_later(struct mail *m)
{
    struct endpoint *ep = container_of(m, struct endpoint, arrived_later);

    ep->conf.arrived(ep, ep->not_arrived.code ? &ep->not_arrived : NULL,
                     ep->conf.arg);
}

static void on_prepared_later(struct mail *m)
{
    struct endpoint *ep = container_of(m, struct endpoint, prepared_later);

    if (!ep->closing)
        ep->conf.prepared(ep, ep->conf.arg);
}

static void is_prepared(struct endpoint *ep)
{
    if (!ep->prepared)
        loop_post(ep->device->home, &ep->prepared_later);
    ep->prepared = true;
}

void endpoint_session_arrived(struct endpoint *ep, const char *why)
{
    if (!why && ep->conf.waits) {
        is_prepared(ep);
        return;
    }
    if (!ep->arrival_due)
        return;
    ep->arrival_due = false;
    ep->not_arrived.code = 0;
    if (why)
        err_set(&ep->not_arrived, -ECONNABORTED, "", "%s", why);
    loop_post(ep->device->home, &ep->arrived_later);
}

void endpoint_begin_visitor(struct endpoint *ep, struct endpoint_visitor *v)
{
    struct session *s = session_new_visitor(ep, v);

    if (!s) {
        log_error(ep->device->id, "no memory for a front-end");
        endpoint_session_arrived(ep, "out of memory");
        return;
    }
    ep->current = s;
    list_add(&ep->sessions, &s->node);
    session_resume(s);
}

int endpoint_open(struct endpoint **out, struct device *d,
                  const struct endpoint_conf *c, struct err *e)
{
    struct endpoint *ep = calloc(1, sizeof(*ep));

    if (!ep)
        return err_nomem(e);
    ep->conf = *c;
    ep->device = d;
    ep->listen_fd = ep->connected_fd = ep->visitor.fd = -1;
    ep->closed_later.run = on_closed_later;
    ep->arrived_later.run = on_arrived_later;
    ep->prepared_later.run = on_prepared_later;
    suspension_init(ep);
    ep->closer_idle.run = on_closer_idle;
    list_init(&ep->sessions);
    ep->kept = aligned_alloc(_Alignof(struct vring_kept),
                             d->num_queues * sizeof(*ep->kept));
    ep->closer = closer_new(closer_idle, ep);
    if (!ep->kept || !ep->closer) {
        closer_free(ep->closer);
        free(ep->kept);
        free(ep);
        return err_nomem(e);
    }
    memset(ep->kept, 0, d->num_queues * sizeof(*ep->kept));
    if (c->kind == SOCK_CONNECTED)
        ep->connected_fd = c->fd;
    else
        ep->listen_fd = c->fd;
    d->host = &host;
    d->host_data = ep;
    if (c->visitor) {
        ep->visitor = *c->visitor;
        ep->has_run = ep->visitor.has_run;
        ep->arrival_due = c->arrived != NULL;
        *c->visitor = (struct endpoint_visitor){.fd = -1};
        ep->conf.visitor = NULL;
    }
    *out = ep;
    return 0;
}

int endpoint_start(struct endpoint *ep, struct err *e)
{
    int rc;

    ep->timer.fire = on_timer;
    ep->timer.gone = on_timer_gone;
    ep->watch.ready = on_readable;
    ep->watch.gone = on_watch_gone;
    if (ep->device->ops->begin) {
        rc = ep->device->ops->begin(ep->device, e);
        if (rc < 0)
            return rc;
    }
    if (ep->listen_fd >= 0) {
        rc = watch_open(&ep->watch, ep->device->home, ep->listen_fd);
        if (rc < 0)
            return err_sys(e, -rc, "", "cannot watch the listening socket");
        if (!ep->conf.waits)
            watch_start(&ep->watch, UV_READABLE);
    }
    timer_open(&ep->timer, ep->device->home);
    ep->started = true;
    if (ep->connected_fd >= 0) {
        struct door_visit visit;

        visit_of(&visit, ep->connected_fd);
        ep->connected_fd = -1;
        begin(ep, &visit);
    }
    if (ep->visitor.fd >= 0)
        endpoint_begin_visitor(ep, &ep->visitor);
    else
        endpoint_session_arrived(ep, NULL);
    return 0;
}

void endpoint_go(struct endpoint *ep)
{
    ep->conf.waits = ep->conf.borrowed = false;
    endpoint_listen_again(ep);
    if (ep->current)
        session_go(ep->current);
    else
        endpoint_session_arrived(ep, NULL);
}

void endpoint_close(struct endpoint *ep,
                    void (*closed)(struct endpoint *ep, void *arg), void *arg)
{
    if (ep->closing)
        return;
    ep->closing = true;
    ep->closed = closed;
    ep->closed_arg = arg;
    if (ep->listen_fd >= 0 && ep->conf.path && !ep->conf.borrowed)
        sock_unlink(ep->conf.path);
    if (ep->current)
        session_end(ep->current, LOG_INFO, "its device is closed");
    endpoint_close_when_clear(ep);
}

void endpoint_free(struct endpoint *ep)
{
    if (ep->listen_fd >= 0 && ep->conf.path && !ep->closing &&
        !ep->conf.borrowed)
        sock_unlink(ep->conf.path);
    if (ep->listen_fd >= 0)
        close(ep->listen_fd);
    if (ep->connected_fd >= 0)
        close(ep->connected_fd);
    endpoint_visitor_drop(&ep->visitor);
    ep->device->ops->close(ep->device);
    closer_free(ep->closer);
    free(ep->kept);
    free(ep);
}

void endpoint_refresh(struct endpoint *ep)
{
    if (ep->device->ops->refresh)
        ep->device->ops->refresh(ep->device);
}
