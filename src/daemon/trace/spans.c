/* Load over time. A request adds to each span that it was under way in; a file
 * may have millions of requests that all last for hours, so what they add to
 * whole spans is noted where it begins and where it ends, and summed up once.
 */
#include <stdlib.h>

#include "daemon/trace/impl.h"

uint64_t trace_end_ns(const struct trace_set *s)
{
    uint64_t end = 1;

    for (size_t i = 0; i < s->num; i++)
        end = MAX(end, s->requests[i].done_ns);
    return end;
}

struct sweep {
    struct trace_span *spans;
    unsigned num, last; /* last: that was looked at */
    uint64_t width_ns, depth;
};

static unsigned index_of(const struct sweep *s, uint64_t ns)
{
    return (unsigned)MIN(ns / s->width_ns, (uint64_t)s->num - 1);
}

static void at(struct sweep *s, uint64_t ns, int change)
{
    unsigned now = index_of(s, ns);
    struct trace_span *span;

    while (s->last < now) {
        span = &s->spans[++s->last];
        span->depth_max = MAX(span->depth_max, s->depth);
    }
    span = &s->spans[s->last];
    s->depth = change > 0 ? s->depth + 1 : s->depth - 1;
    span->depth_max = MAX(span->depth_max, s->depth);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Requests are in the order of their begins; ends get one of their own. */
static bool find_max(struct sweep *s, const struct trace_set *set)
{
    uint64_t *ends = malloc((set->num + 1) * sizeof(*ends));
    size_t ended = 0;

    if (!ends)
        return false;
    for (size_t i = 0; i < set->num; i++)
        ends[i] = set->requests[i].done_ns;
    qsort(ends, set->num, sizeof(*ends), compare);
    for (size_t i = 0; i < set->num; i++) {
        while (ends[ended] < set->requests[i].submit_ns)
            at(s, ends[ended++], -1);
        at(s, set->requests[i].submit_ns, 1);
    }
    while (ended < set->num)
        at(s, ends[ended++], -1);
    free(ends);
    return true;
}

/* sums[i]: what all spans from i on have more than those before. */
static void add_depth(struct sweep *s, const struct trace_record *r,
                      int64_t *sums)
{
    unsigned a = index_of(s, r->submit_ns), b = index_of(s, r->done_ns);
    double width = (double)s->width_ns;

    if (a == b) {
        s->spans[a].depth += (double)trace_took_ns(r) / width;
        return;
    }
    s->spans[a].depth +=
        (double)(s->spans[a].from_ns + s->width_ns - r->submit_ns) / width;
    s->spans[b].depth += (double)(r->done_ns - s->spans[b].from_ns) / width;
    sums[a + 1]++;
    sums[b]--;
}

bool trace_spans(const struct trace_set *set, struct trace_span *out,
                 unsigned num)
{
    struct sweep s = {.spans = out, .num = num};
    int64_t *sums = calloc(num + 1, sizeof(*sums)), whole = 0;
    bool good;

    if (!sums)
        return false;
    s.width_ns = (trace_end_ns(set) + num - 1) / num;
    for (unsigned i = 0; i < num; i++)
        out[i] = (struct trace_span){.from_ns = i * s.width_ns};
    for (size_t i = 0; i < set->num; i++) {
        const struct trace_record *r = &set->requests[i];
        struct trace_span *span = &out[index_of(&s, r->submit_ns)];

        span->submitted++;
        if (r->op == STORE_READ)
            span->bytes_read += r->len;
        else if (r->op == STORE_WRITE)
            span->bytes_written += r->len;
        add_depth(&s, r, sums);
    }
    for (unsigned i = 0; i < num; i++) {
        whole += sums[i];
        out[i].depth += (double)whole;
    }
    good = find_max(&s, set);
    free(sums);
    return good;
}
