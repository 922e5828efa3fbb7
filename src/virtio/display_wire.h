/* virtio/display_wire.h: the messages of vhost-user-gpu, as they are on the
 * socket.
 *
 * Spec: vhost-user-gpu, "Wire format". Requests are ours, replies the
 * front-end's. Numbers are in the machine's byte order, but for the structs of
 * virtio in replies. */
#ifndef VUB_VIRTIO_DISPLAY_WIRE_H
#define VUB_VIRTIO_DISPLAY_WIRE_H

#include "virtio/spec.h"

enum {
    WIRE_GET_PROTOCOL_FEATURES = 1,
    WIRE_SET_PROTOCOL_FEATURES,
    WIRE_GET_DISPLAY_INFO, /* reply: struct virtio_gpu_resp_display_info */
    WIRE_CURSOR_POS,
    WIRE_CURSOR_POS_HIDE,
    WIRE_CURSOR_UPDATE,
    WIRE_SCANOUT,
    WIRE_UPDATE,
    WIRE_DMABUF_SCANOUT,
    WIRE_DMABUF_UPDATE, /* reply: nothing, when it has been shown */
    WIRE_GET_EDID,      /* reply: struct virtio_gpu_resp_edid */
    WIRE_DMABUF_SCANOUT2,
};

#define WIRE_REPLY 4u /* flags */

#define WIRE_F_EDID (UINT64_C(1) << 0)
#define WIRE_F_DMABUF2 (UINT64_C(1) << 1)

struct wire_header {
    uint32_t request, flags;
    uint32_t size; /* bytes that follow */
};

/* CURSOR_POS, CURSOR_POS_HIDE */
struct wire_cursor_pos {
    uint32_t scanout, x, y;
};

/* The image follows: argb, premultiplied. */
struct wire_cursor_update {
    struct wire_cursor_pos pos;
    uint32_t hot_x, hot_y;
};

#define WIRE_CURSOR_BYTES                                                      \
    (VIRTIO_GPU_CURSOR_PIXELS * VIRTIO_GPU_CURSOR_PIXELS * 4)

/* 0 times 0: off */
struct wire_scanout {
    uint32_t scanout, width, height;
};

/* UPDATE, where rows of x8r8g8b8 follow; DMABUF_UPDATE */
struct wire_update {
    uint32_t scanout, x, y, width, height;
};

/* With the fd; 0 times 0 without one: off */
struct wire_dmabuf_scanout2 {
    uint32_t scanout;
    uint32_t x, y, width, height; /* in the dma-buf */
    uint32_t fd_width, fd_height, fd_stride, fd_flags;
    int32_t fourcc;
    uint64_t modifier; /* 0: linear */
};

_Static_assert(sizeof(struct wire_header) == 12, "spec");
_Static_assert(sizeof(struct wire_cursor_update) == 20, "spec");
_Static_assert(sizeof(struct wire_scanout) == 12, "spec");
_Static_assert(sizeof(struct wire_update) == 20, "spec");
_Static_assert(sizeof(struct wire_dmabuf_scanout2) == 48, "spec");

#endif
