/* Commands that must end before they are answered: time-outs, task management,
 * giving up. */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct tmf {
    struct iscsi_tmf tmf;
    int done;
};

static void on_tmf(struct iscsi_tmf *m)
{
    container_of(m, struct tmf, tmf)->done++;
}

static void start(struct rig_unit *u, struct tmf *m,
                  enum iscsi_tmf_function function, struct rig_cmd *c)
{
    memset(m, 0, sizeof(*m));
    m->tmf.function = function;
    m->tmf.cmd = c ? &c->cmd : NULL;
    m->tmf.done = on_tmf;
    iscsi_tmf(&u->unit, &m->tmf);
}

/* n reads that the target does not answer. */
static void hang(struct rig *rig, struct rig_unit *u, struct rig_cmd *c, int n,
                 uint8_t *buf)
{
    rig_say(rig, "fault silent* 88");
    for (int i = 0; i < n; i++) {
        rig_read(&c[i], 0, buf, 1);
        rig_submit(u, &c[i]);
    }
    iscsi_kick(&u->unit);
    while (rig_seen(rig, "op 88") < n)
        ;
}

static void a_command_out_of_time_is_aborted(void **state)
{
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, ", \"io_timeout\": 100");
    struct rig_cmd c, other;
    uint8_t buf[512];

    (void)state;
    hang(&rig, u, &c, 1, buf);
    rig_ready(&other);
    rig_do(&rig, u, &other);
    assert_int_equal(other.cmd.end, ISCSI_ANSWERED);
    rig_until(&rig, &c.done, 1);
    assert_int_equal(c.cmd.end, ISCSI_TIMED_OUT);
    assert_int_equal(rig_seen(&rig, "tmf 1"), 1);
    assert_int_equal(u->downs, 0);
    rig_close(&rig);
}

static void a_target_that_does_not_even_abort_loses_its_session(void **state)
{
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, ", \"io_timeout\": 100");
    struct rig_cmd c[2];
    uint8_t buf[512];

    (void)state;
    rig_say(&rig, "fault tmf_silent*");
    hang(&rig, u, c, 2, buf);
    rig_until(&rig, &c[0].done, 1);
    rig_until(&rig, &c[1].done, 1);
    assert_int_equal(c[0].cmd.end, ISCSI_TIMED_OUT);
    assert_int_equal(c[1].cmd.end, ISCSI_TIMED_OUT);
    assert_int_equal(u->downs, 1);
    rig_close(&rig);
}

static void a_command_that_is_given_up_ends(void **state)
{
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, "");
    struct rig_cmd c[3];
    uint8_t buf[512];

    (void)state;
    hang(&rig, u, c, 3, buf);
    for (int i = 0; i < 3; i++)
        iscsi_give_up(&c[i].cmd);
    for (int i = 0; i < 3; i++) {
        rig_until(&rig, &c[i].done, 1);
        assert_int_equal(c[i].cmd.end, ISCSI_ABORTED);
    }
    assert_int_equal(u->downs, 0);
    assert_int_equal(rig_seen(&rig, "tmf 1"), 3);
    rig_close(&rig);
}

static void and_soon_whatever_the_target_does(void **state)
{
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, ", \"io_timeout\": 0");
    struct rig_cmd c;
    uint8_t buf[512];

    (void)state;
    rig_say(&rig, "fault tmf_silent*");
    hang(&rig, u, &c, 1, buf);
    iscsi_give_up(&c.cmd);
    rig_until(&rig, &c.done, 1);
    assert_int_equal(c.cmd.end, ISCSI_ABORTED);
    assert_int_equal(u->downs, 1);
    rig_close(&rig);
}

static void task_management_ends_what_it_concerns(void **state)
{
    static const enum iscsi_tmf_function functions[] = {
        ISCSI_TMF_ABORT_TASK_SET, ISCSI_TMF_CLEAR_TASK_SET,
        ISCSI_TMF_LUN_RESET};
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, ""), *other;
    struct rig_cmd c[4], its;
    struct tmf m;
    uint8_t buf[512];

    (void)state;
    other = rig_open(&rig, 1, "");
    rig_settle(&rig, other);
    for (unsigned f = 0; f < ARRAY_LEN(functions); f++) {
        long before = rig_seen(&rig, "op 88");

        rig_say(&rig, "fault silent* 88");
        rig_read(&its, 0, buf, 1);
        rig_submit(other, &its);
        iscsi_kick(&other->unit);
        for (int i = 0; i < 3; i++) {
            rig_read(&c[i], 0, buf, 1);
            rig_submit(u, &c[i]);
        }
        iscsi_kick(&u->unit);
        while (rig_seen(&rig, "op 88") < before + 4)
            ;
        start(u, &m, functions[f], NULL);
        assert_int_equal(m.done, 0);
        rig_say(&rig, "faultless");
        /* What comes after it is not its business. */
        rig_read(&c[3], 0, buf, 1);
        rig_submit(u, &c[3]);
        iscsi_kick(&u->unit);
        rig_until(&rig, &m.done, 1);
        assert_int_equal(m.tmf.result, 0);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(c[i].done, 1); /* before */
            assert_int_equal(c[i].cmd.end, ISCSI_ABORTED);
        }
        rig_until(&rig, &c[3].done, 1);
        assert_int_equal(c[3].cmd.end, ISCSI_ANSWERED);
        assert_int_equal(its.done, 0);
        start(other, &m, ISCSI_TMF_ABORT_TASK, &its);
        rig_until(&rig, &m.done, 1);
        assert_int_equal(m.tmf.result, 0);
        assert_int_equal(its.done, 1);
    }
    assert_int_equal(rig_seen(&rig, "tmf 2"), 1);
    assert_int_equal(rig_seen(&rig, "tmf 4"), 1);
    assert_int_equal(rig_seen(&rig, "tmf 5"), 1);
    assert_int_equal(u->downs, 0);
    rig_close(&rig);
}

static void of_one_device_only(void **state)
{
    static const enum iscsi_tmf_function functions[] = {
        ISCSI_TMF_ABORT_TASK_SET, ISCSI_TMF_LUN_RESET};
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, ""), *other;
    struct rig_cmd c, its;
    struct tmf m;
    uint8_t buf[512];

    (void)state;
    rig.device = "another";
    other = rig_open(&rig, 0, "");
    rig_settle(&rig, other);
    assert_int_equal(rig_seen(&rig, "sessions"), 2);
    hang(&rig, other, &its, 1, buf);
    for (unsigned f = 0; f < ARRAY_LEN(functions); f++) {
        rig_read(&c, 0, buf, 1);
        rig_submit(u, &c);
        iscsi_kick(&u->unit);
        while (rig_seen(&rig, "op 88") < (int)f + 2)
            ;
        start(u, &m, functions[f], NULL);
        rig_until(&rig, &m.done, 1);
        assert_int_equal(m.tmf.result, 0);
        assert_int_equal(c.cmd.end, ISCSI_ABORTED);
        assert_int_equal(its.done, 0);
    }
    iscsi_give_up(&its.cmd);
    rig_until(&rig, &its.done, 1);
    rig_close(&rig);
}

static void a_set_that_the_target_does_not_abort_is_aborted_by_us(void **state)
{
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, "");
    struct rig_cmd c[3];
    struct tmf m;
    uint8_t buf[512];

    (void)state;
    hang(&rig, u, c, 3, buf);
    rig_say(&rig, "fault tmf_response 5");
    start(u, &m, ISCSI_TMF_CLEAR_TASK_SET, NULL);
    rig_until(&rig, &m.done, 1);
    assert_int_equal(m.tmf.result, -EOPNOTSUPP);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(c[i].done, 1);
        assert_int_equal(c[i].cmd.end, ISCSI_ABORTED);
    }
    assert_int_equal(rig_seen(&rig, "tmf 1"), 3);
    start(u, &m, ISCSI_TMF_CLEAR_ACA, NULL);
    rig_until(&rig, &m.done, 1);
    assert_int_equal(m.tmf.result, 0);
    rig_say(&rig, "fault tmf_response 255");
    start(u, &m, ISCSI_TMF_LUN_RESET, NULL);
    rig_until(&rig, &m.done, 1);
    assert_int_equal(m.tmf.result, -EIO);
    assert_int_equal(u->downs, 0);
    rig_close(&rig);
}

static void task_management_without_an_answer_ends(void **state)
{
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, "");
    struct rig_cmd c[2];
    struct tmf m;
    uint8_t buf[512];

    (void)state;
    rig_say(&rig, "fault tmf_silent");
    hang(&rig, u, c, 2, buf);
    start(u, &m, ISCSI_TMF_LUN_RESET, NULL);
    rig_until(&rig, &m.done, 1);
    assert_int_equal(m.tmf.result, -ETIMEDOUT);
    assert_int_equal(c[0].done + c[1].done, 2);
    assert_int_equal(c[0].cmd.end, ISCSI_ABORTED);
    assert_int_equal(u->downs, 1);
    rig_close(&rig);
}

static void without_a_session_there_is_nothing_to_abort(void **state)
{
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, "");
    struct rig_cmd c[2];
    struct tmf m;

    (void)state;
    rig_say(&rig, "deaf");
    rig_say(&rig, "drop");
    rig_until(&rig, &u->downs, 1);
    rig_ready(&c[0]);
    rig_ready(&c[1]);
    rig_submit(u, &c[0]);
    rig_submit(u, &c[1]);
    start(u, &m, ISCSI_TMF_ABORT_TASK, &c[0]);
    rig_until(&rig, &m.done, 1);
    assert_int_equal(m.tmf.result, 0);
    assert_int_equal(c[0].cmd.end, ISCSI_ABORTED);
    assert_int_equal(c[1].done, 0);
    start(u, &m, ISCSI_TMF_LUN_RESET, NULL);
    rig_until(&rig, &m.done, 1);
    assert_int_equal(m.tmf.result, -ENOTCONN);
    assert_int_equal(c[1].done, 1);
    rig_close(&rig);
}

/* A write that the target has half asked for: its memory is the guest's again
 * when it has ended. */
static void a_write_that_is_aborted_halfway_leaves_its_memory(void **state)
{
    const uint32_t blocks = 2048;
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, "");
    struct rig_cmd c, r;
    uint8_t *buf = malloc(blocks * 512), in[512];

    (void)state;
    for (int i = 0; i < 4; i++) {
        rig_pattern(buf, blocks * 512, 1);
        rig_write(&c, 0, buf, blocks);
        rig_say(&rig, i % 2 ? "fault r2t_silent" : "faultless");
        rig_submit(u, &c);
        iscsi_kick(&u->unit);
        if (i % 2)
            while (rig_seen(&rig, "fault r2t_silent") < i / 2 + 1)
                rig_turn(&rig);
        iscsi_give_up(&c.cmd);
        rig_until(&rig, &c.done, 1);
        assert_true(c.cmd.end == ISCSI_ABORTED || c.cmd.end == ISCSI_ANSWERED);
        memset(buf, 0xee, blocks * 512); /* the sanitizer minds the rest */
        rig_say(&rig, "faultless");
        rig_read(&r, 0, in, 1);
        rig_do(&rig, u, &r);
        assert_int_equal(r.cmd.end, ISCSI_ANSWERED);
        assert_int_not_equal(in[0], 0xee);
    }
    rig_close(&rig);
    free(buf);
}

/* It goes on from a copy, whose memory is ours: there is a bound to that. */
static void a_long_write_that_is_aborted_halfway_ends_its_session(void **state)
{
    const uint32_t blocks = 196608; /* 96 MiB */
    struct rig rig;
    struct rig_unit *u;
    struct rig_cmd c;
    struct tmf m;
    uint8_t *buf = calloc(blocks, 512);

    (void)state;
    rig_init(&rig);
    rig_target(&rig, (const char *const[]){"--lun", "128M", NULL});
    u = rig_open(&rig, 0, ", \"io_timeout\": 0");
    rig_settle(&rig, u);
    rig_say(&rig, "fault r2t_silent");
    rig_say(&rig, "fault tmf_late");
    rig_write(&c, 0, buf, blocks);
    rig_submit(u, &c);
    iscsi_kick(&u->unit);
    while (rig_seen(&rig, "fault r2t_silent") < 1)
        ; /* what is asked for has not gone */
    start(u, &m, ISCSI_TMF_ABORT_TASK, &c);
    rig_until(&rig, &m.done, 1);
    rig_until(&rig, &c.done, 1);
    assert_int_equal(u->downs, 1);
    rig_close(&rig);
    free(buf);
}

/* What is left of a command that was ended has a later deadline of its own. */
static void the_next_command_s_time_is_its_own(void **state)
{
    const uint32_t blocks = 65536;
    struct rig rig;
    struct rig_unit *u;
    struct rig_cmd c, next;
    struct tmf m;
    uint8_t *buf = calloc(blocks, 512), in[512];

    (void)state;
    rig_init(&rig);
    rig_target(&rig, (const char *const[]){"--lun", "64M", NULL});
    u = rig_open(&rig, 0, ", \"io_timeout\": 1000");
    rig_settle(&rig, u);
    rig_say(&rig, "fault r2t_silent");
    rig_say(&rig, "fault tmf_late");
    rig_write(&c, 0, buf, blocks);
    rig_submit(u, &c);
    iscsi_kick(&u->unit);
    while (rig_seen(&rig, "fault r2t_silent") < 1)
        ; /* what is not asked for has gone at once */
    /* The timer that the write had is not to be what saves it. */
    for (uint64_t end = loop_now_ns() + 100000000; loop_now_ns() < end;)
        uv_run(&rig.loop.uv, UV_RUN_NOWAIT);
    rig_say(&rig, "fault silent* 88");
    rig_read(&next, 0, in, 1);
    rig_submit(u, &next);
    iscsi_kick(&u->unit);
    while (rig_seen(&rig, "op 88") < 1)
        ;
    start(u, &m, ISCSI_TMF_ABORT_TASK, &c);
    rig_until(&rig, &m.done, 1);
    assert_int_equal(m.tmf.result, 0);
    assert_int_equal(c.cmd.end, ISCSI_ABORTED);
    rig_until(&rig, &next.done, 1);
    assert_int_equal(next.cmd.end, ISCSI_TIMED_OUT);
    assert_int_equal(rig_seen(&rig, "op 88"), 1); /* and was not sent again */
    rig_close(&rig);
    free(buf);
}

static void a_silent_target_is_asked_whether_it_is_there(void **state)
{
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, "");
    struct rig_cmd c;
    uint8_t buf[512];

    (void)state;
    hang(&rig, u, &c, 1, buf);
    while (rig_seen(&rig, "pings") < 1)
        rig_turn(&rig);
    assert_int_equal(c.done, 0);
    assert_int_equal(u->downs, 0);
    iscsi_give_up(&c.cmd);
    rig_until(&rig, &c.done, 1);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_out_of_time_is_aborted),
        cmocka_unit_test(a_target_that_does_not_even_abort_loses_its_session),
        cmocka_unit_test(a_command_that_is_given_up_ends),
        cmocka_unit_test(and_soon_whatever_the_target_does),
        cmocka_unit_test(task_management_ends_what_it_concerns),
        cmocka_unit_test(of_one_device_only),
        cmocka_unit_test(a_set_that_the_target_does_not_abort_is_aborted_by_us),
        cmocka_unit_test(task_management_without_an_answer_ends),
        cmocka_unit_test(without_a_session_there_is_nothing_to_abort),
        cmocka_unit_test(a_write_that_is_aborted_halfway_leaves_its_memory),
        cmocka_unit_test(a_long_write_that_is_aborted_halfway_ends_its_session),
        cmocka_unit_test(the_next_command_s_time_is_its_own),
        cmocka_unit_test(a_silent_target_is_asked_whether_it_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
