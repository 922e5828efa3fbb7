/* The commands of a disk: one table, from which they are dispatched, and which
 * REPORT SUPPORTED OPERATION CODES tells: what is not in it is refused, and so
 * is a bit of a CDB that its row does not have. */
#include <string.h>

#include "device/scsi/disk.h"

#define READS DISK_MEDIUM
#define WRITES (DISK_MEDIUM | DISK_WRITES)
#define THIN DISK_THIN
#define THICK DISK_THICK
#define ALONE DISK_EXCLUSIVE
#define ACTION DISK_ACTION

/* Runs of bytes of an address, a length or a count. */
#define B2 0xff, 0xff
#define B4 B2, B2
#define B8 B4, B4

/* The usage of what reads or writes a range, with these bits in its byte 1.
 * GROUP NUMBER is taken and means nothing, as GROUP_SUP says. */
#define GROUP 0x1f
#define RANGE_6 0x1f, B2, 0xff
#define RANGE_10(bits) bits, B4, GROUP, B2
#define RANGE_12(bits) bits, B4, B4, GROUP
#define RANGE_16(bits) bits, B8, B4, GROUP
#define BYTE_16(bits) bits, B8, 0, 0, 0, 0xff, GROUP
#define FUA 0x18    /* and DPO */
#define BYTCHK 0x16 /* and DPO */
#define IMMED 0x02
#define UNMAP DISK_CDB_UNMAP
#define NDOB 0x01

/* Rows of one opcode stand together. */
static const struct disk_command commands[] = {
    {SCSI_TEST_UNIT_READY, 6, READS, disk_test_unit_ready, {0}},
    {SCSI_REQUEST_SENSE, 6, 0, disk_request_sense, {0x01, 0, 0, 0xff}},
    {SCSI_READ_6, 6, READS, disk_read_blocks, {RANGE_6}},
    {SCSI_WRITE_6, 6, WRITES, disk_write_blocks, {RANGE_6}},
    {SCSI_INQUIRY, 6, 0, disk_inquiry, {0x01, 0xff, B2}},
    {SCSI_MODE_SELECT_6, 6, ALONE, disk_mode_select, {0x11, 0, 0, 0xff}},
    {SCSI_MODE_SENSE_6, 6, 0, disk_mode_sense, {0x08, 0xff, 0xff, 0xff}},
    {SCSI_START_STOP_UNIT, 6, ALONE, disk_start_stop, {0x01, 0, 0, 0x01}},
    {SCSI_READ_CAPACITY_10, 10, READS, disk_read_capacity_10, {0}},
    {SCSI_READ_10, 10, READS, disk_read_blocks, {RANGE_10(FUA)}},
    {SCSI_WRITE_10, 10, WRITES, disk_write_blocks, {RANGE_10(FUA)}},
    {SCSI_WRITE_VERIFY_10, 10, WRITES, disk_write_verify, {RANGE_10(BYTCHK)}},
    {SCSI_VERIFY_10, 10, READS, disk_verify, {RANGE_10(BYTCHK)}},
    {SCSI_PREFETCH_10, 10, READS, disk_prefetch, {RANGE_10(IMMED)}},
    {SCSI_SYNC_CACHE_10, 10, READS, disk_sync_cache, {RANGE_10(IMMED)}},
    {SCSI_READ_DEFECT_DATA_10,
     10,
     READS,
     disk_read_defect_data,
     {0, 0x1f, 0, 0, 0, 0, B2}},
    {SCSI_WRITE_SAME_10, 10, WRITES, disk_write_same, {RANGE_10(0)}},
    {SCSI_UNMAP, 10, WRITES | THIN, disk_unmap, {0, 0, 0, 0, 0, GROUP, B2}},
    {SCSI_MODE_SELECT_10,
     10,
     ALONE,
     disk_mode_select,
     {0x11, 0, 0, 0, 0, 0, B2}},
    {SCSI_MODE_SENSE_10, 10, 0, disk_mode_sense, {0x18, B2, 0, 0, 0, B2}},
    {SCSI_READ_16, 16, READS, disk_read_blocks, {RANGE_16(FUA)}},
    {SCSI_COMPARE_AND_WRITE,
     16,
     WRITES | ALONE,
     disk_compare_and_write,
     {BYTE_16(FUA)}},
    {SCSI_WRITE_16, 16, WRITES, disk_write_blocks, {RANGE_16(FUA)}},
    {SCSI_ORWRITE_16, 16, WRITES | ALONE, disk_orwrite, {RANGE_16(FUA)}},
    {SCSI_WRITE_VERIFY_16, 16, WRITES, disk_write_verify, {RANGE_16(BYTCHK)}},
    {SCSI_VERIFY_16, 16, READS, disk_verify, {RANGE_16(BYTCHK)}},
    {SCSI_PREFETCH_16, 16, READS, disk_prefetch, {RANGE_16(IMMED)}},
    {SCSI_SYNC_CACHE_16, 16, READS, disk_sync_cache, {RANGE_16(IMMED)}},
    {SCSI_WRITE_SAME_16,
     16,
     WRITES | THIN,
     disk_write_same,
     {RANGE_16(UNMAP | NDOB)}},
    {SCSI_WRITE_SAME_16, 16, WRITES | THICK, disk_write_same, {RANGE_16(NDOB)}},
    {SCSI_SERVICE_ACTION_IN_16,
     16,
     READS | ACTION,
     disk_read_capacity_16,
     {0x1f, 0, 0, 0, 0, 0, 0, 0, 0, B4},
     SCSI_SAI_READ_CAPACITY_16},
    {SCSI_SERVICE_ACTION_IN_16,
     16,
     READS | ACTION,
     disk_get_lba_status,
     {0x1f, B8, B4},
     SCSI_SAI_GET_LBA_STATUS},
    {SCSI_REPORT_LUNS, 12, 0, NULL, {0, 0xff, 0, 0, 0, B4}},
    {SCSI_MAINTENANCE_IN,
     12,
     ACTION,
     disk_report_opcodes,
     {0x1f, 0x87, 0xff, B2, B4},
     SCSI_MI_REPORT_OPCODES},
    {SCSI_MAINTENANCE_IN,
     12,
     ACTION,
     disk_report_tmfs,
     {0x1f, 0x80, 0, 0, 0, B4},
     SCSI_MI_REPORT_TMFS},
    {SCSI_READ_12, 12, READS, disk_read_blocks, {RANGE_12(FUA)}},
    {SCSI_WRITE_12, 12, WRITES, disk_write_blocks, {RANGE_12(FUA)}},
    {SCSI_WRITE_VERIFY_12, 12, WRITES, disk_write_verify, {RANGE_12(BYTCHK)}},
    {SCSI_VERIFY_12, 12, READS, disk_verify, {RANGE_12(BYTCHK)}},
    {SCSI_READ_DEFECT_DATA_12,
     12,
     READS,
     disk_read_defect_data,
     {0x1f, B4, B4}},
};

static bool is_here(const struct disk *d, const struct disk_command *c)
{
    return !(c->flags & (d->can_unmap ? DISK_THICK : DISK_THIN));
}

void disk_commands_init(struct disk *d)
{
    memset(d->by_opcode, 0, sizeof(d->by_opcode));
    for (unsigned i = ARRAY_LEN(commands); i-- > 0;)
        if (is_here(d, &commands[i]))
            d->by_opcode[commands[i].opcode] = &commands[i];
}

const struct disk_command *disk_command_of(const struct disk *d, uint8_t opcode,
                                           unsigned action)
{
    const struct disk_command *c = d->by_opcode[opcode];

    if (!c)
        return NULL;
    for (; c < commands + ARRAY_LEN(commands) && c->opcode == opcode; c++)
        if (!(c->flags & DISK_ACTION) || c->action == action)
            return c;
    return NULL;
}

/* ---- REPORT SUPPORTED OPERATION CODES: SPC-4 6.35 ---- */

#define TIMEOUTS_BYTES 12

/* A timeouts descriptor that tells nothing: 6.35.4. */
static uint8_t *put_timeouts(uint8_t *at)
{
    memset(at, 0, TIMEOUTS_BYTES);
    be16_put(at, TIMEOUTS_BYTES - 2);
    return at + TIMEOUTS_BYTES;
}

static void report_all(struct disk *d, struct scsi_task *t, bool timeouts,
                       uint32_t allocated)
{
    uint8_t data[4 + ARRAY_LEN(commands) * (8 + TIMEOUTS_BYTES)];
    uint8_t *at = data + 4;

    for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
        const struct disk_command *c = &commands[i];

        if (!is_here(d, c))
            continue;
        memset(at, 0, 8);
        at[0] = c->opcode;
        be16_put(at + 2, c->action);
        at[5] =
            (uint8_t)((timeouts ? 2 : 0) | (c->flags & DISK_ACTION ? 1 : 0));
        be16_put(at + 6, c->len);
        at += 8;
        if (timeouts)
            at = put_timeouts(at);
    }
    be32_put(data, (uint32_t)(at - data - 4));
    disk_data(d, t, data, (size_t)(at - data), allocated);
}

static void report_one(struct disk *d, struct scsi_task *t,
                       const struct disk_command *c, bool timeouts,
                       uint32_t allocated)
{
    uint8_t data[4 + 16 + TIMEOUTS_BYTES] = {0};
    uint8_t *at = data + 4;

    data[1] = c ? 3 : 1; /* SUPPORT: by the standard, or not at all */
    if (c) {
        be16_put(data + 2, c->len);
        memcpy(at + 1, c->usage, c->len - 1u);
        at[0] = c->opcode;
        if (c->flags & DISK_ACTION)
            at[1] = (uint8_t)((at[1] & ~0x1f) | c->action);
        at += c->len;
        if (timeouts) {
            data[1] |= 0x80; /* CTDP */
            at = put_timeouts(at);
        }
    }
    disk_data(d, t, data, (size_t)(at - data), allocated);
}

void disk_report_opcodes(struct disk *d, struct scsi_task *t)
{
    bool timeouts = t->cdb[2] & 0x80; /* RCTD */
    uint8_t opcode = t->cdb[3];
    uint16_t action = be16_at(t->cdb + 4);
    uint32_t allocated = be32_at(t->cdb + 6);
    const struct disk_command *c = disk_command_of(d, opcode, action);
    const struct disk_command *any = d->by_opcode[opcode];
    bool has_actions = any && any->flags & DISK_ACTION;

    switch (t->cdb[2] & 0x7) {
    case 0:
        report_all(d, t, timeouts, allocated);
        return;
    case 1: /* the opcode has no service actions */
        if (has_actions)
            break;
        report_one(d, t, c, timeouts, allocated);
        return;
    case 2: /* it has */
        if (any && !has_actions)
            break;
        report_one(d, t, c, timeouts, allocated);
        return;
    case 3: /* either, and an action that must be zero if it has none */
        if (any && !has_actions && action)
            c = NULL;
        report_one(d, t, c, timeouts, allocated);
        return;
    default:
        break;
    }
    disk_bad_field(d, t);
}

/* SPC-4 6.36. The controller does QUERY TASK, QUERY TASK SET and I_T NEXUS
 * RESET. */
void disk_report_tmfs(struct disk *d, struct scsi_task *t)
{
    uint8_t data[16] = {
        0x80 | 0x40 | 0x10 | 0x08 | 0x04, /* ABORT TASK, ABORT TASK SET, CLEAR
                                           * TASK SET, LOGICAL UNIT RESET,
                                           * QUERY TASK */
        0x02 | 0x01,                      /* QUERY TASK SET, I_T NEXUS RESET */
    };
    bool extended = t->cdb[2] & 0x80; /* REPD: no timeouts to tell */

    if (extended)
        data[3] = sizeof(data) - 4;
    disk_data(d, t, data, extended ? sizeof(data) : 4, be32_at(t->cdb + 6));
}
