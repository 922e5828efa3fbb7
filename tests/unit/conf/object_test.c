/* An object of a parsed text is read by the keys of two tables. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "conf/json.h"

struct first {
    const char *device;
};

struct second {
    uint64_t size;
    uint32_t count;
    const char *path;
};

static const struct conf_key first_keys[] = {
    {"device", CONF_STR, CONF_AT(struct first, device), .required = true},
    {NULL},
};

static const struct conf_key second_keys[] = {
    {"size", CONF_SIZE, CONF_AT(struct second, size), .min = 512},
    {"count", CONF_U32, CONF_AT(struct second, count), .def = "7"},
    {"path", CONF_PATH, CONF_AT(struct second, path)},
    {NULL},
};

static void second_check(void *data, const char *at, struct errs *e)
{
    struct second *s = data;

    if (s->count == 13)
        errs_at(e, at, "count", "is unlucky");
}

static const struct conf_table first_table = {.size = sizeof(struct first),
                                              .keys = first_keys};
static const struct conf_table second_table = {
    .size = sizeof(struct second), .keys = second_keys, .check = second_check};
static const struct conf_table *const both[] = {&first_table, &second_table};

struct reading {
    struct json *tree;
    struct conf_doc *doc;
    void *out[2];
    struct errs e;
    int rc;
};

/* text NULL: no object at all. */
static void read_it(struct reading *r, const char *text,
                    const struct conf_table *const tables[2], const char *name)
{
    *r = (struct reading){.doc = conf_new(), .e = ERRS_EMPTY};
    assert_non_null(r->doc);
    if (text) {
        r->tree = json_parse(text, strlen(text), NULL);
        assert_non_null(r->tree);
    }
    r->rc =
        conf_read_object(r->doc, r->out, tables, r->tree, name, "/dir", &r->e);
    assert_int_equal(r->rc<0, r->e.count> 0);
}

static void free_it(struct reading *r)
{
    json_free(r->tree);
    conf_free(r->doc);
    errs_free(&r->e);
}

static void expect(const char *text, const char *where, const char *sentence)
{
    struct reading r;

    read_it(&r, text, both, "params");
    assert_int_equal(r.e.count, 1);
    assert_string_equal(r.e.list[0].where, where);
    assert_string_equal(r.e.list[0].text, sentence);
    free_it(&r);
}

static void keys_of_both_tables_are_read(void **state)
{
    const struct second *second;
    struct reading r;

    (void)state;
    read_it(&r, "{\"size\": \"1M\", \"device\": \"d\"}", both, "params");
    assert_int_equal(r.rc, 0);
    assert_string_equal(((struct first *)r.out[0])->device, "d");
    second = r.out[1];
    assert_int_equal(second->size, 1 << 20);
    assert_int_equal(second->count, 7);
    free_it(&r);
}

static void a_relative_path_starts_in_the_directory(void **state)
{
    struct reading r;

    (void)state;
    read_it(&r, "{\"device\": \"d\", \"path\": \"a/b\"}", both, "params");
    assert_string_equal(((struct second *)r.out[1])->path, "/dir/a/b");
    free_it(&r);
    read_it(&r, "{\"device\": \"d\", \"path\": \"/a/b\"}", both, "params");
    assert_string_equal(((struct second *)r.out[1])->path, "/a/b");
    free_it(&r);
}

static void errors_are_those_of_a_config(void **state)
{
    (void)state;
    expect("{\"device\": \"d\", \"size\": 1}", "/params/size",
           "must be a size of at least 512: bytes, or a string like \"64M\", "
           "not 1");
    expect("{\"size\": 512}", "/params/device", "is missing");
    expect("{\"device\": \"d\", \"siz\": 512}", "/params/siz",
           "there is no such key; did you mean \"size\"?");
    expect("{\"device\": \"d\", \"volume\": 512}", "/params/volume",
           "there is no such key; the keys here are device, size, "
           "count, path");
    expect("{\"device\": \"d\", \"device\": \"e\"}", "/params/device",
           "the key is given more than once");
    expect("{\"device\": \"d\", \"count\": 13}", "/params/count", "is unlucky");
    expect("[\"d\"]", "/params", "must be an object, not a list");
}

static void no_object_has_no_keys(void **state)
{
    static const struct conf_table *const none[] = {NULL, NULL};
    static const struct conf_table *const one[] = {NULL, &second_table};
    struct reading r;

    (void)state;
    expect(NULL, "/params/device", "is missing");
    read_it(&r, NULL, one, "params");
    assert_int_equal(r.rc, 0);
    assert_null(r.out[0]);
    assert_int_equal(((struct second *)r.out[1])->count, 7);
    free_it(&r);
    read_it(&r, NULL, none, "params");
    assert_int_equal(r.rc, 0);
    free_it(&r);
    read_it(&r, "{\"a\": 1}", none, "params");
    assert_string_equal(r.e.list[0].text,
                        "there is no such key; there are none here");
    free_it(&r);
}

static void the_whole_has_no_name(void **state)
{
    struct reading r;

    (void)state;
    read_it(&r, "{}", both, NULL);
    assert_string_equal(r.e.list[0].where, "/device");
    free_it(&r);
    read_it(&r, "5", both, NULL);
    assert_string_equal(r.e.list[0].where, "");
    free_it(&r);
}

static void values_are_put_and_written(void **state)
{
    struct json *tree = json_parse("{}", 2, NULL);
    struct err e;
    char *text;

    (void)state;
    assert_int_equal(json_put(tree, "/a", 2, "5", false, "a", &e), 0);
    assert_int_equal(json_put(tree, "/b", 2, "5", true, "b", &e), 0);
    assert_int_equal(json_put(tree, "/c/d", 4, "[1,\"x\"]", false, "c", &e), 0);
    assert_int_equal(json_put(tree, "/e", 2, "plain", false, "e", &e), 0);
    text = json_text(tree);
    assert_string_equal(
        text, "{\"a\":5,\"b\":\"5\",\"c\":{\"d\":[1,\"x\"]},\"e\":\"plain\"}");
    free(text);
    assert_int_equal(json_put(tree, "/c", 2,
                              "[9007199254740991,-0.1,1e300,null,true]", false,
                              "c", &e),
                     0);
    assert_int_equal(json_put(tree, "/e", 2, "q\"\\\n", true, "e", &e), 0);
    text = json_text(tree);
    assert_string_equal(text, "{\"a\":5,\"b\":\"5\",\"c\":[9007199254740991,"
                              "-0.10000000000000001,1.0000000000000001e+300,"
                              "null,true],\"e\":\"q\\\"\\\\\\u000a\"}");
    free(text);
    assert_int_equal(json_put(tree, "/a/b", 4, "1", false, "a.b", &e), -EINVAL);
    assert_string_equal(e.where, "a.b");
    json_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_both_tables_are_read),
        cmocka_unit_test(a_relative_path_starts_in_the_directory),
        cmocka_unit_test(errors_are_those_of_a_config),
        cmocka_unit_test(no_object_has_no_keys),
        cmocka_unit_test(the_whole_has_no_name),
        cmocka_unit_test(values_are_put_and_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
