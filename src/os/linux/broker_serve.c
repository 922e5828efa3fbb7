/* The broker's side. What it is asked may be said by a guest that has taken
 * over the asker: a question is checked against the rules by its name, and
 * then what it names against what it is to be. The asker makes no links and
 * renames no directories, so that names do not change their meaning between
 * the two for anything that it does.
 *
 * Each question is answered by a child, which ends: a file system that does not
 * answer keeps that child only, and CHILDREN_MAX of them the broker. A child
 * that is spawned goes on instead, as a process with its own name and its own
 * sandbox, and is watched until it ends. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/linux/broker_own.h"
#include "os/process.h"

#define CHILDREN_MAX 64
#define SPAWNED_MAX 512
#define KNOWN_FLAGS                                                            \
    (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW | O_NONBLOCK |        \
     O_NOCTTY | O_CLOEXEC | O_DIRECT | O_DIRECTORY | O_LARGEFILE)

/* ---- rules ---- */

/* Is one of its names ".."? */
static bool leads_up(const char *path)
{
    for (const char *c = path; *c; c += strspn(c, "/")) {
        size_t len = strcspn(c, "/");

        if (len == 2 && c[0] == '.' && c[1] == '.')
            return true;
        c += len;
    }
    return false;
}

/* Absolute, and nothing in it leads up. */
static bool is_plain(const char *path)
{
    return path[0] == '/' && !leads_up(path);
}

/* NULL, or what of path is below the rule's: "" for itself. */
static const char *below(const struct sandbox_path *rule, const char *path)
{
    size_t len = strlen(rule->path);

    while (len > 1 && rule->path[len - 1] == '/')
        len--;
    if (strncmp(rule->path, path, len) != 0)
        return NULL;
    path += len;
    if (*path && *path != '/' && len > 1)
        return NULL;
    return path + strspn(path, "/");
}

static unsigned wanted(int flags)
{
    unsigned may = (flags & O_ACCMODE) == O_RDONLY ? SANDBOX_READ
                   : (flags & O_ACCMODE) == O_WRONLY
                       ? SANDBOX_WRITE
                       : SANDBOX_READ | SANDBOX_WRITE;

    if (flags & O_TRUNC)
        may |= SANDBOX_WRITE;
    return may | (flags & O_CREAT ? SANDBOX_MAKE : 0);
}

/* The one that allows all of it. *rest: behind it. A rule is as the config has
 * it, which may say "../images". */
static const struct sandbox_path *rule_of(const struct sandbox_rules *rules,
                                          const char *path, unsigned may,
                                          const char **rest)
{
    for (unsigned i = 0; i < rules->num_paths; i++) {
        const struct sandbox_path *p = &rules->paths[i];

        *rest = below(p, path);
        if (*rest && !leads_up(*rest) && (p->may & may) == may)
            return p;
    }
    return NULL;
}

/* A limit of a disk, as os/linux/file.c asks for it: sysfs has much beside
 * those that is not for everybody, memory of PCI devices for one. */
static bool is_disk_limit(const char *path, int flags)
{
    static const char dir[] = "/sys/dev/block/", digits[] = "0123456789",
                      up[] = "../", queue[] = "queue/";
    const char *c = path;
    size_t len;

    if ((flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC) ||
        strncmp(c, dir, strlen(dir)) != 0)
        return false;
    c += strlen(dir);
    c += strspn(c, digits);
    if (*c++ != ':')
        return false;
    c += strspn(c, digits);
    if (*c++ != '/')
        return false;
    c += strncmp(c, up, strlen(up)) == 0 ? strlen(up) : 0;
    if (strncmp(c, queue, strlen(queue)) != 0)
        return false;
    c += strlen(queue);
    len = strspn(c, "abcdefghijklmnopqrstuvwxyz_");
    return len > 0 && !c[len];
}

/* ---- pictures ---- */

static bool ends_in(const char *path, const char *ending)
{
    size_t len = strlen(path), n = strlen(ending);

    return len > n && strcasecmp(path + len - n, ending) == 0;
}

static bool is_picture_name(const char *path)
{
    return ends_in(path, ".png") || ends_in(path, ".ppm");
}

/* The name that one has while it is written. */
static bool is_part_name(const char *path)
{
    return ends_in(path, ".png.part") || ends_in(path, ".ppm.part");
}

/* Nobody else's file, and empty, or it begins as a picture does. */
static bool is_picture(int fd, bool may_be_empty)
{
    static const char png[] = "\211PNG\r\n\032\n";
    struct stat st;
    char head[8];
    ssize_t n;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    if (st.st_size == 0)
        return may_be_empty;
    n = pread(fd, head, sizeof(head), 0);
    return (n == 8 && memcmp(head, png, 8) == 0) ||
           (n >= 3 && memcmp(head, "P6", 2) == 0);
}

static bool names_picture(const char *path)
{
    int fd =
        open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool yes = fd >= 0 && is_picture(fd, true);

    if (fd >= 0)
        close(fd);
    return yes;
}

/* Opens what may be one, to be read. Opening a device already does something,
 * to a watchdog or a tape: what is no file is not opened. */
static int open_to_look(const char *path)
{
    int at = open(path, O_PATH | O_CLOEXEC), fd;
    struct stat st;
    char name[32];

    if (at < 0)
        return -errno;
    if (fstat(at, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(at);
        return -EPERM;
    }
    snprintf(name, sizeof(name), "/proc/self/fd/%d", at);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) /* a system without /proc */
        fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    fd = fd < 0 ? -errno : fd;
    close(at);
    return fd;
}

/* Opens one to be read, or what is to become one. -ENOENT and the like; -EPERM:
 * it is none. */
static int open_picture(const char *path, int flags, unsigned mode)
{
    const int common = O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    struct stat st;
    int fd;

    if (writes ? !is_part_name(path) : !is_picture_name(path))
        return -EPERM;
    fd = writes
             ? open(path, O_RDWR | O_CREAT | O_NOFOLLOW | common, mode & 0666)
             : open_to_look(path);
    if (fd < 0)
        return writes ? -errno : fd;
    if (is_picture(fd, writes) &&
        (!writes || (fstat(fd, &st) == 0 && st.st_nlink == 1)))
        return fd;
    close(fd);
    return -EPERM;
}

/* Those are asked for over the control socket, by the new user perhaps: with no
 * more rights than that one has. */
static bool be_user(const struct sandbox_rules *rules)
{
    return (!rules->has_user && !rules->has_group) ||
           (setgroups(0, NULL) == 0 &&
            setresgid(rules->gid, rules->gid, rules->gid) == 0 &&
            (!rules->has_user ||
             setresuid(rules->uid, rules->uid, rules->uid) == 0));
}

/* May the picture rule be tried? */
static bool may_be_picture(const struct sandbox_rules *rules, const char *path)
{
    return rules->pictures && is_plain(path) && be_user(rules);
}

static bool may_become(const char *from, const char *to)
{
    size_t len = strlen(to);
    struct stat st;

    return is_plain(to) && is_picture_name(to) && is_part_name(from) &&
           strncmp(from, to, len) == 0 && strcmp(from + len, ".part") == 0 &&
           names_picture(from) &&
           (names_picture(to) || (lstat(to, &st) < 0 && errno == ENOENT));
}

/* ---- what is asked ---- */

struct job {
    const struct sandbox_rules *rules;
    int asker;
    const struct broker_question *q;
    const char *path, *to;
    struct broker_answer a;
    int fd; /* of the answer; -1: none */
};

static int refuse(struct job *j)
{
    j->a.refused = true;
    return -EACCES;
}

/* Links below a rule may not lead out of it; the rule's own may, and lead to
 * where whoever wrote the config wants. */
static int open_below(const char *root, const char *rest, int flags,
                      unsigned mode)
{
    struct open_how how = {
        .flags = (uint64_t)flags,
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    int dir, fd;

    if (!*rest)
        return open(root, flags, mode);
    dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    fd = (int)syscall(SYS_openat2, dir, rest, &how, sizeof(how));
    close(dir);
    return fd;
}

static int do_open(struct job *j)
{
    int flags = (int)j->q->flags | O_CLOEXEC, rc;
    const struct sandbox_rules *again;
    const struct sandbox_path *rule;
    const char *rest;

    if (flags & ~KNOWN_FLAGS)
        return refuse(j);
    if (is_disk_limit(j->path, flags)) {
        j->fd = open(j->path, O_RDONLY | O_CLOEXEC);
        return j->fd < 0 ? -errno : 0;
    }
    rule = rule_of(j->rules, j->path, wanted(flags), &rest);
    again = !rule && j->rules->again ? j->rules->again(j->rules) : NULL;
    if (again)
        rule = rule_of(again, j->path, wanted(flags), &rest);
    if (rule) {
        j->fd = open_below(rule->path, rest, flags, j->q->mode & 0666);
        return j->fd < 0 ? -errno : 0;
    }
    if (!may_be_picture(j->rules, j->path))
        return refuse(j);
    rc = open_picture(j->path, flags, j->q->mode);
    if (rc == -EPERM)
        return refuse(j);
    j->fd = rc;
    return MIN(rc, 0);
}

/* A name below a rule, and its directory, open. */
struct entry {
    int dir; /* -1: none */
    const char *name;
};

/* False: no rule has it, or it is a rule's own. Else rc, and ent->dir or -1. */
static bool find_entry(const struct job *j, const char *path, struct entry *ent,
                       int *rc)
{
    char dir[PATH_MAX + 1];
    const struct sandbox_path *rule;
    const char *rest, *slash;

    *ent = (struct entry){.dir = -1};
    rule = rule_of(j->rules, path, SANDBOX_MAKE, &rest);
    if (!rule || !*rest)
        return false;
    slash = strrchr(rest, '/');
    ent->name = slash ? slash + 1 : rest;
    snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - rest) : 0, rest);
    ent->dir = open_below(rule->path, dir, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    *rc = ent->dir < 0 ? -errno : 0;
    return true;
}

/* Links and directories stay where they are: elsewhere they would lead to
 * something else. */
static int move(struct job *j, const struct entry *from, const struct entry *to)
{
    struct stat st;

    if (fstatat(from->dir, from->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return refuse(j);
    return renameat(from->dir, from->name, to->dir, to->name) < 0 ? -errno : 0;
}

static int do_rename(struct job *j)
{
    struct entry from, to;
    int rc = 0, rc2 = 0;

    if (find_entry(j, j->path, &from, &rc) && find_entry(j, j->to, &to, &rc2)) {
        rc = MIN(rc, rc2);
        return rc < 0 ? rc : move(j, &from, &to);
    }
    if (!may_be_picture(j->rules, j->path) || !may_become(j->path, j->to))
        return refuse(j);
    return rename(j->path, j->to) < 0 ? -errno : 0;
}

static int do_unlink(struct job *j)
{
    struct entry ent;
    int rc;

    if (find_entry(j, j->path, &ent, &rc)) {
        if (rc == 0 && unlinkat(ent.dir, ent.name, 0) < 0)
            rc = -errno;
        return rc;
    }
    if (!may_be_picture(j->rules, j->path) || !is_part_name(j->path) ||
        !names_picture(j->path))
        return refuse(j);
    return unlink(j->path) < 0 ? -errno : 0;
}

/* A device of the config as it is now may have its socket anywhere. */
static bool is_named_socket(const struct job *j)
{
    const struct sandbox_rules *again =
        j->rules->again ? j->rules->again(j->rules) : NULL;

    for (unsigned i = 0; again && i < again->num_sockets; i++) {
        if (strcmp(again->sockets[i], j->path) == 0)
            return true;
    }
    return false;
}

static int do_listen(struct job *j)
{
    const struct sandbox_path dir = {j->rules->socket_dir, 0};
    const char *rest = dir.path ? below(&dir, j->path) : NULL;
    struct err e;

    if ((!rest || !*rest || strchr(rest, '/') || leads_up(rest)) &&
        !is_named_socket(j)) {
        snprintf(j->a.why, sizeof(j->a.why),
                 "the sandbox does not allow a new socket outside of "
                 "runtime_dir that the config file does not name");
        return refuse(j);
    }
    j->fd = sock_listen_here(j->path, j->q->mode & 0777, &e);
    if (j->fd < 0)
        snprintf(j->a.why, sizeof(j->a.why), "%s", e.text);
    return MIN(j->fd, 0);
}

static int answer(struct job *j)
{
    switch (j->q->op) {
    case BROKER_OPEN:
        return do_open(j);
    case BROKER_RENAME:
        return do_rename(j);
    case BROKER_UNLINK:
        return do_unlink(j);
    case BROKER_UNLINK_SOCKET:
        /* One that the asker listens on, wherever it is: it may end that. */
        if (j->path[0] == '/')
            sock_unlink_of(j->path, j->asker);
        return 0;
    case BROKER_LISTEN:
        return do_listen(j);
    case BROKER_RESOLVE:
        if (!(j->rules->needs & SANDBOX_NETWORK))
            return refuse(j);
        resolve_here(j->path, &j->a.resolved);
        return 0;
    }
    return refuse(j);
}

/* Exactly the texts that the question has. */
static bool parse(struct job *j, size_t len)
{
    const struct broker_question *q = j->q;
    size_t head = offsetof(struct broker_question, text), first, second;

    if (len <= head)
        return false;
    len -= head;
    first = strnlen(q->text, len) + 1;
    if (first > len || first > PATH_MAX)
        return false;
    j->path = q->text;
    if (q->op != BROKER_RENAME)
        return first == len;
    j->to = q->text + first;
    second = strnlen(j->to, len - first) + 1;
    return first + second == len && second <= PATH_MAX;
}

/* What takes longer nobody waits for any more: a pipe without a reader. */
#define TOO_LONG_S 60

_Noreturn static void be_child(struct job *j, int reply)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGALRM, SIG_DFL);
    alarm(TOO_LONG_S);
    j->a.rc = answer(j);
    j->a.has_fd = j->fd >= 0;
    broker_send(reply, &j->a, sizeof(j->a), &j->fd, j->a.has_fd);
    _exit(j->a.rc < 0);
}

/* ---- sockets that were made ---- */

/* Whoever has asked for one may be told to stop before it is there: then
 * nobody removes it. So those whom nobody listens on at the end are removed
 * here; of SIGKILL they are left, as all sockets are. */
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

    broker_send(line, &a, sizeof(a), NULL, 0);
}

/* Nothing of the broker's is its own, but for the rules: it may have a broker
 * too. */
_Noreturn static void be_spawned(const struct job *j, int questions, int reply,
                                 const int *fds)
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
static void spawn(const struct job *j, int questions, int reply, const int *fds)
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
static void begin(int questions, const struct sandbox_rules *rules, int asker)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    prctl(PR_SET_NAME, "vub-broker");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != asker)
        _exit(0);
    for (int sig = 1; sig < NSIG; sig++) {
        if (sig != SIGCHLD && sig != SIGBUS && sig != SIGSEGV && sig != SIGABRT)
            signal(sig, SIG_IGN);
    }
    take_ends();
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (null >= 0)
            dup2(null, fd);
    }
    close_all_but(questions);
    if (!rules->only_spawns)
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Takes reply. */
static void serve(struct job *j, int questions, int reply, const int *fds,
                  unsigned num_fds, unsigned *children)
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

void broker_serve(int questions, const struct sandbox_rules *rules, int asker)
{
    unsigned children = 0;

    begin(questions, rules, asker);
    for (;;) {
        struct broker_question q;
        struct job j = {rules, asker, &q, NULL, NULL, .fd = -1};
        int fds[BROKER_FDS_MAX];
        unsigned num_fds;
        ssize_t n;

        wait_for_question(questions, &children);
        n = broker_receive(questions, &q, sizeof(q), fds, &num_fds);
        if (n == 0 || (n < 0 && n != -EMSGSIZE)) {
            remove_left(asker);
            _exit(0);
        }
        if (n > 0 && num_fds && parse(&j, (size_t)n))
            serve(&j, questions, fds[0], &fds[1], num_fds - 1, &children);
        else if (num_fds)
            close(fds[0]);
        for (unsigned i = 1; i < num_fds; i++)
            close(fds[i]);
    }
}
