/* What `status` tells of each device: all there is to know. */
#include <unistd.h>

#include "daemon/confine.h"
#include "daemon/control/commands.h"
#include "daemon/control/gather.h"
#include "daemon/isolate.h"
#include "store/throttle.h"

static void ask(struct served *s, struct found *f)
{
    gather_describe(s, f, endpoint_status);
}

/* What the config says of a device. */
static void add_known(struct json_out *o, const struct served *s)
{
    unsigned queues = device_type_of(s->conf)->queues(s->conf->data);
    unsigned named = MAX((unsigned)s->common->worker.count, 1u);

    if (s->place.path)
        json_add_str(o, "socket", s->place.path);
    if (s->place.given >= 0)
        json_add_u64(o, "fd", (uint64_t)s->place.given);
    json_begin(o, "workers", '[');
    for (unsigned i = 0; i < MIN(queues, named); i++)
        json_add_str(o, NULL, workers_name(s->conf, i));
    json_end(o, ']');
}

/* For a keeper: of our one device. */
static void compose_own(struct gather *g, struct json_out *o)
{
    gather_add_found(&g->parts[0], o);
    confine_status(o);
    gather_add_own_throttles(o);
}

static void add_device(const struct part *p, struct json_out *o)
{
    add_known(o, p->served);
    gather_add_found(p, o);
    if (p->served->isolated)
        isolate_status(p->served->isolated, o);
}

static void compose(struct gather *g, struct json_out *o)
{
    if (g->r->control->keeper_gone) {
        compose_own(g, o);
        return;
    }
    json_add_str(o, "version", VUB_VERSION);
    json_add_i64(o, "pid", getpid());
    origin_status(g->r->control->origin, o);
    json_add_str(o, "log_level", log_level_words[log_level()]);
    confine_status(o);
    gather_add_devices(g, o, add_device);
    gather_add_throttles(g, o);
}

const struct gather_kind gather_status = {GATHER_STATUS, ask, compose, "status",
                                          gather_read_process};

void status_run(struct request *r)
{
    gather_run(r, &gather_status);
}
