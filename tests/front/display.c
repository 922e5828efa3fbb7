/* A display of vhost-user-gpu: messages in, pictures kept, answers out. */
#include "front/display.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "front/wire.h"

#define HEAD sizeof(struct wire_header)
#define ROOM 65536
#define MESSAGE_MAX (65u << 20)

static struct display *all;

/* ---- Life ---- */

struct display *display_new(void)
{
    struct display *d = front_calloc(1, sizeof(*d));

    d->sock = d->in_fd = -1;
    for (unsigned i = 0; i < DISPLAY_SCANOUTS; i++)
        d->view[i].dmabuf = -1;
    d->offers = DISPLAY_F_EDID;
    d->info.hdr.type = htole32(VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
    display_size(d, 0, 1280, 800);
    for (unsigned i = 0; i < DISPLAY_SCANOUTS; i++)
        display_edid(d, i, 128, (uint8_t)(0xe0 + i));
    d->next = all;
    all = d;
    return d;
}

void display_size(struct display *d, unsigned scanout, uint32_t width,
                  uint32_t height)
{
    struct virtio_gpu_display_one *one = &d->info.pmodes[scanout];

    one->r.width = htole32(width);
    one->r.height = htole32(height);
    one->enabled = htole32(width > 0);
}

void display_edid(struct display *d, unsigned scanout, uint32_t bytes,
                  uint8_t fill)
{
    struct virtio_gpu_resp_edid *e = &d->edid[scanout];

    memset(e, 0, sizeof(*e));
    e->hdr.type = htole32(VIRTIO_GPU_RESP_OK_EDID);
    e->size = htole32(bytes);
    memset(e->edid, fill, MIN(bytes, sizeof(e->edid)));
}

static void drop_dmabuf(struct display_view *w)
{
    if (w->dmabuf_at)
        munmap(w->dmabuf_at, w->dmabuf_len);
    if (w->dmabuf >= 0)
        close(w->dmabuf);
    w->dmabuf_at = NULL;
    w->dmabuf = -1;
}

void display_unplug(struct display *d)
{
    if (d->sock >= 0)
        close(d->sock);
    if (d->in_fd >= 0)
        close(d->in_fd);
    d->sock = d->in_fd = -1;
    d->in_bytes = 0;
}

static void forget(struct display *d)
{
    display_unplug(d);
    for (unsigned i = 0; i < DISPLAY_SCANOUTS; i++) {
        drop_dmabuf(&d->view[i]);
        free(d->view[i].pixels);
        d->view[i] = (struct display_view){.dmabuf = -1};
    }
    memset(d->count, 0, sizeof(d->count));
    d->agreed = false;
    d->features = 0;
    d->bytes = 0;
}

void display_free(struct display *d)
{
    struct display **at;

    if (!d)
        return;
    for (at = &all; *at != d; at = &(*at)->next)
        ;
    *at = d->next;
    forget(d);
    free(d->in);
    free(d);
}

void display_free_all(void)
{
    while (all)
        display_free(all);
}

void display_plug(struct display *d, struct front *f)
{
    int pair[2];

    forget(d);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        front_fail("socketpair: %s", strerror(errno));
    d->sock = pair[0];
    front_ok(f, WIRE_GPU_SET_SOCKET, NULL, 0, &pair[1], 1);
    close(pair[1]);
}

/* ---- Saying ---- */

/* Whoever reads next sees it if the back-end has hung up. */
static void say_bytes(struct display *d, const void *bytes, size_t len,
                      const int *fds, unsigned num_fds)
{
    front_send_on(d->sock, d->dribble, bytes, len, fds, num_fds);
}

void display_say_bytes(struct display *d, const void *bytes, size_t len)
{
    say_bytes(d, bytes, len, NULL, 0);
}

void display_say(struct display *d, uint32_t request, uint32_t flags,
                 const void *payload, uint32_t size, const int *fds,
                 unsigned num_fds)
{
    struct {
        struct wire_header h;
        uint8_t payload[2048];
    } m = {.h = {request, flags, size}};

    if (size > sizeof(m.payload))
        front_fail("a reply of %u bytes", size);
    if (size > 0)
        memcpy(m.payload, payload, size);
    say_bytes(d, &m, HEAD + size, fds, num_fds);
}

static void reply(struct display *d, uint32_t request, const void *payload,
                  uint32_t size)
{
    if (!(d->silent >> request & 1))
        display_say(d, request, DISPLAY_REPLY, payload, size, NULL, 0);
}

void display_shown(struct display *d, unsigned scanout)
{
    d->view[scanout].unanswered = false;
    display_say(d, DISPLAY_DMABUF_UPDATE, DISPLAY_REPLY, NULL, 0, NULL, 0);
}

/* ---- Messages ---- */

static struct display_view *view_of(struct display *d, uint32_t scanout)
{
    if (scanout >= DISPLAY_SCANOUTS)
        front_fail("the display is told of scanout %u", scanout);
    return &d->view[scanout];
}

static void set_size(struct display_view *w, uint32_t width, uint32_t height)
{
    if ((width == 0) != (height == 0))
        front_fail("a scanout of %u times %u pixels", width, height);
    free(w->pixels);
    w->pixels =
        width ? front_calloc((size_t)width * height, sizeof(*w->pixels)) : NULL;
    w->width = width;
    w->height = height;
    w->fresh = width > 0;
    w->scanouts++;
}

static void on_cursor(struct display *d, uint32_t request, const uint32_t *p)
{
    struct display_cursor *c = &view_of(d, p[0])->cursor;

    c->x = p[1];
    c->y = p[2];
    c->visible = request != DISPLAY_CURSOR_POS_HIDE;
    if (request != DISPLAY_CURSOR_UPDATE)
        return;
    c->hot_x = p[3];
    c->hot_y = p[4];
    memcpy(c->image, p + 5, sizeof(c->image));
}

/* {scanout, x, y, width, height}: in the scanout, and all of it if its mode is
 * new. */
static struct display_view *on_rect(struct display *d, const uint32_t *p,
                                    struct display_rect *r)
{
    struct display_view *w = view_of(d, p[0]);

    *r = (struct display_rect){p[1], p[2], p[3], p[4]};
    if (!w->width)
        front_fail("an update of scanout %u, which is off", p[0]);
    if (r->width == 0 || r->height == 0 || r->width > w->width ||
        r->height > w->height || r->x > w->width - r->width ||
        r->y > w->height - r->height)
        front_fail("an update of %u, %u, %u times %u of a scanout of %u times "
                   "%u",
                   r->x, r->y, r->width, r->height, w->width, w->height);
    /* Very large ones come in parts, the topmost first. */
    if (w->fresh && (r->x || r->y || r->width != w->width ||
                     (r->height != w->height &&
                      (uint64_t)w->width * w->height * 4 <= 64u << 20)))
        front_fail("the first update of a mode is not of all of it");
    w->fresh = false;
    w->last = *r;
    w->updates++;
    return w;
}

static void on_update(struct display *d, const uint32_t *p, uint32_t size)
{
    struct display_rect r;
    struct display_view *w = on_rect(d, p, &r);

    if (w->dmabuf >= 0)
        front_fail("pixels for scanout %u, which shows a dma-buf", p[0]);
    if (size != 20 + (uint64_t)r.width * r.height * 4 || size > 20 + (64 << 20))
        front_fail("an update of %u times %u in %u bytes", r.width, r.height,
                   size);
    for (uint32_t y = 0; y < r.height; y++)
        memcpy(w->pixels + (size_t)(r.y + y) * w->width + r.x,
               p + 5 + (size_t)y * r.width, r.width * 4);
}

static void on_dmabuf_update(struct display *d, const uint32_t *p)
{
    struct display_rect r;
    struct display_view *w = on_rect(d, p, &r);

    if (w->dmabuf < 0)
        front_fail("an update of a dma-buf that scanout %u does not show",
                   p[0]);
    if (w->unanswered)
        front_fail("an update of a dma-buf before the reply to the last one");
    for (uint32_t y = 0; y < r.height; y++)
        memcpy(w->pixels + (size_t)(r.y + y) * w->width + r.x,
               w->dmabuf_at +
                   (size_t)(w->dmabuf_y + r.y + y) * w->dmabuf_stride +
                   (size_t)(w->dmabuf_x + r.x) * 4,
               r.width * 4);
    if (d->silent >> DISPLAY_DMABUF_UPDATE & 1)
        w->unanswered = true;
    else
        reply(d, DISPLAY_DMABUF_UPDATE, NULL, 0);
}

static void on_dmabuf_scanout(struct display *d, const uint32_t *p)
{
    struct display_view *w = view_of(d, p[0]);
    uint64_t modifier;

    if (!(d->features & DISPLAY_F_DMABUF2))
        front_fail("a dma-buf that was not agreed to");
    memcpy(&modifier, p + 10, sizeof(modifier));
    if (modifier != 0 || p[8] != 0)
        front_fail("a dma-buf with a modifier or flags");
    drop_dmabuf(w);
    set_size(w, p[3], p[4]);
    if ((d->in_fd >= 0) != (p[3] > 0))
        front_fail("a dma-buf and no size, or a size and no dma-buf");
    if (d->in_fd < 0)
        return;
    if (p[1] > p[5] || p[3] > p[5] - p[1] || p[2] > p[6] || p[4] > p[6] - p[2])
        front_fail("a scanout that is not in its dma-buf");
    w->dmabuf = d->in_fd;
    d->in_fd = -1;
    w->dmabuf_x = p[1];
    w->dmabuf_y = p[2];
    w->dmabuf_stride = p[7];
    w->fourcc = (int32_t)p[9];
    w->dmabuf_len = (size_t)p[7] * p[6];
    w->dmabuf_at =
        mmap(NULL, w->dmabuf_len, PROT_READ, MAP_SHARED, w->dmabuf, 0);
    if (w->dmabuf_at == MAP_FAILED) {
        w->dmabuf_at = NULL;
        front_fail("mmap of a dma-buf: %s", strerror(errno));
    }
}

/* Payload bytes of a request; 0 for UPDATE, where they vary. */
static uint32_t size_of(uint32_t request)
{
    static const uint32_t sizes[DISPLAY_REQUESTS] = {
        [DISPLAY_SET_PROTOCOL_FEATURES] = 8,
        [DISPLAY_CURSOR_POS] = 12,
        [DISPLAY_CURSOR_POS_HIDE] = 12,
        [DISPLAY_CURSOR_UPDATE] = 20 + DISPLAY_CURSOR * DISPLAY_CURSOR * 4,
        [DISPLAY_SCANOUT] = 12,
        [DISPLAY_DMABUF_UPDATE] = 20,
        [DISPLAY_GET_EDID] = 4,
        [DISPLAY_DMABUF_SCANOUT2] = 48,
    };

    return sizes[request];
}

static void handle(struct display *d, uint32_t request, const void *payload,
                   uint32_t size)
{
    const uint32_t *p = payload;

    switch (request) {
    case DISPLAY_GET_PROTOCOL_FEATURES:
        d->agreed = false; /* whoever goes on with us asks again */
        reply(d, request, &d->offers, sizeof(d->offers));
        break;
    case DISPLAY_SET_PROTOCOL_FEATURES:
        memcpy(&d->features, payload, sizeof(d->features));
        if (d->agreed || d->features & ~d->offers)
            front_fail("protocol features %#llx, of %#llx",
                       (unsigned long long)d->features,
                       (unsigned long long)d->offers);
        d->agreed = true;
        break;
    case DISPLAY_GET_DISPLAY_INFO:
        reply(d, request, &d->info, sizeof(d->info));
        break;
    case DISPLAY_CURSOR_POS:
    case DISPLAY_CURSOR_POS_HIDE:
    case DISPLAY_CURSOR_UPDATE:
        on_cursor(d, request, p);
        break;
    case DISPLAY_SCANOUT:
        if (view_of(d, p[0])->dmabuf >= 0)
            front_fail("SCANOUT before the dma-buf was taken back");
        set_size(view_of(d, p[0]), p[1], p[2]);
        break;
    case DISPLAY_UPDATE:
        on_update(d, p, size);
        break;
    case DISPLAY_DMABUF_UPDATE:
        on_dmabuf_update(d, p);
        break;
    case DISPLAY_GET_EDID:
        view_of(d, p[0]);
        if (!(d->features & DISPLAY_F_EDID))
            front_fail("it is asked for an EDID, which was not agreed to");
        d->last_edid = p[0];
        reply(d, request, &d->edid[p[0]], sizeof(d->edid[0]));
        break;
    case DISPLAY_DMABUF_SCANOUT2:
        on_dmabuf_scanout(d, p);
        break;
    default:
        front_fail("request %u", request);
    }
}

/* Up to `want` bytes in the buffer. 1: they are; 0: not in time; -1: hung
 * up. */
static int fill(struct display *d, size_t want, int timeout_ms)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * FRONT_MSG_FDS)];
    } control;

    if (want > d->in_room) {
        d->in_room = want + ROOM;
        d->in = realloc(d->in, d->in_room);
        if (!d->in)
            front_fail("no memory for a message");
    }
    while (d->in_bytes < want) {
        struct iovec iov = {d->in + d->in_bytes, want - d->in_bytes};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control.room,
                           .msg_controllen = sizeof(control.room)};
        struct cmsghdr *c;
        ssize_t n;

        n = recvmsg(d->sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            if (!timeout_ms || !front_wait_fd(d->sock, POLLIN, timeout_ms))
                return 0;
            continue;
        }
        if (n <= 0)
            return -1;
        d->in_bytes += (size_t)n;
        d->bytes += (uint64_t)n;
        c = CMSG_FIRSTHDR(&m);
        if (!c)
            continue;
        if (d->in_fd >= 0 || c->cmsg_len != CMSG_LEN(sizeof(int)))
            front_fail("more fds than one");
        memcpy(&d->in_fd, CMSG_DATA(c), sizeof(int));
    }
    return 1;
}

bool display_step(struct display *d, int timeout_ms)
{
    struct wire_header h;
    int rc;

    if (d->sock < 0)
        return false;
    rc = fill(d, HEAD, timeout_ms);
    if (rc > 0) {
        memcpy(&h, d->in, HEAD);
        if (h.request == 0 || h.request >= DISPLAY_REQUESTS || h.flags ||
            h.size > MESSAGE_MAX ||
            (h.request != DISPLAY_UPDATE && h.size != size_of(h.request)) ||
            (h.request == DISPLAY_UPDATE && h.size < 20))
            front_fail("request %u, flags %#x, %u bytes", h.request, h.flags,
                       h.size);
        rc = fill(d, HEAD + h.size, timeout_ms);
    }
    if (rc < 0) {
        display_unplug(d);
        return false;
    }
    if (rc == 0)
        return false;
    d->count[h.request]++;
    handle(d, h.request, d->in + HEAD, h.size);
    d->in_bytes -= HEAD + h.size; /* display_read may have more */
    memmove(d->in, d->in + HEAD + h.size, d->in_bytes);
    if (d->in_fd >= 0)
        front_fail("request %u comes with an fd", h.request);
    return true;
}

size_t display_read(struct display *d, size_t bytes)
{
    size_t before = d->in_bytes;

    fill(d, before + bytes, 0);
    return d->in_bytes - before;
}

void display_look(struct display *d)
{
    while (display_step(d, 0))
        ;
}

static void step(struct display *d, const char *what)
{
    if (!display_step(d, front_timeout_ms()))
        front_fail("%s did not come: %s", what,
                   d->sock < 0 ? "the back-end has hung up on the display"
                               : "nothing comes");
}

void display_need(struct display *d, enum display_request request)
{
    unsigned before = d->count[request];

    while (d->count[request] == before)
        step(d, "a message");
}

/* Sides beyond that mean nothing. */
static bool is_enabled(const struct virtio_gpu_display_one *one)
{
    uint32_t width = le32toh(one->r.width), height = le32toh(one->r.height);

    return one->enabled && width - 1 < 16384 && height - 1 < 16384;
}

/* What there is to ask after that is asked at once, one EDID after another. */
void display_greet(struct display *d)
{
    unsigned edids = 0;

    while (!d->agreed || !d->count[DISPLAY_GET_DISPLAY_INFO])
        step(d, "the back-end's first questions");
    for (unsigned i = 0; i < DISPLAY_SCANOUTS; i++)
        edids += is_enabled(&d->info.pmodes[i]);
    while (d->features & DISPLAY_F_EDID && d->count[DISPLAY_GET_EDID] < edids)
        step(d, "a question for an EDID");
}

void display_need_hangup(struct display *d)
{
    while (d->sock >= 0)
        if (!display_step(d, front_timeout_ms()) && d->sock >= 0)
            front_fail("the back-end does not hang up on the display");
}

/* ---- Pictures ---- */

bool display_shows(const struct display *d, unsigned scanout,
                   const uint32_t *pixels, uint32_t width, uint32_t height)
{
    const struct display_view *w = &d->view[scanout];

    if (w->width != width || w->height != height || w->fresh)
        return false;
    for (size_t i = 0; i < (size_t)width * height; i++)
        if ((w->pixels[i] ^ pixels[i]) & 0xffffff)
            return false;
    return true;
}

/* Where the two differ first, for who reads why a test has failed. */
static void explain(const struct display *d, unsigned scanout,
                    const uint32_t *pixels, uint32_t width, uint32_t height)
{
    const struct display_view *w = &d->view[scanout];

    if (w->width != width || w->height != height || w->fresh) {
        front_note("scanout %u has %u times %u pixels%s, not %u times %u",
                   scanout, w->width, w->height,
                   w->fresh ? ", not updated" : "", width, height);
        return;
    }
    for (size_t i = 0; i < (size_t)width * height; i++)
        if ((w->pixels[i] ^ pixels[i]) & 0xffffff) {
            front_note("scanout %u, pixel %zu, %zu: %06x, not %06x", scanout,
                       i % width, i / width, w->pixels[i] & 0xffffff,
                       pixels[i] & 0xffffff);
            return;
        }
}

void display_need_picture(struct display *d, unsigned scanout,
                          const uint32_t *pixels, uint32_t width,
                          uint32_t height)
{
    while (!display_shows(d, scanout, pixels, width, height))
        if (!display_step(d, front_timeout_ms())) {
            explain(d, scanout, pixels, width, height);
            front_fail("scanout %u does not show what it should%s", scanout,
                       d->sock < 0 ? ": the back-end has hung up" : "");
        }
}

void display_need_off(struct display *d, unsigned scanout)
{
    while (d->view[scanout].width)
        step(d, "SCANOUT");
}
