/* os/linux/own.h: how we were started, noted by process_init, and what those
 * whom we start get of it (child.c). For os/linux/. */
#ifndef VUB_OS_LINUX_OWN_H
#define VUB_OS_LINUX_OWN_H

#include <sys/resource.h>
#include <sys/types.h>

extern pid_t process_parent;
extern struct rlimit process_files; /* the limit of open files */

/* In a child: signals do what they did when we were started. */
void child_reset_signals(void);
/* `more` ("NAME=value", NULL-ended), then what of our own environment has none
 * of its names: to be freed, the strings are not. NULL: no memory. */
char **child_environment(char *const *more);

#endif
