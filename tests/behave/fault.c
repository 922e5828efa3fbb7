/* Disks and units that are made to fail: what a guest sees, what the control
 * socket is told, and that with the same seed and the same requests everything
 * ends the same way. */
#include "base/prng.h"
#include "drive.h"
#include "luns.h"

#define STORE "{'type': 'memory', 'size': '8M'}"
#define FAULT(keys) "{'type': 'fault', " keys ", 'next': " STORE "}"
#define RULES(rules) FAULT("'rules': [" rules "]")
/* A little of everything that a guest can survive. */
#define CHANCE(seed)                                                           \
    FAULT("'seed': " seed ", 'rules': ["                                       \
          "{'op': 'read', 'per_million': 100000, 'outcome': 'flip'},"          \
          "{'op': 'write', 'per_million': 50000, 'outcome': 'drop'},"          \
          "{'op': 'write', 'per_million': 50000, 'outcome': 'misdirect',"      \
          " 'distance': 0},"                                                   \
          "{'op': 'write', 'per_million': 100000, 'outcome': 'short'},"        \
          "{'per_million': 100000, 'error': 'ENOSPC'}]")

#define REQUESTS 600
#define PIECE 4096u
#define PIECES 64u

/* What came of a stream of requests: of each how it ended, and of all that was
 * read a sum. */
struct outcome {
    uint8_t ends[REQUESTS];
    uint64_t sum;
};

static void add(struct outcome *o, const uint8_t *data)
{
    for (unsigned i = 0; i < PIECE; i++)
        o->sum = o->sum * 31 + data[i];
}

static void ask_disk(struct outcome *o, const char *seed_and_store)
{
    struct vub *v = vub_start(DISK("d", "'queues': 2, ", "%s"), seed_and_store);
    struct front *f =
        front_new(v, "d", &(struct front_conf){.queues = 2, .packed = true});
    struct blk_req *r = blk_new(f, PIECE);
    struct prng p = prng_of(5, 0);

    memset(o, 0, sizeof(*o));
    for (unsigned i = 0; i < REQUESTS; i++) {
        bool write = prng_below(&p, 2);
        uint64_t at = prng_below(&p, PIECES) * (PIECE / 512);

        if (write)
            front_fill(r->data, PIECE, i);
        blk_go(f->vq[i % 2], r, write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, at,
               PIECE);
        o->ends[i] = blk_wait(f->vq[i % 2], r);
        if (!write)
            add(o, r->data);
    }
    front_free(f);
    vub_free(v);
}

static void ask_unit(struct outcome *o, const char *seed_and_store)
{
    struct vub *v = vub_start("{'id': 'san', 'type': 'scsi', 'queues': 2, "
                              "'luns': [{'store': %s}]}",
                              seed_and_store);
    struct scsi *s = scsi_open(v, "san", &(struct front_conf){.queues = 2}, 4);
    struct scsi_lun disk = scsi_at(0, 0);
    struct scsi_req *r;
    struct prng p = prng_of(5, 0);

    memset(o, 0, sizeof(*o));
    scsi_attend(s->queue[0], disk);
    r = scsi_new(s, disk, PIECE);
    for (unsigned i = 0; i < REQUESTS; i++) {
        bool write = prng_below(&p, 2);
        uint64_t at = prng_below(&p, PIECES) * (PIECE / 512);
        const struct scsi_answer *a;

        if (write)
            front_fill(r->data, PIECE, i);
        scsi_go(s->queue[i % 2], r,
                CDB_16(write ? SCSI_WRITE_16 : SCSI_READ_16, at, PIECE / 512),
                write ? PIECE : 0, write ? 0 : PIECE);
        a = scsi_wait(s->queue[i % 2], r);
        o->ends[i] = (uint8_t)(a->status ^ a->key << 4 ^ a->asc >> 8);
        if (!write)
            add(o, r->data);
    }
    scsi_close(s);
    vub_free(v);
}

static void the_same_seed_and_requests_end_the_same(void **state)
{
    static void (*const ask[])(struct outcome * o,
                               const char *store) = {ask_disk, ask_unit};
    static struct outcome first, again, other;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(ask); i++) {
        unsigned failed = 0;

        front_note("%s", i ? "scsi" : "block");
        ask[i](&first, CHANCE("42"));
        ask[i](&again, CHANCE("42"));
        ask[i](&other, CHANCE("43"));
        for (unsigned k = 0; k < REQUESTS; k++)
            failed += first.ends[k] != 0;
        assert_in_range(failed, 40, 200);
        assert_memory_equal(first.ends, again.ends, sizeof(first.ends));
        assert_true(first.sum == again.sum);
        assert_true(first.sum != other.sum);
        assert_true(memcmp(first.ends, other.ends, sizeof(first.ends)) != 0);
    }
    front_note(" ");
}

/* ---- what is no error of a disk ---- */

/* Two events, which of an isolated device come either way. */
static void need_both(struct ctl *c, const char *a, const char *b)
{
    const char *line = ctl_answer(c);
    bool a_first = strstr(line, a) != NULL;

    if (!a_first && !strstr(line, b))
        front_fail("the event is %s, neither %s nor %s", line, a, b);
    ctl_need(c, a_first ? b : a);
}

static void a_disk_breaks_its_ring_and_no_other(void **state)
{
    struct drive d = drive_open(
        DISK("d", "'queues': 2, ",
             RULES("{'op': 'write', 'offset': '4M', 'outcome': 'break'}")),
        &(struct front_conf){.queues = 2});
    struct blk_req *r = blk_new(d.f, 512);

    (void)state;
    ctl_listen(&d.c);
    blk_verify(d.f->vq[0], 0, 512, 1);
    blk_go(d.f->vq[0], r, VIRTIO_BLK_T_OUT, 8192, 512);
    need_both(&d.c, "\"outcome\":\"break\"",
              "\"event\":\"ring.broken\",\"device\":\"d\",\"ring\":0,"
              "\"why\":\"its store was told to break it\"");
    front_need_fd(d.f->vq[0]->err_fd, 1, "the ring's error");
    blk_verify(d.f->vq[1], 0, 512, 2);
    drive_again(&d);
    blk_verify(d.f->vq[0], 0, 512, 3);
    drive_close(&d);
}

static void a_unit_breaks_its_ring_and_no_other(void **state)
{
    struct vub *v =
        vub_start(SAN("", LUN(0, 0,
                              RULES("{'op': 'write', 'offset': '4M', "
                                    "'outcome': 'break'}"))));
    struct scsi *s = scsi_open(v, "san", &(struct front_conf){.queues = 2}, 4);
    struct scsi_lun disk = scsi_at(0, 0);
    struct scsi_req *r = scsi_new(s, disk, 512);

    (void)state;
    scsi_attend(s->queue[0], disk);
    scsi_verify(s->queue[0], disk, 0, 512, 1);
    scsi_go(s->queue[0], r, CDB_16(SCSI_WRITE_16, 8192, 1), 512, 0);
    front_need_fd(s->queue[0]->err_fd, 1, "the ring's error");
    vub_log_wait(v, "is broken: its store was told to break it");
    scsi_verify(s->queue[1], disk, 0, 512, 2);
    scsi_close(s);
    vub_free(v);
}

/* The request is done, and answered, before its connection is lost. */
static void a_front_end_is_lost_and_comes_again(void **state)
{
    struct drive d = drive_open(
        DISK("d", "",
             RULES("{'op': 'write', 'after': 1, 'count': 1, "
                   "'outcome': 'disconnect'}, {'op': 'flush', 'stuck': true}")),
        NULL);

    (void)state;
    ctl_listen(&d.c);
    for (unsigned i = 0; i < 2; i++) {
        char buf[512];

        front_fill(buf, sizeof(buf), i);
        blk_write(d.f->vq[0], i, buf, sizeof(buf));
    }
    need_both(&d.c, "\"outcome\":\"disconnect\"", "\"event\":\"disconnect\"");
    front_need_hangup(d.f);
    d.f->vq[0]->base =
        le16_load(&d.f->vq[0]->used->idx); /* nobody has said it */
    front_resume(d.f);
    blk_verify(d.f->vq[0], 8, 512, 3);
    drive_close(&d);
}

static void a_unit_loses_its_front_end(void **state)
{
    struct vub *v =
        vub_start(SAN("", LUN(0, 0,
                              RULES("{'op': 'write', 'after': 1, 'count': 1, "
                                    "'outcome': 'disconnect'}"))));
    struct scsi *s = scsi_open(v, "san", &(struct front_conf){.queues = 2}, 4);
    struct scsi_lun disk = scsi_at(0, 0);
    char buf[512] = "x";

    (void)state;
    scsi_attend(s->queue[0], disk);
    scsi_write(s->queue[0], disk, 0, buf, 512);
    scsi_write(s->queue[0], disk, 8, buf, 512);
    front_need_hangup(s->f);
    scsi_close(s);
    s = scsi_open(v, "san", &(struct front_conf){.queues = 2}, 4);
    scsi_attend(s->queue[0], disk);
    scsi_verify(s->queue[0], disk, 8, 512, 3);
    scsi_close(s);
    vub_free(v);
}

/* ---- power ---- */

#define CUTS(rule) "'rules': [{'outcome': 'powercut', " rule "}]"
#define POWER(keys) "{'type': 'powercut', 'seed': 3, 'next': " keys "}"

/* In any order, and whatever else comes. */
static void need_cut(struct ctl *c)
{
    bool fired = false, cut = false;

    while (!fired || !cut) {
        const char *line = ctl_answer(c);

        fired |= strstr(line, "\"outcome\":\"powercut\"") != NULL;
        cut |= strstr(line, "\"event\":\"powercut.cut\"") != NULL;
    }
}

/* One of many, in one batch. */
static void a_write_cuts_the_power(void **state)
{
    enum { MANY = 40, CUTS_IT = 20 };
    struct drive d =
        drive_open(DISK("d", "",
                        "{'type': 'fault', " CUTS(
                            "'op': 'write', 'after': 21, 'count': 1,"
                            " 'power': 'lost'") ", 'next': " POWER(STORE) "}"),
                   NULL);
    struct blk_req *r[MANY];
    struct ctl events;
    char buf[PIECE], was[PIECE];

    (void)state;
    ctl_open(&events, d.v);
    ctl_listen(&events);
    front_fill(was, PIECE, 1);
    blk_write(d.f->vq[0], 0, was, PIECE);
    blk_flush(d.f->vq[0]);
    for (unsigned i = 0; i < MANY; i++) {
        r[i] = blk_new(d.f, PIECE);
        front_fill(r[i]->data, PIECE, 2);
        assert_true(blk_add(d.f->vq[0], r[i], VIRTIO_BLK_T_OUT,
                            (uint64_t)i * PIECE / 512, PIECE));
    }
    vq_kick(d.f->vq[0]);
    front_need_hangup(d.f);
    for (unsigned i = CUTS_IT; i < MANY; i++)
        assert_int_not_equal(*r[i]->status, VIRTIO_BLK_S_OK);
    need_cut(&events);
    drive_again(&d);
    blk_read(d.f->vq[0], 0, buf, PIECE);
    assert_memory_equal(buf, was, PIECE);
    memset(was, 0, PIECE);
    for (unsigned i = 1; i < MANY; i++) {
        blk_read(d.f->vq[0], (uint64_t)i * PIECE / 512, buf, PIECE);
        assert_memory_equal(buf, was, PIECE);
    }
    blk_verify(d.f->vq[0], 0, PIECE, 4);
    ctl_call(&d.c, "stats", "{'device': 'd'}");
    ctl_need(&d.c, "\"matched\":23,\"fired\":1");
    ctl_close(&events);
    drive_close(&d);
}

/* The rule is below: what goes down for a flush is what cuts it. */
static void a_unit_loses_its_power(void **state)
{
    struct host h = host_open(
        SAN("", LUN(0, 0,
                    POWER("{'type': 'fault', " CUTS(
                        "'op': 'write', 'count': 1,"
                        " 'power': 'kept'") ", "
                                            "'next': " STORE
                                            "}")) "," LUN(0, 1, STORE)),
        &(struct front_conf){.queues = 2}, 4);
    struct scsi_lun disk = scsi_at(0, 0);
    struct scsi_req *r = scsi_new(h.s, disk, 0);
    char buf[512], was[512];

    (void)state;
    ctl_listen(&h.c);
    front_fill(was, sizeof(was), 1);
    scsi_attend(h.s->queue[0], disk);
    scsi_write(h.s->queue[0], disk, 0, was, sizeof(was));
    scsi_go(h.s->queue[0], r, CDB(SCSI_SYNC_CACHE_10), 0, 0);
    front_need_hangup(h.s->f);
    if (scsi_is_done(h.s->queue[0], r))
        assert_false(r->answer.response == VIRTIO_SCSI_S_OK &&
                     r->answer.status == SCSI_GOOD);
    need_cut(&h.c);
    host_again(&h);
    scsi_attend(h.s->queue[0], disk);
    scsi_read(h.s->queue[0], disk, 0, buf, sizeof(buf));
    assert_memory_equal(buf, was, sizeof(was));
    scsi_verify(h.s->queue[0], disk, 8, 512, 3);
    scsi_attend(h.s->queue[0], scsi_at(0, 1));
    scsi_verify(h.s->queue[0], scsi_at(0, 1), 8, 512, 3);
    host_close(&h);
}

/* ---- commands ---- */

static void a_stuck_request_waits_for_a_word(void **state)
{
    struct drive d = drive_open(
        DISK("d", "", RULES("{'op': 'write', 'outcome': 'stuck', 'count': 1}")),
        NULL);
    struct blk_req *r = blk_new(d.f, 512);
    char buf[512];

    (void)state;
    front_fill(r->data, 512, 7);
    blk_go(d.f->vq[0], r, VIRTIO_BLK_T_OUT, 0, 512);
    blk_read(d.f->vq[0], 8, buf, 512); /* others pass */
    ctl_call(&d.c, "status", "{'device': 'd'}");
    ctl_need(&d.c, "\"filters\":[{\"type\":\"fault\",\"seed\":1,\"held\":1,"
                   "\"rules\":[{\"op\":\"write\",\"outcome\":\"stuck\","
                   "\"armed\":true,\"matched\":1,\"fired\":1}]}]");
    ctl_call(&d.c, "fault.release", "{'device': 'd'}");
    ctl_need(&d.c, "\"result\":{\"released\":1}");
    assert_int_equal(blk_wait(d.f->vq[0], r), VIRTIO_BLK_S_OK);
    blk_read(d.f->vq[0], 0, buf, 512);
    assert_memory_equal(buf, r->data, 512);
    drive_close(&d);
}

static void rules_are_armed_over_the_control_socket(void **state)
{
    struct host h = host_open(
        SAN("",
            LUN(0, 0,
                RULES("{'name': 'w', 'op': 'write', 'armed': "
                      "false}")) "," LUN(0, 1,
                                         FAULT("'name': 'other', "
                                               "'rules': [{'armed': "
                                               "false}]"))) "," DISK("e", "",
                                                                     MEMORY),
        &(struct front_conf){.queues = 2}, 4);
    struct scsi_lun a = scsi_at(0, 0), b = scsi_at(0, 1);
    char buf[512] = "x";

    (void)state;
    scsi_attend(h.s->queue[0], a);
    scsi_attend(h.s->queue[0], b);
    ctl_call(&h.c, "fault.arm", "{'device': 'san'}");
    ctl_need(&h.c,
             "has 2 stores of the type fault: give the config of the one");
    ctl_call(&h.c, "fault.arm", "{'device': 'e'}");
    ctl_need(&h.c, "the device has no store of the type fault");
    ctl_call(&h.c, "fault.arm", "{'device': 'san', 'filter': 'nobody'}");
    ctl_need(&h.c, "no store of the type fault with the name");
    ctl_call(&h.c, "fault.arm", "{'device': 'san', 'filter': 'other'}");
    ctl_need(&h.c, "\"result\":{\"rules\":1}");
    scsi_write(h.s->queue[0], a, 0, buf, 512);
    scsi_need_sense(
        scsi_in(h.s->queue[0], b, CDB_16(SCSI_READ_16, 0, 1), buf, 512),
        SCSI_MEDIUM_ERROR, 0x1100);
    ctl_call(&h.c, "fault.disarm", "{'device': 'san', 'filter': 'other'}");
    ctl_need(&h.c, "\"result\":{\"rules\":1}");
    scsi_read(h.s->queue[0], b, 0, buf, 512);
    ctl_call(&h.c, "status", "{'device': 'san'}");
    ctl_need(&h.c, "\"filters\":[{\"type\":\"fault\",\"name\":\"other\"");
    host_close(&h);
}

BEHAVE_MAIN(T(the_same_seed_and_requests_end_the_same),
            T(a_disk_breaks_its_ring_and_no_other),
            T(a_unit_breaks_its_ring_and_no_other),
            T(a_front_end_is_lost_and_comes_again),
            T(a_unit_loses_its_front_end), T(a_write_cuts_the_power),
            T(a_unit_loses_its_power), T(a_stuck_request_waits_for_a_word),
            T(rules_are_armed_over_the_control_socket))
