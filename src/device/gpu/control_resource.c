/* Commands about resources: they come, get their backing, and go.
 *
 * Entries of a backing follow the request's fixed part, 65536 of them at most,
 * and must be just as many as it says. None is empty: they cost something to
 * keep, and are of no use. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/gpu/control.h"
#include "os/random.h"

#define ENTRIES_AT_ONCE 256
/* What an entry has of a turn, as bytes that are copied: as many as there may
 * be have all of it. */
#define ENTRY_COST (TURN_BYTES / BACKING_ENTRIES_MAX)

/* Reads num entries from offset `at` on; *entries is the caller's, *len is
 * their bytes. */
static uint32_t read_entries(const struct chain *c, uint64_t at, uint32_t num,
                             struct backing_entry **entries, uint64_t *len)
{
    struct virtio_gpu_mem_entry some[ENTRIES_AT_ONCE];
    struct backing_entry *to;

    if (num == 0 || num > BACKING_ENTRIES_MAX ||
        c->out_len != at + num * sizeof(some[0]))
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    to = malloc(num * sizeof(*to));
    if (!to)
        return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
    *len = 0;
    for (uint32_t i = 0; i < num; i++) {
        const struct virtio_gpu_mem_entry *e = &some[i % ENTRIES_AT_ONCE];

        if (i % ENTRIES_AT_ONCE == 0)
            chain_read(c, at + i * sizeof(*e), some,
                       MIN(num - i, ENTRIES_AT_ONCE) * sizeof(*e));
        to[i] = (struct backing_entry){le64toh(e->addr), le32toh(e->length)};
        *len += to[i].len;
        if (to[i].len == 0) {
            free(to);
            return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
        }
    }
    *entries = to;
    return VIRTIO_GPU_RESP_OK_NODATA;
}

/* `num` entries follow at `at` in the request. A blob lies in its backing as a
 * whole. */
static uint32_t attach(struct gpu *g, struct resource *res,
                       const struct request *r, uint64_t at, uint32_t num)
{
    uint32_t cost = MIN(num, BACKING_ENTRIES_MAX) * ENTRY_COST;
    struct backing_entry *entries;
    uint64_t len;
    uint32_t type = read_entries(r->chain, at, num, &entries, &len);

    g->control.left -= MIN(g->control.left, cost);
    if (type != VIRTIO_GPU_RESP_OK_NODATA)
        return type;
    if (res->is_blob && len < res->bytes) {
        free(entries);
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    }
    switch (resource_attach(res, entries, num, ring_mem(g->control.ring))) {
    case 0:
        return VIRTIO_GPU_RESP_OK_NODATA;
    case -EFAULT:
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    default:
        return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
    }
}

static bool is_free(const struct gpu *g, uint32_t id)
{
    return id != 0 && !resource_find(&g->resources, id);
}

uint32_t control_create_2d(struct gpu *g, struct request *r)
{
    const struct virtio_gpu_resource_create_2d *in = &r->in.create_2d;
    uint32_t id = le32toh(in->resource_id), format = le32toh(in->format);
    uint32_t width = le32toh(in->width), height = le32toh(in->height);

    if (!is_free(g, id))
        return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
    if (!pixels_known(format) || width == 0 || width > GPU_SIDE_MAX ||
        height == 0 || height > GPU_SIDE_MAX)
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    if (!resource_new_2d(&g->resources, id, format, width, height))
        return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
    return VIRTIO_GPU_RESP_OK_NODATA;
}

/* Other memory than the guest's is a renderer's. Which context and which of its
 * objects (blob_id) means nothing then. */
uint32_t control_create_blob(struct gpu *g, struct request *r)
{
    const struct virtio_gpu_resource_create_blob *in = &r->in.create_blob;
    const uint32_t known = VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE |
                           VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE |
                           VIRTIO_GPU_BLOB_FLAG_USE_CROSS_DEVICE;
    uint32_t id = le32toh(in->resource_id), num = le32toh(in->nr_entries);
    uint64_t size = le64toh(in->size);
    uint32_t type = VIRTIO_GPU_RESP_OK_NODATA;
    struct resource *res;

    if (!is_free(g, id))
        return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
    if (le32toh(in->blob_mem) != VIRTIO_GPU_BLOB_MEM_GUEST ||
        le32toh(in->blob_flags) & ~known || size == 0 ||
        (num == 0 && r->chain->out_len != sizeof(*in)))
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    res = resource_new_blob(&g->resources, id, size);
    if (!res)
        return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
    if (num > 0)
        type = attach(g, res, r, sizeof(*in), num);
    if (type != VIRTIO_GPU_RESP_OK_NODATA)
        resource_forget(res);
    return type;
}

static struct resource *find(const struct gpu *g, const struct request *r)
{
    return resource_find(&g->resources, le32toh(r->in.ref.resource_id));
}

uint32_t control_unref(struct gpu *g, struct request *r)
{
    struct resource *res = find(g, r);

    if (!res)
        return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
    scanouts_drop(g, res);
    resource_forget(res);
    return VIRTIO_GPU_RESP_OK_NODATA;
}

uint32_t control_attach(struct gpu *g, struct request *r)
{
    const struct virtio_gpu_resource_attach_backing *in = &r->in.attach;
    struct resource *res =
        resource_find(&g->resources, le32toh(in->resource_id));
    uint32_t type;

    if (!res)
        return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
    if (res->backing.attached)
        return VIRTIO_GPU_RESP_ERR_UNSPEC;
    type = attach(g, res, r, sizeof(*in), le32toh(in->nr_entries));
    if (type == VIRTIO_GPU_RESP_OK_NODATA && res->is_blob)
        viewer_look_again(g->viewer); /* it may be shown already */
    return type;
}

uint32_t control_detach(struct gpu *g, struct request *r)
{
    struct resource *res = find(g, r);

    if (!res)
        return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
    if (!res->backing.attached)
        return VIRTIO_GPU_RESP_ERR_UNSPEC;
    resource_detach(res);
    return VIRTIO_GPU_RESP_OK_NODATA;
}

/* RFC 9562, version 4: all random but for six bits. It stays the resource's. */
uint32_t control_assign_uuid(struct gpu *g, struct request *r)
{
    struct resource *res = find(g, r);

    if (!res)
        return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
    if (!res->has_uuid) {
        if (random_bytes(res->uuid, sizeof(res->uuid)) < 0)
            return VIRTIO_GPU_RESP_ERR_UNSPEC;
        res->uuid[6] = (uint8_t)((res->uuid[6] & 0x0f) | 0x40);
        res->uuid[8] = (uint8_t)((res->uuid[8] & 0x3f) | 0x80);
        res->has_uuid = true;
        ledger_uuid(g->ledger, res);
    }
    memcpy(r->body.uuid, res->uuid, sizeof(r->body.uuid));
    r->body_len = sizeof(r->body.uuid);
    return VIRTIO_GPU_RESP_OK_RESOURCE_UUID;
}
