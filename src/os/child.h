/* os/child.h: a program that we start. Threads: the main one. */
#ifndef VUB_OS_CHILD_H
#define VUB_OS_CHILD_H

#include "base/err.h"

struct child {
    int pid; /* 0: there is none */
    int go, told;
    const char *path; /* the program, the caller's */
};

/* Makes the process that is to be argv (NULL-ended), whose first is a path, and
 * waits: what this one
 * gives up after (os/sandbox.h) it keeps. It will have our standard fds but for
 * `leave` (-1: all), and nothing else that is ours: signals and limits are as
 * they were given to us. Its environment is ours with `more` ("NAME=value",
 * NULL-ended) in front. It gets SIGTERM when this process ends, however that
 * is. */
int child_prepare(struct child *c, char *const *argv, char *const *more,
                  int leave, struct err *e);
/* Starts it. */
int child_go(struct child *c, struct err *e);
/* Ends it, if it has not been started. Safe on a zero struct. */
void child_drop(struct child *c);
/* -EAGAIN: it runs. Else, once: its exit status, 128 + N if signal N has ended
 * it. SIGCHLD tells when to ask. */
int child_status(int pid);
/* To one that runs. */
void child_signal(int pid, int sig);

/* Is this process in the foreground of a terminal? What is typed there to
 * interrupt it goes to its children too. */
bool child_shares_terminal(void);

#endif
