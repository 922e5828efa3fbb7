/* Units of a SCSI controller that come, go and change while a guest is there,
 * and what it is told of that. */
#include "ctl.h"
#include "luns.h"

static const char controller[] = SAN("", LUN(0, 0, SMALL) "," LUN(4, 2, SMALL));

enum {
    TRANSPORT_RESET = VIRTIO_SCSI_T_TRANSPORT_RESET,
    PARAM_CHANGE = VIRTIO_SCSI_T_PARAM_CHANGE,
    RESCAN = VIRTIO_SCSI_EVT_RESET_RESCAN,
    REMOVED = VIRTIO_SCSI_EVT_RESET_REMOVED,
    CAPACITY_CHANGED = 0x092a, /* the qualifier, then the code */
};

static void add(struct ctl *c, unsigned target, unsigned lun, const char *store)
{
    char params[512];

    snprintf(params, sizeof(params),
             "{'device': 'san', 'target': %u, 'lun': %u, 'store': %s}", target,
             lun, store);
    ctl_call(c, "scsi.lun_add", params);
}

static void drop(struct ctl *c, unsigned target, unsigned lun)
{
    char params[128];

    snprintf(params, sizeof(params),
             "{'device': 'san', 'target': %u, 'lun': %u}", target, lun);
    ctl_call(c, "scsi.lun_remove", params);
}

/* A session on each kind of ring, beside the control socket. */
static void on_rings_and_socket(void (*one)(struct scsi *s, struct ctl *c))
{
    struct vub *v = ctl_start(controller);
    struct ctl c;

    ctl_open(&c, v);
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct scsi *s = scsi_open(v, "san", &ring_modes[mode], 4);

        front_note("%s", mode_name(&ring_modes[mode]));
        one(s, &c);
        scsi_close(s);
    }
    front_note(" ");
    ctl_close(&c);
    vub_free(v);
}

static void come_and_go(struct scsi *s, struct ctl *c)
{
    struct vq *q = s->queue[0];

    scsi_attend(q, scsi_at(0, 0));
    scsi_attend(q, scsi_at(4, 2));
    add(c, 0, 3, SMALL);
    ctl_need(c, "\"lun\":3");
    scsi_event_need(s, TRANSPORT_RESET, RESCAN, scsi_at_peripheral(0, 3));
    /* Its neighbours say that there is news; those of others do not. */
    scsi_need_sense(scsi_do(q, scsi_at(0, 0), TEST_UNIT_READY),
                    SCSI_UNIT_ATTENTION, SCSI_ASC_LUNS_CHANGED);
    scsi_need_good(scsi_do(q, scsi_at(0, 0), TEST_UNIT_READY));
    scsi_need_good(scsi_do(q, scsi_at(4, 2), TEST_UNIT_READY));
    scsi_need_sense(scsi_do(q, scsi_at(0, 3), TEST_UNIT_READY),
                    SCSI_UNIT_ATTENTION, SCSI_ASC_POWER_ON);
    scsi_attend(q, scsi_at(0, 3));
    scsi_verify(q, scsi_at(0, 3), 5, 4096, 1);
    /* A target that was not there. */
    add(c, 200, 16383, SMALL);
    ctl_need(c, "\"lun\":16383");
    scsi_event_need(s, TRANSPORT_RESET, RESCAN, scsi_at(200, 16383));
    scsi_attend(q, scsi_at(200, 16383));
    scsi_verify(q, scsi_at(200, 16383), 5, 4096, 1);

    drop(c, 0, 3);
    ctl_need(c, "result");
    scsi_event_need(s, TRANSPORT_RESET, REMOVED, scsi_at_peripheral(0, 3));
    scsi_need_sense(scsi_do(q, scsi_at(0, 3), TEST_UNIT_READY),
                    SCSI_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
    scsi_need_sense(scsi_do(q, scsi_at(0, 0), TEST_UNIT_READY),
                    SCSI_UNIT_ATTENTION, SCSI_ASC_LUNS_CHANGED);
    drop(c, 200, 16383);
    ctl_need(c, "result");
    scsi_event_need(s, TRANSPORT_RESET, REMOVED, scsi_at(200, 16383));
    scsi_need_response(scsi_do(q, scsi_at(200, 16383), TEST_UNIT_READY),
                       VIRTIO_SCSI_S_BAD_TARGET);
    scsi_verify(q, scsi_at(0, 0), 5, 4096, 1);
}

static void units_come_and_go(void **state)
{
    (void)state;
    on_rings_and_socket(come_and_go);
}

/* What the guest has there ends, and then who removes it is told. */
static void go_under_load(struct scsi *s, struct ctl *c)
{
    struct scsi_lun lun = scsi_at(1, 0);
    struct scsi_req *r[4];

    add(c, 1, 0, STUCK);
    ctl_need(c, "result");
    scsi_event_need(s, TRANSPORT_RESET, RESCAN, scsi_at_peripheral(1, 0));
    scsi_attend(s->queue[0], lun);
    for (unsigned i = 0; i < ARRAY_LEN(r); i++)
        r[i] = get_stuck(s->queue[i % 2], lun, i);
    drop(c, 1, 0);
    ctl_need(c, "result");
    for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
        assert_true(scsi_is_done(s->queue[i % 2], r[i]));
        scsi_need_response(r[i]->answer, VIRTIO_SCSI_S_RESET);
        scsi_free(r[i]);
    }
    scsi_event_need(s, TRANSPORT_RESET, REMOVED, scsi_at_peripheral(1, 0));
    scsi_attend(s->queue[0], scsi_at(0, 0));
    scsi_verify(s->queue[0], scsi_at(0, 0), 5, 4096, 1);
}

static void a_unit_goes_with_what_is_stuck_there(void **state)
{
    (void)state;
    on_rings_and_socket(go_under_load);
}

static void change(struct scsi *s, struct ctl *c)
{
    struct scsi_lun lun = scsi_at(4, 2);
    struct vq *q = s->queue[0];

    scsi_attend(q, lun);
    assert_int_equal(scsi_blocks(q, lun), SMALL_BLOCKS);
    ctl_call(c, "scsi.resize",
             "{'device': 'san', 'target': 4, 'lun': 2, 'size': '16M'}");
    ctl_need(c, "result");
    scsi_event_need(s, PARAM_CHANGE, CAPACITY_CHANGED,
                    scsi_at_peripheral(4, 2));
    scsi_need_sense(scsi_do(q, lun, TEST_UNIT_READY), SCSI_UNIT_ATTENTION,
                    SCSI_ASC_CAPACITY_CHANGED);
    assert_int_equal(scsi_blocks(q, lun), 2 * SMALL_BLOCKS);
    scsi_verify(q, lun, 2 * SMALL_BLOCKS - 8, 4096, 1);
    ctl_call(c, "scsi.resize",
             "{'device': 'san', 'target': 4, 'lun': 2, 'size': '8M'}");
    ctl_need(c, "result");
    scsi_event_need(s, PARAM_CHANGE, CAPACITY_CHANGED,
                    scsi_at_peripheral(4, 2));
    scsi_need_sense(scsi_do(q, lun, TEST_UNIT_READY), SCSI_UNIT_ATTENTION,
                    SCSI_ASC_CAPACITY_CHANGED);
    scsi_need_sense(scsi_do(q, lun, CDB_16(SCSI_VERIFY_16, SMALL_BLOCKS, 1)),
                    SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    scsi_need_good(scsi_do(q, scsi_at(4, 2), TEST_UNIT_READY));
}

static void a_unit_grows_and_shrinks(void **state)
{
    (void)state;
    on_rings_and_socket(change);
}

static void mistakes_are_told_and_change_nothing(void **state)
{
    static const struct {
        const char *method, *params, *says;
    } wrong[] = {
        {"scsi.lun_add",
         "{'device': 'san', 'target': 4, 'lun': 2, 'store': " SMALL "}",
         "has a unit 2 already"},
        {"scsi.lun_add", "{'device': 'san', 'target': 1}", "error"},
        {"scsi.lun_add", "{'device': 'san', 'target': 256, 'store': " SMALL "}",
         "target"},
        {"scsi.lun_add",
         "{'device': 'san', 'target': 1, 'lun': 16384, 'store': " SMALL "}",
         "lun"},
        {"scsi.lun_add",
         "{'device': 'san', 'target': 1, 'store': {'type': 'file', "
         "'path': '/nowhere/image'}}",
         "/nowhere/image"},
        {"scsi.lun_add",
         "{'device': 'san', 'target': 1, 'store': " SMALL ", 'sg': 'x'}",
         "error"},
        {"scsi.lun_remove", "{'device': 'san', 'target': 4, 'lun': 1}",
         "has no unit 1"},
        {"scsi.lun_remove", "{'device': 'nobody', 'target': 4, 'lun': 1}",
         "nobody"},
        {"scsi.resize",
         "{'device': 'san', 'target': 4, 'lun': 2, 'size': 1000}", "size"},
        {"scsi.resize", "{'device': 'san', 'target': 9, 'size': '1M'}",
         "has no unit 0"},
    };
    struct host h = host_open(controller, NULL, 4);
    struct scsi_event e;
    int fds;

    (void)state;
    scsi_attend(h.s->queue[0], scsi_at(4, 2));
    ctl_call(&h.c, "status", "{}"); /* it has accepted us */
    ctl_need(&h.c, "result");
    fds = front_fds(h.s->f, h.v);
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        const char *line;

        front_note("%s %s", wrong[i].method, wrong[i].params);
        ctl_call(&h.c, wrong[i].method, wrong[i].params);
        line = ctl_answer(&h.c);
        if (!strstr(line, "\"error\"") || !strstr(line, wrong[i].says))
            front_fail("the answer is %s", line);
    }
    assert_int_equal(front_fds(h.s->f, h.v), fds);
    scsi_need_good(scsi_do(h.s->queue[0], scsi_at(4, 2), TEST_UNIT_READY));
    assert_int_equal(scsi_blocks(h.s->queue[0], scsi_at(4, 2)), SMALL_BLOCKS);
    assert_false(scsi_event_take(h.s, &e));
    host_close(&h);
}

/* ---- Buffers for events ---- */

static void events_wait_for_buffers(void **state)
{
    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct front_conf conf = {.packed = packed};
        struct host h = host_open(controller, &conf, 0);
        struct scsi_event e;

        for (unsigned i = 0; i < 3; i++) {
            add(&h.c, 1, i, SMALL);
            ctl_need(&h.c, "result");
        }
        assert_false(scsi_event_take(h.s, &e));
        scsi_event_give(h.s, 1);
        vq_wait(h.s->events);
        assert_true(scsi_event_take(h.s, &e));
        assert_int_equal(e.event, TRANSPORT_RESET);
        assert_int_equal(e.lun.b[3], 0);
        scsi_event_give(h.s, 8);
        scsi_event_need(h.s, TRANSPORT_RESET, RESCAN, scsi_at_peripheral(1, 1));
        scsi_event_need(h.s, TRANSPORT_RESET, RESCAN, scsi_at_peripheral(1, 2));
        host_close(&h);
    }
}

/* More than anybody remembers. */
static void events_that_were_lost_are_told_of(void **state)
{
    struct host h = host_open(controller, NULL, 0);
    unsigned changes = 100, told = 0, missed = 0;
    struct scsi_event e;

    (void)state;
    for (unsigned i = 0; i < changes; i++) {
        ctl_call(&h.c, "scsi.resize",
                 i % 2 ? "{'device': 'san', 'size': '8M'}"
                       : "{'device': 'san', 'size': '4M'}");
        ctl_need(&h.c, "result");
    }
    scsi_event_give(h.s, 100);
    add(&h.c, 1, 0, SMALL);
    ctl_need(&h.c, "result");
    do {
        while (!scsi_event_take(h.s, &e))
            vq_wait(h.s->events);
        told++;
        missed += !!(e.event & VIRTIO_SCSI_T_EVENTS_MISSED);
    } while ((e.event & 0xffff) != TRANSPORT_RESET);
    assert_true(told < changes);
    assert_int_equal(missed, 1);
    ctl_call(&h.c, "status", "{'device': 'san'}");
    ctl_need(&h.c, "\"lost_events\":");
    host_close(&h);
}

static void who_did_not_ask_for_events_gets_none(void **state)
{
    struct front_conf conf = {.features_off = FEATURE(VIRTIO_SCSI_F_HOTPLUG) |
                                              FEATURE(VIRTIO_SCSI_F_CHANGE)};
    struct host h = host_open(controller, &conf, 4);
    struct scsi_event e;

    (void)state;
    add(&h.c, 1, 0, SMALL);
    ctl_need(&h.c, "result");
    ctl_call(&h.c, "scsi.resize", "{'device': 'san', 'size': '4M'}");
    ctl_need(&h.c, "result");
    drop(&h.c, 1, 0);
    ctl_need(&h.c, "result");
    scsi_attend(h.s->queue[0], scsi_at(0, 0));
    front_settle(h.s->f);
    assert_false(scsi_event_take(h.s, &e));
    host_close(&h);
}

/* One that is too small for an event comes back empty, and the event goes into
 * the next one. */
static void small_buffers_lose_no_event(void **state)
{
    struct host h = host_open(controller, NULL, 0);
    uint64_t gpa = front_alloc(h.s->f, 64, 8);
    uint32_t len;

    (void)state;
    for (uint32_t room = 1; room < 16; room += 7)
        vq_add(h.s->events, &(struct vq_buf){gpa, room}, 0, 1, NULL);
    /* Not to write. */
    vq_add(h.s->events, &(struct vq_buf){gpa, 64}, 1, 0, NULL);
    vq_kick(h.s->events);
    add(&h.c, 1, 0, SMALL);
    ctl_need(&h.c, "result");
    scsi_event_give(h.s, 1);
    for (unsigned i = 0; i < 4; i++) {
        vq_wait(h.s->events);
        assert_true(vq_pop(h.s->events, &len, NULL) != VQ_NONE);
        assert_int_equal(len, 0);
    }
    scsi_event_need(h.s, TRANSPORT_RESET, RESCAN, scsi_at_peripheral(1, 0));
    host_close(&h);
}

/* A driver that starts looks for itself. */
static void events_of_before_a_reset_are_forgotten(void **state)
{
    struct host h = host_open(controller, NULL, 0);
    struct scsi_event e;

    (void)state;
    add(&h.c, 1, 0, SMALL);
    ctl_need(&h.c, "result");
    front_ok(h.s->f, WIRE_RESET_DEVICE, NULL, 0, NULL, 0);
    for (unsigned i = 0; i < 3; i++)
        vq_reset(h.s->f->vq[i]);
    front_start_rings(h.s->f);
    scsi_event_give(h.s, 4);
    scsi_attend(h.s->queue[0], scsi_at(1, 0));
    assert_false(scsi_event_take(h.s, &e));
    drop(&h.c, 1, 0);
    scsi_event_need(h.s, TRANSPORT_RESET, REMOVED, scsi_at_peripheral(1, 0));
    ctl_need(&h.c, "result");
    host_close(&h);
}

/* ---- Without a guest ---- */

static void units_come_and_go_without_a_guest(void **state)
{
    struct vub *v = ctl_start(controller);
    struct scsi *s;
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    add(&c, 1, 0, SMALL);
    ctl_need(&c, "result");
    drop(&c, 4, 2);
    ctl_need(&c, "result");
    s = scsi_open(v, "san", NULL, 4);
    scsi_attend(s->queue[0], scsi_at(1, 0));
    scsi_verify(s->queue[0], scsi_at(1, 0), 0, 4096, 1);
    scsi_need_response(scsi_do(s->queue[0], scsi_at(4, 2), TEST_UNIT_READY),
                       VIRTIO_SCSI_S_BAD_TARGET);
    ctl_call(&c, "status", "{'device': 'san'}");
    ctl_need(&c, "\"luns\":[{\"target\":0,\"lun\":0,");
    scsi_close(s);
    ctl_close(&c);
    vub_free(v);
}

BEHAVE_MAIN(T(units_come_and_go), T(a_unit_goes_with_what_is_stuck_there),
            T(a_unit_grows_and_shrinks),
            T(mistakes_are_told_and_change_nothing), T(events_wait_for_buffers),
            T(events_that_were_lost_are_told_of),
            T(who_did_not_ask_for_events_gets_none),
            T(small_buffers_lose_no_event),
            T(events_of_before_a_reset_are_forgotten),
            T(units_come_and_go_without_a_guest))
