/* What all stores have in common: the contract.
 *
 * A request that a caller may not send (out of range, misaligned, a write to
 * a read-only store) is refused here, so that kinds need not look. Then it
 * goes to its kind directly, or by way of bounce.c if direct I/O cannot use
 * its memory. `pending` counts what is between submit and done, so that a
 * channel cannot be closed under a request, which would be our own mistake
 * and asserts. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "loop/loop.h"
#include "store/impl.h"

static const struct conf_table *const store_tables[] = {
    &file_table,     &memory_table, &null_table,  &iscsi_store_table,
    &throttle_table, &fault_table,  &delay_table, &powercut_table,
    &cow_table,      &trace_table,  NULL,
};

const struct conf_union store_union = {
    .what = "store",
    .tables = store_tables,
};

void store_check_size(uint64_t size, const char *at, struct errs *e)
{
    if (size % 512)
        errs_at(e, at, "size",
                "%" PRIu64 " bytes is not a whole number of 512-byte sectors",
                size);
}

static void check_power_of_two(const char *key, uint32_t size, const char *at,
                               struct errs *e)
{
    if (size & (size - 1))
        errs_at(e, at, key, "%" PRIu32 " is not a power of two", size);
}

void store_check_blocks(uint32_t logical, uint32_t physical, const char *at,
                        struct errs *e)
{
    check_power_of_two("logical_block_size", logical, at, e);
    check_power_of_two("physical_block_size", physical, at, e);
    if (physical && physical < logical)
        errs_at(e, at, "physical_block_size",
                "%" PRIu32 " bytes is less than the logical block's %" PRIu32,
                physical, logical);
}

int store_open(struct store **out, const struct conf_any *c, bool read_only,
               const char *id, struct errs *e)
{
    const struct store_ops *ops = c->table->ops;
    struct store *s;
    int rc;

    rc = ops->open(&s, c, read_only, id, e);
    if (rc < 0)
        return rc;
    assert(s->ops == ops && s->info.block_size && s->info.mem_align);
    assert(s->info.size % s->info.block_size == 0);
    s->info.serial |= ops->serial;
    *out = s;
    return 0;
}

int store_keep(struct store *s, const char *name, struct err *e)
{
    return s->ops->keep ? s->ops->keep(s, name, e) : 0;
}

int store_save(struct store *s, struct err *e)
{
    return s->ops->save ? s->ops->save(s, e) : 0;
}

int store_keep_name(char whole[KEEP_NAME_MAX + 1], const char *name,
                    const char *what, struct err *e)
{
    int n = snprintf(whole, KEEP_NAME_MAX + 1, "%s.%s", name, what);

    if (n < 0 || n > KEEP_NAME_MAX)
        return err_set(e, -ENAMETOOLONG, "",
                       "too many stores stand on one another");
    return 0;
}

static void look_if_serial(const struct conf_any *o, void *arg)
{
    for (const struct conf_table *const *t = store_tables; *t; t++)
        if (*t == o->table && ((const struct store_ops *)(*t)->ops)->serial)
            *(bool *)arg = true;
}

bool store_is_serial(const struct conf_any *c)
{
    bool serial = false;
    const struct conf_visitor v = {.object = look_if_serial, .arg = &serial};

    if (c->table && c->data)
        conf_visit(c->table, c->data, &v);
    return serial;
}

void store_close(struct store *s)
{
    if (s)
        s->ops->close(s);
}

int store_begin(struct store *s, struct loop *home, void (*changed)(void *arg),
                void *arg, struct err *e)
{
    int rc;

    s->changed = changed;
    s->changed_arg = arg;
    rc = s->ops->begin ? s->ops->begin(s, home, e) : 0;
    s->begun = rc == 0;
    return rc;
}

void store_on_drop(struct store *s, void (*dropped)(void *arg, const char *why),
                   void *arg)
{
    s->dropped = dropped;
    s->dropped_arg = arg;
}

void store_on_forget(struct store *s, void (*forgot)(void *arg), void *arg)
{
    s->forgot = forgot;
    s->forgot_arg = arg;
}

void store_end(struct store *s, void (*gone)(void *arg), void *arg)
{
    s->changed = NULL;
    s->dropped = NULL;
    s->forgot = NULL;
    if (s->begun && s->ops->end)
        s->ops->end(s, gone, arg);
    else
        gone(arg);
}

int store_acquire(struct store *s, struct err *e)
{
    return s->ops->acquire ? s->ops->acquire(s, e) : 0;
}

void store_release(struct store *s)
{
    if (s->ops->release)
        s->ops->release(s);
}

int store_refresh(struct store *s, struct err *e)
{
    return s->ops->refresh ? s->ops->refresh(s, e) : 0;
}

int store_resize(struct store *s, uint64_t size, struct err *e)
{
    if (!s->ops->resize && !s->ops->refresh)
        return err_set(e, -EOPNOTSUPP, "",
                       "a store %s keeps the size that it has", s->ops->type);
    if (!s->ops->resize)
        return err_set(e, -EOPNOTSUPP, "",
                       "the size of a store %s is not vub's to change: change "
                       "what it is made of, and resize without a size",
                       s->ops->type);
    if (size % s->info.block_size)
        return err_set(e, -EINVAL, "",
                       "%" PRIu64 " bytes is not a whole number of blocks of "
                       "%" PRIu32,
                       size, s->info.block_size);
    return s->ops->resize(s, size, e);
}

struct store *store_next(const struct store *s)
{
    return s->ops->next ? s->ops->next(s) : NULL;
}

void store_filters_status(const struct store *s, struct json_out *o)
{
    const struct store *next;
    bool any = false;

    for (; (next = store_next(s)) != NULL; s = next) {
        if (!s->ops->status)
            continue;
        if (!any)
            json_begin(o, "filters", '[');
        any = true;
        json_begin(o, NULL, '{');
        json_add_str(o, "type", s->ops->type);
        if (s->name)
            json_add_str(o, "name", s->name);
        s->ops->status(s, o);
        json_end(o, '}');
    }
    if (any)
        json_end(o, ']');
}

void store_status(const struct store *s, struct json_out *o)
{
    const struct store *next;

    store_filters_status(s, o);
    while ((next = store_next(s)) != NULL)
        s = next;
    if (s->ops->status)
        s->ops->status(s, o);
}

int store_sync(struct store *s)
{
    return s->ops->sync ? s->ops->sync(s) : 0;
}

uint64_t store_size(const struct store *s)
{
    return __atomic_load_n(&s->info.size, __ATOMIC_RELAXED);
}

bool store_is_pending(const struct store *s)
{
    return __atomic_load_n(&s->info.pending, __ATOMIC_ACQUIRE);
}

const char *store_op_name(enum store_op op)
{
    static const char *const names[] = {
        [STORE_READ] = "reading",   [STORE_WRITE] = "writing",
        [STORE_FLUSH] = "flushing", [STORE_DISCARD] = "discarding",
        [STORE_ZERO] = "zeroing",
    };

    return names[op];
}

const char *store_op_word(enum store_op op)
{
    static const char *const words[] = {
        [STORE_READ] = "read",   [STORE_WRITE] = "write",
        [STORE_FLUSH] = "flush", [STORE_DISCARD] = "discard",
        [STORE_ZERO] = "zero",
    };

    return words[op];
}

int store_channel_open(struct store_channel **out, struct store *s,
                       struct loop *loop, struct err *e)
{
    struct store_channel *ch;
    int rc;

    rc = s->ops->channel_open(&ch, s, loop, e);
    if (rc < 0)
        return rc;
    ch->store = s;
    ch->loop = loop;
    ch->pending = 0;
    ch->bounce = NULL;
    if (s->info.mem_align > 1) {
        ch->bounce = bounce_open(ch);
        if (!ch->bounce) {
            s->ops->channel_close(ch);
            return err_nomem(e);
        }
    }
    *out = ch;
    return 0;
}

void store_channel_close(struct store_channel *ch)
{
    assert(ch->pending == 0);
    bounce_close(ch->bounce);
    ch->store->ops->channel_close(ch);
}

/* -EIO: the range is not the store's. */
static int check(const struct store *s, const struct store_req *r)
{
    uint64_t size = store_size(s);

    if (r->op == STORE_FLUSH)
        return 0;
    if (UNLIKELY((r->offset | r->len) & (s->info.block_size - 1)))
        return -EIO;
    if (UNLIKELY(r->offset > size || r->len > size - r->offset)) {
        /* Look again: it may have become known just now. */
        size = store_is_pending(s) ? STORE_SIZE_MAX : store_size(s);
        if (r->offset > size || r->len > size - r->offset)
            return -EIO;
    }
    if (UNLIKELY(s->info.read_only) && store_writes(r->op))
        return -EROFS;
    return 0;
}

int store_submit(struct store_channel *ch, struct store_req *r)
{
    int rc;

    assert(r->done);
    r->result = check(ch->store, r);
    if (UNLIKELY(r->result < 0))
        return STORE_DONE;
    if (r->len == 0 && r->op != STORE_FLUSH)
        return STORE_DONE;
    r->progress = 0;
    if (UNLIKELY(ch->bounce) && bounce_needed(&ch->store->info, r))
        rc = bounce_submit(ch->bounce, r);
    else
        rc = ch->store->ops->submit(ch, r);
    assert(rc != STORE_DONE || r->result <= 0);
    if (rc == STORE_PASSED)
        return STORE_PENDING; /* it is another channel's */
    if (rc == STORE_PENDING) {
        /* It is not completed before we return to the loop. */
        r->channel = ch;
        ch->pending++;
    }
    return rc;
}

void store_complete(struct store_req *r, int result)
{
    assert(r->channel->pending > 0 && result <= 0);
    r->channel->pending--;
    r->result = result;
    r->done(r);
}

void store_kick(struct store_channel *ch)
{
    if (ch->store->ops->kick)
        ch->store->ops->kick(ch);
}

void store_drain(struct store_channel *ch, const void *owner, bool cancel)
{
    if (cancel && ch->bounce)
        bounce_give_up(ch->bounce, owner);
    if (ch->store->ops->drain)
        ch->store->ops->drain(ch, owner, cancel);
}

void store_give_up(struct list *waiting, const void *owner)
{
    struct list mine, *node;

    /* First all are taken: who is told may change the list. */
    list_init(&mine);
    LIST_EACH_SAFE (waiting, at) {
        if (container_of(at, struct store_req, node)->owner != owner)
            continue;
        list_del(at);
        list_add(&mine, at);
    }
    while ((node = list_pop(&mine)) != NULL)
        store_complete(container_of(node, struct store_req, node), -EIO);
}

void store_hurry(struct list *waiting, const void *owner)
{
    LIST_EACH (waiting, at) {
        struct store_req *r = container_of(at, struct store_req, node);

        if (r->owner == owner)
            r->flags |= STORE_HURRY;
    }
}

int store_rest(struct store_req *r, const struct iovec **iov, int iov_max)
{
    uint64_t skip = r->progress;
    int i;

    for (i = 0; i < r->iov_num && skip >= r->iov[i].iov_len; i++)
        skip -= r->iov[i].iov_len;
    assert(i < r->iov_num);
    if (skip) {
        r->one.iov_base = (char *)r->iov[i].iov_base + skip;
        r->one.iov_len = r->iov[i].iov_len - skip;
        *iov = &r->one;
        return 1;
    }
    *iov = r->iov + i;
    return MIN(r->iov_num - i, iov_max);
}
