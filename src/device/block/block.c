/* The block device: what it offers, its config space, its start and stop.
 *
 * Every number in the config space is true, and what it limits is held to the
 * limit: see request.c for seg_max, ranges.c for the others, cache.c for
 * writeback.
 *
 * The image lock is taken when the first ring of a session starts, and given
 * back when the last has drained, so that a guest may migrate: the other side
 * tries again until this side lets go (store/acquire.h). */
#include "device/block/block.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "device/block/impl.h"

struct block_conf {
    struct device_common common;
    uint32_t queues;
    const char *serial; /* NULL: the device's id */
    bool read_only, write_cache;
    uint32_t logical_block_size, physical_block_size; /* 0: the store's */
    uint32_t seg_max;
    struct conf_any store;
};

/* ---- features and config space ---- */

static uint64_t block_features(struct device *d)
{
    const struct block *b = block_of(d);
    uint64_t f = FEATURE(VIRTIO_BLK_F_SEG_MAX) |
                 FEATURE(VIRTIO_BLK_F_BLK_SIZE) | FEATURE(VIRTIO_BLK_F_FLUSH) |
                 FEATURE(VIRTIO_BLK_F_TOPOLOGY) |
                 FEATURE(VIRTIO_BLK_F_CONFIG_WCE);

    if (d->num_queues > 1)
        f |= FEATURE(VIRTIO_BLK_F_MQ);
    if (b->read_only)
        return f | FEATURE(VIRTIO_BLK_F_RO);
    if (b->can_discard)
        f |= FEATURE(VIRTIO_BLK_F_DISCARD);
    if (b->can_zero)
        f |= FEATURE(VIRTIO_BLK_F_WRITE_ZEROES);
    return f;
}

static uint8_t log2_of(uint32_t n)
{
    return (uint8_t)(31 - __builtin_clz(n));
}

static uint32_t logical_size(const struct block *b)
{
    return b->block_mask + 1;
}

static uint32_t physical_size(const struct block *b)
{
    uint32_t size = b->conf->physical_block_size;

    if (!size)
        size = b->store->info.physical_block_size;
    return MAX(size, logical_size(b));
}

static void block_config_read(struct device *d, void *config)
{
    struct block *b = block_of(d);
    const struct store_info *info = &b->store->info;
    uint32_t logical = logical_size(b), physical = physical_size(b);
    struct virtio_blk_config c = {
        .capacity = htole64(block_capacity(b)),
        .seg_max = htole32((uint32_t)d->chain_max - 2),
        .blk_size = htole32(logical),
        .topology =
            {
                .physical_block_exp = log2_of(physical / logical),
                .min_io_size = htole16((uint16_t)(physical / logical)),
                .opt_io_size = htole32(info->opt_io_size / logical),
            },
        .writeback = b->wce,
        .num_queues = htole16((uint16_t)d->num_queues),
    };

    if (b->can_discard && !b->read_only) {
        c.max_discard_sectors = htole32(BLOCK_DISCARD_MAX_SECTORS);
        c.max_discard_seg = htole32(BLOCK_RANGES_MAX);
        c.discard_sector_alignment = htole32(MAX(info->discard_align, logical) /
                                             VIRTIO_BLK_SECTOR_BYTES);
    }
    if (b->can_zero && !b->read_only) {
        c.max_write_zeroes_sectors = htole32(BLOCK_ZERO_MAX_SECTORS);
        c.max_write_zeroes_seg = htole32(BLOCK_RANGES_MAX);
        c.write_zeroes_may_unmap = b->can_discard;
    }
    memcpy(config, &c, sizeof(c));
}

/* QEMU may write the whole space back to change one byte. */
static int block_config_write(struct device *d, uint32_t offset,
                              const void *data, uint32_t len)
{
    const uint32_t at = offsetof(struct virtio_blk_config, writeback);
    struct block *b = block_of(d);
    bool wce;

    if (offset > at || at - offset >= len)
        return -EACCES;
    wce = ((const uint8_t *)data)[at - offset];
    if (wce == b->wce)
        return 0;
    log_limited(&b->limit, LOG_INFO, d->id,
                "the guest switches the write cache %s", wce ? "on" : "off");
    if (!wce) {
        block_cache_off(b);
        return 0;
    }
    b->wce = true;
    block_cache_update(b);
    return 0;
}

/* ---- start and stop ---- */

static void on_acquired(struct store_acquire *a, const struct err *e)
{
    device_started(&container_of(a, struct block, acquire)->device, e);
}

/* A store whose outcome depends on order must see one order. */
static bool on_one_loop(const struct device *d)
{
    for (unsigned i = 1; i < d->num_queues; i++)
        if (d->ring_loop[i] != d->ring_loop[0])
            return false;
    return true;
}

static void block_start(struct device *d, const struct device_start *s)
{
    struct block *b = block_of(d);
    struct err e;

    if (b->store->info.serial && !on_one_loop(d)) {
        err_set(&e, -EINVAL, "",
                "its store depends on the order of requests: give the device "
                "one worker");
        device_started(d, &e);
        return;
    }
    b->forgot = b->store->info.is_volatile &&
                !(b->known && b->store->info.is_found) &&
                (s->recovered || b->goes_on);
    b->goes_on = false;
    block_cache_start(b, s);
    block_keep_session(b, true);
    b->acquire.loop = d->home;
    store_acquire_start(&b->acquire);
}

static void block_stop(struct device *d)
{
    struct block *b = block_of(d);

    if (!d->suspends)
        block_keep_session(b, false);
    store_acquire_stop(&b->acquire);
}

static void block_reset(struct device *d)
{
    struct block *b = block_of(d);

    b->wce = b->conf->write_cache && b->store->info.cached;
    b->flush_acked = true; /* until a driver says otherwise */
    block_cache_update(b);
}

/* ---- rings ---- */

/* The channel of this loop is kept at the first of its queues. */
static struct block_channel *channel_of(struct block *b, const struct ring *q)
{
    unsigned i = 0;

    while (b->device.ring_loop[i] != q->loop)
        i++;
    return &b->channels[i];
}

static int block_ring_start(struct device *d, struct ring *q, struct err *e)
{
    struct block *b = block_of(d);
    struct block_ring *ring = &b->rings[q->index];
    struct block_channel *channel = channel_of(b, q);
    int rc;

    if (b->forgot)
        return err_set(e, -EINVAL, "",
                       "a back-end before this one has served the guest, but "
                       "store %s has forgotten what was written",
                       b->store->ops->type);
    if (channel->rings == 0) {
        rc = store_channel_open(&channel->ch, b->store, q->loop, e);
        if (rc < 0)
            return rc;
    }
    channel->rings++;
    ring->block = b;
    ring->channel = channel;
    ring->ch = channel->ch;
    ring->descs_max = d->chain_max;
    ring->draining = ring->cancelled = false;
    q->user = ring;
    return 0;
}

static void block_ring_drain(struct device *d, struct ring *q, enum drain how)
{
    struct block_ring *ring = q->user;

    (void)d;
    ring->draining = true;
    ring->cancelled = how == DRAIN_CANCEL;
    store_drain(ring->ch, ring, ring->cancelled);
}

static void block_ring_stop(struct device *d, struct ring *q)
{
    struct block_ring *ring = q->user;

    (void)d;
    q->user = NULL;
    ring->ch = NULL;
    if (--ring->channel->rings == 0) {
        store_channel_close(ring->channel->ch);
        ring->channel->ch = NULL;
    }
}

/* ---- life ---- */

/* Whole logical blocks. While the size is not known a guest sees a disk of no
 * size; whoever asks for something all the same, as one does that goes on after
 * a crash of ours, waits in the store. */
static uint64_t sectors_of(const struct block *b)
{
    if (store_is_pending(b->store))
        return BLOCK_SECTORS_PENDING;
    return (store_size(b->store) & ~(uint64_t)b->block_mask) /
           VIRTIO_BLK_SECTOR_BYTES;
}

void block_resized(struct block *b)
{
    uint64_t before = b->sectors, now = sectors_of(b);

    if (now == before)
        return;
    __atomic_store_n(&b->sectors, now, __ATOMIC_RELAXED);
    if (before == BLOCK_SECTORS_PENDING)
        log_info(b->device.id, "the disk has %" PRIu64 " bytes",
                 now * VIRTIO_BLK_SECTOR_BYTES);
    else
        log_at(now < before ? LOG_WARN : LOG_INFO, b->device.id,
               "the disk has %s from %" PRIu64 " to %" PRIu64 " bytes",
               now < before ? "shrunk" : "grown",
               before * VIRTIO_BLK_SECTOR_BYTES, now * VIRTIO_BLK_SECTOR_BYTES);
    device_config_changed(&b->device);
}

static void block_refresh(struct device *d)
{
    struct block *b = block_of(d);
    struct err e;
    int rc = store_refresh(b->store, &e);

    if (rc < 0)
        log_warn(d->id, "the disk's size is not known any more: %s", e.text);
    if (rc > 0)
        block_resized(b);
}

static void on_store_changed(void *arg)
{
    block_resized(arg);
}

static void on_store_dropped(void *arg, const char *why)
{
    device_drop(&((struct block *)arg)->device, why);
}

static int block_begin(struct device *d, struct err *e)
{
    struct block *b = block_of(d);
    int rc = store_begin(b->store, d->home, on_store_changed, b, e);

    if (rc == 0)
        store_on_drop(b->store, on_store_dropped, b);
    if (rc == 0 && b->resync)
        block_cache_off(b);
    b->resync = false;
    return rc;
}

static int block_save(struct device *d, struct err *e)
{
    return store_save(block_of(d)->store, e);
}

static void block_free(void *arg)
{
    struct block *b = arg;

    block_cache_close(b);
    store_close(b->store);
    keep_drop(&b->kept);
    free(b->channels);
    free(b->rings);
    device_gone(&b->device);
    free(b);
}

static void on_acquire_gone(struct store_acquire *a)
{
    struct block *b = container_of(a, struct block, acquire);

    store_end(b->store, block_free, b);
}

static void block_close(struct device *d)
{
    store_acquire_close(&block_of(d)->acquire);
}

static const struct device_ops block_ops = {
    .feature_names = block_feature_names,
    .begin = block_begin,
    .features = block_features,
    .config_len = sizeof(struct virtio_blk_config),
    .config_read = block_config_read,
    .config_write = block_config_write,
    .start = block_start,
    .stop = block_stop,
    .reset = block_reset,
    .ring_start = block_ring_start,
    .ring_kick = block_ring_kick,
    .ring_drain = block_ring_drain,
    .ring_stop = block_ring_stop,
    .refresh = block_refresh,
    .save = block_save,
    .may_be_killed = block_save, /* in such a process all is kept already */
    .close = block_close,
};

const struct block_stats *block_stats(const struct device *d, unsigned queue)
{
    assert(d->ops == &block_ops && queue < d->num_queues);
    return &container_of(d, const struct block, device)->rings[queue].stats;
}

/* What the store needs of the block sizes. */
static int check_store(const struct block *b, const char *at, struct errs *e)
{
    const struct store_info *info = &b->store->info;
    uint32_t logical = logical_size(b);

    if (logical < info->block_size)
        return errs_at(e, at, "logical_block_size",
                       "%" PRIu32 " bytes is less than the %" PRIu32
                       " that the store can do",
                       logical, info->block_size);
    if (info->size < logical && !store_is_pending(b->store))
        return errs_at(e, at, "store",
                       "%" PRIu64 " bytes is not one block of %" PRIu32,
                       info->size, logical);
    return 0;
}

static int block_open(struct device **out, const struct conf_any *c,
                      struct errs *e)
{
    const struct block_conf *conf = c->data;
    const char *id = conf->common.id, *serial;
    struct err why;
    struct block *b;
    int rc;

    b = calloc(1, sizeof(*b));
    if (!b)
        return errs_nomem(e);
    b->conf = conf;
    b->channels = calloc(conf->queues, sizeof(*b->channels));
    b->rings = aligned_alloc(64, conf->queues * sizeof(*b->rings));
    if (!b->channels || !b->rings) {
        rc = errs_nomem(e);
        goto out;
    }
    memset(b->rings, 0, conf->queues * sizeof(*b->rings));
    rc = store_open(&b->store, &conf->store, conf->read_only, id, e);
    if (rc < 0)
        goto out;
    b->acquire.store = b->store;
    b->acquire.done = on_acquired;
    b->acquire.gone = on_acquire_gone;
    b->block_mask = (conf->logical_block_size ? conf->logical_block_size
                                              : b->store->info.block_size) -
                    1;
    rc = check_store(b, c->at, e);
    if (rc < 0)
        goto out;
    b->read_only = b->store->info.read_only;
    b->can_discard = b->store->info.can_discard;
    b->can_zero = b->store->info.can_zero;
    serial = conf->serial ? conf->serial : id;
    memcpy(b->id, serial, strnlen(serial, sizeof(b->id)));
    b->device = (struct device){
        .ops = &block_ops,
        .id = id,
        .num_queues = conf->queues,
        .priv_size = sizeof(struct block_req),
        /* Behind seg_max pieces of data, header and status. */
        .chain_max = (uint16_t)(MAX(
            MIN(conf->seg_max + 2, conf->common.queue_size), 3u)),
    };
    block_reset(&b->device);
    rc = block_keep(b, &why);
    if (rc < 0) {
        errs_adopt(e, c->at, NULL, &why);
        goto out;
    }
    block_cache_update(b);
    b->sectors = sectors_of(b);
    *out = &b->device;
    return 0;
out:
    if (b->store)
        store_close(b->store);
    keep_drop(&b->kept);
    free(b->channels);
    free(b->rings);
    free(b);
    return rc;
}

static unsigned block_queues(const void *conf)
{
    return ((const struct block_conf *)conf)->queues;
}

static struct store *block_store(struct device *d, unsigned i)
{
    return i == 0 ? block_of(d)->store : NULL;
}

static const struct device_type block_type = {
    .open = block_open,
    .queues = block_queues,
    .commands = block_commands,
    .stores = block_store,
    .status = block_status,
    .metrics = block_metrics,
    .is_block = true,
};

static void block_check(void *data, const char *at, struct errs *e)
{
    const struct block_conf *conf = data;

    if (conf->queues > 1 && conf->common.worker.count > 1 &&
        store_is_serial(&conf->store))
        errs_at(e, at, "worker",
                "store %s depends on the order of requests: the device needs "
                "one worker for all its queues",
                conf->store.table->name);
    store_check_blocks(conf->logical_block_size, conf->physical_block_size, at,
                       e);
    store_check_stack(&conf->store, e);
}

static const struct conf_key block_keys[] = {
    {"store", CONF_UNION, CONF_AT(struct block_conf, store), .required = true,
     .of = &store_union, .help = "Where the blocks live."},
    {"queues", CONF_U32, CONF_AT(struct block_conf, queues), .def = "1",
     .min = 1, .max = DEVICE_MAX_QUEUES,
     .help = "How many queues the guest may use, at best one per virtual "
             "CPU."},
    {"serial", CONF_STR, CONF_AT(struct block_conf, serial),
     .max = VIRTIO_BLK_ID_BYTES,
     .help = "What the guest sees as the disk's serial number, at most 20 "
             "bytes. Default: the start of the device's id."},
    {"read_only", CONF_BOOL, CONF_AT(struct block_conf, read_only),
     .def = "false",
     .help = "Refuse everything that writes, and open the store read-only."},
    {"write_cache", CONF_BOOL, CONF_AT(struct block_conf, write_cache),
     .def = "true",
     .help = "Whether writes may be answered before they are stable, until "
             "the guest flushes. The guest can switch it. false: every write "
             "is stable when answered, which is slow."},
    {"logical_block_size", CONF_U32,
     CONF_AT(struct block_conf, logical_block_size), .min = 512, .max = 65536,
     .help = "The smallest unit of the disk, bytes. Default: what the store "
             "asks for, mostly 512."},
    {"physical_block_size", CONF_U32,
     CONF_AT(struct block_conf, physical_block_size), .min = 512, .max = 65536,
     .help = "The unit that the disk writes best, bytes. Default: what the "
             "store reports."},
    {"seg_max", CONF_U32, CONF_AT(struct block_conf, seg_max), .def = "126",
     .min = 1, .max = RING_SIZE_MAX - 2,
     .help = "How many pieces of memory a request may be scattered over; not "
             "more than queue_size less 2."},
    {NULL},
};

const struct conf_table block_table = {
    .name = "block",
    .size = sizeof(struct block_conf),
    .keys = block_keys,
    .help = "A disk: virtio-blk.",
    .check = block_check,
    .ops = &block_type,
};
