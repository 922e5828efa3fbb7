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
    struct throttle_name *name;
    struct kept kept; /* after throttle_member_keep, until it leaves */
};

/* l: the limits that its config gives; all 0: those of the others. at: where in
 * the config. device stays the caller's. On failure there is nothing to
 * leave. */
int throttle_join(struct throttle_member *m, const char *name,
                  const char *device, const struct limits *l, const char *at,
                  struct errs *e);
/* As store_keep: limits that were set live hold on, unless the config says
 * others now than it did. */
int throttle_member_keep(struct throttle_member *m, const char *name,
                         struct err *e);
void throttle_leave(struct throttle_member *m);

#endif
