/* Filter `throttle`: holds a store to so many operations and bytes a second.
 *
 *     {"type": "throttle", "iops": 2000, "iops_burst": 10000, "bps": "100M",
 *      "next": {"type": "file", "path": "debian.img"}}
 *
 * What is submitted is asked for when its batch is kicked: under one lock for
 * the batch (budget.c), and what may go goes on from inside the kick. While any
 * of this channel's requests wait a timer runs, which is when they are looked
 * at again; otherwise none does. With no limits set, requests pass.
 *
 * An end of a request may bring the next, and another kick, from inside ours:
 * that is left to the outer one, however many there are. */
#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "store/filter.h"
#include "store/throttle.h"
#include "store/throttle_name.h"

struct throttle_conf {
    struct limits_conf limits;
    const char *name; /* NULL: the device's id */
    struct conf_any next;
};

struct throttle {
    struct store_filter filter;
    const struct throttle_conf *conf;
    struct throttle_member member;
};

struct throttle_channel {
    struct store_filter_channel filter;
    struct budget_seat seat;
    struct list asked; /* of the batch that is not kicked yet */
    bool waits;        /* some do, or there may be some that were granted */
    bool going, again;

    struct timer timer;
    struct mail mail; /* look again */
    bool mailed;      /* atomic: it is under way */
    bool closing;
    unsigned open; /* timer and mail */
};

static struct throttle *throttle_of(struct store *s)
{
    return container_of(s, struct throttle, filter.store);
}

static struct throttle_channel *channel_of(struct store_channel *ch)
{
    return container_of(ch, struct throttle_channel, filter.ch);
}

/* ---- going on ---- */

static void pass_on(struct throttle_channel *c, struct list *go)
{
    struct list *node;

    while ((node = list_pop(go)) != NULL) {
        struct store_req *r = container_of(node, struct store_req, node);

        if (store_filter_forward(&c->filter, r) == STORE_DONE)
            store_complete(r, r->result);
    }
}

/* What may go; and the timer, as long as others wait. */
static void look(struct throttle_channel *c, struct list *go)
{
    uint64_t ns = budget_go(&c->seat, &c->asked, loop_now_ns(), go);

    c->waits = ns != BUDGET_NEVER_NS;
    if (c->waits)
        timer_start(&c->timer, (ns + 999999) / 1000000);
    else
        timer_stop(&c->timer);
}

static void go_on(struct throttle_channel *c)
{
    struct list go;

    c->again = true;
    if (c->going)
        return;
    c->going = true;
    list_init(&go);
    do {
        c->again = false;
        look(c, &go);
        pass_on(c, &go);
        store_kick(c->filter.next);
    } while (c->again || !list_empty(&c->asked));
    c->going = false;
}

static void on_timer(struct timer *t)
{
    go_on(container_of(t, struct throttle_channel, timer));
}

static void part_gone(struct throttle_channel *c)
{
    if (--c->open == 0)
        free(c);
}

static void on_mail(struct mail *m)
{
    struct throttle_channel *c = container_of(m, struct throttle_channel, mail);

    if (c->closing) {
        part_gone(c);
        return;
    }
    /* Whoever posts it next has it all: the loop is through with it. */
    __atomic_store_n(&c->mailed, false, __ATOMIC_RELEASE);
    go_on(c);
}

static void on_timer_gone(struct timer *t)
{
    part_gone(container_of(t, struct throttle_channel, timer));
}

static void wake(struct budget_seat *s)
{
    struct throttle_channel *c = container_of(s, struct throttle_channel, seat);

    if (!__atomic_exchange_n(&c->mailed, true, __ATOMIC_ACQUIRE))
        loop_post(c->filter.ch.loop, &c->mail);
}

/* ---- requests ---- */

static int throttle_submit(struct store_channel *ch, struct store_req *r)
{
    struct throttle_channel *c = channel_of(ch);

    if (LIKELY(!budget_is_limited(c->seat.user->budget) && !c->waits &&
               list_empty(&c->asked)))
        return store_filter_forward(&c->filter, r);
    if (UNLIKELY(r->flags & STORE_HURRY)) {
        budget_hurry(&c->seat, r, loop_now_ns());
        return store_filter_forward(&c->filter, r);
    }
    list_add(&c->asked, &r->node);
    return STORE_PENDING;
}

static void throttle_kick(struct store_channel *ch)
{
    struct throttle_channel *c = channel_of(ch);

    if (list_empty(&c->asked))
        store_kick(c->filter.next);
    else
        go_on(c);
}

static void throttle_drain(struct store_channel *ch, const void *owner,
                           bool cancel)
{
    struct throttle_channel *c = channel_of(ch);
    struct list mine, *node;

    list_init(&mine);
    if (c->waits || !list_empty(&c->asked))
        budget_take_out(&c->seat, &c->asked, owner, !cancel, loop_now_ns(),
                        &mine);
    if (!list_empty(&mine))
        c->again = true;
    if (cancel)
        while ((node = list_pop(&mine)) != NULL)
            store_complete(container_of(node, struct store_req, node), -EIO);
    else
        pass_on(c, &mine);
    store_filter_drain(ch, owner, cancel);
    /* The first of those that wait may be others now. */
    if (c->again)
        go_on(c);
}

/* ---- channels ---- */

static int throttle_channel_open(struct store_channel **out, struct store *s,
                                 struct loop *loop, struct err *e)
{
    struct throttle_channel *c;
    int rc = store_filter_channel_new(out, sizeof(*c), s, loop, e);

    if (rc < 0)
        return rc;
    c = channel_of(*out);
    c->filter.ch.loop = loop;
    list_init(&c->asked);
    c->mail.run = on_mail;
    c->timer.fire = on_timer;
    c->timer.gone = on_timer_gone;
    timer_open(&c->timer, loop);
    c->open = 1;
    c->seat.wake = wake;
    budget_seat_add(&c->seat, &throttle_of(s)->member.user);
    return 0;
}

static void throttle_channel_close(struct store_channel *ch)
{
    struct throttle_channel *c = channel_of(ch);

    assert(list_empty(&c->asked) && !c->going);
    budget_seat_del(&c->seat);
    c->closing = true;
    c->open += __atomic_load_n(&c->mailed, __ATOMIC_RELAXED);
    store_filter_channel_close(ch);
    timer_close(&c->timer);
}

/* ---- life ---- */

static void throttle_close(struct store *s)
{
    throttle_leave(&throttle_of(s)->member);
    store_filter_free(s);
}

static int throttle_open(struct store **out, const struct conf_any *c,
                         bool read_only, const char *id, struct errs *e)
{
    const struct throttle_conf *conf = c->data;
    struct throttle *t;
    int rc =
        store_filter_new(out, sizeof(*t), c, &conf->next, read_only, id, e);

    if (rc < 0)
        return rc;
    t = throttle_of(*out);
    t->conf = conf;
    t->member.device = id;
    t->member.conf = conf;
    limits_of(&t->member.says, &conf->limits);
    rc = throttle_join(&t->member, conf->name ? conf->name : id, c->at, e);
    if (rc < 0)
        store_filter_free(*out);
    return rc;
}

/* All of the config is open: a name that nobody gives limits to may be a slip,
 * and is no reason not to serve. */
static int throttle_begin(struct store *s, struct loop *home, struct err *e)
{
    const struct throttle *t = throttle_of(s);

    if (t->conf->name && !budget_is_limited(t->member.user.budget))
        log_warn(s->id, "throttle \"%.64s\" has no limits: nobody gives any",
                 t->conf->name);
    return store_filter_begin(s, home, e);
}

/* Limits that were changed while vub ran outlive it; all else begins anew, as
 * after a quiet time. */
static int throttle_keep(struct store *s, const char *name, struct err *e)
{
    struct throttle *t = throttle_of(s);
    int rc = throttle_member_keep(&t->member, name, e);

    return rc < 0 ? rc : store_filter_keep(s, name, e);
}

static const struct store_ops throttle_ops = {
    .type = "throttle",
    .open = throttle_open,
    .close = throttle_close,
    .next = store_filter_next,
    .begin = throttle_begin,
    .end = store_filter_end,
    .acquire = store_filter_acquire,
    .release = store_filter_release,
    .refresh = store_filter_refresh,
    .resize = store_filter_resize,
    .sync = store_filter_sync,
    .keep = throttle_keep,
    .save = store_filter_save,
    .channel_open = throttle_channel_open,
    .channel_close = throttle_channel_close,
    .submit = throttle_submit,
    .kick = throttle_kick,
    .drain = throttle_drain,
};

bool throttle_said(const struct conf_any *o, const char *device,
                   struct throttle_said *out)
{
    const struct throttle_conf *conf = o->data;

    if (o->table != &throttle_table)
        return false;
    out->name = conf->name ? conf->name : device;
    limits_of(&out->limits, &conf->limits);
    return true;
}

static void throttle_check(void *data, const char *at, struct errs *e)
{
    const struct throttle_conf *conf = data;
    struct limits l;
    const char *bad;

    limits_of(&l, &conf->limits);
    bad = limits_bad_burst(&l);
    if (bad)
        errs_at(e, at, bad, "a burst of what has no limit");
}

static const struct conf_key throttle_keys[] = {
    {"next", CONF_UNION, CONF_AT(struct throttle_conf, next), .required = true,
     .of = &store_union, .help = "The store that does the rest."},
    {"name", CONF_STR, CONF_AT(struct throttle_conf, name), .min = 1,
     .help = "Throttles of one name are one, whatever devices they belong to: "
             "the limits hold for what all of them do together. They say the "
             "same limits, or all but one say none. Default: the device's id."},
    LIMITS_KEYS,
    {NULL},
};

const struct conf_table throttle_table = {
    .name = "throttle",
    .size = sizeof(struct throttle_conf),
    .keys = throttle_keys,
    .help = "A filter that holds a store to so many operations and bytes a "
            "second. Requests wait until it is their turn.",
    .check = throttle_check,
    .ops = &throttle_ops,
};
