/* What goes to the front-end's display.
 *
 * Whenever the socket has room and nothing is under way, what there is to say
 * is composed: questions first, then of one scanout after the other its mode,
 * its cursor and one rectangle of what has changed. That is one `struct
 * outgoing`, a head of whole messages and the pixels behind them, and is sent
 * to the end before anything else is composed, for whoever reads a message
 * reads all of it. So what a display is told is as new as can be, however
 * slowly it reads.
 *
 * A new mode goes with an update of all of it, and never alone: a display may
 * show what it has of the old one until that comes.
 *
 * Pixels are sent from where they lie, whatever lies there at that moment: each
 * call looks at the frame anew. A blob's memory may be let go between two (its
 * backing detached, the guest's memory remapped, its session over); the rest of
 * the message is zeros then, and the rectangle is damaged again. Nothing of the
 * guest's is held because of a display that does not read. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/gpu/impl.h"
#include "device/gpu/viewer_impl.h"
#include "os/sock.h"

/* Sent before others on the loop have their turn. */
#define TURN_BYTES (16u << 20)
/* Of pixels in one message. */
#define UPDATE_BYTES_MAX (64u << 20)
/* Converted at a time; a row is 64 KiB at most. */
#define BAND_BYTES (256u << 10)
/* To one call of the kernel's: pieces, and bytes, of which a socket takes about
 * as many at once. */
#define IOV_MAX_PIECES 256
#define CALL_BYTES (256u << 10)
#define PIECE_BYTES 4096u /* of a blob, mostly */
/* A call counts as no fewer bytes: its pieces may be of one. */
#define CALL_COST (64u << 10)
#define UNSEEN_MS 20

_Static_assert(GPU_SIDE_MAX *PIXEL_BYTES <= BAND_BYTES, "a row fits");

void viewer_stir(struct viewer *v)
{
    if (!v->full && !v->closing)
        loop_defer(v->g->device.home, &v->send_later);
}

void viewer_stir_scanout(struct viewer *v, unsigned i)
{
    v->due |= 1u << i;
    viewer_stir(v);
}

/* ---- composing ---- */

static void *put(struct outgoing *o, uint32_t request, uint32_t size,
                 uint32_t in_head)
{
    const struct wire_header h = {request, 0, size};
    uint8_t *at = o->head + o->head_len;

    assert(o->head_len + sizeof(h) + in_head <= sizeof(o->head));
    memcpy(at, &h, sizeof(h));
    o->head_len += (uint32_t)sizeof(h) + in_head;
    return at + sizeof(h);
}

void outgoing_put(struct outgoing *o, uint32_t request, const void *payload,
                  uint32_t size)
{
    void *at = put(o, request, size, size);

    if (size > 0)
        memcpy(at, payload, size);
}

static void compose_questions(struct viewer *v)
{
    struct outgoing *o = &v->out;

    if (v->features_due) {
        outgoing_put(o, WIRE_GET_PROTOCOL_FEATURES, NULL, 0);
        v->features_due = false;
        v->features_asked = true;
    }
    if (v->agree_due) {
        outgoing_put(o, WIRE_SET_PROTOCOL_FEATURES, &v->features,
                     sizeof(v->features));
        v->agree_due = false;
    }
    if (v->info_due && !v->info_asked) {
        outgoing_put(o, WIRE_GET_DISPLAY_INFO, NULL, 0);
        v->info_due = false;
        v->info_asked = true;
    }
    if (v->edid_due && v->edid_asked < 0) {
        uint32_t i = (uint32_t)__builtin_ctz(v->edid_due);

        outgoing_put(o, WIRE_GET_EDID, &i, sizeof(i));
        v->edid_due &= ~(1u << i);
        v->edid_asked = (int)i;
    }
}

static void put_scanout(struct outgoing *o, unsigned i, uint32_t width,
                        uint32_t height)
{
    const struct wire_scanout m = {i, width, height};

    outgoing_put(o, WIRE_SCANOUT, &m, sizeof(m));
}

void view_set_mode(struct view *w, const struct view_mode *mode)
{
    resource_unref(w->mode.res);
    w->mode = *mode;
}

void view_damage_all(struct view *w, const struct frame *f)
{
    region_clear(w->damage);
    region_add(w->damage, &(struct rect){0, 0, f->width, f->height});
}

static void compose_off(struct viewer *v, unsigned i)
{
    struct view *w = &v->views[i];

    if (w->mode.kind == VIEW_OFF)
        return;
    compose_dmabuf_off(v, i);
    put_scanout(&v->out, i, 0, 0);
    view_set_mode(w, &(struct view_mode){.kind = VIEW_OFF});
}

void compose_cursor(struct viewer *v, unsigned i)
{
    const struct cursor *c = &v->g->scanouts[i].cursor;
    const struct wire_cursor_update m = {{i, c->x, c->y}, c->hot_x, c->hot_y};
    struct outgoing *o = &v->out;
    struct view *w = &v->views[i];

    if (!w->cursor)
        return;
    w->cursor = false;
    if (!c->visible || !c->drawn) {
        outgoing_put(o, WIRE_CURSOR_POS_HIDE, &m.pos, sizeof(m.pos));
    } else if (!w->cursor_image) {
        outgoing_put(o, WIRE_CURSOR_POS, &m.pos, sizeof(m.pos));
    } else {
        uint8_t *at = put(o, WIRE_CURSOR_UPDATE, sizeof(m) + WIRE_CURSOR_BYTES,
                          sizeof(m) + WIRE_CURSOR_BYTES);

        memcpy(at, &m, sizeof(m));
        memcpy(at + sizeof(m), c->image, WIRE_CURSOR_BYTES);
        w->cursor_image = false;
    }
}

/* One rectangle of the damage, and the rest of it stays. */
static void compose_update(struct viewer *v, unsigned i)
{
    const struct frame *f = &v->g->scanouts[i].frame;
    struct outgoing *o = &v->out;
    struct wire_update m;
    uint32_t row_bytes, rows_max;
    uint64_t bytes;
    struct rect r;

    if (!region_take(v->views[i].damage, &r))
        return;
    assert(rect_fits(&r, f->width, f->height));
    row_bytes = r.width * PIXEL_BYTES;
    rows_max = UPDATE_BYTES_MAX / row_bytes;
    if (r.height > rows_max) {
        region_add(
            v->views[i].damage,
            &(struct rect){r.x, r.y + rows_max, r.width, r.height - rows_max});
        r.height = rows_max;
    }
    bytes = (uint64_t)row_bytes * r.height;
    m = (struct wire_update){i, r.x, r.y, r.width, r.height};
    memcpy(put(o, WIRE_UPDATE, (uint32_t)(sizeof(m) + bytes), sizeof(m)), &m,
           sizeof(m));
    o->frame = frame_ref(f);
    o->r = r;
    o->scanout = i;
    o->len = bytes; /* and the head, see compose() */
    o->converts = !pixels_are_argb(f->format);
    v->g->stats.updates++;
    v->g->stats.update_bytes += bytes;
}

static void compose_surface(struct viewer *v, unsigned i)
{
    const struct frame *f = &v->g->scanouts[i].frame;
    struct view *w = &v->views[i];
    const struct view_mode mode = {VIEW_SURFACE, f->width, f->height,
                                   NULL,         0,        0};

    if (w->mode.kind != mode.kind || w->mode.width != mode.width ||
        w->mode.height != mode.height) {
        compose_dmabuf_off(v, i);
        put_scanout(&v->out, i, f->width, f->height);
        view_set_mode(w, &mode);
        view_damage_all(w, f);
    }
    compose_cursor(v, i);
    compose_update(v, i);
}

static void compose_scanout(struct viewer *v, unsigned i)
{
    const struct frame *f = &v->g->scanouts[i].frame;
    int dmabuf;

    if (!f->res) {
        compose_off(v, i);
        compose_cursor(v, i);
    } else if (!frame_is_there(f)) {
        compose_cursor(v, i); /* its damage waits until it is */
    } else {
        dmabuf = viewer_dmabuf(v, f);
        if (dmabuf >= 0)
            compose_dmabuf(v, i, dmabuf);
        else
            compose_surface(v, i);
    }
}

/* The next scanout that is due, from `next` on. */
static unsigned next_due(struct viewer *v)
{
    uint32_t behind = v->due >> v->next << v->next;
    unsigned i = (unsigned)__builtin_ctz(behind ? behind : v->due);

    v->next = (i + 1) % VIRTIO_GPU_MAX_SCANOUTS;
    return i;
}

/* What another process has shown it as a dma-buf may be off by now: how that
 * is said depends on the features, which it has not told then. */
static bool may_show(const struct viewer *v)
{
    if (!v->shows || v->features_known)
        return v->shows;
    for (unsigned i = 0; i < ARRAY_LEN(v->views); i++)
        if (v->views[i].mode.kind == VIEW_DMABUF)
            return false;
    return true;
}

/* False: there is nothing to say. */
static bool compose(struct viewer *v)
{
    struct outgoing *o = &v->out;

    if (v->leaving)
        return false;
    compose_questions(v);
    while (o->head_len == 0 && v->due && may_show(v)) {
        unsigned i = next_due(v);

        compose_scanout(v, i);
        if (o->head_len == 0)
            v->due &= ~(1u << i);
    }
    o->len += o->head_len;
    viewer_note_shown(v, false);
    return o->len > 0;
}

/* ---- sending ---- */

void outgoing_drop(struct outgoing *o)
{
    frame_unref(&o->frame);
    o->len = o->sent = 0;
    o->head_len = 0;
    o->fd = -1;
    o->converts = o->torn = o->unmapped = false;
    o->band_at = o->band_len = 0;
}

static void finish(struct viewer *v)
{
    struct outgoing *o = &v->out;
    const struct frame *f = &v->g->scanouts[o->scanout].frame;

    /* What it shows now is another one's damage. */
    if (o->torn && f->res == o->frame.res &&
        rect_fits(&o->r, f->width, f->height)) {
        region_add(v->views[o->scanout].damage, &o->r);
        v->due |= 1u << o->scanout;
    }
    outgoing_drop(o);
    viewer_note_shown(v, true);
}

static int zeros_iov(uint64_t len, struct iovec *iov, int max)
{
    static uint8_t zeros[64 << 10];
    int n = 0;

    for (; len > 0 && n < max; n++) {
        iov[n] = (struct iovec){zeros, MIN(len, sizeof(zeros))};
        len -= iov[n].iov_len;
    }
    return n;
}

/* Pixels from `skip` on, converted. The band is used up before the next one. */
static int band_iov(struct viewer *v, uint64_t skip, struct iovec *iov)
{
    struct outgoing *o = &v->out;
    uint32_t row_bytes = o->r.width * PIXEL_BYTES;

    if (skip >= o->band_at + o->band_len) {
        uint32_t row = (uint32_t)(skip / row_bytes);
        uint32_t rows = MIN(BAND_BYTES / row_bytes, o->r.height - row);
        const struct rect r = {o->r.x, o->r.y + row, o->r.width, rows};

        frame_read(&o->frame, &r, (uint32_t *)(void *)v->band);
        o->band_at = skip;
        o->band_len = (uint64_t)rows * row_bytes;
    }
    iov[0] = (struct iovec){v->band + (skip - o->band_at),
                            o->band_at + o->band_len - skip};
    return 1;
}

/* Of the pixels of what is under way, from `skip` on. */
static int pixels_iov(struct viewer *v, uint64_t skip, struct iovec *iov,
                      int max)
{
    struct outgoing *o = &v->out;
    uint64_t left = o->len - o->head_len - skip;

    if (left == 0)
        return 0;
    if (!frame_is_there(&o->frame))
        o->torn = true;
    if (o->torn || o->unmapped)
        return zeros_iov(left, iov, max);
    if (o->converts)
        return band_iov(v, skip, iov);
    /* No more pieces than will go at once. */
    max = MIN(max,
              (int)(CALL_BYTES / MIN(o->r.width * PIXEL_BYTES, PIECE_BYTES)));
    return frame_iov(&o->frame, &o->r, skip, iov, max);
}

static uint64_t iov_bytes(const struct iovec *iov, int num)
{
    uint64_t bytes = 0;

    for (int i = 0; i < num; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

/* One call of the kernel's: bytes sent, or a negative errno. *full: it did not
 * take all that it was given, and would take no more now. */
static ssize_t send_some(struct viewer *v, bool *full)
{
    struct outgoing *o = &v->out;
    struct iovec iov[IOV_MAX_PIECES];
    uint64_t skip = 0;
    ssize_t sent;
    int n = 0;

    *full = false;
    if (o->converts && !v->band) {
        v->band = malloc(BAND_BYTES);
        if (!v->band)
            return -ENOMEM;
    }
    if (o->fd >= 0 && o->sent == 0)
        return sock_send(v->fd, o->head, o->head_len, &o->fd, 1);
    if (o->sent < o->head_len)
        iov[n++] =
            (struct iovec){o->head + o->sent, o->head_len - (size_t)o->sent};
    else
        skip = o->sent - o->head_len;
    n += pixels_iov(v, skip, iov + n, IOV_MAX_PIECES - n);
    sent = sock_sendv(v->fd, iov, n);
    *full = sent >= 0 && (uint64_t)sent < iov_bytes(iov, n);
    return sent;
}

static void on_error(struct viewer *v, ssize_t rc)
{
    if (rc == -EPIPE || rc == -ECONNRESET)
        viewer_lost(v, LOG_INFO, "it has gone");
    else if (rc == -ENOMEM || rc == -ENOBUFS)
        viewer_lost(v, LOG_WARN, "there is no memory for what it is sent");
    else
        viewer_lost(v, LOG_WARN, "its socket cannot be written");
}

void viewer_room_seen(struct viewer *v)
{
    if (!v->unseen)
        return;
    v->unseen = false;
    timer_stop(&v->unseen_timer);
    loop_unseen(v->g->device.home, false);
}

/* Until there is room again. A display that reads has taken a part of it in
 * less time than it takes to see that while spinning; for one that does not
 * read, nobody stops that for long. */
static void wait_for_room(struct viewer *v)
{
    v->full = true;
    v->unseen = true;
    loop_unseen(v->g->device.home, true);
    timer_start(&v->unseen_timer, UNSEEN_MS);
    if (!v->awaits_room)
        watch_start(&v->watch, UV_READABLE | UV_WRITABLE);
    v->awaits_room = true;
}

/* There is nothing to say. */
static void rest(struct viewer *v)
{
    if (v->awaits_room)
        watch_start(&v->watch, UV_READABLE);
    v->awaits_room = false;
}

void viewer_send(struct viewer *v)
{
    struct outgoing *o = &v->out;
    uint64_t bytes = 0;

    v->full = false;
    viewer_room_seen(v);
    while (bytes < TURN_BYTES) {
        bool full;
        ssize_t n;

        if (o->len == 0 && !compose(v)) {
            rest(v);
            viewer_look_left(v);
            return;
        }
        n = send_some(v, &full);
        if (n == -EAGAIN) {
            wait_for_room(v);
            return;
        }
        if (n == -EFAULT && !o->unmapped) {
            o->unmapped = true;
            continue;
        }
        if (n < 0) {
            on_error(v, n);
            return;
        }
        bytes += MAX((uint64_t)n, CALL_COST);
        o->sent += (uint64_t)n;
        if (o->sent == o->len)
            finish(v);
        if (full) {
            wait_for_room(v);
            return;
        }
    }
    viewer_stir(v);
}
