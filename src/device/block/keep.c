/* What a process that goes on with a disk finds, beside what its store keeps:
 * one word, whole at each moment.
 *
 * Somebody else may have written it; all it can do is make writes stable that
 * need not be, or trust the guest to flush, which that guest would do to
 * itself. */
#include "device/block/impl.h"

#define RAN 1u     /* it has served a guest: the rest is true */
#define CACHED 2u  /* the write cache is on */
#define SERVES 4u  /* a guest that goes on with whoever finds this */
#define SYNCING 8u /* the cache is off, but what it held is not stable yet */

static uint32_t *word_of(const struct block *b)
{
    return (uint32_t *)b->kept.at;
}

static void set(struct block *b, uint32_t bit, bool on)
{
    if (!word_of(b))
        return;
    if (on)
        __atomic_fetch_or(word_of(b), bit, __ATOMIC_RELEASE);
    else
        __atomic_fetch_and(word_of(b), ~bit, __ATOMIC_RELEASE);
}

int block_keep(struct block *b, struct err *e)
{
    uint32_t word;
    int rc = keep_get(&b->kept, b->device.id, "block.1", sizeof(word), e);

    if (rc < 0)
        return rc;
    word = __atomic_load_n(word_of(b), __ATOMIC_ACQUIRE);
    b->known = word & RAN;
    if (b->known) {
        b->goes_on = word & SERVES;
        b->resync = word & SYNCING;
        b->wce = word & CACHED && b->store->info.cached;
    }
    return store_keep(b->store, "s", e);
}

void block_keep_cache(struct block *b)
{
    set(b, CACHED, b->wce);
}

void block_keep_sync(struct block *b, bool wanted)
{
    set(b, SYNCING, wanted);
}

void block_keep_session(struct block *b, bool serves)
{
    if (serves)
        set(b, RAN, true);
    set(b, SERVES, serves);
}
