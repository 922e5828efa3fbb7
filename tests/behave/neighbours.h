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

/* A ring of 16 entries, of which up to 16 are written with chance: what they
 * point to is mostly in the 64 KiB at data, where now and then there is a
 * table, and else what fill(arg) puts at `at`, with r for its chances. wild: so
 * is the available index of a split ring. */
static inline void
scrawl(struct vq *q, uint64_t *x, uint64_t data, bool lap, bool wild,
       void (*fill)(void *arg, uint64_t *x, uint64_t at, uint64_t r), void *arg)
{
    unsigned n = 1 + (unsigned)(next(x) >> 30) % 16;

    for (unsigned i = 0; i < n; i++) {
        uint64_t r = next(x) >> 16, at = data + (r >> 8 & 0x7ff0);
        uint64_t gpa = r >> 4 & 15 ? at : next(x);
        uint32_t len =
            r >> 24 & 15 ? (uint32_t)(r >> 28 & 0x3ff) : (uint32_t)next(x);
        uint16_t flags = (uint16_t)(next(x) >> 20 & 7);
        uint16_t link = (uint16_t)(next(x) >> 20 & 31);

        if (r & 1 << 20) {
            struct vring_desc d = {htole64(data), htole32(len & 511),
                                   htole16(flags & 3), htole16(link)};

            front_poke(q->f, at, &d, sizeof(d));
        } else {
            fill(arg, x, at, r);
        }
        if (q->packed)
            vq_pdesc(q, r % 16, gpa, len, link, flags, lap);
        else
            vq_desc(q, r % 16, gpa, len, flags, link & 15);
    }
    if (!q->packed) {
        for (unsigned i = 0; i < n; i++)
            vq_avail_put(q, (uint16_t)(next(x) >> 20) % 17);
        vq_avail_show(q);
        if (wild)
            vq_avail_idx(q, (uint16_t)(next(x) >> 20));
    }
    vq_notify(q);
    front_settle(q->f);
}

/* A ring that is broken is begun anew. */
static inline void mend(struct vq *q)
{
    if (!vq_has_err(q))
        return;
    vq_need_err(q);
    vq_stop(q);
    vq_reset(q);
    vq_start(q);
}

#endif
