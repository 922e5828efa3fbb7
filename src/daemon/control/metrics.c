/* `metrics`: the numbers of `stats`, as a monitoring system wants them.
 *
 * Three tell of a device: we, from here; what shares something among devices,
 * and has locks of its own; and the device, on its loop. Each adds to a list of
 * its own, and the lists become one text. A keeper gets its child's as numbers,
 * since those of a family stand together (process_metrics.c). */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/control/commands.h"
#include "daemon/control/gather.h"
#include "daemon/isolate.h"
#include "iscsi/unit.h"
#include "store/throttle.h"

static const struct metric_family version = {"vub_version", METRIC_GAUGE, NULL,
                                             "The version of vub, as a label."};
static const struct metric_family answers = {
    "vub_device_answers", METRIC_GAUGE, NULL,
    "Whether the worker of the device has answered in time. If not, little "
    "else is told of it."};

static const struct metric_family restarts = {
    "vub_device_restarts", METRIC_COUNTER, NULL,
    "How often the process of an isolated device has been started again."};

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
    for (int i = 0; i < g->count; i++)
        if (g->parts[i].found && gather_tells(g, &g->parts[i]))
            list[n++] = (struct metrics_of){NULL, &g->parts[i].found->common};
    for (int i = 0; i < g->count; i++) {
        const struct part *p = &g->parts[i];
        const char *id = p->served->common->id;

        if (!gather_tells(g, p))
            continue;
        metrics_add(&own[i + 1], &answers, p->found != NULL, "type=\"%s\"",
                    p->served->conf->table->name);
        if (p->served->isolated)
            metrics_add(&own[i + 1], &restarts,
                        isolate_restarts(p->served->isolated), "%s", "");
        throttle_metrics_of_user(&own[i + 1], id);
        iscsi_metrics(id, &own[i + 1]);
        list[n++] = (struct metrics_of){id, &own[i + 1]};
        list[n++] =
            (struct metrics_of){id, p->found ? &p->found->metrics : NULL};
    }
    return metrics_write(file, list, n);
}

static void compose_text(struct gather *g, struct json_out *o)
{
    size_t count = (size_t)g->count;
    struct metrics_of *list = calloc(3 * count + 1, sizeof(*list));
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

/* For a keeper: what is told of our one device, and what of no device. */
static void compose_own_metrics(struct gather *g, struct json_out *o)
{
    const struct part *p = &g->parts[0];
    struct metrics own = METRICS_EMPTY, common = METRICS_EMPTY;

    throttle_metrics(&common, NULL);
    throttle_metrics_of_user(&own, p->served->common->id);
    iscsi_metrics(p->served->common->id, &own);
    o->failed |= own.failed || common.failed;
    json_begin(o, "metrics", '[');
    if (p->found)
        metrics_tell(&p->found->metrics, o);
    metrics_tell(&own, o);
    json_end(o, ']');
    json_begin(o, "common", '[');
    metrics_tell(&common, o);
    json_end(o, ']');
    metrics_free(&own);
    metrics_free(&common);
}

static void compose_metrics(struct gather *g, struct json_out *o)
{
    if (!g->r->control->keeper_gone)
        compose_text(g, o);
    else
        compose_own_metrics(g, o);
}

const struct gather_kind gather_metrics = {GATHER_METRICS, ask_metrics,
                                           compose_metrics, "metrics",
                                           process_metrics_read};

void metrics_run(struct request *r)
{
    gather_run(r, &gather_metrics);
}
