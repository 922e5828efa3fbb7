/* device/gpu/scanout.h: what the guest shows, and its cursors.
 *
 * Spec: virtio, "VIRTIO_GPU_CMD_SET_SCANOUT", "VIRTIO_GPU_CMD_RESOURCE_FLUSH",
 * "Device Operation: cursorq". A scanout shows a part of a resource: its frame.
 * Whoever looks at scanouts is told what has become of them: the front-end's
 * display, and calls that wait for a picture.
 * Threads: the device's. */
#ifndef VUB_DEVICE_GPU_SCANOUT_H
#define VUB_DEVICE_GPU_SCANOUT_H

#include "device/gpu/pixels.h"
#include "device/gpu/resource.h"
#include "virtio/spec.h"

/* Where the pixels of a picture lie. Of a blob, in the guest's memory. */
struct frame {
    struct resource *res; /* a ref; NULL: the scanout is off */
    uint32_t format, stride;
    uint32_t width, height;
    uint64_t offset; /* of the first pixel, in the resource's bytes */
};

struct cursor {
    bool visible;
    bool drawn;    /* there has been an image */
    uint32_t x, y; /* of the image's top left; as signed numbers */
    uint32_t hot_x, hot_y;
    uint32_t image[VIRTIO_GPU_CURSOR_PIXELS * VIRTIO_GPU_CURSOR_PIXELS];
    /* argb, premultiplied */
};

struct scanout {
    struct frame frame;
    struct rect rect; /* of the resource, or of a blob's picture: what a flush
                       * is in */
    struct cursor cursor;
    uint64_t flushes; /* since the device was opened */
};

/* Can the frame be read now? Not one whose guest memory is not there. */
bool frame_is_there(const struct frame *f);
/* Pieces of memory of the pixels of `r`, which lies in f: row by row from top
 * to bottom, neighbours joined. Skips `skip` bytes of them. At most max; how
 * many: fewer than max when that is all. f is there. */
int frame_iov(const struct frame *f, const struct rect *r, uint64_t skip,
              struct iovec *iov, int max);
/* The pixels of r as argb, without gaps. If f is not there: black. */
void frame_read(const struct frame *f, const struct rect *r, uint32_t *to);
/* One more owner of what f shows. */
struct frame frame_ref(const struct frame *f);
void frame_unref(struct frame *f); /* is off then */

struct gpu;

/* frame: taken over, its ref too. rect: see struct scanout. */
void scanout_set(struct gpu *g, unsigned i, const struct frame *frame,
                 const struct rect *rect);
void scanout_off(struct gpu *g, unsigned i);
/* Pixels of res have changed, in r: shown wherever it is. */
void scanouts_flush(struct gpu *g, const struct resource *res,
                    const struct rect *r);
/* Nobody shows res any more. */
void scanouts_drop(struct gpu *g, const struct resource *res);
/* The cursor of scanout i has been changed: its image, or where it is and
 * whether it is seen at all. */
void scanout_cursor_changed(struct gpu *g, unsigned i, bool image);
/* All off, no cursors. */
void scanouts_reset(struct gpu *g);

#endif
