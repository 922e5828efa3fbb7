/* vhost/conn.h: one connected vhost-user socket: whole messages in and out,
 * however they are cut on the way. Either end of it: a back-end's, which
 * answers, or a front-end's, which asks.
 *
 * A message is read as its header, then its payload, never a byte of the next
 * one, so that fds stay with the message they came with. One message is given
 * out at a time; the next is read after conn_next. Hang-up is noticed all the
 * same. Sending never blocks: what does not fit goes when there is room, and
 * no message is read meanwhile.
 * Threads: the session's home loop. */
#ifndef VUB_VHOST_CONN_H
#define VUB_VHOST_CONN_H

#include "loop/watch.h"
#include "os/closer.h"
#include "vhost/msg.h"

struct conn {
    /* Set before conn_open. */
    struct closer *closer; /* of what the front-end sent */
    bool shared;           /* others may have our end too, and need it */
    bool later;            /* messages have come elsewhere: nothing is read
                            * before conn_next */
    void (*message)(struct conn *c, struct msg *m); /* fds are still m's */
    /* Nothing more will come; why: one clause; mistake: the front-end's. Not
     * from inside conn_send. */
    void (*broken)(struct conn *c, bool mistake, const char *why);
    /* A part of a message has come, and no more for now; or an answer has no
     * room. */
    void (*half_done)(struct conn *c);
    void (*gone)(struct conn *c); /* conn_close is done */
    /* After conn_pause: an answer has gone that had no room. */
    void (*sent)(struct conn *c);

    /* conn.c only, below */
    int fd;
    struct watch watch;
    bool open, waiting; /* waiting: for conn_next */
    bool choked;        /* waiting for the closer */
    bool paused;        /* no other message is begun */
    bool lost;          /* a message could not be sent */
    bool started;       /* a whole message has come */
    uint64_t since_ns;  /* when this message, or the connection, began, or an
                         * answer had no room */
    struct msg in;
    size_t in_bytes; /* of header and payload so far */
    uint8_t out[sizeof(struct msg_header) + sizeof(union msg_payload)];
    size_t out_bytes, out_sent;
    int out_fds[SOCK_FDS_MAX]; /* ours until sent */
    unsigned num_out_fds;
    char why[96];
};

/* Takes fd. On failure fd is closed and there is nothing to close. */
int conn_open(struct conn *c, struct loop *loop, int fd);
/* The message given out is dealt with: read on. */
void conn_next(struct conn *c);
/* The closer has done something: read on if that was missing. */
void conn_unchoke(struct conn *c);
/* A message that has begun to come is the last one that is given out. */
void conn_pause(struct conn *c);
/* Is it between two messages: nothing is read in part, dealt with, or unsent?
 */
bool conn_is_between(const struct conn *c);
/* The socket is the caller's, who is between two messages; gone comes. */
int conn_release(struct conn *c);
/* Sends a message: copied; fd goes with it and is closed then; -1: none. One
 * at a time: an answer to each message received, or a message when the one
 * before has been answered. */
void conn_send(struct conn *c, const struct msg_header *header,
               const void *payload, int fd);
/* The same with up to SOCK_FDS_MAX fds. */
void conn_send_fds(struct conn *c, const struct msg_header *header,
                   const void *payload, const int *fds, unsigned num_fds);
/* Only a header, whatever it says: of a message that is not passed on, so that
 * the other end says what is wrong with it. */
void conn_send_header(struct conn *c, const struct msg_header *header);
/* Could the last one not be sent? What conn_next then says to who answers, who
 * asks must see by himself. */
bool conn_is_lost(const struct conn *c);
/* Is there something sent that the front-end has not read? */
bool conn_is_unread(const struct conn *c);
/* Calls gone, later. Safe twice. */
void conn_close(struct conn *c);
/* Has it ever said anything? */
bool conn_has_said(const struct conn *c);
/* Has no message come yet, or only a part of one, or is an answer not taken?
 * Since when, by loop_now_ns(). */
bool conn_half_done(const struct conn *c, uint64_t *since_ns);

#endif
