/* libuv counts from when its loop last looked at the clock, so what the loop is
 * late by is added. */
#include "loop/timer.h"

#include "loop/spin.h"

static struct timer *timer_of(uv_timer_t *h)
{
    return container_of(h, struct timer, uv);
}

static void on_timer(uv_timer_t *h)
{
    struct timer *t = timer_of(h);

    loop_woke(container_of(h->loop, struct loop, uv));
    t->fire(t);
}

static void on_close(uv_handle_t *h)
{
    struct timer *t = timer_of((uv_timer_t *)h);

    if (t->gone)
        t->gone(t); /* may free t */
}

void timer_open(struct timer *t, struct loop *loop)
{
    uv_timer_init(&loop->uv, &t->uv);
}

void timer_start(struct timer *t, uint64_t after_ms)
{
    /* The loop's idea of now may be as old as its last sleep. It is left as it
     * is: libuv runs timers until none is due, and those that start themselves
     * again would keep all else waiting if its time went on meanwhile. */
    uint64_t now_ms = loop_now_ns() / 1000000, then_ms = uv_now(t->uv.loop);
    uint64_t late_ms = now_ms > then_ms ? now_ms - then_ms : 0;

    uv_timer_start(&t->uv, on_timer, MAX(after_ms + late_ms, 1), 0);
}

void timer_stop(struct timer *t)
{
    uv_timer_stop(&t->uv);
}

bool timer_runs(const struct timer *t)
{
    return uv_is_active((const uv_handle_t *)&t->uv) != 0;
}

void timer_close(struct timer *t)
{
    if (!uv_is_closing((uv_handle_t *)&t->uv))
        uv_close((uv_handle_t *)&t->uv, on_close);
}
