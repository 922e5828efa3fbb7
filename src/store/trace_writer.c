/* Batches go round: free, with whoever has records, full, with the thread,
 * free. The thread has the files to itself (trace_output.h). What cannot be
 * written is counted, and stands in the file as a gap as soon as something can
 * be written again. */
#include "store/trace_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/watch.h"
#include "os/event.h"
#include "os/random.h"
#include "os/thread.h"
#include "store/event.h"
#include "store/trace_output.h"

#define LOCK_AGAIN_MS 50
#define KEPT_RECORDS UINT64_C(2) /* room for a gap, and the mark at the end */

enum state { STATE_WAITS, STATE_WRITES, STATE_FULL };

struct trace_writer {
    struct trace_writer_conf conf;
    bool goes_on;
    struct thread thread;
    int ended; /* an eventfd, which the thread signals with its last breath */

    /* the thread's */
    struct trace_output out; /* opened before, and closed after */
    bool not_ours;           /* the lock was never had */
    struct store_event_limit events;
    struct trace_record gap; /* .len: lost by us, and not told yet */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t more;
    struct list full, free;
    unsigned num, max; /* batches that there are, may be */
    bool started, stop, joined;
    struct watch watch; /* [home] of ended: a loop waits for what it watches */
    void (*gone)(void *arg);
    void *gone_arg;

    /* atomic */
    unsigned num_free; /* some may be had */
    unsigned state;
    uint64_t records, lost;
};

static uint64_t load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void add(uint64_t *p, uint64_t n)
{
    __atomic_fetch_add(p, n, __ATOMIC_RELAXED);
}

/* ---- what is written ---- */

static int put_record(struct trace_writer *w, const struct trace_record *r)
{
    uint8_t bytes[TRACE_RECORD_BYTES];

    trace_put(r, bytes);
    return trace_output_put(&w->out, bytes, sizeof(bytes));
}

static void mark(struct trace_writer *w, enum trace_mark op)
{
    uint64_t now = loop_now_ns() - w->out.head.start_ns;
    struct trace_record r = {.op = (uint8_t)op,
                             .worker = TRACE_NO_WORKER,
                             .submit_ns = now,
                             .done_ns = now};

    put_record(w, &r);
}

static void failed(struct trace_writer *w, int rc, uint64_t num)
{
    uint64_t now = loop_now_ns() - w->out.head.start_ns;

    log_limited(&w->out.limit, LOG_WARN, w->conf.store->id,
                "cannot write the trace %s: %s", trace_output_path(&w->out),
                strerror(-rc));
    if (w->gap.len == 0)
        w->gap.submit_ns = now;
    w->gap.done_ns = now;
    w->gap.len += num;
    add(&w->lost, num);
}

/* Who waits for another's end has room for a while. True: it is ours. */
static bool take_lock(struct trace_writer *w)
{
    struct timespec until;
    bool said = false, stop = false;

    while (!trace_output_try_lock(&w->out)) {
        if (stop)
            return false;
        if (!said)
            log_info(w->conf.store->id,
                     "another writes the trace %s: it is waited for",
                     w->conf.path);
        said = true;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOCK_AGAIN_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_mutex_lock(&w->lock);
        if (!w->stop)
            pthread_cond_timedwait(&w->more, &w->lock, &until);
        stop = w->stop;
        pthread_mutex_unlock(&w->lock);
    }
    return true;
}

/* ---- batches ---- */

static void end_full(struct trace_writer *w)
{
    struct json_out o;

    mark(w, TRACE_STOP);
    __atomic_store_n(&w->state, STATE_FULL, __ATOMIC_RELAXED);
    log_info(w->conf.store->id, "the trace %s has its full size: it ends",
             w->conf.path);
    if (store_event_begin(&o, "trace.full", w->conf.store, &w->events)) {
        json_add_str(&o, "path", w->conf.path);
        json_add_u64(&o, "records", load(&w->records));
        store_event_end(&o);
    }
}

static int put_gap(struct trace_writer *w)
{
    int rc;

    w->gap.op = TRACE_LOST;
    w->gap.worker = TRACE_NO_WORKER;
    rc = put_record(w, &w->gap);
    if (rc == 0)
        w->gap.len = 0;
    return rc;
}

static void write_batch(struct trace_writer *w, const struct trace_batch *b)
{
    unsigned num = b->num;
    uint64_t fit;
    int rc;

    if (w->not_ours) {
        add(&w->lost, num);
        return;
    }
    if (w->state == STATE_FULL)
        return;
    rc = trace_output_ready(&w->out);
    fit = trace_output_room(&w->out);
    fit -= MIN(fit, KEPT_RECORDS);
    if (rc == 0 && fit < num && trace_output_is_ring(&w->out))
        rc = trace_output_swap(&w->out);
    else
        num = (unsigned)MIN(fit, num);
    if (rc == 0 && w->gap.len)
        rc = put_gap(w);
    if (rc == 0)
        rc = trace_output_put(&w->out, b->bytes,
                              (uint64_t)num * TRACE_RECORD_BYTES);
    if (rc < 0) {
        failed(w, rc, num);
        return;
    }
    add(&w->records, num);
    if (num < b->num)
        end_full(w);
}

static void begin_all(struct trace_writer *w)
{
    int rc = 0;

    w->not_ours = !take_lock(w);
    if (w->not_ours)
        return;
    if (w->goes_on && trace_output_go_on(&w->out))
        mark(w, TRACE_GOES_ON);
    else
        rc = trace_output_begin(&w->out);
    __atomic_store_n(&w->state, STATE_WRITES, __ATOMIC_RELAXED);
    if (rc < 0)
        failed(w, rc, 0);
}

static void run(void *arg)
{
    struct trace_writer *w = arg;

    begin_all(w);
    pthread_mutex_lock(&w->lock);
    for (;;) {
        struct list *node = list_pop(&w->full);

        if (!node) {
            if (w->stop)
                break;
            pthread_cond_wait(&w->more, &w->lock);
            continue;
        }
        pthread_mutex_unlock(&w->lock);
        write_batch(w, container_of(node, struct trace_batch, node));
        pthread_mutex_lock(&w->lock);
        list_add(&w->free, node);
        __atomic_fetch_add(&w->num_free, 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&w->lock);
    trace_output_unlock(&w->out);
    event_signal(w->ended);
}

/* ---- for whoever has records ---- */

struct trace_batch *trace_writer_take(struct trace_writer *w)
{
    struct trace_batch *b = NULL;
    struct list *node;

    if (__atomic_load_n(&w->num_free, __ATOMIC_RELAXED) == 0)
        return NULL;
    pthread_mutex_lock(&w->lock);
    node = list_pop(&w->free);
    if (node)
        b = container_of(node, struct trace_batch, node);
    else if (w->num < w->max && (b = malloc(sizeof(*b))) != NULL)
        w->num++;
    if (b)
        __atomic_fetch_sub(&w->num_free, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&w->lock);
    if (b)
        b->num = 0;
    return b;
}

void trace_writer_give(struct trace_writer *w, struct trace_batch *b)
{
    pthread_mutex_lock(&w->lock);
    list_add(&w->full, &b->node);
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
}

void trace_writer_lost(struct trace_writer *w, uint64_t num)
{
    add(&w->lost, num);
}

bool trace_writer_is_full(const struct trace_writer *w)
{
    return __atomic_load_n(&w->state, __ATOMIC_RELAXED) == STATE_FULL;
}

uint64_t trace_writer_start_ns(const struct trace_writer *w)
{
    return w->out.head.start_ns;
}

/* ---- life ---- */

int trace_writer_open(struct trace_writer **out,
                      const struct trace_writer_conf *c, const char *at,
                      struct errs *e)
{
    struct trace_writer *w = calloc(1, sizeof(*w));
    struct err why;
    int rc;

    if (!w)
        return errs_nomem(e);
    w->conf = *c;
    w->out = (struct trace_output){.id = c->store->id,
                                   .path = {c->path, c->second},
                                   .max_size = c->max_size,
                                   .fd = {-1, -1}};
    list_init(&w->full);
    list_init(&w->free);
    w->max = (unsigned)MAX(c->buffer / TRACE_BATCH_BYTES, 2u);
    w->num_free = w->max;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    w->joined = true;
    w->ended = event_open();
    if (w->ended < 0) {
        rc = err_sys(&why, -w->ended, "", "cannot make an eventfd");
        errs_adopt(e, at, "path", &why);
        goto out;
    }
    rc = trace_output_open(&w->out, at, e);
    if (rc < 0)
        goto out;
    if (random_bytes(&w->out.head.session, sizeof(w->out.head.session)) < 0)
        w->out.head.session = loop_now_ns();
    w->out.head.start_ns = loop_now_ns();
    *out = w;
    return 0;
out:
    trace_writer_close(w);
    return rc;
}

void trace_writer_go_on(struct trace_writer *w, struct trace_session s)
{
    if (s.start_ns > w->out.head.start_ns)
        return; /* whoever has left it has another clock */
    w->out.head.session = s.id;
    w->out.head.start_ns = s.start_ns;
    w->goes_on = true;
}

struct trace_session trace_writer_session(const struct trace_writer *w)
{
    return (struct trace_session){w->out.head.session, w->out.head.start_ns};
}

/* [locked] */
static int start(struct trace_writer *w, const struct trace_head *head,
                 struct err *e)
{
    struct timespec real;

    clock_gettime(CLOCK_REALTIME, &real);
    w->out.head.block_size = head->block_size;
    w->out.head.size = head->size;
    memcpy(w->out.head.store, head->store, sizeof(head->store));
    snprintf(w->out.head.device, sizeof(w->out.head.device), "%s",
             w->conf.store->id);
    w->out.head.start_real_ns =
        (uint64_t)real.tv_sec * 1000000000 + (uint64_t)real.tv_nsec;
    w->out.head.start_real_ns -= loop_now_ns() - w->out.head.start_ns;
    return thread_start(&w->thread, "vub-trace", run, w, e);
}

int trace_writer_start(struct trace_writer *w, const struct trace_head *head,
                       struct err *e)
{
    int rc = 0;

    pthread_mutex_lock(&w->lock);
    if (!w->started)
        rc = start(w, head, e);
    if (rc == 0) {
        w->started = true;
        w->joined = false;
    }
    pthread_mutex_unlock(&w->lock);
    return rc;
}

static void join(struct trace_writer *w)
{
    if (w->joined)
        return;
    thread_join(&w->thread);
    w->joined = true;
}

static void on_watch_gone(struct watch *watch)
{
    struct trace_writer *w = container_of(watch, struct trace_writer, watch);

    w->gone(w->gone_arg);
}

static void on_ended(struct watch *watch, int status, int events)
{
    struct trace_writer *w = container_of(watch, struct trace_writer, watch);

    (void)status, (void)events;
    join(w); /* it is on its way out */
    watch_close(watch);
}

static void stop(struct trace_writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
}

void trace_writer_end(struct trace_writer *w, struct loop *home,
                      void (*gone)(void *arg), void *arg)
{
    if (w->joined) { /* it has never begun */
        gone(arg);
        return;
    }
    w->gone = gone;
    w->gone_arg = arg;
    w->watch.ready = on_ended;
    w->watch.gone = on_watch_gone;
    stop(w);
    if (watch_open(&w->watch, home, w->ended) < 0) {
        join(w);
        gone(arg);
    } else if (watch_start(&w->watch, UV_READABLE) < 0) {
        on_ended(&w->watch, 0, 0);
    }
}

static void free_all(struct list *batches)
{
    struct list *node;

    while ((node = list_pop(batches)) != NULL)
        free(container_of(node, struct trace_batch, node));
}

void trace_writer_close(struct trace_writer *w)
{
    stop(w);
    join(w);
    free_all(&w->full);
    free_all(&w->free);
    trace_output_close(&w->out);
    if (w->ended >= 0)
        close(w->ended);
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void trace_writer_status(struct trace_writer *w, struct json_out *o)
{
    static const char *const states[] = {"waiting", "writing", "full"};

    json_add_str(o, "path", w->conf.path);
    if (w->conf.second)
        json_add_str(o, "second", w->conf.second);
    json_add_str(o, "state",
                 states[__atomic_load_n(&w->state, __ATOMIC_RELAXED)]);
    json_add_u64(o, "records", load(&w->records));
    json_add_u64(o, "lost", load(&w->lost));
    json_add_u64(o, "bytes", load(&w->out.bytes));
}

static const struct metric_family records = {
    "vub_trace_records", METRIC_COUNTER, NULL,
    "Requests that a filter trace has written down."};
static const struct metric_family lost = {
    "vub_trace_lost", METRIC_COUNTER, NULL,
    "Requests that a filter trace could not write down."};
static const struct metric_family bytes = {"vub_trace_bytes", METRIC_COUNTER,
                                           "bytes",
                                           "What a filter trace has written."};

void trace_writer_metrics(struct trace_writer *w,
                          const struct store_metrics_to *to)
{
    store_metric(to, &records, load(&w->records));
    store_metric(to, &lost, load(&w->lost));
    store_metric(to, &bytes, load(&w->out.bytes));
}
