/* Requests to a disk that is a base and an overlay.
 *
 * A read of blocks that are all here, or all there, goes on as it is. One that
 * is of both is split.
 *
 * A write to blocks that are all in the overlay goes on as well. Others are a
 * job: what the request leaves out of its first and its last block is read from
 * the base, then written to the overlay beside the data, and then the blocks
 * are the overlay's. Until then reads find the base there, as the write is not
 * answered. Requests that would touch a block of a job wait for it, since both
 * would fill the same block up. Zeroing is done likewise; what is discarded is
 * zeroed. Whole blocks of zeros take no room.
 *
 * Flushes, with the map on a file: what is written is made stable, then the
 * map as it was before that is written, and made stable. One such is under way
 * at a time, and does for all that have come until it began. A write that is
 * to be stable is followed by one, if the map has changed. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/cow_impl.h"

struct job {
    struct list node;
    struct cow_channel *c;
    struct store_req *r;
    uint64_t first, last; /* blocks */
    uint64_t reserved;    /* blocks that take room and did not */
    uint64_t head, tail;  /* bytes of the first and last block that are to be
                           * copied */
    unsigned left;        /* parts below, and one while they are sent */
    bool writes;
    bool inside; /* of submit: */
    bool ended, flushes;
    int result;
    uint8_t *copy; /* head and tail */
};

static struct cow *cow_at(const struct cow_channel *c)
{
    return cow_of(c->filter.ch.store);
}

static uint64_t first_block(const struct cow *c, const struct store_req *r)
{
    return r->offset >> c->shift;
}

static uint64_t last_block(const struct cow *c, const struct store_req *r)
{
    return (r->offset + r->len - 1) >> c->shift;
}

/* The first block from `at` on that is not as that one is, or end. */
static uint64_t run_end(const uint8_t *map, uint64_t at, uint64_t end)
{
    bool is = cow_bit(map, at);

    while (++at < end && cow_bit(map, at) == is)
        ;
    return at;
}

static bool all_set(const uint8_t *map, uint64_t first, uint64_t last)
{
    return cow_bit(map, first) && run_end(map, first, last + 1) == last + 1;
}

/* ---- reads ---- */

static struct store_channel *where(const struct cow_channel *c, bool ours)
{
    return ours ? c->over : c->filter.next;
}

static int submit_read(struct cow_channel *c, struct store_req *r)
{
    const struct cow *cow = cow_at(c);
    uint64_t at = first_block(cow, r), end = last_block(cow, r) + 1;
    uint64_t next = run_end(cow->ours, at, end), from = r->offset;

    if (LIKELY(next == end))
        return store_filter_pass(where(c, cow_bit(cow->ours, at)), r);
    parts_split_begin(r);
    for (; at < end; at = next) {
        uint64_t to;

        next = run_end(cow->ours, at, end);
        to = MIN(next << cow->shift, r->offset + r->len);
        parts_split_send(&c->parts, where(c, cow_bit(cow->ours, at)), r, from,
                         to);
        from = to;
    }
    return parts_split_end(r);
}

/* ---- flushes ---- */

static void flush_next(struct cow_channel *c);

static void flush_over(struct cow_channel *c, int result)
{
    struct cow_flush *f = &c->flush;
    struct cow *cow = cow_at(c);
    struct list over, *node;

    for (uint64_t i = 0; result < 0 && i < f->num; i++)
        if (!cow->dirty[f->number[i]]) {
            cow->dirty[f->number[i]] = 1;
            cow->num_dirty++;
        }
    free(f->pages);
    free(f->number);
    f->pages = NULL;
    f->number = NULL;
    f->busy = false;
    list_init(&over);
    list_move(&over, &f->now);
    while ((node = list_pop(&over)) != NULL)
        store_complete(container_of(node, struct store_req, node), result);
    flush_next(c);
}

static void flush_step(struct cow_channel *c);

static void on_flush_step(struct store_req *r)
{
    struct cow_channel *c = container_of(r, struct cow_channel, flush.req);

    if (r->result < 0)
        flush_over(c, r->result);
    else
        flush_step(c);
}

/* Data, page after page of the map, and the whole once more. */
static void flush_step(struct cow_channel *c)
{
    struct cow_flush *f = &c->flush;
    int rc;

    do {
        uint64_t i = f->next++;
        bool is_page = i > 0 && i <= f->num;

        if (i > f->num + 1) {
            flush_over(c, 0);
            return;
        }
        f->req = (struct store_req){
            .op = STORE_FLUSH,
            .done = on_flush_step,
            .owner = c,
        };
        if (is_page) {
            f->iov = (struct iovec){f->pages + (i - 1) * COW_PAGE_BYTES,
                                    COW_PAGE_BYTES};
            f->req.op = STORE_WRITE;
            f->req.offset =
                cow_at(c)->data_len + (f->number[i - 1] + 1) * COW_PAGE_BYTES;
            f->req.len = COW_PAGE_BYTES;
            f->req.iov = &f->iov;
            f->req.iov_num = 1;
        }
        rc = store_submit(c->over, &f->req);
    } while (rc == STORE_DONE && f->req.result == 0);
    if (rc == STORE_DONE)
        flush_over(c, f->req.result);
    else
        store_kick(c->over);
}

/* The map as it is now, whose data is made stable first. */
static int copy_map(struct cow *cow, struct cow_flush *f)
{
    f->num = 0;
    f->pages = malloc(cow->num_dirty * COW_PAGE_BYTES + 1);
    f->number = malloc((cow->num_dirty + 1) * sizeof(*f->number));
    if (!f->pages || !f->number)
        return -ENOMEM;
    for (uint64_t i = 0; cow->num_dirty; i++) {
        if (!cow->dirty[i])
            continue;
        memcpy(f->pages + f->num * COW_PAGE_BYTES,
               cow->ours + i * COW_PAGE_BYTES, COW_PAGE_BYTES);
        f->number[f->num++] = i;
        cow->dirty[i] = 0;
        cow->num_dirty--;
    }
    return 0;
}

static void flush_next(struct cow_channel *c)
{
    struct cow_flush *f = &c->flush;
    int rc;

    if (f->busy || list_empty(&f->waiting))
        return;
    f->busy = true;
    list_move(&f->now, &f->waiting);
    f->next = 0;
    rc = copy_map(cow_at(c), f);
    if (rc < 0)
        flush_over(c, rc);
    else
        flush_step(c);
}

static int submit_flush(struct cow_channel *c, struct store_req *r)
{
    const struct cow *cow = cow_at(c);

    if (cow_is_on_file(cow) && !cow->num_dirty && !c->flush.busy)
        return store_filter_pass(c->over, r);
    if (!cow_is_on_file(cow)) {
        r->result = 0;
        return STORE_DONE;
    }
    list_add(&c->flush.waiting, &r->node);
    return STORE_PENDING;
}

/* ---- jobs ---- */

static bool is_range(const struct store_req *r)
{
    return r->op == STORE_ZERO || r->op == STORE_DISCARD;
}

static bool meets_job(const struct cow_channel *c, const struct store_req *r)
{
    uint64_t first = first_block(cow_at(c), r), last = last_block(cow_at(c), r);

    LIST_EACH (&c->jobs, node) {
        const struct job *j = container_of(node, struct job, node);

        if (first <= j->last && j->first <= last)
            return true;
    }
    return false;
}

/* Will the block hold more than zeros after r? */
static bool takes_room(const struct cow *c, const struct store_req *r,
                       uint64_t block)
{
    uint64_t at = block << c->shift;
    uint64_t end = MIN(at + c->conf->block_size, c->filter.store.info.size);

    return !is_range(r) || r->offset > at || r->offset + r->len < end;
}

static void settle(struct job *j)
{
    struct cow *cow = cow_at(j->c);

    if (j->result < 0) {
        cow->num_taken -= j->reserved;
        return;
    }
    for (uint64_t b = j->first; b <= j->last; b++) {
        bool takes = takes_room(cow, j->r, b);

        if (!takes && cow_bit(cow->taken, b))
            cow->num_taken--;
        cow_set_taken(cow, b, takes);
        cow_set_ours(cow, b, true);
    }
}

static void retry(struct cow_channel *c);

static void free_job(struct job *j)
{
    free(j->copy);
    free(j);
}

/* A write that is to be stable goes on to wait for a flush. */
static void job_over(struct job *j)
{
    struct cow_channel *c = j->c;
    struct store_req *r = j->r;
    int result = j->result;

    settle(j);
    list_del(&j->node);
    j->flushes =
        result == 0 && r->flags & STORE_FUA && cow_is_on_file(cow_at(c));
    if (j->flushes)
        list_add(&c->flush.waiting, &r->node);
    if (j->inside) {
        r->result = result;
        j->ended = true;
        return;
    }
    if (!j->flushes)
        store_complete(r, result);
    free_job(j);
    retry(c);
}

static void advance(struct job *j);

static void on_part(struct store_req *below)
{
    struct part *part = part_of(below);
    struct job *j = part->user;
    struct cow_channel *c = j->c;
    bool inside = j->inside;

    if (below->result < 0)
        j->result = below->result;
    parts_put(&c->parts, part);
    if (--j->left > 0)
        return;
    advance(j);
    if (!inside)
        store_kick(c->over);
}

static void send_part(struct job *j, struct store_channel *to,
                      struct part *part)
{
    if (!part) {
        j->result = -ENOMEM;
        return;
    }
    part->req.done = on_part;
    part->req.owner = j->r->owner;
    part->user = j;
    j->left++;
    if (store_submit(to, &part->req) == STORE_DONE)
        on_part(&part->req);
}

static void send_copy(struct job *j, struct store_channel *to, enum store_op op,
                      uint64_t offset, uint8_t *at, uint64_t len)
{
    struct part *part;

    if (!len)
        return;
    part = parts_get(&j->c->parts, 1);
    if (part) {
        part->iov[0] = (struct iovec){at, len};
        part->req.op = op;
        part->req.flags = j->r->flags & STORE_HURRY;
        part->req.offset = offset;
        part->req.len = len;
        part->req.iov_num = 1;
    }
    send_part(j, to, part);
}

static void send_copies(struct job *j, struct store_channel *to,
                        enum store_op op)
{
    const struct store_req *r = j->r;

    send_copy(j, to, op, r->offset - j->head, j->copy, j->head);
    send_copy(j, to, op, r->offset + r->len, j->copy + j->head, j->tail);
}

static void send_data(struct job *j)
{
    struct part *part = parts_of(&j->c->parts, j->r, j->r->offset, j->r->len);

    if (part && is_range(j->r)) {
        part->req.op = STORE_ZERO;
        part->req.flags |= STORE_UNMAP;
    }
    if (part)
        part->req.flags &= (uint16_t)~STORE_FUA;
    send_part(j, j->c->over, part);
}

/* Whatever has ended: what comes next, or the end. */
static void advance(struct job *j)
{
    struct cow_channel *c = j->c;

    if (j->result < 0 || j->writes) {
        job_over(j);
        return;
    }
    j->writes = true;
    j->left = 1;
    send_copies(j, c->over, STORE_WRITE);
    send_data(j);
    if (--j->left == 0)
        job_over(j);
}

static uint64_t count_new(const struct cow *c, const struct store_req *r)
{
    uint64_t last = last_block(c, r), num = 0;

    for (uint64_t b = first_block(c, r); b <= last; b++)
        num += !cow_bit(c->taken, b) && takes_room(c, r, b);
    return num;
}

static void measure(const struct cow *c, struct job *j)
{
    uint64_t size = c->filter.store.info.size;
    uint64_t end = j->r->offset + j->r->len;

    if (!cow_bit(c->ours, j->first))
        j->head = j->r->offset - (j->first << c->shift);
    if (!cow_bit(c->ours, j->last))
        j->tail = MIN((j->last + 1) << c->shift, size) - end;
}

static struct job *make_job(struct cow_channel *c, struct store_req *r)
{
    const struct cow *cow = cow_at(c);
    struct job *j = calloc(1, sizeof(*j));

    if (!j)
        return NULL;
    j->c = c;
    j->r = r;
    j->first = first_block(cow, r);
    j->last = last_block(cow, r);
    measure(cow, j);
    if (j->head + j->tail)
        j->copy = malloc(j->head + j->tail);
    if (j->head + j->tail && !j->copy) {
        free(j);
        return NULL;
    }
    return j;
}

static bool reserve(struct cow *c, struct job *j)
{
    j->reserved = count_new(c, j->r);
    if (c->conf->max_memory && j->reserved &&
        c->num_taken + j->reserved > c->max_taken) {
        log_limited(&c->limit, LOG_ERROR, c->filter.store.id,
                    "cow: the overlay has %" PRIu64 " bytes, and no more is "
                    "allowed (max_memory): writing fails",
                    c->num_taken << c->shift);
        return false;
    }
    c->num_taken += j->reserved;
    return true;
}

static int start_job(struct cow_channel *c, struct store_req *r)
{
    struct job *j = make_job(c, r);
    int rc;

    r->result = j && !reserve(cow_at(c), j) ? -ENOSPC : j ? 0 : -ENOMEM;
    if (r->result < 0) {
        if (j)
            free_job(j);
        return STORE_DONE;
    }
    list_add(&c->jobs, &j->node);
    j->inside = true;
    j->left = 1;
    send_copies(j, c->filter.next, STORE_READ);
    if (--j->left == 0)
        advance(j);
    if (!j->ended) {
        j->inside = false;
        return STORE_PENDING;
    }
    rc = j->flushes ? STORE_PENDING : STORE_DONE;
    free_job(j);
    return rc;
}

static bool needs_job(const struct cow_channel *c, const struct store_req *r)
{
    const struct cow *cow = cow_at(c);
    uint64_t first = first_block(cow, r), last = last_block(cow, r);

    if (is_range(r) || (r->flags & STORE_FUA && cow_is_on_file(cow)))
        return true;
    return !all_set(cow->ours, first, last) ||
           !all_set(cow->taken, first, last);
}

/* Requests have their turn again: what they waited for may be over. */
static void retry(struct cow_channel *c)
{
    struct list waiting, *node;

    c->again = true;
    if (c->going)
        return;
    c->going = true;
    while (c->again) {
        c->again = false;
        list_init(&waiting);
        list_move(&waiting, &c->waiting);
        while ((node = list_pop(&waiting)) != NULL) {
            struct store_req *r = container_of(node, struct store_req, node);

            if (meets_job(c, r))
                list_add(&c->waiting, &r->node);
            else if (start_job(c, r) == STORE_DONE)
                store_complete(r, r->result);
        }
        flush_next(c);
        store_kick(c->filter.next);
        store_kick(c->over);
    }
    c->going = false;
}

/* ---- all of them ---- */

int cow_submit(struct store_channel *ch, struct store_req *r)
{
    struct cow_channel *c = cow_channel_of(ch);

    if (LIKELY(r->op == STORE_READ))
        return submit_read(c, r);
    if (r->op == STORE_FLUSH)
        return submit_flush(c, r);
    if (UNLIKELY(!list_empty(&c->jobs)) && meets_job(c, r)) {
        list_add(&c->waiting, &r->node);
        return STORE_PENDING;
    }
    if (needs_job(c, r))
        return start_job(c, r);
    return store_filter_pass(c->over, r);
}

void cow_kick(struct store_channel *ch)
{
    struct cow_channel *c = cow_channel_of(ch);

    if (UNLIKELY(!list_empty(&c->flush.waiting)))
        flush_next(c);
    store_kick(c->filter.next);
    store_kick(c->over);
}

void cow_drain(struct store_channel *ch, const void *owner, bool cancel)
{
    struct cow_channel *c = cow_channel_of(ch);

    if (cancel) {
        store_give_up(&c->waiting, owner);
        store_give_up(&c->flush.waiting, owner);
    }
    store_drain(c->over, owner, cancel);
    store_filter_drain(ch, owner, cancel);
    retry(c);
}

void cow_channel_init(struct cow_channel *c)
{
    list_init(&c->jobs);
    list_init(&c->waiting);
    list_init(&c->flush.waiting);
    list_init(&c->flush.now);
    parts_init(&c->parts);
}

void cow_channel_fini(struct cow_channel *c)
{
    assert(list_empty(&c->jobs) && list_empty(&c->waiting) && !c->flush.busy);
    parts_fini(&c->parts);
}
