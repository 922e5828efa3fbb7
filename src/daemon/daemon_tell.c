/* Who is told of what: lines of the log, events of the control socket, the
 * service manager, --ready-fd, and the keeper of an isolated device. */
#include "daemon/daemon_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf/text.h"
#include "iscsi/unit.h"
#include "os/keep.h"
#include "os/process.h"
#include "store/event.h"

/* ---- events ---- */

void daemon_tell_device(struct daemon *d, const struct served *s,
                        const char *event)
{
    struct json_out o = JSON_OUT_EMPTY;

    if (!control_wants_events(&d->control))
        return;
    json_add_str(&o, "event", event);
    json_add_str(&o, "device", s->common->id);
    control_event(&d->control, &o);
}

/* [any of the device's loops] */
static void on_event(struct served *s, const struct endpoint_event *event,
                     void *arg)
{
    static const char *const names[] = {
        [ENDPOINT_CONNECTED] = "connect",
        [ENDPOINT_DISCONNECTED] = "disconnect",
        [ENDPOINT_RING_BROKEN] = "ring.broken",
        [ENDPOINT_CONFIG_CHANGED] = "config",
    };
    struct daemon *d = arg;
    struct json_out o = JSON_OUT_EMPTY;

    if (event->what == ENDPOINT_CONNECTED)
        service_count(&d->service, 1);
    else if (event->what == ENDPOINT_DISCONNECTED)
        service_count(&d->service, -1);
    if (!control_wants_events(&d->control))
        return;
    json_add_str(&o, "event", names[event->what]);
    json_add_str(&o, "device", s->common->id);
    if (event->what == ENDPOINT_RING_BROKEN)
        json_add_u64(&o, "ring", event->ring);
    if (event->what == ENDPOINT_CONNECTED ||
        event->what == ENDPOINT_DISCONNECTED) {
        json_add_i64(&o, "pid", event->pid);
        json_add_u64(&o, "uid", event->uid);
    }
    if (event->why)
        json_add_str(&o, "why", event->why);
    control_event(&d->control, &o);
}

/* [the session's loop] */
static void on_iscsi(const struct iscsi_event *event, void *arg)
{
    struct daemon *d = arg;
    struct json_out o = JSON_OUT_EMPTY;

    if (!control_wants_events(&d->control))
        return;
    json_add_str(&o, "event", event->why ? "iscsi.lost" : "iscsi.back");
    json_add_str(&o, "device", event->device);
    json_add_str(&o, "target", event->target);
    json_add_str(&o, "portal", event->portal);
    if (event->why)
        json_add_str(&o, "why", event->why);
    else
        json_add_u64(&o, "down_ms", event->down_ms);
    control_event(&d->control, &o);
}

static bool wants_of_store(void *arg)
{
    return control_wants_events(&((struct daemon *)arg)->control);
}

/* [any of a device's loops] */
static void on_store(struct json_out *members, void *arg)
{
    control_event(&((struct daemon *)arg)->control, members);
}

/* What an isolated device tells of itself. */
static void on_told(struct served *s, struct json_out *members, void *arg)
{
    struct daemon *d = arg;

    (void)s;
    control_event(&d->control, members);
}

void daemon_tell_init(struct daemon *d)
{
    d->events.event = on_event;
    d->events.told = on_told;
}

void daemon_tell_open(struct daemon *d)
{
    iscsi_tell(on_iscsi, d);
    store_event_listen(wants_of_store, on_store, d);
}

void daemon_tell_close(void)
{
    iscsi_tell(NULL, NULL);
    store_event_listen(NULL, NULL, NULL);
}

/* ---- ready ---- */

/* "block, 2 queues on worker a, b". */
static void describe(const struct served *s, char *out, size_t room)
{
    const struct device_type *type = device_type_of(s->conf);
    int named = s->common->worker.count;
    unsigned queues = type->queues(s->conf->data);
    size_t len = 0;

    out[0] = '\0';
    text_add(out, room, &len, "%s, %u queue%s", s->conf->table->name, queues,
             queues == 1 ? "" : "s");
    if (s->isolated)
        text_add(out, room, &len, ", in a process of its own");
    if (named == 0 && type->default_worker)
        named = 1;
    for (unsigned i = 0; i < (unsigned)named && i < queues; i++)
        text_add(out, room, &len, "%s%s", i ? ", " : " on worker ",
                 workers_name(s->conf, i));
}

void daemon_tell_where(const struct served *s)
{
    char text[300];

    describe(s, text, sizeof(text));
    if (s->place.given < 0)
        log_info(s->common->id, "%s, at %s", text, s->place.path);
    else
        log_info(s->common->id, "%s, at fd %d%s%s", text, s->place.given,
                 s->place.path ? ", " : "", s->place.path ? s->place.path : "");
}

/* Of an isolated device: its keeper learns what the relay has to know. */
static void tell_keeper(struct daemon *d)
{
    const struct served *s = d->devices.list[0];
    struct json_out o = JSON_OUT_EMPTY;
    char digest[20], offered[20];

    keep_forget(s->common->id);
    json_add_bool(&o, "config_acts",
                  endpoint_device(s->endpoint)->ops->config_acts);
    snprintf(digest, sizeof(digest), "%" PRIx64,
             conf_digest(s->conf, &device_union));
    json_add_str(&o, "config", digest);
    snprintf(offered, sizeof(offered), "%" PRIx64,
             endpoint_offered(s->endpoint));
    json_add_str(&o, "offers", offered);
    if (!o.failed)
        control_tell_keeper(&d->control, "ready", o.text);
    json_out_free(&o);
}

void daemon_tell_ready(struct daemon *d)
{
    static const char line[] = "ready\n";
    int count = d->devices.count;

    if (d->how->isolated) {
        tell_keeper(d);
        return;
    }
    for (int i = 0; i < count; i++)
        daemon_tell_where(d->devices.list[i]);
    if (d->origin.pid)
        origin_tell(&d->origin, &d->take_over);
    log_info(NULL, "%d device%s ready", count, count == 1 ? "" : "s");
    service_ready(&d->service, (unsigned)count);
    if (d->ready_fd < 0)
        return;
    if (write(d->ready_fd, line, sizeof(line) - 1) < 0)
        log_warn(NULL, "nobody could be told on fd %d: %s", d->ready_fd,
                 strerror(errno));
    process_close_fd(d->ready_fd);
    d->ready_fd = -1;
}
