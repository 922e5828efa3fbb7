/* Reading and writing, and what is done with the medium as a whole.
 *
 * The guest's memory goes to the store as it is. If the guest offers more than
 * its CDB asks for, what is used is a copy of the iovec that ends sooner; if it
 * offers less, nothing is done and the response is OVERRUN. */
#include <errno.h>
#include <stdlib.h>

#include "base/iov.h"
#include "device/scsi/disk.h"

struct disk_range disk_range(const struct scsi_task *t)
{
    const uint8_t *cdb = t->cdb;
    struct disk_range r = {.flags = cdb[1]};

    switch (cdb[0] >> 5) {
    case 0:
        r.lba = be24_at(cdb + 1) & 0x1fffff;
        r.blocks = cdb[4] ? cdb[4] : 256;
        r.flags = 0;
        break;
    case 1:
    case 2:
        r.lba = be32_at(cdb + 2);
        r.blocks = be16_at(cdb + 7);
        break;
    case 5:
        r.lba = be32_at(cdb + 2);
        r.blocks = be32_at(cdb + 6);
        break;
    default:
        r.lba = be64_at(cdb + 2);
        r.blocks = be32_at(cdb + 10);
        break;
    }
    return r;
}

bool disk_range_ok(struct disk *d, struct scsi_task *t,
                   const struct disk_range *r, uint64_t most)
{
    if (UNLIKELY(r->lba > d->blocks || r->blocks > d->blocks - r->lba)) {
        disk_check_info(d, t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE,
                        MAX(r->lba, d->blocks));
        return false;
    }
    if (UNLIKELY(r->blocks > most)) {
        disk_bad_field(d, t);
        return false;
    }
    return true;
}

uint64_t disk_transfer_max(const struct disk *d)
{
    return DISK_TRANSFER_MAX_BYTES >> d->block_shift;
}

uint64_t disk_compare_max(const struct disk *d)
{
    return MIN((uint64_t)DISK_COMPARE_MAX_BYTES >> d->block_shift,
               (uint64_t)DISK_COMPARE_MAX_BLOCKS);
}

uint16_t disk_write_flags(const struct disk *d, bool fua)
{
    return fua || !d->wce ? STORE_FUA : 0;
}

bool disk_room_ok(struct disk *d, struct scsi_task *t, enum scsi_dir dir,
                  uint64_t need)
{
    uint64_t have = t->dir == dir ? t->len : 0;

    if (UNLIKELY(need > have)) {
        disk_overrun(d, t, need - have);
        return false;
    }
    return true;
}

/* A copy of the iovec that ends sooner, or begins later. */
static __attribute__((noinline)) bool
use_part(struct disk *d, struct scsi_task *t, uint64_t offset, uint64_t len)
{
    struct disk_work *w = t->unit_data;
    struct iovec *iov;

    if (!w) {
        w = disk_work(d, t, 0, NULL);
        if (!w)
            return false;
    }
    iov = calloc((size_t)MAX(t->iov_num, 1), sizeof(*iov));
    if (!iov) {
        disk_check(d, t, SCSI_ABORTED_COMMAND, SCSI_ASC_INTERNAL_FAILURE);
        return false;
    }
    free(w->more);
    w->more = iov;
    t->store.iov = iov;
    t->store.iov_num = iov_cut(t->iov, t->iov_num, offset, len, iov);
    return true;
}

static inline bool use_iov(struct disk *d, struct scsi_task *t, uint64_t offset,
                           uint64_t len)
{
    if (UNLIKELY(offset != 0 || len != t->len))
        return use_part(d, t, offset, len);
    t->store.iov = t->iov;
    t->store.iov_num = t->iov_num;
    return true;
}

bool disk_use_iov(struct disk *d, struct scsi_task *t, uint64_t offset,
                  uint64_t len)
{
    return use_iov(d, t, offset, len);
}

/* ---- one request of the store ---- */

static void finish(struct disk *d, struct scsi_task *t)
{
    const struct store_req *r = &t->store;

    if (LIKELY(r->result == 0)) {
        disk_good(d, t, r->len);
        return;
    }
    disk_failed(d, t);
}

static void on_done(struct store_req *r)
{
    struct scsi_task *t = container_of(r, struct scsi_task, store);

    finish(disk_of(t->lun), t);
}

void disk_store(struct disk *d, struct scsi_task *t, enum store_op op,
                uint16_t flags, uint64_t lba, uint64_t blocks)
{
    struct store_req *r = &t->store;

    r->op = op;
    r->flags = flags | disk_hurry_flag(t);
    r->offset = lba << d->block_shift;
    r->len = blocks << d->block_shift;
    r->done = on_done;
    r->owner = t;
    if (store_submit(d->ch, r) == STORE_DONE)
        finish(d, t);
}

void disk_store_flush(struct disk *d, struct scsi_task *t,
                      void (*done)(struct store_req *r))
{
    struct store_req *r = &t->store;

    if (UNLIKELY(store_is_pending(d->store))) { /* it would wait, and others
                                                 * for it */
        disk_check(d, t, SCSI_NOT_READY, SCSI_ASC_BECOMING_READY);
        return;
    }
    r->op = STORE_FLUSH;
    r->flags = disk_hurry_flag(t);
    r->offset = r->len = 0;
    r->done = done;
    r->owner = t;
    if (store_submit(d->ch, r) == STORE_DONE)
        done(r);
}

/* DPO is advice that we do not need. FUA of a read says no more than that what
 * is read is, or becomes, what is on the medium: the store has one content. */
static void transfer(struct disk *d, struct scsi_task *t, bool write)
{
    struct disk_range r = disk_range(t);
    uint64_t bytes;

    if (!disk_range_ok(d, t, &r, disk_transfer_max(d)))
        return;
    bytes = r.blocks << d->block_shift;
    if (!disk_room_ok(d, t, write ? SCSI_DATA_OUT : SCSI_DATA_IN, bytes))
        return;
    if (UNLIKELY(r.blocks == 0)) {
        disk_good(d, t, 0);
        return;
    }
    if (!use_iov(d, t, 0, bytes))
        return;
    disk_store(d, t, write ? STORE_WRITE : STORE_READ,
               write ? disk_write_flags(d, r.flags & DISK_CDB_FUA) : 0, r.lba,
               r.blocks);
}

void disk_read_blocks(struct disk *d, struct scsi_task *t)
{
    transfer(d, t, false);
}

void disk_write_blocks(struct disk *d, struct scsi_task *t)
{
    transfer(d, t, true);
}

/* ---- the medium as a whole ---- */

void disk_test_unit_ready(struct disk *d, struct scsi_task *t)
{
    disk_good(d, t, 0);
}

/* SBC-3 5.22. All is made stable, whatever the range. IMMED would allow an
 * answer before that; who waits for none loses nothing by a later one, and is
 * told of errors. */
void disk_sync_cache(struct disk *d, struct scsi_task *t)
{
    struct disk_range r = disk_range(t);

    if (!disk_range_ok(d, t, &r, UINT64_MAX))
        return;
    disk_store_flush(d, t, on_done);
}

/* There is no cache of ours to fetch into; SBC-3 5.10: then GOOD. */
void disk_prefetch(struct disk *d, struct scsi_task *t)
{
    struct disk_range r = disk_range(t);

    if (disk_range_ok(d, t, &r, UINT64_MAX))
        disk_good(d, t, 0);
}

static void on_stop_flushed(struct store_req *r)
{
    struct scsi_task *t = container_of(r, struct scsi_task, store);
    struct disk *d = disk_of(t->lun);

    if (r->result < 0) {
        disk_failed(d, t);
        return;
    }
    d->stopped = true;
    disk_keep(d);
    disk_good(d, t, 0);
}

/* SBC-3 5.19. A disk that is stopped does nothing with its medium until it is
 * started, or reset. What is cached is made stable first; NO_FLUSH and power
 * conditions are not offered, and nothing can be ejected. */
void disk_start_stop(struct disk *d, struct scsi_task *t)
{
    if (t->cdb[4] & 0x01) { /* START */
        d->stopped = false;
        disk_keep(d);
        disk_good(d, t, 0);
        return;
    }
    disk_store_flush(d, t, on_stop_flushed);
}
