/* The control queue: task management and asynchronous notifications.
 *
 * Spec: virtio, "SCSI Host Device", "Device Operation: controlq"; SAM-5 7.
 *
 * A function is done by the unit (lun.h: tmf), since only it knows how to stop
 * what it has; those that ask, and the reset of a nexus, are done here from the
 * lists of tasks. A task that is to end gets its `fate` first, so that it does
 * not matter how the unit ends it. The guest is answered when all that was to
 * end has ended, whoever ended it, hence when nothing touches its memory any
 * more.
 *
 * A drain does not wait for a target: the guest is told FAILURE, and what is
 * under way goes on as nobody's. */
#include <stdlib.h>
#include <string.h>

#include "device/scsi/impl.h"

#define ANSWER_MAX 64 /* bytes, of a type that is not known */
#define SAME_TAG_MAX 16
#define TURN_CONTROLS 16

#define CONTROL_OF(c) ((struct scsi_control *)chain_priv(c))

/* ---- answers ---- */

/* A guest that sees this one looks for the ends of the tasks: they are shown
 * first. */
static void answer_tmf(struct scsi *s, struct scsi_control *ctl)
{
    struct chain *c = chain_of_priv(ctl);

    for (unsigned i = VIRTIO_SCSI_REQUESTQ; i < s->device.num_queues; i++)
        if (s->rings[i])
            ring_publish(s->rings[i]);
    list_del(&ctl->node);
    chain_write(c, 0, &ctl->response, 1);
    chain_done(c, 1);
}

/* ---- what is waited for ---- */

static bool is_about(const struct scsi_control *ctl, const struct lun *l,
                     const struct scsi_task *t)
{
    return l->target == ctl->target && (ctl->of_target || l->lun == ctl->lun) &&
           t->seq < ctl->until && (!ctl->by_tag || t->tag == ctl->tag);
}

static bool has_tasks(const struct scsi *s, const struct scsi_control *ctl)
{
    LIST_EACH (&s->luns, at) {
        const struct lun *l = container_of(at, struct lun, node);

        LIST_EACH (&l->tasks, node)
            if (is_about(ctl, l, container_of(node, struct scsi_task, node)))
                return true;
    }
    return false;
}

static void settle(struct scsi *s, struct scsi_control *ctl)
{
    if (ctl->awaits > 0)
        return;
    /* Where a unit would not, tasks go on. */
    if (ctl->response == VIRTIO_SCSI_S_FUNCTION_COMPLETE && ctl->about_tasks &&
        has_tasks(s, ctl))
        return;
    answer_tmf(s, ctl);
}

void scsi_control_look(struct lun *l, const struct scsi_task *t)
{
    struct scsi *s = l->scsi;

    LIST_EACH_SAFE (&s->controls, node) {
        struct scsi_control *ctl =
            container_of(node, struct scsi_control, node);

        if (ctl->about_tasks && is_about(ctl, l, t))
            settle(s, ctl);
    }
}

static void release(struct scsi *s, struct scsi_control *ctl)
{
    ctl->awaits--;
    settle(s, ctl);
}

void scsi_on_tmf_done(struct lun *l, struct scsi_tmf *m)
{
    struct scsi_control *ctl = m->control;

    list_del(&m->node);
    /* What has not ended though it was to goes on. */
    LIST_EACH (&l->tasks, node) {
        struct scsi_task *t = container_of(node, struct scsi_task, node);

        if (t->because != m)
            continue;
        t->because = NULL;
        t->fate = SCSI_R_OK;
    }
    if (ctl) {
        if (m->rejected)
            ctl->response = VIRTIO_SCSI_S_FUNCTION_REJECTED;
        else if (m->failed)
            ctl->response = VIRTIO_SCSI_S_FAILURE;
        release(l->scsi, ctl);
    }
    free(m);
    l->num_tmfs--;
    luns_settle(l);
}

/* ---- task management ---- */

static bool concerns(const struct scsi_tmf *m, const struct scsi_task *t)
{
    switch (m->function) {
    case SCSI_TMF_ABORT_TASK:
        return t == m->task;
    case SCSI_TMF_CLEAR_ACA:
        return false;
    default:
        return true;
    }
}

/* Has the unit do it. `fate`: of the tasks that it ends. */
static void manage(struct scsi_control *ctl, struct lun *l,
                   enum scsi_tmf_function function, struct scsi_task *task,
                   enum scsi_response fate)
{
    struct scsi_tmf *m = calloc(1, sizeof(*m));

    if (!m) {
        ctl->response = VIRTIO_SCSI_S_FAILURE;
        return;
    }
    m->function = function;
    m->task = task;
    m->control = ctl;
    ctl->awaits++;
    l->num_tmfs++;
    list_add(&l->scsi->tmfs, &m->node);
    LIST_EACH (&l->tasks, node) {
        struct scsi_task *t = container_of(node, struct scsi_task, node);

        if (!concerns(m, t) || t->fate != SCSI_R_OK)
            continue;
        t->fate = fate;
        t->because = m;
    }
    l->ops->tmf(l, m);
}

/* What ends already is waited for, and no more. */
static struct scsi_task *find_task(const struct lun *l, uint64_t tag)
{
    LIST_EACH (&l->tasks, node) {
        struct scsi_task *t = container_of(node, struct scsi_task, node);

        if (t->tag == tag && t->fate == SCSI_R_OK)
            return t;
    }
    return NULL;
}

/* A tag that is used twice means both, but no crowd. The end of one may be the
 * end of others: they are looked for anew. */
static void abort_task(struct scsi_control *ctl, struct lun *l, uint64_t tag)
{
    struct scsi_task *t;
    unsigned n = 0;

    while (ctl->response == VIRTIO_SCSI_S_FUNCTION_COMPLETE &&
           (t = find_task(l, tag)) != NULL) {
        if (n++ == SAME_TAG_MAX) {
            ctl->response = VIRTIO_SCSI_S_FAILURE;
            return;
        }
        manage(ctl, l, SCSI_TMF_ABORT_TASK, t, SCSI_R_ABORTED);
    }
}

/* The tasks of a target end, its units forget what they knew of the guest. */
static void reset_nexus(struct scsi *s, struct scsi_control *ctl, int target)
{
    ctl->about_tasks = ctl->of_target = true;
    ctl->target = (uint8_t)target;
    ctl->until = s->seq;
    LIST_EACH_SAFE (&s->luns, node) {
        struct lun *l = container_of(node, struct lun, node);

        if (l->target != target)
            continue;
        if (!list_empty(&l->tasks))
            manage(ctl, l, SCSI_TMF_ABORT_TASK_SET, NULL, SCSI_R_RESET);
        scsi_attention(l, SCSI_ASC_NEXUS_LOSS);
    }
}

/* Which tasks the answer waits for. */
static void wait_for(struct scsi_control *ctl, const struct scsi *s,
                     const struct lun *l, const uint64_t *tag)
{
    ctl->about_tasks = true;
    ctl->target = l->target;
    ctl->lun = l->lun;
    ctl->until = s->seq;
    ctl->by_tag = tag != NULL;
    if (tag)
        ctl->tag = *tag;
}

static bool has_task(const struct lun *l, const uint64_t *tag)
{
    LIST_EACH (&l->tasks, node) {
        const struct scsi_task *t = container_of(node, struct scsi_task, node);

        if (!tag || t->tag == *tag)
            return true;
    }
    return false;
}

static void start_function(struct scsi *s, struct scsi_control *ctl,
                           uint32_t function, struct lun *l, uint64_t tag)
{
    switch (function) {
    case VIRTIO_SCSI_T_TMF_ABORT_TASK:
        wait_for(ctl, s, l, &tag);
        abort_task(ctl, l, tag);
        break;
    case VIRTIO_SCSI_T_TMF_ABORT_TASK_SET:
        wait_for(ctl, s, l, NULL);
        manage(ctl, l, SCSI_TMF_ABORT_TASK_SET, NULL, SCSI_R_ABORTED);
        break;
    case VIRTIO_SCSI_T_TMF_CLEAR_TASK_SET:
        wait_for(ctl, s, l, NULL);
        manage(ctl, l, SCSI_TMF_CLEAR_TASK_SET, NULL, SCSI_R_ABORTED);
        break;
    case VIRTIO_SCSI_T_TMF_CLEAR_ACA:
        manage(ctl, l, SCSI_TMF_CLEAR_ACA, NULL, SCSI_R_OK);
        break;
    case VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET:
        wait_for(ctl, s, l, NULL);
        if (l->ops->is_ours)
            scsi_attention(l, SCSI_ASC_DEVICE_RESET);
        manage(ctl, l, SCSI_TMF_LUN_RESET, NULL, SCSI_R_RESET);
        break;
    case VIRTIO_SCSI_T_TMF_QUERY_TASK:
        if (has_task(l, &tag))
            ctl->response = VIRTIO_SCSI_S_FUNCTION_SUCCEEDED;
        break;
    case VIRTIO_SCSI_T_TMF_QUERY_TASK_SET:
        if (has_task(l, NULL))
            ctl->response = VIRTIO_SCSI_S_FUNCTION_SUCCEEDED;
        break;
    default:
        ctl->response = VIRTIO_SCSI_S_FUNCTION_REJECTED;
        break;
    }
}

static void task_management(struct scsi *s, struct ring *q, struct chain *c)
{
    struct scsi_control *ctl = CONTROL_OF(c);
    struct virtio_scsi_ctrl_tmf_req ask;
    uint32_t function;
    struct scsi_to to;

    *ctl = (struct scsi_control){
        .awaits = 1, /* until all has been begun */
        .response = VIRTIO_SCSI_S_FUNCTION_COMPLETE,
        .ring = q,
    };
    list_init(&ctl->node);
    if (chain_read(c, 0, &ask, sizeof(ask)) < sizeof(ask)) {
        ctl->response = VIRTIO_SCSI_S_FAILURE;
        release(s, ctl);
        return;
    }
    list_add(&s->controls, &ctl->node);
    function = le32toh(ask.subtype);
    scsi_find(s, ask.lun, &to);
    if (to.kind == SCSI_TO_NOBODY || to.kind == SCSI_TO_NOTHING)
        ctl->response = VIRTIO_SCSI_S_BAD_TARGET;
    else if (function == VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET && to.target >= 0)
        reset_nexus(s, ctl, to.target);
    else if (!to.lun)
        ctl->response = VIRTIO_SCSI_S_INCORRECT_LUN;
    else
        start_function(s, ctl, function, to.lun, le64toh(ask.id));
    release(s, ctl);
}

/* ---- asynchronous notifications ---- */

/* Of MMC's media events and the like, none of which our units have: none is
 * subscribed to. */
static void notifications(struct scsi *s, struct chain *c)
{
    struct virtio_scsi_ctrl_an_req ask;
    struct virtio_scsi_ctrl_an_resp out = {
        .event_actual = htole32(0),
        .response = VIRTIO_SCSI_S_OK,
    };
    struct scsi_to to;

    if (chain_read(c, 0, &ask, sizeof(ask)) < sizeof(ask)) {
        out.response = VIRTIO_SCSI_S_FAILURE;
    } else {
        scsi_find(s, ask.lun, &to);
        if (to.kind == SCSI_TO_NOBODY || to.kind == SCSI_TO_NOTHING)
            out.response = VIRTIO_SCSI_S_BAD_TARGET;
        else if (!to.lun)
            out.response = VIRTIO_SCSI_S_INCORRECT_LUN;
    }
    chain_done(c, (uint32_t)chain_write(c, 0, &out, sizeof(out)));
}

/* ---- the ring ---- */

/* Of no type that we know: its response is the last byte, by whatever type. */
static void refuse(struct chain *c)
{
    uint8_t out[ANSWER_MAX] = {0};

    if (c->in_len == 0 || c->in_len > sizeof(out)) {
        chain_done(c, 0);
        return;
    }
    out[c->in_len - 1] = VIRTIO_SCSI_S_FAILURE;
    chain_done(c, (uint32_t)chain_write(c, 0, out, c->in_len));
}

static void handle(struct scsi *s, struct ring *q, struct chain *c)
{
    le32 type = htole32(UINT32_MAX);

    chain_read(c, 0, &type, sizeof(type));
    switch (le32toh(type)) {
    case VIRTIO_SCSI_T_TMF:
        if (c->in_len == 0)
            break;
        task_management(s, q, c);
        return;
    case VIRTIO_SCSI_T_AN_QUERY:
    case VIRTIO_SCSI_T_AN_SUBSCRIBE:
        if (c->in_len < sizeof(struct virtio_scsi_ctrl_an_resp))
            break;
        notifications(s, c);
        return;
    default:
        break;
    }
    s->bad++;
    log_limited(&s->limit, LOG_WARN, s->device.id,
                "ring %u: a request of a type that is not known, or without "
                "room for its answer",
                q->index);
    refuse(c);
}

/* Each may look at every task there is: a turn has few of them. */
void scsi_control_kick(struct scsi *s, struct ring *q)
{
    for (unsigned i = 0; i < TURN_CONTROLS; i++) {
        struct chain *c = ring_pop(q);

        if (!c)
            return;
        handle(s, q, c);
    }
}

static void abandon(struct scsi *s, struct scsi_control *ctl)
{
    LIST_EACH (&s->tmfs, node) {
        struct scsi_tmf *m = container_of(node, struct scsi_tmf, node);

        if (m->control == ctl)
            m->control = NULL;
    }
    ctl->response = VIRTIO_SCSI_S_FAILURE;
    answer_tmf(s, ctl);
}

void scsi_control_drain(struct scsi *s, struct ring *q, enum drain how)
{
    if (how != DRAIN_CANCEL)
        return;
    LIST_EACH_SAFE (&s->controls, node) {
        struct scsi_control *ctl =
            container_of(node, struct scsi_control, node);

        if (ctl->ring == q)
            abandon(s, ctl);
    }
}
