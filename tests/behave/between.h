/* behave/between.h: a process between two vubs of which the one takes over from
 * the other: it passes on what they say, and kills one of them at a packet that
 * the test chooses. To --take-over=SOCKET it looks like the old one, to which
 * it looks like the new one. */
#ifndef BEHAVE_BETWEEN_H
#define BEHAVE_BETWEEN_H

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "behave.h"

enum victim { NOBODY, THE_OLD, THE_NEW };

#define BETWEEN_FDS 32

struct between_packet {
    char bytes[8192];
    ssize_t len; /* 0: the other end has hung up */
    int fds[BETWEEN_FDS];
    unsigned num_fds;
};

static void between_take(int sock, struct between_packet *p)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * BETWEEN_FDS)];
        struct cmsghdr align;
    } control;
    struct iovec iov = {p->bytes, sizeof(p->bytes)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    struct cmsghdr *c;

    p->len = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    p->num_fds = 0;
    if (p->len <= 0) {
        p->len = 0;
        return;
    }
    c = CMSG_FIRSTHDR(&msg);
    if (!c)
        return;
    p->num_fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(p->fds, CMSG_DATA(c), p->num_fds * sizeof(int));
}

/* With one fd more, -1: none. What went along is closed here. */
static void between_give(int sock, struct between_packet *p)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * BETWEEN_FDS)];
        struct cmsghdr align;
    } control;
    struct iovec iov = {p->bytes, (size_t)p->len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    struct cmsghdr *c;

    if (p->num_fds) {
        memset(&control, 0, sizeof(control));
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * p->num_fds);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * p->num_fds);
        memcpy(CMSG_DATA(c), p->fds, sizeof(int) * p->num_fds);
    }
    if (sendmsg(sock, &msg, MSG_NOSIGNAL) < 0)
        p->len = 0;
    for (unsigned i = 0; i < p->num_fds; i++)
        close(p->fds[i]);
}

static void between_address(struct sockaddr_un *a, const char *path)
{
    memset(a, 0, sizeof(*a));
    a->sun_family = AF_UNIX;
    snprintf(a->sun_path, sizeof(a->sun_path), "%s", path);
}

/* Until it has ended, all of it. */
static void between_kill(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};

    kill(pid, SIGKILL);
    poll(&p, 1, 20000);
    close(fd);
}

_Noreturn static void between_run(int listener, const char *control,
                                  unsigned at, enum victim victim, pid_t old)
{
    struct sockaddr_un to;
    struct between_packet p;
    int to_new = accept(listener, NULL, NULL), pair[2], other = -1;
    int to_old = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct ucred cred = {0};
    socklen_t len = sizeof(cred);
    unsigned count = 0;

    getsockopt(to_new, SOL_SOCKET, SO_PEERCRED, &cred, &len);
    between_address(&to, control);
    if (connect(to_old, (struct sockaddr *)&to, sizeof(to)) < 0)
        _exit(254);
    between_take(to_new, &p);
    between_give(to_old, &p);
    between_take(to_old, &p);
    if (p.num_fds != 1 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        _exit(253);
    other = p.fds[0];
    p.fds[0] = pair[1];
    between_give(to_new, &p);
    for (;;) {
        struct pollfd both[2] = {{.fd = other, .events = POLLIN},
                                 {.fd = pair[0], .events = POLLIN}};
        int from;

        if (victim != NOBODY && count == at) {
            between_kill(victim == THE_OLD ? old : cred.pid);
            /* What it has sent and nobody has read goes with it, before
             * anybody sees the end of this process. */
            close(victim == THE_OLD ? other : pair[0]);
            _exit(0);
        }
        poll(both, 2, 20000);
        from = both[0].revents ? 0 : 1;
        between_take(both[from].fd, &p);
        if (p.len == 0)
            _exit((int)count);
        count++;
        between_give(both[!from].fd, &p);
    }
}

/* To be found at `path`; a child of the test's. */
static pid_t between(struct vub *old, const char *path, unsigned at,
                     enum victim victim)
{
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const char *control = vub_path(old, "ctl");
    struct sockaddr_un a;
    pid_t pid;

    between_address(&a, path);
    unlink(path);
    if (bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 ||
        listen(listener, 1) < 0)
        front_fail("cannot listen on %s", path);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* Copies of what the test has would keep connections from ending. */
        for (int fd = 3; fd < 1024; fd++)
            if (fd != listener)
                close(fd);
        between_run(listener, control, at, victim, old->pid);
    }
    close(listener);
    return pid;
}

/* How many packets it has passed on, if it has killed nobody. */
static unsigned between_end(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) > 250)
        front_fail("what was between two vubs has failed: %x", status);
    return (unsigned)WEXITSTATUS(status);
}

#endif
