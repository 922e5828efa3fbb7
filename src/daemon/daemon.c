/* Start: everything that can fail is done by one thread, in an order in which
 * all errors of a step are told before the program gives up: sockets, devices,
 * threads. Between the last two the process gives up what it needs no more
 * (confine.h); processes that are to keep it are made before. From then on
 * devices come and go by change.c, one change at a time; the start is the
 * first. When the main loop has ended (daemon_stop.c) no other runs, and all is
 * freed. */
#include "daemon/daemon_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/keep.h"
#include "os/process.h"

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
        daemon_tell_device(d, s, "device.removed");
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

static void on_refreshed(struct served *s, void *arg)
{
    struct daemon *d = arg;

    (void)s;
    if (!d->how->isolated)
        reload_refreshed(&d->reload);
}

static void on_stuck(struct watchdog *w, unsigned workers)
{
    service_stuck(&container_of(w, struct daemon, watchdog)->service, workers);
}

/* ---- start ---- */

static void be_ready(struct daemon *d)
{
    struct err why;

    daemon_tell_ready(d);
    take_over_close(&d->take_over);
    if (d->run.option && run_start(&d->run, &d->main, &why) < 0) {
        d->rc = errs_add(d->e, why.code, d->run.option, "%s", why.text);
        daemon_stop(d);
    }
    changer_over(&d->changer);
}

/* One that was not there at the start. */
static void came(struct daemon *d, struct served *s, const struct err *e)
{
    if (!e) {
        daemon_tell_where(s);
        if (!s->returns)
            daemon_tell_device(d, s, "device.added");
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
        daemon_stop(d);
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
        daemon_stop(d);
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
        daemon_stop(d);
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

static struct served *begin_device(struct daemon *d,
                                   const struct conf_any *conf)
{
    struct served *s = served_new(conf, d->doc);

    if (!s)
        return NULL;
    s->is_here = d->how->isolated;
    s->waits = d->origin.pid > 0;
    take_over_inherit(&d->take_over, s);
    served_begin(s);
    return s;
}

static int open_device(struct daemon *d, struct served *s)
{
    int rc = s ? served_open(s, d->e) : errs_nomem(d->e);

    if (rc == 0 && devices_add(&d->devices, s) < 0)
        rc = errs_nomem(d->e);
    if (rc < 0 && s)
        served_free(s, &d->devices.workers);
    return rc;
}

/* Those that have a process of their own are opened all at once. */
static int open_devices(struct daemon *d)
{
    const struct conf_anys *devices = &d->conf->devices;
    struct served **begun = calloc((size_t)devices->count + 1, sizeof(*begun));
    int rc = begun ? 0 : errs_nomem(d->e);

    for (int i = 0; begun && i < devices->count; i++)
        begun[i] = begin_device(d, &devices->list[i]);
    for (int i = 0; begun && i < devices->count; i++) {
        int one = open_device(d, begun[i]);

        if (one < 0)
            rc = one;
    }
    free(begun);
    return rc;
}

static int open_main_loop(struct daemon *d)
{
    int rc = loop_open(&d->main, "main");

    if (rc < 0)
        return errs_add(d->e, rc, "", "cannot make a loop: %s", strerror(-rc));
    d->main_open = true;
    d->hand_over.main = &d->main;
    d->hand_over.devices = &d->devices;
    d->hand_over.changer = &d->changer;
    d->hand_over.service = &d->service;
    d->hand_over.has_command = d->run.option != NULL;
    hand_over_init(&d->hand_over);
    return daemon_stop_open(d);
}

static void close_main_loop(struct daemon *d)
{
    if (!d->main_open)
        return;
    daemon_stop_close(d);
    loop_close(&d->main);
}

static int open_control(struct daemon *d)
{
    struct err why;

    if (!d->conf->has_control && !d->how->isolated)
        return 0;
    d->control.arg = d;
    d->control.devices = &d->devices;
    d->control.changer = &d->changer;
    d->control.reload = &d->reload;
    d->control.hand_over = &d->hand_over;
    d->control.origin = &d->origin;
    d->control.watchdog = &d->watchdog;
    control_open(&d->control, &d->sockets.control, &d->main);
    if (d->conf->has_control)
        d->hand_over.control = &d->control.place;
    daemon_tell_open(d);
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

/* A scenario is a program that asks this one, over the control socket. */
static int prepare_scenario(struct daemon *d, struct err *why)
{
    const struct daemon_conf *how = d->how;
    const char *socket = d->sockets.control.path;
    const char *argv[] = {
        "/proc/self/exe", "scenario", "--socket",    socket, "--report",
        how->report,      "--",       how->scenario, NULL};

    if (!socket)
        return err_set(why, -EINVAL, "",
                       "the control socket was given to vub, and has no name "
                       "by which it could be asked");
    if (!how->report) {
        argv[4] = "--";
        argv[5] = how->scenario;
        argv[6] = NULL;
    }
    return run_prepare(&d->run, (char *const *)argv, d->conf, &d->sockets,
                       d->ready_fd, why);
}

static int prepare_command(struct daemon *d)
{
    char *const shell[] = {"/bin/sh", "-c", (char *)d->how->run, NULL};
    struct err why;
    int rc = 0;

    if (d->how->run)
        rc = run_prepare(&d->run, shell, d->conf, &d->sockets, d->ready_fd,
                         &why);
    else if (d->how->scenario)
        rc = prepare_scenario(d, &why);
    return rc < 0 ? errs_add(d->e, rc, d->run.option, "%s", why.text) : 0;
}

/* Up to where the workers run; else the exit status, and why in e. */
static int begin(struct daemon *d)
{
    if (sockets_init(&d->sockets, d->conf, d->e) < 0 || take_over(d) < 0)
        return EXIT_RUN_TIME;
    if (take_sockets(d) < 0)
        return EXIT_USAGE;
    if (d->run.option && run_check(&d->run, d->conf, d->e) < 0)
        return EXIT_USAGE;
    if (confine_prepare(&d->confine, d->conf, d->doc, d->reload.source,
                        d->how->isolated ? config_device(d->conf, 0)->id : NULL,
                        d->e) < 0)
        return EXIT_USAGE;
    if (open_main_loop(d) < 0)
        return EXIT_RUN_TIME;
    if (!d->how->isolated)
        service_open(&d->service, &d->main);
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
    daemon_tell_close();
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
    d.run.option = how->run ? "--run" : how->scenario ? "--scenario" : NULL;
    d.run.what = how->run ? "the command" : "the scenario";
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
        .gone = on_gone,
        .unused = on_unused,
        .arg = &d,
    };
    daemon_stop_init(&d);
    daemon_tell_init(&d);
    status = begin(&d);
    if (status == EXIT_CLEAN) {
        serve(&d);
        loop_run(&d.main);
        status = d.rc < 0 ? EXIT_RUN_TIME : d.status;
    }
    end(&d);
    return status;
}
