/* os/tap.h: what a library does with its socket goes through us.
 *
 * libiscsi reads and writes its socket by itself. This file's recv, readv, send
 * and writev take the place of the C library's in the whole process (tap.c: the
 * linker prefers what the program defines, for shared libraries too). They are
 * the plain system calls, unless the thread has a tap and the fd is its: then
 * the tap answers, as the call would, errno and all. So the bytes of a party
 * that is not trusted are looked at before the library sees them, and many
 * small calls become one. Threads: a tap is its thread's. */
#ifndef VUB_OS_TAP_H
#define VUB_OS_TAP_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/base.h"

struct tap {
    int fd;
    ssize_t (*readv)(struct tap *t, const struct iovec *iov, int num);
    ssize_t (*writev)(struct tap *t, const struct iovec *iov, int num);
};

/* This thread's tap from now on; NULL: none. Returns the one before. */
struct tap *tap_set(struct tap *t);

/* The calls themselves, never tapped, of at most TAP_IOV_MAX pieces. A closed
 * socket is an error, not a signal. */
#define TAP_IOV_MAX 1024
ssize_t tap_readv(int fd, const struct iovec *iov, int num);
ssize_t tap_writev(int fd, const struct iovec *iov, int num);

#endif
