/* os/await.h: waiting for several descriptors at once, and for signals as one
 * of them, for a program of one thread that has no loop. */
#ifndef VUB_OS_AWAIT_H
#define VUB_OS_AWAIT_H

#include "base/base.h"

enum { AWAIT_READ = 1 << 0, AWAIT_WRITE = 1 << 1 };

struct await {
    int fd; /* -1: it is left out */
    unsigned wants;
    unsigned ready; /* of those; all of them if there is an end or an error to
                     * be found by trying */
};

/* [blocks] Until one of them is ready, at most so long; -1: for ever. How many
 * are, 0 when the time is over, or a negative errno. */
int await_any(struct await *list, unsigned num, int timeout_ms);

/* From now on these signals do nothing but make this descriptor readable, which
 * is the caller's. Or a negative errno. */
int await_signals(const int *signals, unsigned num);
/* The next that has come; 0: there is none. */
int await_signal(int fd);

#endif
