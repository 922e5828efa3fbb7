/* store/budget.h: what the users of one throttle may do together, and whose
 * turn it is.
 *
 * A user is a store: a disk or a unit. It has a seat on each loop it has a
 * channel on. Requests that must wait lie in the lanes of their seat, in
 * their order, and whoever looks deals: tokens that have come are given to the
 * users in turn, each as much as the others, by what requests are worth in
 * time. What others were given they find when they look, and each seat
 * that waits looks by itself, so that a loop that is stuck keeps nobody
 * waiting.
 *
 * There is one lock, taken once for a batch of requests. Time is given by the
 * caller; there is no loop here. For store/ only. */
#ifndef VUB_STORE_BUDGET_H
#define VUB_STORE_BUDGET_H

#include "os/thread.h"
#include "store/bucket.h"
#include "store/impl.h"
#include "store/limits.h"

#define BUDGET_NEVER_NS UINT64_MAX

struct budget {
    bool limited; /* atomic: there is a limit at all */

    pthread_mutex_t lock; /* of all below */
    struct limits limits;
    struct bucket ops[LIMIT_KINDS], bytes[LIMIT_KINDS];
    bool by_kind;        /* reads or writes have limits of their own */
    uint64_t turn_ns;    /* turns that are dealt have come to here */
    struct list waiting; /* lanes */
    struct list seats, users;
    unsigned num_users;
};

/* Under the lock, as all here. */
struct budget_user {
    struct budget *budget;
    struct list node;
    uint64_t turn_ns;  /* what it was given, in time: the least is next */
    uint64_t quiet_ns; /* nothing more is given to it before then */
    unsigned waiting;
    uint64_t held, held_ns; /* how many had to wait, and how long together */
};

struct budget_lane {
    struct list node;     /* in budget->waiting while there are: */
    struct list requests; /* progress of each: when it came, ns */
    struct budget_seat *seat;
    uint64_t paid; /* bytes of the first one */
};

/* lanes: all requests are in the first, unless reads and writes have limits of
 * their own. */
struct budget_seat {
    struct budget_user *user;
    struct budget_lane lanes[2];
    struct list granted; /* requests that may go */
    struct list node;
    /* [any, under the lock] Look again soon. */
    void (*wake)(struct budget_seat *s);
};

struct budget_look {
    unsigned waiting;   /* now */
    uint64_t oldest_ns; /* how long the one has that waits longest */
    uint64_t held, held_ns;
};

/* Without limits. 0 or a negative errno. */
int budget_init(struct budget *b);
void budget_fini(struct budget *b); /* nobody uses it */
/* Takes effect at once for all who wait. */
void budget_set(struct budget *b, const struct limits *l, uint64_t now_ns);
void budget_get(struct budget *b, struct limits *l);

static inline bool budget_is_limited(const struct budget *b)
{
    return __atomic_load_n(&b->limited, __ATOMIC_RELAXED);
}

void budget_user_add(struct budget_user *u, struct budget *b);
void budget_user_del(struct budget_user *u); /* it has no seats */
void budget_user_look(struct budget_user *u, uint64_t now_ns,
                      struct budget_look *look);

/* wake is set. */
void budget_seat_add(struct budget_seat *s, struct budget_user *u);
/* Nothing waits. wake is not called any more. */
void budget_seat_del(struct budget_seat *s);

/* Requests of this seat want to go. Moves to `go` what may, of these and of
 * those before; when to look again: after so many ns, or BUDGET_NEVER_NS if
 * none waits. */
uint64_t budget_go(struct budget_seat *s, struct list *asked, uint64_t now_ns,
                   struct list *go);
/* Takes those of `owner` out, all that wait and those of `asked`. They go
 * without waiting, for which the user is quiet for as long as they are worth;
 * or do not go. */
void budget_take_out(struct budget_seat *s, struct list *asked,
                     const void *owner, bool they_go, uint64_t now_ns,
                     struct list *to);
/* r, which does not wait, goes likewise. */
void budget_hurry(struct budget_seat *s, const struct store_req *r,
                  uint64_t now_ns);

#endif
