/* virtio/mem.h: where guest memory lies in our process.
 *
 * Spec: vhost-user, "Memory regions description".
 * A map is built whole and never changes; SET_MEM_TABLE, ADD_MEM_REG and
 * REM_MEM_REG build another, which shares the mappings that stay.
 * A ring counts its requests per map and drops a map when none is left.
 * Threads: any may read. Owner: the vhost session and the rings, by ref. */
#ifndef VUB_VIRTIO_MEM_H
#define VUB_VIRTIO_MEM_H

#include <sys/uio.h>

#include "base/base.h"
#include "base/err.h"

#define MEM_REGIONS_MAX 509
/* Of all maps of a front-end together. Each costs the process a file and an
 * area of its address space, which all devices have in common, and a map lives
 * as long as there are requests from its time. */
#define MEM_MAPPINGS_MAX (2 * MEM_REGIONS_MAX)

struct mem;

struct mem_region_conf {
    uint64_t gpa, len, uva; /* bytes; uva: the front-end's address */
    uint64_t offset;        /* of the region in its file */
};

/* One region in a map; sorted by gpa. */
struct mem_region {
    uint64_t gpa, len, uva;
    uint8_t *host; /* of gpa */
    struct mem_mapping *mapping;
};

/* Which region was hit last: one per thread, zero is a good start. */
struct mem_hint {
    unsigned region;
};

/* An empty map, one ref, for a front-end. NULL: out of memory. */
struct mem *mem_new(void);
/* Another one for the front-end that m is for. */
struct mem *mem_new_like(struct mem *m);
struct mem *mem_ref(struct mem *m);
/* m may be NULL. */
void mem_unref(struct mem *m);

/* A new map: m's regions and one more, mapped from fd (which stays the
 * caller's). Refuses regions that wrap, overlap one of m in guest or user
 * addresses, are empty, or lie beyond the end of the file; -EBUSY if requests
 * hold too much of what was mapped before. */
int mem_add(struct mem *m, const struct mem_region_conf *c, int fd,
            struct mem **out, struct err *e);
/* A new map without the region that has just this gpa, len and uva. */
int mem_remove(struct mem *m, const struct mem_region_conf *c, struct mem **out,
               struct err *e);

unsigned mem_count(const struct mem *m);
const struct mem_region *mem_region(const struct mem *m, unsigned i);
/* One past the highest guest address: what a dirty log must cover. */
uint64_t mem_end(const struct mem *m);

/* Translate [gpa, gpa + len), bytes. A range may cross regions, hence pieces.
 * Returns pieces written to iov, 1..max; -EFAULT if any byte is outside;
 * -E2BIG if max is too few. iov is good while the caller holds its ref. No
 * bytes are no pieces: 0. */
int mem_map(const struct mem *m, struct mem_hint *hint, uint64_t gpa,
            uint64_t len, struct iovec *iov, int max);

/* The host address of [uva, uva + len), which must lie in one region. */
void *mem_uva(const struct mem *m, uint64_t uva, uint64_t len);

/* The region of a host address that mem_map or mem_uva gave. */
const struct mem_region *mem_region_of(const struct mem *m, const void *host);
/* The guest address of such a host address. */
uint64_t mem_gpa(const struct mem *m, const void *host);

/* True once the front-end took memory away from under us (the file shrank):
 * what was read from there is zero, what is written is lost. */
bool mem_poisoned(const struct mem *m);

#endif
