/* Signals, limits and descriptors as a server needs them, whoever has started
 * it: a shell, a service manager, or the broker by a fork. */
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "os/linux/own.h"
#include "os/thread.h"

pid_t process_parent;
struct rlimit process_files;

/* One at a time: two threads that both see the last of a pipe's room would
 * wait for each other's reader. A pipe says yes while it has room for PIPE_BUF
 * bytes, more than a line. What is closed or broken is written to, and fails.
 */
static bool write_stderr(const char *bytes, size_t len)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct pollfd p = {STDERR_FILENO, POLLOUT, 0};
    bool room;

    pthread_mutex_lock(&lock);
    room = poll(&p, 1, 0) != 0;
    if (room && write(STDERR_FILENO, bytes, len) < 0)
        room = true; /* nobody is left to tell */
    pthread_mutex_unlock(&lock);
    return room;
}

/* O_PATH: no access rights are needed, and each use of it fails. */
static int open_nowhere(void)
{
    int fd = open("/dev/null", O_RDWR);

    return fd >= 0 ? fd : open("/", O_PATH);
}

static void fill_standard_fds(void)
{
    int fd;

    do
        fd = open_nowhere();
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

static void on_interrupt(int signo)
{
    (void)signo; /* that it came is all */
}

/* Some programs start others with what they have blocked themselves: then we
 * would not be told to stop, nor of the end of a command. */
static void hear_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

/* Without SA_RESTART. */
static void take_interrupts(void)
{
    struct sigaction sa = {.sa_handler = on_interrupt};

    sigemptyset(&sa.sa_mask);
    sigaction(THREAD_INTERRUPT, &sa, NULL);
}

/* systemd.exec(5): the variable says which file is the journal's, for it may
 * reach a program whose standard error leads elsewhere. */
static bool stderr_is_journal(void)
{
    const char *journal = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat st;
    char rest;

    return journal &&
           sscanf(journal, "%ju:%ju%c", &device, &inode, &rest) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device &&
           st.st_ino == inode;
}

void process_init(void)
{
    const char *dumpable = getenv("VUB_DUMPABLE");
    struct rlimit files;

    process_parent = getppid();
    fill_standard_fds();
    log_set_writer(write_stderr);
    log_set_journal(stderr_is_journal());
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    hear_signals();
    take_interrupts();
    getrlimit(RLIMIT_NOFILE, &process_files);
    files = process_files;
    if (files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, 1);
#endif
    if (!dumpable || strcmp(dumpable, "1") != 0)
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void process_init_fork(int err)
{
    static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGINT, SIGHUP, SIGTERM};

    dup2(err, STDERR_FILENO);
    close(err);
    process_parent = getppid();
    for (int sig = 1; sig < NSIG; sig++) {
        if (sig != SIGBUS && sig != SIGSEGV && sig != SIGABRT)
            signal(sig, SIG_DFL);
    }
    for (unsigned i = 0; i < ARRAY_LEN(ignored); i++)
        signal(ignored[i], SIG_IGN);
    take_interrupts();
    process_end_with_parent();
}

void process_set_name(const char *name)
{
    prctl(PR_SET_NAME, name);
}

void process_end_with_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != process_parent)
        _exit(0);
}

bool process_has_fd(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

int process_copy_fd(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    return copy < 0 ? -errno : copy;
}

void process_close_fd(int fd)
{
    int null = -1;

    /* In one step: other threads open files meanwhile. */
    if (fd <= STDERR_FILENO)
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, fd);
        close(null);
        return;
    }
    close(fd);
    if (fd <= STDERR_FILENO)
        fill_standard_fds();
}

int process_make_dir(const char *path, struct err *e)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0; /* what is no directory is found when it is used as one */
    return err_sys(e, errno, "", "cannot make the directory %s", path);
}

bool process_is_others(const char *path, unsigned *uid)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return false;
    *uid = st.st_uid;
    return st.st_uid != 0 && st.st_uid != geteuid();
}
