/* A disk's part of a turn of the loop: others have theirs. */
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define LONG_BYTES (3u << 20) /* more than the store does at once */
#define LONG_UNIT "'store': {'type': 'memory', 'size': '16M'}"
#define CROWD 400

static uint8_t buf[LONG_BYTES];

static void ask_read(struct ask *a, size_t len, enum scsi_attr attr)
{
    uint8_t cdb[16] = {SCSI_READ_16};

    be32_put(cdb + 10, (uint32_t)(len / 512));
    ask_init(a, cdb, 16, SCSI_DATA_IN, buf, len, 0);
    a->task.attr = attr;
}

/* So many tasks wait for one that is ORDERED and takes a while, and all of them
 * may start when it ends. The most that end in one turn then. */
static unsigned most_of_a_turn(enum scsi_attr attr, size_t len)
{
    struct unit *u = unit_new(LONG_UNIT);
    struct ask *first = calloc(1, sizeof(*first));
    struct ask *crowd = calloc(CROWD, sizeof(*crowd));
    unsigned most = 0;

    ask_read(first, LONG_BYTES, SCSI_ORDERED);
    unit_send(u, first);
    for (unsigned i = 0; i < CROWD; i++) {
        ask_read(&crowd[i], len, attr);
        unit_send(u, &crowd[i]);
    }
    assert_int_equal(u->ended, 0);
    while (u->ended < CROWD + 1) {
        unsigned before = u->ended;

        uv_run(&u->loop.uv, UV_RUN_NOWAIT);
        most = MAX(most, u->ended - before);
    }
    free(first);
    free(crowd);
    unit_free(u);
    return most;
}

static void what_has_waited_starts_in_several_turns(void **state)
{
    (void)state;
    assert_in_range(most_of_a_turn(SCSI_SIMPLE, 512), 1, CROWD / 2);
    /* In bytes, too: a memory disk copies that at once. */
    assert_in_range(most_of_a_turn(SCSI_SIMPLE, 1 << 20), 1, 8);
}

static void so_do_tasks_that_wait_for_each_other(void **state)
{
    (void)state;
    assert_in_range(most_of_a_turn(SCSI_ORDERED, 512), 1, CROWD / 2);
    assert_in_range(most_of_a_turn(SCSI_ORDERED, 1 << 20), 1, 8);
}

/* Rings may have room for more commands than there is memory for. */
static void buffers_are_not_without_end(void **state)
{
    struct unit *u = unit_new(LONG_UNIT);
    struct ask *crowd = calloc(CROWD, sizeof(*crowd));
    uint8_t cdb[16] = {SCSI_VERIFY_16};
    unsigned full = 0;

    (void)state;
    be32_put(cdb + 10, LONG_BYTES / 512);
    for (unsigned i = 0; i < CROWD; i++) {
        ask_init(&crowd[i], cdb, 16, SCSI_NO_DATA, NULL, 0, 0);
        unit_send(u, &crowd[i]);
    }
    for (unsigned i = 0; i < CROWD; i++) {
        uint8_t status = unit_wait(u, &crowd[i]);

        assert_true(status == SCSI_GOOD || status == SCSI_TASK_SET_FULL);
        full += status == SCSI_TASK_SET_FULL;
    }
    assert_in_range(full, 1, CROWD / 2);
    ask_init(&crowd[0], cdb, 16, SCSI_NO_DATA, NULL, 0, 0);
    assert_int_equal(unit_do(u, &crowd[0]), SCSI_GOOD);
    free(crowd);
    unit_free(u);
}

/* Whose turn has not come yet. */
static void what_has_waited_is_given_up_all_the_same(void **state)
{
    struct unit *u = unit_new(LONG_UNIT);
    struct ask *first = calloc(1, sizeof(*first));
    struct ask *crowd = calloc(CROWD, sizeof(*crowd));
    struct tmf m;

    (void)state;
    ask_read(first, LONG_BYTES, SCSI_ORDERED);
    unit_send(u, first);
    for (unsigned i = 0; i < CROWD; i++) {
        ask_read(&crowd[i], 512, SCSI_SIMPLE);
        unit_send(u, &crowd[i]);
    }
    while (!first->done)
        uv_run(&u->loop.uv, UV_RUN_NOWAIT);
    assert_true(u->ended < CROWD);
    unit_tmf(u, &m, SCSI_TMF_ABORT_TASK_SET, NULL);
    unit_settle(u);
    assert_true(m.done);
    assert_int_equal(u->ended, CROWD + 1);
    assert_int_equal(crowd[CROWD - 1].task.response, SCSI_R_ABORTED);
    free(first);
    free(crowd);
    unit_free(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_waited_starts_in_several_turns),
        cmocka_unit_test(so_do_tasks_that_wait_for_each_other),
        cmocka_unit_test(buffers_are_not_without_end),
        cmocka_unit_test(what_has_waited_is_given_up_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
