/* Filter `delay`: makes requests take time.
 *
 *     {"type": "delay", "all": {"us": 200}, "seed": 7,
 *      "flush": {"distribution": "normal", "us": 5000, "spread_us": 1000},
 *      "next": {"type": "file", "path": "debian.img"}}
 *
 * A request is held first and goes on then, so what it takes below comes on
 * top. How long is known when it comes (delay_time.c); those that are held are
 * a heap, by when they go on, and of two at the same time by who came first.
 * One timer runs while any is held, for the first of them; it counts
 * milliseconds, rounded up. With "exact" the loop does not sleep in the last
 * two of them, and looks at the clock.
 *
 * Those of one batch come at the same time, whatever the clock says: the order
 * in which they go on is by chance, then, and the same each time. What is below
 * may depend on it: parts of one request, of a cow above, are a batch.
 *
 * A drain lets its owner's go on at once, and what comes with STORE_HURRY is
 * not held. Chance and the arm of a disk are of one sequence, hence
 * info.serial. */
#include "store/delay.h"

#include <assert.h>
#include <stdlib.h>

#include "loop/loop.h"
#include "loop/timer.h"
#include "store/metrics.h"

#define MS_NS UINT64_C(1000000)
#define EXACT_NS (2 * MS_NS)

struct delay {
    struct store_filter filter;
    const struct delay_conf *conf;
    struct delay_clock clock;
    uint64_t held, waiting; /* so far; now, of all channels */
};

struct held {
    uint64_t until_ns, seq;
    struct store_req *r;
};

struct delay_channel {
    struct store_filter_channel filter;
    struct held *heap; /* [count], the first is the next to go */
    unsigned count, room;
    uint64_t seq;
    uint64_t batch_ns; /* when it began; 0: there is none, */
    uint32_t turn;     /* or it was of another turn of the loop */
    struct timer timer;
    struct spin spin;  /* on the loop while any is held, if exact */
    uint64_t timer_ns; /* what it runs for; 0: it does not */
};

static struct delay *delay_of(const struct store *s)
{
    return container_of((struct store *)s, struct delay, filter.store);
}

static struct delay_channel *channel_of(struct store_channel *ch)
{
    return container_of(ch, struct delay_channel, filter.ch);
}

/* ---- the heap ---- */

static bool is_before(const struct held *a, const struct held *b)
{
    if (a->until_ns != b->until_ns)
        return a->until_ns < b->until_ns;
    return a->seq < b->seq;
}

static void sink(struct delay_channel *c, unsigned i)
{
    struct held h = c->heap[i];

    for (;;) {
        unsigned child = 2 * i + 1;

        if (child + 1 < c->count &&
            is_before(&c->heap[child + 1], &c->heap[child]))
            child++;
        if (child >= c->count || !is_before(&c->heap[child], &h))
            break;
        c->heap[i] = c->heap[child];
        i = child;
    }
    c->heap[i] = h;
}

static void rise(struct delay_channel *c, unsigned i)
{
    struct held h = c->heap[i];

    while (i > 0 && is_before(&h, &c->heap[(i - 1) / 2])) {
        c->heap[i] = c->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    c->heap[i] = h;
}

/* False: there is no memory for one more. */
static bool push(struct delay_channel *c, struct store_req *r,
                 uint64_t until_ns)
{
    if (c->count == c->room) {
        unsigned room = c->room ? 2 * c->room : 64;
        struct held *heap = realloc(c->heap, room * sizeof(*heap));

        if (!heap)
            return false;
        c->heap = heap;
        c->room = room;
    }
    c->heap[c->count] = (struct held){until_ns, c->seq++, r};
    rise(c, c->count++);
    delay_of(c->filter.ch.store)->waiting++;
    return true;
}

static struct store_req *pop(struct delay_channel *c)
{
    struct store_req *r = c->heap[0].r;

    delay_of(c->filter.ch.store)->waiting--;
    c->heap[0] = c->heap[--c->count];
    if (c->count > 0)
        sink(c, 0);
    return r;
}

static int compare(const void *a, const void *b)
{
    return is_before(a, b) ? -1 : 1;
}

/* Takes those of owner (NULL: of all) out, to `mine`, in the order in which
 * they would have gone. What is sorted is a heap. */
static void take(struct delay_channel *c, const void *owner, struct list *mine)
{
    unsigned left = 0;

    list_init(mine);
    if (c->count > 1)
        qsort(c->heap, c->count, sizeof(*c->heap), compare);
    for (unsigned i = 0; i < c->count; i++) {
        if (owner && c->heap[i].r->owner != owner)
            c->heap[left++] = c->heap[i];
        else
            list_add(mine, &c->heap[i].r->node);
    }
    delay_of(c->filter.ch.store)->waiting -= c->count - left;
    c->count = left;
}

/* ---- going on ---- */

/* The timer, and the spinner, for the first that is held. */
static void wait_for_first(struct delay_channel *c)
{
    bool exact = delay_of(c->filter.ch.store)->conf->exact;
    uint64_t now, first;

    if (c->count == 0) {
        timer_stop(&c->timer);
        c->timer_ns = 0;
        return; /* on_arm takes the spinner off */
    }
    first = c->heap[0].until_ns;
    if (c->timer_ns == first)
        return;
    now = loop_now_ns();
    c->timer_ns = first;
    first = first > now ? first - now : 0;
    if (exact) {
        if (list_empty(&c->spin.node))
            loop_spin_add(c->filter.ch.loop, &c->spin);
        first = first > EXACT_NS ? first - EXACT_NS : 0;
    }
    timer_start(&c->timer, (first + MS_NS - 1) / MS_NS);
}

static void pass_on(struct delay_channel *c, struct store_req *r)
{
    if (store_filter_forward(&c->filter, r) == STORE_DONE)
        store_complete(r, r->result);
}

/* Whoever is told may submit more, which goes later. */
static bool go_on(struct delay_channel *c)
{
    uint64_t now = loop_now_ns();
    bool any = false;

    while (c->count > 0 && c->heap[0].until_ns <= now) {
        pass_on(c, pop(c));
        any = true;
    }
    if (any)
        store_kick(c->filter.next);
    return any;
}

static void on_timer(struct timer *t)
{
    struct delay_channel *c = container_of(t, struct delay_channel, timer);

    c->timer_ns = 0;
    go_on(c);
    wait_for_first(c);
}

static bool on_poll(struct spin *s)
{
    struct delay_channel *c = container_of(s, struct delay_channel, spin);

    if (c->count == 0 || c->heap[0].until_ns > loop_now_ns() || !go_on(c))
        return false;
    wait_for_first(c);
    return true;
}

/* The timer wakes us two milliseconds before; from then on there is no sleep.
 * Nor is there when the last has gone from the spinner, once: whoever turns the
 * loop sees that it has. */
static bool on_arm(struct spin *s)
{
    struct delay_channel *c = container_of(s, struct delay_channel, spin);

    if (on_poll(s))
        return true;
    if (c->count == 0) {
        loop_spin_del(s);
        return true;
    }
    return c->heap[0].until_ns < loop_now_ns() + EXACT_NS;
}

/* ---- requests ---- */

static uint64_t batch_begin_ns(struct delay_channel *c)
{
    uint32_t turn =
        __atomic_load_n(&c->filter.ch.loop->turns, __ATOMIC_RELAXED);

    if (!c->batch_ns || c->turn != turn)
        c->batch_ns = loop_now_ns();
    c->turn = turn;
    return c->batch_ns;
}

static void delay_kick(struct store_channel *ch)
{
    channel_of(ch)->batch_ns = 0;
    store_filter_kick(ch);
}

static int delay_submit(struct store_channel *ch, struct store_req *r)
{
    struct delay *d = delay_of(ch->store);
    struct delay_channel *c = channel_of(ch);
    uint64_t now = batch_begin_ns(c);
    uint64_t until = delay_until_ns(&d->clock, r, store_size(ch->store), now);

    if (until <= now || r->flags & STORE_HURRY || !push(c, r, until))
        return store_filter_forward(&c->filter, r);
    d->held++;
    wait_for_first(c);
    return STORE_PENDING;
}

static void delay_drain(struct store_channel *ch, const void *owner,
                        bool cancel)
{
    struct delay_channel *c = channel_of(ch);
    struct list mine, *node;

    take(c, owner, &mine);
    wait_for_first(c);
    if (delay_of(ch->store)->waiting == 0)
        delay_of(ch->store)->clock.arm.free_ns = 0;
    while ((node = list_pop(&mine)) != NULL) {
        struct store_req *r = container_of(node, struct store_req, node);

        if (cancel)
            store_complete(r, -EIO);
        else
            pass_on(c, r);
    }
    if (!cancel)
        store_kick(c->filter.next);
    store_filter_drain(ch, owner, cancel);
}

/* ---- channels ---- */

static void on_timer_gone(struct timer *t)
{
    free(container_of(t, struct delay_channel, timer));
}

static int delay_channel_open(struct store_channel **out, struct store *s,
                              struct loop *loop, struct err *e)
{
    struct delay_channel *c;
    int rc = store_filter_channel_new(out, sizeof(*c), s, loop, e);

    if (rc < 0)
        return rc;
    c = channel_of(*out);
    c->spin.poll = on_poll;
    c->spin.arm = on_arm;
    list_init(&c->spin.node);
    c->timer.fire = on_timer;
    c->timer.gone = on_timer_gone;
    timer_open(&c->timer, loop);
    return 0;
}

static void delay_channel_close(struct store_channel *ch)
{
    struct delay_channel *c = channel_of(ch);

    assert(c->count == 0);
    free(c->heap);
    loop_spin_del(&c->spin);
    store_filter_channel_close(ch);
    timer_close(&c->timer);
}

/* ---- life ---- */

static int delay_open(struct store **out, const struct conf_any *c,
                      bool read_only, const char *id, struct errs *e)
{
    const struct delay_conf *conf = c->data;
    struct delay *d;
    int rc =
        store_filter_new(out, sizeof(*d), c, &conf->next, read_only, id, e);

    if (rc < 0)
        return rc;
    d = delay_of(*out);
    d->filter.store.name = conf->name;
    d->conf = conf;
    delay_clock_init(&d->clock, conf);
    return 0;
}

static void delay_status(const struct store *s, struct json_out *o)
{
    const struct delay *d = delay_of(s);

    json_add_u64(o, "seed", d->conf->seed);
    json_add_u64(o, "waiting", d->waiting);
    json_add_u64(o, "held", d->held);
}

static const struct metric_family waiting = {
    "vub_delay_waiting", METRIC_GAUGE, NULL,
    "Requests that wait in a filter delay."};
static const struct metric_family held = {
    "vub_delay_held", METRIC_COUNTER, NULL,
    "Requests that had to wait in a filter delay."};

static void delay_metrics(const struct store *s,
                          const struct store_metrics_to *to)
{
    const struct delay *d = delay_of(s);

    store_metric(to, &waiting, d->waiting);
    store_metric(to, &held, d->held);
}

static const struct store_ops delay_ops = {
    .type = "delay",
    .serial = true,
    .open = delay_open,
    .close = store_filter_free,
    .next = store_filter_next,
    .status = delay_status,
    .metrics = delay_metrics,
    .begin = store_filter_begin,
    .end = store_filter_end,
    .acquire = store_filter_acquire,
    .release = store_filter_release,
    .refresh = store_filter_refresh,
    .resize = store_filter_resize,
    .sync = store_filter_sync,
    .keep = store_filter_keep,
    .save = store_filter_save,
    .channel_open = delay_channel_open,
    .channel_close = delay_channel_close,
    .submit = delay_submit,
    .kick = delay_kick,
    .drain = delay_drain,
};

const struct conf_table delay_table = {
    .name = "delay",
    .size = sizeof(struct delay_conf),
    .keys = delay_keys,
    .help = "A filter that makes requests take time.",
    .ops = &delay_ops,
};
