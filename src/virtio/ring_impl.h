/* virtio/ring_impl.h: what ring.c, split.c, packed.c, chain.c and record*.c
 * share. Everything here runs on the ring's thread.
 *
 *     ring.c      what both formats have in common, and which one it is
 *     turn.c      taking chains in groups
 *     split.c, packed.c      reading and writing the guest's structures
 *     chain.c     from descriptors to pieces of host memory, the long way
 *     record.c, record_split.c, record_packed.c      the in-flight record, as
 *                 rings write it and start from it (inflight_impl.h) */
#ifndef VUB_VIRTIO_RING_IMPL_H
#define VUB_VIRTIO_RING_IMPL_H

#include "virtio/mem_impl.h"
#include "virtio/ring.h"
#include "virtio/spec.h"

/* For the long ways of things: kept out of the functions that run for each
 * request, which are then small. */
#define LONG_WAY __attribute__((noinline, cold))

/* A descriptor of either format, out of guest memory, in our byte order. */
struct ring_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next; /* split */
    uint16_t id;   /* packed */
};

/* An answer that waits for ring_publish. */
struct ring_used {
    uint32_t written;
    uint16_t id, descs, record;
};

static inline struct chain *ring_chain(const struct ring *r, uint16_t id)
{
    return (struct chain *)(void *)((char *)r->chains + id * r->chain_stride);
}

/* ---- one descriptor, loaded once ----
 *
 * Two loads of 8 bytes, each a single access; everything else is taken out of
 * the copies. A table of descriptors need not be aligned when it is an
 * indirect one. */

static inline uint64_t load_u64(const void *p)
{
    struct any {
        uint64_t v;
    } __attribute__((packed));

    return le64toh(((const volatile struct any *)p)->v);
}

static inline struct ring_desc split_desc(uint64_t addr, uint64_t rest)
{
    return (struct ring_desc){.addr = addr,
                              .len = (uint32_t)rest,
                              .flags = (uint16_t)(rest >> 32),
                              .next = (uint16_t)(rest >> 48)};
}

static inline struct ring_desc packed_desc(uint64_t addr, uint64_t rest)
{
    return (struct ring_desc){.addr = addr,
                              .len = (uint32_t)rest,
                              .id = (uint16_t)(rest >> 32),
                              .flags = (uint16_t)(rest >> 48)};
}

/* ---- building a chain, the short way ----
 *
 * Nearly every chain is plain: each of its descriptors lies in one region, is
 * not empty, in its right place, and there is room for it. Such a chain is
 * built here, with all that is needed in registers. Whatever else comes up,
 * a mistake or just something rare, the short way gives up, and the chain is
 * built again from its head by the functions of chain.c, which know all cases
 * and what to say. Nothing read the first time is used then. */
struct build {
    struct ring *r;
    struct chain *c;
    uint64_t gpa, len; /* the region hit last */
    uint8_t *host;
    struct iovec *next, *end;
    uint8_t *tail;  /* behind the last piece, if a neighbour may join it */
    uint64_t bytes; /* in both directions */
    unsigned write; /* VRING_DESC_F_WRITE: in the writable part */
};

static inline bool build_region(struct build *b, unsigned region)
{
    const struct mem *m = b->r->map->mem;

    if (UNLIKELY(region >= m->count))
        return false;
    b->gpa = m->regions[region].gpa;
    b->len = m->regions[region].len;
    b->host = m->regions[region].host;
    return true;
}

/* False: the long way. */
static inline bool build_begin(struct build *b, struct ring *r, struct chain *c)
{
    b->r = r;
    b->c = c;
    b->next = c->iov;
    b->end = c->iov + c->iov_room;
    b->tail = NULL;
    b->bytes = 0;
    b->write = 0;
    return build_region(b, r->hint.region);
}

/* The host address of [gpa, gpa + len) in one region; NULL: the long way. */
static inline uint8_t *build_host(struct build *b, uint64_t gpa, uint32_t len)
{
    uint64_t offset = gpa - b->gpa; /* huge if gpa is below it */

    if (UNLIKELY(offset >= b->len)) {
        int region = mem_find(b->r->map->mem, gpa);

        if (region < 0 || !build_region(b, (unsigned)region))
            return NULL;
        b->r->hint.region = (unsigned)region;
        offset = gpa - b->gpa;
    }
    /* An empty one is as wrong as one that is too long. */
    if (UNLIKELY((uint64_t)len - 1 >= b->len - offset))
        return NULL;
    return b->host + offset;
}

/* From now on pieces are writable. */
static inline void build_turn(struct build *b)
{
    b->c->out_num = (uint16_t)(b->next - b->c->iov);
    b->c->out_len = b->bytes;
    b->tail = NULL;
    b->write = VRING_DESC_F_WRITE;
}

/* Adds a descriptor's bytes. False: the long way. */
static inline bool build_add(struct build *b, uint64_t addr, uint32_t len,
                             unsigned flags)
{
    uint8_t *host = build_host(b, addr, len);

    if (UNLIKELY(!host))
        return false;
    if ((flags & VRING_DESC_F_WRITE) != b->write) {
        if (UNLIKELY(b->write))
            return false;
        build_turn(b);
    }
    b->bytes += len;
    if (UNLIKELY(host == b->tail)) {
        b->tail += len;
        b->next[-1].iov_len += len;
        return true;
    }
    if (UNLIKELY(b->next == b->end))
        return false;
    b->tail = host + len;
    b->next->iov_base = host;
    b->next->iov_len = len;
    b->next++;
    return true;
}

/* The chain is whole: `total` descriptors. False: the long way. */
static inline bool build_end(struct build *b, unsigned total)
{
    b->c->total = (uint16_t)total;
    if (!b->write)
        build_turn(b);
    b->c->in_num = (uint16_t)(b->next - b->c->iov - b->c->out_num);
    b->c->in_len = b->bytes - b->c->out_len;
    return LIKELY(b->bytes <= UINT32_MAX);
}

/* ---- chain.c: the long way ---- */

static inline void chain_init(struct chain *c)
{
    c->out_num = c->in_num = c->total = 0;
    c->out_len = c->in_len = 0;
}

/* Adds a descriptor's bytes to c, which is being built under r's current map.
 * False: the ring is broken. */
bool chain_add(struct ring *r, struct chain *c, const struct ring_desc *d);
/* All of c is there: the last check. False: the ring is broken. */
bool chain_check(struct ring *r, const struct chain *c);

/* Adds an indirect table to c, after `before` descriptors of its chain. False:
 * the ring is broken. */
bool chain_add_split_table(struct ring *r, struct chain *c, uint64_t addr,
                           uint32_t len, unsigned before);
bool chain_add_packed_table(struct ring *r, struct chain *c, uint64_t addr,
                            uint32_t len);

/* Marks everything the guest let us write. */
void chain_mark_dirty(struct chain *c);
/* Frees what a chain has besides itself. */
void chain_fini(struct chain *c);

/* ---- ring.c ---- */

/* As ring_break; returns false, for `return ring_fail(r, "...");`. */
bool ring_fail(struct ring *r, const char *why);
/* The same for an address that lies in no region. */
bool ring_fail_outside(struct ring *r, const char *why);
uint64_t ring_clock_ns(void);
/* For chains that are about to be taken. */
static inline void ring_look_at_clock(struct ring *r)
{
    if (r->now_ns == 0)
        r->now_ns = ring_clock_ns();
}

/* c is the device's from now on. */
static inline struct chain *ring_take(struct ring *r, struct chain *c)
{
    ring_look_at_clock(r);
    c->taken_ns = r->now_ns;
    c->busy = true;
    c->map = r->map;
    r->map->chains++;
    r->in_flight++;
    ring_count(&r->stats->taken);
    return c;
}

/* Marks len bytes written at host (in the descriptor ring of a packed ring),
 * or at an offset of the device part, if rings are logged. After the write. */
void ring_log_desc(struct ring *r, const void *host, uint64_t len);
void ring_log_device(struct ring *r, uint64_t offset, uint64_t len);

/* What we stored before is visible to the guest before we load what comes
 * after. The guest does the same with the two words the other way round: then
 * one of us sees the other's store. */
static inline void ring_full_barrier(void)
{
#ifdef __SANITIZE_THREAD__ /* gcc has no fences there */
    int here = 0;

    __atomic_exchange_n(&here, 1, __ATOMIC_SEQ_CST);
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* virtio, "Used Buffer Notification Suppression": did moving an index from
 * before to now pass event? All modulo 2^16. */
static inline bool ring_passed(uint16_t event, uint16_t now, uint16_t before)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

/* ---- the two formats ----
 *
 * open: base and notifications; pop: without recovered chains; publish: there
 * is something pending; wants_call: asked once per batch, after a full
 * barrier. */

int split_open(struct ring *r, const struct ring_setup *s, struct err *e);
struct chain *split_pop(struct ring *r);
struct chain *split_pop_recovered(struct ring *r, uint16_t head);
bool split_has_work(const struct ring *r);
unsigned split_rest(struct ring *r);
void split_publish(struct ring *r);
bool split_wants_call(struct ring *r);
void split_notify(struct ring *r, bool on);
/* Asks for the first descriptors of the chains that are there, at most max; how
 * many. (A packed ring's are in the line that tells of them.) */
unsigned split_ask(struct ring *r, unsigned max);

int packed_open(struct ring *r, const struct ring_setup *s, struct err *e);
struct chain *packed_pop(struct ring *r);
struct chain *packed_pop_recovered(struct ring *r, uint16_t entry);
bool packed_has_work(const struct ring *r);
unsigned packed_rest(struct ring *r);
void packed_publish(struct ring *r);
bool packed_wants_call(struct ring *r);
void packed_notify(struct ring *r, bool on);

#endif
