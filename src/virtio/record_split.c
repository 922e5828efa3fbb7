/* The in-flight record of a split ring.
 *
 * Each head has an entry. What a successor finds if we die
 *
 *   taking a request, before inflight = 1     it was not taken: the available
 *                                             index it starts from is the used
 *                                             index plus what is in flight
 *   ... after                                 it is in flight
 *   publishing, before the used index moves   all of the batch is in flight:
 *                                             the list it was linked into is
 *                                             read only if the index moved
 *   ... after                                 used_idx lags behind: as many
 *                                             requests as it lags, from the
 *                                             head of that list, are done
 *   ... while marks are cleared               the same, some twice
 *   ... after used_idx is stored              nothing to do
 *
 * Only as many links of the list are read as the used index has moved. */
#include <stdlib.h>

#include "virtio/inflight_impl.h"

void split_record_begin(struct ring *r, uint16_t used)
{
    struct split_region *s = r->record->split;

    for (uint16_t i = 0; i < r->record->size; i++)
        record_set_u8(&s->desc[i].inflight, 0);
    record_set_u64(&s->features, 0);
    record_set_u16(&s->desc_num, r->record->size);
    record_set_u16(&s->last_batch_head, 0);
    record_set_u16(&s->used_idx, used);
    /* Only now is it a record. */
    record_set_u16(&s->version, INFLIGHT_VERSION);
}

/* Clears the marks of the last batch, if the crash came before that. */
static int end_last_batch(struct ring *r, uint16_t used, struct err *e)
{
    struct split_region *s = r->record->split;
    uint16_t lag = used - __atomic_load_n(&s->used_idx, __ATOMIC_RELAXED);
    uint16_t i = __atomic_load_n(&s->last_batch_head, __ATOMIC_RELAXED);

    if (lag == 0)
        return 0;
    if (lag > r->size) {
        /* Another ring's record, or that of this ring before the guest
         * started it anew. No harm if it records nothing. */
        for (i = 0; i < r->record->size; i++)
            if (__atomic_load_n(&s->desc[i].inflight, __ATOMIC_RELAXED))
                return record_damaged(r, e,
                                      "it is not of this ring: the used "
                                      "indices are too far apart");
        lag = 0;
    }
    for (; lag > 0; lag--) {
        if (i >= r->size)
            return record_damaged(r, e, "its last batch is no list");
        record_set_u8(&s->desc[i].inflight, 0);
        i = __atomic_load_n(&s->desc[i].next, __ATOMIC_RELAXED);
    }
    record_set_u16(&s->used_idx, used);
    return 0;
}

int split_record_recover(struct ring *r, uint16_t used, struct err *e)
{
    struct ring_record *rec = r->record;
    uint64_t *counters;
    int rc;

    rc = end_last_batch(r, used, e);
    if (rc < 0)
        return rc;
    counters = calloc(rec->size, sizeof(*counters));
    if (!counters)
        return err_nomem(e);
    for (uint16_t i = 0; i < rec->size; i++) {
        const struct split_state *d = &rec->split->desc[i];

        if (!__atomic_load_n(&d->inflight, __ATOMIC_RELAXED))
            continue;
        if (i >= r->size) {
            rc = record_damaged(r, e,
                                "it names a descriptor that the ring "
                                "does not have");
            break;
        }
        counters[r->recovered] = __atomic_load_n(&d->counter, __ATOMIC_RELAXED);
        rec->resubmit[r->recovered++] = i;
    }
    if (rc == 0)
        rc = record_sort(r, counters, e);
    free(counters);
    return rc;
}

void split_record_take(struct ring *r, uint16_t head)
{
    struct split_state *d = &r->record->split->desc[head];

    record_set_u64(&d->counter, r->record->counter++);
    record_set_u8(&d->inflight, 1);
}

void split_record_before(struct ring *r)
{
    struct split_region *s = r->record->split;

    /* Each batch begins a list of its own: its last link is never followed. */
    for (uint32_t i = 1; i < r->pending; i++)
        record_set_u16(&s->desc[r->done[i].id].next, r->done[i - 1].id);
    record_set_u16(&s->last_batch_head, r->done[r->pending - 1].id);
}

void split_record_after(struct ring *r, uint16_t used)
{
    struct split_region *s = r->record->split;

    for (uint32_t i = 0; i < r->pending; i++)
        record_set_u8(&s->desc[r->done[i].id].inflight, 0);
    record_set_u16(&s->used_idx, used);
}
