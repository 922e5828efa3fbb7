/* What a disk tells of itself: INQUIRY and its VPD pages, READ CAPACITY,
 * GET LBA STATUS, READ DEFECT DATA, REQUEST SENSE.
 *
 * Who the disk is (pages 80 and 83) comes from the config alone, so that a
 * guest finds it again under the same names after any restart. */
#include <string.h>

#include "device/scsi/disk.h"

#define VENDOR "VUB     "
#define PRODUCT "DISK            "
#define REVISION "1   "

/* Text that is as long as its field, without an end. */
static void put_text(uint8_t *at, const char *text, size_t len)
{
    memcpy(at, text, len);
}

static uint32_t blocks_of(const struct disk *d, uint64_t bytes)
{
    return (uint32_t)(bytes >> d->block_shift);
}

/* ---- standard data: SPC-4 6.6.2 ---- */

static void standard(struct disk *d, struct scsi_task *t, uint32_t allocated)
{
    static const uint16_t versions[] = {
        0x00a0, /* SAM-5 */
        0x0460, /* SPC-4 */
        0x04c0, /* SBC-3 */
    };
    uint8_t data[74] = {
        [2] = 0x06, /* SPC-4 */
        [3] = 0x12, /* HISUP, format 2 */
        [7] = 0x02, /* CMDQUE */
    };

    data[4] = sizeof(data) - 5;
    put_text(data + 8, VENDOR, 8);
    put_text(data + 16, PRODUCT, 16);
    put_text(data + 32, REVISION, 4);
    for (unsigned i = 0; i < ARRAY_LEN(versions); i++)
        be16_put(data + 58 + 2 * i, versions[i]);
    disk_data(d, t, data, sizeof(data), allocated);
}

/* ---- VPD pages: each returns the length of what follows its head ---- */

#define VPD_MAX 256

static size_t page_serial(const struct disk *d, uint8_t *p)
{
    size_t n = strlen(d->serial);

    put_text(p, d->serial, n);
    return n;
}

/* SPC-4 7.8.6: designators of the unit. */
static size_t page_ids(const struct disk *d, uint8_t *p)
{
    size_t n = strlen(d->serial);
    uint8_t *at = p;

    at[0] = 0x02; /* ASCII */
    at[1] = 0x01; /* T10 vendor id based */
    at[2] = 0;
    at[3] = (uint8_t)(8 + n);
    put_text(at + 4, VENDOR, 8);
    put_text(at + 12, d->serial, n);
    at += 12 + n;
    at[0] = 0x01; /* binary */
    at[1] = 0x03; /* NAA */
    at[2] = 0;
    at[3] = 8;
    be64_put(at + 4, d->naa);
    return (size_t)(at + 12 - p);
}

/* SPC-4 7.8.7: what of the task set and the cache there is. */
static size_t page_extended(const struct disk *d, uint8_t *p)
{
    memset(p, 0, 60);
    p[1] = 0x04 | 0x02 | 0x01; /* HEADSUP, ORDSUP, SIMPSUP; not GROUP_SUP */
    p[2] = d->store->info.cached ? 0x01 : 0; /* V_SUP */
    return 60;
}

/* SBC-3 6.5.3. */
static size_t page_limits(const struct disk *d, uint8_t *p)
{
    const struct store_info *info = &d->store->info;

    memset(p, 0, 60);
    p[1] = (uint8_t)disk_compare_max(d);
    be16_put(p + 2, (uint16_t)blocks_of(d, d->physical_bytes));
    be32_put(p + 4, (uint32_t)disk_transfer_max(d));
    be32_put(p + 8, MIN(blocks_of(d, info->opt_io_size),
                        (uint32_t)disk_transfer_max(d)));
    if (d->can_unmap) {
        be32_put(p + 16, DISK_UNMAP_MAX_BLOCKS);
        be32_put(p + 20, DISK_UNMAP_MAX_RANGES);
        be32_put(p + 24, MAX(blocks_of(d, info->discard_align), UINT32_C(1)));
        be32_put(p + 28, UINT32_C(1) << 31); /* UGAVALID; aligned to 0 */
    }
    be64_put(p + 32, DISK_SAME_MAX_BLOCKS);
    return 60;
}

/* SBC-3 6.5.2. */
static size_t page_characteristics(const struct disk *d, uint8_t *p)
{
    (void)d;
    memset(p, 0, 60);
    be16_put(p, 1); /* it does not rotate */
    return 60;
}

/* SBC-3 6.5.4. */
static size_t page_provisioning(const struct disk *d, uint8_t *p)
{
    memset(p, 0, 4);
    if (d->can_unmap) {
        p[1] = 0x80 | 0x40; /* LBPU, LBPWS; not LBPWS10 */
        if (d->store->info.discard_zeroes)
            p[1] |= 0x04; /* LBPRZ */
        p[2] = 2;         /* thin */
    }
    return 4;
}

static size_t page_list(const struct disk *d, uint8_t *p);

static const struct page {
    uint8_t code;
    size_t (*put)(const struct disk *d, uint8_t *p);
} pages[] = {
    {0x00, page_list},         {0x80, page_serial},
    {0x83, page_ids},          {0x86, page_extended},
    {0xb0, page_limits},       {0xb1, page_characteristics},
    {0xb2, page_provisioning},
};

static size_t page_list(const struct disk *d, uint8_t *p)
{
    (void)d;
    for (unsigned i = 0; i < ARRAY_LEN(pages); i++)
        p[i] = pages[i].code;
    return ARRAY_LEN(pages);
}

void disk_inquiry(struct disk *d, struct scsi_task *t)
{
    uint8_t code = t->cdb[2], data[4 + VPD_MAX] = {0};
    uint32_t allocated = be16_at(t->cdb + 3);
    size_t len;

    if (!(t->cdb[1] & 0x01)) { /* EVPD */
        if (code)
            disk_bad_field(d, t);
        else
            standard(d, t, allocated);
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(pages); i++) {
        if (pages[i].code != code)
            continue;
        len = pages[i].put(d, data + 4);
        data[1] = code;
        be16_put(data + 2, (uint16_t)len);
        disk_data(d, t, data, 4 + len, allocated);
        return;
    }
    disk_bad_field(d, t);
}

/* SPC-4 6.39. What is wrong now is told of here, not of commands before: those
 * have had their sense data with their status. */
void disk_request_sense(struct disk *d, struct scsi_task *t)
{
    if (d->stopped)
        scsi_task_sense(t, SCSI_NOT_READY, SCSI_ASC_START_REQUIRED);
    else
        scsi_task_sense(t, SCSI_NO_SENSE, SCSI_ASC_NONE);
    disk_end(d, t);
}

/* ---- capacity ---- */

void disk_read_capacity_10(struct disk *d, struct scsi_task *t)
{
    uint8_t data[8];

    be32_put(data, (uint32_t)MIN(d->blocks - 1, (uint64_t)UINT32_MAX));
    be32_put(data + 4, d->block_bytes);
    disk_data(d, t, data, sizeof(data), sizeof(data));
}

/* SBC-3 5.16. */
void disk_read_capacity_16(struct disk *d, struct scsi_task *t)
{
    uint8_t data[32] = {0};

    be64_put(data, d->blocks - 1);
    be32_put(data + 8, d->block_bytes);
    data[13] =
        (uint8_t)__builtin_ctz(d->physical_bytes / d->block_bytes); /* LBPPBE */
    if (d->can_unmap) {
        data[14] = 0x80; /* LBPME */
        if (d->store->info.discard_zeroes)
            data[14] |= 0x40; /* LBPRZ */
    }
    disk_data(d, t, data, sizeof(data), be32_at(t->cdb + 10));
}

/* SBC-3 5.6. No store tells which of its blocks are mapped: all are. */
void disk_get_lba_status(struct disk *d, struct scsi_task *t)
{
    uint64_t lba = be64_at(t->cdb + 2);
    uint8_t data[24] = {0};

    if (lba >= d->blocks) {
        disk_check_info(d, t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE,
                        lba);
        return;
    }
    be32_put(data, sizeof(data) - 4);
    be64_put(data + 8, lba);
    be32_put(data + 16, (uint32_t)MIN(d->blocks - lba, (uint64_t)UINT32_MAX));
    disk_data(d, t, data, sizeof(data), be32_at(t->cdb + 10));
}

/* SBC-3 5.17, 5.18. There are none, in whatever format. */
void disk_read_defect_data(struct disk *d, struct scsi_task *t)
{
    bool ten = t->cdb[0] == SCSI_READ_DEFECT_DATA_10;
    uint8_t data[8] = {0};

    /* Which lists these are, and their format: as asked. */
    data[1] = t->cdb[ten ? 2 : 1];
    disk_data(d, t, data, ten ? 4 : 8,
              ten ? be16_at(t->cdb + 7) : be32_at(t->cdb + 6));
}
