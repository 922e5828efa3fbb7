/* What is to be seen.
 *
 * A scanout is to show what its resource had when it was set or last flushed.
 * Pixels that have changed since may be shown as they were, as they are, or as
 * they have been between. */
#include <string.h>

#include "gpu_model.h"

#define RGB 0xffffffu /* x8r8g8b8: the top byte is nobody's */

struct cursor cursors[VIRTIO_GPU_MAX_SCANOUTS];

static struct shown {
    struct res *res; /* NULL: off */
    uint32_t format, stride, width, height;
    uint64_t offset;
    struct rect rect; /* flushes are in the same picture */
    uint32_t *want;
    bool *known; /* pixels that must be as in want */
} scanouts[VIRTIO_GPU_MAX_SCANOUTS];

/* ---- pixels ---- */

const uint8_t *backing_byte(const struct res *r, uint64_t offset)
{
    for (unsigned i = 0; i < r->num_entries; i++) {
        uint64_t len;

        if (offset < r->entries[i].len)
            return guest_at(r->entries[i].gpa + offset, &len);
        offset -= r->entries[i].len;
    }
    return NULL;
}

bool entry_is_there(const struct entry *e)
{
    uint64_t gpa = e->gpa, left = e->len, len;

    while (left > 0) {
        if (!guest_at(gpa, &len))
            return false;
        len = MIN(len, left);
        gpa += len;
        left -= len;
    }
    return true;
}

bool backing_is_there(const struct res *r)
{
    if (!r->attached)
        return false;
    for (unsigned i = 0; i < r->num_entries; i++)
        if (!entry_is_there(&r->entries[i]))
            return false;
    return true;
}

uint32_t to_argb(uint32_t format, const uint8_t *b)
{
    /* Which byte is blue, green, red, alpha; X has the place of alpha, which
     * it is for a cursor. */
    static const struct {
        uint32_t format;
        uint8_t at[4];
    } orders[] = {
        {VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, {0, 1, 2, 3}},
        {VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, {0, 1, 2, 3}},
        {VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, {3, 2, 1, 0}},
        {VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM, {3, 2, 1, 0}},
        {VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, {2, 1, 0, 3}},
        {VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM, {1, 2, 3, 0}},
        {VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, {1, 2, 3, 0}},
        {VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM, {2, 1, 0, 3}},
    };

    for (unsigned i = 0; i < ARRAY_LEN(orders); i++) {
        const uint8_t *at = orders[i].at;

        if (orders[i].format == format)
            return (uint32_t)b[at[3]] << 24 | (uint32_t)b[at[2]] << 16 |
                   (uint32_t)b[at[1]] << 8 | b[at[0]];
    }
    abort();
}

bool format_is_known(uint32_t format)
{
    return (format >= 1 && format <= 4) || format == 67 || format == 68 ||
           format == 121 || format == 134;
}

/* Of a blob whose memory is not there: black. */
static uint32_t blob_pixel(const struct res *r, uint32_t format,
                           uint64_t offset, bool is_there)
{
    uint8_t bytes[4];

    if (!is_there)
        return 0xff000000;
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = *backing_byte(r, offset + i);
    return to_argb(format, bytes);
}

static bool frame_is_there(const struct shown *s)
{
    return backing_is_there(s->res) &&
           s->offset + (uint64_t)s->stride * (s->height - 1) + s->width * 4 <=
               s->res->backing_len;
}

static uint32_t shown_pixel(const struct shown *s, bool is_there, uint32_t x,
                            uint32_t y)
{
    uint64_t offset = s->offset + (uint64_t)y * s->stride + x * 4;

    if (s->res->is_large)
        return 0;
    if (s->res->is_blob)
        return blob_pixel(s->res, s->format, offset, is_there);
    return to_argb(s->format, s->res->pixels + offset);
}

static void shown_free(struct shown *s)
{
    free(s->want);
    free(s->known);
    memset(s, 0, sizeof(*s));
}

/* What has changed is not known any more, until a flush. */
static void look_at(struct shown *s)
{
    bool is_there = s->res && s->res->is_blob && frame_is_there(s);

    for (uint32_t y = 0; s->res && y < s->height; y++)
        for (uint32_t x = 0; x < s->width; x++) {
            size_t n = (size_t)y * s->width + x;

            if (s->known[n] &&
                (s->res->blurred ||
                 (shown_pixel(s, is_there, x, y) ^ s->want[n]) & RGB))
                s->known[n] = false;
        }
}

void shown_look(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(scanouts); i++)
        look_at(&scanouts[i]);
}

/* [x, x2) and [y, y2) of it go out as they are now. */
static void flush(struct shown *s, const struct rect *r)
{
    bool is_there = s->res->is_blob && frame_is_there(s);

    for (uint32_t y = r->y; y < r->y + r->height; y++)
        for (uint32_t x = r->x; x < r->x + r->width; x++) {
            size_t n = (size_t)y * s->width + x;

            s->want[n] = shown_pixel(s, is_there, x, y);
            s->known[n] = !s->res->blurred;
        }
}

void shown_set(unsigned i, struct res *r, uint32_t format, uint32_t stride,
               uint64_t offset, const struct rect *rect)
{
    struct shown *s = &scanouts[i];
    size_t n = (size_t)rect->width * rect->height;
    const struct rect all = {0, 0, rect->width, rect->height};

    shown_free(s);
    *s = (struct shown){
        .res = r,
        .format = format,
        .stride = stride,
        .width = rect->width,
        .height = rect->height,
        .offset = offset + (uint64_t)rect->y * stride + rect->x * 4,
        .rect = *rect,
        .want = calloc(n, sizeof(*s->want)),
        .known = calloc(n, sizeof(*s->known)),
    };
    CHECK(s->want && s->known);
    flush(s, &all);
}

void shown_off(unsigned i)
{
    shown_free(&scanouts[i]);
}

void shown_drop(const struct res *r)
{
    for (unsigned i = 0; i < ARRAY_LEN(scanouts); i++)
        if (scanouts[i].res == r)
            shown_free(&scanouts[i]);
}

void shown_flush(const struct res *r, const struct rect *rect)
{
    for (unsigned i = 0; i < ARRAY_LEN(scanouts); i++) {
        struct shown *s = &scanouts[i];
        struct rect part;

        if (s->res != r || !rect_meet(rect, &s->rect, &part))
            continue;
        part.x -= s->rect.x;
        part.y -= s->rect.y;
        flush(s, &part);
    }
}

/* ---- and is it? ---- */

static void compare_cursor(unsigned i)
{
    const struct cursor *c = &cursors[i];
    const struct front_cursor *f = &front_cursors[i];

    CHECK(c->visible == f->visible);
    if (!c->visible)
        return;
    CHECK(c->x == f->x && c->y == f->y);
    CHECK(f->defined && c->drawn);
    if (c->unknown)
        return;
    CHECK(c->hot_x == f->hot_x && c->hot_y == f->hot_y);
    CHECK(memcmp(c->image, f->image, sizeof(c->image)) == 0);
}

static uint32_t front_pixel(const struct shown *s,
                            const struct front_scanout *f, size_t n)
{
    if (f->pixels)
        return f->pixels[n];
    return to_argb(s->format, f->dmabuf + f->offset + n / s->width * f->stride +
                                  n % s->width * 4);
}

void model_compare(void)
{
    if (is_lost)
        return;
    for (unsigned i = 0; i < ARRAY_LEN(scanouts); i++) {
        const struct shown *s = &scanouts[i];
        const struct front_scanout *f = &front_scanouts[i];
        size_t num = (size_t)s->width * s->height;

        compare_cursor(i);
        /* What is to be shown of a blob whose memory is gone? */
        if (s->res && s->res->is_blob && !frame_is_there(s))
            continue;
        CHECK(f->width == s->width && f->height == s->height);
        for (size_t n = 0; n < num; n++)
            if (s->known[n])
                CHECK(f->fresh[n] &&
                      (front_pixel(s, f, n) & RGB) == (s->want[n] & RGB));
    }
}
