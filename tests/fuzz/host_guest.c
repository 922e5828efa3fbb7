/* The guest of a SCSI host that is fuzzed, and vhost's part for its rings. */
#include <string.h>

#include "host.h"

#define UNDATA 0xa5 /* what was not written */
#define OVER 0x5a   /* what is not to be written any more */

struct side side[RINGS];

static unsigned numbers;

static uint8_t *place_mem(unsigned r, unsigned i)
{
    return memory + RINGS * RING_BYTES + (size_t)(r * PLACES + i) * PLACE_BYTES;
}

static bool is_byte(const uint8_t *p, size_t n, uint8_t b)
{
    return n == 0 || (p[0] == b && memcmp(p, p + 1, n - 1) == 0);
}

static void answered(unsigned r, unsigned i, uint32_t written)
{
    struct place *p = &side[r].place[i];
    uint8_t *m = place_mem(r, i);

    CHECK(p->out && p->taken);
    CHECK(written <= p->room);
    /* A read that is aborted may have brought something. */
    if (r >= FIRST && written > 0 &&
        (m[p->asked + 11] == VIRTIO_SCSI_S_ABORTED ||
         m[p->asked + 11] == VIRTIO_SCSI_S_RESET))
        written = p->room;
    CHECK(is_byte(m + p->asked + written, PLACE_BYTES - p->asked - written,
                  UNDATA));
    if (p->ends && m[p->asked] == VIRTIO_SCSI_S_FUNCTION_COMPLETE)
        for (unsigned k = 0; k < RINGS * PLACES; k++) {
            const struct place *q = &side[k / PLACES].place[k % PLACES];

            CHECK(!p->wants[k / PLACES][k % PLACES] || !q->out ||
                  q->number != p->wants[k / PLACES][k % PLACES]);
        }
    p->out = false;
    memset(m, OVER, PLACE_BYTES);
}

static void look_at_used(unsigned r)
{
    const struct vring_used *u =
        (const void *)(memory + r * RING_BYTES + 0x900);

    if (!side[r].runs)
        return;
    while (side[r].used != le16toh(u->idx)) {
        const struct vring_used_elem *e = &u->ring[side[r].used++ % RING_SIZE];
        uint32_t id = le32toh(e->id);

        CHECK(id < RING_SIZE && id % PLACES == 0);
        answered(r, id / PLACES, le32toh(e->len));
    }
}

void guest_look(void)
{
    for (unsigned r = RINGS; r-- > 0;)
        look_at_used(r);
    for (unsigned k = 0; k < RINGS * PLACES; k++)
        if (!side[k / PLACES].place[k % PLACES].out)
            CHECK(
                is_byte(place_mem(k / PLACES, k % PLACES), PLACE_BYTES, OVER));
}

void guest_kick(unsigned r)
{
    struct side *s = &side[r];

    if (!s->runs || !has_started)
        return;
    for (unsigned i = 0; i < PLACES; i++) {
        struct place *p = &s->place[i];

        if (!p->out || p->taken)
            continue;
        p->taken = true;
        for (unsigned k = 0; p->ends && k < RINGS * PLACES; k++) {
            const struct place *q = &side[k / PLACES].place[k % PLACES];

            if (k / PLACES >= FIRST && q->out && q->taken && !q->gone &&
                q->target == p->target &&
                (p->lun == 0xff || p->lun == q->lun) &&
                (!p->tag || p->tag == q->tag))
                p->wants[k / PLACES][k % PLACES] = q->number;
        }
    }
    do {
        s->kick = false;
        device->ops->ring_kick(device, &s->ring);
        ring_flush(&s->ring);
        CHECK(!s->ring.broken);
    } while (ring_has_work(&s->ring));
    guest_look();
}

void guest_turn(void)
{
    fakes_go_on(false);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    for (unsigned r = 0; r < RINGS; r++) {
        if (side[r].kick)
            guest_kick(r);
        if (side[r].runs && side[r].flush)
            ring_flush(&side[r].ring);
        side[r].flush = false;
    }
    guest_look();
}

/* ---- rings ---- */

static void on_want_flush(struct ring *r)
{
    container_of(r, struct side, ring)->flush = true;
}

static void on_want_kick(struct ring *r)
{
    container_of(r, struct side, ring)->kick = true;
}

void ring_begin(unsigned r)
{
    struct side *s = &side[r];
    struct ring_setup setup = {
        .size = RING_SIZE,
        .chain_max = device->chain_max,
        .priv_size = device->priv_size,
        .mem = mem,
        .call_fd = -1,
    };
    struct err e;

    memset(s, 0, sizeof(*s));
    memset(memory + r * RING_BYTES, 0, RING_BYTES);
    for (unsigned i = 0; i < PLACES; i++)
        memset(place_mem(r, i), OVER, PLACE_BYTES);
    s->ring.index = r;
    s->ring.loop = &loop;
    s->ring.stats = &s->stats;
    s->ring.want_flush = on_want_flush;
    s->ring.want_kick = on_want_kick;
    setup.desc = mem_uva(mem, UVA + r * RING_BYTES, 1);
    setup.driver = mem_uva(mem, UVA + r * RING_BYTES + 0x800, 1);
    setup.device = mem_uva(mem, UVA + r * RING_BYTES + 0x900, 1);
    CHECK(ring_open(&s->ring, &setup, &e) == 0);
    s->ring.enabled = true;
    CHECK(device->ops->ring_start(device, &s->ring, &e) == 0);
    s->runs = true;
}

void ring_drain(unsigned r, enum drain how)
{
    if (side[r].runs && has_started)
        device->ops->ring_drain(device, &side[r].ring, how);
    guest_look();
}

void ring_end(unsigned r)
{
    struct side *s = &side[r];

    if (!s->runs)
        return;
    ring_drain(r, DRAIN_BEGIN);
    ring_drain(r, DRAIN_CANCEL);
    for (int i = 0; s->ring.in_flight > 0; i++) {
        CHECK(i < 1000);
        guest_turn();
    }
    device->ops->ring_stop(device, &s->ring);
    ring_flush(&s->ring);
    guest_look();
    s->runs = false;
    ring_close(&s->ring);
}

/* Bytes out and in, cut into pieces as the input likes; what is sent is there
 * already. */
static void show(unsigned r, unsigned i, uint16_t out, uint16_t in)
{
    struct vring_desc *d =
        (struct vring_desc *)(void *)(memory + r * RING_BYTES) + i * PLACES;
    struct vring_avail *a = (void *)(memory + r * RING_BYTES + 0x800);
    uint64_t gpa = (uint64_t)(place_mem(r, i) - memory);
    struct place *p = &side[r].place[i];
    uint16_t idx = le16toh(a->idx);
    unsigned n = 0, last;

    memset(place_mem(r, i) + out, UNDATA, (size_t)PLACE_BYTES - out);
    for (unsigned part = 0; part < 2; part++) {
        uint16_t left = part ? in : out;

        last = part ? PLACES : PLACES / 2;
        while (left > 0) {
            uint16_t len = (uint16_t)(u8() * 4 + 1);

            if (n + 1 == last || len > left)
                len = left;

            d[n].addr = htole64(gpa);
            d[n].len = htole32(len);
            d[n].flags =
                htole16((part ? VRING_DESC_F_WRITE : 0) | VRING_DESC_F_NEXT);
            d[n].next = htole16((uint16_t)(i * PLACES + n + 1));
            n++;
            gpa += len;
            left -= len;
        }
    }
    if (n == 0)
        return;
    d[n - 1].flags &= htole16((uint16_t)~VRING_DESC_F_NEXT);
    p->out = true;
    p->taken = p->gone = p->ends = false;
    p->asked = out;
    p->room = in;
    p->number = ++numbers;
    memset(p->wants, 0, sizeof(p->wants));
    a->ring[idx % RING_SIZE] = htole16((uint16_t)(i * PLACES));
    a->idx = htole16((uint16_t)(idx + 1));
}

static struct place *free_place(unsigned r, unsigned *i)
{
    *i = u8() % PLACES;
    if (!side[r].runs || side[r].place[*i].out)
        return NULL;
    return &side[r].place[*i];
}

static void address(uint8_t *field, struct place *p, uint8_t b)
{
    p->target = b & 1;
    p->lun = b >> 1 & 3;
    memset(field, 0, 8);
    field[0] = 1;
    field[1] = p->target;
    field[3] = p->lun;
    if (b & 8)
        field[2] = 0x40;
    if (b >= 0xf0) { /* or nonsense */
        field[b & 7] = u8();
        p->target = 0xfe;
    }
}

void guest_command(void)
{
    static const uint8_t known[] = {0x00, 0x03, 0x08, 0x0a, 0x12, 0x1a, 0x1b,
                                    0x25, 0x28, 0x2a, 0x2f, 0x35, 0x41, 0x42,
                                    0x88, 0x8a, 0x89, 0x8f, 0x93, 0x9e, 0xa0};
    const struct scsi *s = scsi_of(device);
    unsigned r = FIRST + (u8() & 1), i;
    struct place *p = free_place(r, &i);
    uint8_t *m, how = u8();
    uint16_t out, in, data;

    if (!p)
        return;
    m = place_mem(r, i);
    memset(m, 0, PLACE_BYTES);
    address(m, p, u8());
    p->tag = (u8() & 3) + 1;
    m[8] = p->tag;
    m[16] = how & 3 ? 0 : how >> 2 & 7;
    m[19] = known[u8() % sizeof(known)];
    m[20] = how & 32 ? u8() : 0;
    m[21] = p->lun >= FAKE || how & 64 ? u8() : 0;
    m[22] = p->lun >= FAKE || how & 64 ? u8() : 0;
    m[23] = u8() & 31; /* of short ones: the length; else, an address */
    m[24] = 0;
    m[27] = how & 64 ? u8() : 1;                  /* of READ (10): the length */
    m[28] = m[24 + 8] = how & 64 ? 0 : u8() & 31; /* of READ (16): address */
    m[19 + 13] = 1;
    if (m[19] >= 0x80)
        memset(m + 21, 0, 4);
    out = (uint16_t)(19 + s->cdb_size);
    in = (uint16_t)(12 + s->sense_size);
    data = how & 16 ? 512 : (uint16_t)(u8() * 2);
    if (how & 128)
        in = (uint16_t)(in + data);
    else
        out = (uint16_t)(out + data);
    if (u8() == 0xff)
        out = u8();
    if (u8() == 0xff)
        in = u8();
    if (out + in <= PLACE_BYTES)
        show(r, i, out, in);
    else
        memset(m, OVER, PLACE_BYTES);
}

void guest_manage(void)
{
    unsigned i;
    struct place *p = free_place(CONTROL, &i);
    uint8_t function, b, *m;
    uint16_t room = 1;

    if (!p)
        return;
    m = place_mem(CONTROL, i);
    memset(m, 0, PLACE_BYTES);
    b = u8();
    function = b & 7;
    m[0] = b >= 0xf0 ? u8() & 3 : 0;
    m[4] = function;
    address(m + 8, p, u8() & 7);
    p->tag = (u8() & 3) + 1;
    m[16] = p->tag;
    if (b >= 0xe0)
        room = u8() & 15;
    show(CONTROL, i, b >= 0xe0 ? 24 : (uint16_t)(24 + (b >> 3 & 3)), room);
    if (function != VIRTIO_SCSI_T_TMF_ABORT_TASK)
        p->tag = 0;
    if (function == VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET)
        p->lun = 0xff;
    p->ends = m[0] == 0 && room > 0 &&
              (function <= VIRTIO_SCSI_T_TMF_ABORT_TASK_SET ||
               (function >= VIRTIO_SCSI_T_TMF_CLEAR_TASK_SET &&
                function <= VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET));
}

void guest_event_buffer(void)
{
    unsigned i;
    uint8_t room = u8();

    if (!free_place(EVENTS, &i))
        return;
    memset(place_mem(EVENTS, i), UNDATA, PLACE_BYTES);
    show(EVENTS, i, 0, room & 128 ? room & 31 : 16);
    if (!side[EVENTS].place[i].out)
        memset(place_mem(EVENTS, i), OVER, PLACE_BYTES);
}
