/* The thread has the files to itself: where it is in them, how large they may
 * get, and which one of a ring it writes to. Whole records are written, at
 * offsets that it knows; what a full disk has cut short is cut off, and what
 * was lost so stands in the file as soon as something can be written again. */
#include "store/trace_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/watch.h"
#include "os/event.h"
#include "os/file.h"
#include "os/random.h"
#include "os/thread.h"
#include "store/event.h"

#define LOCK_AGAIN_MS 50

enum state { STATE_WAITS, STATE_WRITES, STATE_FULL };

struct trace_writer {
    struct trace_writer_conf conf;
    int fds[2]; /* second: -1: no ring */
    struct trace_head head;
    bool goes_on;
    struct thread thread;
    int ended; /* an eventfd, which the thread signals with its last breath */

    /* the thread's */
    unsigned now;  /* which of fds */
    uint64_t at;   /* where it ends, bytes */
    bool not_ours; /* the lock was never had */
    struct log_limit limit;
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
    uint64_t records, lost, bytes;
};

static uint64_t load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void add(uint64_t *p, uint64_t n)
{
    __atomic_fetch_add(p, n, __ATOMIC_RELAXED);
}

/* ---- files ---- */

/* 0 all of it, or a negative errno: then nothing of it is there. */
static int put(struct trace_writer *w, const uint8_t *bytes, uint64_t len)
{
    int fd = w->fds[w->now];
    uint64_t done = 0;

    while (done < len) {
        struct iovec iov = {(uint8_t *)(uintptr_t)(bytes + done), len - done};
        ssize_t n = file_writev(fd, &iov, 1, w->at + done, 0);

        if (n == -EINTR)
            continue;
        if (n <= 0) {
            if (ftruncate(fd, (off_t)w->at) < 0)
                log_limited(&w->limit, LOG_WARN, w->conf.store->id,
                            "cannot cut off half a record of %s", w->conf.path);
            return n < 0 ? (int)n : -EIO;
        }
        done += (uint64_t)n;
    }
    w->at += len;
    add(&w->bytes, len);
    return 0;
}

static int put_record(struct trace_writer *w, const struct trace_record *r)
{
    uint8_t bytes[TRACE_RECORD_BYTES];

    trace_put(r, bytes);
    return put(w, bytes, sizeof(bytes));
}

static void mark(struct trace_writer *w, enum trace_mark op)
{
    uint64_t now = loop_now_ns() - w->head.start_ns;
    struct trace_record r = {.op = (uint8_t)op,
                             .worker = TRACE_NO_WORKER,
                             .submit_ns = now,
                             .done_ns = now};

    put_record(w, &r);
}

static const char *path_now(const struct trace_writer *w)
{
    return w->now ? w->conf.second : w->conf.path;
}

static void failed(struct trace_writer *w, int rc, uint64_t num)
{
    uint64_t now = loop_now_ns() - w->head.start_ns;

    log_limited(&w->limit, LOG_WARN, w->conf.store->id,
                "cannot write the trace %s: %s", path_now(w), strerror(-rc));
    if (w->gap.len == 0)
        w->gap.submit_ns = now;
    w->gap.done_ns = now;
    w->gap.len += num;
    add(&w->lost, num);
}

/* The file of now begins anew. */
static int begin(struct trace_writer *w)
{
    uint8_t bytes[TRACE_HEAD_BYTES];

    if (ftruncate(w->fds[w->now], 0) < 0)
        return -errno;
    w->at = 0;
    trace_put_head(&w->head, bytes);
    return put(w, bytes, sizeof(bytes));
}

/* What another process of this session has left in a file. */
static bool look(const struct trace_writer *w, int fd, struct trace_head *h,
                 uint64_t *end)
{
    uint8_t bytes[TRACE_HEAD_BYTES];
    struct iovec iov = {bytes, sizeof(bytes)};
    struct stat st;
    struct err e;

    if (fd < 0 || file_readv(fd, &iov, 1, 0, 0) != (ssize_t)sizeof(bytes) ||
        trace_get_head(h, bytes, &e) < 0 || h->session != w->head.session ||
        fstat(fd, &st) < 0)
        return false;
    *end = (uint64_t)st.st_size;
    *end -= (*end - TRACE_HEAD_BYTES) % TRACE_RECORD_BYTES;
    return true;
}

static bool go_on(struct trace_writer *w)
{
    struct trace_head h, other;
    uint64_t end, other_end;
    bool first = look(w, w->fds[0], &h, &end);

    if (look(w, w->fds[1], &other, &other_end) &&
        (!first || other.part > h.part)) {
        h = other;
        end = other_end;
        w->now = 1;
    } else if (!first) {
        return false;
    }
    if (h.start_ns != w->head.start_ns || h.block_size != w->head.block_size)
        return false;
    w->head.part = h.part;
    w->at = end;
    return true;
}

/* Who waits for another's end has room for a while. True: it is ours. */
static bool take_lock(struct trace_writer *w)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct timespec until;
    bool said = false, stop = false;

    while (fcntl(w->fds[0], F_OFD_SETLK, &all) < 0) {
        if (errno != EAGAIN && errno != EACCES)
            return true; /* no locks on this file system */
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

static uint64_t limit_of(const struct trace_writer *w)
{
    if (w->conf.max_size == 0)
        return INT64_MAX;
    return w->fds[1] >= 0 ? w->conf.max_size / 2 : w->conf.max_size;
}

static int swap(struct trace_writer *w)
{
    w->now = !w->now;
    w->head.part++;
    return begin(w);
}

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
    /* Room for a gap and for the mark at the end. */
    uint64_t keep = UINT64_C(2) * TRACE_RECORD_BYTES, limit = limit_of(w), fit;
    unsigned num = b->num;
    int rc = 0;

    if (w->not_ours) {
        add(&w->lost, num);
        return;
    }
    if (w->state == STATE_FULL)
        return;
    if (w->at == 0) /* its head found no room */
        rc = begin(w);
    fit =
        w->at + keep < limit ? (limit - w->at - keep) / TRACE_RECORD_BYTES : 0;
    if (rc == 0 && fit < num && w->fds[1] >= 0)
        rc = swap(w);
    else
        num = (unsigned)MIN(fit, num);
    if (rc == 0 && w->gap.len)
        rc = put_gap(w);
    if (rc == 0)
        rc = put(w, b->bytes, (uint64_t)num * TRACE_RECORD_BYTES);
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
    if (w->goes_on && go_on(w)) {
        mark(w, TRACE_GOES_ON);
    } else {
        rc = begin(w);
        if (w->fds[1] >= 0 && ftruncate(w->fds[1], 0) < 0 && rc == 0)
            rc = -errno;
    }
    __atomic_store_n(&w->state, STATE_WRITES, __ATOMIC_RELAXED);
    if (rc < 0)
        failed(w, rc, 0);
}

static void run(void *arg)
{
    struct trace_writer *w = arg;
    struct flock none = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

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
    fcntl(w->fds[0], F_OFD_SETLK, &none);
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
    return w->head.start_ns;
}

/* ---- life ---- */

static bool is_same_file(const struct trace_writer *w)
{
    struct stat a, b;

    return fstat(w->fds[0], &a) == 0 && fstat(w->fds[1], &b) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int open_second(struct trace_writer *w, struct err *e)
{
    int rc = trace_open_file(w->conf.second, &w->fds[1], e);

    if (rc == 0 && is_same_file(w))
        return err_set(e, -EINVAL, "",
                       "it is the same file as the first: a ring has two");
    return rc;
}

int trace_writer_open(struct trace_writer **out,
                      const struct trace_writer_conf *c, const char *at,
                      struct errs *e)
{
    struct trace_writer *w = calloc(1, sizeof(*w));
    struct err why;

    if (!w)
        return errs_nomem(e);
    w->conf = *c;
    w->fds[0] = w->fds[1] = -1;
    list_init(&w->full);
    list_init(&w->free);
    w->max = (unsigned)MAX(c->buffer / TRACE_BATCH_BYTES, 2u);
    w->num_free = w->max;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    w->joined = true;
    w->ended = event_open();
    if (w->ended < 0) {
        err_sys(&why, -w->ended, "", "cannot make an eventfd");
        errs_adopt(e, at, "path", &why);
        goto out;
    }
    if (trace_open_file(c->path, &w->fds[0], &why) < 0) {
        errs_adopt(e, at, "path", &why);
        goto out;
    }
    if (c->second && open_second(w, &why) < 0) {
        errs_adopt(e, at, "second", &why);
        goto out;
    }
    if (random_bytes(&w->head.session, sizeof(w->head.session)) < 0)
        w->head.session = loop_now_ns();
    w->head.start_ns = loop_now_ns();
    *out = w;
    return 0;
out:
    trace_writer_close(w);
    return why.code;
}

void trace_writer_go_on(struct trace_writer *w, struct trace_session s)
{
    if (s.start_ns > w->head.start_ns)
        return; /* whoever has left it has another clock */
    w->head.session = s.id;
    w->head.start_ns = s.start_ns;
    w->goes_on = true;
}

struct trace_session trace_writer_session(const struct trace_writer *w)
{
    return (struct trace_session){w->head.session, w->head.start_ns};
}

/* [locked] */
static int start(struct trace_writer *w, const struct trace_head *head,
                 struct err *e)
{
    struct timespec real;

    clock_gettime(CLOCK_REALTIME, &real);
    w->head.block_size = head->block_size;
    w->head.size = head->size;
    memcpy(w->head.store, head->store, sizeof(head->store));
    snprintf(w->head.device, sizeof(w->head.device), "%s", w->conf.store->id);
    w->head.start_real_ns =
        (uint64_t)real.tv_sec * 1000000000 + (uint64_t)real.tv_nsec;
    w->head.start_real_ns -= loop_now_ns() - w->head.start_ns;
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
    for (int i = 0; i < 2; i++)
        if (w->fds[i] >= 0)
            close(w->fds[i]);
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
    json_add_u64(o, "bytes", load(&w->bytes));
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
    store_metric(to, &bytes, load(&w->bytes));
}
