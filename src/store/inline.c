/* A read of cached data needs no other thread, and a system call on the spot
 * costs a fraction of any hand-over. What may run inline, and how:
 *
 *   In memory (tmpfs): plain calls. They wait for nobody.
 *
 *   Reads elsewhere: RWF_NOWAIT, which answers EAGAIN rather than wait. (That
 *   preadv2 costs some 60 ns more than pread, which has no array of pieces to
 *   copy, a tenth of a cached 4 KiB read; but pread may wait.)
 *
 *   Writes elsewhere: RWF_NOWAIT where the file system can. ext4 cannot, for
 *   buffered writes, and there io_uring hands each one to a kernel thread,
 *   which costs five times the write. Such a write nearly never waits: it
 *   dirties pages. When it does (too many dirty pages, a journal that commits,
 *   a block that must be read first), it waits for long. So they run under
 *   guard (guard.h): a slow one sends all to the engine for a while.
 *
 *   A network file system or FUSE gets RWF_NOWAIT or nothing.
 *
 * The calls of a batch are made one right after the other, and what follows
 * from them after the last: a system call leaves little of ours in the
 * processor's nearest caches and predictors, so that code that runs between
 * two of them costs several times what it does in a row (on tmpfs 40 to 80 ns
 * of 850). */
#include "store/inline.h"

#include <errno.h>

#define INLINE_BYTES (1u << 20) /* more is no hand-over's loss */
#define SLOW_NS UINT64_C(1000000)

/* ---- calls ---- */

static ssize_t call(const struct inline_io *io, const struct store_req *r,
                    unsigned flags)
{
    return r->op == STORE_READ
               ? file_readv(io->fd, r->iov, r->iov_num, r->offset, flags)
               : file_writev(io->fd, r->iov, r->iov_num, r->offset, flags);
}

static bool is_unsupported(ssize_t n)
{
    return n == -EOPNOTSUPP || n == -ENOSYS;
}

static ssize_t try_read(struct inline_io *io, const struct store_req *r)
{
    ssize_t n;

    guard_pause(&io->guard);
    n = call(io, r, FILE_NOWAIT);
    if (UNLIKELY(is_unsupported(n)))
        io->read = TRIAL_NO;
    return n;
}

static ssize_t try_write(struct inline_io *io, const struct store_req *r)
{
    struct guard *g = &io->guard;
    ssize_t n;

    if (io->write == TRIAL_NOWAIT) {
        n = call(io, r, FILE_NOWAIT);
        if (LIKELY(!is_unsupported(n)))
            return n;
        io->write = io->medium == FILE_LOCAL ? TRIAL_GUARDED : TRIAL_NO;
    }
    if (io->write == TRIAL_NO || !guard_allows(g))
        return -EAGAIN;
    n = call(io, r, 0);
    guard_called(g, r->len);
    return n;
}

ssize_t inline_try(struct inline_io *io, const struct store_req *r)
{
    bool is_read = r->op == STORE_READ;
    enum trial trial = is_read ? io->read : io->write;

    if (trial == TRIAL_NO || r->len > INLINE_BYTES)
        return -EAGAIN;
    if (trial == TRIAL_PLAIN)
        return call(io, r, 0);
    if (r->flags & STORE_FUA)
        return -EAGAIN; /* that one waits for certain */
    return is_read ? try_read(io, r) : try_write(io, r);
}

/* ---- batches ---- */

bool inline_add(struct inline_io *io, struct store_req *r)
{
    enum trial trial = r->op == STORE_READ ? io->read : io->write;

    if (UNLIKELY(trial < TRIAL_GUARDED || r->len > INLINE_BYTES ||
                 io->num_added == INLINE_BATCH))
        return false;
    if (trial == TRIAL_GUARDED && UNLIKELY(r->flags & STORE_FUA))
        return false;
    io->added[io->num_added++] = r;
    return true;
}

/* Writes, of which some may wait: none is begun after a slow one. */
static void run_guarded(struct inline_io *io, struct file_io *calls,
                        unsigned num)
{
    struct guard *g = &io->guard;
    unsigned i, n;

    for (i = 0; i < num && guard_allows(g); i += n) {
        uint64_t bytes = 0;

        for (n = 0; i + n < num && bytes < GUARD_LOOK_BYTES; n++)
            bytes += io->added[i + n]->len;
        file_run(io->fd, calls + i, n);
        guard_called(g, bytes);
    }
    for (; i < num; i++)
        calls[i].done = -EAGAIN;
}

unsigned inline_run(struct inline_io *io, struct inline_done done[INLINE_BATCH])
{
    struct file_io calls[INLINE_BATCH];
    unsigned num = io->num_added;

    for (unsigned i = 0; i < num; i++) {
        const struct store_req *r = io->added[i];

        calls[i].iov = r->iov;
        calls[i].num = r->iov_num;
        calls[i].write = r->op == STORE_WRITE;
        calls[i].offset = r->offset;
    }
    if (io->write == TRIAL_PLAIN)
        file_run(io->fd, calls, num);
    else
        run_guarded(io, calls, num);
    for (unsigned i = 0; i < num; i++)
        done[i] = (struct inline_done){io->added[i], calls[i].done};
    io->num_added = 0;
    return num;
}

void inline_batch_end(struct inline_io *io)
{
    guard_pause(&io->guard);
}

void inline_init(struct inline_io *io, int fd, enum file_medium medium)
{
    enum trial trial = medium == FILE_IN_MEMORY ? TRIAL_PLAIN : TRIAL_NOWAIT;

    *io = (struct inline_io){
        .fd = fd,
        .medium = medium,
        .read = trial,
        .write = trial,
        .guard = {.slow_ns = SLOW_NS},
    };
}

void inline_init_never(struct inline_io *io)
{
    *io = (struct inline_io){.fd = -1, .read = TRIAL_NO, .write = TRIAL_NO};
}
