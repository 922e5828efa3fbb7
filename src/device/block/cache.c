/* The write cache. `writeback` of the config space says whether a driver has to
 * flush. It starts as "write_cache" of the config has it, and a driver may
 * change it. Writes are stable when answered (write_through) if it is off, and
 * also if the driver never said that it can flush. It goes from off to on
 * only by the driver's word or a device reset, never by itself: a front-end
 * that has read "off" will not flush. After the recovery of a crashed
 * back-end it is off, since QEMU does not repeat what the driver had set;
 * unless that was one of ours, which has left word of it (keep.c). */
#include <string.h>

#include "device/block/impl.h"

void block_cache_update(struct block *b)
{
    __atomic_store_n(&b->write_through, !b->wce || !b->flush_acked,
                     __ATOMIC_RELAXED);
    block_keep_cache(b);
}

void block_cache_start(struct block *b, const struct device_start *s)
{
    b->flush_acked = s->features & FEATURE(VIRTIO_BLK_F_FLUSH);
    /* Spec, "Device Initialization": a driver that may switch the cache but
     * cannot flush finds it off. */
    if ((s->recovered && !b->known) ||
        (!b->flush_acked && s->features & FEATURE(VIRTIO_BLK_F_CONFIG_WCE)))
        b->wce = false;
    block_cache_update(b);
}

/* [syncer] A sync blocks, hence a thread of its own. */
static void sync_store(void *arg)
{
    struct block *b = arg;
    unsigned wanted = __atomic_load_n(&b->syncs_wanted, __ATOMIC_ACQUIRE);
    int rc;

    do {
        rc = store_sync(b->store);
        if (rc < 0) {
            /* The system tells such an error once, and has told it us. */
            __atomic_store_n(&b->lost, true, __ATOMIC_RELAXED);
            log_limited(&b->sync_limit, LOG_ERROR, b->device.id,
                        "what was cached could not be made stable when the "
                        "write cache was switched off: %s",
                        strerror(-rc));
        }
        /* On failure, wanted is what is wanted now. */
    } while (!__atomic_compare_exchange_n(&b->syncs_wanted, &wanted, 0, false,
                                          __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    block_keep_sync(b, false);
}

void block_cache_close(struct block *b)
{
    if (b->has_syncer)
        thread_join(&b->syncer);
    b->has_syncer = false;
}

void block_cache_off(struct block *b)
{
    struct err e;

    b->wce = false;
    block_cache_update(b);
    if (!b->store->info.cached || b->read_only)
        return;
    /* One that still runs sees that it is wanted again. */
    if (__atomic_fetch_add(&b->syncs_wanted, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    block_cache_close(b); /* it has nothing left to do */
    block_keep_sync(b, true);
    b->has_syncer =
        thread_start(&b->syncer, "vub-sync", sync_store, b, &e) == 0;
    if (b->has_syncer)
        return;
    __atomic_store_n(&b->syncs_wanted, 0, __ATOMIC_RELEASE);
    log_limited(
        &b->limit, LOG_WARN, b->device.id,
        "the write cache is off, but what it held is not stable yet: %s",
        e.text);
}
