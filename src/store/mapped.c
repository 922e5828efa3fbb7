/* A cached read by system call is half copying, half the way through the
 * kernel. Where the image is mapped only the copy is left. But whoever touches
 * a page that is not there waits for the disk, in the middle of a copy, and
 * what is mapped counts as the process's own. Hence:
 *
 *   By groups. The image is looked at in pieces of 64 KiB. Each counts how
 *   often it was asked for. After HOT times, which have cost as much as what
 *   follows, the kernel is asked whether all of it is in the page cache. If so
 *   it is brought in, and copied from then on; if not, the kernel is asked
 *   again after four times as many.
 *
 *   Guarded. The kernel may drop a page at any time, and then the next copy
 *   waits. It does so when memory is short, which is seldom, and of what was
 *   used least. Copies are timed (guard.h): after a slow one everything is done
 *   by system calls for a while, and that group starts again.
 *
 *   Bounded. When as much is mapped as the config allows, another group goes
 *   for each that comes.
 *
 *   A file that shrinks, or a disk that fails, is met as in guest memory
 *   (os/memory.h): the copy goes on with zeros and the mapping is poisoned.
 *   Then nothing that was copied counts, and there is no mapping any more.
 *
 *   Writes. After each time that a page went to the disk, the first copy to it
 *   is as dear as a write by system call: the file system is told. So a group
 *   is written by system calls until REWRITTEN writes since the last flush say
 *   that its pages are written again and again. In memory (tmpfs) nothing is
 *   written back. The first one in a while is a system call all the same, so
 *   that the file has a time of change there too.
 *
 * Two threads may look at the same group at once: that one is copied from while
 * another lets it go costs time, and nothing else. */
#include "store/mapped.h"

#include <stdlib.h>

#include "os/file.h"
#include "os/memory.h"

#define GROUP_BYTES (UINT64_C(64) << 10)
#define TABLE_GROUPS 32 /* of which a page of page tables tells, mostly */
#define LEN_MAX (UINT64_C(1) << 40) /* what is beyond is not mapped */
#define REQUEST_BYTES (1u << 20)    /* more is no hand-over's loss */
/* Copies that wait for nobody take a tenth of that... */
#define SLOW_NS 30000
#define SLOW_NS_PER_KIB 500
/* ... but for the first one to a page that was written back: a file system with
 * a journal has work to do then, by whichever way. */
#define SLOW_WRITE_NS 1000000
#define TOUCH_NS UINT64_C(100000000)

/* How often a group was asked for, up to: */
enum {
    HOT = 8,                    /* looked at; */
    HOT_LATER = 4 * HOT,        /* if not all of it was there, again; */
    HOT_LATEST = 4 * HOT_LATER, /* and then each time that it was so often. */
    MAPPED = UINT8_MAX,         /* it was brought in */
};

#define REWRITTEN 16 /* by each page of a group, once */

struct group {
    uint8_t heat;    /* atomic */
    uint8_t written; /* atomic: how often, */
    uint16_t since;  /* atomic: since which flush */
};

struct mapped {
    struct memory memory;
    int fd;
    uint64_t num_groups;
    uint64_t num_mapped; /* atomic */
    uint64_t most;       /* of these */
    uint64_t hand;       /* atomic: who goes next is looked for from here */
    bool off;            /* atomic: it is poisoned */
    enum mapped_writes writes;
    uint16_t flushes; /* atomic: how many there were */
    struct group groups[];
};

struct mapped *mapped_open(int fd, uint64_t len, uint64_t most,
                           enum mapped_writes writes)
{
    uint64_t num = MIN(len, LEN_MAX) / GROUP_BYTES;
    struct mapped *m;
    struct err e;

    if (num == 0 || most < GROUP_BYTES ||
        file_is_cached(fd, 0, GROUP_BYTES) < 0)
        return NULL;
    m = calloc(1, sizeof(*m) + num * sizeof(m->groups[0]));
    if (!m)
        return NULL;
    m->fd = fd;
    m->num_groups = num;
    m->most = most / GROUP_BYTES;
    m->writes = writes;
    /* With a page that is touched Linux maps cached ones around it, in pieces
     * by address: those are to be of the same group. */
    if (memory_map_image(&m->memory, fd, num * GROUP_BYTES, GROUP_BYTES,
                         writes != MAPPED_NO_WRITES, &e) < 0) {
        free(m);
        return NULL;
    }
    return m;
}

void mapped_close(struct mapped *m)
{
    if (!m)
        return;
    memory_unmap(&m->memory);
    free(m);
}

/* ---- groups ---- */

static uint8_t heat_of(const struct mapped *m, uint64_t group)
{
    return __atomic_load_n(&m->groups[group].heat, __ATOMIC_RELAXED);
}

/* False: somebody else has changed it meanwhile. */
static bool change_heat(struct mapped *m, uint64_t group, uint8_t from,
                        uint8_t to)
{
    return __atomic_compare_exchange_n(&m->groups[group].heat, &from, to, false,
                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static uint8_t *at_group(const struct mapped *m, uint64_t group)
{
    return m->memory.at + group * GROUP_BYTES;
}

/* It starts again with so much. True: it was mapped, and need not stay. */
static bool cool(struct mapped *m, uint64_t group, uint8_t heat)
{
    if (heat_of(m, group) != MAPPED || !change_heat(m, group, MAPPED, heat))
        return false;
    __atomic_fetch_sub(&m->num_mapped, 1, __ATOMIC_RELAXED);
    return true;
}

static bool any_mapped(const struct mapped *m, uint64_t from, uint64_t end)
{
    for (uint64_t group = from; group < end; group++)
        if (heat_of(m, group) == MAPPED)
            return true;
    return false;
}

/* The kernel's tables for it go too, if they tell of nothing else: Linux gives
 * back a page of them that is left as a whole, since 6.14, and before never.
 * They are a 500th of what was ever mapped. */
static void leave(struct mapped *m, uint64_t group)
{
    uint64_t skew = (uintptr_t)m->memory.at / GROUP_BYTES % TABLE_GROUPS;
    uint64_t table = (group + skew) / TABLE_GROUPS * TABLE_GROUPS;
    uint64_t from = MAX(table, skew) - skew;
    uint64_t end = MIN(table + TABLE_GROUPS - skew, m->num_groups);

    if (any_mapped(m, from, end)) {
        from = group;
        end = group + 1;
    }
    memory_leave(at_group(m, from), (end - from) * GROUP_BYTES);
}

static bool drop(struct mapped *m, uint64_t group, uint8_t heat)
{
    if (!cool(m, group, heat))
        return false;
    leave(m, group);
    return true;
}

/* Lets a group go, whichever comes next. */
static void make_room(struct mapped *m)
{
    uint64_t at = __atomic_load_n(&m->hand, __ATOMIC_RELAXED);

    for (uint64_t i = 0; i < m->num_groups; i++) {
        uint64_t group = (at + i) % m->num_groups;

        if (drop(m, group, 0)) {
            at = group + 1;
            break;
        }
    }
    __atomic_store_n(&m->hand, at, __ATOMIC_RELAXED);
}

/* True: it is there now. */
static bool bring(struct mapped *m, uint64_t group)
{
    if (file_is_cached(m->fd, group * GROUP_BYTES, GROUP_BYTES) <= 0)
        return false;
    if (__atomic_load_n(&m->num_mapped, __ATOMIC_RELAXED) >= m->most)
        make_room(m);
    if (!memory_bring(at_group(m, group), GROUP_BYTES))
        return false;
    if (__atomic_exchange_n(&m->groups[group].heat, MAPPED, __ATOMIC_RELAXED) !=
        MAPPED)
        __atomic_fetch_add(&m->num_mapped, 1, __ATOMIC_RELAXED);
    return true;
}

static bool is_time(uint8_t heat)
{
    return heat == HOT || heat == HOT_LATER || heat == HOT_LATEST ||
           heat == MAPPED - 1;
}

/* It is asked for once more. True: it is mapped. */
static bool touch(struct mapped *m, uint64_t group)
{
    uint8_t heat = heat_of(m, group);

    if (LIKELY(heat == MAPPED))
        return true;
    return change_heat(m, group, heat,
                       heat == MAPPED - 1 ? HOT_LATEST : heat + 1) &&
           is_time(heat) && bring(m, group);
}

/* The end of the groups that a range touches. */
static uint64_t end_of(const struct mapped *m, uint64_t offset, uint64_t len)
{
    return MIN((offset + len + GROUP_BYTES - 1) / GROUP_BYTES, m->num_groups);
}

/* Whoever makes the hole unmaps what was there, which may be much, but not what
 * is left of a group. */
void mapped_forget(struct mapped *m, uint64_t offset, uint64_t len)
{
    uint64_t end = m ? end_of(m, offset, len) : 0;

    for (uint64_t group = offset / GROUP_BYTES; group < end; group++) {
        uint64_t at = group * GROUP_BYTES;

        if (at >= offset && at + GROUP_BYTES <= offset + len)
            cool(m, group, 0);
        else
            drop(m, group, 0);
    }
}

void mapped_flushed(struct mapped *m)
{
    if (m)
        __atomic_fetch_add(&m->flushes, 1, __ATOMIC_RELAXED);
}

/* It is written once more. True: by copying. */
static bool is_rewritten(struct mapped *m, uint64_t group)
{
    uint16_t now = __atomic_load_n(&m->flushes, __ATOMIC_RELAXED);
    struct group *g = &m->groups[group];
    uint8_t n = __atomic_load_n(&g->written, __ATOMIC_RELAXED);

    if (m->writes == MAPPED_WRITES_STAY)
        return true;
    if (__atomic_load_n(&g->since, __ATOMIC_RELAXED) != now) {
        __atomic_store_n(&g->since, now, __ATOMIC_RELAXED);
        n = 0;
    } else if (LIKELY(n == REWRITTEN)) {
        return true;
    }
    __atomic_store_n(&g->written, n + 1, __ATOMIC_RELAXED);
    return false;
}

/* ---- requests ---- */

void mapped_batch_init(struct mapped_batch *b, struct mapped *m)
{
    *b = (struct mapped_batch){
        .mapped = m,
        .guard = {.slow_ns_per_kib = SLOW_NS_PER_KIB},
    };
}

bool mapped_add(struct mapped_batch *b, struct store_req *r)
{
    uint64_t first = r->offset / GROUP_BYTES;
    uint64_t last = (r->offset + r->len - 1) / GROUP_BYTES;
    struct mapped *m = b->mapped;
    bool all = true;

    if (!m)
        return false;
    if (UNLIKELY(last >= m->num_groups || r->len - 1 >= REQUEST_BYTES ||
                 __atomic_load_n(&m->off, __ATOMIC_RELAXED)))
        return false;
    if (UNLIKELY(b->guard.until_ns) && !guard_allows(&b->guard))
        return false;
    if (r->op == STORE_WRITE &&
        (m->writes == MAPPED_NO_WRITES || r->flags & STORE_FUA))
        return false;
    for (uint64_t group = first; group <= last; group++)
        all &=
            touch(m, group) && (r->op == STORE_READ || is_rewritten(m, group));
    return all && copies_add(&b->copies, r);
}

/* One of its groups may have made room for another one meanwhile: a copy would
 * bring it back, and nobody would count it. */
static bool is_still_mapped(const struct mapped *m, const struct store_req *r)
{
    uint64_t last = (r->offset + r->len - 1) / GROUP_BYTES;
    bool all = true;

    for (uint64_t group = r->offset / GROUP_BYTES; group <= last; group++)
        all &= heat_of(m, group) == MAPPED;
    return all;
}

/* Has the mapping lost bytes? Then it is of no use any more. */
static bool is_lost(struct mapped *m)
{
    /* Another thread may have met the fault: its word of that came before the
     * zeros that we then copied. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (LIKELY(!memory_any_poisoned()) || !memory_is_poisoned(&m->memory))
        return false;
    __atomic_store_n(&m->off, true, __ATOMIC_RELAXED);
    return true;
}

/* Must a write change the file's time now? */
static bool is_to_touch(struct mapped_batch *b, uint64_t now_ns)
{
    if (LIKELY(now_ns - b->touched_ns < TOUCH_NS))
        return false;
    b->touched_ns = now_ns;
    return true;
}

unsigned mapped_run(struct mapped_batch *b)
{
    struct mapped *m = b->mapped;
    struct guard *g = &b->guard;
    unsigned i;

    guard_pause(g);
    for (i = 0; i < b->copies.num && guard_allows(g); i++) {
        const struct store_req *r = b->copies.req[i];

        if (UNLIKELY(!is_still_mapped(m, r)))
            break;
        if (g->bytes == 0)
            g->slow_ns = SLOW_NS;
        if (r->op == STORE_WRITE) {
            if (UNLIKELY(is_to_touch(b, g->last_ns)))
                break;
            g->slow_ns = SLOW_WRITE_NS;
        }
        copies_step(&b->copies, i, m->memory.at);
        guard_called(g, r->len);
        if (UNLIKELY(!guard_allows(g)))
            drop(m, r->offset / GROUP_BYTES, HOT_LATEST);
    }
    copies_end();
    guard_pause(g);
    return UNLIKELY(is_lost(m)) ? 0 : i;
}
