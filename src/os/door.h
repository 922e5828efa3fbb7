/* os/door.h: a socket by which connections come that another process of ours
 * has accepted.
 *
 * One end brings visits: a connection, by a number of its own, and who is at
 * the other end of it. The other end serves them, and says of each that it has
 * ended on purpose before it closes it: a connection that ends without that has
 * been lost with the process. Both ends do not block.
 * Threads: any, one at a time for each end. */
#ifndef VUB_OS_DOOR_H
#define VUB_OS_DOOR_H

#include "base/base.h"

struct door_visit {
    uint64_t number;
    int fd; /* non-blocking, a unix stream */
    int pid;
    unsigned uid;
};

#define DOOR_WHY_MAX 400

/* ends[0] brings, ends[1] serves. Negative errno. */
int door_pair(int ends[2]);

/* A copy of the fd goes. -EAGAIN: nothing fits now. */
int door_bring(int door, const struct door_visit *v);
/* The next one, whose fd is the caller's: 1. 0: none comes any more. -EAGAIN:
 * there is none yet. */
int door_accept(int door, struct door_visit *v);

/* That visit is over; why: a clause, cut if it is long; NULL: none. */
void door_end(int door, uint64_t number, const char *why);
/* The next one that is: 1, and why is "" or a clause; 0, -EAGAIN as above;
 * -EPROTO: something else was said. */
int door_ended(int door, uint64_t *number, char why[DOOR_WHY_MAX]);

#endif
