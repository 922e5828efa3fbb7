/* The input device: its config, its rings, its life.
 *
 * All of it runs on the home loop, both rings too: there is nothing to gain by
 * spreading two queues that are idle most of the time. */
#include "device/input/input.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/input/impl.h"
#include "device/input/names.h"
#include "device/input/recording.h"

#define QUEUES 2

void input_bad_buffer(struct input *in, const struct ring *q, const char *why)
{
    in->stats.bad++;
    log_limited(&in->limit, LOG_WARN, in->device.id,
                "ring %u: %s: it is given back unused", q->index, why);
}

/* ---- the source ---- */

static struct input *input_of_source(struct source *s)
{
    return s->host_data;
}

static enum frame_fate on_frame(struct source *s,
                                const struct input_event16 *ev, unsigned n,
                                void (*sent)(void *arg, bool taken), void *arg)
{
    struct input *in = input_of_source(s);
    struct input_event16 scaled[SOURCE_FRAME_MAX];

    if (in->filter.scales) {
        assert(n <= SOURCE_FRAME_MAX);
        filter_frame(&in->filter, ev, n, scaled);
        ev = scaled;
    }
    return events_frame(in, ev, n, sent, arg);
}

static void on_lost(struct source *s)
{
    events_lost(input_of_source(s));
}

static void on_noted(struct source *s)
{
    kept_queue(input_of_source(s));
}

static void on_hold(struct source *s)
{
    events_hold(input_of_source(s));
}

static void on_release(struct source *s)
{
    events_release(input_of_source(s));
}

static void on_moved(struct source *s, const struct input_event16 *ev,
                     unsigned n)
{
    struct input *in = input_of_source(s);
    struct input_event16 scaled[SOURCE_FRAME_MAX];
    unsigned some;

    for (; n > 0; n -= some, ev += some) {
        some = MIN(n, SOURCE_FRAME_MAX);
        filter_frame(&in->filter, ev, some, scaled);
        events_moved(in, scaled, some);
    }
}

static const struct source_host host = {
    .frame = on_frame,
    .lost = on_lost,
    .noted = on_noted,
    .hold = on_hold,
    .release = on_release,
    .moved = on_moved,
};

static void attend(struct input *in, bool listens)
{
    if (in->source->ops->attend)
        in->source->ops->attend(in->source, listens);
}

static int input_begin(struct device *d, struct err *e)
{
    struct input *in = input_of(d);
    int rc = in->source->ops->start(in->source, d->home, e);

    in->has_begun = rc >= 0;
    if (in->has_begun && in->has_note && in->source->ops->recall)
        in->source->ops->recall(in->source);
    return rc;
}

/* ---- rings ---- */

static uint64_t input_features(struct device *d)
{
    (void)d;
    return 0;
}

static int input_ring_start(struct device *d, struct ring *q, struct err *e)
{
    struct input *in = input_of(d);

    (void)e;
    assert(q->loop == d->home);
    if (q->index != VIRTIO_INPUT_EVENTQ)
        return 0;
    if (events_ring_start(in, q) && in->source->ops->go_on) {
        const struct input_state known = in->events.source;

        in->source->ops->go_on(in->source, &known);
        events_catch_up(in);
    } else {
        attend(in, true);
    }
    return 0;
}

static void input_ring_kick(struct device *d, struct ring *q)
{
    if (q->index == VIRTIO_INPUT_EVENTQ)
        events_ring_kick(input_of(d));
    else
        status_ring_kick(input_of(d), q);
}

static void input_ring_drain(struct device *d, struct ring *q, enum drain how)
{
    if (q->index == VIRTIO_INPUT_EVENTQ && how == DRAIN_BEGIN)
        events_ring_drain(input_of(d));
}

static void input_ring_stop(struct device *d, struct ring *q)
{
    struct input *in = input_of(d);

    if (q->index != VIRTIO_INPUT_EVENTQ)
        return;
    events_ring_stop(in);
    commands_driver_gone(in);
    if (!d->suspends)
        attend(in, false);
    else if (in->source->ops->pause)
        in->source->ops->pause(in->source);
}

/* Its front-end may have gone on the way to another process. */
static void input_stop(struct device *d)
{
    if (!d->suspends)
        events_driver_gone(input_of(d));
}

static void input_reset(struct device *d)
{
    struct input *in = input_of(d);

    in->select = in->subsel = 0;
    kept_selected(in);
    events_reset(in);
}

/* ---- life ---- */

static void input_free(struct input *in)
{
    events_fini(in);
    in->source->ops->close(in->source);
    kept_close(in);
    device_gone(&in->device);
    free(in);
}

static void on_source_gone(struct source *s)
{
    input_free(input_of_source(s));
}

static void input_close(struct device *d)
{
    struct input *in = input_of(d);

    if (in->has_begun && in->source->ops->stop)
        in->source->ops->stop(in->source, on_source_gone);
    else
        input_free(in);
}

static const struct device_ops input_ops = {
    .begin = input_begin,
    .features = input_features,
    .config_len = sizeof(struct virtio_input_config),
    .config_read = input_config_read,
    .config_write = input_config_write,
    .stop = input_stop,
    .reset = input_reset,
    .ring_start = input_ring_start,
    .ring_kick = input_ring_kick,
    .ring_drain = input_ring_drain,
    .ring_stop = input_ring_stop,
    .close = input_close,
};

static void set_text(char *to, size_t room, const char *from)
{
    if (!from)
        return;
    memset(to, 0, room);
    memcpy(to, from, strnlen(from, room - 1));
}

static int input_ready(struct err *e)
{
    int rc = names_ready(e);

    return rc < 0 ? rc : recording_ready(e);
}

static int input_open(struct device **out, const struct conf_any *c,
                      struct errs *e)
{
    const struct input_conf *conf = c->data;
    const struct source_ops *ops = conf->source.table->ops;
    struct input *in;
    struct err why;
    int rc;

    if (names_missing(c->at, e))
        return -EINVAL;
    in = calloc(1, sizeof(*in));
    if (!in)
        return errs_nomem(e);
    rc = ops->open(&in->source, &conf->source, conf->common.id, e);
    if (rc < 0) {
        free(in);
        return rc;
    }
    in->desc = in->source->desc;
    set_text(in->desc.name, sizeof(in->desc.name), conf->name);
    set_text(in->desc.serial, sizeof(in->desc.serial), conf->serial);
    rc = filter_open(&in->filter, &conf->filter, c->at, &in->desc, e);
    if (rc < 0) {
        ops->close(in->source);
        free(in);
        return rc;
    }
    in->source->ops = ops;
    in->source->id = conf->common.id;
    in->source->host = &host;
    in->source->host_data = in;
    in->conf = conf;
    in->device = (struct device){
        .ops = &input_ops,
        .id = conf->common.id,
        .num_queues = QUEUES,
    };
    events_init(in);
    rc = kept_open(in, &why);
    if (rc < 0) {
        ops->close(in->source);
        free(in);
        return errs_adopt(e, c->at, NULL, &why);
    }
    *out = &in->device;
    return 0;
}

static unsigned input_queues(const void *conf)
{
    (void)conf;
    return QUEUES;
}

static void input_status(struct device *d, struct json_out *o)
{
    const struct input *in = input_of(d);
    const struct input_stats *s = &in->stats;

    json_add_str(o, "name", in->desc.name);
    json_add_bool(o, "listening", in->events.ring != NULL);
    json_add_u64(o, "frames", s->frames);
    json_add_u64(o, "events", s->events);
    json_add_u64(o, "queued_events", in->events.count);
    json_add_u64(o, "dropped_frames", s->dropped);
    json_add_u64(o, "refills", s->refills);
    json_add_u64(o, "status_events", s->status);
    json_add_u64(o, "bad_buffers", s->bad);
    json_begin(o, "source", '{');
    json_add_str(o, "type", in->source->ops->type);
    if (in->source->ops->describe)
        in->source->ops->describe(in->source, o);
    json_end(o, '}');
}

static const struct metric_family frames = {"vub_input_frames", METRIC_COUNTER,
                                            NULL,
                                            "Frames that the guest was given."};
static const struct metric_family events = {"vub_input_events", METRIC_COUNTER,
                                            NULL,
                                            "Events that the guest was given."};
static const struct metric_family queued = {
    "vub_input_queued_events", METRIC_GAUGE, NULL,
    "Events that wait for buffers of the guest."};
static const struct metric_family dropped = {
    "vub_input_dropped_frames", METRIC_COUNTER, NULL,
    "Frames that were dropped, for the guest was too slow."};
static const struct metric_family from_guest = {
    "vub_input_status_events", METRIC_COUNTER, NULL, "Events from the guest."};
static const struct metric_family bad = {
    "vub_input_bad_buffers", METRIC_COUNTER, NULL,
    "Buffers of the guest that were of no use."};

static void input_metrics(struct device *d, struct metrics *m)
{
    const struct input *in = input_of(d);
    const struct input_stats *s = &in->stats;

    metrics_add(m, &frames, s->frames, "%s", "");
    metrics_add(m, &events, s->events, "%s", "");
    metrics_add(m, &queued, in->events.count, "%s", "");
    metrics_add(m, &dropped, s->dropped, "%s", "");
    metrics_add(m, &from_guest, s->status, "%s", "");
    metrics_add(m, &bad, s->bad, "%s", "");
}

static const struct device_type input_type = {
    .open = input_open,
    .ready = input_ready,
    .queues = input_queues,
    .status = input_status,
    .metrics = input_metrics,
    .commands = input_commands,
    .default_worker = "input",
};

static void input_check(void *data, const char *at, struct errs *e)
{
    const struct input_conf *conf = data;

    if (conf->common.worker.count > 1)
        errs_at(e, at, "worker", "an input device runs on one worker, not %d",
                conf->common.worker.count);
}

static const struct conf_key input_keys[] = {
    {"source", CONF_UNION, CONF_AT(struct input_conf, source), .required = true,
     .of = &source_union,
     .help = "Where its events come from, and what it is."},
    {"name", CONF_STR, CONF_AT(struct input_conf, name), .min = 1, .max = 127,
     .help = "What the guest sees as the device's name, at most 127 bytes; "
             "Linux has room for 63. Default: the source's."},
    {"serial", CONF_STR, CONF_AT(struct input_conf, serial), .max = 127,
     .help = "What the guest sees as its serial number; Linux calls that "
             "\"uniq\". Default: the source's."},
    {"filter", CONF_TABLE, CONF_AT(struct input_conf, filter),
     .table = &filter_table,
     .help = "What the guest sees otherwise than the source has it."},
    {NULL},
};

const struct conf_table input_table = {
    .name = "input",
    .size = sizeof(struct input_conf),
    .keys = input_keys,
    .help = "A keyboard, mouse, tablet, touch screen or the like: "
            "virtio-input.",
    .check = input_check,
    .ops = &input_type,
};
