/* A logical unit that is a store: its life.
 *
 * The write cache. A disk whose store has a cache starts with WCE on, and the
 * guest may change it (disk_mode.c). After the recovery of a crashed back-end
 * it is off: nobody repeats what the guest had set, and a guest that has read
 * "off" does not flush. A unit attention and an event tell the guest to look;
 * when it does, what was cached is flushed first, for it flushes no more when
 * it has read "off". A store that forgets when the process ends cannot be
 * recovered: the session does not start.
 *
 * A store may not know its size yet, one of an iSCSI target for example: until
 * it does the disk is NOT READY, and then its capacity has changed.
 *
 * The store's channel is opened by the first start and kept. The image lock is
 * taken when a session starts, and given back when it stops, so that a guest
 * may migrate. */
#include "device/scsi/disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEPT_WCE = 1 << 0,
    KEPT_MUST_FLUSH = 1 << 1,
    KEPT_SWP = 1 << 2,
    KEPT_STOPPED = 1 << 3,
};

void disk_keep(struct disk *d)
{
    lun_keep_state(&d->lun, (d->wce ? KEPT_WCE : 0) |
                                (d->must_flush ? KEPT_MUST_FLUSH : 0) |
                                (d->swp ? KEPT_SWP : 0) |
                                (d->stopped ? KEPT_STOPPED : 0));
}

static void recall(struct disk *d)
{
    uint32_t found = d->lun.found;

    d->wce = found & KEPT_WCE && d->store->info.cached && !d->read_only;
    d->must_flush = found & KEPT_MUST_FLUSH;
    d->swp = found & KEPT_SWP;
    d->stopped = found & KEPT_STOPPED;
}

void disk_defaults(struct disk *d)
{
    d->wce = d->store->info.cached && !d->read_only;
    d->must_flush = false;
    d->swp = false;
    d->stopped = false;
    disk_keep(d);
}

/* ---- who it is ---- */

/* FNV-1a: the same for all times, whatever it is worth otherwise. */
static uint64_t hash(uint64_t h, const char *text)
{
    const uint8_t *p = (const uint8_t *)text;

    do { /* and the end, so that "ab", "c" is not "a", "bc" */
        h ^= *p;
        h *= UINT64_C(0x100000001b3);
    } while (*p++);
    return h;
}

static void name(struct disk *d, const char *id)
{
    char made[DISK_SERIAL_BYTES + 1];
    const char *serial = d->conf->serial;
    size_t n;

    if (!serial) {
        snprintf(made, sizeof(made), "%.40s-%u-%u", id, d->conf->target,
                 d->conf->lun);
        serial = made;
    }
    n = strnlen(serial, DISK_SERIAL_BYTES);
    for (size_t i = 0; i < n; i++) /* SPC-4 4.3.1 */
        d->serial[i] = serial[i] < 0x20 || serial[i] > 0x7e ? '_' : serial[i];
    d->naa = hash(hash(UINT64_C(0xcbf29ce484222325), id), serial);
    d->naa = UINT64_C(3) << 60 | d->naa >> 4;
}

/* ---- start and stop ---- */

static void on_acquired(struct store_acquire *a, const struct err *e)
{
    struct disk *d = container_of(a, struct disk, acquire);

    d->lun.host->started(&d->lun, e);
}

/* Nobody repeats what the guest had set. */
static void cache_off(struct disk *d)
{
    d->must_flush |= d->wce;
    d->wce = false;
    if (d->must_flush)
        d->lun.host->changed(&d->lun, SCSI_ASC_MODE_CHANGED, true);
}

/* A guest has been served before this process was, and its bytes are lost. */
static bool has_forgotten(const struct disk *d, bool recovered)
{
    const struct lun *l = &d->lun;
    bool known = l->found & LUN_STATE_KNOWN;

    return d->store->info.is_volatile && !l->ran &&
           !(known && d->store->info.is_found) && (recovered || l->goes_on);
}

static void disk_start(struct lun *l, bool recovered)
{
    struct disk *d = disk_of(l);
    struct err e;
    int rc;

    if (has_forgotten(d, recovered)) {
        err_set(&e, -EINVAL, "",
                "LUN %u of target %u: a back-end before this one has served "
                "the guest, but store %s has forgotten what was written",
                l->lun, l->target, d->store->ops->type);
        l->host->started(l, &e);
        return;
    }
    if (recovered && !(l->found & LUN_STATE_KNOWN))
        cache_off(d);
    disk_keep(d);
    if (!d->ch) {
        rc = store_channel_open(&d->ch, d->store, l->loop, &e);
        if (rc < 0) {
            d->ch = NULL;
            l->host->started(l, &e);
            return;
        }
    }
    d->acquire.loop = l->loop;
    store_acquire_start(&d->acquire);
}

/* No channel is open without a session: filters count on that. One of a unit
 * that leaves is closed a little later; this may be inside what it has ended.
 */
static void disk_stop(struct lun *l)
{
    struct disk *d = disk_of(l);

    if (d->ch && !l->leaves) {
        store_channel_close(d->ch);
        d->ch = NULL;
    }
    store_acquire_stop(&d->acquire);
}

static void disk_reset(struct lun *l)
{
    disk_defaults(disk_of(l));
}

/* ---- size ---- */

/* Whole logical blocks. */
static uint64_t blocks_now(const struct disk *d)
{
    return store_size(d->store) >> d->block_shift;
}

static void resized(struct disk *d)
{
    uint64_t before = d->blocks, now = blocks_now(d);

    if (now == before)
        return;
    d->blocks = now;
    if (before == 0)
        log_info(d->lun.id, "LUN %u of target %u has %" PRIu64 " bytes",
                 d->lun.lun, d->lun.target, now << d->block_shift);
    else
        log_at(now < before ? LOG_WARN : LOG_INFO, d->lun.id,
               "LUN %u of target %u has %s from %" PRIu64 " to %" PRIu64
               " bytes",
               d->lun.lun, d->lun.target, now < before ? "shrunk" : "grown",
               before << d->block_shift, now << d->block_shift);
    d->lun.host->changed(&d->lun, SCSI_ASC_CAPACITY_CHANGED, true);
}

/* What the store says of itself that may come to be known later. */
static void look_at_store(struct disk *d)
{
    d->read_only = d->store->info.read_only;
    d->can_unmap = d->store->info.can_discard && !d->read_only;
    disk_commands_init(d);
}

static void on_store_changed(void *arg)
{
    struct disk *d = arg;

    look_at_store(d);
    resized(d);
}

static void on_store_dropped(void *arg, const char *why)
{
    struct lun *l = &((struct disk *)arg)->lun;

    l->host->drop(l, why);
}

static int disk_begin(struct lun *l, struct err *e)
{
    struct disk *d = disk_of(l);
    int rc;

    if (l->found & LUN_STATE_KNOWN)
        recall(d);
    rc = store_begin(d->store, l->loop, on_store_changed, d, e);
    if (rc == 0)
        store_on_drop(d->store, on_store_dropped, d);
    return rc;
}

static void disk_refresh(struct lun *l)
{
    struct disk *d = disk_of(l);
    struct err e;
    int rc = store_refresh(d->store, &e);

    if (rc < 0)
        log_warn(l->id,
                 "LUN %u of target %u: its size is not known any more: %s",
                 l->lun, l->target, e.text);
    if (rc > 0)
        resized(d);
}

static int disk_resize(struct lun *l, uint64_t size, struct err *e)
{
    struct disk *d = disk_of(l);
    int rc;

    if (size < d->block_bytes)
        return err_set(e, -EINVAL, "", "%" PRIu64 " bytes is not one block",
                       size);
    rc = store_resize(d->store, size, e);
    if (rc < 0)
        return rc;
    resized(d);
    return 0;
}

static int disk_save(struct lun *l, struct err *e)
{
    return store_save(disk_of(l)->store, e);
}

/* ---- what there is to know ---- */

static void disk_status(struct lun *l, struct json_out *o)
{
    const struct disk *d = disk_of(l);

    json_add_str(o, "store", d->store->ops->type);
    json_add_str(o, "serial", d->serial);
    json_add_u64(o, "size", d->blocks << d->block_shift);
    json_add_u64(o, "block_size", d->block_bytes);
    json_add_bool(o, "read_only", d->read_only);
    json_add_bool(o, "write_cache", d->wce);
    json_add_bool(o, "stopped", d->stopped);
    store_filters_status(d->store, o);
}

static struct store *disk_made_of(struct lun *l)
{
    return disk_of(l)->store;
}

/* ---- life ---- */

static int check_sizes(const struct disk *d, const char *at, struct errs *e)
{
    const struct store_info *info = &d->store->info;

    if (d->block_bytes < info->block_size)
        return errs_at(e, at, "logical_block_size",
                       "%" PRIu32 " bytes is less than the %" PRIu32
                       " that the store can do",
                       d->block_bytes, info->block_size);
    if (info->size < d->block_bytes && !store_is_pending(d->store))
        return errs_at(e, at, "store",
                       "%" PRIu64 " bytes is not one block of %" PRIu32,
                       info->size, d->block_bytes);
    return 0;
}

static int disk_open(struct lun **out, const struct lun_conf *c, const char *at,
                     const char *id, struct errs *e)
{
    struct disk *d = calloc(1, sizeof(*d));
    uint32_t physical;
    char keep[32];
    struct err why;
    int rc;

    if (!d)
        return errs_nomem(e);
    d->conf = c;
    rc = store_open(&d->store, &c->store, c->read_only, id, e);
    if (rc < 0)
        goto out;
    d->block_bytes = c->logical_block_size ? c->logical_block_size
                                           : d->store->info.block_size;
    physical = c->physical_block_size ? c->physical_block_size
                                      : d->store->info.physical_block_size;
    d->physical_bytes = MAX(physical, d->block_bytes);
    rc = check_sizes(d, at, e);
    if (rc < 0)
        goto out;
    snprintf(keep, sizeof(keep), "%u.%u", c->target, c->lun);
    rc = store_keep(d->store, keep, &why);
    if (rc < 0) {
        errs_adopt(e, at, NULL, &why);
        goto out;
    }
    d->block_shift = (unsigned)__builtin_ctz(d->block_bytes);
    d->blocks = blocks_now(d);
    look_at_store(d);
    d->acquire.store = d->store;
    d->acquire.done = on_acquired;
    disk_tasks_init(d);
    disk_work_init(d);
    disk_defaults(d);
    name(d, id);
    *out = &d->lun;
    return 0;
out:
    store_close(d->store);
    free(d);
    return rc;
}

static void on_store_ended(void *arg)
{
    struct disk *d = arg;
    void (*gone)(void *arg) = d->gone;
    void *gone_arg = d->gone_arg;

    store_close(d->store);
    free(d);
    gone(gone_arg);
}

static void on_acquire_gone(struct store_acquire *a)
{
    struct disk *d = container_of(a, struct disk, acquire);

    if (d->ch)
        store_channel_close(d->ch);
    store_end(d->store, on_store_ended, d);
}

static void disk_close(struct lun *l, void (*gone)(void *arg), void *arg)
{
    struct disk *d = disk_of(l);

    disk_tasks_fini(d);
    d->gone = gone;
    d->gone_arg = arg;
    d->acquire.gone = on_acquire_gone;
    store_acquire_close(&d->acquire);
}

const struct lun_ops lun_disk_ops = {
    .type = "disk",
    .is_ours = true,
    .open = disk_open,
    .begin = disk_begin,
    .start = disk_start,
    .stop = disk_stop,
    .reset = disk_reset,
    .submit = disk_submit,
    .kick = disk_kick,
    .hurry = disk_hurry,
    .give_up = disk_give_up,
    .tmf = disk_tmf,
    .refresh = disk_refresh,
    .resize = disk_resize,
    .save = disk_save,
    .status = disk_status,
    .store = disk_made_of,
    .close = disk_close,
};
