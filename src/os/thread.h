/* os/thread.h: a thread with a name, a small stack and no signals but one that
 * interrupts it. */
#ifndef VUB_OS_THREAD_H
#define VUB_OS_THREAD_H

#include <pthread.h>
#include <signal.h>

#include "base/err.h"

#define THREAD_INTERRUPT SIGURG /* by default it does nothing to anybody */

struct thread {
    pthread_t id;
};

/* Bytes; deep recursion has no place in a worker. */
#define THREAD_STACK_BYTES (256 * 1024)

/* name: up to 15 characters are shown by tools. run(arg) is the thread. */
int thread_start(struct thread *t, const char *name, void (*run)(void *arg),
                 void *arg, struct err *e);
/* A system call in which it waits fails with EINTR, if that can be. What waits
 * for a disk cannot. process_init was called. */
void thread_interrupt(struct thread *t);
/* How long it has computed in all; 0: that cannot be told. While it waits, or
 * is stopped, or others have the processor, this does not grow. [any thread,
 * before thread_join] */
uint64_t thread_cpu_ns(const struct thread *t);
/* Lets another thread of this core run, if one wants to. */
void thread_yield(void);
/* Waits for its end. */
void thread_join(struct thread *t);

#endif
