/* base/histogram.h: how often which value came, within a quarter of a power of
 * two.
 *
 * A bucket for each value below 4; above, four of the same width for each power
 * of two: a value is known to within a quarter of itself, whatever its size.
 * 2^41 and more (37 minutes, of nanoseconds) count in the last one.
 * Threads: one writes; others read whenever they like, by histogram_read. */
#ifndef VUB_BASE_HISTOGRAM_H
#define VUB_BASE_HISTOGRAM_H

#include "base/base.h"

#define HISTOGRAM_BUCKETS 160

struct histogram {
    uint64_t sum, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_bucket(uint64_t value)
{
    unsigned power, bucket;

    if (value < 4)
        return (unsigned)value;
    power = 63 - (unsigned)__builtin_clzll(value);
    bucket = 4 * (power - 1) + (value >> (power - 2) & 3);
    return MIN(bucket, HISTOGRAM_BUCKETS - 1u);
}

/* The value came n times. */
static inline void histogram_add(struct histogram *h, uint64_t value,
                                 uint64_t n)
{
    uint64_t *bucket = &h->buckets[histogram_bucket(value)];

    __atomic_store_n(bucket, *bucket + n, __ATOMIC_RELAXED);
    __atomic_store_n(&h->sum, h->sum + value * n, __ATOMIC_RELAXED);
    if (value > h->max)
        __atomic_store_n(&h->max, value, __ATOMIC_RELAXED);
}

/* [any thread] *copy: what came so far, but for what comes meanwhile. */
void histogram_read(const struct histogram *h, struct histogram *copy);

/* The rest is of a copy. */

uint64_t histogram_count(const struct histogram *h);
/* The largest value that counts in a bucket; UINT64_MAX in the last one. */
uint64_t histogram_upto(unsigned bucket);
/* At least `millionths` of all values are at most this: 500000 for the median.
 * Not above max. 0 if there are none. */
uint64_t histogram_quantile(const struct histogram *h, uint32_t millionths);

#endif
