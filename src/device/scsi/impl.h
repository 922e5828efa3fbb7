/* device/scsi/impl.h: what the files of the controller share.
 *
 * Threads: all of it on the home loop. */
#ifndef VUB_DEVICE_SCSI_IMPL_H
#define VUB_DEVICE_SCSI_IMPL_H

#include "base/log.h"
#include "device/scsi/lun.h"
#include "device/scsi/scsi.h"
#include "loop/loop.h"

#define SCSI_TARGETS 256
#define SCSI_LUNS 16384
#define SCSI_QUEUES_FIXED VIRTIO_SCSI_REQUESTQ /* that are not for requests */

/* Commands that a guest may have at a unit, eight times what it is told
 * (cmd_per_lun): each is looked for when others end. */
#define SCSI_TASKS_MAX 1024

/* What a driver may make of sense_size and cdb_size. */
#define SCSI_SENSE_ROOM_MAX 1024
#define SCSI_CDB_ROOM_MAX 260 /* the longest CDB that SPC-4 can describe */

struct scsi_conf {
    struct device_common common;
    uint32_t queues, seg_max;
    struct conf_anys luns; /* of struct lun_conf */
};

#define SCSI_EVENTS 64

struct scsi_event {
    uint32_t event, reason;
    uint8_t target;
    uint16_t lun;
};

struct scsi_events {
    struct ring *ring; /* while it runs */
    struct scsi_event queue[SCSI_EVENTS];
    unsigned head, count;
    bool missed;
    uint64_t sent, lost;
};

struct scsi {
    struct device device;
    const struct scsi_conf *conf;
    struct list luns;      /* in order of target and number */
    struct lun *recent;    /* of them, who was addressed last; may be NULL */
    uint64_t recent_field; /* by these 8 bytes */
    unsigned per_target[SCSI_TARGETS];
    unsigned num_units; /* open: some may be leaving */
    uint64_t seq;       /* tasks that were submitted */
    bool closing;

    uint32_t sense_size, cdb_size; /* bytes; the config space's */
    uint64_t features;             /* of the session */
    bool started, recovered;
    bool answered;     /* that the device has started */
    unsigned starting; /* units whose answer is due */

    struct ring *rings[DEVICE_MAX_QUEUES]; /* that run */
    struct list to_kick;                   /* units */
    struct list controls; /* requests for task management that wait */
    struct list tmfs;     /* under way, for them or for nobody any more */
    unsigned repeated[DEVICE_MAX_QUEUES]; /* chains of a dead back-end that are
                                           * still to be popped, by queue */
    struct scsi_events events;
    struct log_limit limit;
    uint64_t bad; /* requests that were no such thing */

    /* What outlives the process: keep.c. */
    struct kept kept;
    uint64_t *row_ids; /* of the table of units, as we have them */
    uint32_t num_rows;
    bool goes_on; /* the next session is one that went on before */
    bool told;    /* a guest, of what is kept still */
};

static inline struct scsi *scsi_of(struct device *d)
{
    return container_of(d, struct scsi, device);
}

/* target.c: whom a `lun` field means. */
enum scsi_address {
    SCSI_TO_LUN,      /* the target has other units, if not this one */
    SCSI_TO_REPORTER, /* the REPORT LUNS well-known unit, of a target or of
                       * all (target < 0) */
    SCSI_TO_NOBODY,   /* no such target */
    SCSI_TO_NOTHING,  /* no format that is known, or no such unit can be */
};
struct scsi_to {
    enum scsi_address kind;
    int target;
    uint16_t number;
    struct lun *lun; /* NULL: it is not there */
};
void scsi_find(struct scsi *s, const uint8_t field[8], struct scsi_to *to);
/* The single level format that a guest knows a unit by: 2 bytes. */
void scsi_lun_bytes(uint16_t lun, uint8_t out[2]);
/* True: t is answered without a unit, its answer is filled in. Those are
 * commands to units that are not there, REPORT LUNS, and those which end with a
 * unit attention. */
bool scsi_answer_for(struct scsi *s, const struct scsi_to *to,
                     struct scsi_task *t);
/* The guest's next command to l ends with this, if it is one that may. */
void scsi_attention(struct lun *l, enum scsi_asc asc);

/* request.c */
void scsi_request_kick(struct scsi *s, struct ring *q);
void scsi_request_drain(struct scsi *s, struct ring *q, enum drain how);
void scsi_on_task_done(struct scsi_task *t);
/* Its bytes of chain_priv(). */
#define SCSI_TASK_OF(c) ((struct scsi_task *)chain_priv(c))

/* scsi.c: a unit is freed. The device may be, then. */
void scsi_unit_gone(struct scsi *s);

/* control.c */

/* Task management that a guest has asked for. It is over when all functions
 * that units do for it are, and when all the tasks that it is about are. */
struct scsi_control {
    unsigned awaits; /* functions */
    uint8_t response;
    struct list node; /* in scsi->controls */
    struct ring *ring;
    /* The tasks: of a unit, or of all of a target; those that came before;
     * those with a tag, or all. */
    bool about_tasks, of_target, by_tag;
    uint8_t target;
    uint16_t lun;
    uint64_t until, tag;
};
/* t, of l, has ended. */
void scsi_control_look(struct lun *l, const struct scsi_task *t);
void scsi_control_kick(struct scsi *s, struct ring *q);
void scsi_control_drain(struct scsi *s, struct ring *q, enum drain how);
void scsi_on_tmf_done(struct lun *l, struct scsi_tmf *m);

/* events.c */
void scsi_events_start(struct scsi *s, struct ring *q);
void scsi_events_kick(struct scsi *s);
void scsi_events_stop(struct scsi *s);
/* A driver begins anew: what was to be told does not matter. */
void scsi_events_reset(struct scsi *s);
void scsi_event_transport(struct scsi *s, uint8_t target, uint16_t lun,
                          uint32_t reason);
void scsi_event_changed(struct scsi *s, uint8_t target, uint16_t lun,
                        enum scsi_asc asc);

/* luns.c */
extern const struct conf_table lun_table;
extern const struct lun_host scsi_lun_host;
/* The unit, or where it would stand: *after is the node it comes before. */
struct lun *luns_find(struct scsi *s, uint8_t target, uint16_t number,
                      struct list **before);
/* Opens a unit and makes it the controller's; it does not begin. at: the JSON
 * Pointer of c. doc: what c is from, if that does not outlive the device by
 * itself: the unit takes a ref. */
int luns_add(struct scsi *s, const struct lun_conf *c, const char *at,
             struct conf_doc *doc, struct lun **out, struct errs *e);
/* The device's loop runs. Of one that has just been added, too. */
int luns_begin(struct scsi *s, struct lun *l, struct err *e);
/* Takes it from the guest: gone is called when it is closed and freed. */
void luns_remove(struct scsi *s, struct lun *l, void (*gone)(void *arg),
                 void *arg);
/* Ends tasks of l, those of one ring or (q NULL) all of them. */
void luns_give_up(struct lun *l, const struct ring *q, enum scsi_response fate);
/* A session. */
void luns_start(struct scsi *s);
void luns_stop(struct scsi *s);
/* Something of l has ended: does that end a removal? */
void luns_settle(struct lun *l);
/* Rules between keys of one unit, and between units. */
void luns_check(const struct conf_anys *luns, struct errs *e);

/* keep.c: what another process goes on with. */
int scsi_keep_open(struct scsi *s, struct err *e);
void scsi_keep_close(struct scsi *s); /* safe on a zero struct */
/* Has somebody removed the unit of this number that the config has, and
 * perhaps added another? */
bool scsi_keep_has_other(struct scsi *s, unsigned target, unsigned number);
/* Those are opened, and the controller's. */
void scsi_keep_open_added(struct scsi *s);
/* l is the controller's: finds what is kept of it. */
void scsi_keep_unit(struct lun *l, bool added);
void scsi_keep_added(struct lun *l, const struct call *c);
void scsi_keep_removed(struct lun *l);
/* What has changed. */
void scsi_keep_known(struct lun *l); /* it has served */
void scsi_keep_attentions(struct lun *l);
void scsi_keep_events(struct scsi *s);
void scsi_keep_told(struct scsi *s); /* s->told, l->told */
void scsi_keep_sizes(struct scsi *s);
void scsi_keep_session(struct scsi *s, bool serves);

/* commands.c */
extern const char *const scsi_feature_names[];
extern const struct command scsi_commands[];
void scsi_status(struct device *d, struct json_out *o);
void scsi_metrics(struct device *d, struct metrics *m);

#endif
