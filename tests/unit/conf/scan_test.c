/* conf/scan.c: what is JSON and what is not, to the letter (RFC 8259), and
 * where it stops being so. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "conf/json.h"
#include "conf/scan.h"

static void good(const char *text)
{
    struct err e = {0};
    struct json *tree;

    if (scan_json(text, strlen(text), &e) != 0)
        fail_msg("%s: %s: %s", text, e.where, e.text);
    /* What passes, cJSON reads. */
    tree = json_parse(text, strlen(text), &e);
    assert_non_null(tree);
    json_free(tree);
}

static void bad_bytes(const char *text, size_t len, const char *where,
                      const char *part)
{
    struct err e = {0};

    if (scan_json(text, len, &e) != -EINVAL)
        fail_msg("%s is taken for JSON", text);
    assert_string_equal(e.where, where);
    if (!strstr(e.text, part))
        fail_msg("\"%s\" does not say \"%s\"", e.text, part);
}

static void bad(const char *text, const char *where, const char *part)
{
    bad_bytes(text, strlen(text), where, part);
}

static void json_is_accepted(void **state)
{
    (void)state;
    good("{}");
    good("[]");
    good(" \t\r\n{ \"a\" : [ 1 , -2 , 3.5 , 1e3 , 1E-3 , 0 , -0 , 0.5e+1 ] } ");
    good("{\"a\":true,\"b\":false,\"c\":null,\"d\":\"\"}");
    good("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\ud83d\\ude00\"");
    good("\"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf\x7f\"");
    good("123456789012345678901234567890123456789012345678901234567890");
}

static void structure_is_checked(void **state)
{
    (void)state;
    bad("", "", "the file is empty");
    bad(" \n ", "", "the file is empty");
    bad("{", "line 1, column 2", "the text ends where a key");
    bad("[1", "line 1, column 3", "the text ends where a comma or ]");
    bad("{\"a\"}", "line 1, column 5", "a colon is wanted here, not }");
    bad("{\"a\" 1}", "line 1, column 6", "a colon is wanted here, not 1");
    bad("{a:1}", "line 1, column 2", "a key in double quotes");
    bad("{'a':1}", "line 1, column 2", "double quotes");
    bad("{\"a\":1 \"b\":2}", "line 1, column 8", "a comma or }");
    bad("[1 2]", "line 1, column 4", "a comma or ]");
    bad("[1,\n2,\n]", "line 2, column 2", "a comma too many before ]");
    bad("{\"a\":1,}", "line 1, column 7", "a comma too many before }");
    bad("[,]", "line 1, column 2", "a value is wanted here, not ,");
    bad("{} {}", "line 1, column 4", "follows the end");
    bad("{}}", "line 1, column 3", "follows the end");
    bad("\xef\xbb\xbf{}", "line 1, column 1", "byte order mark");
    bad_bytes("{}\0", 3, "line 1, column 3", "follows the end");
    bad_bytes("\0\0", 2, "line 1, column 1", "NUL");
    bad("\x01", "line 1, column 1", "a value is wanted here");
}

static void slips_are_named(void **state)
{
    (void)state;
    bad("{\n  // size\n}", "line 2, column 3", "no comments");
    bad("[1, # x\n2]", "line 1, column 5", "no comments");
    bad("[1 /* x */]", "line 1, column 4", "no comments");
    bad("[True]", "line 1, column 2", "true, false and null");
    bad("[truely]", "line 1, column 2", "true, false and null");
    bad("[NaN]", "line 1, column 2", "true, false and null");
    bad("[Infinity]", "line 1, column 2", "true, false and null");
    bad("{\"mode\": 0660}", "line 1, column 10", "octal modes are strings");
    bad("{\"size\": 64M}", "line 1, column 10", "with a unit");
    bad("{\"path\": \"C:\\vm\"}", "line 1, column 13",
        "a backslash is written as two");
}

static void numbers_are_checked(void **state)
{
    (void)state;
    bad("[01]", "line 1, column 2", "start with 0");
    bad("[-]", "line 1, column 2", "not a number");
    bad("[-a]", "line 1, column 2", "not a number");
    bad("[+1]", "line 1, column 2", "a number starts with");
    bad("[.5]", "line 1, column 2", "a number starts with");
    bad("[1.]", "line 1, column 2", "after the point");
    bad("[1.e3]", "line 1, column 2", "after the point");
    bad("[1e]", "line 1, column 2", "exponent");
    bad("[1e+]", "line 1, column 2", "exponent");
    bad("[0x10]", "line 1, column 2", "decimal");
    bad("[1234567890123456789012345678901234567890123456789012345678901]",
        "line 1, column 2", "too long");
}

static void strings_are_checked(void **state)
{
    (void)state;
    bad("[\"a]", "line 1, column 2", "not closed");
    bad("[\"a\n\"]", "line 1, column 2", "not closed");
    bad("[\"a\tb\"]", "line 1, column 4", "control character");
    bad("[\"\\x41\"]", "line 1, column 3", "no such escape");
    bad("[\"\\", "line 1, column 3", "no such escape");
    bad("[\"\\u12g4\"]", "line 1, column 7", "four hexadecimal digits");
    bad("[\"\\u0000\"]", "line 1, column 3", "NUL");
    bad("[\"\\ud800\"]", "line 1, column 3", "surrogate");
    bad("[\"\\ud800\\n\"]", "line 1, column 3", "surrogate");
    bad("[\"\\ud800\\u0041\"]", "line 1, column 3", "surrogate");
    bad("[\"\\udc00\"]", "line 1, column 3", "surrogate");
}

static void utf8_is_checked(void **state)
{
    static const char *const wrong[] = {
        "\"\x80\"",             /* no start */
        "\"\xc0\xaf\"",         /* overlong */
        "\"\xc3\"",             /* cut by the quote */
        "\"\xc3",               /* cut by the end */
        "\"\xe0\x80\xaf\"",     /* overlong */
        "\"\xed\xa0\x80\"",     /* a surrogate */
        "\"\xf0\x80\x80\x80\"", /* overlong */
        "\"\xf4\x90\x80\x80\"", /* above 10FFFF */
        "\"\xf8\x88\x80\x80\"", /* five bytes */
        "\"\xe2\x82\x41\"",     /* no continuation */
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++)
        bad(wrong[i], "line 1, column 2", "not valid UTF-8");
    assert_true(utf8_is_valid("a\xc3\xa4"));
    assert_false(utf8_is_valid("a\xc3"));
}

static void columns_count_characters(void **state)
{
    (void)state;
    bad("[\"\xc3\xa4\xe2\x82\xac\" x]", "line 1, column 7", "a comma or ]");
    bad("[\r\n\"a\",\r\n x]", "line 3, column 2", "true, false and null");
}

static void depth_is_bounded(void **state)
{
    char text[4096] = "";

    (void)state;
    memset(text, '[', SCAN_DEPTH_MAX);
    memset(text + SCAN_DEPTH_MAX, ']', SCAN_DEPTH_MAX);
    good(text);
    memset(text, '[', sizeof(text) - 1);
    bad(text, "line 1, column 33", "nested too deep");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_accepted),
        cmocka_unit_test(structure_is_checked),
        cmocka_unit_test(slips_are_named),
        cmocka_unit_test(numbers_are_checked),
        cmocka_unit_test(strings_are_checked),
        cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(columns_count_characters),
        cmocka_unit_test(depth_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
