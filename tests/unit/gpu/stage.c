#include "stage.h"
#include <errno.h>

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what the rest of the device does ---- */

static bool memory_is_there = true;

bool frame_is_there(const struct frame *f)
{
    return f->res && memory_is_there;
}

void frame_read(const struct frame *f, const struct rect *r, uint32_t *to)
{
    assert_true(rect_fits(r, f->width, f->height));
    for (uint32_t y = 0; y < r->height; y++)
        memcpy(to + (size_t)y * r->width,
               f->res->pixels + f->offset + (size_t)(r->y + y) * f->stride +
                   (size_t)r->x * PIXEL_BYTES,
               (size_t)r->width * PIXEL_BYTES);
}

unsigned gpu_scanouts(const struct gpu *g)
{
    return g->num_scanouts;
}

void gpu_set_displays(struct gpu *g, const struct display_one *displays)
{
    memcpy(g->displays, displays, sizeof(g->displays));
}

/* ---- the stage ---- */

struct stage *stage_new(void)
{
    struct stage *s = calloc(1, sizeof(*s));
    struct gpu *g;

    assert_non_null(s);
    g = &s->gpu;
    assert_int_equal(loop_open(&s->loop, "stage"), 0);
    strcpy(s->dir, "/tmp/vub-stage-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    assert_int_equal(chdir(s->dir), 0);
    s->conf.display = GPU_DISPLAY_HEADLESS;
    g->conf = &s->conf;
    g->device.id = "stage";
    g->device.home = &s->loop;
    g->num_scanouts = 2;
    g->displays[0] = (struct display_one){{0, 0, 640, 480}, true};
    g->displays[1] = (struct display_one){{640, 0, 800, 600}, true};
    list_init(&g->waits);
    shots_init(&g->shots);
    return s;
}

void stage_free(struct stage *s)
{
    char command[128];

    waits_end(&s->gpu);
    stage_turn(s);
    loop_close(&s->loop);
    free(s->pixels);
    snprintf(command, sizeof(command), "rm -rf '%s'", s->dir);
    assert_int_equal(system(command), 0);
    free(s);
}

struct stage *stage;

int stage_set_up(void **state)
{
    (void)state;
    stage = stage_new();
    return 0;
}

int stage_show_up(void **state)
{
    stage_set_up(state);
    stage_show(stage, 40, 30);
    return 0;
}

int stage_tear_down(void **state)
{
    (void)state;
    stage_free(stage);
    return 0;
}

void stage_off(struct stage *s)
{
    s->gpu.scanouts[0].frame = (struct frame){NULL};
    waits_changed(&s->gpu, 0);
}

void stage_show(struct stage *s, uint32_t width, uint32_t height)
{
    size_t num = (size_t)width * height;

    free(s->pixels);
    s->pixels = malloc(num * PIXEL_BYTES);
    assert_non_null(s->pixels);
    for (size_t i = 0; i < num; i++)
        s->pixels[i] = (uint32_t)i * 2654435761u;
    s->res = (struct resource){
        .format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
        .width = width,
        .height = height,
        .stride = width * PIXEL_BYTES,
        .pixels = (uint8_t *)s->pixels,
        .bytes = num * PIXEL_BYTES,
    };
    s->gpu.scanouts[0].frame = (struct frame){
        .res = &s->res,
        .format = s->res.format,
        .stride = s->res.stride,
        .width = width,
        .height = height,
    };
    waits_changed(&s->gpu, 0);
}

void stage_set(struct stage *s, uint32_t x, uint32_t y, uint32_t argb)
{
    s->pixels[y * s->res.width + x] = argb;
    waits_changed(&s->gpu, 0);
}

void stage_turn(struct stage *s)
{
    uv_run(&s->loop.uv, UV_RUN_NOWAIT);
}

void stage_memory(bool is_there)
{
    memory_is_there = is_there;
}

/* ---- calls ---- */

struct asked *ask(struct stage *s, const char *name, const char *params, ...)
{
    char text[4096];
    va_list ap;

    va_start(ap, params);
    vsnprintf(text, sizeof(text), params, ap);
    va_end(ap);
    return asked_new(&s->gpu.device, gpu_commands, name, text);
}

void expect_canceled(struct stage *s, struct asked *a)
{
    assert_true(a->answered);
    expect_error(s, a, -ECANCELED, "", "nobody waits any more");
}

void save_picture(struct stage *s, const char *path)
{
    expect_done(s, ask(s, "gpu.screenshot", "{'path': '%s'}", path), "{*}");
}

void expect_refused(const char *name, const char *params, const char *where,
                    const char *text)
{
    asked_refused(gpu_commands, name, params, where, text);
}

void answer_wait(struct stage *s, struct asked *a)
{
    while (!a->answered) {
        uv_run(&s->loop.uv, UV_RUN_NOWAIT); /* it may be deferred, no more */
        if (!a->answered)
            uv_run(&s->loop.uv, UV_RUN_ONCE);
    }
}

static void expect_match(const char *pattern, const char *text)
{
    if (fnmatch(pattern, text, 0) != 0)
        fail_msg("\"%s\" is not like \"%s\"", text, pattern);
}

void expect_done(struct stage *s, struct asked *a, const char *out)
{
    answer_wait(s, a);
    if (a->e.code)
        fail_msg("%s: %s", a->e.where, a->e.text);
    json_end(&a->call.out, '}');
    expect_match(out, a->call.out.text);
    asked_free(a);
}

void expect_error(struct stage *s, struct asked *a, int code, const char *where,
                  const char *pattern)
{
    answer_wait(s, a);
    if (a->e.code == 0)
        fail_msg("it was done: %s", a->call.out.text);
    expect_match(pattern, a->e.text);
    assert_string_equal(a->e.where, where);
    assert_int_equal(a->e.code, code);
    asked_free(a);
}

const char *hash_now(struct stage *s)
{
    static char hash[64];
    struct asked *a = ask(s, "gpu.hash", "{'cursor': false}");

    answer_wait(s, a);
    assert_int_equal(a->e.code, 0);
    assert_int_equal(
        sscanf(a->call.out.text, "{\"hash\":\"%32[0-9a-f]\"", hash), 1);
    asked_free(a);
    return hash;
}

/* Looks are in order: one that is asked for now is behind all others. */
void all_looked(struct stage *s)
{
    for (int i = 0; i < 2; i++) {
        struct asked *a;

        stage_turn(s);
        a = ask(s, "gpu.wait", "{'changed': true, 'timeout_ms': 0}");
        answer_wait(s, a);
        asked_free(a);
    }
}
