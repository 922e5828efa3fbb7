/* A record only grows, so its lists have no room of their own to remember: a
 * list whose length is a power of two is full. Whatever is added is there as a
 * whole or not at all. */
#include "daemon/scenario/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define EVENTS_FORGOTTEN 2000 /* at once, for all of them move */
/* A list that has become shorter still has the room it had. */
_Static_assert(RECORD_EVENTS_MAX - EVENTS_FORGOTTEN > 16384 &&
                   RECORD_EVENTS_MAX < 32768,
               "no power of two lies between");

/* Room for one more in a list of num: the list, which may have moved; NULL: it
 * is as it was. */
static void *with_room(void *list, unsigned num, size_t size)
{
    if (num & (num - 1))
        return list;
    if (num > UINT32_MAX / 4)
        return NULL;
    return reallocarray(list, num ? 2 * (size_t)num : 1, size);
}

/* What is not said is "". */
static bool copy(char **out, const char *text)
{
    *out = strdup(text ? text : "");
    return *out;
}

/* What is not said is NULL. */
static bool copy_if_any(char **out, const char *text)
{
    *out = text ? strdup(text) : NULL;
    return !text || *out;
}

/* ---- one of each ---- */

static void free_picture(struct record_picture *p)
{
    free(p->title);
    free(p->path);
    free(p->hash);
}

static void free_step(struct record_step *s)
{
    free(s->place);
    free(s->name);
    free(s->kind);
    free(s->args);
    free(s->turn);
    free(s->why);
    free(s->answer);
    for (unsigned i = 0; i < s->num_pictures; i++)
        free_picture(&s->pictures[i]);
    free(s->pictures);
}

static void free_event(struct record_event *ev)
{
    free(ev->event);
    free(ev->device);
    free(ev->json);
}

static void free_process(struct record_process *p)
{
    free(p->name);
    free(p->command);
    free(p->output);
    free(p->log_path);
}

static void free_filter(struct record_filter *f)
{
    free(f->device);
    free(f->filter);
    free(f->rule);
    free(f->json);
}

/* ---- adding ---- */

struct record_step *record_add_step(struct record *r, const char *place,
                                    const char *name, const char *kind,
                                    const char *args, const char *turn)
{
    struct record_step *list, s = {.result = STEP_TO_COME};

    if (!copy(&s.place, place) || !copy(&s.name, name) ||
        !copy(&s.kind, kind) || !copy(&s.args, args) ||
        !copy_if_any(&s.turn, turn))
        goto nomem;
    list = with_room(r->steps, r->num_steps, sizeof(*list));
    if (!list)
        goto nomem;
    r->steps = list;
    list[r->num_steps] = s;
    return &list[r->num_steps++];
nomem:
    free_step(&s);
    return NULL;
}

/* How a scenario has ended says more than how it began. */
static void forget_oldest_events(struct record *r)
{
    for (unsigned i = 0; i < EVENTS_FORGOTTEN; i++)
        free_event(&r->events[i]);
    r->num_events -= EVENTS_FORGOTTEN;
    r->events_lost += EVENTS_FORGOTTEN;
    memmove(r->events, r->events + EVENTS_FORGOTTEN,
            r->num_events * sizeof(*r->events));
}

struct record_event *record_add_event(struct record *r, const char *event,
                                      const char *device, const char *json)
{
    struct record_event *list, ev = {0};

    if (!copy(&ev.event, event) || !copy(&ev.device, device) ||
        !copy(&ev.json, json))
        goto nomem;
    if (r->num_events == RECORD_EVENTS_MAX)
        forget_oldest_events(r);
    list = with_room(r->events, r->num_events, sizeof(*list));
    if (!list)
        goto nomem;
    r->events = list;
    list[r->num_events] = ev;
    return &list[r->num_events++];
nomem:
    free_event(&ev);
    return NULL;
}

struct record_process *record_add_process(struct record *r, const char *name,
                                          const char *command)
{
    struct record_process *list, p = {.status = -1};

    if (!copy(&p.name, name) || !copy(&p.command, command) ||
        !copy(&p.output, NULL))
        goto nomem;
    list = with_room(r->processes, r->num_processes, sizeof(*list));
    if (!list)
        goto nomem;
    r->processes = list;
    list[r->num_processes] = p;
    return &list[r->num_processes++];
nomem:
    free_process(&p);
    return NULL;
}

struct record_filter *record_add_filter(struct record *r, const char *device,
                                        const char *filter, const char *rule,
                                        const char *json)
{
    struct record_filter *list, f = {0};

    if (!copy(&f.device, device) || !copy(&f.filter, filter) ||
        !copy_if_any(&f.rule, rule) || !copy(&f.json, json))
        goto nomem;
    list = with_room(r->filters, r->num_filters, sizeof(*list));
    if (!list)
        goto nomem;
    r->filters = list;
    list[r->num_filters] = f;
    return &list[r->num_filters++];
nomem:
    free_filter(&f);
    return NULL;
}

struct record_picture *record_add_picture(struct record_step *s,
                                          const char *title, const char *path,
                                          const char *hash)
{
    struct record_picture *list, p = {0};

    if (!copy(&p.title, title) || !copy(&p.path, path) || !copy(&p.hash, hash))
        goto nomem;
    list = with_room(s->pictures, s->num_pictures, sizeof(*list));
    if (!list)
        goto nomem;
    s->pictures = list;
    list[s->num_pictures] = p;
    return &list[s->num_pictures++];
nomem:
    free_picture(&p);
    return NULL;
}

void record_bound_answer(struct record *r, struct record_step *s)
{
    size_t len = s->answer ? strlen(s->answer) : 0;
    char *start;

    if (r->answer_bytes + len > RECORD_ANSWERS_BYTES &&
        len > RECORD_ANSWER_LITTLE) {
        len = utf8_cut(s->answer, RECORD_ANSWER_LITTLE);
        start = strndup(s->answer, len);
        free(s->answer);
        s->answer = start;
    }
    r->answer_bytes += len;
}

void record_free(struct record *r)
{
    for (unsigned i = 0; i < r->num_steps; i++)
        free_step(&r->steps[i]);
    for (unsigned i = 0; i < r->num_events; i++)
        free_event(&r->events[i]);
    for (unsigned i = 0; i < r->num_processes; i++)
        free_process(&r->processes[i]);
    for (unsigned i = 0; i < r->num_filters; i++)
        free_filter(&r->filters[i]);
    free(r->steps);
    free(r->events);
    free(r->processes);
    free(r->filters);
    free(r->name);
    free(r->path);
    free(r->version);
    free(r->started);
    free(r->why);
    *r = (struct record){0};
}
