/* Filter `fault`: fails requests on purpose, so that a device and a guest can
 * be tested with errors that disks do not have every day.
 *
 *     {"type": "fault",
 *      "rules": [{"op": "write", "after": 10, "count": 1, "error": "ENOSPC"},
 *                {"op": "read", "offset": "1M", "length": 4096,
 *                 "stuck": true}],
 *      "next": {"type": "file", "path": "debian.img"}}
 *
 * Rules are looked at in order; each counts the requests that match it, and
 * the first that is due decides. A stuck request is held until the device
 * gives it up (drain_timeout), and then fails with EIO. Which request is the
 * tenth depends on their order, hence info.serial. */
#include <assert.h>
#include <stdlib.h>

#include "store/filter.h"

enum { OP_ANY = STORE_ZERO + 1 };

struct rule_conf {
    unsigned op;
    uint32_t after, count;
    unsigned error;
    bool stuck;
    uint64_t offset, length;
};

struct fault_conf {
    struct conf_any next;
    struct conf_anys rules;
};

struct fault_rule {
    const struct rule_conf *conf;
    uint64_t matched;
};

struct fault {
    struct store_filter filter;
    struct fault_rule *rules;
    int num_rules;
};

struct fault_channel {
    struct store_filter_channel filter;
    struct list stuck;
};

/* In the order of error_words. */
static const int errors[] = {EIO, ENOSPC, ENOMEM, EDQUOT, ENODEV, ETIMEDOUT};
static const char *const error_words[] = {
    "EIO", "ENOSPC", "ENOMEM", "EDQUOT", "ENODEV", "ETIMEDOUT", NULL};
/* In the order of enum store_op. */
static const char *const op_words[] = {"read", "write", "flush", "discard",
                                       "zero", "any",   NULL};

static struct fault *fault_of(struct store *s)
{
    return container_of(s, struct fault, filter.store);
}

static struct fault_channel *channel_of(struct store_channel *ch)
{
    return container_of(ch, struct fault_channel, filter.ch);
}

static bool matches(const struct rule_conf *c, const struct store_req *r)
{
    if (c->op != OP_ANY && c->op != (unsigned)r->op)
        return false;
    if (!c->length && !c->offset)
        return true;
    if (r->op == STORE_FLUSH)
        return false;
    return ranges_meet(r->offset, r->len, c->offset,
                       c->length ? c->length : UINT64_MAX - c->offset);
}

/* Counts the request; is it the rule's? */
static bool is_due(struct fault_rule *rule, const struct store_req *r)
{
    const struct rule_conf *c = rule->conf;
    uint64_t nth;

    if (!matches(c, r))
        return false;
    nth = rule->matched++;
    return nth >= c->after && (c->count == 0 || nth - c->after < c->count);
}

static int fault_submit(struct store_channel *ch, struct store_req *r)
{
    struct fault *f = fault_of(ch->store);
    struct fault_channel *c = channel_of(ch);

    for (int i = 0; i < f->num_rules; i++) {
        if (!is_due(&f->rules[i], r))
            continue;
        if (f->rules[i].conf->stuck) {
            list_add(&c->stuck, &r->node);
            return STORE_PENDING;
        }
        r->result = -errors[f->rules[i].conf->error];
        return STORE_DONE;
    }
    return store_filter_forward(&c->filter, r);
}

static void fault_drain(struct store_channel *ch, const void *owner,
                        bool cancel)
{
    if (cancel)
        store_give_up(&channel_of(ch)->stuck, owner);
    store_filter_drain(ch, owner, cancel);
}

static int fault_channel_open(struct store_channel **out, struct store *s,
                              struct loop *loop, struct err *e)
{
    struct fault_channel *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        return err_nomem(e);
    list_init(&c->stuck);
    rc = store_filter_channel_open(&c->filter, s, loop, e);
    if (rc < 0)
        free(c);
    else
        *out = &c->filter.ch;
    return rc;
}

static void fault_channel_close(struct store_channel *ch)
{
    struct fault_channel *c = channel_of(ch);

    assert(list_empty(&c->stuck));
    store_filter_channel_close(&c->filter);
    free(c);
}

static void fault_close(struct store *s)
{
    struct fault *f = fault_of(s);

    store_filter_close(&f->filter);
    free(f->rules);
    free(f);
}

static int fault_open(struct store **out, const struct conf_any *c,
                      bool read_only, const char *id, struct errs *e)
{
    const struct fault_conf *conf = c->data;
    struct fault *f = calloc(1, sizeof(*f));
    int rc;

    if (f)
        f->rules = calloc((size_t)conf->rules.count + 1, sizeof(*f->rules));
    if (!f || !f->rules) {
        rc = errs_nomem(e);
        goto out;
    }
    f->num_rules = conf->rules.count;
    for (int i = 0; i < f->num_rules; i++)
        f->rules[i].conf = conf->rules.list[i].data;
    rc = store_filter_open(&f->filter, c, &conf->next, read_only, id, e);
    if (rc < 0)
        goto out;
    *out = &f->filter.store;
    return 0;
out:
    if (f)
        free(f->rules);
    free(f);
    return rc;
}

static const struct store_ops fault_ops = {
    .type = "fault",
    .serial = true,
    .open = fault_open,
    .close = fault_close,
    .next = store_filter_next,
    .begin = store_filter_begin,
    .end = store_filter_end,
    .acquire = store_filter_acquire,
    .release = store_filter_release,
    .refresh = store_filter_refresh,
    .resize = store_filter_resize,
    .sync = store_filter_sync,
    .keep = store_filter_keep,
    .save = store_filter_save,
    .channel_open = fault_channel_open,
    .channel_close = fault_channel_close,
    .submit = fault_submit,
    .kick = store_filter_kick,
    .drain = fault_drain,
};

static const struct conf_key rule_keys[] = {
    {"op", CONF_CHOICE, CONF_AT(struct rule_conf, op), .def = "\"any\"",
     .words = op_words, .help = "Which requests it is about."},
    {"after", CONF_U32, CONF_AT(struct rule_conf, after), .def = "0",
     .help = "How many of them pass first."},
    {"count", CONF_U32, CONF_AT(struct rule_conf, count), .def = "0",
     .help = "How many of them then fail; 0: all."},
    {"error", CONF_CHOICE, CONF_AT(struct rule_conf, error), .def = "\"EIO\"",
     .words = error_words,
     .help = "What they fail with. A guest sees an I/O error in any case; the "
             "log says which."},
    {"stuck", CONF_BOOL, CONF_AT(struct rule_conf, stuck), .def = "false",
     .help = "Do not fail them: hold them until the device gives them up."},
    {"offset", CONF_SIZE, CONF_AT(struct rule_conf, offset), .def = "0",
     .max = STORE_SIZE_MAX,
     .help = "Only requests that touch bytes from here on."},
    {"length", CONF_SIZE, CONF_AT(struct rule_conf, length), .def = "0",
     .max = STORE_SIZE_MAX,
     .help = "How many bytes from offset on; 0: to the end."},
    {NULL},
};

static const struct conf_table rule_table = {
    .name = "rule",
    .size = sizeof(struct rule_conf),
    .keys = rule_keys,
    .help = "Which requests fail, and how.",
};

static const struct conf_key fault_keys[] = {
    {"next", CONF_UNION, CONF_AT(struct fault_conf, next), .required = true,
     .of = &store_union, .help = "The store that does the rest."},
    {"rules", CONF_TABLES, CONF_AT(struct fault_conf, rules),
     .table = &rule_table,
     .help = "Looked at in order; the first that is due decides."},
    {NULL},
};

const struct conf_table fault_table = {
    .name = "fault",
    .size = sizeof(struct fault_conf),
    .keys = fault_keys,
    .help = "A filter that fails requests on purpose, for tests.",
    .ops = &fault_ops,
};
