#include "guest.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/event.h"
#include "os/memory.h"

static const struct mem_region_conf regions[] = {
    {0x10000, 0x20000, GUEST_UVA + 0x10000, 0},
    {GUEST_SECOND, 0x20000, GUEST_UVA + GUEST_SECOND, 0x30000},
    {GUEST_THIRD, 0x10000, GUEST_UVA + GUEST_THIRD, 0x20000},
};

static struct mem *map_all(int fd)
{
    struct mem *m = mem_new(), *next;
    struct err e;

    assert_non_null(m);
    for (unsigned i = 0; i < ARRAY_LEN(regions); i++) {
        assert_int_equal(mem_add(m, &regions[i], fd, &next, &e), 0);
        mem_unref(m);
        m = next;
    }
    return m;
}

static void on_want_flush(struct ring *r)
{
    struct guest *g = container_of(r, struct guest, ring);

    g->want_flush++;
}

struct guest *guest_new(bool packed, uint16_t size)
{
    struct guest *g = calloc(1, sizeof(*g));

    assert_non_null(g);
    g->packed = packed;
    g->size = size;
    g->avail_wrap = g->used_wrap = true;
    g->inflight_fd = -1;
    g->fd = memfd_create("guest", MFD_CLOEXEC);
    assert_true(g->fd >= 0);
    assert_int_equal(ftruncate(g->fd, GUEST_FILE_BYTES), 0);
    g->file = mmap(NULL, GUEST_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                   g->fd, 0);
    assert_true(g->file != MAP_FAILED);
    g->mem = map_all(g->fd);
    g->call_fd = event_open();
    assert_true(g->call_fd >= 0);

    g->setup = (struct ring_setup){
        .size = size,
        .packed = packed,
        .priv_size = 24,
        .mem = g->mem,
        .desc = mem_uva(g->mem, GUEST_UVA + GUEST_DESC, 16u * size),
        .driver = mem_uva(g->mem, GUEST_UVA + GUEST_DRIVER, 6 + 2u * size),
        .device = mem_uva(g->mem, GUEST_UVA + GUEST_DEVICE, 6 + 8u * size),
        .base = packed ? 0x80008000 : 0,
        .used_gpa = GUEST_DEVICE,
        .call_fd = g->call_fd,
    };
    return g;
}

void guest_stop(struct guest *g)
{
    ring_flush(&g->ring);
    g->setup.base = ring_base(&g->ring);
    ring_close(&g->ring);
    g->started = false;
}

void guest_crash(struct guest *g)
{
    if (!g->started)
        return;
    for (uint16_t i = 0; i < g->ring.size; i++) {
        struct chain *c = (struct chain *)(void *)((char *)g->ring.chains +
                                                   i * g->ring.chain_stride);

        if (c->busy)
            chain_forget(c);
    }
    ring_close(&g->ring);
    g->started = false;
}

void guest_free(struct guest *g)
{
    guest_crash(g);
    inflight_unref(g->inflight);
    mem_unref(g->mem);
    munmap(g->file, GUEST_FILE_BYTES);
    close(g->fd);
    close(g->call_fd);
    if (g->inflight_fd >= 0)
        close(g->inflight_fd);
    free(g);
}

int guest_try_start(struct guest *g, struct err *e)
{
    int rc;

    memset(&g->ring, 0, sizeof(g->ring));
    memset(&g->stats, 0, sizeof(g->stats));
    g->ring.stats = &g->stats;
    g->ring.want_flush = on_want_flush;
    g->setup.event_idx = g->event_idx;
    rc = ring_open(&g->ring, &g->setup, e);
    g->started = rc == 0;
    return rc;
}

void guest_start(struct guest *g)
{
    struct err e = {0};

    if (guest_try_start(g, &e) < 0)
        fail_msg("%s", e.text);
}

void guest_record(struct guest *g)
{
    struct err e = {0};

    assert_int_equal(inflight_create(1, g->size, &g->inflight_fd, &e), 0);
    assert_int_equal(inflight_open(&g->inflight, g->inflight_fd,
                                   inflight_bytes(1, g->size), 0, 1, g->size,
                                   &e),
                     0);
    g->setup.inflight = inflight_queue(g->inflight, 0);
    assert_non_null(g->setup.inflight);
}

/* ---- memory ---- */

void *guest_at(struct guest *g, uint64_t gpa)
{
    for (unsigned i = 0; i < ARRAY_LEN(regions); i++)
        if (gpa >= regions[i].gpa && gpa - regions[i].gpa < regions[i].len)
            return g->file + regions[i].offset + (gpa - regions[i].gpa);
    fail_msg("the guest has no memory at 0x%llx", (unsigned long long)gpa);
    return NULL;
}

struct vring_desc *guest_desc(struct guest *g, unsigned i)
{
    return (struct vring_desc *)guest_at(g, GUEST_DESC) + i;
}

struct vring_packed_desc *guest_packed_desc(struct guest *g, unsigned i)
{
    return (struct vring_packed_desc *)guest_at(g, GUEST_DESC) + i;
}

struct vring_avail *guest_avail(struct guest *g)
{
    return guest_at(g, GUEST_DRIVER);
}

struct vring_used *guest_used(struct guest *g)
{
    return guest_at(g, GUEST_DEVICE);
}

struct vring_packed_event *guest_driver_event(struct guest *g)
{
    return guest_at(g, GUEST_DRIVER);
}

struct vring_packed_event *guest_device_event(struct guest *g)
{
    return guest_at(g, GUEST_DEVICE);
}

/* ---- offering ---- */

static void split_offer(struct guest *g, uint16_t id)
{
    struct vring_avail *a = guest_avail(g);

    le16_store(&a->ring[g->next_avail % g->size], id);
    le16_store_release(&a->idx, ++g->next_avail);
}

static uint16_t packed_flags(const struct guest *g)
{
    return g->avail_wrap ? VRING_PACKED_DESC_F_AVAIL : VRING_PACKED_DESC_F_USED;
}

static void packed_step(struct guest *g)
{
    if (++g->next_avail == g->size) {
        g->next_avail = 0;
        g->avail_wrap = !g->avail_wrap;
    }
}

static void packed_offer(struct guest *g, uint16_t id, const struct piece *p,
                         unsigned num, uint16_t flags)
{
    struct vring_packed_desc *first = guest_packed_desc(g, g->next_avail);
    uint16_t first_flags = 0;

    g->descs[id] = (uint16_t)num;
    for (unsigned i = 0; i < num; i++) {
        struct vring_packed_desc *d = guest_packed_desc(g, g->next_avail);
        uint16_t f = packed_flags(g) | flags;

        if (p[i].write)
            f |= VRING_DESC_F_WRITE;
        if (i + 1 < num)
            f |= VRING_DESC_F_NEXT;
        le64_store(&d->addr, p[i].gpa);
        le32_store(&d->len, p[i].len);
        le16_store(&d->id, i + 1 < num ? 0xdead : id);
        if (i == 0)
            first_flags = f;
        else
            le16_store(&d->flags, f);
        packed_step(g);
    }
    le16_store_release(&first->flags, first_flags);
}

void guest_offer(struct guest *g, uint16_t id, const struct piece *p,
                 unsigned num)
{
    if (g->packed) {
        packed_offer(g, id, p, num, 0);
        return;
    }
    for (unsigned i = 0; i < num; i++) {
        struct vring_desc *d = guest_desc(g, (id + i) % g->size);
        uint16_t f = 0;

        if (p[i].write)
            f |= VRING_DESC_F_WRITE;
        if (i + 1 < num)
            f |= VRING_DESC_F_NEXT;
        le64_store(&d->addr, p[i].gpa);
        le32_store(&d->len, p[i].len);
        le16_store(&d->flags, f);
        le16_store(&d->next, (uint16_t)((id + i + 1) % g->size));
    }
    split_offer(g, id);
}

/* Byte by byte: the table may cross regions anywhere. */
static void put_bytes(struct guest *g, uint64_t gpa, const void *from, size_t n)
{
    const uint8_t *b = from;

    for (size_t i = 0; i < n; i++)
        *(uint8_t *)guest_at(g, gpa + i) = b[i];
}

void guest_offer_table(struct guest *g, uint16_t id, uint64_t table,
                       const struct piece *p, unsigned num)
{
    struct piece one = {table, num * 16, false};

    for (unsigned i = 0; i < num; i++) {
        uint16_t f = p[i].write ? VRING_DESC_F_WRITE : 0;
        struct vring_desc s = {
            htole64(p[i].gpa), htole32(p[i].len),
            htole16(f | (i + 1 < num ? VRING_DESC_F_NEXT : 0)),
            htole16((uint16_t)(i + 1))};
        struct vring_packed_desc d = {htole64(p[i].gpa), htole32(p[i].len), 0,
                                      htole16(f)};

        put_bytes(g, table + 16 * (uint64_t)i,
                  g->packed ? (void *)&d : (void *)&s, 16);
    }
    if (g->packed) {
        packed_offer(g, id, &one, 1, VRING_DESC_F_INDIRECT);
        return;
    }
    le64_store(&guest_desc(g, id)->addr, table);
    le32_store(&guest_desc(g, id)->len, num * 16);
    le16_store(&guest_desc(g, id)->flags, VRING_DESC_F_INDIRECT);
    split_offer(g, id);
}

void guest_offer_small(struct guest *g, uint16_t id)
{
    const struct piece p[] = {
        {GUEST_DATA + 64u * id, 8, false},
        {GUEST_DATA + 64u * id + 16, 8, true},
    };

    guest_offer(g, id, p, 2);
}

/* ---- answers ---- */

static bool packed_take(struct guest *g, uint16_t *id, uint32_t *len)
{
    struct vring_packed_desc *d = guest_packed_desc(g, g->next_used);
    uint16_t flags = le16_load_acquire(&d->flags);

    if ((bool)(flags & VRING_PACKED_DESC_F_USED) != g->used_wrap ||
        (bool)(flags & VRING_PACKED_DESC_F_AVAIL) != g->used_wrap)
        return false;
    *id = le16_load(&d->id);
    *len = le32_load(&d->len);
    assert_true(*id < g->size);
    assert_true(g->descs[*id] > 0);
    g->next_used = (uint16_t)(g->next_used + g->descs[*id]);
    g->descs[*id] = 0; /* a second answer for it would fail above */
    if (g->next_used >= g->size) {
        g->next_used = (uint16_t)(g->next_used - g->size);
        g->used_wrap = !g->used_wrap;
    }
    return true;
}

bool guest_take(struct guest *g, uint16_t *id, uint32_t *len)
{
    struct vring_used *u = guest_used(g);
    const struct vring_used_elem *elem = &u->ring[g->next_used % g->size];

    if (g->packed)
        return packed_take(g, id, len);
    if (le16_load_acquire(&u->idx) == g->next_used)
        return false;
    *id = (uint16_t)le32_load(&elem->id);
    *len = le32_load(&elem->len);
    g->next_used++;
    return true;
}

void guest_expect(struct guest *g, uint16_t id, uint32_t len)
{
    uint16_t got_id;
    uint32_t got_len;

    assert_true(guest_take(g, &got_id, &got_len));
    assert_int_equal(got_id, id);
    assert_int_equal(got_len, len);
}

void guest_expect_none(struct guest *g)
{
    uint16_t id;
    uint32_t len;

    assert_false(guest_take(g, &id, &len));
}

bool guest_called(struct guest *g)
{
    return event_clear(g->call_fd) == 1;
}

/* ---- the guard ---- */

static struct sigaction guard;

void guest_guard_init(void)
{
    struct memory m;
    struct err e;
    int fd;

    if (memory_create("guard", 1, &fd, &e) < 0 ||
        memory_map(&m, fd, 0, 1, &e) < 0)
        abort();
    memory_unmap(&m);
    close(fd);
    sigaction(SIGBUS, NULL, &guard);
}

void guest_guard(void)
{
    sigaction(SIGBUS, &guard, NULL);
}

/* ---- fixtures ---- */

static int setup(void **state, bool packed)
{
    *state = guest_new(packed, 8);
    return 0;
}

int guest_split_setup(void **state)
{
    return setup(state, false);
}

int guest_packed_setup(void **state)
{
    return setup(state, true);
}

int guest_teardown(void **state)
{
    guest_free(*state);
    return 0;
}
