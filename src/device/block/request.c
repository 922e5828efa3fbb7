/* Requests: from the ring to the store and back.
 *
 * A chain is a byte stream to read and one to write, cut into pieces as the
 * guest likes: the header is the first 16 bytes of the one, the status byte
 * the last of the other, and what is left is data. Mostly that is a piece
 * each, and the pieces between are handed to the store as they are. If header
 * or status share a piece with data, that piece is cut for the time of the
 * request, and put back before chain_done, which needs it whole.
 *
 * The header is copied out once, so that what was checked is what is done. A
 * chain with no room for a status byte cannot be answered: its request is not
 * done, and the chain goes back with nothing written.
 *
 * They come in groups (virtio/turn.h). The store does the work of one in one
 * go, when it is kicked; then what is done is shown, for a guest that polls. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "device/block/impl.h"
#include "virtio/turn.h"

void block_answer(struct block_ring *b, struct block_req *r, uint8_t status)
{
    struct chain *c = chain_of_priv(r);
    const struct iovec *last;

    if (UNLIKELY(r->store.user & BLOCK_CUT))
        *r->at = r->was;
    stat_add(&b->stats.requests[r->store.user & ~BLOCK_CUT], 1);
    if (UNLIKELY(status != VIRTIO_BLK_S_OK))
        stat_add(&b->stats.errors, 1);
    if (UNLIKELY(c->in_len == 0)) {
        chain_done(c, 0);
        return;
    }
    last = &c->iov[c->out_num + c->in_num - 1];
    *((volatile uint8_t *)last->iov_base + last->iov_len - 1) = status;
    /* Up to the status byte, whether the data before it is written or not:
     * the dirty log goes by this. */
    chain_done(c, (uint32_t)MIN(c->in_len, UINT32_MAX));
}

static void log_failure(struct block_ring *b, const struct store_req *s)
{
    if (s->op == STORE_FLUSH)
        log_limited(&b->limit, LOG_ERROR, b->block->device.id,
                    "flushing failed: %s", strerror(-s->result));
    else
        log_limited(&b->limit, LOG_ERROR, b->block->device.id,
                    "%s %" PRIu64 " bytes at %" PRIu64 " failed: %s",
                    store_op_name(s->op), s->len, s->offset,
                    strerror(-s->result));
}

void block_answer_result(struct block_ring *b, struct block_req *r)
{
    const struct store_req *s = &r->store;

    if (UNLIKELY(s->result < 0)) {
        if (s->result == STORE_BREAKS_RING)
            ring_break(chain_of_priv(r)->ring,
                       "its store was told to break it");
        log_failure(b, s);
        block_answer(b, r, VIRTIO_BLK_S_IOERR);
        return;
    }
    if (s->op == STORE_READ)
        stat_add(&b->stats.bytes_read, s->len);
    else if (s->op == STORE_WRITE)
        stat_add(&b->stats.bytes_written, s->len);
    block_answer(b, r, VIRTIO_BLK_S_OK);
}

static void on_done(struct store_req *s)
{
    struct block_req *r = container_of(s, struct block_req, store);

    block_answer_result(chain_of_priv(r)->ring->user, r);
}

/* Cuts a piece of the chain; block_answer puts it back. */
static struct iovec *cut(struct block_req *r, struct iovec *at)
{
    r->store.user |= BLOCK_CUT;
    r->at = at;
    r->was = *at;
    return at;
}

/* The data of a request from the device: all of the in part but its last
 * byte. */
static void find_in_data(struct chain *c, struct block_req *r)
{
    struct iovec *last = &c->iov[c->out_num + c->in_num - 1];

    r->store.iov = c->iov + c->out_num;
    r->store.iov_num = c->in_num;
    r->store.len = c->in_len - 1;
    if (LIKELY(last->iov_len == 1))
        r->store.iov_num--;
    else
        cut(r, last)->iov_len--;
}

/* The data of a request to the device: the out part behind the header. */
static void find_out_data(struct chain *c, struct block_req *r)
{
    size_t skip = sizeof(struct virtio_blk_req_head);
    int i = 0;

    while (i < c->out_num && skip >= c->iov[i].iov_len)
        skip -= c->iov[i++].iov_len;
    r->store.iov = c->iov + i;
    r->store.iov_num = c->out_num - i;
    r->store.len = c->out_len - sizeof(struct virtio_blk_req_head);
    if (UNLIKELY(skip)) {
        struct iovec *v = cut(r, &c->iov[i]);

        v->iov_base = (char *)v->iov_base + skip;
        v->iov_len -= skip;
    }
}

static void submit(struct block_ring *b, struct block_req *r)
{
    r->store.done = on_done;
    r->store.owner = b;
    if (store_submit(b->ch, &r->store) == STORE_DONE)
        block_answer_result(b, r);
}

/* A read or write, its data found. */
static void transfer(struct block_ring *b, struct block_req *r, uint64_t sector)
{
    const struct block *d = b->block;
    uint64_t sectors = __atomic_load_n(&d->sectors, __ATOMIC_RELAXED);

    if (UNLIKELY(sector > sectors ||
                 r->store.len / VIRTIO_BLK_SECTOR_BYTES > sectors - sector))
        goto bad;
    r->store.offset = sector * VIRTIO_BLK_SECTOR_BYTES;
    if (UNLIKELY((r->store.offset | r->store.len) & d->block_mask))
        goto bad;
    submit(b, r);
    return;
bad:
    block_answer(b, r, VIRTIO_BLK_S_IOERR);
}

static void get_id(struct block_ring *b, struct chain *c, struct block_req *r)
{
    chain_write(c, 0, b->block->id,
                MIN(c->in_len - 1, (uint64_t)VIRTIO_BLK_ID_BYTES));
    block_answer(b, r, VIRTIO_BLK_S_OK);
}

/* Everything that is no read, no write. */
static void other(struct block_ring *b, struct chain *c, struct block_req *r,
                  uint32_t type)
{
    const struct block *d = b->block;

    switch (type) {
    case VIRTIO_BLK_T_FLUSH:
        r->store.user = BLOCK_STAT_FLUSH;
        if (UNLIKELY(__atomic_load_n(&d->lost, __ATOMIC_RELAXED)) &&
            __atomic_exchange_n(&b->block->lost, false, __ATOMIC_RELAXED))
            break;
        r->store.op = STORE_FLUSH;
        r->store.flags = 0;
        r->store.offset = r->store.len = 0;
        submit(b, r);
        return;
    case VIRTIO_BLK_T_GET_ID:
        r->store.user = BLOCK_STAT_GET_ID;
        get_id(b, c, r);
        return;
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        r->store.user =
            type == VIRTIO_BLK_T_DISCARD ? BLOCK_STAT_DISCARD : BLOCK_STAT_ZERO;
        if (d->read_only)
            break;
        if (type == VIRTIO_BLK_T_DISCARD ? d->can_discard : d->can_zero)
            block_ranges_start(b, c, r, type == VIRTIO_BLK_T_WRITE_ZEROES);
        else
            block_answer(b, r, VIRTIO_BLK_S_UNSUPP);
        return;
    default:
        block_answer(b, r, VIRTIO_BLK_S_UNSUPP);
        return;
    }
    block_answer(b, r, VIRTIO_BLK_S_IOERR);
}

/* Is the data in more pieces than seg_max allows? Header and status are a
 * descriptor each, and a header that is cut has more. */
static bool is_scattered(const struct block_ring *b, const struct chain *c)
{
    size_t left = sizeof(struct virtio_blk_req_head);
    unsigned most = b->descs_max;

    for (int i = 0; i < c->out_num && c->iov[i].iov_len < left; i++, most++)
        left -= c->iov[i].iov_len;
    return c->total > most;
}

static void handle(struct block_ring *b, struct chain *c)
{
    struct block_req *r = chain_priv(c);
    struct virtio_blk_req_head head;
    uint32_t type;

    r->store.user = BLOCK_STAT_OTHER;
    if (UNLIKELY(c->in_len == 0)) {
        log_limited(&b->limit, LOG_WARN, b->block->device.id,
                    "ring %u: a request has no room for its status: it is "
                    "given back undone",
                    c->ring->index);
        block_answer(b, r, VIRTIO_BLK_S_IOERR);
        return;
    }

    if (UNLIKELY(c->total > b->descs_max) && is_scattered(b, c)) {
        block_answer(b, r, VIRTIO_BLK_S_IOERR);
        return;
    }
    if (LIKELY(c->out_num && c->iov[0].iov_len >= sizeof(head))) {
        memcpy(&head, c->iov[0].iov_base, sizeof(head));
    } else if (chain_read(c, 0, &head, sizeof(head)) < sizeof(head)) {
        block_answer(b, r, VIRTIO_BLK_S_IOERR);
        return;
    }
    type = le32toh(head.type);
    if (LIKELY(type == VIRTIO_BLK_T_IN)) {
        r->store.user = BLOCK_STAT_READ;
        r->store.op = STORE_READ;
        r->store.flags = 0;
        find_in_data(c, r);
        transfer(b, r, le64toh(head.sector));
        return;
    }
    if (LIKELY(type == VIRTIO_BLK_T_OUT)) {
        r->store.user = BLOCK_STAT_WRITE;
        if (UNLIKELY(b->block->read_only)) {
            block_answer(b, r, VIRTIO_BLK_S_IOERR);
            return;
        }
        r->store.op = STORE_WRITE;
        r->store.flags =
            __atomic_load_n(&b->block->write_through, __ATOMIC_RELAXED)
                ? STORE_FUA
                : 0;
        find_out_data(c, r);
        transfer(b, r, le64toh(head.sector));
        return;
    }
    other(b, c, r, type);
}

void block_ring_kick(struct device *d, struct ring *q)
{
    struct block_ring *b = q->user;
    struct ring_turn turn;
    unsigned n;

    (void)d;
    ring_turn_begin(&turn, q, false);
    while ((n = ring_turn_next(&turn)) > 0) {
        for (unsigned i = 0; i < n; i++)
            handle(b, turn.group[i]);
        turn.bytes += b->range_bytes;
        b->range_bytes = 0;
        ring_turn_ahead(&turn);
        store_kick(b->ch);
    }
}
