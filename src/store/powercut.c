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
 * not run beside each other: they have turns (powercut_turns.c). Reads, and
 * writes that are cached, need none: what is cached stays so until it is below.
 * But whatever writes stands behind what waits, or is on its way to the same
 * place: so the cache, and what there is below, are those of the order of
 * requests, however long each takes.
 *
 * Cached writes go down by a channel of our own, which does not end with the
 * rings: a power cut ends the session and goes on with what it leaves
 * (powercut_cut.c). From the moment of a cut until the rings have stopped the
 * power is off, and everything fails. powercut_life.c says what else outlives a
 * session.
 *
 * Two power cuts are the same if the same writes were not flushed, hence
 * serial. Another process that goes on knows nothing of the cache, hence
 * is_volatile. */
#include "store/powercut.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "store/metrics.h"
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

/* ---- requests ---- */

static int wait_for_turn(struct powercut *p, struct store_req *r)
{
    list_add(&p->queue, &r->node);
    return STORE_PENDING;
}

static void on_passed(struct store_req *below)
{
    struct store_req *r = below->above;
    struct powercut_channel *c = channel_of(r->channel);
    struct powercut *p = powercut_of(r->channel->store);
    int result = below->result;

    list_del(&r->node);
    parts_put(&c->parts, part_of(below));
    store_complete(r, result);
    if (!list_empty(&p->queue))
        powercut_go_on(p);
}

static int pass(struct powercut *p, struct powercut_channel *c,
                struct store_req *r)
{
    struct part *part = parts_of(&c->parts, r, r->offset, r->len);

    if (!part) {
        r->result = -ENOMEM;
        return STORE_DONE;
    }
    part->req.done = on_passed;
    part->req.above = r;
    list_add(&p->passing, &r->node);
    if (store_submit(c->filter.next, &part->req) == STORE_PENDING)
        return STORE_PENDING;
    list_del(&r->node);
    r->result = part->req.result;
    parts_put(&c->parts, part);
    return STORE_DONE;
}

/* What a flush takes down is what came before it: it is in nobody's way. */
static bool stands_behind(const struct powercut *p, const struct store_req *r)
{
    const struct store_req *a = p->active;

    if (!list_empty(&p->queue) || powercut_meets_passing(p, r))
        return true;
    return a && (powercut_is_cached(p, a) ||
                 (a->op != STORE_FLUSH &&
                  ranges_meet(r->offset, r->len, a->offset, a->len)));
}

static int submit_write(struct powercut *p, struct powercut_channel *c,
                        struct store_req *r)
{
    if (stands_behind(p, r))
        return wait_for_turn(p, r);
    if (powercut_is_cached(p, r)) {
        if (!powercut_has_room(p, r))
            return wait_for_turn(p, r);
        r->result = powercut_cache(p, r);
        return STORE_DONE;
    }
    if (write_cache_meets(&p->cache, r->offset, r->len))
        return wait_for_turn(p, r);
    return pass(p, c, r);
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
        if (p->cache.num || !list_empty(&p->queue) || p->active)
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

/* Whoever is drained may wait for what goes through, of others too. */
static void hurry_passing(struct powercut *p)
{
    struct store_channel *ch;
    const void *owner = NULL;

    do {
        ch = NULL;
        LIST_EACH (&p->passing, node) {
            struct store_req *r = container_of(node, struct store_req, node);

            if (!ch && !(r->flags & STORE_HURRY)) {
                ch = r->channel;
                owner = r->owner;
            }
            if (ch && r->channel == ch && r->owner == owner)
                r->flags |= STORE_HURRY;
        }
        if (ch) /* which may change the list */
            store_drain(channel_of(ch)->filter.next, owner, false);
    } while (ch);
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
    } else {
        store_hurry(&p->queue, owner);
        if (p->own)
            store_drain(p->own, p, false);
        if (!list_empty(&p->queue))
            hurry_passing(p);
    }
    store_filter_drain(ch, owner, cancel);
    powercut_go_on(p);
}

/* ---- channels ---- */

static int powercut_channel_open(struct store_channel **out, struct store *s,
                                 struct loop *loop, struct err *e)
{
    int rc = store_filter_channel_new(out, sizeof(struct powercut_channel), s,
                                      loop, e);

    if (rc < 0)
        return rc;
    parts_init(&channel_of(*out)->parts);
    powercut_of(s)->channels++;
    return 0;
}

static void powercut_channel_close(struct store_channel *ch)
{
    struct powercut *p = powercut_of(ch->store);

    if (--p->channels == 0)
        p->off = false;
    parts_fini(&channel_of(ch)->parts);
    store_filter_channel_free(ch);
    powercut_rest(p);
}

/* ---- life ---- */

static void powercut_status(const struct store *s, struct json_out *o)
{
    const struct powercut *p = powercut_of((struct store *)s);

    json_add_u64(o, "seed", p->conf->seed);
    json_add_u64(o, "unflushed_bytes", p->cache.bytes);
    json_add_u64(o, "cuts", p->cuts);
    json_add_bool(o, "off", p->off);
}

static const struct metric_family cuts = {"vub_powercut_cuts", METRIC_COUNTER,
                                          NULL,
                                          "Power cuts of a filter powercut."};
static const struct metric_family unflushed = {
    "vub_powercut_unflushed_bytes", METRIC_GAUGE, "bytes",
    "What a filter powercut would lose if its power were cut."};

static void powercut_metrics(const struct store *s,
                             const struct store_metrics_to *to)
{
    const struct powercut *p = powercut_of((struct store *)s);

    store_metric(to, &cuts, p->cuts);
    store_metric(to, &unflushed, p->cache.bytes);
}

static void powercut_close(struct store *s)
{
    struct powercut *p = powercut_of(s);

    assert(!p->own && !p->busy);
    parts_fini(&p->parts);
    write_cache_fini(&p->cache);
    free(p->spill.list);
    keep_drop(&p->kept);
    store_filter_free(s);
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
    struct powercut *p;
    int rc =
        store_filter_new(out, sizeof(*p), c, &conf->next, read_only, id, e);

    if (rc < 0)
        return rc;
    p = powercut_of(*out);
    rc = check_blocks(p, c, e);
    if (rc == 0 && write_cache_init(&p->cache) < 0)
        rc = errs_nomem(e);
    if (rc < 0) {
        store_filter_free(*out);
        return rc;
    }
    p->conf = conf;
    list_init(&p->queue);
    list_init(&p->passing);
    parts_init(&p->parts);
    powercut_life_init(p);
    p->size = store_size(p->filter.next);
    p->filter.store.name = conf->name;
    p->filter.store.info.cached = true;
    p->filter.store.info.is_volatile = true;
    return 0;
}

static const struct store_ops powercut_ops = {
    .type = "powercut",
    .serial = true,
    .open = powercut_open,
    .close = powercut_close,
    .status = powercut_status,
    .metrics = powercut_metrics,
    .next = store_filter_next,
    .commands = powercut_commands,
    .begin = powercut_begin,
    .end = powercut_end,
    .acquire = powercut_acquire,
    .release = powercut_release,
    .refresh = store_filter_refresh,
    .resize = store_filter_resize,
    .sync = powercut_sync,
    .keep = powercut_keep,
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
    {"cache", CONF_SIZE, CONF_AT(struct powercut_conf, cache), .def = "\"16M\"",
     .min = 64 << 10, .max = UINT64_C(1) << 30,
     .help = "How much memory writes that are not flushed may take. The oldest "
             "are written down when it is full."},
    {"sector", CONF_U32, CONF_AT(struct powercut_conf, sector), .def = "512",
     .min = SPOT_SECTOR, .max = SPOT_BYTES,
     .help = "What the disk writes as a whole, bytes: a power cut tears no "
             "write inside of one. Never less than what the store below has "
             "as its block."},
    STORE_FILTER_SEED(struct powercut_conf,
                      "a power cut leaves the same of them."),
    STORE_FILTER_NAME(struct powercut_conf),
    {NULL},
};

bool powercut_named(const struct conf_any *c, const char **name)
{
    if (c->table != &powercut_table)
        return false;
    *name = ((const struct powercut_conf *)c->data)->name;
    return true;
}

const struct conf_table powercut_table = {
    .name = "powercut",
    .size = sizeof(struct powercut_conf),
    .keys = powercut_keys,
    .help = "A filter with a volatile write cache, whose power can be cut.",
    .check = powercut_check,
    .ops = &powercut_ops,
};
