/* System calls, by a list of those that are allowed: what is not in it fails
 * with EPERM, and what newer C libraries try first fails with ENOSYS, so that
 * they take the older way. Nothing is killed: a guest that got so far would
 * only take down the devices of others.
 *
 * Open files are Landlock's business, so that the list has open. What the two
 * leave to somebody who runs code of his own in this process: what its open
 * files and sockets can do, memory, threads; no programs, no other processes,
 * no memory that is written and then run, no sockets but those named below.
 *
 * An io_uring bypasses this, and one that is made by hand could make sockets:
 * so none can be made any more. Those that are there (uring_reserve) have been
 * restricted to reads and writes before. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "os/linux/cachestat.h"
#include "os/linux/sandbox_own.h"

#ifdef VUB_HAVE_SECCOMP

#include <linux/fs.h>
#include <linux/input.h>
#include <linux/sockios.h>
#include <linux/udmabuf.h>
#include <scsi/sg.h>
#include <seccomp.h>
#include <sys/ioctl.h>

#define ALWAYS 0

struct row {
    int nr; /* negative: not on this machine */
    unsigned needs;
};

#define CALL(name)                                                             \
    {                                                                          \
        SCMP_SYS(name), ALWAYS                                                 \
    }
#define CALL_FOR(name, needs)                                                  \
    {                                                                          \
        SCMP_SYS(name), needs                                                  \
    }

static const struct row allowed[] = {
    /* files and sockets that are open; fcntl is below */
    CALL(read),
    CALL(write),
    CALL(readv),
    CALL(writev),
    CALL(pread64),
    CALL(pwrite64),
    CALL(preadv),
    CALL(pwritev),
    CALL(preadv2),
    CALL(pwritev2),
    CALL(close),
    CALL(close_range),
    CALL(lseek),
    CALL(_llseek),
    CALL(fstat),
    CALL(fstat64),
    CALL(fstatfs),
    CALL(fstatfs64),
    CALL(dup),
    CALL(dup2),
    CALL(dup3),
    CALL(ftruncate),
    CALL(ftruncate64),
    CALL(fsync),
    CALL(fdatasync),
    CALL(flock),
    CALL(pipe2),
    CALL_FOR(fallocate, SANDBOX_FILES | SANDBOX_GPU),
    CALL_FOR(sync_file_range, SANDBOX_FILES),
    CALL_FOR(fadvise64, SANDBOX_FILES | SANDBOX_INPUT),
#if CALL_CACHESTAT > 0
    {CALL_CACHESTAT, SANDBOX_FILES},
#endif
    /* names: Landlock's */
    CALL(open),
    CALL(openat),
    CALL(stat),
    CALL(lstat),
    CALL(newfstatat),
    CALL(fstatat64),
    CALL(statx),
    CALL(statfs),
    CALL(access),
    CALL(faccessat),
    CALL(faccessat2),
    CALL(readlink),
    CALL(readlinkat),
    CALL(getcwd),
    CALL(getdents64),
    CALL(mkdir), /* which says that there is one already */
    CALL(mkdirat),
    CALL_FOR(rename, SANDBOX_GPU),
    CALL_FOR(renameat, SANDBOX_GPU),
    CALL_FOR(renameat2, SANDBOX_GPU),
    CALL_FOR(unlink, SANDBOX_GPU),
    CALL_FOR(unlinkat, SANDBOX_GPU),
    CALL_FOR(inotify_init1, SANDBOX_INPUT),
    CALL_FOR(inotify_add_watch, SANDBOX_INPUT),
    CALL_FOR(inotify_rm_watch, SANDBOX_INPUT),
    /* memory; mmap and mprotect are below */
    CALL(munmap),
    CALL(mremap),
    CALL(madvise),
    CALL(brk),
    CALL(memfd_create),
    CALL(mincore),
    CALL(membarrier),
    /* waiting */
    CALL(epoll_create1),
    CALL(epoll_ctl),
    CALL(epoll_wait),
    CALL(epoll_pwait),
    CALL(epoll_pwait2),
    CALL(poll),
    CALL(ppoll),
    CALL(ppoll_time64),
    CALL(select),
    CALL(pselect6),
    CALL(eventfd2),
    CALL(nanosleep),
    CALL(clock_nanosleep),
    CALL(clock_nanosleep_time64),
    CALL(futex),
    CALL(futex_time64),
    CALL(sched_yield),
    /* sockets that are open; socket, socketpair and connect are below */
    CALL(recvmsg),
    CALL(recvfrom),
    CALL(recvmmsg),
    CALL(sendmsg),
    CALL(sendto),
    CALL(sendmmsg),
    CALL(shutdown),
    CALL(accept),
    CALL(accept4),
    CALL(listen),
    CALL(getsockopt),
    CALL(setsockopt),
    CALL(getsockname),
    CALL(getpeername),
    CALL_FOR(connect, SANDBOX_NETWORK),
    CALL_FOR(bind, SANDBOX_NETWORK),
    /* threads, time, signals, ourselves */
    CALL(set_robust_list),
    CALL(rseq),
    CALL(set_tid_address),
    CALL(arch_prctl),
    CALL(sched_getaffinity),
    CALL(gettid),
    CALL(getpid),
    CALL(getppid),
    CALL(getuid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getegid),
    CALL(getpgrp),
    CALL(getpgid),
    CALL(getrlimit),
    CALL(ugetrlimit),
    CALL(getrusage),
    CALL(times),
    CALL(uname),
    CALL(sysinfo),
    CALL(umask),
    CALL(getrandom),
    CALL(clock_gettime),
    CALL(clock_gettime64),
    CALL(clock_getres),
    CALL(clock_getres_time64),
    CALL(gettimeofday),
    CALL(time),
    CALL(getcpu),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(sigreturn),
    CALL(rt_sigtimedwait),
    CALL(rt_sigpending),
    CALL(sigaltstack),
    CALL(restart_syscall),
    CALL(wait4),
    CALL(waitid),
    CALL(waitpid),
    CALL(exit),
    CALL(exit_group),
    /* io_uring; io_uring_register is below, and io_uring_setup is over */
    CALL_FOR(io_uring_enter, SANDBOX_FILES),
#if SANDBOX_SANITIZED
    CALL(ptrace),
    CALL(clone),
    CALL(prctl),
    CALL(mmap),
    CALL(mprotect),
    CALL(kill),
    CALL(tgkill),
    CALL(process_vm_readv),
    CALL(personality),
    CALL(sched_getparam),
    CALL(sched_getscheduler),
    CALL(getdents),
    CALL(prlimit64),
    CALL(pipe),
#endif
};

/* Without F_SETOWN and F_SETSIG, by which whoever is root sends any signal to
 * anybody. */
static const unsigned fcntls[] = {
    F_DUPFD,     F_DUPFD_CLOEXEC, F_GETFD,     F_SETFD,
    F_GETFL,     F_SETFL,         F_GETLK,     F_SETLK,
    F_OFD_GETLK, F_OFD_SETLK,     F_GET_SEALS, F_ADD_SEALS,
};

struct ioctl_row {
    unsigned long request, mask;
    unsigned needs;
};

#define EXACT UINT32_MAX
#define EVIOC_MASK 0xff00u /* any of a driver's: lengths are in the number */

static const struct ioctl_row ioctls[] = {
    {FIONREAD, EXACT, ALWAYS},
    {FIONBIO, EXACT, ALWAYS},
    {FIOCLEX, EXACT, ALWAYS},
    {SIOCOUTQ, EXACT, ALWAYS},
    {TCGETS, EXACT, ALWAYS},     /* stdio asks what it writes to */
    {TIOCGWINSZ, EXACT, ALWAYS}, /* of other C libraries */
    {TIOCGPGRP, EXACT, ALWAYS},  /* child_shares_terminal */
    {BLKROGET, EXACT, SANDBOX_FILES},
    {BLKGETSIZE64, EXACT, SANDBOX_FILES},
    {BLKSSZGET, EXACT, SANDBOX_FILES},
    {BLKPBSZGET, EXACT, SANDBOX_FILES},
    {BLKIOOPT, EXACT, SANDBOX_FILES},
    {BLKDISCARD, EXACT, SANDBOX_FILES},
    {BLKZEROOUT, EXACT, SANDBOX_FILES},
    {SG_GET_VERSION_NUM, EXACT, SANDBOX_HOST_SCSI},
    {SG_GET_SCSI_ID, EXACT, SANDBOX_HOST_SCSI},
    {SG_SCSI_RESET, EXACT, SANDBOX_HOST_SCSI},
    {'E' << 8, EVIOC_MASK, SANDBOX_INPUT},
    {UDMABUF_CREATE, EXACT, SANDBOX_GPU},
};

/* What becomes of a ring that was reserved: it gets a file, is enabled, and
 * gets another. */
static const unsigned ring_ops[] = {
    2,  /* IORING_REGISTER_FILES */
    6,  /* IORING_REGISTER_FILES_UPDATE */
    12, /* IORING_REGISTER_ENABLE_RINGS */
};

static bool is_needed(unsigned row, unsigned needs)
{
    return row == ALWAYS || (row & needs);
}

/* A call that this machine has not is no error. */
static int allow_if(scmp_filter_ctx f, int nr, unsigned num,
                    const struct scmp_arg_cmp *args)
{
    int rc = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, nr, num, args);

    return rc == -EDOM || rc == -EEXIST ? 0 : rc;
}

static int allow_word(scmp_filter_ctx f, int nr, unsigned arg, uint64_t mask,
                      uint64_t is)
{
    const struct scmp_arg_cmp a = {arg, SCMP_CMP_MASKED_EQ, mask, is};

    return allow_if(f, nr, 1, &a);
}

static int add_lists(scmp_filter_ctx f, unsigned needs)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(allowed); i++) {
        if (is_needed(allowed[i].needs, needs))
            rc = allow_if(f, allowed[i].nr, 0, NULL);
    }
    for (unsigned i = 0;
         rc == 0 && (needs & SANDBOX_FILES) && i < ARRAY_LEN(ring_ops); i++)
        rc = allow_word(f, SCMP_SYS(io_uring_register), 1, UINT32_MAX,
                        ring_ops[i]);
    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(ioctls); i++) {
        if (is_needed(ioctls[i].needs, needs))
            rc = allow_word(f, SCMP_SYS(ioctl), 1, ioctls[i].mask,
                            ioctls[i].request);
    }
    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(fcntls); i++) {
        rc = allow_word(f, SCMP_SYS(fcntl), 1, UINT32_MAX, fcntls[i]);
        if (rc == 0)
            rc = allow_word(f, SCMP_SYS(fcntl64), 1, UINT32_MAX, fcntls[i]);
    }
    return rc;
}

/* Memory is either written or run. */
static int add_memory(scmp_filter_ctx f)
{
    static const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mmap2),
                                SCMP_SYS(mprotect)};
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(calls); i++)
        rc = allow_word(f, calls[i], 2, PROT_EXEC, 0);
    return rc;
}

/* Threads of ours, and nobody else. clone3 has its flags in memory, where
 * nobody can look. */
static int add_threads(scmp_filter_ctx f, int command)
{
    const uint64_t own = (uint64_t)getpid();
    int rc = allow_word(f, SCMP_SYS(clone), 0, CLONE_THREAD | CLONE_VM,
                        CLONE_THREAD | CLONE_VM);

    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (rc == -EDOM)
        rc = 0;
    if (rc == 0)
        rc = allow_word(f, SCMP_SYS(tgkill), 0, UINT32_MAX, own);
    if (rc == 0)
        rc = allow_word(f, SCMP_SYS(prctl), 0, UINT32_MAX, PR_SET_NAME);
    if (rc == 0)
        rc = allow_word(f, SCMP_SYS(prctl), 0, UINT32_MAX, PR_GET_NAME);
    if (rc == 0)
        rc = allow_word(f, SCMP_SYS(prctl), 0, UINT32_MAX, PR_GET_DUMPABLE);
    if (rc == 0 && command)
        rc = allow_word(f, SCMP_SYS(kill), 0, UINT32_MAX, (uint64_t)command);
    return rc;
}

/* To ask limits, not to set them; of ourselves. */
static int add_limits(scmp_filter_ctx f)
{
    const struct scmp_arg_cmp a[] = {
        {0, SCMP_CMP_MASKED_EQ, UINT32_MAX, 0},
        {2, SCMP_CMP_EQ, 0, 0},
    };

    return allow_if(f, SCMP_SYS(prlimit64), ARRAY_LEN(a), a);
}

/* A socket of a domain and a type, whatever its flags. */
static int allow_socket(scmp_filter_ctx f, int nr, int domain, int type)
{
    const struct scmp_arg_cmp a[] = {
        {0, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint64_t)domain},
        {1, SCMP_CMP_MASKED_EQ, 0xf, (uint64_t)type},
    };

    return allow_if(f, nr, ARRAY_LEN(a), a);
}

static int add_sockets(scmp_filter_ctx f, unsigned needs)
{
    static const struct {
        int nr, domain, type;
        unsigned needs;
    } rows[] = {
        /* Pairs lead nowhere else; those of datagrams could be connected
         * anew. */
        {SCMP_SYS(socketpair), AF_UNIX, SOCK_SEQPACKET, ALWAYS},
        {SCMP_SYS(socketpair), AF_UNIX, SOCK_STREAM, ALWAYS},
        {SCMP_SYS(socket), AF_INET, SOCK_STREAM, SANDBOX_NETWORK},
        {SCMP_SYS(socket), AF_INET6, SOCK_STREAM, SANDBOX_NETWORK},
        /* iscsi/isid.c claims names by these. */
        {SCMP_SYS(socket), AF_UNIX, SOCK_DGRAM, SANDBOX_NETWORK},
    };
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(rows); i++) {
        if (is_needed(rows[i].needs, needs))
            rc = allow_socket(f, rows[i].nr, rows[i].domain, rows[i].type);
    }
    return rc;
}

/* To make a tree of the list took 200 KiB, which the C library would keep: more
 * than a disk needs for all else. */
static void give_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

int seccomp_apply(const struct sandbox_rules *rules)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc;

    if (!f)
        return -ENOSYS;
    rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    /* Most calls are reads and writes of open files: a tree finds those as
     * quickly as any. */
    seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (rc == 0)
        rc = add_lists(f, rules->needs);
    if (rc == 0)
        rc = add_memory(f);
    if (rc == 0)
        rc = add_threads(f, rules->command);
    if (rc == 0)
        rc = add_limits(f);
    if (rc == 0)
        rc = add_sockets(f, rules->needs);
    if (rc == 0)
        rc = seccomp_load(f);
    seccomp_release(f);
    give_back();
    return rc;
}

#else /* no libseccomp */

int seccomp_apply(const struct sandbox_rules *rules)
{
    (void)rules;
    return -ENOSYS;
}

#endif
