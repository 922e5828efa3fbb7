/* A GPU's driver: commands, pictures in pieces, and what every response must
 * be. */
#include "front/gpu.h"

#include <stdlib.h>
#include <string.h>

#include "front/pieces.h"

#define PAGE 4096u

/* ---- A session ---- */

static void free_session(void *user)
{
    struct gpu *g = user;
    struct gpu_req *r;
    struct gpu_fb *fb;

    while ((r = g->reqs)) {
        g->reqs = r->next;
        free(r);
    }
    while ((fb = g->fbs)) {
        g->fbs = fb->next;
        free(fb->entries);
        free(fb);
    }
    free(g);
}

struct gpu *gpu_on(struct front *f)
{
    struct gpu *g = front_calloc(1, sizeof(*g));

    g->f = f;
    g->control = f->vq[GPU_CONTROLQ];
    g->cursor = f->vq[GPU_CURSORQ];
    f->user = g;
    f->free_user = free_session;
    return g;
}

struct gpu *gpu_open(struct vub *v, const char *id,
                     const struct front_conf *conf)
{
    struct front_conf c = conf ? *conf : (struct front_conf){0};

    c.queues = 2;
    return gpu_on(front_new(v, id, &c));
}

struct gpu *gpu_of(const struct vq *q)
{
    return q->f->user;
}

void gpu_close(struct gpu *g)
{
    if (g)
        front_free(g->f);
}

void gpu_config(struct gpu *g, struct virtio_gpu_config *c)
{
    front_config(g->f, 0, c, sizeof(*c));
}

/* ---- Pictures in guest memory ---- */

static struct gpu_fb *fb_new(struct gpu *g, uint64_t gpa, uint64_t len,
                             uint32_t piece)
{
    struct gpu_fb *fb = front_calloc(1, sizeof(*fb));

    fb->g = g;
    fb->len = len;
    fb->piece = piece;
    fb->num = (uint32_t)((len + piece - 1) / piece);
    fb->entries = front_calloc(fb->num, sizeof(*fb->entries));
    for (uint32_t i = 0; i < fb->num; i++) {
        uint64_t at = (uint64_t)i * piece;
        struct virtio_gpu_mem_entry *e = &fb->entries[i];

        e->addr = htole64(gpa + (uint64_t)(fb->num - 1 - i) * piece);
        e->length = htole32((uint32_t)MIN(len - at, piece));
    }
    fb->next = g->fbs;
    g->fbs = fb;
    return fb;
}

static uint32_t piece_of(uint64_t len, uint32_t piece)
{
    return piece && piece < len ? piece : (uint32_t)len;
}

struct gpu_fb *gpu_fb_new(struct gpu *g, uint32_t width, uint32_t height,
                          uint32_t piece)
{
    uint64_t len = (uint64_t)width * height * 4;
    struct gpu_fb *fb;

    piece = piece_of(len, piece);
    fb = fb_new(g, front_alloc(g->f, len + piece, PAGE), len, piece);
    fb->width = width;
    fb->height = height;
    fb->stride = width * 4;
    return fb;
}

struct gpu_fb *gpu_fb_new_in(struct gpu *g, unsigned region, uint64_t len,
                             uint32_t piece)
{
    piece = piece_of(len, piece);
    return fb_new(g, front_alloc_in(g->f, region, len + piece, PAGE), len,
                  piece);
}

static void *fb_at(struct gpu_fb *fb, uint64_t at, uint64_t *len)
{
    uint64_t in = at % fb->piece;
    struct virtio_gpu_mem_entry *e = &fb->entries[at / fb->piece];

    if (at >= fb->len)
        front_fail("byte %llu of a picture of %llu", (unsigned long long)at,
                   (unsigned long long)fb->len);
    *len = MIN(*len, le32toh(e->length) - in);
    return front_ptr(fb->g->f, le64toh(e->addr) + in);
}

void gpu_fb_write(struct gpu_fb *fb, uint64_t at, const void *from,
                  uint64_t len)
{
    const uint8_t *p = from;

    while (len > 0) {
        uint64_t here = len;
        void *to = fb_at(fb, at, &here);

        memcpy(to, p, here);
        p += here;
        at += here;
        len -= here;
    }
}

void gpu_fb_read(struct gpu_fb *fb, uint64_t at, void *to, uint64_t len)
{
    uint8_t *p = to;

    while (len > 0) {
        uint64_t here = len;
        const void *from = fb_at(fb, at, &here);

        memcpy(p, from, here);
        p += here;
        at += here;
        len -= here;
    }
}

void gpu_fb_fill(struct gpu_fb *fb, uint64_t seed)
{
    uint8_t *bytes = front_calloc(1, fb->len);

    front_fill(bytes, fb->len, seed);
    gpu_fb_write(fb, 0, bytes, fb->len);
    free(bytes);
}

/* ---- Responses ---- */

static const struct {
    uint32_t type;
    const char *name;
    uint32_t len; /* of the whole response */
} responses[] = {
    {VIRTIO_GPU_RESP_OK_NODATA, "OK_NODATA", 24},
    {VIRTIO_GPU_RESP_OK_DISPLAY_INFO, "OK_DISPLAY_INFO", 24 + 16 * 24},
    {VIRTIO_GPU_RESP_OK_EDID, "OK_EDID", 24 + 8 + 1024},
    {VIRTIO_GPU_RESP_OK_RESOURCE_UUID, "OK_RESOURCE_UUID", 24 + 16},
    {VIRTIO_GPU_RESP_ERR_UNSPEC, "ERR_UNSPEC", 24},
    {VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY, "ERR_OUT_OF_MEMORY", 24},
    {VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID, "ERR_INVALID_SCANOUT_ID", 24},
    {VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID, "ERR_INVALID_RESOURCE_ID", 24},
    {VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER, "ERR_INVALID_PARAMETER", 24},
    {GPU_NO_RESPONSE, "no response", 0},
};

static unsigned find_response(uint32_t type)
{
    unsigned i = 0;

    while (i < ARRAY_LEN(responses) && responses[i].type != type)
        i++;
    return i;
}

const char *gpu_resp_name(uint32_t type)
{
    unsigned i = find_response(type);

    return i < ARRAY_LEN(responses) ? responses[i].name : "no type there is";
}

void gpu_need_at(const char *file, int line, const char *what, uint32_t type,
                 uint32_t want)
{
    if (type != want)
        front_fail_at(file, line, "%s is answered with %s, not %s", what,
                      gpu_resp_name(type), gpu_resp_name(want));
}

/* What was written, room bytes of which there were; its type. req: of the
 * request, len bytes, as it was sent. */
static uint32_t read_response(const uint8_t *req, uint32_t len,
                              const uint8_t *resp, uint32_t room,
                              uint32_t written)
{
    struct virtio_gpu_ctrl_hdr in = {0}, out;
    bool fenced;
    uint32_t type;
    unsigned i;

    for (uint32_t k = written; k < room; k++)
        if (resp[k] != GPU_UNTOUCHED)
            front_fail("byte %u of a response of %u is touched", k, written);
    if (room < sizeof(out)) {
        if (written != 0)
            front_fail("%u bytes written, where no header fits", written);
        return GPU_NO_RESPONSE;
    }
    if (written < sizeof(out))
        front_fail("%u bytes written of a response", written);
    if (len >= sizeof(in)) /* flags of half a header count for nothing */
        memcpy(&in, req, sizeof(in));
    memcpy(&out, resp, sizeof(out));
    type = le32toh(out.type);
    i = find_response(type);
    if (i == ARRAY_LEN(responses))
        front_fail("a response of type %#x", type);
    if (written != MIN(room, responses[i].len))
        front_fail("%s has %u bytes, in room for %u", responses[i].name,
                   written, room);
    fenced = le32toh(in.flags) & VIRTIO_GPU_FLAG_FENCE;
    if (le32toh(out.flags) != (fenced ? le32toh(in.flags) & 3 : 0) ||
        out.fence_id != (fenced ? in.fence_id : 0) ||
        out.ctx_id != (fenced ? in.ctx_id : 0) ||
        out.ring_idx != (le32toh(out.flags) & VIRTIO_GPU_FLAG_INFO_RING_IDX
                             ? in.ring_idx
                             : 0))
        front_fail("a response with flags %#x, fence %llu, context %u, ring "
                   "%u: not the request's",
                   le32toh(out.flags),
                   (unsigned long long)le64toh(out.fence_id),
                   le32toh(out.ctx_id), out.ring_idx);
    if (out.padding[0] || out.padding[1] || out.padding[2])
        front_fail("the padding of a response is not zero");
    return type;
}

/* ---- Several under way ---- */

struct gpu_req *gpu_req_new(struct gpu *g, uint32_t len)
{
    struct gpu_req *r, **at;

    for (at = &g->spare; (r = *at); at = &r->next_spare)
        if (r->req_room >= len && r->req_room <= len * 2 + PAGE) {
            *at = r->next_spare;
            break;
        }
    if (!r) {
        r = front_calloc(1, sizeof(*r));
        r->g = g;
        r->req_room = MAX(len, 96u);
        r->req_gpa = front_alloc(g->f, r->req_room, 64);
        r->resp_gpa = front_alloc(g->f, GPU_RESP_MAX, 64);
        r->req = front_ptr(g->f, r->req_gpa);
        r->resp = front_ptr(g->f, r->resp_gpa);
        r->next = g->reqs;
        g->reqs = r;
    }
    return r;
}

void gpu_req_free(struct gpu_req *r)
{
    r->next_spare = r->g->spare;
    r->g->spare = r;
}

/* A fence of its own, unless the test has thought of one. */
static void add_fence(struct gpu *g, uint8_t *req, uint32_t len)
{
    struct virtio_gpu_ctrl_hdr h;

    if (g->no_fences || len < sizeof(h))
        return;
    memcpy(&h, req, sizeof(h));
    if (h.flags)
        return;
    h.flags = htole32(VIRTIO_GPU_FLAG_FENCE);
    h.fence_id = htole64(++g->fence | UINT64_C(1) << 40);
    memcpy(req, &h, sizeof(h));
}

bool gpu_add(struct vq *q, struct gpu_req *r, uint32_t len, uint32_t room)
{
    struct vq_buf b[2];
    unsigned outs = 0, ins = 0;

    if (len + room == 0)
        front_fail("a chain of nothing");
    add_fence(r->g, r->req, len);
    memset(r->resp, GPU_UNTOUCHED, room);
    r->len = len;
    r->room = room;
    r->done = false;
    if (len)
        b[outs++] = (struct vq_buf){r->req_gpa, len};
    if (room)
        b[outs + ins++] = (struct vq_buf){r->resp_gpa, room};
    return vq_add(q, b, outs, ins, r) != VQ_NONE;
}

void gpu_go(struct vq *q, struct gpu_req *r, const void *req, uint32_t len,
            uint32_t room)
{
    memcpy(r->req, req, len);
    if (!gpu_add(q, r, len, room))
        front_fail("ring %u is full", q->index);
    vq_kick(q);
}

static void reap(struct vq *q)
{
    static unsigned order;
    struct gpu_req *r;
    uint32_t written;
    void *cookie;

    while (vq_pop(q, &written, &cookie) != VQ_NONE) {
        r = cookie;
        r->done = true;
        r->order = ++order;
        r->written = written;
        r->type = read_response(r->req, r->len, r->resp, r->room, written);
    }
}

bool gpu_is_done(struct vq *q, struct gpu_req *r)
{
    reap(q);
    return r->done;
}

uint32_t gpu_wait(struct vq *q, struct gpu_req *r)
{
    while (!gpu_is_done(q, r))
        vq_wait(q);
    return r->type;
}

/* ---- From beginning to end ---- */

uint32_t gpu_ask(struct vq *q, const void *req, uint32_t len, void *resp,
                 uint32_t room)
{
    struct gpu_req *r = gpu_req_new(gpu_of(q), len);
    uint32_t type;

    gpu_go(q, r, req, len, room);
    type = gpu_wait(q, r);
    if (resp)
        memcpy(resp, r->resp, room);
    gpu_req_free(r);
    return type;
}

uint32_t gpu_do(struct gpu *g, const void *req, uint32_t len)
{
    return gpu_ask(g->control, req, len, NULL,
                   sizeof(struct virtio_gpu_ctrl_hdr));
}

uint32_t gpu_cut(struct vq *q, const void *req, uint32_t len, void *resp,
                 uint32_t room, const uint32_t *req_cuts,
                 const uint32_t *resp_cuts)
{
    struct gpu *g = gpu_of(q);
    static struct vq_buf b[2 * PIECES_MAX];
    uint8_t *sent = front_calloc(1, (size_t)len + 1);
    uint8_t *got = front_calloc(1, (size_t)room + 1);
    uint32_t written, type;
    unsigned outs, ins;

    memcpy(sent, req, len);
    add_fence(g, sent, len);
    memset(got, GPU_UNTOUCHED, room);
    outs = pieces_cut(g->f, len, req_cuts, b, PIECES_MAX);
    ins = pieces_cut(g->f, room, resp_cuts, b + outs, PIECES_MAX);
    pieces_put(g->f, b, outs, sent);
    pieces_put(g->f, b + outs, ins, got);
    if (vq_add(q, b, outs, ins, NULL) == VQ_NONE)
        front_fail("%u descriptors do not fit ring %u", outs + ins, q->index);
    vq_kick(q);
    while (vq_pop(q, &written, NULL) == VQ_NONE)
        vq_wait(q);
    pieces_check_guards(g->f, b, outs + ins);
    pieces_get(g->f, b + outs, ins, got);
    type = read_response(sent, len, got, room, written);
    if (resp)
        memcpy(resp, got, room);
    free(sent);
    free(got);
    return type;
}

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
