/* Commands: from the ring to a unit and back.
 *
 * A chain is a byte stream to read (the head, the CDB, data) and one to write
 * (the answer's head, room for sense data, data), cut into pieces as the guest
 * likes. Head and CDB are copied out once. The data is handed to the unit where
 * it lies: if it shares a piece with what is before it, that piece is cut for
 * the time of the command, and put back before the answer is written.
 *
 * A chain with no room for an answer goes back with nothing written; other
 * nonsense is answered with FAILURE.
 *
 * They come in groups (virtio/turn.h), for each of which units are kicked
 * once. */
#include <string.h>

#include "device/scsi/impl.h"
#include "virtio/turn.h"

/* ---- answers ---- */

static void count(struct lun *l, const struct scsi_task *t)
{
    struct lun_stats *st = &l->stats;

    st->commands++;
    if (t->response != SCSI_R_OK)
        st->failed++;
    else if (t->status == SCSI_CHECK_CONDITION)
        st->checks++;
    if (t->dir == SCSI_DATA_IN)
        st->bytes_read += t->moved;
    else if (t->dir == SCSI_DATA_OUT)
        st->bytes_written += t->moved;
}

/* What is told to be written is. */
static void clear(struct chain *c, uint64_t offset, size_t len)
{
    static const uint8_t zeros[SCSI_SENSE_ROOM_MAX];

    chain_write(c, offset, zeros, len);
}

/* What a guest is answered, at any address. */
struct answer {
    struct virtio_scsi_resp_cmd head;
    uint8_t sense[SCSI_SENSE_MAX];
} __attribute__((packed));

static void answer(struct scsi_task *t)
{
    struct chain *c = chain_of_priv(t);
    struct answer mine, *out = &mine;
    const struct iovec *first = &c->iov[c->out_num];
    uint32_t sense_len = MIN(t->sense_len, t->sense_room);
    uint64_t written = sizeof(out->head) + t->sense_room;

    if (UNLIKELY(t->cut != NULL))
        *t->cut = t->was;
    if (UNLIKELY(t->breaks_ring))
        ring_break(c->ring, "its store was told to break it");
    t->moved = MIN(t->moved, t->len);
    /* Mostly it has the guest's first piece to itself. */
    if (LIKELY(t->sense_room == SCSI_SENSE_MAX &&
               first->iov_len >= sizeof(*out)))
        out = first->iov_base;
    out->head = (struct virtio_scsi_resp_cmd){
        .sense_len = htole32(sense_len),
        .residual = htole32((uint32_t)MIN(t->len - t->moved, UINT32_MAX)),
        .status = t->status,
        .response = (uint8_t)t->response,
    };
    memset(out->sense, 0, sizeof(out->sense));
    if (UNLIKELY(sense_len))
        memcpy(out->sense, t->sense, sense_len);
    if (UNLIKELY(out == &mine))
        chain_write(c, 0, out,
                    sizeof(out->head) + MIN(t->sense_room, SCSI_SENSE_MAX));
    if (UNLIKELY(t->sense_room > SCSI_SENSE_MAX))
        clear(c, sizeof(*out), t->sense_room - SCSI_SENSE_MAX);
    if (t->dir == SCSI_DATA_IN)
        written += t->moved;
    chain_done(c, (uint32_t)MIN(written, UINT32_MAX));
}

void scsi_on_task_done(struct scsi_task *t)
{
    struct lun *l = t->lun;

    list_del(&t->node);
    l->num_tasks--;
    if (UNLIKELY(t->fate != SCSI_R_OK)) {
        t->response = t->fate;
        t->status = 0;
        t->sense_len = 0;
        t->moved = 0;
    }
    count(l, t);
    answer(t);
    /* t is still what it was: its chain is not used again from in here. */
    if (UNLIKELY(!list_empty(&l->scsi->controls)))
        scsi_control_look(l, t);
    if (UNLIKELY(l->leaves))
        luns_settle(l);
}

/* ---- questions ---- */

/* Finds the data behind the first `skip` bytes of pieces of the chain. */
static void find_data(struct scsi_task *t, struct iovec *v, int n, size_t skip,
                      uint64_t len)
{
    while (n > 0 && skip >= v->iov_len) {
        skip -= v->iov_len;
        v++;
        n--;
    }
    t->iov = v;
    t->iov_num = n;
    t->len = len;
    if (LIKELY(skip == 0))
        return;
    t->cut = v;
    t->was = *v;
    v->iov_base = (char *)v->iov_base + skip;
    v->iov_len -= skip;
}

/* The head of a command, copied out; cdb_size bytes of CDB are behind it. */
struct question {
    struct virtio_scsi_req_cmd head;
    uint8_t cdb[SCSI_CDB_MAX];
} __attribute__((packed));

/* False: it is no command. */
static bool read_question(struct scsi *s, struct chain *c, struct scsi_task *t,
                          struct question *ask)
{
    size_t want = sizeof(ask->head) + MIN(s->cdb_size, SCSI_CDB_MAX);
    size_t out_head = sizeof(ask->head) + s->cdb_size;
    size_t in_head = sizeof(struct virtio_scsi_resp_cmd) + t->sense_room;

    if (UNLIKELY(c->out_len < out_head))
        return false;
    if (LIKELY(want == sizeof(*ask) && c->iov[0].iov_len >= want)) {
        memcpy(ask, c->iov[0].iov_base, sizeof(*ask));
    } else {
        memset(ask->cdb, 0, sizeof(ask->cdb));
        chain_read(c, 0, ask, want);
    }
    if (c->out_len > out_head) {
        if (UNLIKELY(c->in_len > in_head))
            return false; /* both ways: INOUT is not offered */
        t->dir = SCSI_DATA_OUT;
        find_data(t, c->iov, c->out_num, out_head, c->out_len - out_head);
    } else if (c->in_len > in_head) {
        t->dir = SCSI_DATA_IN;
        find_data(t, c->iov + c->out_num, c->in_num, in_head,
                  c->in_len - in_head);
    }
    return true;
}

static enum scsi_attr attr_of(uint8_t attr)
{
    return attr <= SCSI_ACA ? (enum scsi_attr)attr : SCSI_SIMPLE;
}

/* Copies of a length that the compiler knows are a few moves. */
static void copy_cdb(uint8_t *to, const uint8_t *from, unsigned len)
{
    memset(to, 0, SCSI_CDB_MAX);
    switch (len) {
    case 10:
        memcpy(to, from, 10);
        break;
    case 16:
        memcpy(to, from, 16);
        break;
    default:
        memcpy(to, from, len);
        break;
    }
}

static void dispatch(struct scsi *s, struct scsi_task *t,
                     const struct question *ask)
{
    struct scsi_to to;

    t->tag = le64toh(ask->head.id);
    t->attr = attr_of(ask->head.task_attr);
    t->cdb_len =
        (uint8_t)scsi_cdb_len(ask->cdb, MIN(s->cdb_size, SCSI_CDB_MAX));
    copy_cdb(t->cdb, ask->cdb, t->cdb_len);
    scsi_find(s, ask->head.lun, &to);
    if (to.kind == SCSI_TO_NOBODY || to.kind == SCSI_TO_NOTHING) {
        t->response = SCSI_R_BAD_TARGET;
        answer(t);
        return;
    }
    if (scsi_answer_for(s, &to, t)) {
        if (to.lun)
            count(to.lun, t);
        answer(t);
        return;
    }
    t->lun = to.lun;
    if (UNLIKELY(t->repeated && !scsi_is_repeatable(t->cdb))) {
        /* Nobody knows whether it was executed. A unit attention would say
         * that it was not. */
        scsi_task_check(t, SCSI_ABORTED_COMMAND, SCSI_ASC_NEXUS_LOSS);
        count(to.lun, t);
        answer(t);
        return;
    }
    if (UNLIKELY(to.lun->num_tasks == SCSI_TASKS_MAX)) {
        t->status = SCSI_TASK_SET_FULL;
        count(to.lun, t);
        answer(t);
        return;
    }
    to.lun->num_tasks++;
    t->seq = s->seq++;
    list_add(&to.lun->tasks, &t->node);
    if (to.lun->ops->kick && list_empty(&to.lun->to_kick))
        list_add(&s->to_kick, &to.lun->to_kick);
    to.lun->ops->submit(to.lun, t);
}

static void handle(struct scsi *s, struct ring *q, struct chain *c)
{
    struct scsi_task *t = SCSI_TASK_OF(c);
    struct question ask;

    t->repeated = UNLIKELY(s->repeated[q->index] > 0);
    if (t->repeated)
        s->repeated[q->index]--;
    t->lun = NULL;
    t->dir = SCSI_NO_DATA;
    t->iov = NULL;
    t->iov_num = 0;
    t->len = t->moved = t->overflow = 0;
    t->response = t->fate = SCSI_R_OK;
    t->because = NULL;
    t->status = SCSI_GOOD;
    t->sense_len = 0;
    t->breaks_ring = false;
    t->cut = NULL;
    t->sense_room = s->sense_size;
    if (UNLIKELY(c->in_len < sizeof(struct virtio_scsi_resp_cmd) +
                                 (uint64_t)t->sense_room)) {
        s->bad++;
        log_limited(&s->limit, LOG_WARN, s->device.id,
                    "ring %u: a command has no room for its answer: it is "
                    "given back undone",
                    q->index);
        chain_done(c, 0);
        return;
    }
    if (UNLIKELY(!read_question(s, c, t, &ask))) {
        s->bad++;
        t->response = SCSI_R_FAILURE;
        answer(t);
        return;
    }
    dispatch(s, t, &ask);
}

static void kick_units(struct scsi *s)
{
    struct list *node;

    while ((node = list_pop(&s->to_kick)) != NULL) {
        struct lun *l = container_of(node, struct lun, to_kick);

        l->ops->kick(l);
    }
}

void scsi_request_kick(struct scsi *s, struct ring *q)
{
    struct ring_turn turn;
    unsigned n;

    ring_turn_begin(&turn, q, true);
    while ((n = ring_turn_next(&turn)) > 0) {
        for (unsigned i = 0; i < n; i++)
            handle(s, q, turn.group[i]);
        ring_turn_ahead(&turn);
        kick_units(s);
    }
}

void scsi_request_drain(struct scsi *s, struct ring *q, enum drain how)
{
    LIST_EACH_SAFE (&s->luns, at) {
        struct lun *l = container_of(at, struct lun, node);

        if (how == DRAIN_BEGIN) {
            if (l->ops->hurry)
                l->ops->hurry(l);
            continue;
        }
        luns_give_up(l, q, SCSI_R_ABORTED);
    }
}
