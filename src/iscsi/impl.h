/* iscsi/impl.h: what a session is made of. For iscsi/ only.
 *
 * params.c  what the config says, checked and copied
 * wire*.c   the bytes, before libiscsi sees them
 * link.c    one connection: libiscsi's context, its socket on our loop
 * login.c   how a session comes to be: portals, names, redirects, back-off
 * isid.c    who a session is to the target
 * session.c who shares one; its loss; its timer
 * command.c commands on their way
 * tmf.c     task management, time-outs, giving up
 * unit.c    what unit.h promises
 * tally.c   what happens to the sessions of a device, counted
 * discover.c SendTargets, for `vub iscsi-list` */
#ifndef VUB_ISCSI_IMPL_H
#define VUB_ISCSI_IMPL_H

#include "base/log.h"
#include "iscsi/lib.h"
#include "iscsi/unit.h"
#include "iscsi/wire.h"
#include "loop/timer.h"
#include "loop/watch.h"
#include "os/resolve.h"

#define NAME_BYTES 224   /* of an iSCSI name: RFC 7143, 4.2.7.1 */
#define SECRET_BYTES 256 /* libiscsi's */
#define PORTALS_MAX 16
#define FLIGHTS_MAX 512        /* commands of a session with the target */
#define COPIES_MAX (64u << 20) /* bytes of writes that go on from copies */
#define REPEATS_MAX 8          /* sessions that a command may be lost with */
#define LEN_MAX (256u << 20)   /* bytes of one command */
#define LOGIN_MS 10000         /* to connect and log in */
#define BACK_OFF_MIN_MS 100
#define BACK_OFF_MAX_MS 5000
#define REDIRECTS_MAX 4
#define ABORT_MS 5000 /* for a task management function's answer */
/* The same, if we are to end soon: of a drain_timeout a quarter is left. */
#define GIVE_UP_MS 100
#define SILENCE_MS 5000 /* commands are out and nothing is heard: ask */
#define PING_MS 10000   /* for the answer */

struct portal {
    char host[RESOLVE_HOST_BYTES]; /* a name or an address, no brackets */
    uint16_t port;
};

struct chap {
    char user[SECRET_BYTES], secret[SECRET_BYTES]; /* "": none */
};

/* What units that share a session have in common. */
struct params {
    char target[NAME_BYTES], initiator[NAME_BYTES];
    struct portal portals[PORTALS_MAX];
    unsigned num_portals;
    struct chap chap, mutual;
    bool header_digest;
    uint32_t io_timeout, reconnect_timeout;
    unsigned on_timeout;
};

/* Fills p and *lun; errors are at keys below `at`. */
int params_fill(struct params *p, unsigned *lun, const struct iscsi_conf *c,
                const char *at, struct errs *e);
bool params_equal(const struct params *a, const struct params *b);
void params_wipe(struct params *p);
/* "HOST[:PORT]", of at most len bytes; false: it is none. */
bool portal_parse(const char *text, size_t len, struct portal *out);
/* "host:port" or "[host]:port", for people and for libiscsi. */
#define PORTAL_TEXT_BYTES (RESOLVE_HOST_BYTES + 16)
void portal_text(const char *host, uint16_t port, char out[PORTAL_TEXT_BYTES]);
int chap_fill(struct chap *out, const struct iscsi_chap *c, const char *at,
              const char *key, struct errs *e);
/* Loads libiscsi, if this is a build in which it can be used. */
int libiscsi_check(const char *at, struct errs *e);
int initiator_fill(char out[NAME_BYTES], const char *name, const char *at,
                   struct errs *e);

/* One connection, from connecting to the last callback of its handles. */
struct link {
    struct iscsi_session *session; /* NULL: it is being closed */
    struct iscsi_context *ctx;     /* NULL then, too */
    struct wire wire;
    struct watch watch;
    int fd;        /* libiscsi's: once connected it leads nowhere (os/tap.h) */
    int sock;      /* the connection: the wire's */
    int events;    /* being watched */
    bool detached; /* fd is what it is to be */
    bool in_library;
    bool logged_in, login_failed;
    bool cancelled;     /* libiscsi gave up on what it had */
    char why[256];      /* its word for it */
    char redirect[256]; /* a portal that the target sends us to */
};

/* A command that libiscsi has. */
struct flight {
    struct wire_task wire;
    struct scsi_task task;
    struct link *link;
    struct iscsi_cmd *cmd; /* NULL: it has ended, only libiscsi's part is
                            * left */
    struct list node;      /* of session->flights, in order */
    uint64_t deadline_ms;  /* 0: none */
    uint32_t number;       /* in order of sending */
    unsigned lun;
    struct list landed;       /* of session->landed: libiscsi called back */
    bool over;                /* it has */
    bool timed_out, given_up; /* how it ends, if by us */
    bool dropping;            /* libiscsi is told to forget it */
    bool unsent;              /* its command ended before it was sent */
    unsigned aborts;          /* task management that is about it */
    struct iovec *iov, few[4];
    void *copy; /* of what it still has to send */
    uint32_t copy_len;
};

/* A task management function that libiscsi has. */
struct tmf_op {
    struct list node; /* of session->tmfs */
    struct link *link;
    struct iscsi_tmf *tmf; /* NULL: it is our own */
    enum iscsi_tmf_function function;
    struct flight *flight; /* of ABORT TASK; NULL: it has ended */
    unsigned lun;
    uint32_t number; /* flights before it are concerned */
    uint64_t deadline_ms;
    bool answered;
    uint8_t response;
};

enum session_state {
    SESSION_IDLE, /* between two attempts: the timer knows */
    SESSION_RESOLVING,
    SESSION_LOGIN, /* connecting, logging in */
    SESSION_UP,
    SESSION_CLOSING,
};

struct iscsi_session {
    struct list node; /* of all sessions */
    struct loop *loop;
    char *device; /* whose it is, by its id; "": nobody's */
    struct params params;
    unsigned users; /* units, and whoever else is not to lose it */
    struct list units;
    struct list gone; /* units that have left and are to be told */
    void (*changed)(struct iscsi_session *s); /* only of a discovery: it is
                                               * up, or an attempt has failed */
    void *arg;                                /* discover.c's */
    enum session_state state;
    struct link *link; /* LOGIN, UP */
    uint32_t isid, isid_qualifier;
    int group;      /* the portal group of the last session; -1: not known */
    int isid_claim; /* -1: none */
    bool discovery; /* no target, no commands */

    struct list waiting; /* commands, in order */
    unsigned num_waiting;
    struct list flights; /* in order of sending */
    unsigned num_flights;
    struct list spare;  /* flights */
    struct list landed; /* flights that libiscsi has called back about */
    unsigned zombies;   /* flights whose command has ended */
    uint64_t copied;    /* bytes: what they still send from */
    struct list tmfs;   /* ops */
    struct list ended;  /* commands, and tmfs, whose done is due */
    struct list ended_tmfs;
    struct defer report;
    bool serve_due;  /* libiscsi has something to write */
    uint32_t number; /* of the next flight */
    uint32_t next_cmdsn;
    bool knows_cmdsn;

    struct timer timer;
    uint64_t timer_ms; /* when it fires; 0: not */
    uint64_t login_deadline_ms, retry_ms;
    uint64_t down_since_ms;   /* 0: up */
    bool hopeless;            /* reconnect_timeout is over */
    bool refused;             /* the last attempt, by the target's own word */
    uint64_t heard, heard_ms; /* link->wire.heard when last looked at */
    uint64_t ping_ms;         /* a ping is out since then */

    unsigned portal, attempts;       /* since the last session */
    struct resolve_answer addresses; /* of the portal */
    int address;                     /* the next to be tried */
    uint16_t port;
    unsigned redirects;
    struct resolve *resolve;
    struct mail resolved;

    char at[PORTAL_TEXT_BYTES]; /* where it is, or was tried last */
    char why[256];              /* the last loss or failure */
    uint64_t logins, losses, resent;
    struct tally *tally; /* of these and those of others */
    struct log_limit limit;
    unsigned handles; /* open ones, and letters on their way */
};

/* unit.c: tells whoever wants to know (iscsi_tell) that s is lost, and why, or
 * is back. */
void session_tell_event(const struct iscsi_session *s, const char *why,
                        uint64_t down_ms);

/* Of two outcomes the failure, if there is one. */
static inline int worse(int a, int b)
{
    return a < b ? a : b;
}

static inline uint64_t now_ms(void)
{
    return loop_now_ns() / 1000000;
}

const char *session_id(const struct iscsi_session *s); /* for log lines */

/* session.c */
/* The caller's share of a session for p, which the device has or gets; NULL: no
 * memory. device: its id, or NULL. */
struct iscsi_session *session_get(struct loop *loop, const char *device,
                                  const struct params *p);
void session_put(struct iscsi_session *s);
/* One for SendTargets, which nobody shares. changed: it is up; or it cannot be,
 * as s->why says, and is not tried again. */
struct iscsi_session *session_discover(struct loop *loop,
                                       const struct params *p,
                                       void (*changed)(struct iscsi_session *s),
                                       void *arg);
void session_unhandle(struct iscsi_session *s); /* one that was open is not */
/* The connection is no more: what it had waits again or ends. */
void session_lost(struct iscsi_session *s, const char *why);
/* Units that do not know yet. */
void session_tell_up(struct iscsi_session *s);
/* The timer may have to fire sooner. */
void session_rearm(struct iscsi_session *s);
void session_at(struct iscsi_session *s, uint64_t ms);

/* tally.c: counts of all sessions of a device with a target. [any thread] */
enum tally_count {
    TALLY_UP, /* now */
    TALLY_LOGINS,
    TALLY_LOSSES,
    TALLY_RESENT,
    TALLY_COUNTS
};
/* For one more session. NULL: no memory. */
struct tally *tally_get(const char *device, const char *target);
void tally_put(struct tally *t);
void tally_add(struct tally *t, enum tally_count what, int n);

/* isid.c: for the session's life; device and params are set. */
void isid_choose(struct iscsi_session *s);
void isid_release(struct iscsi_session *s);

/* login.c */
void login_start(struct iscsi_session *s);
void login_failed(struct iscsi_session *s, const char *why);
void login_stop(struct iscsi_session *s);
/* What came of what libiscsi did. */
void login_went_on(struct iscsi_session *s);

/* link.c */
int link_open(struct iscsi_session *s, const char *address, uint16_t port,
              char why[256]);
void link_close(struct link *l);
/* Lets libiscsi work: POLLIN, POLLOUT. */
void link_serve(struct link *l, int events);

/* command.c */
void command_queue(struct iscsi_session *s, struct iscsi_cmd *c);
/* Hands to libiscsi what the target may get, and writes it. */
void commands_send(struct iscsi_session *s);
void command_end(struct iscsi_session *s, struct iscsi_cmd *c,
                 enum iscsi_end end);
bool command_waits(const struct iscsi_cmd *c);
bool command_flies(const struct iscsi_cmd *c);
/* Takes back what libiscsi has called back about. */
void flights_collect(struct iscsi_session *s);
/* All of them, when their context is no more. */
void flights_lost(struct iscsi_session *s);
/* f and its command end, by us: libiscsi forgets it, or, if it is in the middle
 * of it, goes on with a copy of the data, or without. False: no memory for
 * that, or too much is sent from copies already. */
bool flight_end(struct iscsi_session *s, struct flight *f, enum iscsi_end end);
void report_now(struct iscsi_session *s);
void waiting_end(struct iscsi_session *s, enum iscsi_end end);
/* This session takes no other's place at the target. */
void waiting_is_elsewhere(struct iscsi_session *s);
int lun_field(unsigned lun); /* as libiscsi wants it */

/* tmf.c */
/* The target is told to abort f; true: it will be, or the deadline says what
 * becomes of the session. */
bool flight_abort(struct iscsi_session *s, struct flight *f, uint64_t ms);
void tmf_start(struct iscsi_session *s, struct iscsi_tmf *m);
void command_give_up(struct iscsi_session *s, struct iscsi_cmd *c);
/* What the target has answered. False: the session must end, for s->why. */
bool tmfs_collect(struct iscsi_session *s);
/* Before flights_lost, for what they concern ends, too. */
void tmfs_lost(struct iscsi_session *s, int result);
void tmfs_forget(struct iscsi_session *s, struct flight *f); /* f is freed */

#endif
