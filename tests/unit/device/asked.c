#include "asked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void on_answered(struct call *c, const struct err *e)
{
    struct asked *a = container_of(c, struct asked, call);

    assert_false(a->answered);
    a->answered = true;
    if (e)
        a->e = *e;
}

static const struct command *find(const struct command *c, const char *name)
{
    while (strcmp(c->name, name) != 0)
        c++;
    return c;
}

static int read_params(struct conf_doc **doc, void **args,
                       const struct command *c, const char *params,
                       struct errs *errs)
{
    char text[4096], dir[256];

    assert_true(strlen(params) < sizeof(text));
    strcpy(text, params);
    for (char *at = text; *at; at++)
        if (*at == '\'')
            *at = '"';
    assert_non_null(getcwd(dir, sizeof(dir)));
    return conf_read_text(doc, args, c->params, text, strlen(text), dir, NULL,
                          errs);
}

struct asked *asked_new(struct device *d, const struct command *commands,
                        const char *name, const char *params)
{
    struct asked *a = calloc(1, sizeof(*a));
    const struct command *c = find(commands, name);
    struct errs errs = ERRS_EMPTY;
    void *args;

    assert_non_null(a);
    if (read_params(&a->doc, &args, c, params, &errs) < 0)
        fail_msg("%s: %s", errs.list[0].where, errs.list[0].text);
    a->call.args = args;
    a->call.doc = a->doc;
    a->call.out = JSON_OUT_EMPTY;
    a->call.answered = on_answered;
    list_init(&a->call.node);
    json_begin(&a->call.out, NULL, '{');
    c->run(d, &a->call);
    return a;
}

void asked_free(struct asked *a)
{
    assert_true(a->answered);
    json_out_free(&a->call.out);
    conf_free(a->doc);
    free(a);
}

void asked_refused(const struct command *commands, const char *name,
                   const char *params, const char *where, const char *text)
{
    struct errs errs = ERRS_EMPTY;
    struct conf_doc *doc;
    void *args;

    assert_true(read_params(&doc, &args, find(commands, name), params, &errs) <
                0);
    assert_string_equal(errs.list[0].where, where);
    assert_string_equal(errs.list[0].text, text);
    errs_free(&errs);
}
