/* The order of the tasks of a unit, and what nobody comes between: SAM-5 8. */
#include "tasks.h"

#include <stdlib.h>
#include <string.h>

#include "device/scsi/disk.h"

/* ---- order ---- */

static void simple_tasks_pass_each_other(void **state)
{
    struct unit *u = unit_new(LONG_UNIT);
    struct ask *a = calloc(3, sizeof(*a));

    (void)state;
    ask_long(&a[0], 0);
    ask_ready(&a[1], SCSI_SIMPLE, 1);
    ask_ready(&a[2], SCSI_SIMPLE, 2);
    for (int i = 0; i < 3; i++)
        unit_send(u, &a[i]);
    tasks_wait(u, a, 3);
    assert_string_equal(tasks_order(u), "120");
    free(a);
    unit_free(u);
}

static void an_ordered_task_passes_nobody_and_is_passed_by_nobody(void **state)
{
    struct unit *u = unit_new(LONG_UNIT);
    struct ask *a = calloc(7, sizeof(*a));

    (void)state;
    ask_long(&a[0], 0);
    ask_ready(&a[1], SCSI_SIMPLE, 1);
    ask_ready(&a[2], SCSI_ORDERED, 2);
    ask_long(&a[3], 3);
    ask_ready(&a[4], SCSI_SIMPLE, 4);
    ask_ready(&a[5], SCSI_ORDERED, 5);
    ask_ready(&a[6], SCSI_SIMPLE, 6);
    for (int i = 0; i < 7; i++)
        unit_send(u, &a[i]);
    assert_string_equal(tasks_order(u), "1");
    tasks_wait(u, a, 7);
    assert_string_equal(tasks_order(u), "1024356");
    free(a);
    unit_free(u);
}

static void the_head_of_the_queue_waits_for_nobody(void **state)
{
    struct unit *u = unit_new(LONG_UNIT);
    struct ask *a = calloc(5, sizeof(*a));

    (void)state;
    ask_long(&a[0], 0);
    ask_ready(&a[1], SCSI_ORDERED, 1);
    ask_ready(&a[2], SCSI_HEAD_OF_QUEUE, 2);
    ask_long(&a[3], 3);
    a[3].task.attr = SCSI_HEAD_OF_QUEUE;
    ask_ready(&a[4], SCSI_SIMPLE, 4);
    for (int i = 0; i < 5; i++)
        unit_send(u, &a[i]);
    assert_string_equal(tasks_order(u), "2");
    tasks_wait(u, a, 5);
    /* 0 and 3 ran beside each other. */
    assert_string_equal(tasks_order(u) + 3, "14");
    free(a);
    unit_free(u);
}

/* SAM-5 8.2: what comes after a task at the head of the queue waits for it. */
static void simple_tasks_wait_for_the_head_of_the_queue(void **state)
{
    struct unit *u = unit_new(LONG_UNIT);
    struct ask *a = calloc(3, sizeof(*a));

    (void)state;
    ask_long(&a[0], 0);
    a[0].task.attr = SCSI_HEAD_OF_QUEUE;
    ask_ready(&a[1], SCSI_SIMPLE, 1);
    ask_ready(&a[2], SCSI_SIMPLE, 2);
    for (int i = 0; i < 3; i++)
        unit_send(u, &a[i]);
    tasks_wait(u, a, 3);
    assert_string_equal(tasks_order(u), "012");
    free(a);
    unit_free(u);
}

static void there_is_no_aca(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    struct ask a;

    (void)state;
    ask_ready(&a, SCSI_ACA, 0);
    unit_do(u, &a);
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_MESSAGE);
    ask_init(&a, CDB(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 4), SCSI_NO_DATA, NULL,
             0, 0);
    unit_do(u, &a);
    assert_bad_field(&a); /* NACA */
    unit_free(u);
}

/* However many there are, starting them takes no stack. */
static void many_that_wait_start_together(void **state)
{
    enum { MANY = 20000 };
    struct unit *u = unit_new(LONG_UNIT);
    struct ask *first = calloc(1, sizeof(*first));
    struct ask *a = calloc(MANY, sizeof(*a));

    (void)state;
    ask_long(first, 0);
    unit_send(u, first);
    for (unsigned i = 0; i < MANY; i++) {
        ask_ready(&a[i], SCSI_ORDERED, 1);
        unit_send(u, &a[i]);
    }
    assert_int_equal(u->ended, 0);
    tasks_wait(u, a, MANY);
    assert_int_equal(u->ended, MANY + 1);
    free(a);
    free(first);
    unit_free(u);
}

/* Nor does it when each ends inside the call that sent it. */
static void many_ordered_reads_of_a_file(void **state)
{
    enum { MANY = 5000 };
    struct ask *a = calloc(MANY, sizeof(*a));

    (void)state;
    for (unsigned alone = 0; alone < 2; alone++) {
        struct unit *u =
            unit_open("'store': {'type': 'file', 'path': '@/disk'}");

        u->loop.devices = u->loop.block_devices = alone ? 1 : 2;
        assert_int_equal(unit_start(u, false), 0);
        for (unsigned i = 0; i < MANY; i++) {
            ask_rw(&a[i], SCSI_READ_16, i % MEMORY_BLOCKS, back, 512, 0);
            a[i].task.lun = u->lun;
            a[i].task.attr = SCSI_ORDERED;
            lun_disk_ops.submit(u->lun, &a[i].task);
        }
        lun_disk_ops.kick(u->lun);
        tasks_wait(u, a, MANY);
        unit_free(u);
    }
    free(a);
}

/* ---- nobody between comparing and writing ---- */

static void ask_compare(struct ask *a, uint64_t lba, uint8_t *both,
                        unsigned number)
{
    uint8_t cdb[16] = {SCSI_COMPARE_AND_WRITE, [13] = 1};

    be64_put(cdb + 2, lba);
    ask_init(a, cdb, 16, SCSI_DATA_OUT, both, 1024, 0);
    a->number = number;
}

static void of_many_that_compare_one_writes(void **state)
{
    enum { MANY = 50 };
    struct unit *u = file_unit();
    struct ask *a = calloc(MANY, sizeof(*a));
    static uint8_t both[MANY][1024];
    unsigned good = 0, winner = 0;

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        memset(both[i] + 512, (int)i + 1, 512);
        ask_compare(&a[i], 7, both[i], i);
        a[i].task.attr = i % 3 ? SCSI_SIMPLE : SCSI_HEAD_OF_QUEUE;
        unit_send(u, &a[i]);
    }
    tasks_wait(u, a, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        if (a[i].task.status == SCSI_GOOD) {
            good++;
            winner = i;
        } else {
            assert_check(&a[i], SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE_VERIFY);
        }
    }
    assert_int_equal(good, 1);
    unit_read(u, 7, back, 1);
    assert_true(is_byte(back, 512, (uint8_t)(winner + 1)));
    free(a);
    unit_free(u);
}

/* A write before it, one behind it, and one at the head of the queue. */
static void nobody_writes_while_one_compares(void **state)
{
    struct unit *u = file_unit();
    struct ask *a = calloc(4, sizeof(*a));
    static uint8_t both[1024], one[512], two[512], three[512];

    (void)state;
    memset(one, 1, 512);
    memset(two, 2, 512);
    memset(three, 3, 512);
    memset(both, 1, 512);
    memset(both + 512, 9, 512);
    ask_rw(&a[0], SCSI_WRITE_16, 7, one, 512, 0);
    ask_compare(&a[1], 7, both, 1);
    ask_rw(&a[2], SCSI_WRITE_16, 7, two, 512, 2);
    ask_rw(&a[3], SCSI_WRITE_16, 7, three, 512, 3);
    a[3].task.attr = SCSI_HEAD_OF_QUEUE;
    unit_send(u, &a[0]);
    unit_send(u, &a[1]);
    unit_send(u, &a[2]);
    unit_wait(u, &a[0]); /* now a[1] compares */
    assert_false(a[1].done);
    unit_send(u, &a[3]);
    tasks_wait(u, a, 4);
    assert_string_equal(tasks_order(u), "0132");
    assert_good(&a[1], 1024);
    unit_read(u, 7, back, 1);
    assert_true(is_byte(back, 512, 2));
    free(a);
    unit_free(u);
}

/* ---- nobody between one promise and the next ---- */

/* The flush of a cache that goes off, or of a disk that stops, is for writes
 * that were begun before: one that ended behind it would be answered GOOD and
 * not be stable. */
static void a_promise_changes_when_nothing_is_under_way(void **state)
{
    static uint8_t cache_off[4 + 20] = {[4] = 8, [5] = 18};
    struct ask *a = calloc(3, sizeof(*a));
    struct tmf m;

    (void)state;
    for (unsigned kind = 0; kind < 3; kind++) {
        struct unit *u = unit_new(
            "'store': {'type': 'fault', 'rules': [{'op': 'write', 'count': 1,"
            "'stuck': true}], 'next': {'type': 'file', 'path': '@/disk'}}");

        ask_rw(&a[0], SCSI_WRITE_16, 0, data, 512, 0);
        if (kind == 0)
            ask_init(&a[1], CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 24, 0),
                     SCSI_DATA_OUT, cache_off, 24, 0);
        else
            ask_init(&a[1], CDB(SCSI_START_STOP_UNIT, 0, 0, 0, 0, 0),
                     SCSI_NO_DATA, NULL, 0, 0);
        a[1].number = 1;
        a[1].task.attr = kind == 2 ? SCSI_HEAD_OF_QUEUE : SCSI_SIMPLE;
        ask_rw(&a[2], SCSI_WRITE_16, 1, data, 512, 2);
        for (unsigned i = 0; i < 3; i++)
            unit_send(u, &a[i]);
        unit_settle(u);
        assert_int_equal(u->ended, 0);
        unit_tmf(u, &m, SCSI_TMF_ABORT_TASK, &a[0]);
        tasks_wait(u, a, 3);
        assert_string_equal(tasks_order(u), "012");
        assert_good(&a[1], kind == 0 ? 24 : 0);
        if (kind == 0)
            assert_good(&a[2], 512);
        else
            assert_check(&a[2], SCSI_NOT_READY, SCSI_ASC_START_REQUIRED);
        unit_free(u);
    }
    free(a);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, tasks_setup, tasks_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(simple_tasks_pass_each_other),
        TEST(an_ordered_task_passes_nobody_and_is_passed_by_nobody),
        TEST(the_head_of_the_queue_waits_for_nobody),
        TEST(simple_tasks_wait_for_the_head_of_the_queue),
        TEST(there_is_no_aca),
        TEST(many_that_wait_start_together),
        TEST(many_ordered_reads_of_a_file),
        TEST(of_many_that_compare_one_writes),
        TEST(nobody_writes_while_one_compares),
        TEST(a_promise_changes_when_nothing_is_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
