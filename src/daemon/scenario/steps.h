/* daemon/scenario/steps.h: what each kind of step does; for kinds.c.
 *
 * 0: it has done it; negative, with a sentence in e: it has failed. */
#ifndef VUB_DAEMON_SCENARIO_STEPS_H
#define VUB_DAEMON_SCENARIO_STEPS_H

#include "base/err.h"

struct conf_keyed_one;
struct engine;

#define STEP(name)                                                             \
    int name(struct engine *g, const struct conf_keyed_one *s, struct err *e)

STEP(step_command); /* steps_ask.c */
STEP(step_expect);
STEP(step_screenshot);
STEP(step_wait); /* steps_wait.c */
STEP(step_wait_event);
STEP(step_sleep);
STEP(step_run); /* steps_run.c */
STEP(step_write);
STEP(step_wait_output);
STEP(step_wait_exit);
STEP(step_stop);

#undef STEP

#endif
