/* The arithmetic. Rates and levels go up to 2^62, times to what a clock says,
 * and products of both do not fit into 64 bits: they are made in parts, none of
 * which is lost. */
#include "store/bucket.h"

#include <assert.h>

#define SECOND UINT64_C(1000000000)

uint64_t bucket_depth(uint64_t rate, uint64_t burst)
{
    uint64_t depth = burst ? MAX(burst, rate / 100) : rate / 10;

    return MAX(depth, 1u);
}

void bucket_set(struct bucket *b, uint64_t rate, uint64_t burst,
                uint64_t now_ns)
{
    uint64_t depth = bucket_depth(rate, burst);

    if (b->rate) {
        bucket_fill(b, now_ns);
        b->level = MIN(b->level, depth);
    } else {
        b->level = depth;
        b->part = 0;
        b->at_ns = now_ns;
    }
    b->rate = rate;
    b->depth = depth;
}

static void fill_up(struct bucket *b)
{
    b->level = b->depth;
    b->part = 0;
}

void bucket_fill(struct bucket *b, uint64_t now_ns)
{
    uint64_t seconds, ns, come;

    if (b->rate == 0 || now_ns <= b->at_ns)
        return;
    seconds = (now_ns - b->at_ns) / SECOND;
    ns = (now_ns - b->at_ns) % SECOND;
    b->at_ns = now_ns;
    if (b->level == b->depth)
        return;
    if (__builtin_mul_overflow(seconds, b->rate, &come) ||
        come >= b->depth - b->level) {
        fill_up(b);
        return;
    }
    b->level += come;
    /* rate * ns / SECOND, of which the first part is whole. */
    b->part += b->rate % SECOND * ns;
    come = b->rate / SECOND * ns + b->part / SECOND;
    b->part %= SECOND;
    if (come >= b->depth - b->level)
        fill_up(b);
    else
        b->level += come;
}

/* n tokens in time, rounded up. */
static uint64_t time_for(const struct bucket *b, uint64_t n)
{
    uint64_t seconds = n / b->rate, rest = n % b->rate, rate = b->rate;

    if (seconds >= BUCKET_FOREVER_NS / SECOND)
        return BUCKET_FOREVER_NS;
    while (rate > UINT32_MAX) { /* a few billionths off, upwards */
        rate >>= 1;
        rest = (rest >> 1) + 1;
    }
    return seconds * SECOND + (rest * SECOND + rate - 1) / rate;
}

uint64_t bucket_wait_ns(const struct bucket *b, uint64_t n)
{
    if (b->rate == 0 || b->level >= n)
        return 0;
    assert(n <= b->depth);
    return MAX(time_for(b, n - b->level) - b->part / b->rate, 1u);
}

void bucket_take(struct bucket *b, uint64_t n)
{
    if (b->rate == 0)
        return;
    assert(n <= b->level);
    b->level -= n;
}

uint64_t bucket_worth_ns(const struct bucket *b, uint64_t n)
{
    return b->rate ? time_for(b, n) : 0;
}
