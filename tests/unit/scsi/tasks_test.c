/* The task set and its management: SAM-5 7, 8. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "device/scsi/disk.h"

#define LONG_BYTES (3u << 20) /* more than the store does at once */
#define LONG_UNIT "'store': {'type': 'memory', 'size': '16M'}"
/* All reads of the second half of 1M hang, and so do flushes. */
#define STUCK_UNIT                                                             \
    "'store': {'type': 'fault', 'rules': ["                                    \
    "{'op': 'read', 'offset': '512K', 'stuck': true},"                         \
    "{'op': 'zero', 'stuck': true},"                                           \
    "{'op': 'flush', 'stuck': true}],"                                         \
    "'next': {'type': 'memory', 'size': '1M'}}"

static uint8_t data[65536], back[65536];
static uint8_t *big;

static int setup(void **state)
{
    (void)state;
    fill(data, sizeof(data), 1);
    big = calloc(1, LONG_BYTES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(big);
    return 0;
}

static void ask_ready(struct ask *a, enum scsi_attr attr, unsigned number)
{
    ask_init(a, CDB(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0), SCSI_NO_DATA, NULL, 0,
             0);
    a->task.attr = attr;
    a->number = number;
}

static void ask_rw(struct ask *a, uint8_t opcode, uint64_t lba, void *buf,
                   size_t len, unsigned number)
{
    uint8_t cdb[16] = {opcode};

    be64_put(cdb + 2, lba);
    be32_put(cdb + 10, (uint32_t)(len / 512));
    ask_init(a, cdb, 16, opcode == SCSI_READ_16 ? SCSI_DATA_IN : SCSI_DATA_OUT,
             buf, len, 0);
    a->number = number;
}

/* Takes a few turns of the loop. */
static void ask_long(struct ask *a, unsigned number)
{
    ask_rw(a, SCSI_READ_16, 0, big, LONG_BYTES, number);
}

static void ask_stuck(struct ask *a, unsigned number)
{
    ask_rw(a, SCSI_READ_16, 1024 + number, back, 512, number);
}

/* The numbers of what has ended, in order, as text. */
static const char *order(const struct unit *u)
{
    static char text[65];
    unsigned n = MIN(u->ended, (unsigned)ARRAY_LEN(u->order));

    for (unsigned i = 0; i < n; i++)
        text[i] = (char)('0' + u->order[i]->number);
    text[n] = '\0';
    return text;
}

static void wait_all(struct unit *u, struct ask *a, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        unit_wait(u, &a[i]);
}

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
    wait_all(u, a, 3);
    assert_string_equal(order(u), "120");
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
    assert_string_equal(order(u), "1");
    wait_all(u, a, 7);
    assert_string_equal(order(u), "1024356");
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
    assert_string_equal(order(u), "2");
    wait_all(u, a, 5);
    /* 0 and 3 ran beside each other. */
    assert_string_equal(order(u) + 3, "14");
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
    wait_all(u, a, 3);
    assert_string_equal(order(u), "012");
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
    wait_all(u, a, MANY);
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
        wait_all(u, a, MANY);
        unit_free(u);
    }
    free(a);
}

/* ---- nobody between comparing and writing ---- */

/* A file whose loop serves others too: nothing is done at once. */
static struct unit *file_unit(void)
{
    struct unit *u = unit_open("'store': {'type': 'file', 'path': '@/disk'}");

    u->loop.devices = u->loop.block_devices = 2;
    assert_int_equal(unit_start(u, false), 0);
    return u;
}

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
    wait_all(u, a, MANY);
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
    wait_all(u, a, 4);
    assert_string_equal(order(u), "0132");
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
        wait_all(u, a, 3);
        assert_string_equal(order(u), "012");
        assert_good(&a[1], kind == 0 ? 24 : 0);
        if (kind == 0)
            assert_good(&a[2], 512);
        else
            assert_check(&a[2], SCSI_NOT_READY, SCSI_ASC_START_REQUIRED);
        unit_free(u);
    }
    free(a);
}

/* ---- management ---- */

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
    assert_string_equal(order(u), "13");
    unit_tmf(u, &m, SCSI_TMF_ABORT_TASK, &a[0]);
    unit_tmf(u, &m, SCSI_TMF_ABORT_TASK, &a[2]);
    assert_string_equal(order(u), "1302");
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
    assert_string_equal(order(u), "012");
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
    assert_string_equal(order(u), "1");
    lun_disk_ops.give_up(u->lun, &a[2].task);
    /* a[3] does not wait for anybody any more. */
    assert_string_equal(order(u), "123");
    assert_good(&a[3], 0);
    lun_disk_ops.give_up(u->lun, &a[0].task);
    assert_string_equal(order(u), "1230");
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

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

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
