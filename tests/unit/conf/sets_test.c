/* conf/: --set, and what sizes and words are. */
#include <stdio.h>
#include <stdlib.h>

#include "conf/text.h"
#include "tables.h"

/* ---- --set ---- */

static void sets_change_add_and_append(void **state)
{
    const char *sets[] = {"/number=5",
                          "/text=plain words",
                          "/path=\"quoted\"",
                          "/leaf/name=made",
                          "/shapes/-={\"type\":\"square\",\"area\":1}",
                          "/shapes/0/area=2K",
                          "/list=[\"a\",\"b\"]",
                          "/list/1=c",
                          "/list/-=d=e",
                          NULL};
    struct root *r = good_with("{\"number\": 1, \"shapes\": []}", sets);
    struct square *square = r->shapes.list[0].data;

    (void)state;
    assert_int_equal(r->number, 5);
    assert_string_equal(r->text, "plain words");
    assert_string_equal(r->path, "/etc/vub/quoted");
    assert_string_equal(r->leaf.name, "made");
    assert_int_equal(square->area, 2048);
    assert_int_equal(r->list.count, 3);
    assert_string_equal(r->list.list[1], "c");
    assert_string_equal(r->list.list[2], "d=e");
    conf_free(doc);
}

static void bad_sets_are_told_with_their_text(void **state)
{
    const char *sets[] = {"/number",
                          "number=5",
                          "=5",
                          "/~2=5",
                          "/a~=5",
                          "/list/2=x",
                          "/list/x=x",
                          "/list/01=x",
                          "/list/7/a=x",
                          "/list/-/a=x",
                          "/flag/x=1",
                          "/flag/x/y=1",
                          "/leaf={\"name\": }",
                          "/text=\xff",
                          "/text=\"\\u0000\"",
                          NULL};

    (void)state;
    bad_with(
        "{\"flag\": true, \"list\": [\"a\", \"b\"]}", sets,
        "--set /number: it is written as /pointer=value\n"
        "--set number=5: a JSON Pointer starts with /\n"
        "--set =5: a JSON Pointer starts with /\n"
        "--set /~2=5: in a JSON Pointer ~ is written ~0 and / in a name ~1\n"
        "--set /a~=5: in a JSON Pointer ~ is written ~0 and / in a name ~1\n"
        "--set /list/2=x: the list ends before that, it has 2; - appends to "
        "it\n"
        "--set /list/x=x: \"x\" is no index of a list; - appends to it\n"
        "--set /list/01=x: \"01\" is no index of a list; - appends to it\n"
        "--set /list/7/a=x: the list has no element \"7\"\n"
        "--set /list/-/a=x: the list has no element \"-\"\n"
        "--set /flag/x=1: there is no object or list to put \"x\" in\n"
        "--set /flag/x/y=1: there is no object or list with \"x\"\n"
        "--set /leaf={\"name\": }: the value is not JSON: line 1, column 10: "
        "a value is wanted here, not }\n"
        "--set /text=\xff: this is not valid UTF-8\n"
        "--set /text=\"\\u0000\": the value is not JSON: line 1, column 2: a "
        "string may not hold a NUL character\n");
}

/* The pointer is the command line's: nobody has looked at it before. */
static void sets_have_a_depth_and_a_length(void **state)
{
    const size_t room = 300000;
    char *deep = malloc(room), *long_name = malloc(room), deeper[200] = "";
    const char *sets[] = {deep, long_name, NULL};
    const char *grow[50] = {NULL};
    struct errs e = ERRS_EMPTY;
    struct root *r;
    size_t len = 0;

    (void)state;
    assert_non_null(deep);
    assert_non_null(long_name);
    for (unsigned i = 0; i < room / 2 - 2; i++)
        memcpy(deep + 2 * i, "/a", 2);
    strcpy(deep + room - 4, "=1");
    memset(long_name, 'b', room);
    memcpy(long_name, "/flag/", 6);
    strcpy(long_name + room - 3, "=1");
    assert_true(read_root("{\"flag\": true}", sets, &r, &e) < 0);
    assert_string_equal(e.list[0].text, "the pointer is deeper than 32 levels");
    assert_int_equal(strncmp(e.list[0].where, "--set /a/a/a", 12), 0);
    assert_int_equal(strlen(e.list[0].where), sizeof(e.list[0].where) - 1);
    assert_string_equal(e.list[0].where + sizeof(e.list[0].where) - 4, "...");
    assert_int_equal(e.count, 2); /* what failed has not made objects */
    assert_string_equal(e.list[1].text,
                        "there is no object or list to put "
                        "\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb...\" in");
    errs_free(&e);

    /* As deep as they go, one into the other. */
    for (int i = 0; i < 32; i++)
        text_add(deeper, sizeof(deeper), &len, "/a");
    text_add(deeper, sizeof(deeper), &len, "={\"a\":1}");
    for (unsigned i = 0; i < ARRAY_LEN(grow) - 1; i++)
        grow[i] = deeper;
    assert_true(read_root("{}", grow, &r, &e) < 0);
    assert_int_equal(e.count, 1);
    assert_string_equal(e.list[0].where, "/a");
    errs_free(&e);
    free(deep);
    free(long_name);
}

static void sets_are_read_like_the_file(void **state)
{
    const char *sets[] = {"/number=1000", "/a~1b=1", NULL};

    (void)state;
    bad_with("{}", sets,
             "/number: must be a whole number from 1 to 100, or \"always\" or "
             "\"never\", not 1000\n"
             "/a~1b: there is no such key; the keys here are $schema, flag, "
             "text, path, number, size, offset, vendor, choice, mode, list, "
             "leaf, shape, "
             "shapes, leaves\n");
}

/* ---- sizes, words ---- */

static void sizes_are_exact(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t bytes;
    } cases[] = {
        {"0", true, 0},
        {"1", true, 1},
        {"1K", true, 1024},
        {"1M", true, 1 << 20},
        {"2G", true, UINT64_C(2) << 30},
        {"16777215T", true, UINT64_C(16777215) << 40},
        {"16777216T", false, 0},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999999", false, 0},
        {"", false, 0},
        {"K", false, 0},
        {"1k", false, 0},
        {"1KB", false, 0},
        {"1 K", false, 0},
        {" 1", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {"1.5G", false, 0},
        {"0x10", false, 0},
        {"1P", false, 0},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t bytes = 0;

        assert_int_equal(conf_parse_size(cases[i].text, &bytes), cases[i].ok);
        assert_true(bytes == cases[i].bytes);
    }
}

static void slips_have_a_distance(void **state)
{
    unsigned best = UINT32_MAX;

    (void)state;
    assert_int_equal(text_distance("", ""), 0);
    assert_int_equal(text_distance("abc", ""), 3);
    assert_int_equal(text_distance("path", "pathe"), 1);
    assert_int_equal(text_distance("path", "ptah"), 1); /* a swap */
    assert_int_equal(text_distance("store", "tsoer"), 2);
    assert_int_equal(text_distance("kitten", "sitting"), 3);
    assert_true(text_is_slip("qeues", "queues", &best));
    assert_false(text_is_slip("qeues", "serial", &best));
    assert_false(text_is_slip("id", "fd", &(unsigned){1}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_change_add_and_append),
        cmocka_unit_test(bad_sets_are_told_with_their_text),
        cmocka_unit_test(sets_have_a_depth_and_a_length),
        cmocka_unit_test(sets_are_read_like_the_file),
        cmocka_unit_test(sizes_are_exact),
        cmocka_unit_test(slips_have_a_distance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
