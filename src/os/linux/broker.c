/* The asker's side: starts the broker, asks, and does without. */
#include "os/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "os/linux/broker_own.h"

/* A server that answers no more for a while, of names or of files. Loops ask
 * for device nodes and sockets only, which no server has. */
#define PATIENCE_MS 30000

/* A thread that nobody waits for, with a picture to load, may still ask while
 * the main one stops: who sends has the lock, and who closes has it alone. */
static pthread_rwlock_t in_use = PTHREAD_RWLOCK_INITIALIZER;
static int questions = -1; /* atomic */
static bool stops;         /* atomic: that it ends is our doing */
static bool only_spawns;   /* as of the rules */
static pid_t pid;
static __thread bool refused; /* the last answer: by the rules */

/* ---- messages ---- */

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(BROKER_FDS_MAX * sizeof(int))];
};

int broker_send(int sock, const void *bytes, size_t len, const int *fds,
                unsigned num_fds)
{
    struct iovec iov = {(void *)bytes, len};
    union control control = {{0}};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    struct cmsghdr *c;
    ssize_t n;

    if (num_fds) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(num_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, num_fds * sizeof(int));
    }
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

ssize_t broker_receive(int sock, void *bytes, size_t room,
                       int fds[BROKER_FDS_MAX], unsigned *num_fds)
{
    struct iovec iov = {bytes, room};
    union control control;
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control.room),
    };
    ssize_t n;

    *num_fds = 0;
    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        *num_fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds, CMSG_DATA(c), *num_fds * sizeof(int));
    }
    if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0)
        return n;
    while (*num_fds > 0)
        close(fds[--*num_fds]);
    return -EMSGSIZE;
}

/* ---- questions ---- */

/* Up to where the answer's fd, or rc, is the caller's. -ENOLINK: there is none.
 */
static int wait_for_answer(int sock, struct broker_answer *a)
{
    struct pollfd p = {sock, POLLIN, 0};
    int fds[BROKER_FDS_MAX], rc;
    unsigned num_fds;
    ssize_t n;

    do
        rc = poll(&p, 1, PATIENCE_MS);
    while (rc < 0 && errno == EINTR);
    if (rc <= 0)
        return rc < 0 ? -errno : -ETIMEDOUT;
    n = broker_receive(sock, a, sizeof(*a), fds, &num_fds);
    if (n != (ssize_t)sizeof(*a)) {
        while (num_fds > 0)
            close(fds[--num_fds]);
        return n < 0 ? (int)n : n == 0 ? -ENOLINK : -EIO;
    }
    refused = a->refused;
    while (num_fds > a->has_fd)
        close(fds[--num_fds]);
    if (a->has_fd)
        return num_fds ? fds[0] : -EMFILE;
    return MIN(a->rc, 0);
}

/* Somebody has killed it: all that goes on needs none. */
static int is_gone(int rc)
{
    static bool told;

    if (rc != -EPIPE && rc != -ECONNRESET)
        return rc;
    if (!__atomic_load_n(&stops, __ATOMIC_RELAXED) &&
        !__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
        log_error(NULL, "vub-broker has ended, by no doing of ours: what the "
                        "sandbox asks it for cannot be had until vub starts "
                        "again");
    return -EOWNERDEAD;
}

static bool is_there(void)
{
    return __atomic_load_n(&questions, __ATOMIC_RELAXED) >= 0;
}

static int send_question(const struct broker_question *q, size_t len,
                         const int *fds, unsigned num_fds)
{
    int rc = -EPIPE;

    pthread_rwlock_rdlock(&in_use);
    if (is_there())
        rc = broker_send(questions, q, len, fds, num_fds);
    pthread_rwlock_unlock(&in_use);
    return rc;
}

static int ask_once(const struct broker_question *q, size_t len,
                    struct broker_answer *a)
{
    int pair[2], rc;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    rc = send_question(q, len, &pair[1], 1);
    close(pair[1]);
    rc = rc == 0 ? wait_for_answer(pair[0], a) : is_gone(rc);
    close(pair[0]);
    return rc;
}

static int ask(enum broker_op op, const char *text, const char *more,
               unsigned flags, unsigned mode, struct broker_answer *a)
{
    size_t len = strlen(text) + 1, more_len = more ? strlen(more) + 1 : 0;
    struct broker_question q = {op, flags, mode, {0}};
    int rc;

    refused = false;
    if (!broker_runs())
        return -ENOSYS;
    if (len > PATH_MAX || more_len > PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(q.text, text, len);
    if (more)
        memcpy(q.text + len, more, more_len);
    len += offsetof(struct broker_question, text) + more_len;
    rc = ask_once(&q, len, a);
    /* It has ended meanwhile: another one may be there, or none. */
    if (rc == -ENOLINK)
        rc = ask_once(&q, len, a);
    return rc == -ENOLINK ? -EIO : rc;
}

/* What a sandbox says to one who may not. A rename to where it may not make
 * files is one across file systems, for Landlock. */
static bool is_denied(int errnum)
{
    return broker_runs() &&
           (errnum == EACCES || errnum == EPERM || errnum == EXDEV);
}

int broker_open(const char *path, int flags, unsigned mode)
{
    char whole[PATH_MAX + 1];
    struct broker_answer a;
    int fd = open(path, flags, mode);

    refused = false;
    if (fd >= 0)
        return fd;
    if (!is_denied(errno))
        return -errno;
    /* The broker's current directory is ours. */
    if (path[0] != '/' && getcwd(whole, PATH_MAX / 2) &&
        strlen(path) < PATH_MAX / 2) {
        strcat(strcat(whole, "/"), path);
        path = whole;
    }
    return ask(BROKER_OPEN, path, NULL, (unsigned)flags, mode, &a);
}

bool broker_allows(const char *path, int flags)
{
    const int how = O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    struct broker_answer a;
    int fd;

    if (!is_there())
        return true;
    fd = ask(BROKER_OPEN, path, NULL, (unsigned)(flags | how), 0, &a);
    if (fd >= 0)
        close(fd);
    /* What cannot be opened for another reason does not open later either. */
    return !refused && fd != -ETIMEDOUT;
}

int broker_rename(const char *from, const char *to)
{
    struct broker_answer a;

    refused = false;
    if (rename(from, to) == 0)
        return 0;
    if (!is_denied(errno))
        return -errno;
    return ask(BROKER_RENAME, from, to, 0, 0, &a);
}

int broker_unlink(const char *path)
{
    struct broker_answer a;

    refused = false;
    if (unlink(path) == 0)
        return 0;
    if (!is_denied(errno))
        return -errno;
    return ask(BROKER_UNLINK, path, NULL, 0, 0, &a);
}

int broker_fail(struct err *e, int rc, const char *what, const char *path)
{
    if (rc == -EOWNERDEAD)
        return err_set(e, rc, "",
                       "cannot %s %s: vub-broker, which would do it, has ended",
                       what, path);
    if (refused)
        return err_set(e, rc, "",
                       "cannot %s %s: the sandbox does not allow it; its "
                       "directory would have to be in \"sandbox\": {\"paths\": "
                       "[...]} of the config",
                       what, path);
    return err_sys(e, -rc, "", "cannot %s %s", what, path);
}

int broker_resolve(const char *host, struct resolve_answer *out)
{
    struct broker_answer a;
    int rc = ask(BROKER_RESOLVE, host, NULL, 0, 0, &a);

    if (rc == 0)
        *out = a.resolved;
    return rc;
}

int broker_unlink_socket(const char *path)
{
    struct broker_answer a;

    return ask(BROKER_UNLINK_SOCKET, path, NULL, 0, 0, &a);
}

int broker_listen(const char *path, unsigned mode, struct err *e)
{
    struct broker_answer a = {.rc = 0};
    int rc = ask(BROKER_LISTEN, path, NULL, 0, mode, &a);

    if (rc < 0 && a.why[0])
        return err_set(e, rc, "", "%s", a.why);
    return rc < 0 ? broker_fail(e, rc, "listen on", path) : rc;
}

/* ---- processes ---- */

int broker_spawn(const char *id, bool reread, const int fds[BROKER_SPAWN_FDS])
{
    size_t len = strlen(id) + 1;
    struct broker_question q = {.op = BROKER_SPAWN, .flags = reread};
    int all[BROKER_FDS_MAX], pair[2], rc;

    if (!is_there())
        return -ENOSYS;
    if (len > PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(q.text, id, len);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   pair) < 0)
        return -errno;
    all[0] = pair[1];
    memcpy(&all[1], fds, BROKER_SPAWN_FDS * sizeof(int));
    rc = send_question(&q, offsetof(struct broker_question, text) + len, all,
                       BROKER_FDS_MAX);
    close(pair[1]);
    if (rc == 0)
        return pair[0];
    close(pair[0]);
    return is_gone(rc);
}

enum broker_news broker_spawned(int line, int *value)
{
    struct broker_answer a;
    int fds[BROKER_FDS_MAX];
    unsigned num_fds;
    ssize_t n = broker_receive(line, &a, sizeof(a), fds, &num_fds);

    *value = -EOWNERDEAD;
    if (n == -EAGAIN)
        return BROKER_NOTHING;
    if (n != (ssize_t)sizeof(a))
        return BROKER_LOST;
    *value = a.rc;
    if (a.rc < 0)
        return BROKER_FAILED;
    if (!a.ended)
        return BROKER_IS_THERE;
    *value = WIFSIGNALED(a.rc) ? 128 + WTERMSIG(a.rc) : WEXITSTATUS(a.rc);
    return BROKER_ENDED;
}

void broker_kill(int line)
{
    shutdown(line, SHUT_WR);
}

/* ---- life ---- */

bool broker_runs(void)
{
    return is_there() && !only_spawns;
}

int broker_start(const struct sandbox_rules *rules, struct err *e)
{
    pid_t own = getpid();
    int pair[2], rc;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, errno, "", "cannot make a socket");
    pid = fork();
    if (pid == 0 && rules->spawn)
        broker_serve_on(pair[1], rules, own);
    if (pid == 0)
        broker_serve(pair[1], rules, own);
    rc = pid < 0 ? err_sys(e, errno, "", "cannot start the broker") : 0;
    close(pair[1]);
    if (rc < 0)
        close(pair[0]);
    else
        __atomic_store_n(&questions, pair[0], __ATOMIC_RELAXED);
    __atomic_store_n(&stops, false, __ATOMIC_RELAXED);
    only_spawns = rules->only_spawns;
    return rc;
}

void broker_stop(void)
{
    if (!is_there())
        return;
    __atomic_store_n(&stops, true, __ATOMIC_RELAXED);
    shutdown(questions, SHUT_RDWR); /* whoever has a copy of it, or sends */
    pthread_rwlock_wrlock(&in_use);
    close(questions);
    __atomic_store_n(&questions, -1, __ATOMIC_RELAXED);
    pthread_rwlock_unlock(&in_use);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}
