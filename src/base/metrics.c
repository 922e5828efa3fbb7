/* Families come in the order in which they are first met, each with its
 * samples of all devices.
 *
 * A histogram of ours has 160 buckets, which would be as many curves for each
 * ring. Told are bounds at powers of two, which lie between buckets: le is the
 * first value above, so a value that is exactly that counts one further. */
#include "base/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"

/* The bounds: from 256 ns to 17 s. */
#define BOUND_MIN 8
#define BOUND_MAX 34

#define NS_PER_S UINT64_C(1000000000)

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

void metrics_add_histogram(struct metrics *m, const struct metric_family *f,
                           const struct histogram *h, const char *labels, ...)
{
    struct histogram *copy = malloc(sizeof(*copy));
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
        histogram_read(h, copy);
        metric->histogram = copy;
    } else {
        free(copy);
    }
}

void metrics_add_copy(struct metrics *m, const struct metric_family *f,
                      struct histogram *h, const char *labels, ...)
{
    struct metric *metric;
    va_list ap;

    va_start(ap, labels);
    metric = add(m, f, labels, ap);
    va_end(ap);
    if (metric)
        metric->histogram = h;
    else
        free(h);
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

/* ---- writing ---- */

static void put_escaped(FILE *f, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            fputs("\\n", f);
        else if (*text == '"' || *text == '\\')
            fprintf(f, "\\%c", *text);
        else
            putc(*text, f);
    }
}

/* separator: "{" before the first label, then ",". */
static void put_label(FILE *f, const char **separator, const char *name,
                      const char *value)
{
    if (!value)
        return;
    fprintf(f, "%s%s=\"", *separator, name);
    put_escaped(f, value);
    putc('"', f);
    *separator = ",";
}

static void put_text(FILE *f, const char **separator, const char *labels)
{
    if (!labels[0])
        return;
    fprintf(f, "%s%s", *separator, labels);
    *separator = ",";
}

/* The labels, and one more; without a label nothing at all. */
static void put_labels(FILE *f, const char *device, const struct metric *m,
                       const char *more)
{
    const char *separator = "{";

    put_label(f, &separator, "device", device);
    put_label(f, &separator, m->label, m->about);
    put_text(f, &separator, m->labels);
    put_text(f, &separator, more);
    if (*separator == ',')
        putc('}', f);
}

static void put_seconds(FILE *f, uint64_t ns)
{
    fprintf(f, "%" PRIu64 ".%09" PRIu64, ns / NS_PER_S, ns % NS_PER_S);
}

static void put_histogram(FILE *f, const char *device, const struct metric *m)
{
    const struct histogram *h = m->histogram;
    const char *name = m->family->name;
    uint64_t seen = 0;
    unsigned at = 0;
    char le[48];

    for (unsigned power = BOUND_MIN; power <= BOUND_MAX; power++) {
        uint64_t bound = UINT64_C(1) << power;

        while (at < HISTOGRAM_BUCKETS && histogram_upto(at) < bound)
            seen += h->buckets[at++];
        snprintf(le, sizeof(le), "le=\"%" PRIu64 ".%09" PRIu64 "\"",
                 bound / NS_PER_S, bound % NS_PER_S);
        fprintf(f, "%s_bucket", name);
        put_labels(f, device, m, le);
        fprintf(f, " %" PRIu64 "\n", seen);
    }
    while (at < HISTOGRAM_BUCKETS)
        seen += h->buckets[at++];
    fprintf(f, "%s_bucket", name);
    put_labels(f, device, m, "le=\"+Inf\"");
    fprintf(f, " %" PRIu64 "\n%s_count", seen, name);
    put_labels(f, device, m, "");
    fprintf(f, " %" PRIu64 "\n%s_sum", seen, name);
    put_labels(f, device, m, "");
    putc(' ', f);
    put_seconds(f, h->sum);
    putc('\n', f);
}

static void put_metric(FILE *f, const char *device, const struct metric *m)
{
    static const char *const endings[] = {
        [METRIC_COUNTER] = "_total", [METRIC_GAUGE] = ""};

    if (m->histogram) {
        put_histogram(f, device, m);
        return;
    }
    fprintf(f, "%s%s", m->family->name, endings[m->family->type]);
    put_labels(f, device, m, "");
    putc(' ', f);
    if (m->family->unit && strcmp(m->family->unit, "seconds") == 0)
        put_seconds(f, m->value);
    else
        fprintf(f, "%" PRIu64, m->value);
    putc('\n', f);
}

static void put_family(FILE *f, const struct metric_family *family,
                       const struct metrics_of *of, size_t count)
{
    static const char *const types[] = {[METRIC_COUNTER] = "counter",
                                        [METRIC_GAUGE] = "gauge",
                                        [METRIC_HISTOGRAM] = "histogram"};

    fprintf(f, "# HELP %s ", family->name);
    put_escaped(f, family->help);
    fprintf(f, "\n# TYPE %s %s\n", family->name, types[family->type]);
    if (family->unit)
        fprintf(f, "# UNIT %s %s\n", family->name, family->unit);
    for (size_t i = 0; i < count; i++) {
        const struct metrics *m = of[i].metrics;

        for (size_t j = 0; m && j < m->count; j++)
            if (strcmp(m->list[j].family->name, family->name) == 0)
                put_metric(f, of[i].device, &m->list[j]);
    }
}

/* Families that were written. */
struct written {
    const struct metric_family **list;
    size_t count, room;
};

/* 1: it is new; 0: it is not. */
static int note(struct written *w, const struct metric_family *family)
{
    const struct metric_family **list;
    size_t room;

    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->list[i]->name, family->name) == 0)
            return 0;
    if (w->count == w->room) {
        room = w->room ? 2 * w->room : 64;
        list = realloc(w->list, room * sizeof(const struct metric_family *));
        if (!list)
            return -ENOMEM;
        w->list = list;
        w->room = room;
    }
    w->list[w->count++] = family;
    return 1;
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

/* ---- all ---- */

int metrics_write(FILE *f, const struct metrics_of *of, size_t count)
{
    struct written w = {0};
    int rc = 0;

    for (size_t i = 0; rc >= 0 && i < count; i++) {
        const struct metrics *m = of[i].metrics;

        if (m && m->failed)
            rc = -ENOMEM;
        for (size_t j = 0; m && rc >= 0 && j < m->count; j++) {
            rc = note(&w, m->list[j].family);
            if (rc > 0)
                put_family(f, m->list[j].family, of, count);
        }
    }
    fputs("# EOF\n", f);
    free(w.list);
    return MIN(rc, 0);
}
