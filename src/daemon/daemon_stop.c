/* What vub stops for: a signal, the end of its command or of its parent, quit,
 * a front-end that has gone, another vub that has everything. And how: every
 * device is asked to close on its own loop, and the loops end when all have. A
 * stop is bounded: what is not over after every drain must be, is left to the
 * system.
 *
 * With a command (run.c) a stop begins with the command's: a VMM ends better
 * while it has its devices. Its end stops vub, whatever the reason. */
#include "daemon/daemon_impl.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "os/child.h"
#include "os/parent.h"

/* What a stop takes beside the drains. */
#define STOP_GRACE_MS 5000

static const int signals[DAEMON_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

static void on_deadline(struct timer *t)
{
    struct daemon *d = container_of(t, struct daemon, deadline);

    for (int i = 0; i < d->devices.count; i++) {
        if (!d->devices.list[i]->closed)
            log_error(d->devices.list[i]->common->id,
                      "its requests do not end; stopping without them");
    }
    /* Threads hang in the kernel: there is no clean way. */
    _exit(d->status ? d->status : EXIT_RUN_TIME);
}

static uint64_t longest_drain_ms(const struct daemon *d)
{
    return devices_drain_ms(&d->devices) + STOP_GRACE_MS;
}

static void tell_stopping(struct daemon *d)
{
    uint64_t command_ms = run_runs(&d->run) ? run_stop_ms() : 0;

    if (!d->service_told && !hand_over_is_done(&d->hand_over))
        service_stopping(&d->service, command_ms + longest_drain_ms(d));
    d->service_told = true;
}

/* Workers whose last device has left before may still be ending. */
static void end_if_closed(struct daemon *d)
{
    if (d->stopping && d->closing == 0 && d->devices.workers.ending == 0)
        loop_stop(&d->main);
}

void daemon_stop(struct daemon *d)
{
    if (d->stopping)
        return;
    d->stopping = true;
    tell_stopping(d);
    changer_stop(&d->changer);
    hand_over_stop(&d->hand_over);
    for (int i = 0; i < d->devices.count; i++) {
        d->closing += !d->devices.list[i]->closed;
        served_close(d->devices.list[i]);
    }
    timer_start(&d->deadline, longest_drain_ms(d));
    end_if_closed(d);
}

/* Stops, when the command has ended: see run_stop. */
static void stop_with_command(struct daemon *d, int sig)
{
    if (!run_runs(&d->run)) {
        daemon_stop(d);
        return;
    }
    tell_stopping(d);
    d->ending = true;
    run_stop(&d->run, sig);
}

static void on_command_ended(struct run *r, int status)
{
    struct daemon *d = container_of(r, struct daemon, run);

    d->status = status;
    if (status > 128)
        log_info(NULL, "stopping: signal %d has ended %s", status - 128,
                 r->what);
    else
        log_info(NULL, "stopping: %s has ended with status %d", r->what,
                 status);
    daemon_stop(d);
}

static void on_closed(struct served *s, void *arg)
{
    struct daemon *d = arg;

    (void)s;
    if (!d->stopping)
        return;
    d->closing--;
    end_if_closed(d);
}

static void on_worker_ended(struct workers *ws)
{
    end_if_closed(container_of(ws, struct daemon, devices.workers));
}

static void on_left(struct served *s, void *arg)
{
    struct daemon *d = arg;

    if (d->stopping || d->ending)
        return;
    log_info(s->common->id, "stopping: on_disconnect is \"exit\"");
    stop_with_command(d, 0);
}

static void on_signal(uv_signal_t *h, int num)
{
    struct daemon *d = h->data;

    if (num == SIGHUP) {
        reload_hangup(&d->reload);
        return;
    }
    if (d->stopping)
        _exit(EXIT_RUN_TIME);
    /* The terminal has sent it to the command too: what it means is for that to
     * say. */
    if (num == SIGINT && run_runs(&d->run) && child_shares_terminal())
        return;
    log_info(NULL, "stopping: %s", num == SIGINT ? "SIGINT" : "SIGTERM");
    stop_with_command(d, num);
}

/* Of an isolated device: its process ends with its keeper. */
static void on_keeper_gone(void *arg)
{
    daemon_stop(arg);
}

static void on_quit(void *arg, int pid)
{
    struct daemon *d = arg;

    if (d->stopping || d->ending)
        return;
    log_info(NULL, "stopping: quit, by process %d", pid);
    stop_with_command(d, SIGTERM);
}

static void on_handed_over(struct hand_over *h)
{
    struct daemon *d = container_of(h, struct daemon, hand_over);

    /* Its file is the other's, if that has its own there. */
    if (h->wants_control)
        d->control.place.given = d->control.place.fd;
    daemon_stop(d);
}

static void on_parent_gone(struct watch *w, int status, int events)
{
    struct daemon *d = container_of(w, struct daemon, parent);

    (void)status;
    (void)events;
    watch_stop(w);
    if (d->stopping || d->ending)
        return;
    log_info(NULL, "stopping: the parent process has ended");
    stop_with_command(d, SIGTERM);
}

/* ---- life ---- */

void daemon_stop_init(struct daemon *d)
{
    d->deadline.fire = on_deadline;
    d->parent.ready = on_parent_gone;
    d->devices.workers.ended = on_worker_ended;
    d->run.ended = on_command_ended;
    d->hand_over.over = on_handed_over;
    d->control.quit = on_quit;
    if (d->how->isolated)
        d->control.keeper_gone = on_keeper_gone;
    d->events.closed = on_closed;
    d->events.left = on_left;
}

static int watch_parent(struct daemon *d)
{
    int rc = parent_open();

    if (rc == -ENOSYS)
        return 0; /* SIGTERM will come */
    if (rc < 0)
        return errs_add(d->e, rc, "--exit-with-parent",
                        "the parent process has ended already");
    d->parent_fd = rc;
    rc = watch_open(&d->parent, &d->main, d->parent_fd);
    if (rc < 0) {
        close(d->parent_fd);
        d->parent_fd = -1;
        return errs_add(d->e, rc, "--exit-with-parent",
                        "the parent process cannot be watched: %s",
                        strerror(-rc));
    }
    return watch_start(&d->parent, UV_READABLE);
}

static void no_gone(uv_handle_t *h)
{
    (void)h; /* the handles are the daemon's, which outlives the loop */
}

static int take_signals(struct daemon *d)
{
    int rc;

    /* Those that are sent to all are not for the process of one device. */
    for (unsigned i = 0; i < DAEMON_SIGNALS && !d->how->isolated; i++) {
        uv_signal_init(&d->main.uv, &d->signals[i]);
        d->signals[i].data = d;
        rc = uv_signal_start(&d->signals[i], on_signal, signals[i]);
        if (rc < 0)
            return errs_add(d->e, rc, "", "cannot take signals: %s",
                            strerror(-rc));
    }
    return 0;
}

int daemon_stop_open(struct daemon *d)
{
    int rc;

    timer_open(&d->deadline, &d->main);
    rc = take_signals(d);
    return rc == 0 && d->how->exit_with_parent ? watch_parent(d) : rc;
}

void daemon_stop_close(struct daemon *d)
{
    timer_close(&d->deadline);
    if (d->parent_fd >= 0) {
        watch_close(&d->parent);
        close(d->parent_fd);
    }
    for (unsigned i = 0; i < DAEMON_SIGNALS; i++) {
        if (d->signals[i].loop)
            uv_close((uv_handle_t *)&d->signals[i], no_gone);
    }
}
