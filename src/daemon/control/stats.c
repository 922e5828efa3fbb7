/* `stats`: numbers only, in JSON. What devices share, or have on several loops,
 * has locks of its own and is asked from here. */
#include "daemon/control/commands.h"
#include "daemon/control/gather.h"
#include "iscsi/unit.h"

static void ask_stats(struct served *s, struct found *f)
{
    gather_describe(s, f, endpoint_stats);
}

/* For a keeper: of our one device. */
static void compose_own(struct gather *g, struct json_out *o)
{
    gather_add_found(&g->parts[0], o);
    iscsi_stats(g->parts[0].served->common->id, o);
    gather_add_own_throttles(o);
}

static void compose_stats(struct gather *g, struct json_out *o)
{
    if (g->r->control->keeper_gone) {
        compose_own(g, o);
        return;
    }
    json_begin(o, "devices", '[');
    for (int i = 0; i < g->count; i++) {
        const struct part *p = &g->parts[i];

        if (!gather_tells(g, p))
            continue;
        json_begin(o, NULL, '{');
        json_add_str(o, "id", p->served->common->id);
        json_add_str(o, "type", p->served->conf->table->name);
        gather_add_found(p, o);
        iscsi_stats(p->served->common->id, o);
        json_end(o, '}');
    }
    json_end(o, ']');
    gather_add_throttles(g, o);
}

const struct gather_kind gather_stats = {GATHER_STATS, ask_stats, compose_stats,
                                         "stats", gather_read_process};

void stats_run(struct request *r)
{
    gather_run(r, &gather_stats);
}
