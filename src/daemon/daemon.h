/* daemon/daemon.h: from a config to served devices, and back to nothing. */
#ifndef VUB_DAEMON_DAEMON_H
#define VUB_DAEMON_DAEMON_H

#include "base/err.h"
#include "daemon/config.h"

/* Opens all devices, binds all sockets, starts the workers, writes a line to
 * ready_fd (-1: none) and closes it, and serves until SIGTERM, SIGINT, or the
 * end of a front-end whose device asks for that. dir: where relative paths
 * start, of c and of what is asked later. Returns 0 when it has stopped
 * cleanly; else a negative errno with the reason in e: *is_config tells
 * whether it is something the config says, which is not so. */
int daemon_run(const struct config *c, const char *dir, int ready_fd,
               bool *is_config, struct errs *e);

#endif
