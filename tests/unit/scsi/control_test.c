/* Task management as the controller does it, whatever stands behind a unit. */
#include "host.h"

#define UNIT "{'lun': 0, 'store': {'type': 'memory', 'size': '1M'}}"

enum {
    ABORT_TASK = VIRTIO_SCSI_T_TMF_ABORT_TASK,
    ABORT_TASK_SET = VIRTIO_SCSI_T_TMF_ABORT_TASK_SET,
    QUERY_TASK = VIRTIO_SCSI_T_TMF_QUERY_TASK,
    COMPLETE = VIRTIO_SCSI_S_FUNCTION_COMPLETE,
};

static unsigned answers(struct guest *g)
{
    unsigned n = 0;
    uint16_t id;
    uint32_t len;

    while (guest_take(g, &id, &len))
        n++;
    return n;
}

/* A guest that is told that a task is aborted uses its memory for something
 * else. */
static void a_task_that_ends_already_is_waited_for(void **state)
{
    struct host *h = host_new(UNIT);

    (void)state;
    host_plays(h, 0, 0);
    host_offer(h, 0, 0, 7);
    host_kick(h, h->queue);
    host_offer_tmf(h, 0, ABORT_TASK_SET, 0, 0);
    host_offer_tmf(h, 2, ABORT_TASK, 0, 7);
    host_kick(h, h->control);
    host_turn(h);
    guest_expect_none(h->control);
    host_end(h);
    while (!list_empty(&h->tmfs))
        host_end_tmf(h);
    host_turn(h);
    assert_int_equal(answers(h->queue), 1);
    assert_int_equal(host_response(h, 0), VIRTIO_SCSI_S_ABORTED);
    assert_int_equal(answers(h->control), 2);
    assert_int_equal(host_tmf_response(h, 0), COMPLETE);
    assert_int_equal(host_tmf_response(h, 2), COMPLETE);
    host_free(h);
}

/* Each of them is looked for among all tasks. */
static void a_crowd_of_one_tag_is_not_aborted_at_once(void **state)
{
    struct host *h = host_new(UNIT);
    unsigned n = 0;

    (void)state;
    host_plays(h, 0, 0);
    for (uint16_t i = 0; i < 32; i++)
        host_offer(h, (uint16_t)(2 * i), 0, 7);
    host_kick(h, h->queue);
    host_offer_tmf(h, 0, ABORT_TASK, 0, 7);
    host_kick(h, h->control);
    LIST_EACH (&h->tmfs, node)
        n++;
    assert_in_range(n, 2, 31);
    while (!list_empty(&h->tasks))
        host_end(h);
    while (!list_empty(&h->tmfs))
        host_end_tmf(h);
    host_turn(h);
    assert_int_equal(answers(h->queue), 32);
    assert_int_equal(answers(h->control), 1);
    assert_int_equal(host_tmf_response(h, 0), VIRTIO_SCSI_S_FAILURE);
    host_free(h);
}

static void a_turn_has_few_requests_for_it(void **state)
{
    struct host *h = host_new(UNIT);
    unsigned n;

    (void)state;
    for (uint16_t i = 0; i < 32; i++)
        host_offer_tmf(h, (uint16_t)(2 * i), QUERY_TASK, 0, i);
    host_kick(h, h->control);
    n = answers(h->control);
    assert_in_range(n, 1, 31);
    while (n < 32) {
        host_kick(h, h->control);
        n += answers(h->control);
    }
    host_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_that_ends_already_is_waited_for),
        cmocka_unit_test(a_crowd_of_one_tag_is_not_aborted_at_once),
        cmocka_unit_test(a_turn_has_few_requests_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
