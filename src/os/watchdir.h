/* os/watchdir.h: is told when something appears in a directory.
 *
 * Device nodes come and go; nobody wants to look for them every second.
 * Threads: any, one per fd. */
#ifndef VUB_OS_WATCHDIR_H
#define VUB_OS_WATCHDIR_H

#include "base/base.h"

/* *fd, the caller's, becomes readable when a name appears in a directory that
 * is followed, or somebody changes who may open what is there. Does not block.
 * 0 or a negative errno. */
int watchdir_open(int *fd);

/* Follows dir (absolute), or what exists of the way to it. To be said again
 * whenever fd was readable, until what is looked for is there. */
void watchdir_follow(int fd, const char *dir);

/* Forgets what has happened so far: fd is not readable any more. */
void watchdir_clear(int fd);

#endif
