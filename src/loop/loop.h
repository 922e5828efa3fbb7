/* loop/loop.h: a thread's event loop: libuv, a mailbox, and a spinner.
 *
 * One thread runs a loop. Everything registered with it is called on that
 * thread. Three things happen in a turn: fds and timers (libuv), mail from
 * other loops, and the spinner: a list of words that are looked at for a
 * while before the loop sleeps, so that work that comes soon costs no system
 * call and no wake-up. A loop with nothing to do sleeps with no time-out. */
#ifndef VUB_LOOP_LOOP_H
#define VUB_LOOP_LOOP_H

#include <uv.h>

#include "base/base.h"
#include "base/list.h"

/* What another loop asks of this one; lives in the asker's memory until run,
 * and may be reused or freed in it. */
struct mail {
    struct mail *next;
    void (*run)(struct mail *m);
};

/* Something that runs at the end of the current turn, once: flushes. What is
 * deferred by such work runs after fds and timers have been looked at. */
struct defer {
    struct list node;
    void (*run)(struct defer *d);
};

/* A word worth looking at. Not on the list: not looked at. */
struct spin {
    struct list node;
    /* Work if there is some; true if there was. Cheap if there is none. */
    bool (*poll)(struct spin *s);
    /* The loop is about to sleep: from now on a wake-up must come through an
     * fd. True if work turned up: the loop does not sleep then. */
    bool (*arm)(struct spin *s);
};

#define LOOP_SPIN_ALWAYS UINT32_MAX

struct loop {
    uv_loop_t uv;
    const char *name;       /* not owned */
    unsigned block_devices; /* atomic: how many devices have rings here:
                             * page-cache I/O may run inline on a loop that
                             * serves one block device only */
    unsigned devices;       /* atomic */
    uint32_t spin_max_us;   /* atomic: budget: 0 never, LOOP_SPIN_ALWAYS */

    /* For who minds loops that do not come back: daemon/watchdog.c. */
    void (*begins)(struct loop *l); /* [set before it runs; its thread] it
                                     * works again, unminded; may be NULL */
    void *minder;
    uint32_t turns; /* atomic: changes with each */
    bool rests;     /* atomic: it sleeps, or is about to */
    bool minded;    /* atomic: the minder clears it */

    /* loop/ only, below */
    uv_async_t wake;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    struct mail *mail; /* atomic stack */
    bool stopping;
    struct list spins, defers;
    uint64_t spin_ns[2];  /* budgets: adapt to what they find, see spin.c */
    bool waited_long;     /* the last time it waited: which one is in use */
    unsigned unseen;      /* how many wait for what spinning does not see */
    uint64_t slept_at_ns; /* when the loop went to sleep; 0: it did not */
};

/* On failure there is nothing to close. */
int loop_open(struct loop *l, const char *name);
/* Every handle on it is closed; the loop does not run. */
void loop_close(struct loop *l);
/* Until loop_stop. [its thread] */
void loop_run(struct loop *l);
/* Ends loop_run after this turn. [its thread] */
void loop_stop(struct loop *l);

/* [its minder] It need not be minded while it rests: true if it does. */
bool loop_unmind(struct loop *l);

/* Runs m->run(m) on loop `to`, in the order posted. [any thread] */
void loop_post(struct loop *to, struct mail *m);
/* Runs at the end of this turn; adding one that waits does nothing. */
void loop_defer(struct loop *l, struct defer *d);
void defer_init(struct defer *d, void (*run)(struct defer *d));
void defer_cancel(struct defer *d);

void loop_spin_add(struct loop *l, struct spin *s);
void loop_spin_del(struct spin *s); /* safe if not added but list_init'ed */
/* Somebody begins to wait for an fd, or has what it waited for; in pairs. The
 * loop does not spin meanwhile, which would keep it from that fd. */
void loop_unseen(struct loop *l, bool waits);

/* May page-cache I/O run inline here? See DESIGN, "Threads". */
static inline bool loop_serves_one(const struct loop *l)
{
    return __atomic_load_n(&l->devices, __ATOMIC_RELAXED) == 1 &&
           __atomic_load_n(&l->block_devices, __ATOMIC_RELAXED) == 1;
}

/* Monotonic, now. */
uint64_t loop_now_ns(void);

#endif
