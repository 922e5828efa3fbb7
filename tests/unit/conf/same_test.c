/* conf/: what differs between two configs, and keys that may change while they
 * are in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/conf.h"

struct part {
    const char *name;
    uint32_t rate;
    uint64_t size;
    bool has_rate, has_size;
    struct conf_any below;
};

struct root {
    struct conf_any part;
    struct conf_anys parts;
};

static const struct conf_union part_union;

static const struct conf_key part_keys[] = {
    {"name", CONF_STR, CONF_AT(struct part, name)},
    {"rate", CONF_U32, CONF_AT(struct part, rate), .live = true,
     .seen_offset = CONF_SEEN(struct part, has_rate)},
    {"size", CONF_SIZE, CONF_AT(struct part, size), .live = true,
     .seen_offset = CONF_SEEN(struct part, has_size)},
    {"below", CONF_UNION, CONF_AT(struct part, below), .of = &part_union},
    {NULL},
};

static const struct conf_table part_table = {
    .name = "part", .size = sizeof(struct part), .keys = part_keys};
static const struct conf_table *const part_tables[] = {&part_table, NULL};
static const struct conf_union part_union = {"part", NULL, part_tables};

static const struct conf_key root_keys[] = {
    {"part", CONF_UNION, CONF_AT(struct root, part), .of = &part_union},
    {"parts", CONF_UNIONS, CONF_AT(struct root, parts), .of = &part_union},
    {NULL},
};

static const struct conf_table root_table = {
    .name = "root", .size = sizeof(struct root), .keys = root_keys};

struct conf {
    struct conf_doc *doc;
    struct conf_any any;
};

/* ' stands for ". */
static struct conf read_conf(const char *text)
{
    struct conf c = {.any = {.table = &root_table}};
    struct errs e = ERRS_EMPTY;
    char *json = strdup(text);

    assert_non_null(json);
    for (char *p = json; *p; p++)
        if (*p == '\'')
            *p = '"';
    assert_int_equal(conf_read_text(&c.doc, &c.any.data, &root_table, json,
                                    strlen(json), "/", NULL, &e),
                     0);
    free(json);
    return c;
}

#define PART(keys) "{'type': 'part'" keys "}"

static void numbers_that_are_live_may_differ(void **state)
{
    static const struct {
        const char *a, *b;
        bool same, but_live;
    } rows[] = {
        {"{}", "{}", true, true},
        {"{'part': " PART("") "}", "{}", false, false},
        {"{'part': " PART(", 'size': '1K'") "}",
         "{'part': " PART(", 'size': 1024") "}", true, true},
        {"{'part': " PART(", 'rate': 1") "}",
         "{'part': " PART(", 'rate': 2") "}", false, true},
        {"{'part': " PART(", 'rate': 0") "}", "{'part': " PART("") "}", false,
         true},
        {"{'part': " PART(", 'rate': 1, 'name': 'a'") "}",
         "{'part': " PART(", 'rate': 2, 'name': 'b'") "}", false, false},
        {"{'parts': [" PART(", 'below': " PART(", 'size': 1")) "]}",
         "{'parts': [" PART(", 'below': " PART(", 'size': 2")) "]}", false,
         true},
        {"{'parts': [" PART("") "]}", "{'parts': [" PART("") ", " PART("") "]}",
         false, false},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct conf a = read_conf(rows[i].a), b = read_conf(rows[i].b);

        assert_int_equal(conf_same(&a.any, &b.any, NULL), rows[i].same);
        assert_int_equal(conf_same_but_live(&a.any, &b.any, NULL),
                         rows[i].but_live);
        assert_int_equal(conf_digest(&a.any, NULL) == conf_digest(&b.any, NULL),
                         rows[i].same);
        conf_free(a.doc);
        conf_free(b.doc);
    }
}

static void live_numbers_are_swapped_and_taken(void **state)
{
    struct conf a = read_conf("{'part': " PART(", 'rate': 1, 'below': " PART(
        ", 'size': 10")) ","
                         " 'parts': [" PART(", 'rate': 3") "]}");
    struct conf b = read_conf("{'part': " PART(", 'size': '5T', 'below': " PART(
        ", 'size': 20")) ","
                         " 'parts': [" PART(", 'rate': 4") "]}");
    const struct root *x = a.any.data, *y = b.any.data;
    const struct part *p = x->part.data, *q = y->part.data, *below;

    (void)state;
    conf_swap_live(&a.any, &b.any, NULL);
    assert_false(p->has_rate);
    assert_true(p->has_size && p->size == UINT64_C(5) << 40);
    assert_true(q->has_rate && q->rate == 1 && !q->has_size);
    below = p->below.data;
    assert_int_equal(below->size, 20);
    below = q->below.data;
    assert_int_equal(below->size, 10);
    assert_int_equal(((struct part *)x->parts.list[0].data)->rate, 4);
    conf_take_live(&b.any, &a.any, NULL);
    assert_true(conf_same(&a.any, &b.any, NULL));
    assert_int_equal(below->size, 20);
    conf_free(a.doc);
    conf_free(b.doc);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_that_are_live_may_differ),
        cmocka_unit_test(live_numbers_are_swapped_and_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
