/* daemon/scenario/record.h: what has happened in a scenario.
 *
 * The engine writes it down as it goes; progress on the terminal, the JUnit
 * file and the HTML report are made of nothing else. Times are of the monotonic
 * clock. Threads: the only one. */
#ifndef VUB_DAEMON_SCENARIO_RECORD_H
#define VUB_DAEMON_SCENARIO_RECORD_H

#include "base/base.h"
#include "base/err.h"

enum step_result {
    STEP_TO_COME, /* in the end: not run, for one before it has failed */
    STEP_RUNS,
    STEP_PASSED,
    STEP_FAILED,
};

/* A picture that was taken. */
struct record_picture {
    char *title; /* "screen, scanout 0" */
    char *path;  /* of the PNG file, in the report's directory */
    char *hash;  /* as vub has told it; "" if it has not */
    unsigned width, height;
};

/* A step as it was run. One inside a repeat is there once for each time it has
 * run; the repeat itself is no record_step, but `times` tells of it. */
struct record_step {
    char *place; /* JSON Pointer into the scenario: "/steps/3" */
    char *name;  /* as the scenario names it, else what it does, in short */
    char *kind;  /* "input.type", "run", ... */
    char *args;  /* JSON, as in the scenario */
    char *turn;  /* "7 of 50" of the repeat around it; NULL: none */
    enum step_result result;
    uint64_t begin_ns, end_ns; /* 0: has not */
    char *why;                 /* of STEP_FAILED: a sentence; else NULL */
    char *answer;              /* what there is to show: text or JSON; NULL */
    struct record_picture *pictures;
    unsigned num_pictures;
};

/* What vub has told. */
struct record_event {
    uint64_t at_ns;
    char *event;  /* "fault.fired" */
    char *device; /* its id; "": of none */
    char *json;   /* the whole of its params */
};

/* A process that a step has started. */
struct record_process {
    char *name, *command;
    char *output;   /* the end of what it has written; NUL-ended */
    bool cut;       /* there was more in front */
    char *log_path; /* all of it, in the report's directory; NULL: no report */
    int status;     /* its exit status, 128 + N by signal N; -1: it runs */
    uint64_t begin_ns, end_ns;
};

/* A rule or filter that has counted something, as `stats` had it at the end. */
struct record_filter {
    char *device, *filter; /* its id; its type and name: "fault, bad disk" */
    char *rule;            /* its name or number; NULL: the filter as a whole */
    uint64_t matched, fired;
    char *json; /* all that it says */
};

struct record {
    char *name;    /* of the scenario */
    char *path;    /* its file */
    char *version; /* of vub */
    char *started; /* "2026-11-30T08:15:00Z" */
    uint64_t begin_ns, end_ns;
    bool passed;
    char *why; /* it failed outside of any step: vub has gone; NULL: no */

    struct record_step *steps;
    unsigned num_steps;
    struct record_event *events;
    unsigned num_events;
    unsigned events_lost; /* beyond RECORD_EVENTS_MAX, or told so by vub */
    struct record_process *processes;
    unsigned num_processes;
    struct record_filter *filters;
    unsigned num_filters;
    uint64_t answer_bytes; /* of steps that have passed */
};

#define RECORD_EVENTS_MAX 20000

/* record.c. They return what was added (good until the next is), NULL: out of
 * memory. Strings are copied; those that are not given are "", but for turn
 * and rule. Times, sizes and the like are the caller's to fill in. Of events
 * beyond RECORD_EVENTS_MAX the oldest go, and the others move. What a caller
 * puts into a record himself (name, why, answer...) is of malloc. */
struct record_step *record_add_step(struct record *r, const char *place,
                                    const char *name, const char *kind,
                                    const char *args, const char *turn);
struct record_event *record_add_event(struct record *r, const char *event,
                                      const char *device, const char *json);
struct record_process *record_add_process(struct record *r, const char *name,
                                          const char *command);
struct record_filter *record_add_filter(struct record *r, const char *device,
                                        const char *filter, const char *rule,
                                        const char *json);
struct record_picture *record_add_picture(struct record_step *s,
                                          const char *title, const char *path,
                                          const char *hash);
/* s has passed, and nothing more is shown of it: when RECORD_ANSWERS_BYTES of
 * answers are there, only the beginning of others stays. Once for each step. */
#define RECORD_ANSWERS_BYTES (64u << 20)
#define RECORD_ANSWER_LITTLE 256
void record_bound_answer(struct record *r, struct record_step *s);
void record_free(struct record *r); /* what it has; r is empty then */

/* progress.c: a line for each step that begins or ends, for people; on a
 * terminal the line of the step that runs is written over. */
struct progress;
struct progress *progress_open(const struct record *r, unsigned num_steps);
void progress_step_begins(struct progress *p, const struct record_step *s);
void progress_step_ends(struct progress *p, const struct record_step *s);
void progress_close(struct progress *p); /* with the last word; NULL is fine */

/* report_junit.c, report_html.c: whole files, renamed into place. 0, or
 * negative errno and why. */
int report_junit(const struct record *r, const char *path, struct err *e);
int report_html(const struct record *r, const char *path, struct err *e);

#endif
