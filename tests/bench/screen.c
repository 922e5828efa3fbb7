/* See display.h. Written from the specification, apart from the device's own
 * reading of it. */
#include "screen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "front/front.h"
#include "meter.h"

/* vhost-user-gpu, "Message types": what a back-end without dma-bufs says. */
enum {
    SAYS_GET_PROTOCOL_FEATURES = 1,
    SAYS_SET_PROTOCOL_FEATURES = 2,
    SAYS_GET_DISPLAY_INFO = 3,
    SAYS_CURSOR_POS = 4,
    SAYS_CURSOR_POS_HIDE = 5,
    SAYS_CURSOR_UPDATE = 6,
    SAYS_SCANOUT = 7,
    SAYS_UPDATE = 8,
    SAYS_DMABUF_SCANOUT = 9,
    SAYS_DMABUF_SCANOUT2 = 12,
};

#define IS_REPLY 0x4u

struct head {
    uint32_t request, flags, size;
};

/* Of UPDATE, before its pixels. */
struct update_head {
    uint32_t scanout, x, y, width, height;
};

int screen_open(struct screen *d, uint32_t width, uint32_t height)
{
    int ms = front_timeout_ms(), pair[2];
    struct timeval limit = {ms / 1000, ms % 1000 * 1000};

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
        setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
        meter_die("no socket for the display: %s", strerror(errno));
    *d = (struct screen){pair[0], width, height, NULL, 0};
    d->room = sizeof(struct update_head) + (size_t)width * height * 4;
    d->room = MAX(d->room, 1u << 16); /* the longest of the others: a cursor */
    d->payload = front_calloc(1, d->room);
    return pair[1];
}

void screen_close(struct screen *d)
{
    close(d->fd);
    free(d->payload);
}

static void read_all(struct screen *d, void *to, size_t len)
{
    ssize_t n;

    while (len) {
        n = recv(d->fd, to, len, 0);
        if (n == 0)
            meter_die("the back-end has closed the display socket");
        if (n < 0 && errno == EAGAIN)
            meter_die("nothing comes on the display socket within %d ms",
                      front_timeout_ms());
        if (n < 0)
            meter_die("display socket: %s", strerror(errno));
        to = (uint8_t *)to + n;
        len -= (size_t)n;
    }
}

static void answer(struct screen *d, uint32_t request, const void *payload,
                   uint32_t size)
{
    struct {
        struct head h;
        uint8_t payload[512];
    } m = {.h = {request, IS_REPLY, size}};
    ssize_t len = (ssize_t)(sizeof(m.h) + size);

    memcpy(m.payload, payload, size);
    if (send(d->fd, &m, (size_t)len, MSG_NOSIGNAL) != len)
        meter_die("display socket: %s", strerror(errno));
}

static void answer_display_info(struct screen *d)
{
    struct virtio_gpu_resp_display_info info = {
        .hdr.type = htole32(VIRTIO_GPU_RESP_OK_DISPLAY_INFO)};
    struct virtio_gpu_display_one *one = &info.pmodes[0];

    one->r.width = htole32(d->width);
    one->r.height = htole32(d->height);
    one->enabled = htole32(1);
    answer(d, SAYS_GET_DISPLAY_INFO, &info, sizeof(info));
}

static void take_update(struct screen *d, uint32_t size, struct update *u)
{
    struct update_head head;

    if (size < sizeof(head))
        meter_die("an update of %u bytes", size);
    memcpy(&head, d->payload, sizeof(head));
    *u = (struct update){head.x, head.y, head.width, head.height,
                         (uint32_t *)(d->payload + sizeof(head))};
    if (head.scanout != 0 ||
        size - sizeof(head) != (uint64_t)u->width * u->height * 4)
        meter_die("an update of scanout %u, %u x %u pixels, has %u bytes",
                  head.scanout, u->width, u->height, size);
}

bool screen_read(struct screen *d, struct update *u)
{
    static const uint64_t no_features;
    struct head h;

    read_all(d, &h, sizeof(h));
    if (h.size > d->room)
        meter_die("message %u on the display socket has %u bytes", h.request,
                  h.size);
    read_all(d, d->payload, h.size);
    switch (h.request) {
    case SAYS_GET_PROTOCOL_FEATURES:
        answer(d, h.request, &no_features, sizeof(no_features));
        return false;
    case SAYS_GET_DISPLAY_INFO:
        answer_display_info(d);
        return false;
    case SAYS_SET_PROTOCOL_FEATURES:
    case SAYS_CURSOR_POS:
    case SAYS_CURSOR_POS_HIDE:
    case SAYS_CURSOR_UPDATE:
    case SAYS_SCANOUT:
        return false;
    case SAYS_UPDATE:
        take_update(d, h.size, u);
        return true;
    case SAYS_DMABUF_SCANOUT:
    case SAYS_DMABUF_SCANOUT2:
        meter_die("shows dma-bufs here, of which nobody sees the pixels");
    default:
        meter_die("message %u on the display socket", h.request);
    }
}
