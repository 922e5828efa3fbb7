/* behave/screen.h: a GPU with a display, for tests of what is seen there. */
#ifndef BEHAVE_SCREEN_H
#define BEHAVE_SCREEN_H

#include "behave.h"
#include "ctl.h"
#include "front/display.h"
#include "front/gpu.h"

#define SCREEN(more) "{'id': 's', 'type': 'gpu'" more "}"

#define BGRX VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM /* goes out as it is */
#define RGBX VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM /* is converted */

struct screen {
    struct vub *v;
    struct front *f;
    struct display *d;
    struct gpu *g;
};

static const struct front_conf screen_conf = {.queues = 2,
                                              .backend_channel = true};

/* A session, memory shared, its display not plugged and its rings not
 * started. */
static void screen_connect(struct screen *s)
{
    s->f = front_connect(s->v, "s");
    front_negotiate(s->f, &screen_conf);
    front_share(s->f);
}

static void screen_start(struct screen *s)
{
    front_start_rings(s->f);
    s->g = gpu_on(s->f);
}

/* In the order of QEMU's. */
static void screen_session(struct screen *s)
{
    screen_connect(s);
    display_plug(s->d, s->f);
    display_greet(s->d);
    screen_start(s);
}

/* A vub with a device "s" and a control socket, and a session of it. */
static void __attribute__((unused))
screen_open(struct screen *s, const char *devices)
{
    s->v = ctl_start(devices);
    s->d = display_new();
    screen_session(s);
}

static void __attribute__((unused)) screen_close(struct screen *s)
{
    display_free(s->d);
    front_free(s->f);
    vub_free(s->v);
}

/* Its status has this text. */
static void __attribute__((unused))
need_status(struct screen *s, const char *text)
{
    struct ctl c;

    ctl_open(&c, s->v);
    ctl_call(&c, "status", "{'device': 's'}");
    ctl_need(&c, text);
    ctl_close(&c);
}

/* ---- numbers without a pattern ---- */

static uint32_t screen_seed = 1;

static uint32_t any(uint32_t below)
{
    screen_seed = screen_seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(screen_seed >> 8) * below >> 24);
}

static struct display_rect __attribute__((unused))
any_rect(uint32_t width, uint32_t height)
{
    struct display_rect r = {.x = any(width), .y = any(height)};

    r.width = 1 + any(width - r.x);
    r.height = 1 + any(height - r.y);
    return r;
}

/* ---- what a guest has drawn, as it is to be seen ---- */

/* 0x00RRGGBB of four bytes of a format. */
static uint32_t colour(uint32_t format, const uint8_t *p)
{
    static const struct {
        uint8_t r, g, b;
    } at[] = {
        [VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM] = {2, 1, 0},
        [VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM] = {2, 1, 0},
        [VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM] = {1, 2, 3},
        [VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM] = {1, 2, 3},
        [VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM] = {0, 1, 2},
        [VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM] = {3, 2, 1},
        [VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM] = {3, 2, 1},
        [VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM] = {0, 1, 2},
    };

    return (uint32_t)p[at[format].r] << 16 | (uint32_t)p[at[format].g] << 8 |
           p[at[format].b];
}

/* A rectangle of the guest's memory, where a row has `stride` bytes and the
 * first one begins at `offset`; without gaps. The caller frees it. */
static uint32_t *seen(struct gpu_fb *fb, uint32_t format, uint64_t offset,
                      uint32_t stride, const struct display_rect *r)
{
    uint32_t *out = front_calloc((size_t)r->width * r->height, sizeof(*out));
    uint8_t *row = front_calloc(r->width, 4);

    for (uint32_t y = 0; y < r->height; y++) {
        gpu_fb_read(fb, offset + (uint64_t)(r->y + y) * stride + r->x * 4, row,
                    r->width * 4);
        for (uint32_t x = 0; x < r->width; x++)
            out[(size_t)y * r->width + x] = colour(format, row + x * 4);
    }
    free(row);
    return out;
}

/* The scanout comes to show that rectangle. */
static void __attribute__((unused))
need_seen(struct screen *s, unsigned scanout, struct gpu_fb *fb,
          uint32_t format, uint64_t offset, uint32_t stride,
          const struct display_rect *r)
{
    uint32_t *pixels = seen(fb, format, offset, stride, r);

    display_need_picture(s->d, scanout, pixels, r->width, r->height);
    free(pixels);
}

/* The same of all of it, of a picture without gaps. */
static void __attribute__((unused))
need_whole(struct screen *s, unsigned scanout, struct gpu_fb *fb,
           uint32_t format)
{
    const struct display_rect all = {0, 0, fb->width, fb->height};

    need_seen(s, scanout, fb, format, 0, fb->stride, &all);
}

#endif
