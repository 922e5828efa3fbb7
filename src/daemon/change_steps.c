/* What may fail is done first, while nobody has noticed anything: sockets are
 * bound and devices opened, in threads, since a file system may take its time.
 * Then the new ones start, and only then the old ones are closed. What needs
 * something that an old one has (its socket, a name of a throttle) is left for
 * the end, when that one is gone; if it fails there, what has come is closed
 * and what has gone is opened again by the config that it had.
 *
 *     prepare -> start -> leave -> prepare the late -> start the late -> done
 *        |         |        |              |                 |
 *        +---------+--------+--- undo -----+-----------------+
 *                                  |
 *                             close what came -> restore what left -> done
 *
 * A step has so many things under way; the last of them begins the next. A
 * device that does not go within its drain_timeout is left to go when it can,
 * and what should have come instead does not. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/change_impl.h"
#include "daemon/throttles.h"
#include "store/throttle.h"

/* What an end takes beside the drain. */
#define LEAVE_GRACE_MS 5000

static void next_step(struct change *c);

/* ---- starting ---- */

static int start_one(struct change *c, struct arrival *a, struct err *e)
{
    struct devices *ds = c->changer->devices;
    int rc;

    rc = served_use(a->served, &ds->workers, e);
    if (rc == 0)
        rc = workers_start(&ds->workers, e);
    if (rc == 0 && devices_add(ds, a->served) < 0)
        rc = err_nomem(e);
    if (rc < 0)
        return rc;
    rc = served_place(a->served, &a->place, e);
    if (rc < 0) {
        devices_remove(ds, a->served);
        return rc;
    }
    a->started = true;
    a->served->change = c;
    served_start(a->served, c->changer->main, c->changer->events);
    return 0;
}

static void start_all(struct change *c)
{
    struct err why;

    LIST_EACH (&c->arrivals, node) {
        struct arrival *a = arrival_at(node);

        if (a->started || !a->served || (c->step == START && a->late))
            continue;
        if (start_one(c, a, &why) < 0)
            errs_adopt(&c->errors, a->conf.at, NULL, &why);
        else
            c->under_way++;
    }
}

void change_started(struct served *s, const struct err *e)
{
    struct change *c = s->change;

    s->change = NULL;
    if (e)
        errs_adopt(&c->errors, s->conf->at, NULL, e);
    if (e && c->step == RESTART)
        served_close(s); /* there is no way back from here */
    change_one_is_over(c);
}

/* ---- leaving ---- */

static void on_impatient(struct timer *t)
{
    struct change *c = container_of(t, struct change, patience);

    LIST_EACH (&c->departures, node) {
        struct departure *d = departure_at(node);

        if (!d->served || d->served->gone || !d->served->change)
            continue;
        errs_add(
            &c->errors, -ETIMEDOUT, "",
            "the requests of the device \"%s\" do not end; it is gone when "
            "they have",
            conf_common(&d->conf)->id);
        d->served->change = NULL;
        d->served = NULL;
        c->under_way--;
    }
    if (c->under_way == 0)
        next_step(c);
}

static void begin_patience(struct change *c, uint64_t drain_ms)
{
    if (!c->has_timer) {
        c->patience.fire = on_impatient;
        timer_open(&c->patience, c->changer->main);
        c->has_timer = true;
    }
    timer_start(&c->patience, drain_ms + LEAVE_GRACE_MS);
}

/* Those that are to leave in this step. */
static void close_all(struct change *c)
{
    uint64_t drain_ms = 0;

    LIST_EACH (&c->departures, node) {
        struct served *s = departure_at(node)->served;

        if (!s)
            continue;
        drain_ms = MAX(drain_ms, s->common->drain_timeout);
        s->change = c;
        c->under_way++;
        served_close(s);
    }
    if (c->under_way)
        begin_patience(c, drain_ms);
}

void change_gone(struct served *s)
{
    struct change *c = s->change;

    s->change = NULL;
    LIST_EACH (&c->departures, node) {
        struct departure *d = departure_at(node);

        if (d->served != s)
            continue;
        d->served = NULL;
        d->has_left = !d->came;
    }
    change_one_is_over(c);
}

/* ---- back to what was ---- */

/* Those that were to leave and have not been asked to stay; those that came
 * go again. */
static void turn_around(struct change *c)
{
    LIST_EACH_SAFE (&c->departures, node)
        if (departure_at(node)->served)
            change_free_departure(departure_at(node));
    LIST_EACH_SAFE (&c->arrivals, node) {
        struct arrival *a = arrival_at(node);

        if (a->started && change_leave(c, a->served) == 0)
            departure_at(c->departures.prev)->came = true;
        else if (a->started)
            served_close(a->served); /* nobody waits for it */
        change_drop_arrival(a);
    }
    close_all(c);
}

static void return_to(struct arrival *a, struct departure *d)
{
    a->place = d->place;
    a->heritage = d->heritage;
    a->returns = d->returns;
    d->place = PLACE_NONE;
    d->heritage = HERITAGE_NONE;
}

/* Those that have left come back, by what they were. */
static void restore_departures(struct change *c)
{
    LIST_EACH (&c->departures, node) {
        struct departure *d = departure_at(node);

        if (!d->has_left)
            continue;
        d->has_left = false;
        if (change_come(c, &d->conf, d->doc, NULL) == 0)
            return_to(arrival_at(c->arrivals.prev), d);
        else
            errs_nomem(&c->errors);
    }
}

/* ---- those that stay, with other limits ---- */

/* They are said before others come, who may say the same. */
static void adjust_all(struct change *c)
{
    LIST_EACH (&c->adjustments, node) {
        struct adjustment *a = adjustment_at(node);

        conf_swap_live(&a->was, &a->is, &device_union);
        throttles_say(&a->was);
    }
}

static void tell_adjusted(struct change *c, const char *id)
{
    struct served *s = devices_find(c->changer->devices, id);

    log_info(id, "has other limits now");
    if (s && !s->closing)
        served_adjusted(s);
}

static void end_adjusting(struct change *c)
{
    bool failed = errs_total(&c->errors) > 0;

    LIST_EACH (&c->adjustments, node) {
        struct adjustment *a = adjustment_at(node);

        if (!failed) {
            conf_take_live(&a->is, &a->was, &device_union);
            tell_adjusted(c, conf_common(&a->was)->id);
        } else {
            conf_swap_live(&a->was, &a->is, &device_union);
            throttles_say(&a->was);
        }
    }
    throttle_settle();
}

/* ---- from step to step ---- */

void change_finish(struct change *c)
{
    struct errs e;

    end_adjusting(c);
    e = c->errors;
    c->errors = ERRS_EMPTY;
    c->changer->now = NULL;
    c->done(c->arg, &e);
    errs_free(&e);
    change_free(c);
}

static bool any_late(const struct change *c)
{
    LIST_EACH (&c->arrivals, node)
        if (!arrival_at(node)->started)
            return true;
    return false;
}

static void go(struct change *c, enum step step)
{
    c->step = step;
    switch (step) {
    case PREPARE:
    case PREPARE_LATE:
        change_prepare_all(c);
        break;
    case START:
    case START_LATE:
    case RESTART:
        start_all(c);
        break;
    case LEAVE:
        close_all(c);
        break;
    case UNDO:
        turn_around(c);
        break;
    case RESTORE:
        restore_departures(c);
        change_prepare_all(c);
        break;
    }
    if (c->under_way == 0)
        next_step(c);
}

static void next_step(struct change *c)
{
    bool failed = errs_total(&c->errors) > 0;

    if (c->has_timer)
        timer_stop(&c->patience);
    if (failed && c->step < UNDO) {
        go(c, UNDO);
        return;
    }
    switch (c->step) {
    case PREPARE:
        go(c, START);
        break;
    case START:
        go(c, LEAVE);
        break;
    case LEAVE:
        if (any_late(c))
            go(c, PREPARE_LATE);
        else
            change_finish(c);
        break;
    case PREPARE_LATE:
        go(c, START_LATE);
        break;
    case UNDO:
        go(c, RESTORE);
        break;
    case RESTORE:
        go(c, RESTART);
        break;
    default:
        change_finish(c);
        break;
    }
}

void change_one_is_over(struct change *c)
{
    if (--c->under_way == 0)
        next_step(c);
}

/* Its socket is known to be somebody's who leaves. */
static void find_late(struct change *c, struct arrival *a)
{
    char *dir = config_runtime_dir(c->changer->conf);
    char *path = dir ? config_socket_path(dir, conf_common(&a->conf)) : NULL;

    LIST_EACH (&c->departures, node) {
        const char *other = departure_at(node)->served->place.path;

        a->late |= path && other && strcmp(path, other) == 0;
    }
    free(path);
    free(dir);
}

void change_run(struct change *c, void (*done)(void *arg, const struct errs *e),
                void *arg)
{
    c->done = done;
    c->arg = arg;
    c->changer->now = c;
    LIST_EACH (&c->arrivals, node)
        find_late(c, arrival_at(node));
    adjust_all(c);
    go(c, PREPARE);
}

void change_restore(struct change *c,
                    void (*done)(void *arg, const struct errs *e), void *arg)
{
    c->done = done;
    c->arg = arg;
    c->changer->now = c;
    go(c, RESTORE);
}
