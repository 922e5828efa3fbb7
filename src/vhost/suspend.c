/* How an endpoint hands its front-end on to another process, which is to go on
 * as if it had been there all the time.
 *
 * First those are waited for whose front-end has gone, then the display is
 * left, then the session parts from its front-end between two messages, with
 * its rings stopped. The display is left while messages are still answered: a
 * front-end that waits for us says nothing there. Nobody is accepted meanwhile;
 * whoever comes waits in the backlog, which is the next process's too.
 *
 * Each step has an end. What a front-end owes us it has some seconds for, and
 * is dropped then, as it would be if another one waited; requests have the
 * drain time-out. If they take longer nothing is handed on. */
#include <errno.h>
#include <unistd.h>

#include "vhost/endpoint_state.h"
#include "vhost/session.h"

bool endpoint_is_suspending(const struct endpoint *ep)
{
    return ep->suspension.step != SUSPEND_NONE;
}

void endpoint_visitor_drop(struct endpoint_visitor *v)
{
    if (v->fd >= 0)
        close(v->fd);
    v->fd = -1;
    transcript_free(v->said);
    v->said = NULL;
}

/* ---- the end ---- */

static void on_later(struct mail *m)
{
    struct endpoint *ep = container_of(m, struct endpoint, suspension.later);
    struct suspension *u = &ep->suspension;
    void (*suspended)(struct endpoint *, struct endpoint_visitor *,
                      const struct err *, void *);

    if (ep->closing) /* closed comes: suspension_give_up */
        return;
    suspended = u->suspended;
    u->suspended = NULL;
    if (u->step == SUSPEND_NONE) {
        suspended(ep, NULL, &u->why, u->arg);
        return;
    }
    ep->closing = true;
    ep->closed = u->closed;
    ep->closed_arg = u->arg;
    suspended(ep, &u->visitor, NULL, u->arg);
    endpoint_close_when_clear(ep);
}

static void over(struct endpoint *ep, bool failed)
{
    ep->suspension.step = failed ? SUSPEND_NONE : SUSPEND_OVER;
    timer_stop(&ep->timer);
    loop_post(ep->device->home, &ep->suspension.later);
}

/* It goes on as it was. */
static void fail(struct endpoint *ep)
{
    struct suspension *u = &ep->suspension;

    over(ep, true);
    ep->device->suspends = false;
    if (u->visitor.fd >= 0)
        endpoint_begin_visitor(ep, &u->visitor);
    endpoint_listen_again(ep);
    if (!ep->current && ep->conf.exit_on_disconnect && ep->conf.disconnected)
        ep->conf.disconnected(ep, ep->conf.arg);
}

void suspension_give_up(struct endpoint *ep)
{
    struct suspension *u = &ep->suspension;

    if (!u->suspended)
        return;
    u->step = SUSPEND_NONE;
    endpoint_visitor_drop(&u->visitor);
    err_set(&u->why, -ECANCELED, "", "it is closed");
    u->suspended(ep, NULL, &u->why, u->arg);
    u->suspended = NULL;
}

/* ---- the steps ---- */

static void save(struct endpoint *ep)
{
    struct suspension *u = &ep->suspension;
    struct device *d = ep->device;

    if (d->ops->save && d->ops->save(d, &u->why) < 0)
        fail(ep);
    else
        over(ep, false);
}

static void part(struct endpoint *ep)
{
    ep->suspension.step = SUSPEND_PARTS;
    timer_start(&ep->timer, HALF_DONE_MS);
    session_leave(ep->current);
}

static void leave_display(struct endpoint *ep)
{
    const struct device_ops *ops = ep->device->ops;

    ep->suspension.step = SUSPEND_DISPLAY;
    timer_start(&ep->timer, 2 * HALF_DONE_MS); /* the device is quicker */
    if (ep->current->has_display && ops->display_leave)
        ops->display_leave(ep->device);
    else
        part(ep);
}

void suspension_display_left(struct device *d, bool whole)
{
    struct endpoint *ep = d->host_data;
    struct session *s = ep->current;

    if (ep->closing || ep->suspension.step != SUSPEND_DISPLAY)
        return;
    if (s && !whole && !s->display_waits)
        transcript_forget_display(s->said);
    if (s)
        part(ep);
    else
        suspension_go_on(ep);
}

/* As far as it goes now. */
void suspension_go_on(struct endpoint *ep)
{
    struct suspension *u = &ep->suspension;

    if (u->step == SUSPEND_OVER)
        return;
    if (!ep->current && list_empty(&ep->sessions))
        save(ep);
    else if (u->step == SUSPEND_DRAINS && ep->current &&
             endpoint_draining(ep) == 0)
        leave_display(ep);
}

void suspension_late(struct endpoint *ep)
{
    struct suspension *u = &ep->suspension;
    struct session *s = ep->current;
    uint64_t since_ns;

    if (ep->closing || u->step == SUSPEND_OVER)
        return;
    if (u->step == SUSPEND_PARTS && !u->hurried) {
        u->hurried = true;
        timer_start(&ep->timer, ep->conf.drain_timeout_ms + HALF_DONE_MS);
        if (s && !s->parting && conn_half_done(&s->conn, &since_ns))
            session_end(s, LOG_WARN,
                        "it has sent no whole message, or not taken an answer, "
                        "for some seconds, and is to be handed on");
        return;
    }
    if (s && u->step == SUSPEND_PARTS)
        session_end(s, LOG_WARN, "it could not be handed on in time");
    err_set(&u->why, -ETIMEDOUT, "",
            "requests are still not done, %u ms after they were to be",
            ep->conf.drain_timeout_ms);
    fail(ep);
}

void endpoint_session_parted(struct endpoint *ep, struct session *s,
                             const struct endpoint_visitor *v)
{
    log_info(ep->device->id,
             "front-end (process %d, user %u) is handed on to another process",
             v->pid, v->uid);
    if (ep->current == s)
        ep->current = NULL;
    transcript_set_closer(v->said, NULL);
    ep->suspension.visitor = *v;
    ep->suspension.visitor.has_run = ep->has_run;
}

void suspension_init(struct endpoint *ep)
{
    ep->suspension.visitor.fd = -1;
    ep->suspension.later.run = on_later;
}

void endpoint_suspend(struct endpoint *ep,
                      void (*suspended)(struct endpoint *ep,
                                        struct endpoint_visitor *visitor,
                                        const struct err *e, void *arg),
                      void (*closed)(struct endpoint *ep, void *arg), void *arg)
{
    struct suspension *u = &ep->suspension;

    u->step = SUSPEND_DRAINS;
    u->hurried = false;
    u->visitor = (struct endpoint_visitor){.fd = -1, .has_run = ep->has_run};
    u->suspended = suspended;
    u->closed = closed;
    u->arg = arg;
    if (ep->listen_fd >= 0)
        watch_stop(&ep->watch);
    timer_start(&ep->timer, ep->conf.drain_timeout_ms + HALF_DONE_MS);
    suspension_go_on(ep);
}
