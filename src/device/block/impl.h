/* device/block/impl.h: what the files of the block device share. */
#ifndef VUB_DEVICE_BLOCK_IMPL_H
#define VUB_DEVICE_BLOCK_IMPL_H

#include "base/log.h"
#include "device/block/block.h"
#include "loop/loop.h"
#include "os/keep.h"
#include "os/thread.h"
#include "store/acquire.h"
#include "store/store.h"

/* Limits in the config space, and enforced. */
#define BLOCK_RANGES_MAX 32
#define BLOCK_DISCARD_MAX_SECTORS (UINT32_C(2) << 21) /* 2 GiB */
#define BLOCK_ZERO_MAX_SECTORS (UINT32_C(1) << 19)    /* 256 MiB */

struct block_ring;
struct block_ranges;

/* A request, behind its chain. store.user is an enum block_stat, and
 * BLOCK_CUT if a piece of the chain is cut to what is data of it. */
struct block_req {
    struct store_req store;
    union {
        struct {
            struct iovec *at; /* cut: to be put back */
            struct iovec was;
        };
        struct block_ranges *ranges; /* DISCARD, WRITE_ZEROES */
    };
};

#define BLOCK_CUT 0x100

/* Of a disk whose size is not known yet: a limit for what may be asked, and no
 * size that a store can have. */
#define BLOCK_SECTORS_PENDING (STORE_SIZE_MAX / VIRTIO_BLK_SECTOR_BYTES + 1)

/* A store channel is shared by the rings of a loop. [that loop] */
struct block_channel {
    struct store_channel *ch;
    unsigned rings;
};

/* [ring] */
struct block_ring {
    struct block *block;
    struct block_channel *channel;
    struct store_channel *ch;
    struct log_limit limit;
    uint16_t descs_max;   /* of a request: seg_max, header and status */
    bool draining;        /* further ranges are not delayed on purpose, */
    bool cancelled;       /* or not begun: the drain gives up */
    uint64_t range_bytes; /* of DISCARD and WRITE_ZEROES, done in this turn */
    struct block_stats stats;
} __attribute__((aligned(64)));

struct block {
    struct device device;
    const struct block_conf *conf;
    struct store *store;
    uint32_t block_mask; /* logical block size - 1, bytes */
    bool read_only, can_discard, can_zero;
    char id[VIRTIO_BLK_ID_BYTES];

    /* Written on the home loop, read by all, relaxed. */
    uint64_t sectors;   /* of 512 bytes: whole logical blocks */
    bool write_through; /* writes are stable when answered */

    bool wce;         /* as the config space says; see cache.c */
    bool flush_acked; /* the driver may send flushes */
    bool forgot; /* rings cannot go on: the store does not know of before */
    struct kept kept;
    /* As another process has left it: what it knew of its guest is known; that
     * guest goes on, until the first start; what was cached when the cache was
     * switched off is not stable yet. */
    bool known, goes_on, resync;
    struct store_acquire acquire;
    struct thread syncer; /* stabilizes what was cached when wce ended */
    bool has_syncer;
    bool lost; /* atomic: it failed, which the next flush tells the guest */
    /* Of lines that a guest can cause: here, and in the syncer. */
    struct log_limit limit, sync_limit;
    unsigned
        syncs_wanted; /* atomic; 0: the syncer has ended, or will at once */

    struct block_channel *channels; /* [queues]: that of a loop is at the
                                     * first queue of that loop */
    struct block_ring *rings;       /* [queues] */
};

static inline struct block *block_of(struct device *d)
{
    return container_of(d, struct block, device);
}

/* [home] Sectors that a guest is told of. */
static inline uint64_t block_capacity(const struct block *b)
{
    return b->sectors == BLOCK_SECTORS_PENDING ? 0 : b->sectors;
}

static inline void stat_add(uint64_t *stat, uint64_t n)
{
    __atomic_store_n(stat, *stat + n, __ATOMIC_RELAXED);
}

/* control.c */
extern const char *const block_feature_names[];
extern const struct command block_commands[];
void block_status(struct device *d, struct json_out *o);
void block_metrics(struct device *d, struct metrics *m);

/* block.c: [home] the store's size may have changed: tells the guest. */
void block_resized(struct block *b);

/* cache.c: the write cache. [home] */

/* b->wce or b->flush_acked has changed. */
void block_cache_update(struct block *b);
/* Another session: what its driver has said of flushing, and not said. */
void block_cache_start(struct block *b, const struct device_start *s);
/* Writes answered from now on are stable; those before become so soon. The
 * spec asks for the former only, but a guest that stops flushing would leave
 * the latter to the kernel's leisure. */
void block_cache_off(struct block *b);
/* What it has begun is done. May take as long as that. */
void block_cache_close(struct block *b);

/* keep.c: what another process goes on with. Everything is open but that; on
 * failure b->kept is to be dropped. */
int block_keep(struct block *b, struct err *e);
void block_keep_cache(struct block *b); /* b->wce has changed */
/* What was cached is to be made stable, or is. [any, one at a time] */
void block_keep_sync(struct block *b, bool wanted);
void block_keep_session(struct block *b, bool serves);

/* request.c */
void block_ring_kick(struct device *d, struct ring *q);
/* Answers r's chain: VIRTIO_BLK_S_*. */
void block_answer(struct block_ring *b, struct block_req *r, uint8_t status);
/* The same, for what a store said. */
void block_answer_result(struct block_ring *b, struct block_req *r);

/* ranges.c: DISCARD and WRITE_ZEROES. Answers the chain now or later. */
void block_ranges_start(struct block_ring *b, struct chain *c,
                        struct block_req *r, bool zero);

#endif
