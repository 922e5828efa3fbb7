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
    /* The loop's idea of now may be as old as its last sleep. */
    uv_update_time(t->uv.loop);
    uv_timer_start(&t->uv, on_timer, after_ms, 0);
}

void timer_stop(struct timer *t)
{
    uv_timer_stop(&t->uv);
}

void timer_close(struct timer *t)
{
    if (!uv_is_closing((uv_handle_t *)&t->uv))
        uv_close((uv_handle_t *)&t->uv, on_close);
}
