#include "device/gpu/look.h"

#include <errno.h>
#include <stdlib.h>

#include "loop/job.h"

/* One's part in a look. */
struct look_part {
    struct looking *who;       /* the loop's; NULL: it has gone */
    struct picture *reference; /* a ref; NULL: none */
    unsigned tolerance;
    struct masks *masks; /* a ref; NULL: none */
    struct picture_hash hash;
    uint64_t different;
};

struct look {
    struct looker *looker; /* the loop's, as is node */
    struct list node;      /* of those that wait for the thread */
    struct picture *picture;
    uint64_t taken_ns;
    int rc;
    unsigned num;
    struct look_part parts[LOOKING_MAX];
};

/* Of a device, from the first who looks on. */
struct looker {
    struct gpu *g;
    struct list all;   /* struct looking */
    struct list looks; /* struct look, oldest first */
    struct job *job;   /* the look that a thread has; NULL: none */
    struct defer defer;
};

/* ---- the thread's part ---- */

/* Those before it that have the same masks see the same. */
static int hash_part(struct look *l, unsigned i)
{
    struct look_part *part = &l->parts[i];

    for (unsigned k = 0; k < i; k++)
        if (masks_same(l->parts[k].masks, part->masks)) {
            part->hash = l->parts[k].hash;
            return 0;
        }
    return picture_hash(l->picture, part->masks, &part->hash);
}

static void look_run(void *arg)
{
    struct look *l = arg;
    const struct picture *p = l->picture, *r;

    for (unsigned i = 0; i < l->num && l->rc == 0; i++) {
        struct look_part *part = &l->parts[i];

        l->rc = hash_part(l, i);
        r = part->reference;
        if (r && r->width == p->width && r->height == p->height)
            part->different =
                picture_different(p, r, part->masks, part->tolerance);
    }
}

static void look_release(void *arg)
{
    struct look *l = arg;

    for (unsigned i = 0; i < l->num; i++) {
        picture_unref(l->parts[i].reference);
        masks_unref(l->parts[i].masks);
    }
    picture_unref(l->picture);
    free(l);
}

/* ---- what has come of a look ---- */

static void tell(struct look *l, const struct err *e)
{
    for (unsigned i = 0; i < l->num; i++) {
        const struct look_part *p = &l->parts[i];
        const struct seen seen = {p->hash, l->picture->width,
                                  l->picture->height, p->different,
                                  l->taken_ns};
        struct looking *who = p->who;

        if (!who)
            continue;
        who->part = NULL;
        if (e)
            who->not_seen(who, e);
        else
            who->seen(who, &seen);
    }
}

static void look_done(void *arg)
{
    struct look *l = arg;
    struct looker *lk = l->looker;
    struct err e;

    lk->job = NULL;
    if (l->rc < 0)
        err_nomem(&e);
    tell(l, l->rc < 0 ? &e : NULL);
    loop_defer(lk->g->device.home, &lk->defer);
}

static bool is_wanted(const struct look *l)
{
    for (unsigned i = 0; i < l->num; i++)
        if (l->parts[i].who)
            return true;
    return false;
}

/* The next one to the thread, if it has none. */
static void start_next(struct looker *lk)
{
    static const struct job_ops ops = {
        .name = "vub-picture",
        .run = look_run,
        .done = look_done,
        .release = look_release,
    };
    struct list *node;
    struct err e;

    while (!lk->job && (node = list_pop(&lk->looks)) != NULL) {
        struct look *l = container_of(node, struct look, node);

        if (!is_wanted(l)) {
            look_release(l);
        } else if (job_start(&lk->job, lk->g->device.home, &ops, l, &e) < 0) {
            tell(l, &e);
            look_release(l);
        }
    }
}

/* ---- who looks ---- */

static void join(struct look *l, struct looking *who)
{
    struct look_part *p = &l->parts[l->num++];

    p->who = who;
    p->reference = who->reference ? picture_ref(who->reference) : NULL;
    p->tolerance = who->tolerance;
    p->masks = masks_ref(who->masks);
    who->part = p;
    who->due = false;
}

/* NULL: it has been told why. */
static struct look *look_for(struct looker *lk, struct looking *who)
{
    struct look *l = calloc(1, sizeof(*l));
    struct err e;

    who->due = false;
    if (!l) {
        err_nomem(&e);
        who->not_seen(who, &e);
        return NULL;
    }
    l->looker = lk;
    l->taken_ns = loop_now_ns();
    l->picture = picture_take(lk->g, who->scanout, who->cursor, &e);
    if (!l->picture) {
        free(l);
        who->not_seen(who, &e);
        return NULL;
    }
    join(l, who);
    list_add(&lk->looks, &l->node);
    return l;
}

/* who, and all others whose look is due and of the same picture. */
static void look_for_all(struct looker *lk, struct looking *who)
{
    struct look *l = look_for(lk, who);

    if (!l)
        return;
    LIST_EACH (&lk->all, node) {
        struct looking *other = container_of(node, struct looking, node);

        if (other->due && !other->part && other->scanout == who->scanout &&
            other->cursor == who->cursor)
            join(l, other);
    }
}

/* The next picture that has changed while the thread worked: one, for copying
 * it has the loop's turn, and it takes memory until the thread is done. */
static void look_for_next(struct looker *lk)
{
    LIST_EACH_SAFE (&lk->all, node) {
        struct looking *who = container_of(node, struct looking, node);

        if (!who->due || who->part)
            continue;
        look_for_all(lk, who);
        if (list_empty(&lk->looks))
            continue;   /* it has been told why */
        list_del(node); /* others are before it the next time */
        list_add(&lk->all, node);
        return;
    }
}

static void on_defer(struct defer *d)
{
    struct looker *lk = container_of(d, struct looker, defer);

    if (!lk->job && list_empty(&lk->looks))
        look_for_next(lk);
    start_next(lk);
}

static struct looker *looker_of(struct gpu *g)
{
    struct looker *lk = g->looker;

    if (lk)
        return lk;
    lk = calloc(1, sizeof(*lk));
    if (!lk)
        return NULL;
    lk->g = g;
    list_init(&lk->all);
    list_init(&lk->looks);
    defer_init(&lk->defer, on_defer);
    g->looker = lk;
    return lk;
}

int looking_begin(struct looking *l, struct gpu *g)
{
    l->looker = looker_of(g);
    if (!l->looker)
        return -ENOMEM;
    list_add(&l->looker->all, &l->node);
    return 0;
}

void looking_end(struct looking *l)
{
    list_del(&l->node);
    if (l->part)
        l->part->who = NULL;
    picture_unref(l->reference);
    masks_unref(l->masks);
    l->reference = NULL;
    l->masks = NULL;
}

void looking_now(struct looking *l)
{
    struct looker *lk = l->looker;

    l->begun = true;
    if (look_for(lk, l))
        start_next(lk);
}

bool looking_is_busy(const struct looking *l)
{
    return l->due || l->part;
}

void waits_changed(struct gpu *g, unsigned i)
{
    struct looker *lk = g->looker;

    if (!lk || list_empty(&lk->all))
        return;
    LIST_EACH (&lk->all, node) {
        struct looking *who = container_of(node, struct looking, node);

        if (who->scanout == i && who->begun)
            who->due = true;
    }
    loop_defer(g->device.home, &lk->defer);
}

void looker_free(struct gpu *g)
{
    struct looker *lk = g->looker;
    struct list *node;

    if (!lk)
        return;
    while ((node = list_pop(&lk->looks)) != NULL)
        look_release(container_of(node, struct look, node));
    if (lk->job)
        job_give_up(lk->job);
    defer_cancel(&lk->defer);
    free(lk);
    g->looker = NULL;
}
