/* From descriptors to pieces of host memory.
 *
 * A descriptor is a guest address and a length; what a device wants is host
 * addresses. Plain chains are built by the short way of ring_impl.h. Here is
 * the long one: ranges that cross regions, chains of many pieces, tables in
 * several, everything a guest can get wrong; and the copies that make a
 * chain's layout nobody's business. */
#include <stdlib.h>
#include <string.h>

#include "base/iov.h"
#include "virtio/dirty.h"
#include "virtio/ring_impl.h"

/* ---- pieces ---- */

/* Every descriptor a piece, and some cut by region borders. */
static unsigned room_max(const struct ring *r)
{
    unsigned max = 2u * r->chain_max + MEM_REGIONS_MAX;

    return MIN(max, (unsigned)UINT16_MAX);
}

static bool grow(struct ring *r, struct chain *c)
{
    unsigned room = MIN(4 * c->iov_room, room_max(r));
    bool few = c->iov == c->iov_few;
    struct iovec *iov;

    if (room <= c->iov_room)
        return ring_fail(r, "a descriptor chain has too many pieces");
    iov = realloc(few ? NULL : c->iov, room * sizeof(*iov));
    if (!iov)
        return ring_fail(r, "there is no memory for a descriptor chain");
    if (few)
        memcpy(iov, c->iov_few, sizeof(c->iov_few));
    c->iov = iov; /* kept until the ring closes: such chains come again */
    c->iov_room = (uint16_t)room;
    return true;
}

static bool add_piece(struct ring *r, struct chain *c, uint8_t *host,
                      uint64_t len, bool write)
{
    unsigned n = c->out_num + c->in_num;
    struct iovec *last = n ? &c->iov[n - 1] : NULL;
    bool same = write ? c->in_num > 0 : n > 0;

    if (same && (uint8_t *)last->iov_base + last->iov_len == host) {
        last->iov_len += len;
        return true;
    }
    if (n >= c->iov_room && !grow(r, c))
        return false;
    c->iov[n] = (struct iovec){host, len};
    if (write)
        c->in_num++;
    else
        c->out_num++;
    return true;
}

bool chain_add(struct ring *r, struct chain *c, const struct ring_desc *d)
{
    bool write = d->flags & VRING_DESC_F_WRITE;
    uint64_t addr = d->addr, left = d->len;

    c->total++;
    if (!write && c->in_num)
        return ring_fail(r, "a readable descriptor follows a writable one");
    while (left > 0) {
        struct iovec piece;
        const struct mem *mem = r->map->mem;
        int n = mem_map(mem, &r->hint, addr, 1, &piece, 1);
        uint64_t here;

        if (n < 0)
            return ring_fail_outside(
                r, "a descriptor points outside guest memory");
        /* mem_map has set the hint to the region of addr. */
        here = mem->regions[r->hint.region].gpa +
               mem->regions[r->hint.region].len - addr;
        here = MIN(here, left);
        if (!add_piece(r, c, piece.iov_base, here, write))
            return false;
        addr += here; /* cannot wrap: no region does */
        left -= here;
    }
    if (write)
        c->in_len += d->len;
    else
        c->out_len += d->len;
    return true;
}

bool chain_check(struct ring *r, const struct chain *c)
{
    if (c->out_len + c->in_len > UINT32_MAX)
        return ring_fail(r, "a descriptor chain is longer than 4 GiB");
    return true;
}

void chain_fini(struct chain *c)
{
    if (c->iov != c->iov_few)
        free(c->iov);
    c->iov = c->iov_few;
}

/* ---- indirect tables ---- */

/* Where the table lies, if in one piece; else it is fetched entry by entry:
 * an entry may even straddle two regions. */
struct table {
    const uint8_t *host;
    uint64_t addr;
};

static bool table_fetch(struct ring *r, const struct table *t, unsigned i,
                        uint64_t word[2])
{
    struct iovec piece[16];
    uint8_t bytes[16];
    size_t at = 0;
    int n;

    if (t->host != NULL) {
        word[0] = load_u64(t->host + 16 * (size_t)i);
        word[1] = load_u64(t->host + 16 * (size_t)i + 8);
        return true;
    }
    n = mem_map(r->map->mem, &r->hint, t->addr + 16 * (uint64_t)i, 16, piece,
                ARRAY_LEN(piece));
    if (n < 0)
        return ring_fail_outside(
            r, "an indirect descriptor table lies outside guest memory");
    for (int k = 0; k < n; k++) {
        memcpy(bytes + at, piece[k].iov_base, piece[k].iov_len);
        at += piece[k].iov_len;
    }
    word[0] = load_u64(bytes);
    word[1] = load_u64(bytes + 8);
    return true;
}

static bool table_open(struct ring *r, struct table *t, uint64_t addr,
                       uint32_t len)
{
    uint64_t end;

    if (len == 0 || len % 16)
        return ring_fail(r, "the length of an indirect descriptor table is "
                            "not a multiple of 16");
    if (!add_u64(addr, len, &end))
        return ring_fail_outside(
            r, "an indirect descriptor table lies outside guest memory");
    t->addr = addr;
    t->host = mem_hit(r->map->mem, &r->hint, addr, len);
    if (!t->host) {
        /* Perhaps only the hint was wrong. */
        struct iovec piece[2];
        int n = mem_map(r->map->mem, &r->hint, addr, len, piece, 2);

        if (n == 1)
            t->host = piece[0].iov_base;
    }
    return true;
}

bool chain_add_split_table(struct ring *r, struct chain *c, uint64_t addr,
                           uint32_t len, unsigned before)
{
    unsigned count = len / 16, i = 0;
    struct table t;

    if (!table_open(r, &t, addr, len))
        return false;
    for (unsigned n = before + 1;; n++) {
        struct ring_desc d;
        uint64_t word[2] = {0, 0};

        /* A loop in the table ends here too. */
        if (n > r->chain_max)
            return ring_fail(r, "a descriptor chain has too many descriptors, "
                                "or is a loop");
        if (!table_fetch(r, &t, i, word))
            return false;
        d = split_desc(word[0], word[1]);
        if (d.flags & VRING_DESC_F_INDIRECT)
            return ring_fail(r, "an indirect descriptor table holds another");
        if (!chain_add(r, c, &d))
            return false;
        if (!(d.flags & VRING_DESC_F_NEXT))
            return true;
        i = d.next;
        if (i >= count)
            return ring_fail(r, "a descriptor chain leaves its indirect "
                                "table");
    }
}

bool chain_add_packed_table(struct ring *r, struct chain *c, uint64_t addr,
                            uint32_t len)
{
    unsigned count = len / 16;
    struct table t;

    if (!table_open(r, &t, addr, len))
        return false;
    if (count > r->chain_max)
        return ring_fail(r, "an indirect descriptor table is too long");
    for (unsigned i = 0; i < count; i++) {
        struct ring_desc d;
        uint64_t word[2] = {0, 0};

        if (!table_fetch(r, &t, i, word))
            return false;
        /* Of the flags only WRITE means something here: virtio, "Indirect
         * Flag: Scatter-Gather Support". */
        d = packed_desc(word[0], word[1]);
        if (!chain_add(r, c, &d))
            return false;
    }
    return true;
}

/* ---- the dirty log ---- */

void chain_mark_dirty(struct chain *c)
{
    const struct mem *mem = c->map->mem;

    for (unsigned i = 0; i < c->in_num; i++) {
        const struct iovec *v = &c->iov[c->out_num + i];
        const uint8_t *host = v->iov_base;
        uint64_t left = v->iov_len;

        /* Neighbours in our memory may not be neighbours in the guest's. */
        while (left > 0) {
            const struct mem_region *g = mem_region_of(mem, host);
            uint64_t offset = (uint64_t)(host - g->host);
            uint64_t here = MIN(left, g->len - offset);

            dirty_mark(c->ring->dirty, g->gpa + offset, here);
            host += here;
            left -= here;
        }
    }
}

/* ---- copies ---- */

/* A header or a status lies in one piece, at either end, nearly always. NULL:
 * it does not. */
static uint8_t *in_one(const struct iovec *iov, unsigned num, uint64_t total,
                       uint64_t offset, size_t len)
{
    const struct iovec *last = iov + num - 1;
    uint64_t before;

    if (num == 0)
        return NULL;
    if (offset < iov->iov_len && len <= iov->iov_len - offset)
        return (uint8_t *)iov->iov_base + offset;
    before = total - last->iov_len;
    if (offset >= before && offset < total && len <= total - offset)
        return (uint8_t *)last->iov_base + (offset - before);
    return NULL;
}

size_t chain_read(const struct chain *c, uint64_t offset, void *buf, size_t len)
{
    const uint8_t *at = in_one(c->iov, c->out_num, c->out_len, offset, len);

    if (UNLIKELY(!at))
        return iov_read(c->iov, c->out_num, offset, buf, len);
    memcpy(buf, at, len);
    return len;
}

size_t chain_write(const struct chain *c, uint64_t offset, const void *buf,
                   size_t len)
{
    const struct iovec *iov = c->iov + c->out_num;
    uint8_t *at = in_one(iov, c->in_num, c->in_len, offset, len);

    if (UNLIKELY(!at))
        return iov_write(iov, c->in_num, offset, buf, len);
    memcpy(at, buf, len);
    return len;
}
