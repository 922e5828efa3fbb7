/* Numbers only: `stats` in JSON, and `metrics` as a monitoring system wants
 * them. What devices share, or have on several loops, has locks of its own and
 * is asked from here. */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/control/commands.h"
#include "daemon/control/gather.h"
#include "iscsi/unit.h"
#include "store/throttle.h"

/* ---- stats ---- */

static void ask_stats(struct served *s, struct found *f)
{
    gather_describe(s, f, endpoint_stats);
}

static void compose_stats(struct gather *g, struct json_out *o)
{
    json_begin(o, "devices", '[');
    for (int i = 0; i < g->count; i++) {
        const struct part *p = &g->parts[i];

        if (!gather_tells(g, p))
            continue;
        json_begin(o, NULL, '{');
        json_add_str(o, "id", p->served->common->id);
        json_add_str(o, "type", p->served->conf->table->name);
        json_add_bool(o, "answers", p->found != NULL);
        if (p->found)
            json_add_raw(o, NULL, p->found->out.text);
        iscsi_stats(p->served->common->id, o);
        json_end(o, '}');
    }
    json_end(o, ']');
    throttle_status(o, gather_only(g));
}

const struct gather_kind gather_stats = {GATHER_STATS, ask_stats,
                                         compose_stats};

void stats_run(struct request *r)
{
    gather_run(r, &gather_stats);
}

/* ---- metrics ---- */

static const struct metric_family version = {"vub_version", METRIC_GAUGE, NULL,
                                             "The version of vub, as a label."};
static const struct metric_family answers = {
    "vub_device_answers", METRIC_GAUGE, NULL,
    "Whether the worker of the device has answered in time. If not, little "
    "else is told of it."};

static void ask_metrics(struct served *s, struct found *f)
{
    const struct device_type *type = device_type_of(s->conf);
    struct endpoint *ep = served_endpoint(s);

    if (!ep)
        return;
    endpoint_metrics(ep, &f->metrics);
    if (type->metrics)
        type->metrics(endpoint_device(ep), &f->metrics);
}

/* list: of the program, then of each device what we say of it and what it says
 * itself. */
static int write_metrics(struct gather *g, struct metrics_of *list,
                         struct metrics *own, FILE *file)
{
    size_t n = 0;

    metrics_add(&own[0], &version, 1, "version=\"%s\"", VUB_VERSION);
    throttle_metrics(&own[0], gather_only(g));
    list[n++] = (struct metrics_of){NULL, &own[0]};
    for (int i = 0; i < g->count; i++) {
        const struct part *p = &g->parts[i];
        const char *id = p->served->common->id;

        if (!gather_tells(g, p))
            continue;
        metrics_add(&own[i + 1], &answers, p->found != NULL, "type=\"%s\"",
                    p->served->conf->table->name);
        throttle_metrics_of_user(&own[i + 1], id);
        iscsi_metrics(id, &own[i + 1]);
        list[n++] = (struct metrics_of){id, &own[i + 1]};
        list[n++] =
            (struct metrics_of){id, p->found ? &p->found->metrics : NULL};
    }
    return metrics_write(file, list, n);
}

static void compose_metrics(struct gather *g, struct json_out *o)
{
    size_t count = (size_t)g->count;
    struct metrics_of *list = calloc(2 * count + 1, sizeof(*list));
    struct metrics *own = calloc(count + 1, sizeof(*own));
    char *text = NULL;
    size_t len;
    FILE *file = open_memstream(&text, &len);
    bool failed = !list || !own || !file;

    if (!failed)
        failed = write_metrics(g, list, own, file) < 0;
    if (file && fclose(file) != 0)
        failed = true;
    if (failed) {
        o->failed = true; /* it is told that there is no memory */
    } else {
        json_add_str(o, "content_type",
                     "application/openmetrics-text; version=1.0.0; "
                     "charset=utf-8");
        json_add_str(o, "text", text);
    }
    for (size_t i = 0; own && i <= count; i++)
        metrics_free(&own[i]);
    free(own);
    free(list);
    free(text);
}

const struct gather_kind gather_metrics = {GATHER_METRICS, ask_metrics,
                                           compose_metrics};

void metrics_run(struct request *r)
{
    gather_run(r, &gather_metrics);
}
