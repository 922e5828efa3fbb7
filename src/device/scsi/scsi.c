/* The SCSI host: what it offers, its config space, its start and stop.
 *
 * All of it runs on the home loop, all rings too. Commands to one unit may come
 * over any of them, and the order of tasks, what is in flight, and what task
 * management does to it are one thing; what takes time is done elsewhere, by
 * the kernel, a target, or the threads of a store. */
#include "device/scsi/scsi.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/scsi/impl.h"

#define MAX_SECTORS 0xffff /* a hint: 32 MiB */
#define CMD_PER_LUN 128

/* ---- features and config space ---- */

static uint64_t scsi_features(struct device *d)
{
    (void)d;
    return FEATURE(VIRTIO_SCSI_F_HOTPLUG) | FEATURE(VIRTIO_SCSI_F_CHANGE);
}

static void scsi_config_read(struct device *d, void *config)
{
    const struct scsi *s = scsi_of(d);
    const struct virtio_scsi_config c = {
        .num_queues = htole32(s->conf->queues),
        .seg_max = htole32((uint32_t)d->chain_max - 2),
        .max_sectors = htole32(MAX_SECTORS),
        .cmd_per_lun = htole32(MIN(CMD_PER_LUN, s->conf->common.queue_size)),
        .event_info_size = htole32(sizeof(struct virtio_scsi_event)),
        .sense_size = htole32(s->sense_size),
        .cdb_size = htole32(s->cdb_size),
        .max_channel = htole16(0),
        .max_target = htole16(SCSI_TARGETS - 1),
        .max_lun = htole32(SCSI_LUNS - 1),
    };

    memcpy(config, &c, sizeof(c));
}

/* One of the two that a driver may write, if it lies in what is written.
 * -EINVAL: not this value; -EACCES: it does not. */
static int new_size(uint32_t at, uint32_t max, uint32_t offset,
                    const uint8_t *data, uint32_t len, uint32_t *size)
{
    le32 value;

    if (offset > at || at + sizeof(value) > offset + len)
        return -EACCES;
    memcpy(&value, data + (at - offset), sizeof(value));
    if (le32toh(value) > max)
        return -EINVAL;
    *size = le32toh(value);
    return 0;
}

static int scsi_config_write(struct device *d, uint32_t offset,
                             const void *data, uint32_t len)
{
    struct scsi *s = scsi_of(d);
    uint32_t sense_size = s->sense_size, cdb_size = s->cdb_size;
    int sense, cdb;

    sense = new_size(offsetof(struct virtio_scsi_config, sense_size),
                     SCSI_SENSE_ROOM_MAX, offset, data, len, &sense_size);
    cdb = new_size(offsetof(struct virtio_scsi_config, cdb_size),
                   SCSI_CDB_ROOM_MAX, offset, data, len, &cdb_size);
    if (sense == -EINVAL || cdb == -EINVAL)
        return -EINVAL;
    if (sense < 0 && cdb < 0)
        return -EACCES;
    s->sense_size = sense_size;
    s->cdb_size = cdb_size;
    scsi_keep_sizes(s);
    return 0;
}

/* ---- start and stop ---- */

static void answer_start(struct scsi *s)
{
    if (s->starting > 0 || s->answered)
        return;
    s->answered = true;
    device_started(&s->device, NULL);
}

/* One that cannot start keeps nobody from the others. */
static void on_lun_started(struct lun *l, const struct err *e)
{
    struct scsi *s = l->scsi;

    s->starting--;
    l->state = e ? LUN_FAILED : LUN_STARTED;
    if (e)
        log_limited(&s->limit, LOG_ERROR, s->device.id,
                    "%s: its commands fail until the guest is started anew",
                    e->text);
    answer_start(s);
}

static void on_lun_changed(struct lun *l, enum scsi_asc asc, bool attention)
{
    if (attention)
        scsi_attention(l, asc);
    if (!l->leaves)
        scsi_event_changed(l->scsi, l->target, l->lun, asc);
}

static void on_lun_drop(struct lun *l, const char *why)
{
    device_drop(&l->scsi->device, why);
}

const struct lun_host scsi_lun_host = {
    .task_done = scsi_on_task_done,
    .tmf_done = scsi_on_tmf_done,
    .started = on_lun_started,
    .changed = on_lun_changed,
    .drop = on_lun_drop,
};

static void scsi_start(struct device *d, const struct device_start *start)
{
    struct scsi *s = scsi_of(d);

    s->features = start->features;
    s->recovered = start->recovered;
    s->started = true;
    s->answered = false;
    s->starting = 1; /* until all are asked */
    luns_start(s);
    s->starting--;
    s->goes_on = false;
    scsi_keep_session(s, true);
    answer_start(s);
}

static void scsi_stop(struct device *d)
{
    struct scsi *s = scsi_of(d);

    s->answered = true; /* stop takes the answer's place */
    luns_stop(s);
    s->starting = 0;
    s->started = false;
    s->goes_on = d->suspends;
    if (!d->suspends)
        scsi_keep_session(s, false);
}

/* In a process that may be killed all is kept already: it is asked whether it
 * can be. */
static int save_luns(struct device *d, struct err *e)
{
    struct scsi *s = scsi_of(d);

    LIST_EACH (&s->luns, node) {
        struct lun *l = container_of(node, struct lun, node);
        int rc = l->ops->save ? l->ops->save(l, e) : 0;

        if (rc < 0)
            return rc;
    }
    return 0;
}

/* All rings have stopped: what was told has been seen. */
static int scsi_save(struct device *d, struct err *e)
{
    scsi_keep_told(scsi_of(d));
    return save_luns(d, e);
}

static void scsi_reset(struct device *d)
{
    struct scsi *s = scsi_of(d);

    s->sense_size = VIRTIO_SCSI_SENSE_BYTES;
    s->cdb_size = VIRTIO_SCSI_CDB_BYTES;
    scsi_keep_sizes(s);
    scsi_events_reset(s);
    LIST_EACH (&s->luns, node) {
        struct lun *l = container_of(node, struct lun, node);

        l->num_attentions = 0;
        scsi_keep_attentions(l);
        if (l->ops->reset)
            l->ops->reset(l);
    }
}

static int scsi_begin(struct device *d, struct err *e)
{
    struct scsi *s = scsi_of(d);

    LIST_EACH (&s->luns, node) {
        int rc = luns_begin(s, container_of(node, struct lun, node), e);

        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- rings ---- */

static int scsi_ring_start(struct device *d, struct ring *q, struct err *e)
{
    struct scsi *s = scsi_of(d);

    (void)e;
    assert(q->loop == d->home);
    s->repeated[q->index] = q->recovered;
    s->rings[q->index] = q;
    if (q->index == VIRTIO_SCSI_EVENTQ)
        scsi_events_start(s, q);
    return 0;
}

static void scsi_ring_kick(struct device *d, struct ring *q)
{
    struct scsi *s = scsi_of(d);

    if (UNLIKELY(s->told))
        scsi_keep_told(s);
    if (LIKELY(q->index >= VIRTIO_SCSI_REQUESTQ))
        scsi_request_kick(s, q);
    else if (q->index == VIRTIO_SCSI_EVENTQ)
        scsi_events_kick(s);
    else
        scsi_control_kick(s, q);
}

static void scsi_ring_drain(struct device *d, struct ring *q, enum drain how)
{
    struct scsi *s = scsi_of(d);

    if (q->index >= VIRTIO_SCSI_REQUESTQ)
        scsi_request_drain(s, q, how);
    else if (q->index == VIRTIO_SCSI_CONTROLQ)
        scsi_control_drain(s, q, how);
}

static void scsi_ring_stop(struct device *d, struct ring *q)
{
    if (q->index == VIRTIO_SCSI_EVENTQ)
        scsi_events_stop(scsi_of(d));
    scsi_of(d)->rings[q->index] = NULL;
}

/* ---- life ---- */

static void scsi_refresh(struct device *d)
{
    LIST_EACH (&scsi_of(d)->luns, node) {
        struct lun *l = container_of(node, struct lun, node);

        if (l->ops->refresh)
            l->ops->refresh(l);
    }
}

static void free_if_empty(struct scsi *s)
{
    if (!s->closing || s->num_units > 0)
        return;
    scsi_keep_close(s);
    device_gone(&s->device);
    free(s);
}

void scsi_unit_gone(struct scsi *s)
{
    s->num_units--;
    free_if_empty(s);
}

static void on_closed(void *arg)
{
    (void)arg;
}

/* Some may be leaving already. */
static void scsi_close(struct device *d)
{
    struct scsi *s = scsi_of(d);

    while (!list_empty(&s->luns))
        luns_remove(s, container_of(s->luns.next, struct lun, node), on_closed,
                    NULL);
    s->closing = true;
    free_if_empty(s);
}

static const struct device_ops scsi_ops = {
    .feature_names = scsi_feature_names,
    .begin = scsi_begin,
    .features = scsi_features,
    .config_len = sizeof(struct virtio_scsi_config),
    .config_read = scsi_config_read,
    .config_write = scsi_config_write,
    .start = scsi_start,
    .stop = scsi_stop,
    .reset = scsi_reset,
    .ring_start = scsi_ring_start,
    .ring_kick = scsi_ring_kick,
    .ring_drain = scsi_ring_drain,
    .ring_stop = scsi_ring_stop,
    .refresh = scsi_refresh,
    .save = scsi_save,
    .may_be_killed = save_luns,
    .close = scsi_close,
};

/* Those of the config that nobody has removed since, and those that were added.
 */
static int add_units(struct scsi *s, struct errs *e)
{
    const struct conf_anys *luns = &s->conf->luns;
    int rc = 0, failed;
    struct lun *l;

    for (int i = 0; i < luns->count; i++) {
        const struct conf_any *at = &luns->list[i];
        const struct lun_conf *c = at->data;

        if (scsi_keep_has_other(s, c->target, c->lun))
            continue;
        failed = luns_add(s, c, at->at, NULL, &l, e);
        if (failed < 0)
            rc = failed;
        else
            scsi_keep_unit(l, false);
    }
    if (rc == 0)
        scsi_keep_open_added(s);
    return rc;
}

static int scsi_open(struct device **out, const struct conf_any *c,
                     struct errs *e)
{
    const struct scsi_conf *conf = c->data;
    struct scsi *s = calloc(1, sizeof(*s));
    struct err why;
    int rc;

    if (!s)
        return errs_nomem(e);
    s->conf = conf;
    list_init(&s->luns);
    list_init(&s->to_kick);
    list_init(&s->controls);
    list_init(&s->tmfs);
    s->device = (struct device){
        .ops = &scsi_ops,
        .id = conf->common.id,
        .num_queues = SCSI_QUEUES_FIXED + conf->queues,
        .priv_size = MAX(sizeof(struct scsi_task), sizeof(struct scsi_control)),
        /* The head and the answer are a piece each. */
        .chain_max = (uint16_t)(MAX(
            MIN(conf->seg_max + 2, conf->common.queue_size), 3u)),
    };
    s->sense_size = VIRTIO_SCSI_SENSE_BYTES;
    s->cdb_size = VIRTIO_SCSI_CDB_BYTES;
    rc = scsi_keep_open(s, &why);
    if (rc < 0) {
        free(s);
        return errs_adopt(e, c->at, NULL, &why);
    }
    rc = add_units(s, e);
    if (rc < 0) {
        scsi_close(&s->device);
        return rc;
    }
    *out = &s->device;
    return 0;
}

static unsigned scsi_queues(const void *conf)
{
    return SCSI_QUEUES_FIXED + ((const struct scsi_conf *)conf)->queues;
}

static struct store *scsi_store(struct device *d, unsigned i)
{
    LIST_EACH (&scsi_of(d)->luns, node) {
        struct lun *l = container_of(node, struct lun, node);

        if (l->ops->store && !l->leaves && i-- == 0)
            return l->ops->store(l);
    }
    return NULL;
}

static const struct device_type scsi_type = {
    .open = scsi_open,
    .queues = scsi_queues,
    .commands = scsi_commands,
    .stores = scsi_store,
    .status = scsi_status,
    .metrics = scsi_metrics,
    .is_block = true,
    .grows = true,
};

static void scsi_conf_check(void *data, const char *at, struct errs *e)
{
    const struct scsi_conf *conf = data;

    if (conf->common.worker.count > 1)
        errs_at(e, at, "worker", "a SCSI host runs on one worker, not %d",
                conf->common.worker.count);
    luns_check(&conf->luns, e);
}

static const struct conf_key scsi_keys[] = {
    {"luns", CONF_TABLES, CONF_AT(struct scsi_conf, luns), .table = &lun_table,
     .help = "Its logical units: disks made of stores, iSCSI units, devices of "
             "the host. More may be added while it runs."},
    {"queues", CONF_U32, CONF_AT(struct scsi_conf, queues), .def = "1",
     .min = 1, .max = DEVICE_MAX_QUEUES - SCSI_QUEUES_FIXED,
     .help = "How many queues for requests the guest may use; two more are for "
             "task management and for events."},
    {"seg_max", CONF_U32, CONF_AT(struct scsi_conf, seg_max), .def = "126",
     .min = 1, .max = RING_SIZE_MAX - 2,
     .help = "How many pieces of memory a command may be scattered over; not "
             "more than queue_size less 2."},
    {NULL},
};

const struct conf_table scsi_table = {
    .name = "scsi",
    .size = sizeof(struct scsi_conf),
    .keys = scsi_keys,
    .help = "A SCSI host with any number of targets and logical units: "
            "virtio-scsi.",
    .check = scsi_conf_check,
    .ops = &scsi_type,
};
