/* Filter `fault`: which requests fail, and what becomes of stuck ones. */
#include "rig.h"

#include <string.h>

#define MEMORY "'next': {'type': 'memory', 'size': '1M'}"

static char buf[8192];

static int write_at(struct rig *rig, uint64_t offset)
{
    return rig_do(rig, STORE_WRITE, 0, offset, buf, 4096);
}

static int read_at(struct rig *rig, uint64_t offset)
{
    return rig_do(rig, STORE_READ, 0, offset, buf, 4096);
}

static void a_rule_fails_its_operation_from_then_to_then(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, "{'type': 'fault', 'rules': [{'op': 'write', 'after': 2,"
                       " 'count': 2, 'error': 'ENOSPC'}], " MEMORY "}");
    assert_true(rig->store->info.serial);
    assert_int_equal(write_at(rig, 0), 0);
    assert_int_equal(read_at(rig, 0), 0);
    assert_int_equal(write_at(rig, 0), 0);
    assert_int_equal(write_at(rig, 0), -ENOSPC);
    assert_int_equal(read_at(rig, 0), 0);
    assert_int_equal(write_at(rig, 0), -ENOSPC);
    assert_int_equal(write_at(rig, 0), 0);
}

static void a_rule_without_count_holds_for_ever(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig,
                  "{'type': 'fault', 'rules': [{'op': 'flush'}], " MEMORY "}");
    for (int i = 0; i < 5; i++)
        assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), -EIO);
    assert_int_equal(rig_do(rig, STORE_DISCARD, 0, 0, NULL, 4096), 0);
    assert_int_equal(rig_do(rig, STORE_ZERO, 0, 0, NULL, 4096), 0);
}

static void a_rule_may_be_about_a_range(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, "{'type': 'fault', 'rules': [{'offset': 8192,"
                       " 'length': 512}], " MEMORY "}");
    assert_int_equal(read_at(rig, 4096), 0);
    assert_int_equal(read_at(rig, 8192), -EIO);
    assert_int_equal(read_at(rig, 8704), 0);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 4608, buf, 4096), -EIO);
    assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), 0);
}

static void the_first_rule_that_is_due_decides(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig,
                  "{'type': 'fault', 'rules': ["
                  "{'op': 'read', 'count': 1, 'error': 'ETIMEDOUT'},"
                  "{'op': 'any', 'count': 1, 'error': 'ENODEV'}], " MEMORY "}");
    assert_int_equal(read_at(rig, 0), -ETIMEDOUT);
    assert_int_equal(read_at(rig, 0), -ENODEV);
    assert_int_equal(read_at(rig, 0), 0);
}

static void a_stuck_request_ends_when_it_is_given_up(void **state)
{
    struct rig *rig = *state;
    struct ask a;

    rig_open_with(rig, "{'type': 'fault', 'rules': [{'op': 'read',"
                       " 'stuck': true, 'count': 1}], " MEMORY "}");
    rig_ask(&a, STORE_READ, 0, 0, buf, 4096, 4096);
    rig_submit(rig, &a);
    assert_int_equal(read_at(rig, 0), 0); /* others pass it */
    store_drain(rig->ch, NULL, false);
    assert_false(a.done);
    store_drain(rig->ch, NULL, true);
    assert_true(a.done);
    assert_int_equal(a.req.result, -EIO);
}

static void filters_go_around_filters(void **state)
{
    struct rig *rig = *state;

    rig_file(rig, "disk", 1 << 20);
    rig_open_with(rig,
                  "{'type': 'fault', 'rules': [{'op': 'write', 'count': 1}],"
                  " 'next': {'type': 'fault',"
                  " 'rules': [{'op': 'read', 'count': 1}],"
                  " 'next': {'type': 'file', 'path': '@/disk'}}}");
    assert_int_equal(write_at(rig, 0), -EIO);
    assert_int_equal(read_at(rig, 0), -EIO);
    rig_pattern(buf, 4096, 0, 1);
    assert_int_equal(write_at(rig, 0), 0);
    memset(buf, 0, sizeof(buf));
    assert_int_equal(read_at(rig, 0), 0);
    assert_true(rig_is_pattern(buf, 4096, 0, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_rule_fails_its_operation_from_then_to_then),
        RIG_TEST(a_rule_without_count_holds_for_ever),
        RIG_TEST(a_rule_may_be_about_a_range),
        RIG_TEST(the_first_rule_that_is_due_decides),
        RIG_TEST(a_stuck_request_ends_when_it_is_given_up),
        RIG_TEST(filters_go_around_filters),
    };

    return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
