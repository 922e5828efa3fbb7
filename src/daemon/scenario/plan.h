/* daemon/scenario/plan.h: a scenario as it was read: steps, by one table of
 * kinds.
 *
 * A step is an object with one key that says what it does: a command of the
 * control socket (control/commands.h), whose value is its params, or a kind of
 * our own (kinds.c). Reading, the JSON Schema and the manual come from the same
 * rows. Threads: the only one. */
#ifndef VUB_DAEMON_SCENARIO_PLAN_H
#define VUB_DAEMON_SCENARIO_PLAN_H

#include "daemon/config.h"
#include "daemon/control/commands.h"

struct engine;

#define PLAN_STEPS_MAX 100000        /* that run, those of a repeat each time */
#define PLAN_DEPTH_MAX 4             /* of repeats in repeats */
#define PLAN_TIMEOUT_MAX_MS 86400000 /* a day */

/* The whole file. */
struct plan {
    const char *name; /* NULL: as the file */
    uint32_t timeout_ms;
    struct conf_keyeds steps;
};

/* What every step has. */
struct plan_common {
    const char *name;
    uint32_t timeout_ms;
    bool has_timeout;
};

/* A row of the table. */
struct plan_kind {
    struct conf_keyed_row row;
    /* Does it; own kinds only. Negative, with a sentence in e: it has failed.
     * NULL: it is `repeat`. */
    int (*run)(struct engine *g, const struct conf_keyed_one *s, struct err *e);
    struct command_row command; /* else */
};

const struct plan_kind *plan_kind(const struct conf_keyed_one *s);

/* ---- params of own kinds ---- */

enum plan_until { UNTIL_CONNECTED, UNTIL_RUNNING, UNTIL_GONE };

struct wait_step {
    const char *device;
    unsigned until; /* UNTIL_* */
};

const char *plan_until(const struct wait_step *s); /* the word */

struct event_step {
    const char *event, *device; /* device NULL: of any, or of none */
    const char *match;          /* an object; NULL: any */
};

struct expect_step {
    unsigned of; /* 0: stats, 1: status */
    const char *device, *at;
    const char *is; /* JSON; NULL: not given */
    double at_least, at_most;
    bool has_at_least, has_at_most;
};

struct run_step {
    const char *command, *process, *output;
    bool background, has_status;
    uint32_t status;
};

/* wait.output, write. */
struct text_step {
    const char *process, *text;
};

struct exit_step {
    const char *process;
    uint32_t status;
    bool has_status;
};

struct stop_step {
    const char *process;
    unsigned signal; /* an index, plan_signal */
};
int plan_signal(const struct stop_step *s);

struct screenshot_step {
    const char *device, *file;
    uint32_t scanout;
    bool cursor;
};

struct sleep_step {
    uint32_t ms;
};

struct repeat_step {
    uint32_t times;
    struct conf_keyeds steps;
};
/* NULL: it is no repeat. */
const struct repeat_step *plan_repeat(const struct conf_keyed_one *s);

/* ---- names.c ---- */

/* A device as a scenario may know it. conf NULL: no more is known. */
struct plan_device {
    const char *id, *type;
    const struct conf_any *conf;
};

struct plan_devices {
    struct plan_device *list; /* owned */
    unsigned count;
};

/* Adds one; false: no memory. */
bool plan_devices_add(struct plan_devices *d, const char *id, const char *type,
                      const struct conf_any *conf);
/* Adds those of a config, whose they stay. False: no memory. */
bool plan_devices_of(struct plan_devices *d, const struct config *c);

/* The names in it: devices, if it is known which there are (NULL: not), their
 * filters, processes. 0, or -EINVAL or -ENOMEM with all errors in e. */
int plan_check_names(const struct plan *p, const struct plan_devices *devices,
                     struct errs *e);
/* Does a step of that kind ("run"), here or in a repeat, name the process? */
bool plan_names_process(const struct conf_keyeds *steps, const char *kind,
                        const char *process);
/* The value of a key of a table in data that it has filled; NULL: it has no
 * such key of the type CONF_STR, or none was given. */
const char *plan_string(const struct conf_table *t, const void *data,
                        const char *key);

/* ---- load.c ---- */

struct scenario {
    struct conf_doc *doc;
    const struct plan *plan;
    const char *path; /* as given */
    const char *dir;  /* where relative paths start */
    char *name;
    unsigned num_steps; /* that will run */
};

/* devices: which there will be; NULL: they are not known yet. 0, or negative
 * with all errors in e: their places are in the file. */
int scenario_read(struct scenario *s, const char *path,
                  const struct plan_devices *devices, struct errs *e);
/* Rules that the table of a plan cannot say. */
void plan_check(void *data, const char *at, struct errs *e);
void scenario_free(struct scenario *s);

/* ---- params.c ---- */

/* What a command is sent: paths are absolute, and timeout_ms is the
 * step's if it has none. *own_ms: the command's own timeout, 0 if it has none.
 * To be freed; NULL: no memory. */
char *plan_params(const struct conf_keyed_one *s, const char *dir,
                  uint32_t timeout_ms, uint32_t *own_ms);
/* Path, absolute; to be freed. */
char *plan_path(const char *path, const char *dir);

#endif
