/* os/child.h: a program that we start. Threads: the main one. */
#ifndef VUB_OS_CHILD_H
#define VUB_OS_CHILD_H

#include "base/err.h"

/* Starts /bin/sh -c command. It has our standard fds and nothing else that is
 * ours: signals and limits are as they were given to us. Its environment is
 * ours with `more` ("NAME=value", NULL-ended) in front. It gets SIGTERM when
 * this process ends, however that is. Returns its pid. */
int child_start(const char *command, char *const *more, struct err *e);
/* -EAGAIN: it runs. Else, once: its exit status, 128 + N if signal N has ended
 * it. SIGCHLD tells when to ask. */
int child_status(int pid);
/* To one that runs. */
void child_signal(int pid, int sig);

/* Is this process in the foreground of a terminal? What is typed there to
 * interrupt it goes to its children too. */
bool child_shares_terminal(void);

#endif
