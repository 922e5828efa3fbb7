/* vub trace replay: the requests of a trace, asked of a store once more.
 *
 * One loop does it all, as a worker that serves one disk would. In each of its
 * turns what is due is submitted, as far as there is room; while the next one
 * is due soon the loop turns without sleeping, since timers know milliseconds
 * only. Data were not traced: what is written comes from one piece of memory,
 * again and again, and what is read goes to another, where nobody looks at it.
 *
 * The trace may be anybody's, and the store smaller, or of larger blocks: what
 * cannot be asked of it is counted, by reason, and left out. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/ctl.h"
#include "daemon/trace/impl.h"
#include "loop/loop.h"
#include "loop/timer.h"

#define DEPTH_ANY 4096
#define DEPTH_FAST 32
#define PIECE_BYTES (UINT64_C(1) << 20) /* of memory */
#define PIECES_MAX 64u                  /* of a request: 64 MiB */
#define BATCH 64                        /* submits, then a kick */
#define TIMER_FROM_NS 3000000           /* sooner: the loop does not sleep */
#define SIZE_WITHIN_MS 30000
#define TOLD_MAX 10

enum left_out {
    LEFT_WRITES,
    LEFT_BEYOND,
    LEFT_BLOCKS,
    LEFT_LARGE,
    LEFT_KIND,
    LEFT_OUTS,
};

static const struct {
    const char *key, *text;
} reasons[LEFT_OUTS] = {
    [LEFT_WRITES] = {"writes", "would change the store: see --write"},
    [LEFT_BEYOND] = {"beyond", "lie beyond its end"},
    [LEFT_BLOCKS] = {"blocks", "are not of its whole blocks"},
    [LEFT_LARGE] = {"large", "are longer than 64 MiB"},
    [LEFT_KIND] = {"kind", "discard or zero, which it cannot"},
};

struct slot {
    struct store_req req;
    struct iovec iov[PIECES_MAX];
    const struct trace_record *record;
    uint64_t submit_ns;
    struct list node;
    struct replay *replay;
};

struct op_times {
    uint64_t count;
    struct histogram recorded, now;
};

struct difference {
    const struct trace_record *record;
    int result;
};

struct replay {
    const struct trace_options *o;
    const struct trace_set *set;
    struct loop loop;
    struct conf_doc *doc;
    struct store *store;
    struct store_channel *ch;
    bool acquired;
    struct timer timer;
    struct defer pump;
    struct slot *slots;
    struct list spare;
    uint8_t *data; /* two pieces: to be written, and read into */
    size_t next;
    unsigned in_flight, depth;
    bool going, ended, closed;
    uint64_t start_ns, end_ns, first_ns;
    int rc;
    struct err *e;

    struct op_times ops[TRACE_OPS];
    uint64_t asked, left_out[LEFT_OUTS], late_ns_max;
    uint64_t num_different;
    struct difference different[TOLD_MAX];
};

/* ---- one request ---- */

static bool changes(unsigned op)
{
    return op == STORE_WRITE || op == STORE_DISCARD || op == STORE_ZERO;
}

static bool has_data(unsigned op)
{
    return op == STORE_READ || op == STORE_WRITE;
}

/* LEFT_OUTS: it can be asked. */
static enum left_out why_not(const struct replay *p,
                             const struct trace_record *r)
{
    const struct store_info *info = &p->store->info;
    uint64_t size = store_size(p->store);

    if (r->op == STORE_FLUSH)
        return LEFT_OUTS;
    if (changes(r->op) && !p->o->write)
        return LEFT_WRITES;
    if (r->offset > size || r->len > size - r->offset)
        return LEFT_BEYOND;
    if ((r->offset | r->len) & (info->block_size - 1))
        return LEFT_BLOCKS;
    if (has_data(r->op) && r->len > PIECES_MAX * PIECE_BYTES)
        return LEFT_LARGE;
    if ((r->op == STORE_DISCARD && !info->can_discard) ||
        (r->op == STORE_ZERO && !info->can_zero))
        return LEFT_KIND;
    return LEFT_OUTS;
}

static void finish(struct slot *s)
{
    struct replay *p = s->replay;
    const struct trace_record *r = s->record;
    struct op_times *op = &p->ops[r->op];

    p->end_ns = loop_now_ns();
    op->count++;
    histogram_add(&op->now, p->end_ns - s->submit_ns, 1);
    histogram_add(&op->recorded, trace_took_ns(r), 1);
    if (s->req.result != -(int)r->error) {
        if (p->num_different < TOLD_MAX)
            p->different[p->num_different] =
                (struct difference){r, s->req.result};
        p->num_different++;
    }
    list_add(&p->spare, &s->node);
    p->in_flight--;
    loop_defer(&p->loop, &p->pump);
}

static void on_done(struct store_req *r)
{
    finish(container_of(r, struct slot, req));
}

static void fill(struct slot *s, const struct trace_record *r)
{
    struct replay *p = s->replay;
    uint8_t *data = p->data + (r->op == STORE_READ ? PIECE_BYTES : 0);
    uint64_t left = has_data(r->op) ? r->len : 0;
    int num = 0;

    for (; left > 0; left -= s->iov[num++].iov_len)
        s->iov[num] = (struct iovec){data, MIN(left, PIECE_BYTES)};
    s->record = r;
    s->req = (struct store_req){
        .op = (enum store_op)r->op,
        .flags = r->flags & (STORE_FUA | STORE_UNMAP),
        .offset = r->offset,
        .len = r->len,
        .iov = s->iov,
        .iov_num = num,
        .done = on_done,
        .owner = p,
    };
}

static void ask(struct replay *p, const struct trace_record *r)
{
    struct slot *s = container_of(list_pop(&p->spare), struct slot, node);

    fill(s, r);
    p->asked++;
    p->in_flight++;
    s->submit_ns = loop_now_ns();
    if (store_submit(p->ch, &s->req) == STORE_DONE)
        finish(s);
}

/* ---- all of them ---- */

/* 0: now. */
static uint64_t wait_ns(struct replay *p, const struct trace_record *r)
{
    uint64_t due = r->submit_ns - p->first_ns, now;

    if (p->o->fast)
        return 0;
    now = loop_now_ns() - p->start_ns;
    if (now < due)
        return due - now;
    p->late_ns_max = MAX(p->late_ns_max, now - due);
    return 0;
}

static void end(struct replay *p, int rc)
{
    if (p->ended)
        return;
    p->ended = true;
    p->rc = rc;
    loop_defer(&p->loop, &p->pump);
}

static void on_gone(void *arg)
{
    struct replay *p = arg;

    loop_stop(&p->loop);
}

static void close_all(struct replay *p)
{
    timer_close(&p->timer);
    if (p->ch)
        store_channel_close(p->ch);
    p->ch = NULL;
    store_end(p->store, on_gone, p);
}

static void submit_due(struct replay *p)
{
    for (unsigned n = 0; n < BATCH && p->next < p->set->num;) {
        const struct trace_record *r = &p->set->requests[p->next];
        enum left_out why = why_not(p, r);
        uint64_t ns;

        if (why != LEFT_OUTS) {
            p->left_out[why]++;
            p->next++;
            continue;
        }
        if (p->in_flight == p->depth)
            return; /* the next that ends goes on */
        ns = wait_ns(p, r);
        if (ns >= TIMER_FROM_NS) {
            timer_start(&p->timer, ns / 1000000 - 1);
            return;
        }
        if (ns)
            break;
        p->next++;
        n++;
        ask(p, r);
    }
    if (p->next < p->set->num)
        loop_defer(&p->loop, &p->pump);
}

static void pump(struct defer *d)
{
    struct replay *p = container_of(d, struct replay, pump);

    if (!p->ended && p->going) {
        submit_due(p);
        store_kick(p->ch);
        if (p->next == p->set->num && p->in_flight == 0)
            end(p, 0);
    } else if (p->ended && !p->closed) {
        p->closed = true;
        close_all(p);
    }
}

static void go(struct replay *p)
{
    timer_stop(&p->timer);
    if (store_channel_open(&p->ch, p->store, &p->loop, p->e) < 0) {
        end(p, p->e->code);
        return;
    }
    p->going = true;
    p->start_ns = p->end_ns = loop_now_ns();
    p->first_ns = p->set->num ? p->set->requests[0].submit_ns : 0;
    loop_defer(&p->loop, &p->pump);
}

static void on_changed(void *arg)
{
    struct replay *p = arg;

    if (!p->going && !p->ended && !store_is_pending(p->store))
        go(p);
}

static void on_timer(struct timer *t)
{
    struct replay *p = container_of(t, struct replay, timer);

    if (p->going)
        loop_defer(&p->loop, &p->pump);
    else
        end(p, err_set(p->e, -ETIMEDOUT, "--store",
                       "its size did not come to be known within %d s",
                       SIZE_WITHIN_MS / 1000));
}

/* ---- telling ---- */

static uint64_t sum(const uint64_t *of)
{
    uint64_t all = 0;

    for (unsigned i = 0; i < LEFT_OUTS; i++)
        all += of[i];
    return all;
}

static const char *result_text(int result)
{
    return result < 0 ? strerror(-result) : "ok";
}

static void tell(const struct replay *p)
{
    double s = (double)(p->end_ns - p->start_ns) / 1e9;
    char late[32];

    printf("%" PRIu64 " requests in %.3f s, %.0f a second\n", p->asked, s,
           s > 0 ? (double)p->asked / s : 0);
    if (!p->o->fast) {
        show_time((double)p->late_ns_max, late, sizeof(late));
        printf("the latest was submitted %s late\n", late);
    }
    printf("\n%-8s %10s %-9s %9s %9s %9s %9s %9s\n", "", "requests", "", "50%",
           "90%", "99%", "99.9%", "all");
    for (unsigned i = 0; i < TRACE_OPS; i++) {
        const struct op_times *op = &p->ops[i];

        if (!op->count)
            continue;
        printf("%-8s %10" PRIu64 " recorded ", trace_op_name(i), op->count);
        trace_quantiles(stdout, &op->recorded);
        printf("\n%-8s %10s now      ", "", "");
        trace_quantiles(stdout, &op->now);
        putchar('\n');
    }
    if (sum(p->left_out))
        puts("\nLeft out:");
    for (unsigned i = 0; i < LEFT_OUTS; i++)
        if (p->left_out[i])
            printf("%10" PRIu64 " %s\n", p->left_out[i], reasons[i].text);
    printf("\n%" PRIu64 " results differ\n", p->num_different);
    for (unsigned i = 0; i < MIN(p->num_different, TOLD_MAX); i++) {
        const struct trace_record *r = p->different[i].record;

        printf("  worker %u, %" PRIu32 ": %s of %" PRIu64 " at %" PRIu64
               ": %s, ",
               r->worker, r->sequence, trace_op_name(r->op), r->len, r->offset,
               result_text(-(int)r->error));
        printf("now %s\n", result_text(p->different[i].result));
    }
}

static int print_json(const struct replay *p, struct err *e)
{
    struct json_out o = JSON_OUT_EMPTY;

    json_begin(&o, NULL, '{');
    json_add_u64(&o, "requests", p->asked);
    json_add_u64(&o, "duration_ns", p->end_ns - p->start_ns);
    json_add_u64(&o, "late_ns", p->late_ns_max);
    json_begin(&o, "operations", '{');
    for (unsigned i = 0; i < TRACE_OPS; i++) {
        if (!p->ops[i].count)
            continue;
        json_begin(&o, trace_op_name(i), '{');
        json_add_u64(&o, "requests", p->ops[i].count);
        json_begin(&o, "recorded", '{');
        trace_add_quantiles(&o, &p->ops[i].recorded);
        json_end(&o, '}');
        json_begin(&o, "now", '{');
        trace_add_quantiles(&o, &p->ops[i].now);
        json_end(&o, '}');
        json_end(&o, '}');
    }
    json_end(&o, '}');
    json_begin(&o, "left_out", '{');
    for (unsigned i = 0; i < LEFT_OUTS; i++)
        json_add_u64(&o, reasons[i].key, p->left_out[i]);
    json_end(&o, '}');
    json_add_u64(&o, "different", p->num_different);
    json_begin(&o, "differences", '[');
    for (unsigned i = 0; i < MIN(p->num_different, TOLD_MAX); i++) {
        const struct trace_record *r = p->different[i].record;

        json_begin(&o, NULL, '{');
        json_add_u64(&o, "worker", r->worker);
        json_add_u64(&o, "sequence", r->sequence);
        json_add_str(&o, "op", trace_op_name(r->op));
        json_add_u64(&o, "recorded", r->error);
        json_add_u64(&o, "now", (uint64_t)-p->different[i].result);
        json_end(&o, '}');
    }
    json_end(&o, ']');
    json_end(&o, '}');
    return trace_print_json(&o, e);
}

/* ---- life ---- */

static int prepare(struct replay *p, struct err *e)
{
    uint32_t x = 1;

    p->depth = p->o->depth ? p->o->depth : p->o->fast ? DEPTH_FAST : DEPTH_ANY;
    list_init(&p->spare);
    p->slots = calloc(p->depth, sizeof(*p->slots));
    p->data = aligned_alloc(4096, 2 * PIECE_BYTES);
    if (!p->slots || !p->data)
        return err_nomem(e);
    for (unsigned i = 0; i < p->depth; i++) {
        p->slots[i].replay = p;
        list_add(&p->spare, &p->slots[i].node);
    }
    /* Nothing that could be packed, or found to be there already. */
    for (size_t i = 0; i < 2 * PIECE_BYTES; i++) {
        x = x * 1664525 + 1013904223;
        p->data[i] = (uint8_t)(x >> 24);
    }
    return 0;
}

/* Closes the store, whatever comes of it. */
static int run(struct replay *p, struct err *e)
{
    int rc = loop_open(&p->loop, "replay");

    if (rc < 0)
        return err_sys(e, -rc, "", "cannot make a loop");
    /* It serves one disk: what vub does inline then is done inline here. */
    p->loop.devices = p->loop.block_devices = 1;
    p->e = e;
    defer_init(&p->pump, pump);
    p->timer.fire = on_timer;
    timer_open(&p->timer, &p->loop);
    rc = store_begin(p->store, &p->loop, on_changed, p, e);
    if (rc == 0) {
        timer_start(&p->timer, SIZE_WITHIN_MS);
        on_changed(p);
        loop_run(&p->loop);
        rc = p->rc;
    } else {
        timer_close(&p->timer);
    }
    if (p->acquired)
        store_release(p->store);
    store_close(p->store);
    p->store = NULL;
    p->acquired = false;
    loop_close(&p->loop);
    return rc;
}

int trace_replay(const struct trace_options *o, struct err *e)
{
    struct trace_set set;
    struct replay *p = calloc(1, sizeof(*p));
    int rc;

    if (!p)
        return err_nomem(e);
    rc = trace_load(&set, o, e);
    if (rc < 0)
        goto out;
    p->o = o;
    p->set = &set;
    rc = prepare(p, e);
    if (rc == 0)
        rc = trace_open_store(o, &p->doc, &p->store, &p->acquired, e);
    if (rc == 0)
        rc = run(p, e);
    if (rc == 0 && o->json)
        rc = print_json(p, e);
    else if (rc == 0)
        tell(p);
    if (p->acquired)
        store_release(p->store);
    store_close(p->store);
    trace_free(&set);
out:
    conf_free(p->doc);
    free(p->slots);
    free(p->data);
    free(p);
    return rc;
}
