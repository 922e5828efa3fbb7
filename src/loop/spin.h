/* loop/spin.h: looks at words for a while before the loop sleeps. For loop/
 * only; others use loop_spin_add. */
#ifndef VUB_LOOP_SPIN_H
#define VUB_LOOP_SPIN_H

#include "loop/loop.h"

/* One stretch of spinning. True: do not sleep, only look at the fds. */
bool spin_turn(struct loop *l);
/* The loop was woken: what the sleep's length says about the budget. */
void loop_woke(struct loop *l);

/* Call before anything is called back: the loop does not rest any more. */
void loop_begins(struct loop *l);
void loop_run_mail(struct loop *l);
void loop_run_defers(struct loop *l);

#endif
