/* os/process.h: what the process as a whole asks of the system. Threads: the
 * main one, before others exist. */
#ifndef VUB_OS_PROCESS_H
#define VUB_OS_PROCESS_H

#include "base/err.h"

/* Once, first of all. Standard input, output and error that are closed lead
 * nowhere from now on: else a disk image might be opened as standard error, and
 * log lines be written into it. A closed pipe becomes an error of its write,
 * and so does a file that would be larger than the process may write.
 * The limit of open files is raised as far as it goes: each ring of each device
 * takes some. Log lines are the journal's if standard error leads there. One
 * heap serves all threads: nothing is allocated per request, and each further
 * heap costs pages. Guest memory and secrets of the process are kept from
 * others of the same user: no core dumps, no debugger; unless the environment
 * has VUB_DUMPABLE=1. */
void process_init(void);

/* In a process that was forked from one that had no more than one thread, and
 * goes on as a vub of its own: what is not inherited. err: its standard error,
 * taken. It ends when it is told to, not by a terminal's or a service manager's
 * signal to all. */
void process_init_fork(int err);
/* As others see it; cut to 15 bytes. */
void process_set_name(const char *name);
/* SIGKILL comes when the process ends that has forked this one. */
void process_end_with_parent(void);

/* Is fd open? For fds that were named to us: to be asked before we open any
 * of our own. */
bool process_has_fd(int fd);

/* Closes a descriptor that was given to us. The number of a standard one does
 * not become free: it leads nowhere. */
void process_close_fd(int fd);

/* A copy of fd, close-on-exec, or a negative errno. */
int process_copy_fd(int fd);

/* Makes the directory with mode 0700 if it does not exist; not its parents. */
int process_make_dir(const char *path, struct err *e);
/* Does path belong to somebody who is neither root nor whom we run as? */
bool process_is_others(const char *path, unsigned *uid);

#endif
