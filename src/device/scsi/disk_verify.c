/* Commands that compare: VERIFY, WRITE AND VERIFY, COMPARE AND WRITE; and
 * ORWRITE, which reads, changes and writes. SBC-3 5.2, 5.9, 5.29 to 5.38.
 *
 * The medium is read piece by piece into a buffer of ours and compared with the
 * guest's memory where that lies. COMPARE AND WRITE has all of it in one
 * buffer: it is not long. What must not see others between its two halves is
 * DISK_EXCLUSIVE in the table (disk_tasks.c), so nothing is locked here. */
#include <string.h>

#include "base/iov.h"
#include "device/scsi/disk.h"

enum { NEW, WRITTEN, READ };       /* what a work's last request was */
enum { NOTHING, DATA, BLOCK = 3 }; /* BYTCHK: what to compare with */

/* How many bytes of t's memory from `offset` on are those of buf, `len` at
 * most; all of them are there. */
static size_t same_bytes(const struct scsi_task *t, uint64_t offset,
                         const uint8_t *buf, size_t len)
{
    struct iov_range r = iov_range(t->iov, t->iov_num, offset, len);
    size_t done = 0, j = 0;
    struct iovec v;

    while (iov_next(&r, &v)) {
        const uint8_t *at = v.iov_base;

        if (memcmp(at, buf + done, v.iov_len) != 0) {
            /* The guest may change it under our eyes: then the difference is
             * not found again, and is said to be at the end. */
            while (j + 1 < v.iov_len && at[j] == buf[done + j])
                j++;
            return done + j;
        }
        done += v.iov_len;
    }
    return done;
}

static uint64_t bytes_of(const struct disk_work *w)
{
    return w->blocks << w->disk->block_shift;
}

/* The length of the piece at w->at. */
static size_t piece(const struct disk_work *w)
{
    return (size_t)MIN(bytes_of(w) - w->at, (uint64_t)w->buf_bytes);
}

/* SBC-3 4.13.3.4: where in the guest's data they differ. */
static void miscompare(const struct disk_work *w, uint64_t offset)
{
    disk_check_info(w->disk, w->task, SCSI_MISCOMPARE,
                    SCSI_ASC_MISCOMPARE_VERIFY, offset);
}

/* A buffer for pieces of the range. NULL: t has ended. */
static struct disk_work *work_on(struct disk *d, struct scsi_task *t,
                                 const struct disk_range *r,
                                 bool (*step)(struct disk_work *w))
{
    uint64_t bytes = r->blocks << d->block_shift;
    struct disk_work *w =
        disk_work(d, t, (size_t)MIN(bytes, (uint64_t)DISK_STEP_BYTES), step);

    if (!w)
        return NULL;
    w->lba = r->lba;
    w->blocks = r->blocks;
    return w;
}

/* ---- VERIFY, WRITE AND VERIFY ---- */

/* The piece that was read is what it should be; or the task has ended. */
static bool is_verified(struct disk_work *w)
{
    size_t len = piece(w), block = w->disk->block_bytes, n;

    if (w->check == DATA) {
        n = same_bytes(w->task, w->at, w->buf, len);
        if (n < len)
            miscompare(w, w->at + n);
        return n == len;
    }
    for (size_t at = 0; w->check == BLOCK && at < len; at += block) {
        n = same_bytes(w->task, 0, w->buf + at, block);
        if (n < block) {
            miscompare(w, n);
            return false;
        }
    }
    return true;
}

static bool verify_step(struct disk_work *w)
{
    if (w->state == READ) {
        if (!is_verified(w))
            return false;
        w->at += piece(w);
    }
    if (w->at == bytes_of(w)) {
        disk_good(w->disk, w->task, w->moved);
        return false;
    }
    w->state = READ;
    disk_work_io(w, STORE_READ, 0, w->at, w->buf, piece(w));
    return true;
}

/* What is verified is what is on the medium. */
static bool write_verify_step(struct disk_work *w)
{
    if (w->state != NEW)
        return verify_step(w);
    w->state = WRITTEN;
    disk_work_range(w, STORE_WRITE, STORE_FUA, 0, bytes_of(w));
    return disk_use_iov(w->disk, w->task, 0, bytes_of(w));
}

static void verify(struct disk *d, struct scsi_task *t, bool write)
{
    struct disk_range r = disk_range(t);
    unsigned check = r.flags >> 1 & 3;
    uint64_t need = r.blocks << d->block_shift;
    struct disk_work *w;

    if (check != NOTHING && check != DATA && (write || check != BLOCK)) {
        disk_bad_field(d, t);
        return;
    }
    if (!disk_range_ok(d, t, &r, disk_transfer_max(d)))
        return;
    if (r.blocks == 0) {
        disk_good(d, t, 0);
        return;
    }
    if (!write && check != DATA)
        need = check == BLOCK ? d->block_bytes : 0;
    if (!disk_room_ok(d, t, SCSI_DATA_OUT, need))
        return;
    w = work_on(d, t, &r, write ? write_verify_step : verify_step);
    if (!w)
        return;
    w->check = check;
    w->moved = need;
    disk_work_start(w, bytes_of(w));
}

void disk_verify(struct disk *d, struct scsi_task *t)
{
    verify(d, t, false);
}

void disk_write_verify(struct disk *d, struct scsi_task *t)
{
    verify(d, t, true);
}

/* ---- COMPARE AND WRITE: SBC-3 5.2 ---- */

/* The guest's data is what is to be there, and then what is to be written. */
static bool compare_and_write_step(struct disk_work *w)
{
    uint64_t len = bytes_of(w), same;
    bool fua = w->task->cdb[1] & DISK_CDB_FUA;

    switch (w->state) {
    case NEW:
        w->state = READ;
        disk_work_io(w, STORE_READ, 0, 0, w->buf, (size_t)len);
        return true;
    case READ:
        same = same_bytes(w->task, 0, w->buf, (size_t)len);
        if (same < len) {
            miscompare(w, same);
            return false;
        }
        w->state = WRITTEN;
        disk_work_range(w, STORE_WRITE, disk_write_flags(w->disk, fua), 0, len);
        return disk_use_iov(w->disk, w->task, len, len);
    default:
        disk_good(w->disk, w->task, 2 * len);
        return false;
    }
}

void disk_compare_and_write(struct disk *d, struct scsi_task *t)
{
    struct disk_range r = disk_range(t); /* its bytes 10 to 12 are zero */
    uint64_t len = r.blocks << d->block_shift;
    struct disk_work *w;

    if (!disk_range_ok(d, t, &r, disk_compare_max(d)))
        return;
    if (r.blocks == 0) {
        disk_good(d, t, 0);
        return;
    }
    if (!disk_room_ok(d, t, SCSI_DATA_OUT, 2 * len))
        return;
    w = disk_work(d, t, (size_t)len, compare_and_write_step);
    if (!w)
        return;
    w->lba = r.lba;
    w->blocks = r.blocks;
    disk_work_start(w, len);
}

/* ---- ORWRITE: SBC-3 5.9 ---- */

/* Adds the bits of t's data at `offset`; all of it is there. */
static void or_bytes(const struct scsi_task *t, uint64_t offset, uint8_t *buf,
                     size_t len)
{
    struct iov_range r = iov_range(t->iov, t->iov_num, offset, len);
    struct iovec v;

    while (iov_next(&r, &v)) {
        const uint8_t *at = v.iov_base;

        for (size_t j = 0; j < v.iov_len; j++)
            buf[j] |= at[j];
        buf += v.iov_len;
    }
}

static bool orwrite_step(struct disk_work *w)
{
    bool fua = w->task->cdb[1] & DISK_CDB_FUA;

    if (w->state == READ) {
        w->state = WRITTEN;
        or_bytes(w->task, w->at, w->buf, piece(w));
        disk_work_io(w, STORE_WRITE, disk_write_flags(w->disk, fua), w->at,
                     w->buf, piece(w));
        return true;
    }
    if (w->state == WRITTEN)
        w->at += piece(w);
    if (w->at == bytes_of(w)) {
        disk_good(w->disk, w->task, bytes_of(w));
        return false;
    }
    w->state = READ;
    disk_work_io(w, STORE_READ, 0, w->at, w->buf, piece(w));
    return true;
}

void disk_orwrite(struct disk *d, struct scsi_task *t)
{
    struct disk_range r = disk_range(t);
    struct disk_work *w;

    if (!disk_range_ok(d, t, &r, disk_transfer_max(d)))
        return;
    if (r.blocks == 0) {
        disk_good(d, t, 0);
        return;
    }
    if (!disk_room_ok(d, t, SCSI_DATA_OUT, r.blocks << d->block_shift))
        return;
    w = work_on(d, t, &r, orwrite_step);
    if (w)
        disk_work_start(w, bytes_of(w));
}
