/* Messages of the child's go through a buffer, in which their headers are
 * whole. Both ends of it are parsed: what comes in, so that fds stay with their
 * message and nothing is taken for a message that is none; what goes out, so
 * that it is known how much of a message the display still waits for, and what
 * it has been asked. */
#include <errno.h>
#include <string.h>

#include "vhost/relay_display_impl.h"

#define HEADER_BYTES sizeof(struct wire_header)
/* Of an UPDATE, as the viewer cuts them. */
#define UPDATE_BYTES_MAX (64u << 20)

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

    return h->request >= WIRE_GET_PROTOCOL_FEATURES &&
           h->request < DISPLAY_KINDS && h->flags == 0 &&
           h->size <= bytes_max(h->request) && (!fd || dmabuf);
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
            if (display_reply_bytes(h.request) >= 0)
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
        display_drop_fd(d, &d->fd_out);
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
            display_gone(d);
            break;
        }
        any = true;
    }
    return any;
}

/* ---- from the child ---- */

void display_cut(struct relay_display *d)
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
        display_drop_fd(d, &d->fd_out);
    display_drop_fd(d, &d->header_fd);
    d->header_bytes = 0;
    d->body_left = 0;
}

/* Where the next bytes go, and how many fit. 0: not now. */
static size_t wanted(struct relay_display *d, uint8_t **at)
{
    if (d->body_left > 0) {
        *at = d->room + d->len;
        return MIN(d->body_left, DISPLAY_ROOM_BYTES - d->len);
    }
    /* One fd is on its way at a time. */
    if (d->zeros > 0 || d->fd_out >= 0 ||
        DISPLAY_ROOM_BYTES - d->len < HEADER_BYTES)
        return 0;
    *at = (uint8_t *)&d->header + d->header_bytes;
    return HEADER_BYTES - d->header_bytes;
}

static bool header_is_there(struct relay_display *d)
{
    if (!header_is_good(&d->header, d->header_fd >= 0)) {
        display_lose(d, LOG_ERROR,
                     "the device's process says what is no message");
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
    display_lose(d, LOG_ERROR,
                 "the device's process sends fds that it must not");
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
        display_child_ended(d);
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
void display_show(struct relay_display *d)
{
    for (int i = 0; i < DISPLAY_ROUNDS && !d->lost; i++) {
        bool in = take_in(d);
        bool out = !d->full && send_out(d);

        if (!in && !out)
            break;
    }
    display_update(d);
}

bool display_has_room(struct relay_display *d)
{
    uint8_t *at;

    return wanted(d, &at) > 0;
}
