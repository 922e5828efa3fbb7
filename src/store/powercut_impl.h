/* store/powercut_impl.h: what the files of filter `powercut` share.
 *
 * powercut.c is the filter: what becomes of a request; powercut_turns.c whose
 * turn it is; powercut_spill.c writes a set of cached writes down;
 * powercut_cut.c says what a power cut leaves of them; powercut_life.c what
 * there is without a session.
 * Threads: the loop of its channels, which is the home loop (it is serial). */
#ifndef VUB_STORE_POWERCUT_IMPL_H
#define VUB_STORE_POWERCUT_IMPL_H

#include "base/prng.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "store/command.h"
#include "store/event.h"
#include "store/filter.h"
#include "store/parts.h"
#include "store/powercut.h"
#include "store/write_cache.h"

struct powercut;

/* A set of pieces on its way down. */
struct spill {
    struct cached **list; /* [room] */
    size_t num, room, next;
    unsigned in_flight;
    bool pumping;
    int result;
    void (*over)(struct powercut *p, int result);
};

struct powercut_conf {
    struct conf_any next;
    const char *name; /* NULL: none */
    uint64_t cache;   /* bytes */
    uint32_t sector;  /* bytes */
    uint64_t seed;
};

struct powercut {
    struct store_filter filter;
    const struct powercut_conf *conf;
    struct loop *home;
    unsigned channels; /* of rings */

    struct write_cache cache;
    uint64_t size;             /* of what is below, when it was looked at */
    struct store_channel *own; /* by which cached writes go down; NULL: it is
                                * not needed */
    struct parts parts;
    struct spill spill;

    /* Requests that must not run beside each other, in turn. */
    struct list queue;
    struct list passing;      /* those that go through, and need no turn */
    bool busy;                /* it is somebody's turn: */
    struct store_req *active; /* NULL: ours, or given up */
    bool going, again;

    bool off;                 /* no power until the rings have stopped */
    struct power_cut *cut;    /* under way */
    struct power_cut tripped; /* by a request */
    struct defer trip;
    bool trips;    /* trip will run */
    bool late;     /* those that wait came before it: they have their turn */
    uint64_t cuts; /* begun */
    struct store_event_limit limit;
    bool sync;              /* atomic: what is cached is wanted below */
    struct store_req flush; /* of our own */
    void (*flushed)(struct powercut *p, int result);

    /* powercut_life.c's */
    bool used, locked; /* a session has acquired it; what is below is */
    struct mail resting;
    bool rests;          /* the mail is under way */
    struct timer timer;  /* runs while it is closed and writes */
    uint64_t ends, seen; /* of our own requests; when the timer fired last */
    void (*gone)(void *arg); /* it ends; NULL: not yet */
    void *gone_arg;
    struct kept kept; /* a struct powercut_state */
    bool kept_empty;  /* what it says */
};

static inline struct powercut *powercut_of(struct store *s)
{
    return container_of(s, struct powercut, filter.store);
}

/* powercut_turns.c: begins what can begin. */
void powercut_go_on(struct powercut *p);
/* Is it a write that is answered when it is cached? */
bool powercut_is_cached(const struct powercut *p, const struct store_req *r);
/* If there is room for it. 0 or -ENOMEM. */
bool powercut_has_room(const struct powercut *p, const struct store_req *r);
int powercut_cache(struct powercut *p, const struct store_req *r);
/* Something that goes through, and needs no turn, is on its way there. */
bool powercut_meets_passing(const struct powercut *p,
                            const struct store_req *r);

/* powercut_life.c */
void powercut_life_init(struct powercut *p);
/* The channel of our own; false: it cannot be had, which is logged. */
bool powercut_open_own(struct powercut *p);
/* A request of our own, sent by our own channel; what it answers at once comes
 * through done, too. */
void powercut_send(struct powercut *p, struct part *part);
/* What is below is stable then. */
void powercut_flush(struct powercut *p,
                    void (*flushed)(struct powercut *p, int result));
/* Nothing is to be done: what is not needed without rings is given back. Not
 * from inside what a channel has completed; later is. */
void powercut_rest(struct powercut *p);
void powercut_rest_later(struct powercut *p);
/* Nothing is cached any more. */
void powercut_forget(struct powercut *p);
/* Whether anything is cached may have changed. */
void powercut_keep_state(struct powercut *p);
int powercut_keep(struct store *s, const char *name, struct err *e);
int powercut_save(struct store *s, struct err *e);
int powercut_acquire(struct store *s, struct err *e);
void powercut_release(struct store *s);
int powercut_begin(struct store *s, struct loop *home, struct err *e);
void powercut_end(struct store *s, void (*gone)(void *arg), void *arg);
int powercut_sync(struct store *s);

/* powercut_commands.c */
extern const struct store_command powercut_commands[];
/* Tells whoever listens of a power cut that is over. */
void powercut_tell(struct powercut *p, const struct power_cut *cut);

/* powercut_spill.c */

/* Writes the sectors `todo` of the pieces of p->cache down that have any, each
 * below those of a higher rank; none may change until it is over, which it is
 * at once or later. */
void powercut_spill(struct powercut *p,
                    void (*over)(struct powercut *p, int result));
/* The oldest writes, whole ones, that take so many bytes; UINT64_MAX: all. */
void powercut_mark(struct powercut *p, uint64_t bytes);
/* Those that were to be written down are. */
void powercut_drop_marked(struct powercut *p);

/* powercut_cut.c: it is the turn of p->cut. */
void powercut_begin_cut(struct powercut *p);
void powercut_on_trip(struct defer *d);

#endif
