/* What split and packed rings have in common.
 *
 * A ring takes chains (pop), holds answers (done) and shows them (publish),
 * all in batches: the guest runs on another core, and each word we share with
 * it costs a cache miss when it changes hands. So the guest's index is loaded
 * only when what it said last is used up, answers are collected in our own
 * memory, and one store shows them all.
 *
 * A chain belongs to the memory map it was born under. A new map goes to the
 * head of a list; an old one is dropped with the last chain that counts in
 * it. */
#include "virtio/ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "os/event.h"
#include "os/memory.h"
#include "virtio/dirty.h"
#include "virtio/inflight_impl.h"

#define LINE 64
/* Pieces that a chain keeps room for: what seg_max of a block device needs. */
#define CHAIN_KEEP 256

/* ---- layout ---- */

uint64_t ring_part_len(bool packed, bool event_idx, uint16_t size, int part)
{
    uint64_t event = event_idx ? sizeof(le16) : 0;

    if (part == 0) /* both formats: 16 bytes each */
        return size * sizeof(struct vring_desc);
    if (packed)
        return sizeof(struct vring_packed_event);
    if (part == 1)
        return sizeof(struct vring_avail) + size * sizeof(le16) + event;
    return sizeof(struct vring_used) + size * sizeof(struct vring_used_elem) +
           event;
}

unsigned ring_part_align(bool packed, int part)
{
    if (part == 0)
        return 16;
    if (packed)
        return 4;
    return part == 1 ? 2 : 4;
}

/* ---- breaking ---- */

void ring_break(struct ring *r, const char *why)
{
    if (!r->broken)
        r->broken = why; /* the first reason is the one to tell */
}

bool ring_fail(struct ring *r, const char *why)
{
    ring_break(r, why);
    return false;
}

bool ring_fail_outside(struct ring *r, const char *why)
{
    if (!r->broken)
        r->broken_outside = true;
    return ring_fail(r, why);
}

/* ---- memory maps ---- */

/* mem, with a ref of its own, becomes the current map. */
static int push_map(struct ring *r, struct mem *mem)
{
    struct ring_map *m = calloc(1, sizeof(*m));

    if (!m)
        return -ENOMEM;
    m->mem = mem_ref(mem);
    m->next = r->map;
    r->map = m;
    r->hint = (struct mem_hint){0};
    return 0;
}

/* Drops every map that no chain was born under, but the current one. */
static void drop_old_maps(struct ring *r)
{
    struct ring_map **link = &r->map->next;

    while (*link) {
        struct ring_map *m = *link;

        if (m->chains > 0) {
            link = &m->next;
            continue;
        }
        *link = m->next;
        mem_unref(m->mem);
        free(m);
    }
}

int ring_set_mem(struct ring *r, struct mem *mem, void *desc, void *driver,
                 void *device)
{
    int rc;

    ring_publish(r); /* where the guest looks for it so far */
    rc = push_map(r, mem);
    if (rc < 0)
        return rc;
    drop_old_maps(r);
    r->desc = desc;
    r->driver = driver;
    r->device = device;
    return 0;
}

bool ring_poisoned(const struct ring *r)
{
    if (LIKELY(!memory_any_poisoned()))
        return false;
    for (const struct ring_map *m = r->map; m; m = m->next)
        if (mem_poisoned(m->mem))
            return true;
    return false;
}

/* ---- the dirty log ---- */

void ring_set_dirty(struct ring *r, struct dirty *dirty, bool log_used,
                    uint64_t used_gpa)
{
    ring_publish(r); /* it was marked in the log so far */
    if (dirty)
        dirty_ref(dirty);
    dirty_unref(r->dirty);
    r->dirty = dirty;
    r->log_used = dirty && log_used;
    r->used_gpa = used_gpa;
}

void ring_log_desc(struct ring *r, const void *host, uint64_t len)
{
    if (UNLIKELY(r->log_used))
        dirty_mark(r->dirty, mem_gpa(r->map->mem, host), len);
}

void ring_log_device(struct ring *r, uint64_t offset, uint64_t len)
{
    uint64_t gpa;

    if (UNLIKELY(r->log_used) && add_u64(r->used_gpa, offset, &gpa))
        dirty_mark(r->dirty, gpa, len);
}

/* ---- life ---- */

static int check_setup(const struct ring *r, const struct ring_setup *s,
                       struct err *e)
{
    if (s->size == 0 || s->size > RING_SIZE_MAX ||
        (!s->packed && (s->size & (s->size - 1))))
        return err_set(e, -EINVAL, "",
                       "ring %u cannot have %u descriptors: a split ring has "
                       "a power of two, any ring at most %d",
                       r->index, s->size, RING_SIZE_MAX);
    if (!s->mem || !s->desc || !s->driver || !s->device)
        return err_set(e, -EFAULT, "", "ring %u lies outside guest memory",
                       r->index);
    return 0;
}

/* chains, their requests behind, and what else is as long as the ring. */
static int make_chains(struct ring *r, uint32_t priv_size, struct err *e)
{
    size_t stride =
        (sizeof(struct chain) + (size_t)priv_size + LINE - 1) / LINE * LINE;

    r->chain_stride = stride;
    r->chains = aligned_alloc(LINE, stride * r->size);
    r->done = calloc(r->size, sizeof(*r->done));
    if (r->packed)
        r->scratch = calloc(r->size, sizeof(*r->scratch));
    if (!r->chains || !r->done || (r->packed && !r->scratch))
        return err_nomem(e);
    memset(r->chains, 0, stride * r->size);
    for (uint16_t i = 0; i < r->size; i++) {
        struct chain *c = ring_chain(r, i);

        c->ring = r;
        c->id = i;
        c->iov = c->iov_few;
        c->iov_room = ARRAY_LEN(c->iov_few);
    }
    return 0;
}

/* For a ring that ring_open left half made too. */
static void free_all(struct ring *r)
{
    if (r->chains)
        for (uint16_t i = 0; i < r->size; i++)
            chain_fini(ring_chain(r, i));
    free(r->chains);
    free(r->done);
    free(r->scratch);
    record_close(r);
    if (r->map) {
        drop_old_maps(r);
        mem_unref(r->map->mem);
        free(r->map);
    }
    dirty_unref(r->dirty);
    r->chains = NULL;
    r->done = NULL;
    r->scratch = NULL;
    r->map = NULL;
    r->dirty = NULL;
}

static void fill(struct ring *r, const struct ring_setup *s)
{
    r->size = s->size;
    r->mask = (uint16_t)(s->size - 1);
    r->chain_max = MAX(s->size, s->chain_max);
    r->packed = s->packed;
    r->event_idx = s->event_idx;
    r->desc = s->desc;
    r->driver = s->driver;
    r->device = s->device;
    r->inflight = s->inflight;
    r->call_fd = s->call_fd;
    /* Where the guest wants its first call we do not know. */
    r->call_due = true;
    if (s->dirty)
        ring_set_dirty(r, s->dirty, s->log_used, s->used_gpa);
}

static void call(struct ring *r)
{
    if (r->call_fd < 0 ||
        (r->ambushed && __atomic_load_n(r->ambushed, __ATOMIC_RELAXED)))
        return;
    ring_count(&r->stats->calls);
    if (LIKELY(event_signal(r->call_fd) == 0))
        return;
    if (r->ambushed)
        __atomic_store_n(r->ambushed, true, __ATOMIC_RELAXED);
    ring_break(r, "its call fd was made to block");
}

int ring_open(struct ring *r, const struct ring_setup *s, struct err *e)
{
    int rc;

    rc = check_setup(r, s, e);
    if (rc < 0)
        return rc;
    fill(r, s);
    rc = push_map(r, s->mem);
    if (rc < 0)
        rc = err_nomem(e);
    if (rc == 0)
        rc = make_chains(r, s->priv_size, e);
    if (rc == 0)
        rc = s->packed ? packed_open(r, s, e) : split_open(r, s, e);
    if (rc < 0) {
        free_all(r);
        return rc;
    }
    /* Whoever ran this ring before us may have died between an answer and the
     * call for it. One call too many does no harm. */
    if (r->record)
        call(r);
    return 0;
}

void ring_close(struct ring *r)
{
    assert(r->in_flight == 0);
    free_all(r);
}

uint32_t ring_base(const struct ring *r)
{
    if (!r->packed)
        return r->avail_idx;
    return (uint32_t)r->avail_idx | (uint32_t)r->avail_wrap << 15 |
           (uint32_t)r->used_idx << 16 | (uint32_t)r->used_wrap << 31;
}

struct mem *ring_mem(const struct ring *r)
{
    return r->map->mem;
}

/* ---- taking ---- */

static struct chain *pop_recovered(struct ring *r)
{
    struct ring_record *rec = r->record;
    uint16_t entry = rec->resubmit[rec->resubmit_at];
    struct chain *c = r->packed ? packed_pop_recovered(r, entry)
                                : split_pop_recovered(r, entry);

    if (!c)
        return NULL;
    rec->resubmit_at++;
    r->recovered--;
    return c;
}

struct chain *ring_pop(struct ring *r)
{
    struct chain *c;

    if (UNLIKELY(r->broken != NULL))
        return NULL;
    if (UNLIKELY(r->recovered > 0))
        c = pop_recovered(r);
    else if (UNLIKELY(r->only_recovered))
        c = NULL;
    else
        c = r->packed ? packed_pop(r) : split_pop(r);
    return c;
}

bool ring_has_work(struct ring *r)
{
    if (UNLIKELY(r->broken != NULL))
        return false;
    if (UNLIKELY(r->recovered > 0 && !r->rests))
        return true;
    return r->packed ? packed_has_work(r) : split_has_work(r);
}

unsigned ring_rest(struct ring *r)
{
    if (UNLIKELY(r->broken != NULL))
        return 0;
    r->rests = true;
    return r->recovered + (r->packed ? packed_rest(r) : split_rest(r));
}

/* ---- answering ---- */

static void leave_map(struct ring *r, struct chain *c)
{
    struct ring_map *m = c->map;

    m->chains--;
    if (UNLIKELY(m != r->map) && m->chains == 0)
        drop_old_maps(r);
    r->in_flight--;
    c->busy = false;
    if (UNLIKELY(c->iov_room > CHAIN_KEEP)) {
        chain_fini(c); /* an unusual guest must not make us large */
        c->iov_room = ARRAY_LEN(c->iov_few);
    }
}

void chain_done(struct chain *c, uint32_t written)
{
    struct ring *r = c->ring;

    assert(c->busy);
    assert(written <= c->in_len);
    if (UNLIKELY(r->dirty != NULL))
        chain_mark_dirty(c);
    leave_map(r, c);
    ring_count(&r->stats->chains);
    r->done[r->pending] =
        (struct ring_used){written, c->id, c->descs, c->record};
    if (r->pending++ == 0 && r->want_flush)
        r->want_flush(r);
}

void chain_forget(struct chain *c)
{
    assert(c->busy);
    leave_map(c->ring, c);
}

/* ---- time ---- */

uint64_t ring_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Counts how long what is pending has taken. Chains that were taken together
 * mostly end together, and count by one. */
static void count_latency(struct ring *r)
{
    struct histogram *h = &r->stats->latency;
    uint64_t taken_ns = ring_chain(r, r->done[0].id)->taken_ns;
    uint32_t n = 1;

    r->now_ns = ring_clock_ns();
    for (uint32_t i = 1; i < r->pending; i++) {
        uint64_t other_ns = ring_chain(r, r->done[i].id)->taken_ns;

        if (LIKELY(other_ns == taken_ns)) {
            n++;
            continue;
        }
        histogram_add(h, r->now_ns - taken_ns, n);
        taken_ns = other_ns;
        n = 1;
    }
    histogram_add(h, r->now_ns - taken_ns, n);
}

void ring_publish(struct ring *r)
{
    if (r->pending == 0) {
        r->now_ns = 0; /* it is some time since it was read */
        return;
    }
    if (r->packed)
        packed_publish(r);
    else
        split_publish(r);
    count_latency(r);
    r->pending = 0;
}

/* The files a ring writes to besides guest memory, which vhost looks after. */
static void look_after_files(struct ring *r)
{
    if (r->record && inflight_poisoned(r->inflight))
        ring_break(r, "the file of its in-flight record shrank");
    if (r->dirty && dirty_poisoned(r->dirty))
        ring_break(r, "the file of the dirty log shrank");
}

void ring_flush(struct ring *r)
{
    bool wanted;

    ring_publish(r);
    r->now_ns = 0;
    if (r->uncalled == 0)
        return;
    if (UNLIKELY(r->record || r->dirty))
        look_after_files(r);
    /* The guest says what it wants, then looks whether it has come. */
    ring_full_barrier();
    wanted = r->packed ? packed_wants_call(r) : split_wants_call(r);
    r->uncalled = 0;
    r->call_due = false;
    if (wanted)
        call(r);
}

/* ---- notifications ---- */

void ring_notify_off(struct ring *r)
{
    if (r->notify_off)
        return;
    r->notify_off = true;
    if (r->packed)
        packed_notify(r, false);
    else
        split_notify(r, false);
}

bool ring_notify_on(struct ring *r)
{
    r->notify_off = false;
    if (r->packed)
        packed_notify(r, true);
    else
        split_notify(r, true);
    /* The guest adds, then looks whether to kick. */
    ring_full_barrier();
    return ring_has_work(r);
}
