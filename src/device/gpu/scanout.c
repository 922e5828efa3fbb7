/* Frames, which are read, and scanouts, which have them.
 *
 * The pixels of a frame are bytes of a resource: of a 2D one they lie in one
 * piece, of a blob wherever the guest's pages are, and a row, even a pixel, may
 * lie in several. Rows without a gap between them are one long row here. */
#include "device/gpu/scanout.h"

#include <assert.h>
#include <string.h>

#include "device/gpu/impl.h"

#define BLACK 0xff000000u

/* ---- frames ---- */

/* Rows of bytes in a resource: those of a rectangle. */
struct rows {
    uint64_t offset; /* of the first one */
    uint64_t stride, len;
    uint32_t num;
};

static struct rows rows_of(const struct frame *f, const struct rect *r)
{
    struct rows rows = {
        .offset = f->offset + (uint64_t)r->y * f->stride +
                  (uint64_t)r->x * PIXEL_BYTES,
        .stride = f->stride,
        .len = (uint64_t)r->width * PIXEL_BYTES,
        .num = r->height,
    };

    assert(f->res && rect_fits(r, f->width, f->height));
    if (rows.len == rows.stride || rows.num == 1) {
        rows.len *= rows.num;
        rows.num = 1;
    }
    return rows;
}

bool frame_is_there(const struct frame *f)
{
    const struct backing *b;
    uint64_t end;

    if (!f->res)
        return false;
    if (!f->res->is_blob)
        return true;
    /* 64 bits hold all but the offset's sum. */
    b = &f->res->backing;
    return b->mem &&
           add_u64(f->offset,
                   (uint64_t)(f->height - 1) * f->stride +
                       (uint64_t)f->width * PIXEL_BYTES,
                   &end) &&
           end <= b->len;
}

/* The byte at `offset` of the resource; *len: how many lie there in one piece,
 * at least. */
static uint8_t *byte_at(const struct resource *res, struct backing_at *at,
                        uint64_t offset, uint64_t *len)
{
    if (res->is_blob)
        return backing_find(&res->backing, at, offset, len);
    *len = res->bytes - offset;
    return res->pixels + offset;
}

int frame_iov(const struct frame *f, const struct rect *r, uint64_t skip,
              struct iovec *iov, int max)
{
    const struct rows rows = rows_of(f, r);
    struct backing_at at = {0};
    uint64_t row = skip / rows.len;
    const uint8_t *end = NULL;
    int n = 0;

    skip %= rows.len;
    for (; row < rows.num; row++, skip = 0) {
        while (skip < rows.len) {
            uint64_t here;
            uint8_t *p = byte_at(f->res, &at,
                                 rows.offset + row * rows.stride + skip, &here);

            here = MIN(here, rows.len - skip);
            if (n > 0 && p == end) {
                iov[n - 1].iov_len += here;
            } else {
                if (n == max)
                    return n;
                iov[n++] = (struct iovec){p, here};
            }
            end = p + here;
            skip += here;
        }
    }
    return n;
}

static void read_blob(const struct frame *f, const struct rect *r, uint32_t *to)
{
    struct backing_at at = {0};
    uint64_t offset =
        f->offset + (uint64_t)r->y * f->stride + (uint64_t)r->x * PIXEL_BYTES;
    const uint32_t len = r->width * PIXEL_BYTES;

    for (uint32_t y = 0; y < r->height; y++) {
        uint64_t here;
        const void *from = backing_find(&f->res->backing, &at, offset, &here);

        if (here < len) { /* pixels may be cut in two */
            backing_read(&f->res->backing, &at, offset, to, len);
            from = to;
        }
        pixels_convert(f->format, from, len, to, len, r->width, 1);
        offset += f->stride;
        to += r->width;
    }
}

void frame_read(const struct frame *f, const struct rect *r, uint32_t *to)
{
    const struct resource *res = f->res;

    if (!frame_is_there(f)) {
        for (size_t n = (size_t)r->width * r->height; n > 0; n--)
            *to++ = BLACK;
        return;
    }
    assert(rect_fits(r, f->width, f->height));
    if (res->is_blob)
        read_blob(f, r, to);
    else
        pixels_convert(f->format,
                       res->pixels + f->offset + (size_t)r->y * f->stride +
                           (size_t)r->x * PIXEL_BYTES,
                       f->stride, to, r->width * PIXEL_BYTES, r->width,
                       r->height);
}

struct frame frame_ref(const struct frame *f)
{
    if (f->res)
        resource_ref(f->res);
    return *f;
}

void frame_unref(struct frame *f)
{
    resource_unref(f->res);
    *f = (struct frame){0};
}

/* ---- scanouts ---- */

static void tell(struct gpu *g, unsigned i)
{
    ledger_scanout(g, i);
    viewer_scanout(g->viewer, i);
    waits_changed(g, i);
}

void scanout_set(struct gpu *g, unsigned i, const struct frame *frame,
                 const struct rect *rect)
{
    struct scanout *s = &g->scanouts[i];
    struct frame before = s->frame;

    s->frame = *frame;
    s->rect = *rect;
    tell(g, i);
    frame_unref(&before);
}

void scanout_off(struct gpu *g, unsigned i)
{
    struct scanout *s = &g->scanouts[i];

    if (!s->frame.res)
        return;
    frame_unref(&s->frame);
    s->rect = (struct rect){0};
    tell(g, i);
}

void scanouts_flush(struct gpu *g, const struct resource *res,
                    const struct rect *r)
{
    for (unsigned i = 0; i < VIRTIO_GPU_MAX_SCANOUTS; i++) {
        struct scanout *s = &g->scanouts[i];
        struct rect part;

        if (s->frame.res != res || !rect_meet(r, &s->rect, &part))
            continue;
        part.x -= s->rect.x;
        part.y -= s->rect.y;
        s->flushes++;
        viewer_damage(g->viewer, i, &part);
        waits_changed(g, i);
    }
}

void scanouts_drop(struct gpu *g, const struct resource *res)
{
    for (unsigned i = 0; i < VIRTIO_GPU_MAX_SCANOUTS; i++)
        if (g->scanouts[i].frame.res == res)
            scanout_off(g, i);
}

void scanout_cursor_changed(struct gpu *g, unsigned i, bool image)
{
    ledger_cursor(g, i, image);
    viewer_cursor(g->viewer, i, image);
    waits_changed(g, i);
}

void scanouts_reset(struct gpu *g)
{
    for (unsigned i = 0; i < VIRTIO_GPU_MAX_SCANOUTS; i++) {
        struct cursor *c = &g->scanouts[i].cursor;
        bool was_visible = c->visible;

        scanout_off(g, i);
        *c = (struct cursor){0};
        if (was_visible)
            scanout_cursor_changed(g, i, false);
        else
            ledger_cursor(g, i, false);
        ledger_commit(g->ledger);
    }
}
