/* DISCARD and WRITE_ZEROES: a request with a list of ranges.
 *
 * The list is copied out of guest memory once and checked as a whole before
 * the first range is done; then the ranges are done one after the other. */
#include <stdlib.h>

#include "device/block/impl.h"

struct range {
    uint64_t offset, len; /* bytes */
    bool unmap;
};

struct block_ranges {
    int num, next;
    struct range list[BLOCK_RANGES_MAX];
};

static void finish(struct block_req *r)
{
    free(r->ranges);
    r->ranges = NULL;
}

static void on_done(struct store_req *s);

/* Ranges until one is pending (false), or all are done or one failed. */
static bool go(struct block_ring *b, struct block_req *r)
{
    struct block_ranges *ranges = r->ranges;
    bool through = __atomic_load_n(&b->block->write_through, __ATOMIC_RELAXED);

    for (; ranges->next < ranges->num; ranges->next++) {
        const struct range *range = &ranges->list[ranges->next];

        if (UNLIKELY(b->cancelled)) {
            r->store.result = -EIO;
            break;
        }
        r->store.offset = range->offset;
        r->store.len = range->len;
        r->store.flags = b->draining ? STORE_HURRY : 0;
        if (r->store.op == STORE_ZERO)
            r->store.flags |=
                (range->unmap ? STORE_UNMAP : 0) | (through ? STORE_FUA : 0);
        if (store_submit(b->ch, &r->store) == STORE_PENDING)
            return false;
        if (r->store.result < 0)
            break;
        b->range_bytes += range->len; /* a turn is bounded in these, too */
    }
    return true;
}

static void on_done(struct store_req *s)
{
    struct block_req *r = container_of(s, struct block_req, store);
    struct block_ring *b = chain_of_priv(r)->ring->user;

    r->ranges->next++;
    if (s->result == 0 && !go(b, r)) {
        store_kick(b->ch);
        return;
    }
    finish(r);
    block_answer_result(b, r);
}

/* VIRTIO_BLK_S_* for a range as the guest wrote it. */
static uint8_t check(const struct block *d, const struct virtio_blk_range *from,
                     bool zero, struct range *to)
{
    uint64_t sector = le64toh(from->sector);
    uint32_t num = le32toh(from->num_sectors);
    uint32_t flags = le32toh(from->flags);
    uint64_t sectors = __atomic_load_n(&d->sectors, __ATOMIC_RELAXED);

    if (flags & ~(zero ? VIRTIO_BLK_RANGE_F_UNMAP : 0u))
        return VIRTIO_BLK_S_UNSUPP;
    if (num > (zero ? BLOCK_ZERO_MAX_SECTORS : BLOCK_DISCARD_MAX_SECTORS) ||
        sector > sectors || num > sectors - sector)
        return VIRTIO_BLK_S_IOERR;
    to->offset = sector * VIRTIO_BLK_SECTOR_BYTES;
    to->len = (uint64_t)num * VIRTIO_BLK_SECTOR_BYTES;
    to->unmap = flags & VIRTIO_BLK_RANGE_F_UNMAP;
    if ((to->offset | to->len) & d->block_mask)
        return VIRTIO_BLK_S_IOERR;
    return VIRTIO_BLK_S_OK;
}

void block_ranges_start(struct block_ring *b, struct chain *c,
                        struct block_req *r, bool zero)
{
    struct virtio_blk_range list[BLOCK_RANGES_MAX];
    uint64_t len = c->out_len - sizeof(struct virtio_blk_req_head);
    uint8_t status = VIRTIO_BLK_S_IOERR;

    r->ranges = NULL;
    if (len == 0 || len % sizeof(list[0]) || len > sizeof(list))
        goto answer;
    if (chain_read(c, sizeof(struct virtio_blk_req_head), list, len) < len)
        goto answer;
    r->ranges = malloc(sizeof(*r->ranges));
    if (!r->ranges)
        goto answer;
    r->ranges->num = (int)(len / sizeof(list[0]));
    r->ranges->next = 0;
    status = VIRTIO_BLK_S_OK;
    for (int i = 0; i < r->ranges->num; i++) {
        uint8_t s = check(b->block, &list[i], zero, &r->ranges->list[i]);

        status = MAX(status, s); /* an unknown flag, whatever else is wrong */
    }
    if (status != VIRTIO_BLK_S_OK)
        goto answer;
    r->store.op = zero ? STORE_ZERO : STORE_DISCARD;
    r->store.iov = NULL;
    r->store.iov_num = 0;
    r->store.done = on_done;
    r->store.owner = b;
    if (!go(b, r))
        return;
    finish(r);
    block_answer_result(b, r);
    return;
answer:
    finish(r);
    block_answer(b, r, status);
}
