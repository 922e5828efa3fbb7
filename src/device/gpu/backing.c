/* The guest's pages, resolved and looked up.
 *
 * What guests give is mostly a long list of 4 KiB pages, and what they ask for
 * is mostly rows of a small rectangle: each a few pieces behind the one before.
 * So a search goes on from where the last one ended: the next few pieces, then
 * in steps that double. Only the first one, or one that goes backwards, halves
 * the whole list.
 *
 * Pieces are counted before they are written: a list that the guest's memory
 * has in one row needs one, and a range that crosses regions needs more than
 * one per entry. */
#include "device/gpu/backing.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where regions meet, an entry is cut in two. Regions are much larger than
 * pictures, so that is seldom, and of entries that do not overlap it is once
 * for each such place; those that do are no guest's who means well. With so
 * many for each of RESOURCES_MAX it is no more than a few megabytes, and no
 * long turn of the loop when the map is another. */
#define CUTS_MAX 32

/* Writes the pieces if `pieces` is not NULL, and how many there are to *num,
 * without the end. */
static int walk(const struct backing *b, const struct mem *mem,
                struct backing_piece *pieces, uint32_t *num)
{
    struct iovec iov[MEM_REGIONS_MAX];
    struct mem_hint hint = {0};
    const uint8_t *end = NULL;
    uint64_t at = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < b->num_entries; i++) {
        const struct backing_entry *e = &b->entries[i];
        int got = mem_map(mem, &hint, e->gpa, e->len, iov, (int)ARRAY_LEN(iov));

        if (got < 0)
            return -EFAULT;
        for (int k = 0; k < got; k++) {
            uint8_t *host = iov[k].iov_base;

            if (n == 0 || host != end) {
                if (n == b->num_entries + CUTS_MAX)
                    return -ENOMEM;
                if (pieces)
                    pieces[n] = (struct backing_piece){host, at};
                n++;
            }
            end = host + iov[k].iov_len;
            at += iov[k].iov_len;
        }
    }
    if (pieces)
        pieces[n] = (struct backing_piece){NULL, at};
    *num = n;
    return 0;
}

/* Points into no map. */
static void let_go(struct backing *b)
{
    free(b->pieces);
    mem_unref(b->mem);
    b->pieces = NULL;
    b->num_pieces = 0;
    b->mem = NULL;
}

int backing_resolve(struct backing *b, struct mem *mem)
{
    struct backing_piece *pieces;
    uint32_t num;
    int rc;

    let_go(b);
    if (!mem || !b->attached)
        return 0;
    rc = walk(b, mem, NULL, &num);
    if (rc < 0)
        return rc;
    pieces = malloc((num + (size_t)1) * sizeof(*pieces));
    if (!pieces)
        return -ENOMEM;
    walk(b, mem, pieces, &num); /* as before: entries and map are the same */
    b->pieces = pieces;
    b->num_pieces = num;
    b->mem = mem_ref(mem);
    return 0;
}

int backing_attach(struct backing *b, struct backing_entry *entries,
                   uint32_t num, struct mem *mem)
{
    int rc;

    assert(!b->attached);
    *b = (struct backing){
        .entries = entries,
        .num_entries = num,
        .attached = true,
    };
    for (uint32_t i = 0; i < num; i++)
        b->len += entries[i].len; /* fits: 32 bits each */
    rc = backing_resolve(b, mem);
    if (rc < 0)
        backing_detach(b);
    return rc;
}

void backing_detach(struct backing *b)
{
    let_go(b);
    free(b->entries);
    *b = (struct backing){0};
}

/* The last piece of [from, to) that does not begin behind offset; that at
 * `from` does not. */
static uint32_t halve(const struct backing_piece *p, uint32_t from, uint32_t to,
                      uint64_t offset)
{
    while (to - from > 1) {
        uint32_t mid = from + (to - from) / 2;

        if (p[mid].at <= offset)
            from = mid;
        else
            to = mid;
    }
    return from;
}

/* From a piece that does not begin behind offset, in steps that double. */
static uint32_t stride(const struct backing *b, uint32_t from, uint64_t offset)
{
    const struct backing_piece *p = b->pieces;
    uint32_t step = 1;

    while (step < b->num_pieces - from && p[from + step].at <= offset) {
        from += step;
        step *= 2;
    }
    return halve(p, from, from + MIN(step, b->num_pieces - from), offset);
}

#define NEAR 3

/* Inside this file, where it is called per row. */
static inline uint8_t *find(const struct backing *b, struct backing_at *at,
                            uint64_t offset, uint64_t *len)
{
    uint32_t i = at->piece;
    const struct backing_piece *p = b->pieces;

    if (UNLIKELY(i >= b->num_pieces || offset < p[i].at)) {
        i = halve(p, 0, b->num_pieces, offset);
    } else {
        /* The last piece ends where all do, so this stops at it. */
        for (unsigned n = 0; n < NEAR && p[i + 1].at <= offset; n++)
            i++;
        if (UNLIKELY(p[i + 1].at <= offset))
            i = stride(b, i, offset);
    }
    at->piece = i;
    *len = p[i + 1].at - offset;
    return p[i].host + (offset - p[i].at);
}

uint8_t *backing_find(const struct backing *b, struct backing_at *at,
                      uint64_t offset, uint64_t *len)
{
    assert(offset < b->len && b->mem);
    return find(b, at, offset, len);
}

/* What the next piece begins with no processor guesses, so it is asked for
 * while this one is copied: a page, which is what most pieces are. */
#define AHEAD_BYTES 4096u
#define LINE_BYTES 64u

/* No more of p than there is of it: it may be a byte. */
static inline void ask_for(const struct backing_piece *p, uint64_t len)
{
    uint64_t end = MIN(MIN(len, p[1].at - p->at), AHEAD_BYTES);

    for (uint64_t i = 0; i < end; i += LINE_BYTES)
        __builtin_prefetch(p->host + i);
}

uint32_t backing_read(const struct backing *b, struct backing_at *at,
                      uint64_t offset, void *to, uint64_t len)
{
    uint32_t pieces = 0;
    uint8_t *out = to;

    assert(b->mem && offset <= b->len && len <= b->len - offset);
    while (len > 0) {
        uint64_t here;
        const uint8_t *from = find(b, at, offset, &here);

        if (here < len)
            ask_for(&b->pieces[at->piece + 1], len - here);
        here = MIN(here, len);
        memcpy(out, from, here);
        out += here;
        offset += here;
        len -= here;
        pieces++;
    }
    return pieces;
}
