/* The dirty log: a bitmap in a file of the front-end's.
 *
 * Mark after the write, not before: the front-end clears a bit, then copies
 * the page. A bit set before our write could be cleared, and the page copied,
 * before it; nothing would ever send the new bytes. The locked instruction
 * that sets a bit also keeps it behind the writes. A bit found set is set
 * again for the same reason: it may be about to be cleared. */
#include "virtio/dirty.h"

#include <errno.h>
#include <stdlib.h>

#include "os/memory.h"

#define PAGES_PER_BYTE 8

struct dirty {
    unsigned refs; /* atomic */
    struct memory memory;
    uint64_t pages; /* that have a bit */
};

int dirty_open(struct dirty **out, int fd, uint64_t size, uint64_t offset,
               struct err *e)
{
    struct dirty *d;
    int rc;

    /* So many pages cover every address there is. */
    if (size > UINT64_MAX / DIRTY_PAGE_BYTES / PAGES_PER_BYTE)
        return err_set(e, -EINVAL, "", "the dirty log is impossibly large");
    d = calloc(1, sizeof(*d));
    if (!d)
        return err_nomem(e);
    rc = memory_map(&d->memory, fd, offset, size, e);
    if (rc < 0) {
        free(d);
        return rc;
    }
    d->refs = 1;
    d->pages = size * PAGES_PER_BYTE;
    *out = d;
    return 0;
}

struct dirty *dirty_ref(struct dirty *d)
{
    __atomic_fetch_add(&d->refs, 1, __ATOMIC_RELAXED);
    return d;
}

void dirty_unref(struct dirty *d)
{
    if (!d || __atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    memory_unmap(&d->memory);
    free(d);
}

uint64_t dirty_end(const struct dirty *d)
{
    return d->pages * DIRTY_PAGE_BYTES;
}

bool dirty_poisoned(const struct dirty *d)
{
    return memory_any_poisoned() && memory_is_poisoned(&d->memory);
}

void dirty_mark(struct dirty *d, uint64_t gpa, uint64_t len)
{
    uint64_t page = gpa / DIRTY_PAGE_BYTES, last;

    if (len == 0 || page >= d->pages)
        return;
    if (!add_u64(gpa, len - 1, &last))
        last = UINT64_MAX;
    last = MIN(last / DIRTY_PAGE_BYTES, d->pages - 1);
    while (page <= last) {
        uint64_t byte = page / PAGES_PER_BYTE;
        unsigned from = page % PAGES_PER_BYTE;
        unsigned count = (unsigned)MIN(PAGES_PER_BYTE - from, last - page + 1);

        __atomic_fetch_or(&d->memory.at[byte],
                          (uint8_t)(((1u << count) - 1) << from),
                          __ATOMIC_SEQ_CST);
        page += count;
    }
}
