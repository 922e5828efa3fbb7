/* The guest of a GPU that is fuzzed: its memory, its rings, its chains, and
 * vhost's part for its rings.
 *
 * What the device may write is known to the byte: `copy` is what memory must
 * look like, and what is answered is moved there when it has been looked at. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gpu.h"

#define UVA 0x100000000
#define MEMORY_BYTES 0x30000
#define RINGS_BYTES (RINGS * RING_BYTES)
#define PIXELS_FROM (RINGS_BYTES + RINGS * PLACES * PLACE_BYTES)
#define AVAIL 0x800
#define USED 0xa00
#define UNDATA 0xa5 /* what was not written */

/* The guest's memory, in some maps. The first region has the rings and is
 * always there; the second is its neighbour for the guest, but not for us; the
 * third lies behind a hole. */
struct range {
    uint64_t gpa, len, offset;
};

static const struct range maps[MAPS][3] = {
    {{0, 0x18000, 0}, {0x18000, 0x8000, 0x28000}, {0x40000, 0x10000, 0x18000}},
    {{0, 0x18000, 0}, {0x18000, 0x8000, 0x28000}},
    {{0, 0x18000, 0}, {0x18000, 0x8000, 0x18000}, {0x40000, 0x10000, 0x20000}},
    {{0, 0x18000, 0}, {0x18000, 0x8000, 0x28000}, {0x40000, 0x10000, 0x18000}},
};

/* The last map has one region more, in a file of its own, which may shrink. */
#define WEAK_MAP (MAPS - 1)
#define WEAK_GPA 0x60000
#define WEAK_BYTES 0x4000

static struct {
    int fd;
    uint8_t *memory;
    bool has_shrunk;
} weak = {.fd = -1};

_Static_assert(PIXELS_FROM < 0x18000, "rings and places are always there");

unsigned current_map;

static uint8_t *memory; /* the guest's, as it sees it */
static uint8_t copy[MEMORY_BYTES];
static struct mem *mems[MAPS];
static int memory_fd;

static struct side {
    struct ring ring;
    struct ring_stats stats;
    bool runs, kick, flush;
    uint16_t used; /* seen */
    uint16_t avail;
    uint32_t base;        /* where it stopped */
    unsigned asked, done; /* chains, by number */
    struct place place[PLACES];
} sides[RINGS];

/* Where the control queue stopped: one that begins elsewhere is another
 * driver's, which has made nothing yet. */
static uint32_t stopped_at;

/* ---- memory ---- */

static uint8_t *new_file(int *fd, size_t len)
{
    void *at;

    *fd = memfd_create("memory", MFD_CLOEXEC);
    CHECK(*fd >= 0 && ftruncate(*fd, (off_t)len) == 0);
    at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static void add(struct mem **m, const struct range *r, int fd)
{
    const struct mem_region_conf c = {r->gpa, r->len, UVA + r->gpa, r->offset};
    struct mem *more;
    struct err e;

    CHECK(mem_add(*m, &c, fd, &more, &e) == 0);
    mem_unref(*m);
    *m = more;
}

static void make_map(unsigned i)
{
    mem_unref(mems[i]);
    mems[i] = mem_new();
    CHECK(mems[i] != NULL);
    for (unsigned k = 0; k < ARRAY_LEN(maps[i]) && maps[i][k].len; k++)
        add(&mems[i], &maps[i][k], memory_fd);
}

static void make_weak(void)
{
    static const struct range r = {WEAK_GPA, WEAK_BYTES, 0};

    if (weak.fd >= 0) {
        munmap(weak.memory, WEAK_BYTES);
        close(weak.fd);
    }
    weak.memory = new_file(&weak.fd, WEAK_BYTES);
    weak.has_shrunk = false;
    for (unsigned i = 0; i < WEAK_BYTES; i++)
        weak.memory[i] = (uint8_t)(i * 3);
    make_map(WEAK_MAP);
    add(&mems[WEAK_MAP], &r, weak.fd);
}

void guest_init(void)
{
    memory = new_file(&memory_fd, MEMORY_BYTES);
    for (unsigned i = 0; i < MAPS; i++)
        make_map(i);
    make_weak();
}

void guest_begin(void)
{
    memset(memory, 0, MEMORY_BYTES);
    memset(copy, 0, MEMORY_BYTES);
    current_map = 0;
    memset(sides, 0, sizeof(sides));
    stopped_at = 0;
    if (weak.has_shrunk)
        make_weak();
}

uint8_t *guest_at(uint64_t gpa, uint64_t *len)
{
    for (unsigned k = 0; k < ARRAY_LEN(maps[0]); k++) {
        const struct range *r = &maps[current_map][k];

        if (gpa < r->gpa || gpa - r->gpa >= r->len)
            continue;
        *len = r->len - (gpa - r->gpa);
        return memory + r->offset + (gpa - r->gpa);
    }
    if (current_map != WEAK_MAP || weak.has_shrunk || gpa < WEAK_GPA ||
        gpa >= WEAK_GPA + WEAK_BYTES)
        return NULL;
    *len = WEAK_GPA + WEAK_BYTES - gpa;
    return weak.memory + (gpa - WEAK_GPA);
}

void guest_shrink(void)
{
    if (current_map != WEAK_MAP || weak.has_shrunk)
        return;
    CHECK(ftruncate(weak.fd, 0x1000) == 0);
    weak.has_shrunk = true;
    model_lose();
}

static void put(uint8_t *at, const void *bytes, size_t len)
{
    memcpy(at, bytes, len);
    memcpy(copy + (at - memory), bytes, len);
}

void guest_store(unsigned where, unsigned len, uint8_t seed)
{
    unsigned from = PIXELS_FROM + where % (MEMORY_BYTES - PIXELS_FROM);
    uint8_t bytes[0x4000];

    len = MIN(len, MIN(MEMORY_BYTES - from, (unsigned)sizeof(bytes)));
    for (unsigned i = 0; i < len; i++)
        bytes[i] = (uint8_t)(seed * 31 + (from + i) * 7 + (from + i) / 251);
    put(memory + from, bytes, len);
    model_memory_changed(guest_is_busy());
}

void guest_look_closely(void)
{
    guest_look();
    CHECK(memcmp(memory, copy, MEMORY_BYTES) == 0);
}

/* ---- chains ---- */

static uint8_t *place_at(unsigned ring, const struct place *p)
{
    return memory + RINGS_BYTES +
           (ring * PLACES + (size_t)(p - sides[ring].place)) * PLACE_BYTES;
}

struct place *guest_place(unsigned ring, uint8_t **request)
{
    struct side *s = &sides[ring];

    if (!s->runs)
        return NULL;
    for (unsigned i = 0; i < PLACES; i++) {
        struct place *p = &s->place[i];

        if (p->out)
            continue;
        memset(p->request, 0, sizeof(p->request));
        *request = p->request;
        return p;
    }
    return NULL;
}

/* How long the next piece is, when a chain is cut. */
static uint32_t piece(uint8_t cuts, unsigned n)
{
    static const uint32_t lens[] = {1, 8, 23, 24, 25, 4, 32, 100};

    return lens[(cuts + n * (cuts >> 4)) % ARRAY_LEN(lens)];
}

void guest_show(unsigned ring, struct place *p, uint32_t asked, uint32_t room,
                uint8_t cuts)
{
    struct side *s = &sides[ring];
    unsigned i = (unsigned)(p - s->place), n = 0;
    uint8_t *at = place_at(ring, p);
    uint64_t gpa = (uint64_t)(at - memory);
    struct vring_desc d[DESCS];
    le16 head = htole16((uint16_t)(i * DESCS)), idx;

    asked = MIN(asked, (uint32_t)PLACE_BYTES);
    room = MIN(room, PLACE_BYTES - asked);
    if (asked + room == 0)
        room = 1;
    p->asked = asked;
    p->room = room;
    put(at, p->request, asked);
    memset(p->request + asked, UNDATA, PLACE_BYTES - asked);
    put(at + asked, p->request + asked, PLACE_BYTES - asked);
    for (unsigned part = 0; part < 2; part++) {
        uint32_t left = part ? room : asked;
        unsigned last = part ? DESCS : DESCS / 2;

        while (left > 0) {
            uint32_t len = cuts ? piece(cuts, n) : left;

            if (n + 1 == last || len > left)
                len = left;
            d[n] = (struct vring_desc){
                .addr = htole64(gpa),
                .len = htole32(len),
                .flags = htole16((uint16_t)((part ? VRING_DESC_F_WRITE : 0) |
                                            VRING_DESC_F_NEXT)),
                .next = htole16((uint16_t)(i * DESCS + n + 1)),
            };
            n++;
            gpa += len;
            left -= len;
        }
    }
    d[n - 1].flags &= htole16((uint16_t)~VRING_DESC_F_NEXT);
    put(memory + ring * RING_BYTES + i * DESCS * sizeof(d[0]), d,
        n * sizeof(d[0]));
    put(memory + ring * RING_BYTES + AVAIL + 4 + 2 * (s->avail % RING_SIZE),
        &head, 2);
    idx = htole16(++s->avail);
    put(memory + ring * RING_BYTES + AVAIL + 2, &idx, 2);
    p->out = true;
    p->taken = p->lax = false;
    p->number = ++s->asked;
}

bool guest_is_busy(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (sides[VIRTIO_GPU_CONTROLQ].place[i].taken)
            return true;
    return false;
}

static void answered(unsigned ring, struct place *p, uint32_t written)
{
    uint8_t *at = place_at(ring, p) + p->asked;

    CHECK(p->out && p->taken);
    CHECK(written <= p->room);
    /* In order, which is what fences ask for. */
    CHECK(p->number == ++sides[ring].done);
    put(at, at, written);
    p->out = p->taken = false;
    model_answered(ring, p, at, written);
}

static void look_at_used(unsigned ring)
{
    struct side *s = &sides[ring];
    uint8_t *at = memory + ring * RING_BYTES + USED;
    const struct vring_used *u = (const void *)at;

    if (!s->runs)
        return;
    while (s->used != le16toh(u->idx)) {
        const struct vring_used_elem *e = &u->ring[s->used++ % RING_SIZE];
        uint32_t id = le32toh(e->id);

        CHECK(id < RING_SIZE && id % DESCS == 0);
        answered(ring, &s->place[id / DESCS], le32toh(e->len));
    }
    put(at, at, ring_part_len(false, false, RING_SIZE, 2));
}

void guest_look(void)
{
    for (unsigned r = RINGS; r-- > 0;)
        if (sides[r].kick)
            guest_kick(r);
    for (unsigned r = RINGS; r-- > 0;) {
        if (sides[r].runs && sides[r].flush)
            ring_flush(&sides[r].ring);
        sides[r].flush = false;
        look_at_used(r);
    }
}

/* ---- vhost's part ---- */

static void on_want_flush(struct ring *r)
{
    container_of(r, struct side, ring)->flush = true;
}

static void on_want_kick(struct ring *r)
{
    container_of(r, struct side, ring)->kick = true;
}

void guest_kick(unsigned ring)
{
    struct side *s = &sides[ring];

    s->kick = false;
    if (!s->runs)
        return;
    for (unsigned i = 0; i < PLACES; i++)
        s->place[i].taken = s->place[i].out;
    device->ops->ring_kick(device, &s->ring);
    ring_flush(&s->ring);
    CHECK(!s->ring.broken);
    look_at_used(ring);
    /* "as long as chains are available it is called again soon" */
    s->kick = s->kick || ring_has_work(&s->ring);
}

static void ring_begin(unsigned ring, bool anew)
{
    struct side *s = &sides[ring];
    struct ring_setup setup = {
        .size = RING_SIZE,
        .chain_max = device->chain_max,
        .priv_size = device->priv_size,
        .mem = mems[current_map],
        .call_fd = -1,
    };
    uint64_t at = UVA + ring * RING_BYTES;
    struct err e;

    if (anew) {
        memset(memory + ring * RING_BYTES, 0, RING_BYTES);
        memset(copy + ring * RING_BYTES, 0, RING_BYTES);
        memset(s, 0, sizeof(*s));
    }
    memset(&s->ring, 0, sizeof(s->ring));
    setup.base = s->base;
    s->ring.index = ring;
    s->ring.loop = &loop;
    s->ring.stats = &s->stats;
    s->ring.want_flush = on_want_flush;
    s->ring.want_kick = on_want_kick;
    setup.desc = mem_uva(mems[current_map], at, 1);
    setup.driver = mem_uva(mems[current_map], at + AVAIL, 1);
    setup.device = mem_uva(mems[current_map], at + USED, 1);
    CHECK(ring_open(&s->ring, &setup, &e) == 0);
    s->ring.enabled = true;
    if (ring == VIRTIO_GPU_CONTROLQ && s->base != stopped_at)
        model_reset();
    if (device->ops->ring_start)
        CHECK(device->ops->ring_start(device, &s->ring, &e) == 0);
    s->runs = true;
    s->kick = true;
}

void guest_drain(unsigned ring, enum drain how)
{
    if (sides[ring].runs && device->ops->ring_drain)
        device->ops->ring_drain(device, &sides[ring].ring, how);
}

static void ring_end(unsigned ring)
{
    struct side *s = &sides[ring];

    if (!s->runs)
        return;
    /* What is given up has any answer. */
    for (unsigned i = 0; i < PLACES; i++)
        s->place[i].lax = true;
    guest_drain(ring, DRAIN_BEGIN);
    for (int i = 0; s->ring.in_flight > 0; i++) {
        CHECK(i < 1000);
        if (i == 2)
            guest_drain(ring, DRAIN_CANCEL);
        s->kick = false;
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    }
    if (device->ops->ring_stop)
        device->ops->ring_stop(device, &s->ring);
    ring_flush(&s->ring);
    s->flush = s->kick = false;
    look_at_used(ring);
    s->runs = false;
    s->base = ring_base(&s->ring);
    if (ring == VIRTIO_GPU_CONTROLQ)
        stopped_at = s->base;
    ring_close(&s->ring);
    /* What the device has not taken is there when it goes on. */
    for (unsigned i = 0; i < PLACES; i++) {
        s->place[i].taken = false;
        s->place[i].lax = false;
    }
}

void rings_begin(bool anew)
{
    for (unsigned r = 0; r < RINGS; r++)
        ring_begin(r, anew);
}

void rings_end(void)
{
    for (unsigned r = RINGS; r-- > 0;)
        ring_end(r);
}

void ring_restart(unsigned ring, bool anew)
{
    if (!sides[ring].runs)
        return;
    ring_end(ring);
    ring_begin(ring, anew);
}

void guest_remap(unsigned map)
{
    bool busy = guest_is_busy();

    map %= MAPS;
    current_map = map == WEAK_MAP && weak.has_shrunk ? 0 : map;
    for (unsigned r = 0; r < RINGS; r++) {
        struct side *s = &sides[r];
        uint64_t at = UVA + r * RING_BYTES;

        for (unsigned i = 0; i < PLACES; i++)
            s->place[i].lax = s->place[i].lax || s->place[i].taken;
        if (!s->runs)
            continue;
        CHECK(ring_set_mem(&s->ring, mems[current_map],
                           mem_uva(mems[current_map], at, 1),
                           mem_uva(mems[current_map], at + AVAIL, 1),
                           mem_uva(mems[current_map], at + USED, 1)) == 0);
        if (device->ops->ring_remapped)
            device->ops->ring_remapped(device, &s->ring);
    }
    model_memory_changed(busy);
}
