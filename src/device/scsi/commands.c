/* What a SCSI host tells on the control socket, and what it can be told. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "device/scsi/impl.h"

const char *const scsi_feature_names[24] = {
    [VIRTIO_SCSI_F_INOUT] = "SCSI_INOUT",
    [VIRTIO_SCSI_F_HOTPLUG] = "SCSI_HOTPLUG",
    [VIRTIO_SCSI_F_CHANGE] = "SCSI_CHANGE",
    [VIRTIO_SCSI_F_T10_PI] = "SCSI_T10_PI",
};

/* ---- status ---- */

static void unit_status(struct lun *l, struct json_out *o)
{
    unsigned in_flight = 0;

    LIST_EACH (&l->tasks, node)
        in_flight++;
    json_begin(o, NULL, '{');
    json_add_u64(o, "target", l->target);
    json_add_u64(o, "lun", l->lun);
    json_add_str(o, "type", l->ops->type);
    json_add_u64(o, "commands", l->stats.commands);
    json_add_u64(o, "bytes_read", l->stats.bytes_read);
    json_add_u64(o, "bytes_written", l->stats.bytes_written);
    json_add_u64(o, "check_conditions", l->stats.checks);
    json_add_u64(o, "failed", l->stats.failed);
    json_add_u64(o, "in_flight", in_flight);
    if (l->ops->status)
        l->ops->status(l, o);
    json_end(o, '}');
}

void scsi_status(struct device *d, struct json_out *o)
{
    struct scsi *s = scsi_of(d);

    json_add_u64(o, "bad_requests", s->bad);
    json_add_u64(o, "events", s->events.sent);
    json_add_u64(o, "lost_events", s->events.lost);
    json_begin(o, "luns", '[');
    LIST_EACH (&s->luns, node)
        unit_status(container_of(node, struct lun, node), o);
    json_end(o, ']');
}

/* ---- metrics ---- */

static const struct metric_family commands = {
    "vub_scsi_commands", METRIC_COUNTER, NULL,
    "Commands to a logical unit that have ended."};
static const struct metric_family bytes = {"vub_scsi_bytes", METRIC_COUNTER,
                                           "bytes",
                                           "Bytes from and to a logical unit."};
static const struct metric_family checks = {
    "vub_scsi_check_conditions", METRIC_COUNTER, NULL,
    "Commands that ended with CHECK CONDITION."};
static const struct metric_family failed = {
    "vub_scsi_failed", METRIC_COUNTER, NULL,
    "Commands that ended with a response that is not OK."};
static const struct metric_family bad = {"vub_scsi_bad_requests",
                                         METRIC_COUNTER, NULL,
                                         "Requests that were no such thing."};
static const struct metric_family lost = {
    "vub_scsi_lost_events", METRIC_COUNTER, NULL,
    "Events for which the guest had no buffer in time."};

static void unit_metrics(const struct lun *l, struct metrics *m)
{
    unsigned target = l->target, lun = l->lun;
    char where[48];

    metrics_add(m, &commands, l->stats.commands, "target=\"%u\",lun=\"%u\"",
                target, lun);
    metrics_add(m, &bytes, l->stats.bytes_read,
                "target=\"%u\",lun=\"%u\",operation=\"read\"", target, lun);
    metrics_add(m, &bytes, l->stats.bytes_written,
                "target=\"%u\",lun=\"%u\",operation=\"write\"", target, lun);
    metrics_add(m, &checks, l->stats.checks, "target=\"%u\",lun=\"%u\"", target,
                lun);
    metrics_add(m, &failed, l->stats.failed, "target=\"%u\",lun=\"%u\"", target,
                lun);
    if (l->ops->store) {
        snprintf(where, sizeof(where), "target=\"%u\",lun=\"%u\"", target, lun);
        store_metrics(l->ops->store((struct lun *)l), m, where);
    }
}

void scsi_metrics(struct device *d, struct metrics *m)
{
    struct scsi *s = scsi_of(d);

    metrics_add(m, &bad, s->bad, "%s", "");
    metrics_add(m, &lost, s->events.lost, "%s", "");
    LIST_EACH (&s->luns, node)
        unit_metrics(container_of(node, struct lun, node), m);
}

/* ---- commands ---- */

/* The guest is told that a target has other units now than it had; by those
 * that are there, except the one that comes or goes. */
static void list_has_changed(struct scsi *s, uint8_t target,
                             const struct lun *other)
{
    LIST_EACH (&s->luns, node) {
        struct lun *l = container_of(node, struct lun, node);

        if (l->target == target && l != other)
            scsi_attention(l, SCSI_ASC_LUNS_CHANGED);
    }
}

static void fail(struct call *c, struct err *e)
{
    char at[sizeof(e->where)];

    /* Places in a unit's config are places in the parameters. */
    snprintf(at, sizeof(at), "%s", e->where);
    if (at[0] == '\0')
        snprintf(e->where, sizeof(e->where), "/params");
    call_fail(c, e);
}

static void on_discarded(void *arg)
{
    (void)arg;
}

static void run_lun_add(struct device *d, struct call *c)
{
    const struct lun_conf *conf = c->args;
    struct scsi *s = scsi_of(d);
    struct errs es = ERRS_EMPTY;
    struct lun *l;
    struct err e;
    int rc;

    rc = luns_add(s, conf, "/params", c->doc, &l, &es);
    if (rc < 0) {
        if (es.count)
            e = es.list[0];
        else
            err_nomem(&e);
        errs_free(&es);
        fail(c, &e);
        return;
    }
    errs_free(&es);
    scsi_keep_added(l, c);
    rc = luns_begin(s, l, &e);
    if (rc < 0) {
        scsi_keep_removed(l);
        luns_remove(s, l, on_discarded, NULL);
        fail(c, &e);
        return;
    }
    list_has_changed(s, l->target, l);
    scsi_event_transport(s, l->target, l->lun, VIRTIO_SCSI_EVT_RESET_RESCAN);
    log_info(d->id, "target %u has a unit %u, %s", l->target, l->lun,
             l->ops->type);
    json_add_u64(&c->out, "target", l->target);
    json_add_u64(&c->out, "lun", l->lun);
    call_done(c);
}

struct unit_args {
    uint32_t target, lun;
    uint64_t size;
    bool has_size;
};

/* NULL: there is none, which is c's answer. */
static struct lun *named(struct scsi *s, struct call *c)
{
    const struct unit_args *args = c->args;
    struct lun *l =
        luns_find(s, (uint8_t)args->target, (uint16_t)args->lun, NULL);
    struct err e;

    if (!l) {
        err_set(&e, -ENODEV, "/params/lun",
                "target %" PRIu32 " has no unit %" PRIu32, args->target,
                args->lun);
        call_fail(c, &e);
    }
    return l;
}

static void on_removed(void *arg)
{
    call_done(arg);
}

static void run_lun_remove(struct device *d, struct call *c)
{
    struct scsi *s = scsi_of(d);
    struct lun *l = named(s, c);

    if (!l)
        return;
    log_info(d->id, "target %u loses its unit %u", l->target, l->lun);
    scsi_event_transport(s, l->target, l->lun, VIRTIO_SCSI_EVT_RESET_REMOVED);
    list_has_changed(s, l->target, l);
    scsi_keep_removed(l);
    luns_remove(s, l, on_removed, c); /* answers c, at once perhaps */
}

static void run_resize(struct device *d, struct call *c)
{
    const struct unit_args *args = c->args;
    struct lun *l = named(scsi_of(d), c);
    struct err e;

    if (!l)
        return;
    if (!args->has_size) {
        if (l->ops->refresh)
            l->ops->refresh(l);
    } else if (!l->ops->resize) {
        err_set(&e, -EOPNOTSUPP, "/params/size",
                "the size of a unit of the type %s is not vub's to change",
                l->ops->type);
        call_fail(c, &e);
        return;
    } else if (l->ops->resize(l, args->size, &e) < 0) {
        snprintf(e.where, sizeof(e.where), "/params/size");
        call_fail(c, &e);
        return;
    }
    call_done(c);
}

#define UNIT_KEYS                                                              \
    {"target",                                                                 \
     CONF_U32,                                                                 \
     CONF_AT(struct unit_args, target),                                        \
     .def = "0",                                                               \
     .max = SCSI_TARGETS - 1,                                                  \
     .help = "The target that has the unit."},                                 \
    {                                                                          \
        "lun", CONF_U32, CONF_AT(struct unit_args, lun),                       \
            .def = "0", .max = SCSI_LUNS - 1, .help = "Its number there."      \
    }

static const struct conf_key remove_keys[] = {
    UNIT_KEYS,
    {NULL},
};

static const struct conf_table remove_table = {
    .name = "scsi.lun_remove",
    .size = sizeof(struct unit_args),
    .keys = remove_keys,
};

static const struct conf_key resize_keys[] = {
    UNIT_KEYS,
    {"size", CONF_SIZE, CONF_AT(struct unit_args, size), .min = 512,
     .seen_offset = CONF_SEEN(struct unit_args, has_size),
     .help = "The new size, of a store that lives in vub: memory or null."},
    {NULL},
};

static const struct conf_table resize_table = {
    .name = "scsi.resize",
    .size = sizeof(struct unit_args),
    .keys = resize_keys,
};

const struct command scsi_commands[] = {
    {"scsi.lun_add", &lun_table,
     "Give a SCSI host one more logical unit, by the keys that \"luns\" of the "
     "config have, and tell the guest.",
     run_lun_add},
    {"scsi.lun_remove", &remove_table,
     "Take a logical unit away. What the guest has under way there ends; the "
     "answer comes when it has.",
     run_lun_remove},
    {"scsi.resize", &resize_table,
     "Change the size of a unit that is a store, and tell the guest. Without "
     "a size: look again at what it is made of, as SIGHUP does.",
     run_resize},
    {NULL},
};
