/* Families come in the order in which they are first met, each with its
 * samples of all devices.
 *
 * A histogram of ours has 160 buckets, which would be as many curves for each
 * ring. Told are bounds at powers of two, which lie between buckets: le is the
 * first value above, so a value that is exactly that counts one further. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"

/* The bounds: from 256 ns to 17 s. */
#define BOUND_MIN 8
#define BOUND_MAX 34

#define NS_PER_S UINT64_C(1000000000)

/* ---- a sample ---- */

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

/* ---- all of them ---- */

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
