/* See tables.h. */
#include "tables.h"

#include "conf/text.h"

static const char *const number_words[] = {"always", "never", NULL};
static const char *const choices[] = {"red", "green", NULL};

static const struct conf_key leaf_keys[] = {
    {"name", CONF_STR, CONF_AT(struct leaf, name), .required = true},
    {"mode", CONF_MODE, CONF_AT(struct leaf, mode), .def = "\"0644\""},
    {NULL},
};
const struct conf_table leaf_table = {
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
const struct conf_table square_table = {.name = "square",
                                        .size = sizeof(struct square),
                                        .keys = square_keys,
                                        .check = check_square};

static const struct conf_union shape_union;
static const struct conf_key nest_keys[] = {
    {"next", CONF_UNION, CONF_AT(struct nest, next), .required = true,
     .of = &shape_union},
    {NULL},
};
const struct conf_table nest_table = {
    .name = "nest", .size = sizeof(struct nest), .keys = nest_keys};

static const struct conf_table *const shape_tables[] = {&square_table,
                                                        &nest_table, NULL};
static const struct conf_union shape_union = {
    .what = "shape", .common = shape_keys, .tables = shape_tables};

int root_checks;

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
const struct conf_table root_table = {.name = "root",
                                      .size = sizeof(struct root),
                                      .keys = root_keys,
                                      .check = check_root};

struct conf_doc *doc;

int read_root(const char *text, const char *const *sets, struct root **r,
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

struct root *good_with(const char *text, const char *const *sets)
{
    struct errs e = ERRS_EMPTY;
    struct root *r;

    if (read_root(text, sets, &r, &e) != 0)
        fail_msg("%s: %s", e.list[0].where, e.list[0].text);
    assert_int_equal(e.count, 0);
    return r;
}

struct root *good(const char *text)
{
    return good_with(text, NULL);
}

void bad_with(const char *text, const char *const *sets, const char *expected)
{
    struct errs e = ERRS_EMPTY;
    char found[4096] = "";
    size_t len = 0;
    struct root *r;

    assert_true(read_root(text, sets, &r, &e) < 0);
    assert_null(doc);
    for (int i = 0; i < e.count; i++)
        text_add(found, sizeof(found), &len, "%s: %s\n", e.list[i].where,
                 e.list[i].text);
    assert_string_equal(found, expected);
    errs_free(&e);
}

void bad(const char *text, const char *expected)
{
    bad_with(text, NULL, expected);
}
