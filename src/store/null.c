/* Store `null`: accepts everything, keeps nothing. For measuring what is not
 * the store, and as a disk that nobody reads. Reads leave the memory as it
 * was, which costs nothing; `read_zeros` fills it for guests that look. */
#include <stdlib.h>
#include <string.h>

#include "store/impl.h"

struct null_conf {
    uint64_t size;
    bool read_zeros;
};

struct null_store {
    struct store store;
    bool read_zeros;
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
        /* A guest cannot tell before from after a crash. */
        .is_volatile = false,
    };
    *out = &n->store;
    return 0;
}

static void null_close(struct store *s)
{
    free(container_of(s, struct null_store, store));
}

static int null_channel_open(struct store_channel **out, struct store *s,
                             struct loop *loop, struct err *e)
{
    (void)s;
    (void)loop;
    *out = calloc(1, sizeof(**out));
    return *out ? 0 : err_nomem(e);
}

static void null_channel_close(struct store_channel *ch)
{
    free(ch);
}

static int null_submit(struct store_channel *ch, struct store_req *r)
{
    struct null_store *n = container_of(ch->store, struct null_store, store);

    if (r->op == STORE_READ && n->read_zeros)
        for (int i = 0; i < r->iov_num; i++)
            memset(r->iov[i].iov_base, 0, r->iov[i].iov_len);
    r->result = 0;
    return STORE_DONE;
}

static const struct store_ops null_ops = {
    .type = "null",
    .open = null_open,
    .close = null_close,
    .channel_open = null_channel_open,
    .channel_close = null_channel_close,
    .submit = null_submit,
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
