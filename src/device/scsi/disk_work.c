/* Commands that take several steps: compare, read and then write, write the
 * same many times, a list of ranges.
 *
 * A work is a step function that is called until it ends the task. It asks the
 * store for something, and is called again when that is done. A store may do it
 * at once; so that long commands do not keep the loop, one of more than
 * AT_ONCE_BYTES goes on from a spinner's entry, which runs once in every turn
 * and for at most TURN_NS, and the works take turns there. That is not much: a
 * guest may send hundreds in one turn, and with a VERIFY or a WRITE SAME come
 * no bytes that would count. */
#include <stdlib.h>

#include "device/scsi/disk.h"

#define TURN_NS 1000000u
#define AT_ONCE_BYTES (UINT32_C(64) << 10)

enum ran { RAN_MORE, RAN_PENDING, RAN_ENDED };

static void go(struct disk_work *w);

static void on_done(struct store_req *r)
{
    struct scsi_task *t = container_of(r, struct scsi_task, store);

    if (r->result < 0)
        disk_failed(disk_of(t->lun), t);
    else
        go(t->unit_data);
}

/* One step. The work is gone if it RAN_ENDED. */
static enum ran step(struct disk_work *w)
{
    struct disk *d = w->disk;
    struct scsi_task *t = w->task;

    if (!w->step(w))
        return RAN_ENDED;
    t->store.flags |= disk_hurry_flag(t);
    t->store.done = on_done;
    t->store.owner = t;
    if (store_submit(d->ch, &t->store) == STORE_PENDING)
        return RAN_PENDING;
    if (t->store.result < 0) {
        disk_failed(d, t);
        return RAN_ENDED;
    }
    return RAN_MORE;
}

static void go_later(struct disk_work *w)
{
    struct disk *d = w->disk;

    if (list_empty(&d->spin.node))
        loop_spin_add(d->lun.loop, &d->spin);
    list_add(&d->later, &w->node);
}

/* After the store was waited for. */
static void go(struct disk_work *w)
{
    struct disk *d = w->disk;

    if (w->is_long) {
        go_later(w);
        return;
    }
    while (step(w) == RAN_MORE)
        ;
    store_kick(d->ch);
}

static bool spin(struct spin *s)
{
    struct disk *d = container_of(s, struct disk, spin);
    struct disk_work *w =
        container_of(list_pop(&d->later), struct disk_work, node);
    uint64_t until_ns = loop_now_ns() + TURN_NS;
    enum ran ran;

    do {
        ran = step(w);
    } while (ran == RAN_MORE && loop_now_ns() < until_ns);
    if (ran == RAN_MORE)
        list_add(&d->later, &w->node);
    if (list_empty(&d->later))
        loop_spin_del(&d->spin);
    store_kick(d->ch);
    return true;
}

void disk_work_init(struct disk *d)
{
    list_init(&d->later);
    list_init(&d->spin.node);
    d->spin.poll = d->spin.arm = spin;
}

struct disk_work *disk_work(struct disk *d, struct scsi_task *t, size_t bytes,
                            bool (*step_fn)(struct disk_work *w))
{
    struct disk_work *w;

    if (UNLIKELY(bytes > DISK_BUFFERS_MAX_BYTES - d->buffer_bytes)) {
        /* SAM-5 5.3.1: the guest sends fewer at a time. */
        t->status = SCSI_TASK_SET_FULL;
        disk_end(d, t);
        return NULL;
    }
    w = malloc(sizeof(*w) + bytes);
    if (!w) {
        disk_check(d, t, SCSI_ABORTED_COMMAND, SCSI_ASC_INTERNAL_FAILURE);
        return NULL;
    }
    *w = (struct disk_work){
        .disk = d,
        .task = t,
        .step = step_fn,
        .buf_bytes = bytes,
    };
    list_init(&w->node);
    d->buffer_bytes += bytes;
    t->unit_data = w;
    return w;
}

void disk_work_start(struct disk_work *w, uint64_t bytes)
{
    w->is_long = bytes > AT_ONCE_BYTES;
    if (w->is_long) {
        go_later(w);
        return;
    }
    while (step(w) == RAN_MORE)
        ;
}

void disk_work_range(struct disk_work *w, enum store_op op, uint16_t flags,
                     uint64_t at, uint64_t len)
{
    struct store_req *r = &w->task->store;

    r->op = op;
    r->flags = flags;
    r->offset = (w->lba << w->disk->block_shift) + at;
    r->len = len;
    r->iov = NULL;
    r->iov_num = 0;
}

void disk_work_io(struct disk_work *w, enum store_op op, uint16_t flags,
                  uint64_t at, void *buf, size_t len)
{
    struct store_req *r = &w->task->store;

    disk_work_range(w, op, flags, at, len);
    w->one.iov_base = buf;
    w->one.iov_len = len;
    r->iov = &w->one;
    r->iov_num = 1;
}

void disk_work_give_up(struct disk *d, struct scsi_task *t)
{
    struct disk_work *w = t->unit_data;

    if (list_empty(&w->node)) {
        store_drain(d->ch, t, true);
        return;
    }
    list_del(&w->node);
    if (list_empty(&d->later))
        loop_spin_del(&d->spin);
    t->store.result = -1;
    disk_failed(d, t); /* as given up */
}

void disk_work_free(struct scsi_task *t)
{
    struct disk_work *w = t->unit_data;

    w->disk->buffer_bytes -= w->buf_bytes;
    free(w->more);
    free(w);
    t->unit_data = NULL;
}
