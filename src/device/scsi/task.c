/* What kinds of units have in common about the answer to a task. */
#include "base/iov.h"
#include "device/scsi/lun.h"

void scsi_task_check(struct scsi_task *t, enum scsi_sense_key key,
                     enum scsi_asc asc)
{
    t->response = SCSI_R_OK;
    t->status = SCSI_CHECK_CONDITION;
    t->sense_len = (uint8_t)scsi_sense_put(t->sense, false, key, asc);
    t->moved = 0;
    t->overflow = 0;
}

void scsi_task_data(struct scsi_task *t, const void *data, size_t len,
                    uint64_t allocated)
{
    uint64_t ask = MIN((uint64_t)len, allocated);
    uint64_t room = t->dir == SCSI_DATA_IN ? t->len : 0;
    uint64_t left = MIN(ask, room);

    t->status = SCSI_GOOD;
    t->sense_len = 0;
    t->moved = left;
    t->overflow = ask - left;
    t->response = t->overflow ? SCSI_R_OVERRUN : SCSI_R_OK;
    iov_write(t->iov, t->iov_num, 0, data, (size_t)left);
}

void scsi_task_sense(struct scsi_task *t, enum scsi_sense_key key,
                     enum scsi_asc asc)
{
    uint8_t sense[SCSI_SENSE_FIXED_BYTES];
    bool descriptor = t->cdb[1] & 0x01; /* DESC */

    scsi_task_data(t, sense, scsi_sense_put(sense, descriptor, key, asc),
                   t->cdb[4]);
}

size_t scsi_task_read(const struct scsi_task *t, uint64_t offset, void *buf,
                      size_t len)
{
    if (t->dir != SCSI_DATA_OUT)
        return 0;
    return iov_read(t->iov, t->iov_num, offset, buf, len);
}
