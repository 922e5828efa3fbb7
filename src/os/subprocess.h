/* os/subprocess.h: shell commands that run beside this program, each in a
 * session of its own, and whatever they leave behind.
 *
 * For a program that has nothing else to do. Threads: the only one. */
#ifndef VUB_OS_SUBPROCESS_H
#define VUB_OS_SUBPROCESS_H

#include <sys/types.h>

#include "base/err.h"

struct subprocess {
    int pid; /* its group's and its session's too */
    int in;  /* to its standard input; -1: that is /dev/null */
    int out; /* from its standard output and error */
};

/* Once, before the first: whose parent ends becomes a child of this program, so
 * that none is lost. */
void subprocess_init(void);
/* Starts /bin/sh -c command in dir, with `more` ("NAME=value", NULL-ended) in
 * front of our environment. Signals and limits are as they were given to us.
 * Both descriptors are non-blocking, and the caller's. It is killed when this
 * program ends without ending it. */
int subprocess_start(struct subprocess *p, const char *command, const char *dir,
                     char *const *more, bool has_input, struct err *e);
/* To all of its group. */
void subprocess_signal(int pid, int sig);
/* The next child that has ended: its pid, and its exit status, 128 + N if
 * signal N has ended it. 0: none has. -ECHILD: there are no children. */
int subprocess_reap(int *status);
/* To every child that there is, with all of its group if it leads one. */
void subprocess_signal_all(int sig);

/* As much as there is, up to len; 0: the other end has closed. -EAGAIN. */
ssize_t subprocess_read(int fd, void *buf, size_t len);
ssize_t subprocess_write(int fd, const void *buf, size_t len);

#endif
