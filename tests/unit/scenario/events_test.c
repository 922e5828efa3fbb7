/* Which event a step gets that waits for one. */
#include "unit.h"

#include "daemon/scenario/events.h"

static void come(struct events *v, const char *event, const char *device, int n)
{
    char json[160];

    snprintf(json, sizeof(json), "{\"event\": \"%s\", \"n\": %d}", event, n);
    events_add(v, event, device, strdup(json));
}

/* The n of what a step gets now; -1: it waits. */
static int get(struct events *v, const char *event, const char *device,
               const char *match)
{
    const struct event_step s = {event, device, match};
    const char *json;
    struct json *n;
    uint64_t from;
    int number;

    assert_int_equal(events_begin(v, &s, &from), 0);
    json = events_next(v, &s, &from);
    if (!json)
        return -1;
    n = json_parse(json, strlen(json), NULL);
    number = (int)json_member_number(n, "n");
    json_free(n);
    return number;
}

static void each_is_taken_once_and_in_order(void **state)
{
    struct events v = {NULL};

    (void)state;
    assert_int_equal(get(&v, "a", NULL, NULL), -1);
    come(&v, "a", "d", 1);
    come(&v, "b", "d", 2);
    come(&v, "a", "e", 3);
    come(&v, "a", "d", 4);
    assert_int_equal(get(&v, "b", NULL, NULL), 2);
    assert_int_equal(get(&v, "a", NULL, NULL), 1);
    assert_int_equal(get(&v, "a", "d", NULL), 4);
    assert_int_equal(get(&v, "a", NULL, NULL), 3);
    assert_int_equal(get(&v, "a", NULL, NULL), -1);
    come(&v, "a", "d", 5);
    assert_int_equal(get(&v, "a", NULL, NULL), 5);
    events_free(&v);
}

static void those_before_one_that_fits_have_gone_by(void **state)
{
    struct events v = {NULL};

    (void)state;
    for (int i = 0; i < 5; i++)
        come(&v, "a", "d", i);
    assert_int_equal(get(&v, "a", NULL, "{\"n\": 3}"), 3);
    assert_int_equal(get(&v, "a", NULL, "{\"n\": 1}"), -1);
    assert_int_equal(get(&v, "a", NULL, NULL), 4);
    events_free(&v);
}

static void a_step_that_waits_sees_what_comes(void **state)
{
    const struct event_step s = {"a", NULL, NULL};
    struct events v = {NULL};
    uint64_t from;

    (void)state;
    assert_int_equal(events_begin(&v, &s, &from), 0);
    assert_null(events_next(&v, &s, &from));
    come(&v, "b", "", 1);
    assert_null(events_next(&v, &s, &from));
    come(&v, "a", "", 2);
    assert_non_null(events_next(&v, &s, &from));
    events_free(&v);
}

static void the_oldest_are_forgotten(void **state)
{
    struct events v = {NULL};

    (void)state;
    come(&v, "old", "", 1);
    for (int i = 0; i < EVENTS_KEPT + 5; i++)
        come(&v, "a", "", i);
    assert_int_equal(get(&v, "old", NULL, NULL), -1);
    assert_int_equal(get(&v, "a", NULL, NULL), 5);
    assert_int_equal(get(&v, "a", NULL, NULL), 6);
    events_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_taken_once_and_in_order),
        cmocka_unit_test(those_before_one_that_fits_have_gone_by),
        cmocka_unit_test(a_step_that_waits_sees_what_comes),
        cmocka_unit_test(the_oldest_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
