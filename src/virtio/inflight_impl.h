/* virtio/inflight_impl.h: the layout of the in-flight record, and how rings
 * write it and start from it.
 *
 * Spec: vhost-user, "Inflight I/O tracking". Fields are in our byte order.
 *
 * The one promise: SIGKILL between any two instructions loses no request and
 * shows none to the guest twice. Our death stops stores at some point in
 * program order and takes none back, so all that counts is that order, and
 * that each step is a single store of at most 8 aligned bytes. Every store to
 * a record is therefore a release store: no compiler moves it before another
 * one. record_split.c and record_packed.c say, step by step, what a successor
 * finds. */
#ifndef VUB_VIRTIO_INFLIGHT_IMPL_H
#define VUB_VIRTIO_INFLIGHT_IMPL_H

#include "virtio/inflight.h"
#include "virtio/ring_impl.h"

#define INFLIGHT_VERSION 1
#define INFLIGHT_ALIGN 64

/* DescStateSplit, QueueRegionSplit */
struct split_state {
    uint8_t inflight;
    uint8_t padding[5];
    uint16_t next;
    uint64_t counter;
};

struct split_region {
    uint64_t features;
    uint16_t version, desc_num;
    uint16_t last_batch_head, used_idx;
    struct split_state desc[];
};

/* DescStatePacked, QueueRegionPacked */
struct packed_state {
    uint8_t inflight;
    uint8_t padding;
    uint16_t next, last, num;
    uint64_t counter;
    uint16_t id, flags;
    uint32_t len;
    uint64_t addr;
};

/* The used index, now and before the batch being published, with their wrap
 * counters: one aligned word, so that it changes as one. */
union packed_used {
    uint64_t word;
    struct {
        uint16_t idx, old_idx;
        uint8_t wrap, old_wrap;
        uint8_t padding[2];
    } at;
};

struct packed_region {
    uint64_t features;
    uint16_t version, desc_num;
    uint16_t free_head, old_free_head;
    union packed_used used;
    uint8_t padding[8];
    struct packed_state desc[];
};

_Static_assert(sizeof(struct split_state) == 16, "spec");
_Static_assert(offsetof(struct split_region, desc) == 16, "spec");
_Static_assert(sizeof(struct packed_state) == 32, "spec");
_Static_assert(offsetof(struct packed_region, used) == 16, "spec");
_Static_assert(offsetof(struct packed_region, desc) == 32, "spec");

/* One queue's part of a record. */
struct inflight_queue {
    struct inflight *record;
    void *region; /* of either layout, zero or in use */
    uint16_t size;
};

/* Has the front-end taken the record away? */
bool inflight_poisoned(const struct inflight_queue *q);

/* A ring's side: what it needs of the record, in memory of our own. */
struct ring_record {
    union {
        struct split_region *split;
        struct packed_region *packed;
    };
    uint16_t size;    /* entries */
    uint64_t counter; /* of the next request */

    uint16_t *resubmit; /* heads or entries to serve first, in order */
    unsigned resubmit_at;

    /* packed: the free list */
    uint16_t free_head;
    uint16_t *next; /* [size] */
    uint16_t *last; /* [size]: of the chain whose first entry this is */
};

static inline void record_set_u8(uint8_t *p, uint8_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline void record_set_u16(uint16_t *p, uint16_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline void record_set_u64(uint64_t *p, uint64_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/* Makes r->record of r->inflight, and says in *fresh whether it was unused
 * until now. With resubmits in it r->recovered is not 0. */
int record_open(struct ring *r, bool *fresh, struct err *e);
void record_close(struct ring *r);
/* Says that the record makes no sense, and where. */
int record_damaged(const struct ring *r, struct err *e, const char *how);
/* Sorts r->recovered entries of r->record->resubmit by their counters, which
 * follow in the same order. */
int record_sort(struct ring *r, const uint64_t *counters, struct err *e);

/* Fresh: begins at used index `used`. Otherwise: brings the record in line
 * with the ring's used index, and finds what is in flight. */
void split_record_begin(struct ring *r, uint16_t used);
int split_record_recover(struct ring *r, uint16_t used, struct err *e);
void split_record_take(struct ring *r, uint16_t head);
void split_record_before(struct ring *r); /* the used index moves */
void split_record_after(struct ring *r, uint16_t used);

/* The same; used_idx, used_wrap and descs_out of r are set by recover. */
void packed_record_begin(struct ring *r);
int packed_record_recover(struct ring *r, struct err *e);
/* c is what r->scratch has the descriptors of. */
void packed_record_take(struct ring *r, struct chain *c);
/* The descriptors of a recorded chain, into r->scratch; how many. */
unsigned packed_record_chain(struct ring *r, uint16_t entry);
void packed_record_before(struct ring *r, uint16_t used, bool wrap);
void packed_record_after(struct ring *r, uint16_t used, bool wrap);

#endif
