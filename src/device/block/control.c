/* What a block device tells on the control socket, and what it can be told. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "device/block/impl.h"

const char *const block_feature_names[24] = {
    [VIRTIO_BLK_F_SIZE_MAX] = "BLK_SIZE_MAX",
    [VIRTIO_BLK_F_SEG_MAX] = "BLK_SEG_MAX",
    [VIRTIO_BLK_F_GEOMETRY] = "BLK_GEOMETRY",
    [VIRTIO_BLK_F_RO] = "BLK_RO",
    [VIRTIO_BLK_F_BLK_SIZE] = "BLK_BLK_SIZE",
    [VIRTIO_BLK_F_FLUSH] = "BLK_FLUSH",
    [VIRTIO_BLK_F_TOPOLOGY] = "BLK_TOPOLOGY",
    [VIRTIO_BLK_F_CONFIG_WCE] = "BLK_CONFIG_WCE",
    [VIRTIO_BLK_F_MQ] = "BLK_MQ",
    [VIRTIO_BLK_F_DISCARD] = "BLK_DISCARD",
    [VIRTIO_BLK_F_WRITE_ZEROES] = "BLK_WRITE_ZEROES",
    [VIRTIO_BLK_F_LIFETIME] = "BLK_LIFETIME",
    [VIRTIO_BLK_F_SECURE_ERASE] = "BLK_SECURE_ERASE",
    [VIRTIO_BLK_F_ZONED] = "BLK_ZONED",
};

/* ---- status ---- */

static const char *const stat_names[BLOCK_STATS] = {
    [BLOCK_STAT_READ] = "reads",    [BLOCK_STAT_WRITE] = "writes",
    [BLOCK_STAT_FLUSH] = "flushes", [BLOCK_STAT_DISCARD] = "discards",
    [BLOCK_STAT_ZERO] = "zeroes",   [BLOCK_STAT_GET_ID] = "ids",
    [BLOCK_STAT_OTHER] = "others",
};

static uint64_t stat_load(const uint64_t *stat)
{
    return __atomic_load_n(stat, __ATOMIC_RELAXED);
}

static void add_stat(struct json_out *o, const char *key, const uint64_t *stat)
{
    json_add_u64(o, key, stat_load(stat));
}

void block_status(struct device *d, struct json_out *o)
{
    const struct block *b = block_of(d);

    json_add_u64(o, "size", block_capacity(b) * VIRTIO_BLK_SECTOR_BYTES);
    json_add_str(o, "store", b->store->ops->type);
    json_add_bool(o, "read_only", b->read_only);
    json_add_bool(o, "write_cache", b->wce);
    store_status(b->store, o);
    json_begin(o, "queues", '[');
    for (unsigned i = 0; i < d->num_queues; i++) {
        const struct block_stats *s = block_stats(d, i);

        json_begin(o, NULL, '{');
        for (unsigned j = 0; j < BLOCK_STATS; j++)
            add_stat(o, stat_names[j], &s->requests[j]);
        add_stat(o, "bytes_read", &s->bytes_read);
        add_stat(o, "bytes_written", &s->bytes_written);
        add_stat(o, "errors", &s->errors);
        json_end(o, '}');
    }
    json_end(o, ']');
}

/* ---- metrics ---- */

static const struct metric_family capacity = {
    "vub_block_size_bytes", METRIC_GAUGE, "bytes", "The size of the disk."};
static const struct metric_family requests = {
    "vub_block_requests", METRIC_COUNTER, NULL,
    "Requests that were answered, by what they asked for."};
static const struct metric_family bytes = {
    "vub_block_bytes", METRIC_COUNTER, "bytes",
    "Bytes of reads and writes that succeeded."};
static const struct metric_family errors = {
    "vub_block_errors", METRIC_COUNTER, NULL,
    "Requests that were not answered with OK."};

static const char *const operations[BLOCK_STATS] = {
    [BLOCK_STAT_READ] = "read",   [BLOCK_STAT_WRITE] = "write",
    [BLOCK_STAT_FLUSH] = "flush", [BLOCK_STAT_DISCARD] = "discard",
    [BLOCK_STAT_ZERO] = "zero",   [BLOCK_STAT_GET_ID] = "id",
    [BLOCK_STAT_OTHER] = "other",
};

void block_metrics(struct device *d, struct metrics *m)
{
    metrics_add(m, &capacity,
                block_capacity(block_of(d)) * VIRTIO_BLK_SECTOR_BYTES, "%s",
                "");
    for (unsigned i = 0; i < d->num_queues; i++) {
        const struct block_stats *s = block_stats(d, i);

        for (unsigned j = 0; j < BLOCK_STATS; j++)
            metrics_add(m, &requests, stat_load(&s->requests[j]),
                        "queue=\"%u\",operation=\"%s\"", i, operations[j]);
        metrics_add(m, &bytes, stat_load(&s->bytes_read),
                    "queue=\"%u\",operation=\"read\"", i);
        metrics_add(m, &bytes, stat_load(&s->bytes_written),
                    "queue=\"%u\",operation=\"write\"", i);
        metrics_add(m, &errors, stat_load(&s->errors), "queue=\"%u\"", i);
    }
    store_metrics(block_of(d)->store, m, "");
}

/* ---- commands ---- */

struct resize_args {
    uint64_t size;
    bool has_size;
};

static int resize(struct block *b, const struct resize_args *args,
                  struct err *e)
{
    int rc;

    if (!args->has_size)
        return store_refresh(b->store, e);
    if (args->size <= b->block_mask)
        return err_set(e, -EINVAL, "", "%" PRIu64 " bytes is not one block",
                       args->size);
    rc = store_resize(b->store, args->size, e);
    return rc < 0 ? rc : 1;
}

static void run_resize(struct device *d, struct call *c)
{
    const struct resize_args *args = c->args;
    struct block *b = block_of(d);
    uint64_t was = block_capacity(b);
    struct err e;
    int rc = resize(b, args, &e);

    if (rc < 0) {
        snprintf(e.where, sizeof(e.where), "/params/%s",
                 args->has_size ? "size" : "device");
        call_fail(c, &e);
        return;
    }
    if (rc > 0)
        block_resized(b);
    json_add_u64(&c->out, "size", block_capacity(b) * VIRTIO_BLK_SECTOR_BYTES);
    json_add_u64(&c->out, "was", was * VIRTIO_BLK_SECTOR_BYTES);
    call_done(c);
}

static const struct conf_key resize_keys[] = {
    {"size", CONF_SIZE, CONF_AT(struct resize_args, size), .min = 512,
     .max = STORE_SIZE_MAX,
     .seen_offset = CONF_SEEN(struct resize_args, has_size),
     .help = "The new size, of a store that lives in vub: memory, which grows "
             "to sixteen times what it began with at most, or null."},
    {NULL},
};

static const struct conf_table resize_table = {
    .name = "block.resize",
    .size = sizeof(struct resize_args),
    .keys = resize_keys,
};

const struct command block_commands[] = {
    {"block.resize", &resize_table,
     "Change the size of a disk, and tell the guest. Without a size: look "
     "again "
     "at the file, as SIGHUP does.",
     run_resize},
    {NULL},
};
