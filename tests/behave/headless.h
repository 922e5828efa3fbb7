/* behave/headless.h: GPUs for behaviour tests, and what they show: by a
 * screenshot, which is vub's own picture of a scanout. */
#ifndef BEHAVE_HEADLESS_H
#define BEHAVE_HEADLESS_H

#include "ctl.h"
#include "front/gpu.h"

/* Device "screen", that no front-end's display sees; more: further keys. */
#define SCREEN(more)                                                           \
    "{'id': 'screen', 'type': 'gpu', 'display': 'headless'" more "}"

#define XRGB VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define ARGB VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM

/* A vub with one of them, its control socket, and a session. */
struct screen {
    struct vub *v;
    struct ctl c;
    struct gpu *g;
};

/* Without a session yet. */
static inline void screen_run(struct screen *s, const char *devices)
{
    s->v = ctl_start(devices);
    ctl_open(&s->c, s->v);
}

static __attribute__((unused)) void
screen_open(struct screen *s, const char *devices, const struct front_conf *c)
{
    screen_run(s, devices);
    s->g = gpu_open(s->v, "screen", c);
}

static __attribute__((unused)) void screen_close(struct screen *s)
{
    gpu_close(s->g);
    ctl_close(&s->c);
    vub_free(s->v);
}

/* Over each kind of ring, one session after the other on one vub. */
static __attribute__((unused)) void on_all_rings(const char *devices,
                                                 void (*one)(struct screen *s))
{
    struct screen s;

    screen_run(&s, devices);
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        s.g = gpu_open(s.v, "screen", &ring_modes[mode]);
        front_note("%s", mode_name(&ring_modes[mode]));
        one(&s);
        gpu_close(s.g);
    }
    front_note(" ");
    ctl_close(&s.c);
    vub_free(s.v);
}

/* Where red, green and blue are among the bytes of a pixel. */
static const struct screen_format {
    uint32_t format;
    uint8_t r, g, b;
    const char *name;
} screen_formats[] __attribute__((unused)) = {
    {VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, 2, 1, 0, "B8G8R8A8"},
    {VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 2, 1, 0, "B8G8R8X8"},
    {VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, 1, 2, 3, "A8R8G8B8"},
    {VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM, 1, 2, 3, "X8R8G8B8"},
    {VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, 0, 1, 2, "R8G8B8A8"},
    {VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM, 3, 2, 1, "X8B8G8R8"},
    {VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, 3, 2, 1, "A8B8G8R8"},
    {VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM, 0, 1, 2, "R8G8B8X8"},
};

/* Pixels of any format to 0xRRGGBB. */
static __attribute__((unused)) uint32_t
screen_rgb(const struct screen_format *f, const uint8_t *p)
{
    return (uint32_t)p[f->r] << 16 | (uint32_t)p[f->g] << 8 | p[f->b];
}

/* What a scanout shows: width times height of 0xRRGGBB, to be freed. */
static __attribute__((unused)) uint32_t *
screen_shot(struct screen *s, unsigned scanout, bool cursor, unsigned *width,
            unsigned *height)
{
    char params[512], path[128];
    uint32_t *rgb;
    FILE *f;

    snprintf(path, sizeof(path), "%s/shot.ppm", s->v->dir);
    snprintf(params, sizeof(params),
             "{'device': 'screen', 'scanout': %u, 'cursor': %s, 'path': '%s'}",
             scanout, cursor ? "true" : "false", path);
    ctl_call(&s->c, "gpu.screenshot", params);
    ctl_need(&s->c, "\"result\"");
    f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "P6 %u %u 255", width, height), 2);
    assert_int_equal(fgetc(f), '\n');
    rgb = front_calloc((size_t)*width * *height, sizeof(*rgb));
    for (size_t i = 0; i < (size_t)*width * *height; i++) {
        uint8_t p[3];

        assert_int_equal(fread(p, 1, 3, f), 3);
        rgb[i] = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    }
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
    return rgb;
}

/* It must be this: width times height of 0xRRGGBB. */
static __attribute__((unused)) void screen_need(struct screen *s,
                                                unsigned scanout, bool cursor,
                                                const uint32_t *want,
                                                unsigned width, unsigned height)
{
    unsigned w, h;
    uint32_t *rgb = screen_shot(s, scanout, cursor, &w, &h);

    assert_int_equal(w, width);
    assert_int_equal(h, height);
    for (unsigned i = 0; i < w * h; i++)
        if (rgb[i] != (want[i] & 0xffffff))
            front_fail("pixel %u, %u of scanout %u is %06x, not %06x", i % w,
                       i / w, scanout, rgb[i], want[i] & 0xffffff);
    free(rgb);
}

/* A screenshot must be refused with words of this. */
static __attribute__((unused)) void
screen_need_nothing(struct screen *s, unsigned scanout, const char *why)
{
    char params[128];

    snprintf(params, sizeof(params), "{'device': 'screen', 'scanout': %u}",
             scanout);
    ctl_call(&s->c, "gpu.hash", params);
    ctl_need(&s->c, why);
}

/* A display as GET_DISPLAY_INFO has it: at x, 0; width 0: it is not enabled. */
static __attribute__((unused)) void
need_display(const struct virtio_gpu_display_one *d, uint32_t x, uint32_t width,
             uint32_t height)
{
    assert_int_equal(le32toh(d->enabled), width > 0);
    assert_int_equal(le32toh(d->flags), 0);
    assert_int_equal(le32toh(d->r.x), x);
    assert_int_equal(le32toh(d->r.y), 0);
    assert_int_equal(le32toh(d->r.width), width);
    assert_int_equal(le32toh(d->r.height), height);
}

/* A number of the device's status: the first member of that name. */
static __attribute__((unused)) unsigned long long screen_stat(struct screen *s,
                                                              const char *name)
{
    char member[64];
    const char *line, *at;

    ctl_call(&s->c, "status", "{}");
    line = ctl_answer(&s->c);
    snprintf(member, sizeof(member), "\"%s\":", name);
    at = strstr(line, member);
    if (!at)
        front_fail("no %s in %s", member, line);
    return strtoull(at + strlen(member), NULL, 10);
}

/* Resource `id` of 16 times 16, all of one colour, on scanout 0. */
static inline void screen_show_colour(struct screen *s, uint32_t id,
                                      uint32_t colour)
{
    struct gpu_fb *fb = gpu_fb_new(s->g, 16, 16, 512);

    for (unsigned i = 0; i < 256; i++)
        gpu_fb_write(fb, (uint64_t)i * 4, &(le32){htole32(colour)}, 4);
    gpu_show(s->g, 0, id, XRGB, fb);
    gpu_draw(s->g, id, fb, 0, 0, 16, 16);
}

static inline void screen_need_colour(struct screen *s, uint32_t colour)
{
    uint32_t rgb[256];

    for (unsigned i = 0; i < 256; i++)
        rgb[i] = colour;
    screen_need(s, 0, true, rgb, 16, 16);
}

static inline void screen_stop(struct screen *s)
{
    vq_stop(s->g->control);
    vq_stop(s->g->cursor);
}

static inline void screen_start(struct screen *s)
{
    vq_start(s->g->control);
    vq_start(s->g->cursor);
}

#endif
