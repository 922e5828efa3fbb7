/* The logical units of a controller: a list in order of target and number.
 *
 * They are there from the start, or are added while the device runs. One that
 * is removed is gone for the guest at once; what it has of the guest's is given
 * up, and when nothing is left it is closed, and who removed it is told. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "device/scsi/impl.h"

/* What is left to do when a unit is closed, and freed. */
struct lun_farewell {
    struct scsi *scsi;
    struct conf_doc *doc; /* where its config is from, if it was added while vub
                           * ran; NULL: it is the program's */
    void (*gone)(void *arg); /* who is told */
    void *arg;
};

/* ---- the list ---- */

static struct lun *lun_at(struct list *node)
{
    return container_of(node, struct lun, node);
}

struct lun *luns_find(struct scsi *s, uint8_t target, uint16_t number,
                      struct list **before)
{
    struct list *at = s->luns.next;

    while (at != &s->luns) {
        struct lun *l = lun_at(at);

        if (l->target == target && l->lun == number)
            return l;
        if (l->target > target || (l->target == target && l->lun > number))
            break;
        at = at->next;
    }
    if (before)
        *before = at;
    return NULL;
}

static const struct lun_ops *kind_of(const struct lun_conf *c)
{
    if (c->store.table)
        return &lun_disk_ops;
    return c->has_iscsi ? &lun_iscsi_ops : &lun_sg_ops;
}

int luns_add(struct scsi *s, const struct lun_conf *c, const char *at,
             struct conf_doc *doc, struct lun **out, struct errs *e)
{
    const struct lun_ops *ops = kind_of(c);
    struct lun_farewell *after;
    struct list *before;
    struct lun *l;
    int rc;

    if (luns_find(s, (uint8_t)c->target, (uint16_t)c->lun, &before))
        return errs_at(e, at, "lun",
                       "target %" PRIu32 " has a unit %" PRIu32 " already",
                       c->target, c->lun);
    after = calloc(1, sizeof(*after));
    if (!after)
        return errs_nomem(e);
    rc = ops->open(&l, c, at, s->device.id, e);
    if (rc < 0) {
        free(after);
        return rc;
    }
    *after = (struct lun_farewell){s, doc ? conf_ref(doc) : NULL, NULL, NULL};
    l->after = after;
    l->ops = ops;
    l->id = s->device.id;
    l->host = &scsi_lun_host;
    l->scsi = s;
    l->target = (uint8_t)c->target;
    l->lun = (uint16_t)c->lun;
    list_init(&l->tasks);
    list_init(&l->to_kick);
    list_add(before, &l->node);
    s->per_target[l->target]++;
    s->num_units++;
    if (out)
        *out = l;
    return 0;
}

/* ---- they go ---- */

static void on_gone(void *arg)
{
    struct lun_farewell *after = arg;

    conf_free(after->doc);
    after->gone(after->arg);
    scsi_unit_gone(after->scsi);
    free(after);
}

void luns_settle(struct lun *l)
{
    if (!l->leaves || l->closing || !list_empty(&l->tasks) || l->num_tmfs > 0)
        return;
    l->closing = true;
    list_del(&l->to_kick);
    if (l->state != LUN_STOPPED && l->ops->stop)
        l->ops->stop(l);
    keep_drop(&l->text);
    l->ops->close(l, on_gone, l->after);
}

/* The first task from number `from` on; they stand in order. */
static struct scsi_task *task_from(const struct lun *l, uint64_t from)
{
    LIST_EACH (&l->tasks, node) {
        struct scsi_task *t = container_of(node, struct scsi_task, node);

        if (t->seq >= from)
            return t;
    }
    return NULL;
}

/* The end of one task may be the end of others, and start more: each is looked
 * for anew. They stay in the list, where task management looks for those that
 * have not ended. */
void luns_give_up(struct lun *l, const struct ring *q, enum scsi_response fate)
{
    uint64_t until = l->scsi->seq;
    struct scsi_task *t;

    for (uint64_t next = 0; (t = task_from(l, next)) != NULL;) {
        if (t->seq >= until)
            break;
        next = t->seq + 1;
        if (q && chain_of_priv(t)->ring != q)
            continue;
        t->fate = fate;
        t->because = NULL;
        l->ops->give_up(l, t);
    }
}

void luns_remove(struct scsi *s, struct lun *l, void (*gone)(void *arg),
                 void *arg)
{
    assert(!l->leaves);
    list_del(&l->node);
    if (s->recent == l)
        s->recent = NULL;
    s->per_target[l->target]--;
    l->after->gone = gone;
    l->after->arg = arg;
    if (l->state == LUN_STARTING)
        scsi_lun_host.started(l, NULL); /* in its place, which stop takes */
    luns_give_up(l, NULL, SCSI_R_RESET);
    l->leaves = true; /* not before: it is not gone while that goes on */
    luns_settle(l);
}

/* ---- they begin, start and stop ---- */

static void start(struct scsi *s, struct lun *l)
{
    l->goes_on = s->goes_on && (l->ran || l->found & LUN_STATE_KNOWN);
    if (l->ops->is_ours && !l->goes_on)
        scsi_attention(l,
                       s->recovered ? SCSI_ASC_NEXUS_LOSS : SCSI_ASC_POWER_ON);
    l->state = LUN_STARTING;
    s->starting++;
    if (l->ops->start)
        l->ops->start(l, s->recovered);
    else
        scsi_lun_host.started(l, NULL);
    l->ran = true;
    scsi_keep_known(l);
}

int luns_begin(struct scsi *s, struct lun *l, struct err *e)
{
    int rc;

    l->loop = s->device.home;
    rc = l->ops->begin ? l->ops->begin(l, e) : 0;
    if (rc < 0)
        return rc;
    if (s->started)
        start(s, l);
    return 0;
}

void luns_start(struct scsi *s)
{
    LIST_EACH (&s->luns, node)
        start(s, lun_at(node));
}

void luns_stop(struct scsi *s)
{
    LIST_EACH (&s->luns, node) {
        struct lun *l = lun_at(node);

        if (l->state != LUN_STOPPED && l->ops->stop)
            l->ops->stop(l);
        l->state = LUN_STOPPED;
    }
}

/* ---- the config ---- */

static void lun_check(void *data, const char *at, struct errs *e)
{
    const struct lun_conf *c = data;
    int kinds = (c->store.table != NULL) + c->has_iscsi + c->has_sg;

    if (kinds == 0)
        errs_at(e, at, NULL,
                "a unit stands on a store, is an iSCSI unit, or a node of the "
                "host: say \"store\", \"iscsi\" or \"sg\"");
    else if (kinds > 1)
        errs_at(e, at, NULL,
                "a unit is one of \"store\", \"iscsi\" and \"sg\", not %d of "
                "them",
                kinds);
    if (c->store.table) {
        store_check_blocks(c->logical_block_size, c->physical_block_size, at,
                           e);
        store_check_stack(&c->store, e);
        return;
    }
    if (c->serial)
        errs_at(e, at, "serial", "is the unit's own, unless it is a store");
    if (c->read_only)
        errs_at(e, at, "read_only",
                "only a store can be kept from writes; here the target or the "
                "host decides");
    if (c->logical_block_size)
        errs_at(e, at, "logical_block_size",
                "is the unit's own, unless it is a store");
    if (c->physical_block_size)
        errs_at(e, at, "physical_block_size",
                "is the unit's own, unless it is a store");
}

void luns_check(const struct conf_anys *luns, struct errs *e)
{
    for (int i = 0; i < luns->count; i++) {
        const struct lun_conf *c = luns->list[i].data;

        for (int j = 0; j < i; j++) {
            const struct lun_conf *other = luns->list[j].data;

            if (other->target != c->target || other->lun != c->lun)
                continue;
            errs_at(e, luns->list[i].at, "lun",
                    "target %" PRIu32 " has a unit %" PRIu32 " already: %s",
                    c->target, c->lun, luns->list[j].at);
            break;
        }
    }
}

static const struct conf_key sg_keys[] = {
    {"path", CONF_PATH, CONF_AT(struct lun_sg_conf, path), .required = true,
     .help = "The generic node of the device: /dev/sg0 or the like."},
    {"io_timeout", CONF_U32, CONF_AT(struct lun_sg_conf, io_timeout),
     .def = "30000", .min = 1, .max = 86400000,
     .help = "Milliseconds after which the host gives a command up. Formatting "
             "or rewinding takes longer than the default."},
    {NULL},
};

static const struct conf_table sg_table = {
    .name = "sg",
    .size = sizeof(struct lun_sg_conf),
    .keys = sg_keys,
    .help = "A SCSI device of the host.",
};

static const struct conf_key lun_keys[] = {
    {"target", CONF_U32, CONF_AT(struct lun_conf, target), .def = "0",
     .max = SCSI_TARGETS - 1, .help = "The target that has the unit."},
    {"lun", CONF_U32, CONF_AT(struct lun_conf, lun), .def = "0",
     .max = SCSI_LUNS - 1,
     .help = "Its number there. A target should have a unit 0: some guests "
             "look no further otherwise."},
    {"store", CONF_UNION, CONF_AT(struct lun_conf, store), .of = &store_union,
     .help = "A disk of vub's making, whose blocks live there."},
    {"iscsi", CONF_TABLE, CONF_AT(struct lun_conf, iscsi),
     .table = &iscsi_table,
     .seen_offset = CONF_SEEN(struct lun_conf, has_iscsi),
     .help = "Instead: a unit of an iSCSI target, to which every command goes "
             "as it is. Units of one device share a session if all but their "
             "number is the same; devices never do."},
    {"sg", CONF_TABLE, CONF_AT(struct lun_conf, sg), .table = &sg_table,
     .shorthand = "path", .seen_offset = CONF_SEEN(struct lun_conf, has_sg),
     .help = "Instead: a SCSI device of the host, to which every command goes "
             "as it is: its generic node, or an object."},
    {"read_only", CONF_BOOL, CONF_AT(struct lun_conf, read_only),
     .def = "false",
     .help = "Of a store: refuse everything that writes, and open it "
             "read-only."},
    {"serial", CONF_STR, CONF_AT(struct lun_conf, serial), .min = 1, .max = 36,
     .help = "Of a store: the serial number that the guest sees, at most 36 "
             "bytes. Default: made of the device's id and the numbers."},
    {"logical_block_size", CONF_U32,
     CONF_AT(struct lun_conf, logical_block_size), .min = 512, .max = 65536,
     .help = "Of a store: the unit of its addresses, bytes. Default: what the "
             "store asks for, mostly 512."},
    {"physical_block_size", CONF_U32,
     CONF_AT(struct lun_conf, physical_block_size), .min = 512, .max = 65536,
     .help = "Of a store: what it writes best, bytes. Default: what the store "
             "reports."},
    {NULL},
};

const struct conf_table lun_table = {
    .name = "lun",
    .size = sizeof(struct lun_conf),
    .keys = lun_keys,
    .help = "A logical unit of a SCSI host.",
    .check = lun_check,
};
