/* gpu.wait: until a picture is as it ought to be.
 *
 * A wait is looked at when the call comes and whenever its scanout may look
 * otherwise (waits_changed). To look is to copy the picture, here, and to have
 * a thread hash it and compare it with references: a struct look. All waits for
 * which that is due share a look, and one look of a device is with a thread at
 * a time, so that neither many waits nor a busy guest cost more than one core
 * and a few copies. What changes meanwhile is looked at afterwards.
 *
 * The first look of a wait is taken at once, whatever is under way: it is what
 * "changed" means. A scanout that is off is waited for. A wait whose time is
 * over is answered when what is due has been looked at, so that a timeout of 0
 * is a question about the present. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "device/gpu/kept.h"
#include "device/gpu/picture.h"
#include "loop/job.h"

#define TIMEOUT_MAX_MS 86400000 /* a day */
#define MS_NS UINT64_C(1000000)

enum wait_kind { WAIT_CHANGED, WAIT_SETTLED, WAIT_HASH, WAIT_PICTURE };

struct wait_args {
    uint32_t scanout;
    bool cursor;
    bool changed, has_changed;
    const char *from;
    uint32_t settled_ms;
    bool has_settled;
    const char *hash;
    const char *picture; /* path */
    uint32_t tolerance, max_different;
    bool has_tolerance, has_max_different;
    uint32_t timeout_ms;
};

/* What there was in a look for one wait. */
struct seen {
    struct picture_hash hash;
    uint32_t width, height;
    uint64_t different; /* pixels, from the reference: if it is as large */
    uint64_t taken_ns;
};

/* Freed when it is answered and its timer closed. */
struct wait {
    struct kept kept;
    const struct wait_args *args; /* until it is answered */
    enum wait_kind kind;
    struct list node; /* of the looker */
    struct timer timer;
    bool has_timer;
    uint64_t began_ns, deadline_ns;

    struct load *load; /* the reference is being read; NULL: it is not */
    struct picture *reference; /* a ref; NULL: none, or not yet read */
    bool due;                  /* to be looked at */
    struct part *part;         /* of a look that is not over; NULL: of none */
    bool over;                 /* its time is */

    bool has_base;
    struct picture_hash base; /* changed: from this; "": from nothing at all */
    uint64_t still_since_ns;  /* settled; 0: it shows nothing */
    bool has_seen;
    struct seen seen; /* last */
    struct err blind; /* why it saw nothing the last time; code 0: it did */
};

/* A wait's part in a look. */
struct part {
    struct wait *wait;         /* NULL: it has been answered */
    struct picture *reference; /* a ref; NULL: none */
    unsigned tolerance;
    uint64_t different;
};

struct look {
    struct looker *looker; /* the loop's, as are node and parts[].wait */
    struct list node;      /* of those that wait for the thread */
    struct picture *picture;
    uint64_t taken_ns;
    struct picture_hash hash;
    int rc;
    unsigned num;
    struct part parts[KEPT_MAX];
};

/* Of a device, from its first wait on. */
struct looker {
    struct gpu *g;
    struct list waits; /* struct wait */
    struct list looks; /* struct look, oldest first */
    struct job *job;   /* the look that a thread has; NULL: none */
    struct defer defer;
};

/* The file that it is compared with, while a thread reads that. */
struct load {
    struct wait *wait;    /* the loop's */
    struct job *job;      /* likewise */
    struct conf_doc *doc; /* a ref: the path's */
    const char *path;
    struct picture *picture;
    struct err e;
};

/* ---- the end of a wait ---- */

static void free_if_over(struct wait *w)
{
    if (!w->kept.call && !w->has_timer)
        free(w);
}

static void on_timer_gone(struct timer *t)
{
    struct wait *w = container_of(t, struct wait, timer);

    w->has_timer = false;
    free_if_over(w);
}

/* It is answered now: nothing leads to it any more. */
static void leave(struct wait *w)
{
    list_del(&w->node);
    if (w->part)
        w->part->wait = NULL;
    w->part = NULL;
    if (w->load)
        job_give_up(w->load->job);
    w->load = NULL;
    picture_unref(w->reference);
    w->reference = NULL;
    timer_close(&w->timer);
}

static void fail(struct wait *w, const struct err *e)
{
    leave(w);
    kept_fail(&w->kept, e);
}

static void on_end(struct kept *k, const struct err *why)
{
    fail(container_of(k, struct wait, kept), why);
}

static void done(struct wait *w)
{
    struct json_out *o = &w->kept.call->out;

    json_add_str(o, "hash", w->seen.hash.digits);
    json_add_u64(o, "width", w->seen.width);
    json_add_u64(o, "height", w->seen.height);
    json_add_u64(o, "waited_ms", (loop_now_ns() - w->began_ns) / MS_NS);
    leave(w);
    kept_done(&w->kept);
}

/* ---- time is over ---- */

static bool is_as_large(const struct wait *w)
{
    return w->seen.width == w->reference->width &&
           w->seen.height == w->reference->height;
}

/* What was wanted, and is not so. */
static void say_why(const struct wait *w, char *out, size_t room)
{
    const struct wait_args *a = w->args;

    switch (w->kind) {
    case WAIT_CHANGED:
        snprintf(out, room, "it has not changed");
        break;
    case WAIT_SETTLED:
        snprintf(out, room, "it has been so for %" PRIu64 " ms",
                 (loop_now_ns() - w->still_since_ns) / MS_NS);
        break;
    case WAIT_HASH:
        snprintf(out, room, "it is not the one that is waited for");
        break;
    case WAIT_PICTURE:
        if (!is_as_large(w))
            snprintf(out, room, "the reference has %ux%u", w->reference->width,
                     w->reference->height);
        else
            snprintf(out, room,
                     "%" PRIu64 " pixels differ from the reference by more "
                     "than %u",
                     w->seen.different, a->tolerance);
        break;
    }
}

static void time_is_over(struct wait *w)
{
    uint32_t ms = w->args->timeout_ms;
    const struct seen *s = &w->seen;
    struct err e;
    char why[96];

    if (w->load) {
        err_set(&e, -ETIMEDOUT, "/params/timeout_ms",
                "after %u ms the reference has not been read", ms);
    } else if (!w->has_seen) {
        err_set(&e, -ETIMEDOUT, "/params/timeout_ms", "after %u ms %s", ms,
                w->blind.text);
    } else if (w->blind.code) {
        err_set(&e, -ETIMEDOUT, "/params/timeout_ms",
                "after %u ms %s; its last picture was %ux%u with the hash %s",
                ms, w->blind.text, s->width, s->height, s->hash.digits);
    } else {
        say_why(w, why, sizeof(why));
        err_set(&e, -ETIMEDOUT, "/params/timeout_ms",
                "after %u ms the picture is %ux%u with the hash %s: %s", ms,
                s->width, s->height, s->hash.digits, why);
    }
    fail(w, &e);
}

static void arm(struct wait *w)
{
    uint64_t then = w->deadline_ns, now = loop_now_ns();

    if (w->kind == WAIT_SETTLED && w->still_since_ns && !w->due && !w->part)
        then = MIN(then, w->still_since_ns + w->args->settled_ms * MS_NS);
    timer_start(&w->timer, then > now ? (then - now + MS_NS - 1) / MS_NS : 0);
}

/* ---- what was seen ---- */

/* At `now`, of which nothing is known but what was seen. */
static bool has_settled(const struct wait *w, uint64_t now_ns)
{
    return w->kind == WAIT_SETTLED && w->still_since_ns &&
           now_ns - w->still_since_ns >= w->args->settled_ms * MS_NS;
}

static bool is_as_wanted(struct wait *w)
{
    switch (w->kind) {
    case WAIT_CHANGED:
        if (!w->has_base)
            w->base = w->seen.hash;
        w->has_base = true;
        return strcasecmp(w->base.digits, w->seen.hash.digits) != 0;
    case WAIT_SETTLED:
        return has_settled(w, w->seen.taken_ns);
    case WAIT_HASH:
        return strcasecmp(w->args->hash, w->seen.hash.digits) == 0;
    case WAIT_PICTURE:
        return is_as_large(w) && w->seen.different <= w->args->max_different;
    }
    return false;
}

/* It has been looked at, and is not answered by that. */
static void go_on(struct wait *w)
{
    if (w->over)
        time_is_over(w);
    else
        arm(w);
}

static void on_seen(struct wait *w, const struct seen *s)
{
    if (!w->still_since_ns || strcmp(w->seen.hash.digits, s->hash.digits) != 0)
        w->still_since_ns = s->taken_ns;
    w->seen = *s;
    w->has_seen = true;
    w->blind.code = 0;
    if (is_as_wanted(w))
        done(w);
    else
        go_on(w);
}

/* There is no picture now. */
static void on_blind(struct wait *w, const struct err *why)
{
    if (why->code != -ENOENT && why->code != -EAGAIN) {
        fail(w, why);
        return;
    }
    w->still_since_ns = 0;
    w->blind = *why;
    w->has_base = true; /* nothing, if it has none: any picture is another */
    go_on(w);
}

static void on_timer(struct timer *t)
{
    struct wait *w = container_of(t, struct wait, timer);
    uint64_t now = loop_now_ns();

    if (!w->kept.call)
        return;
    if (has_settled(w, now) && !w->due && !w->part) {
        done(w);
        return;
    }
    w->over = now >= w->deadline_ns;
    if (!w->over)
        arm(w);
    else if (!w->due && !w->part)
        time_is_over(w);
}

/* ---- looks ---- */

static void look_run(void *arg)
{
    struct look *l = arg;
    const struct picture *p = l->picture, *r;

    l->rc = picture_hash(p, &l->hash);
    for (unsigned i = 0; i < l->num; i++) {
        r = l->parts[i].reference;
        if (r && r->width == p->width && r->height == p->height)
            l->parts[i].different =
                picture_different(p, r, l->parts[i].tolerance);
    }
}

static void look_release(void *arg)
{
    struct look *l = arg;

    for (unsigned i = 0; i < l->num; i++)
        picture_unref(l->parts[i].reference);
    picture_unref(l->picture);
    free(l);
}

static void part_over(struct part *p, const struct look *l)
{
    const struct seen s = {l->hash, l->picture->width, l->picture->height,
                           p->different, l->taken_ns};
    struct wait *w = p->wait;
    struct err e;

    if (!w)
        return;
    w->part = NULL;
    if (l->rc == 0) {
        on_seen(w, &s);
        return;
    }
    err_nomem(&e);
    fail(w, &e);
}

static void look_done(void *arg)
{
    struct look *l = arg;
    struct looker *lk = l->looker;

    lk->job = NULL;
    for (unsigned i = 0; i < l->num; i++)
        part_over(&l->parts[i], l);
    loop_defer(lk->g->device.home, &lk->defer);
}

static bool is_wanted(const struct look *l)
{
    for (unsigned i = 0; i < l->num; i++)
        if (l->parts[i].wait)
            return true;
    return false;
}

static void look_fail(struct look *l, const struct err *e)
{
    for (unsigned i = 0; i < l->num; i++)
        if (l->parts[i].wait) {
            l->parts[i].wait->part = NULL;
            fail(l->parts[i].wait, e);
        }
    look_release(l);
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
    struct look *l;
    struct err e;

    while (!lk->job && (node = list_pop(&lk->looks)) != NULL) {
        l = container_of(node, struct look, node);
        if (!is_wanted(l))
            look_release(l);
        else if (job_start(&lk->job, lk->g->device.home, &ops, l, &e) < 0)
            look_fail(l, &e);
    }
}

static void look_add(struct look *l, struct wait *w)
{
    struct part *p = &l->parts[l->num++];

    p->wait = w;
    p->reference = w->reference ? picture_ref(w->reference) : NULL;
    p->tolerance = w->args->tolerance;
    w->part = p;
    w->due = false;
}

/* The picture that w is for, as it is now. NULL: w has been told why. */
static struct look *look_at(struct looker *lk, struct wait *w)
{
    struct look *l = calloc(1, sizeof(*l));
    struct err e;

    w->due = false;
    if (!l) {
        err_nomem(&e);
        on_blind(w, &e);
        return NULL;
    }
    l->looker = lk;
    l->taken_ns = loop_now_ns();
    l->picture = picture_take(lk->g, w->args->scanout, w->args->cursor, &e);
    if (!l->picture) {
        free(l);
        on_blind(w, &e);
        return NULL;
    }
    look_add(l, w);
    list_add(&lk->looks, &l->node);
    return l;
}

/* w, and all others whose look is due and of the same picture. */
static void look_for_all(struct looker *lk, struct wait *w)
{
    const struct wait_args *a = w->args;
    struct look *l = look_at(lk, w);

    if (!l)
        return;
    LIST_EACH (&lk->waits, node) {
        struct wait *other = container_of(node, struct wait, node);

        if (other->due && !other->part && other->args->scanout == a->scanout &&
            other->args->cursor == a->cursor)
            look_add(l, other);
    }
}

/* One for all that changed while the thread worked. */
static void on_defer(struct defer *d)
{
    struct looker *lk = container_of(d, struct looker, defer);

    if (!lk->job && list_empty(&lk->looks)) {
        LIST_EACH_SAFE (&lk->waits, node) {
            struct wait *w = container_of(node, struct wait, node);

            if (w->due && !w->part)
                look_for_all(lk, w);
        }
    }
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
    list_init(&lk->waits);
    list_init(&lk->looks);
    defer_init(&lk->defer, on_defer);
    g->looker = lk;
    return lk;
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

void waits_changed(struct gpu *g, unsigned i)
{
    struct looker *lk = g->looker;

    if (!lk || list_empty(&lk->waits))
        return;
    LIST_EACH (&lk->waits, node) {
        struct wait *w = container_of(node, struct wait, node);

        if (w->args->scanout == i && !w->load)
            w->due = true;
    }
    loop_defer(g->device.home, &lk->defer);
}

/* ---- the reference ---- */

static void load_run(void *arg)
{
    struct load *l = arg;

    l->picture = picture_load(l->path, &l->e);
}

static void load_done(void *arg)
{
    struct load *l = arg;
    struct wait *w = l->wait;
    struct looker *lk = w->kept.g->looker;
    struct err e;

    w->load = NULL;
    if (!l->picture) {
        err_set(&e, l->e.code, "/params/picture", "%s", l->e.text);
        fail(w, &e);
        return;
    }
    w->reference = l->picture;
    l->picture = NULL; /* w's now */
    look_at(lk, w);
    start_next(lk);
}

static void load_release(void *arg)
{
    struct load *l = arg;

    picture_unref(l->picture);
    conf_free(l->doc);
    free(l);
}

static void load_start(struct wait *w)
{
    static const struct job_ops ops = {
        .name = "vub-picture",
        .run = load_run,
        .done = load_done,
        .release = load_release,
    };
    struct load *l = calloc(1, sizeof(*l));
    struct err e;

    if (!l) {
        err_nomem(&e);
        fail(w, &e);
        return;
    }
    l->wait = w;
    l->doc = conf_ref(w->kept.call->doc);
    l->path = w->args->picture;
    if (job_start(&l->job, w->kept.g->device.home, &ops, l, &e) < 0) {
        load_release(l);
        fail(w, &e);
        return;
    }
    w->load = l;
    arm(w);
}

/* ---- the command ---- */

static enum wait_kind kind_of(const struct wait_args *a)
{
    if (a->has_changed)
        return WAIT_CHANGED;
    if (a->has_settled)
        return WAIT_SETTLED;
    return a->hash ? WAIT_HASH : WAIT_PICTURE;
}

static struct wait *wait_new(struct gpu *g, struct call *c)
{
    const struct wait_args *a = c->args;
    struct looker *lk = looker_of(g);
    struct wait *w = lk ? calloc(1, sizeof(*w)) : NULL;
    struct err e;

    if (!w) {
        err_nomem(&e);
        call_fail(c, &e);
        return NULL;
    }
    w->kept.end = on_end;
    if (!kept_begin(&w->kept, g, c)) {
        free(w);
        return NULL;
    }
    w->args = a;
    w->kind = kind_of(a);
    w->began_ns = loop_now_ns();
    w->deadline_ns = w->began_ns + a->timeout_ms * MS_NS;
    if (a->from) {
        memcpy(w->base.digits, a->from, PICTURE_HASH_DIGITS);
        w->has_base = true;
    }
    w->timer.fire = on_timer;
    w->timer.gone = on_timer_gone;
    timer_open(&w->timer, g->device.home);
    w->has_timer = true;
    list_add(&lk->waits, &w->node);
    return w;
}

void wait_command(struct device *d, struct call *c)
{
    const struct wait_args *a = c->args;
    struct gpu *g = gpu_of(d);
    struct wait *w;

    if (!kept_has_scanout(g, c, a->scanout))
        return;
    w = wait_new(g, c);
    if (!w)
        return;
    if (w->kind == WAIT_PICTURE) {
        load_start(w);
    } else if (look_at(g->looker, w)) {
        arm(w);
        start_next(g->looker);
    }
}

/* ---- its parameters ---- */

static void check_hash(const char *hash, const char *at, const char *key,
                       struct errs *e)
{
    if (hash && (strlen(hash) != PICTURE_HASH_DIGITS ||
                 strspn(hash, "0123456789abcdefABCDEF") != PICTURE_HASH_DIGITS))
        errs_at(e, at, key, "is no hash: those have %d hexadecimal digits",
                PICTURE_HASH_DIGITS);
}

static void check_wait(void *data, const char *at, struct errs *e)
{
    const struct wait_args *a = data;
    int n = a->has_changed + a->has_settled + !!a->hash + !!a->picture;

    if (n != 1)
        errs_at(e, at, NULL,
                "%s thing to wait for is wanted: changed, settled_ms, hash or "
                "picture",
                n ? "only one" : "one");
    if (a->has_changed && !a->changed)
        errs_at(e, at, "changed", "can only be true");
    if (a->from && !a->has_changed)
        errs_at(e, at, "from", "goes with changed");
    if (a->has_tolerance && !a->picture)
        errs_at(e, at, "tolerance", "goes with picture");
    if (a->has_max_different && !a->picture)
        errs_at(e, at, "max_different", "goes with picture");
    check_hash(a->from, at, "from", e);
    check_hash(a->hash, at, "hash", e);
}

static const struct conf_key wait_keys[] = {
    {"scanout", CONF_U32, CONF_AT(struct wait_args, scanout), .def = "0",
     .max = VIRTIO_GPU_MAX_SCANOUTS - 1, .help = "Which of its displays."},
    {"cursor", CONF_BOOL, CONF_AT(struct wait_args, cursor), .def = "true",
     .help = "With the guest's cursor, as one would see it."},
    {"changed", CONF_BOOL, CONF_AT(struct wait_args, changed),
     .seen_offset = CONF_SEEN(struct wait_args, has_changed),
     .help = "true: for a picture that is not the one that is shown when the "
             "call comes, or not the one that `from` names."},
    {"from", CONF_STR, CONF_AT(struct wait_args, from),
     .help = "A hash, for `changed`: nothing is missed then between gpu.hash "
             "and this."},
    {"settled_ms", CONF_U32, CONF_AT(struct wait_args, settled_ms), .min = 1,
     .max = TIMEOUT_MAX_MS,
     .seen_offset = CONF_SEEN(struct wait_args, has_settled),
     .help = "For a picture that has not changed for so many milliseconds, "
             "counted from the call on."},
    {"hash", CONF_STR, CONF_AT(struct wait_args, hash),
     .help = "For the picture that has this hash."},
    {"picture", CONF_PATH, CONF_AT(struct wait_args, picture),
     .help = "For a picture like the one in this file, a PNG or PPM on the "
             "machine that vub runs on. Transparency is not looked at."},
    {"tolerance", CONF_U32, CONF_AT(struct wait_args, tolerance), .def = "0",
     .max = 255, .seen_offset = CONF_SEEN(struct wait_args, has_tolerance),
     .help = "How far red, green and blue of a pixel may be from those of "
             "`picture`."},
    {"max_different", CONF_U32, CONF_AT(struct wait_args, max_different),
     .def = "0", .seen_offset = CONF_SEEN(struct wait_args, has_max_different),
     .help = "How many pixels may be further away than that."},
    {"timeout_ms", CONF_U32, CONF_AT(struct wait_args, timeout_ms),
     .def = "30000", .max = TIMEOUT_MAX_MS,
     .help = "How long to wait, milliseconds; the call fails then, and says "
             "what there is instead. 0: only look."},
    {NULL},
};

const struct conf_table wait_table = {
    .name = "gpu.wait",
    .size = sizeof(struct wait_args),
    .keys = wait_keys,
    .check = check_wait,
};
