/* A GPU's driver: its session, pictures in pieces, requests of any bytes, and
 * what every response must be. */
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
