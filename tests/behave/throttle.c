/* Disks and units that are held to a rate: what a guest gets, what two share,
 * what a change and a drain do to requests that wait. Where time must not
 * decide, the rate is such that the next request would go in minutes. */
#include "drive.h"
#include "luns.h"

#define THROTTLE(keys) "{'type': 'throttle', " keys ", 'next': " MEMORY "}"
/* One sector goes at once, the next in eight minutes. */
#define SLOW THROTTLE("'bps': 1, 'bps_burst': 512")

static int64_t since_ms(int64_t start)
{
    return front_now_ms() - start;
}

/* ---- rates ---- */

static void read_many(struct front *f, unsigned n, uint32_t len)
{
    struct blk_req *r[32];

    for (unsigned i = 0; i < ARRAY_LEN(r); i++)
        r[i] = blk_new(f, len);
    for (unsigned at = 0; at < n; at += ARRAY_LEN(r)) {
        for (unsigned i = 0; i < ARRAY_LEN(r); i++)
            blk_go(f->vq[0], r[i], VIRTIO_BLK_T_IN, 0, len);
        for (unsigned i = 0; i < ARRAY_LEN(r); i++)
            assert_int_equal(blk_wait(f->vq[0], r[i]), VIRTIO_BLK_S_OK);
    }
    for (unsigned i = 0; i < ARRAY_LEN(r); i++)
        blk_free(r[i]);
}

/* Not faster, that is; how much slower is the machine's affair. */
static void a_guest_is_held_to_its_rate(void **state)
{
    static const char *const stores[] = {
        THROTTLE("'iops': 1000"),
        THROTTLE("'bps': 4096000"),
        THROTTLE("'iops_read': 1000, 'iops_write': 1"),
        THROTTLE("'bps_read': '4000K', 'iops': 100000"),
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(stores); i++) {
        struct vub *v =
            vub_start("{'id': 'd', 'type': 'block', 'store': %s}", stores[i]);
        struct front *f = front_new(v, "d", NULL);
        int64_t start;

        front_note("%s", stores[i]);
        read_many(f, 128, 4096); /* the burst */
        start = front_now_ms();
        read_many(f, 416, 4096);
        assert_true(since_ms(start) >= 300);
        blk_verify(f->vq[0], 0, 512, i);
        front_free(f);
        vub_free(v);
    }
    front_note(" ");
}

static void a_burst_is_granted(void **state)
{
    struct drive d =
        drive_open(DISK("d", "",
                        THROTTLE("'iops': 1, 'iops_burst': 1000, 'bps': 4096, "
                                 "'bps_burst': '4M'")),
                   NULL);

    (void)state;
    read_many(d.f, 960, 4096);
    ctl_call(&d.c, "status", "{}");
    ctl_need(&d.c,
             "\"throttles\":[{\"name\":\"d\",\"iops\":1,\"iops_burst\":1000,"
             "\"bps\":4096,\"bps_burst\":4194304,\"users\":[{\"device\":"
             "\"d\",\"waiting\":0,\"waiting_ms\":0,\"held\":0,"
             "\"held_ms\":0}]}]");
    drive_close(&d);
}

/* ---- one throttle for two ---- */

struct side {
    struct front *f;
    unsigned depth, done;
};

static void side_open(struct side *s, struct vub *v, const char *id,
                      unsigned depth)
{
    *s = (struct side){.f = front_new(v, id, &(struct front_conf){.size = 256}),
                       .depth = depth};
    for (unsigned i = 0; i < depth; i++)
        blk_go(s->f->vq[0], blk_new(s->f, 4096), VIRTIO_BLK_T_OUT, 8 * i, 4096);
}

static void side_go(struct side *s)
{
    struct vq *q = s->f->vq[0];
    void *cookie;

    vq_wait_ms(q, 1);
    while (vq_pop(q, NULL, &cookie) != VQ_NONE) {
        struct blk_req *r = cookie;

        assert_int_equal(*r->status, VIRTIO_BLK_S_OK);
        s->done++;
        blk_go(q, r, VIRTIO_BLK_T_OUT, le64toh(r->head->sector), 4096);
    }
}

/* Each on a worker of its own; one keeps nine times as many waiting. */
static void two_devices_share_a_throttle_of_one_name(void **state)
{
    struct vub *v = ctl_start(DISK(
        "a", "'worker': 'one', ",
        THROTTLE(
            "'name': 'gold', 'iops': 1000")) ", " DISK("b", "'worker': 'two', ",
                                                       THROTTLE(
                                                           "'name': 'gold'")));
    struct side a, b;
    int64_t start;
    unsigned all;

    (void)state;
    side_open(&a, v, "a", 8);
    side_open(&b, v, "b", 72);
    while (a.done + b.done < 500) {
        side_go(&a);
        side_go(&b);
    }
    a.done = b.done = 0;
    start = front_now_ms();
    while (a.done + b.done < 1000) {
        side_go(&a);
        side_go(&b);
    }
    all = a.done + b.done;
    /* A burst may have been saved up, and answers, if we were slow. */
    assert_true(since_ms(start) >= 1000 - 100 - 80 - 1);
    assert_true(a.done * 100 / all >= 40);
    assert_true(b.done * 100 / all >= 40);
    front_free(a.f);
    front_free(b.f);
    vub_free(v);
}

static void those_of_other_names_do_not_feel_each_other(void **state)
{
    struct vub *v = ctl_start(DISK("a", "'worker': 'w', ", SLOW) ", " DISK(
        "b", "'worker': 'w', ", SLOW));
    struct front *a = front_new(v, "a", NULL), *b = front_new(v, "b", NULL);
    char sector[512];

    (void)state;
    blk_read(a->vq[0], 0, sector, 512);
    blk_go(a->vq[0], blk_new(a, 512), VIRTIO_BLK_T_IN, 0, 512);
    front_settle(a);
    blk_read(b->vq[0], 0, sector, 512);
    assert_false(vq_has(a->vq[0]));
    front_free(a);
    front_free(b);
    vub_free(v);
}

/* ---- what ends the waiting ---- */

static void wait_for_status(struct ctl *c, const char *text)
{
    do
        ctl_call(c, "status", "{}");
    while (!strstr(ctl_answer(c), text));
}

#define WAITING 8

/* A disk, and requests that wait. */
struct held {
    struct drive d;
    struct blk_req *r[WAITING];
};

/* disk: with the id "d". */
static struct held held_begin(const char *disk, unsigned queues)
{
    return (struct held){
        .d = drive_open(disk, &(struct front_conf){.queues = queues}),
    };
}

/* Asks for them; a status knows of them. */
static void held_wait(struct held *h)
{
    char text[64];

    for (unsigned i = 0; i < WAITING; i++) {
        h->r[i] = blk_new(h->d.f, 4096);
        blk_go(h->d.f->vq[0], h->r[i], VIRTIO_BLK_T_IN, 0, 4096);
    }
    snprintf(text, sizeof(text), "\"waiting\":%d,", WAITING);
    do
        ctl_call(&h->d.c, "status", "{'device': 'd'}");
    while (!strstr(ctl_answer(&h->d.c), text));
    assert_false(vq_has(h->d.f->vq[0]));
}

static void held_need_all(struct held *h)
{
    for (unsigned i = 0; i < WAITING; i++)
        assert_int_equal(blk_wait(h->d.f->vq[0], h->r[i]), VIRTIO_BLK_S_OK);
}

static void held_end(struct held *h)
{
    drive_close(&h->d);
}

static void a_change_frees_those_that_wait(void **state)
{
    static const char *const changes[] = {
        "{'name': 'd', 'bps': 0}",
        "{'name': 'd', 'bps': '1G'}",
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(changes); i++) {
        struct held h = held_begin(DISK("d", "", SLOW), 1);

        held_wait(&h);
        ctl_call(&h.d.c, "throttle.set", changes[i]);
        ctl_need(&h.d.c, i == 0 ? "\"result\":{}" : "\"bps\":1073741824");
        held_need_all(&h);
        held_end(&h);
    }
}

/* Each wakes the worker, which may be awake: for the thread sanitizer. */
static void changes_may_come_one_after_the_other(void **state)
{
    struct held h = held_begin(DISK("d", "", SLOW), 1);

    (void)state;
    held_wait(&h);
    for (unsigned i = 0; i < 2000; i++) {
        ctl_call(&h.d.c, "throttle.set",
                 i % 2 ? "{'name': 'd', 'bps': 1, 'iops': 1}"
                       : "{'name': 'd', 'bps': 2, 'iops': 4294967295}");
        for (unsigned k = 0; i % 50 == 49 && k < 50; k++)
            ctl_need(&h.d.c, "\"result\"");
    }
    ctl_call(&h.d.c, "throttle.set", "{'name': 'd', 'bps': 0, 'iops': 0}");
    ctl_need(&h.d.c, "\"result\":{}");
    held_need_all(&h);
    held_end(&h);
}

static void a_limit_may_be_set_while_a_guest_runs(void **state)
{
    struct held h = held_begin(DISK("d", "", THROTTLE("'name': 'gold'")), 1);

    (void)state;
    read_many(h.d.f, 32, 4096);
    ctl_call(&h.d.c, "throttle.set",
             "{'name': 'gold', 'bps_read': 1, 'bps_read_burst': 512}");
    ctl_need(&h.d.c, "\"bps_read\":1,\"bps_read_burst\":512");
    held_wait(&h);
    blk_write(h.d.f->vq[0], 0, h.r[0]->data, 4096); /* no read */
    blk_flush(h.d.f->vq[0]);
    ctl_call(&h.d.c, "throttle.set", "{'name': 'silver', 'bps': 1}");
    ctl_need(&h.d.c, "there is no throttle \\\"silver\\\"");
    ctl_call(&h.d.c, "throttle.set", "{'name': 'gold', 'iops_burst': 1}");
    ctl_need(&h.d.c, "a burst of what has no limit");
    held_end(&h);
}

/* What waits goes on where it is: no front-end has to connect again. */
static void limits_of_a_config_change_beside_a_guest(void **state)
{
    static const char *const calls[][2] = {
        {"config.reload", "{}"},
        {"device.reload", "{'device': 'd'}"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(calls); i++) {
        struct held h = held_begin(DISK("d", "", SLOW), 1);

        held_wait(&h);
        ctl_config(h.d.v, DISK("d", "", THROTTLE("'bps': '1G'")));
        ctl_call(&h.d.c, calls[i][0], calls[i][1]);
        ctl_need(&h.d.c, i == 0 ? "\"adjusted\":[\"d\"]" : "\"result\":{}");
        held_need_all(&h);
        ctl_call(&h.d.c, "status", "{}");
        ctl_need(&h.d.c, "\"name\":\"d\",\"bps\":1073741824,");
        /* And are such that something waits again. */
        ctl_config(h.d.v, DISK("d", "", SLOW));
        ctl_call(&h.d.c, calls[i][0], calls[i][1]);
        ctl_need(&h.d.c, "\"result\":{");
        held_wait(&h);
        assert_int_equal(vub_log_count(h.d.v, "d: front-end connected"), 1);
        held_end(&h);
    }
}

/* Not of another ring of the same worker. */
static void a_ring_that_stops_lets_all_of_its_own_go(void **state)
{
    struct held h = held_begin(
        DISK("d", "'queues': 2, 'drain_timeout': 600000, ", SLOW), 2);
    struct blk_req *other = blk_new(h.d.f, 4096);

    (void)state;
    held_wait(&h);
    blk_go(h.d.f->vq[1], other, VIRTIO_BLK_T_IN, 0, 4096);
    assert_int_equal(vq_stop(h.d.f->vq[0]), WAITING);
    held_need_all(&h);
    assert_false(vq_has(h.d.f->vq[1]));
    vq_stop(h.d.f->vq[1]);
    assert_int_equal(blk_wait(h.d.f->vq[1], other), VIRTIO_BLK_S_OK);
    held_end(&h);
}

/* Though each range is a request of its own, made when the one before has
 * ended. */
static void a_list_of_ranges_does_not_keep_a_ring_from_stopping(void **state)
{
    struct held h = held_begin(DISK("d", "'drain_timeout': 600000, ", SLOW), 1);
    struct virtio_blk_range *range;
    struct blk_req *r = blk_new(h.d.f, 32 * sizeof(*range));

    (void)state;
    range = (struct virtio_blk_range *)r->data;
    for (unsigned i = 0; i < 32; i++)
        range[i] = (struct virtio_blk_range){.sector = htole64(i * 8),
                                             .num_sectors = htole32(8)};
    blk_go(h.d.f->vq[0], r, VIRTIO_BLK_T_WRITE_ZEROES, 0, 32 * sizeof(*range));
    wait_for_status(&h.d.c, "\"waiting\":1,");
    vq_stop(h.d.f->vq[0]);
    assert_int_equal(blk_wait(h.d.f->vq[0], r), VIRTIO_BLK_S_OK);
    held_end(&h);
}

/* And what it left behind it is not in the way of the next. */
static void a_front_end_that_goes_leaves_nothing_waiting(void **state)
{
    struct held h = held_begin(DISK("d", "'drain_timeout': 600000, ", SLOW), 1);

    (void)state;
    held_wait(&h);
    drive_again(&h.d);
    ctl_call(&h.d.c, "status", "{}");
    ctl_need(&h.d.c, "\"waiting\":0,\"waiting_ms\":0,\"held\":8,");
    ctl_call(&h.d.c, "throttle.set", "{'name': 'd', 'bps': 0}");
    ctl_need(&h.d.c, "\"result\":{}");
    blk_verify(h.d.f->vq[0], 0, 4096, 1);
    held_end(&h);
}

static void vub_stops_at_once_whatever_waits(void **state)
{
    struct held h = held_begin(DISK("d", "'drain_timeout': 600000, ", SLOW), 1);

    (void)state;
    held_wait(&h);
    vub_stop(h.d.v);
    held_need_all(&h);
    held_end(&h);
}

/* ---- SCSI ---- */

#define UNIT_SLOW                                                              \
    "{'type': 'throttle', 'bps': 1, 'bps_burst': 512, 'next': " SMALL "}"

static void units_of_a_host_share_one_throttle_unless_named(void **state)
{
    struct host h = host_open(
        SAN("", LUN(0, 0, UNIT_SLOW) ", " LUN(0, 1, UNIT_SLOW)), NULL, 0);
    struct vq *q = h.s->f->vq[VIRTIO_SCSI_REQUESTQ];
    struct scsi_req *r = scsi_new(h.s, scsi_at(0, 1), 512);
    char block[512];

    (void)state;
    scsi_attend(q, scsi_at(0, 0));
    scsi_attend(q, scsi_at(0, 1));
    scsi_read(q, scsi_at(0, 0), 0, block, 512);
    scsi_go(q, r, CDB_16(SCSI_READ_16, 0, 1), 0, 512);
    wait_for_status(&h.c, "\"waiting\":1,");
    ctl_call(&h.c, "throttle.set", "{'name': 'san', 'bps': '1G'}");
    ctl_need(&h.c, "\"bps\":1073741824");
    assert_int_equal(scsi_wait(q, r)->status, SCSI_GOOD);
    host_close(&h);
}

static void a_command_that_waits_can_be_aborted(void **state)
{
    struct host h = host_open(SAN("", LUN(0, 0, UNIT_SLOW)), NULL, 0);
    struct vq *q = h.s->f->vq[VIRTIO_SCSI_REQUESTQ];
    struct scsi_req *r = scsi_new(h.s, scsi_at(0, 0), 4096);

    (void)state;
    scsi_attend(q, scsi_at(0, 0));
    scsi_go(q, r, CDB_16(SCSI_READ_16, 0, 8), 0, 4096);
    wait_for_status(&h.c, "\"waiting\":1,");
    assert_int_equal(
        scsi_tmf(h.s, VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, scsi_at(0, 0), 0),
        VIRTIO_SCSI_S_FUNCTION_COMPLETE);
    assert_true(scsi_wait(q, r)->response != VIRTIO_SCSI_S_OK);
    wait_for_status(&h.c, "\"waiting\":0,");
    host_close(&h);
}

/* Commands of many steps too, and those that have not begun. */
static void a_host_that_stops_lets_all_go(void **state)
{
    struct host h = host_open(
        SAN("'drain_timeout': 600000, ", LUN(0, 0, UNIT_SLOW)), NULL, 0);
    struct vq *q = h.s->f->vq[VIRTIO_SCSI_REQUESTQ];
    struct scsi_req *verify = scsi_new(h.s, scsi_at(0, 0), 0);
    struct scsi_req *r[WAITING];

    (void)state;
    scsi_attend(q, scsi_at(0, 0));
    scsi_go(q, verify, CDB_16(SCSI_VERIFY_16, 0, 4096), 0, 0);
    for (unsigned i = 0; i < WAITING; i++) {
        r[i] = scsi_new(h.s, scsi_at(0, 0), 4096);
        r[i]->attr = i % 2 ? SCSI_ORDERED : SCSI_SIMPLE;
        scsi_go(q, r[i], CDB_16(SCSI_READ_16, 0, 8), 0, 4096);
    }
    wait_for_status(&h.c, "\"waiting\":");
    vq_stop(q);
    assert_int_equal(scsi_wait(q, verify)->status, SCSI_GOOD);
    for (unsigned i = 0; i < WAITING; i++)
        assert_int_equal(scsi_wait(q, r[i])->status, SCSI_GOOD);
    host_close(&h);
}

BEHAVE_MAIN(T(a_guest_is_held_to_its_rate), T(a_burst_is_granted),
            T(two_devices_share_a_throttle_of_one_name),
            T(those_of_other_names_do_not_feel_each_other),
            T(a_change_frees_those_that_wait),
            T(changes_may_come_one_after_the_other),
            T(a_limit_may_be_set_while_a_guest_runs),
            T(limits_of_a_config_change_beside_a_guest),
            T(a_ring_that_stops_lets_all_of_its_own_go),
            T(a_list_of_ranges_does_not_keep_a_ring_from_stopping),
            T(a_front_end_that_goes_leaves_nothing_waiting),
            T(vub_stops_at_once_whatever_waits),
            T(units_of_a_host_share_one_throttle_unless_named),
            T(a_command_that_waits_can_be_aborted),
            T(a_host_that_stops_lets_all_go))
