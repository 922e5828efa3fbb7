/* Unix sockets: to listen on a path that may be long, or taken, or left behind
 * by somebody who died; and to send and receive bytes with fds.
 *
 * A path longer than sun_path goes through /proc/self/fd of its directory. Who
 * may replace a socket file that is there is settled by a lock on the directory
 * and by asking whether somebody listens. */
#include "os/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "os/linux/broker_own.h"

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

#define BACKLOG 64
#define LOCK_TRIES 50
#define LOCK_TRY_MS 10
#define CONNECT_S 10

/* Where a socket is to be: its directory, open, and an address that reaches
 * it however long the path is. */
struct place {
    int dir;
    struct sockaddr_un addr;
    char name[NAME_MAX + 1];
};

static int place_open(struct place *p, const char *path, struct err *e)
{
    char dir_path[PATH_MAX], *slash;
    int n, rc;

    p->dir = -1;
    if (snprintf(dir_path, sizeof(dir_path), "%s", path) >= PATH_MAX)
        return err_set(e, -ENAMETOOLONG, "", "the socket path is too long");
    slash = strrchr(dir_path, '/');
    if (!slash || !slash[1])
        return err_set(e, -EINVAL, "", "%s is no path for a socket", path);
    if (strlen(slash + 1) > NAME_MAX)
        return err_set(e, -ENAMETOOLONG, "",
                       "the name of a socket has at most %d bytes", NAME_MAX);
    strcpy(p->name, slash + 1);
    slash[slash == dir_path] = '\0';

    p->dir = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->dir < 0)
        return err_sys(e, errno, "", "cannot open the directory %s", dir_path);
    memset(&p->addr, 0, sizeof(p->addr));
    p->addr.sun_family = AF_UNIX;
    if (strlen(path) < sizeof(p->addr.sun_path)) {
        strcpy(p->addr.sun_path, path);
        return 0;
    }
    n = snprintf(p->addr.sun_path, sizeof(p->addr.sun_path),
                 "/proc/self/fd/%d/%s", p->dir, p->name);
    if (n < 0 || (size_t)n >= sizeof(p->addr.sun_path)) {
        rc = err_set(e, -ENAMETOOLONG, "",
                     "the socket's name %.40s... is too long: path and name "
                     "may not both be above %zu bytes",
                     p->name, sizeof(p->addr.sun_path) - 24);
        close(p->dir);
        p->dir = -1;
        return rc;
    }
    return 0;
}

/* Two vubs that start at once must not both find the same stale socket and
 * remove each other's new one: whoever has the directory's lock looks. None
 * has it for longer than a moment. Whoever may read the directory can lock it,
 * though, and need not be a vub, or mean well: then it goes without, as on a
 * file system without locks. */
static void place_lock(const struct place *p)
{
    const struct timespec pause = {0, LOCK_TRY_MS * 1000000L};

    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(p->dir, LOCK_EX | LOCK_NB) == 0 ||
            (errno != EWOULDBLOCK && errno != EINTR))
            return;
        nanosleep(&pause, NULL);
    }
}

/* "process 12 (qemu)". Who listens in another pid namespace has no number
 * here. */
static void name_peer(int fd, char *out, size_t room)
{
    char path[32], name[64] = "";
    unsigned uid;
    int pid, comm;
    ssize_t n = 0;

    sock_peer(fd, &pid, &uid);
    if (pid == 0) {
        snprintf(out, room, "a process of another container or namespace");
        return;
    }
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    comm = open(path, O_RDONLY | O_CLOEXEC);
    if (comm >= 0) {
        n = read(comm, name, sizeof(name) - 1);
        close(comm);
    }
    if (n > 0)
        name[strcspn(name, "\n")] = '\0';
    if (n > 0 && name[0])
        snprintf(out, room, "process %d (%s)", pid, name);
    else
        snprintf(out, room, "process %d", pid);
}

/* Makes room for a socket: 0 if the name is free now. */
static int replace_stale(struct place *p, const char *path, struct err *e)
{
    struct stat st;
    char who[128];
    int fd, rc;

    if (fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT
                   ? 0
                   : err_sys(e, errno, "", "cannot look at %s", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, -EEXIST, "", "%s exists and is not a socket", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(e, errno, "", "cannot make a socket");
    if (connect(fd, (struct sockaddr *)&p->addr, sizeof(p->addr)) == 0) {
        name_peer(fd, who, sizeof(who));
        rc = err_set(e, -EADDRINUSE, "", "%s is in use: %s listens on it", path,
                     who);
    } else if (errno == EAGAIN) {
        rc = err_set(e, -EADDRINUSE, "", "%s is in use", path);
    } else if (errno == ECONNREFUSED) {
        rc = 0;
        if (unlinkat(p->dir, p->name, 0) < 0 && errno != ENOENT)
            rc = err_sys(e, errno, "", "cannot remove the stale socket %s",
                         path);
    } else {
        rc = err_sys(e, errno, "", "cannot tell whether %s is in use", path);
    }
    close(fd);
    return rc;
}

int sock_listen_here(const char *path, unsigned mode, struct err *e)
{
    struct place p;
    int fd = -1, rc;

    rc = place_open(&p, path, e);
    if (rc < 0)
        return rc;
    place_lock(&p);
    rc = replace_stale(&p, path, e);
    if (rc < 0)
        goto out;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        rc = err_sys(e, errno, "", "cannot make a socket");
        goto out;
    }
    /* The file is made with the socket's own mode, less the umask: never
     * wider than asked, and set exactly right afterwards. */
    fchmod(fd, mode);
    if (bind(fd, (struct sockaddr *)&p.addr, sizeof(p.addr)) < 0) {
        rc = err_sys(e, errno, "", "cannot bind %s", path);
        goto out;
    }
    if (fchmodat(p.dir, p.name, mode, 0) < 0 || listen(fd, BACKLOG) < 0) {
        rc = err_sys(e, errno, "", "cannot listen on %s", path);
        unlinkat(p.dir, p.name, 0);
        goto out;
    }
    rc = fd;
    fd = -1;
out:
    if (fd >= 0)
        close(fd);
    close(p.dir); /* and with it the lock */
    return rc;
}

int sock_listen_again(int fd)
{
    return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

int sock_listen(const char *path, unsigned mode, struct err *e)
{
    int rc = sock_listen_here(path, mode, e);

    if ((rc != -EACCES && rc != -EPERM) || !broker_runs())
        return rc;
    rc = broker_listen(path, mode, e);
    /* Whoever has listened last is who its clients see. */
    if (rc >= 0)
        sock_listen_again(rc);
    if (rc >= 0)
        fcntl(rc, F_SETFL, O_NONBLOCK);
    return rc;
}

static void unlink_if(const char *path, int listener, bool stale_too)
{
    struct place p;
    struct stat st;
    int probe, pid = 0;
    unsigned uid;

    /* Somebody may have replaced the file: then it is not ours to remove.
     * Whoever answers at it tells. */
    if (place_open(&p, path, NULL) < 0)
        return;
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe >= 0 && fstatat(p.dir, p.name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISSOCK(st.st_mode)) {
        if (connect(probe, (struct sockaddr *)&p.addr, sizeof(p.addr)) == 0)
            sock_peer(probe, &pid, &uid);
        else if (stale_too && errno == ECONNREFUSED)
            pid = listener;
        if (pid == listener ||
            (pid == 0 && errno == EAGAIN && listener == getpid()))
            unlinkat(p.dir, p.name, 0);
    }
    if (probe >= 0)
        close(probe);
    close(p.dir);
}

void sock_unlink_of(const char *path, int listener)
{
    unlink_if(path, listener, false);
}

void sock_unlink_stale(const char *path, int listener)
{
    unlink_if(path, listener, true);
}

void sock_unlink(const char *path)
{
    if (broker_unlink_socket(path) == -ENOSYS)
        sock_unlink_of(path, getpid());
}

/* A byte that is out of band is read like any other: passing over it, the
 * kernel would close the fds that came with it, in the middle of our call. */
static void keep_in_band(int fd)
{
    const int one = 1;

    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
}

static int set_flags(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    return 0;
}

static bool is_unix(int fd, int wanted)
{
    int domain = 0, type = 0;
    socklen_t len = sizeof(int);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
           domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
           type == wanted;
}

static bool is_unix_stream(int fd)
{
    return is_unix(fd, SOCK_STREAM);
}

static bool is_connected(int fd)
{
    struct sockaddr_un peer;
    socklen_t len = sizeof(peer);

    return getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

int sock_inherited(int fd, enum sock_kind *kind, struct err *e)
{
    int listens = 0;
    socklen_t len = sizeof(listens);

    if (fcntl(fd, F_GETFD) < 0)
        return err_set(e, -EBADF, "", "fd %d is not open", fd);
    if (!is_unix_stream(fd))
        return err_set(e, -ENOTSOCK, "", "fd %d is not a unix stream socket",
                       fd);
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
    if (!listens && !is_connected(fd))
        return err_set(e, -ENOTCONN, "",
                       "fd %d neither listens nor is connected", fd);
    *kind = listens ? SOCK_LISTENING : SOCK_CONNECTED;
    if (set_flags(fd) < 0)
        return err_sys(e, errno, "", "cannot use fd %d", fd);
    keep_in_band(fd);
    return 0;
}

int sock_packet_pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   fds) < 0)
        return -errno;
    return 0;
}

int sock_copy(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    return copy < 0 ? -errno : copy;
}

bool sock_is_packet(int fd)
{
    return is_unix(fd, SOCK_SEQPACKET) && set_flags(fd) == 0;
}

bool sock_path(int fd, char *out, size_t room)
{
    struct sockaddr_un addr;
    socklen_t len = sizeof(addr);
    size_t max;

    memset(&addr, 0, sizeof(addr));
    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0 ||
        addr.sun_family != AF_UNIX || addr.sun_path[0] != '/')
        return false;
    max = sizeof(addr.sun_path); /* which needs no NUL */
    return snprintf(out, room, "%.*s", (int)max, addr.sun_path) < (int)room;
}

int sock_accept(int fd)
{
    int conn;

    do {
        conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    } while (conn < 0 && errno == EINTR);
    if (conn < 0)
        return -errno;
    keep_in_band(conn);
    return conn;
}

int sock_pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   fds) < 0)
        return -errno;
    keep_in_band(fds[0]);
    keep_in_band(fds[1]);
    return 0;
}

void sock_peer(int fd, int *pid, unsigned *uid)
{
    struct ucred cred = {0};
    socklen_t len = sizeof(cred);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        cred = (struct ucred){.uid = (uid_t)-1};
    *pid = cred.pid;
    *uid = cred.uid;
}

bool sock_is_own(int fd)
{
    unsigned uid;
    int pid;

    sock_peer(fd, &pid, &uid);
    return pid == getpid();
}

bool sock_is_gone(int fd)
{
    struct pollfd p = {.fd = fd};

    return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL);
}

int sock_connect(const char *path, struct err *e)
{
    const struct timeval patience = {.tv_sec = CONNECT_S};
    struct place p;
    int fd = -1, rc;

    rc = place_open(&p, path, e);
    if (rc < 0)
        return rc;
    /* Many at once fill the backlog. */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) <
            0 ||
        connect(fd, (struct sockaddr *)&p.addr, sizeof(p.addr)) < 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        rc = err_sys(e, errno, "", "cannot connect to %s", path);
        if (fd >= 0)
            close(fd);
        fd = rc;
    }
    close(p.dir);
    return fd;
}

int sock_wait(int fd, bool write, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = write ? POLLOUT : POLLIN};
    int n = poll(&p, 1, timeout_ms);

    if (n < 0)
        return -errno;
    return n == 0 ? -ETIMEDOUT : 0;
}

int sock_wait_any(const int *fds, unsigned num)
{
    struct pollfd p[SOCK_WAIT_MAX];
    int rc;

    for (unsigned i = 0; i < num; i++)
        p[i] = (struct pollfd){fds[i], POLLIN, 0};
    do
        rc = poll(p, num, -1);
    while (rc < 0 && errno == EINTR);
    for (unsigned i = 0; rc > 0 && i < num; i++)
        if (p[i].revents)
            return (int)i;
    return rc < 0 ? -errno : -EIO;
}

bool sock_adopt(int fd)
{
    if (!is_unix_stream(fd) || !is_connected(fd) || set_flags(fd) < 0)
        return false;
    keep_in_band(fd);
    return true;
}

ssize_t sock_recv(int fd, void *buf, size_t len, int *fds, unsigned *num_fds)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * (SOCK_FDS_ROOM - SOCK_FDS_MAX)) +
                   CMSG_SPACE(sizeof(int))]; /* and a pidfd */
        struct cmsghdr align;
    } control;
    struct iovec iov = {buf, len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    bool lost = false;
    ssize_t n;

    do {
        n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    lost = msg.msg_flags & MSG_CTRUNC;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        /* One that nobody sent: whoever has had this end may have switched it
         * on (SO_PASSPIDFD), and the kernel opens it for us. */
        bool is_pidfd = c->cmsg_type == SCM_PIDFD;
        size_t count;

        if (c->cmsg_level != SOL_SOCKET ||
            (c->cmsg_type != SCM_RIGHTS && !is_pidfd))
            continue;
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int got;

            memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (!is_pidfd && *num_fds < SOCK_FDS_ROOM) {
                fds[(*num_fds)++] = got;
            } else {
                close(got);
                lost |= !is_pidfd;
            }
        }
    }
    return lost || *num_fds > SOCK_FDS_MAX ? -EMSGSIZE : n;
}

bool sock_is_unread(int fd)
{
    int bytes;

    return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

static ssize_t send_now(int fd, const struct msghdr *msg)
{
    ssize_t n;

    do {
        n = sendmsg(fd, msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t sock_send(int fd, const void *buf, size_t len, const int *fds,
                  unsigned num_fds)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * SOCK_FDS_MAX)];
        struct cmsghdr align;
    } control;
    struct iovec iov = {(void *)buf, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (num_fds) {
        struct cmsghdr *c;

        memset(&control, 0, sizeof(control));
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * num_fds);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * num_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * num_fds);
    }
    return send_now(fd, &msg);
}

ssize_t sock_sendv(int fd, const struct iovec *iov, int num)
{
    const struct msghdr msg = {.msg_iov = (struct iovec *)iov,
                               .msg_iovlen = (size_t)num};

    return send_now(fd, &msg);
}

void sock_make_room(int fd, int bytes)
{
    int has;
    socklen_t len = sizeof(has);

    if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &has, &len) == 0 && has >= bytes)
        return;
    bytes /= 2; /* which the kernel doubles, for what it needs itself */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}
