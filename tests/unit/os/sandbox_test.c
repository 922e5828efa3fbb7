/* What a process may not do any more when it has entered the sandbox, and what
 * it may. */
#include "os/thread.h"
#include "os/uring.h"
#include "rig.h"

#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

static struct sandbox_state state;

static void enter(const struct sandbox_rules *rules)
{
    struct err e;

    NEED(sandbox_enter(rules, &state, &e) == 0);
    NEED(state.entered && state.no_new_privs);
}

/* ---- system calls ---- */

static long call_ptrace(void)
{
    return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static long call_fork(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return pid;
}

static long call_execve(void)
{
    char *argv[] = {"/bin/true", NULL};

    return execve(argv[0], argv, NULL);
}

static long call_mount(void)
{
    return mount("none", dir, "tmpfs", 0, NULL);
}

static long call_unshare(void)
{
    return unshare(CLONE_NEWUSER);
}

static long call_packet(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0);
}

static long call_inet(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static long call_unix(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long call_netlink(void)
{
    return socket(AF_NETLINK, SOCK_RAW, 0);
}

static long call_datagrams(void)
{
    int pair[2];

    return socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
}

static long call_kill(void)
{
    return kill(getppid(), 0);
}

static long call_tiocsti(void)
{
    return ioctl(0, TIOCSTI, "x");
}

static long call_run_memory(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return at == MAP_FAILED ? -1 : 0;
}

static long call_make_runnable(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return at == MAP_FAILED ? 0 : mprotect(at, 4096, PROT_READ | PROT_EXEC);
}

static long call_uring(void)
{
    struct io_uring_params p = {0};

    return syscall(SYS_io_uring_setup, 1, &p);
}

static long call_setuid(void)
{
    return setuid(0);
}

static long call_chmod(void)
{
    return chmod(dir, 0777);
}

static long call_bpf(void)
{
    return syscall(SYS_bpf, 0, NULL, 0);
}

static long call_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long call_limits(void)
{
    struct rlimit l = {1, 1};

    return setrlimit(RLIMIT_NOFILE, &l);
}

/* What becomes readable sends its owner a signal, any that is chosen: a kill by
 * another name. */
static long call_own(void)
{
    return fcntl(0, F_SETOWN, getppid());
}

static long call_own_group(void)
{
    struct f_owner_ex owner = {F_OWNER_PGRP, getpgid(getppid())};

    return fcntl(0, F_SETOWN_EX, &owner);
}

static long call_choose_signal(void)
{
    return fcntl(0, F_SETSIG, SIGKILL);
}

static const struct {
    const char *name;
    long (*call)(void);
    bool sanitizers; /* need it themselves */
} forbidden[] = {
    {"ptrace", call_ptrace, true},
    {"fork", call_fork, true},
    {"execve", call_execve},
    {"mount", call_mount},
    {"unshare", call_unshare},
    {"a packet socket", call_packet},
    {"an internet socket", call_inet},
    {"a unix socket", call_unix},
    {"a netlink socket", call_netlink},
    {"a pair of datagram sockets", call_datagrams},
    {"kill", call_kill, true},
    {"signals to an owner", call_own},
    {"signals to a group", call_own_group},
    {"signals by number", call_choose_signal},
    {"typing into the terminal", call_tiocsti},
    {"memory to write and run", call_run_memory, true},
    {"running what was written", call_make_runnable, true},
    {"io_uring", call_uring},
    {"setuid", call_setuid},
    {"chmod", call_chmod},
    {"bpf", call_bpf},
    {"being dumped", call_dumpable, true},
    {"raising limits", call_limits, true},
};

static void try_forbidden(void *arg)
{
    struct sandbox_rules rules = {.needs = SANDBOX_GPU};

    (void)arg;
    enter(&rules);
    if (!state.seccomp)
        _exit(0);
    for (unsigned i = 0; i < ARRAY_LEN(forbidden); i++) {
        if (SANDBOX_SANITIZED && forbidden[i].sanitizers)
            continue;
        errno = 0;
        if (forbidden[i].call() >= 0 || errno != EPERM) {
            fprintf(stderr, "%s: errno %d\n", forbidden[i].name, errno);
            _exit(1);
        }
    }
}

static void calls_that_nobody_needs_fail(void **unused)
{
    (void)unused;
    in_child(try_forbidden, NULL);
}

static void look_at_thread(void *arg)
{
    char byte, name[16] = "";

    NEED(read(*(int *)arg, &byte, 1) == 1);
    NEED(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 || state.seccomp);
    NEED(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "a-name") == 0);
}

static bool has_ring(void)
{
    struct uring *u;
    struct err e;
    int null = open("/dev/null", O_RDWR);
    bool yes = uring_open(&u, null, 8, &e) == 0;

    if (yes)
        uring_close(u);
    close(null);
    return yes;
}

/* One that was reserved reads a file, then another. */
static void try_ring(bool is_there)
{
    static const char *const names[] = {"/dev/null", "/proc/self/fdinfo"};
    struct uring_done done;
    struct uring *u, *more;
    struct err e;
    char byte;

    for (unsigned i = 0; is_there && i < ARRAY_LEN(names); i++) {
        const struct iovec iov = {&byte, 1};
        int fd = open(names[i], O_RDONLY);

        NEED(fd >= 0 && uring_open(&u, fd, 8, &e) == 0);
        close(fd);
        if (state.seccomp)
            NEED(uring_open(&more, 0, 8, &e) == -EPERM);
        NEED(uring_read(u, &iov, 1, 0, &byte));
        NEED(uring_send(u) == 0);
        while (uring_reap(u, &done, 1) == 0)
            sched_yield();
        NEED(done.user == &byte && done.result == (i ? -EISDIR : 0));
        uring_close(u);
    }
}

static void try_allowed(void *arg)
{
    struct sandbox_rules rules = {.needs = SANDBOX_FILES | SANDBOX_NETWORK};
    struct io_uring_params p = {0};
    bool ring_is_there = has_ring();
    struct thread t;
    struct err e;
    int pair[2];

    (void)arg;
    uring_reserve(1, 8);
    enter(&rules);
    NEED(socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno == EAFNOSUPPORT);
    NEED(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0);
    NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    NEED(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    if (state.seccomp)
        NEED(syscall(SYS_io_uring_setup, 1, &p) < 0);
    try_ring(ring_is_there);
    NEED(epoll_create1(EPOLL_CLOEXEC) >= 0);
    NEED(eventfd(0, EFD_CLOEXEC) >= 0);
    NEED(open("/dev/null", O_RDWR) >= 0);
    NEED(access("/proc/self/fdinfo/0", R_OK) == 0);
    NEED(open("/proc/self/fdinfo/0", O_RDONLY) >= 0);
    NEED(thread_start(&t, "a-name", look_at_thread, &pair[0], &e) == 0);
    NEED(write(pair[1], "", 1) == 1);
    thread_join(&t);
    free(malloc(8 << 20));
}

static void what_devices_need_goes_on(void **unused)
{
    (void)unused;
    in_child(try_allowed, NULL);
}

static void try_without_filter(void *arg)
{
    struct sandbox_rules rules = {.any_call = true};

    (void)arg;
    enter(&rules);
    NEED(!state.seccomp);
    NEED(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
}

static void the_filter_can_be_left_out(void **unused)
{
    (void)unused;
    in_child(try_without_filter, NULL);
}

/* ---- files ---- */

static void try_files(void *arg)
{
    char *in = in_dir("in"), *read_only = in_dir("out/read");
    struct sandbox_path paths[] = {
        {in, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_MAKE},
        {read_only, SANDBOX_READ},
        {in_dir("not-there"), SANDBOX_READ},
    };
    struct sandbox_rules rules = {
        .paths = paths, .num_paths = ARRAY_LEN(paths), .needs = SANDBOX_GPU};

    (void)arg;
    enter(&rules);
    if (!state.landlock)
        _exit(0);
    NEED(open(in_dir("in/new"), O_RDWR | O_CREAT, 0600) >= 0);
    NEED(rename(in_dir("in/new"), in_dir("in/newer")) == 0);
    NEED(unlink(in_dir("in/newer")) == 0);
    NEED(open(read_only, O_RDONLY) >= 0);
    NEED(open(read_only, O_RDWR) < 0 && errno == EACCES);
    NEED(open(in_dir("out/other"), O_RDONLY) < 0 && errno == EACCES);
    NEED(open(in_dir("out/new"), O_RDWR | O_CREAT, 0600) < 0 &&
         errno == EACCES);
    NEED(unlink(in_dir("out/other")) < 0 && errno == EACCES);
    NEED(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
    NEED(open("/", O_RDONLY | O_DIRECTORY) < 0 && errno == EACCES);
    NEED(open("/proc/1/environ", O_RDONLY) < 0);
    NEED(open("/dev/mem", O_RDWR) < 0);
}

static void files_that_no_rule_has_cannot_be_opened(void **unused)
{
    (void)unused;
    make_file(in_dir("out/read"), "text");
    make_file(in_dir("out/other"), "text");
    in_child(try_files, NULL);
}

/* By which even code could be written. */
static void try_own_memory(void *arg)
{
    static const char *const names[] = {
        "/proc/self/mem",
        "/proc/self/task/%d/mem",
        "/proc/self/task/%d/comm",
    };
    struct sandbox_rules rules = {.needs = SANDBOX_GPU};
    char path[64];

    (void)arg;
    enter(&rules);
    if (!state.landlock)
        _exit(0);
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), names[i], (int)getpid());
        NEED(open(path, O_WRONLY) < 0 && errno == EACCES);
    }
}

static void its_own_memory_is_no_file(void **unused)
{
    (void)unused;
    in_child(try_own_memory, NULL);
}

/* What is short now is not what the system lacks: nothing is left out. */
static void try_shortage(void *arg)
{
    struct sandbox_rules rules = {.needs = SANDBOX_GPU};
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct rlimit few = {(rlim_t)next + 2, (rlim_t)next + 2};
    struct err e;

    (void)arg;
    NEED(next >= 0 && setrlimit(RLIMIT_NOFILE, &few) == 0);
    if (sandbox_enter(&rules, &state, &e) == 0)
        NEED(!state.landlock && strstr(state.missing, "not on this system"));
    else
        NEED(e.code == -EMFILE);
}

static void no_room_for_rules_is_an_error(void **unused)
{
    (void)unused;
    in_child(try_shortage, NULL);
}

/* ---- rights ---- */

static void try_rights(void *arg)
{
    struct sandbox_rules rules = {.needs = 0};
    char line[128];
    bool bounded = false, empty = false;
    bool was_root = geteuid() == 0;
    FILE *f = fopen("/proc/self/status", "r");

    (void)arg;
    NEED(f);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    enter(&rules);
    NEED(state.not_dumped && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
    NEED(state.kept == 0);
    while (fgets(line, sizeof(line), f)) {
        empty |= strcmp(line, "CapPrm:\t0000000000000000\n") == 0;
        bounded |= strcmp(line, "CapBnd:\t0000000000000000\n") == 0;
    }
    NEED(empty && (bounded || !was_root));
}

static void no_capability_is_left(void **unused)
{
    (void)unused;
    in_child(try_rights, NULL);
}

static void try_user(void *arg)
{
    struct sandbox_rules rules = {.has_user = true, .user = "nobody"};
    struct err e;
    unsigned gid;

    (void)arg;
    NEED(sandbox_find_user("nobody", &rules.uid, &rules.gid) == 0);
    NEED(sandbox_find_user("no-such-user", &rules.uid, &gid) == -ENOENT);
    NEED(sandbox_find_user("nobody", &rules.uid, &rules.gid) == 0);
    if (geteuid() != 0 && geteuid() != rules.uid) {
        NEED(sandbox_enter(&rules, &state, &e) == -EPERM);
        _exit(0);
    }
    enter(&rules);
    NEED(getuid() == rules.uid && geteuid() == rules.uid);
    NEED(getgid() == rules.gid && state.uid == rules.uid);
    NEED(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1);
}

static void a_process_of_root_can_become_another_user(void **unused)
{
    (void)unused;
    in_child(try_user, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_that_nobody_needs_fail),
        cmocka_unit_test(what_devices_need_goes_on),
        cmocka_unit_test(the_filter_can_be_left_out),
        cmocka_unit_test(files_that_no_rule_has_cannot_be_opened),
        cmocka_unit_test(its_own_memory_is_no_file),
        cmocka_unit_test(no_room_for_rules_is_an_error),
        cmocka_unit_test(no_capability_is_left),
        cmocka_unit_test(a_process_of_root_can_become_another_user),
    };

    return cmocka_run_group_tests(tests, make_dirs, remove_dirs);
}
