/* store/metrics.h: numbers of filters, for those who draw curves of them.
 *
 * A sample of a filter has labels beside its device's: `filter`, which is the
 * filter's name, or its place in the stack, from the top, from 0 on, and what
 * the filter adds. For store/ only; others call store_metrics.
 * Threads: [home] of the device. */
#ifndef VUB_STORE_METRICS_H
#define VUB_STORE_METRICS_H

#include "base/metrics.h"
#include "store/store.h"

/* To whom a filter tells. */
struct store_metrics_to {
    struct metrics *metrics;
    const char *where;  /* labels; "": none */
    const char *filter; /* the value of that label */
};

void store_metric(const struct store_metrics_to *to,
                  const struct metric_family *f, uint64_t value);
/* With one label more, whose value needs no escape. */
void store_metric_of(const struct store_metrics_to *to,
                     const struct metric_family *f, uint64_t value,
                     const char *label, const char *of);

/* May a name that a config gives be told instead of a number? Not if it could
 * be taken for one. */
bool store_is_label(const char *name);

#endif
