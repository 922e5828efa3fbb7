/* Split rings: the descriptor table, the available ring, the used ring.
 *
 * Spec: virtio, "Split Virtqueues". All indices run modulo 2^16; the ring's
 * size, a power of two, masks them. What is between the used and the available
 * index is ours: never more than the ring has, or the guest has lost its
 * mind. */
#include <errno.h>

#include "base/bytes.h"
#include "virtio/inflight_impl.h"
#include "virtio/ring_impl.h"

static struct vring_avail *avail_of(const struct ring *r)
{
    return r->driver;
}

static struct vring_used *used_of(const struct ring *r)
{
    return r->device;
}

/* Where the guest says which answer it wants a call for. */
static le16 *used_event(const struct ring *r)
{
    return &avail_of(r)->ring[r->size];
}

/* Where we say which request we want a kick for: behind the used elements. */
static le16 *avail_event(const struct ring *r)
{
    return (le16 *)(void *)&used_of(r)->ring[r->size];
}

/* ---- start ---- */

/* The record and the used ring know best: what was taken is what was answered
 * and what is in flight. */
static int open_recorded(struct ring *r, const struct ring_setup *s,
                         uint16_t used, struct err *e)
{
    bool fresh;
    int rc = record_open(r, &fresh, e);

    if (rc < 0)
        return rc;
    if (fresh) {
        split_record_begin(r, used);
        r->avail_idx = (uint16_t)s->base;
        return 0;
    }
    rc = split_record_recover(r, used, e);
    if (rc < 0)
        return rc;
    r->avail_idx = (uint16_t)(used + r->recovered);
    return 0;
}

int split_open(struct ring *r, const struct ring_setup *s, struct err *e)
{
    uint16_t used = le16_load(&used_of(r)->idx);
    int rc = 0;

    r->used_idx = r->used_called = used;
    r->avail_idx = (uint16_t)s->base;
    if (r->inflight)
        rc = open_recorded(r, s, used, e);
    if (rc < 0)
        return rc;
    if ((uint16_t)(r->avail_idx - used) > r->size)
        return err_set(e, -EINVAL, "",
                       "ring %u of %u descriptors cannot start at available "
                       "index %u: its used index is %u",
                       r->index, r->size, r->avail_idx, used);
    r->avail_seen = r->avail_idx;
    split_notify(r, true);
    return 0;
}

/* ---- taking ---- */

/* Looks how far the guest is; false: no further, or it makes no sense. */
static bool look(struct ring *r)
{
    uint16_t idx = le16_load_acquire(&avail_of(r)->idx);

    if (idx == r->avail_idx)
        return false;
    if (UNLIKELY((uint16_t)(idx - r->avail_idx) > r->size ||
                 (uint16_t)(idx - r->used_idx) > r->size))
        return ring_fail(r, "its available index has run away");
    r->avail_seen = idx;
    return true;
}

unsigned split_rest(struct ring *r)
{
    unsigned waiting = look(r) ? (uint16_t)(r->avail_seen - r->avail_idx) : 0;

    r->rest_idx = (uint16_t)(r->avail_idx + waiting);
    return waiting;
}

bool split_has_work(const struct ring *r)
{
    if (UNLIKELY(r->rests))
        return le16_load(&avail_of(r)->idx) != r->rest_idx;
    return r->avail_seen != r->avail_idx ||
           le16_load(&avail_of(r)->idx) != r->avail_idx;
}

/* The short way to build c from the chain that begins at head: in the ring's
 * table, and perhaps on in an indirect one. False: the long way. */
static bool walk(struct ring *r, struct chain *c, uint16_t head)
{
    const uint8_t *at = (const uint8_t *)r->desc + 16u * head;
    const uint8_t *table = r->desc;
    unsigned limit = r->size, left = r->chain_max, next;
    bool indirect = false; /* the guest may point at the ring's own table */
    struct build b;

    if (UNLIKELY(!build_begin(&b, r, c)))
        return false;
    for (;;) {
        uint64_t addr = load_u64(at), rest = load_u64(at + 8);
        unsigned flags = (uint16_t)(rest >> 32);
        uint32_t len = (uint32_t)rest;

        if (flags & VRING_DESC_F_INDIRECT) {
            if (UNLIKELY(indirect || flags & VRING_DESC_F_NEXT || len % 16))
                return false;
            indirect = true;
            at = table = build_host(&b, addr, len);
            if (UNLIKELY(!table))
                return false;
            limit = len / 16;
            continue;
        }
        if (UNLIKELY(!build_add(&b, addr, len, flags)))
            return false;
        if (!(flags & VRING_DESC_F_NEXT))
            return build_end(&b, r->chain_max - left + 1);
        next = (unsigned)(rest >> 48);
        if (UNLIKELY(next >= limit || --left == 0))
            return false;
        at = table + 16u * next;
    }
}

/* The long way. False: the ring is broken. */
static LONG_WAY bool walk_long(struct ring *r, struct chain *c, uint16_t head)
{
    const struct vring_desc *table = r->desc;
    uint16_t i = head;

    chain_init(c);
    for (unsigned n = 0;; n++) {
        struct ring_desc d;

        if (n >= r->size)
            return ring_fail(r, "a descriptor chain is a loop");
        d = split_desc(load_u64(&table[i].addr), load_u64(&table[i].len));
        if (d.flags & VRING_DESC_F_INDIRECT) {
            if (d.flags & VRING_DESC_F_NEXT)
                return ring_fail(r, "a descriptor has an indirect table and a "
                                    "next one");
            return chain_add_split_table(r, c, d.addr, d.len, n) &&
                   chain_check(r, c);
        }
        if (!chain_add(r, c, &d))
            return false;
        if (!(d.flags & VRING_DESC_F_NEXT))
            return chain_check(r, c);
        i = d.next;
        if (i >= r->size)
            return ring_fail(r, "a descriptor chain leaves the table");
    }
}

static struct chain *take(struct ring *r, uint16_t head)
{
    struct chain *c;

    if (UNLIKELY(head >= r->size)) {
        ring_break(r, "the available ring names a descriptor that is none");
        return NULL;
    }
    c = ring_chain(r, head);
    if (UNLIKELY(c->busy)) {
        ring_break(r, "a descriptor chain came again before it was answered");
        return NULL;
    }
    if (UNLIKELY(!walk(r, c, head)) && !walk_long(r, c, head))
        return NULL;
    return ring_take(r, c);
}

unsigned split_ask(struct ring *r, unsigned max)
{
    unsigned count = (uint16_t)(r->avail_seen - r->avail_idx);

    if (count < max && look(r))
        count = (uint16_t)(r->avail_seen - r->avail_idx);
    count = MIN(count, max);
    for (unsigned i = 0; i < count; i++) {
        uint16_t head =
            le16_load(&avail_of(r)->ring[(r->avail_idx + i) & r->mask]);

        __builtin_prefetch((const uint8_t *)r->desc + 16u * (head & r->mask));
    }
    return count;
}

struct chain *split_pop(struct ring *r)
{
    uint16_t at = r->avail_idx, head;
    struct chain *c;

    if (at == r->avail_seen && !look(r))
        return NULL;
    head = le16_load(&avail_of(r)->ring[at & r->mask]);
    c = take(r, head);
    if (UNLIKELY(!c))
        return NULL;
    if (UNLIKELY(r->record != NULL))
        split_record_take(r, head);
    r->avail_idx = (uint16_t)(at + 1);
    return c;
}

/* It is in the record already, with its place in the order. */
struct chain *split_pop_recovered(struct ring *r, uint16_t head)
{
    return take(r, head);
}

/* ---- answering ---- */

void split_publish(struct ring *r)
{
    struct vring_used *used = used_of(r);
    uint16_t idx = r->used_idx;

    for (uint32_t i = 0; i < r->pending; i++, idx++) {
        struct vring_used_elem *u = &used->ring[idx & r->mask];

        le32_store(&u->id, r->done[i].id);
        le32_store(&u->len, r->done[i].written);
        ring_log_device(r, (uint64_t)((char *)u - (char *)used), sizeof(*u));
    }
    if (UNLIKELY(r->record != NULL))
        split_record_before(r);
    le16_store_release(&used->idx, idx);
    ring_log_device(r, offsetof(struct vring_used, idx), sizeof(used->idx));
    if (UNLIKELY(r->record != NULL))
        split_record_after(r, idx);
    r->used_idx = idx;
    r->uncalled += r->pending;
}

bool split_wants_call(struct ring *r)
{
    uint16_t before = r->used_called;

    r->used_called = r->used_idx;
    if (!r->event_idx)
        return !(le16_load(&avail_of(r)->flags) & VRING_AVAIL_F_NO_INTERRUPT);
    /* So many that the indices no longer tell which was passed. */
    if (UNLIKELY(r->call_due || r->uncalled > UINT16_MAX))
        return true;
    return ring_passed(le16_load(used_event(r)), r->used_idx, before);
}

/* ---- notifications ---- */

void split_notify(struct ring *r, bool on)
{
    struct vring_used *used = used_of(r);

    if (!r->event_idx) {
        le16_store(&used->flags, on ? 0 : VRING_USED_F_NO_NOTIFY);
        ring_log_device(r, 0, sizeof(used->flags));
    } else if (on) {
        le16_store(avail_event(r), r->rests ? r->rest_idx : r->avail_idx);
        ring_log_device(r, (uint64_t)((char *)avail_event(r) - (char *)used),
                        sizeof(le16));
    }
    /* With the event index, off is to leave it behind: the guest kicks only
     * when it passes it. */
}
