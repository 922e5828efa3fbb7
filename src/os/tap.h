/* os/tap.h: what a library does with its socket goes through us.
 *
 * libiscsi reads and writes its socket by itself. This file's recv, readv, send
 * and writev take the place of the C library's in the whole process (tap.c: the
 * linker prefers what the program defines, for shared libraries too). They are
 * the plain system calls, unless the thread has a tap and the fd is its: then
 * the tap answers, as the call would, errno and all. So the bytes of a party
 * that is not trusted are looked at before the library sees them, and many
 * small calls become one.
 *
 * What a linker did is not to be trusted either. tap_missing says what does not
 * reach us; and the library's fd is made to lead nowhere (tap_dead_end), the
 * connection is on another that it does not know: a call that passes us by
 * finds an end of file, not a target.
 *
 * The price: these four are not the C library's for anybody in the process. A
 * sanitizer's checks of their buffers are lost, as are other libraries that
 * would interpose them, and they are no points where a thread can be cancelled.
 * The other way was a relay: a socket pair, its one end libiscsi's, whose bytes
 * we carry to the connection and back. That needs no linker, but two more
 * system calls and two more copies of all data, where now the kernel moves them
 * from and to guest memory at once.
 *
 * Threads: a tap is its thread's. */
#ifndef VUB_OS_TAP_H
#define VUB_OS_TAP_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/base.h"

/* Flags of a tapped call that mean something to it are not served: the call
 * fails with EOPNOTSUPP. */
struct tap {
    int fd;
    ssize_t (*readv)(struct tap *t, const struct iovec *iov, int num);
    ssize_t (*writev)(struct tap *t, const struct iovec *iov, int num);
};

/* This thread's tap from now on; NULL: none. Returns the one before. */
struct tap *tap_set(struct tap *t);
/* Which of the four does not come to us when a shared library calls it; NULL:
 * all do. One that is linked statically calls what the program defines. */
const char *tap_missing(void);
/* fd, a number that stays as it is, leads nowhere from now on: reading from it
 * finds the end. 0 or a negative errno. */
int tap_dead_end(int fd);

/* The calls themselves, never tapped, of at most TAP_IOV_MAX pieces. A closed
 * socket is an error, not a signal. */
#define TAP_IOV_MAX 1024
ssize_t tap_readv(int fd, const struct iovec *iov, int num);
ssize_t tap_writev(int fd, const struct iovec *iov, int num);

#endif
