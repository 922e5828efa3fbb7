/* store/throttle_impl.h: what the files of throttles' names share. Everything
 * here is done under the lock. */
#ifndef VUB_STORE_THROTTLE_IMPL_H
#define VUB_STORE_THROTTLE_IMPL_H

#include "os/thread.h"
#include "store/throttle_name.h"

struct throttle_name {
    struct list node;
    char *name;
    struct list members;
    struct limits said; /* by a config at last; all 0: by none yet */
    bool unsettled;     /* something else is said than was at last */
    struct budget budget;
};

extern pthread_mutex_t throttles_lock;
extern struct list throttles; /* struct throttle_name */

/* NULL: there is none. */
struct throttle_name *throttle_find(const char *name);
/* The limits have changed: in the memory that outlives the process too. */
void throttle_keep(struct throttle_name *n);

static inline struct throttle_name *throttle_name_at(struct list *node)
{
    return container_of(node, struct throttle_name, node);
}

static inline struct throttle_member *throttle_member_at(struct list *node)
{
    return container_of(node, struct throttle_member, node);
}

#endif
