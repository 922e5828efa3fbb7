/* Filter `cow`: copy on write. What is written goes to an overlay, in memory or
 * on a sparse file; the base is opened read-only, so that several may share it.
 *
 *     {"type": "cow", "max_memory": "1G",
 *      "next": {"type": "file", "path": "golden.img"}}
 *
 * A block is in the overlay or it is not: a bit says so. Commands forget the
 * overlay, or write it to the base (cow_task.c). Bits and requests are one
 * thread's, hence serial. What the map in memory knows does not outlive the
 * process, hence is_volatile: a guest that was served before is not gone on
 * with by one that knows less. An overlay on a file has what was flushed, for
 * the next start. */
#include <inttypes.h>

#include "store/cow_impl.h"
#include "store/metrics.h"

static int cow_channel_open(struct store_channel **out, struct store *s,
                            struct loop *loop, struct err *e)
{
    struct cow *cow = cow_of(s);
    struct cow_channel *c;
    int rc = store_filter_channel_new(out, sizeof(*c), s, loop, e);

    if (rc < 0)
        return rc;
    c = cow_channel_of(*out);
    rc = store_channel_open(&c->over, cow->over, loop, e);
    if (rc < 0) {
        store_filter_channel_free(*out);
        return rc;
    }
    parts_init(&c->parts);
    list_add(&cow->channels, &c->node);
    return 0;
}

static void cow_channel_close(struct store_channel *ch)
{
    struct cow_channel *c = cow_channel_of(ch);
    struct cow *cow = cow_of(ch->store);

    list_del(&c->node);
    parts_fini(&c->parts);
    store_channel_close(c->over);
    store_filter_channel_free(ch);
    if (list_empty(&cow->channels))
        cow_task_rings_stopped(cow);
}

static int cow_acquire(struct store *s, struct err *e)
{
    if (cow_of(s)->task)
        return err_set(e, -EAGAIN, "",
                       "the overlay is being committed or forgotten");
    return store_filter_acquire(s, e);
}

static int cow_begin(struct store *s, struct loop *home, struct err *e)
{
    cow_of(s)->home = home;
    return store_filter_begin(s, home, e);
}

static void cow_end(struct store *s, void (*gone)(void *arg), void *arg)
{
    struct cow *c = cow_of(s);

    if (c->task) {
        c->gone = gone;
        c->gone_arg = arg;
        cow_task_give_up(c);
    } else {
        store_filter_end(s, gone, arg);
    }
}

static int cow_sync(struct store *s)
{
    return store_sync(cow_of(s)->over);
}

/* ---- what outlives the process ---- */

/* Another process knows nothing of the overlay: it can go on if there is
 * nothing in it. */
struct cow_state {
    uint64_t is_empty;
};

void cow_keep_state(struct cow *c)
{
    struct cow_state now = {.is_empty = c->num_ours == 0};

    if (c->kept.at)
        keep_pair_write(c->kept.at, &now, sizeof(now));
}

static int cow_keep(struct store *s, const char *name, struct err *e)
{
    struct cow *c = cow_of(s);
    struct cow_state was;
    int rc = store_filter_keep_empty(s, name, "cow.1", &c->kept, &was,
                                     sizeof(was), e);

    if (rc < 0)
        return rc;
    /* What is lost stays so for whoever comes until another session has run. */
    if (!c->kept.found || was.is_empty)
        cow_keep_state(c);
    return 0;
}

static int cow_save(struct store *s, struct err *e)
{
    const struct cow *c = cow_of(s);

    if (c->num_ours || c->task)
        return err_set(e, -EBUSY, "",
                       "filter cow has %" PRIu64 " bytes in its overlay, which "
                       "cannot be handed on: reset or commit it first",
                       c->num_ours << c->shift);
    return store_filter_save(s, e);
}

/* ---- life ---- */

static void cow_status(const struct store *s, struct json_out *o)
{
    const struct cow *c = cow_of((struct store *)s);

    json_add_str(o, "overlay", cow_is_on_file(c) ? c->conf->overlay : "memory");
    json_add_u64(o, "block_size", c->conf->block_size);
    json_add_u64(o, "overlay_bytes", c->num_taken << c->shift);
    json_add_u64(o, "max_memory", c->conf->max_memory);
}

static const struct metric_family overlay_bytes = {
    "vub_cow_overlay_bytes", METRIC_GAUGE, "bytes",
    "What was written over the base of a filter cow."};

static void cow_metrics(const struct store *s,
                        const struct store_metrics_to *to)
{
    const struct cow *c = cow_of((struct store *)s);

    store_metric(to, &overlay_bytes, c->num_taken << c->shift);
}

static void cow_close(struct store *s)
{
    struct cow *c = cow_of(s);

    cow_overlay_close(c);
    keep_drop(&c->kept);
    store_filter_free(s);
}

static int check_base(const struct cow *c, const char *at, struct errs *e)
{
    const struct store_info *base = &c->filter.store.info;

    if (base->pending)
        return errs_at(e, at, "next",
                       "its size is not known at once, and cow has to know it");
    if (base->block_size > c->conf->block_size)
        return errs_at(e, at, "block_size",
                       "%" PRIu32 " bytes is less than a block of the base, "
                       "%" PRIu32,
                       c->conf->block_size, base->block_size);
    return 0;
}

static void describe(struct cow *c, bool read_only)
{
    struct store_info *i = &c->filter.store.info;

    i->read_only = read_only;
    i->can_discard = i->can_zero = i->discard_zeroes = true;
    i->discard_align = c->conf->block_size;
    i->cached = cow_is_on_file(c);
    i->is_volatile = true;
}

static int cow_open(struct store **out, const struct conf_any *c,
                    bool read_only, const char *id, struct errs *e)
{
    const struct cow_conf *conf = c->data;
    struct cow *cow;
    int rc = store_filter_new(out, sizeof(*cow), c, &conf->next, true, id, e);

    if (rc < 0)
        return rc;
    cow = cow_of(*out);
    cow->filter.store.name = conf->name;
    cow->conf = conf;
    list_init(&cow->channels);
    list_init(&cow->jobs);
    list_init(&cow->passing);
    list_init(&cow->waiting);
    list_init(&cow->flush.waiting);
    list_init(&cow->flush.now);
    rc = check_base(cow, c->at, e);
    if (rc == 0)
        rc = cow_overlay_open(cow, c->at, e);
    if (rc == 0)
        describe(cow, read_only);
    else
        store_filter_free(*out);
    return rc;
}

static const struct store_ops cow_ops = {
    .type = "cow",
    .serial = true,
    .open = cow_open,
    .close = cow_close,
    .status = cow_status,
    .metrics = cow_metrics,
    .next = store_filter_next,
    .commands = cow_commands,
    .begin = cow_begin,
    .end = cow_end,
    .acquire = cow_acquire,
    .release = store_filter_release,
    .sync = cow_sync,
    .keep = cow_keep,
    .save = cow_save,
    .channel_open = cow_channel_open,
    .channel_close = cow_channel_close,
    .submit = cow_submit,
    .kick = cow_kick,
    .drain = cow_drain,
};

static void cow_check(void *data, const char *at, struct errs *e)
{
    const struct cow_conf *conf = data;

    if (conf->block_size & (conf->block_size - 1))
        errs_at(e, at, "block_size", "%" PRIu32 " is not a power of two",
                conf->block_size);
    if (conf->overlay && conf->max_memory)
        errs_at(e, at, "max_memory", "the overlay is not in memory");
}

static const struct conf_key cow_keys[] = {
    {"next", CONF_UNION, CONF_AT(struct cow_conf, next), .required = true,
     .of = &store_union,
     .help = "The base. It is opened read-only, and nothing writes there but "
             "cow.commit."},
    STORE_FILTER_NAME(struct cow_conf),
    {"overlay", CONF_PATH, CONF_AT(struct cow_conf, overlay),
     .help = "A sparse file for what is written, made if it is not there or "
             "empty. Default: memory, and gone at exit."},
    {"max_memory", CONF_SIZE, CONF_AT(struct cow_conf, max_memory), .def = "0",
     .max = STORE_SIZE_MAX,
     .help = "How much memory blocks that were written may take; then writing "
             "more of them fails. 0: no limit."},
    {"block_size", CONF_U32, CONF_AT(struct cow_conf, block_size),
     .def = "4096", .min = 512, .max = 65536,
     .help = "What is copied from the base when a part of it is written, "
             "bytes."},
    {NULL},
};

const struct conf_table cow_table = {
    .name = "cow",
    .size = sizeof(struct cow_conf),
    .keys = cow_keys,
    .help = "A filter that keeps what is written away from the store below, "
            "to be forgotten or committed on command.",
    .check = cow_check,
    .ops = &cow_ops,
};
