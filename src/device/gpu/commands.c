/* What a GPU can be told: to give its pictures, and to be of another size.
 *
 * A picture is copied here, on the device's loop, one in a turn, for it may be
 * large and others have the loop as well. A thread of its own hashes it and
 * writes it; there are a few at a time, so that pictures do not pile up, and
 * calls wait their turn in `struct shots`. gpu.wait is in wait.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "device/gpu/kept.h"
#include "device/gpu/picture.h"
#include "loop/job.h"

/* ---- gpu.screenshot, gpu.hash ---- */

struct shot_args {
    uint32_t scanout;
    bool cursor;
    const char *path; /* NULL: gpu.hash */
    unsigned format;  /* PICTURE_* */
    bool has_format;
    struct conf_anys masks; /* struct rect */
};

#define SHOTS_AT_WORK 4

/* The loop's, but for what the thread has. */
struct shot {
    struct kept_call kept;
    struct list node; /* of those that wait */
    struct job *job;  /* NULL: it waits */
    unsigned scanout;
    bool cursor;
    struct conf_doc *doc; /* a ref: the arguments are there as long as the
                           * thread needs them */
    /* The thread's. */
    struct picture *picture;
    struct masks *masks; /* NULL: none */
    const char *path;
    unsigned format;
    struct picture_hash hash;
    uint64_t bytes; /* of the file */
    struct err e;   /* code 0: done */
};

static void shot_run(void *arg)
{
    struct shot *s = arg;

    picture_blacken(s->picture, s->masks);
    if (picture_hash(s->picture, NULL, &s->hash) < 0)
        err_nomem(&s->e);
    else if (s->path)
        picture_save(s->picture, s->path, s->format, &s->bytes, &s->e);
}

static void add_picture(struct json_out *o, const struct picture *p,
                        const struct picture_hash *hash)
{
    json_add_str(o, "hash", hash->digits);
    json_add_u64(o, "width", p->width);
    json_add_u64(o, "height", p->height);
}

/* The next one may be taken. */
static void shot_is_over(struct gpu *g)
{
    g->shots.at_work--;
    if (!list_empty(&g->shots.waiting))
        loop_defer(g->device.home, &g->shots.take);
}

static void shot_done(void *arg)
{
    struct shot *s = arg;
    struct json_out *o = &s->kept.call->out;

    shot_is_over(s->kept.g);
    if (s->e.code < 0) {
        if (s->path)
            snprintf(s->e.where, sizeof(s->e.where), "/params/path");
        kept_fail(&s->kept, &s->e);
        return;
    }
    add_picture(o, s->picture, &s->hash);
    if (s->path) {
        json_add_u64(o, "bytes", s->bytes);
        json_add_str(o, "path", s->path);
    }
    kept_done(&s->kept);
}

static void shot_release(void *arg)
{
    struct shot *s = arg;

    picture_unref(s->picture);
    masks_unref(s->masks);
    conf_free(s->doc);
    free(s);
}

static void shot_end(struct kept_call *k, const struct err *why)
{
    struct shot *s = container_of(k, struct shot, kept);

    kept_fail(k, why);
    if (!s->job) {
        list_del(&s->node);
        shot_release(s);
        return;
    }
    shot_is_over(k->g);
    job_give_up(s->job); /* s may be gone */
}

static void take_shot(struct gpu *g, struct shot *s)
{
    static const struct job_ops ops = {
        .name = "vub-picture",
        .run = shot_run,
        .done = shot_done,
        .release = shot_release,
    };
    struct err e;

    s->picture = picture_take(g, s->scanout, s->cursor, &e);
    if (!s->picture || job_start(&s->job, g->device.home, &ops, s, &e) < 0) {
        kept_fail(&s->kept, &e);
        shot_release(s);
        return;
    }
    g->shots.at_work++;
}

static void on_take(struct defer *d)
{
    struct gpu *g = container_of(d, struct gpu, shots.take);
    struct list *waiting = &g->shots.waiting;

    if (g->shots.at_work == SHOTS_AT_WORK || list_empty(waiting))
        return;
    take_shot(g, container_of(list_pop(waiting), struct shot, node));
    if (!list_empty(waiting))
        loop_defer(g->device.home, d);
}

void shots_init(struct shots *shots)
{
    list_init(&shots->waiting);
    defer_init(&shots->take, on_take);
}

void shots_end(struct shots *shots)
{
    defer_cancel(&shots->take);
}

static unsigned format_of(const struct shot_args *a)
{
    const char *dot = strrchr(a->path, '.');

    if (a->has_format)
        return a->format;
    return dot && strcasecmp(dot, ".ppm") == 0 ? PICTURE_PPM : PICTURE_PNG;
}

static void run_shot(struct device *d, struct call *c)
{
    const struct shot_args *a = c->args;
    struct gpu *g = gpu_of(d);
    struct shot *s;
    struct err e;

    if (!kept_has_scanout(g, c, a->scanout))
        return;
    s = calloc(1, sizeof(*s));
    if (!s || masks_new(&s->masks, &a->masks) < 0) {
        free(s);
        err_nomem(&e);
        call_fail(c, &e);
        return;
    }
    s->kept.end = shot_end;
    s->scanout = a->scanout;
    s->cursor = a->cursor;
    s->doc = conf_ref(c->doc);
    s->path = a->path;
    s->format = a->path ? format_of(a) : PICTURE_PNG;
    if (!kept_begin(&s->kept, g, c)) {
        shot_release(s);
        return;
    }
    list_add(&g->shots.waiting, &s->node);
    loop_defer(d->home, &g->shots.take);
}

/* ---- gpu.resize ---- */

struct resize_args {
    uint32_t scanout, width, height;
    bool has_width, has_height;
    bool enabled, has_enabled;
};

static void add_display(struct json_out *o, const struct display_one *d)
{
    json_add_u64(o, "width", d->r.width);
    json_add_u64(o, "height", d->r.height);
    json_add_bool(o, "enabled", d->enabled);
}

/* Beside each other, from left to right, as those of the config. */
static void lay_out(struct display_one *displays)
{
    uint32_t x = 0;

    for (unsigned i = 0; i < VIRTIO_GPU_MAX_SCANOUTS; i++) {
        displays[i].r.x = x;
        displays[i].r.y = 0;
        if (displays[i].enabled)
            x += displays[i].r.width;
    }
}

static void run_resize(struct device *d, struct call *c)
{
    struct display_one displays[VIRTIO_GPU_MAX_SCANOUTS], was, *one;
    const struct resize_args *a = c->args;
    struct gpu *g = gpu_of(d);
    struct err e;

    if (!kept_has_scanout(g, c, a->scanout))
        return;
    if (g->conf->display == GPU_DISPLAY_FRONT_END) {
        err_set(&e, -EPERM, "/params/device",
                "the front-end decides how large its display is: in QEMU by "
                "its window, or by xres and yres of the device; those with "
                "\"display\": \"headless\" can be resized here");
        call_fail(c, &e);
        return;
    }
    memcpy(displays, g->displays, sizeof(displays));
    one = &displays[a->scanout];
    was = *one;
    one->enabled = a->enabled;
    if (a->has_width) {
        one->r.width = a->width;
        one->r.height = a->height;
    }
    lay_out(displays);
    gpu_set_displays(g, displays);
    json_add_u64(&c->out, "scanout", a->scanout);
    add_display(&c->out, one);
    json_begin(&c->out, "was", '{');
    add_display(&c->out, &was);
    json_end(&c->out, '}');
    call_done(c);
}

static void check_resize(void *data, const char *at, struct errs *e)
{
    const struct resize_args *a = data;

    if (a->has_width != a->has_height)
        errs_at(e, at, a->has_width ? "height" : "width",
                "is missing: the two go together");
    else if (!a->has_width && !a->has_enabled)
        errs_at(e, at, NULL,
                "nothing is to be changed: say width and height, or enabled");
}

/* ---- tables ---- */

static const char *const format_words[] = {
    [PICTURE_PNG] = "png",
    [PICTURE_PPM] = "ppm",
    NULL,
};

#define SCANOUT_KEY(type)                                                      \
    {                                                                          \
        "scanout", CONF_U32, CONF_AT(type, scanout),                           \
            .def = "0", .max = VIRTIO_GPU_MAX_SCANOUTS - 1,                    \
            .help = "Which of its displays."                                   \
    }

#define SHOT_KEYS                                                              \
    SCANOUT_KEY(struct shot_args),                                             \
        {"cursor", CONF_BOOL, CONF_AT(struct shot_args, cursor),               \
         .def = "true",                                                        \
         .help = "With the guest's cursor, as one would see it."},             \
        MASKS_KEY(struct shot_args)

static const struct conf_key screenshot_keys[] = {
    SHOT_KEYS,
    {"path", CONF_PATH, CONF_AT(struct shot_args, path), .required = true,
     .help = "The file, on the machine that vub runs on. One that is there is "
             "replaced, when the new one is whole."},
    {"format", CONF_CHOICE, CONF_AT(struct shot_args, format),
     .words = format_words,
     .seen_offset = CONF_SEEN(struct shot_args, has_format),
     .help = "Without it the path's ending says which; it is PNG if that says "
             "nothing."},
    {NULL},
};

static const struct conf_table screenshot_table = {
    .name = "gpu.screenshot",
    .size = sizeof(struct shot_args),
    .keys = screenshot_keys,
};

static const struct conf_key hash_keys[] = {SHOT_KEYS, {NULL}};

static const struct conf_table hash_table = {
    .name = "gpu.hash",
    .size = sizeof(struct shot_args),
    .keys = hash_keys,
};

static const struct conf_key resize_keys[] = {
    SCANOUT_KEY(struct resize_args),
    {"width", CONF_U32, CONF_AT(struct resize_args, width), .min = 1,
     .max = GPU_SIDE_MAX,
     .seen_offset = CONF_SEEN(struct resize_args, has_width),
     .help = "Pixels."},
    {"height", CONF_U32, CONF_AT(struct resize_args, height), .min = 1,
     .max = GPU_SIDE_MAX,
     .seen_offset = CONF_SEEN(struct resize_args, has_height),
     .help = "Pixels."},
    {"enabled", CONF_BOOL, CONF_AT(struct resize_args, enabled), .def = "true",
     .seen_offset = CONF_SEEN(struct resize_args, has_enabled),
     .help = "Is a monitor plugged in?"},
    {NULL},
};

static const struct conf_table resize_table = {
    .name = "gpu.resize",
    .size = sizeof(struct resize_args),
    .keys = resize_keys,
    .check = check_resize,
};

const struct command gpu_commands[] = {
    {"gpu.screenshot", &screenshot_table,
     "Write what a display shows to a file, and tell its size and hash.",
     run_shot},
    {"gpu.hash", &hash_table,
     "Tell the size and the hash of what a display shows: XXH3, 128 bits, as "
     "xxh128sum(1) has it of a screenshot in PPM.",
     run_shot},
    {"gpu.wait", &wait_table,
     "Wait for a picture: for one that is not as before, that has come to "
     "rest, that has a hash, or that looks like a reference.",
     wait_command},
    {"gpu.resize", &resize_table,
     "Change how large a display of a headless device is, or unplug it, and "
     "tell the guest, whose choice it is to follow.",
     run_resize},
    {NULL},
};
