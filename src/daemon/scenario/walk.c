/* One step after the other, until one fails; then what can still be found out
 * is: pictures of what GPUs show, what filters have counted; then all processes
 * end, whoever started them; and what did not come to run is in the record,
 * too. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "daemon/scenario/engine.h"
#include "daemon/scenario/steps.h"
#include "loop/loop.h"

#define MS_NS UINT64_C(1000000)
#define LAST_LOOK_MS 10000 /* for pictures and counters, in the end */
#define END_MS 5000        /* that processes have before they are killed */
#define KILL_MS 5000       /* and then, before they are left */

/* ---- the record of a step ---- */

/* "fault.arm disk", "run vm", "config.reload". */
static void describe(const struct conf_keyed_one *s, char *out, size_t room)
{
    static const char *const keys[] = {"device", "process", "event", "command"};
    const struct plan_kind *k = plan_kind(s);
    const char *what = NULL;
    size_t len;

    for (unsigned i = 0; i < ARRAY_LEN(keys) && !what; i++)
        for (unsigned t = 0; t < 2 && !what; t++)
            what = plan_string(k->row.tables[t], s->data[t], keys[i]);
    if (!what && k->run == step_sleep) {
        snprintf(out, room, "sleep %u ms",
                 ((const struct sleep_step *)s->data[0])->ms);
        return;
    }
    if (!what) {
        snprintf(out, room, "%s", k->row.name);
        return;
    }
    len = strlen(what) > 80 ? utf8_cut(what, 80) : strlen(what);
    snprintf(out, room, "%s %.*s%s%s", k->row.name, (int)len, what,
             k->run == step_wait ? " " : "",
             k->run == step_wait ? plan_until(s->data[0]) : "");
}

static struct record_step *
add_step(struct engine *g, const struct conf_keyed_one *s, const char *turn)
{
    const struct plan_common *common = s->common;
    char made[160];

    describe(s, made, sizeof(made));
    return record_add_step(&g->record, s->at,
                           common->name ? common->name : made,
                           plan_kind(s)->row.name, s->json, turn);
}

/* What does not run any more. */
static void add_rest(struct engine *g, const struct conf_keyeds *steps,
                     int from, const char *turn)
{
    for (int i = from; i < steps->count; i++) {
        const struct repeat_step *r = plan_repeat(&steps->list[i]);

        if (r)
            add_rest(g, &r->steps, 0, NULL);
        else
            add_step(g, &steps->list[i], turn);
    }
}

/* ---- steps ---- */

/* In so long, or when the repeat around it has no more time. */
static void set_deadline(struct engine *g, uint32_t ms)
{
    uint64_t now = loop_now_ns(), left = g->limit_ns - MIN(now, g->limit_ns);

    g->timeout_ms = (uint32_t)MIN((uint64_t)ms, left / MS_NS);
    g->deadline_ns = MIN(now + ms * MS_NS, g->limit_ns);
}

static int do_step(struct engine *g, const struct conf_keyed_one *s,
                   struct err *e)
{
    const struct plan_common *common = s->common;

    if (loop_now_ns() >= g->limit_ns)
        return err_set(e, -ETIMEDOUT, "",
                       "the time of the repeat around it is over");
    set_deadline(g, common->has_timeout ? common->timeout_ms
                                        : g->scenario->plan->timeout_ms);
    return plan_kind(s)->run(g, s, e);
}

static bool run_step(struct engine *g, const struct conf_keyed_one *s,
                     const char *turn)
{
    struct record_step *r = add_step(g, s, turn);
    struct err e;
    int rc;

    if (!r) {
        g->record.why = strdup("out of memory");
        return false;
    }
    g->step = g->record.num_steps - 1;
    r->result = STEP_RUNS;
    r->begin_ns = loop_now_ns();
    progress_step_begins(g->progress, r);
    rc = do_step(g, s, &e);
    r = engine_step(g);
    r->end_ns = loop_now_ns();
    r->result = rc < 0 ? STEP_FAILED : STEP_PASSED;
    if (rc < 0)
        r->why = strdup(e.text);
    else
        record_bound_answer(&g->record, r);
    progress_step_ends(g->progress, r);
    runners_sweep(&g->runners);
    return rc == 0;
}

static bool run_steps(struct engine *g, const struct conf_keyeds *steps,
                      const char *turn);

static bool run_repeat(struct engine *g, const struct conf_keyed_one *s)
{
    const struct plan_common *common = s->common;
    const struct repeat_step *r = s->data[0];
    uint64_t limit_ns = g->limit_ns;
    bool passed = true;
    char turn[40];

    if (common->has_timeout)
        g->limit_ns = MIN(limit_ns, loop_now_ns() + common->timeout_ms * MS_NS);
    for (uint32_t i = 0; i < r->times && passed; i++) {
        snprintf(turn, sizeof(turn), "%u of %u", i + 1, r->times);
        passed = run_steps(g, &r->steps, turn);
    }
    g->limit_ns = limit_ns;
    return passed;
}

static bool run_steps(struct engine *g, const struct conf_keyeds *steps,
                      const char *turn)
{
    for (int i = 0; i < steps->count; i++) {
        const struct conf_keyed_one *s = &steps->list[i];

        if (plan_repeat(s) ? run_repeat(g, s) : run_step(g, s, turn))
            continue;
        add_rest(g, steps, i + 1, turn);
        return false;
    }
    return true;
}

/* ---- when it is over ---- */

/* Scanouts that show something. */
struct screen {
    char *device;
    unsigned scanout;
};

#define SCREENS_MAX 64

/* Those of a GPU, by its status. */
static unsigned find_screens(const struct json *d, struct screen *list,
                             unsigned room)
{
    const struct json *scanouts =
        json_member(json_member(d, "gpu"), "scanouts");
    unsigned n = 0;

    if (!scanouts || json_type(scanouts) != JSON_ARRAY)
        return 0;
    for (const struct json *s = json_first(scanouts); s && n < room;
         s = json_next(s)) {
        const struct json *shown = json_member(s, "shown");

        if (!shown || json_type(shown) == JSON_NULL)
            continue;
        list[n].device = strdup(json_member_string(d, "id"));
        list[n].scanout = (unsigned)json_member_number(s, "scanout");
        n += list[n].device != NULL;
    }
    return n;
}

/* Pictures of all, with the step that has failed. */
static void look_at_screens(struct engine *g)
{
    struct screen screens[SCREENS_MAX];
    const struct json *status, *list;
    unsigned n = 0;
    struct err e;

    if (!g->report || g->peer.gone)
        return;
    status = engine_ask(g, "status", NULL, &e);
    list = status ? json_member(status, "devices") : NULL;
    for (const struct json *d = list ? json_first(list) : NULL; d;
         d = json_next(d))
        n += find_screens(d, screens + n, SCREENS_MAX - n);
    for (unsigned i = 0; i < n; i++) {
        char *path = engine_picture_path(g, NULL);

        if (path)
            engine_picture(g, screens[i].device, screens[i].scanout, true, path,
                           &e);
        free(path);
        free(screens[i].device);
    }
}

static void add_filter(struct engine *g, const char *device, const char *filter,
                       const char *rule, const struct json *n)
{
    char *text = json_text(n);
    struct record_filter *f = NULL;

    if (text)
        f = record_add_filter(&g->record, device, filter, rule, text);
    if (f) {
        f->matched = (uint64_t)json_member_number(n, "matched");
        f->fired = (uint64_t)json_member_number(n, "fired");
    }
    free(text);
}

static void add_rules(struct engine *g, const char *device, const char *filter,
                      const struct json *rules)
{
    unsigned index = 0;
    char number[16];

    for (const struct json *r = json_first(rules); r; r = json_next(r)) {
        const char *name = json_member_string(r, "name");

        snprintf(number, sizeof(number), "%u", index++);
        add_filter(g, device, filter, name[0] ? name : number, r);
    }
}

static void add_filters(struct engine *g, const char *device,
                        const struct json *list)
{
    char title[160];

    for (const struct json *f = json_first(list); f; f = json_next(f)) {
        const struct json *rules = json_member(f, "rules");
        const char *name = json_member_string(f, "name");

        snprintf(title, sizeof(title), "%s%s%.100s",
                 json_member_string(f, "type"), name[0] ? ", " : "", name);
        add_filter(g, device, title, NULL, f);
        if (rules && json_type(rules) == JSON_ARRAY)
            add_rules(g, device, title, rules);
    }
}

/* Wherever in what is told of a device: units of a SCSI host have their own. */
static void find_filters(struct engine *g, const char *device,
                         const struct json *n)
{
    if (json_type(n) != JSON_OBJECT && json_type(n) != JSON_ARRAY)
        return;
    for (const struct json *m = json_first(n); m; m = json_next(m)) {
        if (json_type(n) == JSON_OBJECT && json_type(m) == JSON_ARRAY &&
            strcmp(json_name(m), "filters") == 0)
            add_filters(g, device, m);
        else
            find_filters(g, device, m);
    }
}

static void count_filters(struct engine *g)
{
    const struct json *stats, *list;
    struct err e;

    if (g->peer.gone)
        return;
    stats = engine_ask(g, "stats", NULL, &e);
    list = stats ? json_member(stats, "devices") : NULL;
    for (const struct json *d = list ? json_first(list) : NULL; d;
         d = json_next(d))
        find_filters(g, json_member_string(d, "id"), d);
}

/* Until no process is there that we, or one of ours, have started. False: there
 * still are some. */
static bool wait_for_none(struct engine *g, uint32_t ms)
{
    struct err e;

    set_deadline(g, ms);
    while (runners_reap(&g->runners)) {
        if (engine_turn(g, 0, "", &e) < 0)
            return false;
        if (g->hurry)
            return false;
    }
    return true;
}

static void end_processes(struct engine *g)
{
    uint64_t until;

    if (!runners_reap(&g->runners))
        return;
    subprocess_signal_all(SIGTERM);
    if (wait_for_none(g, END_MS))
        return;
    /* Those that one of them leaves are ours then, and killed, too. */
    until = loop_now_ns() + KILL_MS * MS_NS;
    do {
        g->hurry = false;
        subprocess_signal_all(SIGKILL);
    } while (!wait_for_none(g, 50) && loop_now_ns() < until);
}

static void note_processes(struct engine *g)
{
    for (unsigned i = 0; i < g->runners.count; i++)
        runner_note(&g->runners, g->runners.list[i]);
}

bool engine_walk(struct engine *g)
{
    bool passed;

    g->limit_ns = UINT64_MAX;
    passed = run_steps(g, &g->scenario->plan->steps, NULL);
    g->cleaning = true;
    g->cleaning_ns = loop_now_ns();
    set_deadline(g, LAST_LOOK_MS);
    if (!passed && g->record.num_steps)
        look_at_screens(g);
    count_filters(g);
    note_processes(g);
    end_processes(g);
    note_processes(g);
    return passed;
}
