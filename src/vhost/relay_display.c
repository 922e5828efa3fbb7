/* Messages of the child's go through a buffer, in which their headers are
 * whole. Both ends of it are parsed: what comes in, so that fds stay with their
 * message and nothing is taken for a message that is none; what goes out, so
 * that it is known how much of a message the display still waits for, and what
 * it has been asked.
 *
 * The display's replies are few and small: one is taken whole, then sent. Of
 * each kind they come in the order of the questions, so those that dead
 * children have asked come first. */
#include "vhost/relay_display.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhost/relay_impl.h"
#include "virtio/display_wire.h"

#define ROOM_BYTES (256u << 10)
#define SOCKET_BYTES (512 << 10)
/* Of an UPDATE, as the viewer cuts them. */
#define UPDATE_BYTES_MAX (64u << 20)
#define ROUNDS_PER_TURN 16
#define PATIENCE_MS 5000
#define KINDS (WIRE_DMABUF_SCANOUT2 + 1)
#define HEADER_BYTES sizeof(struct wire_header)

/* Our end of a socket that a child has. It lives until its handles are closed.
 */
struct end {
    struct relay *relay;
    struct relay_display *display; /* NULL: nobody's any more */
    struct watch watch;
    struct timer timer; /* it has hung up, and its keeper is to say why */
    unsigned handles;
    int fd;
    bool ended;
};

struct relay_display {
    struct relay *relay;
    struct relay_session *session;
    bool shared, leaving;
    int fd;
    struct watch watch;
    bool lost;
    struct end *child; /* NULL: none */

    /* from the child */
    struct wire_header header; /* of the message that comes in */
    size_t header_bytes;       /* of it that are there */
    uint32_t body_left;        /* bytes that have not come */
    int header_fd;             /* came with it; -1: none */

    /* to the display */
    uint8_t *room; /* [ROOM_BYTES] */
    size_t len, sent;
    int fd_out; /* goes with the message at fd_at; -1: none */
    size_t fd_at;
    uint64_t message_left; /* bytes of the message that is being sent */
    uint64_t zeros;        /* of those that come behind the buffer */
    bool full;             /* the display's socket has no room */

    /* from the display */
    uint8_t reply[HEADER_BYTES + sizeof(struct virtio_gpu_resp_edid)];
    size_t reply_bytes;
    size_t reply_len, reply_sent; /* to the child; len 0: none is whole */
    bool child_full;
    uint64_t asked[KINDS], orphans[KINDS]; /* orphans: by those who are dead */
};

static void update(struct relay_display *d);

/* ---- handles ---- */

static void end_gone(struct end *end)
{
    struct relay *r = end->relay;

    if (--end->handles > 0)
        return;
    free(end);
    relay_leg_over(r);
}

static void on_end_watch_gone(struct watch *w)
{
    end_gone(container_of(w, struct end, watch));
}

static void on_end_timer_gone(struct timer *t)
{
    end_gone(container_of(t, struct end, timer));
}

static void end_close(struct relay_display *d)
{
    struct end *end = d->child;

    if (!end)
        return;
    d->child = NULL;
    end->display = NULL;
    watch_close(&end->watch);
    timer_close(&end->timer);
    closer_sock(d->relay->closer, end->fd);
}

static void on_gone(struct watch *w)
{
    struct relay_display *d = container_of(w, struct relay_display, watch);
    struct relay *r = d->relay;

    free(d->room);
    free(d);
    relay_leg_over(r);
}

static void drop_fd(struct relay_display *d, int *fd)
{
    if (*fd >= 0)
        closer_fd(d->relay->closer, *fd);
    *fd = -1;
}

static void fd_close(struct relay_display *d)
{
    if (d->shared)
        closer_fd(d->relay->closer, d->fd);
    else
        closer_sock(d->relay->closer, d->fd);
    d->fd = -1;
}

/* It shows nothing any more; whoever is left sees that. */
static void lose(struct relay_display *d, enum log_level level, const char *why)
{
    if (d->lost)
        return;
    d->lost = true;
    log_limited(relay_limit(d->relay, RELAY_LINE_CHILD), level,
                d->relay->conf.id, "the front-end's display is lost: %s", why);
    watch_stop(&d->watch);
    fd_close(d);
    end_close(d);
    drop_fd(d, &d->header_fd);
    drop_fd(d, &d->fd_out);
    if (d->leaving)
        relay_session_display_left(d->session, false);
}

/* ---- what is a message ---- */

static uint32_t bytes_max(uint32_t request)
{
    switch (request) {
    case WIRE_SET_PROTOCOL_FEATURES:
        return sizeof(uint64_t);
    case WIRE_CURSOR_POS:
    case WIRE_CURSOR_POS_HIDE:
        return sizeof(struct wire_cursor_pos);
    case WIRE_CURSOR_UPDATE:
        return sizeof(struct wire_cursor_update) + WIRE_CURSOR_BYTES;
    case WIRE_SCANOUT:
        return sizeof(struct wire_scanout);
    case WIRE_UPDATE:
        return sizeof(struct wire_update) + UPDATE_BYTES_MAX;
    case WIRE_DMABUF_UPDATE:
        return sizeof(struct wire_update);
    case WIRE_GET_EDID:
        return sizeof(uint32_t);
    case WIRE_DMABUF_SCANOUT:
    case WIRE_DMABUF_SCANOUT2:
        return sizeof(struct wire_dmabuf_scanout2);
    default:
        return 0;
    }
}

static bool header_is_good(const struct wire_header *h, bool fd)
{
    bool dmabuf =
        h->request == WIRE_DMABUF_SCANOUT || h->request == WIRE_DMABUF_SCANOUT2;

    return h->request >= WIRE_GET_PROTOCOL_FEATURES && h->request < KINDS &&
           h->flags == 0 && h->size <= bytes_max(h->request) && (!fd || dmabuf);
}

/* Of the reply; -1: it has none. */
static int64_t reply_bytes(uint32_t request)
{
    switch (request) {
    case WIRE_GET_PROTOCOL_FEATURES:
        return sizeof(uint64_t);
    case WIRE_GET_DISPLAY_INFO:
        return sizeof(struct virtio_gpu_resp_display_info);
    case WIRE_GET_EDID:
        return sizeof(struct virtio_gpu_resp_edid);
    case WIRE_DMABUF_UPDATE:
        return 0;
    default:
        return -1;
    }
}

/* ---- to the display ---- */

/* n bytes have gone: which messages are they of? */
static void note_sent(struct relay_display *d, size_t n)
{
    struct wire_header h;
    uint64_t part;

    while (n > 0) {
        if (d->message_left == 0) {
            memcpy(&h, d->room + d->sent, sizeof(h));
            d->message_left = sizeof(h) + (uint64_t)h.size;
            if (reply_bytes(h.request) >= 0)
                d->asked[h.request]++;
        }
        part = MIN(d->message_left, n);
        d->message_left -= part;
        d->sent += part;
        n -= part;
    }
    if (d->sent == d->len)
        d->sent = d->len = 0;
}

static ssize_t send_zeros(struct relay_display *d)
{
    static const uint8_t zeros[16 << 10];
    ssize_t n = sock_send(d->fd, zeros, MIN(d->zeros, sizeof(zeros)), NULL, 0);

    if (n > 0) {
        d->zeros -= (uint64_t)n;
        d->message_left -= (uint64_t)n;
    }
    return n;
}

static ssize_t send_some(struct relay_display *d)
{
    bool with_fd = d->fd_out >= 0 && d->sent == d->fd_at;
    size_t end = d->fd_out >= 0 && !with_fd ? d->fd_at : d->len;
    ssize_t n;

    if (d->len == 0)
        return send_zeros(d);
    n = sock_send(d->fd, d->room + d->sent, end - d->sent, &d->fd_out, with_fd);
    if (n <= 0)
        return n;
    if (with_fd)
        drop_fd(d, &d->fd_out);
    note_sent(d, (size_t)n);
    return n;
}

/* True: something went. d may be lost. */
static bool send_out(struct relay_display *d)
{
    bool any = false;
    ssize_t n;

    while (!d->lost && (d->len > 0 || d->zeros > 0)) {
        n = send_some(d);
        if (n == -EAGAIN) {
            d->full = true;
            break;
        }
        if (n < 0) {
            lose(d, LOG_INFO, "it has gone");
            break;
        }
        any = true;
    }
    return any;
}

/* ---- from the child ---- */

/* It says no more. A part of a message that the display has begun to read is
 * ended for it; of the rest it does not hear. */
static void cut(struct relay_display *d)
{
    size_t has = d->len - d->sent;

    if (d->message_left == 0) {
        d->len = d->sent = 0;
    } else if (has >= d->message_left) {
        d->len = d->sent + (size_t)d->message_left;
    } else {
        d->zeros = d->message_left - has;
    }
    if (d->fd_out >= 0 && d->fd_at >= d->len)
        drop_fd(d, &d->fd_out);
    drop_fd(d, &d->header_fd);
    d->header_bytes = 0;
    d->body_left = 0;
}

static void child_ended(struct relay_display *d)
{
    d->child->ended = true;
    watch_stop(&d->child->watch);
    timer_start(&d->child->timer, PATIENCE_MS);
}

/* Where the next bytes go, and how many fit. 0: not now. */
static size_t wanted(struct relay_display *d, uint8_t **at)
{
    if (d->body_left > 0) {
        *at = d->room + d->len;
        return MIN(d->body_left, ROOM_BYTES - d->len);
    }
    /* One fd is on its way at a time. */
    if (d->zeros > 0 || d->fd_out >= 0 || ROOM_BYTES - d->len < HEADER_BYTES)
        return 0;
    *at = (uint8_t *)&d->header + d->header_bytes;
    return HEADER_BYTES - d->header_bytes;
}

static bool header_is_there(struct relay_display *d)
{
    if (!header_is_good(&d->header, d->header_fd >= 0)) {
        lose(d, LOG_ERROR, "the device's process says what is no message");
        return false;
    }
    if (d->header_fd >= 0) {
        d->fd_out = d->header_fd;
        d->fd_at = d->len;
        d->header_fd = -1;
    }
    memcpy(d->room + d->len, &d->header, HEADER_BYTES);
    d->len += HEADER_BYTES;
    d->body_left = d->header.size;
    d->header_bytes = 0;
    return true;
}

/* Of the fds that came. False: d is lost. */
static bool take_fds(struct relay_display *d, int *fds, unsigned num)
{
    if (num == 0)
        return true;
    if (num == 1 && d->body_left == 0 && d->header_bytes == 0) {
        d->header_fd = fds[0];
        return true;
    }
    for (unsigned i = 0; i < num; i++)
        closer_fd(d->relay->closer, fds[i]);
    lose(d, LOG_ERROR, "the device's process sends fds that it must not");
    return false;
}

/* One read. 1: there may be more, 0: not now, or d is lost. */
static int take_some(struct relay_display *d)
{
    int fds[SOCK_FDS_ROOM];
    unsigned num = 0;
    uint8_t *at;
    size_t want = wanted(d, &at);
    ssize_t n;

    if (want == 0)
        return 0;
    n = sock_recv(d->child->fd, at, want, fds, &num);
    if (n == -EAGAIN)
        return 0;
    if (!take_fds(d, fds, num))
        return 0;
    if (n <= 0) {
        child_ended(d);
        return 0;
    }
    if (d->body_left > 0) {
        d->len += (size_t)n;
        d->body_left -= (uint32_t)n;
        return 1;
    }
    d->header_bytes += (size_t)n;
    return d->header_bytes < HEADER_BYTES || header_is_there(d);
}

/* True: something came. */
static bool take_in(struct relay_display *d)
{
    bool any = false;

    while (!d->lost && d->child && !d->child->ended && take_some(d) > 0)
        any = true;
    return any;
}

/* Both, until nothing moves, or others on the loop have their turn. */
static void show(struct relay_display *d)
{
    for (int i = 0; i < ROUNDS_PER_TURN && !d->lost; i++) {
        bool in = take_in(d);
        bool out = !d->full && send_out(d);

        if (!in && !out)
            break;
    }
    update(d);
}

/* ---- from the display ---- */

/* A whole reply is there: is it this child's? */
static bool reply_is_there(struct relay_display *d)
{
    struct wire_header h;

    memcpy(&h, d->reply, sizeof(h));
    if (d->orphans[h.request] > 0) {
        d->orphans[h.request]--;
    } else if (d->asked[h.request] > 0) {
        d->asked[h.request]--;
        d->reply_len = d->child ? d->reply_bytes : 0;
        d->reply_sent = 0;
    } else {
        lose(d, LOG_WARN, "it replied to what it was not asked");
        return false;
    }
    d->reply_bytes = 0;
    return true;
}

static bool reply_is_good(const struct relay_display *d, size_t *len)
{
    struct wire_header h;

    *len = HEADER_BYTES;
    if (d->reply_bytes < HEADER_BYTES)
        return true;
    memcpy(&h, d->reply, sizeof(h));
    *len += h.size;
    return h.request < KINDS && h.flags == WIRE_REPLY &&
           reply_bytes(h.request) == (int64_t)h.size;
}

/* One read. False: nothing more now. */
static bool hear_some(struct relay_display *d)
{
    int fds[SOCK_FDS_ROOM];
    unsigned num = 0;
    size_t len;
    ssize_t n;

    if (!reply_is_good(d, &len)) {
        lose(d, LOG_WARN, "it sent something that is no reply");
        return false;
    }
    if (d->reply_bytes == len)
        return reply_is_there(d);
    n = sock_recv(d->fd, d->reply + d->reply_bytes, len - d->reply_bytes, fds,
                  &num);
    if (n == -EAGAIN)
        return false;
    for (unsigned i = 0; i < num; i++)
        closer_fd(d->relay->closer, fds[i]);
    if (n <= 0 || num > 0) {
        lose(d, num > 0 ? LOG_WARN : LOG_INFO,
             num > 0 ? "it sent a file descriptor" : "it has gone");
        return false;
    }
    d->reply_bytes += (size_t)n;
    return true;
}

/* The whole reply, to the child. */
static void pass_reply(struct relay_display *d)
{
    ssize_t n;

    while (d->reply_sent < d->reply_len) {
        n = sock_send(d->child->fd, d->reply + d->reply_sent,
                      d->reply_len - d->reply_sent, NULL, 0);
        if (n == -EAGAIN) {
            d->child_full = true;
            return;
        }
        if (n < 0) /* it is dead, which is seen when it is read */
            break;
        d->reply_sent += (size_t)n;
    }
    d->reply_len = d->reply_sent = 0;
}

static void hear(struct relay_display *d)
{
    for (int i = 0; i < ROUNDS_PER_TURN && !d->lost; i++) {
        if (d->reply_len > 0 && !d->child_full)
            pass_reply(d);
        if (d->reply_len > 0 || !hear_some(d))
            break;
    }
    if (!d->lost && d->reply_len > 0 && !d->child_full)
        pass_reply(d);
    update(d);
}

/* ---- what is waited for ---- */

static bool is_idle(const struct relay_display *d)
{
    uint64_t asked = 0;

    for (unsigned i = 0; i < KINDS; i++)
        asked |= d->orphans[i] | d->asked[i];
    return !asked && d->len == 0 && d->zeros == 0 && d->reply_bytes == 0;
}

static void update(struct relay_display *d)
{
    uint8_t *at;
    int events = UV_DISCONNECT;

    if (d->lost)
        return;
    if (d->leaving && is_idle(d)) {
        d->leaving = false;
        watch_stop(&d->watch);
        relay_session_display_left(d->session, true);
        return;
    }
    if (d->len > 0 || d->zeros > 0)
        events |= UV_WRITABLE;
    if (d->reply_len == 0)
        events |= UV_READABLE;
    watch_start(&d->watch, events);
    if (!d->child || d->child->ended)
        return;
    events = wanted(d, &at) > 0 ? UV_READABLE : 0;
    if (d->reply_len > 0)
        events |= UV_WRITABLE;
    if (events)
        watch_start(&d->child->watch, events);
    else
        watch_stop(&d->child->watch);
}

static void on_ready(struct watch *w, int status, int events)
{
    struct relay_display *d = container_of(w, struct relay_display, watch);

    if (d->lost)
        return;
    if (status < 0 || ((events & UV_DISCONNECT) && !(events & UV_READABLE))) {
        lose(d, LOG_INFO, "it has gone");
        return;
    }
    if (events & UV_READABLE)
        hear(d);
    if (!d->lost && (events & UV_WRITABLE)) {
        d->full = false;
        show(d);
    }
}

static void on_child_ready(struct watch *w, int status, int events)
{
    struct end *end = container_of(w, struct end, watch);
    struct relay_display *d = end->display;

    if (!d || end->ended)
        return;
    if (status < 0) {
        child_ended(d);
        return;
    }
    if (events & UV_WRITABLE) {
        d->child_full = false;
        hear(d);
    }
    if (!d->lost && (events & UV_READABLE))
        show(d);
}

static void on_child_timer(struct timer *t)
{
    struct end *end = container_of(t, struct end, timer);

    if (end->display)
        lose(end->display, LOG_INFO, "the device has no more to show");
}

/* ---- life ---- */

struct relay_display *relay_display_open(struct relay *r,
                                         struct relay_session *s, int fd)
{
    struct relay_display *d = calloc(1, sizeof(*d));

    if (!d)
        goto fail;
    d->relay = r;
    d->session = s;
    d->fd = fd;
    d->header_fd = d->fd_out = -1;
    d->room = malloc(ROOM_BYTES);
    if (!d->room)
        goto fail;
    d->watch.ready = on_ready;
    d->watch.gone = on_gone;
    if (watch_open(&d->watch, r->conf.home, fd) < 0)
        goto fail;
    sock_make_room(fd, SOCKET_BYTES);
    r->legs++;
    update(d);
    return d;
fail:
    if (d)
        free(d->room);
    free(d);
    closer_sock(r->closer, fd);
    return NULL;
}

void relay_display_close(struct relay_display *d)
{
    if (!d)
        return;
    if (!d->lost) {
        d->lost = true;
        fd_close(d);
        end_close(d);
        drop_fd(d, &d->header_fd);
        drop_fd(d, &d->fd_out);
    }
    watch_close(&d->watch);
}

int relay_display_connect(struct relay_display *d)
{
    struct relay *r = d->relay;
    struct end *end = NULL;
    int pair[2] = {-1, -1}, rc;

    relay_display_disconnect(d);
    if (d->lost)
        return -EPIPE;
    rc = sock_pair(pair);
    if (rc < 0)
        return rc;
    end = calloc(1, sizeof(*end));
    rc = -ENOMEM;
    if (!end)
        goto fail;
    end->relay = r;
    end->display = d;
    end->fd = pair[0];
    end->watch.ready = on_child_ready;
    end->watch.gone = on_end_watch_gone;
    end->timer.fire = on_child_timer;
    end->timer.gone = on_end_timer_gone;
    rc = watch_open(&end->watch, r->conf.home, end->fd);
    if (rc < 0)
        goto fail;
    timer_open(&end->timer, r->conf.home);
    end->handles = 2;
    r->legs++;
    d->child = end;
    update(d);
    return pair[1];
fail:
    free(end);
    close(pair[0]);
    close(pair[1]);
    return rc;
}

void relay_display_share(struct relay_display *d, bool shared)
{
    d->shared = shared;
}

void relay_display_leave(struct relay_display *d)
{
    d->leaving = true;
    if (d->child)
        relay_display_disconnect(d);
    else
        update(d);
}

void relay_display_disconnect(struct relay_display *d)
{
    if (!d->child || d->lost)
        return;
    end_close(d);
    cut(d);
    for (unsigned i = 0; i < KINDS; i++) {
        d->orphans[i] += d->asked[i];
        d->asked[i] = 0;
    }
    d->reply_len = d->reply_sent = 0;
    d->child_full = false;
    update(d);
}

bool relay_display_is_lost(const struct relay_display *d)
{
    return d->lost;
}
