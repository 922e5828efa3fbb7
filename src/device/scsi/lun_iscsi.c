/* A LUN that is a unit of an iSCSI target: commands pass through, and what the
 * target answers reaches the guest as it is, unit attentions too. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "device/scsi/lun.h"

struct iscsi_lun {
    struct lun lun;
    struct iscsi_unit unit;
    const struct lun_conf *conf;
    bool open; /* the unit is */
    void (*gone)(void *arg);
    void *gone_arg;
};

static struct iscsi_lun *iscsi_lun_of(struct lun *l)
{
    return container_of(l, struct iscsi_lun, lun);
}

static void on_unit_gone(struct iscsi_unit *u)
{
    struct iscsi_lun *il = container_of(u, struct iscsi_lun, unit);
    void (*gone)(void *arg) = il->gone;
    void *arg = il->gone_arg;

    free(il);
    gone(arg);
}

static int lun_open(struct lun **out, const struct lun_conf *c, const char *at,
                    const char *id, struct errs *e)
{
    struct iscsi_lun *il;
    char place[ERR_WHERE_BYTES];
    unsigned number;
    int rc;

    (void)id;
    snprintf(place, sizeof(place), "%s/iscsi", at);
    rc = iscsi_check(&c->iscsi, place, &number, e);
    if (rc < 0)
        return rc;
    il = calloc(1, sizeof(*il));
    if (!il)
        return errs_nomem(e);
    il->conf = c;
    il->unit.gone = on_unit_gone;
    *out = &il->lun;
    return 0;
}

static int lun_begin(struct lun *l, struct err *e)
{
    struct iscsi_lun *il = iscsi_lun_of(l);
    int rc = iscsi_open(&il->unit, &il->conf->iscsi, l->loop, l->id, e);

    il->open = rc == 0;
    return rc;
}

static void lun_close(struct lun *l, void (*gone)(void *arg), void *arg)
{
    struct iscsi_lun *il = iscsi_lun_of(l);

    il->gone = gone;
    il->gone_arg = arg;
    if (il->open)
        iscsi_close(&il->unit);
    else
        on_unit_gone(&il->unit);
}

/* What the guest may have to look at again, beside what the attention itself
 * tells: everything that is said to have changed. Not what units there are
 * (3F 0E): those are vub's, not the target's. */
static bool is_change(uint16_t asc)
{
    return asc >> 8 == SCSI_ASC_PARAMETERS_CHANGED >> 8 ||
           asc == SCSI_ASC_INQUIRY_CHANGED;
}

static void take_answer(struct iscsi_lun *il, struct scsi_task *t)
{
    const struct iscsi_cmd *c = &t->iscsi;
    uint8_t key;
    uint16_t asc;

    t->response = SCSI_R_OK;
    t->status = c->status;
    t->moved = c->moved;
    t->overflow = c->overflow;
    t->sense_len = c->sense_len;
    memcpy(t->sense, c->sense, c->sense_len);
    if (t->status == SCSI_GOOD && t->overflow && t->moved == t->len)
        t->response = SCSI_R_OVERRUN;
    if (t->status == SCSI_CHECK_CONDITION &&
        scsi_sense_read(t->sense, t->sense_len, &key, &asc) &&
        key == SCSI_UNIT_ATTENTION && is_change(asc))
        il->lun.host->changed(&il->lun, (enum scsi_asc)asc, false);
}

static void on_done(struct iscsi_cmd *c)
{
    struct scsi_task *t = container_of(c, struct scsi_task, iscsi);
    struct iscsi_lun *il = iscsi_lun_of(t->lun);

    t->moved = t->overflow = 0;
    t->sense_len = 0;
    t->status = SCSI_GOOD;
    switch (c->end) {
    case ISCSI_ANSWERED:
        take_answer(il, t);
        break;
    case ISCSI_LOST:
        /* Perhaps it was executed: the guest is to know that it is not known.
         * A unit attention would say that it was not. */
        scsi_task_check(t, SCSI_ABORTED_COMMAND, SCSI_ASC_NEXUS_LOSS);
        break;
    case ISCSI_TIMED_OUT:
        t->response = SCSI_R_TRANSPORT_FAILURE;
        break;
    case ISCSI_ABORTED:
        t->response = SCSI_R_ABORTED;
        break;
    case ISCSI_FULL:
        t->response = SCSI_R_BUSY;
        break;
    case ISCSI_REFUSED:
        t->response = SCSI_R_TARGET_FAILURE;
        break;
    }
    scsi_task_done(t);
}

static void lun_submit(struct lun *l, struct scsi_task *t)
{
    struct iscsi_lun *il = iscsi_lun_of(l);
    struct iscsi_cmd *c = &t->iscsi;

    if (t->cdb_len > ISCSI_CDB_MAX) {
        scsi_task_check(t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
        scsi_task_done(t);
        return;
    }
    if (t->len > UINT32_MAX) {
        scsi_task_check(t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
        scsi_task_done(t);
        return;
    }
    memcpy(c->cdb, t->cdb, ISCSI_CDB_MAX);
    c->cdb_len = t->cdb_len;
    c->out = t->dir == SCSI_DATA_OUT;
    c->in = t->dir == SCSI_DATA_IN;
    c->iov = t->iov;
    c->iov_num = t->iov_num;
    c->len = (uint32_t)t->len;
    c->done = on_done;
    iscsi_submit(&il->unit, c);
}

static void lun_kick(struct lun *l)
{
    iscsi_kick(&iscsi_lun_of(l)->unit);
}

static void lun_give_up(struct lun *l, struct scsi_task *t)
{
    (void)l;
    iscsi_give_up(&t->iscsi);
}

static void on_tmf_done(struct iscsi_tmf *im)
{
    struct scsi_tmf *m = container_of(im, struct scsi_tmf, iscsi);
    struct iscsi_lun *il = container_of(im->unit, struct iscsi_lun, unit);

    m->rejected = im->result == -EOPNOTSUPP;
    m->failed = im->result < 0 && !m->rejected;
    lun_tmf_done(&il->lun, m);
}

static void lun_tmf(struct lun *l, struct scsi_tmf *m)
{
    static const enum iscsi_tmf_function functions[] = {
        [SCSI_TMF_ABORT_TASK] = ISCSI_TMF_ABORT_TASK,
        [SCSI_TMF_ABORT_TASK_SET] = ISCSI_TMF_ABORT_TASK_SET,
        [SCSI_TMF_CLEAR_ACA] = ISCSI_TMF_CLEAR_ACA,
        [SCSI_TMF_CLEAR_TASK_SET] = ISCSI_TMF_CLEAR_TASK_SET,
        [SCSI_TMF_LUN_RESET] = ISCSI_TMF_LUN_RESET,
    };

    m->iscsi.function = functions[m->function];
    m->iscsi.cmd = m->task ? &m->task->iscsi : NULL;
    m->iscsi.done = on_tmf_done;
    iscsi_tmf(&iscsi_lun_of(l)->unit, &m->iscsi);
}

/* What has changed the target says itself, by a unit attention. */
static void lun_refresh(struct lun *l)
{
    (void)l;
}

static void lun_reset(struct lun *l)
{
    (void)l;
}

static void lun_status(struct lun *l, struct json_out *o)
{
    struct iscsi_lun *il = iscsi_lun_of(l);

    if (!il->open)
        return;
    /* An object of its own: its "target" is another one than the host's. */
    json_begin(o, "iscsi", '{');
    iscsi_status(&il->unit, o);
    json_end(o, '}');
}

const struct lun_ops lun_iscsi_ops = {
    .type = "iscsi",
    .open = lun_open,
    .begin = lun_begin,
    .reset = lun_reset,
    .submit = lun_submit,
    .kick = lun_kick,
    .give_up = lun_give_up,
    .tmf = lun_tmf,
    .refresh = lun_refresh,
    .status = lun_status,
    .close = lun_close,
};
