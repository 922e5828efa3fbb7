/* Trying is cheap and tells at once, so patience is a timer and a count. What
 * is waited for has no event of its own: the lock is the kernel's, and who has
 * it may be on another host. An answer comes once for each start; a stop, which
 * may come at any moment, takes its place and gives back what was taken. */
#include "store/acquire.h"

#include <errno.h>

static void try_it(struct store_acquire *a)
{
    struct err e;
    int rc = store_acquire(a->store, &e);

    if (rc == -EAGAIN && ++a->tries < STORE_ACQUIRE_TRIES) {
        if (a->tries == 1)
            log_limited(&a->limit, LOG_INFO, a->store->id, "%s; waiting for it",
                        e.text);
        timer_start(&a->timer, STORE_ACQUIRE_MS);
        return;
    }
    a->wanted = rc == 0;
    a->done(a, rc < 0 ? &e : NULL);
}

static void on_timer(struct timer *t)
{
    struct store_acquire *a = container_of(t, struct store_acquire, timer);

    if (a->wanted)
        try_it(a);
}

void store_acquire_start(struct store_acquire *a)
{
    if (!a->has_timer) {
        a->timer.fire = on_timer;
        timer_open(&a->timer, a->loop);
        a->has_timer = true;
    }
    a->wanted = true;
    a->tries = 0;
    try_it(a);
}

void store_acquire_stop(struct store_acquire *a)
{
    a->wanted = false;
    if (a->has_timer)
        timer_stop(&a->timer);
    store_release(a->store);
}

static void on_timer_gone(struct timer *t)
{
    struct store_acquire *a = container_of(t, struct store_acquire, timer);

    a->gone(a);
}

void store_acquire_close(struct store_acquire *a)
{
    if (!a->has_timer) {
        a->gone(a);
        return;
    }
    a->timer.gone = on_timer_gone;
    timer_close(&a->timer);
}
