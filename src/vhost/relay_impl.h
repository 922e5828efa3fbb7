/* vhost/relay_impl.h: what the files of the relay share. */
#ifndef VUB_VHOST_RELAY_IMPL_H
#define VUB_VHOST_RELAY_IMPL_H

#include "base/log.h"
#include "loop/timer.h"
#include "vhost/conn.h"
#include "vhost/relay.h"
#include "vhost/relay_display.h"
#include "vhost/transcript.h"
#include "virtio/inflight.h"

struct relay_session;

/* Lines that a front-end, or the child, can cause at will. */
enum relay_line {
    RELAY_LINE_GONE,
    RELAY_LINE_REFUSED,
    RELAY_LINE_CHILD,
    RELAY_LINES,
};

struct relay {
    struct relay_conf conf;
    int listen_fd;    /* -1: none */
    int connected_fd; /* until it is used; -1: none */
    int visitor_pid;  /* of connected_fd, if it is a visitor's */
    unsigned visitor_uid;
    struct transcript *visitor_said; /* until it is used; NULL: none */
    struct watch watch;
    struct timer timer; /* for one that waits, or a failed accept */
    bool started, waiting, closing, suspended;
    bool child; /* one is here */
    uint64_t last_leg;
    struct relay_session *current;
    unsigned sessions, legs, handles; /* that live */
    void (*closed)(struct relay *r, void *arg);
    void *closed_arg;
    struct mail closed_later;
    struct closer *closer; /* of what front-end and child send */
    struct mail closer_idle;
    bool closer_told; /* atomic: closer_idle is on its way */
    struct log_limit limits[RELAY_LINES];
};

/* Our end of a connection to a child, for one front-end. It lives until its
 * handles are closed, which may be after the session. */
struct relay_leg {
    struct conn conn;
    struct relay *relay;
    struct relay_session *session; /* NULL: nobody's any more */
    uint64_t number;
    bool ended;         /* nothing more comes; why is to be told */
    struct timer timer; /* until then */
    unsigned handles;
};

/* What the child is asked, and answers next. */
enum relay_asked {
    ASKED_NOTHING,
    ASKED_HELLO,    /* SET_PROTOCOL_FEATURES, ours */
    ASKED_FEATURES, /* GET_FEATURES */
    ASKED_QUEUES,   /* GET_QUEUE_NUM */
    ASKED_TOLD,     /* the transcript, message `at` */
    ASKED_RECORD,   /* SET_INFLIGHT_FD, ours */
    ASKED_FRONT,    /* what the front-end has sent */
    ASKED_BASE,     /* GET_VRING_BASE of ring `at`, for a suspension */
};

struct relay_session {
    struct relay *relay;
    struct conn front;
    int pid;
    unsigned uid;
    bool ending;

    /* what the front-end has said */
    struct transcript *said;
    uint64_t protocol, features; /* acked; features: of those offered */
    uint64_t offered;            /* as it was told last */
    unsigned num_queues;         /* as the first child says; 0: not said */
    bool has_record;             /* of requests in flight */
    struct inflight *record;     /* if it is ours; NULL: it is not */
    uint64_t rings;              /* that have a kick: bits */

    /* its message that is being handled */
    struct msg *msg; /* NULL: none is */
    bool heard;      /* by the transcript, which waits for done or undone */

    /* the child */
    struct relay_leg *leg; /* NULL: no child is here, or it has hung up */
    enum relay_asked asked;
    struct msg_header question;
    unsigned at;
    bool told; /* the leg knows the transcript */

    struct relay_display *display; /* NULL: none */

    /* relay_suspend */
    void (*suspended)(struct relay *r, struct endpoint_visitor *visitor,
                      const struct err *e, void *arg);
    void *suspended_arg;
    struct err suspend_err;
    struct mail suspended_later;
};

/* ---- relay.c ---- */

struct log_limit *relay_limit(struct relay *r, enum relay_line line);
void relay_tell(struct relay *r, const struct endpoint_event *e);
/* The front-end has gone: the next one may be accepted. */
void relay_session_ending(struct relay *r, struct relay_session *s);
/* Nothing is left of a session, or of a leg. */
void relay_session_over(struct relay *r);
void relay_leg_over(struct relay *r);
/* The current session has begun a message and not ended it. */
void relay_session_half_done(struct relay *r);

/* ---- relay_session.c ---- */

/* Takes fd and said (NULL: nothing has been said). NULL: no memory; both are
 * gone. */
struct relay_session *relay_session_new(struct relay *r, int fd, int pid,
                                        unsigned uid, struct transcript *said);
/* The front-end has gone, or must; why is logged, NULL: nothing is. Safe
 * twice. */
void relay_session_end(struct relay_session *s, enum log_level level,
                       const char *why);
/* A child is here, or none any more. */
void relay_session_child_here(struct relay_session *s);
void relay_session_child_lost(struct relay_session *s);
void relay_session_suspend(struct relay_session *s);

/* ---- relay_leg.c ---- */

/* Gives the child a connection for s, which is s->leg then; false: it could
 * not be, and s has none, or is ending. */
bool relay_leg_open(struct relay_session *s);
/* s has none any more. */
void relay_leg_close(struct relay_session *s);
/* Sends a message and waits for its answer: fds are taken. */
void relay_ask(struct relay_session *s, enum relay_asked asked,
               const struct msg_header *h, const void *payload, const int *fds,
               unsigned num_fds);
/* The session's: the answer to what was asked has come. The message's fds are
 * closed after it. */
void relay_session_answered(struct relay_session *s, struct msg *m);
/* It says what it may not. */
void relay_session_lie(struct relay_session *s, const char *what);

#endif
