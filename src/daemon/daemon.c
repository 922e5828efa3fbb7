/* Start: everything that can fail is done by one thread, in an order in which
 * all errors of a step are told before the program gives up: sockets, devices,
 * threads. Stop: every device is asked to close on its own loop, the loops end
 * when all have, then all is freed. A stop is bounded: what is not over after
 * every drain must be, is left to the system.
 *
 * With a command (run.c) a stop begins with the command's: a VMM ends better
 * while it has its devices. Its end stops vub, whatever the reason. */
#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/control/control.h"
#include "daemon/run.h"
#include "daemon/served.h"
#include "daemon/service.h"
#include "daemon/sockets.h"
#include "daemon/watchdog.h"
#include "daemon/workers.h"
#include "loop/timer.h"
#include "loop/watch.h"
#include "os/child.h"
#include "os/parent.h"
#include "os/process.h"

/* What a stop takes beside the drains. */
#define STOP_GRACE_MS 5000

static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

struct daemon {
    const struct config *conf;
    const struct daemon_conf *how;
    struct errs *e;
    int ready_fd; /* how's, until it is closed */
    struct sockets sockets;
    struct served *list;
    int count; /* of list, opened */
    struct workers workers;
    struct watchdog watchdog;
    struct control control;
    struct service service;
    struct run run;
    struct loop main;
    uv_signal_t signals[ARRAY_LEN(signals)];
    struct timer deadline;
    struct watch parent;
    int parent_fd; /* -1: not watched */
    struct served_events events;
    int starting, closing; /* answers waited for */
    int refreshing;
    bool main_open, ending, stopping; /* ending: the command is told to end */
    bool service_told;                /* of that */
    int status;                       /* the command's */
    int rc;
};

/* ---- stop ---- */

static void on_deadline(struct timer *t)
{
    struct daemon *d = container_of(t, struct daemon, deadline);

    for (int i = 0; i < d->count; i++) {
        if (!d->list[i].closed)
            log_error(d->list[i].common->id,
                      "its requests do not end; stopping without them");
    }
    /* Threads hang in the kernel: there is no clean way. */
    _exit(d->status ? d->status : EXIT_RUN_TIME);
}

static uint64_t longest_drain_ms(const struct daemon *d)
{
    uint64_t longest = 0;

    for (int i = 0; i < d->count; i++)
        longest = MAX(longest, d->list[i].common->drain_timeout);
    return longest + STOP_GRACE_MS;
}

static void tell_stopping(struct daemon *d)
{
    uint64_t command_ms = run_runs(&d->run) ? run_stop_ms() : 0;

    if (!d->service_told)
        service_stopping(&d->service, command_ms + longest_drain_ms(d));
    d->service_told = true;
}

static void stop(struct daemon *d)
{
    if (d->stopping)
        return;
    d->stopping = true;
    tell_stopping(d);
    d->closing = d->count;
    for (int i = 0; i < d->count; i++)
        served_close(&d->list[i]);
    timer_start(&d->deadline, longest_drain_ms(d));
}

/* Stops, when the command has ended: see run_stop. */
static void stop_with_command(struct daemon *d, int sig)
{
    if (!run_runs(&d->run)) {
        stop(d);
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
        log_info(NULL, "stopping: signal %d has ended the command",
                 status - 128);
    else
        log_info(NULL, "stopping: the command has ended with status %d",
                 status);
    stop(d);
}

static void on_closed(struct served *s, void *arg)
{
    struct daemon *d = arg;

    (void)s;
    if (--d->closing == 0)
        loop_stop(&d->main);
}

static void on_left(struct served *s, void *arg)
{
    struct daemon *d = arg;

    if (d->stopping || d->ending)
        return;
    log_info(s->common->id, "stopping: on_disconnect is \"exit\"");
    stop_with_command(d, 0);
}

static void refresh(struct daemon *d)
{
    if (d->stopping)
        return;
    service_reloading(&d->service);
    for (int i = 0; i < d->count; i++)
        d->refreshing += served_refresh(&d->list[i]);
}

static void on_refreshed(struct served *s, void *arg)
{
    struct daemon *d = arg;

    (void)s;
    if (--d->refreshing == 0)
        service_reloaded(&d->service);
}

static void on_signal(uv_signal_t *h, int num)
{
    struct daemon *d = h->data;

    if (num == SIGHUP) {
        refresh(d);
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

static void on_quit(void *arg, int pid)
{
    struct daemon *d = arg;

    if (d->stopping || d->ending)
        return;
    log_info(NULL, "stopping: quit, by process %d", pid);
    stop_with_command(d, SIGTERM);
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

/* ---- events ---- */

/* [any of the device's loops] */
static void on_event(struct served *s, const struct endpoint_event *event,
                     void *arg)
{
    static const char *const names[] = {
        [ENDPOINT_CONNECTED] = "connect",
        [ENDPOINT_DISCONNECTED] = "disconnect",
        [ENDPOINT_RING_BROKEN] = "ring.broken",
        [ENDPOINT_CONFIG_CHANGED] = "config",
    };
    struct daemon *d = arg;
    struct json_out o = JSON_OUT_EMPTY;

    if (event->what == ENDPOINT_CONNECTED)
        service_count(&d->service, 1);
    else if (event->what == ENDPOINT_DISCONNECTED)
        service_count(&d->service, -1);
    if (!control_wants_events(&d->control))
        return;
    json_add_str(&o, "event", names[event->what]);
    json_add_str(&o, "device", s->common->id);
    if (event->what == ENDPOINT_RING_BROKEN)
        json_add_u64(&o, "ring", event->ring);
    if (event->what == ENDPOINT_CONNECTED ||
        event->what == ENDPOINT_DISCONNECTED) {
        json_add_i64(&o, "pid", event->pid);
        json_add_u64(&o, "uid", event->uid);
    }
    if (event->why)
        json_add_str(&o, "why", event->why);
    control_event(&d->control, &o);
}

static void on_stuck(struct watchdog *w, unsigned workers)
{
    service_stuck(&container_of(w, struct daemon, watchdog)->service, workers);
}

/* ---- start ---- */

static void tell_ready(struct daemon *d)
{
    static const char line[] = "ready\n";
    char text[300];

    for (int i = 0; i < d->count; i++) {
        const struct served *s = &d->list[i];

        served_describe(s, text, sizeof(text));
        if (s->place.given < 0)
            log_info(s->common->id, "%s, at %s", text, s->place.path);
        else
            log_info(s->common->id, "%s, at fd %d%s%s", text, s->place.given,
                     s->place.path ? ", " : "",
                     s->place.path ? s->place.path : "");
    }
    log_info(NULL, "%d device%s ready", d->count, d->count == 1 ? "" : "s");
    service_ready(&d->service, (unsigned)d->count);
    if (d->ready_fd < 0)
        return;
    if (write(d->ready_fd, line, sizeof(line) - 1) < 0)
        log_warn(NULL, "nobody could be told on fd %d: %s", d->ready_fd,
                 strerror(errno));
    process_close_fd(d->ready_fd);
    d->ready_fd = -1;
}

static void be_ready(struct daemon *d)
{
    struct err why;

    tell_ready(d);
    if (!d->how->run)
        return;
    d->run.ended = on_command_ended;
    if (run_start(&d->run, d->how->run, &d->main, d->list, d->count,
                  d->control.place.path, &why) < 0) {
        d->rc = errs_add(d->e, why.code, "--run", "%s", why.text);
        stop(d);
    }
}

static void on_started(struct served *s, const struct err *e, void *arg)
{
    struct daemon *d = arg;

    d->starting--;
    if (e) {
        d->rc = errs_adopt(d->e, s->conf->at, NULL, e);
        stop(d);
    } else if (d->starting == 0 && !d->stopping) {
        be_ready(d);
    }
}

static int open_devices(struct daemon *d)
{
    const struct conf_anys *devices = &d->conf->devices;
    int rc = 0;

    d->list = calloc((unsigned)devices->count, sizeof(*d->list));
    if (!d->list)
        return errs_nomem(d->e);
    for (int i = 0; i < devices->count; i++) {
        int one = served_open(&d->list[d->count], &devices->list[i], d->e);

        if (one < 0)
            rc = one;
        else
            d->count++;
    }
    return rc;
}

static void no_gone(uv_handle_t *h)
{
    (void)h; /* the handles are the daemon's, which outlives the loop */
}

static int open_main_loop(struct daemon *d)
{
    int rc = loop_open(&d->main, "main");

    if (rc < 0)
        return errs_add(d->e, rc, "", "cannot make a loop: %s", strerror(-rc));
    d->main_open = true;
    d->deadline.fire = on_deadline;
    timer_open(&d->deadline, &d->main);
    for (unsigned i = 0; i < ARRAY_LEN(signals); i++) {
        uv_signal_init(&d->main.uv, &d->signals[i]);
        d->signals[i].data = d;
        rc = uv_signal_start(&d->signals[i], on_signal, signals[i]);
        if (rc < 0)
            return errs_add(d->e, rc, "", "cannot take signals: %s",
                            strerror(-rc));
    }
    return 0;
}

static void close_main_loop(struct daemon *d)
{
    if (!d->main_open)
        return;
    timer_close(&d->deadline);
    if (d->parent_fd >= 0) {
        watch_close(&d->parent);
        close(d->parent_fd);
    }
    for (unsigned i = 0; i < ARRAY_LEN(signals); i++) {
        if (d->signals[i].loop)
            uv_close((uv_handle_t *)&d->signals[i], no_gone);
    }
    loop_close(&d->main);
}

static int watch_parent(struct daemon *d)
{
    int rc = parent_open();

    if (rc == -ENOSYS)
        return 0; /* SIGTERM will come */
    if (rc < 0)
        return errs_add(d->e, rc, "--exit-with-parent",
                        "the parent process has ended already");
    d->parent.ready = on_parent_gone;
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

static int start(struct daemon *d)
{
    struct err why;
    int rc;

    rc = workers_open(&d->workers, &d->conf->devices, &why);
    if (rc < 0)
        return errs_push(d->e, &why);
    for (int i = 0; i < d->count; i++) {
        rc = served_place(&d->list[i], &d->workers, &d->sockets.devices[i],
                          &why);
        if (rc < 0)
            return errs_push(d->e, &why);
    }
    if (d->conf->has_control) {
        d->control.quit = on_quit;
        d->control.arg = d;
        control_open(&d->control, &d->sockets.control, &d->main);
    }
    rc = watchdog_open(&d->watchdog, &d->main, &d->workers, &why);
    if (rc < 0)
        return errs_push(d->e, &why);
    d->watchdog.stuck = on_stuck;
    rc = workers_start(&d->workers, &why);
    return rc < 0 ? errs_push(d->e, &why) : 0;
}

/* The workers run. */
static void serve(struct daemon *d)
{
    struct err why;

    d->starting = d->count;
    for (int i = 0; i < d->count; i++)
        served_start(&d->list[i], &d->main, &d->events);
    if (control_start(&d->control, d->list, d->count, &why) < 0) {
        d->rc = errs_push(d->e, &why);
        stop(d);
    }
}

/* Whose sockets are which, by the config and the environment. */
static int take_sockets(struct daemon *d)
{
    struct inherited in;
    int rc = inherit_read(&in, d->e);

    if (rc < 0)
        return rc;
    rc = sockets_take(&d->sockets, d->conf, &in, d->ready_fd, d->e);
    inherit_free(&in);
    return rc;
}

/* Up to where the workers run; else the exit status, and why in e. */
static int begin(struct daemon *d)
{
    if (take_sockets(d) < 0)
        return EXIT_USAGE;
    if (d->how->run && run_check(d->conf, d->e) < 0)
        return EXIT_USAGE;
    if (open_main_loop(d) < 0)
        return EXIT_RUN_TIME;
    service_open(&d->service, &d->main);
    if (d->how->exit_with_parent && watch_parent(d) < 0)
        return EXIT_RUN_TIME;
    if (sockets_bind(&d->sockets, d->conf, d->e) < 0)
        return EXIT_RUN_TIME;
    if (open_devices(d) < 0)
        return EXIT_USAGE;
    return start(d) < 0 ? EXIT_RUN_TIME : EXIT_CLEAN;
}

static void end(struct daemon *d)
{
    workers_stop(&d->workers);
    watchdog_close(&d->watchdog);
    control_close(&d->control);
    for (int i = 0; i < d->count; i++)
        served_free(&d->list[i]);
    sockets_close(&d->sockets);
    workers_close(&d->workers);
    run_close(&d->run);
    service_close(&d->service);
    close_main_loop(d);
    control_free(&d->control);
    free(d->list);
    if (d->ready_fd >= 0)
        process_close_fd(d->ready_fd);
}

int daemon_run(const struct config *c, const char *dir,
               const struct daemon_conf *how, struct errs *e)
{
    struct daemon d = {.conf = c,
                       .how = how,
                       .e = e,
                       .ready_fd = how->ready_fd,
                       .parent_fd = -1};
    int status;

    d.control.dir = dir;
    d.events = (struct served_events){
        .started = on_started,
        .refreshed = on_refreshed,
        .closed = on_closed,
        .left = on_left,
        .event = on_event,
        .arg = &d,
    };
    status = begin(&d);
    if (status == EXIT_CLEAN) {
        serve(&d);
        loop_run(&d.main);
        status = d.rc < 0 ? EXIT_RUN_TIME : d.status;
    }
    end(&d);
    return status;
}
