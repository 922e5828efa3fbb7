/* A turn of the loop, in libuv's order:
 *
 *   prepare   deferred work, then the spinner; decides to sleep or not
 *   poll      sleeps, or only looks if the idle handle is on; callbacks of fds
 *   check     deferred work of those callbacks
 *
 * Deferred work that defers more gets its turn, and so do fds, timers and mail:
 * a pass runs what was there when it began, and a loop that has more of it does
 * not sleep.
 *
 * Mail is a stack that any thread pushes onto; the loop takes all of it at
 * once and turns it around. uv_async only wakes the loop. */
#include "loop/loop.h"

#include <assert.h>
#include <time.h>

#include "loop/spin.h"

uint64_t loop_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void loop_run_mail(struct loop *l)
{
    struct mail *m, *next, *in_order = NULL;

    if (!__atomic_load_n(&l->mail, __ATOMIC_RELAXED))
        return;
    m = __atomic_exchange_n(&l->mail, NULL, __ATOMIC_ACQUIRE);
    for (; m; m = next) {
        next = m->next;
        m->next = in_order;
        in_order = m;
    }
    for (m = in_order; m; m = next) {
        next = m->next; /* run may reuse or free m */
        m->run(m);
    }
}

void loop_run_defers(struct loop *l)
{
    struct list now, *node;

    list_init(&now);
    list_move(&now, &l->defers);
    while ((node = list_pop(&now)) != NULL) {
        struct defer *d = container_of(node, struct defer, node);

        d->run(d);
    }
}

/* Whoever clears `minded` looks at `rests` after that: one of us sees what the
 * other did. */
void loop_begins(struct loop *l)
{
    if (LIKELY(!__atomic_load_n(&l->rests, __ATOMIC_RELAXED)))
        return;
    __atomic_store_n(&l->rests, false, __ATOMIC_SEQ_CST);
    if (l->begins && !__atomic_exchange_n(&l->minded, true, __ATOMIC_SEQ_CST))
        l->begins(l);
}

bool loop_unmind(struct loop *l)
{
    __atomic_store_n(&l->minded, false, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&l->rests, __ATOMIC_SEQ_CST))
        return true;
    __atomic_store_n(&l->minded, true, __ATOMIC_RELAXED);
    return false;
}

static void on_wake(uv_async_t *h)
{
    struct loop *l = container_of(h, struct loop, wake);

    loop_woke(l);
    loop_run_mail(l);
}

static void on_idle(uv_idle_t *h)
{
    (void)h; /* it is there so that poll does not sleep */
}

static void on_prepare(uv_prepare_t *h)
{
    struct loop *l = container_of(h, struct loop, prepare);

    __atomic_store_n(&l->turns, l->turns + 1, __ATOMIC_RELAXED);
    loop_run_defers(l);
    if (l->stopping ? !list_empty(&l->defers) : spin_turn(l)) {
        uv_idle_start(&l->idle, on_idle);
    } else {
        uv_idle_stop(&l->idle);
        uv_update_time(&l->uv); /* it sleeps until a timer is due, from now */
        __atomic_store_n(&l->rests, true, __ATOMIC_RELAXED);
    }
}

static void on_check(uv_check_t *h)
{
    struct loop *l = container_of(h, struct loop, check);

    loop_begins(l); /* timers are run after this */
    loop_run_defers(l);
}

int loop_open(struct loop *l, const char *name)
{
    int rc;

    *l = (struct loop){.name = name};
    list_init(&l->spins);
    list_init(&l->defers);
    rc = uv_loop_init(&l->uv);
    if (rc < 0)
        return rc;
    rc = uv_async_init(&l->uv, &l->wake, on_wake);
    if (rc < 0) {
        uv_loop_close(&l->uv);
        return rc;
    }
    uv_prepare_init(&l->uv, &l->prepare);
    uv_check_init(&l->uv, &l->check);
    uv_idle_init(&l->uv, &l->idle);
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
    return 0;
}

void loop_close(struct loop *l)
{
    uv_handle_t *own[] = {(uv_handle_t *)&l->wake, (uv_handle_t *)&l->prepare,
                          (uv_handle_t *)&l->check, (uv_handle_t *)&l->idle};
    int rc;

    /* What others close may take deferred work and mail, so ours stay until
     * theirs are gone. */
    l->stopping = true;
    for (unsigned i = 0; i < ARRAY_LEN(own); i++)
        uv_unref(own[i]);
    do {
        loop_run_defers(l);
        uv_run(&l->uv, UV_RUN_DEFAULT);
    } while (!list_empty(&l->defers));
    for (unsigned i = 0; i < ARRAY_LEN(own); i++)
        uv_close(own[i], NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    rc = uv_loop_close(&l->uv);
    assert(rc == 0);
    (void)rc;
}

void loop_run(struct loop *l)
{
    while (!l->stopping)
        uv_run(&l->uv, UV_RUN_DEFAULT); /* the async handle keeps it going */
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
    uv_stop(&l->uv);
}

void loop_post(struct loop *to, struct mail *m)
{
    struct mail *top = __atomic_load_n(&to->mail, __ATOMIC_RELAXED);

    do {
        m->next = top;
    } while (!__atomic_compare_exchange_n(&to->mail, &top, m, true,
                                          __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    uv_async_send(&to->wake);
}

void defer_init(struct defer *d, void (*run)(struct defer *d))
{
    list_init(&d->node);
    d->run = run;
}

void loop_defer(struct loop *l, struct defer *d)
{
    if (list_empty(&d->node))
        list_add(&l->defers, &d->node);
}

void defer_cancel(struct defer *d)
{
    list_del(&d->node);
}
