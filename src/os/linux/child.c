/* fork, and later exec. Signals stay blocked until the child has no handlers of
 * ours any more, which would tell our loop of signals that were sent to the
 * child. What it waits for is a byte in a pipe, or its end, when this process
 * has gone or wants no child. That exec has failed comes over another, which
 * exec closes. */
#include "os/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/linux/own.h"
#include "os/process.h"

/* ---- in the child ---- */

/* One of the standard fds may be a socket that was given to us. */
static void keep_standard_fds(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        int flags = fcntl(fd, F_GETFD), null;

        if (flags < 0 || !(flags & FD_CLOEXEC))
            continue;
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null >= 0)
            dup2(null, fd);
    }
}

/* What was ignored when we were started stays so: nohup(1). */
void child_reset_signals(void)
{
    struct sigaction sa;

    for (int sig = 1; sig < NSIG; sig++) {
        if (sigaction(sig, NULL, &sa) < 0 ||
            (sa.sa_handler == SIG_IGN && sig != SIGPIPE && sig != SIGXFSZ))
            continue;
        sa = (struct sigaction){.sa_handler = SIG_DFL};
        sigaction(sig, &sa, NULL);
    }
}

_Noreturn static void be_child(char *const *argv, char *const *envp,
                               pid_t parent, const sigset_t *mask, int go,
                               int told)
{
    int why;
    char byte;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || read(go, &byte, 1) != 1)
        _exit(127);
    keep_standard_fds();
    setrlimit(RLIMIT_NOFILE, &process_files);
    child_reset_signals();
    sigprocmask(SIG_SETMASK, mask, NULL);
    execve(argv[0], argv, envp);
    why = errno;
    if (write(told, &why, sizeof(why)) < 0)
        _exit(126); /* the parent sees that, at least */
    _exit(127);
}

/* ---- in the parent ---- */

char **child_environment(char *const *more)
{
    size_t count = 0, num_more = 0, n;
    char **list;

    while (more[num_more])
        num_more++;
    while (environ[count])
        count++;
    list = calloc(num_more + count + 1, sizeof(*list));
    if (!list)
        return NULL;
    for (n = 0; n < num_more; n++)
        list[n] = more[n];
    for (size_t i = 0; i < count; i++) {
        size_t name = strcspn(environ[i], "=") + 1;
        bool is_new = true;

        for (size_t k = 0; k < num_more; k++)
            is_new &= strncmp(environ[i], more[k], name) != 0;
        if (is_new)
            list[n++] = environ[i];
    }
    return list;
}

/* Why exec has failed; 0: it has not. */
static int wait_for_exec(int told)
{
    int why = 0;
    ssize_t n;

    do
        n = read(told, &why, sizeof(why));
    while (n < 0 && errno == EINTR);
    return n == sizeof(why) ? why : 0;
}

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++) {
        if (pair[i] >= 0)
            close(pair[i]);
    }
}

int child_prepare(struct child *c, char *const *argv, char *const *more,
                  int leave, struct err *e)
{
    char **envp = child_environment(more);
    pid_t parent = getpid(), pid = -1;
    int go[2] = {-1, -1}, told[2] = {-1, -1}, why;
    sigset_t all, mask;

    *c = (struct child){0};
    if (!envp || pipe2(go, O_CLOEXEC) < 0 || pipe2(told, O_CLOEXEC) < 0) {
        why = envp ? errno : ENOMEM;
        goto out;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mask);
    pid = fork();
    if (pid == 0) {
        close(go[1]);
        close(told[0]);
        if (leave >= 0)
            process_close_fd(leave);
        be_child(argv, envp, parent, &mask, go[0], told[1]);
    }
    why = errno;
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    if (pid > 0) {
        *c = (struct child){(int)pid, go[1], told[0], argv[0]};
        go[1] = told[0] = -1; /* the child's struct's */
    }
out:
    free(envp);
    close_pair(go);
    close_pair(told);
    return pid > 0 ? 0 : err_sys(e, why, "", "cannot start %s", argv[0]);
}

int child_go(struct child *c, struct err *e)
{
    const char *path = c->path;
    int why = 0;

    if (write(c->go, "", 1) != 1)
        why = errno;
    if (!why)
        why = wait_for_exec(c->told);
    if (why) {
        child_drop(c);
        return err_sys(e, why, "", "cannot start %s", path);
    }
    close(c->go);
    close(c->told);
    c->go = c->told = -1;
    return 0;
}

void child_drop(struct child *c)
{
    if (c->pid <= 0 || c->go < 0)
        return;
    close(c->go);
    close(c->told);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *c = (struct child){0};
}

int child_status(int pid)
{
    int status;
    pid_t got = waitpid(pid, &status, WNOHANG);

    if (got == 0 || (got < 0 && errno == EINTR))
        return -EAGAIN;
    if (got < 0)
        return 127; /* somebody has waited for it: nobody else can tell */
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void child_signal(int pid, int sig)
{
    kill(pid, sig);
}

bool child_shares_terminal(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    bool shares = fd >= 0 && tcgetpgrp(fd) == getpgrp();

    if (fd >= 0)
        close(fd);
    return shares;
}
