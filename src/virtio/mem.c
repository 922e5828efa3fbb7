/* Memory maps: arrays of regions that never change once made, and mappings
 * that successive maps share.
 *
 * A mapping is what mmap gave for one region of one message. It is counted by
 * the maps that have the region, and unmapped with the last of them: long
 * after the front-end took the region back, if a request still uses it. */
#include "virtio/mem_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "os/memory.h"

struct mem_mapping {
    unsigned refs; /* atomic */
    struct memory memory;
};

/* Of all maps of a front-end. */
struct mem_tally {
    unsigned refs, mappings; /* atomic */
};

/* ---- lives ---- */

static void tally_unref(struct mem_tally *t)
{
    if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(t);
}

static void mapping_ref(struct mem_mapping *p)
{
    __atomic_fetch_add(&p->refs, 1, __ATOMIC_RELAXED);
}

static void mapping_unref(struct mem_tally *t, struct mem_mapping *p)
{
    if (__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    memory_unmap(&p->memory);
    free(p);
    __atomic_fetch_sub(&t->mappings, 1, __ATOMIC_RELEASE);
}

/* Room for count regions; they are the caller's to fill. */
static struct mem *new_map(struct mem_tally *t, unsigned count)
{
    size_t regions = count * sizeof(struct mem_region);
    struct mem *m;

    m = calloc(1, sizeof(*m) + regions + count * sizeof(*m->by_host));
    if (!m)
        return NULL;
    m->refs = 1;
    m->count = count;
    m->tally = t;
    __atomic_fetch_add(&t->refs, 1, __ATOMIC_RELAXED);
    m->by_host = (uint16_t *)(void *)&m->regions[count];
    return m;
}

struct mem *mem_new(void)
{
    struct mem_tally *t = calloc(1, sizeof(*t));
    struct mem *m;

    if (!t)
        return NULL;
    t->refs = 1;
    m = new_map(t, 0);
    tally_unref(t);
    return m;
}

struct mem *mem_new_like(struct mem *m)
{
    return new_map(m->tally, 0);
}

struct mem *mem_ref(struct mem *m)
{
    __atomic_fetch_add(&m->refs, 1, __ATOMIC_RELAXED);
    return m;
}

void mem_unref(struct mem *m)
{
    if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (unsigned i = 0; i < m->count; i++)
        mapping_unref(m->tally, m->regions[i].mapping);
    tally_unref(m->tally);
    free(m);
}

/* ---- building ---- */

/* The regions are in place: shares their mappings, sorts them by host. */
static void finish(struct mem *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        unsigned at = i;

        mapping_ref(m->regions[i].mapping);
        while (at > 0 &&
               m->regions[m->by_host[at - 1]].host > m->regions[i].host) {
            m->by_host[at] = m->by_host[at - 1];
            at--;
        }
        m->by_host[at] = (uint16_t)i;
    }
}

static int check(const struct mem *m, const struct mem_region_conf *c,
                 struct err *e)
{
    uint64_t end;

    if (m->count >= MEM_REGIONS_MAX)
        return err_set(e, -ENOSPC, "", "more than %d memory regions",
                       MEM_REGIONS_MAX);
    if (c->len == 0)
        return err_set(e, -EINVAL, "",
                       "the memory region at guest address 0x%" PRIx64
                       " is empty",
                       c->gpa);
    if (!add_u64(c->gpa, c->len, &end) || !add_u64(c->uva, c->len, &end))
        return err_set(e, -EINVAL, "",
                       "the memory region at guest address 0x%" PRIx64
                       " of %" PRIu64 " bytes wraps around",
                       c->gpa, c->len);
    for (unsigned i = 0; i < m->count; i++) {
        const struct mem_region *r = &m->regions[i];

        if (ranges_meet(c->gpa, c->len, r->gpa, r->len) ||
            ranges_meet(c->uva, c->len, r->uva, r->len))
            return err_set(e, -EEXIST, "",
                           "the memory region at guest address 0x%" PRIx64
                           " overlaps the one at 0x%" PRIx64,
                           c->gpa, r->gpa);
    }
    return 0;
}

static int open_mapping(struct mem_mapping **out, struct mem_tally *t,
                        const struct mem_region_conf *c, int fd, struct err *e)
{
    struct mem_mapping *p;
    int rc;

    /* Others only make it less. */
    if (__atomic_load_n(&t->mappings, __ATOMIC_ACQUIRE) >= MEM_MAPPINGS_MAX)
        return err_set(e, -EBUSY, "",
                       "%d memory regions are mapped: requests that are not "
                       "answered yet need those of before",
                       MEM_MAPPINGS_MAX);
    p = calloc(1, sizeof(*p));
    if (!p)
        return err_nomem(e);
    rc = memory_map(&p->memory, fd, c->offset, c->len, e);
    if (rc < 0) {
        free(p);
        return rc;
    }
    p->refs = 1;
    __atomic_fetch_add(&t->mappings, 1, __ATOMIC_RELAXED);
    *out = p;
    return 0;
}

int mem_add(struct mem *m, const struct mem_region_conf *c, int fd,
            struct mem **out, struct err *e)
{
    struct mem_mapping *p = NULL;
    struct mem *next;
    unsigned at = 0;
    int rc;

    rc = check(m, c, e);
    if (rc == 0)
        rc = open_mapping(&p, m->tally, c, fd, e);
    if (rc < 0)
        return rc;
    next = new_map(m->tally, m->count + 1);
    if (!next) {
        mapping_unref(m->tally, p);
        return err_nomem(e);
    }
    while (at < m->count && m->regions[at].gpa < c->gpa)
        at++;
    memcpy(next->regions, m->regions, at * sizeof(m->regions[0]));
    memcpy(&next->regions[at + 1], &m->regions[at],
           (m->count - at) * sizeof(m->regions[0]));
    next->regions[at] =
        (struct mem_region){c->gpa, c->len, c->uva, p->memory.at, p};
    finish(next);
    mapping_unref(m->tally, p); /* next's now */
    *out = next;
    return 0;
}

int mem_remove(struct mem *m, const struct mem_region_conf *c, struct mem **out,
               struct err *e)
{
    struct mem *next;

    for (unsigned i = 0; i < m->count; i++) {
        const struct mem_region *r = &m->regions[i];

        if (r->gpa != c->gpa || r->len != c->len || r->uva != c->uva)
            continue;
        next = new_map(m->tally, m->count - 1);
        if (!next)
            return err_nomem(e);
        memcpy(next->regions, m->regions, i * sizeof(*r));
        memcpy(&next->regions[i], &m->regions[i + 1],
               (next->count - i) * sizeof(*r));
        finish(next);
        *out = next;
        return 0;
    }
    return err_set(e, -ENOENT, "",
                   "there is no memory region at guest address 0x%" PRIx64
                   " of %" PRIu64 " bytes",
                   c->gpa, c->len);
}

unsigned mem_count(const struct mem *m)
{
    return m->count;
}

const struct mem_region *mem_region(const struct mem *m, unsigned i)
{
    return &m->regions[i];
}

uint64_t mem_end(const struct mem *m)
{
    const struct mem_region *last;

    if (m->count == 0)
        return 0;
    last = &m->regions[m->count - 1];
    return last->gpa + last->len;
}

/* ---- translating ---- */

int mem_find(const struct mem *m, uint64_t gpa)
{
    unsigned from = 0, to = m->count;

    while (from < to) {
        unsigned mid = from + (to - from) / 2;
        const struct mem_region *r = &m->regions[mid];

        if (gpa < r->gpa)
            to = mid;
        else if (gpa - r->gpa < r->len)
            return (int)mid;
        else
            from = mid + 1;
    }
    return -ENOENT;
}

int mem_map(const struct mem *m, struct mem_hint *hint, uint64_t gpa,
            uint64_t len, struct iovec *iov, int max)
{
    uint8_t *host;
    int n = 0;

    if (len == 0)
        return 0;
    host = mem_hit(m, hint, gpa, len);
    if (LIKELY(host != NULL) && max > 0) {
        iov[0] = (struct iovec){host, len};
        return 1;
    }
    while (len > 0) {
        const struct mem_region *r;
        uint64_t piece;
        int at = mem_find(m, gpa);

        if (at < 0)
            return -EFAULT;
        hint->region = (unsigned)at;
        r = &m->regions[at];
        host = r->host + (gpa - r->gpa);
        piece = MIN(len, r->len - (gpa - r->gpa));
        if (n > 0 &&
            (uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == host) {
            iov[n - 1].iov_len += piece;
        } else {
            if (n >= max)
                return -E2BIG;
            iov[n++] = (struct iovec){host, piece};
        }
        gpa += piece; /* cannot wrap: no region does */
        len -= piece;
    }
    return n;
}

void *mem_uva(const struct mem *m, uint64_t uva, uint64_t len)
{
    for (unsigned i = 0; i < m->count; i++) {
        const struct mem_region *r = &m->regions[i];
        uint64_t offset = uva - r->uva;

        if (uva >= r->uva && offset < r->len && len <= r->len - offset)
            return r->host + offset;
    }
    return NULL;
}

const struct mem_region *mem_region_of(const struct mem *m, const void *host)
{
    uintptr_t at = (uintptr_t)host;
    unsigned from = 0, to = m->count;

    /* The last one that does not begin behind it. */
    while (to - from > 1) {
        unsigned mid = from + (to - from) / 2;

        if ((uintptr_t)m->regions[m->by_host[mid]].host <= at)
            from = mid;
        else
            to = mid;
    }
    return &m->regions[m->by_host[from]];
}

uint64_t mem_gpa(const struct mem *m, const void *host)
{
    const struct mem_region *r = mem_region_of(m, host);

    return r->gpa + (uint64_t)((const uint8_t *)host - r->host);
}

bool mem_poisoned(const struct mem *m)
{
    for (unsigned i = 0; i < m->count; i++)
        if (memory_is_poisoned(&m->regions[i].mapping->memory))
            return true;
    return false;
}
