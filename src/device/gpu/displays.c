/* How the guest's displays ought to be, and who says so.
 *
 * It is the config, until the front-end's display has said otherwise. A guest
 * asks for that first of all, and once only, so the rings wait a little for a
 * front-end that has not said it yet; no message does. Later changes are told
 * to the guest by an event. QEMU keeps that event for itself, and never tells
 * us that its window has another size; but its guest reads the config space
 * then, which is when we ask. The guest asks us right after that, and QEMU does
 * not pass on a second event: so these two commands of its, and those behind
 * them, wait for a display that has just been asked (PATIENCE_MS at most, and
 * for one that has been silent once not again until it speaks). A ring that is
 * to drain does not: who wants that may be who would have to speak. */
#include <inttypes.h>
#include <string.h>

#include "device/gpu/edid.h"
#include "device/gpu/impl.h"

#define DISPLAYS_WAIT_MS 1000

/* ---- scanouts of the config ---- */

static const struct gpu_scanout_conf default_scanout = {1280, 800, 60, NULL,
                                                        NULL};

/* A front-end may have more than the config. */
static const struct gpu_scanout_conf *scanout_conf(const struct gpu *g,
                                                   unsigned i)
{
    return i < (unsigned)g->conf->scanouts.count
               ? g->conf->scanouts.list[i].data
               : &default_scanout;
}

/* Beside each other, from left to right. */
void displays_by_conf(struct gpu *g)
{
    uint32_t x = 0;

    g->displays_said = false;
    memset(g->displays, 0, sizeof(g->displays));
    for (unsigned i = 0; i < g->num_scanouts; i++) {
        const struct gpu_scanout_conf *c = scanout_conf(g, i);

        g->displays[i] =
            (struct display_one){{x, 0, c->width, c->height}, true};
        x += c->width;
    }
    ledger_displays(g);
    ledger_commit(g->ledger);
}

static bool has_front_end(const struct gpu *g)
{
    return g->conf->display == GPU_DISPLAY_FRONT_END;
}

unsigned gpu_scanouts(const struct gpu *g)
{
    return has_front_end(g) ? VIRTIO_GPU_MAX_SCANOUTS : g->num_scanouts;
}

unsigned gpu_edid(struct gpu *g, unsigned i, uint8_t out[VIRTIO_GPU_EDID_BYTES])
{
    const struct gpu_scanout_conf *c = scanout_conf(g, i);
    const struct display_one *d = &g->displays[i];
    uint32_t bytes = 0;
    const uint8_t *said = viewer_edid(g->viewer, i, &bytes);

    if (said) {
        bytes = MIN(bytes, VIRTIO_GPU_EDID_BYTES);
        memcpy(out, said, bytes);
        return bytes;
    }
    return edid_make(out, &(struct edid_conf){
                              .width = d->enabled ? d->r.width : c->width,
                              .height = d->enabled ? d->r.height : c->height,
                              .refresh = c->refresh,
                              .name = c->name ? c->name : "vub",
                              .serial = c->serial,
                          });
}

/* ---- how displays ought to be ---- */

static bool runs(const struct gpu *g)
{
    return g->control.ring != NULL;
}

static void take_displays(struct gpu *g, const struct display_one *displays)
{
    memcpy(g->displays, displays, sizeof(g->displays));
    g->displays_said = true;
    ledger_displays(g);
    ledger_commit(g->ledger);
}

void gpu_set_displays(struct gpu *g, const struct display_one *displays)
{
    take_displays(g, displays);
    g->events_read |= VIRTIO_GPU_EVENT_DISPLAY;
    ledger_events(g);
    ledger_commit(g->ledger);
    device_config_changed(&g->device);
}

/* Nothing of one that is off means anything. */
struct display_one display_tidy(const struct display_one *d)
{
    if (d->enabled && d->r.width > 0 && d->r.width <= GPU_SIDE_MAX &&
        d->r.height > 0 && d->r.height <= GPU_SIDE_MAX && d->r.x <= INT32_MAX &&
        d->r.y <= INT32_MAX)
        return (struct display_one){d->r, true};
    return (struct display_one){.enabled = false};
}

bool display_same(const struct display_one *a, const struct display_one *b)
{
    return a->enabled == b->enabled && a->r.x == b->r.x && a->r.y == b->r.y &&
           a->r.width == b->r.width && a->r.height == b->r.height;
}

/* It wins over the config, which is worth a line where they differ. */
static void tell_display(struct gpu *g, unsigned i, const struct display_one *d)
{
    const struct gpu_scanout_conf *c = scanout_conf(g, i);

    if (!d->enabled && i < g->num_scanouts)
        log_limited(&g->display_limit, LOG_INFO, g->device.id,
                    "scanout %u is off, as the front-end's display has it", i);
    else if (d->enabled && i >= g->num_scanouts)
        log_limited(&g->display_limit, LOG_INFO, g->device.id,
                    "scanout %u has %" PRIu32 "x%" PRIu32
                    " pixels, as the front-end's display has it; there is none "
                    "in the config",
                    i, d->r.width, d->r.height);
    else if (d->enabled && (d->r.width != c->width || d->r.height != c->height))
        log_limited(&g->display_limit, LOG_INFO, g->device.id,
                    "scanout %u has %" PRIu32 "x%" PRIu32
                    " pixels, as the front-end's display has it, not the "
                    "config's %" PRIu32 "x%" PRIu32,
                    i, d->r.width, d->r.height, c->width, c->height);
}

/* why: NULL, or why nothing is waited for any longer. */
static void end_wait(struct gpu *g, const char *why)
{
    if (!g->starting)
        return;
    if (why)
        log_limited(&g->display_limit, LOG_WARN, g->device.id,
                    "the front-end's display has not said how large it is: "
                    "%s; scanouts are as the config has them",
                    why);
    g->starting = false;
    timer_stop(&g->start_timer);
    device_started(&g->device, NULL);
}

void gpu_on_displays(struct gpu *g, const struct display_one *displays)
{
    struct display_one now[VIRTIO_GPU_MAX_SCANOUTS];
    bool changed = false;

    for (unsigned i = 0; i < VIRTIO_GPU_MAX_SCANOUTS; i++) {
        now[i] = display_tidy(&displays[i]);
        if (display_same(&now[i], &g->displays[i]))
            continue;
        changed = true;
        tell_display(g, i, &now[i]);
    }
    /* One that waits is told by its answer. */
    if (changed && runs(g) && !g->control.awaits_displays)
        gpu_set_displays(g, now);
    else
        take_displays(g, now);
    control_displays_known(g);
    end_wait(g, NULL);
}

void gpu_on_no_displays(struct gpu *g)
{
    control_displays_known(g);
}

/* ---- the front-end's display ---- */

static void answer_leave(struct gpu *g, bool whole)
{
    if (!g->leaves_display)
        return;
    g->leaves_display = false;
    device_display_left(&g->device, whole);
}

void gpu_on_viewer_lost(struct gpu *g, const char *why)
{
    g->viewer = NULL;
    control_displays_known(g);
    end_wait(g, why);
    answer_leave(g, false);
}

/* QEMU reads a display that has been closed for ever, with all of its main
 * thread's time: one that is not wanted is kept, and nothing is said there. */
static void keep_unused(struct gpu *g, int fd)
{
    if (g->unused_display >= 0)
        device_give_back(&g->device, g->unused_display);
    g->unused_display = fd;
    if (fd >= 0)
        log_debug(g->device.id, "the front-end's display is not used: "
                                "\"display\" is \"headless\"");
}

void displays_connect(struct device *d, int fd)
{
    struct gpu *g = gpu_of(d);

    if (!has_front_end(g)) {
        keep_unused(g, fd);
        return;
    }
    viewer_close(g->viewer);
    g->viewer = NULL;
    g->leaves_display = false; /* nobody waits for that */
    control_displays_known(g);
    if (fd < 0)
        return;
    g->viewer = viewer_open(g, fd);
    if (!g->viewer)
        log_limited(&g->display_limit, LOG_ERROR, d->id,
                    "out of memory for the front-end's display");
}

/* ---- for another process ---- */

void displays_leave(struct device *d)
{
    struct gpu *g = gpu_of(d);

    g->leaves_display = true;
    if (g->viewer) {
        viewer_leave(g->viewer);
        return;
    }
    if (g->unused_display < 0) {
        answer_leave(g, false);
        return;
    }
    keep_unused(g, -1);
    answer_leave(g, true);
}

void gpu_on_viewer_left(struct gpu *g, bool whole)
{
    struct viewer *v = g->viewer;

    if (!whole)
        log_limited(&g->display_limit, LOG_WARN, g->device.id,
                    "the front-end's display cannot be handed on: it has not "
                    "taken a message, or not answered, for some seconds");
    g->viewer = NULL;
    control_displays_known(g);
    viewer_close(v);
    answer_leave(g, whole);
}

/* ---- start ---- */

static void on_timer(struct timer *t)
{
    end_wait(container_of(t, struct gpu, start_timer), "no answer");
}

void displays_begin(struct gpu *g, void (*gone)(struct timer *t))
{
    g->start_timer.fire = on_timer;
    g->start_timer.gone = gone;
    timer_open(&g->start_timer, g->device.home);
}

void displays_start(struct gpu *g)
{
    if (!g->viewer || viewer_knows_displays(g->viewer) || g->goes_on) {
        device_started(&g->device, NULL);
        return;
    }
    g->starting = true;
    timer_start(&g->start_timer, DISPLAYS_WAIT_MS);
}

void displays_stop(struct gpu *g)
{
    g->starting = false;
    timer_stop(&g->start_timer);
}
