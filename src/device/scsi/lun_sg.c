/* A unit that is a SCSI device of the host: every command goes to its generic
 * node as it is.
 *
 * The kernel takes SG_QUEUE_MAX commands at a time; the others wait here, in
 * order. What it has cannot be taken back: task management that ends tasks
 * waits for them, and the kernel gives up what takes longer than io_timeout. A
 * reset is done by a thread of its own, since it waits for the device. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "device/scsi/lun.h"
#include "loop/loop.h"
#include "loop/watch.h"
#include "os/sg.h"
#include "os/thread.h"

#define IOV_MAX_PIECES 1024

struct sg_unit {
    struct lun lun;
    const struct lun_sg_conf *conf;
    int fd;
    struct watch watch;
    bool watched, closing;
    bool lost;           /* the device has gone */
    struct list waiting; /* tasks, by unit_node; not yet the kernel's */
    struct list tmfs;    /* that wait for tasks to end, or for a reset */
    unsigned busy;       /* commands that the kernel has */
    uint64_t next_task;  /* numbers them, in unit_user */
    struct log_limit limit;

    struct thread resetter;
    bool resets; /* it runs */
    int reset_rc;
    struct mail reset_done;
    struct scsi_tmf *reset_for;

    void (*gone)(void *arg);
    void *gone_arg;
};

static struct sg_unit *unit_of(struct lun *l)
{
    return container_of(l, struct sg_unit, lun);
}

/* ---- commands ---- */

static void transport_failed(struct scsi_task *t)
{
    t->response = SCSI_R_TRANSPORT_FAILURE;
    scsi_task_done(t);
}

static void settle_tmfs(struct sg_unit *u);

static void end(struct sg_unit *u, struct scsi_task *t)
{
    const struct sg_cmd *c = &t->sg;

    u->busy--;
    t->moved = c->result < 0 ? 0 : t->len - c->residual;
    t->status = c->status;
    t->sense_len = (uint8_t)MIN(c->sense_len, sizeof(t->sense));
    if (c->result == -ETIMEDOUT)
        t->response = SCSI_R_TARGET_FAILURE;
    else if (c->result < 0)
        t->response = SCSI_R_TRANSPORT_FAILURE;
    scsi_task_done(t);
}

/* -EAGAIN: not now. */
static int send_now(struct sg_unit *u, struct scsi_task *t)
{
    int rc;

    t->sg = (struct sg_cmd){
        .cdb = t->cdb,
        .cdb_len = t->cdb_len,
        .out = t->dir == SCSI_DATA_OUT,
        .in = t->dir == SCSI_DATA_IN,
        .iov = t->iov,
        .iov_num = t->iov_num,
        .len = (uint32_t)t->len,
        .sense = t->sense,
        .sense_room = sizeof(t->sense),
        .timeout_ms = u->conf->io_timeout,
    };
    if (u->busy == SG_QUEUE_MAX)
        return -EAGAIN;
    rc = sg_send(u->fd, &t->sg);
    if (rc == 0)
        u->busy++;
    return rc;
}

static void refuse(struct sg_unit *u, struct scsi_task *t, int rc)
{
    switch (rc) {
    case -ENODEV:
    case -ENXIO:
        u->lost = true;
        t->response = SCSI_R_TRANSPORT_FAILURE;
        break;
    case -EPERM:
        scsi_task_check(t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
        break;
    case -EINVAL: /* more than the device takes at once */
        scsi_task_check(t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
        break;
    default:
        t->response = SCSI_R_FAILURE;
        break;
    }
    if (rc != -EPERM && rc != -EINVAL)
        log_limited(&u->limit, LOG_ERROR, u->lun.id,
                    "%s: a command could not be sent: %s", u->conf->path,
                    strerror(-rc));
    scsi_task_done(t);
}

static void send_waiting(struct sg_unit *u)
{
    while (!list_empty(&u->waiting) && u->busy < SG_QUEUE_MAX) {
        struct list *node = list_pop(&u->waiting);
        struct scsi_task *t = container_of(node, struct scsi_task, unit_node);
        int rc = u->lost ? -ENODEV : send_now(u, t);

        if (rc == -EAGAIN) {
            /* Back to where it was: before all others. */
            list_add(u->waiting.next, node);
            return;
        }
        if (rc < 0)
            refuse(u, t, rc);
    }
}

static void on_ready(struct watch *w, int status, int events)
{
    struct sg_unit *u = container_of(w, struct sg_unit, watch);
    struct sg_cmd *c = sg_fetch(u->fd);

    (void)events;
    if (!u->lost && !c && (status < 0 || sg_is_gone(u->fd))) {
        u->lost = true;
        log_error(u->lun.id, "%s: the device has gone", u->conf->path);
    }
    for (; c; c = sg_fetch(u->fd))
        end(u, container_of(c, struct scsi_task, sg));
    if (u->closing) /* what ended was the last that it had to do */
        return;
    if (u->lost && u->busy == 0)
        watch_stop(w); /* it would be ready for ever */
    send_waiting(u);
    settle_tmfs(u);
}

static void sg_submit(struct lun *l, struct scsi_task *t)
{
    struct sg_unit *u = unit_of(l);
    int rc;

    list_init(&t->unit_node);
    t->unit_user = u->next_task++;
    if (t->iov_num > IOV_MAX_PIECES || t->len > INT32_MAX) {
        scsi_task_check(t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
        scsi_task_done(t);
        return;
    }
    if (u->lost) {
        transport_failed(t);
        return;
    }
    rc = list_empty(&u->waiting) ? send_now(u, t) : -EAGAIN;
    if (rc == -EAGAIN)
        list_add(&u->waiting, &t->unit_node);
    else if (rc < 0)
        refuse(u, t, rc);
}

static void sg_give_up(struct lun *l, struct scsi_task *t)
{
    (void)l;
    if (list_empty(&t->unit_node))
        return; /* the kernel has it: it is waited for */
    list_del(&t->unit_node);
    t->response = SCSI_R_ABORTED;
    scsi_task_done(t);
}

/* ---- task management ---- */

/* Those that came before it; of ABORT TASK just one of them. */
static bool concerns(const struct scsi_tmf *m, const struct scsi_task *t)
{
    return m->function == SCSI_TMF_ABORT_TASK ? t->unit_user == m->local.until
                                              : t->unit_user < m->local.until;
}

/* Whoever else has given them up, they are over when they have ended. */
static bool is_over(const struct sg_unit *u, const struct scsi_tmf *m)
{
    LIST_EACH (&u->lun.tasks, node)
        if (concerns(m, container_of(node, struct scsi_task, node)))
            return false;
    return !u->resets || u->reset_for != m;
}

static void settle_tmfs(struct sg_unit *u)
{
    LIST_EACH_SAFE (&u->tmfs, node) {
        struct scsi_tmf *m = container_of(node, struct scsi_tmf, unit_node);

        if (!is_over(u, m))
            continue;
        list_del(&m->unit_node);
        lun_tmf_done(&u->lun, m);
    }
}

static void reset(void *arg)
{
    struct sg_unit *u = arg;

    u->reset_rc = sg_reset(u->fd);
    loop_post(u->lun.loop, &u->reset_done);
}

static void on_reset(struct mail *m)
{
    struct sg_unit *u = container_of(m, struct sg_unit, reset_done);

    thread_join(&u->resetter);
    u->resets = false;
    if (u->reset_rc == -EACCES || u->reset_rc == -EPERM)
        u->reset_for->rejected = true;
    else if (u->reset_rc < 0)
        u->reset_for->failed = true;
    settle_tmfs(u);
}

static void start_reset(struct sg_unit *u, struct scsi_tmf *m)
{
    struct err e;

    if (u->resets) { /* one is enough */
        m->failed = true;
        return;
    }
    u->reset_done.run = on_reset;
    u->reset_for = m;
    if (thread_start(&u->resetter, "vub-sg-reset", reset, u, &e) < 0)
        m->failed = true;
    else
        u->resets = true;
}

static void sg_tmf(struct lun *l, struct scsi_tmf *m)
{
    struct sg_unit *u = unit_of(l);
    struct list now, *node;

    list_init(&m->unit_node);
    if (m->function == SCSI_TMF_CLEAR_ACA) {
        m->rejected = true;
        lun_tmf_done(l, m);
        return;
    }
    m->local.until = m->task ? m->task->unit_user : u->next_task;
    list_init(&now);
    while ((node = list_pop(&u->waiting)) != NULL)
        list_add(&now, node);
    while ((node = list_pop(&now)) != NULL) {
        struct scsi_task *t = container_of(node, struct scsi_task, unit_node);

        if (concerns(m, t))
            scsi_task_done(t);
        else
            list_add(&u->waiting, node);
    }
    list_add(&u->tmfs, &m->unit_node);
    if (m->function == SCSI_TMF_LUN_RESET)
        start_reset(u, m);
    settle_tmfs(u);
}

/* ---- life ---- */

static void sg_status(struct lun *l, struct json_out *o)
{
    const struct sg_unit *u = unit_of(l);

    json_add_str(o, "path", u->conf->path);
    json_add_bool(o, "lost", u->lost);
}

/* The kernel takes commands only from whoever has opened the node, rights and
 * all: and the process has fewer than it had. */
static int open_again(struct sg_unit *u, struct err *e)
{
    int fd, rc = sg_open(u->conf->path, &fd, e);

    if (rc < 0)
        return rc;
    close(u->fd);
    u->fd = fd;
    return 0;
}

static int sg_begin(struct lun *l, struct err *e)
{
    struct sg_unit *u = unit_of(l);
    int rc = open_again(u, e);

    if (rc < 0)
        return rc;
    u->watch.ready = on_ready;
    rc = watch_open(&u->watch, l->loop, u->fd);
    if (rc == 0) {
        u->watched = true;
        rc = watch_start(&u->watch, UV_READABLE);
    }
    if (rc < 0)
        return err_sys(e, -rc, "", "%s cannot be waited for", u->conf->path);
    return 0;
}

static void sg_free(struct sg_unit *u)
{
    void (*gone)(void *arg) = u->gone;
    void *arg = u->gone_arg;

    close(u->fd); /* not before: what was ready may be read to its end */
    free(u);
    gone(arg);
}

static void on_watch_gone(struct watch *w)
{
    sg_free(container_of(w, struct sg_unit, watch));
}

static void sg_close(struct lun *l, void (*gone)(void *arg), void *arg)
{
    struct sg_unit *u = unit_of(l);

    assert(list_empty(&u->waiting) && u->busy == 0 && !u->resets);
    u->gone = gone;
    u->gone_arg = arg;
    u->closing = true;
    if (!u->watched) {
        sg_free(u);
        return;
    }
    u->watch.gone = on_watch_gone;
    watch_close(&u->watch);
}

static int sg_open_unit(struct lun **out, const struct lun_conf *c,
                        const char *at, const char *id, struct errs *e)
{
    struct sg_unit *u = calloc(1, sizeof(*u));
    struct err why;
    int rc;

    (void)id;
    if (!u)
        return errs_nomem(e);
    rc = sg_open(c->sg.path, &u->fd, &why);
    if (rc < 0) {
        free(u);
        return errs_adopt(e, at, "sg", &why);
    }
    u->conf = &c->sg;
    list_init(&u->waiting);
    list_init(&u->tmfs);
    *out = &u->lun;
    return 0;
}

const struct lun_ops lun_sg_ops = {
    .type = "sg",
    .open = sg_open_unit,
    .begin = sg_begin,
    .submit = sg_submit,
    .give_up = sg_give_up,
    .tmf = sg_tmf,
    .status = sg_status,
    .close = sg_close,
};
