/* Events are numbered as they come, from 0 on; where one lies is its number
 * modulo EVENTS_KEPT. */
#include "daemon/scenario/events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/scenario/look.h"

static struct event_kept *at(const struct events *v, uint64_t number)
{
    return &v->list[number % EVENTS_KEPT];
}

static void forget(struct event_kept *e)
{
    free(e->event);
    free(e->device);
    free(e->json);
    *e = (struct event_kept){NULL};
}

void events_add(struct events *v, const char *event, const char *device,
                char *json)
{
    struct event_kept *e;

    if (!v->list)
        v->list = calloc(EVENTS_KEPT, sizeof(*v->list));
    if (!v->list) {
        free(json);
        return;
    }
    e = at(v, v->count);
    forget(e);
    e->event = strdup(event);
    e->device = strdup(device);
    e->json = json;
    if (e->event && e->device)
        v->count++;
    else
        forget(e);
}

static struct event_cursor *cursor(struct events *v, const struct event_step *s)
{
    const char *device = s->device ? s->device : "";
    struct event_cursor *c;

    for (unsigned i = 0; i < v->num_cursors; i++) {
        c = &v->cursors[i];
        if (strcmp(c->event, s->event) == 0 && strcmp(c->device, device) == 0)
            return c;
    }
    c = realloc(v->cursors, (v->num_cursors + 1) * sizeof(*c));
    if (!c)
        return NULL;
    v->cursors = c;
    c += v->num_cursors;
    *c = (struct event_cursor){strdup(s->event), strdup(device), 0};
    if (c->event && c->device) {
        v->num_cursors++;
        return c;
    }
    free(c->event);
    free(c->device);
    return NULL;
}

int events_begin(struct events *v, const struct event_step *s, uint64_t *from)
{
    struct event_cursor *c = cursor(v, s);

    *from = c ? c->next : 0;
    return c ? 0 : -ENOMEM;
}

static bool fits(const struct event_kept *e, const struct event_step *s)
{
    return !e->taken && strcmp(e->event, s->event) == 0 &&
           (!s->device || strcmp(e->device, s->device) == 0) &&
           (!s->match || look_has_members(e->json, s->match));
}

const char *events_next(struct events *v, const struct event_step *s,
                        uint64_t *from)
{
    struct event_cursor *c;

    if (v->count > EVENTS_KEPT)
        *from = MAX(*from, v->count - EVENTS_KEPT);
    for (; *from < v->count; ++*from) {
        struct event_kept *e = at(v, *from);

        if (!fits(e, s))
            continue;
        e->taken = true;
        c = cursor(v, s);
        if (c)
            c->next = *from + 1;
        return e->json;
    }
    return NULL;
}

bool events_told_of(const struct events *v, const char *device, uint64_t *from)
{
    bool told = false;

    if (v->count > EVENTS_KEPT)
        *from = MAX(*from, v->count - EVENTS_KEPT);
    for (; *from < v->count; ++*from)
        told |= strcmp(at(v, *from)->device, device) == 0;
    return told;
}

void events_free(struct events *v)
{
    for (unsigned i = 0; v->list && i < EVENTS_KEPT; i++)
        forget(&v->list[i]);
    for (unsigned i = 0; i < v->num_cursors; i++) {
        free(v->cursors[i].event);
        free(v->cursors[i].device);
    }
    free(v->list);
    free(v->cursors);
    *v = (struct events){NULL};
}
