/* Task management: what is aborted, what goes on, and what is waited for:
 * SAM-5 7. */
#include "tasks.h"

#include <stdlib.h>
#include <string.h>

#include "device/scsi/disk.h"

static void assert_aborted(const struct ask *a)
{
    assert_true(a->done);
    assert_int_equal(a->task.response, SCSI_R_ABORTED);
}

static void one_task_is_aborted(void **state)
{
    struct unit *u = unit_new(STUCK_UNIT);
    struct ask *a = calloc(4, sizeof(*a));
    struct tmf m;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        ask_stuck(&a[i], i);
        unit_send(u, &a[i]);
    }
    ask_ready(&a[3], SCSI_ORDERED, 3);
    unit_send(u, &a[3]);
    unit_settle(u);
    assert_int_equal(u->ended, 0);
    unit_tmf(u, &m, SCSI_TMF_ABORT_TASK, &a[1]);
    assert_true(m.done);
    assert_int_equal(m.after, 1);
    assert_false(m.tmf.rejected || m.tmf.failed);
    assert_aborted(&a[1]);
    /* One that waits. */
    unit_tmf(u, &m, SCSI_TMF_ABORT_TASK, &a[3]);
    assert_true(m.done);
    assert_aborted(&a[3]);
    assert_string_equal(tasks_order(u), "13");
    unit_tmf(u, &m, SCSI_TMF_ABORT_TASK, &a[0]);
    unit_tmf(u, &m, SCSI_TMF_ABORT_TASK, &a[2]);
    assert_string_equal(tasks_order(u), "1302");
    free(a);
    unit_free(u);
}

/* What waited for it goes on. */
static void those_behind_an_aborted_task_go_on(void **state)
{
    struct unit *u = unit_new(STUCK_UNIT);
    struct ask *a = calloc(3, sizeof(*a));
    struct tmf m;

    (void)state;
    ask_stuck(&a[0], 0);
    ask_ready(&a[1], SCSI_ORDERED, 1);
    ask_ready(&a[2], SCSI_SIMPLE, 2);
    for (int i = 0; i < 3; i++)
        unit_send(u, &a[i]);
    unit_tmf(u, &m, SCSI_TMF_ABORT_TASK, &a[0]);
    assert_string_equal(tasks_order(u), "012");
    assert_true(m.done);
    assert_good(&a[1], 0);
    assert_good(&a[2], 0);
    free(a);
    unit_free(u);
}

/* The store has one at work when another comes from inside its end. */
static void a_long_one_goes_on_behind_one_that_is_aborted(void **state)
{
    struct unit *u = unit_new(LONG_UNIT);
    struct ask *a = calloc(3, sizeof(*a));
    struct tmf m;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        ask_long(&a[i], i);
        a[i].task.attr = i == 1 ? SCSI_ORDERED : SCSI_SIMPLE;
        unit_send(u, &a[i]);
    }
    lun_disk_ops.give_up(u->lun, &a[0].task);
    assert_aborted(&a[0]);
    unit_wait(u, &a[1]);
    assert_good(&a[1], LONG_BYTES);
    unit_tmf(u, &m, SCSI_TMF_ABORT_TASK, &a[2]);
    assert_true(m.done);
    unit_settle(u);
    ask_long(&a[0], 0);
    unit_do(u, &a[0]);
    assert_good(&a[0], LONG_BYTES);
    free(a);
    unit_free(u);
}

static void all_tasks_are_aborted(void **state)
{
    static const enum scsi_tmf_function functions[] = {
        SCSI_TMF_ABORT_TASK_SET, SCSI_TMF_CLEAR_TASK_SET, SCSI_TMF_LUN_RESET};

    (void)state;
    for (unsigned f = 0; f < ARRAY_LEN(functions); f++) {
        struct unit *u = unit_new(STUCK_UNIT);
        struct ask *a = calloc(6, sizeof(*a));
        struct tmf m;

        for (unsigned i = 0; i < 3; i++)
            ask_stuck(&a[i], i);
        ask_init(&a[3], CDB(SCSI_SYNC_CACHE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0),
                 SCSI_NO_DATA, NULL, 0, 0);
        ask_ready(&a[4], SCSI_ORDERED, 4);
        ask_ready(&a[5], SCSI_SIMPLE, 5);
        for (unsigned i = 0; i < 6; i++)
            unit_send(u, &a[i]);
        unit_settle(u);
        assert_int_equal(u->ended, 0);
        unit_tmf(u, &m, functions[f], NULL);
        assert_true(m.done);
        assert_int_equal(m.after, 6);
        for (unsigned i = 0; i < 6; i++)
            assert_aborted(&a[i]);
        /* And life goes on. */
        ask_ready(&a[0], SCSI_SIMPLE, 0);
        unit_do(u, &a[0]);
        assert_good(&a[0], 0);
        free(a);
        unit_free(u);
    }
}

/* What the kernel has is waited for. */
static void a_reset_waits_for_what_cannot_be_stopped(void **state)
{
    struct unit *u = file_unit();
    struct ask *a = calloc(16, sizeof(*a));
    struct tmf m, again;

    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        ask_rw(&a[i], SCSI_WRITE_16, i, data, 512, i % 10);
        unit_send(u, &a[i]);
    }
    unit_tmf(u, &m, SCSI_TMF_LUN_RESET, NULL);
    unit_tmf(u, &again, SCSI_TMF_ABORT_TASK_SET, NULL);
    while (!m.done || !again.done)
        uv_run(&u->loop.uv, UV_RUN_ONCE);
    assert_int_equal(u->ended, 16);
    assert_int_equal(m.after, 16);
    assert_int_equal(again.after, 16);
    for (unsigned i = 0; i < 16; i++)
        assert_true(a[i].done);
    free(a);
    unit_free(u);
}

/* It concerns those before it only. */
static void what_comes_after_a_reset_is_not_waited_for(void **state)
{
    struct unit *u = file_unit();
    struct ask *a = calloc(2, sizeof(*a));
    struct tmf m;

    (void)state;
    ask_rw(&a[0], SCSI_WRITE_16, 0, data, 512, 0);
    unit_send(u, &a[0]);
    unit_tmf(u, &m, SCSI_TMF_LUN_RESET, NULL);
    ask_rw(&a[1], SCSI_READ_16, 1, back, 512, 1);
    unit_send(u, &a[1]);
    while (!m.done)
        uv_run(&u->loop.uv, UV_RUN_ONCE);
    assert_true(a[0].done);
    unit_wait(u, &a[1]);
    assert_good(&a[1], 512);
    free(a);
    unit_free(u);
}

static void there_is_no_aca_to_clear(void **state)
{
    struct unit *u = unit_new(STUCK_UNIT);
    struct ask a;
    struct tmf m;

    (void)state;
    ask_stuck(&a, 0);
    unit_send(u, &a);
    unit_tmf(u, &m, SCSI_TMF_CLEAR_ACA, NULL);
    assert_true(m.done);
    assert_true(m.tmf.rejected);
    assert_false(a.done);
    lun_disk_ops.give_up(u->lun, &a.task);
    assert_aborted(&a);
    unit_free(u);
}

static void tasks_are_given_up_one_by_one(void **state)
{
    struct unit *u = unit_new(STUCK_UNIT);
    struct ask *a = calloc(4, sizeof(*a));

    (void)state;
    for (unsigned i = 0; i < 2; i++)
        ask_stuck(&a[i], i);
    ask_ready(&a[2], SCSI_ORDERED, 2);
    ask_ready(&a[3], SCSI_SIMPLE, 3);
    for (unsigned i = 0; i < 4; i++)
        unit_send(u, &a[i]);
    lun_disk_ops.hurry(u->lun);
    assert_int_equal(u->ended, 0);
    lun_disk_ops.give_up(u->lun, &a[1].task);
    assert_string_equal(tasks_order(u), "1");
    lun_disk_ops.give_up(u->lun, &a[2].task);
    /* a[3] does not wait for anybody any more. */
    assert_string_equal(tasks_order(u), "123");
    assert_good(&a[3], 0);
    lun_disk_ops.give_up(u->lun, &a[0].task);
    assert_string_equal(tasks_order(u), "1230");
    free(a);
    unit_free(u);
}

/* Commands of several steps, wherever they are. */
static void works_are_given_up(void **state)
{
    struct unit *u = unit_new(STUCK_UNIT);
    uint8_t zero[512] = {0};
    struct ask a;
    struct tmf m;

    (void)state;
    /* In its turns: 512 KiB of a pattern in two steps. */
    ask_init(&a, CDB(SCSI_WRITE_SAME_10, 0, 0, 0, 0, 0, 0, 4, 0, 0),
             SCSI_DATA_OUT, data, 512, 0);
    unit_send(u, &a);
    assert_false(a.done);
    unit_tmf(u, &m, SCSI_TMF_ABORT_TASK, &a);
    assert_true(m.done);
    assert_aborted(&a);
    unit_settle(u);
    /* In the store. */
    ask_init(&a, CDB(SCSI_WRITE_SAME_10, 0, 0, 0, 0, 0, 0, 4, 0, 0),
             SCSI_DATA_OUT, zero, 512, 0);
    unit_send(u, &a);
    unit_settle(u);
    assert_false(a.done);
    unit_tmf(u, &m, SCSI_TMF_ABORT_TASK, &a);
    assert_true(m.done);
    assert_aborted(&a);
    ask_init(&a, CDB(SCSI_VERIFY_10, 0, 0, 0, 4, 0, 0, 0, 1, 0), SCSI_NO_DATA,
             NULL, 0, 0);
    unit_send(u, &a);
    unit_settle(u);
    assert_false(a.done);
    unit_tmf(u, &m, SCSI_TMF_LUN_RESET, NULL);
    assert_true(m.done);
    assert_aborted(&a);
    unit_free(u);
}

/* SPC-4 5.12: the unit is as it was when it was switched on. */
static void a_reset_sets_defaults(void **state)
{
    struct unit *u = unit_new("'store': {'type': 'file', 'path': '@/disk'}");
    static const uint8_t off[] = {0, 0, 0, 0, 8, 18, 0, 0, 0, 0, 0, 0,
                                  0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0};
    uint8_t page[24];
    struct ask a;
    struct tmf m;

    (void)state;
    unit_out(u, &a, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 24, 0), off, 24);
    assert_good(&a, 24);
    unit_none(u, &a, CDB(SCSI_START_STOP_UNIT, 0, 0, 0, 0, 0));
    assert_good(&a, 0);
    unit_tmf(u, &m, SCSI_TMF_LUN_RESET, NULL);
    assert_true(m.done);
    unit_none(u, &a, CDB(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0));
    assert_good(&a, 0);
    unit_in(u, &a, CDB(SCSI_MODE_SENSE_6, 8, 8, 0, 24, 0), page, 24);
    assert_int_equal(page[6], 0x04); /* WCE */
    unit_free(u);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, tasks_setup, tasks_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_task_is_aborted),
        TEST(those_behind_an_aborted_task_go_on),
        TEST(a_long_one_goes_on_behind_one_that_is_aborted),
        TEST(all_tasks_are_aborted),
        TEST(a_reset_waits_for_what_cannot_be_stopped),
        TEST(what_comes_after_a_reset_is_not_waited_for),
        TEST(there_is_no_aca_to_clear),
        TEST(tasks_are_given_up_one_by_one),
        TEST(works_are_given_up),
        TEST(a_reset_sets_defaults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
