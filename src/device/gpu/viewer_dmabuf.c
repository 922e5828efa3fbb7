/* Scanouts that are shown without sending pixels: the display gets a dma-buf of
 * the resource, and is told what has changed in it.
 *
 * That is asked for by the config, for a display may agree to it and then have
 * nothing to show it with. Only 2D resources are shown so whose pixels are in a
 * file (resources.in_files), and that the system makes a dma-buf of; others by
 * their pixels, as is each that fails. The dma-buf is made once for a resource,
 * which guests show in turns, and may be on several scanouts.
 *
 * Each update is replied to when it has been shown. The reply does not say of
 * which scanout, so one is under way for all of them; and no other dma-buf is
 * sent before it has come, so that a display which does not read gets a few fds
 * and no more. */
#include <string.h>

#include "device/gpu/impl.h"
#include "device/gpu/viewer_impl.h"
#include "os/memory.h"
#include "os/udmabuf.h"

bool viewer_has_dmabufs(const struct viewer *v)
{
    return v->g->conf->dmabuf && udmabuf_is_there();
}

int viewer_dmabuf(struct viewer *v, const struct frame *f)
{
    struct resource *res = f->res;
    uint64_t page, at;
    int fd;

    if (!(v->features & WIRE_F_DMABUF2) || res->is_blob ||
        resource_file(res, &at) < 0)
        return -1;
    if (res->dmabuf >= 0 || res->dmabuf_tried)
        return res->dmabuf;
    res->dmabuf_tried = true;
    page = memory_page_bytes();
    fd = udmabuf_create(resource_file(res, &at), at,
                        (res->bytes + page - 1) / page * page);
    if (fd >= 0)
        res->dmabuf = fd;
    else
        log_limited(&v->g->limit, LOG_INFO, v->g->device.id,
                    "a resource of %u times %u pixels is shown without a "
                    "dma-buf: %s",
                    res->width, res->height, strerror(-fd));
    return res->dmabuf;
}

static bool is_mode(const struct view_mode *a, const struct view_mode *b)
{
    return a->kind == b->kind && a->width == b->width &&
           a->height == b->height && a->res == b->res && a->x == b->x &&
           a->y == b->y;
}

static void compose_mode(struct viewer *v, unsigned i, int dmabuf)
{
    const struct scanout *s = &v->g->scanouts[i];
    const struct frame *f = &s->frame;
    const struct view_mode mode = {
        VIEW_DMABUF, f->width, f->height, f->res, s->rect.x, s->rect.y,
    };
    const struct wire_dmabuf_scanout2 m = {
        .scanout = i,
        .x = s->rect.x,
        .y = s->rect.y,
        .width = f->width,
        .height = f->height,
        .fd_width = f->res->width,
        .fd_height = f->res->height,
        .fd_stride = f->stride,
        .fourcc = (int32_t)pixels_fourcc(f->format),
    };
    struct view *w = &v->views[i];

    if (is_mode(&w->mode, &mode))
        return;
    outgoing_put(&v->out, WIRE_DMABUF_SCANOUT2, &m, sizeof(m));
    v->out.fd = dmabuf;
    v->out.frame = frame_ref(f);
    resource_ref(f->res);
    view_set_mode(w, &mode);
    view_damage_all(w, f);
}

void compose_dmabuf(struct viewer *v, unsigned i, int dmabuf)
{
    struct wire_update m;
    struct rect r;

    /* Its fd goes with the first byte, so the mode is the first message. */
    if (!v->update_asked)
        compose_mode(v, i, dmabuf);
    compose_cursor(v, i);
    if (v->update_asked || !region_take(v->views[i].damage, &r))
        return;
    m = (struct wire_update){i, r.x, r.y, r.width, r.height};
    outgoing_put(&v->out, WIRE_DMABUF_UPDATE, &m, sizeof(m));
    v->update_asked = true;
    v->g->stats.updates++;
}

void compose_dmabuf_off(struct viewer *v, unsigned i)
{
    const struct wire_dmabuf_scanout2 m = {.scanout = i};

    if (v->views[i].mode.kind == VIEW_DMABUF)
        outgoing_put(&v->out, WIRE_DMABUF_SCANOUT2, &m, sizeof(m));
}
