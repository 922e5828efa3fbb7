/* A relay has one front-end at a time, as an endpoint has one session, and for
 * the same reason drops one that has not said a whole message, or not taken an
 * answer, if another one waits: the child sees whole messages only, and cannot
 * tell. A front-end that waits for the child is not half-done.
 *
 * Nobody is accepted while no child is here: who connects waits in the backlog,
 * and sees nothing worse than a slow answer. */
#include "vhost/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_out.h"
#include "vhost/relay_impl.h"

#define HALF_DONE_MS 3000
#define RETRY_MS 1000
/* The display, and then what the front-end owes us. */
#define SUSPEND_MS 1000

struct log_limit *relay_limit(struct relay *r, enum relay_line line)
{
    return &r->limits[line];
}

void relay_tell(struct relay *r, const struct endpoint_event *e)
{
    if (r->conf.event)
        r->conf.event(r, e, r->conf.arg);
}

/* ---- front-ends ---- */

static void begin(struct relay *r, const struct endpoint_visitor *v)
{
    r->current = relay_session_new(r, v);
    if (!r->current) {
        log_error(r->conf.id, "no memory for a front-end");
        if (v->said)
            relay_session_arrived(
                r, &(struct err){.code = -ENOMEM, .text = "no memory"});
        return;
    }
    r->sessions++;
    relay_session_child_here(r->current);
}

static bool may_accept(const struct relay *r)
{
    return r->started && r->child && !r->current && !r->closing &&
           !r->suspending;
}

static void accept_next(struct relay *r)
{
    struct endpoint_visitor v = {.fd = -1};
    int fd;

    r->waiting = false;
    if (closer_waiting(r->closer) > CLOSER_MANY) {
        watch_stop(&r->watch); /* on_closer_idle goes on */
        return;
    }
    fd = sock_accept(r->listen_fd);
    if (fd >= 0) {
        v.fd = fd;
        sock_peer(fd, &v.pid, &v.uid);
        begin(r, &v);
    } else if (fd != -EAGAIN && fd != -ECONNABORTED) {
        log_error(r->conf.id, "cannot accept a front-end: %s", strerror(-fd));
        watch_stop(&r->watch); /* it stays readable: try again later */
        timer_start(&r->timer, RETRY_MS);
    }
}

static void on_readable(struct watch *w, int status, int events)
{
    struct relay *r = container_of(w, struct relay, watch);

    (void)events;
    if (status < 0) {
        log_error(r->conf.id, "the listening socket broke");
        watch_stop(w);
    } else if (may_accept(r)) {
        accept_next(r);
    } else {
        watch_stop(w);
        if (!r->current)
            return;
        r->waiting = true;
        timer_start(&r->timer, HALF_DONE_MS);
    }
}

/* If nobody is there: whoever comes next. */
static void go_on(struct relay *r)
{
    struct endpoint_visitor v = r->visitor;

    if (!may_accept(r))
        return;
    if (v.fd >= 0) {
        r->visitor = (struct endpoint_visitor){.fd = -1};
        begin(r, &v);
    } else if (r->connected_fd >= 0) {
        v.fd = r->connected_fd;
        r->connected_fd = -1;
        sock_peer(v.fd, &v.pid, &v.uid);
        begin(r, &v);
    } else if (r->listen_fd >= 0) {
        watch_start(&r->watch, UV_READABLE);
    }
}

static void on_timer(struct timer *t)
{
    struct relay *r = container_of(t, struct relay, timer);
    uint64_t since_ns, for_ms;

    if (r->suspending) {
        if (r->current)
            relay_session_late(r->current);
        return;
    }
    go_on(r);
    /* A session that is not half-done tells when it gets so. */
    if (!r->waiting || !r->current || r->current->msg ||
        !conn_half_done(&r->current->front, &since_ns))
        return;
    for_ms = (loop_now_ns() - since_ns) / 1000000;
    if (for_ms >= HALF_DONE_MS)
        relay_session_end(
            r->current, LOG_WARN,
            "it has sent no whole message, or not taken an answer, for some "
            "seconds, and another front-end waits");
    else
        timer_start(t, HALF_DONE_MS - for_ms);
}

void relay_session_half_done(struct relay *r)
{
    if (r->waiting && !timer_runs(&r->timer) && !r->suspending)
        timer_start(&r->timer, HALF_DONE_MS);
}

bool relay_is_telling(const struct relay *r)
{
    return r->child && r->current && !r->current->told;
}

void relay_session_knows(struct relay *r)
{
    if (r->conf.told)
        r->conf.told(r, r->conf.arg);
}

void relay_session_ending(struct relay *r, struct relay_session *s)
{
    if (r->current != s)
        return;
    r->current = NULL;
    relay_session_knows(r);
    if (s->arriving)
        relay_session_arrived(
            r, &(struct err){.code = -ECONNRESET, .text = "it has ended"});
    if (r->suspending)
        loop_post(r->conf.home, &r->suspended_later);
    go_on(r);
}

/* ---- the closer ---- */

static void on_closer_idle(struct mail *m)
{
    struct relay *r = container_of(m, struct relay, closer_idle);

    __atomic_store_n(&r->closer_told, false, __ATOMIC_SEQ_CST);
    if (!r->current) {
        go_on(r);
        return;
    }
    conn_unchoke(&r->current->front);
    if (r->current && r->current->leg)
        conn_unchoke(&r->current->leg->conn);
}

/* [the closer's thread] */
static void closer_idle(void *arg)
{
    struct relay *r = arg;

    if (!__atomic_exchange_n(&r->closer_told, true, __ATOMIC_SEQ_CST))
        loop_post(r->conf.home, &r->closer_idle);
}

/* ---- the owner's word ---- */

void relay_child_here(struct relay *r)
{
    if (r->child)
        return;
    r->child = true;
    if (r->current)
        relay_session_child_here(r->current);
    else
        go_on(r);
}

void relay_child_lost(struct relay *r)
{
    if (!r->child)
        return;
    r->child = false;
    if (r->current)
        relay_session_child_lost(r->current);
    else if (r->started && r->listen_fd >= 0 && !r->closing)
        watch_stop(&r->watch);
}

void relay_leg_ended(struct relay *r, uint64_t leg, const char *why)
{
    struct relay_session *s = r->current;

    if (!s || !s->leg || s->leg->number != leg)
        return;
    /* It has said so in its own log. */
    relay_session_end(s, LOG_DEBUG, why);
}

void relay_give_up(struct relay *r, const char *why)
{
    if (r->current && !r->child)
        relay_session_end(r->current, LOG_ERROR, why);
}

/* ---- handing on ---- */

static void on_suspended_later(struct mail *m)
{
    struct relay *r = container_of(m, struct relay, suspended_later);
    void (*suspended)(struct relay *, struct endpoint_visitor *, void *) =
        r->suspended;
    struct endpoint_visitor v = r->handed_on;

    if (r->closing || !suspended) /* on_closed_later says so */
        return;
    r->suspended = NULL;
    r->handed_on = (struct endpoint_visitor){.fd = -1};
    suspended(r, &v, r->suspended_arg);
}

void relay_session_handed_on(struct relay *r, struct relay_session *s,
                             const struct endpoint_visitor *v)
{
    log_info(r->conf.id,
             "front-end (process %d, user %u) is handed on to another process",
             v->pid, v->uid);
    r->handed_on = *v;
    r->current = NULL;
    (void)s;
    loop_post(r->conf.home, &r->suspended_later);
}

void relay_suspend(struct relay *r,
                   void (*suspended)(struct relay *r,
                                     struct endpoint_visitor *visitor,
                                     void *arg),
                   void *arg)
{
    r->suspending = true;
    r->suspended = suspended;
    r->suspended_arg = arg;
    if (r->listen_fd >= 0)
        watch_stop(&r->watch);
    timer_stop(&r->timer);
    if (r->current) {
        timer_start(&r->timer, SUSPEND_MS);
        relay_session_suspend(r->current);
        return;
    }
    /* One that no child has seen yet. */
    r->handed_on = r->visitor;
    r->visitor = (struct endpoint_visitor){.fd = -1};
    if (r->handed_on.said)
        transcript_set_closer(r->handed_on.said, NULL);
    loop_post(r->conf.home, &r->suspended_later);
}

static void on_arrived_later(struct mail *m)
{
    struct relay *r = container_of(m, struct relay, arrived_later);

    if (!r->closing)
        r->conf.arrived(r, r->arrived_err.code ? &r->arrived_err : NULL,
                        r->conf.arg);
}

void relay_session_arrived(struct relay *r, const struct err *e)
{
    if (r->told_arrived)
        return;
    r->told_arrived = true;
    if (e)
        r->arrived_err = *e;
    if (r->conf.arrived)
        loop_post(r->conf.home, &r->arrived_later);
}

/* ---- life ---- */

static void on_closed_later(struct mail *m)
{
    struct relay *r = container_of(m, struct relay, closed_later);

    if (r->suspended)
        r->suspended(r, NULL, r->suspended_arg);
    r->suspended = NULL;
    endpoint_visitor_drop(&r->handed_on);
    r->closed(r, r->closed_arg);
}

static void handle_gone(struct relay *r)
{
    if (--r->handles == 0)
        loop_post(r->conf.home, &r->closed_later);
}

static void on_watch_gone(struct watch *w)
{
    handle_gone(container_of(w, struct relay, watch));
}

static void on_timer_gone(struct timer *t)
{
    handle_gone(container_of(t, struct relay, timer));
}

static void close_when_clear(struct relay *r)
{
    if (!r->closing || r->sessions > 0 || r->legs > 0 || !r->closer)
        return;
    /* One that nobody has gone on with: the closer has its fds to close. */
    endpoint_visitor_drop(&r->visitor);
    /* No mail of its comes behind closed_later. */
    closer_free(r->closer);
    r->closer = NULL;
    if (!r->started) {
        loop_post(r->conf.home, &r->closed_later);
        return;
    }
    r->handles = 1;
    if (r->listen_fd >= 0) {
        r->handles++;
        watch_close(&r->watch);
    }
    timer_close(&r->timer);
}

void relay_session_over(struct relay *r)
{
    r->sessions--;
    if (r->conf.exit_on_disconnect && r->conf.disconnected && !r->closing &&
        !r->suspending)
        r->conf.disconnected(r, r->conf.arg);
    close_when_clear(r);
}

void relay_leg_over(struct relay *r)
{
    r->legs--;
    close_when_clear(r);
}

int relay_open(struct relay **out, const struct relay_conf *c, struct err *e)
{
    struct relay *r = calloc(1, sizeof(*r));

    if (!r)
        return err_nomem(e);
    r->conf = *c;
    r->closed_later.run = on_closed_later;
    r->suspended_later.run = on_suspended_later;
    r->arrived_later.run = on_arrived_later;
    r->closer_idle.run = on_closer_idle;
    r->visitor.fd = r->handed_on.fd = -1;
    r->closer = closer_new(closer_idle, r);
    if (!r->closer) {
        free(r);
        return err_nomem(e);
    }
    r->listen_fd = c->kind == SOCK_LISTENING ? c->fd : -1;
    r->connected_fd = c->kind == SOCK_LISTENING ? -1 : c->fd;
    if (c->visitor && c->visitor->fd >= 0) {
        r->visitor = *c->visitor;
        *c->visitor = (struct endpoint_visitor){.fd = -1};
        if (r->visitor.said)
            transcript_set_closer(r->visitor.said, r->closer);
    }
    r->told_arrived = !r->visitor.said;
    r->conf.visitor = NULL;
    *out = r;
    return 0;
}

int relay_start(struct relay *r, struct err *e)
{
    int rc;

    r->watch.ready = on_readable;
    r->watch.gone = on_watch_gone;
    r->timer.fire = on_timer;
    r->timer.gone = on_timer_gone;
    if (r->listen_fd >= 0) {
        rc = watch_open(&r->watch, r->conf.home, r->listen_fd);
        if (rc < 0)
            return err_sys(e, -rc, "", "cannot watch the listening socket");
    }
    timer_open(&r->timer, r->conf.home);
    r->started = true;
    go_on(r);
    return 0;
}

void relay_close(struct relay *r, void (*closed)(struct relay *r, void *arg),
                 void *arg)
{
    if (r->closing)
        return;
    r->closing = true;
    r->closed = closed;
    r->closed_arg = arg;
    if (r->listen_fd >= 0 && r->conf.path && !r->suspending)
        sock_unlink(r->conf.path);
    if (r->current)
        relay_session_end(r->current, LOG_INFO, "its device is closed");
    relay_leg_unpark(r);
    close_when_clear(r);
}

void relay_free(struct relay *r)
{
    if (r->listen_fd >= 0 && r->conf.path && !r->closing)
        sock_unlink(r->conf.path);
    if (r->listen_fd >= 0)
        close(r->listen_fd);
    if (r->connected_fd >= 0)
        close(r->connected_fd);
    endpoint_visitor_drop(&r->visitor);
    closer_free(r->closer);
    free(r);
}

void relay_status(const struct relay *r, struct json_out *o)
{
    const struct relay_session *s = r->current;

    if (!s)
        return;
    json_begin(o, "front_end", '{');
    json_add_i64(o, "pid", s->pid);
    json_add_u64(o, "uid", s->uid);
    json_add_bool(o, "waits_for_process", !r->child);
    json_end(o, '}');
}
