/* A worker may serve several devices, and one front-end may stop it: by an
 * eventfd that it makes block in the middle of our write (os/event.h). That
 * wait ends with a signal; then the device knows whose fd it was, and drops
 * that front-end (vhost/vring.c). What else a worker may wait for, a disk under
 * page-cache I/O, is not interrupted by that, but a line tells.
 *
 * One that does not wait, but computes and never ends, is told from that by the
 * time that its thread has had: neither a slow disk, nor a debugger, nor a
 * machine with too much to do makes that grow.
 *
 * Nobody is woken for nothing: a worker that begins to work after a rest says
 * so, once, and is looked at every LOOK_MS until it rests again. */
#include "daemon/watchdog.h"

#include "base/log.h"

#define LOOK_MS 1000
#define TELL_S 5

/* Some may have ended meanwhile. */
static void recount(struct watchdog *w)
{
    unsigned stuck = 0;

    for (int i = 0; i < w->workers->count; i++)
        stuck += w->workers->list[i]->stuck_s >= TELL_S;
    if (stuck != w->num_stuck && w->stuck)
        w->stuck(w, stuck);
    w->num_stuck = stuck;
}

/* It has turned since it was looked at last. */
static void is_back(struct worker *w, uint32_t turns)
{
    if (w->stuck_s >= TELL_S)
        log_warn(NULL, "worker %s is back", w->name);
    w->seen_turns = turns;
    w->stuck_s = 0;
    w->busy_ms = 0;
}

static void look(struct worker *w)
{
    uint32_t turns = __atomic_load_n(&w->loop.turns, __ATOMIC_RELAXED);
    uint64_t cpu_ns;

    if (turns != w->seen_turns) {
        is_back(w, turns);
        return;
    }
    cpu_ns = thread_cpu_ns(&w->thread);
    if (w->stuck_s++ == 0)
        w->cpu_ns = cpu_ns;
    w->busy_ms = cpu_ns > w->cpu_ns ? (cpu_ns - w->cpu_ns) / 1000000 : 0;
    thread_interrupt(&w->thread);
    if (w->stuck_s == TELL_S)
        log_warn(NULL,
                 "worker %s has not come back for %d seconds: it waits for the "
                 "system, and its devices with it",
                 w->name, TELL_S);
}

static void on_timer(struct timer *t)
{
    struct watchdog *w = container_of(t, struct watchdog, timer);
    bool more = false;

    for (int i = 0; i < w->workers->count; i++) {
        struct worker *worker = w->workers->list[i];

        if (!worker->runs ||
            !__atomic_load_n(&worker->loop.minded, __ATOMIC_RELAXED))
            continue;
        if (__atomic_load_n(&worker->loop.rests, __ATOMIC_RELAXED) &&
            loop_unmind(&worker->loop)) {
            if (worker->stuck_s > 0)
                is_back(worker, worker->seen_turns);
            continue;
        }
        look(worker);
        more = true;
    }
    recount(w);
    w->runs = more;
    if (more)
        timer_start(t, LOOK_MS);
}

/* [a worker] */
static void begins(struct loop *l)
{
    uv_async_send(l->minder);
}

static void on_begins(uv_async_t *h)
{
    struct watchdog *w = container_of(h, struct watchdog, begins);

    if (w->runs)
        return;
    w->runs = true;
    timer_start(&w->timer, LOOK_MS);
}

int watchdog_open(struct watchdog *w, struct loop *main,
                  struct workers *workers, struct err *e)
{
    int rc;

    *w = (struct watchdog){.workers = workers, .timer.fire = on_timer};
    rc = uv_async_init(&main->uv, &w->begins, on_begins);
    if (rc < 0) {
        *w = (struct watchdog){0};
        return err_sys(e, -rc, "", "cannot mind the workers");
    }
    timer_open(&w->timer, main);
    workers->begins = begins;
    workers->minder = &w->begins;
    return 0;
}

const struct worker *watchdog_busiest(const struct watchdog *w)
{
    const struct worker *most = NULL;

    for (int i = 0; w->workers && i < w->workers->count; i++) {
        const struct worker *one = w->workers->list[i];

        if (one->busy_ms > (most ? most->busy_ms : 0) &&
            __atomic_load_n(&one->loop.turns, __ATOMIC_RELAXED) ==
                one->seen_turns)
            most = one;
    }
    return most;
}

static void no_gone(uv_handle_t *h)
{
    (void)h;
}

void watchdog_close(struct watchdog *w)
{
    if (!w->workers)
        return;
    timer_close(&w->timer);
    uv_close((uv_handle_t *)&w->begins, no_gone);
    w->workers = NULL;
}
