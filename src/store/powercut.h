/* store/powercut.h: the power of a disk, for who cuts it. See powercut.c. */
#ifndef VUB_STORE_POWERCUT_H
#define VUB_STORE_POWERCUT_H

#include "store/store.h"

/* What becomes of writes that were not flushed; words: powercut_outcome_words.
 */
enum power_outcome {
    POWER_LOST,
    POWER_KEPT,
    POWER_TORN,      /* of each all, nothing or some sectors, by chance */
    POWER_REORDERED, /* each or not, by chance, and in any order */
    POWER_MIXED,     /* torn, and in any order */
};
extern const char *const powercut_outcome_words[];

/* One power cut; the caller's memory until over. */
struct power_cut {
    enum power_outcome how;
    bool has_seed; /* else the config's, and a number of its own */
    uint64_t seed;

    uint64_t number;                     /* of the filter's: 1 and on */
    uint64_t writes, kept, lost, torn;   /* of unflushed ones */
    uint64_t sectors_kept, sectors_lost; /* of 512 bytes */
    void (*over)(struct power_cut *cut, int result);
    void *user;
};

/* [home] s is a powercut. Whoever uses it sees errors until its rings have
 * stopped. over comes once, later or from inside: what the power cut has left
 * is there. -EBUSY: one is under way, and over does not come. */
int powercut_cut(struct store *s, struct power_cut *cut, struct err *e);
/* The same from inside a submit of a request that is to go through s (above),
 * or has gone through it: requests fail from now on, the rest follows at the
 * end of the loop's turn. If it comes from above, what waits in s came before
 * it, and is done first. The seed is the config's. Nothing, if the power is
 * off. */
void powercut_trip(struct store *s, enum power_outcome how, bool above);
/* Nothing can be cut now: it has been, or s is being closed. */
bool powercut_is_off(const struct store *s);
/* Is it the config of a powercut? *name: its own, or NULL. */
bool powercut_named(const struct conf_any *c, const char **name);

#endif
