/* Whose turn it is to write below: a flush, a write that makes room for itself,
 * one that goes through, what a power cut leaves, what is left when the disk is
 * closed. One at a time, in the order in which they came. */
#include <string.h>

#include "base/log.h"
#include "store/powercut_impl.h"

/* ---- turns ---- */

static void turn_over(struct powercut *p, int result)
{
    struct store_req *r = p->active;

    p->active = NULL;
    p->busy = false;
    powercut_keep_state(p);
    if (r)
        store_complete(r, p->off ? -EIO : result);
    powercut_go_on(p);
}

/* The whole cache is below. */
static void all_spilled(struct powercut *p, int result)
{
    if (result < 0) {
        turn_over(p, result);
        return;
    }
    powercut_drop_marked(p);
    powercut_flush(p, turn_over);
}

static void spill_all(struct powercut *p)
{
    powercut_mark(p, UINT64_MAX);
    powercut_spill(p, all_spilled);
}

int powercut_cache(struct powercut *p, const struct store_req *r)
{
    int rc = write_cache_add(&p->cache, r->offset, r->len, r->iov, r->iov_num);

    powercut_keep_state(p);
    return rc;
}

bool powercut_has_room(const struct powercut *p, const struct store_req *r)
{
    return p->cache.bytes + write_cache_cost(r->offset, r->len) <=
           p->conf->cache;
}

static void room_made(struct powercut *p, int result)
{
    if (result == 0)
        powercut_drop_marked(p);
    if (result == 0 && p->active && (!p->off || p->late))
        result = powercut_cache(p, p->active);
    turn_over(p, result);
}

/* An eighth at a time: a write that finds it full is not the only one. */
static void make_room(struct powercut *p, const struct store_req *r)
{
    powercut_mark(p,
                  MAX(write_cache_cost(r->offset, r->len), p->conf->cache / 8));
    powercut_spill(p, room_made);
}

static void on_through(struct store_req *below)
{
    struct part *part = part_of(below);
    struct powercut *p = part->user;
    int result = below->result;

    if (result == 0)
        write_cache_trim(&p->cache, below->offset, below->len);
    parts_put(&p->parts, part);
    p->ends++;
    turn_over(p, result);
}

/* Somebody is drained whose turn comes after. */
static bool is_urgent(const struct powercut *p)
{
    LIST_EACH (&p->queue, node)
        if (container_of(node, struct store_req, node)->flags & STORE_HURRY)
            return true;
    return false;
}

static void go_through(struct powercut *p, struct store_req *r)
{
    struct part *part = parts_of(&p->parts, r, r->offset, r->len);

    if (!part) {
        turn_over(p, -ENOMEM);
        return;
    }
    part->req.owner = p;
    if (is_urgent(p))
        part->req.flags |= STORE_HURRY;
    part->req.done = on_through;
    part->user = p;
    powercut_send(p, part);
}

bool powercut_is_cached(const struct powercut *p, const struct store_req *r)
{
    return r->op == STORE_WRITE && !(r->flags & STORE_FUA) &&
           r->len <= p->conf->cache / 4;
}

static void take_turn(struct powercut *p, struct store_req *r)
{
    p->active = r;
    p->busy = true;
    if (r->op == STORE_FLUSH)
        spill_all(p);
    else if (!powercut_is_cached(p, r))
        go_through(p, r);
    else if (powercut_has_room(p, r))
        turn_over(p, powercut_cache(p, r));
    else
        make_room(p, r);
}

/* ---- going on ---- */

/* The disk is closed. What cannot be written down is lost. */
static void last_spilled(struct powercut *p, int result)
{
    if (result == 0) {
        all_spilled(p, 0);
        return;
    }
    log_error(p->filter.store.id, "writes that were not flushed are lost: %s",
              strerror(-result));
    powercut_forget(p);
    turn_over(p, result);
}

static void spill_last(struct powercut *p)
{
    powercut_mark(p, UINT64_MAX);
    powercut_spill(p, last_spilled);
}

/* The disk may have become smaller. */
static void trim_to_size(struct powercut *p)
{
    uint64_t size = store_size(p->filter.next);

    if (size < p->size)
        write_cache_trim(&p->cache, size, p->size - size);
    p->size = size;
}

bool powercut_meets_passing(const struct powercut *p, const struct store_req *r)
{
    LIST_EACH (&p->passing, node) {
        const struct store_req *w = container_of(node, struct store_req, node);

        if (ranges_meet(r->offset, r->len, w->offset, w->len))
            return true;
    }
    return false;
}

/* Whose turn it would be; NULL: nobody's, or it has to wait. */
static struct store_req *first_in_queue(struct powercut *p)
{
    struct store_req *r = container_of(p->queue.next, struct store_req, node);

    if (list_empty(&p->queue) ||
        (r->op != STORE_FLUSH && powercut_meets_passing(p, r)))
        return NULL;
    list_del(&r->node);
    return r;
}

/* False: nothing is to be done, or somebody is at it. */
static bool begin_next(struct powercut *p)
{
    struct store_req *r;

    if (p->busy)
        return false;
    trim_to_size(p);
    if (p->trips)
        return false; /* powercut_on_trip comes */
    if (p->cut && list_empty(&p->queue)) {
        p->busy = true;
        powercut_begin_cut(p);
        return true;
    }
    if (p->gone && p->cache.num) {
        p->busy = true;
        spill_last(p);
        return true;
    }
    if (__atomic_exchange_n(&p->sync, false, __ATOMIC_RELAXED) &&
        p->cache.num && powercut_open_own(p)) {
        p->busy = true;
        spill_all(p);
        return true;
    }
    r = first_in_queue(p);
    if (!r) {
        powercut_rest_later(p);
        return false;
    }
    if (powercut_open_own(p))
        take_turn(p, r);
    else
        store_complete(r, -ENOMEM);
    return true;
}

void powercut_go_on(struct powercut *p)
{
    p->again = true;
    if (p->going)
        return;
    p->going = true;
    while (p->again) {
        p->again = begin_next(p);
        if (p->own)
            store_kick(p->own);
    }
    p->going = false;
}
