/* Block requests: made, sent, waited for, cut into pieces. */
#include "front/blk.h"

#include <stdlib.h>
#include <string.h>

#include "front/pieces.h"

struct blk_req *blk_new(struct front *f, uint32_t len)
{
    struct blk_req *r, **at;

    for (at = &f->spare; (r = *at); at = &r->next_spare)
        if (r->len >= len && r->len <= len * 2 + 4096) {
            *at = r->next_spare;
            return r;
        }
    r = front_calloc(1, sizeof(*r));
    r->f = f;
    r->next = f->reqs;
    f->reqs = r;
    r->len = len;
    r->head_gpa = front_alloc(f, 64, 64);
    r->status_gpa = r->head_gpa + 32;
    r->data_gpa = front_alloc(f, len ? len : 1, len >= 4096 ? 4096 : 64);
    r->head = front_ptr(f, r->head_gpa);
    r->status = front_ptr(f, r->status_gpa);
    r->data = front_ptr(f, r->data_gpa);
    return r;
}

void blk_free(struct blk_req *r)
{
    r->next_spare = r->f->spare;
    r->f->spare = r;
}

void blk_go(struct vq *q, struct blk_req *r, uint32_t type, uint64_t sector,
            uint32_t len)
{
    if (!blk_add(q, r, type, sector, len))
        front_fail("ring %u is full", q->index);
    vq_kick(q);
}

uint8_t blk_wait(struct vq *q, struct blk_req *r)
{
    static unsigned order;
    struct blk_req *other;
    uint32_t written;
    void *cookie;

    while (!r->done) {
        while (vq_pop(q, &written, &cookie) != VQ_NONE) {
            other = cookie;
            other->done = true;
            other->order = ++order;
            other->written = written;
        }
        if (!r->done)
            vq_wait(q);
    }
    return *(volatile uint8_t *)r->status;
}

uint8_t blk_do(struct vq *q, uint32_t type, uint64_t sector, void *data,
               uint32_t len)
{
    bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
    struct blk_req *r = blk_new(q->f, len);
    uint8_t status;

    if (len && !in)
        memcpy(r->data, data, len);
    blk_go(q, r, type, sector, len);
    status = blk_wait(q, r);
    if (len && in)
        memcpy(data, r->data, len);
    if (status == VIRTIO_BLK_S_OK && r->written != (in ? len : 0) + 1)
        front_fail("request %u: %u bytes written by the device, %u expected",
                   type, r->written, (in ? len : 0) + 1);
    blk_free(r);
    return status;
}

static void must(uint32_t type, uint64_t sector, uint32_t len, uint8_t status)
{
    if (status != VIRTIO_BLK_S_OK)
        front_fail("request type %u, sector %llu, %u bytes: status %u", type,
                   (unsigned long long)sector, len, status);
}

void blk_read(struct vq *q, uint64_t sector, void *buf, uint32_t len)
{
    must(VIRTIO_BLK_T_IN, sector, len,
         blk_do(q, VIRTIO_BLK_T_IN, sector, buf, len));
}

void blk_write(struct vq *q, uint64_t sector, const void *buf, uint32_t len)
{
    must(VIRTIO_BLK_T_OUT, sector, len,
         blk_do(q, VIRTIO_BLK_T_OUT, sector, (void *)buf, len));
}

void blk_flush(struct vq *q)
{
    must(VIRTIO_BLK_T_FLUSH, 0, 0, blk_do(q, VIRTIO_BLK_T_FLUSH, 0, NULL, 0));
}

void blk_get_id(struct vq *q, char id[VIRTIO_BLK_ID_BYTES + 1])
{
    must(VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES,
         blk_do(q, VIRTIO_BLK_T_GET_ID, 0, id, VIRTIO_BLK_ID_BYTES));
    id[VIRTIO_BLK_ID_BYTES] = 0;
}

uint8_t blk_ranges(struct vq *q, uint32_t type, const struct blk_range *r,
                   unsigned num)
{
    struct virtio_blk_range wire[64];

    if (num > ARRAY_LEN(wire))
        front_fail("%u segments", num);
    for (unsigned i = 0; i < num; i++) {
        wire[i].sector = htole64(r[i].sector);
        wire[i].num_sectors = htole32(r[i].num);
        wire[i].flags = htole32(r[i].flags);
    }
    return blk_do(q, type, 0, wire, num * (uint32_t)sizeof(wire[0]));
}

void blk_verify(struct vq *q, uint64_t sector, uint32_t len, uint64_t seed)
{
    uint8_t *a = front_calloc(2, len), *b = a + len;

    front_fill(a, len, seed);
    blk_write(q, sector, a, len);
    blk_read(q, sector, b, len);
    if (memcmp(a, b, len))
        front_fail("sector %llu, %u bytes: not what was written",
                   (unsigned long long)sector, len);
    free(a);
}

/* ---- Cutting ---- */

uint8_t blk_cut(struct vq *q, uint32_t type, uint64_t sector, const void *out,
                uint32_t out_len, void *in, uint32_t in_len,
                const uint32_t *out_cuts, const uint32_t *in_cuts)
{
    struct virtio_blk_req_head head = {htole32(type), 0, htole64(sector)};
    uint32_t outs = (uint32_t)sizeof(head) + out_len;
    struct vq_buf b[2 * PIECES_MAX];
    struct blk_req r = {0};
    uint8_t *stream = front_calloc(1, outs + in_len + 1), status;
    unsigned o, i;

    o = pieces_cut(q->f, outs, out_cuts, b, PIECES_MAX);
    i = pieces_cut(q->f, in_len + 1, in_cuts, b + o, PIECES_MAX);
    memcpy(stream, &head, sizeof(head));
    if (out_len)
        memcpy(stream + sizeof(head), out, out_len);
    pieces_put(q->f, b, o, stream);
    memset(stream, BLK_S_NONE, in_len + 1);
    pieces_put(q->f, b + o, i, stream);
    r.status = &status; /* blk_wait's; the real one is the last byte */
    status = 0;
    r.id = vq_add(q, b, o, i, &r);
    if (r.id == VQ_NONE)
        front_fail("%u descriptors do not fit ring %u", o + i, q->index);
    vq_kick(q);
    blk_wait(q, &r);
    pieces_check_guards(q->f, b, o + i);
    pieces_get(q->f, b + o, i, stream);
    status = stream[in_len];
    if (in_len)
        memcpy(in, stream, in_len);
    free(stream);
    if (status == VIRTIO_BLK_S_OK && r.written != in_len + 1)
        front_fail("%u bytes written by the device, %u expected", r.written,
                   in_len + 1);
    return status;
}

uint64_t blk_capacity(struct front *f)
{
    le64 sectors;

    front_config(f, 0, &sectors, sizeof(sectors));
    return le64_load(&sectors);
}
