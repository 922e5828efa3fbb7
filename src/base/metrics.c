/* Samples are collected in a list, each with the text of its labels, and told
 * from there: as the text of OpenMetrics (metrics_write.c), or here to another
 * process of ours, which puts them into a list of its own. */
#include "base/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"

/* ---- collecting ---- */

static struct metric *add(struct metrics *m, const struct metric_family *f,
                          const char *labels, va_list ap)
{
    struct metric *list;
    size_t room;
    int len;

    if (m->failed)
        return NULL;
    if (m->count == m->room) {
        room = m->room ? 2 * m->room : 32;
        list = realloc(m->list, room * sizeof(*list));
        if (!list) {
            m->failed = true;
            return NULL;
        }
        m->list = list;
        m->room = room;
    }
    list = &m->list[m->count];
    *list = (struct metric){.family = f};
    len = vsnprintf(list->labels, sizeof(list->labels), labels, ap);
    if (len < 0 || (size_t)len >= sizeof(list->labels))
        return NULL; /* half a label would spoil all */
    m->count++;
    return list;
}

void metrics_add(struct metrics *m, const struct metric_family *f,
                 uint64_t value, const char *labels, ...)
{
    struct metric *metric;
    va_list ap;

    va_start(ap, labels);
    metric = add(m, f, labels, ap);
    va_end(ap);
    if (metric)
        metric->value = value;
}

void metrics_add_about(struct metrics *m, const struct metric_family *f,
                       uint64_t value, const char *label, const char *about,
                       const char *labels, ...)
{
    char *copy = strdup(about);
    struct metric *metric;
    va_list ap;

    if (!copy) {
        m->failed = true;
        return;
    }
    va_start(ap, labels);
    metric = add(m, f, labels, ap);
    va_end(ap);
    if (metric) {
        metric->value = value;
        metric->label = label;
        metric->about = copy;
    } else {
        free(copy);
    }
}

/* Takes h. */
static void add_histogram(struct metrics *m, const struct metric_family *f,
                          struct histogram *h, const char *labels, va_list ap)
{
    struct metric *metric = add(m, f, labels, ap);

    if (metric)
        metric->histogram = h;
    else
        free(h);
}

void metrics_add_histogram(struct metrics *m, const struct metric_family *f,
                           const struct histogram *h, const char *labels, ...)
{
    struct histogram *copy = malloc(sizeof(*copy));
    va_list ap;

    if (!copy) {
        m->failed = true;
        return;
    }
    histogram_read(h, copy);
    va_start(ap, labels);
    add_histogram(m, f, copy, labels, ap);
    va_end(ap);
}

void metrics_add_copy(struct metrics *m, const struct metric_family *f,
                      struct histogram *h, const char *labels, ...)
{
    va_list ap;

    va_start(ap, labels);
    add_histogram(m, f, h, labels, ap);
    va_end(ap);
}

void metrics_free(struct metrics *m)
{
    for (size_t i = 0; i < m->count; i++) {
        free(m->list[i].about);
        free(m->list[i].histogram);
    }
    free(m->list);
    *m = METRICS_EMPTY;
}

/* ---- for another process ---- */

/* Numbers as texts: those of JSON have 53 bits. */
static void tell_number(struct json_out *o, const char *key, uint64_t n)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, n);
    json_add_str(o, key, text);
}

static void tell_histogram(struct json_out *o, const struct histogram *h)
{
    tell_number(o, "sum", h->sum);
    json_begin(o, "buckets", '[');
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (!h->buckets[i])
            continue;
        json_begin(o, NULL, '{');
        json_add_u64(o, "at", i);
        tell_number(o, "count", h->buckets[i]);
        json_end(o, '}');
    }
    json_end(o, ']');
}

void metrics_tell(const struct metrics *m, struct json_out *o)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct metric *metric = &m->list[i];

        json_begin(o, NULL, '{');
        json_add_str(o, "name", metric->family->name);
        json_add_u64(o, "type", metric->family->type);
        if (metric->family->unit)
            json_add_str(o, "unit", metric->family->unit);
        json_add_str(o, "help", metric->family->help);
        json_add_str(o, "labels", metric->labels);
        if (metric->label) {
            json_add_str(o, "label", metric->label);
            json_add_str(o, "about", metric->about);
        }
        if (metric->histogram)
            tell_histogram(o, metric->histogram);
        else
            tell_number(o, "value", metric->value);
        json_end(o, '}');
    }
}
