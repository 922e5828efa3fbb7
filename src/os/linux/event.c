/* An eventfd can only be told by what /proc says of it. Reads ask not to wait
 * each time (RWF_NOWAIT), whatever the flags of the file are by now. The kernel
 * has no such thing for writes: one that waits is ended by a signal, and EINTR
 * tells that it did. */
#include "os/event.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

bool event_is(int fd)
{
    static const char name[] = "anon_inode:[eventfd]";
    char path[40], link[sizeof(name)];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return readlink(path, link, sizeof(link)) == sizeof(name) - 1 &&
           memcmp(link, name, sizeof(name) - 1) == 0;
}

/* Older kernels do not say: then it is none. */
static bool is_semaphore(int fd)
{
    char path[40], text[512];
    ssize_t n;
    int info;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    info = open(path, O_RDONLY | O_CLOEXEC);
    if (info < 0)
        return false;
    n = read(info, text, sizeof(text) - 1);
    close(info);
    text[MAX(n, 0)] = '\0';
    return strstr(text, "eventfd-semaphore: 1") != NULL;
}

static int set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

int event_adopt(int fd)
{
    if (!event_is(fd) || is_semaphore(fd))
        return -EINVAL;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    return set_nonblocking(fd);
}

int event_signal(int fd)
{
    const uint64_t one = 1;

    if (LIKELY(write(fd, &one, sizeof(one)) >= 0) || errno != EINTR)
        return 0;
    /* Nobody interrupts a write that does not block. */
    set_nonblocking(fd);
    return -EINTR;
}

int event_clear(int fd)
{
    uint64_t count;
    struct iovec iov = {&count, sizeof(count)};
    /* By number: not every C library has preadv2. Offset -1: no offset. */
    ssize_t n = syscall(SYS_preadv2, fd, &iov, 1, -1L, -1L, RWF_NOWAIT);

    if (UNLIKELY(n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)))
        n = read(fd, &count, sizeof(count)); /* an old kernel */
    if (n > 0)
        return 1;
    if (n == 0)
        return -EPIPE;
    return errno == EAGAIN ? 0 : -errno;
}

int event_open(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    return fd < 0 ? -errno : fd;
}
