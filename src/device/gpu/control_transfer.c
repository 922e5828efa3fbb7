/* TRANSFER_TO_HOST_2D: from the guest's pages to a resource's pixels.
 *
 * Spec: virtio, "VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D". The backing is a picture
 * as large as the resource: rows of a rectangle in it are as far apart there as
 * here, and `offset` says where the first one begins. What is transferred is
 * checked to lie in the backing as a whole before any of it is copied.
 *
 * Rows go by turns of TURN_BYTES, of which more is used up than is copied where
 * that is little but takes long: of pages that lie apart, or to pixels that
 * have no memory yet. All of a transfer shares one struct backing_at, so that
 * the next row, a few pieces on, is found from this one. Memory may change
 * between turns, and some of it be gone then: that ends the transfer, with an
 * error.
 *
 * A blob's pixels lie in its backing, where they are read when they are shown:
 * nothing is to be copied. */
#include <string.h>

#include "device/gpu/control.h"

/* The bytes from the first pixel of the first row to the last of the last. */
static uint64_t span(const struct rect *r, uint64_t stride)
{
    return stride * (r->height - 1) + (uint64_t)r->width * PIXEL_BYTES;
}

/* What a piece costs, as bytes: to find it, and to wait for its first byte. A
 * guest can have many of one byte. */
#define PIECE_COST 512u

/* Rows that follow each other here and there are copied as one: what that
 * costs. */
static uint64_t copy(struct transfer *t, uint64_t to, uint64_t bytes)
{
    struct resource *res = t->res;
    uint64_t made = resource_make(res, to, bytes);
    uint32_t pieces =
        backing_read(&res->backing, &t->at, t->offset, res->pixels + to, bytes);

    return bytes + made + (uint64_t)pieces * PIECE_COST;
}

/* As many rows as this turn may have, one at least. */
static void copy_rows(struct transfer *t, uint32_t *left)
{
    uint64_t stride = t->res->stride, cost = 0;
    uint32_t row_bytes = t->r.width * PIXEL_BYTES;
    uint32_t rows = 1;

    do {
        if (row_bytes == stride) /* one row follows the other */
            rows = MIN(t->r.height - t->row, MAX(*left / row_bytes, 1u));
        cost +=
            copy(t, (t->r.y + t->row) * stride + (uint64_t)t->r.x * PIXEL_BYTES,
                 (uint64_t)rows * row_bytes);
        t->row += rows;
        t->offset += rows * stride;
    } while (t->row < t->r.height && cost < *left);
    *left -= (uint32_t)MIN(*left, cost);
}

uint32_t control_transfer_on(struct gpu *g)
{
    struct transfer *t = &g->control.transfer;

    if (!t->res->backing.mem)
        return VIRTIO_GPU_RESP_ERR_UNSPEC;
    copy_rows(t, &g->control.left);
    if (t->row < t->r.height)
        return CONTROL_GOES_ON;
    g->stats.transfers++;
    g->stats.transfer_bytes += (uint64_t)t->r.width * t->r.height * PIXEL_BYTES;
    return VIRTIO_GPU_RESP_OK_NODATA;
}

void control_transfer_end(struct gpu *g)
{
    struct transfer *t = &g->control.transfer;

    resource_unref(t->res);
    t->res = NULL;
}

uint32_t control_transfer(struct gpu *g, struct request *r)
{
    const struct virtio_gpu_transfer_to_host_2d *in = &r->in.transfer;
    struct resource *res =
        resource_find(&g->resources, le32toh(in->resource_id));
    struct rect rect = control_rect(&in->r);
    uint64_t offset = le64toh(in->offset), end;
    uint32_t type;

    if (!res)
        return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
    if (!rect_fits(&rect, res->is_blob ? GPU_SIDE_MAX : res->width,
                   res->is_blob ? GPU_SIDE_MAX : res->height))
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    if (!res->backing.mem) /* none, or what it was is not there any more */
        return VIRTIO_GPU_RESP_ERR_UNSPEC;
    if (!add_u64(offset, span(&rect, res->stride), &end) ||
        end > res->backing.len)
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    if (res->is_blob)
        return VIRTIO_GPU_RESP_OK_NODATA;
    g->control.transfer = (struct transfer){
        .res = resource_ref(res),
        .r = rect,
        .offset = offset,
    };
    type = control_transfer_on(g);
    if (type != CONTROL_GOES_ON)
        control_transfer_end(g);
    return type;
}
