/* store/throttle_name.h: how throttles of one name find each other. For store/
 * only. */
#ifndef VUB_STORE_THROTTLE_NAME_H
#define VUB_STORE_THROTTLE_NAME_H

#include "os/keep.h"
#include "store/budget.h"

struct throttle_name;

/* Of a filter. */
struct throttle_member {
    struct budget_user user;
    struct list node;
    const char *device; /* the id of its device */
    const void *conf;   /* the struct that it was opened by */
    struct limits says; /* the limits that this has; all 0: none */
    struct throttle_name *name;
    struct kept kept; /* after throttle_member_keep, until it leaves */
};

/* device, conf and says are set, and stay the caller's. at: where in the
 * config. On failure there is nothing to leave. */
int throttle_join(struct throttle_member *m, const char *name, const char *at,
                  struct errs *e);
/* As store_keep: limits that were set live hold on, unless the config says
 * others now than it did. */
int throttle_member_keep(struct throttle_member *m, const char *name,
                         struct err *e);
void throttle_leave(struct throttle_member *m);

#endif
