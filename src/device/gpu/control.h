/* device/gpu/control.h: what the files of the control queue share. */
#ifndef VUB_DEVICE_GPU_CONTROL_H
#define VUB_DEVICE_GPU_CONTROL_H

#include "device/gpu/impl.h"

/* What a turn copies, at most. */
#define TURN_BYTES (4u << 20)

/* Instead of a response: it comes in a later turn; when the viewer has said how
 * displays ought to be. */
#define CONTROL_GOES_ON 0u
#define CONTROL_AWAITS_DISPLAYS 1u

/* A command, copied out of its chain. */
struct request {
    const struct chain *chain; /* what follows the fixed part is read there */
    union {
        struct virtio_gpu_ctrl_hdr hdr;
        struct virtio_gpu_get_edid get_edid;
        struct virtio_gpu_resource_create_2d create_2d;
        struct virtio_gpu_resource_ref ref;
        struct virtio_gpu_set_scanout set_scanout;
        struct virtio_gpu_resource_flush flush;
        struct virtio_gpu_transfer_to_host_2d transfer;
        struct virtio_gpu_resource_attach_backing attach;
        struct virtio_gpu_resource_create_blob create_blob;
        struct virtio_gpu_set_scanout_blob set_scanout_blob;
    } in;
    /* What follows the header of the response: the handler's, body_len bytes
     * of which are sent. */
    union {
        struct virtio_gpu_display_one displays[VIRTIO_GPU_MAX_SCANOUTS];
        struct {
            le32 size, padding;
            uint8_t edid[VIRTIO_GPU_EDID_BYTES];
        } edid;
        uint8_t uuid[16];
    } body;
    size_t body_len; /* 0 at first */
};

static inline struct rect control_rect(const struct virtio_gpu_rect *r)
{
    return (struct rect){le32toh(r->x), le32toh(r->y), le32toh(r->width),
                         le32toh(r->height)};
}

/* Handlers: each does a command, and returns the response's type, or
 * CONTROL_GOES_ON. */

/* control_resource.c */
uint32_t control_create_2d(struct gpu *g, struct request *r);
uint32_t control_create_blob(struct gpu *g, struct request *r);
uint32_t control_unref(struct gpu *g, struct request *r);
uint32_t control_attach(struct gpu *g, struct request *r);
uint32_t control_detach(struct gpu *g, struct request *r);
uint32_t control_assign_uuid(struct gpu *g, struct request *r);

/* control_transfer.c */
uint32_t control_transfer(struct gpu *g, struct request *r);
/* Another turn of it. */
uint32_t control_transfer_on(struct gpu *g);
void control_transfer_end(struct gpu *g);

#endif
