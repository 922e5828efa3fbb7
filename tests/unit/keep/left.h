/* tests/unit/keep/left.h: what a process would leave if it were killed now.
 *
 * The kept memory of a device is copied as it is at that moment. The device of
 * the test goes on and ends as it likes; what it does then is not in the copy.
 * When it has gone, the copy is put, and the next device finds it. */
#ifndef VUB_TESTS_UNIT_KEEP_LEFT_H
#define VUB_TESTS_UNIT_KEEP_LEFT_H

#include "os/keep.h"

struct left {
    struct keep_item *items;
    int num;
};

/* Of device id, now. */
void left_take(struct left *l, const char *id);
/* One of it, mapped until left_put; NULL: there is none. */
uint8_t *left_at(struct left *l, const char *name, uint64_t *len);
/* All of it becomes bytes that nobody meant. */
void left_spoil(struct left *l, unsigned seed);
/* To be found by whoever opens the device next. */
void left_put(struct left *l);
/* How many pieces are kept of a device; most are forgotten when it ends. */
int left_count(const char *id);

#endif
