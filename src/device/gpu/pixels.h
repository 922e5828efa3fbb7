/* device/gpu/pixels.h: pixels in memory, and regions of them. The only file
 * that names pixman is pixels.c.
 *
 * Every format of virtio-gpu has four bytes for a pixel. What is shown, sent
 * and compared is "argb": a uint32_t of 0xAARRGGBB in the machine's byte order,
 * which is x8r8g8b8 as well for those who do not look at the top byte.
 * Threads: any, one at a time per struct. */
#ifndef VUB_DEVICE_GPU_PIXELS_H
#define VUB_DEVICE_GPU_PIXELS_H

#include "base/err.h"
#include "device/gpu/rect.h"

#define PIXEL_BYTES 4u

/* Loads pixman, without which there are no regions and no cursors over
 * pictures. e: as of library_load. */
int pixels_ready(struct err *e);

/* format: VIRTIO_GPU_FORMAT_*, of which there are eight. */
bool pixels_known(uint32_t format);
/* Is it argb but for a top byte that may be anything? Then rows of it may be
 * sent as they are. */
bool pixels_are_argb(uint32_t format);
/* The one with the same bytes of which the fourth counts as alpha. */
uint32_t pixels_with_alpha(uint32_t format);
/* The DRM fourcc of it ("XR24"...). */
uint32_t pixels_fourcc(uint32_t format);

/* Of `format`, width times height pixels at `from`, to argb at `to`, which may
 * be the same place with the same stride. Strides are bytes, multiples of 4.
 * Where a format has no alpha, it is 0xff. */
void pixels_convert(uint32_t format, const void *from, uint32_t from_stride,
                    uint32_t *to, uint32_t to_stride, uint32_t width,
                    uint32_t height);

/* Lays an image of argb with premultiplied alpha, size times size pixels, over
 * a picture of width times height (no gaps between rows) at x, y, which may lie
 * outside in part. */
void pixels_over(uint32_t *picture, uint32_t width, uint32_t height,
                 const uint32_t *image, uint32_t size, int32_t x, int32_t y);

/* ---- regions ---- */

/* A set of pixels, kept as rectangles that do not overlap. */
struct region;

/* Empty. NULL: no memory, or no pixman. */
struct region *region_new(void);
void region_free(struct region *r); /* r may be NULL */
bool region_is_empty(const struct region *r);
void region_clear(struct region *r);
/* Out of memory, or with very many rectangles, more is added than asked: the
 * rectangle around all. */
void region_add(struct region *r, const struct rect *rect);
/* Takes one rectangle off; false: it is empty. */
bool region_take(struct region *r, struct rect *out);

#endif
