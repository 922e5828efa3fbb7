/* `stats`: numbers only, in JSON. What devices share, or have on several loops,
 * has locks of its own and is asked from here. */
#include "daemon/control/commands.h"
#include "daemon/control/gather.h"
#include "iscsi/unit.h"

static void ask_stats(struct served *s, struct found *f)
{
    gather_describe(s, f, endpoint_stats);
}

static void add_device(const struct part *p, struct json_out *o)
{
    gather_add_found(p, o);
    iscsi_stats(p->served->common->id, o);
}

/* For a keeper: of our one device. */
static void compose_own(struct gather *g, struct json_out *o)
{
    add_device(&g->parts[0], o);
    gather_add_own_throttles(o);
}

static void compose_stats(struct gather *g, struct json_out *o)
{
    if (g->r->control->keeper_gone) {
        compose_own(g, o);
        return;
    }
    gather_add_devices(g, o, add_device);
    gather_add_throttles(g, o);
}

const struct gather_kind gather_stats = {GATHER_STATS, ask_stats, compose_stats,
                                         "stats", gather_read_process};

void stats_run(struct request *r)
{
    gather_run(r, &gather_stats);
}
