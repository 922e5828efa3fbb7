/* base/metrics.h: numbers for those who draw curves of them, in the text form
 * of OpenMetrics.
 *
 * Spec: OpenMetrics 1.0, "Text Format". Whoever has numbers adds samples to a
 * struct metrics; whoever wants the text gathers those of all devices, for the
 * samples of a family must come together. A family is known by its name.
 * There are only types that Prometheus's older text format has too: to readers
 * of that, node_exporter for one, what else differs is a comment.
 * Threads: any, one per struct. */
#ifndef VUB_BASE_METRICS_H
#define VUB_BASE_METRICS_H

#include <stdio.h>

#include "base/histogram.h"

struct metric_family {
    const char *name; /* without what its type puts behind: "vub_ring_kicks" */
    enum { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM } type;
    const char *unit; /* the end of its name, "bytes"; NULL: none. Values of
                       * "seconds" are nanoseconds, and told in seconds */
    const char *help; /* a sentence */
};

struct metric {
    const struct metric_family *family;
    const char *label; /* its value is what is told about; NULL: none */
    char *about;       /* owned */
    char labels[80];   /* name="value",...: as the text has it */
    uint64_t value;
    struct histogram *histogram; /* of that type; owned */
};

/* What one device has. */
struct metrics {
    struct metric *list;
    size_t count, room;
    bool failed; /* no memory: nothing more is added */
};

#define METRICS_EMPTY ((struct metrics){NULL, 0, 0, false})

/* labels: "queue=\"%u\"", without the device's; what is put in needs no escape.
 */
void metrics_add(struct metrics *m, const struct metric_family *f,
                 uint64_t value, const char *labels, ...) PRINTF_LIKE(4, 5);
/* A sample with one label more, whose value may be any text. */
void metrics_add_about(struct metrics *m, const struct metric_family *f,
                       uint64_t value, const char *label, const char *about,
                       const char *labels, ...) PRINTF_LIKE(6, 7);
/* Reads h, which may be written to meanwhile. */
void metrics_add_histogram(struct metrics *m, const struct metric_family *f,
                           const struct histogram *h, const char *labels, ...)
    PRINTF_LIKE(4, 5);
void metrics_free(struct metrics *m); /* m is empty then */
/* The same, of somebody who has it as numbers: takes h; frees it if it fails.
 */
void metrics_add_copy(struct metrics *m, const struct metric_family *f,
                      struct histogram *h, const char *labels, ...)
    PRINTF_LIKE(4, 5);

/* For another process of ours: adds elements to a list. */
struct json_out;
void metrics_tell(const struct metrics *m, struct json_out *o);

/* What is told, by whom: device NULL: by no device. */
struct metrics_of {
    const char *device;
    const struct metrics *metrics; /* NULL: nothing */
};

/* All of it. -ENOMEM, then what is in f is of no use. */
int metrics_write(FILE *f, const struct metrics_of *of, size_t count);

#endif
