/* A SCSI controller is attacked by its guest in every way we know while others
 * serve verified I/O: what is no command is answered where there is room for
 * that, its ring goes on, and nobody else notices. */
#include <unistd.h>

#include "luns.h"
#include "neighbours.h"

/* 0:0 is well, the upper half of 0:1 never answers. */
static void scene_open(struct neighbours *s)
{
    struct vub *v =
        vub_start("%s", SAN("'worker': 'w', 'drain_timeout': 400, ",
                            LUN(0, 0, SMALL) "," LUN(0, 1, STUCK)) "," //
                  DISK("same", "'worker': 'w', ", MEMORY) ","          //
                  DISK("other", "", MEMORY) ","                        //
                  DISK("d", "'worker': 'w', ", MEMORY));

    neighbours_start(s, v);
}

static void scene_close(struct neighbours *s)
{
    neighbours_end(s);
    vub_free(s->v);
}

/* Every kind of ring has its turn, in a session of its own. */
static void on_every_ring(void (*one)(struct neighbours *scene, struct scsi *s))
{
    struct neighbours scene;

    scene_open(&scene);
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct scsi *s = scsi_open(scene.v, "san", &ring_modes[mode], 4);

        front_note("%s", mode_name(&ring_modes[mode]));
        scsi_attend(s->queue[0], scsi_at(0, 0));
        scsi_attend(s->queue[0], scsi_at(0, 1));
        one(&scene, s);
        neighbours_turn(&scene);
        scsi_close(s);
    }
    scene_close(&scene);
}

/* ---- What is no command ---- */

#define HEAD_BYTES (19 + 32)
#define RESP_BYTES (12 + 96)

/* A chain of so many bytes each way that would be a READ (6) of a block; what
 * is in its response. The used length says whether anything was written. */
static uint8_t send_part(struct scsi *s, uint32_t out, uint32_t in,
                         uint32_t *written)
{
    static const uint8_t head[HEAD_BYTES] = {
        1, 0, 0x40, 0, 0, 0, 0, 0, 9, 9, 9, [19] = SCSI_READ_6, [23] = 1};
    uint64_t gpa = front_alloc(s->f, 8192, 64);
    struct vq_buf b[2];
    unsigned n = 0;

    front_poke(s->f, gpa, head, sizeof(head));
    memset(front_ptr(s->f, gpa + 4096), SCSI_R_NONE, 4096);
    if (out)
        b[n++] = (struct vq_buf){gpa, out};
    if (in)
        b[n++] = (struct vq_buf){gpa + 4096, in};
    assert_true(vq_add(s->queue[0], b, !!out, !!in, NULL) != VQ_NONE);
    vq_kick(s->queue[0]);
    while (vq_pop(s->queue[0], written, NULL) == VQ_NONE)
        vq_wait(s->queue[0]);
    assert_true(*written <= in);
    for (uint32_t i = in; i < 4096; i++)
        assert_int_equal(*(uint8_t *)front_ptr(s->f, gpa + 4096 + i),
                         SCSI_R_NONE);
    return *(uint8_t *)front_ptr(s->f, gpa + 4096 + 11);
}

static void send_parts(struct neighbours *scene, struct scsi *s)
{
    uint32_t written;
    uint8_t response;

    for (uint32_t out = 0; out < HEAD_BYTES; out++) {
        /* A short head: nobody knows what it wants, and is told so. */
        response = send_part(s, out, RESP_BYTES, &written);
        assert_int_equal(response, VIRTIO_SCSI_S_FAILURE);
        assert_int_equal(written, RESP_BYTES);
        response = send_part(s, out, RESP_BYTES + 512, &written);
        assert_int_equal(response, VIRTIO_SCSI_S_FAILURE);
    }
    for (uint32_t in = 0; in < RESP_BYTES; in++) {
        /* No room for an answer, so there is none. */
        send_part(s, HEAD_BYTES, in, &written);
        assert_int_equal(written, 0);
        if (in)
            send_part(s, in % 20, in, &written);
    }
    /* Data both ways, which we have not offered. */
    response = send_part(s, HEAD_BYTES + 512, RESP_BYTES + 512, &written);
    assert_int_equal(response, VIRTIO_SCSI_S_FAILURE);
    /* And then a sound one. */
    assert_int_equal(send_part(s, HEAD_BYTES, RESP_BYTES + 512, &written),
                     VIRTIO_SCSI_S_OK);
    assert_int_equal(written, RESP_BYTES + 512);
    scsi_verify(s->queue[0], scsi_at(0, 0), 0, 4096, 1);
    neighbours_turn(scene);
}

static void what_is_no_command_fails_alone(void **state)
{
    (void)state;
    on_every_ring(send_parts);
}

/* ---- Commands that want too much ---- */

static void ask_for_too_much(struct neighbours *scene, struct scsi *s)
{
    static const struct {
        uint8_t cdb[32];
        bool out;
    } huge[] = {
        {{SCSI_READ_16, 0, BE64(0), BE32(UINT32_MAX)}, false},
        {{SCSI_READ_16, 0, BE64(UINT64_MAX), BE32(1)}, false},
        {{SCSI_READ_16, 0, BE64(UINT64_MAX), BE32(UINT32_MAX)}, false},
        {{SCSI_READ_16, 0, BE64(INT64_MAX), BE32(8)}, false},
        {{SCSI_READ_12, 0, BE32(UINT32_MAX), BE32(UINT32_MAX)}, false},
        {{SCSI_READ_10, 0, BE32(UINT32_MAX), 0, BE16(UINT16_MAX)}, false},
        {{SCSI_READ_6, 0x1f, 0xff, 0xff, 0}, false},
        {{SCSI_WRITE_16, 0, BE64(0), BE32(UINT32_MAX)}, true},
        {{SCSI_WRITE_16, 0, BE64(UINT64_MAX - 7), BE32(8)}, true},
        {{SCSI_WRITE_12, 0, BE32(0), BE32(UINT32_MAX)}, true},
        {{SCSI_VERIFY_16, 0, BE64(1), BE32(UINT32_MAX)}, false},
        {{SCSI_VERIFY_16, 2, BE64(1), BE32(UINT32_MAX)}, true},
        {{SCSI_VERIFY_16, 6, BE64(1), BE32(UINT32_MAX)}, true},
        {{SCSI_WRITE_VERIFY_16, 0, BE64(1), BE32(UINT32_MAX)}, true},
        {{SCSI_WRITE_SAME_16, 0, BE64(0), BE32(UINT32_MAX)}, true},
        {{SCSI_WRITE_SAME_16, 8, BE64(UINT64_MAX), BE32(0)}, true},
        {{SCSI_WRITE_SAME_16, 9, BE64(8), BE32(UINT32_MAX)}, false},
        {{SCSI_WRITE_SAME_10, 0, BE32(UINT32_MAX), 0, BE16(UINT16_MAX)}, true},
        {{SCSI_COMPARE_AND_WRITE, 0, BE64(UINT64_MAX), 0, 0, 0, 255}, true},
        {{SCSI_COMPARE_AND_WRITE, 0, BE64(0), 0, 0, 0, 255}, true},
        {{SCSI_SYNC_CACHE_16, 0, BE64(UINT64_MAX), BE32(UINT32_MAX)}, false},
        {{SCSI_SYNC_CACHE_10, 0, BE32(UINT32_MAX), 0, BE16(UINT16_MAX)}, false},
        {{SCSI_PREFETCH_16, 0, BE64(UINT64_MAX), BE32(UINT32_MAX)}, false},
        {{SCSI_UNMAP, 0, 0, 0, 0, 0, 0, BE16(UINT16_MAX)}, true},
        {{SCSI_UNMAP, 0, 0, 0, 0, 0, 0, BE16(7)}, true},
        {{SCSI_MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, BE16(UINT16_MAX)}, true},
        {{SCSI_MODE_SELECT_6, 0x10, 0, 0, 255}, true},
        {{SCSI_MODE_SENSE_10, 0, 0x3f, 0xff, 0, 0, 0, BE16(UINT16_MAX)}, false},
        {{SCSI_INQUIRY, 1, 0, BE16(UINT16_MAX)}, false},
        {{SCSI_INQUIRY, 1, 0x83, BE16(UINT16_MAX)}, false},
        {{SCSI_LOG_SENSE, 0, 0, 0, 0, 0, 0, BE16(UINT16_MAX)}, false},
        {{SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, BE32(UINT32_MAX)}, false},
        {{SCSI_MAINTENANCE_IN, SCSI_MI_REPORT_OPCODES, 0, 0, 0, 0,
          BE32(UINT32_MAX)},
         false},
        {{SCSI_SERVICE_ACTION_IN_16, SCSI_SAI_GET_LBA_STATUS, BE64(UINT64_MAX),
          BE32(UINT32_MAX)},
         false},
        {{SCSI_SERVICE_ACTION_IN_16, SCSI_SAI_READ_CAPACITY_16,
          BE64(UINT64_MAX), BE32(UINT32_MAX)},
         false},
        {{SCSI_PR_IN, 0, 0, 0, 0, 0, 0, BE16(UINT16_MAX)}, false},
        {{SCSI_PR_OUT, 0, 0, 0, 0, BE32(UINT32_MAX)}, true},
    };
    static const uint32_t rooms[] = {0, 1, 7, 8, 511, 512, 4096, 65536};
    struct scsi_lun lun = scsi_at(0, 0);
    uint8_t *data = front_calloc(1, 65536), kept[4096];

    scsi_attend(s->queue[0], lun);
    front_fill(data, 4096, 77);
    scsi_write(s->queue[0], lun, SMALL_BLOCKS / 2, data, 4096);
    for (unsigned i = 0; i < ARRAY_LEN(huge); i++)
        for (unsigned k = 0; k < ARRAY_LEN(rooms); k++)
            for (unsigned fill = 0; fill < 2; fill++) {
                struct scsi_answer a;

                memset(data, fill ? 0xff : 0, 65536);
                front_note("opcode %#x, number %u, %u bytes", huge[i].cdb[0], i,
                           rooms[k]);
                if (huge[i].out)
                    a = scsi_out(s->queue[0], lun, huge[i].cdb, 32, data,
                                 rooms[k]);
                else
                    a = scsi_in(s->queue[0], lun, huge[i].cdb, 32, data,
                                rooms[k]);
                /* read_answer has looked at it; it need not be refused. */
                assert_true(a.response == VIRTIO_SCSI_S_OK ||
                            a.response == VIRTIO_SCSI_S_OVERRUN ||
                            a.response == VIRTIO_SCSI_S_FAILURE);
            }
    /* What nobody asked to change is as it was. */
    front_fill(data, 4096, 77);
    scsi_attend(s->queue[0], lun);
    scsi_read(s->queue[0], lun, SMALL_BLOCKS / 2, kept, 4096);
    assert_memory_equal(kept, data, 4096);
    scsi_verify(s->queue[0], lun, 0, 4096, 1);
    neighbours_turn(scene);
    free(data);
}

static void a_command_that_wants_too_much_is_answered(void **state)
{
    (void)state;
    on_every_ring(ask_for_too_much);
}

/* ---- Chance ---- */

static const uint8_t opcodes[] = {
    0x00, 0x03, 0x04, 0x08, 0x0a, 0x12, 0x15, 0x16, 0x17, 0x1a, 0x1b, 0x1d,
    0x1e, 0x25, 0x28, 0x2a, 0x2e, 0x2f, 0x34, 0x35, 0x37, 0x41, 0x42, 0x4d,
    0x53, 0x55, 0x56, 0x57, 0x5a, 0x5e, 0x5f, 0x7f, 0x83, 0x84, 0x88, 0x89,
    0x8a, 0x8e, 0x8f, 0x90, 0x91, 0x93, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f,
    0xa0, 0xa3, 0xa4, 0xa8, 0xaa, 0xae, 0xaf, 0xb7, 0xc0, 0xff};

/* A CDB of some command, mostly of small numbers. */
static void random_cdb(uint64_t *x, uint8_t cdb[32])
{
    uint64_t r = next(x);

    for (unsigned i = 0; i < 32; i++)
        cdb[i] = next(x) & 3 << 20 ? 0 : (uint8_t)(next(x) >> 30);
    cdb[0] = r & 15 ? opcodes[(r >> 8) % sizeof(opcodes)] : (uint8_t)(r >> 8);
    if (r & 1 << 20) /* few blocks, low addresses */
        cdb[2] = cdb[3] = cdb[4] = cdb[5] = cdb[10] = cdb[11] = cdb[12] = 0;
    if (r & 1 << 21)
        cdb[1] &= 0x1f;
}

/* Many at a time, over both queues, in bursts; each is answered, or is stuck
 * and can be ended. */
static void random_commands(void **state)
{
    enum { BURST = 12 };
    static const uint32_t lens[] = {0,   1,   4,   8,    16,   24,
                                    255, 512, 520, 1024, 4096, 16384};
    struct neighbours scene;

    (void)state;
    scene_open(&scene);
    for (unsigned seed = 1; seed <= 160; seed++) {
        uint64_t x = seed * 0x9e3779b97f4a7c15u;
        struct front_conf c = ring_modes[seed % ARRAY_LEN(ring_modes)];
        struct scsi_req *r[BURST];
        struct scsi *s;

        front_note("seed %u", seed);
        c.inflight = seed % 3 == 0;
        s = scsi_open(scene.v, "san", &c, 4);
        for (unsigned i = 0; i < BURST; i++)
            r[i] = scsi_new(s, scsi_at(0, i % 2), 16384);
        for (unsigned round = 0; round < 12; round++) {
            for (unsigned i = 0; i < BURST; i++) {
                uint32_t len = lens[(next(&x) >> 20) % ARRAY_LEN(lens)];
                bool out = next(&x) >> 20 & 1;
                uint8_t cdb[32];

                random_cdb(&x, cdb);
                if (next(&x) >> 20 & 1) /* parameter lists of some sense */
                    for (unsigned k = 0; k < 64; k++)
                        r[i]->data[k] = next(&x) >> 20 & 3
                                            ? 0
                                            : (uint8_t)(next(&x) >> 20 & 31);
                else
                    front_fill(r[i]->data, 16384, next(&x));
                r[i]->attr = (uint8_t)(next(&x) >> 20 & 7);
                if (next(&x) >> 20 & 1)
                    r[i]->tag = next(&x) >> 20 & 15;
                scsi_go(s->queue[i & 1], r[i], cdb, 32, out ? len : 0,
                        out ? 0 : len);
            }
            /* Of these some never answer by themselves. */
            for (unsigned i = 0; i < 8; i++)
                scsi_tmf(s, (uint32_t)(next(&x) >> 20 & 7), scsi_at(0, i % 3),
                         next(&x) >> 20 & 15);
            assert_int_equal(scsi_tmf(s, VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET,
                                      scsi_at(0, 1), 0),
                             0);
            for (unsigned i = 0; i < BURST; i++) {
                while (!scsi_is_done(s->queue[i & 1], r[i])) {
                    if (vq_wait_ms(s->queue[i & 1], 100))
                        continue;
                    scsi_tmf(s, VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET,
                             scsi_at(0, 1), 0);
                }
            }
            neighbours_turn(&scene);
        }
        scsi_close(s);
    }
    scene_close(&scene);
}

/* A function for the control queue, else a command. */
static void put_request(void *arg, uint64_t *x, uint64_t at, uint64_t r)
{
    struct vq *q = arg;
    uint8_t head[64] = {1, 0, 0, r >> 30 & 1};

    if (q == scsi_of(q)->control) {
        head[0] = (uint8_t)(r >> 40 & 3);
        head[4] = (uint8_t)(r >> 44 & 7);
        head[8] = 1;
        head[11] = r >> 30 & 1;
        front_poke(q->f, at, head, 24);
    } else {
        random_cdb(x, head + 19);
        front_poke(q->f, at, head, 19 + 32);
    }
}

/* Everything that the guest may write is written with chance, on every queue,
 * again and again while the device looks at it. */
static void random_rings(void **state)
{
    struct neighbours scene;

    (void)state;
    scene_open(&scene);
    for (unsigned seed = 1; seed <= 120; seed++) {
        uint64_t x = seed * 0x9e3779b97f4a7c15u;
        struct front_conf c = ring_modes[seed % ARRAY_LEN(ring_modes)];
        struct scsi *s;
        struct vq *q;
        uint64_t data;

        front_note("seed %u", seed);
        c.size = 16;
        s = scsi_open(scene.v, "san", &c, 0);
        q = s->f->vq[seed / 8 % 4];
        data = front_alloc(s->f, 65536, 4096);
        for (unsigned round = 0; round < 8; round++) {
            scrawl(q, &x, data, round % 2 == 0, seed % 7 == 0, put_request, q);
            neighbours_turn(&scene);
            mend(q);
        }
        scsi_close(s);
    }
    scene_close(&scene);
}

/* ---- Those who do not end ---- */

static void a_greedy_guest_starves_nobody(void **state)
{
    struct neighbours scene;
    struct scsi_req *r[24];
    struct scsi *s;

    (void)state;
    scene_open(&scene);
    s = scsi_open(scene.v, "san", &(struct front_conf){.queues = 2}, 4);
    scsi_attend(s->queue[0], scsi_at(0, 0));
    for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
        r[i] = scsi_new(s, scsi_at(0, 0), 256 << 10);
        scsi_go(s->queue[0], r[i], CDB_16(SCSI_READ_16, 0, 512), 0, 256 << 10);
    }
    for (unsigned round = 0; round < 100; round++) {
        vq_notify(s->queue[0]);
        for (unsigned i = 0; i < ARRAY_LEN(r); i++)
            if (scsi_is_done(s->queue[0], r[i]))
                scsi_go(s->queue[0], r[i], CDB_16(SCSI_READ_16, 0, 512), 0,
                        256 << 10);
        neighbours_turn(&scene);
    }
    scsi_close(s);
    scene_close(&scene);
}

/* They hang up with commands that never end, and with task management under
 * way; the next one is served all the same. */
static void guests_go_in_the_middle_of_everything(void **state)
{
    struct neighbours scene;
    struct scsi *last;

    (void)state;
    scene_open(&scene);
    for (unsigned i = 0; i < 24; i++) {
        const struct front_conf *mode = &ring_modes[i % ARRAY_LEN(ring_modes)];
        struct scsi *s = scsi_open(scene.v, "san", mode, 4);
        struct scsi_control c[4];

        front_note("round %u, %s", i, mode_name(mode));
        scsi_attend(s->queue[0], scsi_at(0, 1));
        for (unsigned k = 0; k < 6; k++)
            scsi_go(s->queue[k % 2], scsi_new(s, scsi_at(0, 1), 4096),
                    CDB_16(SCSI_READ_16, STUCK_BLOCK, 8), 0, 4096);
        for (unsigned k = 0; k < i % 4; k++)
            scsi_tmf_go(s, &c[k], k, scsi_at(0, 1), 0);
        if (i % 5 == 0)
            assert_int_equal(ftruncate(s->f->region[0].fd, i % 4 * 8192), 0);
        if (i % 5 == 0) {
            vq_notify(s->queue[0]);
            vq_notify(s->queue[1]);
        }
        scsi_close(s);
        neighbours_turn(&scene);
    }
    /* Whose rings run when all before are over. */
    last = scsi_open(scene.v, "san", NULL, 4);
    scsi_attend(last->queue[0], scsi_at(0, 1));
    scsi_close(last);
    scene_close(&scene);
}

BEHAVE_MAIN(T(what_is_no_command_fails_alone),
            T(a_command_that_wants_too_much_is_answered), T(random_commands),
            T(random_rings), T(a_greedy_guest_starves_nobody),
            T(guests_go_in_the_middle_of_everything))
