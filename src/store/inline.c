/* A read of cached data needs no other thread, and a system call on the spot
 * costs a fraction of any hand-over. What may run inline, and how:
 *
 *   In memory (tmpfs): plain calls. They wait for nobody.
 *
 *   Reads elsewhere: RWF_NOWAIT, which answers EAGAIN rather than wait. Only,
 *   preadv2 costs some 60 ns more than pread, a tenth of a cached 4 KiB read.
 *   So after a second in which every read was cached, reads are trusted: plain
 *   calls under guard. The guard finds the first ones that wait, and then
 *   RWF_NOWAIT is back for a second, or for longer each time, up to a minute.
 *   What that can cost is a few waits a minute.
 *
 *   Writes elsewhere: RWF_NOWAIT where the file system can. ext4 cannot, for
 *   buffered writes, and there io_uring hands each one to a kernel thread,
 *   which costs five times the write. Such a write nearly never waits: it
 *   dirties pages. When it does (too many dirty pages, a journal that commits,
 *   a block that must be read first), it waits for long. So they too run under
 *   guard, and one that waits sends all to the engine for a while.
 *
 *   A network file system or FUSE gets RWF_NOWAIT or nothing.
 *
 * A guard looks at the clock every so many calls, and at the end of a batch. A
 * thread that was preempted looks like one that waited: no harm is done. */
#include "store/inline.h"

#include <errno.h>

#include "loop/loop.h"

#define INLINE_BYTES (1u << 20) /* more is no hand-over's loss */
#define MS UINT64_C(1000000)

/* ---- the guard ---- */

/* What copying takes at the very slowest. */
static uint64_t copy_ns(uint64_t bytes)
{
    return bytes / 3;
}

static void stay_away(struct guard *g, uint64_t now_ns)
{
    uint64_t good_ns = now_ns - MIN(now_ns, g->until_ns);

    /* It has behaved for as long as it was kept away: forgiven. */
    g->away_ns = good_ns > g->away_ns ? 0 : g->away_ns * 2;
    g->away_ns = MIN(MAX(g->away_ns, g->away_min_ns), g->away_max_ns);
    g->until_ns = now_ns + g->away_ns;
}

static void look(struct guard *g)
{
    uint64_t now_ns = loop_now_ns();

    if (UNLIKELY(now_ns - g->start_ns > g->slow_ns + copy_ns(g->bytes)))
        stay_away(g, now_ns);
    g->start_ns = now_ns; /* one call's end is the next one's start */
    g->calls = 0;
    g->bytes = 0;
}

static bool guard_allows(struct guard *g)
{
    if (!g->start_ns)
        g->start_ns = loop_now_ns();
    return g->start_ns >= g->until_ns;
}

static void guard_called(struct guard *g, uint64_t bytes)
{
    g->bytes += bytes;
    if (++g->calls >= g->every)
        look(g);
}

static void guard_batch_end(struct guard *g)
{
    if (g->calls)
        look(g);
    g->start_ns = 0;
}

/* ---- calls ---- */

static ssize_t call(const struct inline_io *io, const struct store_req *r,
                    unsigned flags)
{
    return r->op == STORE_READ
               ? file_readv(io->fd, r->iov, r->iov_num, r->offset, flags)
               : file_writev(io->fd, r->iov, r->iov_num, r->offset, flags);
}

static ssize_t call_guarded(const struct inline_io *io, struct guard *g,
                            const struct store_req *r)
{
    ssize_t n = call(io, r, 0);

    guard_called(g, r->len);
    return n;
}

static bool is_unsupported(ssize_t n)
{
    return n == -EOPNOTSUPP || n == -ENOSYS;
}

static ssize_t try_read(struct inline_io *io, const struct store_req *r)
{
    struct guard *g = &io->read_guard;
    ssize_t n;

    if (io->medium == FILE_LOCAL && guard_allows(g))
        return call_guarded(io, g, r);
    n = call(io, r, FILE_NOWAIT);
    if (LIKELY(n == (ssize_t)r->len))
        return n;
    if (is_unsupported(n))
        io->read = TRIAL_NO;
    else
        g->until_ns = MAX(g->until_ns, loop_now_ns() + g->away_min_ns);
    return n;
}

static ssize_t try_write(struct inline_io *io, const struct store_req *r)
{
    struct guard *g = &io->write_guard;
    ssize_t n;

    if (io->write == TRIAL_NOWAIT) {
        n = call(io, r, FILE_NOWAIT);
        if (LIKELY(!is_unsupported(n)))
            return n;
        io->write = io->medium == FILE_LOCAL ? TRIAL_GUARDED : TRIAL_NO;
    }
    if (io->write == TRIAL_NO || !guard_allows(g))
        return -EAGAIN;
    return call_guarded(io, g, r);
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

void inline_batch_end(struct inline_io *io)
{
    guard_batch_end(&io->read_guard);
    guard_batch_end(&io->write_guard);
}

void inline_init(struct inline_io *io, int fd, enum file_medium medium)
{
    enum trial trial = medium == FILE_IN_MEMORY ? TRIAL_PLAIN : TRIAL_NOWAIT;

    *io = (struct inline_io){
        .fd = fd,
        .medium = medium,
        .read = trial,
        .write = trial,
        .read_guard =
            {
                .every = 4,
                .slow_ns = 30000, /* no disk answers sooner */
                .away_min_ns = 1000 * MS,
                .away_max_ns = 64000 * MS,
                .until_ns = loop_now_ns() + 1000 * MS,
            },
        .write_guard =
            {
                .every = 1,
                .slow_ns = MS,
                .away_min_ns = 2 * MS,
                .away_max_ns = 1000 * MS,
            },
    };
}

void inline_init_never(struct inline_io *io)
{
    *io = (struct inline_io){.fd = -1, .read = TRIAL_NO, .write = TRIAL_NO};
}
