/* A thread per job, detached. It and the loop share the struct: `lock` decides
 * which came first, the end of run or giving up. A job that ended first comes
 * by mail, which cannot be taken back: it finds out there that it was given up
 * meanwhile. One that was given up first never touches the loop again. */
#include "loop/job.h"

#include <errno.h>
#include <stdlib.h>

#include "os/thread.h"

struct job {
    struct mail mail;
    struct loop *loop;
    const struct job_ops *ops;
    void *arg;
    pthread_mutex_t lock; /* over what follows */
    bool given_up;
};

static unsigned jobs; /* atomic: of the process */

static void job_free(struct job *j)
{
    pthread_mutex_destroy(&j->lock);
    free(j);
    __atomic_fetch_sub(&jobs, 1, __ATOMIC_RELAXED);
}

static void end(struct job *j)
{
    j->ops->release(j->arg);
    job_free(j);
}

static void on_mail(struct mail *m)
{
    struct job *j = container_of(m, struct job, mail);

    /* The thread may be on its way out of the lock. */
    pthread_mutex_lock(&j->lock);
    pthread_mutex_unlock(&j->lock);
    if (!j->given_up) /* only this thread sets it */
        j->ops->done(j->arg);
    end(j);
}

static void run(void *arg)
{
    struct job *j = arg;
    bool given_up;

    pthread_mutex_lock(&j->lock); /* job_start is done with the thread */
    pthread_mutex_unlock(&j->lock);
    j->ops->run(j->arg);
    pthread_mutex_lock(&j->lock);
    given_up = j->given_up;
    if (!given_up)
        loop_post(j->loop, &j->mail);
    pthread_mutex_unlock(&j->lock);
    if (given_up)
        end(j);
}

int job_start(struct job **out, struct loop *l, const struct job_ops *ops,
              void *arg, struct err *e)
{
    struct job *j;
    struct thread t;
    int rc;

    if (__atomic_add_fetch(&jobs, 1, __ATOMIC_RELAXED) > JOBS_MAX) {
        __atomic_fetch_sub(&jobs, 1, __ATOMIC_RELAXED);
        return err_set(e, -EBUSY, "",
                       "as many files and pictures are in work as there may "
                       "be: try again when they are done");
    }
    j = calloc(1, sizeof(*j));
    if (!j) {
        __atomic_fetch_sub(&jobs, 1, __ATOMIC_RELAXED);
        return err_nomem(e);
    }
    *j = (struct job){.mail.run = on_mail, .loop = l, .ops = ops, .arg = arg};
    pthread_mutex_init(&j->lock, NULL);
    pthread_mutex_lock(&j->lock);
    rc = thread_start(&t, ops->name, run, j, e);
    if (rc == 0)
        pthread_detach(t.id);
    pthread_mutex_unlock(&j->lock);
    if (rc < 0) {
        job_free(j);
        return rc;
    }
    *out = j;
    return 0;
}

void job_give_up(struct job *j)
{
    pthread_mutex_lock(&j->lock);
    j->given_up = true;
    pthread_mutex_unlock(&j->lock);
}
