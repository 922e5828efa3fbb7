/* poll and signalfd. */
#include "os/await.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define FEW 16 /* that need no memory of their own */

static short events_of(unsigned wants)
{
    return (short)((wants & AWAIT_READ ? POLLIN : 0) |
                   (wants & AWAIT_WRITE ? POLLOUT : 0));
}

static unsigned ready_of(const struct await *a, short events)
{
    unsigned ready = 0;

    if (events & (POLLERR | POLLHUP | POLLNVAL))
        return a->wants;
    if (events & POLLIN)
        ready |= AWAIT_READ;
    if (events & POLLOUT)
        ready |= AWAIT_WRITE;
    return ready;
}

int await_any(struct await *list, unsigned num, int timeout_ms)
{
    struct pollfd few[FEW], *p = few;
    int n;

    if (num > FEW) {
        p = calloc(num, sizeof(*p));
        if (!p)
            return -ENOMEM;
    }
    for (unsigned i = 0; i < num; i++)
        p[i] = (struct pollfd){list[i].wants ? list[i].fd : -1,
                               events_of(list[i].wants), 0};
    n = poll(p, num, timeout_ms);
    if (n < 0)
        n = errno == EINTR ? 0 : -errno;
    for (unsigned i = 0; i < num; i++)
        list[i].ready = n > 0 ? ready_of(&list[i], p[i].revents) : 0;
    if (p != few)
        free(p);
    return n;
}

int await_signals(const int *signals, unsigned num)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    for (unsigned i = 0; i < num; i++)
        sigaddset(&set, signals[i]);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return fd;
}

int await_signal(int fd)
{
    struct signalfd_siginfo info;

    return read(fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo
                                                         : 0;
}
