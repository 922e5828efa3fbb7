/* The commands of a GPU's driver, each a function that waits for the answer,
 * and what takes several of them. */
#include "front/gpu.h"

#include <stdlib.h>
#include <string.h>

#include "front/pieces.h"

#define PAGE 4096u

struct virtio_gpu_ctrl_hdr gpu_head(uint32_t type)
{
    return (struct virtio_gpu_ctrl_hdr){.type = htole32(type)};
}

struct virtio_gpu_rect gpu_rect(uint32_t x, uint32_t y, uint32_t width,
                                uint32_t height)
{
    return (struct virtio_gpu_rect){htole32(x), htole32(y), htole32(width),
                                    htole32(height)};
}

uint32_t gpu_create(struct gpu *g, uint32_t id, uint32_t format, uint32_t width,
                    uint32_t height)
{
    const struct virtio_gpu_resource_create_2d c = {
        gpu_head(VIRTIO_GPU_CMD_RESOURCE_CREATE_2D),
        htole32(id),
        htole32(format),
        htole32(width),
        htole32(height),
    };

    return gpu_do(g, &c, sizeof(c));
}

static uint32_t about(struct gpu *g, uint32_t command, uint32_t id)
{
    const struct virtio_gpu_resource_ref c = {gpu_head(command), htole32(id),
                                              0};

    return gpu_do(g, &c, sizeof(c));
}

uint32_t gpu_unref(struct gpu *g, uint32_t id)
{
    return about(g, VIRTIO_GPU_CMD_RESOURCE_UNREF, id);
}

uint32_t gpu_detach(struct gpu *g, uint32_t id)
{
    return about(g, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, id);
}

/* A command and the entries behind it. */
static uint32_t with_entries(struct gpu *g, const void *head, uint32_t head_len,
                             const struct virtio_gpu_mem_entry *entries,
                             uint32_t num)
{
    uint32_t entries_len = num * (uint32_t)sizeof(*entries);
    uint8_t *c = front_calloc(1, (size_t)head_len + entries_len);
    uint32_t type;

    memcpy(c, head, head_len);
    if (num)
        memcpy(c + head_len, entries, entries_len);
    type = gpu_do(g, c, head_len + entries_len);
    free(c);
    return type;
}

uint32_t gpu_attach(struct gpu *g, uint32_t id,
                    const struct virtio_gpu_mem_entry *entries, uint32_t num)
{
    const struct virtio_gpu_resource_attach_backing c = {
        gpu_head(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING), htole32(id),
        htole32(num)};

    return with_entries(g, &c, sizeof(c), entries, num);
}

uint32_t gpu_attach_paged(struct gpu *g, uint32_t id,
                          const struct virtio_gpu_mem_entry *entries,
                          uint32_t num)
{
    const struct virtio_gpu_resource_attach_backing head = {
        gpu_head(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING), htole32(id),
        htole32(num)};
    uint32_t len = (uint32_t)(sizeof(head) + num * sizeof(*entries));
    uint32_t cuts[PIECES_MAX] = {sizeof(head)};
    uint32_t left = num * (uint32_t)sizeof(*entries), type;
    uint8_t *c = front_calloc(1, len);

    for (unsigned i = 1; left > 0; i++) {
        if (i + 1 == PIECES_MAX)
            front_fail("%u entries are too many pages", num);
        cuts[i] = MIN(left, PAGE);
        left -= cuts[i];
    }
    memcpy(c, &head, sizeof(head));
    memcpy(c + sizeof(head), entries, num * sizeof(*entries));
    type = gpu_cut(g->control, c, len, NULL, sizeof(head.hdr), cuts, NULL);
    free(c);
    return type;
}

uint32_t gpu_set_scanout(struct gpu *g, uint32_t scanout, uint32_t id,
                         uint32_t x, uint32_t y, uint32_t width,
                         uint32_t height)
{
    const struct virtio_gpu_set_scanout c = {
        gpu_head(VIRTIO_GPU_CMD_SET_SCANOUT), gpu_rect(x, y, width, height),
        htole32(scanout), htole32(id)};

    return gpu_do(g, &c, sizeof(c));
}

uint32_t gpu_scanout_off(struct gpu *g, uint32_t scanout)
{
    return gpu_set_scanout(g, scanout, 0, 0, 0, 0, 0);
}

struct virtio_gpu_transfer_to_host_2d
gpu_transfer_cmd(uint32_t id, uint32_t x, uint32_t y, uint32_t width,
                 uint32_t height, uint64_t offset)
{
    return (struct virtio_gpu_transfer_to_host_2d){
        gpu_head(VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D),
        gpu_rect(x, y, width, height),
        htole64(offset),
        htole32(id),
        0,
    };
}

struct virtio_gpu_resource_flush gpu_flush_cmd(uint32_t id, uint32_t x,
                                               uint32_t y, uint32_t width,
                                               uint32_t height)
{
    return (struct virtio_gpu_resource_flush){
        gpu_head(VIRTIO_GPU_CMD_RESOURCE_FLUSH), gpu_rect(x, y, width, height),
        htole32(id), 0};
}

uint32_t gpu_transfer(struct gpu *g, uint32_t id, uint32_t x, uint32_t y,
                      uint32_t width, uint32_t height, uint64_t offset)
{
    const struct virtio_gpu_transfer_to_host_2d c =
        gpu_transfer_cmd(id, x, y, width, height, offset);

    return gpu_do(g, &c, sizeof(c));
}

uint32_t gpu_flush(struct gpu *g, uint32_t id, uint32_t x, uint32_t y,
                   uint32_t width, uint32_t height)
{
    const struct virtio_gpu_resource_flush c =
        gpu_flush_cmd(id, x, y, width, height);

    return gpu_do(g, &c, sizeof(c));
}

uint32_t gpu_create_blob(struct gpu *g, uint32_t id, uint64_t size,
                         const struct virtio_gpu_mem_entry *entries,
                         uint32_t num)
{
    const struct virtio_gpu_resource_create_blob c = {
        .hdr = gpu_head(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB),
        .resource_id = htole32(id),
        .blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_GUEST),
        .blob_flags = htole32(VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE),
        .nr_entries = htole32(num),
        .size = htole64(size),
    };

    return with_entries(g, &c, sizeof(c), entries, num);
}

uint32_t gpu_set_scanout_blob(struct gpu *g, uint32_t scanout, uint32_t id,
                              const struct gpu_blob_view *view)
{
    const struct virtio_gpu_set_scanout_blob c = {
        .hdr = gpu_head(VIRTIO_GPU_CMD_SET_SCANOUT_BLOB),
        .r = gpu_rect(view->r.x, view->r.y, view->r.width, view->r.height),
        .scanout_id = htole32(scanout),
        .resource_id = htole32(id),
        .width = htole32(view->width),
        .height = htole32(view->height),
        .format = htole32(view->format),
        .strides = {htole32(view->stride)},
        .offsets = {htole32(view->offset)},
    };

    return gpu_do(g, &c, sizeof(c));
}

uint32_t gpu_assign_uuid(struct gpu *g, uint32_t id, uint8_t uuid[16])
{
    const struct virtio_gpu_resource_ref c = {
        gpu_head(VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID), htole32(id), 0};
    struct virtio_gpu_resp_resource_uuid resp;
    uint32_t type = gpu_ask(g->control, &c, sizeof(c), &resp, sizeof(resp));

    memcpy(uuid, resp.uuid, sizeof(resp.uuid));
    return type;
}

uint32_t
gpu_display_info(struct gpu *g,
                 struct virtio_gpu_display_one d[VIRTIO_GPU_MAX_SCANOUTS])
{
    const struct virtio_gpu_ctrl_hdr c =
        gpu_head(VIRTIO_GPU_CMD_GET_DISPLAY_INFO);
    struct virtio_gpu_resp_display_info resp;
    uint32_t type = gpu_ask(g->control, &c, sizeof(c), &resp, sizeof(resp));

    memcpy(d, resp.pmodes, sizeof(resp.pmodes));
    return type;
}

uint32_t gpu_edid(struct gpu *g, uint32_t scanout,
                  uint8_t edid[VIRTIO_GPU_EDID_BYTES], uint32_t *len)
{
    const struct virtio_gpu_get_edid c = {gpu_head(VIRTIO_GPU_CMD_GET_EDID),
                                          htole32(scanout), 0};
    struct virtio_gpu_resp_edid resp;
    uint32_t type = gpu_ask(g->control, &c, sizeof(c), &resp, sizeof(resp));

    *len = 0;
    if (type != VIRTIO_GPU_RESP_OK_EDID)
        return type;
    *len = le32toh(resp.size);
    if (*len > sizeof(resp.edid) || resp.padding)
        front_fail("an EDID of %u bytes", *len);
    for (uint32_t i = *len; i < sizeof(resp.edid); i++)
        if (resp.edid[i])
            front_fail("byte %u behind an EDID of %u is not zero", i, *len);
    memcpy(edid, resp.edid, sizeof(resp.edid));
    return type;
}

static uint32_t cursor(struct gpu *g, uint32_t command, uint32_t scanout,
                       uint32_t id, uint32_t x, uint32_t y, uint32_t hot_x,
                       uint32_t hot_y)
{
    const struct virtio_gpu_update_cursor c = {
        gpu_head(command), {htole32(scanout), htole32(x), htole32(y), 0},
        htole32(id),       htole32(hot_x),
        htole32(hot_y),    0,
    };

    return gpu_ask(g->cursor, &c, sizeof(c), NULL, sizeof(c.hdr));
}

uint32_t gpu_update_cursor(struct gpu *g, uint32_t scanout, uint32_t id,
                           uint32_t x, uint32_t y, uint32_t hot_x,
                           uint32_t hot_y)
{
    return cursor(g, VIRTIO_GPU_CMD_UPDATE_CURSOR, scanout, id, x, y, hot_x,
                  hot_y);
}

uint32_t gpu_move_cursor(struct gpu *g, uint32_t scanout, uint32_t id,
                         uint32_t x, uint32_t y)
{
    return cursor(g, VIRTIO_GPU_CMD_MOVE_CURSOR, scanout, id, x, y, 0, 0);
}

/* ---- Several at once ---- */

void gpu_picture(struct gpu *g, uint32_t id, uint32_t format,
                 const struct gpu_fb *fb)
{
    gpu_need(gpu_create(g, id, format, fb->width, fb->height), OK_NODATA);
    gpu_need(gpu_attach(g, id, fb->entries, fb->num), OK_NODATA);
}

void gpu_show(struct gpu *g, uint32_t scanout, uint32_t id, uint32_t format,
              const struct gpu_fb *fb)
{
    gpu_picture(g, id, format, fb);
    gpu_need(gpu_set_scanout(g, scanout, id, 0, 0, fb->width, fb->height),
             OK_NODATA);
}

void gpu_draw(struct gpu *g, uint32_t id, const struct gpu_fb *fb, uint32_t x,
              uint32_t y, uint32_t width, uint32_t height)
{
    uint64_t offset = (uint64_t)y * fb->stride + x * 4;

    gpu_need(gpu_transfer(g, id, x, y, width, height, offset), OK_NODATA);
    gpu_need(gpu_flush(g, id, x, y, width, height), OK_NODATA);
}

void gpu_show_blob(struct gpu *g, uint32_t scanout, uint32_t id,
                   uint32_t format, const struct gpu_fb *fb)
{
    const struct gpu_blob_view view = {
        format,     fb->width, fb->height,
        fb->stride, 0,         {0, 0, fb->width, fb->height},
    };

    gpu_need(gpu_create_blob(g, id, fb->len, fb->entries, fb->num), OK_NODATA);
    gpu_need(gpu_set_scanout_blob(g, scanout, id, &view), OK_NODATA);
}
