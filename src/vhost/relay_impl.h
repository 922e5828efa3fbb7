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
    int listen_fd;                   /* -1: none */
    int connected_fd;                /* until it is used; -1: none */
    struct endpoint_visitor visitor; /* until it is used; fd -1: none */
    struct relay_leg *parked;        /* of one that was handed on; NULL: none */
    struct watch watch;
    struct timer timer; /* for one that waits, or a failed accept */
    bool started, waiting, closing;
    bool suspending; /* or suspended */
    bool child;      /* one is here */
    bool reset_due;  /* a guest has ended, which no child has seen */
    uint64_t last_leg;
    struct relay_session *current;
    unsigned sessions, legs, handles; /* that live */
    void (*closed)(struct relay *r, void *arg);
    void *closed_arg;
    struct mail closed_later;
    struct endpoint_visitor handed_on; /* fd -1: nobody is */
    void (*suspended)(struct relay *r, struct endpoint_visitor *visitor,
                      void *arg); /* until it is called */
    void *suspended_arg;
    struct mail suspended_later;
    bool told_arrived; /* or nobody is to be told */
    struct err arrived_err;
    struct mail arrived_later;
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
    bool end_due;       /* it has been sent what it ends for */
    struct timer timer; /* until then, or until it answers */
    unsigned handles;
};

/* What the child is asked, and answers next. */
enum relay_asked {
    ASKED_NOTHING,
    ASKED_HELLO,    /* SET_PROTOCOL_FEATURES, ours */
    ASKED_FEATURES, /* GET_FEATURES */
    ASKED_QUEUES,   /* GET_QUEUE_NUM */
    ASKED_RESET,    /* RESET_DEVICE, of the guest before */
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
    bool child_ends; /* a child is to end it, and nothing else is done */

    /* what the front-end has said */
    struct transcript *said;
    uint64_t protocol, features; /* acked; features: of those offered */
    uint64_t offered;            /* as it was told last */
    unsigned num_queues;         /* as the first child says; 0: not said */
    bool has_record;             /* of requests in flight */
    struct inflight *record;     /* if it is ours; NULL: it is not */
    uint64_t rings;              /* that have a kick: bits */
    bool has_run;                /* a ring had one, ever */
    bool record_sent;            /* to it, in an answer */

    /* its message that is being handled */
    struct msg *msg; /* NULL: none is */
    bool heard;      /* by the transcript, which waits for done or undone */

    /* the child */
    struct relay_leg *leg; /* NULL: no child is here, or it has hung up */
    enum relay_asked asked;
    struct msg_header question;
    unsigned at;
    bool told;     /* the leg knows the transcript */
    bool leg_runs; /* and has had a kick */

    struct relay_display *display; /* NULL: none */

    bool arriving; /* a visitor, of whom no child knows yet */
    bool leaving;  /* the display, and then: */
    bool parting;  /* as soon as it is between two messages */
};

/* ---- relay.c ---- */

struct log_limit *relay_limit(struct relay *r, enum relay_line line);
void relay_tell(struct relay *r, const struct endpoint_event *e);
/* The child knows all that the front-end of the current session has said, or
 * there is none. */
void relay_session_knows(struct relay *r);
/* The front-end has gone: the next one may be accepted. */
void relay_session_ending(struct relay *r, struct relay_session *s);
/* Nothing is left of a session, or of a leg. */
void relay_session_over(struct relay *r);
void relay_leg_over(struct relay *r);
/* Who was current is a visitor now, of another process. */
void relay_session_handed_on(struct relay *r, struct relay_session *s,
                             const struct endpoint_visitor *v);
/* A visitor has; e NULL, or why not. */
void relay_session_arrived(struct relay *r, const struct err *e);
/* The current session has begun a message and not ended it. */
void relay_session_half_done(struct relay *r);

/* In the padding of SET_INFLIGHT_FD: the record is a relay's, for a vub that
 * takes over. A front-end that says so too gets its stopped rings' records
 * cleared. */
#define RECORD_IS_OURS 0x76756272u

/* ---- relay_session.c ---- */

/* Takes what is in v, whose `said` is NULL if nothing has been said. NULL: no
 * memory; all is gone. */
struct relay_session *relay_session_new(struct relay *r,
                                        const struct endpoint_visitor *v);
/* The front-end has gone, or must; why is logged, NULL: nothing is. LOG_DEBUG:
 * a child has a line for it. Safe twice. */
void relay_session_end(struct relay_session *s, enum log_level level,
                       const char *why);
/* No child is here any more. */
void relay_session_child_lost(struct relay_session *s);
/* The end of it: there are none for what it has sent. */
void relay_session_no_fds(struct relay_session *s);
void relay_session_drop_record(struct relay_session *s);
void relay_session_drop_display(struct relay_session *s);
/* The display that GPU_SET_SOCKET brings; false: it is none. */
bool relay_session_take_display(struct relay_session *s, const struct msg *m);

/* ---- relay_tell.c ---- */

/* A child is here: it is told all, and then given the front-end's message. */
void relay_session_child_here(struct relay_session *s);
/* What was asked for that (ASKED_HELLO to ASKED_TOLD) is answered. */
void relay_session_told(struct relay_session *s, enum relay_asked asked,
                        const struct msg *m);
/* Passes m on, with copies of its fds. False: there are none to be had. */
bool relay_ask_message(struct relay_session *s, enum relay_asked asked,
                       const struct msg *m, bool need_reply);
/* The same with GPU_SET_SOCKET, to a child that gets a socket of ours. */
bool relay_ask_display(struct relay_session *s, enum relay_asked asked,
                       const struct msg *m);

/* ---- relay_pass.c ---- */

/* The front-end's message, to the child that is here and asked nothing. */
void relay_session_pass(struct relay_session *s);
/* It is answered. */
void relay_session_message_answered(struct relay_session *s, struct msg *reply);
/* Our own record is, or is not. */
void relay_session_record_set(struct relay_session *s, bool done);
/* What follows for us from a message that a child has done. */
void relay_session_note(struct relay_session *s, const struct msg *m);

/* ---- relay_suspend.c ---- */

/* Hands it on: relay_session_handed_on, or it ends. */
void relay_session_suspend(struct relay_session *s);
/* It takes too long. */
void relay_session_late(struct relay_session *s);
/* Something is done that was waited for: as far as it goes now. */
void relay_session_part(struct relay_session *s);
/* The display is left; whole: with nothing under way. */
void relay_session_display_left(struct relay_session *s, bool whole);
/* GET_VRING_BASE of ring `at` is answered. */
void relay_session_base(struct relay_session *s, uint32_t base);

/* ---- relay_leg.c ---- */

/* Gives the child a connection for s, which is s->leg then; false: it could
 * not be, and s has none, or is ending. */
bool relay_leg_open(struct relay_session *s);
/* s has none any more. */
void relay_leg_close(struct relay_session *s);
/* Nor then, but the child does not see that before relay_leg_unpark. */
void relay_leg_park(struct relay_session *s);
void relay_leg_unpark(struct relay *r);
/* Sends a message and waits for its answer: fds are taken. */
void relay_ask(struct relay_session *s, enum relay_asked asked,
               const struct msg_header *h, const void *payload, const int *fds,
               unsigned num_fds);
/* The child is about to end the session: it has some seconds. */
void relay_leg_expect_end(struct relay_leg *leg);
/* The session's: the answer to what was asked has come. The message's fds are
 * closed after it. */
void relay_session_answered(struct relay_session *s, struct msg *m);
/* The child says or does what it may not: the session ends, and the log says
 * what that was. */
void relay_session_child_wrong(struct relay_session *s, const char *what);

#endif
