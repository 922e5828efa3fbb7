/* virtio/ring.h: virtqueues, split and packed, as the device side sees them.
 *
 * Spec: virtio, "Split Virtqueues" and "Packed Virtqueues".
 * A ring is used by one thread. ring_pop gives chains: each is a byte stream
 * to read (out) and one to write (in), in host addresses, whatever the layout
 * of descriptors was. chain_done collects answers; ring_flush shows them to
 * the guest, all at once, and calls it if it wants that.
 * A guest's mistake breaks the ring: ring_pop gives no more, ring->broken says
 * why. Nothing the guest can write makes us read or write outside its memory,
 * loop for ever or assert.
 *
 * Chains are made when the ring starts, one per descriptor head (or buffer
 * id), with room for the device's own request behind: chain_priv(). */
#ifndef VUB_VIRTIO_RING_H
#define VUB_VIRTIO_RING_H

#include <sys/uio.h>

#include "base/base.h"
#include "base/err.h"
#include "base/histogram.h"
#include "virtio/mem.h"

#define RING_SIZE_MAX 1024

struct loop;
struct ring;
struct dirty;
struct inflight_queue;
struct vring_packed_desc;

/* How a chain's requests count under the memory map they were born under. */
struct ring_map {
    struct mem *mem; /* one ref */
    unsigned chains; /* in flight under it */
    struct ring_map *next;
};

/* Two cache lines, and the device's request behind. */
struct chain {
    struct ring *ring;
    struct iovec *iov; /* out_num pieces to read, then in_num to write;
                        * neighbours are joined; none is empty */
    uint16_t out_num, in_num;
    uint16_t id;     /* descriptor head or buffer id: < ring size */
    uint16_t descs;  /* descriptors it takes in a packed ring */
    uint16_t record; /* its entry in a packed in-flight record */
    bool busy;       /* between ring_pop and chain_done */
    uint16_t total;  /* descriptors it has, in whatever table */
    uint16_t iov_room;
    uint64_t out_len, in_len; /* bytes */
    struct ring_map *map;
    uint64_t taken_ns;       /* when: ring_stats.latency */
    struct iovec iov_few[4]; /* iov, unless that is a larger array */
} __attribute__((aligned(64)));

/* Counters of a ring. Written by the ring's thread only; others read them
 * whenever they like, with relaxed loads. */
struct ring_stats {
    uint64_t kicks, calls, chains; /* chains: answered */
    uint64_t taken;                /* chains: popped */
    /* Of chains, from ring_pop until their answer is shown, nanoseconds. The
     * clock is read for a batch, not for a chain: when the first one is taken
     * since the last ring_flush or ring_publish, and when answers are shown.
     * So a chain's time is that of the batches it was in: too long by what the
     * rest of them took, never too short. */
    struct histogram latency;
};

static inline void ring_count(uint64_t *stat)
{
    __atomic_store_n(stat, *stat + 1, __ATOMIC_RELAXED);
}

struct ring_setup {
    uint16_t size; /* split: a power of two; both: 1..RING_SIZE_MAX */
    bool packed, event_idx;
    uint16_t chain_max; /* descriptors a chain may have if that is more than
                         * size (indirect tables): the device's seg_max + 2 */
    uint32_t priv_size; /* bytes of the device's request, per chain */
    struct mem *mem;    /* a ref is taken */
    void *desc, *driver, *device; /* host addresses of the three parts, each
                                   * whole and aligned: ring_part_len() */
    uint32_t base; /* as SET_VRING_BASE carries it: split: avail index;
                    * packed: avail | wrap << 15 | used << 16 | wrap << 31 */
    struct inflight_queue *inflight; /* NULL: not recorded. Not owned */
    struct dirty *dirty;             /* NULL: no log. A ref is taken */
    bool log_used;     /* the used ring is logged too (VHOST_VRING_F_LOG) */
    uint64_t used_gpa; /* log_guest_addr: where its writes are logged */
    int call_fd;       /* eventfd, -1: none. Not owned */
};

struct ring {
    /* for devices */
    unsigned index;
    struct loop *loop;   /* the loop of this ring */
    void *user;          /* the device's */
    unsigned recovered;  /* chains that ring_pop will give first */
    bool only_recovered; /* and then no more; vhost's */
    const char *broken;  /* NULL, or why: one clause, without a full stop */
    bool broken_outside; /* because an address lies in no memory region */
    bool enabled;        /* by the front-end (SET_VRING_ENABLE): without it
                          * nothing new is to go to the guest */

    /* virtio/ only, below */
    uint16_t size, mask;
    uint16_t chain_max; /* descriptors; at least size */
    bool packed, event_idx;
    bool notify_off;    /* kicks are suppressed */
    bool rests;         /* see ring_rest; up to here: */
    bool rest_wrap;     /* packed */
    uint16_t rest_idx;  /* split: available index; packed: place */
    bool call_due;      /* the next flush calls if it is not told not to */
    uint32_t in_flight; /* popped, not done */
    uint32_t pending;   /* done, not flushed: chains */
    uint32_t descs_out; /* packed: descriptors popped, not flushed */
    uint32_t uncalled;  /* descriptors (packed) or chains flushed since the
                         * guest was last asked whether it wants a call */
    uint64_t now_ns;    /* of the batch that is being taken; 0: not read */

    void *desc, *driver, *device;
    uint16_t avail_idx, avail_seen; /* next to take; last loaded from guest */
    uint16_t used_idx;              /* next to fill, as published */
    uint16_t used_called; /* split: as of the last time the guest was asked
                           * whether it wants a call */
    bool avail_wrap, used_wrap; /* packed */

    struct mem_hint hint;
    struct ring_map *map; /* the current one first, older ones behind */
    struct chain *chains; /* [size], chain_stride bytes each */
    size_t chain_stride;
    struct ring_used *done;            /* [size]: `pending` are filled */
    struct vring_packed_desc *scratch; /* [size]: of the chain being popped */

    struct inflight_queue *inflight;
    struct ring_record *record; /* our side of it; NULL if not recorded */
    struct dirty *dirty;
    bool log_used;
    uint64_t used_gpa;
    int call_fd;

    /* Told when the first chain is done since the last flush, outside
     * ring_kick: flush me at the end of this turn. */
    void (*want_flush)(struct ring *r);
    /* Asked of vhost by the device: it has something for chains that wait, so
     * ring_kick is due, at the end of this turn. While the ring may not run
     * nothing comes of it: it is kicked anyway when it may. */
    void (*want_kick)(struct ring *r);
    struct ring_stats *stats; /* whoever made the ring keeps them */
    bool *ambushed; /* atomic; of all rings of a front-end, may be NULL: an fd
                     * of it was made to block, and none is written to */
};

/* The device's request, behind its chain; priv_size bytes, zero at start,
 * kept from one use of the chain to the next. Aligned to 16. */
static inline void *chain_priv(struct chain *c)
{
    return c + 1;
}

static inline struct chain *chain_of_priv(void *priv)
{
    return (struct chain *)priv - 1;
}

/* Bytes that part (0 desc, 1 driver/avail, 2 device/used) of a ring takes,
 * and the alignment the spec asks of it. */
uint64_t ring_part_len(bool packed, bool event_idx, uint16_t size, int part);
unsigned ring_part_align(bool packed, int part);

/* Fills r, which is zero but for index, loop, stats, ambushed, want_flush.
 * Reads the record and the used ring if there is a record, which then override
 * base. On failure there is nothing to close. */
int ring_open(struct ring *r, const struct ring_setup *s, struct err *e);
/* Nothing may be in flight. */
void ring_close(struct ring *r);
/* As GET_VRING_BASE carries it. */
uint32_t ring_base(const struct ring *r);

/* The next chain, NULL if there is none now or the ring is broken. */
struct chain *ring_pop(struct ring *r);
/* Is there something to pop? One load, for those who spin. */
bool ring_has_work(struct ring *r);
/* For chains that wait on purpose, buffers for events: those that are
 * available now are known of. From now on the ring has work, and is kicked,
 * when more have come; until the device says so again, which it does at the
 * end of each ring_kick. How many there are to pop: 0..size. */
unsigned ring_rest(struct ring *r);
/* Takes that back: there is work, and ring_kick comes again soon. */
static inline void ring_stir(struct ring *r)
{
    r->rests = false;
}

/* The map that its next chains are translated by; the ring's ref. */
struct mem *ring_mem(const struct ring *r);

/* Answers a chain: `written` bytes of its in part, from the start. Shown to
 * the guest by the next ring_flush. The chain is gone. */
void chain_done(struct chain *c, uint32_t written);
/* Forgets a chain, which is never answered; only the record remembers it. What
 * a crash does, for tests. */
void chain_forget(struct chain *c);

/* Shows all answers to the guest; does not call it. */
void ring_publish(struct ring *r);
/* The same, and calls the guest if it wants that: once per batch. */
void ring_flush(struct ring *r);

/* Ask the guest not to kick; a hint. */
void ring_notify_off(struct ring *r);
/* Ask it to kick again. True if chains came meanwhile, for which no kick may
 * come: the caller serves them. */
bool ring_notify_on(struct ring *r);

/* From the ring's thread: the next chains are translated by mem (a ref is
 * taken). The parts are their host addresses in it. -ENOMEM: nothing has
 * changed. */
int ring_set_mem(struct ring *r, struct mem *mem, void *desc, void *driver,
                 void *device);
void ring_set_dirty(struct ring *r, struct dirty *dirty, bool log_used,
                    uint64_t used_gpa);
void ring_break(struct ring *r, const char *why);
/* Has memory that it uses, or that chains in flight use, been taken away? See
 * mem_poisoned. */
bool ring_poisoned(const struct ring *r);

/* A chain's bytes. Each returns bytes copied: less than len at its end. */
size_t chain_read(const struct chain *c, uint64_t offset, void *buf,
                  size_t len);
size_t chain_write(const struct chain *c, uint64_t offset, const void *buf,
                   size_t len);

#endif
