/* store/write_cache.h: writes that are in memory only, each by itself.
 *
 * What filter `powercut` holds. Every write is kept whole and in its order,
 * also where a younger one is over it: a disk that loses its power may have
 * written the older one only. A write is cut at spots of SPOT_BYTES, so that
 * what it covers of one is a word of bits, a bit for each sector, and what
 * is over what is told by a few of these.
 *
 * The memory is bounded by who adds: see write_cache_cost. For store/ only. */
#ifndef VUB_STORE_WRITE_CACHE_H
#define VUB_STORE_WRITE_CACHE_H

#include <sys/uio.h>

#include "base/base.h"
#include "base/list.h"

#define SPOT_SECTOR 512u
#define SPOT_BYTES (64 * SPOT_SECTOR)
#define WRITE_CACHE_BUCKETS 4096

/* What a write has in one spot. */
struct cached {
    struct list node;    /* of all, the oldest first */
    struct list bucket;  /* of its bucket, the youngest first */
    uint64_t write;      /* which one: they are numbered */
    uint64_t spot;       /* the spot begins at spot * SPOT_BYTES */
    uint64_t live;       /* the sectors that are still its own to give */
    uint64_t todo;       /* who writes it down: those to be written */
    uint64_t rank;       /* and whose sectors are over whose */
    unsigned first, num; /* the sectors of the spot that data is for */
    uint8_t data[];
};

struct write_cache {
    struct list ages;
    struct list *buckets;
    uint64_t bytes;  /* of memory */
    uint64_t writes; /* ever */
    size_t num;      /* pieces that are there */
};

int write_cache_init(struct write_cache *c);
void write_cache_fini(struct write_cache *c);

/* Bytes of memory that a write takes. */
uint64_t write_cache_cost(uint64_t offset, uint64_t len);
/* All of the write at iov, whose offset and length are whole sectors, or
 * -ENOMEM and nothing. */
int write_cache_add(struct write_cache *c, uint64_t offset, uint64_t len,
                    const struct iovec *iov, int iov_num);
/* Has it anything of [offset, offset + len)? */
bool write_cache_meets(const struct write_cache *c, uint64_t offset,
                       uint64_t len);
/* Of the spot's sectors `wanted`, those that it has are copied to iov, which
 * begins at `offset` of the disk: returns which. */
uint64_t write_cache_read(const struct write_cache *c, uint64_t spot,
                          uint64_t wanted, uint64_t offset,
                          const struct iovec *iov, int iov_num);
/* What it has of that range counts no more: something younger is below. */
void write_cache_trim(struct write_cache *c, uint64_t offset, uint64_t len);
void write_cache_drop(struct write_cache *c, struct cached *p);

static inline struct cached *cached_of(struct list *node)
{
    return container_of(node, struct cached, node);
}

/* Sectors [first, first + num) of a spot; num at least 1. */
static inline uint64_t spot_mask(unsigned first, unsigned num)
{
    return (num >= 64 ? UINT64_MAX : (UINT64_C(1) << num) - 1) << first;
}

/* Those of [offset, offset + len) that are the spot's; they are some. */
static inline uint64_t spot_part(uint64_t spot, uint64_t offset, uint64_t len)
{
    uint64_t at = spot * SPOT_BYTES;
    uint64_t from = MAX(offset, at), to = MIN(offset + len, at + SPOT_BYTES);

    return spot_mask((unsigned)((from - at) / SPOT_SECTOR),
                     (unsigned)((to - from) / SPOT_SECTOR));
}

/* Takes the first run of sectors off a mask that is not 0. */
static inline void spot_run(uint64_t *mask, unsigned *first, unsigned *num)
{
    uint64_t rest;

    *first = (unsigned)__builtin_ctzll(*mask);
    rest = ~(*mask >> *first);
    *num = rest ? (unsigned)__builtin_ctzll(rest) : 64;
    *num = MIN(*num, 64 - *first);
    *mask &= ~spot_mask(*first, *num);
}

#endif
