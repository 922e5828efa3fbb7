/* Reading is in no order with writing, so a copy may lack what its max or sum
 * has already: by as much as came while it was made. */
#include "base/histogram.h"

#define MILLION 1000000

void histogram_read(const struct histogram *h, struct histogram *copy)
{
    copy->sum = __atomic_load_n(&h->sum, __ATOMIC_RELAXED);
    copy->max = __atomic_load_n(&h->max, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        copy->buckets[i] = __atomic_load_n(&h->buckets[i], __ATOMIC_RELAXED);
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += h->buckets[i];
    return count;
}

uint64_t histogram_upto(unsigned bucket)
{
    unsigned power = bucket / 4 + 1;

    if (bucket < 4)
        return bucket;
    if (bucket >= HISTOGRAM_BUCKETS - 1)
        return UINT64_MAX;
    return ((uint64_t)(bucket % 4 + 5) << (power - 2)) - 1;
}

uint64_t histogram_quantile(const struct histogram *h, uint32_t millionths)
{
    uint64_t count = histogram_count(h), seen = 0;
    /* Rounded up, in parts: count may be anything. */
    uint64_t rest = count % MILLION * millionths;
    uint64_t wanted =
        count / MILLION * millionths + (rest + MILLION - 1) / MILLION;

    if (count == 0)
        return 0;
    wanted = MAX(wanted, UINT64_C(1));
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= wanted)
            return MIN(histogram_upto(i), h->max);
    }
    return h->max;
}
