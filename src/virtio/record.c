/* The in-flight record, what both formats share: opening it, and putting what
 * is to be served again in order. Nothing in it is trusted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/inflight_impl.h"

int record_damaged(const struct ring *r, struct err *e, const char *how)
{
    return err_set(e, -EINVAL, "",
                   "the in-flight record of ring %u cannot be used: %s",
                   r->index, how);
}

int record_open(struct ring *r, bool *fresh, struct err *e)
{
    struct inflight_queue *q = r->inflight;
    const struct split_region *region = q->region; /* the head is the same */
    uint16_t version = __atomic_load_n(&region->version, __ATOMIC_ACQUIRE);
    struct ring_record *rec;

    if (q->size < r->size)
        return err_set(e, -EINVAL, "",
                       "ring %u has %u descriptors, its in-flight record has "
                       "room for %u",
                       r->index, r->size, q->size);
    if (version != 0 && version != INFLIGHT_VERSION)
        return record_damaged(r, e, "its version is unknown");
    if (version != 0 &&
        __atomic_load_n(&region->desc_num, __ATOMIC_RELAXED) != q->size)
        return record_damaged(r, e, "it was made for another queue size");

    rec = calloc(1, sizeof(*rec));
    if (!rec)
        return err_nomem(e);
    r->record = rec;
    rec->split = q->region;
    rec->size = q->size;
    rec->resubmit = calloc(q->size, sizeof(*rec->resubmit));
    rec->next = calloc(q->size, sizeof(*rec->next));
    rec->last = calloc(q->size, sizeof(*rec->last));
    if (!rec->resubmit || !rec->next || !rec->last) {
        record_close(r);
        return err_nomem(e);
    }
    *fresh = version == 0;
    return 0;
}

void record_close(struct ring *r)
{
    struct ring_record *rec = r->record;

    if (!rec)
        return;
    free(rec->resubmit);
    free(rec->next);
    free(rec->last);
    free(rec);
    r->record = NULL;
}

struct order {
    uint64_t counter;
    uint16_t entry;
};

static int in_order(const void *a, const void *b)
{
    const struct order *x = a, *y = b;

    if (x->counter != y->counter)
        return x->counter < y->counter ? -1 : 1;
    return x->entry - y->entry;
}

int record_sort(struct ring *r, const uint64_t *counters, struct err *e)
{
    struct ring_record *rec = r->record;
    unsigned n = r->recovered;
    struct order *o;

    if (n == 0)
        return 0;
    o = calloc(n, sizeof(*o));
    if (!o)
        return err_nomem(e);
    for (unsigned i = 0; i < n; i++)
        o[i] = (struct order){counters[i], rec->resubmit[i]};
    qsort(o, n, sizeof(*o), in_order);
    for (unsigned i = 0; i < n; i++)
        rec->resubmit[i] = o[i].entry;
    rec->counter = o[n - 1].counter + 1;
    free(o);
    return 0;
}
