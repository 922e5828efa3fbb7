/* A disk's task set: which task runs when, how tasks end, task management.
 *
 * SAM-5 8. A task is active or it waits. SIMPLE ones become active unless an
 * ORDERED or HEAD OF QUEUE task that came before has not ended; an ORDERED one
 * when all that came before have ended; HEAD OF QUEUE goes before all that
 * wait. Those that wait are in order, and what the first has to wait for, those
 * behind it have to wait for as well: so only the first is ever looked at.
 *
 * A command that must see nobody between its reading and its writing (COMPARE
 * AND WRITE, ORWRITE) is ORDERED whatever it says, and not even HEAD OF QUEUE
 * runs beside it. That is more than SBC-3 5.2 asks, which is for its own range
 * only, and needs no list of ranges. So is one that changes what is promised of
 * writes (MODE SELECT, START STOP UNIT): its flush is for all that were begun
 * under the old promise, and those are over by then.
 *
 * There is no ACA here: NACA in a control byte, the attribute ACA and CLEAR ACA
 * are refused. There is no bound to the set: a task lies behind its chain, so
 * the rings bound it. TASK SET FULL is said of buffers only (disk_work).
 *
 * Task management. What waits ends at once. What is active is given up, by
 * store_drain, whose `owner` is the task; only what the kernel has is waited
 * for. Tasks are numbered, so that a function knows by a number which ones it
 * concerns, and by a count how many are left. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "device/scsi/disk.h"

/* Of those that have waited: a store may do them at once. */
#define TURN_TASKS 64
#define TURN_BYTES (4u << 20)

static struct scsi_task *task_at(struct list *node)
{
    return container_of(node, struct scsi_task, unit_node);
}

/* ---- answers ---- */

/* Fills in an answer with no sense data. */
static void put_answer(struct scsi_task *t, enum scsi_response response,
                       uint64_t moved, uint64_t overflow)
{
    t->response = response;
    t->status = SCSI_GOOD;
    t->sense_len = 0;
    t->moved = moved;
    t->overflow = overflow;
}

void disk_good(struct disk *d, struct scsi_task *t, uint64_t moved)
{
    put_answer(t, SCSI_R_OK, moved, 0);
    disk_end(d, t);
}

void disk_check(struct disk *d, struct scsi_task *t, enum scsi_sense_key key,
                enum scsi_asc asc)
{
    scsi_task_check(t, key, asc);
    disk_end(d, t);
}

void disk_check_info(struct disk *d, struct scsi_task *t,
                     enum scsi_sense_key key, enum scsi_asc asc, uint64_t info)
{
    scsi_task_check(t, key, asc);
    scsi_sense_info(t->sense, info);
    disk_end(d, t);
}

void disk_bad_field(struct disk *d, struct scsi_task *t)
{
    disk_check(d, t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
}

void disk_overrun(struct disk *d, struct scsi_task *t, uint64_t more)
{
    put_answer(t, SCSI_R_OVERRUN, 0, more);
    disk_end(d, t);
}

void disk_data(struct disk *d, struct scsi_task *t, const void *data,
               size_t len, uint64_t allocated)
{
    scsi_task_data(t, data, len, allocated);
    disk_end(d, t);
}

static void log_failure(struct disk *d, const struct store_req *r)
{
    log_limited(&d->limit, LOG_ERROR, d->lun.id,
                "LUN %u of target %u: %s %" PRIu64 " bytes at %" PRIu64
                " failed: %s",
                d->lun.lun, d->lun.target, store_op_name(r->op), r->len,
                r->offset, strerror(-r->result));
}

void disk_failed(struct disk *d, struct scsi_task *t)
{
    const struct store_req *r = &t->store;
    enum scsi_sense_key key = SCSI_MEDIUM_ERROR;
    enum scsi_asc asc = SCSI_ASC_WRITE_ERROR;

    assert(r->result < 0);
    if (r->user & DISK_GIVEN_UP) {
        put_answer(t, SCSI_R_ABORTED, 0, 0);
        disk_end(d, t);
        return;
    }
    log_failure(d, r);
    t->breaks_ring = r->result == STORE_BREAKS_RING;
    if (r->op == STORE_READ) {
        asc = SCSI_ASC_UNRECOVERED_READ_ERROR;
    } else if (r->result == -ENOSPC || r->result == -EDQUOT) {
        /* SBC-3 4.7.3.6: a resource is exhausted. */
        key = SCSI_DATA_PROTECT;
        asc = SCSI_ASC_SPACE_ALLOCATION_FAILED;
    } else if (r->result == -EROFS) {
        key = SCSI_DATA_PROTECT;
        asc = SCSI_ASC_WRITE_PROTECTED;
    }
    if (r->op == STORE_FLUSH)
        disk_check(d, t, key, asc);
    else
        disk_check_info(d, t, key, asc, r->offset >> d->block_shift);
}

/* ---- the order of tasks ---- */

static bool is_exclusive(const struct disk_command *c)
{
    return c && c->flags & DISK_EXCLUSIVE;
}

static bool is_barrier(const struct scsi_task *t, bool exclusive)
{
    return exclusive || t->attr != SCSI_SIMPLE; /* nor is it SCSI_ACA */
}

static bool may_start(const struct disk *d, const struct scsi_task *t,
                      bool exclusive)
{
    if (d->num_active == 0)
        return true;
    if (d->exclusive || exclusive || t->attr == SCSI_ORDERED)
        return false;
    return t->attr == SCSI_HEAD_OF_QUEUE || d->num_barriers == 0;
}

/* Bits of a CDB, from its byte 1 on, that its usage does not have: among them
 * NACA of the control byte, as NORMACA is zero (SAM-5 5.2). */
static bool has_other_bits(const uint8_t *cdb, const uint8_t *usage)
{
    uint64_t c[2], u[2];

    memcpy(c, cdb + 1, sizeof(c)); /* behind it are zeros */
    memcpy(u, usage, sizeof(u));
    return (c[0] & ~u[0]) | (c[1] & ~u[1]);
}

static void not_ready(struct disk *d, struct scsi_task *t)
{
    enum scsi_asc asc = SCSI_ASC_NO_MEDIUM;

    if (d->stopped)
        asc = SCSI_ASC_START_REQUIRED;
    else if (store_is_pending(d->store))
        asc = SCSI_ASC_BECOMING_READY;
    disk_check(d, t, SCSI_NOT_READY, asc);
}

/* c: t's command, NULL: there is none. */
static void run(struct disk *d, struct scsi_task *t,
                const struct disk_command *c)
{
    if (UNLIKELY(!c || !c->run)) {
        if (!c && d->by_opcode[t->cdb[0]])
            disk_bad_field(d, t); /* an unknown service action */
        else
            disk_check(d, t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
        return;
    }
    if (UNLIKELY(c->flags & DISK_MEDIUM && (d->stopped || d->blocks == 0))) {
        not_ready(d, t);
        return;
    }
    if (UNLIKELY(c->flags & DISK_WRITES && (d->read_only || d->swp))) {
        disk_check(d, t, SCSI_DATA_PROTECT,
                   d->read_only ? SCSI_ASC_WRITE_PROTECTED
                                : SCSI_ASC_SOFTWARE_WRITE_PROTECTED);
        return;
    }
    if (UNLIKELY(has_other_bits(t->cdb, c->usage))) {
        disk_bad_field(d, t);
        return;
    }
    c->run(d, t);
}

static void start(struct disk *d, struct scsi_task *t,
                  const struct disk_command *c)
{
    bool exclusive = is_exclusive(c);

    list_add(&d->active, &t->unit_node);
    d->num_active++;
    d->num_barriers += is_barrier(t, exclusive);
    d->exclusive = exclusive;
    t->store.user &= DISK_HURRY;
    t->store.result = 0;
    run(d, t, c);
}

static bool first_may_start(const struct disk *d)
{
    const struct scsi_task *t;

    if (list_empty(&d->waiting))
        return false;
    t = task_at(d->waiting.next);
    return may_start(d, t, is_exclusive(disk_command(d, t->cdb)));
}

/* Starts what may start now, and sends it. A task that ends meanwhile, at once
 * or from inside the kick, may let others start: they are started from here,
 * not from inside it, however many there are. True: this turn has done enough,
 * and there are more. */
static bool start_some(struct disk *d)
{
    unsigned tasks = 0, kicked;
    uint64_t bytes = 0;

    d->choosing = true;
    do {
        kicked = tasks;
        while (tasks < TURN_TASKS && bytes < TURN_BYTES && first_may_start(d)) {
            struct scsi_task *t = task_at(d->waiting.next);

            tasks++;
            bytes += t->len;
            list_del(&t->unit_node);
            start(d, t, disk_command(d, t->cdb));
        }
        if (tasks > kicked)
            store_kick(d->ch);
    } while (tasks > kicked);
    d->choosing = false;
    return first_may_start(d);
}

/* What is left waits for the next turn, in which nobody else starts any. */
static void choose(struct disk *d)
{
    if (!d->choosing && list_empty(&d->turn.node) && start_some(d))
        loop_spin_add(d->lun.loop, &d->turn);
}

static bool on_turn(struct spin *s)
{
    struct disk *d = container_of(s, struct disk, turn);

    if (!start_some(d))
        loop_spin_del(&d->turn);
    return true;
}

void disk_tasks_init(struct disk *d)
{
    list_init(&d->active);
    list_init(&d->waiting);
    list_init(&d->tmfs);
    list_init(&d->turn.node);
    d->turn.poll = d->turn.arm = on_turn;
}

void disk_tasks_fini(struct disk *d)
{
    assert(d->num_active == 0 && list_empty(&d->waiting));
    loop_spin_del(&d->turn);
}

void disk_submit(struct lun *l, struct scsi_task *t)
{
    struct disk *d = disk_of(l);
    const struct disk_command *c = disk_command(d, t->cdb);

    t->unit_user = d->next_task++;
    t->unit_data = NULL;
    t->store.user = DISK_WAITS; /* unless it starts */
    if (LIKELY(t->attr == SCSI_SIMPLE)) {
        if (LIKELY(list_empty(&d->waiting)) && may_start(d, t, is_exclusive(c)))
            start(d, t, c);
        else
            list_add(&d->waiting, &t->unit_node);
        return;
    }
    if (t->attr == SCSI_ACA) { /* SAM-5 8.6: there is no ACA condition */
        scsi_task_check(t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_MESSAGE);
        scsi_task_done(t);
        return;
    }
    if (t->attr == SCSI_HEAD_OF_QUEUE)
        list_add(d->waiting.next, &t->unit_node); /* before the first */
    else
        list_add(&d->waiting, &t->unit_node);
    choose(d);
}

void disk_kick(struct lun *l)
{
    struct disk *d = disk_of(l);

    if (d->ch)
        store_kick(d->ch);
}

/* ---- task management ---- */

static void tmf_ends(struct disk *d, struct scsi_tmf *m)
{
    if (m->function == SCSI_TMF_LUN_RESET)
        disk_defaults(d);
    list_del(&m->unit_node);
    lun_tmf_done(&d->lun, m);
}

/* t, which has this number, and may be gone. */
static bool concerns(const struct scsi_tmf *m, const struct scsi_task *t,
                     uint64_t number)
{
    if (m->function == SCSI_TMF_ABORT_TASK)
        return m->task == t;
    return number < m->local.until;
}

static bool concerns_node(const struct scsi_tmf *m, struct list *node)
{
    return concerns(m, task_at(node), task_at(node)->unit_user);
}

/* t has ended, and is not ours any more. */
static void tell_tmfs(struct disk *d, const struct scsi_task *t,
                      uint64_t number)
{
    LIST_EACH_SAFE (&d->tmfs, at) {
        struct scsi_tmf *m = container_of(at, struct scsi_tmf, unit_node);

        if (concerns(m, t, number) && --m->local.awaits == 0)
            tmf_ends(d, m);
    }
}

void disk_end(struct disk *d, struct scsi_task *t)
{
    bool exclusive = d->exclusive;
    uint64_t number = t->unit_user;

    list_del(&t->unit_node);
    d->num_active--;
    d->num_barriers -= is_barrier(t, exclusive);
    d->exclusive = false;
    if (UNLIKELY(t->unit_data))
        disk_work_free(t);
    scsi_task_done(t);
    if (UNLIKELY(!list_empty(&d->tmfs)))
        tell_tmfs(d, t, number);
    if (UNLIKELY(!list_empty(&d->waiting)))
        choose(d);
}

/* An active task: ends it if that can be. */
static void give_up(struct disk *d, struct scsi_task *t)
{
    t->store.user |= DISK_GIVEN_UP;
    if (t->unit_data)
        disk_work_give_up(d, t);
    else
        store_drain(d->ch, t, true);
}

/* One that waits. */
static void drop(struct disk *d, struct scsi_task *t)
{
    uint64_t number = t->unit_user;

    list_del(&t->unit_node);
    put_answer(t, SCSI_R_ABORTED, 0, 0);
    scsi_task_done(t);
    if (!list_empty(&d->tmfs))
        tell_tmfs(d, t, number);
}

void disk_give_up(struct lun *l, struct scsi_task *t)
{
    struct disk *d = disk_of(l);

    if (t->store.user & DISK_WAITS) {
        drop(d, t);
        choose(d);
    } else {
        give_up(d, t);
    }
}

/* Takes those of a list that m concerns; NULL: all. Who is told of an end may
 * end others, so a list is not walked while tasks end: those that were taken
 * leave the new list by themselves. */
static void take(struct list *from, const struct scsi_tmf *m, struct list *to)
{
    list_init(to);
    LIST_EACH_SAFE (from, at)
        if (!m || concerns_node(m, at)) {
            list_del(at);
            list_add(to, at);
        }
}

/* The first that was taken of the active ones is with them again. */
static struct scsi_task *put_back(struct disk *d, struct list *taken)
{
    struct list *node = list_pop(taken);

    list_add(&d->active, node);
    return task_at(node);
}

void disk_hurry(struct lun *l)
{
    struct disk *d = disk_of(l);
    struct list mine;

    LIST_EACH (&d->waiting, at)
        task_at(at)->store.user |= DISK_HURRY;
    LIST_EACH (&d->active, at)
        task_at(at)->store.user |= DISK_HURRY;
    take(&d->active, NULL, &mine);
    while (!list_empty(&mine))
        store_drain(d->ch, put_back(d, &mine), false);
}

/* Ends what waits and gives up what is active of the tasks that m concerns. */
static void abort_tasks(struct disk *d, struct scsi_tmf *m)
{
    bool was = d->choosing;
    struct list mine;

    d->choosing = true; /* nothing starts between */
    take(&d->waiting, m, &mine);
    while (!list_empty(&mine))
        drop(d, task_at(mine.next));
    take(&d->active, m, &mine);
    while (!list_empty(&mine))
        give_up(d, put_back(d, &mine));
    d->choosing = was;
}

void disk_tmf(struct lun *l, struct scsi_tmf *m)
{
    struct disk *d = disk_of(l);

    if (m->function == SCSI_TMF_CLEAR_ACA) { /* NORMACA is zero */
        m->rejected = true;
        lun_tmf_done(l, m);
        return;
    }
    m->local.until = d->next_task;
    m->local.awaits = 1; /* for ourselves, until all are told */
    LIST_EACH (&d->waiting, at)
        m->local.awaits += concerns_node(m, at);
    LIST_EACH (&d->active, at)
        m->local.awaits += concerns_node(m, at);
    list_add(&d->tmfs, &m->unit_node);
    if (m->local.awaits > 1)
        abort_tasks(d, m);
    if (--m->local.awaits == 0)
        tmf_ends(d, m);
    choose(d);
}
