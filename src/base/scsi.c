/* What can be told of a SCSI command by looking at it. */
#include "base/scsi.h"

#include <string.h>

unsigned scsi_cdb_len(const uint8_t *cdb, size_t have)
{
    unsigned len;

    if (have == 0)
        return 0;
    switch (cdb[0] >> 5) { /* the group */
    case 0:
        len = 6;
        break;
    case 1:
    case 2:
        len = 10;
        break;
    case 3:
        if (cdb[0] != SCSI_VARIABLE_LENGTH || have < 8)
            return 0;
        len = cdb[7] + 8u; /* of additional length; a multiple of 4 */
        if (len % 4)
            return 0;
        break;
    case 4:
        len = 16;
        break;
    case 5:
        len = 12;
        break;
    default:
        return 0;
    }
    return len <= have && len <= SCSI_CDB_MAX ? len : 0;
}

bool scsi_is_repeatable(const uint8_t *cdb)
{
    switch (cdb[0]) {
    case SCSI_TEST_UNIT_READY:
    case SCSI_REQUEST_SENSE:
    case SCSI_READ_6:
    case SCSI_WRITE_6:
    case SCSI_INQUIRY:
    case SCSI_MODE_SENSE_6:
    case SCSI_READ_CAPACITY_10:
    case SCSI_READ_10:
    case SCSI_WRITE_10:
    case SCSI_WRITE_VERIFY_10:
    case SCSI_VERIFY_10:
    case SCSI_PREFETCH_10:
    case SCSI_SYNC_CACHE_10:
    case SCSI_WRITE_SAME_10:
    case SCSI_UNMAP:
    case SCSI_LOG_SENSE:
    case SCSI_MODE_SENSE_10:
    case SCSI_READ_16:
    case SCSI_WRITE_16:
    case SCSI_WRITE_VERIFY_16:
    case SCSI_VERIFY_16:
    case SCSI_PREFETCH_16:
    case SCSI_SYNC_CACHE_16:
    case SCSI_WRITE_SAME_16:
    case SCSI_REPORT_LUNS:
    case SCSI_READ_12:
    case SCSI_WRITE_12:
    case SCSI_WRITE_VERIFY_12:
    case SCSI_VERIFY_12:
        return true;
    case SCSI_SERVICE_ACTION_IN_16:
        return (cdb[1] & 0x1f) == SCSI_SAI_READ_CAPACITY_16 ||
               (cdb[1] & 0x1f) == SCSI_SAI_GET_LBA_STATUS;
    case SCSI_MAINTENANCE_IN:
        return (cdb[1] & 0x1f) == SCSI_MI_REPORT_OPCODES ||
               (cdb[1] & 0x1f) == SCSI_MI_REPORT_TMFS;
    default:
        return false;
    }
}

size_t scsi_sense_put(uint8_t *sense, bool descriptor, enum scsi_sense_key key,
                      enum scsi_asc asc)
{
    memset(sense, 0, SCSI_SENSE_FIXED_BYTES);
    if (descriptor) {
        sense[0] = 0x72; /* current error, and no descriptors behind it */
        sense[1] = (uint8_t)key;
        be16_put(sense + 2, (uint16_t)asc);
        return 8;
    }
    sense[0] = 0x70; /* current error, fixed format */
    sense[2] = (uint8_t)key;
    sense[7] = SCSI_SENSE_FIXED_BYTES - 8;
    be16_put(sense + 12, (uint16_t)asc);
    return SCSI_SENSE_FIXED_BYTES;
}

void scsi_sense_info(uint8_t *sense, uint64_t info)
{
    if (info > UINT32_MAX)
        return;
    sense[0] |= 0x80; /* VALID */
    be32_put(sense + 3, (uint32_t)info);
}

bool scsi_sense_read(const uint8_t *sense, size_t len, uint8_t *key,
                     uint16_t *asc)
{
    if (len < 4)
        return false;
    switch (sense[0] & 0x7f) {
    case 0x70:
    case 0x71:
        if (len < 14)
            return false;
        *key = sense[2] & 0xf;
        *asc = be16_at(sense + 12);
        return true;
    case 0x72:
    case 0x73:
        *key = sense[1] & 0xf;
        *asc = be16_at(sense + 2);
        return true;
    default:
        return false;
    }
}
