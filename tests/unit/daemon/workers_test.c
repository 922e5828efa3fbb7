/* Who shares a worker with whom, and which devices may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/workers.h"

/* Two types of devices: one of each kind. */
static unsigned queues(const void *conf)
{
    (void)conf;
    return 2;
}

static const struct device_type alone_type = {.queues = queues};
static const struct device_type social_type = {.queues = queues,
                                               .default_worker = "input"};
static const struct conf_table alone = {.name = "alone", .ops = &alone_type};
static const struct conf_table social = {.name = "social", .ops = &social_type};

#define DEVICE(i, type, conf)                                                  \
    {                                                                          \
        .table = &(type), .at = "/devices/" #i, .data = &(conf)                \
    }

static struct conf_anys anys(struct conf_any *list, int count)
{
    return (struct conf_anys){.list = list, .count = count};
}

static void devices_that_name_no_worker_use_their_types(void **state)
{
    const char *named[] = {"x", "y"};
    struct device_common a = {.id = "a"}, b = {.id = "b"}, c = {.id = "c"},
                         d = {.id = "d", .worker = {named, 2}};
    struct conf_any list[] = {DEVICE(0, social, a), DEVICE(1, alone, b),
                              DEVICE(2, social, c), DEVICE(3, social, d)};
    struct conf_anys devices = anys(list, 4);
    struct errs e = ERRS_EMPTY;
    struct worker_uses uses[4];
    struct workers ws = {.count = 0};

    (void)state;
    workers_check(&devices, &e);
    assert_int_equal(e.count, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(workers_use(&ws, &list[i], &uses[i], NULL), 0);
    assert_int_equal(ws.count, 4); /* b, input, x, y */
    assert_string_equal(workers_name(&list[0], 0), "input");
    assert_string_equal(workers_name(&list[1], 1), "b");
    assert_string_equal(workers_name(&list[3], 1), "y");
    assert_ptr_equal(workers_loop(&uses[0], 0), workers_loop(&uses[2], 1));
    assert_ptr_not_equal(workers_loop(&uses[0], 0), workers_loop(&uses[1], 0));
    assert_ptr_not_equal(workers_loop(&uses[3], 0), workers_loop(&uses[3], 1));
    /* One ends with the last that uses it. */
    workers_leave(&ws, &uses[0]);
    assert_int_equal(ws.count, 4);
    workers_leave(&ws, &uses[2]);
    assert_int_equal(ws.count, 3);
    workers_leave(&ws, &uses[3]);
    assert_int_equal(ws.count, 1);
    assert_int_equal(workers_use(&ws, &list[3], &uses[3], NULL), 0);
    assert_int_equal(ws.count, 3);
    workers_close(&ws);
    workers_leave(&ws, &uses[1]);
    workers_leave(&ws, &uses[3]);
}

static void a_types_worker_may_be_named(void **state)
{
    const char *named[] = {"input"};
    struct device_common a = {.id = "a"},
                         b = {.id = "input", .worker = {named, 1}};
    struct conf_any list[] = {DEVICE(0, social, a), DEVICE(1, alone, b)};
    struct conf_anys devices = anys(list, 2);
    struct errs e = ERRS_EMPTY;

    (void)state;
    workers_check(&devices, &e);
    assert_int_equal(e.count, 0);
}

static void an_own_worker_is_not_called_as_a_types(void **state)
{
    struct device_common a = {.id = "a"}, b = {.id = "b"}, c = {.id = "input"};
    struct conf_any list[] = {DEVICE(0, social, a), DEVICE(1, social, b),
                              DEVICE(2, alone, c)};
    struct conf_anys devices = anys(list, 3);
    struct errs e = ERRS_EMPTY;

    (void)state;
    workers_check(&devices, &e);
    assert_int_equal(e.count, 1);
    assert_string_equal(e.list[0].where, "/devices/2/worker");
    assert_string_equal(e.list[0].text,
                        "a worker of its own would be called \"input\", which "
                        "is the one of /devices/0 and its like: name one");
    errs_free(&e);
}

static void always_is_not_for_a_worker_that_is_shared_by_type(void **state)
{
    struct device_common a = {.id = "a", .poll_us = DEVICE_POLL_ALWAYS},
                         b = {.id = "b"};
    struct conf_any list[] = {DEVICE(0, social, a), DEVICE(1, social, b)};
    struct conf_anys devices = anys(list, 2), one = anys(list, 1);
    struct errs e = ERRS_EMPTY;

    (void)state;
    workers_check(&one, &e);
    assert_int_equal(e.count, 0);
    workers_check(&devices, &e);
    assert_int_equal(e.count, 1);
    assert_string_equal(e.list[0].where, "/devices/0/poll_us");
    errs_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_that_name_no_worker_use_their_types),
        cmocka_unit_test(a_types_worker_may_be_named),
        cmocka_unit_test(an_own_worker_is_not_called_as_a_types),
        cmocka_unit_test(always_is_not_for_a_worker_that_is_shared_by_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
