/* Fuzzes a ring: guest memory, the record and the order of things come from
 * the input, the device is ours.
 *
 * The first bytes choose the format, the size, a record or none, a log; then
 * comes a list of steps. A step is a byte:
 *
 *     0..95     a store to guest memory: where (2 bytes), what (1 to 8 bytes)
 *     96..111   the same to the record, when no ring runs
 *     112..127  an honest request, so that deep states are found sooner
 *     128..     pop, a turn, done, flush, notify, another map, a log, stop,
 *               start
 *
 * What must hold: every piece of every chain lies inside guest memory as the
 * map has it, no head is given twice, chains and lengths add up, the ring
 * never has more in flight than its size. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "fuzz.h"
#include "virtio/dirty.h"
#include "virtio/inflight.h"
#include "virtio/ring.h"
#include "virtio/spec.h"
#include "virtio/turn.h"

#define MEMORY_BYTES                                                           \
    0x8000 /* in the file; three regions, one behind a hole                    \
            */
#define RECORD_BYTES 0x1000
#define UVA 0x100000
#define STEPS_MAX 300
#define SIZE_MAX_HERE 32

static const struct mem_region_conf regions[] = {
    {0x0000, 0x4000, UVA, 0},
    {0x4000, 0x2000, UVA + 0x4000, 0x6000},
    {0xa000, 0x2000, UVA + 0xa000, 0x4000},
};

static int memory_fd, record_fd, log_fd;
static uint8_t *memory, *record; /* the guest's and the front-end's own */
static struct mem *all, *some;   /* with and without the third region */
static struct dirty *dirty;
static struct inflight *inflight;

/* ---- the world ---- */

static int new_file(const char *name, size_t len)
{
    int fd = memfd_create(name, MFD_CLOEXEC);

    CHECK(fd >= 0 && ftruncate(fd, (off_t)len) == 0);
    return fd;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct err e;

    (void)argc;
    (void)argv;
    memory_fd = new_file("memory", MEMORY_BYTES);
    record_fd = new_file("record", RECORD_BYTES);
    log_fd = new_file("log", 4096);
    memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                  memory_fd, 0);
    record = mmap(NULL, RECORD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                  record_fd, 0);
    CHECK(memory != MAP_FAILED && record != MAP_FAILED);
    some = mem_new();
    for (unsigned i = 0; i < 2; i++) {
        struct mem *more;

        CHECK(mem_add(some, &regions[i], memory_fd, &more, &e) == 0);
        mem_unref(some);
        some = more;
    }
    CHECK(mem_add(some, &regions[2], memory_fd, &all, &e) == 0);
    CHECK(dirty_open(&dirty, log_fd, 1, 0, &e) == 0); /* 8 pages of 12 */
    return 0;
}

/* ---- one ring ---- */

static struct ring ring;
static struct ring_stats stats;
static struct ring_setup setup;
static bool runs;
static struct chain *held[SIZE_MAX_HERE];
static unsigned num_held;

static void check_piece(const struct mem *m, const struct iovec *v)
{
    const uint8_t *at = v->iov_base;
    size_t left = v->iov_len;

    CHECK(left > 0);
    while (left > 0) {
        const struct mem_region *r = mem_region_of(m, at);
        size_t here;

        CHECK(at >= r->host && at < r->host + r->len);
        here = MIN(left, (size_t)(r->host + r->len - at));
        at += here;
        left -= here;
    }
}

static void check_chain(const struct chain *c)
{
    uint64_t out = 0, in = 0;

    CHECK(c->busy && c->id < setup.size && c->ring == &ring);
    CHECK(c->map->mem == ring.map->mem);
    for (unsigned i = 0; i < c->out_num; i++) {
        check_piece(c->map->mem, &c->iov[i]);
        out += c->iov[i].iov_len;
    }
    for (unsigned i = 0; i < c->in_num; i++) {
        check_piece(c->map->mem, &c->iov[c->out_num + i]);
        in += c->iov[c->out_num + i].iov_len;
    }
    CHECK(out == c->out_len && in == c->in_len);
    CHECK(out + in <= UINT32_MAX);
    for (unsigned i = 0; i < num_held; i++)
        CHECK(held[i] != c);
}

static void hold(struct chain *c)
{
    CHECK(num_held < setup.size);
    check_chain(c);
    CHECK(*(uint64_t *)chain_priv(c) == 0);
    *(uint64_t *)chain_priv(c) = 1;
    held[num_held++] = c;
}

static void pop(void)
{
    struct chain *c = ring_pop(&ring);

    if (!c)
        return;
    CHECK(!ring.broken);
    hold(c);
    CHECK(ring.in_flight == num_held);
}

/* All there is, in groups. */
static void turn(bool ahead)
{
    struct ring_turn t;
    unsigned n;

    ring_turn_begin(&t, &ring, ahead);
    while ((n = ring_turn_next(&t)) > 0) {
        if (ahead)
            ring_turn_ahead(&t);
        for (unsigned i = 0; i < n; i++)
            hold(t.group[i]);
    }
    CHECK(ring.in_flight == num_held);
}

/* Answers or forgets the i-th. */
static void finish(unsigned i, uint8_t how)
{
    struct chain *c = held[i];
    uint8_t buf[64];

    held[i] = held[--num_held];
    *(uint64_t *)chain_priv(c) = 0;
    if (how % 8 == 7) {
        chain_forget(c);
        return;
    }
    chain_read(c, how, buf, sizeof(buf));
    chain_write(c, how % 4, buf, sizeof(buf));
    chain_done(c, (uint32_t)MIN(c->in_len, (uint64_t)how));
}

static void start(void)
{
    struct err e = {0};

    if (runs)
        return;
    memset(&ring, 0, sizeof(ring));
    ring.stats = &stats;
    num_held = 0;
    runs = ring_open(&ring, &setup, &e) == 0;
    CHECK(runs || e.text[0]);
    CHECK(!runs || ring.recovered <= setup.size);
}

static void stop(bool flush)
{
    if (!runs)
        return;
    while (num_held > 0)
        finish(0, flush ? 1 : 7);
    if (flush)
        ring_flush(&ring);
    setup.base = ring_base(&ring);
    ring_close(&ring);
    runs = false;
}

static void set_mem(struct mem *m)
{
    void *third = mem_uva(m, UVA, 1);

    CHECK(third != NULL); /* the ring lies in the first region of both */
    CHECK(ring_set_mem(&ring, m, setup.desc, setup.driver, setup.device) == 0);
    setup.mem = m;
}

/* A request that makes sense, at the place the device looks at next. */
static void honest(struct input *in)
{
    uint16_t id = input_u8(in) % setup.size, addr = input_u16(in);
    bool indirect = addr & 1;
    uint16_t flags = (addr & 2 ? VRING_DESC_F_WRITE : 0) |
                     (indirect ? VRING_DESC_F_INDIRECT : 0);
    uint32_t len = indirect ? 16u * (1 + input_u8(in) % 4) : input_u8(in);

    addr = (uint16_t)(addr & 0xbff0);
    if (setup.packed) {
        struct vring_packed_desc *d =
            (struct vring_packed_desc *)(void *)memory + ring.avail_idx;

        d->addr = htole64(addr);
        d->len = htole32(len);
        d->id = htole16(id);
        d->flags =
            htole16(flags | (ring.avail_wrap ? VRING_PACKED_DESC_F_AVAIL
                                             : VRING_PACKED_DESC_F_USED));
    } else {
        struct vring_desc *d = (struct vring_desc *)(void *)memory + id;
        struct vring_avail *a = (void *)(memory + 0x800);
        uint16_t idx = le16toh(a->idx);

        d->addr = htole64(addr);
        d->len = htole32(len);
        d->flags = htole16(flags);
        a->ring[idx % setup.size] = htole16(id);
        a->idx = htole16((uint16_t)(idx + 1));
    }
}

/* Chains that wait are no work, and no more than the ring has. */
static void rest(void)
{
    CHECK(ring_rest(&ring) <= setup.size);
    if (!num_held && !ring.pending && !ring.descs_out)
        CHECK(!ring_has_work(&ring));
}

static void drive(struct input *in, uint8_t step)
{
    switch (step % 12) {
    case 0:
    case 1:
        pop();
        break;
    case 2:
        turn(step & 16);
        break;
    case 3:
    case 4:
        if (num_held)
            finish(input_u8(in) % num_held, step);
        break;
    case 5:
        ring_flush(&ring);
        break;
    case 6:
        ring_publish(&ring);
        break;
    case 7:
        ring_notify_off(&ring);
        break;
    case 8:
        if (step & 16)
            rest();
        if (step & 32)
            ring_stir(&ring);
        ring_notify_on(&ring);
        break;
    case 9:
        set_mem(step & 16 ? all : some);
        break;
    case 10:
        ring_set_dirty(&ring, step & 16 ? dirty : NULL, step & 32,
                       input_u16(in));
        break;
    case 11:
        stop(step & 16);
        break;
    }
}

static void take_step(struct input *in)
{
    uint8_t step = input_u8(in);

    if (step < 96) {
        uint16_t at = input_u16(in) % (MEMORY_BYTES - 8);

        /* Nearly always where the ring is. */
        if (step < 80)
            at %= 0x1000;
        input_bytes(in, memory + at, step % 8 + 1);
    } else if (step < 112) {
        uint16_t at = input_u16(in) % 512;

        if (!runs)
            input_bytes(in, record + at, step % 8 + 1);
    } else if (step < 128) {
        if (runs)
            honest(in);
    } else if (runs) {
        drive(in, step);
    } else {
        start();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    uint8_t options = input_u8(&in), more = input_u8(&in);
    struct err e;

    memset(memory, 0, MEMORY_BYTES);
    memset(record, 0, RECORD_BYTES);
    setup = (struct ring_setup){
        .packed = options & 1,
        .event_idx = options & 2,
        .size = options & 1 ? more % SIZE_MAX_HERE + 1 : 1 << more % 6,
        .chain_max = options & 4 ? 40 : 0,
        .priv_size = 8,
        .mem = options & 8 ? all : some,
        .dirty = options & 16 ? dirty : NULL,
        .log_used = options & 32,
        .used_gpa = 0x900,
        .call_fd = -1,
        .base = options & 1 ? 0x80008000 : 0,
    };
    setup.desc = mem_uva(all, UVA, 1);
    setup.driver = mem_uva(all, UVA + 0x800, 1);
    setup.device = mem_uva(all, UVA + 0x900, 1);
    if (options & 64) {
        CHECK(inflight_open(&inflight, record_fd, RECORD_BYTES, 0, 1,
                            SIZE_MAX_HERE, &e) == 0);
        setup.inflight = inflight_queue(inflight, 0);
    }
    if (options & 128)
        setup.base = (uint32_t)input_u16(&in) << 16 | input_u16(&in);
    for (int i = 0; i < STEPS_MAX && in.at < in.end; i++)
        take_step(&in);
    stop(true);
    inflight_unref(inflight);
    inflight = NULL;
    return 0;
}
