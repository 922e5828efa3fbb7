/* Requests that put blocks into the overlay of a `cow`, one job each.
 *
 * What the request leaves out of its first and its last block is read from the
 * base, then written to the overlay beside the data, and then the blocks are
 * the overlay's. Until then reads find the base there, as the write is not
 * answered. Requests that would touch a block of a job wait for it, by
 * whichever channel they came, since both would fill the same block up. Zeroing
 * is done likewise; what is discarded is zeroed. Whole blocks of zeros take no
 * room.
 *
 * A write that is to be stable goes on to wait for a flush, where the map is on
 * a file. */
#include <inttypes.h>
#include <stdlib.h>

#include "store/cow_impl.h"

struct job {
    struct list node;
    struct cow_channel *c;
    struct store_req *r;
    uint64_t first, last; /* blocks */
    uint64_t reserved;    /* blocks that may come to take room */
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

static bool is_range(const struct store_req *r)
{
    return r->op == STORE_ZERO || r->op == STORE_DISCARD;
}

bool cow_meets_job(const struct cow *c, const struct store_req *r)
{
    uint64_t first = cow_first(c, r), last = cow_last(c, r);

    LIST_EACH (&c->jobs, node) {
        const struct job *j = container_of(node, struct job, node);

        if (first <= j->last && j->first <= last)
            return true;
    }
    return false;
}

bool cow_needs_job(const struct cow *c, const struct store_req *r)
{
    uint64_t first = cow_first(c, r), end = cow_last(c, r) + 1;

    if (is_range(r) || (r->flags & STORE_FUA && cow_is_on_file(c)))
        return true;
    return bitmap_count(c->ours, first, end) < end - first ||
           bitmap_count(c->taken, first, end) < end - first;
}

/* ---- which blocks take room ---- */

/* Those that will hold more than zeros after r: all, or of a range that is
 * zeroed those at its ends that are not whole. Half-open, at most two. */
struct takers {
    uint64_t from[2], to[2];
};

static struct takers takers_of(const struct cow *c, const struct store_req *r)
{
    uint64_t first = cow_first(c, r), last = cow_last(c, r);
    uint64_t end = r->offset + r->len;
    struct takers t = {{first, last}, {first, last}}; /* none */

    if (!is_range(r)) {
        t.to[0] = t.from[1] = t.to[1] = last + 1;
        return t;
    }
    t.to[0] += r->offset > first << c->shift;
    t.to[1] += end < MIN((last + 1) << c->shift, c->filter.store.info.size);
    if (first == last && t.to[0] > first)
        t.to[1] = last; /* it is one block */
    return t;
}

static uint64_t count_new(const struct cow *c, const struct store_req *r)
{
    struct takers t = takers_of(c, r);
    uint64_t num = 0;

    for (unsigned i = 0; i < 2; i++)
        num += t.to[i] - t.from[i] - bitmap_count(c->taken, t.from[i], t.to[i]);
    return num;
}

static bool reserve(struct cow *c, struct job *j)
{
    j->reserved = count_new(c, j->r);
    if (c->conf->max_memory && j->reserved &&
        c->num_taken + c->num_reserved + j->reserved > c->max_taken) {
        log_limited(&c->limit, LOG_ERROR, c->filter.store.id,
                    "cow: the overlay has %" PRIu64 " bytes, and no more is "
                    "allowed (max_memory): writing fails",
                    c->num_taken << c->shift);
        return false;
    }
    c->num_reserved += j->reserved;
    return true;
}

static void settle(struct job *j)
{
    struct cow *c = cow_at(j->c);
    struct takers t = takers_of(c, j->r);

    c->num_reserved -= j->reserved;
    if (j->result < 0)
        return;
    if (is_range(j->r))
        cow_set_taken(c, j->first, j->last + 1, false);
    for (unsigned i = 0; i < 2; i++)
        cow_set_taken(c, t.from[i], t.to[i], true);
    cow_set_ours(c, j->first, j->last + 1, true);
}

/* ---- steps ---- */

static void free_job(struct job *j)
{
    free(j->copy);
    free(j);
}

static void job_over(struct job *j)
{
    struct cow *c = cow_at(j->c);
    struct store_req *r = j->r;
    int result = j->result;

    settle(j);
    list_del(&j->node);
    j->flushes = result == 0 && r->flags & STORE_FUA && cow_is_on_file(c);
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
    cow_retry(c);
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

/* ---- the beginning ---- */

static void measure(const struct cow *c, struct job *j)
{
    uint64_t size = c->filter.store.info.size;
    uint64_t end = j->r->offset + j->r->len;

    if (!bitmap_has(c->ours, j->first))
        j->head = j->r->offset - (j->first << c->shift);
    if (!bitmap_has(c->ours, j->last))
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
    j->first = cow_first(cow, r);
    j->last = cow_last(cow, r);
    measure(cow, j);
    if (j->head + j->tail)
        j->copy = malloc(j->head + j->tail);
    if (j->head + j->tail && !j->copy) {
        free(j);
        return NULL;
    }
    return j;
}

int cow_start_job(struct cow_channel *c, struct store_req *r)
{
    struct job *j = make_job(c, r);
    int rc;

    r->result = j && !reserve(cow_at(c), j) ? -ENOSPC : j ? 0 : -ENOMEM;
    if (r->result < 0) {
        if (j)
            free_job(j);
        return STORE_DONE;
    }
    list_add(&cow_at(c)->jobs, &j->node);
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
