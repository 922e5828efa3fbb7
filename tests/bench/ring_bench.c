/* How fast is a ring, with nothing behind it? For those who work on virtio/.
 *
 *     ring_bench [split|packed] [direct|indirect] [DEPTH] [SECONDS] [record]
 *
 * A driver thread keeps DEPTH requests of three descriptors (16 bytes out, 4096
 * in, 1 in) in the ring and polls for answers; a device thread polls the ring,
 * reads the header, writes the status, answers. Each has a processor of its
 * own. On a machine with other work to do the mean says little: the best run of
 * 4096 requests is told too. With DEPTH 0 one thread does both in turn, 32 at a
 * time: instructions without cache misses, for callgrind. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "meter.h"
#include "virtio/inflight.h"
#include "virtio/ring.h"
#include "virtio/spec.h"

#define BYTES (64u << 20)
#define UVA 0x10000000
#define SIZE 256
#define DRIVER 0x2000
#define DEVICE 0x4000
#define TABLES 0x8000   /* 64 bytes for each request */
#define HEADERS 0x10000 /* 64 bytes for each: header, status */
#define DATA 0x100000   /* 8 KiB for each */

static uint8_t *guest; /* the driver's mapping */
static bool packed, indirect;
static struct ring ring;
static struct ring_stats stats;
static bool stopping;

/* ---- the driver ---- */

static uint16_t next_avail, next_used;
static bool avail_wrap = true, used_wrap = true;

struct part {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
};

static void parts_of(unsigned slot, struct part p[3])
{
    p[0] = (struct part){HEADERS + 64 * slot, 16, 0};
    p[1] = (struct part){DATA + 8192 * slot, 4096, VRING_DESC_F_WRITE};
    p[2] = (struct part){HEADERS + 64 * slot + 32, 1, VRING_DESC_F_WRITE};
}

/* What does not change from one request to the next. */
static void prepare(unsigned slot)
{
    struct part p[3];

    parts_of(slot, p);
    for (unsigned i = 0; i < 3; i++) {
        uint16_t f = p[i].flags | (i < 2 ? VRING_DESC_F_NEXT : 0);
        struct vring_desc *d = (struct vring_desc *)(void *)guest + 3 * slot;
        struct vring_desc *t = (void *)(guest + TABLES + 64 * slot);
        struct vring_packed_desc *q = (void *)t;

        if (packed)
            q[i] =
                (struct vring_packed_desc){p[i].addr, p[i].len, 0, p[i].flags};
        else if (indirect)
            t[i] =
                (struct vring_desc){p[i].addr, p[i].len, f, (uint16_t)(i + 1)};
        else
            d[i] = (struct vring_desc){p[i].addr, p[i].len, f,
                                       (uint16_t)(3 * slot + i + 1)};
    }
    if (!packed && indirect)
        ((struct vring_desc *)(void *)guest)[3 * slot] = (struct vring_desc){
            TABLES + 64 * slot, 48, VRING_DESC_F_INDIRECT, 0};
}

static void packed_desc(unsigned slot, const struct part *p, uint16_t flags,
                        uint16_t *hold)
{
    struct vring_packed_desc *d =
        (struct vring_packed_desc *)(void *)guest + next_avail;

    flags |= p->flags;
    flags |= avail_wrap ? VRING_PACKED_DESC_F_AVAIL : VRING_PACKED_DESC_F_USED;
    le64_store(&d->addr, p->addr);
    le32_store(&d->len, p->len);
    le16_store(&d->id, (uint16_t)slot);
    if (hold)
        *hold = flags;
    else
        le16_store_release(&d->flags, flags);
    if (++next_avail == SIZE) {
        next_avail = 0;
        avail_wrap = !avail_wrap;
    }
}

static void offer(unsigned slot)
{
    uint64_t *header = (void *)(guest + HEADERS + 64 * slot);
    struct vring_avail *a = (void *)(guest + DRIVER);

    header[0] = 0;
    header[1] = slot;
    if (!packed) {
        le16_store(&a->ring[next_avail % SIZE], (uint16_t)(3 * slot));
        le16_store_release(&a->idx, ++next_avail);
    } else if (indirect) {
        struct part p = {TABLES + 64 * slot, 48, VRING_DESC_F_INDIRECT};

        packed_desc(slot, &p, 0, NULL);
    } else {
        struct vring_packed_desc *first =
            (struct vring_packed_desc *)(void *)guest + next_avail;
        struct part p[3];
        uint16_t flags;

        parts_of(slot, p);
        packed_desc(slot, &p[0], VRING_DESC_F_NEXT, &flags);
        packed_desc(slot, &p[1], VRING_DESC_F_NEXT, NULL);
        packed_desc(slot, &p[2], 0, NULL);
        le16_store_release(&first->flags, flags);
    }
}

/* The slot of the next answer, or -1. */
static int reap(void)
{
    const struct vring_used *u = (void *)(guest + DEVICE);
    const struct vring_packed_desc *d =
        (struct vring_packed_desc *)(void *)guest + next_used;
    unsigned slot;

    if (!packed) {
        if (le16_load_acquire(&u->idx) == next_used)
            return -1;
        slot = le32_load(&u->ring[next_used++ % SIZE].id) / 3;
    } else {
        uint16_t f = le16_load_acquire(&d->flags);

        if ((bool)(f & VRING_PACKED_DESC_F_USED) != used_wrap ||
            (bool)(f & VRING_PACKED_DESC_F_AVAIL) != used_wrap)
            return -1;
        slot = le16_load(&d->id);
        next_used = (uint16_t)(next_used + (indirect ? 1 : 3));
        if (next_used >= SIZE) {
            next_used = (uint16_t)(next_used - SIZE);
            used_wrap = !used_wrap;
        }
    }
    if (guest[HEADERS + 64 * slot + 32] != 0)
        meter_die("a status that is not ours");
    return (int)slot;
}

/* ---- the device ---- */

static unsigned serve(void)
{
    struct chain *c;
    unsigned n = 0;

    while ((c = ring_pop(&ring))) {
        uint8_t head[16], status = 0;

        if (chain_read(c, 0, head, 16) != 16)
            meter_die("a header that is too short");
        chain_write(c, c->in_len - 1, &status, 1);
        chain_done(c, (uint32_t)c->in_len);
        n++;
    }
    if (ring.broken)
        meter_die("%s", ring.broken);
    ring_flush(&ring);
    return n;
}

static void *device_thread(void *arg)
{
    (void)arg;
    meter_pin(1);
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED))
        serve();
    return NULL;
}

/* ---- ---- */

#define CHUNK 4096

static uint64_t best_ns = UINT64_MAX; /* of a chunk */

static uint64_t apart(unsigned depth, double seconds)
{
    uint64_t at = meter_clock_ns(), end = at + (uint64_t)(seconds * 1e9), n = 0;
    pthread_t device;

    if (pthread_create(&device, NULL, device_thread, NULL))
        meter_die("no thread");
    meter_pin(0);
    for (unsigned i = 0; i < depth; i++)
        offer(i);
    while (at < end) {
        int slot = reap();

        if (slot < 0)
            continue;
        offer((unsigned)slot);
        if (++n % CHUNK == 0) {
            uint64_t now = meter_clock_ns();

            best_ns = MIN(best_ns, now - at);
            at = now;
        }
    }
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    pthread_join(device, NULL);
    return n;
}

static uint64_t together(double seconds)
{
    uint64_t end = meter_clock_ns() + (uint64_t)(seconds * 1e9), n = 0;

    while (meter_clock_ns() < end) {
        for (unsigned i = 0; i < 32; i++)
            offer(i);
        n += serve();
        while (reap() >= 0)
            ;
    }
    return n;
}

static void open_ring(bool recorded)
{
    const struct mem_region_conf c = {0, BYTES, UVA, 0};
    int fd = memfd_create("guest", MFD_CLOEXEC), record;
    struct ring_setup s = {.size = SIZE,
                           .packed = packed,
                           .call_fd = -1,
                           .priv_size = 128,
                           .base = packed ? 0x80008000 : 0};
    struct mem *empty = mem_new(), *mem;
    struct inflight *f;
    struct err e = {0};

    if (fd < 0 || ftruncate(fd, BYTES) < 0)
        meter_die("no memory file");
    guest = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                 fd, 0);
    if (guest == MAP_FAILED || mem_add(empty, &c, fd, &mem, &e) < 0)
        meter_die("no memory");
    s.mem = mem;
    s.desc = mem_uva(mem, UVA, 1);
    s.driver = mem_uva(mem, UVA + DRIVER, 1);
    s.device = mem_uva(mem, UVA + DEVICE, 1);
    if (recorded) {
        if (inflight_create(1, SIZE, &record, &e) < 0 ||
            inflight_open(&f, record, inflight_bytes(1, SIZE), 0, 1, SIZE, &e) <
                0)
            meter_die("%s", e.text);
        s.inflight = inflight_queue(f, 0);
    }
    ring.stats = &stats;
    if (ring_open(&ring, &s, &e) < 0)
        meter_die("%s", e.text);
}

int main(int argc, char **argv)
{
    unsigned depth = argc > 3 ? (unsigned)atoi(argv[3]) : 32;
    double seconds = argc > 4 ? atof(argv[4]) : 2;
    uint64_t n, begin;

    packed = argc > 1 && !strcmp(argv[1], "packed");
    indirect = argc > 2 && !strcmp(argv[2], "indirect");
    if (depth > 80)
        meter_die("DEPTH is at most 80");
    open_ring(argc > 5);
    for (unsigned i = 0; i < 80; i++)
        prepare(i);
    begin = meter_clock_ns();
    n = depth ? apart(depth, seconds) : together(seconds);
    printf("%s %s depth %u: %.0f ns each", packed ? "packed" : "split",
           indirect ? "indirect" : "direct", depth,
           (double)(meter_clock_ns() - begin) / (double)n);
    if (depth)
        printf(", best %.0f ns", (double)best_ns / CHUNK);
    putchar('\n');
    return 0;
}
