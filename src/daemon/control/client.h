/* daemon/control/client.h: one connection to the control socket: lines in,
 * lines out.
 *
 * A line has at most CLIENT_LINE_MAX bytes; of a longer one only that is told.
 * What a client does not read in time waits here. While CLIENT_PAUSE_MAX bytes
 * do, no further line of it is read, and events are left out and counted. An
 * answer that finds CLIENT_OUT_MAX bytes waiting is the end: the client is
 * dropped.
 * Nothing blocks. A client that has ended its side still gets its answers; one
 * that has hung up does not.
 * Threads: the main loop. */
#ifndef VUB_DAEMON_CONTROL_CLIENT_H
#define VUB_DAEMON_CONTROL_CLIENT_H

#include "base/json_out.h"
#include "base/list.h"
#include "loop/watch.h"

#define CLIENT_LINE_MAX (1u << 20)
#define CLIENT_PAUSE_MAX (256u << 10)
#define CLIENT_OUT_MAX (4u << 20)
/* Requests under way: no further line is read until one is answered. */
#define CLIENT_REQUESTS_MAX 64

struct client {
    /* Set before client_open. */
    void (*line)(struct client *c, const char *text, size_t len);
    void (*too_long)(struct client *c);
    /* Nothing comes any more, and nothing can be said; from a turn of its
     * own. why: a clause for the log, NULL: it simply went. client_close
     * follows. */
    void (*ended)(struct client *c, const char *why);
    void (*gone)(struct client *c); /* client_close is done: it may be freed */
    /* Between a keeper and the process of an isolated device, at both ends: a
     * line may have four times as many bytes, and nothing keeps one from being
     * read, since each would wait for the other. */
    bool keeper;

    struct list node;     /* the owner's */
    struct list requests; /* likewise: those under way */
    unsigned num_requests;
    bool wants_events;
    int pid;
    unsigned uid;

    /* client.c's */
    struct loop *loop;
    int fd;
    struct watch watch;
    struct defer later;
    char *in;
    size_t in_len, in_room, in_seen; /* seen: has no end of line */
    bool skipping;                   /* to the end of a line too long */
    struct json_out out;
    size_t out_sent;
    int gift; /* an fd that goes with what is sent next; -1: none */
    uint64_t events_lost;
    bool eof, broken, closed;
    const char *why;
};

/* Takes fd. On failure fd is closed and there is nothing to close. */
int client_open(struct client *c, struct loop *loop, int fd);
/* Sends what fits of c->out, to which lines were added; the rest goes when
 * there is room. */
void client_send(struct client *c);
/* fd, which is taken, goes with the answer that follows. */
void client_give(struct client *c, int fd);
/* The room for answers: ended follows if there is none. */
bool client_may_answer(struct client *c);
/* May an event be added? If not it is counted, and told of in time. */
bool client_may_event(struct client *c);
/* A request has been answered: reads on, later. */
void client_next(struct client *c);
/* Nothing is called any more but gone. Safe twice. */
void client_close(struct client *c);

#endif
