/* daemon/watchdog.h: minds the workers while they work: one that does not come
 * back is interrupted, and told of. Threads: the main one. */
#ifndef VUB_DAEMON_WATCHDOG_H
#define VUB_DAEMON_WATCHDOG_H

#include "daemon/workers.h"
#include "loop/timer.h"

struct watchdog {
    struct workers *workers;
    /* So many workers do not come back; set after open, NULL: nobody asks. */
    void (*stuck)(struct watchdog *w, unsigned workers);
    unsigned num_stuck;
    uv_async_t begins; /* some worker does */
    struct timer timer;
    bool runs;
};

/* Before the first worker is made. Nothing to close on failure. */
int watchdog_open(struct watchdog *w, struct loop *main,
                  struct workers *workers, struct err *e);
/* Which worker has computed longest without coming back, worker.busy_ms; NULL:
 * none has, as far as was looked at. */
const struct worker *watchdog_busiest(const struct watchdog *w);
/* The workers have ended; before loop_close. Safe on a zero struct, which it
 * is after. The handles go with the loop. */
void watchdog_close(struct watchdog *w);

#endif
