/* The image lock, as QEMU has it for raw images, so that QEMU, qemu-img and
 * qemu-storage-daemon are kept out of our images and we out of theirs.
 *
 * There is a byte for each thing a user may want to do with an image. A user
 * holds shared locks on the bytes of what it does (from DOES_BASE) and on those
 * of what nobody else may do meanwhile (from DENIES_BASE). Having taken both,
 * it looks whether anybody else denies what it does, or does what it denies;
 * if so it gives all back. All locks are shared ones: who holds what can be
 * seen, and nobody can be kept from looking.
 *
 * We do as QEMU's own virtio-blk does: read, and write if we may; nobody else
 * may write. Two that only read get along. The locks are those of the open
 * file (OFD): they outlive a killed process for as long as the kernel has I/O
 * of it under way. */
#include <errno.h>

#include "store/engine.h"

enum {
    DOES_BASE = 100,
    DENIES_BASE = 200,
};

enum {
    READS = 0, /* what it reads must make sense */
    WRITES = 1,
    BYTES = 4, /* two more that we neither do nor deny */
};

static int refuse(int rc, int fd, const char *path, struct err *e)
{
    lock_release(fd);
    if (rc == -EAGAIN)
        return err_set(e, rc, "", "another process has %s locked", path);
    return err_sys(e, -rc, "", "cannot lock %s (\"lock\": false does without)",
                   path);
}

int lock_acquire(int fd, const char *path, bool read_only, struct err *e)
{
    int rc;

    rc = file_lock_shared(fd, DOES_BASE + READS);
    if (rc == 0 && !read_only)
        rc = file_lock_shared(fd, DOES_BASE + WRITES);
    if (rc == 0)
        rc = file_lock_shared(fd, DENIES_BASE + WRITES);
    if (rc < 0)
        return refuse(rc, fd, path, e);

    rc = file_lock_test(fd, DENIES_BASE + READS);
    if (rc == 0 && !read_only)
        rc = file_lock_test(fd, DENIES_BASE + WRITES);
    if (rc == 0)
        rc = file_lock_test(fd, DOES_BASE + WRITES);
    return rc < 0 ? refuse(rc, fd, path, e) : 0;
}

void lock_release(int fd)
{
    file_unlock(fd, DOES_BASE, BYTES);
    file_unlock(fd, DENIES_BASE, BYTES);
}
