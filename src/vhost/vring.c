/* One ring of a session, from its start to its stop. The top of vring.h says
 * who may touch what.
 *
 *     kick, spin     the guest has something: vring_serve()
 *     serve          the device takes chains; answers are flushed; look_after
 *     look_after     whatever went wrong meanwhile is told, once
 *     start, stop    commands from home; more of them: vring_change.c
 *
 * A stop drains: no new requests; when none is in flight the ring is closed,
 * and when its handles have gone the command is done. */
#include "vhost/vring_impl.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "os/event.h"
#include "vhost/endpoint_impl.h"
#include "vhost/session.h"

/* ---- commands: home asks, the ring's loop does, home goes on ---- */

static void on_back(struct mail *m)
{
    struct vring *v = container_of(m, struct vring, cmd.back);

    v->cmd.busy = false;
    if (v->cmd.then)
        v->cmd.then(v);
    session_release(v->session);
}

static void on_there(struct mail *m)
{
    struct vring *v = container_of(m, struct vring, cmd.there);

    v->cmd.run(v);
}

void vring_command(struct vring *v, void (*run)(struct vring *v),
                   void (*then)(struct vring *v))
{
    assert(!v->cmd.busy);
    v->cmd.busy = true;
    session_hold(v->session);
    v->cmd.run = run;
    v->cmd.then = then;
    if (v->loop == v->home)
        run(v);
    else
        loop_post(v->loop, &v->cmd.there);
}

static void look_for_ambush(struct vring *v);

void vring_command_done(struct vring *v)
{
    look_for_ambush(v);
    if (v->loop == v->home)
        on_back(&v->cmd.back);
    else
        loop_post(v->home, &v->cmd.back);
}

/* ---- the run half ---- */

void vring_signal(struct vring *v, int fd)
{
    bool *ambushed = &v->session->ambushed;

    if (fd >= 0 && !__atomic_load_n(ambushed, __ATOMIC_RELAXED) &&
        event_signal(fd) < 0)
        __atomic_store_n(ambushed, true, __ATOMIC_RELAXED);
}

/* One line, and VRING_ERR, the first time. */
static void tell_broken(struct vring *v, const char *why, bool hint)
{
    if (v->told_broken)
        return;
    v->told_broken = true;
    log_limited(&v->kept->limit, LOG_ERROR, v->device->id,
                "ring %u is broken: %s%s%s%s", v->index, why, hint ? " (" : "",
                hint ? MEMORY_HINT : "", hint ? ")" : "");
    endpoint_tell(v->session->endpoint,
                  &(struct endpoint_event){.what = ENDPOINT_RING_BROKEN,
                                           .ring = v->index,
                                           .why = why});
    vring_signal(v, v->err_fd);
}

static void on_fatal(struct mail *m)
{
    struct vring *v = container_of(m, struct vring, fatal);

    session_end(v->session, LOG_ERROR, v->fatal_why);
}

/* The session must end: home is told, once. */
static void fatal(struct vring *v, const char *why)
{
    if (v->told_fatal)
        return;
    v->told_fatal = true;
    v->fatal_why = why;
    /* Mail arrives in the order sent: home has it before the command after
     * which the session may be freed. */
    if (v->loop == v->home)
        on_fatal(&v->fatal);
    else
        loop_post(v->home, &v->fatal);
}

/* After anything that may have written to an fd of the front-end. */
static void look_for_ambush(struct vring *v)
{
    if (UNLIKELY(__atomic_load_n(&v->session->ambushed, __ATOMIC_RELAXED)))
        fatal(v, "it made an eventfd block, and stopped the worker");
}

static void drained(struct vring *v);
static void drain(struct vring *v);

void vring_look_after(struct vring *v)
{
    struct ring *r = &v->ring;

    if (UNLIKELY(r->broken != NULL))
        tell_broken(v, r->broken, r->broken_outside);
    if (UNLIKELY(ring_poisoned(r)))
        fatal(v, "it took shared memory away from under the device (the "
                 "file shrank)");
    look_for_ambush(v);
    if (UNLIKELY(v->stopping) && (r->recovered == 0 || r->broken))
        drain(v);
    else if (UNLIKELY(v->draining) && r->in_flight == 0)
        drained(v);
}

static bool may_serve(const struct vring *v)
{
    return v->device_started && (v->ring.enabled || v->stopping) &&
           !v->draining && !v->ring.broken;
}

/* Answers that came between kicks are shown at the end of the loop's turn. */
static void on_want_flush(struct ring *r)
{
    struct vring *v = container_of(r, struct vring, ring);

    loop_defer(v->loop, &v->flush);
}

void vring_serve(struct vring *v)
{
    struct ring *r = &v->ring;
    unsigned recovered = r->recovered;

    if (!may_serve(v))
        return;
    ring_notify_off(r);
    r->want_flush = NULL; /* it is flushed right here */
    v->device->ops->ring_kick(v->device, r);
    r->want_flush = on_want_flush;
    ring_flush(r);
    vring_look_after(v);
    /* Buffers for what does not come: the device takes none of them. */
    if (UNLIKELY(v->stopping) && r->recovered == recovered &&
        r->in_flight == 0 && !r->rests)
        drain(v);
}

static void on_flush(struct defer *d)
{
    struct vring *v = container_of(d, struct vring, flush);

    ring_flush(&v->ring);
    vring_look_after(v);
}

static void on_want_kick(struct ring *r)
{
    struct vring *v = container_of(r, struct vring, ring);

    loop_defer(v->loop, &v->wanted);
}

static void on_wanted(struct defer *d)
{
    vring_serve(container_of(d, struct vring, wanted));
}

static void on_kick(struct watch *w, int status, int events)
{
    struct vring *v = container_of(w, struct vring, kick);
    int rc = status < 0 ? status : event_clear(v->kick_fd);

    (void)events;
    if (v->ring.broken) {
        watch_stop(w);
        return;
    }
    if (rc < 0) {
        watch_stop(w);
        if (!v->device_started)
            return; /* broken since its start */
        ring_break(&v->ring, "its kick fd cannot be read");
        vring_look_after(v);
        return;
    }
    ring_count(&v->kept->stats.kicks);
    vring_serve(v);
}

static bool on_spin(struct spin *s)
{
    struct vring *v = container_of(s, struct vring, spin);

    if (!ring_has_work(&v->ring) || !may_serve(v))
        return false;
    vring_serve(v);
    return true;
}

static bool on_arm(struct spin *s)
{
    struct vring *v = container_of(s, struct vring, spin);

    if (!may_serve(v))
        return false;
    if (ring_notify_on(&v->ring)) {
        vring_serve(v);
        return true;
    }
    if (UNLIKELY(v->ring.broken != NULL))
        vring_look_after(v);
    return v->polled; /* nobody would wake us */
}

/* ---- start ---- */

static void on_kick_gone(struct watch *w);
static void on_timer_gone(struct timer *t);
static void on_timer(struct timer *t);

void vring_open_kick(struct vring *v)
{
    v->polled = v->kick_fd < 0;
    if (v->polled)
        return;
    v->kick.ready = on_kick;
    v->kick.gone = on_kick_gone;
    if (watch_open(&v->kick, v->loop, v->kick_fd) < 0) {
        close(v->kick_fd);
        v->kick_fd = -1;
        if (v->device_started)
            ring_break(&v->ring, "its kick fd cannot be watched");
        return;
    }
    watch_start(&v->kick, UV_READABLE);
}

static void do_start(struct vring *v)
{
    struct err e = {0};

    v->ring = (struct ring){
        .stats = &v->kept->stats,
        .index = v->index,
        .loop = v->loop,
        .want_flush = on_want_flush,
        .want_kick = on_want_kick,
        .enabled = v->set.enabled,
        .ambushed = &v->session->ambushed,
    };
    v->device_started = false;
    v->stopping = v->draining = v->hurried = false;
    v->told_broken = v->told_fatal = false;
    v->closing = 0;
    defer_init(&v->flush, on_flush);
    defer_init(&v->wanted, on_wanted);
    list_init(&v->spin.node);
    v->spin.poll = on_spin;
    v->spin.arm = on_arm;
    v->timer.fire = on_timer;
    v->timer.gone = on_timer_gone;
    timer_open(&v->timer, v->loop);

    v->cmd.rc = ring_open(&v->ring, &v->cmd.setup, &e);
    if (v->cmd.rc < 0) {
        v->ring.map = NULL;
    } else if (v->device->ops->ring_start) {
        v->cmd.rc = v->device->ops->ring_start(v->device, &v->ring, &e);
        if (v->cmd.rc < 0)
            ring_close(&v->ring);
    }
    v->device_started = v->cmd.rc >= 0;
    vring_open_kick(v);
    if (v->device_started) {
        if (v->ring.recovered > 0)
            log_limited(&v->kept->limit, LOG_INFO, v->device->id,
                        "ring %u: %u requests to recover", v->index,
                        v->ring.recovered);
        loop_spin_add(v->loop, &v->spin);
        /* Requests may have waited since before the kick fd was known. */
        vring_serve(v);
        if (v->ring.broken)
            vring_look_after(v);
    } else {
        tell_broken(v, e.text, false);
    }
    vring_command_done(v);
}

void vring_start(struct vring *v)
{
    v->kick_fd = v->set.kick_fd;
    v->call_fd = v->set.call_fd;
    v->err_fd = v->set.err_fd;
    v->set.kick_fd = v->set.call_fd = v->set.err_fd = -1;
    v->set.started = true;
    v->cmd.setup.call_fd = v->call_fd;
    vring_command(v, do_start, NULL);
}

void vring_refuse(struct vring *v, const char *why)
{
    v->set.has_kick = false;
    log_limited(&v->kept->limit, LOG_ERROR, v->device->id,
                "ring %u is broken: %s", v->index, why);
    vring_signal(v, v->set.err_fd);
    look_for_ambush(v);
}

/* ---- stop ---- */

/* Both handles have gone: the ring is no more. */
static void closed(struct vring *v)
{
    if (--v->closing == 0)
        vring_command_done(v);
}

static void on_kick_gone(struct watch *w)
{
    closed(container_of(w, struct vring, kick));
}

static void on_timer_gone(struct timer *t)
{
    closed(container_of(t, struct vring, timer));
}

static void drained(struct vring *v)
{
    v->draining = false;
    if (v->device_started) {
        ring_flush(&v->ring);
        defer_cancel(&v->flush);
        defer_cancel(&v->wanted);
        v->cmd.setup.base = ring_base(&v->ring);
        if (v->device->ops->ring_stop)
            v->device->ops->ring_stop(v->device, &v->ring);
        ring_close(&v->ring);
        v->device_started = false;
    }
    loop_spin_del(&v->spin);
    v->closing = 1;
    if (v->kick_fd >= 0) {
        v->closing++;
        watch_close(&v->kick);
        close(v->kick_fd);
        v->kick_fd = -1;
    }
    timer_close(&v->timer);
}

/* Requests have three quarters of the time to end by themselves; then what can
 * be given up is given up, which mostly ends them. Whatever is left at the end
 * is waited for without the front-end, which would freeze its guest. */
static uint64_t drain_ms(const struct vring *v)
{
    return (uint64_t)v->drain_timeout_ms * 3 / 4;
}

static void on_timer(struct timer *t)
{
    struct vring *v = container_of(t, struct vring, timer);

    if (v->stopping) {
        fatal(v, "requests that were in flight before could not be served in "
                 "time");
        drain(v);
        return;
    }
    if (!v->draining)
        return;
    if (v->hurried) {
        log_limited(&v->kept->limit, LOG_WARN, v->device->id,
                    "ring %u: %u requests still have no answer; waiting on, "
                    "without the front-end",
                    v->index, v->ring.in_flight);
        fatal(v, "its requests could not be finished in time");
        return;
    }
    v->hurried = true;
    log_limited(
        &v->kept->limit, LOG_WARN, v->device->id,
        "ring %u: %u requests are not done after %u ms: giving up those "
        "that can be",
        v->index, v->ring.in_flight, (unsigned)drain_ms(v));
    timer_start(t, v->drain_timeout_ms - drain_ms(v));
    if (v->device->ops->ring_drain)
        v->device->ops->ring_drain(v->device, &v->ring, DRAIN_CANCEL);
    if (v->draining)
        vring_look_after(v);
}

/* No new requests; those in flight end. */
static void drain(struct vring *v)
{
    v->stopping = false;
    v->draining = true;
    timer_start(&v->timer, drain_ms(v));
    if (v->device->ops->ring_drain)
        v->device->ops->ring_drain(v->device, &v->ring, DRAIN_BEGIN);
    /* The device may have answered all inside, but never frees the ring. */
    if (v->draining && v->ring.in_flight == 0)
        drained(v);
}

/* Requests that another back-end has taken are in flight, whether we have come
 * to them or not, and if the ring has been disabled since: the front-end is
 * told that nothing is any more. */
static void do_stop(struct vring *v)
{
    if (!v->device_started) {
        drained(v);
        return;
    }
    if (v->ring.recovered == 0 || v->ring.broken) {
        drain(v);
        return;
    }
    v->stopping = true;
    v->ring.only_recovered = true;
    timer_start(&v->timer, drain_ms(v));
    vring_serve(v); /* drains when there are none */
}

static void then_stopped(struct vring *v)
{
    v->set.base = v->cmd.setup.base;
    v->set.started = false;
    v->set.has_kick = false;
    /* call and err stay; kick must be given again to start */
    v->set.call_fd = v->call_fd;
    v->set.err_fd = v->err_fd;
    v->call_fd = v->err_fd = -1;
}

void vring_stop(struct vring *v)
{
    v->cmd.setup.base = v->set.base;
    vring_command(v, do_stop, then_stopped);
}

/* ---- life ---- */

void vring_init(struct vring *v, struct session *s, struct device *d,
                unsigned index, struct vring_kept *kept,
                uint32_t drain_timeout_ms)
{
    memset(v, 0, sizeof(*v));
    v->session = s;
    v->device = d;
    v->index = index;
    v->kept = kept;
    v->drain_timeout_ms = drain_timeout_ms;
    v->home = d->home;
    v->loop = d->ring_loop[index];
    v->cmd.there.run = on_there;
    v->cmd.back.run = on_back;
    v->fatal.run = on_fatal;
    v->set.kick_fd = v->set.call_fd = v->set.err_fd = -1;
    v->kick_fd = v->call_fd = v->err_fd = -1;
}

void vring_fini(struct vring *v)
{
    int *fds[] = {&v->set.kick_fd, &v->set.call_fd, &v->set.err_fd};

    for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}
