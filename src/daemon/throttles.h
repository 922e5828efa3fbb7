/* daemon/throttles.h: what configs say of throttles, which may change while
 * they are in use.
 *
 * Threads: the main one. */
#ifndef VUB_DAEMON_THROTTLES_H
#define VUB_DAEMON_THROTTLES_H

#include "daemon/config.h"
#include "store/throttle.h"

/* A device has a throttle. Pointers are the config's. */
struct throttle_use {
    struct throttle_said said;
    const char *at;
    int device; /* in config.devices */
    int number; /* throttles.c's */
};

/* All of c, those of one name together, in their order; *uses is to be freed.
 * Returns how many, or a negative errno. c may have mistakes: devices without
 * an id are left out. */
int throttles_list(const struct config *c, struct throttle_use **uses,
                   struct errs *e);

/* Do those of one name, in all devices, say the same limits? */
void throttles_check(const struct config *c, struct errs *e);

/* Is all that differs between two configs of a device limits of throttles, and
 * are those in use by `was`? Then it can stay. */
bool throttles_can_change(const struct conf_any *was,
                          const struct conf_any *is);
/* Those in use by this config of a device say what it says now; in force with
 * throttle_settle (store/throttle.h). */
void throttles_say(const struct conf_any *device);

/* For another process that has opened the device by a config that differs in
 * nothing else: adds a list "throttles", of what each of them says. */
void throttles_tell(const struct conf_any *device, struct json_out *o);
/* There: they say that now, a struct limits_conf each; as throttles_say. */
void throttles_hear(const struct conf_any *device,
                    const struct conf_anys *limits);

#endif
