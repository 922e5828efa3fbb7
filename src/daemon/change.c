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
#include "daemon/change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "loop/job.h"
#include "os/thread.h"

/* What an end takes beside the drain. */
#define LEAVE_GRACE_MS 5000

enum step {
    PREPARE,
    START,
    LEAVE,
    PREPARE_LATE,
    START_LATE,
    UNDO,
    RESTORE,
    RESTART,
};

/* A device that comes. */
struct arrival {
    struct list node;
    struct change *change;
    struct conf_any conf;
    struct conf_doc *doc;
    struct job *job;                 /* that prepares it */
    struct preparation *preparation; /* the job's; NULL without one */
    struct served *served;           /* open; the list's when it has started */
    struct place place;              /* its socket, until it has started */
    bool late;                       /* its socket is another's, who leaves */
    bool started;
};

/* One that leaves, and what it takes to bring it back. */
struct departure {
    struct list node;
    struct served *served; /* NULL: gone, or not waited for any more */
    struct conf_any conf;
    struct conf_doc *doc;
    bool came;     /* with this change, which is undone */
    bool has_left; /* and is to come back if the change fails */
};

struct change {
    struct changer *changer;
    enum step step;
    struct list arrivals, departures;
    unsigned under_way;
    struct errs errors; /* not empty: it has failed */
    struct timer patience;
    bool has_timer;
    void (*done)(void *arg, const struct errs *e);
    void *arg;
};

static struct arrival *arrival_at(struct list *node)
{
    return container_of(node, struct arrival, node);
}

static struct departure *departure_at(struct list *node)
{
    return container_of(node, struct departure, node);
}

static const struct device_common *common_of(const struct conf_any *conf)
{
    return conf->data;
}

/* ---- making one ---- */

struct change *change_new(struct changer *ch)
{
    struct change *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->changer = ch;
    list_init(&c->arrivals);
    list_init(&c->departures);
    return c;
}

int change_leave(struct change *c, struct served *s)
{
    struct departure *d = calloc(1, sizeof(*d));

    if (!d)
        return -ENOMEM;
    d->served = s;
    d->conf = *s->conf;
    d->doc = s->doc ? conf_ref(s->doc) : NULL;
    list_add(&c->departures, &d->node);
    return 0;
}

int change_come(struct change *c, const struct conf_any *conf,
                struct conf_doc *doc, struct served *replaced)
{
    struct arrival *a;

    if (replaced && change_leave(c, replaced) < 0)
        return -ENOMEM;
    a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->change = c;
    a->conf = *conf;
    a->doc = doc ? conf_ref(doc) : NULL;
    a->place = PLACE_NONE;
    list_add(&c->arrivals, &a->node);
    return 0;
}

static void free_departure(struct departure *d)
{
    list_del(&d->node);
    conf_free(d->doc);
    free(d);
}

static void abandon(struct preparation *p);

/* What has not started is not anybody else's. */
static void drop_arrival(struct arrival *a)
{
    if (a->job) {
        abandon(a->preparation);
        job_give_up(a->job);
    }
    if (a->served && !a->started)
        served_free(a->served, &a->change->changer->devices->workers);
    place_close(&a->place);
    list_del(&a->node);
    conf_free(a->doc);
    free(a);
}

static void on_timer_gone(struct timer *t)
{
    free(container_of(t, struct change, patience));
}

void change_free(struct change *c)
{
    LIST_EACH_SAFE (&c->arrivals, node)
        drop_arrival(arrival_at(node));
    LIST_EACH_SAFE (&c->departures, node)
        free_departure(departure_at(node));
    errs_free(&c->errors);
    if (c->has_timer)
        timer_close(&c->patience); /* frees it */
    else
        free(c);
}

/* ---- checking one ---- */

static bool leaves(const struct change *c, const struct served *s)
{
    LIST_EACH (&c->departures, node)
        if (departure_at(node)->served == s)
            return true;
    return false;
}

/* Those that stay are known by their ids: their places in a file, if they have
 * one, may have changed since. */
static bool add_stayer(struct config *all, const struct served *s)
{
    struct conf_any *any = &all->devices.list[all->devices.count];
    char *at;

    if (asprintf(&at, "/devices/%s", s->common->id) < 0)
        return false;
    *any = *s->conf;
    any->at = at;
    all->devices.count++;
    return true;
}

/* A list of all that there will be. *stay: how many of them were there, whose
 * places are to be freed. */
static int put_together(const struct change *c, struct config *all, int *stay)
{
    const struct devices *ds = c->changer->devices;
    size_t room = (size_t)ds->count;

    LIST_EACH (&c->arrivals, node)
        room++;
    *all = *c->changer->conf;
    all->devices =
        (struct conf_anys){calloc(room + 1, sizeof(*all->devices.list)), 0};
    *stay = 0;
    if (!all->devices.list)
        return -ENOMEM;
    for (int i = 0; i < ds->count; i++)
        if (!leaves(c, ds->list[i]) && !add_stayer(all, ds->list[i]))
            return -ENOMEM;
        else
            *stay = all->devices.count;
    LIST_EACH (&c->arrivals, node)
        all->devices.list[all->devices.count++] = arrival_at(node)->conf;
    return 0;
}

static void check_socket(const struct arrival *a, struct errs *e)
{
    if (common_of(&a->conf)->socket.has_fd)
        errs_at(e, a->conf.at, "socket/fd",
                "a descriptor can be given to vub only when it starts: name a "
                "path");
}

int change_check(const struct change *c, struct errs *e)
{
    unsigned before = errs_total(e);
    struct config all;
    int stay, rc;

    LIST_EACH (&c->arrivals, node)
        check_socket(arrival_at(node), e);
    rc = put_together(c, &all, &stay);
    if (rc == 0)
        config_check(&all, e);
    else
        errs_nomem(e);
    for (int i = 0; i < stay; i++)
        free((char *)all.devices.list[i].at);
    free(all.devices.list);
    return errs_total(e) > before ? -EINVAL : 0;
}

/* ---- preparing, in threads ---- */

/* What a thread does for an arrival. */
struct preparation {
    struct arrival *arrival;
    struct served *served; /* the thread's; then the arrival's */
    pthread_mutex_t lock;  /* over the next two */
    bool abandoned;
    struct place place;
    struct config root; /* says where sockets go */
    struct conf_doc *root_doc;
    bool bind, open, opened;
    struct errs errors;
};

static bool bind_place(struct preparation *p)
{
    bool good;

    pthread_mutex_lock(&p->lock);
    good = !p->abandoned && (!p->bind || place_bind(&p->place, p->served->conf,
                                                    &p->root, &p->errors) == 0);
    pthread_mutex_unlock(&p->lock);
    return good;
}

/* [the job's thread] */
static void prepare(void *arg)
{
    struct preparation *p = arg;

    if (bind_place(p))
        p->opened = !p->open || served_open(p->served, &p->errors) == 0;
}

/* [main] Its thread may outlive the loop, or not live to remove a socket. */
static void abandon(struct preparation *p)
{
    pthread_mutex_lock(&p->lock);
    p->abandoned = true;
    place_close(&p->place);
    pthread_mutex_unlock(&p->lock);
}

static void next_step(struct change *c);

static void one_is_over(struct change *c)
{
    if (--c->under_way == 0)
        next_step(c);
}

static void fail(struct change *c, const struct errs *e)
{
    for (int i = 0; i < e->count; i++)
        errs_push(&c->errors, &e->list[i]);
    c->errors.more += e->more;
}

/* Does somebody have what it needs who leaves? The end of those is waited for
 * then. */
static bool may_come_late(const struct change *c, const struct errs *e)
{
    if (c->step != PREPARE || list_empty(&c->departures) || e->more)
        return false;
    for (int i = 0; i < e->count; i++)
        if (e->list[i].code != -EBUSY && e->list[i].code != -EADDRINUSE)
            return false;
    return true;
}

static void prepared(void *arg)
{
    struct preparation *p = arg;
    struct arrival *a = p->arrival;
    struct change *c = a->change;

    a->job = NULL;
    a->preparation = NULL;
    a->place = p->place;
    p->place = PLACE_NONE;
    if (p->opened) {
        a->served = p->served;
        p->served = NULL;
    } else if (may_come_late(c, &p->errors)) {
        a->late = true;
    } else {
        fail(c, &p->errors);
    }
    one_is_over(c);
}

/* [any thread] Nothing of it has a loop yet. */
static void end_preparation(void *arg)
{
    static struct workers none;
    struct preparation *p = arg;

    if (p->served)
        served_free(p->served, &none);
    place_close(&p->place);
    pthread_mutex_destroy(&p->lock);
    errs_free(&p->errors);
    conf_free(p->root_doc);
    free(p);
}

static const struct job_ops prepare_ops = {
    .name = "vub-open",
    .run = prepare,
    .done = prepared,
    .release = end_preparation,
};

static int start_job(struct change *c, struct arrival *a, struct err *e)
{
    struct preparation *p = calloc(1, sizeof(*p));
    int rc;

    if (!p)
        return err_nomem(e);
    pthread_mutex_init(&p->lock, NULL);
    p->arrival = a;
    p->root = *c->changer->conf;
    p->root_doc = conf_ref(c->changer->doc);
    p->place = a->place;
    p->bind = a->place.fd < 0 && (c->step != PREPARE || !a->late);
    p->open = !a->served;
    p->served = a->served ? a->served : served_new(&a->conf, a->doc);
    rc = p->served ? job_start(&a->job, c->changer->main, &prepare_ops, p, e)
                   : err_nomem(e);
    if (rc < 0) {
        if (p->served == a->served)
            p->served = NULL;
        p->place = PLACE_NONE;
        end_preparation(p);
        return rc;
    }
    a->preparation = p;
    a->served = NULL;
    a->place = PLACE_NONE;
    return 0;
}

/* Those of this step. */
static void prepare_all(struct change *c)
{
    struct err why;

    LIST_EACH (&c->arrivals, node) {
        struct arrival *a = arrival_at(node);

        if (a->started)
            continue;
        if (start_job(c, a, &why) < 0)
            errs_adopt(&c->errors, a->conf.at, NULL, &why);
        else
            c->under_way++;
    }
}

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
    one_is_over(c);
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
            common_of(&d->conf)->id);
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
        c->patience.gone = on_timer_gone;
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
    one_is_over(c);
}

/* ---- back to what was ---- */

/* Those that were to leave and have not been asked to stay; those that came
 * go again. */
static void turn_around(struct change *c)
{
    LIST_EACH_SAFE (&c->departures, node)
        if (departure_at(node)->served)
            free_departure(departure_at(node));
    LIST_EACH_SAFE (&c->arrivals, node) {
        struct arrival *a = arrival_at(node);

        if (a->started && change_leave(c, a->served) == 0)
            departure_at(c->departures.prev)->came = true;
        else if (a->started)
            served_close(a->served); /* nobody waits for it */
        drop_arrival(a);
    }
    close_all(c);
}

/* Those that have left come back, by what they were. */
static void restore_departures(struct change *c)
{
    LIST_EACH (&c->departures, node) {
        struct departure *d = departure_at(node);

        if (!d->has_left)
            continue;
        d->has_left = false;
        if (change_come(c, &d->conf, d->doc, NULL) < 0)
            errs_nomem(&c->errors);
    }
}

/* ---- from step to step ---- */

static void finish(struct change *c)
{
    struct errs e = c->errors;

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
        prepare_all(c);
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
        prepare_all(c);
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
            finish(c);
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
        finish(c);
        break;
    }
}

/* Its socket is known to be somebody's who leaves. */
static void find_late(struct change *c, struct arrival *a)
{
    char *dir = config_runtime_dir(c->changer->conf);
    char *path = dir ? config_socket_path(dir, common_of(&a->conf)) : NULL;

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
    go(c, PREPARE);
}

/* ---- turns ---- */

void changer_init(struct changer *ch)
{
    list_init(&ch->waiting);
}

/* Those that are over at once do not pile up on the stack. */
static void serve_turns(struct changer *ch)
{
    struct list *node;

    if (ch->serving)
        return;
    ch->serving = true;
    while (!ch->turn && (node = list_pop(&ch->waiting)) != NULL) {
        ch->turn = container_of(node, struct turn, node);
        ch->turn->run(ch->turn);
    }
    ch->serving = false;
}

void changer_wait(struct changer *ch, struct turn *t)
{
    if (ch->stopped) {
        t->drop(t);
        return;
    }
    list_add(&ch->waiting, &t->node);
    serve_turns(ch);
}

void changer_over(struct changer *ch)
{
    ch->turn = NULL;
    serve_turns(ch);
}

void changer_stop(struct changer *ch)
{
    struct change *c = ch->now;
    struct list *node;

    ch->stopped = true;
    while ((node = list_pop(&ch->waiting)) != NULL) {
        struct turn *t = container_of(node, struct turn, node);

        t->drop(t);
    }
    if (!c)
        return;
    for (int i = 0; i < ch->devices->count; i++)
        ch->devices->list[i]->change = NULL;
    errs_add(&c->errors, -ECANCELED, "", "vub is stopping");
    finish(c);
}
