/* Guest memory, the dirty log and the in-flight record, as we see them. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "front/front.h"

int front_memfd(uint64_t size)
{
    int fd = memfd_create("front", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        front_fail("a memory file of %llu bytes: %s", (unsigned long long)size,
                   strerror(errno));
    return fd;
}

unsigned front_region_add_fd(struct front *f, uint64_t gpa, uint64_t len,
                             int fd, uint64_t offset)
{
    struct front_region *r = &f->region[f->num_regions];

    if (f->num_regions == FRONT_REGIONS_MAX)
        front_fail("too many regions");
    r->gpa = gpa;
    r->len = len;
    r->uva = FRONT_UVA + gpa;
    r->offset = offset;
    r->used = 0;
    r->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    r->host = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
                   (off_t)offset);
    if (r->fd < 0 || r->host == MAP_FAILED)
        front_fail("mmap of %llu bytes: %s", (unsigned long long)len,
                   strerror(errno));
    return f->num_regions++;
}

unsigned front_region_add(struct front *f, uint64_t gpa, uint64_t len)
{
    int fd = front_memfd(len);
    unsigned i = front_region_add_fd(f, gpa, len, fd, 0);

    close(fd);
    return i;
}

struct wire_region front_region_wire(const struct front *f, unsigned i)
{
    const struct front_region *r = &f->region[i];

    return (struct wire_region){r->gpa, r->len, r->uva, r->offset};
}

void front_region_tell(struct front *f, unsigned i)
{
    struct wire_one_region m = {0, front_region_wire(f, i)};

    front_ok(f, WIRE_ADD_MEM_REG, &m, sizeof(m), &f->region[i].fd, 1);
}

void front_region_untell(struct front *f, unsigned i)
{
    struct wire_one_region m = {0, front_region_wire(f, i)};

    front_ok(f, WIRE_REM_MEM_REG, &m, sizeof(m), NULL, 0);
}

void front_share(struct front *f)
{
    struct wire_table t = {0};
    int fds[WIRE_TABLE_MAX];

    if (!f->num_regions)
        front_region_add(f, 0,
                         f->conf.mem_bytes ? f->conf.mem_bytes : 64 << 20);
    if (f->num_regions > WIRE_TABLE_MAX) {
        for (unsigned i = 0; i < f->num_regions; i++)
            front_region_tell(f, i);
        return;
    }
    t.num = f->num_regions;
    for (unsigned i = 0; i < t.num; i++) {
        t.regions[i] = front_region_wire(f, i);
        fds[i] = f->region[i].fd;
    }
    front_ok(f, WIRE_SET_MEM_TABLE, &t,
             (uint32_t)(8 + t.num * sizeof(t.regions[0])), fds, t.num);
}

static uint64_t alloc_in(struct front_region *r, uint64_t len, uint64_t align)
{
    uint64_t at = (r->gpa + r->used + align - 1) & ~(align - 1);

    if (at - r->gpa > r->len || len > r->len - (at - r->gpa))
        return UINT64_MAX;
    r->used = at - r->gpa + len;
    return at;
}

uint64_t front_alloc_in(struct front *f, unsigned region, uint64_t len,
                        uint64_t align)
{
    uint64_t at = alloc_in(&f->region[region], len, align);

    if (at == UINT64_MAX)
        front_fail("region %u has no %llu bytes left", region,
                   (unsigned long long)len);
    return at;
}

uint64_t front_alloc(struct front *f, uint64_t len, uint64_t align)
{
    uint64_t at = UINT64_MAX;

    for (unsigned i = 0; i < f->num_regions && at == UINT64_MAX; i++)
        at = alloc_in(&f->region[i], len, align);
    if (at == UINT64_MAX)
        front_fail("no region has %llu bytes left", (unsigned long long)len);
    return at;
}

static const struct front_region *find(const struct front *f, uint64_t gpa)
{
    for (unsigned i = 0; i < f->num_regions; i++)
        if (gpa >= f->region[i].gpa &&
            gpa - f->region[i].gpa < f->region[i].len)
            return &f->region[i];
    front_fail("guest address %#llx is in no region", (unsigned long long)gpa);
}

void *front_ptr(const struct front *f, uint64_t gpa)
{
    const struct front_region *r = find(f, gpa);

    return r->host + (gpa - r->gpa);
}

void front_poke(struct front *f, uint64_t gpa, const void *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        *(uint8_t *)front_ptr(f, gpa + i) = ((const uint8_t *)from)[i];
}

void front_peek(struct front *f, uint64_t gpa, void *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)to)[i] = *(uint8_t *)front_ptr(f, gpa + i);
}

uint64_t front_uva(const struct front *f, uint64_t gpa)
{
    const struct front_region *r = find(f, gpa);

    return r->uva + (gpa - r->gpa);
}

/* ---- The dirty log ---- */

void front_log_start(struct front *f)
{
    struct wire_log m = {0};
    struct front_msg reply;
    uint64_t end = 0;

    if (!f->log) {
        for (unsigned i = 0; i < f->num_regions; i++)
            if (f->region[i].gpa + f->region[i].len > end)
                end = f->region[i].gpa + f->region[i].len;
        f->log_len = (end / 4096 / 8 + 1 + 4095) & ~4095ull;
        f->log_fd = front_memfd(f->log_len);
        f->log = mmap(NULL, f->log_len, PROT_READ | PROT_WRITE, MAP_SHARED,
                      f->log_fd, 0);
        if (f->log == MAP_FAILED)
            front_fail("mmap of the log: %s", strerror(errno));
    }
    m.size = f->log_len;
    front_send(f, WIRE_SET_LOG_BASE, 0, &m, sizeof(m), &f->log_fd, 1);
    front_reply(f, WIRE_SET_LOG_BASE, &reply);
    f->acked |= FEATURE(VHOST_F_LOG_ALL);
    front_ok_u64(f, WIRE_SET_FEATURES, f->acked);
    for (unsigned i = 0; i < FRONT_QUEUES_MAX; i++)
        if (f->vq[i])
            vq_tell_addr(f->vq[i], WIRE_VRING_F_LOG);
}

void front_log_stop(struct front *f)
{
    f->acked &= ~FEATURE(VHOST_F_LOG_ALL);
    front_ok_u64(f, WIRE_SET_FEATURES, f->acked);
    for (unsigned i = 0; i < FRONT_QUEUES_MAX; i++)
        if (f->vq[i])
            vq_tell_addr(f->vq[i], 0);
}

bool front_log_dirty(const struct front *f, uint64_t gpa)
{
    uint64_t page = gpa / 4096;

    return __atomic_load_n(&f->log[page / 8], __ATOMIC_ACQUIRE) >> page % 8 & 1;
}

unsigned front_log_count(const struct front *f)
{
    unsigned n = 0;

    for (uint64_t i = 0; i < f->log_len; i++)
        n += (unsigned)__builtin_popcount(f->log[i]);
    return n;
}

void front_log_clear(struct front *f)
{
    for (uint64_t i = 0; i < f->log_len; i++)
        __atomic_store_n(&f->log[i], 0, __ATOMIC_SEQ_CST);
}

/* ---- In flight ---- */

/* The spec says that regions follow each other; a back-end may round each one
 * up, and QEMU's does, to 64 bytes. So the size tells. */
static uint8_t *inflight_part(struct front *f, unsigned i)
{
    return f->inflight_mem + f->inflight.mmap_size / f->inflight.num_queues * i;
}

struct wire_inflight_split *front_inflight_split(struct front *f, unsigned i)
{
    return (struct wire_inflight_split *)inflight_part(f, i);
}

struct wire_inflight_packed *front_inflight_packed(struct front *f, unsigned i)
{
    return (struct wire_inflight_packed *)inflight_part(f, i);
}
