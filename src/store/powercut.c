/* Filter `powercut`: a disk with a write cache that loses its power.
 *
 *     {"type": "powercut", "cache": "16M", "seed": 7,
 *      "next": {"type": "file", "path": "debian.img"}}
 *
 * A write that need not be stable is answered when it is copied to the cache
 * (write_cache.h); reads find it there. A flush writes all down that is there,
 * and flushes what is below. Where the cache is full the oldest go down, and
 * the write that came waits for that. All else goes through: writes that are
 * to be stable when they are answered, as all are while the device's write
 * cache is off, writes that are larger than a quarter of the cache, and ranges
 * to be zeroed or discarded. What goes through is younger than what is cached
 * of the same place, which then counts no more.
 *
 * What writes down, and what goes through over something that is cached, must
 * not run beside each other: they have turns, one at a time. Reads, and writes
 * that are cached, need none: what is cached stays so until it is below.
 *
 * Cached writes go down by a channel of our own, which does not end with the
 * rings: a power cut ends the session and goes on with what it leaves. From
 * the moment of a cut until the rings have stopped the power is off, and
 * everything fails. A disk that is closed has its cache written down first.
 *
 * Two power cuts are the same if the same writes were not flushed, hence
 * serial. Another process that goes on knows nothing of the cache, hence
 * is_volatile, and no hand-over while there is something in it. */
#include "store/powercut.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/powercut_impl.h"

struct powercut_channel {
    struct store_filter_channel filter;
    struct parts parts; /* of reads */
};

static struct powercut_channel *channel_of(struct store_channel *ch)
{
    return container_of(ch, struct powercut_channel, filter.ch);
}

/* ---- reads ---- */

/* Copies what is cached, and reads the runs between that from below. */
static int read_mixed(struct powercut_channel *c, struct store_req *r)
{
    const struct write_cache *cache = &powercut_of(c->filter.ch.store)->cache;
    uint64_t end = r->offset + r->len, from = r->offset;
    unsigned first, num;

    parts_split_begin(r);
    for (uint64_t s = r->offset / SPOT_BYTES; s <= (end - 1) / SPOT_BYTES;
         s++) {
        uint64_t found =
            write_cache_read(cache, s, spot_part(s, r->offset, r->len),
                             r->offset, r->iov, r->iov_num);

        while (found) {
            uint64_t at;

            spot_run(&found, &first, &num);
            at = s * SPOT_BYTES + first * (uint64_t)SPOT_SECTOR;
            parts_split_send(&c->parts, c->filter.next, r, from, at);
            from = at + num * (uint64_t)SPOT_SECTOR;
        }
    }
    parts_split_send(&c->parts, c->filter.next, r, from, end);
    return parts_split_end(r);
}

/* ---- our own channel ---- */

static bool open_own(struct powercut *p)
{
    struct err e;

    if (p->own)
        return true;
    if (store_channel_open(&p->own, p->filter.next, p->home, &e) == 0)
        return true;
    p->own = NULL;
    log_error(p->filter.store.id, "powercut: %s", e.text);
    return false;
}

void powercut_send(struct powercut *p, struct part *part)
{
    if (store_submit(p->own, &part->req) == STORE_DONE)
        part->req.done(&part->req);
}

static void on_flushed(struct store_req *r)
{
    struct powercut *p = container_of(r, struct powercut, flush);

    p->flushed(p, r->result);
}

static void flush_below(struct powercut *p,
                        void (*flushed)(struct powercut *p, int result))
{
    p->flushed = flushed;
    p->flush = (struct store_req){
        .op = STORE_FLUSH,
        .flags = STORE_HURRY,
        .done = on_flushed,
        .owner = p,
    };
    if (store_submit(p->own, &p->flush) == STORE_DONE)
        flushed(p, p->flush.result);
}

/* ---- turns ---- */

static void turn_over(struct powercut *p, int result)
{
    struct store_req *r = p->active;

    p->active = NULL;
    p->busy = false;
    if (r)
        store_complete(r, p->off ? -EIO : result);
    powercut_go_on(p);
}

/* The whole cache is below. */
static void all_spilled(struct powercut *p, int result)
{
    if (result < 0) {
        turn_over(p, result);
        return;
    }
    powercut_drop_marked(p);
    flush_below(p, turn_over);
}

static void spill_all(struct powercut *p)
{
    powercut_mark(p, UINT64_MAX);
    powercut_spill(p, all_spilled);
}

static int cache_write(struct powercut *p, const struct store_req *r)
{
    return write_cache_add(&p->cache, r->offset, r->len, r->iov, r->iov_num);
}

static bool has_room(const struct powercut *p, const struct store_req *r)
{
    return p->cache.bytes + write_cache_cost(r->offset, r->len) <=
           p->conf->cache;
}

static void room_made(struct powercut *p, int result)
{
    if (result == 0)
        powercut_drop_marked(p);
    if (result == 0 && p->active && !p->off)
        result = cache_write(p, p->active);
    turn_over(p, result);
}

/* An eighth at a time: a write that finds it full is not the only one. */
static void make_room(struct powercut *p, const struct store_req *r)
{
    powercut_mark(p,
                  MAX(write_cache_cost(r->offset, r->len), p->conf->cache / 8));
    powercut_spill(p, room_made);
}

static void on_through(struct store_req *below)
{
    struct part *part = part_of(below);
    struct powercut *p = part->user;
    int result = below->result;

    if (result == 0)
        write_cache_trim(&p->cache, below->offset, below->len);
    parts_put(&p->parts, part);
    turn_over(p, result);
}

static void go_through(struct powercut *p, struct store_req *r)
{
    struct part *part = parts_of(&p->parts, r, r->offset, r->len);

    if (!part) {
        turn_over(p, -ENOMEM);
        return;
    }
    part->req.owner = p;
    part->req.done = on_through;
    part->user = p;
    powercut_send(p, part);
}

static bool is_cached(const struct powercut *p, const struct store_req *r)
{
    return r->op == STORE_WRITE && !(r->flags & STORE_FUA) &&
           r->len <= p->conf->cache / 4;
}

static void take_turn(struct powercut *p, struct store_req *r)
{
    p->active = r;
    p->busy = true;
    if (r->op == STORE_FLUSH)
        spill_all(p);
    else if (!is_cached(p, r))
        go_through(p, r);
    else if (has_room(p, r))
        turn_over(p, cache_write(p, r));
    else
        make_room(p, r);
}

/* ---- a power cut ---- */

static void forget_all(struct powercut *p)
{
    LIST_EACH_SAFE (&p->cache.ages, node)
        write_cache_drop(&p->cache, cached_of(node));
    p->spill.num = 0;
}

static void cut_over(struct powercut *p, int result)
{
    struct power_cut *cut = p->cut;
    const char *id = p->filter.store.id;

    p->cut = NULL;
    p->busy = false;
    if (result < 0)
        log_error(id, "what a power cut has left could not be written: %s",
                  strerror(-result));
    else
        log_warn(id,
                 "power cut %" PRIu64 ": of %" PRIu64
                 " writes that were not flushed %" PRIu64 " are kept, %" PRIu64
                 " lost, %" PRIu64 " torn",
                 cut->number, cut->writes, cut->kept, cut->lost, cut->torn);
    cut->over(cut, result);
    powercut_go_on(p);
}

static void cut_spilled(struct powercut *p, int result)
{
    forget_all(p);
    if (result < 0)
        cut_over(p, result);
    else
        flush_below(p, cut_over);
}

static void take_cut(struct powercut *p)
{
    p->busy = true;
    powercut_choose(p, p->cut);
    powercut_spill(p, cut_spilled);
}

int powercut_cut(struct store *s, struct power_cut *cut, struct err *e)
{
    struct powercut *p = powercut_of(s);
    struct list lost, *node;

    if (p->cut || p->gone)
        return err_set(e, -EBUSY, "", "%s",
                       p->cut ? "the power has just been cut: what is left of "
                                "the cache is being written"
                              : "the device is being closed");
    if (!open_own(p))
        return err_nomem(e);
    p->cut = cut;
    cut->number = ++p->cuts;
    if (!cut->has_seed)
        cut->seed = p->conf->seed;
    p->off = p->channels > 0;
    list_init(&lost);
    list_move(&lost, &p->queue);
    while ((node = list_pop(&lost)) != NULL)
        store_complete(container_of(node, struct store_req, node), -EIO);
    if (p->off)
        store_tell_drop(s, "the power of its disk was cut");
    powercut_go_on(p);
    return 0;
}

/* ---- going on ---- */

/* The disk is closed. What cannot be written down is lost. */
static void last_spilled(struct powercut *p, int result)
{
    if (result == 0) {
        all_spilled(p, 0);
        return;
    }
    log_error(p->filter.store.id, "writes that were not flushed are lost: %s",
              strerror(-result));
    forget_all(p);
    turn_over(p, result);
}

static void spill_last(struct powercut *p)
{
    powercut_mark(p, UINT64_MAX);
    powercut_spill(p, last_spilled);
}

/* False: nothing is to be done, or somebody is at it. */
static bool begin_next(struct powercut *p)
{
    struct list *node;

    if (p->busy)
        return false;
    if (p->cut) {
        take_cut(p);
        return true;
    }
    if (p->gone && p->cache.num) {
        p->busy = true;
        spill_last(p);
        return true;
    }
    if (__atomic_exchange_n(&p->sync, false, __ATOMIC_RELAXED) &&
        p->cache.num && open_own(p)) {
        p->busy = true;
        spill_all(p);
        return true;
    }
    node = list_pop(&p->queue);
    if (!node) {
        if (p->gone && !p->closing)
            loop_post(p->home, &p->closer);
        p->closing = p->gone != NULL;
        return false;
    }
    if (open_own(p))
        take_turn(p, container_of(node, struct store_req, node));
    else
        store_complete(container_of(node, struct store_req, node), -ENOMEM);
    return true;
}

void powercut_go_on(struct powercut *p)
{
    p->again = true;
    if (p->going)
        return;
    p->going = true;
    while (p->again) {
        p->again = begin_next(p);
        if (p->own)
            store_kick(p->own);
    }
    p->going = false;
}

/* ---- requests ---- */

static int wait_for_turn(struct powercut *p, struct store_req *r)
{
    list_add(&p->queue, &r->node);
    return STORE_PENDING;
}

static int submit_write(struct powercut *p, struct powercut_channel *c,
                        struct store_req *r)
{
    if (is_cached(p, r)) {
        if (!has_room(p, r))
            return wait_for_turn(p, r);
        r->result = cache_write(p, r);
        return STORE_DONE;
    }
    if (write_cache_meets(&p->cache, r->offset, r->len))
        return wait_for_turn(p, r);
    return store_filter_pass(c->filter.next, r);
}

static int powercut_submit(struct store_channel *ch, struct store_req *r)
{
    struct powercut *p = powercut_of(ch->store);
    struct powercut_channel *c = channel_of(ch);

    if (UNLIKELY(p->off)) {
        r->result = -EIO;
        return STORE_DONE;
    }
    switch (r->op) {
    case STORE_READ:
        if (write_cache_meets(&p->cache, r->offset, r->len))
            return read_mixed(c, r);
        return store_filter_pass(c->filter.next, r);
    case STORE_FLUSH:
        if (p->cache.num)
            return wait_for_turn(p, r);
        return store_filter_pass(c->filter.next, r);
    case STORE_WRITE:
    case STORE_DISCARD:
    case STORE_ZERO:
        break;
    }
    return submit_write(p, c, r);
}

static void powercut_kick(struct store_channel *ch)
{
    struct powercut *p = powercut_of(ch->store);

    if (!list_empty(&p->queue) ||
        UNLIKELY(__atomic_load_n(&p->sync, __ATOMIC_RELAXED)))
        powercut_go_on(p);
    store_filter_kick(ch);
}

/* Whose turn it is waits for what is below; if that does not come, it is given
 * up there. */
static void powercut_drain(struct store_channel *ch, const void *owner,
                           bool cancel)
{
    struct powercut *p = powercut_of(ch->store);

    if (cancel) {
        store_give_up(&p->queue, owner);
        if (p->active && p->active->owner == owner)
            store_drain(p->own, p, true);
    } else if (p->own) {
        store_drain(p->own, p, false);
    }
    store_filter_drain(ch, owner, cancel);
    powercut_go_on(p);
}

/* ---- channels ---- */

static int powercut_channel_open(struct store_channel **out, struct store *s,
                                 struct loop *loop, struct err *e)
{
    struct powercut_channel *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        return err_nomem(e);
    rc = store_filter_channel_open(&c->filter, s, loop, e);
    if (rc < 0) {
        free(c);
        return rc;
    }
    parts_init(&c->parts);
    powercut_of(s)->channels++;
    *out = &c->filter.ch;
    return 0;
}

static void powercut_channel_close(struct store_channel *ch)
{
    struct powercut *p = powercut_of(ch->store);
    struct powercut_channel *c = channel_of(ch);

    if (--p->channels == 0)
        p->off = false;
    parts_fini(&c->parts);
    store_filter_channel_close(&c->filter);
    free(c);
}

/* ---- life ---- */

static int powercut_acquire(struct store *s, struct err *e)
{
    if (powercut_of(s)->cut)
        return err_set(e, -EAGAIN, "",
                       "the power was cut: what is left of the cache is being "
                       "written");
    return store_filter_acquire(s, e);
}

static int powercut_begin(struct store *s, struct loop *home, struct err *e)
{
    powercut_of(s)->home = home;
    return store_filter_begin(s, home, e);
}

/* Not from inside what a channel has completed. */
static void on_close(struct mail *m)
{
    struct powercut *p = container_of(m, struct powercut, closer);

    if (p->own)
        store_channel_close(p->own);
    p->own = NULL;
    store_filter_end(&p->filter.store, p->gone, p->gone_arg);
}

static void powercut_end(struct store *s, void (*gone)(void *arg), void *arg)
{
    struct powercut *p = powercut_of(s);

    p->gone = gone;
    p->gone_arg = arg;
    if (p->cache.num && !open_own(p)) {
        log_error(s->id, "writes that were not flushed are lost");
        forget_all(p);
    }
    if (p->busy && !p->cut)
        store_drain(p->own, p, true);
    powercut_go_on(p);
}

/* [any thread] The cache is the loop's: it goes down with the next batch. */
static int powercut_sync(struct store *s)
{
    __atomic_store_n(&powercut_of(s)->sync, true, __ATOMIC_RELAXED);
    return store_filter_sync(s);
}

static int powercut_save(struct store *s, struct err *e)
{
    const struct powercut *p = powercut_of(s);

    if (p->cache.num || p->cut)
        return err_set(e, -EBUSY, "",
                       "filter powercut has %" PRIu64 " bytes that the guest "
                       "has not flushed, which cannot be handed on",
                       p->cache.bytes);
    return store_filter_save(s, e);
}

static void powercut_status(const struct store *s, struct json_out *o)
{
    const struct powercut *p = powercut_of((struct store *)s);

    json_add_u64(o, "seed", p->conf->seed);
    json_add_u64(o, "unflushed_bytes", p->cache.bytes);
    json_add_u64(o, "cuts", p->cuts);
    json_add_bool(o, "off", p->off);
}

static void powercut_close(struct store *s)
{
    struct powercut *p = powercut_of(s);

    assert(!p->own && !p->busy);
    parts_fini(&p->parts);
    write_cache_fini(&p->cache);
    free(p->spill.list);
    store_filter_close(&p->filter);
    free(p);
}

static int check_blocks(const struct powercut *p, const struct conf_any *c,
                        struct errs *e)
{
    uint32_t block = p->filter.store.info.block_size;

    if (block <= SPOT_BYTES && SPOT_BYTES % block == 0)
        return 0;
    return errs_at(e, c->at, "next",
                   "its blocks are of %" PRIu32 " bytes, and a power cut knows "
                   "of %u at most",
                   block, SPOT_BYTES);
}

static int powercut_open(struct store **out, const struct conf_any *c,
                         bool read_only, const char *id, struct errs *e)
{
    const struct powercut_conf *conf = c->data;
    struct powercut *p = calloc(1, sizeof(*p));
    int rc;

    if (!p || write_cache_init(&p->cache) < 0) {
        free(p);
        return errs_nomem(e);
    }
    p->conf = conf;
    list_init(&p->queue);
    parts_init(&p->parts);
    p->closer.run = on_close;
    rc = store_filter_open(&p->filter, c, &conf->next, read_only, id, e);
    if (rc < 0)
        goto out;
    rc = check_blocks(p, c, e);
    if (rc < 0) {
        store_filter_close(&p->filter);
        goto out;
    }
    p->filter.store.name = conf->name;
    p->filter.store.info.cached = true;
    p->filter.store.info.is_volatile = true;
    *out = &p->filter.store;
    return 0;
out:
    write_cache_fini(&p->cache);
    free(p);
    return rc;
}

static const struct store_ops powercut_ops = {
    .type = "powercut",
    .serial = true,
    .open = powercut_open,
    .close = powercut_close,
    .status = powercut_status,
    .next = store_filter_next,
    .commands = powercut_commands,
    .begin = powercut_begin,
    .end = powercut_end,
    .acquire = powercut_acquire,
    .release = store_filter_release,
    .refresh = store_filter_refresh,
    .resize = store_filter_resize,
    .sync = powercut_sync,
    .save = powercut_save,
    .channel_open = powercut_channel_open,
    .channel_close = powercut_channel_close,
    .submit = powercut_submit,
    .kick = powercut_kick,
    .drain = powercut_drain,
};

static void powercut_check(void *data, const char *at, struct errs *e)
{
    const struct powercut_conf *conf = data;

    if (conf->sector & (conf->sector - 1))
        errs_at(e, at, "sector", "%" PRIu32 " is not a power of two",
                conf->sector);
}

static const struct conf_key powercut_keys[] = {
    {"next", CONF_UNION, CONF_AT(struct powercut_conf, next), .required = true,
     .of = &store_union, .help = "The store that keeps what was flushed."},
    {"name", CONF_STR, CONF_AT(struct powercut_conf, name), .min = 1, .max = 64,
     .help = "By which commands find it, if the device has more than one."},
    {"cache", CONF_SIZE, CONF_AT(struct powercut_conf, cache), .def = "\"16M\"",
     .min = 64 << 10, .max = UINT64_C(1) << 30,
     .help = "How much memory writes that are not flushed may take. The oldest "
             "are written down when it is full."},
    {"sector", CONF_U32, CONF_AT(struct powercut_conf, sector), .def = "512",
     .min = SPOT_SECTOR, .max = SPOT_BYTES,
     .help = "What the disk writes as a whole, bytes: a power cut tears no "
             "write inside of one. Never less than what the store below has "
             "as its block."},
    {"seed", CONF_U32, CONF_AT(struct powercut_conf, seed), .def = "1",
     .help = "What a power cut leaves is drawn by chance: the same seed, the "
             "same writes, the same outcome."},
    {NULL},
};

const struct conf_table powercut_table = {
    .name = "powercut",
    .size = sizeof(struct powercut_conf),
    .keys = powercut_keys,
    .help = "A filter with a volatile write cache, whose power can be cut.",
    .check = powercut_check,
    .ops = &powercut_ops,
};
