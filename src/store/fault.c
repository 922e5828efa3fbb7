/* Filter `fault`: does requests wrongly on purpose, so that a device and a
 * guest can be tested with what disks do not do every day.
 *
 *     {"type": "fault", "seed": 7,
 *      "rules": [{"op": "write", "after": 10, "count": 1, "error": "ENOSPC"},
 *                {"op": "read", "offset": "1M", "length": 4096,
 *                 "outcome": "stuck"},
 *                {"name": "liar", "op": "flush", "outcome": "drop",
 *                 "armed": false}],
 *      "next": {"type": "file", "path": "debian.img"}}
 *
 * Rules are looked at in order; each counts the requests that match it, and
 * the first that is due decides. A stuck request is held until fault.release,
 * or until the device gives it up (drain_timeout), when it fails with EIO.
 * Which request is the tenth depends on their order, hence info.serial; what
 * is left to chance is drawn from a sequence of the rule's own, so the same
 * requests in the same order end the same way. */
#include "store/fault.h"

#include <assert.h>
#include <stdlib.h>

/* ---- events ---- */

static void tell(struct fault *f, const struct fault_rule *rule,
                 const struct store_req *r)
{
    struct json_out o;

    if (!store_event_begin(&o, "fault.fired", &f->filter.store, &f->limit))
        return;
    json_add_u64(&o, "rule", (uint64_t)(rule - f->rules));
    if (rule->conf->name)
        json_add_str(&o, "name", rule->conf->name);
    json_add_str(&o, "outcome", fault_outcome_words[rule->conf->outcome]);
    json_add_str(&o, "op", store_op_word(r->op));
    json_add_u64(&o, "offset", r->offset);
    json_add_u64(&o, "length", r->len);
    json_add_u64(&o, "fired", rule->now.fired);
    store_event_end(&o);
}

/* ---- requests ---- */

static int fault_submit(struct store_channel *ch, struct store_req *r)
{
    struct fault *f = fault_of(ch->store);
    struct fault_channel *c = fault_channel_of(ch);
    struct fault_rule *rule = fault_decide(f, r);

    if (LIKELY(!rule))
        return store_filter_forward(&c->filter, r);
    tell(f, rule, r);
    switch (rule->conf->outcome) {
    case FAULT_ERROR:
        r->result = fault_error(rule);
        return STORE_DONE;
    case FAULT_BREAK:
        r->result = STORE_BREAKS_RING;
        return STORE_DONE;
    case FAULT_STUCK:
        r->progress = (uint64_t)(rule - f->rules);
        list_add(&c->stuck, &r->node);
        f->held++;
        return STORE_PENDING;
    case FAULT_POWERCUT:
        fault_cut(f, rule);
        r->result = -EIO;
        return STORE_DONE;
    case FAULT_DISCONNECT:
        store_tell_drop(&f->filter.store, "filter fault was told to lose it");
        return store_filter_forward(&c->filter, r);
    default:
        return fault_do(c, rule, r);
    }
}

static void release(struct fault_channel *c, struct store_req *r, int result)
{
    fault_of(c->filter.ch.store)->held--;
    if (result < 0)
        store_complete(r, result);
    else if (store_filter_forward(&c->filter, r) == STORE_DONE)
        store_complete(r, r->result);
}

/* First all are taken: who is told may change the list. */
static unsigned take(struct fault_channel *c, struct list *mine,
                     const struct fault_rule *rule, const void *owner)
{
    struct fault *f = fault_of(c->filter.ch.store);
    unsigned count = 0;

    list_init(mine);
    LIST_EACH_SAFE (&c->stuck, at) {
        struct store_req *r = container_of(at, struct store_req, node);

        if ((rule && rule != &f->rules[r->progress]) ||
            (owner && r->owner != owner))
            continue;
        list_del(at);
        list_add(mine, at);
        count++;
    }
    return count;
}

static void let_go(struct fault_channel *c, struct list *mine, int result)
{
    struct list *node;

    while ((node = list_pop(mine)) != NULL)
        release(c, container_of(node, struct store_req, node), result);
}

unsigned fault_release(struct fault *f, const struct fault_rule *rule,
                       bool fail)
{
    unsigned count = 0;

    /* Channels stay: none is closed from inside a done. */
    LIST_EACH (&f->channels, node) {
        struct fault_channel *c =
            container_of(node, struct fault_channel, node);
        struct list mine;

        count += take(c, &mine, rule, NULL);
        let_go(c, &mine, fail ? -EIO : 0);
        store_kick(c->filter.next);
    }
    return count;
}

static void fault_drain(struct store_channel *ch, const void *owner,
                        bool cancel)
{
    struct fault_channel *c = fault_channel_of(ch);
    struct list mine;

    if (cancel) {
        take(c, &mine, NULL, owner);
        let_go(c, &mine, -EIO);
        steps_give_up(&c->steps, owner);
    }
    store_filter_drain(ch, owner, cancel);
}

/* ---- channels ---- */

static int fault_channel_open(struct store_channel **out, struct store *s,
                              struct loop *loop, struct err *e)
{
    struct fault_channel *c;
    int rc = store_filter_channel_new(out, sizeof(*c), s, loop, e);

    if (rc < 0)
        return rc;
    c = fault_channel_of(*out);
    list_init(&c->stuck);
    parts_init(&c->parts);
    steps_init(&c->steps, loop, fault_step);
    list_add(&fault_of(s)->channels, &c->node);
    return 0;
}

static void fault_channel_close(struct store_channel *ch)
{
    struct fault_channel *c = fault_channel_of(ch);

    assert(list_empty(&c->stuck));
    list_del(&c->node);
    steps_fini(&c->steps);
    parts_fini(&c->parts);
    store_filter_channel_free(ch);
}

/* ---- life ---- */

static void fault_close(struct store *s)
{
    struct fault *f = fault_of(s);

    keep_drop(&f->kept);
    free(f->rules);
    store_filter_free(s);
}

static int fault_begin(struct store *s, struct loop *home, struct err *e)
{
    fault_find_power(fault_of(s));
    return store_filter_begin(s, home, e);
}

static int fault_open(struct store **out, const struct conf_any *c,
                      bool read_only, const char *id, struct errs *e)
{
    const struct fault_conf *conf = c->data;
    struct fault *f;
    int rc =
        store_filter_new(out, sizeof(*f), c, &conf->next, read_only, id, e);

    if (rc < 0)
        return rc;
    f = fault_of(*out);
    f->rules = calloc((size_t)conf->rules.count + 1, sizeof(*f->rules));
    if (!f->rules) {
        store_filter_free(*out);
        return errs_nomem(e);
    }
    f->filter.store.name = conf->name;
    f->conf = conf;
    f->num_rules = conf->rules.count;
    list_init(&f->channels);
    for (int i = 0; i < f->num_rules; i++)
        f->rules[i].conf = conf->rules.list[i].data;
    fault_begin_anew(f, conf->seed);
    return 0;
}

static const struct store_ops fault_ops = {
    .type = "fault",
    .serial = true,
    .open = fault_open,
    .close = fault_close,
    .next = store_filter_next,
    .commands = fault_commands,
    .status = fault_status,
    .metrics = fault_metrics,
    .begin = fault_begin,
    .end = store_filter_end,
    .acquire = store_filter_acquire,
    .release = store_filter_release,
    .refresh = store_filter_refresh,
    .resize = store_filter_resize,
    .sync = store_filter_sync,
    .keep = fault_keep,
    .save = store_filter_save,
    .channel_open = fault_channel_open,
    .channel_close = fault_channel_close,
    .submit = fault_submit,
    .kick = store_filter_kick,
    .drain = fault_drain,
};

static const struct conf_key fault_keys[] = {
    {"next", CONF_UNION, CONF_AT(struct fault_conf, next), .required = true,
     .of = &store_union, .help = "The store that does the rest."},
    {"rules", CONF_TABLES, CONF_AT(struct fault_conf, rules),
     .table = &fault_rule_table,
     .help = "Looked at in order; the first that is due decides."},
    STORE_FILTER_SEED(struct fault_conf, "all is the same."),
    STORE_FILTER_NAME(struct fault_conf),
    {NULL},
};

const struct conf_table fault_table = {
    .name = "fault",
    .size = sizeof(struct fault_conf),
    .keys = fault_keys,
    .help = "A filter that does requests wrongly on purpose, for tests.",
    .ops = &fault_ops,
};
