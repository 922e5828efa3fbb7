/* device/gpu/rect.h: rectangles of pixels. */
#ifndef VUB_DEVICE_GPU_RECT_H
#define VUB_DEVICE_GPU_RECT_H

#include "base/base.h"

/* Of a side of anything: resources, scanouts, displays. */
#define GPU_SIDE_MAX 16384u

struct rect {
    uint32_t x, y, width, height;
};

/* Does r lie in width times height pixels, and is there something of it? */
static inline bool rect_fits(const struct rect *r, uint32_t width,
                             uint32_t height)
{
    return r->width > 0 && r->height > 0 && r->width <= width &&
           r->height <= height && r->x <= width - r->width &&
           r->y <= height - r->height;
}

/* What two have in common; false: nothing. Their ends fit 32 bits. */
static inline bool rect_meet(const struct rect *a, const struct rect *b,
                             struct rect *out)
{
    uint32_t x = MAX(a->x, b->x), y = MAX(a->y, b->y);
    uint32_t x2 = MIN(a->x + a->width, b->x + b->width);
    uint32_t y2 = MIN(a->y + a->height, b->y + b->height);

    if (x >= x2 || y >= y2)
        return false;
    *out = (struct rect){x, y, x2 - x, y2 - y};
    return true;
}

#endif
