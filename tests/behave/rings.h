/* behave/rings.h: what tests of rings begin with: requests, and a session over
 * each kind of ring. */
#ifndef BEHAVE_RINGS_H
#define BEHAVE_RINGS_H

#include "behave.h"

static inline void put_read(struct vq *q, struct blk_req *r, uint64_t sector)
{
    if (!blk_add(q, r, VIRTIO_BLK_T_IN, sector, 512))
        front_fail("no room for a request");
}

/* For a driver that is not called. */
static inline void need_used(struct vq *q)
{
    int64_t end = front_now_ms() + front_timeout_ms();

    while (!vq_has(q))
        if (front_now_ms() > end)
            front_fail("no answer");
}

/* Sessions of "d", one after the other on one vub, over each kind of ring:
 *
 *     struct rings t = {.v = start()};
 *
 *     while (rings_next(&t))
 *         blk_verify(t.q, 0, 512, t.mode);
 */
struct rings {
    struct vub *v;
    bool stopped;  /* rings are there, and not started */
    unsigned mode; /* of ring_modes: the session's */
    struct front *f;
    struct vq *q;      /* its first ring */
    struct blk_req *r; /* of 512 bytes */
};

/* False: that was the last one, and v is freed. */
static inline bool rings_next(struct rings *t)
{
    struct front_conf c;

    if (t->f) {
        front_free(t->f);
        t->mode++;
    }
    if (t->mode == ARRAY_LEN(ring_modes)) {
        front_note(" ");
        vub_free(t->v);
        return false;
    }
    c = ring_modes[t->mode];
    front_note("%s", mode_name(&c));
    c.rings_stopped = t->stopped;
    t->f = front_new(t->v, "d", &c);
    t->q = t->f->vq[0];
    t->r = blk_new(t->f, 512);
    return true;
}

#endif
