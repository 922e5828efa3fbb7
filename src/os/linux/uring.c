/* What the kernel can do differs; flags are asked for from the most to the
 * least, and the first that it takes are used:
 *
 *   SINGLE_ISSUER   one thread submits: ours. Not for those that are reserved:
 *                   the kernel would never let them have another one
 *   COOP_TASKRUN    completions interrupt nobody who is running, they wait for
 *                   the next system call; TASKRUN_FLAG tells a spinning thread
 *                   that it should make one
 *   R_DISABLED      starts disabled, so that it can be restricted first
 *
 * One that is reserved has its restrictions from the start, and its file, by
 * which it is enabled, when it is taken. Given back it has none, and waits for
 * another: that, too, must be allowed to it.
 *
 * The file is registered: the kernel then need not count references to it for
 * each operation, and a restriction to registered files means this one. */
#include "os/uring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifdef VUB_HAVE_URING

#include <liburing.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#define QUEUE_ENTRIES 128 /* sent with one system call */

#ifndef IORING_SETUP_COOP_TASKRUN
#define IORING_SETUP_COOP_TASKRUN (1U << 8)
#define IORING_SETUP_TASKRUN_FLAG (1U << 9)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SQ_TASKRUN
#define IORING_SQ_TASKRUN (1U << 2)
#endif

struct uring {
    struct io_uring ring;
    unsigned queued;
    /* Of those that were reserved: */
    bool reserved;
    bool enabled; /* somebody has had it */
    struct uring *next_free;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct uring *free_rings; /* under the lock */

static const unsigned flag_sets[] = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN |
        IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED,
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
        IORING_SETUP_R_DISABLED,
    IORING_SETUP_R_DISABLED,
};

static int setup(struct uring *u, unsigned depth)
{
    int rc = -EINVAL;

    for (unsigned i = u->reserved; rc == -EINVAL && i < ARRAY_LEN(flag_sets);
         i++) {
        struct io_uring_params p = {
            .flags = flag_sets[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
            .cq_entries = depth,
        };

        rc = io_uring_queue_init_params(QUEUE_ENTRIES, &u->ring, &p);
        if (rc == 0 && !(p.features & IORING_FEAT_NODROP)) {
            io_uring_queue_exit(&u->ring);
            rc = -ENOSYS; /* older than restrictions, too */
        }
    }
    return rc;
}

/* liburing has functions for these, but up to 2.3 does not export them. */
static int do_register(struct uring *u, unsigned what, void *arg, unsigned n)
{
    long rc = syscall(SYS_io_uring_register, u->ring.ring_fd, what, arg, n);

    return rc < 0 ? -errno : 0;
}

static int restrict_ops(struct uring *u)
{
    static const uint8_t ops[] = {
        IORING_OP_READ,   IORING_OP_WRITE, IORING_OP_READV,
        IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE,
    };
    struct io_uring_restriction r[ARRAY_LEN(ops) + 3];
    unsigned n;

    memset(r, 0, sizeof(r));
    for (n = 0; n < ARRAY_LEN(ops); n++) {
        r[n].opcode = IORING_RESTRICTION_SQE_OP;
        r[n].sqe_op = ops[n];
    }
    r[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    r[n++].sqe_flags = IOSQE_FIXED_FILE;
    r[n].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
    r[n++].sqe_flags = IOSQE_FIXED_FILE;
    if (u->reserved) {
        r[n].opcode = IORING_RESTRICTION_REGISTER_OP;
        r[n++].register_op = IORING_REGISTER_FILES_UPDATE;
    }
    return do_register(u, IORING_REGISTER_RESTRICTIONS, r, n);
}

static int enable(struct uring *u, int fd)
{
    int rc = do_register(u, IORING_REGISTER_FILES, &fd, 1);

    return rc < 0 ? rc : do_register(u, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static void destroy(struct uring *u)
{
    io_uring_queue_exit(&u->ring);
    free(u);
}

/* With its restrictions, but without a file. */
static int make(struct uring **out, unsigned depth, bool reserved,
                struct err *e)
{
    struct uring *u = calloc(1, sizeof(*u));
    int rc;

    if (!u)
        return err_nomem(e);
    u->reserved = reserved;
    rc = setup(u, depth);
    if (rc < 0) {
        free(u);
        return err_sys(e, -rc, "", "the kernel does not let us use io_uring");
    }
    rc = restrict_ops(u);
    if (rc < 0) {
        destroy(u);
        return err_sys(e, -rc, "", "cannot restrict an io_uring");
    }
    *out = u;
    return 0;
}

/* ---- reserved ones ---- */

void uring_reserve(unsigned num, unsigned depth)
{
    struct uring *u;
    struct err e;

    while (num-- > 0 && make(&u, depth, true, &e) == 0) {
        u->next_free = free_rings;
        free_rings = u;
    }
}

void uring_unreserve(void)
{
    while (free_rings) {
        struct uring *u = free_rings;

        free_rings = u->next_free;
        destroy(u);
    }
}

/* NULL: there is none. */
static struct uring *take_reserved(void)
{
    struct uring *u;

    pthread_mutex_lock(&lock);
    u = free_rings;
    if (u)
        free_rings = u->next_free;
    pthread_mutex_unlock(&lock);
    return u;
}

static int set_file(struct uring *u, int fd)
{
    struct io_uring_files_update update = {.fds = (uintptr_t)&fd};
    long rc = syscall(SYS_io_uring_register, u->ring.ring_fd,
                      IORING_REGISTER_FILES_UPDATE, &update, 1);

    return rc < 0 ? -errno : 0;
}

static void give_back(struct uring *u)
{
    if (set_file(u, -1) < 0) {
        destroy(u);
        return;
    }
    pthread_mutex_lock(&lock);
    u->next_free = free_rings;
    free_rings = u;
    pthread_mutex_unlock(&lock);
}

/* ---- life ---- */

int uring_open(struct uring **out, int fd, unsigned depth, struct err *e)
{
    struct uring *u = take_reserved();
    int rc;

    if (!u) {
        rc = make(&u, depth, false, e);
        if (rc < 0)
            return rc;
    }
    rc = u->enabled ? set_file(u, fd) : enable(u, fd);
    if (rc < 0) {
        destroy(u);
        return err_sys(e, -rc, "", "cannot give an io_uring its file");
    }
    u->enabled = true;
    *out = u;
    return 0;
}

void uring_close(struct uring *u)
{
    if (u && u->reserved)
        give_back(u);
    else if (u)
        destroy(u);
}

int uring_fd(const struct uring *u)
{
    return u->ring.ring_fd;
}

static struct io_uring_sqe *next_sqe(struct uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

    if (sqe)
        u->queued++;
    return sqe;
}

/* After prep, which clears them. 0: the registered file. */
static bool finish_sqe(struct io_uring_sqe *sqe, void *user)
{
    sqe->flags = IOSQE_FIXED_FILE;
    io_uring_sqe_set_data(sqe, user);
    return true;
}

bool uring_read(struct uring *u, const struct iovec *iov, int num,
                uint64_t offset, void *user)
{
    struct io_uring_sqe *sqe = next_sqe(u);

    if (!sqe)
        return false;
    if (num == 1 && iov->iov_len <= INT32_MAX)
        io_uring_prep_read(sqe, 0, iov->iov_base, (unsigned)iov->iov_len,
                           offset);
    else
        io_uring_prep_readv(sqe, 0, iov, (unsigned)num, offset);
    return finish_sqe(sqe, user);
}

bool uring_write(struct uring *u, const struct iovec *iov, int num,
                 uint64_t offset, bool dsync, void *user)
{
    struct io_uring_sqe *sqe = next_sqe(u);

    if (!sqe)
        return false;
    if (num == 1 && iov->iov_len <= INT32_MAX)
        io_uring_prep_write(sqe, 0, iov->iov_base, (unsigned)iov->iov_len,
                            offset);
    else
        io_uring_prep_writev(sqe, 0, iov, (unsigned)num, offset);
    sqe->rw_flags = dsync ? RWF_DSYNC : 0;
    return finish_sqe(sqe, user);
}

bool uring_sync(struct uring *u, void *user)
{
    struct io_uring_sqe *sqe = next_sqe(u);

    if (!sqe)
        return false;
    io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
    return finish_sqe(sqe, user);
}

bool uring_allocate(struct uring *u, int mode, uint64_t offset, uint64_t len,
                    void *user)
{
    struct io_uring_sqe *sqe = next_sqe(u);

    if (!sqe)
        return false;
    io_uring_prep_fallocate(sqe, 0, mode, (off_t)offset, (off_t)len);
    return finish_sqe(sqe, user);
}

int uring_send(struct uring *u)
{
    while (u->queued) {
        int rc = io_uring_submit(&u->ring);

        if (rc == -EINTR)
            continue;
        if (rc <= 0)
            return rc < 0 ? rc : -EAGAIN;
        u->queued -= MIN(u->queued, (unsigned)rc);
    }
    return 0;
}

/* Completions that wait for us to enter the kernel. */
static bool wants_entry(const struct uring *u)
{
    unsigned flags = __atomic_load_n(u->ring.sq.kflags, __ATOMIC_RELAXED);

    return flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

bool uring_has_done(const struct uring *u)
{
    return io_uring_cq_ready(&u->ring) || wants_entry(u);
}

unsigned uring_reap(struct uring *u, struct uring_done *done, unsigned max)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;

    if (wants_entry(u))
        io_uring_get_events(&u->ring);
    io_uring_for_each_cqe(&u->ring, head, cqe)
    {
        if (n == max)
            break;
        done[n].user = io_uring_cqe_get_data(cqe);
        done[n++].result = cqe->res;
    }
    io_uring_cq_advance(&u->ring, n);
    return n;
}

#else /* no liburing */

void uring_reserve(unsigned num, unsigned depth)
{
    (void)num;
    (void)depth;
}

void uring_unreserve(void)
{
}

int uring_open(struct uring **out, int fd, unsigned depth, struct err *e)
{
    (void)out;
    (void)fd;
    (void)depth;
    return err_set(e, -ENOSYS, "", "this build has no io_uring");
}

void uring_close(struct uring *u)
{
    (void)u;
}

/* Nobody has a ring to call the rest with. */
int uring_fd(const struct uring *u)
{
    (void)u;
    abort();
}

bool uring_read(struct uring *u, const struct iovec *iov, int num,
                uint64_t offset, void *user)
{
    (void)u, (void)iov, (void)num, (void)offset, (void)user;
    abort();
}

bool uring_write(struct uring *u, const struct iovec *iov, int num,
                 uint64_t offset, bool dsync, void *user)
{
    (void)u, (void)iov, (void)num, (void)offset, (void)dsync, (void)user;
    abort();
}

bool uring_sync(struct uring *u, void *user)
{
    (void)u, (void)user;
    abort();
}

bool uring_allocate(struct uring *u, int mode, uint64_t offset, uint64_t len,
                    void *user)
{
    (void)u, (void)mode, (void)offset, (void)len, (void)user;
    abort();
}

int uring_send(struct uring *u)
{
    (void)u;
    abort();
}

bool uring_has_done(const struct uring *u)
{
    (void)u;
    abort();
}

unsigned uring_reap(struct uring *u, struct uring_done *done, unsigned max)
{
    (void)u, (void)done, (void)max;
    abort();
}

#endif
