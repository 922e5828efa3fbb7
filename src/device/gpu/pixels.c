/* Formats, and regions.
 *
 * A format of virtio-gpu names the bytes of a pixel in memory, the first one
 * first; argb is a number. So each format is one of four ways to turn the bytes
 * of a number, which are found by what the machine makes of the first byte, and
 * a top byte that counts or does not. Those four are written here as loops that
 * a compiler makes wide ones of: pixman has fast ways for some of them only,
 * and wants memory for each image.
 *
 * pixman asserts what it is told: whatever comes from outside is cut to size
 * before. */
#include "device/gpu/pixels.h"

#include <assert.h>
#include <endian.h>
#include <pixman.h>
#include <stdlib.h>
#include <string.h>

#include "os/library.h"
#include "virtio/spec.h"

#define LIBPIXMAN(CALL)                                                        \
    CALL(pixman_, image_composite32)                                           \
    CALL(pixman_, image_create_bits)                                           \
    CALL(pixman_, image_unref)                                                 \
    CALL(pixman_, region32_extents)                                            \
    CALL(pixman_, region32_fini)                                               \
    CALL(pixman_, region32_init)                                               \
    CALL(pixman_, region32_init_rects)                                         \
    CALL(pixman_, region32_init_with_extents)                                  \
    CALL(pixman_, region32_n_rects)                                            \
    CALL(pixman_, region32_not_empty)                                          \
    CALL(pixman_, region32_rectangles)                                         \
    CALL(pixman_, region32_union_rect)

LIBRARY_CALLS(libpixman, LIBPIXMAN);
static LIBRARY(libpixman, LIBPIXMAN, VUB_LIBRARY_pixman);

int pixels_ready(struct err *e)
{
    return library_load(&libpixman_library, e);
}

#define OPAQUE 0xff000000u

/* How argb is made of a pixel that has been loaded as a number. */
enum turn { AS_IS, BACKWARDS, SWAP_RED_BLUE, ROTATE };

struct format {
    uint32_t format; /* VIRTIO_GPU_FORMAT_* */
    enum turn little, big;
    bool has_alpha;
    char fourcc[5]; /* DRM's, which are of little-endian numbers */
};

static const struct format formats[] = {
    {VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, AS_IS, BACKWARDS, true, "AR24"},
    {VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, AS_IS, BACKWARDS, false, "XR24"},
    {VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, BACKWARDS, AS_IS, true, "BA24"},
    {VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM, BACKWARDS, AS_IS, false, "BX24"},
    {VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, SWAP_RED_BLUE, ROTATE, true, "AB24"},
    {VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM, ROTATE, SWAP_RED_BLUE, false, "RX24"},
    {VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, ROTATE, SWAP_RED_BLUE, true, "RA24"},
    {VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM, SWAP_RED_BLUE, ROTATE, false, "XB24"},
};

static const struct format *format_of(uint32_t format)
{
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++)
        if (formats[i].format == format)
            return &formats[i];
    return NULL;
}

static enum turn turn_of(const struct format *f)
{
    return __BYTE_ORDER == __LITTLE_ENDIAN ? f->little : f->big;
}

bool pixels_known(uint32_t format)
{
    return format_of(format) != NULL;
}

bool pixels_are_argb(uint32_t format)
{
    const struct format *f = format_of(format);

    return f && turn_of(f) == AS_IS;
}

uint32_t pixels_with_alpha(uint32_t format)
{
    const struct format *f = format_of(format);

    assert(f);
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++)
        if (formats[i].has_alpha && formats[i].little == f->little)
            return formats[i].format;
    return format;
}

uint32_t pixels_fourcc(uint32_t format)
{
    const struct format *f = format_of(format);

    assert(f);
    return (uint32_t)f->fourcc[0] | (uint32_t)f->fourcc[1] << 8 |
           (uint32_t)f->fourcc[2] << 16 | (uint32_t)f->fourcc[3] << 24;
}

/* ---- to argb ---- */

static inline uint32_t turned(uint32_t v, enum turn turn)
{
    switch (turn) {
    case AS_IS:
        break;
    case BACKWARDS:
        return __builtin_bswap32(v);
    case SWAP_RED_BLUE:
        return (v & 0xff00ff00) | (v >> 16 & 0xff) | (v & 0xff) << 16;
    case ROTATE:
        return v >> 8 | v << 24;
    }
    return v;
}

/* A step of a loop that is known to have so many is made wide. They are all
 * read before any is written, since both may be the same place. */
#define WIDE 16

static inline __attribute__((always_inline)) void
turn_row(const uint8_t *from, uint32_t *to, uint32_t width, enum turn turn,
         uint32_t top)
{
    uint32_t v[WIDE];

    for (; width >= WIDE; width -= WIDE) {
        memcpy(v, from, sizeof(v)); /* may lie at any address */
        for (unsigned i = 0; i < WIDE; i++)
            v[i] = turned(v[i], turn) | top;
        memcpy(to, v, sizeof(v));
        from += sizeof(v);
        to += WIDE;
    }
    for (; width > 0; width--) {
        memcpy(v, from, PIXEL_BYTES);
        *to++ = turned(v[0], turn) | top;
        from += PIXEL_BYTES;
    }
}

static void convert_row(const uint8_t *from, uint32_t *to, uint32_t width,
                        enum turn turn, bool has_alpha)
{
    switch (turn) {
    case AS_IS:
        if (!has_alpha)
            turn_row(from, to, width, AS_IS, OPAQUE);
        else if (from != (uint8_t *)to)
            memcpy(to, from, (size_t)width * PIXEL_BYTES);
        break;
    case BACKWARDS:
        turn_row(from, to, width, BACKWARDS, has_alpha ? 0 : OPAQUE);
        break;
    case SWAP_RED_BLUE:
        turn_row(from, to, width, SWAP_RED_BLUE, has_alpha ? 0 : OPAQUE);
        break;
    case ROTATE:
        turn_row(from, to, width, ROTATE, has_alpha ? 0 : OPAQUE);
        break;
    }
}

void pixels_convert(uint32_t format, const void *from, uint32_t from_stride,
                    uint32_t *to, uint32_t to_stride, uint32_t width,
                    uint32_t height)
{
    const struct format *f = format_of(format);
    const uint8_t *row = from;

    assert(f);
    for (uint32_t y = 0; y < height; y++) {
        convert_row(row, to, width, turn_of(f), f->has_alpha);
        row += from_stride;
        to += to_stride / PIXEL_BYTES;
    }
}

/* ---- a cursor ---- */

/* What of `size` pixels at `at` lies in [0, end): *to is where it begins there,
 * *skip how many are left out before, *num how many there are. */
static bool clip(int64_t at, uint32_t size, uint32_t end, int *to, int *skip,
                 int *num)
{
    int64_t first = MAX(at, 0), last = MIN(at + size, (int64_t)end);

    if (first >= last)
        return false;
    *to = (int)first;
    *skip = (int)(first - at);
    *num = (int)(last - first);
    return true;
}

void pixels_over(uint32_t *picture, uint32_t width, uint32_t height,
                 const uint32_t *image, uint32_t size, int32_t x, int32_t y)
{
    pixman_image_t *to, *from;
    int to_x, to_y, skip_x, skip_y, w, h;

    assert(width <= GPU_SIDE_MAX && height <= GPU_SIDE_MAX &&
           size <= GPU_SIDE_MAX);
    if (!clip(x, size, width, &to_x, &skip_x, &w) ||
        !clip(y, size, height, &to_y, &skip_y, &h) || pixels_ready(NULL) < 0)
        return;
    to = libpixman.image_create_bits(PIXMAN_a8r8g8b8, (int)width, (int)height,
                                     picture, (int)(width * PIXEL_BYTES));
    from = libpixman.image_create_bits(PIXMAN_a8r8g8b8, (int)size, (int)size,
                                       (uint32_t *)image,
                                       (int)(size * PIXEL_BYTES));
    if (to && from)
        libpixman.image_composite32(PIXMAN_OP_OVER, from, NULL, to, skip_x,
                                    skip_y, 0, 0, to_x, to_y, w, h);
    if (from)
        libpixman.image_unref(from);
    if (to)
        libpixman.image_unref(to);
}

/* ---- regions ---- */

/* More rectangles cost more to send one by one than what lies between them. */
#define RECTANGLES_MAX 32

struct region {
    pixman_region32_t set;
};

struct region *region_new(void)
{
    struct region *r;

    if (pixels_ready(NULL) < 0)
        return NULL;
    r = malloc(sizeof(*r));
    if (r)
        libpixman.region32_init(&r->set);
    return r;
}

void region_free(struct region *r)
{
    if (!r)
        return;
    libpixman.region32_fini(&r->set);
    free(r);
}

bool region_is_empty(const struct region *r)
{
    return !libpixman.region32_not_empty((pixman_region32_t *)&r->set);
}

void region_clear(struct region *r)
{
    libpixman.region32_fini(&r->set);
    libpixman.region32_init(&r->set);
}

static pixman_box32_t extents(struct region *r)
{
    return *libpixman.region32_extents(&r->set);
}

/* One rectangle needs no memory. */
static void set_to(struct region *r, pixman_box32_t box)
{
    libpixman.region32_fini(&r->set);
    libpixman.region32_init_with_extents(&r->set, &box);
}

static pixman_box32_t around(pixman_box32_t a, pixman_box32_t b)
{
    return (pixman_box32_t){MIN(a.x1, b.x1), MIN(a.y1, b.y1), MAX(a.x2, b.x2),
                            MAX(a.y2, b.y2)};
}

void region_add(struct region *r, const struct rect *rect)
{
    static const struct rect all = {0, 0, GPU_SIDE_MAX, GPU_SIDE_MAX};
    pixman_box32_t box;
    struct rect in;

    if (!rect_meet(rect, &all, &in))
        return;
    box = (pixman_box32_t){(int)in.x, (int)in.y, (int)(in.x + in.width),
                           (int)(in.y + in.height)};
    if (region_is_empty(r)) {
        set_to(r, box);
        return;
    }
    box = around(extents(r), box);
    if (!libpixman.region32_union_rect(&r->set, &r->set, (int)in.x, (int)in.y,
                                       in.width, in.height) ||
        libpixman.region32_n_rects(&r->set) > RECTANGLES_MAX)
        set_to(r, box);
}

bool region_take(struct region *r, struct rect *out)
{
    const pixman_box32_t *boxes;
    pixman_region32_t rest;
    pixman_box32_t box;
    int num;

    boxes = libpixman.region32_rectangles(&r->set, &num);
    if (num == 0)
        return false;
    box = boxes[0]; /* they are sorted, the topmost first */
    if (num == 1) {
        region_clear(r);
    } else if (libpixman.region32_init_rects(&rest, boxes + 1, num - 1)) {
        libpixman.region32_fini(&r->set);
        r->set = rest;
    } else {
        libpixman.region32_fini(&rest);
        box = extents(r);
        region_clear(r);
    }
    *out =
        (struct rect){(uint32_t)box.x1, (uint32_t)box.y1,
                      (uint32_t)(box.x2 - box.x1), (uint32_t)(box.y2 - box.y1)};
    return true;
}
