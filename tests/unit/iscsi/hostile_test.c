/* A target that breaks the rules loses its session, with a sentence, and breaks
 * nothing else: RFC 7143. */
#include "rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/memory.h"

static const char *const disk[] = {"--lun", "4M", "--lun", "2M", NULL};

#define GUARD 4096

enum what { READ, WRITE, READY };

/* One thing that the target does, to what, and what is said of it. */
struct lie {
    const char *fault;
    enum what what;
    const char *why; /* NULL: nothing is to be said */
    /* If the session stays: how the command ends. */
    enum iscsi_end end;
    uint8_t status;
};

static const struct lie lies[] = {
    {"data_offset 512", READ, "data that were not asked for"},
    {"data_offset 0xfffffe00", READ, "data that were not asked for"},
    {"data_offset 0x40000000", READ, "data that were not asked for"},
    {"data_long", READ, "data that were not asked for"},
    {"data_unasked", READY, "data that were not asked for"},
    {"data_ack", READ, "data with flags"},
    {"r2t_beyond", WRITE, "it asks for data that there are not"},
    {"r2t_huge", WRITE, "it asks for data that there are not"},
    {"r2t_zero", WRITE, "it asks for data that there are not"},
    {"r2t_wrap", WRITE, "it asks for data that there are not"},
    {"r2t_many", WRITE, "it asks for data that there are not"},
    {"close_mid_pdu", READ, "it closed the connection"},
    {"reject", READY, "it rejects what it was sent"},
    {"async 1", READY, "it asks us to log out"},
    {"async 2", READY, "it ends the session"},
    {"async 4", READY, "it ends the session"},
    {"async 77", READY, "it ends the session"},
    {"bad_opcode", READY, "a PDU of kind 2f"},
    {"ahs", READY, "an additional header"},
    {"not_final", READY, "an answer that is not final"},
    {"sense_huge 9000", READY, "an answer with 9002 bytes of sense data"},
    /* What can be borne is. */
    {"async 0", READY, NULL, ISCSI_ANSWERED, SCSI_GOOD},
    {"async 255", READY, NULL, ISCSI_ANSWERED, SCSI_GOOD},
    {"twice", READY, NULL, ISCSI_ANSWERED, SCSI_GOOD},
    {"dribble", READ, NULL, ISCSI_ANSWERED, SCSI_GOOD},
    {"separate_status", READ, NULL, ISCSI_ANSWERED, SCSI_GOOD},
    {"residual_lie", WRITE, NULL, ISCSI_ANSWERED, SCSI_GOOD},
    {"overflow_lie", WRITE, NULL, ISCSI_ANSWERED, SCSI_GOOD},
    {"response", READY, NULL, ISCSI_LOST, SCSI_GOOD},
    {"status 0x08", READY, NULL, ISCSI_ANSWERED, SCSI_BUSY},
    {"status 0x28", READY, NULL, ISCSI_ANSWERED, SCSI_TASK_SET_FULL},
    {"status 0x18", READY, NULL, ISCSI_ANSWERED, SCSI_RESERVATION_CONFLICT},
    {"status 0x30", READY, NULL, ISCSI_ANSWERED, SCSI_ACA_ACTIVE},
    {"status 0x40", READY, NULL, ISCSI_ANSWERED, SCSI_TASK_ABORTED},
    {"status 0x04", READY, NULL, ISCSI_ANSWERED, SCSI_CONDITION_MET},
    {"status 0xee", READY, NULL, ISCSI_ANSWERED, 0xee},
    {"early", WRITE, NULL, ISCSI_ANSWERED, SCSI_GOOD},
    {"sense_huge 200", READY, NULL, ISCSI_ANSWERED, SCSI_CHECK_CONDITION},
    /* No sense data, one byte, a length that lies, descriptors without one. */
    {"sense_bytes 0000", READY, NULL, ISCSI_ANSWERED, SCSI_CHECK_CONDITION},
    {"sense_bytes 00", READY, NULL, ISCSI_ANSWERED, SCSI_CHECK_CONDITION},
    {"sense_bytes ffff70", READY, NULL, ISCSI_ANSWERED, SCSI_CHECK_CONDITION},
    {"sense_bytes 000a72062900000000ff02000000", READY, NULL, ISCSI_ANSWERED,
     SCSI_CHECK_CONDITION},
};

static void command_of(struct rig_cmd *c, enum what what, void *buf)
{
    if (what == READ)
        rig_read(c, 8, buf, 64);
    else if (what == WRITE)
        rig_write(c, 8, buf, 64);
    else
        rig_ready(c);
}

static bool untouched(const uint8_t *guard)
{
    for (int i = 0; i < GUARD; i++) {
        if (guard[i] != 0xa5)
            return false;
    }
    return true;
}

/* How many system calls it takes to send it is not to matter. */
static void lies_under(const char *const *args, const char *keys)
{
    const size_t len = 64 * 512;
    uint8_t *room = malloc(GUARD + len + GUARD), *buf = room + GUARD;
    struct rig rig;
    struct rig_unit *u;

    memset(room, 0xa5, GUARD + len + GUARD);
    rig_init(&rig);
    rig_target(&rig, args);
    u = rig_open(&rig, 0, keys);
    rig_settle(&rig, u);
    for (unsigned i = 0; i < ARRAY_LEN(lies); i++) {
        const struct lie *l = &lies[i];
        struct rig_cmd c;
        int downs = u->downs;

        rig_say(&rig, "fault %s", l->fault);
        command_of(&c, l->what, buf);
        rig_do(&rig, u, &c);
        if (l->why) {
            if (u->downs != downs + 1 || !strstr(u->why, l->why))
                fail_msg("%s: %d losses: %s", l->fault, u->downs - downs,
                         u->why);
            /* It is repeated, and finds the new session's attention. */
            assert_int_equal(c.cmd.end, ISCSI_ANSWERED);
            assert_int_equal(c.cmd.status, SCSI_CHECK_CONDITION);
        } else {
            if (u->downs != downs)
                fail_msg("%s: lost: %s", l->fault, u->why);
            if (c.cmd.end != l->end || c.cmd.status != l->status)
                fail_msg("%s: end %d, status %d", l->fault, c.cmd.end,
                         c.cmd.status);
        }
        assert_true(c.cmd.moved <= c.cmd.len);
        assert_true(c.cmd.sense_len <= SCSI_SENSE_MAX);
        assert_true(untouched(room) && untouched(buf + len));
        /* And all is well. */
        rig_say(&rig, "faultless");
        command_of(&c, l->what, buf);
        rig_do(&rig, u, &c);
        if (c.cmd.end != ISCSI_ANSWERED || c.cmd.status != SCSI_GOOD)
            fail_msg("after %s: end %d, status %d", l->fault, c.cmd.end,
                     c.cmd.status);
    }
    rig_close(&rig);
    free(room);
}

static void what_breaks_the_rules_ends_its_session(void **state)
{
    (void)state;
    lies_under(disk, "");
}

static void and_so_under_header_digests(void **state)
{
    (void)state;
    lies_under((const char *const[]){"--lun", "4M", "--digest", NULL},
               ", \"header_digest\": true");
}

static void an_answer_with_a_wrong_tag_answers_nothing(void **state)
{
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, ", \"io_timeout\": 200");
    struct rig_cmd c;

    (void)state;
    rig_say(&rig, "fault wrong_itt");
    rig_ready(&c);
    rig_do(&rig, u, &c);
    /* The target knows no such task: it is over. */
    assert_int_equal(c.cmd.end, ISCSI_TIMED_OUT);
    assert_int_equal(u->downs, 0);
    assert_int_equal(rig_seen(&rig, "tmf 1"), 1);
    rig_do(&rig, u, &c);
    assert_int_equal(c.cmd.status, SCSI_GOOD);
    rig_close(&rig);
}

static void what_was_not_sent_is_not_moved(void **state)
{
    uint8_t buf[4096];
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, "");
    struct rig_cmd c;
    uint8_t inquiry[6] = {SCSI_INQUIRY, 0, 0, 0, 255};

    (void)state;
    /* Less than there is room for. */
    rig_cmd(&c, inquiry, 6, false, buf, 255, 0);
    rig_do(&rig, u, &c);
    assert_int_equal(c.cmd.moved, 36);
    assert_int_equal(c.cmd.overflow, 0);
    /* More than there is room for. */
    rig_cmd(&c, inquiry, 6, false, buf, 8, 0);
    rig_do(&rig, u, &c);
    assert_int_equal(c.cmd.moved, 8);
    assert_int_equal(c.cmd.overflow, 28);
    /* Nothing, though it says that all is well. */
    rig_say(&rig, "fault data_none");
    rig_read(&c, 0, buf, 8);
    rig_do(&rig, u, &c);
    assert_int_equal(c.cmd.moved, 0);
    rig_say(&rig, "fault residual_lie");
    rig_write(&c, 0, buf, 8);
    rig_do(&rig, u, &c);
    assert_int_equal(c.cmd.moved, 0);
    rig_close(&rig);
}

static void pings_are_answered_but_not_without_end(void **state)
{
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, "");

    (void)state;
    rig_say(&rig, "ping 3");
    while (rig_seen(&rig, "pongs") < 3)
        uv_run(&rig.loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(u->downs, 0);
    rig_say(&rig, "ping 1000");
    while (rig_seen(&rig, "pongs") < 1003 && u->downs < 1)
        uv_run(&rig.loop.uv, UV_RUN_NOWAIT);
    rig_close(&rig);
}

/* A front-end may make the file of its guest's memory shorter: that is its own
 * commands' loss, not that of the session, which other units share. */
static void memory_that_goes_costs_no_session(void **state)
{
    enum { LEN = 1 << 20, N = 8 /* more than a socket holds */ };
    static const uint64_t left[] = {0, 4096, 65536, 512 << 10};
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, "");
    struct rig_cmd c, all[N];
    struct err e;
    uint8_t buf[512];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(left) * 4; i++) {
        struct memory m;
        int fd = memfd_create("guest", MFD_CLOEXEC);

        assert_int_equal(ftruncate(fd, LEN), 0);
        assert_int_equal(memory_map(&m, fd, 0, LEN, &e), 0);
        memset(m.at, 1, LEN);
        for (int n = 0; n < N; n++) {
            if (i & 1)
                rig_write(&c, 0, m.at, LEN / 512);
            else
                rig_read(&c, 0, m.at, LEN / 512);
            rig_cmd(&all[n], c.cmd.cdb, 16, i & 1, m.at, LEN,
                    i & 2 ? 65536 : 0);
            rig_submit(u, &all[n]);
        }
        assert_int_equal(ftruncate(fd, (off_t)left[i / 4]), 0);
        iscsi_kick(&u->unit);
        for (int n = 0; n < N; n++) {
            rig_until(&rig, &all[n].done, 1);
            assert_int_equal(all[n].cmd.end, ISCSI_ANSWERED);
            assert_int_equal(all[n].cmd.moved, LEN);
        }
        rig_read(&c, 0, buf, 1);
        rig_do(&rig, u, &c);
        assert_int_equal(c.cmd.end, ISCSI_ANSWERED);
        assert_int_equal(c.cmd.status, SCSI_GOOD);
        assert_int_equal(u->downs, 0);
        memory_unmap(&m);
        close(fd);
    }
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_breaks_the_rules_ends_its_session),
        cmocka_unit_test(and_so_under_header_digests),
        cmocka_unit_test(an_answer_with_a_wrong_tag_answers_nothing),
        cmocka_unit_test(what_was_not_sent_is_not_moved),
        cmocka_unit_test(memory_that_goes_costs_no_session),
        cmocka_unit_test(pings_are_answered_but_not_without_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
