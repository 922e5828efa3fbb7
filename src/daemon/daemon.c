/* Start: everything that can fail is done by one thread, in an order in which
 * all errors of a step are told before the program gives up: devices, sockets,
 * threads. Stop: every device is asked to close on its own loop, the loops end
 * when all have, then all is freed. A stop is bounded: what is not over after
 * every drain must be, is left to the system. */
#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/control/control.h"
#include "daemon/served.h"
#include "daemon/watchdog.h"
#include "daemon/workers.h"
#include "loop/timer.h"
#include "os/process.h"

/* What a stop takes beside the drains. */
#define STOP_GRACE_MS 5000

static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

struct daemon {
    const struct config *conf;
    struct errs *e;
    int ready_fd;
    struct served *list;
    int count; /* of list, opened */
    struct workers workers;
    struct watchdog watchdog;
    struct control control;
    struct loop main;
    uv_signal_t signals[ARRAY_LEN(signals)];
    struct timer deadline;
    struct served_events events;
    int starting, closing; /* answers waited for */
    bool main_open, stopping;
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
    _exit(1); /* threads hang in the kernel: there is no clean way */
}

static void stop(struct daemon *d)
{
    uint64_t longest = 0;

    if (d->stopping)
        return;
    d->stopping = true;
    d->closing = d->count;
    for (int i = 0; i < d->count; i++) {
        longest = MAX(longest, d->list[i].common->drain_timeout);
        served_close(&d->list[i]);
    }
    timer_start(&d->deadline, longest + STOP_GRACE_MS);
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
    if (!((struct daemon *)arg)->stopping)
        log_info(s->common->id, "stopping: on_disconnect is \"exit\"");
    stop(arg);
}

static void on_signal(uv_signal_t *h, int num)
{
    struct daemon *d = h->data;

    if (num == SIGHUP) {
        for (int i = 0; i < d->count && !d->stopping; i++)
            served_refresh(&d->list[i]);
        return;
    }
    if (d->stopping)
        _exit(1);
    log_info(NULL, "stopping: %s", num == SIGINT ? "SIGINT" : "SIGTERM");
    stop(d);
}

static void on_quit(void *arg, int pid)
{
    struct daemon *d = arg;

    if (!d->stopping)
        log_info(NULL, "stopping: quit, by process %d", pid);
    stop(d);
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

/* ---- start ---- */

static void tell_ready(struct daemon *d)
{
    static const char line[] = "ready\n";
    char text[300];

    for (int i = 0; i < d->count; i++) {
        const struct served *s = &d->list[i];

        served_describe(s, text, sizeof(text));
        if (s->path)
            log_info(s->common->id, "%s, at %s", text, s->path);
        else
            log_info(s->common->id, "%s, at fd %u", text, s->common->socket.fd);
    }
    log_info(NULL, "%d device%s ready", d->count, d->count == 1 ? "" : "s");
    if (d->ready_fd < 0)
        return;
    if (write(d->ready_fd, line, sizeof(line) - 1) < 0)
        log_warn(NULL, "nobody could be told on fd %d: %s", d->ready_fd,
                 strerror(errno));
    process_close_fd(d->ready_fd);
    d->ready_fd = -1;
}

static void on_started(struct served *s, const struct err *e, void *arg)
{
    struct daemon *d = arg;

    d->starting--;
    if (e) {
        d->rc = errs_adopt(d->e, s->conf->at, NULL, e);
        stop(d);
    } else if (d->starting == 0 && !d->stopping) {
        tell_ready(d);
    }
}

/* fds that were named to us are open now or never: later the numbers may be
 * those of our own. */
static int check_fds(const struct config *c, int ready_fd, struct errs *e)
{
    int rc = 0;

    for (int i = 0; i < c->devices.count; i++) {
        const struct device_socket *s = &config_device(c, i)->socket;
        const char *at = c->devices.list[i].at;

        if (!s->has_fd)
            continue;
        if (!process_has_fd((int)s->fd))
            rc = errs_at(e, at, "socket/fd", "fd %u is not open", s->fd);
        else if (s->fd == STDERR_FILENO)
            rc = errs_at(e, at, "socket/fd",
                         "fd %u is standard error, where log lines go", s->fd);
        else if ((int)s->fd == ready_fd)
            rc = errs_at(e, at, "socket/fd", "fd %u is that of --ready-fd",
                         s->fd);
    }
    return rc;
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
    for (unsigned i = 0; i < ARRAY_LEN(signals); i++) {
        if (d->signals[i].loop)
            uv_close((uv_handle_t *)&d->signals[i], no_gone);
    }
    loop_close(&d->main);
}

/* runtime_dir, when the first socket goes there. */
static int make_dir(struct daemon *d, const char *dir, bool *made)
{
    struct err why;
    int rc = 0;

    if (!*made)
        rc = process_make_dir(dir, &why);
    *made = true;
    return rc < 0 ? errs_adopt(d->e, "", "runtime_dir", &why) : 0;
}

static int bind_control(struct daemon *d, const char *dir)
{
    char *path = config_control_path(dir, d->conf);
    struct err why;
    int rc;

    if (!path)
        return errs_nomem(d->e);
    d->control.quit = on_quit;
    d->control.arg = d;
    rc = control_open(&d->control, path, d->conf->control.mode, &d->main, &why);
    free(path);
    return rc < 0 ? errs_adopt(d->e, "", "control", &why) : 0;
}

static int bind_sockets(struct daemon *d)
{
    char *dir = config_runtime_dir(d->conf);
    struct err why;
    bool has_dir = false;
    int rc = 0;

    if (!dir)
        return errs_nomem(d->e);
    if (d->conf->has_control) {
        if (d->conf->control.path[0] != '/')
            rc = make_dir(d, dir, &has_dir);
        if (rc == 0)
            rc = bind_control(d, dir);
    }
    for (int i = 0; i < d->count; i++) {
        const struct device_socket *s = &d->list[i].common->socket;

        if (!s->has_fd && (!s->path || s->path[0] != '/') &&
            make_dir(d, dir, &has_dir) < 0) {
            rc = -EINVAL;
            break;
        }
        if (served_bind(&d->list[i], &d->workers, dir, &why) < 0)
            rc = errs_adopt(d->e, d->list[i].conf->at, "socket", &why);
    }
    free(dir);
    return rc;
}

static int start(struct daemon *d)
{
    struct err why;
    int rc;

    rc = open_main_loop(d);
    if (rc < 0)
        return rc;
    rc = workers_open(&d->workers, &d->conf->devices, &why);
    if (rc < 0)
        return errs_push(d->e, &why);
    rc = bind_sockets(d);
    if (rc < 0)
        return rc;
    rc = watchdog_open(&d->watchdog, &d->main, &d->workers, &why);
    if (rc == 0)
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

int daemon_run(const struct config *c, const char *dir, int ready_fd,
               bool *is_config, struct errs *e)
{
    struct daemon d = {.conf = c, .e = e, .ready_fd = ready_fd};

    d.control.dir = dir;
    d.events = (struct served_events){
        .started = on_started,
        .closed = on_closed,
        .left = on_left,
        .event = on_event,
        .arg = &d,
    };
    *is_config = true;
    d.rc = check_fds(c, ready_fd, e);
    if (d.rc < 0)
        return d.rc;
    d.rc = open_devices(&d);
    if (d.rc == 0) {
        *is_config = false;
        d.rc = start(&d);
    }
    if (d.rc == 0) {
        serve(&d);
        loop_run(&d.main);
    }
    workers_stop(&d.workers);
    watchdog_close(&d.watchdog);
    control_close(&d.control);
    for (int i = 0; i < d.count; i++)
        served_free(&d.list[i]);
    workers_close(&d.workers);
    close_main_loop(&d);
    control_free(&d.control);
    free(d.list);
    if (d.ready_fd >= 0)
        process_close_fd(d.ready_fd);
    return d.rc;
}
