/* The broker's life, and that of its children. What it is asked may be said by
 * a guest that has taken over the asker: a question is checked against the
 * rules by its name (broker_rules.c), and then what it names against what it is
 * to be (broker_answer.c). The asker makes no links and renames no directories,
 * so that names do not change their meaning between the two for anything that
 * it does.
 *
 * Each question is answered by a child, which ends: a file system that does not
 * answer keeps that child only, and CHILDREN_MAX of them the broker. A child
 * that is spawned goes on instead, as a process with its own name and its own
 * sandbox, and is watched until it ends.
 *
 * The asker cannot make another broker: it is in its sandbox, and whatever it
 * forks is, too. So a process stands behind that of a main vub, and does
 * nothing but make the broker, again if somebody has killed it. Questions wait
 * meanwhile, in a socket of which both have the same end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/linux/broker_serve_own.h"
#include "os/process.h"

#define CHILDREN_MAX 64
#define SPAWNED_MAX 512
/* What takes longer nobody waits for any more: a pipe without a reader. */
#define TOO_LONG_S 60
/* Until the next broker: one that is killed as it comes is no reason for haste.
 */
#define AGAIN_US 50000

_Noreturn static void be_child(struct broker_job *j, int reply)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGALRM, SIG_DFL);
    alarm(TOO_LONG_S);
    broker_do(j);
    j->a.has_fd = j->fd >= 0;
    broker_send(reply, &j->a, sizeof(j->a), &j->fd, j->a.has_fd);
    _exit(j->a.rc < 0);
}

/* ---- sockets that were made ---- */

/* The asker removes its own sockets when it stops. One that it has asked for
 * and that came after that is removed here, at the end, if nobody listens on
 * it; SIGKILL leaves it, as it leaves all sockets. */
static struct made {
    struct made *next;
    pid_t child; /* 0: it has ended */
    char path[];
} * made;

static void note_listener(pid_t child, const char *path)
{
    struct made *m = malloc(sizeof(*m) + strlen(path) + 1);

    if (!m)
        return;
    m->next = made;
    m->child = child;
    strcpy(m->path, path);
    made = m;
}

/* Its socket is removed by its name (path), or its child has made none: what
 * was refused is somebody else's. */
static void forget_listener(const char *path, pid_t child)
{
    struct made **p = &made, *m;

    while ((m = *p) != NULL) {
        if (path ? strcmp(m->path, path) != 0 : m->child != child) {
            p = &m->next;
            continue;
        }
        *p = m->next;
        free(m);
    }
}

/* One that answered a question has. */
static void child_ended(pid_t child, int status)
{
    if (status != 0)
        forget_listener(NULL, child);
    for (struct made *m = made; m; m = m->next)
        m->child = m->child == child ? 0 : m->child;
}

/* Its child may be at it yet; others are not waited for. */
static bool was_made(const struct made *m)
{
    int status = 0;

    while (m->child && waitpid(m->child, &status, 0) < 0 && errno == EINTR)
        ;
    return status == 0;
}

static void forget_all_listeners(void)
{
    while (made) {
        struct made *m = made;

        made = m->next;
        free(m);
    }
}

/* Links to nowhere, other files and others' sockets stay. */
static void remove_left(int asker)
{
    for (struct made *m = made; m; m = m->next) {
        if (was_made(m))
            sock_unlink_stale(m->path, asker);
    }
}

/* ---- processes that go on ---- */

struct spawned {
    pid_t pid;
    int line; /* to whoever has asked */
    bool killed;
};

static struct spawned spawned[SPAWNED_MAX];
static unsigned num_spawned;

static void tell(int line, int rc, bool ended)
{
    struct broker_answer a = {.rc = rc, .ended = ended};

    /* Whoever has asked gave it, and need not listen. */
    send(line, &a, sizeof(a), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Nothing of the broker's is its own, but for the rules: it may have a broker
 * too. */
_Noreturn static void be_spawned(const struct broker_job *j, int questions,
                                 int reply, const int *fds)
{
    sigset_t none;

    close(questions);
    close(reply);
    for (unsigned i = 0; i < num_spawned; i++)
        close(spawned[i].line);
    num_spawned = 0;
    forget_all_listeners();
    process_init_fork(fds[BROKER_SPAWN_FDS - 1]);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    exit(j->rules->spawn(j->rules, j->path, j->q->flags & 1, fds));
}

/* Takes reply. */
static void spawn(const struct broker_job *j, int questions, int reply,
                  const int *fds)
{
    pid_t pid = -1;

    if (!j->rules->spawn || num_spawned == SPAWNED_MAX) {
        tell(reply, -EAGAIN, false);
        close(reply);
        return;
    }
    pid = fork();
    if (pid == 0)
        be_spawned(j, questions, reply, fds);
    tell(reply, pid < 0 ? -errno : pid, false);
    if (pid > 0)
        spawned[num_spawned++] = (struct spawned){pid, reply, false};
    else
        close(reply);
}

/* False: it is none of them. */
static bool spawned_ended(pid_t pid, int status)
{
    for (unsigned i = 0; i < num_spawned; i++) {
        if (spawned[i].pid != pid)
            continue;
        tell(spawned[i].line, status, true);
        close(spawned[i].line);
        spawned[i] = spawned[--num_spawned];
        return true;
    }
    return false;
}

/* Until there is a question. Those whose end nobody wants to hear of any more
 * are to end. */
static void wait_for_question(int questions, unsigned *children)
{
    static struct pollfd polls[1 + SPAWNED_MAX];
    sigset_t none;
    int status;
    pid_t pid;

    sigemptyset(&none);
    do {
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
            if (spawned_ended(pid, status))
                continue;
            child_ended(pid, status);
            *children -= *children > 0;
        }
        polls[0] = (struct pollfd){questions, POLLIN, 0};
        for (unsigned i = 0; i < num_spawned; i++)
            polls[1 + i] = (struct pollfd){
                spawned[i].killed ? -1 : spawned[i].line, POLLRDHUP, 0};
        if (ppoll(polls, 1 + num_spawned, NULL, &none) < 0)
            continue;
        for (unsigned i = 0; i < num_spawned; i++) {
            if (!polls[1 + i].revents)
                continue;
            kill(spawned[i].pid, SIGKILL);
            spawned[i].killed = true;
        }
    } while (!polls[0].revents);
}

/* ---- life ---- */

static void close_all_but(int keep)
{
    long max = sysconf(_SC_OPEN_MAX);

#ifdef SYS_close_range
    if ((keep <= 3 || syscall(SYS_close_range, 3, keep - 1, 0) == 0) &&
        syscall(SYS_close_range, MAX(keep + 1, 3), ~0U, 0) == 0)
        return;
#endif
    for (int fd = 3; fd < (int)MIN(max, 1L << 20); fd++) {
        if (fd != keep)
            close(fd);
    }
}

static void on_end(int sig)
{
    (void)sig; /* that it came is all */
}

/* Ends of children interrupt ppoll, and nothing else. */
static void take_ends(void)
{
    struct sigaction sa = {.sa_handler = on_end};
    sigset_t ends;

    sigemptyset(&sa.sa_mask);
    sigaction(SIGCHLD, &sa, NULL);
    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    sigprocmask(SIG_SETMASK, &ends, NULL);
}

/* It is the asker's to end it, by its own end: what is typed at the terminal
 * and what a service manager sends to all is not for the broker. */
static void begin(const char *name, int questions,
                  const struct sandbox_rules *rules, int parent)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    prctl(PR_SET_NAME, name);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    for (int sig = 1; sig < NSIG; sig++) {
        if (sig != SIGCHLD && sig != SIGBUS && sig != SIGSEGV && sig != SIGABRT)
            signal(sig, SIG_IGN);
    }
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (null >= 0)
            dup2(null, fd);
    }
    close_all_but(questions);
    if (!rules->only_spawns)
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Takes reply. */
static void serve(struct broker_job *j, int questions, int reply,
                  const int *fds, unsigned num_fds, unsigned *children)
{
    pid_t child;

    if (j->q->op == BROKER_SPAWN && num_fds == BROKER_SPAWN_FDS) {
        spawn(j, questions, reply, fds);
        return;
    }
    if (j->q->op != BROKER_SPAWN && !j->rules->only_spawns && num_fds == 0 &&
        *children < CHILDREN_MAX) {
        child = fork();
        if (child == 0)
            be_child(j, reply);
        *children += child > 0;
        if (child > 0 && j->q->op == BROKER_UNLINK_SOCKET)
            forget_listener(j->path, 0);
        if (child > 0 && j->q->op == BROKER_LISTEN)
            note_listener(child, j->path);
    }
    close(reply);
}

_Noreturn static void serve_all(int questions,
                                const struct sandbox_rules *rules, int asker)
{
    unsigned children = 0;

    take_ends();
    for (;;) {
        struct broker_question q;
        struct broker_job j = {rules, asker, &q, NULL, NULL, .fd = -1};
        int fds[BROKER_FDS_MAX];
        unsigned num_fds;
        ssize_t n;

        wait_for_question(questions, &children);
        n = broker_receive(questions, &q, sizeof(q), fds, &num_fds);
        if (n == 0 || (n < 0 && n != -EMSGSIZE)) {
            remove_left(asker);
            _exit(0);
        }
        if (n > 0 && num_fds && broker_parse(&j, (size_t)n))
            serve(&j, questions, fds[0], &fds[1], num_fds - 1, &children);
        else if (num_fds)
            close(fds[0]);
        for (unsigned i = 1; i < num_fds; i++)
            close(fds[i]);
    }
}

void broker_serve(int questions, const struct sandbox_rules *rules, int asker)
{
    begin("vub-broker", questions, rules, asker);
    serve_all(questions, rules, asker);
}

void broker_serve_on(int questions, const struct sandbox_rules *rules,
                     int asker)
{
    pid_t own = getpid(), pid;
    int status;

    begin("vub-spare", questions, rules, asker);
    for (;;) {
        pid = fork();
        if (pid == 0) {
            begin("vub-broker", questions, rules, own);
            serve_all(questions, rules, asker);
        }
        while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        if (pid > 0 && WIFEXITED(status))
            _exit(0); /* the asker has ended it */
        usleep(AGAIN_US);
    }
}
