/* fork and exec. A subreaper (prctl(2)) is the parent of whoever has lost his
 * own below it: in the end there are no children left if none is left at all.
 * Which there are is read from /proc. */
#include "os/subprocess.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/linux/own.h"

void subprocess_init(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* ---- start ---- */

_Noreturn static void be_child(const char *command, const char *dir,
                               char *const *envp, pid_t parent, int in, int out)
{
    char *argv[] = {"/bin/sh", "-c", (char *)command, NULL};
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || setsid() < 0)
        _exit(127);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    if (chdir(dir) < 0) {
        dprintf(STDERR_FILENO, "%s: %s\n", dir, strerror(errno));
        _exit(126);
    }
    setrlimit(RLIMIT_NOFILE, &process_files);
    child_reset_signals();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(argv[0], argv, envp);
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

int subprocess_start(struct subprocess *p, const char *command, const char *dir,
                     char *const *more, bool has_input, struct err *e)
{
    char **envp = child_environment(more);
    int in[2] = {-1, -1}, out[2] = {-1, -1}, why = 0;
    pid_t parent = getpid(), pid = -1;

    if (!envp)
        return err_nomem(e);
    if (has_input) {
        if (pipe2(in, O_CLOEXEC) < 0)
            why = errno;
    } else {
        in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (in[0] < 0)
            why = errno;
    }
    if (!why && pipe2(out, O_CLOEXEC) < 0)
        why = errno;
    if (!why) {
        pid = fork();
        if (pid == 0)
            be_child(command, dir, envp, parent, in[0], out[1]);
        why = pid < 0 ? errno : 0;
    }
    if (!why) {
        if (has_input)
            fcntl(in[1], F_SETFL, O_NONBLOCK);
        fcntl(out[0], F_SETFL, O_NONBLOCK);
        *p = (struct subprocess){(int)pid, in[1], out[0]};
        in[1] = out[0] = -1; /* p's now */
    }
    for (int i = 0; i < 2; i++) {
        close_if_open(in[i]);
        close_if_open(out[i]);
    }
    free(envp);
    return why ? err_sys(e, why, "", "cannot start a process") : 0;
}

/* ---- while it runs ---- */

void subprocess_signal(int pid, int sig)
{
    /* It may not have come to its setsid yet. */
    if (kill(-pid, sig) < 0)
        kill(pid, sig);
}

int subprocess_reap(int *status)
{
    int how;
    pid_t pid;

    do
        pid = waitpid(-1, &how, WNOHANG);
    while (pid < 0 && errno == EINTR);
    if (pid <= 0)
        return pid < 0 ? -errno : 0;
    *status = WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
    return (int)pid;
}

/* proc(5): the name, in brackets, may hold anything. */
static int parent_of(int pid)
{
    char path[32], text[512], *after;
    int fd, parent = 0;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[MAX(n, 0)] = '\0';
    after = strrchr(text, ')');
    if (!after || sscanf(after + 1, " %*c %d", &parent) != 1)
        return 0;
    return parent;
}

void subprocess_signal_all(int sig)
{
    DIR *dir = opendir("/proc");
    int self = (int)getpid();
    struct dirent *d;

    if (!dir)
        return;
    while ((d = readdir(dir)) != NULL) {
        int pid = isdigit((unsigned char)d->d_name[0]) ? atoi(d->d_name) : 0;

        if (pid <= 0 || parent_of(pid) != self)
            continue;
        /* Once: some take a second as more than a first. */
        kill(getpgid(pid) == pid ? -pid : pid, sig);
    }
    closedir(dir);
}

/* ---- pipes ---- */

ssize_t subprocess_read(int fd, void *buf, size_t len)
{
    ssize_t n;

    do
        n = read(fd, buf, len);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t subprocess_write(int fd, const void *buf, size_t len)
{
    ssize_t n;

    do
        n = write(fd, buf, len);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}
