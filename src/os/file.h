/* os/file.h: disk images: regular files and block devices.
 *
 * All of these may wait for the medium, unless said otherwise; who may call
 * them is said in store/. Threads: any. */
#ifndef VUB_OS_FILE_H
#define VUB_OS_FILE_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"

#define FILE_IOV_MAX 1024 /* pieces that one call takes */

enum file_kind {
    FILE_REGULAR,
    FILE_BLOCK,
};

/* Whom buffered I/O waits for when it waits. */
enum file_medium {
    FILE_IN_MEMORY, /* nobody: tmpfs */
    FILE_LOCAL,     /* a device of this machine */
    FILE_FAR,       /* another machine or process: NFS, FUSE, or not known */
};

struct file_info {
    enum file_kind kind;
    enum file_medium medium;
    uint64_t size; /* bytes */
    /* bytes, powers of two; 0: not known */
    uint32_t physical_block, opt_io, discard_align;
    bool can_discard;
    /* What direct I/O wants of memory addresses, and of offsets and lengths,
     * bytes; 1 for buffered I/O. */
    uint32_t mem_align, io_align;
};

/* Opens path; *fd is the caller's. Refuses what is neither a regular file nor
 * a block device. e gets a sentence without a place. */
int file_open(const char *path, bool read_only, bool direct, int *fd,
              struct err *e);
/* What is behind fd, opened like that. */
int file_describe(int fd, bool read_only, bool direct, struct file_info *info,
                  struct err *e);
/* Bytes, now. */
int file_size(int fd, uint64_t *size);

/* Is all of [offset, offset + len) in the page cache? 1 or 0, at once. Negative
 * errno: that cannot be told, for this file or on this system. */
int file_is_cached(int fd, uint64_t offset, uint64_t len);

enum {
    FILE_NOWAIT = 1 << 0, /* -EAGAIN rather than wait; -EOPNOTSUPP where that
                           * cannot be asked for */
    FILE_DSYNC = 1 << 1,  /* stable when it returns */
};

/* Bytes done, fewer at the end of the file or by chance; negative errno. */
ssize_t file_readv(int fd, const struct iovec *iov, int num, uint64_t offset,
                   unsigned flags);
ssize_t file_writev(int fd, const struct iovec *iov, int num, uint64_t offset,
                    unsigned flags);

/* One of several reads and writes. */
struct file_io {
    const struct iovec *iov;
    int num;
    bool write;
    uint64_t offset;
    ssize_t done; /* what file_readv or file_writev would return */
};
/* Does them one after the other, without flags, and nothing in between. */
void file_run(int fd, struct file_io *io, unsigned num);

/* All of these: 0 or a negative errno. */
int file_sync(int fd);
/* Where the file system cannot discard, nothing is done, nor for ranges of a
 * block device that are no whole blocks of its. */
int file_discard(int fd, enum file_kind kind, uint64_t offset, uint64_t len);
/* The range reads as zeros after. unmap: space may be given back. By the
 * quickest way there is, at worst by writing zeros. */
int file_zero(int fd, enum file_kind kind, uint64_t offset, uint64_t len,
              bool unmap);

/* Its path without links, as realpath has it: to be freed. NULL: there is no
 * such file, or no memory. */
char *file_real_path(const char *path);

/* Advisory locks of single bytes that belong to the open file, not to the
 * process: they end when its last fd, or its last I/O, has gone. They do not
 * wait. */
int file_lock_shared(int fd, uint64_t at);
int file_unlock(int fd, uint64_t at, uint64_t len);
/* -EAGAIN if another open file has any lock on the byte. */
int file_lock_test(int fd, uint64_t at);

#endif
