/* store/guard.h: lets work that might wait, and seldom does, run on a loop
 * while it does not.
 *
 * It is timed. Some that was slow sends all of its kind elsewhere for a while,
 * doubled each time up to a second. A thread that was preempted looks like one
 * that waited: no harm is done. One thread. */
#ifndef VUB_STORE_GUARD_H
#define VUB_STORE_GUARD_H

#include "base/base.h"
#include "loop/loop.h"

#define GUARD_LOOK_BYTES (16u << 10)

struct guard {
    /* What is slow: it exceeds the sum of these. */
    uint64_t slow_ns, slow_ns_per_kib;

    uint64_t last_ns;           /* when it looked at the clock; 0: no batch */
    uint64_t bytes;             /* of calls since then */
    uint64_t until_ns, away_ns; /* stay away until then; for how long it was */
};

/* After a call of len bytes. The clock is read once for a few small calls: the
 * end of these is the start of the next. */
void guard_called(struct guard *g, uint64_t len);
/* What follows is not to be timed. */
void guard_pause(struct guard *g);

/* May it run? If so it begins now. */
static inline bool guard_allows(struct guard *g)
{
    if (!g->last_ns)
        g->last_ns = loop_now_ns();
    return g->last_ns >= g->until_ns;
}

#endif
