/* The control queue: the table of commands, their turns and their answers.
 *
 * Spec: virtio, "GPU Device", "Device Operation: controlq".
 *
 * Commands are done in the order they come, and answered in that order: a
 * fence is kept by that alone. Nearly all are done at once. A transfer may be
 * large: it copies so much in a turn of the loop, then others have theirs, and
 * meanwhile no further command is taken. A ring that drains waits for it, and
 * gets no ring_kick then: so it goes on by turns of its own (go_on). Nor is one
 * taken while the front-end's display is to say what a command asks for:
 * displays.c.
 *
 * A request may lie in any pieces. Its fixed part is copied once, and then
 * looked at. What an answer has no room for is left out; without room for a
 * header there is none. */
#include "device/gpu/control.h"

#include <inttypes.h>
#include <string.h>

#define TURN_COMMANDS 256

/* ---- what scanouts show, and ought to ---- */

static bool displays_are_due(struct gpu *g)
{
    viewer_listen(g->viewer);
    return !g->control.hurries && viewer_is_asked(g->viewer);
}

static uint32_t get_display_info(struct gpu *g, struct request *r)
{
    if (displays_are_due(g))
        return CONTROL_AWAITS_DISPLAYS;
    memset(r->body.displays, 0, sizeof(r->body.displays));
    for (unsigned i = 0; i < VIRTIO_GPU_MAX_SCANOUTS; i++) {
        const struct display_one *d = &g->displays[i];

        if (!d->enabled)
            continue;
        r->body.displays[i] = (struct virtio_gpu_display_one){
            .r = {htole32(d->r.x), htole32(d->r.y), htole32(d->r.width),
                  htole32(d->r.height)},
            .enabled = htole32(1),
        };
    }
    r->body_len = sizeof(r->body.displays);
    return VIRTIO_GPU_RESP_OK_DISPLAY_INFO;
}

static uint32_t get_edid(struct gpu *g, struct request *r)
{
    uint32_t i = le32toh(r->in.get_edid.scanout);

    if (i >= gpu_scanouts(g))
        return VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
    if (displays_are_due(g))
        return CONTROL_AWAITS_DISPLAYS;
    memset(&r->body.edid, 0, sizeof(r->body.edid));
    r->body.edid.size = htole32(gpu_edid(g, i, r->body.edid.edid));
    r->body_len = sizeof(r->body.edid);
    return VIRTIO_GPU_RESP_OK_EDID;
}

/* The resource that scanout i is to show, of the kind that the command is for:
 * the format of a 2D one was said when it was made, that of a blob is said by
 * SET_SCANOUT_BLOB. NULL: there is no more to do, and this is the response: for
 * id 0 the scanout is off. */
static uint32_t what_to_show(struct gpu *g, uint32_t i, uint32_t id,
                             bool is_blob, struct resource **out)
{
    struct resource *res;

    *out = NULL;
    if (i >= gpu_scanouts(g))
        return VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
    if (id == 0) {
        scanout_off(g, i);
        return VIRTIO_GPU_RESP_OK_NODATA;
    }
    res = resource_find(&g->resources, id);
    if (!res)
        return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
    if (res->is_blob != is_blob)
        return VIRTIO_GPU_RESP_ERR_UNSPEC;
    *out = res;
    return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t set_scanout(struct gpu *g, struct request *r)
{
    const struct virtio_gpu_set_scanout *in = &r->in.set_scanout;
    uint32_t i = le32toh(in->scanout_id), id = le32toh(in->resource_id);
    struct rect rect = control_rect(&in->r);
    struct resource *res;
    struct frame f;
    uint32_t type;

    type = what_to_show(g, i, id, false, &res);
    if (!res)
        return type;
    if (!rect_fits(&rect, res->width, res->height))
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    f = (struct frame){
        .res = resource_ref(res),
        .format = res->format,
        .stride = res->stride,
        .width = rect.width,
        .height = rect.height,
        .offset = (uint64_t)rect.y * res->stride + rect.x * PIXEL_BYTES,
    };
    scanout_set(g, i, &f, &rect);
    return VIRTIO_GPU_RESP_OK_NODATA;
}

/* The picture in a blob, and whether it lies in it; *f: the part of it that is
 * to be shown, without a ref. */
static bool blob_frame(const struct gpu *g, const struct resource *res,
                       const struct virtio_gpu_set_scanout_blob *in,
                       const struct rect *rect, struct frame *f)
{
    uint32_t width = le32toh(in->width), height = le32toh(in->height);
    uint32_t format = le32toh(in->format), stride = le32toh(in->strides[0]);
    uint64_t offset = le32toh(in->offsets[0]), row, bytes;

    if (width == 0 || width > GPU_SIDE_MAX || height == 0 ||
        height > GPU_SIDE_MAX || !pixels_known(format) ||
        !rect_fits(rect, width, height))
        return false;
    row = (uint64_t)width * PIXEL_BYTES;
    if (stride < row || stride % PIXEL_BYTES || offset % PIXEL_BYTES)
        return false;
    /* None of this comes near 64 bits. */
    bytes = offset + (uint64_t)stride * (height - 1) + row;
    if (bytes > res->bytes || row * height > g->conf->max_memory)
        return false;
    *f = (struct frame){
        .format = format,
        .stride = stride,
        .width = rect->width,
        .height = rect->height,
        .offset = offset + (uint64_t)rect->y * stride + rect->x * PIXEL_BYTES,
    };
    return true;
}

static uint32_t set_scanout_blob(struct gpu *g, struct request *r)
{
    const struct virtio_gpu_set_scanout_blob *in = &r->in.set_scanout_blob;
    uint32_t i = le32toh(in->scanout_id), id = le32toh(in->resource_id);
    struct rect rect = control_rect(&in->r);
    struct resource *res;
    struct frame f;
    uint32_t type;

    type = what_to_show(g, i, id, true, &res);
    if (!res)
        return type;
    if (!blob_frame(g, res, in, &rect, &f))
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    f.res = resource_ref(res);
    scanout_set(g, i, &f, &rect);
    return VIRTIO_GPU_RESP_OK_NODATA;
}

/* A blob has no size in pixels: what is flushed of it is as its scanouts have
 * it. */
static uint32_t resource_flush(struct gpu *g, struct request *r)
{
    const struct virtio_gpu_resource_flush *in = &r->in.flush;
    const struct resource *res =
        resource_find(&g->resources, le32toh(in->resource_id));
    struct rect rect = control_rect(&in->r);

    if (!res)
        return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
    if (!rect_fits(&rect, res->is_blob ? GPU_SIDE_MAX : res->width,
                   res->is_blob ? GPU_SIDE_MAX : res->height))
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    g->stats.flushes++;
    scanouts_flush(g, res, &rect);
    return VIRTIO_GPU_RESP_OK_NODATA;
}

/* ---- the table ---- */

/* There is no 3D, so there are no capability sets either. */
static const struct row {
    uint16_t in_len; /* of the fixed part; 0: there is no such command */
    uint8_t feature; /* that must be acked; 0: none */
    uint32_t (*run)(struct gpu *g, struct request *r);
} rows[] = {
#define R(command, part, needs, does)                                          \
    [VIRTIO_GPU_CMD_##command - VIRTIO_GPU_CMD_GET_DISPLAY_INFO] = {           \
        sizeof(((struct request *)0)->in.part), needs, does}
    R(GET_DISPLAY_INFO, hdr, 0, get_display_info),
    R(RESOURCE_CREATE_2D, create_2d, 0, control_create_2d),
    R(RESOURCE_UNREF, ref, 0, control_unref),
    R(SET_SCANOUT, set_scanout, 0, set_scanout),
    R(RESOURCE_FLUSH, flush, 0, resource_flush),
    R(TRANSFER_TO_HOST_2D, transfer, 0, control_transfer),
    R(RESOURCE_ATTACH_BACKING, attach, 0, control_attach),
    R(RESOURCE_DETACH_BACKING, ref, 0, control_detach),
    R(GET_EDID, get_edid, VIRTIO_GPU_F_EDID, get_edid),
    R(RESOURCE_ASSIGN_UUID, ref, VIRTIO_GPU_F_RESOURCE_UUID,
      control_assign_uuid),
    R(RESOURCE_CREATE_BLOB, create_blob, VIRTIO_GPU_F_RESOURCE_BLOB,
      control_create_blob),
    R(SET_SCANOUT_BLOB, set_scanout_blob, VIRTIO_GPU_F_RESOURCE_BLOB,
      set_scanout_blob),
#undef R
};

/* NULL: there is no such command, or the driver has not asked for it. */
static const struct row *find_row(const struct gpu *g, uint32_t type)
{
    uint32_t i = type - VIRTIO_GPU_CMD_GET_DISPLAY_INFO;
    const struct row *row;

    if (i >= ARRAY_LEN(rows))
        return NULL;
    row = &rows[i];
    if (!row->run ||
        (row->feature && !(g->features & UINT64_C(1) << row->feature)))
        return NULL;
    return row;
}

/* ---- answers ---- */

static const char *error_text(uint32_t type)
{
    switch (type) {
    case VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY:
        return "there is no memory for it, or max_memory is used up";
    case VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID:
        return "there is no such scanout";
    case VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID:
        return "there is no such resource, or there is one already";
    case VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER:
        return "a size, place or format in it is wrong";
    default:
        return "it cannot be done, or not now";
    }
}

static void answer(struct gpu *g, struct chain *c,
                   const struct virtio_gpu_ctrl_hdr *hdr, uint32_t type,
                   const void *body, size_t body_len)
{
    struct virtio_gpu_ctrl_hdr out = {.type = htole32(type)};
    uint32_t flags = le32toh(hdr->flags), written = 0;

    if (flags & VIRTIO_GPU_FLAG_FENCE) {
        out.flags = htole32(
            flags & (VIRTIO_GPU_FLAG_FENCE | VIRTIO_GPU_FLAG_INFO_RING_IDX));
        out.fence_id = hdr->fence_id;
        out.ctx_id = hdr->ctx_id;
        if (flags & VIRTIO_GPU_FLAG_INFO_RING_IDX)
            out.ring_idx = hdr->ring_idx;
    }
    g->stats.commands++;
    if (type >= VIRTIO_GPU_RESP_ERR_UNSPEC) {
        g->stats.errors++;
        log_limited(&g->limit, LOG_WARN, g->device.id,
                    "ring %u: a command 0x%04" PRIx32 " has failed: %s",
                    c->ring->index, le32toh(hdr->type), error_text(type));
    }
    if (c->in_len >= sizeof(out)) {
        written = (uint32_t)chain_write(c, 0, &out, sizeof(out));
        if (body_len > 0)
            written += (uint32_t)chain_write(c, sizeof(out), body, body_len);
    }
    chain_done(c, written);
}

void control_answer(struct gpu *g, struct chain *c,
                    const struct virtio_gpu_ctrl_hdr *hdr, uint32_t type,
                    const void *body, size_t body_len)
{
    ledger_done(g->ledger, c, type, body, body_len);
    answer(g, c, hdr, type, body, body_len);
}

bool control_was_done(struct gpu *g, struct chain *c)
{
    struct virtio_gpu_ctrl_hdr hdr;
    struct answer a;

    if (!ledger_was_done(g->ledger, c, &a))
        return false;
    control_read(c, &hdr, sizeof(hdr));
    answer(g, c, &hdr, a.type, a.body, a.body_len);
    return true;
}

bool control_read(const struct chain *c, void *to, size_t len)
{
    const size_t head = sizeof(struct virtio_gpu_ctrl_hdr);
    size_t got = chain_read(c, 0, to, len);

    if (got < len)
        memset((uint8_t *)to + got, 0, len - got);
    if (got < head) /* no flag of half a header counts */
        memset(to, 0, head);
    return got == len;
}

/* ---- turns ---- */

/* Copies and does the command of r->chain. */
static uint32_t run(struct gpu *g, struct request *r)
{
    const size_t head = sizeof(struct virtio_gpu_ctrl_hdr);
    const struct row *row;
    size_t rest;

    r->body_len = 0;
    if (!control_read(r->chain, &r->in.hdr, head))
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    row = find_row(g, le32toh(r->in.hdr.type));
    if (!row)
        return VIRTIO_GPU_RESP_ERR_UNSPEC;
    rest = row->in_len - head;
    if (chain_read(r->chain, head, (uint8_t *)&r->in + head, rest) < rest)
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    return row->run(g, r);
}

/* c is answered, or under way. */
static void take(struct gpu *g, struct chain *c)
{
    struct request r;
    uint32_t type;

    r.chain = c;
    type = run(g, &r);
    if (type == CONTROL_GOES_ON || type == CONTROL_AWAITS_DISPLAYS) {
        g->control.chain = c;
        g->control.hdr = r.in.hdr;
        if (type == CONTROL_GOES_ON) {
            loop_defer(g->device.home, &g->control.go_on);
        } else {
            g->control.awaits_displays = true;
            g->control.scanout = r.in.get_edid.scanout;
        }
        return;
    }
    control_answer(g, c, &r.in.hdr, type, &r.body, r.body_len);
}

void control_ring_kick(struct gpu *g, struct ring *q)
{
    struct control *ctl = &g->control;
    struct chain *c;

    ctl->left = TURN_BYTES;
    ledger_turn(g->ledger, q);
    for (unsigned n = 0; n < TURN_COMMANDS && !ctl->chain && ctl->left > 0;
         n++) {
        c = ring_pop(q);
        if (!c)
            return;
        if (!control_was_done(g, c))
            take(g, c);
    }
}

/* The command under way has come to its end. */
static void end(struct gpu *g, uint32_t type)
{
    struct control *ctl = &g->control;
    struct chain *c = ctl->chain;

    ctl->chain = NULL;
    control_transfer_end(g);
    control_answer(g, c, &ctl->hdr, type, NULL, 0);
}

/* The command that awaits displays is done, unless it has to wait still. */
static void try_again(struct gpu *g)
{
    struct control *ctl = &g->control;
    struct chain *c = ctl->chain;
    struct request r = {.chain = c};
    uint32_t type;

    r.in.get_edid.scanout = ctl->scanout;
    r.in.hdr = ctl->hdr;
    type = find_row(g, le32toh(ctl->hdr.type))->run(g, &r);
    if (type == CONTROL_AWAITS_DISPLAYS)
        return;
    ctl->awaits_displays = false;
    ctl->chain = NULL;
    defer_cancel(&ctl->go_on);
    control_answer(g, c, &ctl->hdr, type, &r.body, r.body_len);
}

static void on_go_on(struct defer *d)
{
    struct gpu *g = container_of(d, struct gpu, control.go_on);
    struct control *ctl = &g->control;
    uint32_t type;

    ctl->left = TURN_BYTES;
    if (ctl->awaits_displays) {
        try_again(g);
        if (!ctl->awaits_displays)
            ctl->ring->want_kick(ctl->ring);
        return;
    }
    type = control_transfer_on(g);
    if (type == CONTROL_GOES_ON) {
        loop_defer(g->device.home, d);
        return;
    }
    end(g, type);
    ctl->ring->want_kick(ctl->ring); /* those behind it have waited */
}

void control_init(struct control *ctl)
{
    defer_init(&ctl->go_on, on_go_on);
}

void control_displays_known(struct gpu *g)
{
    if (g->control.awaits_displays)
        loop_defer(g->device.home, &g->control.go_on);
}

void control_displays_wait_over(struct gpu *g)
{
    if (!g->control.awaits_displays)
        return;
    defer_cancel(&g->control.go_on);
    g->control.hurries = true;
    try_again(g);
    g->control.hurries = false;
}

void control_give_up(struct gpu *g)
{
    control_displays_wait_over(g);
    defer_cancel(&g->control.go_on);
    if (g->control.chain)
        end(g, VIRTIO_GPU_RESP_ERR_UNSPEC);
}

void control_remapped(struct gpu *g)
{
    resources_resolve(&g->resources, ring_mem(g->control.ring));
    g->control.transfer.at = (struct backing_at){0};
    viewer_look_again(g->viewer);
}
