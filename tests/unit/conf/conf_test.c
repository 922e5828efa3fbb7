/* conf/: tables of every type of key, read from text. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "conf/docs.h"
#include "conf/text.h"

/* ---- the tables under test ---- */

struct leaf {
    const char *name;
    unsigned mode;
};

struct shape {
    uint32_t sides;
    const char *label;
};

struct square {
    struct shape shape;
    uint64_t area;
};

struct nest {
    struct shape shape;
    struct conf_any next;
};

struct root {
    bool flag;
    const char *text;
    const char *path;
    uint32_t number;
    bool has_number;
    uint64_t size;
    int32_t offset;
    uint32_t vendor;
    unsigned choice;
    unsigned mode;
    struct conf_strs list;
    struct leaf leaf;
    struct conf_any shape;
    struct conf_anys shapes;
    struct conf_anys leaves;
};

static const char *const number_words[] = {"always", "never", NULL};
static const char *const choices[] = {"red", "green", NULL};

static const struct conf_key leaf_keys[] = {
    {"name", CONF_STR, CONF_AT(struct leaf, name), .required = true},
    {"mode", CONF_MODE, CONF_AT(struct leaf, mode), .def = "\"0644\""},
    {NULL},
};
static const struct conf_table leaf_table = {
    .name = "leaf", .size = sizeof(struct leaf), .keys = leaf_keys};

static const struct conf_key shape_keys[] = {
    {"sides", CONF_U32, CONF_AT(struct shape, sides), .def = "4"},
    {"label", CONF_STR, CONF_AT(struct shape, label), .max = 5},
    {NULL},
};

static void check_square(void *data, const char *at, struct errs *e)
{
    struct square *s = data;

    if (s->area == 13)
        errs_at(e, at, NULL, "brings bad luck");
}

static const struct conf_key square_keys[] = {
    {"area", CONF_SIZE, CONF_AT(struct square, area), .required = true,
     .min = 1},
    {NULL},
};
static const struct conf_table square_table = {.name = "square",
                                               .size = sizeof(struct square),
                                               .keys = square_keys,
                                               .check = check_square};

static const struct conf_union shape_union;
static const struct conf_key nest_keys[] = {
    {"next", CONF_UNION, CONF_AT(struct nest, next), .required = true,
     .of = &shape_union},
    {NULL},
};
static const struct conf_table nest_table = {
    .name = "nest", .size = sizeof(struct nest), .keys = nest_keys};

static const struct conf_table *const shape_tables[] = {&square_table,
                                                        &nest_table, NULL};
static const struct conf_union shape_union = {
    .what = "shape", .common = shape_keys, .tables = shape_tables};

static int root_checks;

static void check_root(void *data, const char *at, struct errs *e)
{
    (void)data;
    (void)e;
    assert_string_equal(at, "");
    root_checks++;
}

static const struct conf_key root_keys[] = {
    {"$schema", CONF_ANY},
    {"flag", CONF_BOOL, CONF_AT(struct root, flag), .def = "true"},
    {"text", CONF_STR, CONF_AT(struct root, text), .def = "\"hello\""},
    {"path", CONF_PATH, CONF_AT(struct root, path)},
    {"number", CONF_U32, CONF_AT(struct root, number), .def = "7", .min = 1,
     .max = 100, .words = number_words,
     .seen_offset = CONF_SEEN(struct root, has_number)},
    {"size", CONF_SIZE, CONF_AT(struct root, size), .def = "\"4K\""},
    {"offset", CONF_I32, CONF_AT(struct root, offset), .def = "-3"},
    {"vendor", CONF_HEX, CONF_AT(struct root, vendor), .max = 0xffff},
    {"choice", CONF_CHOICE, CONF_AT(struct root, choice), .def = "\"green\"",
     .words = choices},
    {"mode", CONF_MODE, CONF_AT(struct root, mode), .def = "\"0600\""},
    {"list", CONF_STRS, CONF_AT(struct root, list)},
    {"leaf", CONF_TABLE, CONF_AT(struct root, leaf), .table = &leaf_table,
     .shorthand = "name"},
    {"shape", CONF_UNION, CONF_AT(struct root, shape), .of = &shape_union},
    {"shapes", CONF_UNIONS, CONF_AT(struct root, shapes), .of = &shape_union,
     .max = 3},
    {"leaves", CONF_TABLES, CONF_AT(struct root, leaves), .table = &leaf_table},
    {NULL},
};
static const struct conf_table root_table = {.name = "root",
                                             .size = sizeof(struct root),
                                             .keys = root_keys,
                                             .check = check_root};

/* ---- helpers ---- */

static struct conf_doc *doc;

static int read_text(const char *text, const char *const *sets, struct root **r,
                     struct errs *e)
{
    void *out = NULL;
    int rc;

    doc = NULL;
    rc = conf_read_text(&doc, &out, &root_table, text, strlen(text), "/etc/vub",
                        sets, e);
    *r = out;
    return rc;
}

/* Good text, read; end with conf_free(doc). */
static struct root *good_with(const char *text, const char *const *sets)
{
    struct errs e = ERRS_EMPTY;
    struct root *r;

    if (read_text(text, sets, &r, &e) != 0)
        fail_msg("%s: %s", e.list[0].where, e.list[0].text);
    assert_int_equal(e.count, 0);
    return r;
}

static struct root *good(const char *text)
{
    return good_with(text, NULL);
}

/* Bad text: expected holds "where: text\n" of each error. */
static void bad_with(const char *text, const char *const *sets,
                     const char *expected)
{
    struct errs e = ERRS_EMPTY;
    char found[4096] = "";
    size_t len = 0;
    struct root *r;

    assert_true(read_text(text, sets, &r, &e) < 0);
    assert_null(doc);
    for (int i = 0; i < e.count; i++)
        text_add(found, sizeof(found), &len, "%s: %s\n", e.list[i].where,
                 e.list[i].text);
    assert_string_equal(found, expected);
    errs_free(&e);
}

static void bad(const char *text, const char *expected)
{
    bad_with(text, NULL, expected);
}

/* ---- what is read ---- */

static void absent_keys_have_their_defaults(void **state)
{
    struct root *r = good("{}");

    (void)state;
    assert_true(r->flag);
    assert_string_equal(r->text, "hello");
    assert_null(r->path);
    assert_int_equal(r->number, 7);
    assert_false(r->has_number);
    assert_int_equal(r->size, 4096);
    assert_int_equal(r->choice, 1);
    assert_int_equal(r->mode, 0600);
    assert_int_equal(r->list.count, 0);
    assert_null(r->leaf.name); /* required only if there is a leaf */
    assert_int_equal(r->leaf.mode, 0644);
    assert_null(r->shape.data);
    assert_int_equal(r->shapes.count, 0);
    conf_free(doc);
}

static void every_type_is_read(void **state)
{
    struct root *r = good(
        "{\"$schema\": {\"any\": [1]}, \"flag\": false, \"text\": \"\xc3\xa4\","
        " \"path\": \"a/b\", \"number\": 100, \"size\": \"3T\","
        " \"choice\": \"red\", \"mode\": \"0777\", \"list\": [\"a\", \"b\"],"
        " \"leaf\": {\"name\": \"n\", \"mode\": \"7\"},"
        " \"shape\": {\"area\": 9, \"type\": \"square\", \"sides\": 5},"
        " \"shapes\": [{\"type\": \"nest\", \"label\": \"abcde\", \"next\":"
        " {\"type\": \"square\", \"area\": \"1K\"}}],"
        " \"leaves\": [{\"name\": \"x\"}, {\"name\": \"y\"}]}");
    struct square *square;
    struct nest *nest;
    struct leaf *leaf;

    (void)state;
    assert_false(r->flag);
    assert_string_equal(r->text, "\xc3\xa4");
    assert_string_equal(r->path, "/etc/vub/a/b");
    assert_int_equal(r->number, 100);
    assert_true(r->has_number);
    assert_true(r->size == (UINT64_C(3) << 40));
    assert_int_equal(r->choice, 0);
    assert_int_equal(r->mode, 0777);
    assert_int_equal(r->list.count, 2);
    assert_string_equal(r->list.list[1], "b");
    assert_string_equal(r->leaf.name, "n");
    assert_int_equal(r->leaf.mode, 7);

    assert_ptr_equal(r->shape.table, &square_table);
    assert_string_equal(r->shape.at, "/shape");
    square = r->shape.data;
    assert_int_equal(square->area, 9);
    assert_int_equal(square->shape.sides, 5);

    assert_int_equal(r->shapes.count, 1);
    nest = r->shapes.list[0].data;
    assert_string_equal(nest->shape.label, "abcde");
    assert_int_equal(nest->shape.sides, 4);
    assert_string_equal(nest->next.at, "/shapes/0/next");
    square = nest->next.data;
    assert_int_equal(square->area, 1024);

    assert_int_equal(r->leaves.count, 2);
    assert_ptr_equal(r->leaves.list[1].table, &leaf_table);
    leaf = r->leaves.list[1].data;
    assert_string_equal(leaf->name, "y");
    assert_int_equal(leaf->mode, 0644);
    conf_free(doc);
}

static void other_ways_to_write_a_value(void **state)
{
    struct root *r =
        good("{\"number\": \"never\", \"list\": \"one\", \"leaf\": \"short\","
             " \"path\": \"/abs\", \"size\": 9007199254740991}");

    (void)state;
    assert_true(r->number == CONF_WORD(1));
    assert_int_equal(r->list.count, 1);
    assert_string_equal(r->list.list[0], "one");
    assert_string_equal(r->leaf.name, "short");
    assert_int_equal(r->leaf.mode, 0644);
    assert_string_equal(r->path, "/abs");
    assert_true(r->size == 9007199254740991u);
    conf_free(doc);
    r = good("{\"number\": 1e1, \"size\": \"18446744073709551615\"}");
    assert_int_equal(r->number, 10);
    assert_true(r->size == UINT64_MAX);
    conf_free(doc);
}

static void signed_and_hexadecimal_numbers(void **state)
{
    struct root *r = good("{\"offset\": -2147483648, \"vendor\": \"0x046D\"}");

    (void)state;
    assert_int_equal(r->offset, INT32_MIN);
    assert_int_equal(r->vendor, 0x46d);
    conf_free(doc);
    r = good("{\"offset\": 2147483647, \"vendor\": 1133}");
    assert_int_equal(r->offset, INT32_MAX);
    assert_int_equal(r->vendor, 0x46d);
    conf_free(doc);
    r = good("{}");
    assert_int_equal(r->offset, -3);
    conf_free(doc);
}

/* ---- what is refused ---- */

static void wrong_types_are_all_listed(void **state)
{
    (void)state;
    bad("{\"flag\": 1, \"text\": true, \"path\": \"\", \"number\": \"often\","
        " \"size\": \"64m\", \"choice\": \"blue\", \"mode\": 660,"
        " \"list\": 5, \"leaf\": 5, \"shape\": \"square\", \"shapes\": {},"
        " \"leaves\": [1]}",
        "/flag: must be true or false, not 1\n"
        "/text: must be a string, not true\n"
        "/path: must be a path, not \"\"\n"
        "/number: must be a whole number from 1 to 100, or \"always\" or "
        "\"never\", not \"often\"\n"
        "/size: must be a size: bytes, or a string like \"64M\", not "
        "\"64m\"\n"
        "/choice: must be \"red\" or \"green\", not \"blue\"\n"
        "/mode: must be permission bits, octal, in a string like \"0660\", "
        "not 660\n"
        "/list: must be a string, or a list of strings, not 5\n"
        "/leaf: must be a string or an object, not 5\n"
        "/shape: must be an object, not \"square\"\n"
        "/shapes: must be a list of at most 3 objects, not an object\n"
        "/leaves/0: must be an object, not 1\n");
}

static void ranges_are_held(void **state)
{
    (void)state;
    bad("{\"number\": 0, \"size\": -1}",
        "/number: must be a whole number from 1 to 100, or \"always\" or "
        "\"never\", not 0\n"
        "/size: must be a size: bytes, or a string like \"64M\", not -1\n");
    bad("{\"number\": 101, \"size\": 9007199254740992}",
        "/number: must be a whole number from 1 to 100, or \"always\" or "
        "\"never\", not 101\n"
        "/size: a number of 2^53 or more is not exact in JSON: write it as a "
        "string\n");
    bad("{\"offset\": 2147483648, \"vendor\": 65536}",
        "/offset: must be a whole number from -2147483648 to 2147483647, not "
        "2147483648\n"
        "/vendor: must be a whole number from 0 to 65535, or a string like "
        "\"0x006d\", not 65536\n");
    bad("{\"offset\": \"1\", \"vendor\": \"046d\"}",
        "/offset: must be a whole number from -2147483648 to 2147483647, not "
        "\"1\"\n"
        "/vendor: must be a whole number from 0 to 65535, or a string like "
        "\"0x006d\", not \"046d\"\n");
    bad("{\"number\": 1.5, \"size\": 0.5}",
        "/number: must be a whole number from 1 to 100, or \"always\" or "
        "\"never\", not 1.5\n"
        "/size: must be a size: bytes, or a string like \"64M\", not 0.5\n");
    bad("{\"number\": 1e300, \"size\": \"18446744073709551616\"}",
        "/number: must be a whole number from 1 to 100, or \"always\" or "
        "\"never\", not 1e+300\n"
        "/size: must be a size: bytes, or a string like \"64M\", not "
        "\"18446744073709551616\"\n");
    bad("{\"mode\": \"1777\", \"size\": \"16777216T\"}",
        "/mode: must be permission bits, octal, in a string like \"0660\", "
        "not \"1777\"\n"
        "/size: must be a size: bytes, or a string like \"64M\", not "
        "\"16777216T\"\n");
    bad("{\"mode\": \"\", \"list\": [], \"shape\": {\"type\": \"square\","
        " \"area\": 0, \"label\": \"abcdef\"}}",
        "/mode: must be permission bits, octal, in a string like \"0660\", "
        "not \"\"\n"
        "/list: the list is empty: leave the key out instead\n"
        "/shape/area: must be a size of at least 1: bytes, or a string like "
        "\"64M\", not 0\n"
        "/shape/label: must be a string of at most 5 bytes, this has 6\n");
    bad("{\"list\": [\"a\", 1, \"\"], \"shapes\": [{}, {}, {}, {}]}",
        "/list/1: must be a string\n"
        "/list/2: must not be an empty string\n"
        "/shapes: must be a list of at most 3 objects, this has 4\n"
        "/shapes/0/type: is missing: the type of a shape is \"square\" or "
        "\"nest\"\n"
        "/shapes/1/type: is missing: the type of a shape is \"square\" or "
        "\"nest\"\n"
        "/shapes/2/type: is missing: the type of a shape is \"square\" or "
        "\"nest\"\n"
        "/shapes/3/type: is missing: the type of a shape is \"square\" or "
        "\"nest\"\n");
}

static void odd_numbers(void **state)
{
    struct root *r = good("{\"size\": -0, \"number\": 1e2}");

    (void)state;
    assert_int_equal(r->size, 0);
    assert_int_equal(r->number, 100);
    conf_free(doc);
    bad("{\"number\": 1e400}",
        "/number: must be a whole number from 1 to 100, or \"always\" or "
        "\"never\", not a number beyond all bounds\n");
    bad("{\"size\": -1e400}", "/size: must be a size: bytes, or a string like "
                              "\"64M\", not a number beyond all bounds\n");
    bad("{\"number\": -0}",
        "/number: must be a whole number from 1 to 100, or \"always\" or "
        "\"never\", not -0\n");
}

/* However long they are, and whatever they are made of. */
static void values_are_shown_whole_or_by_their_start(void **state)
{
    (void)state;
    bad("{\"choice\": \"1234567890123456789012345678901234567890\"}",
        "/choice: must be \"red\" or \"green\", not "
        "\"1234567890123456789012345678901234567890\"\n");
    bad("{\"choice\": \"123456789012345678901234567890123456789\xc3\xa4\"}",
        "/choice: must be \"red\" or \"green\", not "
        "\"123456789012345678901234567890123456789...\"\n");
}

static void unknown_keys_are_explained(void **state)
{
    (void)state;
    bad("{\"flga\": true, \"fl\": 1, \"colour\": 1}",
        "/flga: there is no such key; did you mean \"flag\"?\n"
        "/fl: there is no such key; the keys here are $schema, flag, text, "
        "path, number, size, offset, vendor, choice, mode, list, leaf, shape, "
        "shapes, leaves\n"
        "/colour: there is no such key; the keys here are $schema, flag, "
        "text, path, number, size, offset, vendor, choice, mode, list, leaf, "
        "shape, shapes, "
        "leaves\n");
    bad("{\"shape\": {\"type\": \"square\", \"area\": 1, \"tyype\": 1}}",
        "/shape/tyype: there is no such key; did you mean \"type\"?\n");
    bad("{\"shape\": {\"type\": \"sqare\"}}",
        "/shape/type: the type of a shape is \"square\" or \"nest\", not "
        "\"sqare\"\n");
    bad("{\"shape\": {\"type\": 4}}",
        "/shape/type: the type of a shape is \"square\" or \"nest\", not 4\n");
}

static void duplicates_are_found_everywhere(void **state)
{
    (void)state;
    bad("{\"flag\": true, \"flag\": true, \"flag\": 1,"
        " \"$schema\": [{\"a\": 1, \"a\": 2}]}",
        "/flag: the key is given more than once\n"
        "/$schema/0/a: the key is given more than once\n");
}

static void missing_keys_are_named(void **state)
{
    (void)state;
    bad("{\"leaf\": {}, \"shape\": {\"type\": \"nest\"}}",
        "/leaf/name: is missing\n"
        "/shape/next: is missing\n");
}

static void pointers_are_escaped(void **state)
{
    (void)state;
    bad("{\"a/b~c\": 1}",
        "/a~1b~0c: there is no such key; the keys here are $schema, flag, "
        "text, path, number, size, offset, vendor, choice, mode, list, leaf, "
        "shape, shapes, "
        "leaves\n");
}

static void a_document_is_an_object(void **state)
{
    (void)state;
    bad("[]", ": the document must be an object, not a list\n");
    bad("{]", "line 1, column 2: a key in double quotes is wanted here, not "
              "]\n");
}

static void rules_between_keys_wait_for_good_keys(void **state)
{
    (void)state;
    bad("{\"shape\": {\"type\": \"square\", \"area\": 13}}",
        "/shape: brings bad luck\n");
    bad("{\"shape\": {\"type\": \"square\", \"area\": 13, \"sides\": -1}}",
        "/shape/sides: must be a whole number from 0 to 4294967295, not -1\n");
    /* Errors inside elements of a list do not keep the list's rules away. */
    root_checks = 0;
    bad("{\"shapes\": [{\"type\": \"square\"}]}",
        "/shapes/0/area: is missing\n");
    assert_int_equal(root_checks, 1);
    bad("{\"shape\": {\"type\": \"square\"}}", "/shape/area: is missing\n");
    assert_int_equal(root_checks, 1);
}

static void a_flood_of_errors_is_counted(void **state)
{
    char text[8192] = "{";
    size_t len = 1;
    struct errs e = ERRS_EMPTY;
    struct root *r;

    (void)state;
    for (int i = 0; i < 500; i++)
        text_add(text, sizeof(text), &len, "%s\"k%d\": 1", i ? "," : "", i);
    text_add(text, sizeof(text), &len, "}");
    assert_true(read_text(text, NULL, &r, &e) < 0);
    assert_int_equal(e.count, ERRS_MAX);
    assert_int_equal(e.more, 500 - ERRS_MAX);
    assert_string_equal(e.list[ERRS_MAX - 1].where, "/k99");
    errs_free(&e);
}

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
    assert_true(read_text("{\"flag\": true}", sets, &r, &e) < 0);
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
    assert_true(read_text("{}", grow, &r, &e) < 0);
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

/* ---- files ---- */

static void file_error(const char *path, const char *expected)
{
    struct errs e = ERRS_EMPTY;
    void *out;

    assert_true(conf_read_file(&doc, &out, &root_table, path, NULL, &e) < 0);
    assert_int_equal(e.count, 1);
    assert_string_equal(e.list[0].text, expected);
    errs_free(&e);
}

static void files_that_cannot_be_read(void **state)
{
    (void)state;
    file_error("/nonexistent/vub.json",
               "cannot be opened: No such file or directory");
    file_error("/", "is a directory, not a file");
    file_error("/dev/null", "the file is empty");
    file_error("/dev/zero", "the file is larger than 4 MiB");
}

/* ---- documents ---- */

static void schema_and_man_page_hold_every_key(void **state)
{
    char *schema = NULL, *man = NULL;
    size_t len;
    FILE *f;

    (void)state;
    f = open_memstream(&schema, &len);
    conf_schema_write(f, &root_table);
    fclose(f);
    f = open_memstream(&man, &len);
    conf_man_write(f, &root_table);
    fclose(f);
    for (const struct conf_key *k = root_keys; k->name; k++) {
        char quoted[40];

        snprintf(quoted, sizeof(quoted), "\"%s\": {", k->name);
        assert_non_null(strstr(schema, quoted));
        snprintf(quoted, sizeof(quoted), ".It Cm %s\n", k->name);
        assert_non_null(strstr(man, quoted));
    }
    /* A union that contains itself is written once. */
    assert_non_null(strstr(schema, "\"$ref\": \"#/$defs/shape\""));
    assert_null(strstr(strstr(schema, "\"shape\": {\n      \"oneOf\"") + 1,
                       "\"shape\": {\n      \"oneOf\""));
    free(schema);
    free(man);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_keys_have_their_defaults),
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(other_ways_to_write_a_value),
        cmocka_unit_test(signed_and_hexadecimal_numbers),
        cmocka_unit_test(wrong_types_are_all_listed),
        cmocka_unit_test(ranges_are_held),
        cmocka_unit_test(odd_numbers),
        cmocka_unit_test(values_are_shown_whole_or_by_their_start),
        cmocka_unit_test(unknown_keys_are_explained),
        cmocka_unit_test(duplicates_are_found_everywhere),
        cmocka_unit_test(missing_keys_are_named),
        cmocka_unit_test(pointers_are_escaped),
        cmocka_unit_test(a_document_is_an_object),
        cmocka_unit_test(rules_between_keys_wait_for_good_keys),
        cmocka_unit_test(a_flood_of_errors_is_counted),
        cmocka_unit_test(sets_change_add_and_append),
        cmocka_unit_test(bad_sets_are_told_with_their_text),
        cmocka_unit_test(sets_have_a_depth_and_a_length),
        cmocka_unit_test(sets_are_read_like_the_file),
        cmocka_unit_test(sizes_are_exact),
        cmocka_unit_test(slips_have_a_distance),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(schema_and_man_page_hold_every_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
