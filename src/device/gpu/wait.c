/* gpu.wait: until a picture is as it ought to be.
 *
 * A wait looks (look.h) when the call comes: what it sees then is what
 * "changed" means. A reference is read first, by a thread; the wait begins when
 * that is done. A scanout that is off is waited for. A wait whose time is over
 * is answered when what is under way has been looked at, so that a timeout of 0
 * is a question about the present.
 *
 * What masks hide is black, for hashes too: whatever is waited for, it does not
 * matter what is there. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "device/gpu/kept.h"
#include "device/gpu/look.h"
#include "loop/job.h"

#define TIMEOUT_MAX_MS 86400000 /* a day */
#define LOAD_MAX_MS 10000       /* that a reference takes to be read */
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
    struct conf_anys masks; /* struct rect */
    uint32_t timeout_ms;
};

/* The file of a reference, while a thread reads it. */
struct load {
    struct wait *wait;    /* the loop's */
    struct job *job;      /* likewise */
    struct conf_doc *doc; /* a ref: the path's */
    const char *path;
    struct picture *picture;
    struct err e;
};

/* Freed when it is answered and its timer closed. */
struct wait {
    struct kept_call kept;
    struct looking looking;
    const struct wait_args *args; /* until it is answered */
    enum wait_kind kind;
    struct load *load; /* NULL: nothing is being read */
    struct timer timer;
    bool has_timer;
    uint64_t began_ns, deadline_ns;
    bool over; /* its time is */

    bool has_base;
    struct picture_hash base; /* changed: from this; "": from nothing at all */
    uint64_t still_since_ns;  /* it has been as it was seen last; 0: it was not
                               * seen */
    bool has_seen;
    struct seen seen; /* last */
    struct err blind; /* why it saw nothing the last time; code 0: it did */
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
    looking_end(&w->looking);
    if (w->load)
        job_give_up(w->load->job);
    w->load = NULL;
    timer_close(&w->timer);
}

static void fail(struct wait *w, const struct err *e)
{
    leave(w);
    kept_fail(&w->kept, e);
}

static void on_end(struct kept_call *k, const struct err *why)
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
    const struct picture *r = w->looking.reference;

    return w->seen.width == r->width && w->seen.height == r->height;
}

/* What was wanted, and is not so. */
static void say_why(const struct wait *w, char *out, size_t room)
{
    const struct picture *r = w->looking.reference;

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
            snprintf(out, room, "the reference is %ux%u", r->width, r->height);
        else
            snprintf(out, room,
                     "pixels that differ from the reference by more than %u: "
                     "%" PRIu64,
                     w->args->tolerance, w->seen.different);
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
        err_set(&e, -ETIMEDOUT, "/params/picture",
                "it has not been read in %u ms", LOAD_MAX_MS);
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

/* The timer, for what comes first. */
static void arm(struct wait *w)
{
    uint64_t then = w->deadline_ns, now = loop_now_ns();

    if (w->kind == WAIT_SETTLED && w->still_since_ns &&
        !looking_is_busy(&w->looking))
        then = MIN(then, w->still_since_ns + w->args->settled_ms * MS_NS);
    timer_start(&w->timer, then > now ? (then - now + MS_NS - 1) / MS_NS : 0);
}

/* ---- what is seen ---- */

/* If it was so until `now_ns`. */
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

/* It has looked, and is not answered by that. */
static void go_on(struct wait *w)
{
    if (w->over)
        time_is_over(w);
    else
        arm(w);
}

static void on_seen(struct looking *l, const struct seen *s)
{
    struct wait *w = container_of(l, struct wait, looking);

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

static void on_not_seen(struct looking *l, const struct err *why)
{
    struct wait *w = container_of(l, struct wait, looking);

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
    bool busy = looking_is_busy(&w->looking);
    uint64_t now = loop_now_ns();

    w->over = now >= w->deadline_ns;
    if (busy && w->over)
        return; /* what it sees is its answer */
    if (!busy && has_settled(w, now))
        done(w);
    else if (w->over)
        time_is_over(w);
    else
        arm(w);
}

/* ---- how it begins ---- */

static void begin(struct wait *w)
{
    w->began_ns = loop_now_ns();
    w->deadline_ns = w->began_ns + w->args->timeout_ms * MS_NS;
    arm(w);
    looking_now(&w->looking);
}

static void load_run(void *arg)
{
    struct load *l = arg;

    l->picture = picture_load(l->path, &l->e);
}

static void load_done(void *arg)
{
    struct load *l = arg;
    struct wait *w = l->wait;
    struct err e;

    w->load = NULL;
    if (!l->picture) {
        err_set(&e, l->e.code, "/params/picture", "%s", l->e.text);
        fail(w, &e);
        return;
    }
    w->looking.reference = l->picture;
    l->picture = NULL; /* w's now */
    begin(w);
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
    w->deadline_ns = loop_now_ns() + LOAD_MAX_MS * MS_NS;
    arm(w);
}

static enum wait_kind kind_of(const struct wait_args *a)
{
    if (a->has_changed)
        return WAIT_CHANGED;
    if (a->has_settled)
        return WAIT_SETTLED;
    return a->hash ? WAIT_HASH : WAIT_PICTURE;
}

/* NULL: c has been answered. */
static struct wait *wait_new(struct gpu *g, struct call *c)
{
    const struct wait_args *a = c->args;
    struct wait *w = calloc(1, sizeof(*w));
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
    w->looking = (struct looking){.scanout = a->scanout,
                                  .cursor = a->cursor,
                                  .tolerance = a->tolerance,
                                  .seen = on_seen,
                                  .not_seen = on_not_seen};
    if (masks_new(&w->looking.masks, &a->masks) < 0 ||
        looking_begin(&w->looking, g) < 0) {
        masks_unref(w->looking.masks);
        err_nomem(&e);
        kept_fail(&w->kept, &e);
        free(w);
        return NULL;
    }
    w->timer.fire = on_timer;
    w->timer.gone = on_timer_gone;
    timer_open(&w->timer, g->device.home);
    w->has_timer = true;
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
    w->args = a;
    w->kind = kind_of(a);
    if (a->from) {
        memcpy(w->base.digits, a->from, PICTURE_HASH_DIGITS);
        w->has_base = true;
    }
    if (w->kind == WAIT_PICTURE)
        load_start(w);
    else
        begin(w);
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
    MASKS_KEY(struct wait_args),
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
