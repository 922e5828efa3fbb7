/* The display's replies are few and small: one is taken whole, then sent. Of
 * each kind they come in the order of the questions, so those that dead
 * children have asked come first. */
#include <errno.h>
#include <string.h>

#include "vhost/relay_display_impl.h"

#define HEADER_BYTES sizeof(struct wire_header)

int64_t display_reply_bytes(uint32_t request)
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
        display_fault(d, "it replied to what it was not asked");
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
    return h.request < DISPLAY_KINDS && h.flags == WIRE_REPLY &&
           display_reply_bytes(h.request) == (int64_t)h.size;
}

/* One read. False: nothing more now. */
static bool hear_some(struct relay_display *d)
{
    int fds[SOCK_FDS_ROOM];
    unsigned num = 0;
    size_t len;
    ssize_t n;

    if (!reply_is_good(d, &len)) {
        display_fault(d, "it sent something that is no reply");
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
    if (num > 0)
        display_lose(d, LOG_WARN, "it sent a file descriptor");
    else if (n <= 0)
        display_gone(d);
    if (d->lost)
        return false;
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

void display_hear(struct relay_display *d)
{
    for (int i = 0; i < DISPLAY_ROUNDS && !d->lost; i++) {
        if (d->reply_len > 0 && !d->child_full)
            pass_reply(d);
        if (d->reply_len > 0 || d->faulty || !hear_some(d))
            break;
    }
    if (!d->lost && d->reply_len > 0 && !d->child_full)
        pass_reply(d);
    display_update(d);
}

bool display_owes(const struct relay_display *d)
{
    uint64_t asked = 0;

    for (unsigned i = 0; i < DISPLAY_KINDS; i++)
        asked |= d->orphans[i] | d->asked[i];
    return asked || d->reply_bytes > 0;
}
