/* Requests to a disk that is a base and an overlay.
 *
 * A read of blocks that are all here, or all there, goes on as it is. One that
 * is of both is split. A write to blocks that are all in the overlay goes on as
 * well; others, and ranges that are zeroed, are jobs (cow_job.c). Flushes are
 * the overlay's (cow_flush.c).
 *
 * Where memory is bounded, a range that is zeroed waits for writes that are on
 * their way to it: one that came after the zeros would take room that counts
 * as free.
 *
 * There may be more than one channel: a filter above has one of its own. Jobs,
 * those that wait for one, and flushes are those of the disk, not of a channel:
 * a block is filled up by one at a time. */
#include "store/cow_impl.h"

static struct cow *cow_at(const struct cow_channel *c)
{
    return cow_of(c->filter.ch.store);
}

/* ---- reads ---- */

static struct store_channel *where(const struct cow_channel *c, bool ours)
{
    return ours ? c->over : c->filter.next;
}

static int submit_read(struct cow_channel *c, struct store_req *r)
{
    const struct cow *cow = cow_at(c);
    uint64_t at = cow_first(cow, r), end = cow_last(cow, r) + 1;
    uint64_t next = bitmap_run_end(cow->ours, at, end), from = r->offset;

    if (LIKELY(next == end))
        return store_filter_pass(where(c, bitmap_has(cow->ours, at)), r);
    parts_split_begin(r);
    for (; at < end; at = next) {
        uint64_t to;

        next = bitmap_run_end(cow->ours, at, end);
        to = MIN(next << cow->shift, r->offset + r->len);
        parts_split_send(&c->parts, where(c, bitmap_has(cow->ours, at)), r,
                         from, to);
        from = to;
    }
    return parts_split_end(r);
}

/* ---- turns ---- */

static void kick_all(struct cow *c)
{
    LIST_EACH (&c->channels, node) {
        struct cow_channel *ch = container_of(node, struct cow_channel, node);

        store_kick(ch->filter.next);
        store_kick(ch->over);
    }
}

static bool meets_write(const struct cow *c, const struct store_req *r)
{
    LIST_EACH (&c->passing, node) {
        const struct store_req *w = container_of(node, struct store_req, node);

        if (cow_first(c, w) <= cow_last(c, r) &&
            cow_first(c, r) <= cow_last(c, w))
            return true;
    }
    return false;
}

static bool has_to_wait(const struct cow *c, const struct store_channel *ch,
                        const struct store_req *r)
{
    return cow_meets_job(c, r) || (r->op != STORE_WRITE && meets_write(c, r)) ||
           cow_task_keeps_out(c, ch);
}

/* Those that waited, in turn; some for another one. */
static void go_on(struct cow *c)
{
    struct list waiting, *node;

    list_init(&waiting);
    list_move(&waiting, &c->waiting);
    while ((node = list_pop(&waiting)) != NULL) {
        struct store_req *r = container_of(node, struct store_req, node);

        if (has_to_wait(c, r->channel, r))
            list_add(&c->waiting, &r->node);
        else if (cow_start_job(cow_channel_of(r->channel), r) == STORE_DONE)
            store_complete(r, r->result);
    }
}

void cow_retry(struct cow *c)
{
    c->again = true;
    if (c->going)
        return;
    c->going = true;
    while (c->again) {
        c->again = false;
        go_on(c);
        cow_flush_next(c);
        kick_all(c);
    }
    c->going = false;
}

/* ---- writes to what is in the overlay ---- */

static void on_passed(struct store_req *below)
{
    struct store_req *r = below->above;
    struct cow_channel *c = cow_channel_of(r->channel);
    struct cow *cow = cow_at(c);
    int result = below->result;

    list_del(&r->node);
    parts_put(&c->parts, part_of(below));
    store_complete(r, result);
    if (!list_empty(&cow->waiting))
        cow_retry(cow);
}

static int pass_write(struct cow_channel *c, struct store_req *r)
{
    struct cow *cow = cow_at(c);
    struct part *part;

    if (!cow->conf->max_memory)
        return store_filter_pass(c->over, r);
    part = parts_of(&c->parts, r, r->offset, r->len);
    if (!part) {
        r->result = -ENOMEM;
        return STORE_DONE;
    }
    part->req.done = on_passed;
    part->req.above = r;
    list_add(&cow->passing, &r->node);
    if (store_submit(c->over, &part->req) == STORE_PENDING)
        return STORE_PENDING;
    list_del(&r->node);
    r->result = part->req.result;
    parts_put(&c->parts, part);
    return STORE_DONE;
}

/* ---- all of them ---- */

int cow_submit(struct store_channel *ch, struct store_req *r)
{
    struct cow_channel *c = cow_channel_of(ch);
    struct cow *cow = cow_at(c);

    if (LIKELY(r->op == STORE_READ))
        return submit_read(c, r);
    if (r->op == STORE_FLUSH)
        return cow_flush_submit(c, r);
    if (UNLIKELY(!list_empty(&cow->jobs) || !list_empty(&cow->passing) ||
                 cow->task) &&
        has_to_wait(cow, ch, r)) {
        list_add(&cow->waiting, &r->node);
        return STORE_PENDING;
    }
    if (cow_needs_job(cow, r))
        return cow_start_job(c, r);
    return pass_write(c, r);
}

void cow_kick(struct store_channel *ch)
{
    struct cow_channel *c = cow_channel_of(ch);
    struct cow *cow = cow_at(c);

    if (UNLIKELY(!list_empty(&cow->flush.waiting)))
        cow_flush_next(cow);
    store_kick(c->filter.next);
    store_kick(c->over);
}

void cow_drain(struct store_channel *ch, const void *owner, bool cancel)
{
    struct cow_channel *c = cow_channel_of(ch);
    struct cow *cow = cow_at(c);

    if (cancel) {
        store_give_up(&cow->waiting, owner);
        store_give_up(&cow->flush.waiting, owner);
    } else {
        store_hurry(&cow->waiting, owner);
    }
    store_drain(c->over, owner, cancel);
    store_filter_drain(ch, owner, cancel);
    cow_retry(cow);
}
