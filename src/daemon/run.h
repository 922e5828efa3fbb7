/* daemon/run.h: --run: the command that vub is there for; or --scenario: a
 * program of ours (scenario/scenario.h) that is started as one.
 *
 * It starts when everything is served, with $VUB_<ID> for each device's socket
 * and $VUB_CONTROL, has our standard input and output, and ends vub when it
 * ends. Threads: the main loop. */
#ifndef VUB_DAEMON_RUN_H
#define VUB_DAEMON_RUN_H

#include "daemon/config.h"
#include "daemon/sockets.h"
#include "loop/timer.h"
#include "os/child.h"

struct run {
    const char *option;                       /* which; NULL: there is none */
    const char *what;                         /* "the command" */
    void (*ended)(struct run *r, int status); /* 128 + N: by signal N */

    /* run.c's */
    uv_signal_t child;
    struct timer patience;
    struct child process;
    int pid; /* 0: does not run */
    bool open, asked;
};

/* "vm1-root" is VUB_VM1_ROOT; to be freed. NULL: no memory. */
char *run_variable(const char *id);
/* Can each device have a variable of its own? */
int run_check(const struct run *r, const struct config *c, struct errs *e);
/* Makes what will be the command, argv as of child_prepare, while this process
 * has its rights and holds nothing but sockets. ready_fd is not for it. */
int run_prepare(struct run *r, char *const *argv, const struct config *c,
                const struct sockets *s, int ready_fd, struct err *e);
/* Starts it; ended is set, and comes once. On failure there is nothing to
 * end. */
int run_start(struct run *r, struct loop *main, struct err *e);
static inline bool run_runs(const struct run *r)
{
    return r->pid > 0;
}
/* What ends vub ends the command: sig goes to it. 0: it ends by itself, soon.
 * One that does not gets SIGTERM then, and SIGKILL in the end: its end is
 * bounded. Again: SIGKILL at once. */
void run_stop(struct run *r, int sig);
/* The longest that may take. */
uint64_t run_stop_ms(void);
/* The loop does not run; before loop_close. Safe on a zero struct. */
void run_close(struct run *r);

#endif
