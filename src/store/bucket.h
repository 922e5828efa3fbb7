/* store/bucket.h: a token bucket.
 *
 * Tokens come at `rate` a second and are kept up to `depth`; what is done takes
 * as many as it costs, and waits until they are there. So in any stretch of T
 * seconds at most depth + rate * T are taken. Time is given by the caller, and
 * no fraction of a token is lost, however often somebody looks.
 * Threads: one at a time. For store/ only. */
#ifndef VUB_STORE_BUCKET_H
#define VUB_STORE_BUCKET_H

#include "base/base.h"

#define BUCKET_FOREVER_NS UINT64_C(3600000000000) /* an hour */

struct bucket {
    uint64_t rate; /* tokens a second; 0: there is no limit */
    uint64_t depth;
    uint64_t level; /* tokens that are there, at most depth */
    uint64_t part;  /* and billionths of the next one */
    uint64_t at_ns; /* as of then */
};

/* Tokens that are kept at most; burst 0: a tenth of a second's. Timers of a
 * loop are not exact, so it is never less than a hundredth's. */
uint64_t bucket_depth(uint64_t rate, uint64_t burst);
/* Another rate. One that had no limit before is full. */
void bucket_set(struct bucket *b, uint64_t rate, uint64_t burst,
                uint64_t now_ns);
/* What has come until now. An earlier now than before is no harm. */
void bucket_fill(struct bucket *b, uint64_t now_ns);
/* How long until there are n, at most depth, counted from the last fill; 0:
 * they are there. No more than BUCKET_FOREVER_NS. */
uint64_t bucket_wait_ns(const struct bucket *b, uint64_t n);
/* They are there. */
void bucket_take(struct bucket *b, uint64_t n);
/* What n tokens are worth in time; no more than BUCKET_FOREVER_NS. */
uint64_t bucket_worth_ns(const struct bucket *b, uint64_t n);

#endif
