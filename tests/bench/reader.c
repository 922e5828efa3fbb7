/* See reader.h. */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "front/display.h"
#include "meter.h"

struct head {
    uint32_t request, flags, size;
};

/* Of UPDATE, before its pixels. */
struct update_head {
    uint32_t scanout, x, y, width, height;
};

int reader_open(struct reader *r, uint32_t width, uint32_t height)
{
    int ms = front_timeout_ms(), pair[2];
    struct timeval limit = {ms / 1000, ms % 1000 * 1000};

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
        setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
        meter_die("no socket for the display: %s", strerror(errno));
    *r = (struct reader){pair[0], width, height, NULL, 0};
    r->room = sizeof(struct update_head) + (size_t)width * height * 4;
    r->room = MAX(r->room, 1u << 16); /* the longest of the others: a cursor */
    r->payload = front_calloc(1, r->room);
    return pair[1];
}

void reader_close(struct reader *r)
{
    close(r->fd);
    free(r->payload);
}

static void read_all(struct reader *r, void *to, size_t len)
{
    ssize_t n;

    while (len) {
        n = recv(r->fd, to, len, 0);
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

static void answer(struct reader *r, uint32_t request, const void *payload,
                   uint32_t size)
{
    struct {
        struct head h;
        uint8_t payload[512];
    } m = {.h = {request, DISPLAY_REPLY, size}};
    ssize_t len = (ssize_t)(sizeof(m.h) + size);

    memcpy(m.payload, payload, size);
    if (send(r->fd, &m, (size_t)len, MSG_NOSIGNAL) != len)
        meter_die("display socket: %s", strerror(errno));
}

static void answer_display_info(struct reader *r)
{
    struct virtio_gpu_resp_display_info info = {
        .hdr.type = htole32(VIRTIO_GPU_RESP_OK_DISPLAY_INFO)};
    struct virtio_gpu_display_one *one = &info.pmodes[0];

    one->r.width = htole32(r->width);
    one->r.height = htole32(r->height);
    one->enabled = htole32(1);
    answer(r, DISPLAY_GET_DISPLAY_INFO, &info, sizeof(info));
}

static void take_update(struct reader *r, uint32_t size, struct update *u)
{
    struct update_head head;

    if (size < sizeof(head))
        meter_die("an update of %u bytes", size);
    memcpy(&head, r->payload, sizeof(head));
    *u = (struct update){head.x, head.y, head.width, head.height,
                         (uint32_t *)(r->payload + sizeof(head))};
    if (head.scanout != 0 ||
        size - sizeof(head) != (uint64_t)u->width * u->height * 4)
        meter_die("an update of scanout %u, %u x %u pixels, has %u bytes",
                  head.scanout, u->width, u->height, size);
}

bool reader_read(struct reader *r, struct update *u)
{
    static const uint64_t no_features;
    struct head h;

    read_all(r, &h, sizeof(h));
    if (h.size > r->room)
        meter_die("message %u on the display socket has %u bytes", h.request,
                  h.size);
    read_all(r, r->payload, h.size);
    switch (h.request) {
    case DISPLAY_GET_PROTOCOL_FEATURES:
        answer(r, h.request, &no_features, sizeof(no_features));
        return false;
    case DISPLAY_GET_DISPLAY_INFO:
        answer_display_info(r);
        return false;
    case DISPLAY_SET_PROTOCOL_FEATURES:
    case DISPLAY_CURSOR_POS:
    case DISPLAY_CURSOR_POS_HIDE:
    case DISPLAY_CURSOR_UPDATE:
    case DISPLAY_SCANOUT:
        return false;
    case DISPLAY_UPDATE:
        take_update(r, h.size, u);
        return true;
    case DISPLAY_DMABUF_SCANOUT:
    case DISPLAY_DMABUF_SCANOUT2:
        meter_die("shows dma-bufs here, of which nobody sees the pixels");
    default:
        meter_die("message %u on the display socket", h.request);
    }
}
