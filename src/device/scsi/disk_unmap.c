/* UNMAP, and WRITE SAME: SBC-3 5.28, 5.41 to 5.43.
 *
 * A list of ranges is copied out once and checked as a whole before the first
 * of them is given back. Writing the same zeros is a zeroing of the store,
 * which may give space back if the guest allows it (UNMAP), and which reads as
 * zeros whatever LBPRZ says. Any other block is written, many copies at a
 * time. Only the long form may unmap: guests use it where it is there, and some
 * take the short one to unmap whatever block they send. */
#include <stdlib.h>
#include <string.h>

#include "device/scsi/disk.h"

/* ---- UNMAP ---- */

#define HEAD_BYTES 8
#define DESCRIPTOR_BYTES 16
#define AT_ONCE 8 /* ranges; more of them take turns with others */

struct extent {
    uint64_t lba, blocks;
};

static bool unmap_step(struct disk_work *w)
{
    const struct extent *list = (const void *)w->buf;
    uint64_t num = w->buf_bytes / sizeof(*list);

    while (w->at < num && list[w->at].blocks == 0)
        w->at++;
    if (w->at == num) {
        disk_good(w->disk, w->task, w->moved);
        return false;
    }
    w->lba = list[w->at].lba;
    disk_work_range(w, STORE_DISCARD, 0, 0,
                    list[w->at].blocks << w->disk->block_shift);
    w->at++;
    return true;
}

/* Reads `num` descriptors of the list; or ends the task. */
static bool read_extents(struct disk_work *w, unsigned num)
{
    struct extent *list = (void *)w->buf;
    struct disk *d = w->disk;
    uint8_t from[DESCRIPTOR_BYTES];
    uint64_t total = 0;

    for (unsigned i = 0; i < num; i++) {
        scsi_task_read(w->task, HEAD_BYTES + i * DESCRIPTOR_BYTES, from,
                       sizeof(from));
        list[i].lba = be64_at(from);
        list[i].blocks = be32_at(from + 8);
        total += list[i].blocks;
        if (list[i].lba > d->blocks ||
            list[i].blocks > d->blocks - list[i].lba) {
            disk_check_info(d, w->task, SCSI_ILLEGAL_REQUEST,
                            SCSI_ASC_LBA_OUT_OF_RANGE,
                            MAX(list[i].lba, d->blocks));
            return false;
        }
    }
    if (total > DISK_UNMAP_MAX_BLOCKS) {
        disk_check(d, w->task, SCSI_ILLEGAL_REQUEST,
                   SCSI_ASC_INVALID_FIELD_IN_LIST);
        return false;
    }
    return true;
}

void disk_unmap(struct disk *d, struct scsi_task *t)
{
    unsigned len = be16_at(t->cdb + 7), num;
    uint8_t head[HEAD_BYTES];
    struct disk_work *w;

    if (len == 0) {
        disk_good(d, t, 0);
        return;
    }
    if (!disk_room_ok(d, t, SCSI_DATA_OUT, len))
        return;
    if (len < HEAD_BYTES) {
        disk_check(d, t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH);
        return;
    }
    scsi_task_read(t, 0, head, sizeof(head));
    /* What there is of the descriptors that it says there are; a part of one
     * at the end is not looked at. */
    num = MIN(be16_at(head + 2), len - HEAD_BYTES) / DESCRIPTOR_BYTES;
    if (num > DISK_UNMAP_MAX_RANGES) {
        disk_check(d, t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_LIST);
        return;
    }
    w = disk_work(d, t, num * sizeof(struct extent), unmap_step);
    if (!w)
        return;
    w->moved = len;
    if (read_extents(w, num))
        disk_work_start(w, num > AT_ONCE ? UINT64_MAX : 0);
}

/* ---- WRITE SAME ---- */

enum { ZERO, COPIES }; /* what a work does */

static bool write_same_step(struct disk_work *w)
{
    uint64_t bytes = w->blocks << w->disk->block_shift, len;
    uint16_t flags = disk_write_flags(w->disk, false);

    if (w->at == bytes) {
        disk_good(w->disk, w->task, w->moved);
        return false;
    }
    if (w->state == ZERO) {
        w->at = bytes;
        if (w->task->cdb[1] & DISK_CDB_UNMAP)
            flags |= STORE_UNMAP;
        disk_work_range(w, STORE_ZERO, flags, 0, bytes);
        return true;
    }
    len = MIN(bytes - w->at, (uint64_t)w->buf_bytes);
    disk_work_io(w, STORE_WRITE, flags, w->at, w->buf, (size_t)len);
    w->at += len;
    return true;
}

static bool is_zero(const uint8_t *p, size_t len)
{
    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* The block that the guest sent, or zeros if it sent none, and copies of it up
 * to the end of the buffer. */
static void fill(struct disk_work *w, bool sent)
{
    size_t block = w->disk->block_bytes;

    if (sent)
        scsi_task_read(w->task, 0, w->buf, block);
    else
        memset(w->buf, 0, block);
    w->state = COPIES;
    if (w->disk->store->info.can_zero && is_zero(w->buf, block)) {
        w->state = ZERO;
        return;
    }
    for (size_t at = block; at < w->buf_bytes; at += block)
        memcpy(w->buf + at, w->buf, block);
}

void disk_write_same(struct disk *d, struct scsi_task *t)
{
    struct disk_range r = disk_range(t);
    bool sent = !(t->cdb[0] == SCSI_WRITE_SAME_16 && r.flags & 0x01); /* NDOB */
    struct disk_work *w;
    uint64_t bytes;

    if (!disk_range_ok(d, t, &r, UINT64_MAX))
        return;
    if (r.blocks == 0) /* WSNZ is zero: up to the end */
        r.blocks = d->blocks - r.lba;
    if (r.blocks > DISK_SAME_MAX_BLOCKS) {
        disk_bad_field(d, t);
        return;
    }
    if (sent && !disk_room_ok(d, t, SCSI_DATA_OUT, d->block_bytes))
        return;
    bytes = r.blocks << d->block_shift;
    if (bytes == 0) {
        disk_good(d, t, sent ? d->block_bytes : 0);
        return;
    }
    w = disk_work(d, t, (size_t)MIN(bytes, (uint64_t)DISK_STEP_BYTES),
                  write_same_step);
    if (!w)
        return;
    w->lba = r.lba;
    w->blocks = r.blocks;
    w->moved = sent ? d->block_bytes : 0;
    fill(w, sent);
    disk_work_start(w, w->state == COPIES ? bytes : 0);
}
