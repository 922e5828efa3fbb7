/* The four calls by which libiscsi uses its socket. A program's own definition
 * of a function comes before that of a shared library, and before that of a
 * static one that is linked later. */
#include "os/tap.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Whatever the rest is compiled with: shared libraries are to find them. */
#define INTERPOSES __attribute__((visibility("default"), used))

static _Thread_local struct tap *tapped;

struct tap *tap_set(struct tap *t)
{
    struct tap *before = tapped;

    tapped = t;
    return before;
}

/* A library's call goes to the first definition in the order in which the
 * program and its libraries were loaded, which is what dlsym looks for. */
const char *tap_missing(void)
{
    static const struct {
        const char *name;
        void *ours;
    } calls[] = {
        {"recv", (void *)recv},
        {"send", (void *)send},
        {"readv", (void *)readv},
        {"writev", (void *)writev},
    };

    for (unsigned i = 0; i < ARRAY_LEN(calls); i++) {
        if (dlsym(RTLD_DEFAULT, calls[i].name) != calls[i].ours)
            return calls[i].name;
    }
    return NULL;
}

int tap_dead_end(int fd)
{
    int pair[2], rc = 0;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   pair) < 0)
        return -errno;
    if (dup3(pair[0], fd, O_CLOEXEC) < 0)
        rc = -errno;
    close(pair[0]);
    close(pair[1]);
    return rc;
}

/* A tap never waits and never raises SIGPIPE; it can do nothing else. */
static bool can_do(int flags)
{
    if ((flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL)) == 0)
        return true;
    errno = EOPNOTSUPP;
    return false;
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

INTERPOSES ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    struct tap *t = tap_of(fd);
    struct iovec iov = {buf, len};

    if (!t)
        return recvfrom(fd, buf, len, flags, NULL, NULL);
    return can_do(flags) ? t->readv(t, &iov, 1) : -1;
}

INTERPOSES ssize_t send(int fd, const void *buf, size_t len, int flags)
{
    struct tap *t = tap_of(fd);
    struct iovec iov = {(void *)buf, len};

    if (!t)
        return sendto(fd, buf, len, flags, NULL, 0);
    return can_do(flags) ? t->writev(t, &iov, 1) : -1;
}

INTERPOSES ssize_t readv(int fd, const struct iovec *iov, int num)
{
    struct tap *t = tap_of(fd);

    return t ? t->readv(t, iov, num) : syscall(SYS_readv, fd, iov, num);
}

INTERPOSES ssize_t writev(int fd, const struct iovec *iov, int num)
{
    struct tap *t = tap_of(fd);

    return t ? t->writev(t, iov, num) : syscall(SYS_writev, fd, iov, num);
}
