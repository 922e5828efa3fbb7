/* device/scsi/disk.h: what the files of a disk share: a logical unit that is a
 * store, by the SCSI Block Commands.
 *
 * SAM-5, SPC-4, SBC-3. disk.c is its life; disk_tasks.c the order of tasks and
 * task management; disk_opcodes.c the table of all commands; disk_rw.c reading
 * and writing; disk_work.c commands of several steps; disk_verify.c what
 * compares; disk_unmap.c what gives space back or writes the same;
 * disk_inquiry.c and disk_mode.c what it tells of itself.
 *
 * A command is a function that fills in the task's answer and calls disk_end,
 * at once or when the store is done. */
#ifndef VUB_DEVICE_SCSI_DISK_H
#define VUB_DEVICE_SCSI_DISK_H

#include "base/log.h"
#include "device/scsi/lun.h"
#include "loop/loop.h"
#include "store/acquire.h"

/* Limits that VPD page B0 tells, and that are enforced; bytes are turned into
 * blocks. What one command may ask for at most keeps it from holding others
 * up. */
#define DISK_TRANSFER_MAX_BYTES (UINT32_C(32) << 20)
#define DISK_COMPARE_MAX_BYTES (UINT32_C(1) << 20)
#define DISK_COMPARE_MAX_BLOCKS 255 /* there is a byte for it in the CDB */
#define DISK_SAME_MAX_BLOCKS 32768
#define DISK_UNMAP_MAX_BLOCKS (UINT32_C(1) << 20)
#define DISK_UNMAP_MAX_RANGES 256

#define DISK_SERIAL_BYTES 64
#define DISK_STEP_BYTES (UINT32_C(256) << 10)
/* What the buffers of all of a disk's commands may have together. */
#define DISK_BUFFERS_MAX_BYTES (UINT32_C(64) << 20)

/* In store.user of a task. */
#define DISK_WAITS 1
#define DISK_GIVEN_UP 2
#define DISK_HURRY 4 /* it was there when a session drained */

struct disk;

enum {
    DISK_WRITES = 1 << 0,    /* the medium: refused if write protected */
    DISK_MEDIUM = 1 << 1,    /* needs the unit to be started */
    DISK_EXCLUSIVE = 1 << 2, /* nothing else runs meanwhile */
    /* It is there only if the store can give space back, or cannot. */
    DISK_THIN = 1 << 3,
    DISK_THICK = 1 << 4,
    DISK_ACTION = 1 << 5, /* one of several, by the service action */
};

/* A command: dispatch, and what REPORT SUPPORTED OPERATION CODES tells. */
struct disk_command {
    uint8_t opcode, len, flags;
    void (*run)(struct disk *d, struct scsi_task *t); /* NULL: it is the
                                                       * controller's */
    /* The bits of the CDB that are looked at, from byte 1 on: SPC-4 6.35.3.
     * Others must be zero. */
    uint8_t usage[16];
    uint8_t action; /* if DISK_ACTION */
};

/* A command of several steps, in t->unit_data. */
struct disk_work {
    struct disk *disk;
    struct scsi_task *task;
    struct list node; /* in disk->later */
    /* Does a piece: fills in task->store and returns true to have it
     * submitted, after which it is called again; or answers by disk_end, which
     * frees the work, and returns false. The result of the last submit is
     * good. */
    bool (*step)(struct disk_work *w);
    bool is_long;
    /* The step's own: */
    unsigned state, check;
    uint64_t lba, blocks, at, moved;

    /* disk_work.c */
    struct iovec one;
    void *more; /* freed with the work */
    size_t buf_bytes;
    uint8_t buf[];
};

struct disk {
    struct lun lun;
    const struct lun_conf *conf;
    struct store *store;
    struct store_channel *ch; /* from the first start on */
    struct store_acquire acquire;
    struct log_limit limit;
    void (*gone)(void *arg);
    void *gone_arg;

    uint32_t block_bytes, physical_bytes;
    unsigned block_shift;
    uint64_t blocks;
    bool read_only, can_unmap;
    char serial[DISK_SERIAL_BYTES + 1];
    uint64_t naa; /* SPC-4 7.8.6.6: locally assigned */

    bool wce, swp; /* mode pages 08 and 0A */
    /* The cache went off, and what it held is not stable yet: before it is the
     * guest is not told that it is off. */
    bool must_flush;
    bool stopped; /* by START STOP UNIT */

    /* The task set: see disk_tasks.c. */
    struct list active, waiting, tmfs;
    unsigned num_active, num_barriers;
    bool exclusive; /* the only active one is DISK_EXCLUSIVE */
    bool choosing;
    struct spin turn;   /* some of those that wait start in the next one */
    uint64_t next_task; /* numbers them, in unit_user */

    /* Works that have more to do without waiting: see disk_work.c. */
    struct list later;
    struct spin spin;
    size_t buffer_bytes; /* of all of them */

    /* disk_opcodes.c: the first row of each opcode, NULL: none. */
    const struct disk_command *by_opcode[256];
};

static inline struct disk *disk_of(struct lun *l)
{
    return container_of(l, struct disk, lun);
}

/* Of what t asks of the store. */
static inline uint16_t disk_hurry_flag(const struct scsi_task *t)
{
    return UNLIKELY(t->store.user & DISK_HURRY) ? STORE_HURRY : 0;
}

/* ---- answers: disk_tasks.c ---- */

/* t ends with what was filled in. */
void disk_end(struct disk *d, struct scsi_task *t);
/* GOOD; `moved` bytes of data. */
void disk_good(struct disk *d, struct scsi_task *t, uint64_t moved);
/* CHECK CONDITION. */
void disk_check(struct disk *d, struct scsi_task *t, enum scsi_sense_key key,
                enum scsi_asc asc);
void disk_check_info(struct disk *d, struct scsi_task *t,
                     enum scsi_sense_key key, enum scsi_asc asc, uint64_t info);
void disk_bad_field(struct disk *d, struct scsi_task *t); /* of the CDB */
/* What the store said of t->store, if it failed. */
void disk_failed(struct disk *d, struct scsi_task *t);
/* The CDB asks for `more` data than the guest has buffers for: spec,
 * virtio-scsi, "Device Operation: Request Queues", OVERRUN. */
void disk_overrun(struct disk *d, struct scsi_task *t, uint64_t more);
/* Parameter data for the guest. */
void disk_data(struct disk *d, struct scsi_task *t, const void *data,
               size_t len, uint64_t allocated);

void disk_tasks_init(struct disk *d);
void disk_tasks_fini(struct disk *d);
void disk_submit(struct lun *l, struct scsi_task *t);
void disk_kick(struct lun *l);
void disk_hurry(struct lun *l);
void disk_give_up(struct lun *l, struct scsi_task *t);
void disk_tmf(struct lun *l, struct scsi_tmf *m);

/* ---- disk.c ---- */

/* What a reset sets to its default. */
void disk_defaults(struct disk *d);
/* What a guest can set has changed: it outlives the process. */
void disk_keep(struct disk *d);

/* ---- commands: disk_opcodes.c ---- */

/* Of an opcode, for a service action if it has some. NULL: there is none. */
const struct disk_command *disk_command_of(const struct disk *d, uint8_t opcode,
                                           unsigned action);
static inline const struct disk_command *disk_command(const struct disk *d,
                                                      const uint8_t *cdb)
{
    const struct disk_command *c = d->by_opcode[cdb[0]];

    if (LIKELY(c && !(c->flags & DISK_ACTION)))
        return c;
    return disk_command_of(d, cdb[0], cdb[1] & 0x1f);
}
void disk_commands_init(struct disk *d);

/* ---- medium access: disk_rw.c ---- */

/* What a CDB of READ's form says, whatever its length. */
struct disk_range {
    uint64_t lba;
    uint64_t blocks;
    uint8_t flags; /* its byte 1 */
};

/* Of flags. */
#define DISK_CDB_FUA 0x08
#define DISK_CDB_UNMAP 0x08 /* of WRITE SAME */

struct disk_range disk_range(const struct scsi_task *t);
/* Is it on the disk, and not more than `most` blocks? Or ends t. */
bool disk_range_ok(struct disk *d, struct scsi_task *t,
                   const struct disk_range *r, uint64_t most);
/* Fills in t->store's data with `len` bytes of the guest's memory, from
 * `offset`, which is there. False: out of memory, and t has ended. */
bool disk_use_iov(struct disk *d, struct scsi_task *t, uint64_t offset,
                  uint64_t len);
/* Has the guest `need` bytes of buffers in this direction? Or ends t. */
bool disk_room_ok(struct disk *d, struct scsi_task *t, enum scsi_dir dir,
                  uint64_t need);
uint16_t disk_write_flags(const struct disk *d, bool fua);
uint64_t disk_transfer_max(const struct disk *d); /* blocks */
uint64_t disk_compare_max(const struct disk *d);  /* blocks */
/* Has the store do this, with the memory that disk_use_iov has filled in. Its
 * end is t's, with as many bytes moved. */
void disk_store(struct disk *d, struct scsi_task *t, enum store_op op,
                uint16_t flags, uint64_t lba, uint64_t blocks);
/* Has the store flush, and calls done with t->store, perhaps from inside; or
 * ends t, if nobody knows yet when that would be. */
void disk_store_flush(struct disk *d, struct scsi_task *t,
                      void (*done)(struct store_req *r));

/* ---- several steps: disk_work.c ---- */

/* With a buffer of `bytes`. NULL: there is no memory for it, or the disk has
 * enough of them, and t has ended. */
struct disk_work *disk_work(struct disk *d, struct scsi_task *t, size_t bytes,
                            bool (*step)(struct disk_work *w));
/* From now on step is called, to move so many bytes: if they are many, in turns
 * of the loop. */
void disk_work_start(struct disk_work *w, uint64_t bytes);
/* Fills in the store's request: [at, at + len) of the work's range, with a
 * buffer, or with none yet. */
void disk_work_io(struct disk_work *w, enum store_op op, uint16_t flags,
                  uint64_t at, void *buf, size_t len);
void disk_work_range(struct disk_work *w, enum store_op op, uint16_t flags,
                     uint64_t at, uint64_t len);
void disk_work_give_up(struct disk *d, struct scsi_task *t);
void disk_work_free(struct scsi_task *t);
void disk_work_init(struct disk *d);

/* ---- the commands ---- */

typedef void disk_run(struct disk *d, struct scsi_task *t);

/* disk_rw.c */
disk_run disk_test_unit_ready, disk_read_blocks, disk_write_blocks,
    disk_sync_cache, disk_prefetch, disk_start_stop;
/* disk_inquiry.c */
disk_run disk_inquiry, disk_request_sense, disk_read_capacity_10,
    disk_read_capacity_16, disk_get_lba_status, disk_read_defect_data;
/* disk_mode.c */
disk_run disk_mode_sense, disk_mode_select;
/* disk_opcodes.c */
disk_run disk_report_opcodes, disk_report_tmfs;
/* disk_verify.c */
disk_run disk_verify, disk_write_verify, disk_compare_and_write, disk_orwrite;
/* disk_unmap.c */
disk_run disk_unmap, disk_write_same;

#endif
