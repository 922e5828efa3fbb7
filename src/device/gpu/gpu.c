/* The GPU: its config, its config space, its life.
 *
 * All of it runs on the home loop, both queues and the front-end's display too:
 * a picture has one writer.
 *
 * A guest that is reset begins anew, with no resources. QEMU does not tell us
 * that: a control queue that does not go on where it stopped is another
 * driver's. If it stopped just where queues begin, it is another driver who has
 * read the config space meanwhile: that of a paused guest reads nothing. */
#include "device/gpu/gpu.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/gpu/impl.h"
#include "device/gpu/pixels.h"
#include "device/gpu/png.h"

#define QUEUES 2
#define CHAIN_MAX 512 /* Linux gives 65536 entries of a backing in pages */

#define FEATURE(bit) (UINT64_C(1) << (bit))

static const char *const feature_names[24] = {
    [VIRTIO_GPU_F_VIRGL] = "GPU_VIRGL",
    [VIRTIO_GPU_F_EDID] = "GPU_EDID",
    [VIRTIO_GPU_F_RESOURCE_UUID] = "GPU_RESOURCE_UUID",
    [VIRTIO_GPU_F_RESOURCE_BLOB] = "GPU_RESOURCE_BLOB",
    [VIRTIO_GPU_F_CONTEXT_INIT] = "GPU_CONTEXT_INIT",
};

/* ---- features and config space ---- */

static uint64_t gpu_features(struct device *d)
{
    (void)d;
    return FEATURE(VIRTIO_GPU_F_EDID) | FEATURE(VIRTIO_GPU_F_RESOURCE_UUID) |
           FEATURE(VIRTIO_GPU_F_RESOURCE_BLOB);
}

static void gpu_config_read(struct device *d, void *config)
{
    struct gpu *g = gpu_of(d);
    const struct virtio_gpu_config c = {
        .events_read = htole32(g->events_read),
        .num_scanouts = htole32(g->num_scanouts),
    };

    memcpy(config, &c, sizeof(c));
    if (!g->config_was_read) {
        g->config_was_read = true;
        ledger_control(g);
        ledger_commit(g->ledger);
    }
    viewer_ask(g->viewer);
}

/* events_clear is the driver's, in whole or in part: bytes that are not written
 * clear nothing. */
static int gpu_config_write(struct device *d, uint32_t offset, const void *data,
                            uint32_t len)
{
    const uint32_t at = offsetof(struct virtio_gpu_config, events_clear);
    uint32_t from = MAX(offset, at), to = MIN(offset + len, at + 4);
    struct gpu *g = gpu_of(d);
    le32 clear = 0;

    if (from >= to)
        return -EACCES;
    memcpy((uint8_t *)&clear + (from - at),
           (const uint8_t *)data + (from - offset), to - from);
    g->events_read &= ~le32toh(clear);
    ledger_events(g);
    ledger_commit(g->ledger);
    return 0;
}

/* ---- start and stop ---- */

static void gpu_start(struct device *d, const struct device_start *s)
{
    gpu_of(d)->features = s->features;
    gpu_of(d)->recovered = s->recovered;
    displays_start(gpu_of(d));
}

static void gpu_stop(struct device *d)
{
    displays_stop(gpu_of(d));
}

/* What the guest has made. */
static void forget_guest(struct gpu *g)
{
    scanouts_reset(g);
    resources_clear(&g->resources);
    g->events_read = 0;
    ledger_events(g);
    ledger_commit(g->ledger);
}

static void gpu_reset(struct device *d)
{
    struct gpu *g = gpu_of(d);

    forget_guest(g);
    if (!viewer_knows_displays(g->viewer))
        displays_by_conf(g);
}

/* ---- rings ---- */

/* As ring_base() has it of a queue that nobody has used, split and packed. */
#define BASE_SPLIT 0u
#define BASE_PACKED (1u << 15 | 1u << 31)

/* When a process ends, nobody stops its queues: where they were then their
 * in-flight record says, which a driver does not outlive. */
static bool is_another_driver(const struct gpu *g, const struct ring *q)
{
    uint32_t base = ring_base(q);

    if (g->was_running)
        return !g->recovered;
    return base != g->ring_base ||
           (g->config_was_read && (base == BASE_SPLIT || base == BASE_PACKED));
}

/* An event that the guest was not told of, perhaps: it may hear of it twice. */
static void tell_what_was_left(struct gpu *g)
{
    if (g->goes_on && g->events_read)
        device_config_changed(&g->device);
    g->goes_on = false;
}

static int gpu_ring_start(struct device *d, struct ring *q, struct err *e)
{
    struct gpu *g = gpu_of(d);

    (void)e;
    assert(q->loop == d->home);
    ledger_ring_start(g->ledger, q);
    if (q->index != VIRTIO_GPU_CONTROLQ)
        return 0;
    if (is_another_driver(g, q))
        forget_guest(g);
    g->control.ring = q;
    g->was_running = false;
    ledger_control(g);
    ledger_commit(g->ledger);
    control_remapped(g);
    tell_what_was_left(g);
    return 0;
}

static void gpu_ring_kick(struct device *d, struct ring *q)
{
    if (q->index == VIRTIO_GPU_CONTROLQ)
        control_ring_kick(gpu_of(d), q);
    else
        cursor_ring_kick(gpu_of(d), q);
}

static void gpu_ring_drain(struct device *d, struct ring *q, enum drain how)
{
    if (q->index != VIRTIO_GPU_CONTROLQ)
        return;
    control_displays_wait_over(gpu_of(d));
    if (how == DRAIN_CANCEL)
        control_give_up(gpu_of(d));
}

static void gpu_ring_stop(struct device *d, struct ring *q)
{
    struct gpu *g = gpu_of(d);

    if (q->index != VIRTIO_GPU_CONTROLQ)
        return;
    control_give_up(g);
    g->control.ring = NULL;
    g->ring_base = ring_base(q);
    g->config_was_read = false;
    ledger_control(g);
    ledger_commit(g->ledger);
    resources_resolve(&g->resources, NULL);
}

static void gpu_ring_remapped(struct device *d, struct ring *q)
{
    if (q->index == VIRTIO_GPU_CONTROLQ)
        control_remapped(gpu_of(d));
}

/* ---- life ---- */

static void gpu_free(struct gpu *g)
{
    scanouts_reset(g);
    resources_clear(&g->resources);
    arena_close(&g->arena);
    device_gone(&g->device);
    free(g);
}

static void on_timer_gone(struct timer *t)
{
    gpu_free(container_of(t, struct gpu, start_timer));
}

static int gpu_begin(struct device *d, struct err *e)
{
    struct gpu *g = gpu_of(d);

    displays_begin(g, on_timer_gone);
    g->has_begun = true;
    return ledger_open(g, e);
}

static int gpu_save(struct device *d, struct err *e)
{
    displays_connect(d, -1); /* it comes again, wherever it goes on */
    return ledger_save(gpu_of(d), e);
}

static void gpu_close(struct device *d)
{
    struct gpu *g = gpu_of(d);

    ledger_close(g);
    arena_stop(&g->arena);
    waits_end(g);
    displays_connect(d, -1);
    if (g->has_begun)
        timer_close(&g->start_timer);
    else
        gpu_free(g);
}

static const struct device_ops gpu_ops = {
    .feature_names = feature_names,
    .begin = gpu_begin,
    .features = gpu_features,
    .config_len = sizeof(struct virtio_gpu_config),
    .config_read = gpu_config_read,
    .config_write = gpu_config_write,
    .config_acts = true,
    .start = gpu_start,
    .stop = gpu_stop,
    .reset = gpu_reset,
    .ring_start = gpu_ring_start,
    .ring_kick = gpu_ring_kick,
    .ring_drain = gpu_ring_drain,
    .ring_stop = gpu_ring_stop,
    .ring_remapped = gpu_ring_remapped,
    .display = displays_connect,
    .display_leave = displays_leave,
    .save = gpu_save,
    .close = gpu_close,
};

/* Of pictures too: when one is asked for it is too late in a sandbox. */
static int gpu_ready(struct err *e)
{
    int rc = pixels_ready(e);

    return rc < 0 ? rc : png_ready(e);
}

static int gpu_open(struct device **out, const struct conf_any *c,
                    struct errs *e)
{
    const struct gpu_conf *conf = c->data;
    struct gpu *g;
    struct err why;

    if (gpu_ready(&why) < 0)
        return errs_adopt(e, c->at, NULL, &why);
    g = calloc(1, sizeof(*g));
    if (!g)
        return errs_nomem(e);
    g->conf = conf;
    g->unused_display = -1;
    g->num_scanouts = conf->scanouts.count ? (unsigned)conf->scanouts.count : 1;
    displays_by_conf(g);
    resources_init(&g->resources, conf->max_memory, conf->dmabuf);
    control_init(&g->control);
    list_init(&g->waits);
    shots_init(&g->shots);
    g->device = (struct device){
        .ops = &gpu_ops,
        .id = conf->common.id,
        .num_queues = QUEUES,
        .chain_max = CHAIN_MAX,
    };
    *out = &g->device;
    return 0;
}

static unsigned gpu_queues(const void *conf)
{
    (void)conf;
    return QUEUES;
}

/* ---- status ---- */

static void add_size(struct json_out *o, const char *key, uint32_t width,
                     uint32_t height)
{
    json_begin(o, key, '{');
    json_add_u64(o, "width", width);
    json_add_u64(o, "height", height);
    json_end(o, '}');
}

/* display: how it ought to be; shown: how it is. */
static void scanout_status(const struct gpu *g, unsigned i, struct json_out *o)
{
    const struct scanout *s = &g->scanouts[i];
    const struct display_one *d = &g->displays[i];

    json_begin(o, NULL, '{');
    json_add_u64(o, "scanout", i);
    if (d->enabled)
        add_size(o, "display", d->r.width, d->r.height);
    else
        json_add_null(o, "display");
    if (s->frame.res)
        add_size(o, "shown", s->frame.width, s->frame.height);
    else
        json_add_null(o, "shown");
    if (s->frame.res) {
        json_begin(o, "resource", '{');
        json_add_u64(o, "id", s->frame.res->id);
        json_add_bool(o, "blob", s->frame.res->is_blob);
        if (!s->frame.res->is_blob) {
            json_add_u64(o, "width", s->frame.res->width);
            json_add_u64(o, "height", s->frame.res->height);
        }
        json_add_u64(o, "bytes", s->frame.res->bytes);
        json_end(o, '}');
    } else {
        json_add_null(o, "resource");
    }
    json_add_bool(o, "cursor", s->cursor.visible);
    json_add_u64(o, "flushes", s->flushes);
    json_end(o, '}');
}

static void gpu_status(struct device *d, struct json_out *o)
{
    const struct gpu *g = gpu_of(d);
    const struct gpu_stats *s = &g->stats;

    json_begin(o, "scanouts", '[');
    for (unsigned i = 0; i < VIRTIO_GPU_MAX_SCANOUTS; i++)
        if (i < g->num_scanouts || g->displays[i].enabled ||
            g->scanouts[i].frame.res)
            scanout_status(g, i, o);
    json_end(o, ']');
    json_begin(o, "resources", '{');
    json_add_u64(o, "count", g->resources.count);
    json_add_u64(o, "bytes", g->resources.bytes);
    json_add_u64(o, "max_memory", g->resources.max_bytes);
    json_end(o, '}');
    if (g->viewer) {
        json_begin(o, "viewer", '{');
        viewer_status(g->viewer, o);
        json_end(o, '}');
    } else {
        json_add_null(o, "viewer");
    }
    json_add_u64(o, "commands", s->commands);
    json_add_u64(o, "errors", s->errors);
    json_add_u64(o, "transfers", s->transfers);
    json_add_u64(o, "transfer_bytes", s->transfer_bytes);
    json_add_u64(o, "flushes", s->flushes);
    json_add_u64(o, "updates", s->updates);
    json_add_u64(o, "update_bytes", s->update_bytes);
    json_add_u64(o, "merged", s->merged);
}

/* ---- metrics ---- */

static const struct metric_family commands = {
    "vub_gpu_commands", METRIC_COUNTER, NULL, "Commands of both queues."};
static const struct metric_family errors = {
    "vub_gpu_errors", METRIC_COUNTER, NULL,
    "Commands that were answered with an error."};
static const struct metric_family transfer_bytes = {
    "vub_gpu_transfer_bytes", METRIC_COUNTER, "bytes",
    "Bytes that were copied out of the guest's pages."};
static const struct metric_family flushes = {
    "vub_gpu_flushes", METRIC_COUNTER, NULL,
    "Times that the guest had something shown."};
static const struct metric_family updates = {
    "vub_gpu_updates", METRIC_COUNTER, NULL,
    "Changes that were sent to displays of front-ends."};
static const struct metric_family update_bytes = {
    "vub_gpu_update_bytes", METRIC_COUNTER, "bytes",
    "Bytes that were sent to displays of front-ends."};
static const struct metric_family held = {"vub_gpu_resources", METRIC_GAUGE,
                                          NULL, "Resources that there are."};
static const struct metric_family held_bytes = {"vub_gpu_resource_bytes",
                                                METRIC_GAUGE, "bytes",
                                                "Memory that resources take."};

static void gpu_metrics(struct device *d, struct metrics *m)
{
    const struct gpu *g = gpu_of(d);
    const struct gpu_stats *s = &g->stats;

    metrics_add(m, &commands, s->commands, "%s", "");
    metrics_add(m, &errors, s->errors, "%s", "");
    metrics_add(m, &transfer_bytes, s->transfer_bytes, "%s", "");
    metrics_add(m, &flushes, s->flushes, "%s", "");
    metrics_add(m, &updates, s->updates, "%s", "");
    metrics_add(m, &update_bytes, s->update_bytes, "%s", "");
    metrics_add(m, &held, g->resources.count, "%s", "");
    metrics_add(m, &held_bytes, g->resources.bytes, "%s", "");
}

static const struct device_type gpu_type = {
    .open = gpu_open,
    .ready = gpu_ready,
    .queues = gpu_queues,
    .status = gpu_status,
    .metrics = gpu_metrics,
    .commands = gpu_commands,
};

/* ---- config ---- */

static void gpu_check(void *data, const char *at, struct errs *e)
{
    const struct gpu_conf *conf = data;

    if (conf->common.worker.count > 1)
        errs_at(e, at, "worker", "a GPU runs on one worker, not %d",
                conf->common.worker.count);
    if (conf->dmabuf && conf->display == GPU_DISPLAY_HEADLESS)
        errs_at(e, at, "dmabuf",
                "no front-end sees what a headless GPU shows: leave it out");
}

static const char *const display_words[] = {
    [GPU_DISPLAY_FRONT_END] = "front-end",
    [GPU_DISPLAY_HEADLESS] = "headless",
    NULL,
};

#define EDID_TEXT_MAX 13

static const struct conf_key scanout_keys[] = {
    {"width", CONF_U32, CONF_AT(struct gpu_scanout_conf, width), .def = "1280",
     .min = 1, .max = GPU_SIDE_MAX,
     .help = "How many pixels wide the guest is told to make it."},
    {"height", CONF_U32, CONF_AT(struct gpu_scanout_conf, height), .def = "800",
     .min = 1, .max = GPU_SIDE_MAX, .help = "Likewise, high."},
    {"refresh", CONF_U32, CONF_AT(struct gpu_scanout_conf, refresh),
     .def = "60", .min = 1, .max = 240,
     .help = "Pictures in a second that its monitor says it shows. A guest may "
             "make more or fewer."},
    {"name", CONF_STR, CONF_AT(struct gpu_scanout_conf, name), .min = 1,
     .max = EDID_TEXT_MAX,
     .help = "The monitor's name, at most 13 bytes. Default: \"vub\"."},
    {"serial", CONF_STR, CONF_AT(struct gpu_scanout_conf, serial),
     .max = EDID_TEXT_MAX,
     .help = "The monitor's serial number, at most 13 bytes."},
    {NULL},
};

static const struct conf_table scanout_table = {
    .name = "scanout",
    .size = sizeof(struct gpu_scanout_conf),
    .keys = scanout_keys,
    .help = "A monitor.",
};

static const struct conf_key gpu_keys[] = {
    {"scanouts", CONF_TABLES, CONF_AT(struct gpu_conf, scanouts), .min = 1,
     .max = VIRTIO_GPU_MAX_SCANOUTS, .table = &scanout_table,
     .help = "Its monitors. Default: one. How many there are, and how large, "
             "is the front-end's to say if it has a display; names and serial "
             "numbers then count where it does not say its own."},
    {"display", CONF_CHOICE, CONF_AT(struct gpu_conf, display),
     .def = "\"front-end\"", .words = display_words,
     .help = "Who shows the pictures: the \"front-end\", if it has a display "
             "for them, or nobody (\"headless\"): then the monitors are the "
             "config's. Either way they can be had over the control socket."},
    {"dmabuf", CONF_BOOL, CONF_AT(struct gpu_conf, dmabuf), .def = "false",
     .help = "Give the front-end the pictures' memory, if it says that it "
             "knows what to do with it, instead of copies. A display that does "
             "not use OpenGL shows nothing then."},
    {"max_memory", CONF_SIZE, CONF_AT(struct gpu_conf, max_memory),
     .def = "\"256M\"", .min = UINT64_C(1) << 20, .max = UINT64_C(16) << 30,
     .help = "The most that all pictures of the guest may take together."},
    {NULL},
};

const struct conf_table gpu_table = {
    .name = "gpu",
    .size = sizeof(struct gpu_conf),
    .keys = gpu_keys,
    .help = "A GPU that does two dimensions: virtio-gpu.",
    .check = gpu_check,
    .ops = &gpu_type,
};
