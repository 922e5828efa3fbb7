/* The four calls by which libiscsi uses its socket. A program's own definition
 * of a function comes before that of a shared library, and before that of a
 * static one that is linked later. */
#include "os/tap.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local struct tap *tapped;

struct tap *tap_set(struct tap *t)
{
    struct tap *before = tapped;

    tapped = t;
    return before;
}

static inline struct tap *tap_of(int fd)
{
    return UNLIKELY(tapped != NULL) && tapped->fd == fd ? tapped : NULL;
}

ssize_t tap_readv(int fd, const struct iovec *iov, int num)
{
    struct msghdr m = {
        .msg_iov = (struct iovec *)iov,
        .msg_iovlen = (size_t)MIN(num, TAP_IOV_MAX),
    };

    return recvmsg(fd, &m, 0);
}

ssize_t tap_writev(int fd, const struct iovec *iov, int num)
{
    struct msghdr m = {
        .msg_iov = (struct iovec *)iov,
        .msg_iovlen = (size_t)MIN(num, TAP_IOV_MAX),
    };

    return sendmsg(fd, &m, MSG_NOSIGNAL);
}

ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    struct tap *t = tap_of(fd);
    struct iovec iov = {buf, len};

    return t ? t->readv(t, &iov, 1) : recvfrom(fd, buf, len, flags, NULL, NULL);
}

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
    struct tap *t = tap_of(fd);
    struct iovec iov = {(void *)buf, len};

    return t ? t->writev(t, &iov, 1) : sendto(fd, buf, len, flags, NULL, 0);
}

ssize_t readv(int fd, const struct iovec *iov, int num)
{
    struct tap *t = tap_of(fd);

    return t ? t->readv(t, iov, num) : syscall(SYS_readv, fd, iov, num);
}

ssize_t writev(int fd, const struct iovec *iov, int num)
{
    struct tap *t = tap_of(fd);

    return t ? t->writev(t, iov, num) : syscall(SYS_writev, fd, iov, num);
}
