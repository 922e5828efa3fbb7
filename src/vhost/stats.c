/* Counters of rings, as JSON and for monitoring. They are read while the rings'
 * threads write them, so one may be a request further than another. */
#include "base/json_out.h"
#include "base/metrics.h"
#include "vhost/endpoint_impl.h"
#include "vhost/session.h"

static uint64_t load(const uint64_t *stat)
{
    return __atomic_load_n(stat, __ATOMIC_RELAXED);
}

static uint64_t in_flight(const struct ring_stats *s)
{
    uint64_t chains = load(&s->chains), taken = load(&s->taken);

    return taken > chains ? taken - chains : 0;
}

void stats_add_counters(struct json_out *o, const struct ring_stats *s)
{
    json_add_u64(o, "in_flight", in_flight(s));
    json_add_u64(o, "kicks", load(&s->kicks));
    json_add_u64(o, "calls", load(&s->calls));
    json_add_u64(o, "chains", load(&s->chains));
}

static void add_latency(struct json_out *o, const struct ring_stats *s)
{
    struct histogram h;

    histogram_read(&s->latency, &h);
    json_begin(o, "latency", '{');
    json_add_u64(o, "count", histogram_count(&h));
    json_add_u64(o, "sum_ns", h.sum);
    json_add_u64(o, "p50_ns", histogram_quantile(&h, 500000));
    json_add_u64(o, "p90_ns", histogram_quantile(&h, 900000));
    json_add_u64(o, "p99_ns", histogram_quantile(&h, 990000));
    json_add_u64(o, "p999_ns", histogram_quantile(&h, 999000));
    json_add_u64(o, "max_ns", h.max);
    json_begin(o, "buckets", '[');
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (h.buckets[i] == 0)
            continue;
        json_begin(o, NULL, '[');
        /* The last one has no end but what was seen. */
        json_add_u64(o, NULL,
                     i < HISTOGRAM_BUCKETS - 1 ? histogram_upto(i) : h.max);
        json_add_u64(o, NULL, h.buckets[i]);
        json_end(o, ']');
    }
    json_end(o, ']');
    json_end(o, '}');
}

void endpoint_stats(struct endpoint *ep, struct json_out *o)
{
    json_add_str(o, "state", endpoint_state(ep));
    json_begin(o, "rings", '[');
    for (unsigned i = 0; i < endpoint_device(ep)->num_queues; i++) {
        const struct ring_stats *s = endpoint_ring_stats(ep, i);

        json_begin(o, NULL, '{');
        json_add_u64(o, "index", i);
        stats_add_counters(o, s);
        add_latency(o, s);
        json_end(o, '}');
    }
    json_end(o, ']');
}

static const struct metric_family connected = {
    "vub_front_end_connected", METRIC_GAUGE, NULL,
    "Whether a front-end is connected to the device."};
static const struct metric_family running = {
    "vub_front_end_running", METRIC_GAUGE, NULL,
    "Whether any ring of the device runs."};
static const struct metric_family kicks = {"vub_ring_kicks", METRIC_COUNTER,
                                           NULL, "Kicks from the guest."};
static const struct metric_family calls = {"vub_ring_calls", METRIC_COUNTER,
                                           NULL, "Calls to the guest."};
static const struct metric_family chains = {
    "vub_ring_chains", METRIC_COUNTER, NULL,
    "Descriptor chains that were answered."};
static const struct metric_family flying = {
    "vub_ring_in_flight", METRIC_GAUGE, NULL,
    "Descriptor chains that are taken and not yet answered."};
static const struct metric_family latency = {
    "vub_ring_latency_seconds", METRIC_HISTOGRAM, "seconds",
    "Time from taking a descriptor chain to showing its answer, by batches."};

void endpoint_metrics(struct endpoint *ep, struct metrics *m)
{
    const struct session *session = endpoint_session(ep);

    metrics_add(m, &connected, session != NULL, "%s", "");
    metrics_add(m, &running, session && session_runs(session), "%s", "");
    for (unsigned i = 0; i < endpoint_device(ep)->num_queues; i++) {
        const struct ring_stats *s = endpoint_ring_stats(ep, i);

        metrics_add(m, &kicks, load(&s->kicks), "queue=\"%u\"", i);
        metrics_add(m, &calls, load(&s->calls), "queue=\"%u\"", i);
        metrics_add(m, &chains, load(&s->chains), "queue=\"%u\"", i);
        metrics_add(m, &flying, in_flight(s), "queue=\"%u\"", i);
        metrics_add_histogram(m, &latency, &s->latency, "queue=\"%u\"", i);
    }
}
