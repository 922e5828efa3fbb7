/* The life of a viewer, and what it is told.
 *
 * What it is told is noted, in `views`, and the end of the loop's turn sends:
 * whatever a batch of commands does to a scanout is one thing to say then. */
#include <stdlib.h>

#include "device/gpu/impl.h"
#include "device/gpu/viewer_impl.h"
#include "os/sock.h"

#define ROOM_BYTES (512 << 10)
#define LEAVE_MS 3000

/* ---- life ---- */

static void handle_gone(struct viewer *v)
{
    if (--v->handles == 0) {
        free(v->band);
        free(v);
    }
}

static void on_watch_gone(struct watch *w)
{
    handle_gone(container_of(w, struct viewer, watch));
}

static void on_timer_gone(struct timer *t)
{
    handle_gone(container_of(t, struct viewer, timer));
}

static void on_unseen_timer_gone(struct timer *t)
{
    handle_gone(container_of(t, struct viewer, unseen_timer));
}

static void on_timer(struct timer *t)
{
    struct viewer *v = container_of(t, struct viewer, timer);

    if (v->leaving) {
        gpu_on_viewer_left(v->g, false);
        return;
    }
    if (v->info_news) {
        viewer_tell(v);
        return;
    }
    v->late = true;
    gpu_on_no_displays(v->g);
}

static void on_unseen_timer(struct timer *t)
{
    viewer_room_seen(container_of(t, struct viewer, unseen_timer));
}

static void on_send_later(struct defer *d)
{
    viewer_send(container_of(d, struct viewer, send_later));
}

static void on_ready(struct watch *w, int status, int events)
{
    struct viewer *v = container_of(w, struct viewer, watch);

    if (status < 0) { /* it has, with something of ours that it did not read */
        viewer_lost(v, LOG_INFO, "it has gone");
        return;
    }
    if (events & UV_READABLE)
        viewer_receive(v);
    if (!v->closing && (events & UV_WRITABLE))
        viewer_send(v);
}

static void regions_free(struct viewer *v)
{
    for (unsigned i = 0; i < ARRAY_LEN(v->views); i++)
        region_free(v->views[i].damage);
}

static bool regions_new(struct viewer *v)
{
    for (unsigned i = 0; i < ARRAY_LEN(v->views); i++) {
        v->views[i].damage = region_new();
        if (!v->views[i].damage)
            return false;
    }
    return true;
}

/* A display that another process spoke to may show what it was not told to be
 * off any more. If it is another one it hears of that for nothing. */
static bool take_over_mode(struct viewer *v, unsigned i)
{
    const uint32_t before = v->g->shown_before >> i;

    if (before >> GPU_SHOWN_DMABUF & 1)
        v->views[i].mode.kind = VIEW_DMABUF;
    else if (before & 1)
        v->views[i].mode.kind = VIEW_SURFACE;
    return v->views[i].mode.kind != VIEW_OFF;
}

void viewer_note_shown(struct viewer *v, bool told)
{
    struct gpu *g = v->g;
    uint32_t shown = told ? 0 : g->shown;

    for (unsigned i = 0; i < ARRAY_LEN(v->views); i++) {
        if (v->views[i].mode.kind == VIEW_SURFACE)
            shown |= 1u << i;
        else if (v->views[i].mode.kind == VIEW_DMABUF)
            shown |= 1u << (i + GPU_SHOWN_DMABUF);
    }
    if (shown == g->shown)
        return;
    g->shown = shown;
    ledger_shown(g);
    ledger_commit(g->ledger);
}

struct viewer *viewer_open(struct gpu *g, int fd)
{
    struct loop *loop = g->device.home;
    struct viewer *v = calloc(1, sizeof(*v));

    if (!v || !regions_new(v))
        goto fail;
    v->g = g;
    v->fd = fd;
    v->edid_asked = -1;
    v->out.fd = -1;
    v->features_due = true;
    v->info_due = true;
    v->shows = g->control.ring != NULL;
    sock_make_room(fd, ROOM_BYTES);
    v->watch.ready = on_ready;
    v->watch.gone = on_watch_gone;
    if (watch_open(&v->watch, loop, fd) < 0)
        goto fail;
    v->timer.fire = on_timer;
    v->timer.gone = on_timer_gone;
    timer_open(&v->timer, loop);
    v->unseen_timer.fire = on_unseen_timer;
    v->unseen_timer.gone = on_unseen_timer_gone;
    timer_open(&v->unseen_timer, loop);
    v->handles = 3;
    defer_init(&v->send_later, on_send_later);
    watch_start(&v->watch, UV_READABLE);
    for (unsigned i = 0; i < ARRAY_LEN(v->views); i++) {
        bool was_shown = take_over_mode(v, i);

        viewer_scanout(v, i);
        if (was_shown || g->scanouts[i].cursor.drawn)
            viewer_cursor(v, i, true);
    }
    g->shown_before = 0;
    viewer_be_patient(v);
    viewer_stir(v);
    return v;
fail:
    if (v)
        regions_free(v);
    free(v);
    device_give_back(&g->device, fd);
    return NULL;
}

void viewer_close(struct viewer *v)
{
    if (!v || v->closing)
        return;
    v->closing = true;
    defer_cancel(&v->send_later);
    viewer_room_seen(v);
    timer_close(&v->unseen_timer);
    timer_close(&v->timer);
    watch_close(&v->watch);
    device_give_back(&v->g->device, v->fd);
    outgoing_drop(&v->out);
    for (unsigned i = 0; i < ARRAY_LEN(v->views); i++)
        resource_unref(v->views[i].mode.res);
    regions_free(v);
}

void viewer_look_left(struct viewer *v)
{
    if (v->leaving && !v->closing && v->out.len == 0 && v->in_bytes == 0 &&
        !v->features_asked && !v->info_asked && v->edid_asked < 0 &&
        !v->update_asked)
        gpu_on_viewer_left(v->g, true);
}

void viewer_leave(struct viewer *v)
{
    v->leaving = true;
    timer_start(&v->timer, LEAVE_MS);
    viewer_look_left(v);
}

void viewer_lost(struct viewer *v, enum log_level level, const char *why)
{
    struct gpu *g = v->g;

    if (v->closing)
        return;
    log_limited(&g->display_limit, level, g->device.id,
                "the front-end's display is lost: %s", why);
    gpu_on_viewer_lost(g, why);
    viewer_close(v);
}

/* ---- what it is asked ---- */

void viewer_ask(struct viewer *v)
{
    if (!v)
        return;
    v->info_due = true;
    if (!v->late)
        viewer_be_patient(v);
    viewer_stir(v);
}

bool viewer_is_asked(const struct viewer *v)
{
    return v && !v->late && !v->leaving &&
           (v->info_due || v->info_asked || v->info_news);
}

void viewer_listen(struct viewer *v)
{
    if (v)
        viewer_receive(v);
}

bool viewer_knows_displays(const struct viewer *v)
{
    return v && v->info_told;
}

const uint8_t *viewer_edid(const struct viewer *v, unsigned i, uint32_t *bytes)
{
    if (!v || i >= ARRAY_LEN(v->views) || v->views[i].edid_bytes == 0)
        return NULL;
    *bytes = v->views[i].edid_bytes;
    return v->views[i].edid;
}

/* ---- what it is told ---- */

void viewer_scanout(struct viewer *v, unsigned i)
{
    const struct frame *f;

    if (!v)
        return;
    f = &v->g->scanouts[i].frame;
    if (f->res)
        view_damage_all(&v->views[i], f);
    else
        region_clear(v->views[i].damage);
    viewer_stir_scanout(v, i);
}

void viewer_damage(struct viewer *v, unsigned i, const struct rect *r)
{
    struct region *damage;

    if (!v)
        return;
    damage = v->views[i].damage;
    if (!region_is_empty(damage))
        v->g->stats.merged++;
    region_add(damage, r);
    viewer_stir_scanout(v, i);
}

void viewer_look_again(struct viewer *v)
{
    if (!v)
        return;
    v->shows = true;
    for (unsigned i = 0; i < ARRAY_LEN(v->views); i++)
        viewer_stir_scanout(v, i);
}

void viewer_cursor(struct viewer *v, unsigned i, bool image)
{
    struct view *w;

    if (!v)
        return;
    w = &v->views[i];
    w->cursor = true;
    w->cursor_image |= image;
    viewer_stir_scanout(v, i);
}

/* ---- status ---- */

static unsigned count(const struct viewer *v, int kind)
{
    unsigned num = 0;

    for (unsigned i = 0; i < ARRAY_LEN(v->views); i++)
        num += (int)v->views[i].mode.kind == kind;
    return num;
}

void viewer_status(const struct viewer *v, struct json_out *o)
{
    json_begin(o, "features", '[');
    if (v->features & WIRE_F_EDID)
        json_add_str(o, NULL, "EDID");
    if (v->features & WIRE_F_DMABUF2)
        json_add_str(o, NULL, "DMABUF2");
    json_end(o, ']');
    json_add_bool(o, "displays_known", v->info_told);
    json_add_u64(o, "shown", ARRAY_LEN(v->views) - count(v, VIEW_OFF));
    json_add_u64(o, "dmabufs", count(v, VIEW_DMABUF));
    json_add_bool(o, "behind", v->full);
    json_add_u64(o, "bytes_left", v->out.len - v->out.sent);
}
