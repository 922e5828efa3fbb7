/* Store `memory`: a disk in our own memory, gone when we are.
 *
 * The memory is mapped once and filled in by the kernel page by page as it is
 * first touched; discarding gives pages back. A request is a memcpy, inline
 * on whatever loop it is on. A guest may ask for gigabytes in one request (its
 * descriptors may all point at the same page), so one that is longer than
 * STEP_BYTES goes in steps, one per turn of the loop, and stops nobody. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "loop/loop.h"
#include "os/memory.h"
#include "store/impl.h"

#define STEP_BYTES (4u << 20)
/* Giving pages back costs less per byte than copying. */
#define STEP_UNMAP_BYTES (64u << 20)

struct memory_conf {
    uint64_t size;
};

struct memory_store {
    struct store store;
    uint8_t *mem;
    uint64_t page_bytes;
};

struct memory_channel {
    struct store_channel ch;
    struct list stepping; /* requests that take more than one step */
    struct mail next;     /* to ourselves: the next steps */
    bool posted, cancelled;
};

static struct memory_store *memory_of(struct store *s)
{
    return container_of(s, struct memory_store, store);
}

static int memory_open(struct store **out, const struct conf_any *c,
                       bool read_only, const char *id, struct errs *e)
{
    const struct memory_conf *conf = c->data;
    struct memory_store *m;

    m = calloc(1, sizeof(*m));
    if (!m)
        return errs_nomem(e);
    m->mem = memory_reserve(conf->size);
    if (!m->mem) {
        free(m);
        return errs_at(e, c->at, "size",
                       "no room for a memory disk of %" PRIu64 " bytes",
                       conf->size);
    }
    m->page_bytes = memory_page_bytes();
    m->store.ops = c->table->ops;
    m->store.id = id;
    m->store.info = (struct store_info){
        .size = conf->size,
        .block_size = 512,
        .mem_align = 1,
        .physical_block_size = 512,
        .discard_align = (uint32_t)m->page_bytes,
        .read_only = read_only,
        .can_discard = true,
        .can_zero = true,
        .is_volatile = true,
    };
    *out = &m->store;
    return 0;
}

static void memory_close(struct store *s)
{
    struct memory_store *m = memory_of(s);

    memory_release(m->mem, s->info.size);
    free(m);
}

/* What one step may do, bytes. */
static uint64_t step_bytes(const struct store_req *r)
{
    bool unmaps = r->op == STORE_DISCARD ||
                  (r->op == STORE_ZERO && r->flags & STORE_UNMAP);

    return unmaps ? STEP_UNMAP_BYTES : STEP_BYTES;
}

/* Whole pages are given back, which zeroes them; the rest is set. */
static void clear(struct memory_store *m, uint64_t from, uint64_t len,
                  bool unmap)
{
    uint64_t page = m->page_bytes;
    uint64_t first = (from + page - 1) / page * page;
    uint64_t last = (from + len) / page * page;

    if (!unmap || first >= last ||
        !memory_give_back(m->mem + first, last - first)) {
        memset(m->mem + from, 0, len);
        return;
    }
    memset(m->mem + from, 0, first - from);
    memset(m->mem + last, 0, from + len - last);
}

/* Does the next `len` bytes of r, from r->progress on. */
static void step(struct memory_store *m, struct store_req *r, uint64_t len)
{
    while (len) {
        uint8_t *at = m->mem + r->offset + r->progress;
        const struct iovec *iov;
        uint64_t n = len;

        if (r->op == STORE_DISCARD || r->op == STORE_ZERO) {
            clear(m, r->offset + r->progress, n,
                  r->op == STORE_DISCARD || r->flags & STORE_UNMAP);
        } else {
            store_rest(r, &iov, 1);
            n = MIN(n, iov->iov_len);
            if (r->op == STORE_READ)
                memcpy(iov->iov_base, at, n);
            else
                memcpy(at, iov->iov_base, n);
        }
        r->progress += n;
        len -= n;
    }
}

static void on_next(struct mail *mail)
{
    struct memory_channel *c = container_of(mail, struct memory_channel, next);
    struct list *node = list_pop(&c->stepping);
    struct store_req *r = container_of(node, struct store_req, node);

    if (UNLIKELY(c->cancelled)) {
        c->cancelled = c->posted = false;
        for (; node; node = list_pop(&c->stepping))
            store_complete(container_of(node, struct store_req, node), -EIO);
        return;
    }
    step(memory_of(c->ch.store), r, MIN(step_bytes(r), r->len - r->progress));
    c->posted = false;
    if (r->progress < r->len)
        list_add(&c->stepping, &r->node);
    if (!list_empty(&c->stepping)) {
        c->posted = true;
        loop_post(c->ch.loop, &c->next);
    }
    if (r->progress == r->len)
        store_complete(r, 0);
}

/* The next turn ends them; a mail that is on its way cannot be called back. */
static void memory_drain(struct store_channel *ch, bool cancel)
{
    struct memory_channel *c = container_of(ch, struct memory_channel, ch);

    c->cancelled = cancel && c->posted;
}

static int memory_submit(struct store_channel *ch, struct store_req *r)
{
    struct memory_channel *c = container_of(ch, struct memory_channel, ch);
    struct memory_store *m = memory_of(ch->store);
    uint8_t *at = m->mem + r->offset;

    r->result = 0;
    if (r->op == STORE_FLUSH)
        return STORE_DONE;
    if (UNLIKELY(r->len > step_bytes(r))) {
        list_add(&c->stepping, &r->node);
        if (!c->posted) {
            c->posted = true;
            loop_post(ch->loop, &c->next);
        }
        return STORE_PENDING;
    }
    if (r->op == STORE_READ) {
        for (int i = 0; i < r->iov_num; i++) {
            memcpy(r->iov[i].iov_base, at, r->iov[i].iov_len);
            at += r->iov[i].iov_len;
        }
    } else if (r->op == STORE_WRITE) {
        for (int i = 0; i < r->iov_num; i++) {
            memcpy(at, r->iov[i].iov_base, r->iov[i].iov_len);
            at += r->iov[i].iov_len;
        }
    } else {
        step(m, r, r->len);
    }
    return STORE_DONE;
}

static int memory_channel_open(struct store_channel **out, struct store *s,
                               struct loop *loop, struct err *e)
{
    struct memory_channel *c = calloc(1, sizeof(*c));

    (void)s;
    (void)loop;
    if (!c)
        return err_nomem(e);
    list_init(&c->stepping);
    c->next.run = on_next;
    *out = &c->ch;
    return 0;
}

static void memory_channel_close(struct store_channel *ch)
{
    struct memory_channel *c = container_of(ch, struct memory_channel, ch);

    assert(!c->posted);
    free(c);
}

static const struct store_ops memory_ops = {
    .type = "memory",
    .open = memory_open,
    .close = memory_close,
    .channel_open = memory_channel_open,
    .channel_close = memory_channel_close,
    .submit = memory_submit,
    .drain = memory_drain,
};

static void memory_check(void *data, const char *at, struct errs *e)
{
    store_check_size(((struct memory_conf *)data)->size, at, e);
}

static const struct conf_key memory_keys[] = {
    {"size", CONF_SIZE, CONF_AT(struct memory_conf, size), .required = true,
     .min = 512, .max = STORE_SIZE_MAX,
     .help = "How large it is, a multiple of 512 bytes. Memory is taken as "
             "it is written to."},
    {NULL},
};

const struct conf_table memory_table = {
    .name = "memory",
    .size = sizeof(struct memory_conf),
    .keys = memory_keys,
    .help = "A disk in memory: empty at start, gone at exit.",
    .check = memory_check,
    .ops = &memory_ops,
};
