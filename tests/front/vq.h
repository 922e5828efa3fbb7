/* front/vq.h: the driver's side of a virtqueue, split and packed.
 *
 * Spec: virtio, "Split Virtqueues", "Packed Virtqueues".
 *
 *     vq_add(q, bufs, out, in, cookie);      fills descriptors
 *     vq_kick(q);                            shows them, notifies if wanted
 *     while (vq_wait(q))                     sleeps on the call eventfd
 *         while (vq_pop(q, &len, &cookie) >= 0) ...
 *
 * vq_add and vq_pop are inline: the benchmark lives by them. Polling is
 * calling vq_pop without vq_wait, after vq_calls(q, false).
 *
 * For tests of bad rings everything is in the open: q->desc, q->avail and
 * q->used are pointers into guest memory, and vq_desc, vq_avail_put and
 * vq_avail_idx write whatever one likes there. Do not mix those with vq_add
 * on one ring, unless you know what the free list looks like. */
#ifndef FRONT_VQ_H
#define FRONT_VQ_H

#include <sys/eventfd.h>
#include <unistd.h>

#include "front/session.h"

#define VQ_INDIRECT_MAX 64 /* descriptors of an indirect table of vq_add */

struct vq_buf {
    uint64_t gpa;
    uint32_t len;
};

/* What we know of the chain with that head (or buffer id). */
struct vq_slot {
    void *cookie;
    uint16_t descs; /* it takes in the ring; 0: not in use */
    uint16_t tail;  /* split: its last descriptor */
    uint16_t next;  /* split: of this descriptor; packed: the next free id */
};

struct vq {
    struct front *f;
    unsigned index;
    uint16_t size;
    bool packed, event_idx, indirect; /* indirect may be changed any time */

    /* The parts in guest memory, and where they are for the guest. */
    union {
        struct vring_desc *desc;
        struct vring_packed_desc *pdesc;
    };
    union {
        struct vring_avail *avail;
        struct vring_packed_event *driver;
    };
    union {
        struct vring_used *used;
        struct vring_packed_event *device;
    };
    uint64_t desc_gpa, avail_gpa, used_gpa;
    le16 *used_event;  /* split: behind avail */
    le16 *avail_event; /* split: behind used */

    uint16_t free_head, num_free; /* descriptors; packed: ids free_head */
    uint16_t avail_idx; /* split: index to publish; packed: next place */
    uint16_t used_idx;  /* split: next to look at; packed: place */
    bool avail_wrap, used_wrap;
    uint16_t kicked; /* split: avail_idx at the last vq_kick; packed:
                      * descriptors added since */
    bool held;       /* packed: a first head is not shown yet */
    uint16_t held_at, held_flags;
    struct vq_slot *slot;      /* [size] */
    struct vring_desc *tables; /* [size][VQ_INDIRECT_MAX] */
    uint64_t tables_gpa;

    int kick_fd, call_fd, err_fd; /* -1: to be sent as NOFD */
    bool calls_on;
    uint32_t base; /* as SET_VRING_BASE carries it: for the next start */
    uint64_t kicks, calls; /* eventfd writes; call eventfd reads */
};

/* ---- Life ---- */

/* Lays the ring out in guest memory; tells nobody. It is f->vq[index]. */
struct vq *vq_new(struct front *f, unsigned index, uint16_t size, bool packed,
                  bool event_idx, bool indirect);
/* NUM, BASE, ADDR, ERR, CALL, KICK, ENABLE, each of which must succeed. */
void vq_start(struct vq *q);
/* The same without ENABLE. */
void vq_tell(struct vq *q);
void vq_enable(struct vq *q, bool on);
/* SET_VRING_ADDR with these flags (WIRE_VRING_F_LOG). */
void vq_tell_addr(struct vq *q, uint32_t flags);
/* SET_VRING_KICK, CALL or ERR with fd, or NOFD if -1. */
void vq_tell_fd(struct vq *q, uint32_t request, int fd);
/* GET_VRING_BASE: must succeed; what it answers is q->base too. */
uint32_t vq_stop(struct vq *q);
/* As new: empty, index 0, memory zeroed. The back-end must have stopped. */
void vq_reset(struct vq *q);
void vq_free(struct vq *q);

/* ---- By hand ---- */

/* Any descriptor, any content; split. */
void vq_desc(struct vq *q, unsigned i, uint64_t gpa, uint32_t len,
             uint16_t flags, uint16_t next);
/* The next place of the available ring says `head`; not shown yet. */
void vq_avail_put(struct vq *q, uint16_t head);
/* Shows all that was put, or any other index. */
void vq_avail_show(struct vq *q);
void vq_avail_idx(struct vq *q, uint16_t idx);
/* A packed descriptor at place i; flags without AVAIL and USED, which are
 * added for the wrap counter `wrap`. */
void vq_pdesc(struct vq *q, unsigned i, uint64_t gpa, uint32_t len, uint16_t id,
              uint16_t flags, bool wrap);
/* One descriptor that names an indirect table of len bytes at gpa, which the
 * caller has written; otherwise like vq_add. The ring's own indirect flag does
 * not matter. */
int vq_add_table(struct vq *q, uint64_t gpa, uint32_t len, void *cookie);
/* Entry i of a table as this ring's format has it, for front_poke. */
struct vring_desc vq_table_entry(const struct vq *q, uint64_t gpa, uint32_t len,
                                 bool write, bool next, uint16_t i);
/* Writes the kick eventfd, whatever the back-end wants. */
void vq_notify(struct vq *q);
/* Used entries there are that were not popped. */
unsigned vq_used(const struct vq *q);
/* Waits for the ring's error eventfd. */
void vq_need_err(struct vq *q);
bool vq_has_err(struct vq *q);

/* ---- The hot path ---- */

#define VQ_NONE (-1)

static inline bool vq_need_event(uint16_t event, uint16_t now, uint16_t old)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

static inline unsigned vq_fill_table(struct vq *q, uint16_t id,
                                     const struct vq_buf *b, unsigned out,
                                     unsigned num)
{
    struct vring_desc *t = q->tables + (size_t)id * VQ_INDIRECT_MAX;

    if (num > VQ_INDIRECT_MAX)
        front_fail("%u descriptors do not fit a table", num);
    for (unsigned i = 0; i < num; i++) {
        uint16_t write = i >= out ? VRING_DESC_F_WRITE : 0;

        t[i].addr = htole64(b[i].gpa);
        t[i].len = htole32(b[i].len);
        if (q->packed) { /* buffer id (of no use here), flags */
            t[i].flags = 0;
            t[i].next = htole16(write);
        } else {
            t[i].flags = htole16(write | (i + 1 < num ? VRING_DESC_F_NEXT : 0));
            t[i].next = htole16(i + 1);
        }
    }
    return num * (unsigned)sizeof(*t);
}

static inline uint64_t vq_table_gpa(const struct vq *q, uint16_t id)
{
    return q->tables_gpa +
           (uint64_t)id * VQ_INDIRECT_MAX * sizeof(struct vring_desc);
}

static inline int vq_add_split(struct vq *q, const struct vq_buf *b,
                               unsigned out, unsigned num, void *cookie)
{
    uint16_t head = q->free_head, i = head, tail = head;
    struct vring_desc *d;

    if (q->indirect && num > 1) {
        d = &q->desc[head];
        d->addr = htole64(vq_table_gpa(q, head));
        d->len = htole32(vq_fill_table(q, head, b, out, num));
        d->flags = htole16(VRING_DESC_F_INDIRECT);
        num = 1;
        i = q->slot[head].next;
    } else {
        for (unsigned k = 0; k < num; k++) {
            d = &q->desc[i];
            tail = i;
            i = q->slot[i].next;
            d->addr = htole64(b[k].gpa);
            d->len = htole32(b[k].len);
            d->flags = htole16((k >= out ? VRING_DESC_F_WRITE : 0) |
                               (k + 1 < num ? VRING_DESC_F_NEXT : 0));
            d->next = htole16(i);
        }
    }
    q->slot[head].cookie = cookie;
    q->slot[head].descs = (uint16_t)num;
    q->slot[head].tail = tail;
    q->free_head = i;
    q->num_free -= (uint16_t)num;
    q->avail->ring[q->avail_idx & (q->size - 1)] = htole16(head);
    q->avail_idx++;
    return head;
}

static inline int vq_add_packed(struct vq *q, const struct vq_buf *b,
                                unsigned out, unsigned num, void *cookie)
{
    uint16_t id = q->free_head, first = q->avail_idx, flags;
    bool indirect = q->indirect && num > 1;
    unsigned descs = indirect ? 1 : num;
    struct vring_packed_desc *d;
    struct vq_buf table;

    if (indirect) {
        table.gpa = vq_table_gpa(q, id);
        table.len = vq_fill_table(q, id, b, out, num);
        b = &table;
        out = 1;
    }
    for (unsigned k = 0; k < descs; k++) {
        d = &q->pdesc[q->avail_idx];
        flags = (uint16_t)((q->avail_wrap ? VRING_PACKED_DESC_F_AVAIL
                                          : VRING_PACKED_DESC_F_USED) |
                           (k >= out ? VRING_DESC_F_WRITE : 0) |
                           (k + 1 < descs ? VRING_DESC_F_NEXT : 0) |
                           (indirect ? VRING_DESC_F_INDIRECT : 0));
        d->addr = htole64(b[k].gpa);
        d->len = htole32(b[k].len);
        d->id = htole16(id);
        if (k == 0 && !q->held) {
            q->held = true; /* shown last, by vq_kick */
            q->held_at = first;
            q->held_flags = flags;
        } else {
            d->flags = htole16(flags);
        }
        if (++q->avail_idx == q->size) {
            q->avail_idx = 0;
            q->avail_wrap = !q->avail_wrap;
        }
    }
    q->free_head = q->slot[id].next;
    q->slot[id].cookie = cookie;
    q->slot[id].descs = (uint16_t)descs;
    q->num_free -= (uint16_t)descs;
    q->kicked += (uint16_t)descs;
    return id;
}

/* A chain: out buffers that the device reads, then in buffers that it writes.
 * Not shown to the device before vq_kick or vq_show. Returns the head or
 * buffer id, VQ_NONE if there is no room. */
static inline int vq_add(struct vq *q, const struct vq_buf *b, unsigned out,
                         unsigned in, void *cookie)
{
    unsigned num = out + in;

    if (UNLIKELY(q->num_free < (q->indirect && num > 1 ? 1 : num)))
        return VQ_NONE;
    return q->packed ? vq_add_packed(q, b, out, num, cookie)
                     : vq_add_split(q, b, out, num, cookie);
}

/* Lets the device see what was added. */
static inline void vq_show(struct vq *q)
{
    if (!q->packed) {
        le16_store_release(&q->avail->idx, q->avail_idx);
    } else if (q->held) {
        le16_store_release(&q->pdesc[q->held_at].flags, q->held_flags);
        q->held = false;
    }
}

/* After vq_show: does the device want to be told? Asked once per batch. */
static inline bool vq_kick_wanted(struct vq *q)
{
    uint16_t old = q->kicked, off_wrap, flags, event;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!q->packed) {
        q->kicked = q->avail_idx;
        if (q->event_idx)
            return vq_need_event(le16_load(q->avail_event), q->avail_idx, old);
        return !(le16_load(&q->used->flags) & VRING_USED_F_NO_NOTIFY);
    }
    q->kicked = 0; /* `old` descriptors were added since last time */
    flags = le16_load(&q->device->flags);
    if (flags != VRING_PACKED_EVENT_DESC)
        return flags != VRING_PACKED_EVENT_DISABLE;
    off_wrap = le16_load(&q->device->off_wrap);
    event = off_wrap & 0x7fff;
    if ((off_wrap >> 15) != q->avail_wrap)
        event -= q->size;
    return vq_need_event(event, q->avail_idx, q->avail_idx - old);
}

/* Shows, and notifies if the device wants that. True: it did. */
static inline bool vq_kick(struct vq *q)
{
    vq_show(q);
    if (!vq_kick_wanted(q))
        return false;
    vq_notify(q);
    return true;
}

static inline bool vq_has(const struct vq *q)
{
    uint16_t flags;

    if (!q->packed)
        return le16_load_acquire(&q->used->idx) != q->used_idx;
    flags = le16_load_acquire(&q->pdesc[q->used_idx].flags);
    return !!(flags & VRING_PACKED_DESC_F_AVAIL) == q->used_wrap &&
           !!(flags & VRING_PACKED_DESC_F_USED) == q->used_wrap;
}

/* The next answer: its id; len (bytes written) and cookie may be NULL.
 * VQ_NONE: none now. */
static inline int vq_pop(struct vq *q, uint32_t *len, void **cookie)
{
    struct vring_used_elem *e;
    struct vq_slot *s;
    uint32_t id, written;

    if (!vq_has(q))
        return VQ_NONE;
    if (q->packed) {
        id = le16_load(&q->pdesc[q->used_idx].id);
        written = le32_load(&q->pdesc[q->used_idx].len);
    } else {
        e = &q->used->ring[q->used_idx & (q->size - 1)];
        id = le32_load(&e->id);
        written = le32_load(&e->len);
    }
    if (UNLIKELY(id >= q->size || !q->slot[id].descs))
        front_fail("ring %u: used entry %u names %u, which is not in use",
                   q->index, q->used_idx, id);
    s = &q->slot[id];
    if (q->packed) {
        q->used_idx += s->descs;
        if (q->used_idx >= q->size) {
            q->used_idx -= q->size;
            q->used_wrap = !q->used_wrap;
        }
        s->next = q->free_head;
    } else {
        q->used_idx++;
        q->slot[s->tail].next = q->free_head;
    }
    q->free_head = (uint16_t)id;
    q->num_free += s->descs;
    s->descs = 0;
    if (len)
        *len = written;
    if (cookie)
        *cookie = s->cookie;
    return (int)id;
}

/* Does the driver want calls? New rings do. `after` more answers must come
 * first (event index; 0: the next one calls), a hint to the device. */
void vq_calls_after(struct vq *q, bool on, uint16_t after);
static inline void vq_calls(struct vq *q, bool on)
{
    vq_calls_after(q, on, 0);
}

/* Sleeps until there is an answer. False: the time is up. Asks for calls
 * while it sleeps if they were off. */
bool vq_wait_ms(struct vq *q, int timeout_ms);
/* Fails when the usual time is up. */
void vq_wait(struct vq *q);

#endif
