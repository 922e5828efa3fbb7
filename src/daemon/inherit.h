/* daemon/inherit.h: sockets that whoever started us has opened: systemd's
 * socket activation, sd_listen_fds(3). $LISTEN_FDS of them begin at fd 3, and
 * $LISTEN_FDNAMES says whose each is.
 *
 * Threads: the main one, before others exist. */
#ifndef VUB_DAEMON_INHERIT_H
#define VUB_DAEMON_INHERIT_H

#include "base/err.h"

#define INHERIT_FIRST 3
#define INHERIT_MAX 4096 /* more is a mistake */

struct inherited {
    char **names; /* [count]; NULL: somebody has taken it */
    int count;
};

/* Reads the environment, and takes what is meant for us out of it. On failure
 * there is nothing to free. */
int inherit_read(struct inherited *in, struct errs *e);
/* The fd of that name, -1 if there is none (any more). */
int inherit_take(struct inherited *in, const char *name);
/* An fd that the config names by its number needs no name. */
void inherit_take_fd(struct inherited *in, unsigned fd);
/* One that nobody has taken, and its name; -1: all are. */
int inherit_left(const struct inherited *in, const char **name);
void inherit_free(struct inherited *in);

#endif
