/* loop/timer.h: calls back once, after a while. */
#ifndef VUB_LOOP_TIMER_H
#define VUB_LOOP_TIMER_H

#include "loop/loop.h"

struct timer {
    uv_timer_t uv;
    void (*fire)(struct timer *t);
    void (*gone)(struct timer *t); /* may be NULL */
};

/* fire and gone are set before. Cannot fail. */
void timer_open(struct timer *t, struct loop *loop);
/* Starts it again if it runs. It fires in a later turn, even after 0 ms, which
 * are 1. Does not keep a loop from ending. */
void timer_start(struct timer *t, uint64_t after_ms);
void timer_stop(struct timer *t);
/* Is it to fire? */
bool timer_runs(const struct timer *t);
/* Safe twice; t is freed in gone. */
void timer_close(struct timer *t);

#endif
