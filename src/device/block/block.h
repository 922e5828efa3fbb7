/* device/block/block.h: the virtio block device.
 *
 * Spec: virtio, "Block Device". block.c is the device: features, config
 * space, start and stop; request.c takes requests off a ring and answers
 * them; ranges.c does those that are a list of ranges; cache.c is the write
 * cache.
 *
 * Threads: struct block belongs to the home loop but for what is said at its
 * fields; a struct block_ring to its ring's loop. */
#ifndef VUB_DEVICE_BLOCK_BLOCK_H
#define VUB_DEVICE_BLOCK_BLOCK_H

#include "device/devices.h"
#include "virtio/spec.h"

extern const struct conf_table block_table;

enum block_stat {
    BLOCK_STAT_READ,
    BLOCK_STAT_WRITE,
    BLOCK_STAT_FLUSH,
    BLOCK_STAT_DISCARD,
    BLOCK_STAT_ZERO,
    BLOCK_STAT_GET_ID,
    BLOCK_STAT_OTHER, /* unknown or malformed */
    BLOCK_STATS,
};

/* Since the device was opened; rings may stop and start. Written by the
 * ring's thread only, read by any with relaxed loads. */
struct block_stats {
    uint64_t requests[BLOCK_STATS]; /* answered */
    uint64_t bytes_read, bytes_written;
    uint64_t errors; /* answered with anything but OK */
};

/* [any] Of one queue of a block device; good while it is open. */
const struct block_stats *block_stats(const struct device *d, unsigned queue);

#endif
