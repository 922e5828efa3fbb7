/* Store `iscsi`: a unit of an iSCSI target, for a block device.
 *
 * The vhost socket listens at once, so the store opens before anybody knows its
 * size: it is pending (store_info), requests wait, and its user is told when it
 * is known. The home loop has a probe for that, and each channel has one. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "store/iscsi_impl.h"
#include "store/iscsi_sync.h"

static void on_told(struct iscsi_probe *p, bool known)
{
    struct iscsi_store *s = container_of(p, struct iscsi_store, probe);
    const struct iscsi_limits *l = &p->limits;
    struct store_info *info = &s->store.info;

    if (!known || s->ending)
        return;
    if (l->block > info->block_size && !s->told_block)
        log_info(s->store.id,
                 "the iSCSI unit has blocks of %u bytes: the device needs "
                 "\"logical_block_size\": %u",
                 l->block, l->block);
    s->told_block = true;
    info->physical_block_size = l->physical;
    info->opt_io_size = l->opt_io;
    if (!info->pending && store_size(&s->store) == l->size)
        return;
    __atomic_store_n(&info->size, l->size, __ATOMIC_RELAXED);
    __atomic_store_n(&info->pending, false, __ATOMIC_RELEASE);
    store_tell_changed(&s->store);
}

static void home_part_gone(struct iscsi_store *s)
{
    void (*gone)(void *arg) = s->gone;

    if (--s->open > 0)
        return;
    s->home = NULL;
    gone(s->gone_arg);
}

static void on_look(struct mail *m)
{
    struct iscsi_store *s = container_of(m, struct iscsi_store, look);

    __atomic_store_n(&s->looking, false, __ATOMIC_RELEASE);
    if (s->ending)
        home_part_gone(s);
    else
        iscsi_probe_again(&s->probe);
}

/* [any channel's loop] */
void iscsi_look_again(struct iscsi_store *s)
{
    if (s->home && !__atomic_exchange_n(&s->looking, true, __ATOMIC_ACQ_REL))
        loop_post(s->home, &s->look);
}

static void on_home_gone(struct iscsi_probe *p)
{
    home_part_gone(container_of(p, struct iscsi_store, probe));
}

static int iscsi_begin(struct store *st, struct loop *home, struct err *e)
{
    struct iscsi_store *s = iscsi_store_of(st);
    int rc;

    s->probe.id = st->id;
    s->probe.told = on_told;
    s->probe.gone = on_home_gone;
    s->look.run = on_look;
    rc = iscsi_probe_open(&s->probe, s->conf, home, e);
    if (rc == 0)
        s->home = home;
    return rc;
}

/* No channel is open, so nobody posts. */
static void iscsi_end(struct store *st, void (*gone)(void *arg), void *arg)
{
    struct iscsi_store *s = iscsi_store_of(st);

    s->gone = gone;
    s->gone_arg = arg;
    s->ending = true;
    s->open = 1;
    if (__atomic_load_n(&s->looking, __ATOMIC_ACQUIRE))
        s->open++;
    iscsi_probe_close(&s->probe);
}

static int iscsi_refresh(struct store *st, struct err *e)
{
    struct iscsi_store *s = iscsi_store_of(st);

    (void)e;
    if (s->home)
        iscsi_probe_again(&s->probe); /* which tells */
    return 0;
}

/* Before its size is known nothing was written. */
static int iscsi_store_sync(struct store *st)
{
    struct iscsi_store *s = iscsi_store_of(st);

    return store_is_pending(st) ? 0 : iscsi_sync(s->conf, st->id);
}

static void iscsi_store_status(const struct store *st, struct json_out *o)
{
    const struct iscsi_store *s = iscsi_store_of((struct store *)st);

    if (!s->home)
        return;
    json_begin(o, "iscsi", '{');
    iscsi_status(&s->probe.unit, o);
    json_end(o, '}');
}

static int iscsi_store_open(struct store **out, const struct conf_any *c,
                            bool read_only, const char *id, struct errs *e)
{
    const struct iscsi_conf *conf = c->data;
    struct iscsi_store *s;
    unsigned lun;
    int rc;

    rc = iscsi_check(conf, c->at, &lun, e);
    if (rc < 0)
        return rc;
    s = calloc(1, sizeof(*s));
    if (!s)
        return errs_nomem(e);
    s->conf = conf;
    s->store.ops = c->table->ops;
    s->store.id = id;
    s->store.info = (struct store_info){
        .pending = true,
        .block_size = 512,
        .mem_align = 1,
        .read_only = read_only,
        /* A hint that the target does not take is taken by us. */
        .can_discard = true,
        .can_zero = true,
        .cached = true,
    };
    *out = &s->store;
    return 0;
}

static void iscsi_store_close(struct store *st)
{
    struct iscsi_store *s = iscsi_store_of(st);

    assert(!s->home);
    free(s);
}

static const struct store_ops iscsi_ops = {
    .type = "iscsi",
    .open = iscsi_store_open,
    .close = iscsi_store_close,
    .begin = iscsi_begin,
    .end = iscsi_end,
    .refresh = iscsi_refresh,
    .status = iscsi_store_status,
    .sync = iscsi_store_sync,
    .channel_open = iscsi_channel_open,
    .channel_close = iscsi_channel_close,
    .submit = iscsi_channel_submit,
    .kick = iscsi_channel_kick,
    .drain = iscsi_channel_drain,
};

const struct conf_table iscsi_store_table = {
    .name = "iscsi",
    .size = sizeof(struct iscsi_conf),
    .keys = iscsi_keys,
    .help = "A logical unit of an iSCSI target. The guest sees a disk of no "
            "size until the target has said how large it is.",
    .ops = &iscsi_ops,
};
