/* base/scsi.h: the numbers of SCSI that we use, by their names there, and what
 * can be told of a command without a device.
 *
 * SAM-5, SPC-4, SBC-3. Fields of CDBs and of parameter data are big endian and
 * lie at any address: be16_at and the like load and store them, from memory
 * that nobody else writes (a copy). */
#ifndef VUB_BASE_SCSI_H
#define VUB_BASE_SCSI_H

#include "base/base.h"

#define SCSI_CDB_MAX 32   /* bytes of the longest CDB that we take */
#define SCSI_SENSE_MAX 96 /* bytes of sense data that we keep */
#define SCSI_SENSE_FIXED_BYTES 18

static inline uint16_t be16_at(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t be24_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 16 | be16_at(p + 1);
}

static inline uint32_t be32_at(const uint8_t *p)
{
    return (uint32_t)be16_at(p) << 16 | be16_at(p + 2);
}

static inline uint64_t be64_at(const uint8_t *p)
{
    return (uint64_t)be32_at(p) << 32 | be32_at(p + 4);
}

static inline void be16_put(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void be32_put(uint8_t *p, uint32_t v)
{
    be16_put(p, (uint16_t)(v >> 16));
    be16_put(p + 2, (uint16_t)v);
}

static inline void be64_put(uint8_t *p, uint64_t v)
{
    be32_put(p, (uint32_t)(v >> 32));
    be32_put(p + 4, (uint32_t)v);
}

/* Operation codes: SPC-4 annex E.3. */
enum scsi_opcode {
    SCSI_TEST_UNIT_READY = 0x00,
    SCSI_REQUEST_SENSE = 0x03,
    SCSI_READ_6 = 0x08,
    SCSI_WRITE_6 = 0x0a,
    SCSI_INQUIRY = 0x12,
    SCSI_MODE_SELECT_6 = 0x15,
    SCSI_RESERVE_6 = 0x16,
    SCSI_RELEASE_6 = 0x17,
    SCSI_MODE_SENSE_6 = 0x1a,
    SCSI_START_STOP_UNIT = 0x1b,
    SCSI_PREVENT_ALLOW = 0x1e,
    SCSI_READ_CAPACITY_10 = 0x25,
    SCSI_READ_10 = 0x28,
    SCSI_WRITE_10 = 0x2a,
    SCSI_WRITE_VERIFY_10 = 0x2e,
    SCSI_VERIFY_10 = 0x2f,
    SCSI_PREFETCH_10 = 0x34,
    SCSI_SYNC_CACHE_10 = 0x35,
    SCSI_READ_DEFECT_DATA_10 = 0x37,
    SCSI_WRITE_SAME_10 = 0x41,
    SCSI_UNMAP = 0x42,
    SCSI_LOG_SENSE = 0x4d,
    SCSI_MODE_SELECT_10 = 0x55,
    SCSI_RESERVE_10 = 0x56,
    SCSI_RELEASE_10 = 0x57,
    SCSI_MODE_SENSE_10 = 0x5a,
    SCSI_PR_IN = 0x5e,
    SCSI_PR_OUT = 0x5f,
    SCSI_VARIABLE_LENGTH = 0x7f,
    SCSI_READ_16 = 0x88,
    SCSI_COMPARE_AND_WRITE = 0x89,
    SCSI_WRITE_16 = 0x8a,
    SCSI_ORWRITE_16 = 0x8b,
    SCSI_WRITE_VERIFY_16 = 0x8e,
    SCSI_VERIFY_16 = 0x8f,
    SCSI_PREFETCH_16 = 0x90,
    SCSI_SYNC_CACHE_16 = 0x91,
    SCSI_WRITE_SAME_16 = 0x93,
    SCSI_SERVICE_ACTION_IN_16 = 0x9e,
    SCSI_REPORT_LUNS = 0xa0,
    SCSI_MAINTENANCE_IN = 0xa3,
    SCSI_READ_12 = 0xa8,
    SCSI_WRITE_12 = 0xaa,
    SCSI_WRITE_VERIFY_12 = 0xae,
    SCSI_VERIFY_12 = 0xaf,
    SCSI_READ_DEFECT_DATA_12 = 0xb7,
};

/* Service actions, of SERVICE ACTION IN (16) and of MAINTENANCE IN. */
#define SCSI_SAI_READ_CAPACITY_16 0x10
#define SCSI_SAI_GET_LBA_STATUS 0x12
#define SCSI_MI_REPORT_OPCODES 0x0c
#define SCSI_MI_REPORT_TMFS 0x0d

/* Status codes: SAM-5 5.3. */
enum scsi_status {
    SCSI_GOOD = 0x00,
    SCSI_CHECK_CONDITION = 0x02,
    SCSI_CONDITION_MET = 0x04,
    SCSI_BUSY = 0x08,
    SCSI_RESERVATION_CONFLICT = 0x18,
    SCSI_TASK_SET_FULL = 0x28,
    SCSI_ACA_ACTIVE = 0x30,
    SCSI_TASK_ABORTED = 0x40,
};

/* Task attributes, numbered as virtio-scsi does. */
enum scsi_attr {
    SCSI_SIMPLE,
    SCSI_ORDERED,
    SCSI_HEAD_OF_QUEUE,
    SCSI_ACA,
};

/* Sense keys: SPC-4 4.5.6. */
enum scsi_sense_key {
    SCSI_NO_SENSE = 0x0,
    SCSI_NOT_READY = 0x2,
    SCSI_MEDIUM_ERROR = 0x3,
    SCSI_HARDWARE_ERROR = 0x4,
    SCSI_ILLEGAL_REQUEST = 0x5,
    SCSI_UNIT_ATTENTION = 0x6,
    SCSI_DATA_PROTECT = 0x7,
    SCSI_ABORTED_COMMAND = 0xb,
    SCSI_MISCOMPARE = 0xe,
};

/* Additional sense code << 8 | its qualifier: SPC-4 annex E.2. */
enum scsi_asc {
    SCSI_ASC_NONE = 0x0000,
    SCSI_ASC_BECOMING_READY = 0x0401,
    SCSI_ASC_START_REQUIRED = 0x0402, /* INITIALIZING COMMAND REQUIRED */
    SCSI_ASC_WRITE_ERROR = 0x0c00,
    SCSI_ASC_UNRECOVERED_READ_ERROR = 0x1100,
    SCSI_ASC_PARAMETER_LIST_LENGTH = 0x1a00,
    SCSI_ASC_MISCOMPARE_VERIFY = 0x1d00,
    SCSI_ASC_INVALID_OPCODE = 0x2000,
    SCSI_ASC_LBA_OUT_OF_RANGE = 0x2100,
    SCSI_ASC_INVALID_FIELD_IN_CDB = 0x2400,
    SCSI_ASC_LUN_NOT_SUPPORTED = 0x2500,
    SCSI_ASC_INVALID_FIELD_IN_LIST = 0x2600,
    SCSI_ASC_WRITE_PROTECTED = 0x2700,
    SCSI_ASC_SOFTWARE_WRITE_PROTECTED = 0x2702,
    SCSI_ASC_SPACE_ALLOCATION_FAILED = 0x2707,
    SCSI_ASC_POWER_ON = 0x2900, /* power on, reset, or bus device reset */
    SCSI_ASC_DEVICE_RESET = 0x2903,
    SCSI_ASC_NEXUS_LOSS = 0x2907,
    SCSI_ASC_PARAMETERS_CHANGED = 0x2a00,
    SCSI_ASC_MODE_CHANGED = 0x2a01,
    SCSI_ASC_CAPACITY_CHANGED = 0x2a09,
    SCSI_ASC_NO_MEDIUM = 0x3a00,
    SCSI_ASC_SAVING_NOT_SUPPORTED = 0x3900,
    SCSI_ASC_INQUIRY_CHANGED = 0x3f03,
    SCSI_ASC_LUNS_CHANGED = 0x3f0e, /* REPORTED LUNS DATA HAS CHANGED */
    SCSI_ASC_INTERNAL_FAILURE = 0x4400,
    SCSI_ASC_INVALID_MESSAGE = 0x4900, /* a task attribute that cannot be */
};

/* How long the CDB is that starts with these bytes, of which `have` can be
 * read: 6 to SCSI_CDB_MAX; 0: that cannot be told (vendor's groups, reserved
 * ones), or it is longer than `have` or SCSI_CDB_MAX. SPC-4 4.2.5.1. */
unsigned scsi_cdb_len(const uint8_t *cdb, size_t have);

/* May a command that has perhaps been executed be executed again? Reads and
 * what only looks; whole writes, which write the same; never what depends on
 * what was there before, or what we do not know. */
bool scsi_is_repeatable(const uint8_t *cdb);

/* Sense data in descriptor format, SPC-4 4.5.2, or in fixed format, 4.5.3: its
 * length, SCSI_SENSE_FIXED_BYTES at most. */
size_t scsi_sense_put(uint8_t *sense, bool descriptor, enum scsi_sense_key key,
                      enum scsi_asc asc);
/* And, in fixed format, its INFORMATION field, if `info` fits it: 32 bits. */
void scsi_sense_info(uint8_t *sense, uint64_t info);
/* Either format, from whoever. False: it is neither, or too short. */
bool scsi_sense_read(const uint8_t *sense, size_t len, uint8_t *key,
                     uint16_t *asc);

#endif
