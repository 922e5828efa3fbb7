#include "ask.h"

#include <stdlib.h>
#include <string.h>

static void on_answered(struct call *c, const struct err *e)
{
    struct asked *a = container_of(c, struct asked, call);

    assert_false(a->answered);
    a->answered = true;
    if (e)
        a->e = *e;
}

static const struct command *find(const char *name)
{
    const struct command *c = input_commands;

    while (strcmp(c->name, name) != 0)
        c++;
    return c;
}

static int read_params(const struct command *c, const char *params,
                       struct conf_doc **doc, void **args, struct errs *e)
{
    char text[4096];

    assert_true(strlen(params) < sizeof(text));
    strcpy(text, params);
    for (char *at = text; *at; at++)
        if (*at == '\'')
            *at = '"';
    return conf_read_text(doc, args, c->params, text, strlen(text), "/", NULL,
                          e);
}

struct asked *ask(struct pad *p, const char *name, const char *params)
{
    struct asked *a = calloc(1, sizeof(*a));
    const struct command *c = find(name);
    struct errs errs = ERRS_EMPTY;
    void *args;

    assert_non_null(a);
    if (read_params(c, params, &a->doc, &args, &errs) < 0)
        fail_msg("%s: %s", errs.list[0].where, errs.list[0].text);
    a->call.args = args;
    a->call.out = JSON_OUT_EMPTY;
    a->call.answered = on_answered;
    json_begin(&a->call.out, NULL, '{');
    c->run(p->device, &a->call);
    return a;
}

void asked_free(struct asked *a)
{
    assert_true(a->answered);
    json_out_free(&a->call.out);
    conf_free(a->doc);
    free(a);
}

void ask_wait(struct pad *p, struct asked *a)
{
    while (!a->answered)
        uv_run(&p->loop.uv, UV_RUN_ONCE);
}

void ask_refused(const char *name, const char *params, const char *where,
                 const char *text)
{
    struct errs errs = ERRS_EMPTY;
    struct conf_doc *doc;
    void *args;

    assert_true(read_params(find(name), params, &doc, &args, &errs) < 0);
    assert_string_equal(errs.list[0].where, where);
    assert_string_equal(errs.list[0].text, text);
    errs_free(&errs);
}

void ask_expect_error(struct asked *a, int code, const char *where,
                      const char *text)
{
    assert_true(a->answered);
    assert_int_equal(a->e.code, code);
    assert_string_equal(a->e.where, where);
    assert_string_equal(a->e.text, text);
    asked_free(a);
}

void ask_expect_done(struct asked *a, const char *out)
{
    assert_true(a->answered);
    if (a->e.code)
        fail_msg("%s: %s", a->e.where, a->e.text);
    json_end(&a->call.out, '}');
    assert_string_equal(a->call.out.text, out);
    asked_free(a);
}

struct pad *pad_listening(const char *preset)
{
    struct pad *p = pad_preset(preset);

    pad_start(p, false, 64, 64);
    pad_settle(p);
    return p;
}
