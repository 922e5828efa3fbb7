/* os/uring.h: io_uring for one file, or the news that there is none here.
 *
 * A ring belongs to one thread. Operations are queued, sent with one system
 * call, and reaped from memory. The ring is restricted by the kernel to the
 * operations below on the one file, so that nobody who gets hold of it can do
 * more. In builds without liburing uring_open answers -ENOSYS. */
#ifndef VUB_OS_URING_H
#define VUB_OS_URING_H

#include <sys/uio.h>

#include "base/err.h"

struct uring;

/* Makes rings that uring_open takes later, when no more can be made: a process
 * that could make one could do with it what os/sandbox.h would not let it. What
 * uring_close gives back is taken again, by whatever thread. As many as the
 * system lets us, at most num. Threads: the main one, before others exist. */
void uring_reserve(unsigned num, unsigned depth);
/* Frees them. All have been closed. Safe without any. */
void uring_unreserve(void);

/* A ring with room for `depth` operations in flight, on file fd (which stays
 * the caller's). e says why the kernel does not let us. */
int uring_open(struct uring **out, int fd, unsigned depth, struct err *e);
/* Nothing is in flight. u may be NULL. */
void uring_close(struct uring *u);

/* Becomes readable when there is something to reap. */
int uring_fd(const struct uring *u);

/* Each queues one operation that comes back with `user`; false if the queue is
 * full: uring_send first. At most `depth` may be in flight. iov is good until
 * it is reaped. */
bool uring_read(struct uring *u, const struct iovec *iov, int num,
                uint64_t offset, void *user);
bool uring_write(struct uring *u, const struct iovec *iov, int num,
                 uint64_t offset, bool dsync, void *user);
bool uring_sync(struct uring *u, void *user); /* fdatasync */
/* mode: of fallocate. */
bool uring_allocate(struct uring *u, int mode, uint64_t offset, uint64_t len,
                    void *user);

/* Sends what is queued. -EAGAIN, -EBUSY: the kernel wants us to reap first;
 * what is queued stays. */
int uring_send(struct uring *u);

/* Is there something to reap? Looks at memory only. */
bool uring_has_done(const struct uring *u);

struct uring_done {
    void *user;
    int result; /* bytes or 0; negative errno */
};

/* Takes up to max of what is done. */
unsigned uring_reap(struct uring *u, struct uring_done *done, unsigned max);

#endif
