/* What the front-end's display says.
 *
 * It only ever replies, to what it was asked: anything else is a mistake, and
 * the end of it. Replies do not say what they are about, so of each kind one is
 * asked for at a time. What is received is as large as the largest reply, and
 * fds do not belong to any.
 *
 * How scanouts ought to be, and what their monitors are (EDID), is told to the
 * device together, for a guest asks for both as soon as it hears of a change.
 * A display that says the one and not the other is not waited for: PATIENCE_MS
 * later the device is told what there is. */
#include <inttypes.h>
#include <string.h>

#include "device/gpu/impl.h"
#include "device/gpu/viewer_impl.h"
#include "os/sock.h"

#define PATIENCE_MS 1000
/* Before others on the loop have their turn. */
#define READS_PER_TURN 16

/* ---- what it has said ---- */

void viewer_be_patient(struct viewer *v)
{
    if (!timer_runs(&v->timer))
        timer_start(&v->timer, PATIENCE_MS);
}

void viewer_tell(struct viewer *v)
{
    if (!v->info_news)
        return;
    v->info_news = false;
    v->info_told = true;
    v->late = false;
    if (!v->leaving)
        timer_stop(&v->timer);
    if (v->info_due || v->info_asked) /* it has been asked again meanwhile */
        viewer_be_patient(v);
    gpu_on_displays(v->g, v->displays);
}

static void tell_when_whole(struct viewer *v)
{
    bool waits = !v->features_known || v->edid_due || v->edid_asked >= 0;

    if (!waits)
        viewer_tell(v);
    else if (v->info_news)
        viewer_be_patient(v);
}

static void ask_edids(struct viewer *v)
{
    if (!(v->features & WIRE_F_EDID))
        return;
    v->edid_due = 0;
    for (unsigned i = 0; i < ARRAY_LEN(v->displays); i++)
        v->edid_due |= (uint32_t)v->displays[i].enabled << i;
}

static uint64_t wanted(const struct viewer *v)
{
    return WIRE_F_EDID | (viewer_has_dmabufs(v) ? WIRE_F_DMABUF2 : 0);
}

/* It is another one than what the dma-bufs were shown to: SCANOUT is all that
 * it may be told of them. */
static void forget_dmabufs(struct viewer *v)
{
    for (unsigned i = 0; i < ARRAY_LEN(v->views); i++)
        if (v->views[i].mode.kind == VIEW_DMABUF)
            v->views[i].mode.kind = VIEW_SURFACE;
}

static const char *on_features(struct viewer *v, const void *payload)
{
    uint64_t offered;

    memcpy(&offered, payload, sizeof(offered));
    v->features_asked = false;
    v->features_known = true;
    v->features = offered & wanted(v);
    log_debug(v->g->device.id,
              "the front-end's display: features 0x%" PRIx64 ", of 0x%" PRIx64,
              v->features, offered);
    v->agree_due = true;
    if (!(v->features & WIRE_F_DMABUF2))
        forget_dmabufs(v);
    ask_edids(v);
    for (unsigned i = 0; i < ARRAY_LEN(v->views); i++)
        viewer_stir_scanout(v, i);
    return NULL;
}

static bool side_is_good(uint32_t side)
{
    return side > 0 && side <= GPU_SIDE_MAX;
}

static const char *on_display_info(struct viewer *v, const void *payload)
{
    struct virtio_gpu_resp_display_info info;

    memcpy(&info, payload, sizeof(info));
    for (unsigned i = 0; i < ARRAY_LEN(v->displays); i++) {
        const struct virtio_gpu_display_one *from = &info.pmodes[i];
        struct display_one *to = &v->displays[i];

        to->r = (struct rect){le32_load(&from->r.x), le32_load(&from->r.y),
                              le32_load(&from->r.width),
                              le32_load(&from->r.height)};
        to->enabled = le32_load(&from->enabled) && side_is_good(to->r.width) &&
                      side_is_good(to->r.height);
    }
    v->info_asked = false;
    v->info_news = true;
    ask_edids(v);
    return NULL;
}

static const char *on_edid(struct viewer *v, const void *payload)
{
    struct view *w = &v->views[v->edid_asked];
    struct virtio_gpu_resp_edid edid;
    uint32_t bytes;

    memcpy(&edid, payload, sizeof(edid));
    bytes = le32_load(&edid.size);
    if (bytes > sizeof(edid.edid))
        return "an EDID of it is larger than there is room for";
    memcpy(w->edid, edid.edid, bytes);
    w->edid_bytes = bytes;
    v->edid_asked = -1;
    return NULL;
}

static const char *on_dmabuf_update(struct viewer *v, const void *payload)
{
    (void)payload;
    v->update_asked = false;
    for (unsigned i = 0; i < ARRAY_LEN(v->views); i++)
        viewer_stir_scanout(v, i);
    return NULL;
}

/* ---- replies ---- */

/* What is wrong with the reply that h begins; NULL: nothing. *on: what takes
 * it: NULL, or what is wrong. */
static const char *judge(const struct viewer *v, const struct wire_header *h,
                         const char *(**on)(struct viewer *, const void *))
{
    uint32_t size;
    bool asked;

    switch (h->request) {
    case WIRE_GET_PROTOCOL_FEATURES:
        asked = v->features_asked;
        size = sizeof(uint64_t);
        *on = on_features;
        break;
    case WIRE_GET_DISPLAY_INFO:
        asked = v->info_asked;
        size = sizeof(struct virtio_gpu_resp_display_info);
        *on = on_display_info;
        break;
    case WIRE_GET_EDID:
        asked = v->edid_asked >= 0;
        size = sizeof(struct virtio_gpu_resp_edid);
        *on = on_edid;
        break;
    case WIRE_DMABUF_UPDATE:
        asked = v->update_asked;
        size = 0;
        *on = on_dmabuf_update;
        break;
    default:
        return "it sent something that is no reply";
    }
    if (!(h->flags & WIRE_REPLY))
        return "it sent something that is no reply";
    if (!asked)
        return "it replied to what it was not asked";
    return h->size == size ? NULL : "a reply of it has the wrong size";
}

/* Takes all whole replies. What is wrong, or NULL. */
static const char *take_replies(struct viewer *v)
{
    const char *(*on)(struct viewer *, const void *);
    struct wire_header h;
    const char *why;
    size_t at = 0;

    while (v->in_bytes - at >= sizeof(h)) {
        memcpy(&h, v->in + at, sizeof(h));
        why = judge(v, &h, &on);
        if (why)
            return why;
        if (v->in_bytes - at - sizeof(h) < h.size)
            break;
        why = on(v, v->in + at + sizeof(h));
        if (why)
            return why;
        at += sizeof(h) + h.size;
    }
    v->in_bytes -= at;
    memmove(v->in, v->in + at, v->in_bytes);
    if (at == 0)
        return NULL;
    tell_when_whole(v);
    if (!v->closing)
        viewer_stir(v); /* there may be more to ask, or nothing to wait for */
    return NULL;
}

void viewer_receive(struct viewer *v)
{
    int fds[SOCK_FDS_ROOM];
    unsigned num_fds = 0;
    const char *why;
    ssize_t n;

    for (unsigned i = 0; i < READS_PER_TURN && !v->closing; i++) {
        n = sock_recv(v->fd, v->in + v->in_bytes, sizeof(v->in) - v->in_bytes,
                      fds, &num_fds);
        if (n == -EAGAIN)
            return;
        for (unsigned k = 0; k < num_fds; k++)
            device_give_back(&v->g->device, fds[k]);
        if (num_fds > 0) {
            viewer_lost(v, LOG_WARN, "it sent a file descriptor");
            return;
        }
        if (n <= 0) {
            viewer_lost(v, n == 0 || n == -ECONNRESET ? LOG_INFO : LOG_WARN,
                        n == 0 || n == -ECONNRESET
                            ? "it has gone"
                            : "its socket cannot be read");
            return;
        }
        v->in_bytes += (size_t)n;
        why = take_replies(v);
        if (why) {
            viewer_lost(v, LOG_WARN, why);
            return;
        }
    }
}
