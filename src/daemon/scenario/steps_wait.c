/* Steps that wait for vub to tell something. That a guest's driver has started
 * a ring is no event: there, its state is asked for, now and then. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/scenario/engine.h"
#include "daemon/scenario/steps.h"
#include "loop/loop.h"

#define MS_NS UINT64_C(1000000)

static bool is_so(const char *state, unsigned until)
{
    switch (until) {
    case UNTIL_CONNECTED:
        return strcmp(state, "connected") == 0 || strcmp(state, "running") == 0;
    case UNTIL_RUNNING:
        return strcmp(state, "running") == 0;
    default:
        return strcmp(state, "none") == 0;
    }
}

static const char *state_words(const char *state)
{
    if (strcmp(state, "none") == 0)
        return "has no front-end";
    if (strcmp(state, "connected") == 0)
        return "has a front-end, whose driver has started no ring";
    return strcmp(state, "running") == 0 ? "still has a front-end"
                                         : "tells nothing of itself";
}

int step_wait(struct engine *g, const struct conf_keyed_one *s, struct err *e)
{
    const struct wait_step *w = s->data[0];
    uint64_t from = g->events.count, then;
    uint32_t pause_ms = 10;
    const struct json *d;
    const char *state;
    char what[160] = "";
    int rc = 0;

    while (rc == 0) {
        d = engine_ask_of(g, "status", w->device, e);
        if (!d)
            return engine_too_late(g, what, e);
        state = json_member_string(d, "state");
        if (is_so(state, w->until))
            return 0;
        snprintf(what, sizeof(what), "\"%.64s\" %s", w->device,
                 state_words(state));
        /* Events are lost if nobody has time for them. */
        pause_ms = w->until == UNTIL_RUNNING ? MIN(pause_ms * 2, 200u) : 1000;
        then = loop_now_ns() + pause_ms * MS_NS;
        while (rc == 0 && loop_now_ns() < then &&
               !events_told_of(&g->events, w->device, &from))
            rc = engine_turn(g, then, what, e);
    }
    return rc;
}

int step_wait_event(struct engine *g, const struct conf_keyed_one *s,
                    struct err *e)
{
    const struct event_step *w = s->data[0];
    const char *json;
    char what[160];
    uint64_t from;
    int rc = events_begin(&g->events, w, &from);

    if (rc < 0)
        return err_nomem(e);
    snprintf(what, sizeof(what), "no event \"%.60s\"%s%.60s has come", w->event,
             w->device ? " of " : "", w->device ? w->device : "");
    while (rc == 0) {
        json = events_next(&g->events, w, &from);
        if (json) {
            engine_show(g, json);
            return 0;
        }
        rc = engine_turn(g, 0, what, e);
    }
    return rc;
}

int step_sleep(struct engine *g, const struct conf_keyed_one *s, struct err *e)
{
    const struct plan_common *common = s->common;
    const struct sleep_step *p = s->data[0];
    uint64_t then = loop_now_ns() + p->ms * MS_NS;
    int rc = 0;

    if (!common->has_timeout)
        g->deadline_ns = g->limit_ns;
    while (rc == 0 && loop_now_ns() < then)
        rc = engine_turn(g, then, "it still sleeps", e);
    return rc;
}
