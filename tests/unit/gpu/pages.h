/* tests/unit/gpu/pages.h: a guest's memory: one region from PAGES_GPA on, each
 * word of which says where it lies. */
#ifndef VUB_TESTS_UNIT_GPU_PAGES_H
#define VUB_TESTS_UNIT_GPU_PAGES_H

#include "../virtio/guest.h"
#include "device/gpu/backing.h"

#define PAGE 4096u
#define PAGES_GPA UINT64_C(0x100000)

struct pages {
    int fd;
    uint64_t len;
    uint8_t *at; /* as the guest has it */
    struct mem *mem;
};

/* So many pages. */
struct pages *pages_new(uint32_t num);
/* The same, of the first `num` pages only; one ref. */
struct mem *pages_map(struct pages *p, uint32_t num);
void pages_free(struct pages *p);

/* Numbers that look like chance, and are the same each time. */
uint32_t pages_random(uint32_t below);

/* malloc'ed, of whole pages: in order, or in no order at all. */
struct backing_entry *pages_in_order(uint32_t num);
struct backing_entry *pages_shuffled(uint32_t num);
/* Pieces of all lengths, which may overlap. */
struct backing_entry *pages_odd(const struct pages *p, uint32_t num);
/* All bytes of entries, one after the other, as the guest has them. malloc'ed;
 * *len of them. */
uint8_t *pages_flat(const struct pages *p, const struct backing_entry *e,
                    uint32_t num, uint64_t *len);

#endif
