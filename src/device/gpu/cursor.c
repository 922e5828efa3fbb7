/* The cursor queue.
 *
 * Spec: virtio, "GPU Device", "Device Operation: cursorq". The image is copied
 * from its resource when the guest says so, and is ours from then on. A cursor
 * has alpha, whatever its resource is said to have: Linux makes all of a
 * program's own pictures B8G8R8X8, cursors too. Linux gives no room for
 * answers: then there are none.
 *
 * MOVE_CURSOR shows the cursor, or hides it if it names resource 0: the
 * specification has this field ignored, but QEMU does so, and drivers are
 * written for that. The place is where the driver wants the image's top left,
 * a negative number if that sticks out. */
#include "device/gpu/control.h"

#define TURN_COMMANDS 256
#define TURN_IMAGES 16 /* each may lie in 16384 pieces */
#define SIDE VIRTIO_GPU_CURSOR_PIXELS

/* Reads the image of a resource. */
static uint32_t draw(struct gpu *g, struct cursor *cursor, uint32_t id)
{
    const struct rect all = {0, 0, SIDE, SIDE};
    struct resource *res = resource_find(&g->resources, id);
    struct frame f = {
        .res = res,
        .stride = SIDE * PIXEL_BYTES,
        .width = SIDE,
        .height = SIDE,
    };

    if (!res)
        return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
    if (res->is_blob ? res->bytes < SIDE * SIDE * PIXEL_BYTES
                     : res->width != SIDE || res->height != SIDE)
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    f.format = res->is_blob ? VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM
                            : pixels_with_alpha(res->format);
    if (!frame_is_there(&f))
        return VIRTIO_GPU_RESP_ERR_UNSPEC;
    frame_read(&f, &all, cursor->image);
    return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t update(struct gpu *g, unsigned i,
                       const struct virtio_gpu_update_cursor *in)
{
    struct cursor *cursor = &g->scanouts[i].cursor;
    uint32_t id = le32toh(in->resource_id), type;
    uint32_t hot_x = le32toh(in->hot_x), hot_y = le32toh(in->hot_y);

    if (id != 0) {
        if (hot_x >= SIDE || hot_y >= SIDE)
            return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
        type = draw(g, cursor, id);
        if (type != VIRTIO_GPU_RESP_OK_NODATA)
            return type;
        cursor->hot_x = hot_x;
        cursor->hot_y = hot_y;
        cursor->drawn = true;
    }
    cursor->visible = id != 0;
    cursor->x = le32toh(in->pos.x);
    cursor->y = le32toh(in->pos.y);
    scanout_cursor_changed(g, i, id != 0);
    return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t move(struct gpu *g, unsigned i,
                     const struct virtio_gpu_update_cursor *in)
{
    struct cursor *cursor = &g->scanouts[i].cursor;

    cursor->visible = cursor->drawn && le32toh(in->resource_id) != 0;
    cursor->x = le32toh(in->pos.x);
    cursor->y = le32toh(in->pos.y);
    scanout_cursor_changed(g, i, false);
    return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t run(struct gpu *g, const struct chain *c,
                    struct virtio_gpu_update_cursor *in)
{
    bool whole = control_read(c, in, sizeof(*in));
    uint32_t command = le32toh(in->hdr.type), i = le32toh(in->pos.scanout_id);

    if (c->out_len < sizeof(in->hdr))
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    if (command != VIRTIO_GPU_CMD_UPDATE_CURSOR &&
        command != VIRTIO_GPU_CMD_MOVE_CURSOR)
        return VIRTIO_GPU_RESP_ERR_UNSPEC;
    if (!whole)
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    if (i >= gpu_scanouts(g))
        return VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
    return command == VIRTIO_GPU_CMD_UPDATE_CURSOR ? update(g, i, in)
                                                   : move(g, i, in);
}

void cursor_ring_kick(struct gpu *g, struct ring *q)
{
    unsigned images = 0;

    ledger_turn(g->ledger, q);
    for (unsigned n = 0; n < TURN_COMMANDS && images < TURN_IMAGES; n++) {
        struct chain *c = ring_pop(q);
        struct virtio_gpu_update_cursor in;
        uint32_t type;

        if (!c)
            return;
        if (control_was_done(g, c))
            continue;
        type = run(g, c, &in);
        images += in.resource_id != 0 &&
                  le32toh(in.hdr.type) == VIRTIO_GPU_CMD_UPDATE_CURSOR;
        control_answer(g, c, &in.hdr, type, NULL, 0);
    }
}
