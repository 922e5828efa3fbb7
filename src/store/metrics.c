/* Labels of a sample: those of the place (device, unit), the filter's, and at
 * most one of what the filter counts by. */
#include "store/metrics.h"

#include <stdio.h>
#include <string.h>

void store_metric(const struct store_metrics_to *to,
                  const struct metric_family *f, uint64_t value)
{
    metrics_add_about(to->metrics, f, value, "filter", to->filter, "%s",
                      to->where);
}

void store_metric_of(const struct store_metrics_to *to,
                     const struct metric_family *f, uint64_t value,
                     const char *label, const char *of)
{
    metrics_add_about(to->metrics, f, value, "filter", to->filter,
                      "%s%s%s=\"%s\"", to->where, to->where[0] ? "," : "",
                      label, of);
}

bool store_is_label(const char *name)
{
    return name && name[0] && strspn(name, "0123456789") != strlen(name);
}

static bool is_alone(const struct store *top, const struct store *s)
{
    for (; top; top = store_next(top))
        if (top != s && top->name && strcmp(top->name, s->name) == 0)
            return false;
    return true;
}

void store_metrics(const struct store *s, struct metrics *m, const char *where)
{
    const struct store *top = s;
    char number[16];

    for (unsigned place = 0; s; s = store_next(s), place++) {
        struct store_metrics_to to = {m, where, s->name};

        if (!s->ops->metrics)
            continue;
        snprintf(number, sizeof(number), "%u", place);
        if (!store_is_label(s->name) || !is_alone(top, s))
            to.filter = number;
        s->ops->metrics(s, &to);
    }
}
