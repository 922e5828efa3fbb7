/* What files and block devices can do differs by kernel, file system and disk,
 * and most of it is known only from what they refuse. So alignments are asked
 * for and else tried, and zeros and discards go from the best way to the next
 * one when one is not supported. Only whether I/O waits for another machine is
 * told by the kind of file system. */
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "os/broker.h"
#include "os/linux/cachestat.h"

#ifndef F_OFD_SETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#endif

/* f_type of file systems that no header is sure to name. */
#define MAGIC_XFS 0x58465342u
#define MAGIC_F2FS 0xf2f52010u
#define MAGIC_ZFS 0x2fc12fc1u
#define MAGIC_BCACHEFS 0xca451a4eu
#define MAGIC_OVERLAY 0x794c7630u

/* ---- open and describe ---- */

static int check_kind(int fd, const char *path, bool read_only, struct err *e)
{
    struct stat st;
    int ro = 0;

    if (fstat(fd, &st) < 0)
        return err_sys(e, errno, "", "cannot look at %s", path);
    if (S_ISDIR(st.st_mode))
        return err_set(e, -EISDIR, "", "%s is a directory", path);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return err_set(e, -EINVAL, "",
                       "%s is neither a regular file nor a block device", path);
    /* A block device may be opened for writing and refuse every write. */
    if (!read_only && S_ISBLK(st.st_mode) && ioctl(fd, BLKROGET, &ro) == 0 &&
        ro)
        return err_set(e, -EROFS, "", "%s cannot be written", path);
    return 0;
}

int file_open(const char *path, bool read_only, bool direct, int *out,
              struct err *e)
{
    int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
    int fd, rc;

    /* Non-blocking until we know that it is no FIFO. */
    fd = broker_open(path, flags | O_NONBLOCK, 0);
    if (fd == -EISDIR)
        return err_set(e, -EISDIR, "", "%s is a directory", path);
    if (fd < 0)
        return broker_fail(e, fd, "open", path);
    rc = check_kind(fd, path, read_only, e);
    if (rc < 0)
        goto out;
    /* Some file systems refuse O_DIRECT here, some only at the first I/O:
     * file_describe finds those. */
    flags = direct ? O_DIRECT : 0;
    /* When an image was last read says nothing, and to keep the time costs 5 %
     * of a cached read. Only the owner of a file may ask for that. */
    if (fcntl(fd, F_SETFL, flags | O_NOATIME) < 0 &&
        fcntl(fd, F_SETFL, flags) < 0) {
        rc = err_sys(e, errno, "", "cannot use %s%s", path,
                     direct ? " with direct I/O" : "");
        goto out;
    }
    *out = fd;
    fd = -1;
out:
    if (fd >= 0)
        close(fd);
    return rc;
}

int file_size(int fd, uint64_t *size)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISBLK(st.st_mode))
        return ioctl(fd, BLKGETSIZE64, size) < 0 ? -errno : 0;
    *size = (uint64_t)st.st_size;
    return 0;
}

int file_is_cached(int fd, uint64_t offset, uint64_t len)
{
    const struct cachestat_range range = {offset, len};
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct cachestat found;

    if (CALL_CACHESTAT < 0)
        return -ENOSYS;
    if (syscall(CALL_CACHESTAT, fd, &range, &found, 0) < 0)
        return -errno;
    return found.nr_cache >= (len + page - 1) / page;
}

static enum file_medium medium_of(int fd)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return FILE_FAR;
    switch ((uint32_t)fs.f_type) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
        return FILE_IN_MEMORY;
    case EXT4_SUPER_MAGIC: /* ext2 and ext3 too */
    case BTRFS_SUPER_MAGIC:
    case MAGIC_XFS:
    case MAGIC_F2FS:
    case MAGIC_ZFS:
    case MAGIC_BCACHEFS:
    case MAGIC_OVERLAY: /* of containers, on a local one */
        return FILE_LOCAL;
    }
    return FILE_FAR;
}

/* A number from the queue directory of a block device; a partition has it in
 * the directory above. False if it is not there. */
static bool queue_limit(dev_t dev, const char *name, uint64_t *value)
{
    static const char *const forms[] = {
        "/sys/dev/block/%u:%u/queue/%s",
        "/sys/dev/block/%u:%u/../queue/%s",
    };

    for (unsigned i = 0; i < ARRAY_LEN(forms); i++) {
        char path[128], text[32];
        ssize_t n;
        int fd;

        snprintf(path, sizeof(path), i ? forms[1] : forms[0], major(dev),
                 minor(dev), name);
        fd = broker_open(path, O_RDONLY | O_CLOEXEC, 0);
        if (fd < 0)
            continue;
        n = read(fd, text, sizeof(text) - 1);
        close(fd);
        if (n <= 0)
            continue;
        text[n] = '\0';
        *value = strtoull(text, NULL, 10);
        return true;
    }
    return false;
}

static uint32_t power_of_two(uint64_t n)
{
    return n && n <= UINT32_MAX && (n & (n - 1)) == 0 ? (uint32_t)n : 0;
}

static int describe_block(int fd, dev_t dev, bool direct,
                          struct file_info *info, struct err *e)
{
    unsigned physical = 0, opt = 0;
    uint64_t n;
    int logical;

    if (ioctl(fd, BLKGETSIZE64, &info->size) < 0 ||
        ioctl(fd, BLKSSZGET, &logical) < 0)
        return err_sys(e, errno, "", "the block device does not say its size");
    if (ioctl(fd, BLKPBSZGET, &physical) == 0)
        info->physical_block = power_of_two(physical);
    if (ioctl(fd, BLKIOOPT, &opt) == 0)
        info->opt_io = power_of_two(opt);
    info->can_discard = !queue_limit(dev, "discard_max_bytes", &n) || n > 0;
    if (queue_limit(dev, "discard_granularity", &n))
        info->discard_align = power_of_two(n);
    if (direct)
        info->mem_align = info->io_align = (uint32_t)logical;
    return 0;
}

/* Beyond the end of a file there is nothing to lose. */
static bool can_punch(int fd, uint64_t size)
{
    off_t at = (off_t)((size + 0xfffff) & ~UINT64_C(0xfffff));

    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
                     0x100000) == 0;
}

static void describe_regular(int fd, const struct stat *st, bool read_only,
                             struct file_info *info)
{
    info->size = (uint64_t)st->st_size;
    info->can_discard = !read_only && can_punch(fd, info->size);
    /* Network file systems report what they like to transfer. */
    info->physical_block = MIN(power_of_two((uint64_t)st->st_blksize), 4096u);
    info->discard_align = info->physical_block;
}

/* What direct I/O is good for, by trying: the kernel does not always say. */
static int probe_direct(int fd, struct file_info *info, struct err *e)
{
    void *mem;
    uint32_t align;

    if (posix_memalign(&mem, 65536, 65536) != 0)
        return err_nomem(e);
    for (align = 512; align <= 65536; align *= 2)
        if (pread(fd, mem, align, 0) >= 0 || errno != EINVAL)
            break;
    free(mem);
    if (align > 65536)
        return err_set(e, -EINVAL, "", "the file system cannot do direct I/O");
    info->mem_align = info->io_align = align;
    return 0;
}

static int describe_direct(int fd, struct file_info *info, struct err *e)
{
#ifdef STATX_DIOALIGN
    struct statx sx;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 &&
        sx.stx_mask & STATX_DIOALIGN) {
        if (!sx.stx_dio_offset_align)
            return err_set(e, -EINVAL, "",
                           "the file system cannot do direct I/O");
        info->mem_align = MAX(power_of_two(sx.stx_dio_mem_align), 1u);
        info->io_align = MAX(power_of_two(sx.stx_dio_offset_align), 512u);
        return 0;
    }
#endif
    if (info->io_align > 1)
        return 0; /* a block device has said it */
    return probe_direct(fd, info, e);
}

int file_describe(int fd, bool read_only, bool direct, struct file_info *info,
                  struct err *e)
{
    struct stat st;
    int rc;

    *info = (struct file_info){.mem_align = 1, .io_align = 1};
    if (fstat(fd, &st) < 0)
        return err_sys(e, errno, "", "cannot look at the file");
    if (S_ISBLK(st.st_mode)) {
        info->kind = FILE_BLOCK;
        /* It may be nbd, rbd or iSCSI. */
        info->medium = FILE_FAR;
        rc = describe_block(fd, st.st_rdev, direct, info, e);
        if (rc < 0)
            return rc;
    } else {
        info->kind = FILE_REGULAR;
        info->medium = medium_of(fd);
        describe_regular(fd, &st, read_only, info);
    }
    return direct ? describe_direct(fd, info, e) : 0;
}

/* ---- I/O ---- */

/* By number: not every C library has preadv2. The offset goes in two halves
 * on every architecture; where a long has 64 bits the high one is ignored. */
static ssize_t vector(long number, int fd, const struct iovec *iov, int num,
                      uint64_t offset, unsigned flags)
{
    int rwf = (flags & FILE_NOWAIT ? RWF_NOWAIT : 0) |
              (flags & FILE_DSYNC ? RWF_DSYNC : 0);
    ssize_t n;

    n = syscall(number, fd, iov, num, (long)offset, (long)(offset >> 32), rwf);
    return n < 0 ? -errno : n;
}

/* One piece, no flags: the bare call. preadv costs the kernel a tenth more.
 * Not through the C library, whose pread is a cancellation point: in a program
 * with threads that is two atomic operations. Where the offset does not fit a
 * long, it knows how to pass it. */
static inline ssize_t single(bool write, int fd, const struct iovec *iov,
                             uint64_t offset)
{
    ssize_t n;

#if __SIZEOF_LONG__ == 8
    n = syscall(write ? SYS_pwrite64 : SYS_pread64, fd, iov->iov_base,
                iov->iov_len, (long)offset);
#else
    n = write ? pwrite(fd, iov->iov_base, iov->iov_len, (off_t)offset)
              : pread(fd, iov->iov_base, iov->iov_len, (off_t)offset);
#endif
    return n < 0 ? -errno : n;
}

static ssize_t several(bool write, int fd, const struct iovec *iov, int num,
                       uint64_t offset)
{
    ssize_t n = write ? pwritev(fd, iov, num, (off_t)offset)
                      : preadv(fd, iov, num, (off_t)offset);

    return n < 0 ? -errno : n;
}

ssize_t file_readv(int fd, const struct iovec *iov, int num, uint64_t offset,
                   unsigned flags)
{
    if (flags)
        return vector(SYS_preadv2, fd, iov, num, offset, flags);
    return num == 1 ? single(false, fd, iov, offset)
                    : several(false, fd, iov, num, offset);
}

ssize_t file_writev(int fd, const struct iovec *iov, int num, uint64_t offset,
                    unsigned flags)
{
    if (flags)
        return vector(SYS_pwritev2, fd, iov, num, offset, flags);
    return num == 1 ? single(true, fd, iov, offset)
                    : several(true, fd, iov, num, offset);
}

void file_run(int fd, struct file_io *io, unsigned num)
{
    for (unsigned i = 0; i < num; i++)
        io[i].done =
            LIKELY(io[i].num == 1)
                ? single(io[i].write, fd, io[i].iov, io[i].offset)
                : several(io[i].write, fd, io[i].iov, io[i].num, io[i].offset);
}

int file_sync(int fd)
{
    int rc;

    do {
        rc = fdatasync(fd);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

/* ---- space ---- */

static int allocate(int fd, int mode, uint64_t offset, uint64_t len)
{
    int rc;

    do {
        rc = fallocate(fd, mode, (off_t)offset, (off_t)len);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

static int block_ioctl(int fd, unsigned long request, uint64_t offset,
                       uint64_t len)
{
    uint64_t range[2] = {offset, len};
    int rc;

    do {
        rc = ioctl(fd, request, range);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

static bool is_unsupported(int rc)
{
    return rc == -EOPNOTSUPP || rc == -ENOTTY || rc == -ENOSYS || rc == -ENODEV;
}

/* A block device refuses ranges that are no whole blocks of its own; through
 * the page cache a disk may have smaller ones. */
static bool cannot(enum file_kind kind, int rc)
{
    return is_unsupported(rc) || (kind == FILE_BLOCK && rc == -EINVAL);
}

int file_discard(int fd, enum file_kind kind, uint64_t offset, uint64_t len)
{
    int rc = kind == FILE_BLOCK
                 ? block_ioctl(fd, BLKDISCARD, offset, len)
                 : allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            offset, len);

    return cannot(kind, rc) ? 0 : rc;
}

static int write_zeros(int fd, uint64_t offset, uint64_t len)
{
    static char zeros[65536] __attribute__((aligned(65536)));
    struct iovec iov[16];

    while (len) {
        uint64_t ask = 0;
        ssize_t n;
        int i;

        for (i = 0; i < (int)ARRAY_LEN(iov) && ask < len; i++) {
            iov[i].iov_base = zeros;
            iov[i].iov_len = MIN(len - ask, sizeof(zeros));
            ask += iov[i].iov_len;
        }
        n = file_writev(fd, iov, i, offset, 0);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        offset += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

/* Space that is given back comes back as zeros. */
static int zero_by_unmap(int fd, uint64_t offset, uint64_t len)
{
    return allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                    len);
}

int file_zero(int fd, enum file_kind kind, uint64_t offset, uint64_t len,
              bool unmap)
{
    int rc = -EOPNOTSUPP;

    if (unmap)
        rc = zero_by_unmap(fd, offset, len);
    if (!cannot(kind, rc))
        return rc;
    if (kind == FILE_BLOCK) {
        rc = block_ioctl(fd, BLKZEROOUT, offset, len);
        return cannot(kind, rc) ? write_zeros(fd, offset, len) : rc;
    }
    rc = allocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, len);
    if (!is_unsupported(rc))
        return rc;
    /* Give back, then take again: the space must be there. */
    rc = zero_by_unmap(fd, offset, len);
    if (rc == 0)
        rc = allocate(fd, FALLOC_FL_KEEP_SIZE, offset, len);
    return is_unsupported(rc) ? write_zeros(fd, offset, len) : rc;
}

/* ---- locks ---- */

static int lock(int fd, int cmd, short type, uint64_t at, uint64_t len,
                short *found)
{
    struct flock f = {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = (off_t)at,
        .l_len = (off_t)len,
    };

    if (fcntl(fd, cmd, &f) < 0)
        return errno == EACCES ? -EAGAIN : -errno;
    if (found)
        *found = f.l_type;
    return 0;
}

int file_lock_shared(int fd, uint64_t at)
{
    return lock(fd, F_OFD_SETLK, F_RDLCK, at, 1, NULL);
}

int file_unlock(int fd, uint64_t at, uint64_t len)
{
    return lock(fd, F_OFD_SETLK, F_UNLCK, at, len, NULL);
}

int file_lock_test(int fd, uint64_t at)
{
    short found = F_UNLCK;
    int rc = lock(fd, F_OFD_GETLK, F_WRLCK, at, 1, &found);

    if (rc < 0)
        return rc;
    return found == F_UNLCK ? 0 : -EAGAIN;
}

/* By the kernel itself: libc's functions are wrapped by those who play devices
 * for us in tests, and do not work there for what is none of theirs. */
char *file_real_path(const char *path)
{
    char at[sizeof("/proc/self/fd/") + 10], real[PATH_MAX];
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return NULL;
    snprintf(at, sizeof(at), "/proc/self/fd/%d", fd);
    n = readlink(at, real, sizeof(real));
    close(fd);
    return n > 0 && n < (ssize_t)sizeof(real) ? strndup(real, (size_t)n) : NULL;
}
