/* Commands on their way: they wait here in order, libiscsi has FLIGHTS_MAX of
 * them at most, and what the target lets it have. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/impl.h"

/* A command, as its owner sees it:
 *
 *   queued -> WAITS -> FLIES -> ENDED -> done: the owner's again
 *
 * from WAITS to ENDED if it is given up or its time is over, and from FLIES
 * back to WAITS if its session is lost. What libiscsi has of it, its flight,
 * has an end of its own:
 *
 *   launched:    its PDU may be written in part (!wire.sent)
 *   over:        libiscsi has said its last word, and it is in s->landed; but
 *                the Data-Out that libiscsi owes may still look at the task
 *   aborting:    the target was told to abort it (aborts), for its time is over
 *                (timed_out) or somebody wants it (given_up); it ends by the
 *                answer to that, or by its own
 *   left behind: its command was ended by us (no cmd; s->zombies), libiscsi
 *                being in the middle of it. It goes on deaf, or with a copy of
 *                its data, till it is at rest; one that was not sent yet, which
 *                the target will get after all, till that is answered (unsent)
 *   dropped:     libiscsi is made to forget it; it is spare
 *
 * When the session is lost all flights go at once, with the context. */
enum { CMD_WAITS = 1, CMD_FLIES, CMD_ENDED };

bool command_waits(const struct iscsi_cmd *c)
{
    return c->state == CMD_WAITS;
}

bool command_flies(const struct iscsi_cmd *c)
{
    return c->state == CMD_FLIES;
}

void command_end(struct iscsi_session *s, struct iscsi_cmd *c,
                 enum iscsi_end end)
{
    c->end = end;
    c->state = CMD_ENDED;
    c->task = NULL;
    if (end != ISCSI_ANSWERED)
        c->moved = c->overflow = c->sense_len = c->status = 0;
    list_add(&s->ended, &c->node);
    loop_defer(s->loop, &s->report);
}

void report_now(struct iscsi_session *s)
{
    struct list *node;

    /* Those first that a task management function waits for. */
    while ((node = list_pop(&s->ended)) != NULL) {
        struct iscsi_cmd *c = container_of(node, struct iscsi_cmd, node);

        c->state = 0;
        c->done(c); /* c is not ours any more */
    }
    while ((node = list_pop(&s->ended_tmfs)) != NULL) {
        struct iscsi_tmf *m = container_of(node, struct iscsi_tmf, node);

        m->done(m);
    }
}

void waiting_end(struct iscsi_session *s, enum iscsi_end end)
{
    struct list *node;

    while ((node = list_pop(&s->waiting)) != NULL)
        command_end(s, container_of(node, struct iscsi_cmd, node), end);
    s->num_waiting = 0;
}

static bool writes(const struct iscsi_cmd *c)
{
    /* The latter may do so without data. */
    return c->out || c->cdb[0] == SCSI_WRITE_SAME_10 ||
           c->cdb[0] == SCSI_WRITE_SAME_16;
}

/* The same initiator, ISID and portal group make the target end the session
 * before; in another group it may still be there, and so may what it was told
 * to write: RFC 7143, 4.4.3. Sent again, a write could be done once more after
 * the guest's next one. */
void waiting_is_elsewhere(struct iscsi_session *s)
{
    LIST_EACH_SAFE (&s->waiting, at) {
        struct iscsi_cmd *c = container_of(at, struct iscsi_cmd, node);

        if (c->lost_with == 0 || !writes(c))
            continue;
        list_del(at);
        s->num_waiting--;
        command_end(s, c, ISCSI_LOST);
    }
}

void command_queue(struct iscsi_session *s, struct iscsi_cmd *c)
{
    c->task = NULL;
    c->deadline_ms = 0;
    c->lost_with = 0;
    c->moved = c->overflow = 0;
    c->status = c->sense_len = 0;
    list_init(&c->node);
    if (c->cdb_len > ISCSI_CDB_MAX || c->len > LEN_MAX || (c->in && c->out)) {
        command_end(s, c, ISCSI_REFUSED);
    } else if (s->num_waiting >= ISCSI_WAITING_MAX) {
        command_end(s, c, ISCSI_FULL);
    } else if (s->hopeless && s->params.on_timeout == ISCSI_ON_TIMEOUT_ERROR) {
        command_end(s, c, s->refused ? ISCSI_REFUSED : ISCSI_TIMED_OUT);
    } else {
        c->state = CMD_WAITS;
        list_add(&s->waiting, &c->node);
        s->num_waiting++;
        if (s->state == SESSION_UP && s->params.io_timeout)
            c->deadline_ms = now_ms() + s->params.io_timeout;
    }
}

static struct flight *flight_new(struct iscsi_session *s)
{
    struct list *node = list_pop(&s->spare);
    struct flight *f =
        node ? container_of(node, struct flight, node) : malloc(sizeof(*f));

    if (!f)
        return NULL;
    memset(f, 0, sizeof(*f));
    list_init(&f->landed);
    list_init(&f->wire.bucket);
    return f;
}

static void flight_free(struct iscsi_session *s, struct flight *f)
{
    list_del(&f->node);
    list_del(&f->landed);
    if (--s->num_flights == 0)
        loop_unseen(s->loop, false);
    if (!f->cmd)
        s->zombies--;
    if (f->aborts)
        tmfs_forget(s, f);
    free(f->task.datain.data);
    s->copied -= f->copy_len;
    free(f->copy);
    if (f->iov != f->few)
        free(f->iov);
    list_add(&s->spare, &f->node);
}

/* libiscsi's last word of a flight. */
static void on_command(struct iscsi_context *ctx, int status, void *data,
                       void *arg)
{
    struct flight *f = arg;

    (void)ctx;
    (void)data;
    f->over = true;
    if (f->dropping || !f->link->session)
        return;
    if (status != SCSI_STATUS_GOOD || !f->wire.answered)
        f->link->cancelled = true;
    else
        list_add(&f->link->session->landed, &f->landed);
}

/* libiscsi changes an iovec while it uses it: it gets a copy. One without bytes
 * makes it refuse data that were not asked for. */
static int copy_iov(struct flight *f, const struct iscsi_cmd *c)
{
    uint32_t left = c->len;
    int n = 0;

    f->iov = f->few;
    if (c->iov_num > (int)ARRAY_LEN(f->few)) {
        f->iov = malloc((size_t)c->iov_num * sizeof(*f->iov));
        if (!f->iov)
            return -1;
    }
    for (int i = 0; i < c->iov_num && left > 0; i++) {
        if (c->iov[i].iov_len == 0)
            continue;
        f->iov[n] = c->iov[i];
        f->iov[n].iov_len = MIN(f->iov[n].iov_len, left);
        left -= (uint32_t)f->iov[n++].iov_len;
    }
    return left == 0 ? n : -1;
}

/* LUNs above 255 in the flat space addressing: SAM-5, 4.7.4. */
int lun_field(unsigned lun)
{
    return (int)(lun < 256 ? lun : 0x4000 | lun);
}

/* Gives c to libiscsi. False: it has ended. */
static bool launch(struct iscsi_session *s, struct iscsi_cmd *c)
{
    struct flight *f = flight_new(s);
    struct scsi_task *t;
    bool data = c->len > 0 && (c->in || c->out);
    int num = 0;

    if (!f)
        goto refuse;
    f->cmd = c;
    if (s->num_flights++ == 0)
        loop_unseen(s->loop, true);
    list_add(&s->flights, &f->node);
    f->iov = f->few;
    if (data)
        num = copy_iov(f, c);
    if (num < 0)
        goto refuse_flight;
    t = &f->task;
    t->cdb_size = c->cdb_len;
    memcpy(t->cdb, c->cdb, c->cdb_len);
    t->xfer_dir = !data   ? SCSI_XFER_NONE
                  : c->in ? SCSI_XFER_READ
                          : SCSI_XFER_WRITE;
    t->expxferlen = data ? (int)c->len : 0;
    t->iovector_in.iov = t->iovector_out.iov = (struct scsi_iovec *)f->iov;
    t->iovector_in.niov = data && c->in ? num : 0;
    t->iovector_out.niov = data && c->out ? num : 0;
    f->link = s->link;
    f->lun = c->unit->lun;
    f->number = s->number++;
    f->deadline_ms = s->params.io_timeout ? now_ms() + s->params.io_timeout : 0;
    f->wire.len = data ? c->len : 0;
    f->wire.in = data && c->in;
    f->wire.out = data && c->out;
    if (libiscsi.scsi_command_async(s->link->ctx, lun_field(f->lun), t,
                                    on_command, NULL, f) != 0)
        goto refuse_flight;
    f->wire.itt = t->itt;
    wire_add(&s->link->wire, &f->wire);
    s->next_cmdsn = t->cmdsn + 1;
    s->knows_cmdsn = true;
    c->task = f;
    c->state = CMD_FLIES;
    return true;
refuse_flight:
    flight_free(s, f);
refuse:
    command_end(s, c, ISCSI_REFUSED);
    return false;
}

/* May the target get another? */
static bool window_open(const struct iscsi_session *s)
{
    return s->num_flights < FLIGHTS_MAX &&
           (!s->knows_cmdsn ||
            (int32_t)(s->next_cmdsn - s->link->wire.max_cmdsn) <= 0) &&
           !wire_has_output(&s->link->wire);
}

void commands_send(struct iscsi_session *s)
{
    bool some = false;

    if (s->state != SESSION_UP || s->link->in_library)
        return;
    if (list_empty(&s->flights) && !list_empty(&s->waiting))
        s->heard_ms = now_ms(); /* nobody had anything to say till now */
    while (!list_empty(&s->waiting) && window_open(s)) {
        struct list *node = list_pop(&s->waiting);

        s->num_waiting--;
        some |= launch(s, container_of(node, struct iscsi_cmd, node));
    }
    if (!some)
        return;
    session_rearm(s);
    link_serve(s->link, POLLOUT);
}

/* Bytes of the guest's memory that the command has moved. What the target says
 * of the rest counts only if it makes that less. */
static void fill_answer(struct iscsi_cmd *c, const struct wire_task *w)
{
    uint32_t said = w->len - w->under;

    c->status = w->status;
    c->sense_len = w->sense_len;
    memcpy(c->sense, w->sense, w->sense_len);
    c->moved = w->in ? MIN(w->got, said) : w->out ? said : 0;
    c->overflow = w->over;
}

static void command_answered(struct iscsi_session *s, struct flight *f)
{
    struct iscsi_cmd *c = f->cmd;

    if (!c)
        return;
    if (f->wire.failed) {
        command_end(s, c, f->given_up ? ISCSI_ABORTED : ISCSI_LOST);
        return;
    }
    fill_answer(c, &f->wire);
    command_end(s, c, ISCSI_ANSWERED);
}

static void drop(struct iscsi_session *s, struct flight *f)
{
    if (!f->over) {
        f->dropping = true;
        libiscsi.scsi_cancel_task(s->link->ctx, &f->task);
    }
    wire_del(&s->link->wire, &f->wire);
    flight_free(s, f);
}

/* An answered write of which libiscsi has Data-Out left looks at its task until
 * they are gone: it keeps its flight, and its memory, that long. */
void flights_collect(struct iscsi_session *s)
{
    LIST_EACH_SAFE (&s->landed, at) {
        struct flight *f = container_of(at, struct flight, landed);

        if (!wire_task_at_rest(&f->wire))
            continue;
        command_answered(s, f);
        drop(s, f);
    }
    if (s->zombies == 0)
        return;
    LIST_EACH_SAFE (&s->flights, at) {
        struct flight *f = container_of(at, struct flight, node);

        if (!f->cmd && !f->unsent && wire_task_at_rest(&f->wire))
            drop(s, f);
    }
}

/* What is still to be sent of a write goes on from a copy: the target must not
 * get anything else in its place. */
static bool copy_rest(struct iscsi_session *s, struct flight *f,
                      const struct iscsi_cmd *c)
{
    uint32_t at = 0;

    if (s->copied + c->len > COPIES_MAX)
        return false;
    f->copy = malloc(c->len);
    if (!f->copy)
        return false;
    s->copied += f->copy_len = c->len;
    for (int i = 0; i < c->iov_num && at < c->len; i++) {
        uint32_t n = (uint32_t)MIN(c->iov[i].iov_len, c->len - at);

        memcpy((char *)f->copy + at, c->iov[i].iov_base, n);
        at += n;
    }
    if (f->iov != f->few)
        free(f->iov);
    f->iov = f->few;
    f->few[0] = (struct iovec){f->copy, c->len};
    f->task.iovector_out.iov = (struct scsi_iovec *)f->iov;
    f->task.iovector_out.niov = 1;
    f->task.iovector_out.offset = 0;
    f->task.iovector_out.consumed = 0;
    return true;
}

bool flight_end(struct iscsi_session *s, struct flight *f, enum iscsi_end end)
{
    struct iscsi_cmd *c = f->cmd;

    if (!c)
        return true; /* it is on its way out */
    if (!wire_task_at_rest(&f->wire)) {
        if (f->wire.out && !copy_rest(s, f, c))
            return false;
        f->wire.deaf = true;
        f->unsent = !f->wire.started;
        f->deadline_ms = now_ms() + ABORT_MS;
        session_at(s, f->deadline_ms);
        f->cmd = NULL;
        s->zombies++;
        command_end(s, c, end);
        return true;
    }
    command_end(s, c, end);
    drop(s, f);
    return true;
}

/* The context is gone, and with it all that looked at our memory. */
void flights_lost(struct iscsi_session *s)
{
    struct list again, *node;

    list_init(&again);
    while ((node = list_pop(&s->flights)) != NULL) {
        struct flight *f = container_of(node, struct flight, node);
        struct iscsi_cmd *c = f->cmd;

        if (!c) {
            ;
        } else if (f->timed_out || f->given_up) {
            command_end(s, c, f->timed_out ? ISCSI_TIMED_OUT : ISCSI_ABORTED);
        } else if (scsi_is_repeatable(c->cdb) && s->state != SESSION_CLOSING &&
                   ++c->lost_with < REPEATS_MAX) {
            c->task = NULL;
            c->state = CMD_WAITS;
            c->deadline_ms = 0;
            list_add(&again, &c->node);
            s->num_waiting++;
            s->resent++;
            tally_add(s->tally, TALLY_RESENT, 1);
        } else {
            command_end(s, c, ISCSI_LOST);
        }
        flight_free(s, f);
    }
    LIST_EACH (&s->waiting, at)
        container_of(at, struct iscsi_cmd, node)->deadline_ms = 0;
    /* In front of what has not been sent. */
    while (!list_empty(&again)) {
        node = again.prev;
        list_del(node);
        node->next = s->waiting.next;
        node->prev = &s->waiting;
        s->waiting.next->prev = node;
        s->waiting.next = node;
    }
}
