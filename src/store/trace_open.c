/* Files that a trace is written to. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "os/broker.h"
#include "os/file.h"
#include "store/trace_writer.h"

/* What is there and is no trace is somebody's: a slip in a config does not
 * cost a disk. */
static int check_file(int fd, struct err *e)
{
    uint8_t bytes[8];
    struct iovec iov = {bytes, sizeof(bytes)};
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return err_sys(e, errno, "", "cannot look at it");
    if (!S_ISREG(st.st_mode))
        return err_set(e, -EINVAL, "", "it is no regular file");
    n = file_readv(fd, &iov, 1, 0, 0);
    if (n < 0)
        return err_sys(e, (int)-n, "", "cannot read it");
    if (n > 0 && !trace_is_one(bytes, (size_t)n))
        return err_set(e, -EEXIST, "",
                       "there is a file by this name that is no trace: name "
                       "another, or remove it");
    return 0;
}

/* A file that is there needs no right to make one: see os/broker.h. */
int trace_open_file(const char *path, int *fd, struct err *e)
{
    const int flags = O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int rc = broker_open(path, flags, 0);

    if (rc == -ENOENT)
        rc = broker_open(path, flags | O_CREAT, 0600);
    if (rc < 0)
        return broker_fail(e, rc, "open", path);
    *fd = rc;
    return check_file(rc, e);
}
