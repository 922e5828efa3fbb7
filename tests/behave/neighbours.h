/* behave/neighbours.h: disks that are at work while another device is attacked,
 * and numbers of chance to attack with. */
#ifndef BEHAVE_NEIGHBOURS_H
#define BEHAVE_NEIGHBOURS_H

#include "behave.h"

#define LOAD_DEPTH 8

/* A front-end with requests in flight all the time, each of which is looked
 * at when it ends. */
struct load {
    struct front *f;
    struct vq *q;
    struct blk_req *r[LOAD_DEPTH];
    bool reading[LOAD_DEPTH];
    uint64_t round[LOAD_DEPTH], done;
};

static void load_next(struct load *l, unsigned i)
{
    if (l->reading[i]) {
        front_fill(l->r[i]->data, 4096, ++l->round[i] * LOAD_DEPTH + i);
        l->reading[i] = false;
    } else if (l->round[i]) {
        memset(l->r[i]->data, 0, 4096);
        l->reading[i] = true;
    } else {
        front_fill(l->r[i]->data, 4096, ++l->round[i] * LOAD_DEPTH + i);
    }
    blk_go(l->q, l->r[i], l->reading[i] ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT,
           i * 8, 4096);
}

static void load_start(struct load *l, struct vub *v, const char *id,
                       const struct front_conf *c)
{
    memset(l, 0, sizeof(*l));
    l->f = front_new(v, id, c);
    l->q = l->f->vq[0];
    for (unsigned i = 0; i < LOAD_DEPTH; i++) {
        l->r[i] = blk_new(l->f, 4096);
        load_next(l, i);
    }
}

/* Waits for n more answers, and checks each. */
static void load_turn(struct load *l, unsigned n)
{
    uint8_t want[4096];
    void *cookie;

    while (n > 0) {
        vq_wait(l->q);
        while (vq_pop(l->q, NULL, &cookie) != VQ_NONE) {
            struct blk_req *r = cookie;
            unsigned i = (unsigned)(le64toh(r->head->sector) / 8);

            if (*r->status != VIRTIO_BLK_S_OK)
                front_fail("a neighbour's request ends with status %u",
                           *r->status);
            if (l->reading[i]) {
                front_fill(want, 4096, l->round[i] * LOAD_DEPTH + i);
                if (memcmp(want, r->data, 4096) != 0)
                    front_fail("a neighbour's data has changed");
            }
            l->done++;
            n -= n > 0;
            load_next(l, i);
        }
    }
}

/* "same" is on the worker of what is attacked, "other" is not; "d" is a disk
 * that does nothing (footprint). */
struct neighbours {
    struct vub *v;
    struct load same, other;
    struct footprint before;
};

static void __attribute__((unused))
neighbours_start(struct neighbours *n, struct vub *v)
{
    static const struct front_conf packed = {
        .packed = true, .event_idx = true, .indirect = true};

    n->v = v;
    load_start(&n->same, v, "same", NULL);
    load_start(&n->other, v, "other", &packed);
    n->before = footprint(v);
}

static void __attribute__((unused)) neighbours_turn(struct neighbours *n)
{
    load_turn(&n->same, 2);
    load_turn(&n->other, 2);
}

/* They are as well as before, and nothing is left of the attackers. */
static struct footprint __attribute__((unused))
neighbours_end(struct neighbours *n)
{
    struct footprint after;

    load_turn(&n->same, 50);
    load_turn(&n->other, 50);
    after = footprint(n->v);
    assert_int_equal(after.fds, n->before.fds);
    assert_int_equal(after.memory, n->before.memory);
    front_free(n->same.f);
    front_free(n->other.f);
    return after;
}

/* A xorshift of our own: failures say the seed, and come again. */
static inline uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

#endif
