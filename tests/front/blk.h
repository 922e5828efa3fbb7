/* front/blk.h: virtio-blk requests.
 *
 * Spec: virtio, "Block Device", "Device Operation".
 * A request has its head, its data and its status in guest memory, made once
 * by blk_new; blk_go puts it on a ring as head, data, status. The blk_read
 * family does one request and waits for it; blk_cut does it in any layout of
 * descriptors, with guard bytes around every piece. */
#ifndef FRONT_BLK_H
#define FRONT_BLK_H

#include "front/session.h"
#include "front/vq.h"

#define BLK_S_NONE 0xee /* a status that no device writes */

struct blk_req {
    struct virtio_blk_req_head *head; /* in guest memory, as are: */
    uint8_t *status;
    uint8_t *data;
    uint64_t head_gpa, status_gpa, data_gpa;
    uint32_t len; /* room for data */
    struct front *f;
    bool done;        /* blk_wait saw its answer */
    unsigned order;   /* the how-manieth answer of its ring it was */
    uint32_t written; /* what the used entry says */
    int id;           /* on the ring */
    struct blk_req *next, *next_spare; /* blk.c's */
};

/* Room for len bytes of data. Freed with f at the latest. */
struct blk_req *blk_new(struct front *f, uint32_t len);
/* May be given out again by blk_new. Not while it is on a ring. */
void blk_free(struct blk_req *r);

/* Puts r on the ring with `len` bytes of its data (0: none); not shown before
 * vq_kick. IN and GET_ID let the device write data, others read it. False:
 * the ring is full. */
static inline bool blk_add(struct vq *q, struct blk_req *r, uint32_t type,
                           uint64_t sector, uint32_t len)
{
    bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
    struct vq_buf b[3] = {{r->head_gpa, sizeof(*r->head)}};
    unsigned n = 1;

    r->head->type = htole32(type);
    r->head->sector = htole64(sector);
    *r->status = BLK_S_NONE;
    if (len)
        b[n++] = (struct vq_buf){r->data_gpa, len};
    b[n++] = (struct vq_buf){r->status_gpa, 1};
    r->done = false;
    r->id = vq_add(q, b, in ? 1 : n - 1, in ? n - 1 : 1, r);
    return r->id != VQ_NONE;
}

/* blk_add, which must succeed, and vq_kick. */
void blk_go(struct vq *q, struct blk_req *r, uint32_t type, uint64_t sector,
            uint32_t len);
/* Waits until r is done; others that end meanwhile are marked. Its status. */
uint8_t blk_wait(struct vq *q, struct blk_req *r);

/* One request from beginning to end. Status. */
uint8_t blk_do(struct vq *q, uint32_t type, uint64_t sector, void *data,
               uint32_t len);

/* Likewise, and the status must be OK. */
void blk_read(struct vq *q, uint64_t sector, void *buf, uint32_t len);
void blk_write(struct vq *q, uint64_t sector, const void *buf, uint32_t len);
void blk_flush(struct vq *q);
/* Terminated. */
void blk_get_id(struct vq *q, char id[VIRTIO_BLK_ID_BYTES + 1]);
/* DISCARD or WRITE_ZEROES of these segments. Status. */
struct blk_range {
    uint64_t sector;
    uint32_t num, flags;
};
uint8_t blk_ranges(struct vq *q, uint32_t type, const struct blk_range *r,
                   unsigned num);
/* Writes random bytes there, reads them back through the ring, compares. */
void blk_verify(struct vq *q, uint64_t sector, uint32_t len, uint64_t seed);

/* One request cut into descriptors: out_cuts and in_cuts give the lengths of
 * the pieces of what the device reads (16 bytes of head, then out) and of what
 * it writes (in, then the status byte); 0 ends the list, and what is left is
 * one piece more. NULL: one piece. Fails if a byte beside a piece was
 * touched or the used length is not that of what was written. Status. */
uint8_t blk_cut(struct vq *q, uint32_t type, uint64_t sector, const void *out,
                uint32_t out_len, void *in, uint32_t in_len,
                const uint32_t *out_cuts, const uint32_t *in_cuts);

/* The capacity in sectors, from the config space. */
uint64_t blk_capacity(struct front *f);

#endif
