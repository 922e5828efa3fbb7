/* Records are written whole, at offsets that are known here; what a full disk
 * has cut short is cut off. Of a ring's two files that with the higher part is
 * the one that is written to, also for a process that goes on. */
#include "store/trace_output.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/broker.h"
#include "os/file.h"

/* ---- writing ---- */

int trace_output_put(struct trace_output *o, const uint8_t *bytes, uint64_t len)
{
    int fd = o->fd[o->now];
    uint64_t done = 0;

    while (done < len) {
        struct iovec iov = {(uint8_t *)(uintptr_t)(bytes + done), len - done};
        ssize_t n = file_writev(fd, &iov, 1, o->at + done, 0);

        if (n == -EINTR)
            continue;
        if (n <= 0) {
            if (ftruncate(fd, (off_t)o->at) < 0)
                log_limited(&o->limit, LOG_WARN, o->id,
                            "cannot cut off half a record of %s",
                            trace_output_path(o));
            return n < 0 ? (int)n : -EIO;
        }
        done += (uint64_t)n;
    }
    o->at += len;
    __atomic_fetch_add(&o->bytes, len, __ATOMIC_RELAXED);
    return 0;
}

uint64_t trace_output_room(const struct trace_output *o)
{
    uint64_t limit = INT64_MAX;

    if (o->max_size)
        limit = trace_output_is_ring(o) ? o->max_size / 2 : o->max_size;
    return o->at < limit ? (limit - o->at) / TRACE_RECORD_BYTES : 0;
}

/* ---- where they begin ---- */

/* The file of now, anew. */
static int begin(struct trace_output *o)
{
    uint8_t bytes[TRACE_HEAD_BYTES];

    if (ftruncate(o->fd[o->now], 0) < 0)
        return -errno;
    o->at = 0;
    trace_put_head(&o->head, bytes);
    return trace_output_put(o, bytes, sizeof(bytes));
}

int trace_output_begin(struct trace_output *o)
{
    int rc = begin(o);

    if (trace_output_is_ring(o) && ftruncate(o->fd[1], 0) < 0 && rc == 0)
        rc = -errno;
    return rc;
}

int trace_output_ready(struct trace_output *o)
{
    return o->at ? 0 : begin(o);
}

int trace_output_swap(struct trace_output *o)
{
    o->now = !o->now;
    o->head.part++;
    return begin(o);
}

/* What another process of this session has left in a file. */
static bool look(const struct trace_output *o, int fd, struct trace_head *h,
                 uint64_t *end)
{
    uint8_t bytes[TRACE_HEAD_BYTES];
    struct iovec iov = {bytes, sizeof(bytes)};
    struct stat st;
    struct err e;

    if (fd < 0 || file_readv(fd, &iov, 1, 0, 0) != (ssize_t)sizeof(bytes) ||
        trace_get_head(h, bytes, &e) < 0 || h->session != o->head.session ||
        fstat(fd, &st) < 0)
        return false;
    *end = (uint64_t)st.st_size;
    *end -= (*end - TRACE_HEAD_BYTES) % TRACE_RECORD_BYTES;
    return true;
}

bool trace_output_go_on(struct trace_output *o)
{
    struct trace_head h, other;
    uint64_t end, other_end;
    bool first = look(o, o->fd[0], &h, &end);

    if (look(o, o->fd[1], &other, &other_end) &&
        (!first || other.part > h.part)) {
        h = other;
        end = other_end;
        o->now = 1;
    } else if (!first) {
        return false;
    }
    if (h.start_ns != o->head.start_ns || h.block_size != o->head.block_size)
        return false;
    o->head.part = h.part;
    o->at = end;
    return true;
}

/* ---- who may write ---- */

bool trace_output_try_lock(struct trace_output *o)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(o->fd[0], F_OFD_SETLK, &all) == 0 ||
           (errno != EAGAIN && errno != EACCES);
}

void trace_output_unlock(struct trace_output *o)
{
    struct flock none = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    fcntl(o->fd[0], F_OFD_SETLK, &none);
}

/* ---- open and close ---- */

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
static int open_file(const char *path, int *fd, struct err *e)
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

static bool is_same_file(const struct trace_output *o)
{
    struct stat a, b;

    return fstat(o->fd[0], &a) == 0 && fstat(o->fd[1], &b) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int trace_output_open(struct trace_output *o, const char *at, struct errs *e)
{
    static const char *const keys[] = {"path", "second"};
    struct err why;
    int rc = 0;

    o->fd[0] = o->fd[1] = -1;
    for (int i = 0; i < 2 && rc == 0 && o->path[i]; i++) {
        rc = open_file(o->path[i], &o->fd[i], &why);
        if (rc == 0 && i == 1 && is_same_file(o))
            rc = err_set(&why, -EINVAL, "",
                         "it is the same file as the first: a ring has two");
        if (rc < 0)
            errs_adopt(e, at, keys[i], &why);
    }
    return rc;
}

void trace_output_close(struct trace_output *o)
{
    for (int i = 0; i < 2; i++) {
        if (o->fd[i] >= 0)
            close(o->fd[i]);
        o->fd[i] = -1;
    }
}
