/* daemon/scenario/engine.h: what runs a scenario, and waits.
 *
 * engine.c is the waiting: whatever comes, from vub, from processes, as a
 * signal, is taken in engine_turn, and steps look at what has become of it.
 * walk.c goes through the list. Threads: the only one. */
#ifndef VUB_DAEMON_SCENARIO_ENGINE_H
#define VUB_DAEMON_SCENARIO_ENGINE_H

#include "daemon/scenario/events.h"
#include "daemon/scenario/peer.h"
#include "daemon/scenario/plan.h"
#include "daemon/scenario/record.h"
#include "daemon/scenario/runners.h"

/* In the report it is read by people. */
#define ENGINE_ANSWER_MAX (16u << 10)

struct engine {
    const struct scenario *scenario;
    const char *report; /* its directory, absolute; NULL: none */
    struct record record;
    struct progress *progress;

    struct peer peer;
    struct events events;
    struct runners runners;
    int signals; /* readable when one has come */
    int signal;  /* the last that means to end; 0: none has come */

    /* Of the step that runs. */
    unsigned step; /* its index in the record */
    uint64_t deadline_ns;
    uint32_t timeout_ms; /* that it had */
    uint64_t limit_ns;   /* of the repeats around it; UINT64_MAX: none */
    bool cleaning; /* the scenario is over: neither a signal nor vub's end keeps
                    * from what is still to be done */
    uint64_t cleaning_ns; /* since then */
    bool hurry;           /* a signal has come that was not one of the first */
    unsigned num_pictures;
};

/* [blocks] Until something has come, or `until_ns` (0: no such time) is over.
 * Negative, with a sentence in e: the step's time is over (-ETIMEDOUT), the
 * scenario is interrupted (-EINTR), vub has gone (-EPIPE). what: "vub has
 * not answered", for the sentence. */
int engine_turn(struct engine *g, uint64_t until_ns, const char *what,
                struct err *e);
/* Asks vub, and waits for the answer: its result, the engine's until the next
 * call. NULL: e says why. */
const struct json *engine_ask(struct engine *g, const char *method,
                              const char *params, struct err *e);
/* The same of stats or status: the object that tells of a device, or with NULL
 * the whole. steps_ask.c */
const struct json *engine_ask_of(struct engine *g, const char *method,
                                 const char *device, struct err *e);
/* Of a step that asks again and again, and was not answered the last time: if
 * its time is over, e tells what was seen before ("" if nothing was). e->code.
 */
int engine_too_late(const struct engine *g, const char *what, struct err *e);
/* A picture of what a GPU shows, into the record of the step; path NULL: only
 * its hash. */
int engine_picture(struct engine *g, const char *device, uint32_t scanout,
                   bool cursor, const char *path, struct err *e);
/* Where one goes that a step calls so, NULL: as nobody else's; to be freed.
 * NULL: nowhere, or no memory. */
char *engine_picture_path(struct engine *g, const char *file);
/* Before something is looked at again: each time longer, *ms is 0 at first. */
int engine_pause(struct engine *g, uint32_t *ms, const char *what,
                 struct err *e);
/* In the record of the step that runs: there is this to show. */
void engine_show(struct engine *g, const char *answer);
struct record_step *engine_step(struct engine *g);

/* Takes signals from now on. 0, or negative with a sentence. */
int engine_open(struct engine *g, struct err *e);
void engine_close(struct engine *g);

/* walk.c: all of the scenario, from the first step to the end of processes.
 * [blocks] True: it has passed. */
bool engine_walk(struct engine *g);

#endif
