/* Landlock: files that may be opened, by directory. The system calls are made
 * by number, the C library has none of them; and numbers of rights that are
 * newer than the headers are named here.
 *
 * A rule belongs to a file or directory that is there now, not to its name: one
 * that is replaced is asked of the broker, who knows names. Entries of /proc
 * are made anew when they have been forgotten, so those with a rule stay open
 * for as long as the process lives. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "os/linux/sandbox_own.h"

#ifdef SYS_landlock_create_ruleset

#define ABI_REFER 2
#define ABI_TRUNCATE 3
#define ABI_NET 4
#define ABI_IOCTL 5
#define ABI_SCOPE 6

/* Up to ABI 1; and what came later. */
#define FS_FIRST ((UINT64_C(1) << 13) - 1)
#define FS_EXECUTE (UINT64_C(1) << 0)
#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_REG (UINT64_C(1) << 8)
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
/* The rights that a rule of a file, no directory, may have. */
#define FS_OF_FILES                                                            \
    (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define NET_BIND_TCP (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)

/* As of ABI 6; older kernels are given less of it. */
struct ruleset {
    uint64_t fs, net, scoped;
};

struct beneath {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

static uint64_t known_fs(int abi)
{
    return FS_FIRST | (abi >= ABI_REFER ? FS_REFER : 0) |
           (abi >= ABI_TRUNCATE ? FS_TRUNCATE : 0) |
           (abi >= ABI_IOCTL ? FS_IOCTL_DEV : 0);
}

static uint64_t rights(unsigned may)
{
    uint64_t r = 0;

    if (may & SANDBOX_READ)
        r |= FS_READ_FILE | FS_READ_DIR | FS_IOCTL_DEV;
    if (may & SANDBOX_WRITE)
        r |= FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV;
    if (may & SANDBOX_MAKE)
        r |= FS_MAKE_REG | FS_REMOVE_FILE;
    return r;
}

/* What is not there gets no rule. keep: it stays open. */
static int add(int set, int abi, const char *path, unsigned may, bool keep)
{
    struct beneath b = {
        .fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC)};
    struct stat st;
    int rc = 0;

    if (b.fd < 0)
        return errno == EMFILE || errno == ENFILE ? -errno : 0;
    b.allowed = rights(may) & known_fs(abi);
    if (fstat(b.fd, &st) == 0 && !S_ISDIR(st.st_mode))
        b.allowed &= FS_OF_FILES;
    if (syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &b, 0) <
        0)
        rc = -errno;
    if (!keep || rc < 0)
        close(b.fd);
    return rc;
}

/* What every process needs. */
static int add_own(int set, int abi)
{
    static const struct sandbox_path own[] = {
        {"/dev/null", SANDBOX_READ | SANDBOX_WRITE},
        {"/dev/tty", SANDBOX_READ},
#if SANDBOX_SANITIZED
        {"/usr", SANDBOX_READ},
        {"/lib", SANDBOX_READ},
        {"/proc/self", SANDBOX_READ},
        {"/proc/self/exe", SANDBOX_READ}, /* names in reports */
#endif
    };
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(own); i++)
        rc = add(set, abi, own[i].path, own[i].may, true);
    /* Kinds of fds that we are sent. Nothing of /proc/self may be written:
     * below "task" too there is "mem", by which even code can be changed. */
    return rc < 0 ? rc : add(set, abi, "/proc/self/fdinfo", SANDBOX_READ, true);
}

int landlock_prepare(const struct sandbox_rules *rules, int *abi)
{
    struct ruleset all = {0};
    size_t size = sizeof(all.fs);
    int set, rc, v;

    v = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
                     LANDLOCK_CREATE_RULESET_VERSION);
    if (v < 1)
        return -ENOSYS;
    all.fs = known_fs(v);
    if (v >= ABI_NET) {
        size = offsetof(struct ruleset, scoped);
        all.net = NET_BIND_TCP |
                  (rules->needs & SANDBOX_NETWORK ? 0 : NET_CONNECT_TCP);
    }
    if (v >= ABI_SCOPE) {
        size = sizeof(all);
        all.scoped = rules->command ? 0 : SCOPE_SIGNAL;
    }
    set = (int)syscall(SYS_landlock_create_ruleset, &all, size, 0);
    if (set < 0)
        return -errno;
    rc = add_own(set, v);
    for (unsigned i = 0; rc == 0 && i < rules->num_paths; i++)
        rc = add(set, v, rules->paths[i].path, rules->paths[i].may, false);
    if (rc < 0) {
        close(set);
        return rc;
    }
    *abi = v;
    return set;
}

int landlock_apply(int set)
{
    int rc = syscall(SYS_landlock_restrict_self, set, 0) < 0 ? -errno : 0;

    close(set);
    return rc;
}

#else /* no Landlock in these headers */

int landlock_prepare(const struct sandbox_rules *rules, int *abi)
{
    (void)rules;
    (void)abi;
    return -ENOSYS;
}

int landlock_apply(int set)
{
    (void)set;
    return -ENOSYS;
}

#endif
