/* store/powercut_impl.h: what the files of filter `powercut` share.
 *
 * powercut.c is the filter: what becomes of a request, and whose turn it is;
 * powercut_spill.c writes a set of cached writes down; powercut_cut.c says what
 * a power cut leaves of them. Threads: the loop of its channels, which is the
 * home loop (it is serial). */
#ifndef VUB_STORE_POWERCUT_IMPL_H
#define VUB_STORE_POWERCUT_IMPL_H

#include "base/prng.h"
#include "loop/loop.h"
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
    uint32_t seed;
};

struct powercut {
    struct store_filter filter;
    const struct powercut_conf *conf;
    struct loop *home;
    unsigned channels; /* of rings */

    struct write_cache cache;
    struct store_channel *own; /* by which cached writes go down; NULL: none
                                * has yet */
    struct parts parts;
    struct spill spill;

    /* Requests that must not run beside each other, in turn. */
    struct list queue;
    bool busy;                /* it is somebody's turn: */
    struct store_req *active; /* NULL: ours, or given up */
    bool going, again;

    bool off;              /* no power until the rings have stopped */
    struct power_cut *cut; /* under way */
    uint64_t cuts;         /* begun */
    struct store_event_limit limit;
    bool sync;              /* atomic: what is cached is wanted below */
    struct store_req flush; /* of our own */
    void (*flushed)(struct powercut *p, int result);
    bool closing;
    struct mail closer;      /* when our channel can be closed */
    void (*gone)(void *arg); /* it ends; NULL: not yet */
    void *gone_arg;
};

static inline struct powercut *powercut_of(struct store *s)
{
    return container_of(s, struct powercut, filter.store);
}

/* powercut.c: begins what can begin. */
void powercut_go_on(struct powercut *p);
/* A request of our own, sent by our own channel; what it answers at once comes
 * through done, too. */
void powercut_send(struct powercut *p, struct part *part);

/* powercut_commands.c */
extern const struct store_command powercut_commands[];

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

/* powercut_cut.c: marks what is to be written. */
void powercut_choose(struct powercut *p, struct power_cut *cut);

#endif
