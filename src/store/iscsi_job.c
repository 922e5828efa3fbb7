/* A request is one command after the other, each of what the target takes.
 *
 * A unit attention is no error of a request's: it is done again. One of a
 * changed capacity has the home's probe look again. BUSY and TASK SET FULL are
 * tried again for a while. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/iov.h"
#include "store/iscsi_impl.h"

#define PART_MAX_BYTES (16u << 20) /* of one command */
#define SAME_MAX_BLOCKS 0x10000u   /* if the target does not say */
#define UNMAP_MAX_BLOCKS (1u << 22)
#define ZERO_BYTES 65536
#define ZERO_IOVS 16
#define TRIES_MAX 100
#define BUSY_MS 50

enum step { STEP_DATA, STEP_SYNC };

/* A request on its way, and the command that does a part of it. */
struct job {
    struct iscsi_cmd cmd;
    struct list node;
    struct iscsi_channel *c;
    struct store_req *r;
    enum step step;
    unsigned tries;
    uint32_t part; /* bytes */
    bool given_up;
    struct iovec iov[ZERO_IOVS];
    struct iovec *slice; /* of the request's memory; owned; NULL: all of it */
    uint8_t list[24];    /* UNMAP's parameters */
};

static const uint8_t zeros[ZERO_BYTES];

static void job_go(struct job *j);

static void job_end(struct job *j, int result)
{
    struct iscsi_channel *c = j->c;
    struct store_req *r = j->r;

    free(j->slice);
    j->slice = NULL;
    list_del(&j->node);
    list_add(&c->spare, &j->node);
    store_complete(r, result);
}

static void job_cdb(struct job *j, uint8_t opcode, uint64_t lba,
                    uint32_t blocks)
{
    j->cmd.cdb[0] = opcode;
    be64_put(j->cmd.cdb + 2, lba);
    be32_put(j->cmd.cdb + 10, blocks);
    j->cmd.cdb_len = 16;
}

/* Bytes [from, from + len) of the request's memory. */
static bool slice(struct job *j, uint64_t from, uint32_t len)
{
    const struct store_req *r = j->r;

    free(j->slice);
    j->slice = malloc((size_t)r->iov_num * sizeof(*j->slice));
    if (!j->slice)
        return false;
    j->cmd.iov = j->slice;
    j->cmd.iov_num = iov_cut(r->iov, r->iov_num, from, len, j->slice);
    return true;
}

/* The next part of a read or write. */
static bool data(struct job *j, const struct iscsi_limits *l, uint64_t left)
{
    const struct store_req *r = j->r;
    struct iscsi_cmd *c = &j->cmd;
    uint64_t max = PART_MAX_BYTES;

    if (l->transfer_max)
        max = MIN(max, (uint64_t)l->transfer_max * l->block);
    j->part = (uint32_t)MIN(left, max & ~(uint64_t)(l->block - 1));
    c->in = r->op == STORE_READ;
    c->out = r->op == STORE_WRITE;
    c->len = j->part;
    job_cdb(j, c->in ? SCSI_READ_16 : SCSI_WRITE_16,
            (r->offset + r->progress) / l->block, j->part / l->block);
    if (c->out && (r->flags & STORE_FUA) && l->fua && !j->c->no_fua)
        c->cdb[1] = 0x08;
    c->iov = r->iov;
    c->iov_num = r->iov_num;
    return j->part == r->len || slice(j, r->progress, j->part);
}

static void same(struct job *j, const struct iscsi_limits *l, uint64_t left)
{
    const struct store_req *r = j->r;
    uint32_t blocks = l->same_max ? l->same_max : SAME_MAX_BLOCKS;

    j->part = (uint32_t)MIN(
        left, MIN((uint64_t)blocks * l->block, UINT32_C(1) << 30));
    j->part &= ~(l->block - 1);
    j->cmd.out = true;
    j->cmd.len = l->block;
    j->iov[0] = (struct iovec){(void *)zeros, l->block};
    j->cmd.iov = j->iov;
    j->cmd.iov_num = 1;
    job_cdb(j, SCSI_WRITE_SAME_16, (r->offset + r->progress) / l->block,
            j->part / l->block);
    if (((r->flags & STORE_UNMAP) || r->op == STORE_DISCARD) && l->same_unmap)
        j->cmd.cdb[1] = 0x08;
}

/* Zeros, for a target that cannot repeat them by itself. */
static void write_zeros(struct job *j, const struct iscsi_limits *l,
                        uint64_t left)
{
    uint64_t max = (uint64_t)ZERO_BYTES * ZERO_IOVS;

    if (l->transfer_max)
        max = MIN(max, (uint64_t)l->transfer_max * l->block);
    j->part = (uint32_t)MIN(left, max) & ~(l->block - 1);
    j->cmd.out = true;
    j->cmd.len = j->part;
    for (int i = 0; i < ZERO_IOVS; i++)
        j->iov[i] = (struct iovec){(void *)zeros, ZERO_BYTES};
    j->cmd.iov = j->iov;
    j->cmd.iov_num = ZERO_IOVS;
    job_cdb(j, SCSI_WRITE_16, (j->r->offset + j->r->progress) / l->block,
            j->part / l->block);
}

/* SBC-3, 5.28. */
static void unmap(struct job *j, const struct iscsi_limits *l, uint64_t left)
{
    uint32_t blocks = l->unmap_max ? l->unmap_max : UNMAP_MAX_BLOCKS;
    struct iscsi_cmd *c = &j->cmd;

    j->part = (uint32_t)MIN(
        left, MIN((uint64_t)blocks * l->block, UINT32_C(1) << 31));
    j->part &= ~(l->block - 1);
    memset(j->list, 0, sizeof(j->list));
    be16_put(j->list, 22);
    be16_put(j->list + 2, 16);
    be64_put(j->list + 8, (j->r->offset + j->r->progress) / l->block);
    be32_put(j->list + 16, j->part / l->block);
    c->cdb[0] = SCSI_UNMAP;
    be16_put(c->cdb + 7, sizeof(j->list));
    c->cdb_len = 10;
    c->out = true;
    c->len = sizeof(j->list);
    j->iov[0] = (struct iovec){j->list, sizeof(j->list)};
    c->iov = j->iov;
    c->iov_num = 1;
}

/* Fills in the command for the next part. 0: there is nothing to send; or an
 * error. */
static int job_fill(struct job *j)
{
    struct iscsi_channel *c = j->c;
    const struct iscsi_limits *l = &c->probe.limits;
    struct store_req *r = j->r;
    uint64_t left = r->len - r->progress;

    memset(&j->cmd, 0, sizeof(j->cmd));
    if (j->step == STEP_SYNC) {
        j->cmd.cdb[0] = SCSI_SYNC_CACHE_10;
        j->cmd.cdb_len = 10;
        return 1;
    }
    if ((r->offset | r->len) & (l->block - 1))
        return -EIO; /* half a block of the target's */
    switch (r->op) {
    case STORE_READ:
    case STORE_WRITE:
        return data(j, l, left) ? 1 : -ENOMEM;
    case STORE_ZERO:
        if (c->no_same)
            write_zeros(j, l, left);
        else
            same(j, l, left);
        return 1;
    case STORE_DISCARD:
        if (l->unmap)
            unmap(j, l, left);
        else if (l->same_unmap)
            same(j, l, left);
        return l->unmap || l->same_unmap;
    default:
        return -EIO;
    }
}

/* Its data are done. */
static bool needs_sync(const struct job *j)
{
    const struct iscsi_channel *c = j->c;

    return (j->r->flags & STORE_FUA) &&
           !(j->r->op == STORE_WRITE && c->probe.limits.fua && !c->no_fua);
}

static void later(struct job *j)
{
    struct iscsi_channel *c = j->c;

    list_del(&j->node);
    list_add(&c->busy, &j->node);
    if (!c->timer_on)
        timer_start(&c->timer, BUSY_MS);
    c->timer_on = true;
}

/* The target does not know the command: there may be another way. */
static bool other_way(struct job *j, uint8_t key)
{
    struct iscsi_channel *c = j->c;

    if (key != SCSI_ILLEGAL_REQUEST || j->step != STEP_DATA)
        return false;
    if (j->r->op == STORE_ZERO && !c->no_same)
        return c->no_same = true;
    if (j->r->op == STORE_WRITE && (j->cmd.cdb[1] & 0x08) && !c->no_fua)
        return c->no_fua = true;
    return false;
}

/* What an answer that is not GOOD means, if not an error. */
enum { AGAIN = 1, LATER };

static int verdict(struct job *j)
{
    const struct iscsi_cmd *cmd = &j->cmd;
    uint8_t key = 0;
    uint16_t asc = 0;

    switch (cmd->status) {
    case SCSI_BUSY:
    case SCSI_TASK_SET_FULL:
    case SCSI_TASK_ABORTED:
        return LATER;
    case SCSI_CHECK_CONDITION:
        break;
    default:
        return -EIO;
    }
    if (!scsi_sense_read(cmd->sense, cmd->sense_len, &key, &asc))
        return -EIO;
    if (key == SCSI_UNIT_ATTENTION) {
        if (asc == SCSI_ASC_CAPACITY_CHANGED)
            iscsi_look_again(j->c->store);
        return AGAIN;
    }
    if (key == SCSI_ABORTED_COMMAND ||
        (key == SCSI_NOT_READY && asc == SCSI_ASC_BECOMING_READY))
        return LATER;
    if (other_way(j, key))
        return AGAIN;
    return asc == SCSI_ASC_SPACE_ALLOCATION_FAILED ? -ENOSPC
           : key == SCSI_DATA_PROTECT              ? -EROFS
                                                   : -EIO;
}

static void part_done(struct job *j)
{
    struct store_req *r = j->r;
    struct iscsi_cmd *cmd = &j->cmd;

    j->tries = 0;
    if (j->step == STEP_SYNC) {
        job_end(j, 0);
        return;
    }
    if (r->op != STORE_FLUSH) {
        /* All of it, whatever the target says was left. */
        if ((cmd->in || cmd->out) && cmd->moved < cmd->len) {
            job_end(j, -EIO);
            return;
        }
        r->progress += j->part;
        if (r->progress < r->len) {
            job_go(j);
            return;
        }
    }
    if (needs_sync(j)) {
        j->step = STEP_SYNC;
        job_go(j);
    } else {
        job_end(j, 0);
    }
}

static void on_done(struct iscsi_cmd *cmd)
{
    struct job *j = container_of(cmd, struct job, cmd);
    int rc;

    if (cmd->end == ISCSI_ANSWERED && cmd->status == SCSI_GOOD) {
        part_done(j);
        return;
    }
    if (j->given_up)
        rc = -EIO;
    else if (cmd->end == ISCSI_ANSWERED)
        rc = verdict(j);
    else if (cmd->end == ISCSI_ABORTED) /* somebody's reset of the unit */
        rc = AGAIN;
    else if (cmd->end == ISCSI_FULL)
        rc = LATER;
    else
        rc = cmd->end == ISCSI_TIMED_OUT ? -ETIMEDOUT : -EIO;
    if (rc > 0 && ++j->tries > TRIES_MAX)
        rc = -EIO;
    if (rc == AGAIN)
        job_go(j);
    else if (rc == LATER)
        later(j);
    else
        job_end(j, rc);
}

/* Never from inside submit: it may end. */
static void job_go(struct job *j)
{
    int rc = j->given_up ? -EIO : job_fill(j);

    if (rc <= 0) {
        job_end(j, rc);
        return;
    }
    j->cmd.done = on_done;
    iscsi_submit(&j->c->probe.unit, &j->cmd);
    loop_defer(j->c->ch.loop, &j->c->flush);
}

void iscsi_job_start(struct iscsi_channel *c, struct store_req *r)
{
    struct list *node = list_pop(&c->spare);
    struct job *j =
        node ? container_of(node, struct job, node) : malloc(sizeof(*j));

    if (!j) {
        store_complete(r, -ENOMEM);
        return;
    }
    list_init(&j->node);
    list_add(&c->jobs, &j->node);
    j->c = c;
    j->r = r;
    j->slice = NULL;
    j->given_up = false;
    j->tries = 0;
    j->step = r->op == STORE_FLUSH ? STEP_SYNC : STEP_DATA;
    job_go(j);
}

void iscsi_jobs_again(struct iscsi_channel *c)
{
    struct list again, *node;

    c->timer_on = false;
    list_init(&again);
    while ((node = list_pop(&c->busy)) != NULL)
        list_add(&again, node);
    while ((node = list_pop(&again)) != NULL) {
        list_add(&c->jobs, node);
        job_go(container_of(node, struct job, node));
    }
}

void iscsi_jobs_give_up(struct iscsi_channel *c, const void *owner)
{
    struct list late, *node;

    LIST_EACH (&c->jobs, at) {
        struct job *j = container_of(at, struct job, node);

        if (j->r->owner == owner) {
            j->given_up = true;
            iscsi_give_up(&j->cmd); /* which ends it later */
        }
    }
    list_init(&late);
    LIST_EACH_SAFE (&c->busy, at) {
        if (container_of(at, struct job, node)->r->owner != owner)
            continue;
        list_del(at);
        list_add(&late, at);
    }
    while ((node = list_pop(&late)) != NULL)
        job_end(container_of(node, struct job, node), -EIO);
}

void iscsi_jobs_free(struct iscsi_channel *c)
{
    struct list *node;

    while ((node = list_pop(&c->spare)) != NULL)
        free(container_of(node, struct job, node));
}
