/* Store `file`: a raw image, a regular file or a block device.
 *
 * What may wait for a medium goes to an engine (uring.c or threads.c). On a
 * loop that serves one block device only, and without direct I/O, reads and
 * writes of moderate size are tried inline first (inline.c), those of a batch
 * at its end; what they leave is the engine's. A loop with more on it never
 * does file I/O inline.
 *
 * Where they are, what is asked for often is copied from, or to, a mapping of
 * the image instead (mapped.c).
 *
 * A cached read that comes alone is done quickest by a call of its own, several
 * by io_uring in one call. So the first one of a batch is kept until a second
 * comes, or the batch ends.
 *
 * Which engine. Under direct I/O io_uring does all. Without, io_uring serves
 * reads, from the page cache on the spot where it can; but buffered writes on
 * ext4, and everything on tmpfs, it hands to kernel threads one by one, and our
 * own threads are 2 (tmpfs) to 5 (ext4) times as fast with them. Who names an
 * engine gets that one.
 *
 * The io_uring is made when the first request needs it. If the kernel then
 * refuses it after all, threads do the work. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/loop.h"
#include "os/file.h"
#include "store/engine.h"
#include "store/inline.h"
#include "store/mapped.h"

enum { ENGINE_AUTO, ENGINE_URING, ENGINE_THREADS };

struct file_conf {
    const char *path;
    uint64_t map; /* bytes */
    bool direct, lock;
    unsigned engine;
};

struct file_store {
    struct store store;
    const struct file_conf *conf;
    int fd;
    enum file_kind kind;
    enum file_medium medium;
    struct mapped *mapped; /* NULL: it cannot be, or is not to be */
    enum {
        URING_NEVER,
        URING_READS,
        URING_ALL,
    } use_uring;
    bool locked;
    bool told; /* atomic: that io_uring was refused after all */
};

struct file_channel {
    struct store_channel ch;
    int fd;
    struct mapped_batch batch; /* of what is mapped */
    struct inline_io io;
    struct engine *threads;
    struct engine *uring; /* NULL: not needed yet, or refused */
    bool refused;
    bool alone;              /* io may be used: the loop serves us only */
    unsigned reads;          /* cached ones in this batch */
    struct store_req *first; /* of them, while it is the only one */
};

static struct file_store *file_of(struct store *s)
{
    return container_of(s, struct file_store, store);
}

static struct file_channel *channel_of(struct store_channel *ch)
{
    return container_of(ch, struct file_channel, ch);
}

/* ---- the engine ---- */

static struct engine *uring_of(struct file_channel *c)
{
    struct file_store *f = file_of(c->ch.store);
    struct err e;

    if (LIKELY(c->uring != NULL))
        return c->uring;
    if (c->refused)
        return c->threads;
    if (engine_uring_open(&c->uring, c->ch.loop, c->fd, f->kind,
                          f->conf->direct, c->threads, &e) == 0)
        return c->uring;
    c->refused = true;
    c->uring = NULL;
    if (!__atomic_exchange_n(&f->told, true, __ATOMIC_RELAXED))
        log_warn(f->store.id, "%s: threads do the I/O instead", e.text);
    return c->threads;
}

static struct engine *engine_for(struct file_channel *c,
                                 const struct store_req *r)
{
    switch (file_of(c->ch.store)->use_uring) {
    case URING_ALL:
        return uring_of(c);
    case URING_READS:
        return r->op == STORE_READ ? uring_of(c) : c->threads;
    default:
        return c->threads;
    }
}

/* ---- cached reads ---- */

static bool reads_in_batches(const struct file_channel *c)
{
    return c->io.read == TRIAL_NOWAIT && !c->refused &&
           file_of(c->ch.store)->use_uring != URING_NEVER;
}

static void add_read(struct file_channel *c, struct store_req *r)
{
    struct engine *engine;

    if (c->reads++ == 0) {
        c->first = r;
        return;
    }
    engine = uring_of(c);
    if (c->first)
        engine->submit(engine, c->first);
    c->first = NULL;
    engine->submit(engine, r);
}

/* True: the only read of the batch is done. */
static bool read_first(struct file_channel *c, struct store_req *r)
{
    ssize_t n = inline_try(&c->io, r);
    struct engine *engine;

    if (n == (ssize_t)r->len)
        return true;
    if (n > 0)
        r->progress = (uint64_t)n;
    engine = uring_of(c);
    engine->submit(engine, r);
    return false;
}

/* ---- batches of other inline ones ---- */

/* n bytes of r are done. The engine goes on where that ended, and finds errors
 * again. */
static void leave_to_engine(struct file_channel *c, struct store_req *r,
                            ssize_t n)
{
    struct engine *engine = engine_for(c, r);

    if (n > 0)
        r->progress = (uint64_t)n;
    engine->submit(engine, r);
}

/* What comes of an answer may add to the next batch. */
static void run_batches(struct file_channel *c)
{
    struct inline_done done[INLINE_BATCH];
    unsigned num;

    while (c->io.num_added) {
        num = inline_run(&c->io, done);
        for (unsigned i = 0; i < num; i++) {
            if (LIKELY(done[i].bytes == (ssize_t)done[i].req->len))
                store_complete(done[i].req, 0);
            else
                leave_to_engine(c, done[i].req, done[i].bytes);
        }
    }
}

/* ---- requests ---- */

static int submit_unmapped(struct file_channel *c, struct store_req *r)
{
    ssize_t n = 0;

    if (r->op == STORE_READ && reads_in_batches(c)) {
        add_read(c, r);
        return STORE_PENDING;
    }
    if (LIKELY(r->op == STORE_READ || r->op == STORE_WRITE)) {
        if (LIKELY(inline_add(&c->io, r)))
            return STORE_PENDING;
        n = inline_try(&c->io, r);
        if (n == (ssize_t)r->len) {
            r->result = 0;
            return STORE_DONE;
        }
    } else if (r->op == STORE_FLUSH && inline_is_plain(&c->io)) {
        r->result = file_sync(c->fd);
        return STORE_DONE;
    }
    leave_to_engine(c, r, n);
    return STORE_PENDING;
}

/* What comes of an answer may add to the next batch. */
static void run_mapped(struct file_channel *c)
{
    do {
        unsigned num = mapped_run(&c->batch), i;
        struct copies copies = c->batch.copies;

        c->batch.copies.num = 0;
        for (i = 0; i < num; i++)
            store_complete(copies.req[i], 0);
        for (; i < copies.num; i++)
            if (submit_unmapped(c, copies.req[i]) == STORE_DONE)
                store_complete(copies.req[i], copies.req[i]->result);
    } while (c->batch.copies.num);
}

static int file_submit(struct store_channel *ch, struct store_req *r)
{
    struct file_channel *c = channel_of(ch);

    if (LIKELY(r->op == STORE_READ || r->op == STORE_WRITE) &&
        mapped_add(&c->batch, r))
        return STORE_PENDING;
    if (r->op == STORE_FLUSH)
        mapped_flushed(file_of(ch->store)->mapped);
    else if (UNLIKELY(r->op == STORE_DISCARD || r->op == STORE_ZERO))
        mapped_forget(file_of(ch->store)->mapped, r->offset, r->len);
    return submit_unmapped(c, r);
}

static void file_kick(struct store_channel *ch)
{
    struct file_channel *c = channel_of(ch);
    struct store_req *first;
    bool done = false;

    if (c->batch.mapped)
        run_mapped(c);
    first = c->first;
    c->first = NULL;
    c->reads = 0;
    if (first)
        done = read_first(c, first);
    run_batches(c);
    inline_batch_end(&c->io);
    /* Others may have come to this loop, who do not want to wait for us. */
    if (c->alone && UNLIKELY(!loop_serves_one(c->ch.loop))) {
        inline_init_never(&c->io);
        mapped_batch_init(&c->batch, NULL);
        c->alone = false;
    }
    c->threads->kick(c->threads);
    if (c->uring)
        c->uring->kick(c->uring);
    if (done)
        store_complete(first, 0);
}

/* What the kernel has is waited for. */
static void file_drain(struct store_channel *ch, const void *owner, bool cancel)
{
    struct file_channel *c = channel_of(ch);

    if (!cancel)
        return;
    c->threads->give_up(c->threads, owner);
    if (c->uring)
        c->uring->give_up(c->uring, owner);
}

/* ---- channels ---- */

static int file_channel_open(struct store_channel **out, struct store *s,
                             struct loop *loop, struct err *e)
{
    struct file_store *f = file_of(s);
    struct file_channel *c;
    int rc;

    c = calloc(1, sizeof(*c));
    if (!c)
        return err_nomem(e);
    c->fd = f->fd;
    c->alone = loop_serves_one(loop) && !f->conf->direct;
    mapped_batch_init(&c->batch, c->alone ? f->mapped : NULL);
    if (c->alone)
        inline_init(&c->io, f->fd, f->medium);
    else
        inline_init_never(&c->io);
    rc = engine_threads_open(&c->threads, loop, f->fd, f->kind, e);
    if (rc < 0) {
        free(c);
        return rc;
    }
    *out = &c->ch;
    return 0;
}

static void file_channel_close(struct store_channel *ch)
{
    struct file_channel *c = channel_of(ch);

    if (c->uring)
        c->uring->close(c->uring);
    c->threads->close(c->threads);
    free(c);
}

/* ---- the store ---- */

static int file_acquire(struct store *s, struct err *e)
{
    struct file_store *f = file_of(s);
    int rc;

    if (!f->conf->lock || f->locked)
        return 0;
    rc = lock_acquire(f->fd, f->conf->path, s->info.read_only, e);
    f->locked = rc == 0;
    return rc;
}

static void file_release(struct store *s)
{
    struct file_store *f = file_of(s);

    if (f->locked)
        lock_release(f->fd);
    f->locked = false;
}

static int file_refresh(struct store *s, struct err *e)
{
    struct file_store *f = file_of(s);
    uint64_t size;
    int rc = file_size(f->fd, &size);

    if (rc < 0)
        return err_sys(e, -rc, "", "cannot look at %s", f->conf->path);
    size -= size % s->info.block_size;
    if (size == store_size(s))
        return 0;
    __atomic_store_n(&s->info.size, size, __ATOMIC_RELAXED);
    return 1;
}

static int file_sync_all(struct store *s)
{
    return file_sync(file_of(s)->fd);
}

static void file_close(struct store *s)
{
    struct file_store *f = file_of(s);

    /* Not by closing: an io_uring that ends holds the open file a while. */
    file_release(s);
    mapped_close(f->mapped);
    close(f->fd);
    free(f);
}

static int choose_use_of_uring(struct file_store *f, const struct conf_any *c,
                               struct errs *e)
{
    bool must = f->conf->engine == ENGINE_URING;
    struct err err = {0};

    if (f->conf->engine == ENGINE_THREADS)
        return 0;
    if (engine_uring_probe(f->fd, &err) < 0) {
        if (must)
            return errs_adopt(e, c->at, "engine", &err);
        log_info(f->store.id, "%s", err.text);
        return 0;
    }
    if (must || f->conf->direct)
        f->use_uring = URING_ALL;
    else if (f->medium != FILE_IN_MEMORY)
        f->use_uring = URING_READS;
    return 0;
}

static void describe(struct file_store *f, const struct file_info *info,
                     bool read_only)
{
    f->kind = info->kind;
    f->medium = info->medium;
    f->store.info = (struct store_info){
        .size = info->size - info->size % MAX(info->io_align, 512u),
        .block_size = MAX(info->io_align, 512u),
        .mem_align = info->mem_align,
        .physical_block_size = info->physical_block,
        .opt_io_size = info->opt_io,
        .discard_align = info->discard_align,
        .read_only = read_only,
        .can_discard = info->can_discard,
        .can_zero = true,
        /* A hole in a file is zeros; what a disk does is its own affair. */
        .discard_zeroes = info->can_discard && info->kind != FILE_BLOCK,
        .cached = true,
    };
}

static const char *const engine_names[] = {
    [URING_NEVER] = "threads",
    [URING_READS] = "io_uring (reads) and threads (writes)",
    [URING_ALL] = "io_uring",
};

static int file_store_open(struct store **out, const struct conf_any *c,
                           bool read_only, const char *id, struct errs *e)
{
    const struct file_conf *conf = c->data;
    struct file_store *f;
    struct file_info info;
    struct err err = {0};
    int rc;

    f = calloc(1, sizeof(*f));
    if (!f)
        return errs_nomem(e);
    f->fd = -1;
    f->conf = conf;
    f->store.ops = c->table->ops;
    f->store.id = id;
    rc = file_open(conf->path, read_only, conf->direct, &f->fd, &err);
    if (rc < 0) {
        errs_adopt(e, c->at, "path", &err);
        goto out;
    }
    rc = file_describe(f->fd, read_only, conf->direct, &info, &err);
    if (rc < 0) {
        errs_adopt(e, c->at, conf->direct ? "direct" : "path", &err);
        goto out;
    }
    describe(f, &info, read_only);
    if (!conf->direct && info.kind == FILE_REGULAR && info.medium != FILE_FAR)
        f->mapped =
            mapped_open(f->fd, f->store.info.size, conf->map,
                        read_only                       ? MAPPED_NO_WRITES
                        : info.medium == FILE_IN_MEMORY ? MAPPED_WRITES_STAY
                                                        : MAPPED_WRITES_BACK);
    rc = choose_use_of_uring(f, c, e);
    if (rc < 0)
        goto out;
    log_info(id, "%s: %" PRIu64 " bytes%s, %s I/O by %s", conf->path,
             f->store.info.size, read_only ? ", read-only" : "",
             conf->direct ? "direct" : "buffered", engine_names[f->use_uring]);
    if (info.size != f->store.info.size)
        log_warn(id,
                 "the last %" PRIu64 " bytes of %s are no whole block, "
                 "and out of reach",
                 info.size - f->store.info.size, conf->path);
    *out = &f->store;
    f = NULL;
out:
    if (f)
        mapped_close(f->mapped);
    if (f && f->fd >= 0)
        close(f->fd);
    free(f);
    return rc;
}

static const struct store_ops file_ops = {
    .type = "file",
    .open = file_store_open,
    .close = file_close,
    .acquire = file_acquire,
    .release = file_release,
    .refresh = file_refresh,
    .sync = file_sync_all,
    .channel_open = file_channel_open,
    .channel_close = file_channel_close,
    .submit = file_submit,
    .kick = file_kick,
    .drain = file_drain,
};

static const char *const engine_words[] = {"auto", "io_uring", "threads", NULL};

static const struct conf_key file_keys[] = {
    {"path", CONF_PATH, CONF_AT(struct file_conf, path), .required = true,
     .help = "The image: a regular file or a block device, raw. Formats are "
             "never guessed."},
    {"direct", CONF_BOOL, CONF_AT(struct file_conf, direct), .def = "false",
     .help = "Bypass the page cache (O_DIRECT). The logical block size must "
             "then be one that the file can do."},
    {"engine", CONF_CHOICE, CONF_AT(struct file_conf, engine),
     .def = "\"auto\"", .words = engine_words,
     .help = "How I/O that may wait is done: by io_uring where that is best "
             "and the kernel lets us, else by threads; or as said here."},
    {"map", CONF_SIZE, CONF_AT(struct file_conf, map), .def = "\"1G\"",
     .help = "So much of what is in the page cache, and is asked for often, is "
             "copied from a mapping of the image, or to it, in half the time; "
             "it counts as vub's own memory. Linux 6.5 or later. 0: nothing."},
    {"lock", CONF_BOOL, CONF_AT(struct file_conf, lock), .def = "true",
     .help = "Keep others from the image while a guest uses it, QEMU and its "
             "tools too, and wait some seconds for them to let go of it."},
    {NULL},
};

const struct conf_table file_table = {
    .name = "file",
    .size = sizeof(struct file_conf),
    .keys = file_keys,
    .help = "A raw image: a regular file or a block device.",
    .ops = &file_ops,
};
