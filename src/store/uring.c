/* Engine `uring`: io_uring, one ring per channel.
 *
 * Requests are queued in the ring and sent with one system call for a few: at
 * the end of a batch, and every few before that. With direct I/O these are
 * SEND_DIRECT, so that the medium works on the first ones while the others are
 * prepared. Else a guest that asks again for each answer falls into step: all
 * of its requests are being sent or all are being served, and either side waits
 * for the other. Cached data is there when the call returns, and the fewer
 * calls the better. Completions are seen in memory while the loop spins, and by
 * the ring's own fd, which is readable then, while it sleeps. At most DEPTH are
 * in flight; more wait in the backlog, in order.
 *
 * What comes back short is sent again for the rest. What the kernel cannot do
 * this way (no such operation on this file system, or it would have to wait
 * and will not) goes to the threads. Ranges of block devices go there at once:
 * they are ioctls. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "loop/watch.h"
#include "os/uring.h"
#include "store/engine.h"

#define DEPTH 1024
#define REAP_BATCH 32
#define SEND_DIRECT 4
#define SEND_CACHED 64

struct uring_engine {
    struct engine engine;
    struct engine *threads;
    enum file_kind kind;
    struct uring *ring;
    struct watch watch;
    struct spin spin;
    struct list backlog;
    unsigned in_flight; /* queued in the ring or sent */
    unsigned unsent;    /* queued since the last time some were sent */
    unsigned send_every;
    bool retry; /* the kernel was short of something */
    bool reaping;
};

static struct uring_engine *uring_of(struct engine *e)
{
    return container_of(e, struct uring_engine, engine);
}

/* ---- in ---- */

/* False: the ring is full. */
static bool queue(struct uring_engine *u, struct store_req *r)
{
    uint64_t at = r->offset + r->progress;
    const struct iovec *iov;
    bool unmap;
    int num;

    switch (r->op) {
    case STORE_READ:
        num = store_rest(r, &iov, FILE_IOV_MAX);
        return uring_read(u->ring, iov, num, at, r);
    case STORE_WRITE:
        num = store_rest(r, &iov, FILE_IOV_MAX);
        return uring_write(u->ring, iov, num, at, r->flags & STORE_FUA, r);
    case STORE_FLUSH:
        return uring_sync(u->ring, r);
    default:
        unmap = r->op == STORE_DISCARD || r->flags & STORE_UNMAP;
        return uring_allocate(
            u->ring,
            (unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) |
                FALLOC_FL_KEEP_SIZE,
            r->offset, r->len, r);
    }
}

/* Moves what waits into the ring, and sends it. */
static void send_all(struct uring_engine *u)
{
    int rc = 0;

    for (;;) {
        struct list *node = u->backlog.next;

        if (list_empty(&u->backlog) || u->in_flight >= DEPTH)
            break;
        if (!queue(u, container_of(node, struct store_req, node))) {
            rc = uring_send(u->ring);
            if (rc < 0)
                break;
            continue;
        }
        list_del(node);
        u->in_flight++;
    }
    if (rc == 0)
        rc = uring_send(u->ring);
    u->unsent = 0;
    /* The kernel is short of something. Try again in a later turn: what is
     * done by then may help. */
    u->retry = rc < 0;
}

static void engine_submit(struct engine *e, struct store_req *r)
{
    struct uring_engine *u = uring_of(e);
    bool is_range = r->op == STORE_DISCARD || r->op == STORE_ZERO;

    if (is_range && (u->kind == FILE_BLOCK || r->flags & STORE_FUA)) {
        u->threads->submit(u->threads, r);
        return;
    }
    if (list_empty(&u->backlog) && u->in_flight < DEPTH && queue(u, r)) {
        u->in_flight++;
        if (++u->unsent >= u->send_every) {
            u->unsent = 0;
            uring_send(u->ring); /* what fails is sent at the end */
        }
        return;
    }
    list_add(&u->backlog, &r->node);
}

static bool reap(struct uring_engine *u);

static void engine_kick(struct engine *e)
{
    struct uring_engine *u = uring_of(e);

    u->threads->kick(u->threads);
    if (u->reaping) /* the reaper does it at its end */
        return;
    send_all(u);
    if (u->in_flight && uring_has_done(u->ring))
        reap(u);
}

/* ---- out ---- */

static void finish(struct uring_engine *u, struct store_req *r, int result)
{
    u->in_flight--;
    if (result == -EINTR) {
        list_add(&u->backlog, &r->node);
        return;
    }
    if (result == -EOPNOTSUPP || result == -EAGAIN) {
        u->threads->submit(u->threads, r);
        return;
    }
    if (result < 0 || (r->op != STORE_READ && r->op != STORE_WRITE)) {
        store_complete(r, MIN(result, 0));
        return;
    }
    r->progress += (unsigned)result;
    if (result == 0) /* the file is shorter than it was */
        store_complete(r, -EIO);
    else if (r->progress < r->len)
        list_add(&u->backlog, &r->node);
    else
        store_complete(r, 0);
}

/* True if there was anything. */
static bool reap(struct uring_engine *u)
{
    struct uring_done done[REAP_BATCH];
    unsigned n, total = 0;

    u->reaping = true;
    do {
        n = uring_reap(u->ring, done, REAP_BATCH);
        for (unsigned i = 0; i < n; i++)
            finish(u, done[i].user, done[i].result);
        total += n;
    } while (n == REAP_BATCH);
    u->reaping = false;
    if (total)
        engine_kick(&u->engine);
    return total > 0;
}

static bool look(struct spin *s)
{
    struct uring_engine *u = container_of(s, struct uring_engine, spin);

    if (UNLIKELY(u->retry)) {
        send_all(u);
        reap(u);
        return true;
    }
    return u->in_flight && uring_has_done(u->ring) && reap(u);
}

static void on_ready(struct watch *w, int status, int events)
{
    (void)status;
    (void)events;
    reap(container_of(w, struct uring_engine, watch));
}

/* ---- life ---- */

static void engine_give_up(struct engine *e, const void *owner)
{
    store_give_up(&uring_of(e)->backlog, owner);
}

static void on_gone(struct watch *w)
{
    free(container_of(w, struct uring_engine, watch));
}

static void engine_close(struct engine *e)
{
    struct uring_engine *u = uring_of(e);

    assert(!u->in_flight && !u->retry && list_empty(&u->backlog));
    loop_spin_del(&u->spin);
    watch_close(&u->watch);
    uring_close(u->ring);
    u->ring = NULL;
}

int engine_uring_open(struct engine **out, struct loop *loop, int fd,
                      enum file_kind kind, bool direct, struct engine *threads,
                      struct err *e)
{
    struct uring_engine *u = calloc(1, sizeof(*u));
    int rc;

    if (!u)
        return err_nomem(e);
    u->engine = (struct engine){
        .submit = engine_submit,
        .kick = engine_kick,
        .give_up = engine_give_up,
        .close = engine_close,
    };
    u->threads = threads;
    u->kind = kind;
    u->send_every = direct ? SEND_DIRECT : SEND_CACHED;
    list_init(&u->backlog);
    rc = uring_open(&u->ring, fd, DEPTH, e);
    if (rc < 0) {
        free(u);
        return rc;
    }
    u->watch.ready = on_ready;
    u->watch.gone = on_gone;
    rc = watch_open(&u->watch, loop, uring_fd(u->ring));
    if (rc < 0) {
        uring_close(u->ring);
        free(u);
        return err_sys(e, -rc, "", "cannot watch an io_uring");
    }
    watch_start(&u->watch, UV_READABLE);
    list_init(&u->spin.node);
    u->spin.poll = u->spin.arm = look;
    loop_spin_add(loop, &u->spin);
    *out = &u->engine;
    return 0;
}

void engine_uring_reserve(unsigned num)
{
    uring_reserve(num, DEPTH);
}

int engine_uring_probe(int fd, struct err *e)
{
    struct uring *ring;
    int rc = uring_open(&ring, fd, DEPTH, e);

    if (rc == 0)
        uring_close(ring);
    return rc;
}
