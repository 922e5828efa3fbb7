/* conf/: tables of every type of key, read from text and files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/docs.h"
#include "conf/text.h"
#include "tables.h"

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
    assert_true(read_root(text, NULL, &r, &e) < 0);
    assert_int_equal(e.count, ERRS_MAX);
    assert_int_equal(e.more, 500 - ERRS_MAX);
    assert_string_equal(e.list[ERRS_MAX - 1].where, "/k99");
    errs_free(&e);
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
    for (const struct conf_key *k = root_table.keys; k->name; k++) {
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
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(schema_and_man_page_hold_every_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
