/* daemon/throttles.h: what configs say of throttles, which may change while
 * they are in use.
 *
 * Threads: the main one. */
#ifndef VUB_DAEMON_THROTTLES_H
#define VUB_DAEMON_THROTTLES_H

#include "daemon/config.h"

/* Do those of one name, in all devices, say the same limits? */
void throttles_check(const struct config *c, struct errs *e);

/* Is all that differs between two configs of a device limits of throttles, and
 * are those in use by `was`? Then it can stay. */
bool throttles_can_change(const struct conf_any *was,
                          const struct conf_any *is);
/* Those in use by this config of a device say what it says now; in force with
 * throttle_settle (store/throttle.h). */
void throttles_say(const struct conf_any *device);

#endif
