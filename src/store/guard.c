/* See guard.h. */
#include "store/guard.h"

#define MS UINT64_C(1000000)
#define AWAY_MIN_NS (2 * MS)
#define AWAY_MAX_NS (1000 * MS)

static void stay_away(struct guard *g, uint64_t now_ns)
{
    uint64_t good_ns = now_ns - g->until_ns;

    /* It has behaved for as long as it was kept away: forgiven. */
    g->away_ns = good_ns > g->away_ns ? 0 : g->away_ns * 2;
    g->away_ns = MIN(MAX(g->away_ns, AWAY_MIN_NS), AWAY_MAX_NS);
    g->until_ns = now_ns + g->away_ns;
}

static void look_at_clock(struct guard *g)
{
    uint64_t now_ns = loop_now_ns();
    uint64_t slow_ns = g->slow_ns + g->slow_ns_per_kib * (g->bytes >> 10);

    if (UNLIKELY(now_ns - g->last_ns > slow_ns))
        stay_away(g, now_ns);
    g->last_ns = now_ns;
    g->bytes = 0;
}

void guard_called(struct guard *g, uint64_t len)
{
    g->bytes += len;
    if (g->bytes >= GUARD_LOOK_BYTES)
        look_at_clock(g);
}

void guard_pause(struct guard *g)
{
    if (g->bytes)
        look_at_clock(g);
    g->last_ns = 0;
}
