/* store/throttle.h: throttles, by their names, for who runs vub.
 *
 * A throttle is a filter of a store, and has a name: of its own, or the id of
 * its device. Those of one name are one: its limits hold for what all of them
 * do together. It is there as long as one of them is.
 * Threads: any. */
#ifndef VUB_STORE_THROTTLE_H
#define VUB_STORE_THROTTLE_H

#include "store/limits.h"

/* Changes the limits that are given, at once, and adds members of an object to
 * o: what they are now. The place of an error is a key, without more. */
int throttle_set(const char *name, const struct limits_conf *c,
                 struct json_out *o, struct err *e);
/* Adds a member "throttles" to an object, unless there is none: those that
 * this device uses, NULL: all. */
void throttle_status(struct json_out *o, const char *device);

#endif
