/* os/linux/own.h: how we were started, noted by process_init. For os/linux/. */
#ifndef VUB_OS_LINUX_OWN_H
#define VUB_OS_LINUX_OWN_H

#include <sys/resource.h>
#include <sys/types.h>

extern pid_t process_parent;
extern struct rlimit process_files; /* the limit of open files */

#endif
