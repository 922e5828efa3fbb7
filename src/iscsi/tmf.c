/* Task management: what a guest asks for, and ABORT TASK of our own, for
 * commands whose time is over or that are given up.
 *
 * A command ends only when the target has said that it is aborted, or its
 * connection is closed: else what it still does of a write could come after
 * another write of the guest's. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "iscsi/impl.h"

enum {
    COMPLETE = 0,
    NO_SUCH_TASK = 1,
    NOT_SUPPORTED = 5,
};

/* RFC 7143, 11.5.1 */
static const enum iscsi_task_mgmt_funcs codes[] = {
    [ISCSI_TMF_ABORT_TASK] = ISCSI_TM_ABORT_TASK,
    [ISCSI_TMF_ABORT_TASK_SET] = ISCSI_TM_ABORT_TASK_SET,
    [ISCSI_TMF_CLEAR_ACA] = ISCSI_TM_CLEAR_ACA,
    [ISCSI_TMF_CLEAR_TASK_SET] = ISCSI_TM_CLEAR_TASK_SET,
    [ISCSI_TMF_LUN_RESET] = ISCSI_TM_LUN_RESET,
};

static void on_tmf(struct iscsi_context *ctx, int status, void *data, void *arg)
{
    struct tmf_op *op = arg;

    (void)ctx;
    if (!op->link->session)
        return; /* op is freed by who closes the link */
    if (status != SCSI_STATUS_GOOD || !data) {
        op->link->cancelled = true;
        return;
    }
    op->answered = true;
    op->response = (uint8_t) * (uint32_t *)data;
}

static void op_free(struct tmf_op *op)
{
    if (op->flight)
        op->flight->aborts--;
    list_del(&op->node);
    free(op);
}

static struct tmf_op *op_send(struct iscsi_session *s, struct iscsi_tmf *m,
                              enum iscsi_tmf_function function, unsigned lun,
                              struct flight *f, uint64_t ms)
{
    struct tmf_op *op = calloc(1, sizeof(*op));

    if (!op)
        return NULL;
    list_init(&op->node);
    op->link = s->link;
    op->tmf = m;
    op->function = function;
    op->lun = lun;
    op->number = s->number;
    op->deadline_ms = now_ms() + ms;
    if (libiscsi.task_mgmt_async(s->link->ctx, lun_field(lun), codes[function],
                                 f ? f->task.itt : 0xffffffff,
                                 f ? f->task.cmdsn : 0, on_tmf, op) != 0) {
        free(op);
        return NULL;
    }
    op->flight = f;
    if (f)
        f->aborts++;
    list_add(&s->tmfs, &op->node);
    s->serve_due = true;
    loop_defer(s->loop, &s->report);
    session_at(s, op->deadline_ms);
    return op;
}

bool flight_abort(struct iscsi_session *s, struct flight *f, uint64_t ms)
{
    return op_send(s, NULL, ISCSI_TMF_ABORT_TASK, f->lun, f, ms) != NULL;
}

void tmfs_forget(struct iscsi_session *s, struct flight *f)
{
    LIST_EACH (&s->tmfs, at) {
        struct tmf_op *op = container_of(at, struct tmf_op, node);

        if (op->flight == f)
            op->flight = NULL;
    }
}

static void tell(struct iscsi_session *s, struct iscsi_tmf *m, int result)
{
    m->result = result;
    list_add(&s->ended_tmfs, &m->node);
    loop_defer(s->loop, &s->report);
}

static bool end_of_us(struct iscsi_session *s, struct flight *f)
{
    if (flight_end(s, f, f->timed_out ? ISCSI_TIMED_OUT : ISCSI_ABORTED))
        return true;
    snprintf(s->why, sizeof(s->why),
             "too much of what was given up is still to be sent");
    return false;
}

static bool concerns(const struct tmf_op *op, const struct flight *f)
{
    if (op->function == ISCSI_TMF_ABORT_TASK)
        return op->flight == f;
    return op->function != ISCSI_TMF_CLEAR_ACA && f->lun == op->lun &&
           (int32_t)(f->number - op->number) < 0;
}

static bool end_set(struct iscsi_session *s, const struct tmf_op *op)
{
    LIST_EACH_SAFE (&s->flights, at) {
        struct flight *f = container_of(at, struct flight, node);

        if (concerns(op, f) && !end_of_us(s, f))
            return false;
    }
    return true;
}

/* It does not do that for a set of tasks: then one by one, for they are to be
 * over whatever it says. True: some are not yet. */
static bool abort_set(struct iscsi_session *s, const struct tmf_op *op)
{
    bool some = false;

    LIST_EACH (&s->flights, at) {
        struct flight *f = container_of(at, struct flight, node);

        if (!f->cmd || !concerns(op, f))
            continue;
        some = true;
        if (!f->given_up)
            f->given_up = flight_abort(s, f, ABORT_MS);
    }
    return some;
}

static bool op_done(const struct tmf_op *op)
{
    return op->response == COMPLETE || (op->function == ISCSI_TMF_ABORT_TASK &&
                                        op->response == NO_SUCH_TASK);
}

static bool op_waits(struct iscsi_session *s, const struct tmf_op *op)
{
    return !op_done(op) && op->function != ISCSI_TMF_ABORT_TASK &&
           abort_set(s, op);
}

/* False: the session must end. */
static bool op_ends(struct iscsi_session *s, struct tmf_op *op)
{
    bool done = op_done(op), good = true;
    struct flight *f = op->flight;

    if (op->function == ISCSI_TMF_ABORT_TASK) {
        if (!done && f) {
            snprintf(s->why, sizeof(s->why),
                     "it does not abort a command (response %u)", op->response);
            return false;
        }
        good = !f || end_of_us(s, f);
    } else if (done) {
        good = end_set(s, op);
    }
    if (op->tmf)
        tell(s, op->tmf,
             done                            ? 0
             : op->response == NOT_SUPPORTED ? -EOPNOTSUPP
                                             : -EIO);
    op_free(op);
    return good;
}

/* The ends of tasks may be what one before them in the list waits for. */
bool tmfs_collect(struct iscsi_session *s)
{
    bool some;

    do {
        some = false;
        LIST_EACH_SAFE (&s->tmfs, at) {
            struct tmf_op *op = container_of(at, struct tmf_op, node);

            if (!op->answered || op_waits(s, op))
                continue;
            some = true;
            if (!op_ends(s, op))
                return false;
        }
    } while (some);
    return true;
}

/* What it concerned is not sent again. */
static void doom(struct iscsi_session *s, const struct tmf_op *op)
{
    LIST_EACH (&s->flights, at) {
        struct flight *f = container_of(at, struct flight, node);

        if (op->tmf && concerns(op, f))
            f->given_up = true;
    }
}

void tmfs_lost(struct iscsi_session *s, int result)
{
    LIST_EACH_SAFE (&s->tmfs, at) {
        struct tmf_op *op = container_of(at, struct tmf_op, node);

        doom(s, op);
        if (op->tmf)
            tell(s, op->tmf, result);
        op->tmf = NULL;
        if (!s->link) /* else libiscsi has it still */
            op_free(op);
    }
}

static void end_waiting(struct iscsi_session *s, const struct iscsi_unit *u)
{
    LIST_EACH_SAFE (&s->waiting, at) {
        struct iscsi_cmd *c = container_of(at, struct iscsi_cmd, node);

        if (c->unit->lun != u->lun)
            continue;
        list_del(at);
        s->num_waiting--;
        command_end(s, c, ISCSI_ABORTED);
    }
}

void tmf_start(struct iscsi_session *s, struct iscsi_tmf *m)
{
    struct flight *f = NULL;
    bool local = m->function == ISCSI_TMF_ABORT_TASK ||
                 m->function == ISCSI_TMF_ABORT_TASK_SET;

    if (m->function == ISCSI_TMF_ABORT_TASK) {
        if (command_waits(m->cmd)) {
            list_del(&m->cmd->node);
            s->num_waiting--;
            command_end(s, m->cmd, ISCSI_ABORTED);
        }
        if (!command_flies(m->cmd)) {
            tell(s, m, 0);
            return;
        }
        f = m->cmd->task;
    } else if (m->function != ISCSI_TMF_CLEAR_ACA) {
        end_waiting(s, m->unit);
    }
    if (s->state != SESSION_UP) {
        /* A nexus that is lost has no tasks at the target. */
        tell(s, m, local ? 0 : -ENOTCONN);
        return;
    }
    if (!op_send(s, m, m->function, m->unit->lun, f, ABORT_MS))
        tell(s, m, -EIO);
}

void command_give_up(struct iscsi_session *s, struct iscsi_cmd *c)
{
    struct flight *f;

    if (command_waits(c)) {
        list_del(&c->node);
        s->num_waiting--;
        command_end(s, c, ISCSI_ABORTED);
        return;
    }
    if (!command_flies(c))
        return;
    f = c->task;
    if (f->given_up)
        return;
    f->given_up = true;
    if (!flight_abort(s, f, GIVE_UP_MS))
        session_lost(s, "out of memory");
}
