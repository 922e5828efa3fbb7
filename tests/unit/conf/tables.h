/* A config of every type of key, and what reads it. */
#ifndef VUB_TESTS_CONF_TABLES_H
#define VUB_TESTS_CONF_TABLES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "conf/conf.h"

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

extern const struct conf_table leaf_table, square_table, nest_table, root_table;
extern int root_checks; /* how often the root's rules were checked */

extern struct conf_doc *doc; /* what was read last */

/* Into *r, and doc; as conf_read_text. */
int read_root(const char *text, const char *const *sets, struct root **r,
              struct errs *e);
/* Good text, read; end with conf_free(doc). */
struct root *good_with(const char *text, const char *const *sets);
struct root *good(const char *text);
/* Bad text: expected holds "where: text\n" of each error. */
void bad_with(const char *text, const char *const *sets, const char *expected);
void bad(const char *text, const char *expected);

#endif
