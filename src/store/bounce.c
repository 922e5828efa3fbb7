/* Bounce buffers: for guest memory that direct I/O cannot use.
 *
 * Direct I/O wants memory, and each piece of it, aligned; a guest may put its
 * buffers anywhere. Such a request goes through a buffer of ours, in pieces
 * of at most BUFFER_BYTES, by a request of our own below it. A guest can have
 * a thousand requests of any length under way, so the buffers of a channel
 * are few, and a request that finds none waits for the next one to be free.
 * There is no read-modify-write: offsets and lengths are whole blocks. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/iov.h"
#include "store/impl.h"

#define BUFFER_BYTES (256 * 1024)
#define BUFFERS_MAX 64 /* under way at once, per channel */
#define BUFFERS_IDLE 4 /* kept when not needed */

struct buffer {
    struct list node; /* in idle or busy */
    struct bounce *bounce;
    struct store_req sub;
    struct iovec whole;      /* of sub: what is used of mem */
    struct store_req *above; /* for whom; above->progress bytes are done */
    bool given_up;           /* no further pieces are sent */
    void *mem;
};

struct bounce {
    struct store_channel *ch;
    struct list idle, busy; /* buffers */
    struct list waiting;    /* requests */
    unsigned total, num_idle;
};

struct bounce *bounce_open(struct store_channel *ch)
{
    struct bounce *b = calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    b->ch = ch;
    list_init(&b->idle);
    list_init(&b->busy);
    list_init(&b->waiting);
    return b;
}

static void buffer_free(struct buffer *buf)
{
    buf->bounce->total--;
    free(buf->mem);
    free(buf);
}

void bounce_close(struct bounce *b)
{
    struct list *node;

    if (!b)
        return;
    assert(list_empty(&b->waiting) && list_empty(&b->busy));
    while ((node = list_pop(&b->idle)) != NULL)
        buffer_free(container_of(node, struct buffer, node));
    assert(b->total == 0);
    free(b);
}

bool bounce_needed(const struct store_info *info, const struct store_req *r)
{
    uintptr_t bits = 0;
    size_t lens = 0;

    if (r->op != STORE_READ && r->op != STORE_WRITE)
        return false;
    for (int i = 0; i < r->iov_num; i++) {
        bits |= (uintptr_t)r->iov[i].iov_base;
        lens |= r->iov[i].iov_len;
    }
    return bits & (info->mem_align - 1) || lens & (info->block_size - 1);
}

/* Copies between the buffer and bytes [from, from + len) of iov. */
static void copy(const struct store_req *r, uint64_t from, char *mem,
                 size_t len)
{
    if (r->op == STORE_READ)
        iov_write(r->iov, r->iov_num, from, mem, len);
    else
        iov_read(r->iov, r->iov_num, from, mem, len);
}

static void on_done(struct store_req *sub);

/* A buffer for r. NULL: none is free, *rc 0; or none can be had, *rc
 * negative. */
static struct buffer *get(struct bounce *b, int *rc)
{
    struct list *node = list_pop(&b->idle);
    struct buffer *buf;

    *rc = 0;
    if (node) {
        b->num_idle--;
        return container_of(node, struct buffer, node);
    }
    if (b->total >= BUFFERS_MAX)
        return NULL;
    buf = calloc(1, sizeof(*buf));
    if (!buf ||
        posix_memalign(&buf->mem, MAX(b->ch->store->info.mem_align, 4096u),
                       BUFFER_BYTES) != 0) {
        free(buf);
        /* Wait for another's, if there is one. */
        *rc = b->total ? 0 : -ENOMEM;
        return NULL;
    }
    buf->bounce = b;
    b->total++;
    return buf;
}

static struct buffer *take(struct bounce *b, struct store_req *r, int *rc)
{
    struct buffer *buf = get(b, rc);

    if (!buf)
        return NULL;
    buf->above = r;
    buf->given_up = false;
    list_add(&b->busy, &buf->node);
    return buf;
}

static void give_back(struct buffer *buf)
{
    struct bounce *b = buf->bounce;

    list_del(&buf->node);
    if (b->num_idle >= BUFFERS_IDLE) {
        buffer_free(buf);
        return;
    }
    b->num_idle++;
    list_add(&b->idle, &buf->node);
}

/* What the piece that is done says about the request. True: go on. */
static bool piece_done(struct buffer *buf)
{
    struct store_req *r = buf->above, *sub = &buf->sub;

    r->result = sub->result;
    if (r->result < 0)
        return false;
    if (r->op == STORE_READ)
        copy(r, r->progress, buf->mem, sub->len);
    r->progress += sub->len;
    if (r->progress == r->len)
        return false;
    if (buf->given_up)
        r->result = -EIO;
    return !buf->given_up;
}

/* Pieces, one after the other, until one is pending. STORE_DONE: the last
 * one is done, or one failed; above->result says. */
static int go(struct buffer *buf)
{
    struct store_req *r = buf->above, *sub = &buf->sub;
    struct store_channel *ch = buf->bounce->ch;

    do {
        buf->whole.iov_base = buf->mem;
        buf->whole.iov_len = MIN(r->len - r->progress, (uint64_t)BUFFER_BYTES);
        if (r->op == STORE_WRITE)
            copy(r, r->progress, buf->mem, buf->whole.iov_len);
        *sub = (struct store_req){
            .op = r->op,
            .flags = r->flags,
            .offset = r->offset + r->progress,
            .len = buf->whole.iov_len,
            .iov = &buf->whole,
            .iov_num = 1,
            .done = on_done,
            .owner = r->owner,
            .channel = ch,
        };
        if (ch->store->ops->submit(ch, sub) == STORE_PENDING) {
            ch->pending++;
            return STORE_PENDING;
        }
    } while (piece_done(buf));
    return STORE_DONE;
}

/* Gives free buffers to those that wait. */
static void serve_waiting(struct bounce *b)
{
    while (!list_empty(&b->waiting)) {
        struct store_req *r =
            container_of(b->waiting.next, struct store_req, node);
        int rc;
        struct buffer *buf = take(b, r, &rc);

        if (!buf && rc == 0)
            return;
        list_del(&r->node);
        if (buf) {
            if (go(buf) == STORE_PENDING)
                continue;
            give_back(buf);
            rc = r->result;
        }
        store_complete(r, rc);
    }
}

static void on_done(struct store_req *sub)
{
    struct buffer *buf = container_of(sub, struct buffer, sub);
    struct bounce *b = buf->bounce;
    struct store_req *r = buf->above;

    if (piece_done(buf) && go(buf) == STORE_PENDING) {
        /* Nobody else ends this batch. */
        store_kick(b->ch);
        return;
    }
    give_back(buf);
    store_complete(r, r->result);
    serve_waiting(b);
    store_kick(b->ch);
}

int bounce_submit(struct bounce *b, struct store_req *r)
{
    int rc;
    struct buffer *buf = list_empty(&b->waiting) ? take(b, r, &rc) : NULL;

    if (!buf) {
        if (list_empty(&b->waiting) && rc < 0) {
            r->result = rc;
            return STORE_DONE;
        }
        list_add(&b->waiting, &r->node);
        return STORE_PENDING;
    }
    rc = go(buf);
    if (rc == STORE_DONE)
        give_back(buf);
    return rc;
}

void bounce_give_up(struct bounce *b, const void *owner)
{
    LIST_EACH (&b->busy, node) {
        struct buffer *buf = container_of(node, struct buffer, node);

        if (buf->above->owner == owner)
            buf->given_up = true;
    }
    store_give_up(&b->waiting, owner);
}
