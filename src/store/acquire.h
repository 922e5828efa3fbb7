/* store/acquire.h: takes the image lock of a store, with patience.
 *
 * Another program may have the lock for a good reason that ends soon: a guest
 * that migrates has two back-ends for a moment, and the kernel keeps the lock
 * of a process that was killed until its last write is over. So it is tried
 * again every STORE_ACQUIRE_MS, STORE_ACQUIRE_TRIES times. Threads: the
 * device's home loop. */
#ifndef VUB_STORE_ACQUIRE_H
#define VUB_STORE_ACQUIRE_H

#include "base/log.h"
#include "loop/timer.h"
#include "store/store.h"

#define STORE_ACQUIRE_MS 100
#define STORE_ACQUIRE_TRIES 100

struct store_acquire {
    /* Set before the first start: */
    struct store *store;
    struct loop *loop;
    /* It is taken (e NULL), or will not be. Once for each start, perhaps from
     * inside it. */
    void (*done)(struct store_acquire *a, const struct err *e);
    void (*gone)(struct store_acquire *a); /* of close */

    struct log_limit limit;
    struct timer timer;
    unsigned tries;
    bool wanted, has_timer;
};

void store_acquire_start(struct store_acquire *a);
/* Gives the lock back, or up: done does not come any more. Safe at any time
 * before close. */
void store_acquire_stop(struct store_acquire *a);
/* gone comes once, perhaps from inside. */
void store_acquire_close(struct store_acquire *a);

#endif
