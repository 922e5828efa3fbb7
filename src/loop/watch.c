/* A uv_poll_t, and the loop is told that it woke for something: its spinner
 * learns from that. */
#include "loop/watch.h"

#include "loop/spin.h"

static struct watch *watch_of(uv_poll_t *h)
{
    return container_of(h, struct watch, poll);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct watch *w = watch_of(h);

    loop_woke(container_of(h->loop, struct loop, uv));
    w->ready(w, status, events);
}

static void on_close(uv_handle_t *h)
{
    struct watch *w = watch_of((uv_poll_t *)h);

    if (w->gone)
        w->gone(w); /* may free w */
}

int watch_open(struct watch *w, struct loop *loop, int fd)
{
    return uv_poll_init(&loop->uv, &w->poll, fd);
}

int watch_start(struct watch *w, int events)
{
    return uv_poll_start(&w->poll, events, on_poll);
}

void watch_stop(struct watch *w)
{
    uv_poll_stop(&w->poll);
}

void watch_close(struct watch *w)
{
    if (!uv_is_closing((uv_handle_t *)&w->poll))
        uv_close((uv_handle_t *)&w->poll, on_close);
}
