/* device/scsi/lun.h: the seam between the controller and what stands behind a
 * logical unit.
 *
 * The controller (scsi.c, request.c, control.c, events.c) knows rings, target
 * and LUN numbers, tags, and what a guest is told; a kind of unit (struct
 * lun_ops: a store as a disk, an iSCSI LUN, a node of the host) executes
 * commands. A task is a command on its way: it lies behind its chain, so it is
 * there as long as the unit has it.
 *
 * The contract. The controller calls submit once for a task; scsi_task_done
 * comes once for it, at once from inside submit or later, and after it neither
 * the task nor the guest memory in its iovec is touched. give_up and tmf make
 * it come soon. lun_kick ends a batch of submits.
 *
 * Threads: all of it runs on the device's home loop, as all of its rings do:
 * the order of tasks and task management need one place. */
#ifndef VUB_DEVICE_SCSI_LUN_H
#define VUB_DEVICE_SCSI_LUN_H

#include <sys/uio.h>

#include "base/err.h"
#include "base/json_out.h"
#include "base/list.h"
#include "base/scsi.h"
#include "conf/conf.h"
#include "iscsi/unit.h"
#include "os/keep.h"
#include "os/sg.h"
#include "store/store.h"
#include "virtio/spec.h"

struct loop;
struct lun;
struct lun_farewell;
struct lun_row;
struct scsi;
struct scsi_control;

/* How a task ends, beside its status: spec, virtio-scsi, "Device Operation:
 * Request Queues", values of response. */
enum scsi_response {
    SCSI_R_OK = 0, /* status and sense say the rest */
    SCSI_R_OVERRUN = 1,
    SCSI_R_ABORTED = 2,
    SCSI_R_BAD_TARGET = 3,
    SCSI_R_RESET = 4,
    SCSI_R_BUSY = 5,
    SCSI_R_TRANSPORT_FAILURE = 6,
    SCSI_R_TARGET_FAILURE = 7,
    SCSI_R_NEXUS_FAILURE = 8,
    SCSI_R_FAILURE = 9,
};

enum scsi_dir { SCSI_NO_DATA, SCSI_DATA_OUT, SCSI_DATA_IN };

struct scsi_task {
    /* What is asked; does not change while a unit has it. */
    struct lun *lun;
    uint64_t tag; /* the guest's; not unique if it is wicked */
    enum scsi_attr attr;
    bool breaks_ring;          /* the answer's: the store says so */
    bool repeated;             /* it was in flight when a back-end died, and may
                                * have been executed */
    uint8_t cdb_len;           /* scsi_cdb_len() of it */
    uint8_t cdb[SCSI_CDB_MAX]; /* a copy; zero behind cdb_len */
    enum scsi_dir dir;
    const struct iovec *iov; /* guest memory, `len` bytes in all: what the
                              * guest has room for or offers, which need not
                              * be what the CDB asks for */
    int iov_num;
    uint64_t len;

    /* The answer. */
    enum scsi_response response;
    uint8_t status;    /* enum scsi_status */
    uint8_t sense_len; /* with CHECK CONDITION: 0..SCSI_SENSE_MAX of sense */
    uint64_t moved;    /* bytes read from or written to iov, from its start:
                        * the residual is len - moved */
    uint64_t overflow; /* bytes the command had beyond len; then response is
                        * SCSI_R_OVERRUN if the unit says so */

    /* The controller's. */
    struct list node;         /* in lun->tasks, in order of arrival */
    uint64_t seq;             /* how many had been submitted before */
    enum scsi_response fate;  /* not SCSI_R_OK: what it is answered with,
                               * whatever the unit says of it */
    struct scsi_tmf *because; /* of this, while that is under way */
    struct iovec *cut, was;   /* a piece of the chain that is cut */
    uint32_t sense_room;      /* bytes that the guest has for sense data */

    /* The unit's, while it has it. */
    struct list unit_node;
    uint64_t unit_user;
    void *unit_data;
    union {
        struct store_req store;
        struct iscsi_cmd iscsi;
        struct sg_cmd sg;
    };

    uint8_t sense[SCSI_SENSE_MAX]; /* the answer's; rarely touched, so last */
};

/* Task management: SAM-5 7. */
enum scsi_tmf_function {
    SCSI_TMF_ABORT_TASK,
    SCSI_TMF_ABORT_TASK_SET,
    SCSI_TMF_CLEAR_ACA,
    SCSI_TMF_CLEAR_TASK_SET,
    SCSI_TMF_LUN_RESET,
};

struct scsi_tmf {
    enum scsi_tmf_function function;
    struct scsi_task *task; /* of ABORT_TASK: the unit has it */
    /* The answer: did it do it? If so the tasks concerned are over. */
    bool rejected; /* not: it cannot do this */
    bool failed;   /* not: the target said no, or nothing */

    /* The controller's. */
    struct list node;
    struct scsi_control *control; /* whose part it is; NULL: nobody's now */
    /* The unit's. */
    struct list unit_node;
    union {
        struct iscsi_tmf iscsi;
        struct {
            uint64_t until; /* tasks that came before, by unit_user */
            unsigned awaits;
        } local;
    };
};

struct lun_sg_conf {
    const char *path;    /* a generic node of the host: /dev/sgN */
    uint32_t io_timeout; /* ms */
};

struct lun_conf {
    uint32_t target, lun;
    bool read_only;
    const char *serial; /* NULL: made from the device's id and the numbers */
    uint32_t logical_block_size, physical_block_size; /* 0: the store's */
    /* Just one of the three: */
    struct conf_any store;   /* table NULL: none */
    struct iscsi_conf iscsi; /* if has_iscsi */
    bool has_iscsi;
    struct lun_sg_conf sg; /* if has_sg */
    bool has_sg;
};

struct lun_ops {
    const char *type; /* "disk", "iscsi", "sg" */
    /* It is of our making: a guest that starts finds it just powered on, and
     * is told so by a unit attention. Others tell of themselves. */
    bool is_ours;
    /* c and what it points at live as long as the unit; at: its JSON Pointer.
     * id: of the device, for log lines. Nothing runs yet. On failure there is
     * nothing to close. */
    int (*open)(struct lun **out, const struct lun_conf *c, const char *at,
                const char *id, struct errs *e);
    /* Once, before all below: l->loop and l->host are set. On failure only
     * close follows. NULL: nothing to do. */
    int (*begin)(struct lun *l, struct err *e);
    /* A session starts, its first ring before it runs, and ends, when no task
     * is left. start answers with lun_started, at once or later; stop may come
     * first. `recovered` as device_start has it; if l->found has
     * LUN_STATE_KNOWN, what the guest has set is known all the same; and if
     * l->goes_on, the session is one that went on before. NULL: nothing to
     * do. */
    void (*start)(struct lun *l, bool recovered);
    void (*stop)(struct lun *l);
    /* The device is reset, the guest begins anew: no task is left. */
    void (*reset)(struct lun *l);

    void (*submit)(struct lun *l, struct scsi_task *t);
    void (*kick)(struct lun *l); /* NULL: nothing is queued */
    /* No session comes on: stop delaying on purpose. NULL: it never does. */
    void (*hurry)(struct lun *l);
    /* t must end soon, whatever becomes of it: scsi_task_done comes as soon as
     * nothing touches its memory any more, perhaps from inside. */
    void (*give_up)(struct lun *l, struct scsi_task *t);
    /* Does m; the tasks it concerns end by scsi_task_done before
     * lun_tmf_done(l, m), which may come from inside. */
    void (*tmf)(struct lun *l, struct scsi_tmf *m);

    /* What it is made of may have changed (a file's size): look again. */
    void (*refresh)(struct lun *l);
    int (*resize)(struct lun *l, uint64_t size,
                  struct err *e); /* may be NULL */
    /* Another process goes on with it, as device_ops.save has it. NULL: nothing
     * is left to be saved. */
    int (*save)(struct lun *l, struct err *e);
    void (*status)(struct lun *l, struct json_out *o);
    /* What it is made of. NULL: no store. */
    struct store *(*store)(struct lun *l);
    /* No task is left. Calls gone, at once or later, and frees l before. */
    void (*close)(struct lun *l, void (*gone)(void *arg), void *arg);
};

/* What the controller does for a unit. */
struct lun_host {
    void (*task_done)(struct scsi_task *t);
    void (*tmf_done)(struct lun *l, struct scsi_tmf *m);
    /* e NULL, or why it cannot serve this session. */
    void (*started)(struct lun *l, const struct err *e);
    /* Something about it has changed, which a guest is told of by an event
     * and, if `attention`, by a unit attention. */
    void (*changed)(struct lun *l, enum scsi_asc asc, bool attention);
    /* The front-end is to be lost: device_drop. */
    void (*drop)(struct lun *l, const char *why);
};

#define LUN_ATTENTIONS 4

struct lun_stats {
    uint64_t commands, bytes_read, bytes_written;
    uint64_t checks; /* ended by CHECK CONDITION */
    uint64_t failed; /* by a response that is not OK */
};

struct lun {
    const struct lun_ops *ops;
    const char *id; /* of the device, for log lines */
    struct loop *loop;
    const struct lun_host *host;
    struct scsi *scsi; /* the controller's, as all below */
    uint8_t target;
    uint16_t lun;
    struct list node;  /* in order of target and number */
    struct list tasks; /* submitted, not done */
    unsigned num_tasks;
    /* Pending unit attentions, the oldest first: SAM-5 5.14. */
    uint16_t attentions[LUN_ATTENTIONS];
    uint8_t num_attentions;
    enum { LUN_STOPPED, LUN_STARTING, LUN_STARTED, LUN_FAILED } state;
    unsigned num_tmfs;          /* that it does */
    struct list to_kick;        /* in scsi->to_kick: this turn has submitted */
    bool leaves, closing;       /* it is removed; its close has been called */
    struct lun_farewell *after; /* what is done when it is freed */
    struct lun_stats stats;

    /* What outlives the process: keep.c. */
    struct lun_row *row; /* NULL: there was no room, or it is not the guest's
                          * any more */
    struct kept text;    /* its config, if it was added while vub ran */
    uint32_t found;      /* lun_keep_state of a process before this one */
    bool ran;            /* a session has started, with this process */
    bool goes_on;        /* the session that starts went on before */
    bool told;           /* of attentions; that is not kept yet */
};

#define LUN_STATE_KNOWN (UINT32_C(1) << 31)

/* keep.c: what a guest has set, in bits of the unit's own, for a process that
 * goes on with it. */
void lun_keep_state(struct lun *l, uint32_t state);

extern const struct lun_ops lun_disk_ops, lun_iscsi_ops, lun_sg_ops;

/* t ends; its answer is in it. */
static inline void scsi_task_done(struct scsi_task *t)
{
    t->lun->host->task_done(t);
}

static inline void lun_tmf_done(struct lun *l, struct scsi_tmf *m)
{
    l->host->tmf_done(l, m);
}

/* Fills in t's answer: CHECK CONDITION with fixed sense. */
void scsi_task_check(struct scsi_task *t, enum scsi_sense_key key,
                     enum scsi_asc asc);
/* Fills in t's answer: `len` bytes of data for the guest, of which it gets what
 * it has room for and its CDB allows (`allocated`). */
void scsi_task_data(struct scsi_task *t, const void *data, size_t len,
                    uint64_t allocated);
/* Fills in the answer of t, a REQUEST SENSE. */
void scsi_task_sense(struct scsi_task *t, enum scsi_sense_key key,
                     enum scsi_asc asc);
/* Copies bytes of what the guest sends, from `offset`: fewer at its end. */
size_t scsi_task_read(const struct scsi_task *t, uint64_t offset, void *buf,
                      size_t len);

#endif
