/* Task management, on every kind of ring: what is stuck can be ended, what ends
 * is ended for good, and everything else goes on. */
#include "luns.h"

/* Two units whose upper halves never answer, on one target, and a third one on
 * another target. */
static const char controller[] =
    SAN("'drain_timeout': 400, ",
        LUN(0, 0, STUCK) "," LUN(0, 1, STUCK) "," LUN(3, 0, STUCK));

enum {
    COMPLETE = VIRTIO_SCSI_S_FUNCTION_COMPLETE,
    SUCCEEDED = VIRTIO_SCSI_S_FUNCTION_SUCCEEDED,
    REJECTED = VIRTIO_SCSI_S_FUNCTION_REJECTED,
    NO_LUN = VIRTIO_SCSI_S_INCORRECT_LUN,
};

#define TMF(name) VIRTIO_SCSI_T_TMF_##name

static void attend_all(struct scsi *s)
{
    scsi_attend(s->queue[0], scsi_at(0, 0));
    scsi_attend(s->queue[0], scsi_at(0, 1));
    scsi_attend(s->queue[0], scsi_at(3, 0));
}

/* It has ended already, and nothing more is written to its memory. */
static void must_have_ended(struct vq *q, struct scsi_req *r, uint8_t response)
{
    assert_true(scsi_is_done(q, r));
    scsi_need_response(r->answer, response);
    scsi_free(r);
}

/* Ends what a test left behind. */
static void end_all(struct scsi *s)
{
    assert_int_equal(scsi_tmf(s, TMF(I_T_NEXUS_RESET), scsi_at(0, 0), 0),
                     COMPLETE);
    assert_int_equal(scsi_tmf(s, TMF(I_T_NEXUS_RESET), scsi_at(3, 0), 0),
                     COMPLETE);
}

static void abort_one(struct scsi *s)
{
    struct scsi_lun lun = scsi_at(0, 0);
    struct scsi_req *a, *b, *c;

    attend_all(s);
    a = get_stuck(s->queue[0], lun, 0);
    b = get_stuck(s->queue[0], lun, 1);
    c = get_stuck(s->queue[1], lun, 2);
    assert_int_equal(scsi_tmf(s, TMF(QUERY_TASK), lun, b->tag), SUCCEEDED);
    assert_int_equal(scsi_tmf(s, TMF(ABORT_TASK), lun, b->tag), COMPLETE);
    assert_int_equal(scsi_tmf(s, TMF(QUERY_TASK), lun, b->tag), COMPLETE);
    must_have_ended(s->queue[0], b, VIRTIO_SCSI_S_ABORTED);
    /* By its tag, whichever queue it came from. */
    assert_int_equal(scsi_tmf(s, TMF(QUERY_TASK), lun, c->tag), SUCCEEDED);
    assert_int_equal(scsi_tmf(s, TMF(ABORT_TASK), lun, c->tag), COMPLETE);
    must_have_ended(s->queue[1], c, VIRTIO_SCSI_S_ABORTED);
    /* The third one does not mind, nor does the unit. */
    assert_int_equal(scsi_tmf(s, TMF(QUERY_TASK), lun, a->tag), SUCCEEDED);
    assert_false(scsi_is_done(s->queue[0], a));
    scsi_verify(s->queue[0], lun, 0, 4096, 1);
    scsi_verify(s->queue[1], scsi_at(0, 1), 0, 4096, 1);
    /* Not with its tag on another unit. */
    assert_int_equal(scsi_tmf(s, TMF(ABORT_TASK), scsi_at(0, 1), a->tag),
                     COMPLETE);
    assert_false(scsi_is_done(s->queue[0], a));
    assert_int_equal(scsi_tmf(s, TMF(ABORT_TASK), lun, a->tag), COMPLETE);
    must_have_ended(s->queue[0], a, VIRTIO_SCSI_S_ABORTED);
    scsi_need_good(scsi_do(s->queue[0], lun, TEST_UNIT_READY));
}

static void a_stuck_command_can_be_aborted(void **state)
{
    (void)state;
    on_all_rings(controller, abort_one);
}

/* What holds for both of them. */
static void end_set(struct scsi *s, uint32_t function)
{
    struct scsi_lun lun = scsi_at(0, 0);
    struct scsi_req *r[6], *other;

    attend_all(s);
    other = get_stuck(s->queue[0], scsi_at(0, 1), 0);
    for (unsigned i = 0; i < ARRAY_LEN(r); i++)
        r[i] = get_stuck(s->queue[i % 2], lun, i);
    assert_int_equal(scsi_tmf(s, TMF(QUERY_TASK_SET), lun, 0), SUCCEEDED);
    assert_int_equal(scsi_tmf(s, function, lun, 0), COMPLETE);
    for (unsigned i = 0; i < ARRAY_LEN(r); i++)
        must_have_ended(s->queue[i % 2], r[i], VIRTIO_SCSI_S_ABORTED);
    assert_int_equal(scsi_tmf(s, TMF(QUERY_TASK_SET), lun, 0), COMPLETE);
    assert_int_equal(scsi_tmf(s, TMF(QUERY_TASK_SET), scsi_at(0, 1), 0),
                     SUCCEEDED);
    assert_false(scsi_is_done(s->queue[0], other));
    /* With nothing to end it is done, too. */
    assert_int_equal(scsi_tmf(s, function, lun, 0), COMPLETE);
    scsi_verify(s->queue[0], lun, 0, 4096, 1);
    end_all(s);
    must_have_ended(s->queue[0], other, VIRTIO_SCSI_S_RESET);
}

static void abort_set(struct scsi *s)
{
    end_set(s, TMF(ABORT_TASK_SET));
}

static void clear_set(struct scsi *s)
{
    end_set(s, TMF(CLEAR_TASK_SET));
}

static void the_commands_of_a_unit_end_together(void **state)
{
    (void)state;
    on_all_rings(controller, abort_set);
    on_all_rings(controller, clear_set);
}

static void reset_unit(struct scsi *s)
{
    struct scsi_lun lun = scsi_at(0, 0);
    struct scsi_req *r[4], *other;

    attend_all(s);
    other = get_stuck(s->queue[0], scsi_at(0, 1), 0);
    for (unsigned i = 0; i < ARRAY_LEN(r); i++)
        r[i] = get_stuck(s->queue[i % 2], lun, i);
    assert_int_equal(scsi_tmf(s, TMF(LOGICAL_UNIT_RESET), lun, 0), COMPLETE);
    for (unsigned i = 0; i < ARRAY_LEN(r); i++)
        must_have_ended(s->queue[i % 2], r[i], VIRTIO_SCSI_S_RESET);
    /* It says so once; its neighbour has nothing to say. */
    scsi_need_sense(scsi_do(s->queue[1], lun, TEST_UNIT_READY),
                    SCSI_UNIT_ATTENTION, SCSI_ASC_DEVICE_RESET);
    scsi_need_good(scsi_do(s->queue[1], lun, TEST_UNIT_READY));
    scsi_need_good(scsi_do(s->queue[1], scsi_at(0, 1), TEST_UNIT_READY));
    assert_false(scsi_is_done(s->queue[0], other));
    scsi_verify(s->queue[0], lun, 0, 4096, 1);
    end_all(s);
    must_have_ended(s->queue[0], other, VIRTIO_SCSI_S_RESET);
}

static void a_unit_that_was_reset_says_so(void **state)
{
    (void)state;
    on_all_rings(controller, reset_unit);
}

static void reset_nexus(struct scsi *s)
{
    struct scsi_req *a, *b, *other;

    attend_all(s);
    a = get_stuck(s->queue[0], scsi_at(0, 0), 0);
    b = get_stuck(s->queue[1], scsi_at(0, 1), 0);
    other = get_stuck(s->queue[0], scsi_at(3, 0), 0);
    /* The unit that is named does not matter. */
    assert_int_equal(scsi_tmf(s, TMF(I_T_NEXUS_RESET), scsi_at(0, 77), 0),
                     COMPLETE);
    must_have_ended(s->queue[0], a, VIRTIO_SCSI_S_RESET);
    must_have_ended(s->queue[1], b, VIRTIO_SCSI_S_RESET);
    assert_false(scsi_is_done(s->queue[0], other));
    for (unsigned i = 0; i < 2; i++) {
        scsi_need_sense(scsi_do(s->queue[1], scsi_at(0, i), TEST_UNIT_READY),
                        SCSI_UNIT_ATTENTION, SCSI_ASC_NEXUS_LOSS);
        scsi_need_good(scsi_do(s->queue[1], scsi_at(0, i), TEST_UNIT_READY));
    }
    scsi_need_good(scsi_do(s->queue[1], scsi_at(3, 0), TEST_UNIT_READY));
    end_all(s);
    must_have_ended(s->queue[0], other, VIRTIO_SCSI_S_RESET);
}

static void a_nexus_reset_is_of_all_units_of_a_target(void **state)
{
    (void)state;
    on_all_rings(controller, reset_nexus);
}

/* All at once, for the same commands: each is answered, and each command ends
 * once. */
static void manage_at_once(struct scsi *s)
{
    static const uint32_t functions[] = {
        TMF(ABORT_TASK),     TMF(LOGICAL_UNIT_RESET), TMF(ABORT_TASK_SET),
        TMF(ABORT_TASK),     TMF(CLEAR_TASK_SET),     TMF(QUERY_TASK),
        TMF(I_T_NEXUS_RESET)};
    struct scsi_control c[ARRAY_LEN(functions)];
    struct scsi_lun lun = scsi_at(0, 0);
    struct scsi_req *r[4];

    attend_all(s);
    for (unsigned i = 0; i < ARRAY_LEN(r); i++)
        r[i] = get_stuck(s->queue[i % 2], lun, i);
    for (unsigned i = 0; i < ARRAY_LEN(functions); i++)
        scsi_tmf_go(s, &c[i], functions[i], lun, r[i % 4]->tag);
    for (unsigned i = 0; i < ARRAY_LEN(functions); i++)
        assert_int_equal(scsi_tmf_wait(s, &c[i]), COMPLETE);
    for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
        scsi_wait(s->queue[i % 2], r[i]);
        assert_true(r[i]->answer.response == VIRTIO_SCSI_S_ABORTED ||
                    r[i]->answer.response == VIRTIO_SCSI_S_RESET);
        scsi_free(r[i]);
    }
    scsi_attend(s->queue[0], lun);
    scsi_verify(s->queue[0], lun, 0, 4096, 1);
}

static void functions_may_be_about_the_same_command(void **state)
{
    (void)state;
    on_all_rings(controller, manage_at_once);
}

/* A guest must not; what it gets is that both are meant. */
static void use_tag_twice(struct scsi *s)
{
    struct scsi_lun lun = scsi_at(0, 0);
    struct scsi_req *a, *b;

    attend_all(s);
    a = get_stuck(s->queue[0], lun, 0);
    b = scsi_new(s, lun, 512);
    b->tag = a->tag;
    scsi_go(s->queue[1], b, CDB_16(SCSI_READ_16, STUCK_BLOCK, 1), 0, 512);
    scsi_verify(s->queue[1], lun, 0, 512, 1);
    assert_int_equal(scsi_tmf(s, TMF(ABORT_TASK), lun, a->tag), COMPLETE);
    must_have_ended(s->queue[0], a, VIRTIO_SCSI_S_ABORTED);
    scsi_wait(s->queue[1], b); /* it may have been refused at once */
    scsi_free(b);
    assert_int_equal(scsi_tmf(s, TMF(QUERY_TASK_SET), lun, 0), COMPLETE);
    scsi_verify(s->queue[0], lun, 0, 512, 1);
}

static void a_tag_that_is_used_twice_harms_nobody(void **state)
{
    (void)state;
    on_all_rings(controller, use_tag_twice);
}

static void ask_for_nonsense(struct scsi *s)
{
    static const uint32_t unknown[] = {8, 9, 255, 0x80000000, UINT32_MAX};
    struct scsi_lun lun = scsi_at(0, 0);
    struct scsi_req *r;
    uint32_t function;

    attend_all(s);
    r = get_stuck(s->queue[0], lun, 0);
    for (unsigned i = 0; i < ARRAY_LEN(unknown); i++)
        assert_int_equal(scsi_tmf(s, unknown[i], lun, r->tag), REJECTED);
    for (function = 0; function < 8; function++) {
        assert_int_equal(scsi_tmf(s, function, scsi_at(7, 0), r->tag),
                         VIRTIO_SCSI_S_BAD_TARGET);
        assert_int_equal(scsi_tmf(s, function, (struct scsi_lun){{9}}, r->tag),
                         VIRTIO_SCSI_S_BAD_TARGET);
        if (function != TMF(I_T_NEXUS_RESET))
            assert_int_equal(scsi_tmf(s, function, scsi_at(0, 9), r->tag),
                             NO_LUN);
        assert_int_equal(scsi_tmf(s, function, scsi_well_known(), r->tag),
                         NO_LUN);
    }
    /* Tags that nobody has. */
    assert_int_equal(scsi_tmf(s, TMF(ABORT_TASK), lun, ~r->tag), COMPLETE);
    assert_int_equal(scsi_tmf(s, TMF(ABORT_TASK), lun, r->tag | 1ull << 63),
                     COMPLETE);
    assert_int_equal(scsi_tmf(s, TMF(QUERY_TASK), lun, 0), COMPLETE);
    /* A disk has no ACA. */
    assert_int_equal(scsi_tmf(s, TMF(CLEAR_ACA), lun, 0), REJECTED);
    assert_false(scsi_is_done(s->queue[0], r));
    assert_int_equal(scsi_tmf(s, TMF(ABORT_TASK), lun, r->tag), COMPLETE);
    must_have_ended(s->queue[0], r, VIRTIO_SCSI_S_ABORTED);
}

static void nonsense_is_told_from_what_can_be_done(void **state)
{
    (void)state;
    on_all_rings(controller, ask_for_nonsense);
}

/* Any piece of any request, with any room for its answer. */
static void ask_in_part(struct scsi *s)
{
    struct virtio_scsi_ctrl_tmf_req whole = {
        .type = htole32(VIRTIO_SCSI_T_TMF),
        .subtype = htole32(TMF(QUERY_TASK_SET)),
        .lun = {1, 0, 0x40, 0},
    };
    const uint32_t an = htole32(VIRTIO_SCSI_T_AN_QUERY);
    struct scsi_control c;

    for (uint32_t len = 0; len <= sizeof(whole); len++)
        for (uint32_t room = 0; room < 10; room += 3) {
            if (len + room == 0)
                continue;
            scsi_control_go(s, &c, &whole, len, room);
            scsi_control_wait(s, &c);
            assert_true(c.written <= room);
            if (len >= 4 && room)
                assert_int_equal(c.resp[0], len == sizeof(whole)
                                                ? COMPLETE
                                                : VIRTIO_SCSI_S_FAILURE);
        }
    memcpy(&whole.type, &an, 4);
    for (uint32_t len = 4; len <= sizeof(whole); len++)
        for (uint32_t room = 0; room < 10; room++) {
            scsi_control_go(s, &c, &whole, len, room);
            scsi_control_wait(s, &c);
            assert_true(c.written <= room);
            if (room >= 5 && len < 16)
                assert_int_equal(c.resp[4], VIRTIO_SCSI_S_FAILURE);
        }
    /* A type that there is not. */
    for (uint32_t type = 3; type; type <<= 1) {
        uint32_t wire = htole32(type);

        memcpy(&whole.type, &wire, 4);
        scsi_control_go(s, &c, &whole, sizeof(whole), 1);
        scsi_control_wait(s, &c);
        assert_int_equal(c.resp[0], VIRTIO_SCSI_S_FAILURE);
    }
    assert_int_equal(scsi_tmf(s, TMF(QUERY_TASK_SET), scsi_at(0, 0), 0),
                     COMPLETE);
}

static void a_short_request_is_answered_where_it_can_be(void **state)
{
    (void)state;
    on_all_rings(controller, ask_in_part);
}

/* A request on the control queue, too, may be cut anywhere. */
static void cut_function(struct scsi *s)
{
    struct virtio_scsi_ctrl_tmf_req req = {
        .type = htole32(VIRTIO_SCSI_T_TMF),
        .subtype = htole32(TMF(ABORT_TASK)),
        .lun = {1, 0, 0x40, 0},
    };
    struct vq_buf b[32];
    struct scsi_req *r;
    uint32_t written;
    uint64_t gpa;

    attend_all(s);
    r = get_stuck(s->queue[0], scsi_at(0, 0), 0);
    req.id = htole64(r->tag);
    gpa = front_alloc(s->f, 64, 8);
    front_poke(s->f, gpa, &req, sizeof(req));
    for (unsigned i = 0; i < sizeof(req); i++)
        b[i] = (struct vq_buf){gpa + i, 1};
    b[sizeof(req)] = (struct vq_buf){gpa + 40, 1};
    assert_true(vq_add(s->control, b, sizeof(req), 1, NULL) != VQ_NONE);
    vq_kick(s->control);
    vq_wait(s->control);
    assert_true(vq_pop(s->control, &written, NULL) != VQ_NONE);
    assert_int_equal(written, 1);
    assert_int_equal(*(uint8_t *)front_ptr(s->f, gpa + 40), COMPLETE);
    must_have_ended(s->queue[0], r, VIRTIO_SCSI_S_ABORTED);
}

static void a_function_may_be_cut_anywhere(void **state)
{
    (void)state;
    on_all_rings(controller, cut_function);
}

/* Rings and long commands are looked at in turn, in the order in which they
 * began: here the control queue comes just before what it ends. */
static void long_commands_end_whenever_they_are_aborted(void **state)
{
    const struct front_conf conf = {.rings_stopped = true,
                                    .mem_bytes = 128u << 20};
    const uint32_t len = 32u << 20;
    struct scsi_lun lun = scsi_at(0, 0);
    struct scsi_req *r;
    struct scsi *s;
    struct vub *v;

    (void)state;
    v = vub_start("%s", SAN("", LUN(0, 0, MEMORY)));
    s = scsi_open(v, "san", &conf, 0);
    vq_start(s->queue[0]);
    vq_start(s->events);
    vq_start(s->control);
    scsi_attend(s->queue[0], lun);
    r = scsi_new(s, lun, len);
    for (unsigned i = 0; i < 100; i++) {
        scsi_go(s->queue[0], r, CDB_16(SCSI_READ_16, 0, len / 512), 0, len);
        assert_int_equal(scsi_tmf(s, TMF(ABORT_TASK), lun, r->tag), COMPLETE);
        scsi_wait(s->queue[0], r);
    }
    scsi_close(s);
    vub_free(v);
}

/* MMC's media events and the like: we have none of them. */
static void subscribe(struct scsi *s)
{
    for (uint32_t type = VIRTIO_SCSI_T_AN_QUERY;
         type <= VIRTIO_SCSI_T_AN_SUBSCRIBE; type++) {
        uint32_t actual = 1;

        assert_int_equal(scsi_an(s, type, scsi_at(0, 0), UINT32_MAX, &actual),
                         VIRTIO_SCSI_S_OK);
        assert_int_equal(actual, 0);
        assert_int_equal(scsi_an(s, type, scsi_at(3, 0), 0, &actual),
                         VIRTIO_SCSI_S_OK);
        assert_int_equal(actual, 0);
        assert_int_equal(scsi_an(s, type, scsi_at(0, 9), 4, &actual), NO_LUN);
        assert_int_equal(scsi_an(s, type, scsi_at(7, 0), 4, &actual),
                         VIRTIO_SCSI_S_BAD_TARGET);
    }
}

static void no_notifications_can_be_subscribed_to(void **state)
{
    (void)state;
    on_all_rings(controller, subscribe);
}

/* Each is looked for when others end. */
static void a_unit_has_so_many_commands_and_no_more(void **state)
{
    const struct front_conf conf = {
        .queues = 2, .size = 1024, .indirect = true, .mem_bytes = 64 << 20};
    struct vub *v = vub_start(controller);
    struct scsi *s = scsi_open(v, "san", &conf, 0);
    struct scsi_lun lun = scsi_at(0, 0);
    struct scsi_req *r;

    (void)state;
    attend_all(s);
    for (unsigned i = 0; i < 1024; i++) {
        r = scsi_new(s, lun, 512);
        scsi_go(s->queue[i % 2], r, CDB_16(SCSI_READ_16, STUCK_BLOCK, 1), 0,
                512);
    }
    while (scsi_tmf(s, TMF(QUERY_TASK), lun, r->tag) != SUCCEEDED)
        assert_false(scsi_is_done(s->queue[1], r));
    scsi_need_status(__FILE__, __LINE__,
                     scsi_do(s->queue[0], lun, TEST_UNIT_READY),
                     SCSI_TASK_SET_FULL);
    scsi_verify(s->queue[1], scsi_at(0, 1), 0, 4096, 1);
    end_all(s);
    scsi_attend(s->queue[0], lun);
    scsi_verify(s->queue[0], lun, 0, 4096, 1);
    scsi_close(s);
    vub_free(v);
}

BEHAVE_MAIN(T(a_stuck_command_can_be_aborted),
            T(the_commands_of_a_unit_end_together),
            T(a_unit_that_was_reset_says_so),
            T(a_nexus_reset_is_of_all_units_of_a_target),
            T(functions_may_be_about_the_same_command),
            T(a_tag_that_is_used_twice_harms_nobody),
            T(nonsense_is_told_from_what_can_be_done),
            T(a_short_request_is_answered_where_it_can_be),
            T(a_function_may_be_cut_anywhere),
            T(long_commands_end_whenever_they_are_aborted),
            T(no_notifications_can_be_subscribed_to),
            T(a_unit_has_so_many_commands_and_no_more))
