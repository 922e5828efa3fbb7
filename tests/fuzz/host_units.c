/* Units that end their tasks when the input says so: at once from inside
 * submit, give_up or tmf, later, or when they are told to; with whatever
 * answer. They keep the contract of device/scsi/lun.h. */
#include <string.h>

#include "host.h"

struct fake fakes[TARGETS][LUNS];
uint8_t mood;

/* unit_data of a task that is to end by itself points at it. */

static struct fake *fake_of(const struct lun *l)
{
    return &fakes[l->target][l->lun];
}

static bool concerns(const struct scsi_tmf *m, const struct scsi_task *t)
{
    if (m->function == SCSI_TMF_ABORT_TASK)
        return t->unit_user == m->local.until;
    return m->function != SCSI_TMF_CLEAR_ACA && t->unit_user < m->local.until;
}

static void settle(struct lun *l)
{
    struct fake *f = fake_of(l);
    struct list over, *node;

    list_init(&over);
    LIST_EACH_SAFE (&f->tmfs, at) {
        const struct scsi_tmf *m = container_of(at, struct scsi_tmf, unit_node);
        bool left = false;

        LIST_EACH (&f->tasks, it)
            left |= concerns(m, container_of(it, struct scsi_task, unit_node));
        if (left)
            continue;
        list_del(at);
        list_add(&over, at);
    }
    /* The last of them may be the end of l. */
    while ((node = list_pop(&over)) != NULL)
        lun_tmf_done(l, container_of(node, struct scsi_tmf, unit_node));
}

void fake_end(struct scsi_task *t, uint8_t how)
{
    struct lun *l = t->lun;
    struct fake *f = fake_of(l);
    bool any;

    list_del(&t->unit_node);
    t->response = how & 1 ? SCSI_R_OK : (enum scsi_response)(how >> 1 & 7);
    t->status = how & 16 ? SCSI_CHECK_CONDITION : SCSI_GOOD;
    t->sense_len = how & 16 ? SCSI_SENSE_MAX : 0;
    memset(t->sense, how, sizeof(t->sense));
    t->moved = how & 32 ? t->len : t->len / 2;
    if (t->dir == SCSI_DATA_IN) {
        uint64_t left = t->moved;

        for (int i = 0; i < t->iov_num && left > 0; i++) {
            size_t n = MIN((uint64_t)t->iov[i].iov_len, left);

            memset(t->iov[i].iov_base, how, n);
            left -= n;
        }
    }
    any = !list_empty(&f->tmfs);
    scsi_task_done(t); /* l is gone perhaps, unless it has something to do */
    if (any)
        settle(l);
}

/* The first task that is to end by itself; all: that there is. */
static struct scsi_task *next_of(const struct fake *f, bool all)
{
    LIST_EACH (&f->tasks, at) {
        struct scsi_task *t = container_of(at, struct scsi_task, unit_node);

        if (all || t->unit_data)
            return t;
    }
    return NULL;
}

static void fake_submit(struct lun *l, struct scsi_task *t)
{
    struct fake *f = fake_of(l);

    t->unit_user = f->next++;
    t->unit_data = NULL;
    list_add(&f->tasks, &t->unit_node);
    if (t->cdb[2] & 1)
        fake_end(t, t->cdb[3]);
    else if (t->cdb[2] & 2)
        t->unit_data = &mood;
}

static void fake_kick(struct lun *l)
{
    (void)l;
}

static void fake_give_up(struct lun *l, struct scsi_task *t)
{
    (void)l;
    if (mood & 1)
        t->unit_data = &mood;
    else
        fake_end(t, mood);
}

static void fake_tmf(struct lun *l, struct scsi_tmf *m)
{
    struct fake *f = fake_of(l);
    struct scsi_task *t;

    if (mood & 2) {
        m->rejected = true;
        lun_tmf_done(l, m);
        return;
    }
    f->lun = l;
    m->local.until = m->task ? m->task->unit_user : f->next;
    list_add(&f->tmfs, &m->unit_node);
    LIST_EACH (&f->tasks, at) {
        t = container_of(at, struct scsi_task, unit_node);
        if (concerns(m, t) && !(mood & 4))
            t->unit_data = &mood;
    }
    if (mood & 8) /* at once: the last of them may be the end of l */
        while ((t = next_of(f, false)) != NULL)
            fake_end(t, mood);
}

static void fake_start(struct lun *l, bool recovered)
{
    (void)recovered;
    lun_disk_ops.start(l, false);
}

static void fake_stop(struct lun *l)
{
    lun_disk_ops.stop(l);
}

static void fake_reset(struct lun *l)
{
    CHECK(list_empty(&fake_of(l)->tasks));
}

static void fake_close(struct lun *l, void (*gone)(void *arg), void *arg)
{
    CHECK(list_empty(&fake_of(l)->tasks) && list_empty(&fake_of(l)->tmfs));
    lun_disk_ops.close(l, gone, arg);
}

const struct lun_ops fake_ops = {
    .type = "fake",
    .start = fake_start,
    .stop = fake_stop,
    .reset = fake_reset,
    .submit = fake_submit,
    .kick = fake_kick,
    .give_up = fake_give_up,
    .tmf = fake_tmf,
    .close = fake_close,
};

void fakes_go_on(bool all)
{
    for (unsigned i = 0; i < TARGETS * LUNS; i++) {
        struct fake *f = &fakes[i / LUNS][i % LUNS];
        struct scsi_task *t;

        while ((t = next_of(f, all)) != NULL)
            fake_end(t, mood);
        if (!list_empty(&f->tmfs))
            settle(f->lun);
    }
}
