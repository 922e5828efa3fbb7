/* loop/job.h: work for a thread of its own, that may take as long as it likes:
 * files of any file system, pictures to encode.
 *
 * A thread per job, which nobody waits for: a loop that closes leaves it
 * behind. Threads: the loop's, but for what is said to be the job's. */
#ifndef VUB_LOOP_JOB_H
#define VUB_LOOP_JOB_H

#include "base/err.h"
#include "loop/loop.h"

/* Of the process, those included that were given up and have not ended: whoever
 * starts one and goes away, again and again, gets no more threads than these.
 */
#define JOBS_MAX 128

struct job;

struct job_ops {
    const char *name; /* of the thread, at most 15 characters */
    /* [the job's thread] */
    void (*run)(void *arg);
    /* [loop] run has returned. Not called for a job that was given up. */
    void (*done)(void *arg);
    /* [any] The last that is done with arg: frees what run and arg have. */
    void (*release)(void *arg);
};

/* On failure nothing is called, and arg is still the caller's. -EBUSY: there
 * are JOBS_MAX. */
int job_start(struct job **out, struct loop *l, const struct job_ops *ops,
              void *arg, struct err *e);
/* Nobody wants its result: done is not called. Not after done has been. The
 * loop has at least one turn to go. */
void job_give_up(struct job *j);

#endif
