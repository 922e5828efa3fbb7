/* The in-flight record of a packed ring.
 *
 * A packed ring loses its descriptors: answers are written over them. So the
 * record has copies, a chain of entries per request, taken from a free list.
 * The list has two heads. What lies on the old one is free for certain; what
 * moves between the two is a batch of answers being published, of which the
 * flags of the first answer in the ring say whether the guest has it. What a
 * successor finds if we die
 *
 *   taking a request, before old_free_head    it was not taken: its entries
 *   is stored                                 are on the free list still, as
 *                                             no link has changed
 *   ... after                                 it is in flight
 *   publishing, while the batch is put on     used and old used index agree:
 *   the new free list                         the new list is forgotten. The
 *                                             links changed are those of last
 *                                             entries, which lead nowhere
 *   ... after the used index is stored,       they differ, and the ring has
 *   before the first flags                    an available descriptor at the
 *                                             old one: the index is taken
 *                                             back, the new list forgotten.
 *                                             Answers behind the first may
 *                                             have flags: those are taken back
 *                                             too, lest the guest comes to
 *                                             them behind another first one
 *   ... after the first flags                 the ring has no available one
 *                                             there (a used one, or what the
 *                                             guest put there a lap later):
 *                                             the batch is done, the new list
 *                                             is the list
 *   ... after old_free_head, before the old   the same
 *   used index is stored
 *   ... after that                            nothing to do
 *
 * Both used indices with their wrap counters are one word. The spec compares
 * the indices only; a batch of a whole lap leaves the index as it was, so we
 * compare the wrap counters too. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/inflight_impl.h"

static uint16_t get_u16(const uint16_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void set_used(struct ring *r, union packed_used u)
{
    record_set_u64(&r->record->packed->used.word, u.word);
}

static union packed_used used_both(uint16_t idx, bool wrap)
{
    union packed_used u = {.at = {idx, idx, wrap, wrap, {0, 0}}};

    return u;
}

void packed_record_begin(struct ring *r)
{
    struct ring_record *rec = r->record;
    struct packed_region *p = rec->packed;

    for (uint16_t i = 0; i < rec->size; i++) {
        rec->next[i] = (uint16_t)(i + 1);
        record_set_u16(&p->desc[i].next, (uint16_t)(i + 1));
        record_set_u8(&p->desc[i].inflight, 0);
    }
    rec->free_head = 0;
    record_set_u64(&p->features, 0);
    record_set_u16(&p->desc_num, rec->size);
    record_set_u16(&p->free_head, 0);
    record_set_u16(&p->old_free_head, 0);
    set_used(r, used_both(r->used_idx, r->used_wrap));
    /* Only now is it a record. */
    record_set_u16(&p->version, INFLIGHT_VERSION);
}

/* ---- recovery ---- */

/* Has the guest the batch that was being published? */
static bool batch_is_out(const struct ring *r, const union packed_used *u)
{
    const struct vring_packed_desc *ring = r->desc;
    uint16_t flags = le16_load_acquire(&ring[u->at.old_idx].flags);
    bool avail = flags & VRING_PACKED_DESC_F_AVAIL;
    bool used = flags & VRING_PACKED_DESC_F_USED;

    return !(avail == u->at.old_wrap && used != u->at.old_wrap);
}

/* Settles what was under way: one of the two states, in full. */
static int settle(struct ring *r, struct err *e)
{
    struct ring_record *rec = r->record;
    struct packed_region *p = rec->packed;
    union packed_used u;

    u.word = __atomic_load_n(&p->used.word, __ATOMIC_ACQUIRE);
    if (u.at.idx >= r->size || u.at.old_idx >= r->size || u.at.wrap > 1 ||
        u.at.old_wrap > 1)
        return record_damaged(r, e, "its used index is outside the ring");
    if ((u.at.idx != u.at.old_idx || u.at.wrap != u.at.old_wrap) &&
        batch_is_out(r, &u)) {
        rec->free_head = get_u16(&p->free_head);
        record_set_u16(&p->old_free_head, rec->free_head);
        u = used_both(u.at.idx, u.at.wrap);
        set_used(r, u);
    } else {
        u = used_both(u.at.old_idx, u.at.old_wrap);
        set_used(r, u);
        rec->free_head = get_u16(&p->old_free_head);
        record_set_u16(&p->free_head, rec->free_head);
    }
    r->used_idx = u.at.idx;
    r->used_wrap = u.at.wrap;
    return 0;
}

/* Marks the free entries in `seen` and clears their inflight; how many. The
 * list ends where a link leads nowhere; a loop is no list: 0. */
static unsigned walk_free(struct ring_record *rec, bool *seen)
{
    unsigned n = 0;
    uint16_t i = rec->free_head;

    while (i < rec->size) {
        if (seen[i])
            return 0;
        seen[i] = true;
        record_set_u8(&rec->packed->desc[i].inflight, 0);
        i = rec->next[i];
        n++;
    }
    return n;
}

/* The chain that begins at head: marks it in `seen`; its length, 0 if it
 * makes no sense. */
static unsigned walk_chain(struct ring_record *rec, uint16_t head, bool *seen)
{
    const struct packed_state *d = rec->packed->desc;
    unsigned num = get_u16(&d[head].num);
    uint16_t last = get_u16(&d[head].last), i = head;

    if (num == 0 || num > rec->size)
        return 0;
    for (unsigned n = 1;; n++) {
        if (i >= rec->size || seen[i])
            return 0;
        seen[i] = true;
        if (n == num)
            break;
        i = rec->next[i];
    }
    if (i != last)
        return 0;
    rec->last[head] = last;
    return num;
}

/* The buffer id is that of the last descriptor. */
static int check_id(struct ring *r, uint16_t head, bool *ids, struct err *e)
{
    struct ring_record *rec = r->record;
    uint16_t id = get_u16(&rec->packed->desc[rec->last[head]].id);

    if (id >= r->size || ids[id])
        return record_damaged(r, e,
                              "it has a buffer id twice, or one that "
                              "the ring cannot have");
    ids[id] = true;
    return 0;
}

static int find_chains(struct ring *r, bool *seen, bool *ids,
                       uint64_t *counters, struct err *e)
{
    struct ring_record *rec = r->record;
    const struct packed_state *d = rec->packed->desc;
    unsigned entries;
    int rc;

    for (uint16_t i = 0; i < rec->size; i++)
        rec->next[i] = get_u16(&d[i].next);
    entries = walk_free(rec, seen);
    for (uint16_t i = 0; i < rec->size; i++) {
        unsigned num;

        if (!__atomic_load_n(&d[i].inflight, __ATOMIC_RELAXED))
            continue;
        num = walk_chain(rec, i, seen);
        if (num == 0)
            return record_damaged(r, e, "its entries are no lists");
        rc = check_id(r, i, ids, e);
        if (rc < 0)
            return rc;
        counters[r->recovered] =
            __atomic_load_n(&d[i].counter, __ATOMIC_RELAXED);
        rec->resubmit[r->recovered++] = i;
        r->descs_out += num;
        entries += num;
    }
    /* A loop among the free ones is found here: then they are too few. */
    if (entries != rec->size || r->descs_out > r->size)
        return record_damaged(r, e, "some of its entries are lost");
    return record_sort(r, counters, e);
}

/* Answers that the guest must not see yet may have flags: all of what is in
 * flight is made available again, as it was. */
static void take_back_flags(struct ring *r)
{
    struct vring_packed_desc *ring = r->desc;
    uint16_t at = r->used_idx;
    bool wrap = r->used_wrap;

    for (unsigned n = 0; n < r->descs_out; n++) {
        uint16_t bits =
            wrap ? VRING_PACKED_DESC_F_AVAIL : VRING_PACKED_DESC_F_USED;
        uint16_t flags = le16_load(&ring[at].flags);
        uint16_t was = flags;

        flags &=
            (uint16_t) ~(VRING_PACKED_DESC_F_AVAIL | VRING_PACKED_DESC_F_USED);
        flags |= bits;
        if (flags != was) {
            le16_store_release(&ring[at].flags, flags);
            ring_log_desc(r, &ring[at].flags, sizeof(flags));
        }
        if (++at == r->size) {
            at = 0;
            wrap = !wrap;
        }
    }
}

int packed_record_recover(struct ring *r, struct err *e)
{
    struct ring_record *rec = r->record;
    bool *seen = calloc(rec->size, sizeof(*seen));
    bool *ids = calloc(r->size, sizeof(*ids));
    uint64_t *counters = calloc(rec->size, sizeof(*counters));
    int rc;

    if (seen && ids && counters) {
        rc = settle(r, e);
        if (rc == 0)
            rc = find_chains(r, seen, ids, counters, e);
        if (rc == 0)
            take_back_flags(r);
    } else {
        rc = err_nomem(e);
    }
    free(seen);
    free(ids);
    free(counters);
    return rc;
}

unsigned packed_record_chain(struct ring *r, uint16_t entry)
{
    struct ring_record *rec = r->record;
    const struct packed_state *d = rec->packed->desc;
    uint16_t last = rec->last[entry], i = entry;
    unsigned n = 0;

    /* The links are our own copy, walked to its end once already. The rest is
     * read now, and checked like what a guest writes. */
    for (;;) {
        r->scratch[n++] = (struct vring_packed_desc){
            htole64(__atomic_load_n(&d[i].addr, __ATOMIC_RELAXED)),
            htole32(__atomic_load_n(&d[i].len, __ATOMIC_RELAXED)),
            htole16(get_u16(&d[i].id)), htole16(get_u16(&d[i].flags))};
        if (i == last)
            return n;
        i = rec->next[i];
    }
}

/* ---- while the ring runs ---- */

void packed_record_take(struct ring *r, struct chain *c)
{
    struct ring_record *rec = r->record;
    struct packed_region *p = rec->packed;
    uint16_t head = rec->free_head, i = head, last = head;

    /* As many are free as the ring has descriptors that are not out. */
    for (unsigned n = 0; n < c->descs; n++) {
        struct packed_state *s = &p->desc[i];

        assert(i < rec->size);
        s->addr = le64toh(r->scratch[n].addr);
        s->len = le32toh(r->scratch[n].len);
        s->flags = le16toh(r->scratch[n].flags);
        s->id = le16toh(r->scratch[n].id);
        last = i;
        i = rec->next[i];
    }
    c->record = head;
    rec->last[head] = last;
    rec->free_head = i;
    record_set_u16(&p->desc[head].last, last);
    record_set_u16(&p->desc[head].num, c->descs);
    record_set_u64(&p->desc[head].counter, rec->counter++);
    record_set_u8(&p->desc[head].inflight, 1);
    record_set_u16(&p->free_head, i);
    record_set_u16(&p->old_free_head, i);
}

void packed_record_before(struct ring *r, uint16_t used, bool wrap)
{
    struct ring_record *rec = r->record;
    struct packed_region *p = rec->packed;
    union packed_used u = used_both(r->used_idx, r->used_wrap);

    for (uint32_t i = 0; i < r->pending; i++) {
        uint16_t head = r->done[i].record, last = rec->last[head];

        rec->next[last] = rec->free_head;
        record_set_u16(&p->desc[last].next, rec->free_head);
        rec->free_head = head;
    }
    record_set_u16(&p->free_head, rec->free_head);
    u.at.idx = used;
    u.at.wrap = wrap;
    set_used(r, u);
}

void packed_record_after(struct ring *r, uint16_t used, bool wrap)
{
    struct ring_record *rec = r->record;
    struct packed_region *p = rec->packed;

    for (uint32_t i = 0; i < r->pending; i++)
        record_set_u8(&p->desc[r->done[i].record].inflight, 0);
    record_set_u16(&p->old_free_head, rec->free_head);
    set_used(r, used_both(used, wrap));
}
