/* daemon/scenario/events.h: what vub has told, for steps that wait for it.
 *
 * An event is kept until EVENTS_KEPT newer ones have come. A step takes the
 * first that fits and that has come after the last that a step of that event,
 * and of that device, has taken; what one step has taken no other gets.
 * Threads: the only one. */
#ifndef VUB_DAEMON_SCENARIO_EVENTS_H
#define VUB_DAEMON_SCENARIO_EVENTS_H

#include "base/base.h"
#include "daemon/scenario/plan.h"

#define EVENTS_KEPT 20000

struct event_kept {
    char *event, *device, *json;
    bool taken;
};

/* Of steps that are about the same: where they are. */
struct event_cursor {
    char *event, *device; /* device "": of any */
    uint64_t next;        /* number of the first that has not been passed */
};

struct events {
    struct event_kept *list; /* EVENTS_KEPT places, used round and round */
    uint64_t count;          /* that have come: the number of the next */
    struct event_cursor *cursors;
    unsigned num_cursors;
};

/* json is v's, also without memory: then the event is not there. */
void events_add(struct events *v, const char *event, const char *device,
                char *json);
/* Begins to look: at *from, for events_next. 0 or -ENOMEM. */
int events_begin(struct events *v, const struct event_step *s, uint64_t *from);
/* The first from *from on that fits, which is taken then: its JSON, good until
 * the next is added. NULL: there is none so far, and *from is moved on. */
const char *events_next(struct events *v, const struct event_step *s,
                        uint64_t *from);
/* Has anything been told of the device from *from on, which is moved on to what
 * is to come? Takes nothing. */
bool events_told_of(const struct events *v, const char *device, uint64_t *from);
void events_free(struct events *v);

#endif
