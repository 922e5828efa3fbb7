/* daemon/devices.h: the devices that are served now, and their workers.
 *
 * Threads: the main one. */
#ifndef VUB_DAEMON_DEVICES_H
#define VUB_DAEMON_DEVICES_H

#include "daemon/served.h"

struct devices {
    struct served **list; /* [count], those that are closing too */
    int count;
    struct workers workers;

    int room; /* devices.c's */
};

/* By its id; NULL: there is none. */
struct served *devices_find(const struct devices *ds, const char *id);
/* The list takes the caller's ref. -ENOMEM: it is still his. */
int devices_add(struct devices *ds, struct served *s);
/* Gives that ref back to the caller. */
void devices_remove(struct devices *ds, struct served *s);
/* The level or format of log lines has changed: tells the processes of those
 * that are isolated. */
void devices_set_log(const struct devices *ds);
/* The longest that a stop of them may take. */
uint64_t devices_drain_ms(const struct devices *ds);

#endif
