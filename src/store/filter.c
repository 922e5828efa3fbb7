/* What a filter passes on. A request goes down as one of our own, since the
 * store below keeps its state in it; those are kept for the next one. */
#include "store/filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct store_filter *store_filter_of(struct store *s)
{
    return container_of(s, struct store_filter, store);
}

static struct store_filter_channel *channel_of(struct store_channel *ch)
{
    return container_of(ch, struct store_filter_channel, ch);
}

int store_filter_new(struct store **out, size_t size, const struct conf_any *c,
                     const struct conf_any *next, bool read_only,
                     const char *id, struct errs *e)
{
    struct store_filter *f = calloc(1, size);
    int rc;

    if (!f)
        return errs_nomem(e);
    rc = store_open(&f->next, next, read_only, id, e);
    if (rc < 0) {
        free(f);
        return rc;
    }
    f->next->above = &f->store;
    f->store.ops = c->table->ops;
    f->store.id = id;
    f->store.info = f->next->info;
    f->store.info.mem_align = 1; /* it is next that may need other memory */
    *out = &f->store;
    return 0;
}

void store_filter_free(struct store *s)
{
    struct store_filter *f = store_filter_of(s);

    store_close(f->next);
    free(f);
}

int store_filter_channel_new(struct store_channel **out, size_t size,
                             struct store *s, struct loop *loop, struct err *e)
{
    struct store_filter_channel *c = calloc(1, size);
    int rc;

    if (!c)
        return err_nomem(e);
    list_init(&c->spare);
    rc = store_channel_open(&c->next, store_filter_of(s)->next, loop, e);
    if (rc < 0) {
        free(c);
        return rc;
    }
    *out = &c->ch;
    return 0;
}

void store_filter_channel_close(struct store_channel *ch)
{
    struct store_filter_channel *c = channel_of(ch);
    struct list *node;

    store_channel_close(c->next);
    while ((node = list_pop(&c->spare)) != NULL)
        free(container_of(node, struct store_req, node));
}

void store_filter_channel_free(struct store_channel *ch)
{
    store_filter_channel_close(ch);
    free(channel_of(ch));
}

static void on_done(struct store_req *below)
{
    struct store_req *r = below->above;
    struct store_filter_channel *c = channel_of(r->channel);
    int result = below->result;

    list_add(&c->spare, &below->node);
    store_complete(r, result);
}

int store_filter_forward(struct store_filter_channel *c, struct store_req *r)
{
    struct list *node = list_pop(&c->spare);
    struct store_req *below = node ? container_of(node, struct store_req, node)
                                   : malloc(sizeof(*below));

    if (!below) {
        r->result = -ENOMEM;
        return STORE_DONE;
    }
    *below = store_filter_below(r, on_done);
    if (store_submit(c->next, below) == STORE_PENDING)
        return STORE_PENDING;
    r->result = below->result;
    list_add(&c->spare, &below->node);
    return STORE_DONE;
}

static void on_changed(void *arg)
{
    struct store_filter *f = arg;
    struct store_info *to = &f->store.info;
    const struct store_info *from = &f->next->info;

    to->physical_block_size = from->physical_block_size;
    to->opt_io_size = from->opt_io_size;
    __atomic_store_n(&to->size, store_size(f->next), __ATOMIC_RELAXED);
    __atomic_store_n(&to->pending, store_is_pending(f->next), __ATOMIC_RELEASE);
    store_tell_changed(&f->store);
}

static void on_dropped(void *arg, const char *why)
{
    store_tell_drop(&((struct store_filter *)arg)->store, why);
}

static void on_forgot(void *arg)
{
    store_tell_forgotten(&((struct store_filter *)arg)->store);
}

int store_filter_begin(struct store *s, struct loop *home, struct err *e)
{
    struct store_filter *f = store_filter_of(s);
    int rc = store_begin(f->next, home, on_changed, f, e);

    if (rc < 0)
        return rc;
    store_on_drop(f->next, on_dropped, f);
    store_on_forget(f->next, on_forgot, f);
    return 0;
}

void store_filter_end(struct store *s, void (*gone)(void *arg), void *arg)
{
    store_end(store_filter_of(s)->next, gone, arg);
}

int store_filter_acquire(struct store *s, struct err *e)
{
    return store_acquire(store_filter_of(s)->next, e);
}

void store_filter_release(struct store *s)
{
    store_release(store_filter_of(s)->next);
}

int store_filter_refresh(struct store *s, struct err *e)
{
    struct store_filter *f = store_filter_of(s);
    int rc = store_refresh(f->next, e);

    if (rc > 0)
        __atomic_store_n(&s->info.size, store_size(f->next), __ATOMIC_RELAXED);
    return rc;
}

int store_filter_resize(struct store *s, uint64_t size, struct err *e)
{
    struct store_filter *f = store_filter_of(s);
    int rc = store_resize(f->next, size, e);

    if (rc == 0)
        __atomic_store_n(&s->info.size, size, __ATOMIC_RELAXED);
    return rc;
}

struct store *store_filter_next(const struct store *s)
{
    return store_filter_of((struct store *)s)->next;
}

int store_filter_sync(struct store *s)
{
    return store_sync(store_filter_of(s)->next);
}

int store_filter_keep(struct store *s, const char *name, struct err *e)
{
    struct store_filter *f = store_filter_of(s);
    char below[KEEP_NAME_MAX + 1];
    int rc;

    snprintf(below, sizeof(below), "%.*sn", KEEP_NAME_MAX - 1, name);
    rc = store_keep(f->next, below, e);
    if (rc < 0)
        return rc;
    s->info.size = f->next->info.size;
    s->info.is_found = f->next->info.is_found;
    return 0;
}

int store_filter_keep_empty(struct store *s, const char *name, const char *what,
                            struct kept *kept, void *was, uint32_t len,
                            struct err *e)
{
    const struct store_info *below = &store_filter_of(s)->next->info;
    char whole[KEEP_NAME_MAX + 1];
    uint64_t is_empty;
    int rc = store_keep_name(whole, name, what, e);

    if (rc == 0)
        rc = keep_get(kept, s->id, whole, keep_pair_bytes(len), e);
    if (rc == 0)
        rc = store_filter_keep(s, name, e);
    if (rc < 0)
        return rc;
    if (!kept->found || !keep_pair_read(kept->at, was, len))
        memset(was, 0, len);
    memcpy(&is_empty, was, sizeof(is_empty));
    s->info.is_found = is_empty && (!below->is_volatile || below->is_found);
    return 0;
}

int store_filter_save(struct store *s, struct err *e)
{
    return store_save(store_filter_of(s)->next, e);
}

void store_filter_kick(struct store_channel *ch)
{
    store_kick(channel_of(ch)->next);
}

void store_filter_drain(struct store_channel *ch, const void *owner,
                        bool cancel)
{
    store_drain(channel_of(ch)->next, owner, cancel);
}
