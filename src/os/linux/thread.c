/* What a thread has it has from its maker, who changes for the moment of making
 * it: its name, and a mask of signals with which it never takes any that are
 * the main loop's. */
#include "os/thread.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

struct start {
    void (*run)(void *arg);
    void *arg;
};

static void *enter(void *p)
{
    struct start s = *(struct start *)p;

    free(p);
    s.run(s.arg);
    return NULL;
}

/* It begins with the name of whoever makes it: so it has its own when this
 * returns, and no file of /proc needs to be written, where the sandbox allows
 * none. */
static int create_named(pthread_t *id, const char *name,
                        const pthread_attr_t *attr, struct start *s)
{
    char own[16] = "";
    int rc;

    prctl(PR_GET_NAME, own);
    prctl(PR_SET_NAME, name);
    rc = pthread_create(id, attr, enter, s);
    prctl(PR_SET_NAME, own);
    return rc;
}

int thread_start(struct thread *t, const char *name, void (*run)(void *arg),
                 void *arg, struct err *e)
{
    struct start *s;
    pthread_attr_t attr;
    sigset_t all, before;
    size_t stack = THREAD_STACK_BYTES;
    int rc;

    s = malloc(sizeof(*s));
    if (!s)
        return err_nomem(e);
    s->run = run;
    s->arg = arg;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    stack *= 8; /* their frames are several times as large */
#endif
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, MAX(stack, (size_t)PTHREAD_STACK_MIN));
    /* Signals are the main loop's; faults still reach the thread at fault. */
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, THREAD_INTERRUPT);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = create_named(&t->id, name, &attr, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (rc != 0) {
        free(s);
        return err_sys(e, rc, "", "cannot start the thread %s", name);
    }
    return 0;
}

void thread_interrupt(struct thread *t)
{
    pthread_kill(t->id, THREAD_INTERRUPT);
}

uint64_t thread_cpu_ns(const struct thread *t)
{
    struct timespec ran;
    clockid_t clock;

    if (pthread_getcpuclockid(t->id, &clock) != 0 ||
        clock_gettime(clock, &ran) < 0)
        return 0;
    return (uint64_t)ran.tv_sec * 1000000000u + (uint64_t)ran.tv_nsec;
}

void thread_yield(void)
{
    sched_yield();
}

void thread_join(struct thread *t)
{
    pthread_join(t->id, NULL);
}
