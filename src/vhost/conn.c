/* The socket of a session: bytes to messages, messages to bytes.
 *
 * Either side of a message may come in any pieces. The state is how much of it
 * is there (in_bytes, out_sent); what the socket is watched for follows from
 * that. While a message is being dealt with nothing is read, so a front-end
 * that talks without listening fills its own socket, not our memory.
 *
 * fds that nobody took may take long to close, and have a closer. While many
 * wait there nothing is read either. */
#include "vhost/conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEADER_BYTES sizeof(struct msg_header)
/* Messages in a row before others on the loop have their turn. */
#define MESSAGES_PER_TURN 16
/* Of a message that we do not know: what does not fit is read and dropped, and
 * the message is given out to be answered as unknown. */
#define PAYLOAD_MAX 65536

static void close_fds(struct conn *c)
{
    struct msg *m = &c->in;

    for (unsigned i = 0; i < m->num_fds; i++)
        if (m->fds[i] >= 0)
            closer_fd(c->closer, m->fds[i]);
    m->num_fds = 0;
}

/* What the socket is watched for follows from what we wait for. */
static void watch_update(struct conn *c)
{
    int events = UV_DISCONNECT;

    if (!c->open)
        return;
    if (c->out_sent < c->out_bytes)
        events |= UV_WRITABLE;
    else if (!c->waiting && !(c->paused && c->in_bytes == 0))
        events |= UV_READABLE;
    watch_start(&c->watch, events);
}

static void fail(struct conn *c, bool mistake, const char *why)
{
    if (!c->open)
        return;
    c->open = false;
    watch_stop(&c->watch);
    c->broken(c, mistake, why);
}

/* Reads up to `upto` bytes of the message. 1: they are there. */
static int fill(struct conn *c, size_t upto)
{
    uint8_t *at, dropped[512];
    size_t want;
    ssize_t n;

    while (c->in_bytes < upto) {
        if (c->in_bytes < HEADER_BYTES) {
            at = (uint8_t *)&c->in.header + c->in_bytes;
            want = MIN(upto, HEADER_BYTES) - c->in_bytes;
        } else if (c->in_bytes - HEADER_BYTES < sizeof(c->in.payload)) {
            at = (uint8_t *)&c->in.payload + (c->in_bytes - HEADER_BYTES);
            want =
                MIN(upto, HEADER_BYTES + sizeof(c->in.payload)) - c->in_bytes;
        } else {
            at = dropped;
            want = MIN(upto - c->in_bytes, sizeof(dropped));
        }
        n = sock_recv(c->fd, at, want, c->in.fds, &c->in.num_fds);
        if (n == -EAGAIN)
            return 0;
        if (n == 0) {
            fail(c, false,
                 c->in_bytes ? "it hung up in the middle of a message"
                             : "it hung up");
            return -1;
        }
        if (n < 0) {
            if (n == -EMSGSIZE)
                snprintf(c->why, sizeof(c->why),
                         "it sent more than %d fds with one message",
                         SOCK_FDS_MAX);
            else
                snprintf(c->why, sizeof(c->why), "its socket broke: %s",
                         strerror((int)-n));
            fail(c, n == -EMSGSIZE, c->why);
            return -1;
        }
        if (c->in_bytes == 0)
            c->since_ns = loop_now_ns();
        c->in_bytes += (size_t)n;
    }
    return 1;
}

static void receive(struct conn *c)
{
    char name[32];

    for (int i = 0; i < MESSAGES_PER_TURN; i++) {
        if (!c->open || c->waiting || c->out_sent < c->out_bytes)
            return;
        if (c->paused && c->in_bytes == 0)
            return;
        if (fill(c, HEADER_BYTES) <= 0)
            return;
        if (c->in.header.size > (msg_is_known(c->in.header.request)
                                     ? sizeof(c->in.payload)
                                     : PAYLOAD_MAX)) {
            snprintf(c->why, sizeof(c->why),
                     "%s with a payload of %u bytes, which no message has",
                     msg_name(c->in.header.request, name), c->in.header.size);
            fail(c, true, c->why);
            return;
        }
        if (fill(c, HEADER_BYTES + c->in.header.size) <= 0)
            return;
        c->waiting = true;
        c->started = true;
        c->in_bytes = 0;
        watch_update(c);
        c->message(c, &c->in);
    }
}

/* sent: whoever is to have them has copies. */
static void drop_out_fds(struct conn *c, bool sent)
{
    for (unsigned i = 0; i < c->num_out_fds; i++) {
        if (sent)
            close(c->out_fds[i]);
        else
            closer_fd(c->closer, c->out_fds[i]);
    }
    c->num_out_fds = 0;
}

static void transmit(struct conn *c)
{
    while (c->out_sent < c->out_bytes) {
        ssize_t n =
            sock_send(c->fd, c->out + c->out_sent, c->out_bytes - c->out_sent,
                      c->out_fds, c->num_out_fds);
        if (n == -EAGAIN)
            return;
        if (n < 0) {
            c->out_sent = c->out_bytes;
            c->lost = true; /* conn_next ends it */
        } else
            c->out_sent += (size_t)n;
        drop_out_fds(c, n >= 0);
    }
}

static void on_ready(struct watch *w, int status, int events)
{
    struct conn *c = container_of(w, struct conn, watch);

    if (status < 0) {
        fail(c, false, "its socket broke");
        return;
    }
    if (events & UV_WRITABLE) {
        transmit(c);
        watch_update(c);
        if (c->paused && c->out_sent == c->out_bytes)
            c->sent(c);
    }
    /* What cannot be read now would be told again and again. */
    if ((c->waiting || c->paused || c->out_sent < c->out_bytes) &&
        (events & UV_DISCONNECT)) {
        fail(c, false, "it hung up");
        return;
    }
    receive(c);
    if (c->open && c->in_bytes)
        c->half_done(c);
}

static void on_gone(struct watch *w)
{
    struct conn *c = container_of(w, struct conn, watch);

    c->gone(c);
}

int conn_open(struct conn *c, struct loop *loop, int fd)
{
    int rc;

    c->fd = fd;
    c->waiting = c->started = c->later;
    c->watch.ready = on_ready;
    c->watch.gone = on_gone;
    c->since_ns = loop_now_ns();
    rc = watch_open(&c->watch, loop, fd);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    c->open = true;
    watch_update(c);
    return 0;
}

void conn_next(struct conn *c)
{
    close_fds(c);
    c->later = false;
    if (c->lost) {
        fail(c, false, "it could not be answered");
        return;
    }
    c->choked = closer_waiting(c->closer) > CLOSER_MANY;
    c->waiting = c->choked;
    watch_update(c);
}

void conn_unchoke(struct conn *c)
{
    if (!c->choked || closer_waiting(c->closer) > CLOSER_MANY)
        return;
    c->choked = c->waiting = false;
    watch_update(c);
}

void conn_pause(struct conn *c)
{
    c->paused = true;
    watch_update(c);
}

bool conn_is_between(const struct conn *c)
{
    return c->open && (!c->waiting || c->choked || c->later) &&
           c->in_bytes == 0 && c->out_sent == c->out_bytes;
}

int conn_release(struct conn *c)
{
    int fd = c->fd;

    c->open = false;
    watch_close(&c->watch);
    c->fd = -1;
    return fd;
}

static void send_bytes(struct conn *c, const struct msg_header *header,
                       const void *payload, size_t len)
{
    memcpy(c->out, header, HEADER_BYTES);
    if (len)
        memcpy(c->out + HEADER_BYTES, payload, len);
    c->out_sent = 0;
    c->out_bytes = HEADER_BYTES + len;
    transmit(c);
    watch_update(c);
    if (c->out_sent < c->out_bytes) {
        c->since_ns = loop_now_ns();
        c->half_done(c);
    }
}

void conn_send_fds(struct conn *c, const struct msg_header *header,
                   const void *payload, const int *fds, unsigned num_fds)
{
    c->num_out_fds = num_fds;
    if (num_fds)
        memcpy(c->out_fds, fds, num_fds * sizeof(*fds));
    if (c->open)
        send_bytes(c, header, payload, header->size);
    else
        drop_out_fds(c, false);
}

void conn_send_header(struct conn *c, const struct msg_header *header)
{
    if (c->open)
        send_bytes(c, header, NULL, 0);
}

void conn_send(struct conn *c, const struct msg_header *header,
               const void *payload, int fd)
{
    conn_send_fds(c, header, payload, &fd, fd >= 0);
}

bool conn_is_lost(const struct conn *c)
{
    return c->lost;
}

void conn_close(struct conn *c)
{
    if (c->fd < 0)
        return;
    c->open = false;
    watch_close(&c->watch);
    if (c->shared)
        closer_fd(c->closer, c->fd);
    else
        closer_sock(c->closer, c->fd);
    c->fd = -1;
    close_fds(c);
    drop_out_fds(c, false);
}

bool conn_is_unread(const struct conn *c)
{
    return sock_is_unread(c->fd);
}

bool conn_has_said(const struct conn *c)
{
    return c->started || c->in_bytes;
}

bool conn_half_done(const struct conn *c, uint64_t *since_ns)
{
    *since_ns = c->since_ns;
    return !c->started || c->in_bytes || c->out_sent < c->out_bytes;
}
