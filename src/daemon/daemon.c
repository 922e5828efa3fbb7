/* Start: everything that can fail is done by one thread, in an order in which
 * all errors of a step are told before the program gives up: sockets, devices,
 * threads. Between the last two the process gives up what it needs no more
 * (confine.h); processes that are to keep it are made before. From then on
 * devices come and go by change.c, one change at a time; the start is the
 * first. Stop: every device is asked to close on its own loop, the loops end
 * when all have, then all is freed. A stop is bounded: what is not over after
 * every drain must be, is left to the system.
 *
 * With a command (run.c) a stop begins with the command's: a VMM ends better
 * while it has its devices. Its end stops vub, whatever the reason. */
#include "daemon/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/change.h"
#include "daemon/confine.h"
#include "daemon/control/control.h"
#include "daemon/devices.h"
#include "daemon/hand_over.h"
#include "daemon/isolate.h"
#include "daemon/origin.h"
#include "daemon/reload.h"
#include "daemon/run.h"
#include "daemon/service.h"
#include "daemon/sockets.h"
#include "daemon/take_over.h"
#include "daemon/watchdog.h"
#include "iscsi/unit.h"
#include "loop/timer.h"
#include "loop/watch.h"
#include "os/child.h"
#include "os/keep.h"
#include "os/parent.h"
#include "os/process.h"

/* What a stop takes beside the drains. */
#define STOP_GRACE_MS 5000

static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

struct daemon {
    const struct config *conf; /* that it has started with */
    struct conf_doc *doc;      /* likewise */
    const struct daemon_conf *how;
    struct errs *e;
    int ready_fd; /* how's, until it is closed */
    struct sockets sockets;
    struct devices devices;
    struct list gone; /* devices that somebody has a ref of yet */
    struct changer changer;
    struct turn start; /* takes the first turn */
    struct reload reload;
    struct watchdog watchdog;
    struct control control;
    struct service service;
    struct run run;
    struct confine confine;
    struct take_over take_over; /* --take-over, until all runs */
    struct origin origin;       /* what is told of it later */
    struct hand_over hand_over; /* the other way round */
    struct loop main;
    uv_signal_t signals[ARRAY_LEN(signals)];
    struct timer deadline;
    struct watch parent;
    int parent_fd; /* -1: not watched */
    struct served_events events;
    int starting, going, closing;     /* answers waited for */
    bool main_open, ending, stopping; /* ending: the command is told to end */
    bool service_told;                /* of that */
    int status;                       /* the command's */
    int rc;
};

/* ---- stop ---- */

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

static void stop(struct daemon *d)
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

static void on_refreshed(struct served *s, void *arg)
{
    struct daemon *d = arg;

    (void)s;
    if (!d->how->isolated)
        reload_refreshed(&d->reload);
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
    stop(arg);
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
    stop(d);
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

static void tell_of_device(struct daemon *d, const struct served *s,
                           const char *event)
{
    struct json_out o = JSON_OUT_EMPTY;

    if (!control_wants_events(&d->control))
        return;
    json_add_str(&o, "event", event);
    json_add_str(&o, "device", s->common->id);
    control_event(&d->control, &o);
}

/* ---- devices that leave ---- */

static void on_unused(struct served *s, void *arg)
{
    struct daemon *d = arg;

    list_del(&s->node);
    control_forget(&d->control, s);
    served_free(s, &d->devices.workers);
}

static void on_gone(struct served *s, void *arg)
{
    struct daemon *d = arg;

    if (d->stopping)
        return; /* end() sees to it */
    if (!s->suspending) {
        log_info(s->common->id, "removed");
        tell_of_device(d, s, "device.removed");
        keep_forget(s->common->id); /* what it has not asked for */
    }
    devices_remove(&d->devices, s);
    list_add(&d->gone, &s->node);
    service_devices(&d->service, (unsigned)d->devices.count);
    if (s->change)
        change_gone(s);
    if (s->suspending)
        hand_over_gone(&d->hand_over, s);
    served_unref(s);
}

static void on_refused(struct served *s, const struct err *e, void *arg)
{
    struct daemon *d = arg;

    if (!d->stopping)
        hand_over_refused(&d->hand_over, s, e);
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

/* [the session's loop] */
static void on_iscsi(const struct iscsi_event *event, void *arg)
{
    struct daemon *d = arg;
    struct json_out o = JSON_OUT_EMPTY;

    if (!control_wants_events(&d->control))
        return;
    json_add_str(&o, "event", event->why ? "iscsi.lost" : "iscsi.back");
    json_add_str(&o, "device", event->device);
    json_add_str(&o, "target", event->target);
    json_add_str(&o, "portal", event->portal);
    if (event->why)
        json_add_str(&o, "why", event->why);
    else
        json_add_u64(&o, "down_ms", event->down_ms);
    control_event(&d->control, &o);
}

/* What an isolated device tells of itself. */
static void on_told(struct served *s, struct json_out *members, void *arg)
{
    struct daemon *d = arg;

    (void)s;
    control_event(&d->control, members);
}

static void on_stuck(struct watchdog *w, unsigned workers)
{
    service_stuck(&container_of(w, struct daemon, watchdog)->service, workers);
}

/* ---- start ---- */

static void tell_where(const struct served *s)
{
    char text[300];

    served_describe(s, text, sizeof(text));
    if (s->place.given < 0)
        log_info(s->common->id, "%s, at %s", text, s->place.path);
    else
        log_info(s->common->id, "%s, at fd %d%s%s", text, s->place.given,
                 s->place.path ? ", " : "", s->place.path ? s->place.path : "");
}

/* Of an isolated device: its keeper learns what the relay has to know. */
static void tell_keeper(struct daemon *d)
{
    const struct served *s = d->devices.list[0];
    struct json_out o = JSON_OUT_EMPTY;
    char digest[20];

    keep_forget(s->common->id);
    json_add_bool(&o, "config_acts",
                  endpoint_device(s->endpoint)->ops->config_acts);
    snprintf(digest, sizeof(digest), "%" PRIx64,
             conf_digest(s->conf, &device_union));
    json_add_str(&o, "config", digest);
    if (!o.failed)
        control_tell_keeper(&d->control, "ready", o.text);
    json_out_free(&o);
}

static void tell_ready(struct daemon *d)
{
    static const char line[] = "ready\n";
    int count = d->devices.count;

    if (d->how->isolated) {
        tell_keeper(d);
        return;
    }
    for (int i = 0; i < count; i++)
        tell_where(d->devices.list[i]);
    if (d->origin.pid)
        origin_tell(&d->origin, &d->take_over);
    log_info(NULL, "%d device%s ready", count, count == 1 ? "" : "s");
    service_ready(&d->service, (unsigned)count);
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
    take_over_close(&d->take_over);
    d->run.ended = on_command_ended;
    if (d->how->run && run_start(&d->run, &d->main, &why) < 0) {
        d->rc = errs_add(d->e, why.code, "--run", "%s", why.text);
        stop(d);
    }
    changer_over(&d->changer);
}

/* One that was not there at the start. */
static void came(struct daemon *d, struct served *s, const struct err *e)
{
    if (!e) {
        tell_where(s);
        if (!s->returns)
            tell_of_device(d, s, "device.added");
        service_devices(&d->service, (unsigned)d->devices.count);
    }
    change_started(s, e);
}

static int start_control(struct daemon *d)
{
    struct err why;
    int rc = control_start(&d->control, &why);

    if (rc < 0) {
        d->rc = errs_push(d->e, &why);
        stop(d);
    }
    return rc;
}

static void on_taken_over(struct take_over *t, const struct errs *e)
{
    struct daemon *d = container_of(t, struct daemon, take_over);

    if (d->stopping)
        return;
    if (errs_total(e) > 0) {
        d->rc = errs_push(d->e, &e->list[0]);
        stop(d);
        return;
    }
    d->control.place.taken = false;
    if (d->control.open)
        sock_listen_again(d->control.place.fd);
    for (int i = 0; i < d->devices.count; i++)
        if (d->devices.list[i]->listener >= 0)
            sock_listen_again(d->devices.list[i]->listener);
    take_over_own(t);
    d->going = d->devices.count;
    for (int i = 0; i < d->devices.count; i++)
        served_go(d->devices.list[i]);
    service_speak(&d->service);
    start_control(d);
}

static void on_started(struct served *s, const struct err *e, void *arg)
{
    struct daemon *d = arg;

    if (s->change) {
        came(d, s, e);
        return;
    }
    if (d->starting == 0)
        return; /* nobody waits for it any more */
    d->starting--;
    if (e) {
        d->rc = errs_adopt(d->e, s->conf->at, NULL, e);
        stop(d);
    } else if (d->starting > 0 || d->stopping) {
        return;
    } else if (s->waits) {
        take_over_finish(&d->take_over, &d->main, on_taken_over);
    } else {
        be_ready(d);
    }
}

/* Of one that was handed over. There is nobody to give it back to. */
static void on_went(struct served *s, const struct err *e, void *arg)
{
    struct daemon *d = arg;

    if (e)
        log_error(s->common->id, "its front-end cannot go on here: %s",
                  e->text);
    if (d->going > 0 && --d->going == 0 && !d->stopping)
        be_ready(d);
}

static int open_device(struct daemon *d, const struct conf_any *conf)
{
    struct served *s = served_new(conf, d->doc);
    int rc;

    if (!s)
        return errs_nomem(d->e);
    s->is_here = d->how->isolated;
    s->waits = d->origin.pid > 0;
    take_over_inherit(&d->take_over, s);
    rc = served_open(s, d->e);
    if (rc == 0 && devices_add(&d->devices, s) < 0)
        rc = errs_nomem(d->e);
    if (rc < 0)
        served_free(s, &d->devices.workers);
    return rc;
}

static int open_devices(struct daemon *d)
{
    const struct conf_anys *devices = &d->conf->devices;
    int rc = 0;

    for (int i = 0; i < devices->count; i++) {
        int one = open_device(d, &devices->list[i]);

        if (one < 0)
            rc = one;
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
    d->hand_over.main = &d->main;
    d->hand_over.devices = &d->devices;
    d->hand_over.changer = &d->changer;
    d->hand_over.service = &d->service;
    d->hand_over.has_command = d->how->run != NULL;
    d->hand_over.over = on_handed_over;
    hand_over_init(&d->hand_over);
    /* Signals that are sent to all are not for the process of one device. */
    for (unsigned i = 0; i < ARRAY_LEN(signals) && !d->how->isolated; i++) {
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

static int open_control(struct daemon *d)
{
    struct err why;

    if (!d->conf->has_control && !d->how->isolated)
        return 0;
    d->control.quit = on_quit;
    d->control.arg = d;
    d->control.devices = &d->devices;
    d->control.changer = &d->changer;
    d->control.reload = &d->reload;
    d->control.hand_over = &d->hand_over;
    d->control.origin = &d->origin;
    if (d->how->isolated)
        d->control.keeper_gone = on_keeper_gone;
    control_open(&d->control, &d->sockets.control, &d->main);
    if (d->conf->has_control)
        d->hand_over.control = &d->control.place;
    iscsi_tell(on_iscsi, d);
    if (d->how->isolated &&
        control_adopt(&d->control, d->how->isolated->control, &why) < 0)
        return errs_push(d->e, &why);
    return 0;
}

static int start(struct daemon *d)
{
    struct err why;
    int rc;

    d->devices.workers.main = &d->main;
    d->devices.workers.ended = on_worker_ended;
    rc = watchdog_open(&d->watchdog, &d->main, &d->devices.workers, &why);
    if (rc < 0)
        return errs_push(d->e, &why);
    d->watchdog.stuck = on_stuck;
    for (int i = 0; i < d->devices.count; i++) {
        struct served *s = d->devices.list[i];

        rc = served_use(s, &d->devices.workers, &why);
        if (rc == 0)
            rc = served_place(s, &d->sockets.devices[i], &why);
        if (rc < 0)
            return errs_push(d->e, &why);
    }
    rc = open_control(d);
    if (rc < 0)
        return rc;
    rc = confine_enter(&d->confine, d->run.process.pid, d->e);
    if (rc < 0)
        return rc;
    rc = workers_start(&d->devices.workers, &why);
    return rc < 0 ? errs_push(d->e, &why) : 0;
}

static void on_start_turn(struct turn *t)
{
    (void)t; /* it is over when it is ready */
}

/* The workers run. */
static void serve(struct daemon *d)
{
    changer_wait(&d->changer, &d->start);
    d->starting = d->devices.count;
    for (int i = 0; i < d->devices.count; i++)
        served_start(d->devices.list[i], &d->main, &d->events);
    /* What comes there is the other's until all is ours. */
    if (!d->origin.pid)
        start_control(d);
}

/* Whose sockets are which, by the config and the environment. */
static int take_sockets(struct daemon *d)
{
    struct inherited in;
    int rc;

    if (d->how->isolated) {
        sockets_take_door(&d->sockets, d->how->isolated->door);
        return 0;
    }
    rc = inherit_read(&in, d->e);
    if (rc < 0)
        return rc;
    rc = sockets_take(&d->sockets, d->conf, &in, d->ready_fd, d->e);
    inherit_free(&in);
    return rc;
}

/* From another vub. */
static int take_over(struct daemon *d)
{
    struct take_over *t = &d->take_over;
    int rc;

    if (!d->how->take_over)
        return 0;
    rc = take_over_connect(t, d->how->take_over, d->conf, d->e);
    if (rc == 0)
        rc = take_over_sockets(t, d->conf, &d->sockets, d->e);
    if (rc == 0) {
        service_join(&d->service, t->notify, t->watchdog_us);
        origin_note(&d->origin, t);
    }
    return rc;
}

static int prepare_command(struct daemon *d)
{
    struct err why;

    if (!d->how->run || run_prepare(&d->run, d->how->run, d->conf, &d->sockets,
                                    d->ready_fd, &why) == 0)
        return 0;
    return errs_add(d->e, why.code, "--run", "%s", why.text);
}

/* Up to where the workers run; else the exit status, and why in e. */
static int begin(struct daemon *d)
{
    if (sockets_init(&d->sockets, d->conf, d->e) < 0 || take_over(d) < 0)
        return EXIT_RUN_TIME;
    if (take_sockets(d) < 0)
        return EXIT_USAGE;
    if (d->how->run && run_check(d->conf, d->e) < 0)
        return EXIT_USAGE;
    if (confine_prepare(&d->confine, d->conf, d->doc, d->reload.source,
                        d->how->isolated ? config_device(d->conf, 0)->id : NULL,
                        d->e) < 0)
        return EXIT_USAGE;
    if (open_main_loop(d) < 0)
        return EXIT_RUN_TIME;
    if (!d->how->isolated)
        service_open(&d->service, &d->main);
    if (d->how->exit_with_parent && watch_parent(d) < 0)
        return EXIT_RUN_TIME;
    if (!d->how->isolated && sockets_bind(&d->sockets, d->conf, d->e) < 0)
        return EXIT_RUN_TIME;
    if (prepare_command(d) < 0)
        return EXIT_RUN_TIME;
    /* From here on guests of another vub wait. */
    if (d->origin.pid && take_over_devices(&d->take_over, d->conf, d->e) < 0)
        return EXIT_RUN_TIME;
    if (open_devices(d) < 0)
        return EXIT_USAGE;
    return start(d) < 0 ? EXIT_RUN_TIME : EXIT_CLEAN;
}

static void free_devices(struct daemon *d)
{
    LIST_EACH_SAFE (&d->gone, node)
        on_unused(container_of(node, struct served, node), d);
    for (int i = 0; i < d->devices.count; i++) {
        control_forget(&d->control, d->devices.list[i]);
        served_free(d->devices.list[i], &d->devices.workers);
    }
    free(d->devices.list);
}

static void end(struct daemon *d)
{
    workers_stop(&d->devices.workers);
    watchdog_close(&d->watchdog);
    control_close(&d->control);
    for (int i = 0; i < d->devices.count; i++)
        served_end(d->devices.list[i]);
    iscsi_tell(NULL, NULL);
    hand_over_close(&d->hand_over);
    take_over_stop(&d->take_over);
    sockets_close(&d->sockets);
    workers_close(&d->devices.workers);
    run_close(&d->run);
    service_close(&d->service);
    close_main_loop(d);
    free_devices(d);
    confine_end(&d->confine);
    control_free(&d->control);
    conf_free(d->changer.doc);
    /* Nothing of it is open here any more: the other may have it again. */
    take_over_fail(&d->take_over, d->e);
    take_over_close(&d->take_over);
    if (d->ready_fd >= 0)
        process_close_fd(d->ready_fd);
}

int daemon_run(const struct config *c, struct conf_doc *doc,
               const struct config_source *source,
               const struct daemon_conf *how, struct errs *e)
{
    struct daemon d = {.conf = c,
                       .doc = doc,
                       .how = how,
                       .e = e,
                       .ready_fd = how->ready_fd,
                       .parent_fd = -1};
    int status;

    d.control.dir = conf_dir(doc);
    origin_begin(&d.origin);
    d.changer = (struct changer){.main = &d.main,
                                 .devices = &d.devices,
                                 .events = &d.events,
                                 .conf = c,
                                 .doc = conf_ref(doc),
                                 .first = doc};
    changer_init(&d.changer);
    list_init(&d.gone);
    d.start.run = on_start_turn;
    d.reload.changer = &d.changer;
    d.reload.source = source;
    d.reload.service = &d.service;
    d.events = (struct served_events){
        .started = on_started,
        .went = on_went,
        .refreshed = on_refreshed,
        .refused = on_refused,
        .closed = on_closed,
        .gone = on_gone,
        .unused = on_unused,
        .left = on_left,
        .event = on_event,
        .told = on_told,
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
