/* os/parent.h: the process that started us, and its end. Threads: the main
 * one. */
#ifndef VUB_OS_PARENT_H
#define VUB_OS_PARENT_H

/* Makes its end known. Returns an fd that becomes readable then; -ENOSYS: this
 * kernel has no such fd, SIGTERM comes instead; -ESRCH: it has ended already.
 * process_init was called. */
int parent_open(void);

#endif
