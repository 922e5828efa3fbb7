/* One device is attacked in every way we know while others serve verified
 * I/O: theirs never stops, nothing of theirs changes, and nothing is left of
 * the attackers when they are gone. */
#include <sys/socket.h>
#include <unistd.h>

#include "neighbours.h"

#define ZEROS "{'type': 'null', 'size': '1G', 'read_zeros': true}"

/* ---- The victim's neighbours ---- */

static void scene_open(struct neighbours *s)
{
    struct vub *v = vub_start(DISK(
        "d", "'queues': 2, 'worker': 'w', 'drain_timeout': 800, ",
        MEMORY) "," DISK("null", "'worker': 'w', 'drain_timeout': 800, ",
                         ZEROS) "," DISK("same", "'worker': 'w', ",
                                         MEMORY) "," DISK("other", "", MEMORY));

    neighbours_start(s, v);
}

static void scene_close(struct neighbours *s)
{
    neighbours_end(s);
    vub_free(s->v);
}

/* ---- Messages ---- */

/* Sound headers, payloads of chance: most numbers small, some huge. */
static void random_payload(uint64_t *x, uint8_t *p, uint32_t len)
{
    for (uint32_t i = 0; i + 4 <= len; i += 4) {
        uint64_t n = next(x);
        uint32_t value = n & 7   ? (uint32_t)(n >> 8) & 7
                         : n & 8 ? (uint32_t)(n >> 16)
                                 : 0xffffffff;

        memcpy(p + i, &value, 4);
    }
}

static void random_messages(void **state)
{
    static const uint16_t sizes[] = {0, 8, 8, 8, 16, 20, 40, 12, 24, 264};
    struct neighbours s;
    int fds[8];

    (void)state;
    scene_open(&s);
    for (unsigned seed = 1; seed <= 150; seed++) {
        uint64_t x = seed * 0x9e3779b97f4a7c15u;
        struct front *f = front_connect(s.v, "d");
        bool alive = true;

        front_note("seed %u", seed);
        for (int i = 0; i < 8; i++)
            fds[i] = i % 2 ? front_memfd(1 << 20)
                           : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        /* Half of them begin as they should. */
        if (seed % 2)
            front_set_up(f, &(struct front_conf){.queues = 2,
                                                 .packed = seed & 2,
                                                 .inflight = seed & 4,
                                                 .backend_channel = seed & 8});
        else
            front_negotiate(f, &(struct front_conf){.queues = 2});
        for (unsigned i = 0; i < 60 && alive; i++) {
            uint8_t payload[264] = {0};
            uint32_t request = (uint32_t)(next(&x) >> 20) % 42;
            uint32_t len = sizes[(next(&x) >> 20) % ARRAY_LEN(sizes)];
            unsigned num = next(&x) >> 20 & 3 ? (unsigned)(next(&x) >> 20) % 2
                                              : (unsigned)(next(&x) >> 20) % 9;

            random_payload(&x, payload, len);
            alive =
                front_send(f, request, next(&x) >> 20 & 1 ? WIRE_NEED_REPLY : 0,
                           payload, len, fds, num);
        }
        /* Whatever came back is of no interest. */
        shutdown(f->sock, SHUT_WR);
        front_need_hangup(f);
        for (int i = 0; i < 8; i++)
            close(fds[i]);
        front_free(f);
        neighbours_turn(&s);
    }
    scene_close(&s);
}

/* Not even headers. */
static void random_bytes(void **state)
{
    struct neighbours s;

    (void)state;
    scene_open(&s);
    for (unsigned seed = 1; seed <= 100; seed++) {
        uint64_t x = seed * 0x9e3779b97f4a7c15u;
        struct front *f = front_connect(s.v, "d");
        uint8_t bytes[600];

        front_note("seed %u", seed);
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)(next(&x) >> 24);
        if (seed % 3)
            memcpy(bytes, &(struct wire_header){seed % 40, WIRE_VERSION, 8},
                   sizeof(struct wire_header));
        front_send_bytes(f, bytes, sizeof(bytes), NULL, 0);
        shutdown(f->sock, SHUT_WR);
        front_need_hangup(f);
        front_free(f);
        neighbours_turn(&s);
    }
    scene_close(&s);
}

/* ---- Rings ---- */

static void put_head(void *arg, uint64_t *x, uint64_t at, uint64_t r)
{
    struct front *f = arg;
    struct virtio_blk_req_head h = {htole32((uint32_t)next(x) & 15), 0,
                                    next(x) & 255};

    (void)r;
    front_poke(f, at, &h, sizeof(h));
}

/* Everything that the guest may write is written with chance, again and again
 * while the device looks at it. */
static void random_rings(void **state)
{
    struct neighbours s;

    (void)state;
    scene_open(&s);
    for (unsigned seed = 1; seed <= 120; seed++) {
        uint64_t x = seed * 0x9e3779b97f4a7c15u;
        struct front_conf c = ring_modes[seed % ARRAY_LEN(ring_modes)];
        struct front *f;
        struct vq *q;
        uint64_t data;

        front_note("seed %u", seed);
        c.size = 16;
        c.inflight = seed % 3 == 0;
        f = front_new(s.v, "d", &c);
        q = f->vq[0];
        data = front_alloc(f, 65536, 4096);
        for (unsigned round = 0; round < 8; round++) {
            scrawl(q, &x, data, round % 2 == 0, seed % 7 == 0, put_head, f);
            neighbours_turn(&s);
            mend(q);
        }
        front_free(f);
    }
    scene_close(&s);
}

/* A guest that never stops: its ring is always full and kicked without end,
 * and those on the same thread have their turn. */
static void a_greedy_guest_starves_nobody(void **state)
{
    struct neighbours s;
    struct front *f;
    struct blk_req *r[32];
    void *cookie;

    (void)state;
    scene_open(&s);
    f = front_new(s.v, "d", &(struct front_conf){.queues = 2, .size = 128});
    vq_calls(f->vq[0], false);
    for (unsigned i = 0; i < 32; i++) {
        r[i] = blk_new(f, 256 << 10);
        blk_go(f->vq[0], r[i], VIRTIO_BLK_T_IN, 0, 256 << 10);
    }
    for (unsigned round = 0; round < 150; round++) {
        vq_notify(f->vq[0]);
        /* Not for as long as there are answers: there always are. */
        for (unsigned i = 0;
             i < 32 && vq_pop(f->vq[0], NULL, &cookie) != VQ_NONE; i++)
            blk_go(f->vq[0], cookie, VIRTIO_BLK_T_IN, 0, 256 << 10);
        neighbours_turn(&s);
    }
    front_free(f);
    scene_close(&s);
}

/* Requests that are small in the ring and huge in what they ask for. */
struct glutton {
    struct front *f;
    struct vq *q;
    struct blk_req *r[16];
    void (*ask)(struct glutton *g, struct blk_req *r);
    unsigned answers;
};

static void glutton_start(struct glutton *g, struct neighbours *s,
                          const char *id,
                          void (*ask)(struct glutton *g, struct blk_req *r))
{
    *g = (struct glutton){.ask = ask};
    g->f =
        front_new(s->v, id, &(struct front_conf){.packed = true, .size = 1024});
    g->q = g->f->vq[0];
    for (unsigned i = 0; i < ARRAY_LEN(g->r); i++) {
        g->r[i] = blk_new(g->f, 32 * sizeof(struct virtio_blk_range));
        ask(g, g->r[i]);
    }
}

static void glutton_turn(struct glutton *g)
{
    void *cookie;

    for (unsigned i = 0; i < ARRAY_LEN(g->r); i++) {
        struct blk_req *r;

        if (vq_pop(g->q, NULL, &cookie) == VQ_NONE)
            return;
        r = cookie;
        assert_int_equal(*r->status, VIRTIO_BLK_S_OK);
        g->answers++;
        g->ask(g, r);
    }
}

static void ask_for_ranges(struct glutton *g, struct blk_req *r, uint32_t type,
                           uint32_t mib)
{
    struct virtio_blk_range ranges[32];

    for (unsigned i = 0; i < ARRAY_LEN(ranges); i++)
        ranges[i] = (struct virtio_blk_range){0, htole32(mib << 11), 0};
    memcpy(r->data, ranges, sizeof(ranges));
    blk_go(g->q, r, type, 0, sizeof(ranges));
}

/* 128 MiB of zeros, in ranges that are not large. */
static void ask_for_zeros(struct glutton *g, struct blk_req *r)
{
    ask_for_ranges(g, r, VIRTIO_BLK_T_WRITE_ZEROES, 4);
}

/* 2 GiB of zeros. */
static void ask_for_more_zeros(struct glutton *g, struct blk_req *r)
{
    ask_for_ranges(g, r, VIRTIO_BLK_T_WRITE_ZEROES, 64);
}

static void ask_for_discards(struct glutton *g, struct blk_req *r)
{
    ask_for_ranges(g, r, VIRTIO_BLK_T_DISCARD, 64);
}

/* All into the same memory, again and again: 512 MiB. */
static void ask_for_data(struct glutton *g, struct blk_req *r)
{
    static uint64_t gpa;
    static struct front *of;
    struct vq_buf b[34] = {{r->head_gpa, sizeof(*r->head)}};

    if (of != g->f)
        gpa = front_alloc(g->f, 16 << 20, 4096);
    of = g->f;
    for (unsigned i = 1; i <= 32; i++)
        b[i] = (struct vq_buf){gpa, 16 << 20};
    b[33] = (struct vq_buf){r->status_gpa, 1};
    r->head->type = htole32(VIRTIO_BLK_T_IN);
    r->head->sector = 0;
    if (vq_add(g->q, b, 1, 33, r) == VQ_NONE)
        front_fail("no room");
    vq_kick(g->q);
}

/* Whoever has such a device for a neighbour, on the same thread, has many
 * turns for each of its requests, and a drain of it does not wait for their
 * end: vub would end the session. */
static void a_guest_that_wants_gigabytes_stops_nobody(void **state)
{
    static const struct {
        const char *id;
        void (*ask)(struct glutton *g, struct blk_req *r);
        unsigned times;
    } cases[] = {
        {"d", ask_for_zeros, 32},
        {"d", ask_for_discards, 32},
        {"d", ask_for_more_zeros, 0},
        {"null", ask_for_data, 8},
    };
    struct neighbours s;

    (void)state;
    scene_open(&s);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct glutton g;
        uint64_t before = s.same.done;

        front_note("case %u", i);
        glutton_start(&g, &s, cases[i].id, cases[i].ask);
        do {
            load_turn(&s.same, 1);
            glutton_turn(&g);
        } while (g.answers < cases[i].times);
        assert_true(s.same.done - before >= 4 * g.answers);
        vq_stop(g.q);
        front_free(g.f);
    }
    scene_close(&s);
}

/* ---- Memory ---- */

/* Taken away at any moment, while both sides are busy with it. */
static void memory_vanishes_at_any_moment(void **state)
{
    struct neighbours s;

    (void)state;
    scene_open(&s);
    for (unsigned round = 0; round < 60; round++) {
        struct front_conf c = ring_modes[round % ARRAY_LEN(ring_modes)];
        struct front *f;
        struct blk_req *r[16];

        front_note("round %u", round);
        c.inflight = round & 1;
        f = front_new(s.v, "d", &c);
        for (unsigned i = 0; i < 16; i++) {
            r[i] = blk_new(f, 65536);
            if (!blk_add(f->vq[i % 2], r[i],
                         i & 4 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, i * 128,
                         65536))
                front_fail("no room");
        }
        vq_kick(f->vq[0]);
        vq_kick(f->vq[1]);
        if (round % 3 == 0)
            load_turn(&s.same, 1);
        assert_int_equal(ftruncate(f->region[0].fd, round % 4 * 8192), 0);
        vq_notify(f->vq[0]);
        vq_notify(f->vq[1]);
        front_need_hangup(f);
        front_free(f);
        neighbours_turn(&s);
    }
    scene_close(&s);
}

BEHAVE_MAIN(T(random_messages), T(random_bytes), T(random_rings),
            T(a_greedy_guest_starves_nobody),
            T(a_guest_that_wants_gigabytes_stops_nobody),
            T(memory_vanishes_at_any_moment))
