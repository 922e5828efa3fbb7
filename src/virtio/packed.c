/* Packed rings: one ring of descriptors that the guest fills and we write
 * answers over.
 *
 * Spec: virtio, "Packed Virtqueues". A descriptor is available when its AVAIL
 * flag is as our wrap counter is and its USED flag is not; an answer has both
 * as the counter is. The counters change each lap. The guest looks for answers
 * in order, at one place at a time: of a batch, the flags of the first answer
 * are written last, and show all of it. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "virtio/inflight_impl.h"
#include "virtio/ring_impl.h"

#define WRAP (1u << 15) /* in event offsets and in the base */

static struct vring_packed_desc *ring_of(const struct ring *r)
{
    return r->desc;
}

static bool is_available(uint16_t flags, bool wrap)
{
    bool avail = flags & VRING_PACKED_DESC_F_AVAIL;
    bool used = flags & VRING_PACKED_DESC_F_USED;

    return avail == wrap && used != wrap;
}

/* Moves a place in the ring forward by count, at most one lap. */
static void step(const struct ring *r, uint16_t *idx, bool *wrap,
                 unsigned count)
{
    unsigned to = *idx + count;

    if (to >= r->size) {
        to -= r->size;
        *wrap = !*wrap;
    }
    *idx = (uint16_t)to;
}

/* ---- start ---- */

/* False: no such places in this ring, or the available one is more than a lap
 * ahead of the used one. */
static bool set_base(struct ring *r, uint32_t base)
{
    unsigned ahead;

    r->avail_idx = base & (WRAP - 1);
    r->avail_wrap = base & WRAP;
    r->used_idx = base >> 16 & (WRAP - 1);
    r->used_wrap = base >> 16 & WRAP;
    if (r->avail_idx >= r->size || r->used_idx >= r->size)
        return false;
    if (r->avail_wrap == r->used_wrap) {
        if (r->avail_idx < r->used_idx)
            return false;
        ahead = r->avail_idx - r->used_idx;
    } else {
        if (r->avail_idx > r->used_idx)
            return false;
        ahead = r->avail_idx + r->size - r->used_idx;
    }
    /* In flight, and not recorded: nobody will answer them, but their
     * descriptors are not free either. */
    r->descs_out = ahead;
    return true;
}

static int bad_base(const struct ring *r, uint32_t base, struct err *e)
{
    return err_set(e, -EINVAL, "",
                   "packed ring %u of %u descriptors cannot start at base "
                   "0x%08x",
                   r->index, r->size, base);
}

static int open_recorded(struct ring *r, const struct ring_setup *s,
                         struct err *e)
{
    bool fresh;
    int rc = record_open(r, &fresh, e);

    if (rc < 0)
        return rc;
    if (fresh) {
        if (!set_base(r, s->base))
            return bad_base(r, s->base, e);
        /* The record knows nothing of them. */
        if (r->descs_out > 0)
            return bad_base(r, s->base, e);
        packed_record_begin(r);
        return 0;
    }
    rc = packed_record_recover(r, e);
    if (rc < 0)
        return rc;
    r->avail_idx = r->used_idx;
    r->avail_wrap = r->used_wrap;
    step(r, &r->avail_idx, &r->avail_wrap, r->descs_out);
    return 0;
}

int packed_open(struct ring *r, const struct ring_setup *s, struct err *e)
{
    int rc = 0;

    if (r->inflight)
        rc = open_recorded(r, s, e);
    else if (!set_base(r, s->base))
        rc = bad_base(r, s->base, e);
    if (rc < 0)
        return rc;
    packed_notify(r, true);
    return 0;
}

/* ---- taking ---- */

/* The place that says whether there is more. */
static uint16_t next_place(const struct ring *r, bool *wrap)
{
    *wrap = r->rests ? r->rest_wrap : r->avail_wrap;
    return r->rests ? r->rest_idx : r->avail_idx;
}

bool packed_has_work(const struct ring *r)
{
    bool wrap;
    uint16_t at = next_place(r, &wrap);

    return is_available(le16_load(&ring_of(r)[at].flags), wrap);
}

/* Each time from the first, so that a guest that writes to what it has offered
 * misleads nobody for longer than that. */
unsigned packed_rest(struct ring *r)
{
    unsigned room = r->size - r->descs_out, chains = 0;
    bool inside = false; /* a chain: only its first descriptor's flags count */

    r->rest_idx = r->avail_idx;
    r->rest_wrap = r->avail_wrap;
    for (; room > 0; room--) {
        uint16_t flags = le16_load_acquire(&ring_of(r)[r->rest_idx].flags);

        if (!inside && !is_available(flags, r->rest_wrap))
            break;
        inside = flags & VRING_DESC_F_NEXT;
        chains += !inside;
        step(r, &r->rest_idx, &r->rest_wrap, 1);
    }
    return chains;
}

/* len, id and flags: the guest writes the flags last, and one load takes all
 * three, so that they are of one moment. */
static uint64_t load_rest(const struct vring_packed_desc *d)
{
    return le64toh(__atomic_load_n((const uint64_t *)(const void *)&d->len,
                                   __ATOMIC_ACQUIRE));
}

/* Copies a whole chain to r->scratch; how many, 0 if there is none or the ring
 * is broken. */
static unsigned load_chain(struct ring *r)
{
    const struct vring_packed_desc *ring = ring_of(r);
    unsigned room = r->size - r->descs_out, n = 0;
    uint16_t at = r->avail_idx;
    uint64_t rest = load_rest(&ring[at]);

    if (!is_available((uint16_t)(rest >> 48), r->avail_wrap))
        return 0;
    for (;;) {
        uint64_t words[2] = {htole64(load_u64(&ring[at].addr)), htole64(rest)};

        if (UNLIKELY(n == room)) {
            ring_break(r, "more descriptors are available than the ring has");
            return 0;
        }
        memcpy(&r->scratch[n++], words, sizeof(words));
        if (!(rest >> 48 & VRING_DESC_F_NEXT))
            return n;
        if (++at == r->size)
            at = 0;
        rest = load_u64(&ring[at].len);
    }
}

/* The short way to build c from the n descriptors in r->scratch, or from the
 * table that the only one leads to. False: the long way. */
static bool walk(struct ring *r, struct chain *c, unsigned n)
{
    const uint8_t *at = (const uint8_t *)r->scratch;
    unsigned wrong = VRING_DESC_F_INDIRECT; /* flags that may not be set */
    struct build b;

    if (UNLIKELY(!build_begin(&b, r, c)))
        return false;
    if (n == 1) {
        uint64_t rest = load_u64(at + 8);

        if (rest >> 48 & VRING_DESC_F_INDIRECT) {
            n = (uint32_t)rest / 16;
            if (UNLIKELY((uint32_t)rest % 16 || n > r->chain_max))
                return false;
            at = build_host(&b, load_u64(at), (uint32_t)rest);
            if (UNLIKELY(!at))
                return false;
            wrong = 0; /* ignored there */
        }
    }
    for (unsigned i = 0; i < n; i++, at += 16) {
        uint64_t addr = load_u64(at), rest = load_u64(at + 8);
        unsigned flags = (unsigned)(rest >> 48);

        if (UNLIKELY(flags & wrong ||
                     !build_add(&b, addr, (uint32_t)rest, flags)))
            return false;
    }
    return build_end(&b, n);
}

/* One of r->scratch. */
static struct ring_desc scratch_desc(const struct ring *r, unsigned i)
{
    const struct vring_packed_desc *d = &r->scratch[i];

    return packed_desc(load_u64(&d->addr), load_u64(&d->len));
}

/* The long way. False: the ring is broken. */
static LONG_WAY bool walk_long(struct ring *r, struct chain *c, unsigned n)
{
    chain_init(c);
    for (unsigned i = 0; i < n; i++) {
        struct ring_desc d = scratch_desc(r, i);

        if (!(d.flags & VRING_DESC_F_INDIRECT)) {
            if (!chain_add(r, c, &d))
                return false;
        } else if (n > 1) {
            return ring_fail(r, "a descriptor chain holds an indirect table");
        } else if (!chain_add_packed_table(r, c, d.addr, d.len)) {
            return false;
        }
    }
    return chain_check(r, c);
}

/* The chain of the n descriptors in r->scratch. */
static struct chain *take(struct ring *r, unsigned n)
{
    uint16_t id = le16toh(r->scratch[n - 1].id);
    struct chain *c;

    if (UNLIKELY(id >= r->size)) {
        ring_break(r, "a buffer id is too large");
        return NULL;
    }
    c = ring_chain(r, id);
    if (UNLIKELY(c->busy)) {
        ring_break(r, "a buffer id came again before it was answered");
        return NULL;
    }
    if (UNLIKELY(!walk(r, c, n)) && !walk_long(r, c, n))
        return NULL;
    c->descs = (uint16_t)n;
    return ring_take(r, c);
}

struct chain *packed_pop(struct ring *r)
{
    unsigned n = load_chain(r);
    struct chain *c;

    if (n == 0)
        return NULL;
    c = take(r, n);
    if (UNLIKELY(!c))
        return NULL;
    r->descs_out += n;
    if (UNLIKELY(r->record != NULL))
        packed_record_take(r, c);
    step(r, &r->avail_idx, &r->avail_wrap, n);
    return c;
}

/* It is in the record already, and counted in descs_out. */
struct chain *packed_pop_recovered(struct ring *r, uint16_t entry)
{
    struct chain *c = take(r, packed_record_chain(r, entry));

    if (c)
        c->record = entry;
    return c;
}

/* ---- answering ---- */

static uint16_t used_flags(const struct ring_used *u, bool wrap)
{
    uint16_t flags = u->written ? VRING_DESC_F_WRITE : 0;

    if (wrap)
        flags |= VRING_PACKED_DESC_F_AVAIL | VRING_PACKED_DESC_F_USED;
    return flags;
}

void packed_publish(struct ring *r)
{
    struct vring_packed_desc *ring = ring_of(r), *first = &ring[r->used_idx];
    uint16_t idx = r->used_idx,
             first_flags = used_flags(&r->done[0], r->used_wrap);
    bool wrap = r->used_wrap;
    unsigned descs = 0;

    for (uint32_t i = 0; i < r->pending; i++) {
        const struct ring_used *u = &r->done[i];
        struct vring_packed_desc *d = &ring[idx];

        le16_store(&d->id, u->id);
        le32_store(&d->len, u->written);
        if (i > 0)
            le16_store_release(&d->flags, used_flags(u, wrap));
        ring_log_desc(r, d, sizeof(*d));
        descs += u->descs;
        step(r, &idx, &wrap, u->descs);
    }
    if (UNLIKELY(r->record != NULL))
        packed_record_before(r, idx, wrap);
    le16_store_release(&first->flags, first_flags);
    ring_log_desc(r, first, sizeof(*first));
    if (UNLIKELY(r->record != NULL))
        packed_record_after(r, idx, wrap);
    r->used_idx = idx;
    r->used_wrap = wrap;
    r->descs_out -= descs;
    r->uncalled += descs;
}

bool packed_wants_call(struct ring *r)
{
    const struct vring_packed_event *event = r->driver;
    /* The guest stores the place, then the flags. */
    uint16_t flags = le16_load_acquire(&event->flags) & 3;
    uint16_t off, want;

    if (flags == VRING_PACKED_EVENT_DISABLE)
        return false;
    if (flags != VRING_PACKED_EVENT_DESC || !r->event_idx ||
        r->uncalled > r->size || r->call_due)
        return true;
    off = le16_load(&event->off_wrap);
    want = off & (WRAP - 1);
    /* As a place in the lap we are in: those of the lap before lie below 0. */
    if ((bool)(off & WRAP) != r->used_wrap)
        want = (uint16_t)(want - r->size);
    return ring_passed(want, r->used_idx,
                       (uint16_t)(r->used_idx - r->uncalled));
}

/* ---- notifications ---- */

void packed_notify(struct ring *r, bool on)
{
    struct vring_packed_event *event = r->device;
    uint16_t flags = VRING_PACKED_EVENT_DISABLE, at;
    bool wrap;

    if (on && r->event_idx) {
        at = next_place(r, &wrap);
        le16_store(&event->off_wrap, (uint16_t)(at | (wrap ? WRAP : 0)));
        flags = VRING_PACKED_EVENT_DESC;
    } else if (on) {
        flags = VRING_PACKED_EVENT_ENABLE;
    }
    /* The place first, then the flags that make it count. */
    le16_store_release(&event->flags, flags);
    ring_log_device(r, 0, sizeof(*event));
}
