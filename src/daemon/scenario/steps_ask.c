/* Steps that ask vub: commands as they are, pictures, and what is to be so. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "daemon/scenario/engine.h"
#include "daemon/scenario/look.h"
#include "daemon/scenario/steps.h"
#include "loop/loop.h"

#define MS_NS UINT64_C(1000000)
#define GRACE_MS 10000 /* for a command beyond its own timeout_ms */

static void show(struct engine *g, const struct json *n)
{
    char *text = json_text(n);

    if (text)
        engine_show(g, text);
    free(text);
}

/* A file that vub has written. */
static void add_picture(struct engine *g, const char *device, uint32_t scanout,
                        const struct json *result)
{
    const char *path = json_member_string(result, "path");
    size_t len = strlen(path);
    struct record_picture *p;
    char title[160];

    if (len < 4 || strcmp(path + len - 4, ".png") != 0)
        return;
    snprintf(title, sizeof(title), "%s, scanout %u", device, scanout);
    p = record_add_picture(engine_step(g), title, path,
                           json_member_string(result, "hash"));
    if (!p)
        return;
    p->width = (unsigned)json_member_number(result, "width");
    p->height = (unsigned)json_member_number(result, "height");
}

/* ---- commands ---- */

int step_command(struct engine *g, const struct conf_keyed_one *s,
                 struct err *e)
{
    const char *name = plan_kind(s)->row.name;
    const struct json *result;
    struct json *sent;
    uint32_t own_ms;
    char *params = plan_params(s, g->scenario->dir, g->timeout_ms, &own_ms);

    if (!params)
        return err_nomem(e);
    /* It says better why its time is over. */
    if (own_ms)
        g->deadline_ns =
            MAX(g->deadline_ns,
                loop_now_ns() + ((uint64_t)own_ms + GRACE_MS) * MS_NS);
    result = engine_ask(g, name, params, e);
    if (result) {
        show(g, result);
        sent = json_parse(params, strlen(params), NULL);
        if (strcmp(name, "gpu.screenshot") == 0)
            add_picture(g, json_member_string(sent, "device"),
                        (uint32_t)json_member_number(sent, "scanout"), result);
        json_free(sent);
    }
    free(params);
    return result ? 0 : e->code;
}

/* ---- pictures ---- */

char *engine_picture_path(struct engine *g, const char *file)
{
    char *path;

    if (!file && !g->report)
        return NULL;
    if (file && (strchr(file, '/') || !g->report))
        return plan_path(file, g->scenario->dir);
    if (file)
        return asprintf(&path, "%s/%s", g->report, file) < 0 ? NULL : path;
    return asprintf(&path, "%s/screenshot-%u.png", g->report,
                    ++g->num_pictures) < 0
               ? NULL
               : path;
}

int engine_picture(struct engine *g, const char *device, uint32_t scanout,
                   bool cursor, const char *path, struct err *e)
{
    struct json_out o = JSON_OUT_EMPTY;
    const struct json *result;

    json_begin(&o, NULL, '{');
    json_add_str(&o, "device", device);
    json_add_u64(&o, "scanout", scanout);
    json_add_bool(&o, "cursor", cursor);
    if (path)
        json_add_str(&o, "path", path);
    json_end(&o, '}');
    if (o.failed)
        return err_nomem(e);
    result = engine_ask(g, path ? "gpu.screenshot" : "gpu.hash", o.text, e);
    json_out_free(&o);
    if (!result)
        return e->code;
    add_picture(g, device, scanout, result);
    if (!g->cleaning)
        show(g, result);
    return 0;
}

int step_screenshot(struct engine *g, const struct conf_keyed_one *s,
                    struct err *e)
{
    const struct screenshot_step *p = s->data[0];
    char *path = engine_picture_path(g, p->file);
    int rc;

    if (!path && (p->file || g->report))
        return err_nomem(e);
    rc = engine_picture(g, p->device, p->scanout, p->cursor, path, e);
    free(path);
    return rc;
}

/* ---- what is to be so ---- */

#define FIRST_PAUSE_MS 20
#define LONGEST_PAUSE_MS 500

int engine_pause(struct engine *g, uint32_t *ms, const char *what,
                 struct err *e)
{
    uint64_t then;
    int rc = 0;

    *ms = *ms ? MIN(*ms * 2, (uint32_t)LONGEST_PAUSE_MS) : FIRST_PAUSE_MS;
    then = loop_now_ns() + *ms * MS_NS;
    while (rc == 0 && loop_now_ns() < then)
        rc = engine_turn(g, then, what, e);
    return rc;
}

int engine_too_late(const struct engine *g, const char *what, struct err *e)
{
    if (e->code != -ETIMEDOUT || !what[0])
        return e->code;
    return err_set(e, -ETIMEDOUT, "", "after %u ms %s", g->timeout_ms, what);
}

const struct json *engine_ask_of(struct engine *g, const char *method,
                                 const char *device, struct err *e)
{
    struct json_out o = JSON_OUT_EMPTY;
    const struct json *result, *list;

    json_begin(&o, NULL, '{');
    if (device)
        json_add_str(&o, "device", device);
    json_end(&o, '}');
    if (o.failed) {
        err_nomem(e);
        return NULL;
    }
    result = engine_ask(g, method, o.text, e);
    json_out_free(&o);
    if (!result || !device)
        return result;
    list = json_member(result, "devices");
    if (list && json_type(list) == JSON_ARRAY && json_first(list))
        return json_first(list);
    err_set(e, -ENODEV, "", "nothing is told of \"%.64s\"", device);
    return NULL;
}

int step_expect(struct engine *g, const struct conf_keyed_one *s, struct err *e)
{
    const struct plan_common *common = s->common;
    const struct expect_step *x = s->data[0];
    const char *method = x->of == 0 ? "stats" : "status";
    const struct json *n;
    uint32_t pause_ms = 0;
    struct err why = {0};
    int rc = 0;

    while (rc == 0) {
        n = engine_ask_of(g, method, x->device, e);
        if (!n)
            return engine_too_late(g, why.text, e);
        n = look_at(n, x->at);
        if (n)
            show(g, n);
        if (look_fits(n, x, &why))
            return 0;
        if (!common->has_timeout) {
            *e = why;
            return why.code;
        }
        rc = engine_pause(g, &pause_ms, why.text, e);
    }
    return rc;
}
