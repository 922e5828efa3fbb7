/* os/closer.h: gives back what a stranger sent, without waiting for it.
 *
 * close() of most fds takes no time, but the last one of a file on a network
 * file system waits for a server, that of a TCP socket may linger, and a unix
 * socket closes what was sent to it and never received. munmap, and the end of
 * a file in memory, free its pages one by one. What may take long is done by a
 * thread, which is there for as long as there is something to do.
 *
 * A closer is for one stranger, so that none waits for what another sent.
 * Threads: one thread calls; closer_unmap, closer_unmap_all: any. */
#ifndef VUB_OS_CLOSER_H
#define VUB_OS_CLOSER_H

#include "base/base.h"

struct closer;

/* So many are a reason to take no more from where they came. */
#define CLOSER_MANY 64

/* idle(arg) is called whenever nothing waits any more, on the closer's thread,
 * which waits meanwhile. NULL: no memory. */
struct closer *closer_new(void (*idle)(void *arg), void *arg);
/* What waits is closed all the same, some time; idle is not called again. c may
 * be NULL. */
void closer_free(struct closer *c);

/* fd, whatever it is: at once if that is quick. */
void closer_fd(struct closer *c, int fd);
/* The same for our end of a connected unix stream that nobody else has; it is
 * shut down at once. */
void closer_sock(struct closer *c, int fd);
/* The same of one that should not have come, for who has no closer: the
 * stranger is sent away, so that this does not happen often. fd -1: nothing. */
void closer_stray(int fd);
/* How many are not closed yet. */
unsigned closer_waiting(struct closer *c);

/* Unmaps len bytes at map, and closes fd behind them: memory, which takes time
 * by its size but ends. */
void closer_unmap(void *map, size_t len, int fd);

struct closer_map {
    void *at;
    size_t len;
    int fd; /* -1: none */
};

/* The same of many. maps is malloc'ed, or NULL, and the closer's. */
void closer_unmap_all(struct closer_map *maps, unsigned num);
/* Waits until all memory is unmapped, for who counts what is left. Not on a
 * loop. */
void closer_unmap_wait(void);

#endif
