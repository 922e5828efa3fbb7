/* Store `null`: accepts everything, keeps nothing. For measuring what is not
 * the store, and as a disk that nobody reads. Reads leave the memory as it
 * was, which costs nothing; `read_zeros` fills it for guests that look: that of
 * long ones in steps. */
#include <stdlib.h>
#include <string.h>

#include "store/impl.h"
#include "store/steps.h"

#define INLINE_BYTES (2u << 20)
#define STEP_BYTES (256u << 10)

struct null_conf {
    uint64_t size;
    bool read_zeros;
};

struct null_store {
    struct store store;
    struct kept kept; /* a word: its size */
    bool read_zeros;
};

struct null_channel {
    struct store_channel ch;
    struct steps steps;
};

static int null_open(struct store **out, const struct conf_any *c,
                     bool read_only, const char *id, struct errs *e)
{
    const struct null_conf *conf = c->data;
    struct null_store *n;

    n = calloc(1, sizeof(*n));
    if (!n)
        return errs_nomem(e);
    n->read_zeros = conf->read_zeros;
    n->store.ops = c->table->ops;
    n->store.id = id;
    n->store.info = (struct store_info){
        .size = conf->size,
        .block_size = 512,
        .mem_align = 1,
        .read_only = read_only,
        .can_discard = true,
        .can_zero = true,
        .discard_zeroes = conf->read_zeros,
        /* A guest cannot tell before from after a crash. */
        .is_volatile = false,
    };
    *out = &n->store;
    return 0;
}

static struct null_store *null_of(struct store *s)
{
    return container_of(s, struct null_store, store);
}

static void null_close(struct store *s)
{
    struct null_store *n = null_of(s);

    keep_drop(&n->kept);
    free(n);
}

static void set_size(struct null_store *n, uint64_t size)
{
    __atomic_store_n(&n->store.info.size, size, __ATOMIC_RELAXED);
    if (n->kept.at)
        __atomic_store_n((uint64_t *)n->kept.at, size, __ATOMIC_RELEASE);
}

static int null_resize(struct store *s, uint64_t size, struct err *e)
{
    (void)e;
    set_size(null_of(s), size);
    return 0;
}

static int null_keep(struct store *s, const char *name, struct err *e)
{
    struct null_store *n = null_of(s);
    char whole[KEEP_NAME_MAX + 1];
    uint64_t size = 0;
    int rc = store_keep_name(whole, name, "null.1", e);

    if (rc == 0)
        rc = keep_get(&n->kept, s->id, whole, sizeof(size), e);
    if (rc < 0)
        return rc;
    size = __atomic_load_n((uint64_t *)n->kept.at, __ATOMIC_RELAXED);
    if (size < 512 || size % 512 || size > STORE_SIZE_MAX)
        size = s->info.size;
    set_size(n, size);
    return 0;
}

static struct null_channel *channel_of(struct store_channel *ch)
{
    return container_of(ch, struct null_channel, ch);
}

static void clear(struct store_req *r, struct iovec piece, uint64_t at)
{
    (void)r;
    (void)at;
    memset(piece.iov_base, 0, piece.iov_len);
}

static void step(struct store_req *r)
{
    steps_move(r, STEP_BYTES, clear);
}

static int null_channel_open(struct store_channel **out, struct store *s,
                             struct loop *loop, struct err *e)
{
    struct null_channel *c = calloc(1, sizeof(*c));

    (void)s;
    if (!c)
        return err_nomem(e);
    steps_init(&c->steps, loop, step);
    *out = &c->ch;
    return 0;
}

static void null_channel_close(struct store_channel *ch)
{
    struct null_channel *c = channel_of(ch);

    steps_fini(&c->steps);
    free(c);
}

static int null_submit(struct store_channel *ch, struct store_req *r)
{
    struct null_store *n = container_of(ch->store, struct null_store, store);

    r->result = 0;
    if (r->op != STORE_READ || !n->read_zeros)
        return STORE_DONE;
    if (UNLIKELY(r->len > INLINE_BYTES)) {
        steps_add(&channel_of(ch)->steps, r);
        return STORE_PENDING;
    }
    steps_move(r, r->len, clear);
    return STORE_DONE;
}

static void null_drain(struct store_channel *ch, const void *owner, bool cancel)
{
    if (cancel)
        steps_give_up(&channel_of(ch)->steps, owner);
}

static const struct store_ops null_ops = {
    .type = "null",
    .open = null_open,
    .close = null_close,
    .resize = null_resize,
    .keep = null_keep,
    .channel_open = null_channel_open,
    .channel_close = null_channel_close,
    .submit = null_submit,
    .drain = null_drain,
};

static void null_check(void *data, const char *at, struct errs *e)
{
    store_check_size(((struct null_conf *)data)->size, at, e);
}

static const struct conf_key null_keys[] = {
    {"size", CONF_SIZE, CONF_AT(struct null_conf, size), .required = true,
     .min = 512, .max = STORE_SIZE_MAX,
     .help = "How large it looks, a multiple of 512 bytes."},
    {"read_zeros", CONF_BOOL, CONF_AT(struct null_conf, read_zeros),
     .def = "false",
     .help = "Fill what is read with zeros. Without it a read leaves the "
             "guest's buffer as it was."},
    {NULL},
};

const struct conf_table null_table = {
    .name = "null",
    .size = sizeof(struct null_conf),
    .keys = null_keys,
    .help = "Accepts all and keeps nothing: for measurements.",
    .check = null_check,
    .ops = &null_ops,
};
