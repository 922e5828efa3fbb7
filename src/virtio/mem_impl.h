/* virtio/mem_impl.h: the inside of a memory map, for the rings, which
 * translate an address per descriptor and want no call for it. */
#ifndef VUB_VIRTIO_MEM_IMPL_H
#define VUB_VIRTIO_MEM_IMPL_H

#include "virtio/mem.h"

struct mem {
    unsigned refs; /* atomic */
    unsigned count;
    struct mem_tally *tally; /* one ref */
    uint16_t *by_host;       /* [count]: indices of regions, by host address */
    struct mem_region regions[]; /* by gpa; they do not overlap */
};

/* The host address of [gpa, gpa + len) if it lies in the region of the last
 * hit; NULL if it does not, which says nothing. len is not 0. */
static inline uint8_t *mem_hit(const struct mem *m, const struct mem_hint *hint,
                               uint64_t gpa, uint64_t len)
{
    const struct mem_region *r = &m->regions[hint->region];
    uint64_t offset;

    if (__builtin_expect(hint->region >= m->count, 0))
        return NULL;
    offset = gpa - r->gpa; /* huge if gpa is below it */
    if (__builtin_expect(offset >= r->len || len > r->len - offset, 0))
        return NULL;
    return r->host + offset;
}

/* The index of the region that gpa lies in; negative: none. */
int mem_find(const struct mem *m, uint64_t gpa);

#endif
