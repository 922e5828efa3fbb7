/* iscsi/unit.h: logical units of iSCSI targets.
 *
 * RFC 7143. A unit belongs to a loop and to a device. Units of one device, and
 * thus of one guest, on one loop that say the same of a target (portals, names,
 * secrets, times) share a session, that is a connection of libiscsi; nobody
 * sees it but this folder. To the target a session is who sends: task
 * management, reservations and unit attentions are its, hence never two
 * guests'.
 *
 * Logging in happens in the background, as often as it takes. Commands wait
 * for it, in order, ISCSI_WAITING_MAX of a session; many are under way at a
 * time. When a session is lost its commands are kept: those that may be
 * executed twice (scsi_is_repeatable) are sent again over the next one, in
 * their order and before any other; the others end with ISCSI_LOST. How long
 * that may take is the config's: io_timeout, reconnect_timeout, on_timeout.
 *
 * The target is not trusted: no length or count of its making is used beyond
 * what was asked for.
 *
 * Threads: everything of a unit on its loop; nothing blocks. Names are resolved
 * by a thread of its own. */
#ifndef VUB_ISCSI_UNIT_H
#define VUB_ISCSI_UNIT_H

#include <sys/uio.h>

#include "base/err.h"
#include "base/json_out.h"
#include "base/list.h"
#include "base/scsi.h"
#include "conf/conf.h"

#define ISCSI_CDB_MAX 16 /* libiscsi's */
#define ISCSI_WAITING_MAX 4096

struct loop;
struct metrics; /* base/metrics.h */
struct iscsi_session;

enum { ISCSI_ON_TIMEOUT_ERROR, ISCSI_ON_TIMEOUT_STALL };

struct iscsi_chap {
    const char *user, *secret_file, *secret_env;
};

/* The key "iscsi" of a LUN, and what a store `iscsi` has beside its type. */
struct iscsi_conf {
    const char *url; /* iscsi://HOST[:PORT]/TARGET/LUN; never with a secret */
    struct conf_strs portals; /* HOST[:PORT], tried in turn after that one */
    const char *initiator;    /* its iSCSI name; NULL: made from the host's */
    struct iscsi_chap chap, mutual_chap;
    bool header_digest;
    uint32_t io_timeout;        /* ms; 0: none */
    uint32_t reconnect_timeout; /* ms without a session after which on_timeout
                                 * applies to what waits; 0: never */
    unsigned on_timeout;
};

extern const struct conf_table iscsi_table;
/* The same keys, for other tables whose struct starts with an iscsi_conf. */
extern const struct conf_key iscsi_keys[];

/* How a command ended. */
enum iscsi_end {
    ISCSI_ANSWERED, /* by the target: status and the rest are its own */
    ISCSI_TIMED_OUT,
    ISCSI_LOST,    /* with the session: nobody knows whether it was executed */
    ISCSI_ABORTED, /* by iscsi_give_up or task management */
    ISCSI_FULL,    /* too many wait for a session: it was not sent */
    ISCSI_REFUSED, /* it cannot be sent, by its CDB, its length or for want of
                    * memory; or the target has no such unit, or does not let
                    * us in */
};

/* One SCSI command; the caller's memory, until done. */
struct iscsi_cmd {
    uint8_t cdb[ISCSI_CDB_MAX];
    uint8_t cdb_len;
    bool out, in; /* iov is sent, or filled; neither: no data. Not both */
    const struct iovec *iov; /* len bytes in all; good until done */
    int iov_num;
    uint32_t len;
    /* It ends, once: never from inside iscsi_submit. Nothing touches the
     * command or its memory any more. */
    void (*done)(struct iscsi_cmd *c);

    enum iscsi_end end;
    uint8_t status;
    uint8_t sense_len;
    uint8_t sense[SCSI_SENSE_MAX];
    uint32_t moved;    /* bytes of iov sent or filled, from its start; at most
                        * len */
    uint32_t overflow; /* bytes that the target had beyond len */

    /* iscsi/ only */
    struct iscsi_unit *unit;
    struct list node;
    void *task; /* libiscsi's, while it has it */
    uint64_t deadline_ms;
    unsigned state, lost_with;
};

enum iscsi_tmf_function {
    ISCSI_TMF_ABORT_TASK,
    ISCSI_TMF_ABORT_TASK_SET,
    ISCSI_TMF_CLEAR_ACA,
    ISCSI_TMF_CLEAR_TASK_SET,
    ISCSI_TMF_LUN_RESET,
};

struct iscsi_tmf {
    enum iscsi_tmf_function function;
    struct iscsi_cmd *cmd; /* of ABORT_TASK: submitted, not done */
    /* Comes once, never from inside iscsi_tmf. The commands it concerned have
     * ended before. */
    void (*done)(struct iscsi_tmf *m);
    /* 0: function complete, whatever of it was left to do; -EOPNOTSUPP: not
     * by this target; -EIO: rejected; -ETIMEDOUT, -ENOTCONN */
    int result;

    /* iscsi/ only */
    struct iscsi_unit *unit;
    struct list node;
};

/* Of one user, in its memory. */
struct iscsi_unit {
    /* What is called when something has happened that is not the answer to a
     * command. NULL: nobody wants to know. Not from inside iscsi_open. */
    void (*up)(struct iscsi_unit *u, bool again); /* there is a session */
    void (*down)(struct iscsi_unit *u, const char *why);
    void (*gone)(struct iscsi_unit *u); /* of iscsi_close */

    /* iscsi/ only */
    struct iscsi_session *session;
    const char *id;
    unsigned lun;
    struct list node;
    bool knows_up, was_up;
};

/* Loads libiscsi, which iscsi_check does too. e: as of library_load. */
int iscsi_ready(struct err *e);
/* Checks what needs no network: libiscsi, the url, the names, the secret's
 * file. Says the unit's number. c: the config's, good while the unit is open.
 * at: its JSON Pointer. */
int iscsi_check(const struct iscsi_conf *c, const char *at, unsigned *lun,
                struct errs *e);
/* Opens u on the loop: up, down and gone are set before. id: of the device,
 * good while u is open; NULL: of none. e is not NULL. On failure there is
 * nothing to close. */
int iscsi_open(struct iscsi_unit *u, const struct iscsi_conf *c,
               struct loop *loop, const char *id, struct err *e);
/* No command and no task management is under way. gone comes later. */
void iscsi_close(struct iscsi_unit *u);

/* c's question is filled in, and done. */
void iscsi_submit(struct iscsi_unit *u, struct iscsi_cmd *c);
/* Ends a batch of submits: what was queued is sent. */
void iscsi_kick(struct iscsi_unit *u);
/* c is to end soon, with ISCSI_ABORTED unless it ends otherwise first. Done
 * never comes from inside. The target is told if that can be. */
void iscsi_give_up(struct iscsi_cmd *c);
/* function, cmd and done are set. */
void iscsi_tmf(struct iscsi_unit *u, struct iscsi_tmf *m);

/* Adds members to an object: what there is to know of its session. */
void iscsi_status(const struct iscsi_unit *u, struct json_out *o);

/* What is counted of all sessions that a device has, with each target: a list
 * "iscsi", unless it has none. [any thread] */
void iscsi_stats(const char *device, struct json_out *o);
void iscsi_metrics(const char *device, struct metrics *m);

/* A session of a device is lost, or is back after that. */
struct iscsi_event {
    const char *device, *target, *portal; /* device "": of none */
    const char *why;                      /* it is lost; NULL: it is back */
    uint64_t down_ms; /* that it is back: how long there was none */
};
/* Who wants to know, of the whole process: while no loop runs. fn runs on
 * the loop of the session, from the midst of things: it only takes note. NULL:
 * nobody. */
void iscsi_tell(void (*fn)(const struct iscsi_event *e, void *arg), void *arg);

#endif
