/* Filter `trace`: writes down every request, and how it went.
 *
 *     {"type": "trace", "path": "boot.trace", "max_size": "1G",
 *      "next": {"type": "file", "path": "debian.img"}}
 *
 * Each channel fills a batch of its own, so that workers share nothing but the
 * exchange of a full batch for an empty one: trace_writer.h. What has come and
 * is little is given to the writer by a timer, which runs only while there is
 * such. The data of a request are not written, only where they lie.
 *
 * No request waits for the trace: with no batch free, its record is lost, and
 * the next batch begins by saying how many were. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "store/filter.h"
#include "store/trace_writer.h"

#define GIVE_AFTER_MS 250
#define SIZE_MIN (UINT64_C(1) << 20) /* several batches, in each file */
#define WORKERS_MAX TRACE_NO_WORKER

struct trace_conf {
    const char *path, *second, *name;
    uint64_t max_size, buffer;
    struct conf_any next;
};

struct trace {
    struct store_filter filter;
    struct trace_writer *writer;
    struct kept kept;              /* a struct trace_session */
    char worker_used[WORKERS_MAX]; /* atomic */
    struct loop *home;
    void (*gone)(void *arg); /* of end */
    void *gone_arg;
};

/* A request below, for one of ours. */
struct trace_req {
    struct store_req below;
    uint64_t submit_ns;
    uint32_t sequence;
};

struct trace_channel {
    struct store_filter_channel filter;
    struct trace_writer *writer;
    uint64_t start_ns;
    struct list spare;         /* trace_reqs not in use */
    struct trace_batch *batch; /* NULL: none yet */
    struct trace_record gap;   /* .len: lost, and not told yet */
    uint32_t sequence;
    uint8_t worker;
    struct timer timer; /* the batch is given as it is */
};

static struct trace *trace_of(const struct store *s)
{
    return container_of(s, struct trace, filter.store);
}

static struct trace_channel *channel_of(struct store_channel *ch)
{
    return container_of(ch, struct trace_channel, filter.ch);
}

/* ---- records ---- */

static void give(struct trace_channel *c)
{
    if (c->batch)
        trace_writer_give(c->writer, c->batch);
    c->batch = NULL;
    timer_stop(&c->timer);
}

static void on_timer(struct timer *t)
{
    give(container_of(t, struct trace_channel, timer));
}

static void append(struct trace_channel *c, const struct trace_record *r)
{
    struct trace_batch *b = c->batch;

    trace_put(r, b->bytes + (size_t)b->num * TRACE_RECORD_BYTES);
    if (++b->num == TRACE_BATCH_RECORDS)
        give(c);
}

static void lose(struct trace_channel *c, const struct trace_record *r)
{
    if (c->gap.len == 0)
        c->gap.submit_ns = r->done_ns;
    c->gap.done_ns = r->done_ns;
    c->gap.len++;
    trace_writer_lost(c->writer, 1);
}

static bool begin_batch(struct trace_channel *c, const struct trace_record *r)
{
    c->batch = trace_writer_take(c->writer);
    if (!c->batch) {
        lose(c, r);
        return false;
    }
    timer_start(&c->timer, GIVE_AFTER_MS);
    if (c->gap.len) {
        c->gap.op = TRACE_LOST;
        c->gap.worker = c->worker;
        append(c, &c->gap);
        c->gap.len = 0;
    }
    return true;
}

static void note(struct trace_channel *c, const struct trace_req *t)
{
    const struct store_req *below = &t->below;
    bool has_range = below->op != STORE_FLUSH;
    const struct trace_record r = {
        .submit_ns = t->submit_ns - c->start_ns,
        .done_ns = loop_now_ns() - c->start_ns,
        .offset = has_range ? below->offset : 0,
        .len = has_range ? below->len : 0,
        .sequence = t->sequence,
        .error = (uint16_t)-below->result,
        .worker = c->worker,
        .op = (uint8_t)below->op,
        .flags = (uint8_t)below->flags,
    };

    if (LIKELY(c->batch != NULL) || begin_batch(c, &r))
        append(c, &r);
}

/* ---- requests ---- */

static void on_done(struct store_req *below)
{
    struct trace_req *t = container_of(below, struct trace_req, below);
    struct store_req *r = below->above;
    struct trace_channel *c = channel_of(r->channel);
    int result = below->result;

    note(c, t);
    list_add(&c->spare, &below->node);
    store_complete(r, result);
}

static struct trace_req *take_spare(struct trace_channel *c)
{
    struct list *node = list_pop(&c->spare);

    return node ? container_of(node, struct trace_req, below.node)
                : malloc(sizeof(struct trace_req));
}

static int trace_submit(struct store_channel *ch, struct store_req *r)
{
    struct trace_channel *c = channel_of(ch);
    struct trace_req *t;

    if (UNLIKELY(trace_writer_is_full(c->writer)))
        return store_filter_forward(&c->filter, r);
    t = take_spare(c);
    if (UNLIKELY(!t)) {
        r->result = -ENOMEM;
        return STORE_DONE;
    }
    t->below = store_filter_below(r, on_done);
    t->sequence = c->sequence++;
    t->submit_ns = loop_now_ns();
    if (store_submit(c->filter.next, &t->below) == STORE_PENDING)
        return STORE_PENDING;
    note(c, t);
    r->result = t->below.result;
    list_add(&c->spare, &t->below.node);
    return STORE_DONE;
}

/* ---- channels ---- */

static uint8_t take_worker(struct trace *t)
{
    uint8_t i = 0;

    while (i < WORKERS_MAX &&
           __atomic_exchange_n(&t->worker_used[i], 1, __ATOMIC_RELAXED))
        i++;
    return i;
}

static void on_timer_gone(struct timer *t)
{
    free(container_of(t, struct trace_channel, timer));
}

static int start(struct trace *t, struct err *e)
{
    const struct store *next = t->filter.next;
    struct trace_head head = {
        .block_size = next->info.block_size,
        .size = store_size(next),
    };

    snprintf(head.store, sizeof(head.store), "%s", next->ops->type);
    return trace_writer_start(t->writer, &head, e);
}

static int trace_channel_open(struct store_channel **out, struct store *s,
                              struct loop *loop, struct err *e)
{
    struct trace *t = trace_of(s);
    struct trace_channel *c;
    int rc = start(t, e);

    if (rc == 0)
        rc = store_filter_channel_new(out, sizeof(*c), s, loop, e);
    if (rc < 0)
        return rc;
    c = channel_of(*out);
    c->writer = t->writer;
    c->start_ns = trace_writer_start_ns(t->writer);
    list_init(&c->spare);
    c->worker = take_worker(t);
    c->timer.fire = on_timer;
    c->timer.gone = on_timer_gone;
    timer_open(&c->timer, loop);
    return 0;
}

static void trace_channel_close(struct store_channel *ch)
{
    struct trace_channel *c = channel_of(ch);
    struct trace *t = trace_of(ch->store);
    struct list *node;

    give(c);
    store_filter_channel_close(ch);
    while ((node = list_pop(&c->spare)) != NULL)
        free(container_of(node, struct trace_req, below.node));
    if (c->worker < WORKERS_MAX)
        __atomic_store_n(&t->worker_used[c->worker], 0, __ATOMIC_RELAXED);
    timer_close(&c->timer);
}

/* ---- life ---- */

static void trace_close(struct store *s)
{
    struct trace *t = trace_of(s);

    trace_writer_close(t->writer);
    keep_drop(&t->kept);
    store_filter_free(s);
}

static int trace_open(struct store **out, const struct conf_any *c,
                      bool read_only, const char *id, struct errs *e)
{
    const struct trace_conf *conf = c->data;
    struct trace_writer_conf wanted = {
        .path = conf->path,
        .second = conf->second,
        .max_size = conf->max_size,
        .buffer = conf->buffer,
    };
    int rc = store_filter_new(out, sizeof(struct trace), c, &conf->next,
                              read_only, id, e);

    if (rc < 0)
        return rc;
    (*out)->name = conf->name;
    wanted.store = *out;
    rc = trace_writer_open(&trace_of(*out)->writer, &wanted, c->at, e);
    if (rc < 0)
        store_filter_free(*out);
    return rc;
}

static void on_writer_gone(void *arg)
{
    struct trace *t = arg;

    store_filter_end(&t->filter.store, t->gone, t->gone_arg);
}

static int trace_begin(struct store *s, struct loop *home, struct err *e)
{
    struct trace *t = trace_of(s);

    t->home = home;
    return store_filter_begin(s, home, e);
}

static void trace_end(struct store *s, void (*gone)(void *arg), void *arg)
{
    struct trace *t = trace_of(s);

    t->gone = gone;
    t->gone_arg = arg;
    trace_writer_end(t->writer, t->home, on_writer_gone, t);
}

static void trace_status(const struct store *s, struct json_out *o)
{
    trace_writer_status(trace_of(s)->writer, o);
}

static void trace_metrics(const struct store *s,
                          const struct store_metrics_to *to)
{
    trace_writer_metrics(trace_of(s)->writer, to);
}

/* One process writes a file to its end: the next one goes on in it. What is
 * found is a number to compare with; it leads nowhere else. */
static int keep_session(struct trace *t, const char *name, struct err *e)
{
    struct trace_session s;
    int rc;

    rc = keep_get(&t->kept, t->filter.store.id, name,
                  keep_pair_bytes(sizeof(s)), e);
    if (rc < 0)
        return rc;
    if (t->kept.found && keep_pair_read(t->kept.at, &s, sizeof(s)))
        trace_writer_go_on(t->writer, s);
    s = trace_writer_session(t->writer);
    keep_pair_write(t->kept.at, &s, sizeof(s));
    return 0;
}

static int trace_keep(struct store *s, const char *name, struct err *e)
{
    char whole[KEEP_NAME_MAX + 1];
    int rc = store_keep_name(whole, name, "trace.1", e);

    if (rc == 0)
        rc = keep_session(trace_of(s), whole, e);
    return rc < 0 ? rc : store_filter_keep(s, name, e);
}

static const struct store_ops trace_ops = {
    .type = "trace",
    .open = trace_open,
    .close = trace_close,
    .status = trace_status,
    .metrics = trace_metrics,
    .next = store_filter_next,
    .begin = trace_begin,
    .end = trace_end,
    .acquire = store_filter_acquire,
    .release = store_filter_release,
    .refresh = store_filter_refresh,
    .resize = store_filter_resize,
    .sync = store_filter_sync,
    .keep = trace_keep,
    .save = store_filter_save,
    .channel_open = trace_channel_open,
    .channel_close = trace_channel_close,
    .submit = trace_submit,
    .kick = store_filter_kick,
    .drain = store_filter_drain,
};

static void trace_check(void *data, const char *at, struct errs *e)
{
    const struct trace_conf *conf = data;

    if (conf->max_size && conf->max_size < SIZE_MIN)
        errs_at(e, at, "max_size", "must be 0, or 1M at least");
    if (conf->second && strcmp(conf->path, conf->second) == 0)
        errs_at(e, at, "second", "a ring has two files, of two names");
    if (conf->second && conf->max_size == 0)
        errs_at(e, at, "second",
                "there is no max_size, so the first file is never full");
}

static const struct conf_key trace_keys[] = {
    {"next", CONF_UNION, CONF_AT(struct trace_conf, next), .required = true,
     .of = &store_union, .help = "The store that does the rest."},
    {"path", CONF_PATH, CONF_AT(struct trace_conf, path), .required = true,
     .help = "The file to write to. What is there already must be a trace, "
             "and goes."},
    {"second", CONF_PATH, CONF_AT(struct trace_conf, second),
     .help = "Another file: when one is full the other begins anew, so that "
             "the latest requests are in the two. Without, the trace ends when "
             "the file is full."},
    {"max_size", CONF_SIZE, CONF_AT(struct trace_conf, max_size),
     .def = "\"1G\"", .min = 0, .max = STORE_SIZE_MAX,
     .help = "How large the file may get, or both together: 40 bytes for each "
             "request. 0: as large as there is room, without a second one."},
    {"buffer", CONF_SIZE, CONF_AT(struct trace_conf, buffer), .def = "\"4M\"",
     .min = 128 << 10, .max = 1 << 30,
     .help = "Memory for records that are not written yet. While it is full "
             "records are lost, and counted."},
    STORE_FILTER_NAME(struct trace_conf),
    {NULL},
};

const struct conf_table trace_table = {
    .name = "trace",
    .size = sizeof(struct trace_conf),
    .keys = trace_keys,
    .help = "A filter that writes down every request, with its times and its "
            "result: see docs/trace.md.",
    .check = trace_check,
    .ops = &trace_ops,
};
