#include "ask.h"

struct asked *ask(struct pad *p, const char *name, const char *params)
{
    return asked_new(p->device, input_commands, name, params);
}

void ask_wait(struct pad *p, struct asked *a)
{
    while (!a->answered)
        uv_run(&p->loop.uv, UV_RUN_ONCE);
}

void ask_refused(const char *name, const char *params, const char *where,
                 const char *text)
{
    asked_refused(input_commands, name, params, where, text);
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
