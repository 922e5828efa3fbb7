/* Three ends are waited for: the call's, the frame's, which the ring decides,
 * and the timer's. They come in any order; the last one frees. After the answer
 * the device may be gone, so nothing of it is touched then. */
#include "device/input/waiting.h"

#include <errno.h>
#include <stdlib.h>

static void free_if_over(struct waiting *w)
{
    if (!w->call && !w->frame_is_out && !w->has_timer)
        free(w);
}

static void on_timer_gone(struct timer *t)
{
    struct waiting *w = container_of(t, struct waiting, timer);

    w->has_timer = false;
    free_if_over(w);
}

void waiting_answer(struct waiting *w, const struct err *e)
{
    struct call *c = w->call;

    if (w->in->typing == w)
        w->in->typing = NULL;
    if (w->in->clicking == w)
        w->in->clicking = NULL;
    w->call = NULL;
    w->in = NULL;
    timer_close(&w->timer);
    if (e)
        call_fail(c, e);
    else
        call_done(c);
}

static void on_timer(struct timer *t)
{
    struct waiting *w = container_of(t, struct waiting, timer);
    void (*go_on)(struct waiting *) = w->go_on;

    if (!w->call)
        return;
    w->go_on = NULL;
    if (go_on)
        go_on(w);
    else
        w->give_up(w, -ETIMEDOUT, "the guest does not take what is sent");
}

static void on_cancel(struct call *c)
{
    struct waiting *w = c->user;

    w->give_up(w, -ECANCELED, "nobody waits any more");
}

static const char *why_lost(const struct waiting *w)
{
    return w->in->events.ring
               ? "too many events wait for the guest: they were dropped"
               : "the guest has gone";
}

static void on_sent(void *arg, bool taken)
{
    struct waiting *w = arg;

    w->frame_is_out = false;
    if (!w->call)
        free_if_over(w);
    else if (taken)
        w->taken(w);
    else
        w->give_up(w, -EPIPE, why_lost(w));
}

bool waiting_refused(struct input *in, struct call *c)
{
    struct err e;

    if (in->events.ring)
        return false;
    err_set(&e, -ENOTCONN, "/params/device", "no driver of a guest listens");
    call_fail(c, &e);
    return true;
}

struct waiting *waiting_new(struct input *in, struct call *c,
                            uint32_t timeout_ms, size_t size)
{
    struct waiting *w = calloc(1, size);
    struct err e;

    if (!w) {
        err_nomem(&e);
        call_fail(c, &e);
        return NULL;
    }
    w->in = in;
    w->call = c;
    w->timeout_ms = timeout_ms;
    w->timer.fire = on_timer;
    w->timer.gone = on_timer_gone;
    timer_open(&w->timer, in->device.home);
    w->has_timer = true;
    c->user = w;
    c->cancel = on_cancel;
    return w;
}

void waiting_send(struct waiting *w, const struct input_event16 *ev, unsigned n)
{
    switch (events_frame(w->in, ev, n, on_sent, w)) {
    case FRAME_WAITS:
        w->frame_is_out = true;
        timer_start(&w->timer, w->timeout_ms);
        break;
    case FRAME_EMPTY: /* a repeat; keys of a text are the device's */
        w->taken(w);
        break;
    case FRAME_LOST:
        w->give_up(w, -EPIPE, why_lost(w));
        break;
    }
}

void waiting_pause(struct waiting *w, uint64_t ms,
                   void (*go_on)(struct waiting *w))
{
    w->go_on = go_on;
    timer_start(&w->timer, ms);
}
