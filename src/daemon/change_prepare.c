/* A file system takes its time: sockets are bound and devices opened by a job
 * in a thread for each. It has copies of all that it reads, so it may be left
 * alone when vub stops; its socket is under a lock, since it may have to be
 * removed while the thread is stuck. */
#include <errno.h>
#include <stdlib.h>

#include "daemon/change_impl.h"
#include "loop/job.h"
#include "os/thread.h"

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
    change_one_is_over(c);
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
    if (p->served)
        p->served->is_later = a->doc != c->changer->first;
    /* Before the thread that opens it looks for it. */
    if (p->served && !a->served) {
        if (a->returns)
            served_inherit(p->served, &a->heritage);
        p->served->returns = a->returns;
    }
    rc = p->served ? job_start(&a->job, c->changer->main, &prepare_ops, p, e)
                   : err_nomem(e);
    if (rc < 0) {
        if (p->served && !a->served)
            served_disinherit(p->served, &a->heritage);
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

void change_prepare_all(struct change *c)
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

void change_stop_preparing(struct arrival *a)
{
    struct preparation *p = a->preparation;

    pthread_mutex_lock(&p->lock);
    p->abandoned = true;
    place_close(&p->place);
    pthread_mutex_unlock(&p->lock);
    job_give_up(a->job);
}
