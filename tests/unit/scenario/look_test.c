/* What a JSON Pointer leads to, and whether that is as a step wants it. */
#include "unit.h"

#include "daemon/scenario/look.h"
#include "daemon/scenario/plan.h"

static void a_pointer_leads_to_members_and_elements(void **state)
{
    static const struct {
        const char *pointer, *json; /* NULL: to nothing */
    } cases[] = {
        {"/a", "1"},
        {"/list/0", "'x'"},
        {"/list/2/b", "true"},
        {"/list/10", NULL},
        {"/list/00", NULL},
        {"/list/-", NULL},
        {"/list/", NULL},
        {"/list/1x", NULL},
        {"/list/99999999999999999999", NULL},
        {"/a~1b", "2"},
        {"/m~0n", "3"},
        {"/m~01n", NULL},
        {"/", "4"},
        {"/a/b", NULL},
        {"/none", NULL},
        {"/ab", NULL},
        {"/deep/", "5"},
        {"/~", NULL},
    };
    struct json *n = parsed("{'a': 1, 'list': ['x', null, {'b': true}], "
                            "'a/b': 2, 'm~n': 3, '': 4, 'deep': {'': 5}}");

    (void)state;
    assert_ptr_equal(look_at(n, ""), n);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        const struct json *found = look_at(n, cases[i].pointer);
        struct json *want;

        if (!cases[i].json) {
            if (found)
                fail_msg("%s leads somewhere", cases[i].pointer);
            continue;
        }
        if (!found)
            fail_msg("%s leads nowhere", cases[i].pointer);
        want = parsed(cases[i].json);
        assert_true(look_same(found, want));
        json_free(want);
    }
    json_free(n);
}

static void values_are_the_same_whatever_their_order(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"{'a': 1, 'b': [1, 2]}", "{'b': [1, 2.0], 'a': 1e0}", true},
        {"{'a': 1}", "{'a': 1, 'b': 2}", false},
        {"{'a': 1, 'b': 2}", "{'a': 1}", false},
        {"[1, 2]", "[2, 1]", false},
        {"[1, 2]", "[1, 2, 3]", false},
        {"[]", "{}", false},
        {"[]", "[]", true},
        {"'1'", "1", false},
        {"null", "false", false},
        {"true", "true", true},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct json *a = parsed(cases[i].a), *b = parsed(cases[i].b);

        if (look_same(a, b) != cases[i].same)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
        json_free(a);
        json_free(b);
    }
}

static void an_event_has_all_members_that_are_wanted(void **state)
{
    const char *event = "{\"event\": \"x\", \"n\": 3, \"o\": {\"a\": 1}}";

    (void)state;
    assert_true(look_has_members(event, "{}"));
    assert_true(look_has_members(event, "{\"n\": 3, \"event\": \"x\"}"));
    assert_true(look_has_members(event, "{\"o\": {\"a\": 1}}"));
    assert_false(look_has_members(event, "{\"o\": {}}"));
    assert_false(look_has_members(event, "{\"n\": 4}"));
    assert_false(look_has_members(event, "{\"m\": null}"));
}

static void need(const char *json, const struct expect_step *s, const char *why)
{
    struct json *n = json ? parsed(json) : NULL;
    struct err e;
    bool fits = look_fits(n, s, &e);

    if (fits != !why)
        fail_msg("%s: %s", json ? json : "nothing", fits ? "fits" : e.text);
    if (why)
        assert_string_equal(e.text, why);
    json_free(n);
}

static void what_is_otherwise_is_told(void **state)
{
    struct expect_step s = {.at = "/x", .is = "\"on\""};

    (void)state;
    need("'on'", &s, NULL);
    need("'off'", &s, "\"/x\" is \"off\", not \"on\"");
    need(NULL, &s, "there is nothing at \"/x\"");
    s = (struct expect_step){.at = "/x",
                             .at_least = 2,
                             .at_most = 4.5,
                             .has_at_least = true,
                             .has_at_most = true};
    need("2", &s, NULL);
    need("4.5", &s, NULL);
    need("1", &s, "\"/x\" is 1, and not at least 2");
    need("5", &s, "\"/x\" is 5, and not at most 4.5");
    need("'3'", &s, "\"/x\" is \"3\", and no number");
    need("null", &s, "\"/x\" is null, and no number");
    s.at_least = -1;
    need("-0.5", &s, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pointer_leads_to_members_and_elements),
        cmocka_unit_test(values_are_the_same_whatever_their_order),
        cmocka_unit_test(an_event_has_all_members_that_are_wanted),
        cmocka_unit_test(what_is_otherwise_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
