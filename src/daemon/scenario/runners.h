/* daemon/scenario/runners.h: processes that steps have started.
 *
 * What one writes goes to its log in the report's directory, and the end of it
 * is kept in memory; more of it where steps wait for what it says. Threads: the
 * only one. */
#ifndef VUB_DAEMON_SCENARIO_RUNNERS_H
#define VUB_DAEMON_SCENARIO_RUNNERS_H

#include "daemon/scenario/record.h"
#include "os/await.h"
#include "os/subprocess.h"

#define RUNNER_SHOWN                                                           \
    (64u << 10)                /* bytes of the output that are in the record */
#define RUNNER_KEPT (4u << 20) /* and for wait.output */

struct runner {
    char *name;
    unsigned record;          /* its index there */
    struct subprocess system; /* pid 0: it has ended; out -1: the output has */
    int status;               /* then */
    bool on_its_own;          /* nobody names it: gone when it has ended */

    int log;   /* -1: none, or no more */
    char *out; /* the output from offset on */
    size_t len, room, keep;
    uint64_t offset;  /* of its first byte in all that was written */
    uint64_t taken;   /* up to where steps have taken it */
    const char *text; /* is sought, the caller's; NULL: none is */
    uint64_t sought;  /* up to where it is not */
    bool found;

    char *in; /* for its standard input, from in_sent on */
    size_t in_len, in_sent;
    bool deaf; /* it has closed that */
};

struct runner_log {
    char *name, *path;
};

struct runners {
    struct runner **list;
    unsigned count;
    struct record *record;
    const char *report; /* a directory; NULL: no logs */
    const char *dir;    /* where commands run */
    char **variables;   /* NULL-ended; owned */
    struct runner_log *logs;
    unsigned num_logs;
    size_t shown; /* bytes of outputs in the record */
};

struct runner_conf {
    const char *name, *command;
    bool on_its_own, has_input;
    size_t keep;
};

/* The last of that name; NULL: there was none. */
struct runner *runners_find(const struct runners *rs, const char *name);
/* Good until the next of that name, or if it is on its own until it has ended
 * and runners_sweep is called. NULL: e says why. */
struct runner *runners_start(struct runners *rs, const struct runner_conf *c,
                             struct err *e);
static inline bool runner_runs(const struct runner *r)
{
    return r->system.pid > 0;
}
/* Waits for a text (the caller's, as long as it is sought; NULL: no more) that
 * comes after what was taken: r->found says if it is there. What it found is
 * taken. */
void runner_seek(struct runner *r, const char *text);
/* In the record: how it is now. */
void runner_note(struct runners *rs, struct runner *r);
/* Gives it a text, as it takes it. 0 or -ENOMEM. */
int runner_write(struct runner *r, const char *text);
static inline bool runner_has_more(const struct runner *r)
{
    return r->in != NULL;
}

/* For who waits: what for, two for each at most, and what is due then. No
 * runner may come or go in between. */
unsigned runners_want(struct runners *rs, struct await *list);
void runners_take(struct runners *rs, const struct await *list);
/* A child has ended, or several. Are there more, whosever they were? */
bool runners_reap(struct runners *rs);
/* Forgets those that nobody asks for any more. */
void runners_sweep(struct runners *rs);
/* Closes pipes and logs; none runs. */
void runners_free(struct runners *rs);

/* "a/b" is a_b: letters, digits, point, dash and underscore; to be freed. */
char *runner_safe_name(const char *name);

#endif
