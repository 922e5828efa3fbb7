/* store/throttle.h: throttles, by their names, for who runs vub.
 *
 * A throttle is a filter of a store, and has a name: of its own, or the id of
 * its device. Those of one name are one: its limits hold for what all of them
 * do together. It is there as long as one of them is.
 * Threads: any. */
#ifndef VUB_STORE_THROTTLE_H
#define VUB_STORE_THROTTLE_H

#include "base/metrics.h"
#include "store/limits.h"

/* What a config says of one. */
struct throttle_said {
    const char *name;
    struct limits limits; /* all 0: those that others of its name say */
};

/* o: an object of a config of this device. False: it is no throttle. */
bool throttle_said(const struct conf_any *o, const char *device,
                   struct throttle_said *out);
/* "another throttle \"gold\" has other limits, ...". */
int throttle_disagree(const char *name, struct err *e);

/* Is there one that was opened by this object of a config? */
bool throttle_is_open(const struct conf_any *o);
/* The config that it was opened by says this now, for those who come. What is
 * in force is changed by throttle_settle, for those of whom something else has
 * been said. */
void throttle_say(const struct conf_any *o, const struct limits *l);
void throttle_settle(void);

/* Changes the limits that are given, at once, and adds members of an object to
 * o: what they are now. The place of an error is a key, without more. */
int throttle_set(const char *name, const struct limits_conf *c,
                 struct json_out *o, struct err *e);
/* Adds elements to a list: those that this device uses, NULL: all. */
void throttle_status(struct json_out *o, const char *device);
/* The limits of those; and what waits in those that a device uses. */
void throttle_metrics(struct metrics *m, const char *device);
void throttle_metrics_of_user(struct metrics *m, const char *device);

#endif
