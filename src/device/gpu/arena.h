/* device/gpu/arena.h: room for pixels in kept memory (os/keep.h).
 *
 * One sparse file for all resources of a device, which may be thousands: each
 * has an extent of it, whole pages. The file is much larger than all that may
 * be in it, so an extent is found behind the one that was taken last, nearly
 * always. What is returned is given back to the system some megabytes in a turn
 * of the loop, and taken again only when it is zeros.
 * Which extents are in use is written nowhere here: the ledger (ledger.h) says
 * so, and what it does not name is given back when a device is opened.
 * Threads: the device's. */
#ifndef VUB_DEVICE_GPU_ARENA_H
#define VUB_DEVICE_GPU_ARENA_H

#include "base/list.h"
#include "loop/loop.h"
#include "os/keep.h"

/* Whatever the config's max_memory is, which may change from one process to the
 * next: four times the largest. */
#define ARENA_BYTES (UINT64_C(64) << 30)

struct extent {
    struct list node;     /* by place */
    struct list of_dirty; /* returned, not given back yet */
    uint64_t at, len;     /* bytes of the file, whole pages */
};

struct arena {
    struct kept kept; /* at NULL: there is none */
    struct loop *loop;
    struct list extents;
    struct list dirty;
    struct list *last; /* taken: the next one is looked for behind it */
    struct defer give_back;
    bool stopped;
};

/* Gets the memory; nothing of it is in use yet, whatever there is. On failure
 * there is nothing to close. loop: of the device. */
int arena_open(struct arena *a, const char *id, struct loop *loop,
               struct err *e);
/* Nothing in it changes any more, whatever is returned: another process may
 * have it soon. Safe on a zero struct. */
void arena_stop(struct arena *a);
/* All extents are gone. What was in them stays, for another process, if the
 * device is handed on. Safe on a zero struct. */
void arena_close(struct arena *a);
static inline bool arena_is_open(const struct arena *a)
{
    return a->kept.at != NULL;
}

/* Room for so many bytes, zeros. NULL: there is none, or no memory. */
struct extent *arena_take(struct arena *a, uint64_t bytes);
/* That which somebody before us had there. NULL: it lies outside, or on
 * another, or begins in the middle of a page; or no memory. */
struct extent *arena_claim(struct arena *a, uint64_t at, uint64_t bytes);
/* All has been claimed: the rest becomes zeros. A negative errno: it does not.
 */
int arena_give_back_rest(struct arena *a);
void arena_return(struct arena *a, struct extent *x);

static inline uint8_t *arena_at(const struct arena *a, const struct extent *x)
{
    return a->kept.at + x->at;
}

#endif
