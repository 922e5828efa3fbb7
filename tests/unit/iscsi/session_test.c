/* Sessions: how they come to be, what commands do with them, and what becomes
 * of commands when they are lost. */
#include "rig.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void a_unit_attention_of_the_login_reaches_the_user(void **state)
{
    struct rig rig;
    struct rig_unit *u;
    struct rig_cmd c;
    uint8_t key;
    uint16_t asc;

    (void)state;
    rig_init(&rig);
    rig_disks(&rig);
    u = rig_open(&rig, 0, "");
    rig_ready(&c);
    rig_do(&rig, u, &c);
    assert_int_equal(c.cmd.end, ISCSI_ANSWERED);
    assert_int_equal(c.cmd.status, SCSI_CHECK_CONDITION);
    assert_true(scsi_sense_read(c.cmd.sense, c.cmd.sense_len, &key, &asc));
    assert_int_equal(key, SCSI_UNIT_ATTENTION);
    assert_int_equal(asc, SCSI_ASC_POWER_ON);
    rig_do(&rig, u, &c);
    assert_int_equal(c.cmd.status, SCSI_GOOD);
    rig_close(&rig);
}

static void units_of_a_target_share_a_session(void **state)
{
    struct rig rig;
    struct rig_unit *a, *b, *c;

    (void)state;
    rig_init(&rig);
    rig_disks(&rig);
    a = rig_open(&rig, 0, "");
    b = rig_open(&rig, 1, "");
    c = rig_open(&rig, 1, ", \"io_timeout\": 1000");
    rig_settle(&rig, a);
    rig_settle(&rig, b);
    rig_settle(&rig, c);
    assert_int_equal(rig_seen(&rig, "sessions"), 2);
    rig_verify(&rig, a, 20, 0);
    rig_verify(&rig, b, 20, 0);
    rig_close(&rig);
}

static void commands_that_come_before_the_login_wait_in_order(void **state)
{
    enum { N = 300 };
    struct rig rig;
    struct rig_unit *u;
    struct rig_cmd *c = calloc(N, sizeof(*c));
    uint8_t *buf = calloc(N, 512);

    (void)state;
    rig_init(&rig);
    rig_disks(&rig);
    u = rig_open(&rig, 0, "");
    for (int i = 0; i < N; i++) {
        rig_write(&c[i], (uint64_t)i, buf + 512 * i, 1);
        rig_submit(u, &c[i]);
    }
    iscsi_kick(&u->unit);
    for (int i = 0; i < N; i++) {
        rig_until(&rig, &c[i].done, 1);
        assert_int_equal(c[i].cmd.end, ISCSI_ANSWERED);
        if (i > 0)
            assert_true(c[i].order > c[i - 1].order);
    }
    rig_close(&rig);
    free(c);
    free(buf);
}

static void one_too_many_waits_not(void **state)
{
    struct rig rig;
    struct rig_unit *u;
    struct rig_cmd *c = calloc(ISCSI_WAITING_MAX + 1, sizeof(*c));

    (void)state;
    rig_init(&rig);
    rig_disks(&rig);
    rig_say(&rig, "deaf");
    u = rig_open(&rig, 0, "");
    for (int i = 0; i <= ISCSI_WAITING_MAX; i++) {
        rig_ready(&c[i]);
        rig_submit(u, &c[i]);
        assert_int_equal(c[i].done, 0);
    }
    rig_until(&rig, &c[ISCSI_WAITING_MAX].done, 1);
    assert_int_equal(c[ISCSI_WAITING_MAX].cmd.end, ISCSI_FULL);
    assert_int_equal(c[0].done, 0);
    for (int i = 0; i < ISCSI_WAITING_MAX; i++)
        iscsi_give_up(&c[i].cmd);
    for (int i = 0; i < ISCSI_WAITING_MAX; i++) {
        rig_until(&rig, &c[i].done, 1);
        assert_int_equal(c[i].cmd.end, ISCSI_ABORTED);
    }
    rig_close(&rig);
    free(c);
}

static void
a_session_that_is_lost_sends_again_what_may_be_sent_twice(void **state)
{
    enum { N = 8 };
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, "");
    struct rig_cmd c[N], caw, after;
    uint8_t cdb[16] = {SCSI_COMPARE_AND_WRITE}, *buf = calloc(N + 2, 512);

    (void)state;
    rig_say(&rig, "fault silent*");
    for (int i = 0; i < N; i++) {
        rig_pattern(buf + 512 * i, 512, (unsigned)i);
        rig_write(&c[i], 10 + (uint64_t)i, buf + 512 * i, 1);
        rig_submit(u, &c[i]);
    }
    cdb[13] = 1;
    rig_cmd(&caw, cdb, 16, true, buf, 1024, 0);
    rig_submit(u, &caw);
    iscsi_kick(&u->unit);
    while (rig_seen(&rig, "op 8a") < N || rig_seen(&rig, "op 89") < 1)
        ;
    rig_write(&after, 100, buf, 1);
    rig_say(&rig, "faultless");
    rig_say(&rig, "drop");
    rig_until(&rig, &u->downs, 1);
    rig_submit(u, &after);
    iscsi_kick(&u->unit);
    rig_until(&rig, &caw.done, 1);
    assert_int_equal(caw.cmd.end, ISCSI_LOST);
    for (int i = 0; i < N; i++) {
        rig_until(&rig, &c[i].done, 1);
        assert_int_equal(c[i].cmd.end, ISCSI_ANSWERED);
    }
    rig_until(&rig, &after.done, 1);
    assert_int_equal(u->ups, 2);
    assert_true(u->again);
    assert_int_equal(rig_seen(&rig, "op 89"), 1);
    /* In their order, the old before the new. */
    assert_non_null(strstr(rig_say(&rig, "stats"),
                           "[10, 11, 12, 13, 14, 15, 16, 17, "
                           "10, 11, 12, 13, 14, 15, 16, 17, 100]"));
    rig_close(&rig);
    free(buf);
}

static void a_new_session_takes_the_place_of_the_old(void **state)
{
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, "");
    char *isid, *more;

    (void)state;
    rig_say(&rig, "drop");
    rig_until(&rig, &u->ups, 2);
    rig_say(&rig, "stats");
    isid = strstr(rig.answer, "\"isid ");
    assert_non_null(isid);
    more = strstr(isid + 1, "\"isid ");
    assert_null(more); /* the same ISID: the target ends the old one's tasks */
    rig_close(&rig);
}

/* How writes and reads end that the target had when their session was lost. */
static void moved_to(const char *fault, enum iscsi_end end)
{
    struct rig rig;
    struct rig_unit *u;
    struct rig_cmd w, r, fresh;
    uint8_t buf[512] = {0}, in[512];

    u = rig_begin(&rig, "");
    rig_say(&rig, "fault silent*");
    rig_write(&w, 10, buf, 1);
    rig_read(&r, 10, in, 1);
    rig_submit(u, &w);
    rig_submit(u, &r);
    iscsi_kick(&u->unit);
    while (rig_seen(&rig, "op 8a") < 1 || rig_seen(&rig, "op 88") < 1)
        ;
    rig_say(&rig, "faultless");
    rig_say(&rig, "%s", fault);
    rig_say(&rig, "drop");
    rig_until(&rig, &u->downs, 1);
    rig_write(&fresh, 20, buf, 1); /* it was not sent */
    rig_submit(u, &fresh);
    rig_until(&rig, &w.done, 1);
    assert_int_equal(w.cmd.end, end);
    rig_until(&rig, &r.done, 1);
    assert_int_equal(r.cmd.end, ISCSI_ANSWERED);
    rig_until(&rig, &fresh.done, 1);
    assert_int_equal(fresh.cmd.end, ISCSI_ANSWERED);
    assert_int_equal(rig_seen(&rig, "op 8a"), end == ISCSI_LOST ? 2 : 3);
    rig_close(&rig);
}

static void a_write_is_not_sent_again_to_another_portal_group(void **state)
{
    (void)state;
    moved_to("fault group 1", ISCSI_ANSWERED);
    moved_to("fault group 2", ISCSI_LOST);
}

/* Its loop and all it had is a process that was killed; the target has not
 * noticed. */
static void killed(struct rig *rig, const char *device)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        struct rig lost;
        struct rig_unit *u;
        struct rig_cmd c;
        uint8_t reserve[10] = {SCSI_PR_OUT, 1, 3, [8] = 24}, list[24] = {0};

        rig_init(&lost);
        lost.port = rig->port;
        lost.device = device;
        u = rig_open(&lost, 0, "");
        rig_settle(&lost, u);
        rig_cmd(&c, reserve, 10, true, list, 24, 0);
        rig_do(&lost, u, &c);
        raise(SIGSTOP);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    /* So that its connections end without a word. */
    rig_say(rig, "unheard");
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void so_does_that_of_a_new_process(void **state)
{
    struct rig rig;
    struct rig_unit *u, *other;
    struct rig_cmd c;
    uint8_t buf[512] = {0};
    char name[32];

    (void)state;
    /* Nobody else's who runs this at the same time. */
    snprintf(name, sizeof(name), "san-%d", (int)getpid());
    rig_init(&rig);
    rig_disks(&rig);
    killed(&rig, name);
    rig.device = name;
    u = rig_open(&rig, 0, "");
    rig_settle(&rig, u);
    assert_int_equal(rig_seen(&rig, "sessions"), 2);
    assert_int_equal(rig_seen(&rig, "reinstated"), 1);
    assert_true(rig_seen(&rig, "login tsih 0000") >= 2);
    /* What it had reserved is its own still, and nobody else's. */
    rig_verify(&rig, u, 1, 0);
    rig.device = "another";
    other = rig_open(&rig, 0, "");
    rig_settle(&rig, other);
    rig_write(&c, 0, buf, 1);
    rig_do(&rig, other, &c);
    assert_int_equal(c.cmd.status, SCSI_RESERVATION_CONFLICT);
    assert_int_equal(rig_seen(&rig, "reinstated"), 1);
    rig_close(&rig);
}

static void sessions_at_one_time_get_along(void **state)
{
    struct rig rig, other;
    struct rig_unit *a, *b;

    (void)state;
    rig_init(&rig);
    rig_disks(&rig);
    rig_init(&other); /* another worker, or another vub */
    other.port = rig.port;
    a = rig_open(&rig, 0, "");
    b = rig_open(&other, 0, "");
    rig_settle(&rig, a);
    rig_settle(&other, b);
    rig_verify(&rig, a, 20, 0);
    rig_verify(&other, b, 20, 0);
    assert_int_equal(rig_seen(&rig, "reinstated"), 0);
    assert_int_equal(a->downs + b->downs, 0);
    rig_close(&other);
    rig_close(&rig);
}

static void an_idle_session_that_breaks_is_made_again(void **state)
{
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, "");

    (void)state;
    rig_say(&rig, "reset");
    rig_until(&rig, &u->ups, 2);
    rig_say(&rig, "drop");
    rig_until(&rig, &u->ups, 3);
    assert_int_equal(u->downs, 2);
    rig_close(&rig);
}

static void a_command_that_kills_every_session_ends(void **state)
{
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, "");
    struct rig_cmd c;
    uint8_t buf[512];

    (void)state;
    rig_say(&rig, "fault close_on* 88");
    rig_read(&c, 0, buf, 1);
    rig_do(&rig, u, &c);
    assert_int_equal(c.cmd.end, ISCSI_LOST);
    rig_close(&rig);
}

static void without_a_session_commands_fail_after_a_while(void **state)
{
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, ", \"reconnect_timeout\": 100");
    struct rig_cmd a, b;

    (void)state;
    rig_say(&rig, "deaf");
    rig_say(&rig, "drop");
    rig_until(&rig, &u->downs, 1);
    rig_ready(&a);
    rig_do(&rig, u, &a);
    assert_int_equal(a.cmd.end, ISCSI_TIMED_OUT);
    rig_ready(&b);
    rig_submit(u, &b);
    assert_int_equal(b.done, 0);
    rig_until(&rig, &b.done, 1);
    assert_int_equal(b.cmd.end, ISCSI_TIMED_OUT);
    /* And they are good again when it is back. */
    rig_say(&rig, "hearing");
    rig_settle(&rig, u);
    rig_close(&rig);
}

static void with_stall_they_wait_all_the_same(void **state)
{
    struct rig rig;
    struct rig_unit *u;
    struct rig_cmd a, b;
    struct timer t;

    (void)state;
    rig_init(&rig);
    rig_disks(&rig);
    u = rig_open(&rig, 0,
                 ", \"reconnect_timeout\": 50, \"on_timeout\": \"stall\"");
    rig_settle(&rig, u);
    rig_say(&rig, "deaf");
    rig_say(&rig, "drop");
    rig_until(&rig, &u->downs, 1);
    rig_ready(&a);
    rig_ready(&b);
    rig_submit(u, &a);
    rig_submit(u, &b);
    /* Twice the time-out by the loop's own clock. */
    t = (struct timer){.fire = NULL};
    timer_open(&t, &rig.loop);
    for (uint64_t end = loop_now_ns() + 100000000; loop_now_ns() < end;)
        uv_run(&rig.loop.uv, UV_RUN_NOWAIT);
    timer_close(&t);
    assert_int_equal(a.done + b.done, 0);
    iscsi_give_up(&a.cmd);
    rig_until(&rig, &a.done, 1);
    assert_int_equal(a.cmd.end, ISCSI_ABORTED);
    rig_say(&rig, "hearing");
    rig_until(&rig, &b.done, 1);
    assert_int_equal(b.cmd.end, ISCSI_ANSWERED);
    rig_close(&rig);
}

static void portals_are_tried_in_turn(void **state)
{
    struct rig rig;
    struct rig_unit *u;
    char json[512];
    struct err e;

    (void)state;
    rig_init(&rig);
    rig_disks(&rig);
    snprintf(json, sizeof(json),
             "{\"url\": \"iscsi://127.0.0.1:1/iqn.2026-01.example:disk/0\", "
             "\"portals\": [\"localhost:1\", \"localhost:%d\"]}",
             rig.port);
    assert_int_equal(rig_try_open(&rig, json, &e), 0);
    u = &rig.units[0];
    rig_settle(&rig, u);
    rig_close(&rig);
}

static void a_name_that_nobody_knows_is_no_end(void **state)
{
    struct rig rig;
    struct err e;

    (void)state;
    rig_init(&rig);
    rig_disks(&rig);
    assert_int_equal(
        rig_try_open(&rig,
                     "{\"url\": \"iscsi://nowhere.invalid/iqn.x:disk/0\"}", &e),
        0);
    rig_turn(&rig);
    rig_close(&rig); /* perhaps while the resolver still asks */
}

static void the_target_may_send_us_on(void **state)
{
    struct rig rig;
    struct rig_unit *u;

    (void)state;
    rig_init(&rig);
    rig_disks(&rig);
    rig_say(&rig, "fault redirect localhost:%d", rig.port);
    u = rig_open(&rig, 0, "");
    rig_settle(&rig, u);
    assert_int_equal(rig_seen(&rig, "connections"), 2);
    rig_close(&rig);
}

static void but_not_for_ever(void **state)
{
    struct rig rig;
    struct rig_unit *u;

    (void)state;
    rig_init(&rig);
    rig_disks(&rig);
    rig_say(&rig, "fault redirect*");
    u = rig_open(&rig, 0, ", \"reconnect_timeout\": 300");
    for (int i = 0; i < 4; i++) {
        struct rig_cmd c;

        rig_ready(&c);
        rig_do(&rig, u, &c);
        assert_int_equal(c.cmd.end, ISCSI_TIMED_OUT);
    }
    assert_true(rig_seen(&rig, "connections") < 60);
    rig_say(&rig, "faultless");
    rig_settle(&rig, u);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unit_attention_of_the_login_reaches_the_user),
        cmocka_unit_test(units_of_a_target_share_a_session),
        cmocka_unit_test(commands_that_come_before_the_login_wait_in_order),
        cmocka_unit_test(one_too_many_waits_not),
        cmocka_unit_test(
            a_session_that_is_lost_sends_again_what_may_be_sent_twice),
        cmocka_unit_test(a_new_session_takes_the_place_of_the_old),
        cmocka_unit_test(a_write_is_not_sent_again_to_another_portal_group),
        cmocka_unit_test(so_does_that_of_a_new_process),
        cmocka_unit_test(sessions_at_one_time_get_along),
        cmocka_unit_test(an_idle_session_that_breaks_is_made_again),
        cmocka_unit_test(a_command_that_kills_every_session_ends),
        cmocka_unit_test(without_a_session_commands_fail_after_a_while),
        cmocka_unit_test(with_stall_they_wait_all_the_same),
        cmocka_unit_test(portals_are_tried_in_turn),
        cmocka_unit_test(a_name_that_nobody_knows_is_no_end),
        cmocka_unit_test(the_target_may_send_us_on),
        cmocka_unit_test(but_not_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
