/* A SCSI host whose units are those of an iSCSI target: what reaches the
 * target, and what reaches the guest when it does not answer as it should. */
#include "luns.h"
#include "target.h"

#define ISCSI(number, keys)                                                    \
    "{'target': 0, 'lun': " #number ", 'iscsi': {'url': "                      \
    "'iscsi://127.0.0.1:%d/iqn.2026-01.example:disk/0'" keys "}}"

static const struct scsi_lun *unit(void)
{
    static struct scsi_lun lun;

    lun = scsi_at(0, 0);
    return &lun;
}

/* One session of "san", its unit at rest. */
static struct scsi *start(struct vub **v, const char *size, const char *more,
                          const char *luns)
{
    char text[1024];
    struct scsi *s;

    target_start(size);
    snprintf(text, sizeof(text), luns, target.port, target.port);
    *v =
        vub_start("{'id': 'san', 'type': 'scsi', %s 'luns': [%s]}", more, text);
    s = scsi_open(*v, "san", NULL, 4);
    scsi_attend(s->queue[0], *unit());
    return s;
}

static void end(struct scsi *s, struct vub *v)
{
    scsi_close(s);
    vub_free(v);
}

static void commands_and_data_pass_through(void **state)
{
    uint8_t buf[512];
    struct vub *v;
    struct scsi *s;
    struct vq *q;

    (void)state;
    s = start(&v, "8M", "", ISCSI(0, ""));
    q = s->queue[0];
    scsi_need_good(
        scsi_in(q, *unit(), CDB(SCSI_INQUIRY, 0, 0, 0, 36, 0), buf, 36));
    assert_memory_equal(buf + 8, "VUB     SCRIPTED TARGET ", 24);
    assert_int_equal(scsi_blocks(q, *unit()), 16384);
    for (unsigned i = 1; i <= 1024; i *= 4)
        scsi_verify(q, *unit(), i, i * 512, i);
    /* Nobody here knows what a reservation is. */
    scsi_need_good(scsi_out(
        q, *unit(), CDB(SCSI_PR_OUT, 0, 0, 0, 0, 0, 0, 0, 24, 0), buf, 24));
    /* Nor what that is; but the target says so. */
    scsi_need_sense(scsi_do(q, *unit(), CDB(0x1c, 0, 0, 0, 0, 0)),
                    SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
    say("fault status 0x18");
    scsi_need_status(__FILE__, __LINE__, scsi_do(q, *unit(), TEST_UNIT_READY),
                     SCSI_RESERVATION_CONFLICT);
    end(s, v);
}

static void unit_attentions_reach_the_guest(void **state)
{
    struct vub *v;
    struct scsi *s;
    struct vq *q;

    (void)state;
    s = start(&v, "8M", "", ISCSI(0, ""));
    q = s->queue[0];
    say("resize 0 16M");
    scsi_need_sense(scsi_do(q, *unit(), TEST_UNIT_READY), SCSI_UNIT_ATTENTION,
                    SCSI_ASC_CAPACITY_CHANGED);
    scsi_event_need(s, VIRTIO_SCSI_T_PARAM_CHANGE, 0x092a,
                    scsi_at_peripheral(0, 0));
    assert_int_equal(scsi_blocks(q, *unit()), 32768);
    /* Whatever has changed, and nothing else: the next event is the next
     * change's. */
    say("attention 0 2a01");
    scsi_need_sense(scsi_do(q, *unit(), TEST_UNIT_READY), SCSI_UNIT_ATTENTION,
                    SCSI_ASC_MODE_CHANGED);
    scsi_event_need(s, VIRTIO_SCSI_T_PARAM_CHANGE, 0x012a,
                    scsi_at_peripheral(0, 0));
    say("attention 0 3f0e");
    scsi_need_sense(scsi_do(q, *unit(), TEST_UNIT_READY), SCSI_UNIT_ATTENTION,
                    SCSI_ASC_LUNS_CHANGED);
    say("attention 0 3f03");
    scsi_need_sense(scsi_do(q, *unit(), TEST_UNIT_READY), SCSI_UNIT_ATTENTION,
                    SCSI_ASC_INQUIRY_CHANGED);
    scsi_event_need(s, VIRTIO_SCSI_T_PARAM_CHANGE, 0x033f,
                    scsi_at_peripheral(0, 0));
    say("drop");
    scsi_need_sense(scsi_do(q, *unit(), TEST_UNIT_READY), SCSI_UNIT_ATTENTION,
                    SCSI_ASC_POWER_ON);
    scsi_need_good(scsi_do(q, *unit(), TEST_UNIT_READY));
    end(s, v);
}

static void what_was_lost_is_done_again_or_said_to_be(void **state)
{
    uint8_t buf[1024] = {0};
    struct vub *v;
    struct scsi *s;
    struct vq *q;
    struct scsi_answer a;

    (void)state;
    s = start(&v, "8M", "", ISCSI(0, ""));
    q = s->queue[0];
    say("fault write_lost");
    a = scsi_out(q, *unit(), CDB_16(SCSI_WRITE_16, 0, 2), buf, 1024);
    scsi_need_sense(a, SCSI_UNIT_ATTENTION, SCSI_ASC_POWER_ON); /* the new's */
    scsi_verify(q, *unit(), 0, 1024, 1);
    say("fault write_lost");
    scsi_need_sense(
        scsi_out(q, *unit(),
                 CDB(SCSI_COMPARE_AND_WRITE, 0, BE64(0), 0, 0, 0, 1, 0, 0), buf,
                 1024),
        SCSI_ABORTED_COMMAND, SCSI_ASC_NEXUS_LOSS);
    scsi_attend(q, *unit());
    scsi_verify(q, *unit(), 0, 1024, 2);
    end(s, v);
}

static void long_cdbs_are_refused_here(void **state)
{
    uint8_t cdb[32] = {SCSI_VARIABLE_LENGTH, [7] = 24, [9] = 9}, buf[512];
    struct vub *v;
    struct scsi *s;

    (void)state;
    s = start(&v, "8M", "", ISCSI(0, ""));
    scsi_need_sense(scsi_in(s->queue[0], *unit(), cdb, 32, buf, 512),
                    SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
    end(s, v);
}

static void what_does_not_answer_can_be_aborted(void **state)
{
    static const uint32_t sets[] = {VIRTIO_SCSI_T_TMF_ABORT_TASK_SET,
                                    VIRTIO_SCSI_T_TMF_CLEAR_TASK_SET,
                                    VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET};
    struct vub *v;
    struct scsi *s;
    struct vq *q;
    struct scsi_req *r;

    (void)state;
    s = start(&v, "8M", "", ISCSI(0, ""));
    q = s->queue[0];
    say("fault silent* 88");
    r = scsi_new(s, *unit(), 512);
    scsi_go(q, r, CDB_16(SCSI_READ_16, 0, 1), 0, 512);
    scsi_need_good(scsi_do(q, *unit(), TEST_UNIT_READY));
    assert_false(scsi_is_done(q, r));
    assert_int_equal(scsi_tmf(s, VIRTIO_SCSI_T_TMF_ABORT_TASK, *unit(), r->tag),
                     VIRTIO_SCSI_S_FUNCTION_COMPLETE);
    assert_true(scsi_is_done(q, r));
    scsi_need_response(r->answer, VIRTIO_SCSI_S_ABORTED);
    for (unsigned i = 0; i < ARRAY_LEN(sets); i++) {
        scsi_go(q, r, CDB_16(SCSI_READ_16, 0, 1), 0, 512);
        scsi_need_good(scsi_do(q, *unit(), TEST_UNIT_READY));
        assert_int_equal(scsi_tmf(s, sets[i], *unit(), 0),
                         VIRTIO_SCSI_S_FUNCTION_COMPLETE);
        assert_true(scsi_is_done(q, r));
        scsi_attend(q, *unit());
    }
    say("faultless");
    scsi_verify(q, *unit(), 0, 512, 3);
    end(s, v);
}

static void what_takes_too_long_ends(void **state)
{
    uint8_t buf[512];
    struct vub *v;
    struct scsi *s;
    struct vq *q;

    (void)state;
    s = start(&v, "8M", "", ISCSI(0, ", 'io_timeout': 200"));
    q = s->queue[0];
    say("fault silent 88");
    scsi_need_response(
        scsi_in(q, *unit(), CDB_16(SCSI_READ_16, 0, 1), buf, 512),
        VIRTIO_SCSI_S_TRANSPORT_FAILURE);
    scsi_verify(q, *unit(), 0, 512, 1);
    end(s, v);
}

static void a_drain_waits_for_no_target(void **state)
{
    struct vub *v;
    struct scsi *s;
    struct vq *q;
    struct scsi_req *r;

    (void)state;
    s = start(&v, "8M", "'drain_timeout': 1000, ",
              ISCSI(0, ", 'io_timeout': 0, 'on_timeout': 'stall'"));
    q = s->queue[0];
    say("fault silent*");
    say("fault tmf_silent*");
    r = scsi_new(s, *unit(), 512);
    scsi_go(q, r, CDB_16(SCSI_READ_16, 0, 1), 0, 512);
    front_lives(s->f);
    vq_stop(q);
    assert_true(scsi_is_done(q, r));
    say("faultless");
    vq_start(q);
    scsi_attend(q, *unit());
    scsi_verify(q, *unit(), 0, 512, 1);
    /* And with no target at all. */
    say("deaf");
    say("drop");
    vub_log_wait(v, "is lost");
    scsi_go(q, r, CDB_16(SCSI_READ_16, 0, 1), 0, 512);
    front_lives(s->f);
    vq_stop(q);
    assert_true(scsi_is_done(q, r));
    end(s, v);
}

BEHAVE_MAIN(TARGET_T(commands_and_data_pass_through),
            TARGET_T(unit_attentions_reach_the_guest),
            TARGET_T(what_was_lost_is_done_again_or_said_to_be),
            TARGET_T(long_cdbs_are_refused_here),
            TARGET_T(what_does_not_answer_can_be_aborted),
            TARGET_T(what_takes_too_long_ends),
            TARGET_T(a_drain_waits_for_no_target))
