/* virtio/ring_impl.h: what ring.c, split.c, packed.c, chain.c and record*.c
 * share. Everything here runs on the ring's thread.
 *
 *     ring.c    what both formats have in common, and which one it is
 *     split.c, packed.c    reading and writing the guest's structures
 *     chain.c   from descriptors to pieces of host memory
 *     record.c  the in-flight record, as rings write and recover it */
#ifndef VUB_VIRTIO_RING_IMPL_H
#define VUB_VIRTIO_RING_IMPL_H

#include "virtio/mem_impl.h"
#include "virtio/ring.h"
#include "virtio/spec.h"

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

/* ---- chain.c ---- */

static inline void chain_init(struct chain *c)
{
    c->out_num = c->in_num = 0;
    c->out_len = c->in_len = 0;
}

/* Adds [addr, addr + len), wherever it lies. False: the ring is broken. */
bool chain_add_far(struct ring *r, struct chain *c, uint64_t addr, uint32_t len,
                   bool write);

/* Adds a descriptor's bytes to c, which is being built under r's current map.
 * False: the ring is broken. */
static inline bool chain_add(struct ring *r, struct chain *c, uint64_t addr,
                             uint32_t len, uint16_t flags)
{
    bool write = flags & VRING_DESC_F_WRITE;
    unsigned n = c->out_num + c->in_num;
    uint8_t *host;

    /* What may differ from the plain case: an empty or far range, no room,
     * a readable part behind a writable one. */
    host = mem_hit(r->map->mem, &r->hint, addr, len);
    if (UNLIKELY(!host || len == 0 || n >= c->iov_room ||
                 (!write && c->in_num)))
        return chain_add_far(r, c, addr, len, write);
    if (write) {
        if (c->in_num &&
            (uint8_t *)c->iov[n - 1].iov_base + c->iov[n - 1].iov_len == host) {
            c->iov[n - 1].iov_len += len;
            c->in_len += len;
            return true;
        }
        c->in_num++;
        c->in_len += len;
    } else {
        if (n &&
            (uint8_t *)c->iov[n - 1].iov_base + c->iov[n - 1].iov_len == host) {
            c->iov[n - 1].iov_len += len;
            c->out_len += len;
            return true;
        }
        c->out_num++;
        c->out_len += len;
    }
    c->iov[n].iov_base = host;
    c->iov[n].iov_len = len;
    return true;
}

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
/* c's bytes are built: the last checks. False: the ring is broken. */
static inline bool ring_bytes_ok(struct ring *r, const struct chain *c)
{
    if (UNLIKELY(c->out_len + c->in_len > UINT32_MAX))
        return ring_fail(r, "a descriptor chain is longer than 4 GiB");
    return true;
}

/* c is the device's from now on. */
static inline struct chain *ring_take(struct ring *r, struct chain *c)
{
    c->busy = true;
    c->map = r->map;
    r->map->chains++;
    r->in_flight++;
    return c;
}

/* Marks len bytes written at host (in the descriptor ring of a packed ring),
 * or at an offset of the device part, if rings are logged. After the write. */
void ring_log_desc(struct ring *r, const void *host, uint64_t len);
void ring_log_device(struct ring *r, uint64_t offset, uint64_t len);

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
void split_publish(struct ring *r);
bool split_wants_call(struct ring *r);
void split_notify(struct ring *r, bool on);

int packed_open(struct ring *r, const struct ring_setup *s, struct err *e);
struct chain *packed_pop(struct ring *r);
struct chain *packed_pop_recovered(struct ring *r, uint16_t entry);
bool packed_has_work(const struct ring *r);
void packed_publish(struct ring *r);
bool packed_wants_call(struct ring *r);
void packed_notify(struct ring *r, bool on);

#endif
