/* Store `memory`: a disk in our own memory, gone when we are, unless another
 * process goes on with it.
 *
 * The memory is mapped once and filled in by the kernel page by page as it is
 * first touched; discarding gives pages back. A request is a memcpy, inline
 * on whatever loop it is on. What takes longer than that goes in steps, one per
 * turn of the loop, and stops nobody. Ranges come up to 32 to a request, so
 * all but small ones go in steps.
 *
 * Copies are done together, in the kick: copies.c.
 *
 * What is handed on. Where another process goes on when this one is
 * killed (keep_survives_kill) the disk lies in kept memory from the start. Else
 * it is our own, which is faster where the kernel has large pages for that
 * only, and moves to kept memory when it is saved: piece by piece, each given
 * back when it has moved, so that there is no time at which both are whole.
 * Whoever finds it uses it where it is: a copy back would be another pause, and
 * the next hand-over has nothing to do. In a page before the disk is how large
 * it is. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "os/memory.h"
#include "store/copies.h"
#include "store/steps.h"

#define INLINE_BYTES (2u << 20)
#define INLINE_RANGE_BYTES (64u << 10)
#define STEP_BYTES (256u << 10)
/* Giving pages back costs less per byte than clearing them; where it cannot be
 * done, this much is cleared. */
#define STEP_UNMAP_BYTES (4u << 20)

#define MOVE_BYTES (UINT64_C(2) << 20) /* a large page, where there are any */

struct memory_conf {
    uint64_t size;
};

/* Before the disk, in kept memory; the words are whole at each moment. */
struct memory_head {
    uint64_t size, used;
};

struct memory_store {
    struct store store;
    struct kept kept; /* where it is; at NULL: in memory of our own */
    char keep_name[KEEP_NAME_MAX + 1];
    uint8_t *mem;
    uint64_t room; /* what it can grow to */
    uint64_t used; /* what it has been at most */
    uint64_t page_bytes;
};

struct memory_channel {
    struct store_channel ch;
    struct steps steps;
    struct copies copies; /* to be done in the kick */
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
    m->mem = memory_reserve(conf->size, &m->room);
    if (!m->mem) {
        free(m);
        return errs_at(e, c->at, "size",
                       "no room for a memory disk of %" PRIu64 " bytes",
                       conf->size);
    }
    m->used = conf->size;
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
        .discard_zeroes = true,
        .is_volatile = true,
    };
    *out = &m->store;
    return 0;
}

static void memory_close(struct store *s)
{
    struct memory_store *m = memory_of(s);

    if (m->kept.at)
        keep_drop(&m->kept);
    else
        memory_release(m->mem, m->room);
    free(m);
}

static bool give_back(struct memory_store *m, uint64_t from, uint64_t len)
{
    return m->kept.at ? memory_give_back_shared(m->mem + from, len)
                      : memory_give_back(m->mem + from, len);
}

/* Whole pages are given back, which zeroes them; the rest is set. */
static void clear(struct memory_store *m, uint64_t from, uint64_t len,
                  bool unmap)
{
    uint64_t page = m->page_bytes;
    uint64_t first = (from + page - 1) / page * page;
    uint64_t last = (from + len) / page * page;

    if (!unmap || first >= last || !give_back(m, first, last - first)) {
        memset(m->mem + from, 0, len);
        return;
    }
    memset(m->mem + from, 0, first - from);
    memset(m->mem + last, 0, from + len - last);
}

/* In this order: whoever finds half of it done finds what was, or what is. */
static void keep_size(struct memory_store *m)
{
    struct memory_head *head = (struct memory_head *)m->kept.at;

    if (!head)
        return;
    __atomic_store_n(&head->used, m->used, __ATOMIC_RELEASE);
    __atomic_store_n(&head->size, m->store.info.size, __ATOMIC_RELEASE);
}

/* What it loses is kept as it is, for requests may be at work on it, and is
 * cleared when it is wanted again. */
static int memory_resize(struct store *s, uint64_t size, struct err *e)
{
    struct memory_store *m = memory_of(s);
    uint64_t was = s->info.size;

    if (size > m->room)
        return err_set(e, -ENOSPC, "",
                       "this memory disk can grow to %" PRIu64 " bytes, until "
                       "vub is started anew",
                       m->room);
    if (size > m->used && !m->kept.at && !memory_grow(m->mem, size))
        return err_sys(e, errno, "", "no room for %" PRIu64 " bytes", size);
    if (size > was && was < m->used)
        clear(m, was, MIN(size, m->used) - was, true);
    m->used = MAX(m->used, size);
    __atomic_store_n(&s->info.size, size, __ATOMIC_RELAXED);
    keep_size(m);
    return 0;
}

/* ---- what another process goes on with ---- */

/* The disk is there from now on. */
static void move_in(struct memory_store *m, const struct kept *k)
{
    memory_release(m->mem, m->room);
    m->kept = *k;
    m->mem = k->at + m->page_bytes;
    memory_prefer_large(m->mem, m->room);
}

/* A size that it cannot have is that of somebody who means no good; the bytes
 * are a guest's in any case. */
static void take_size(struct memory_store *m)
{
    const struct memory_head *head = (const struct memory_head *)m->kept.at;
    uint64_t size = __atomic_load_n(&head->size, __ATOMIC_RELAXED);
    uint64_t used = __atomic_load_n(&head->used, __ATOMIC_RELAXED);

    if (size < 512 || size % 512 || size > m->room)
        return;
    m->store.info.size = size;
    m->used = MAX(size, MIN(used, m->room));
}

static int memory_keep(struct store *s, const char *name, struct err *e)
{
    struct memory_store *m = memory_of(s);
    uint64_t len = m->page_bytes + m->room;
    struct kept k;
    int rc;

    rc = store_keep_name(m->keep_name, name, "memory.1", e);
    if (rc < 0)
        return rc;
    rc = keep_survives_kill() ? keep_get(&k, s->id, m->keep_name, len, e)
                              : keep_find(&k, s->id, m->keep_name, len, e);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return rc;
    move_in(m, &k);
    s->info.is_found = k.found;
    if (k.found)
        take_size(m);
    keep_size(m);
    return 0;
}

static bool is_zero(const uint8_t *at, uint64_t len)
{
    return at[0] == 0 && memcmp(at, at + 1, len - 1) == 0;
}

/* Written to the file, which costs half of what it does to touch each of its
 * pages first. */
static void move(struct memory_store *m, const struct kept *k, uint64_t from,
                 uint64_t len)
{
    if (!memory_write(k->fd, m->page_bytes + from, m->mem + from, len))
        memcpy(k->at + m->page_bytes + from, m->mem + from, len);
}

/* What is not zero of [from, to). */
static void move_piece(struct memory_store *m, const struct kept *k,
                       uint64_t from, uint64_t to)
{
    uint64_t begin = from, page;

    for (uint64_t at = from; at < to; at += page) {
        page = MIN(m->page_bytes, to - at);
        if (!is_zero(m->mem + at, page))
            continue;
        if (at > begin)
            move(m, k, begin, at - begin);
        begin = at + page;
    }
    if (to > begin)
        move(m, k, begin, to - begin);
}

static void move_out(struct memory_store *m, const struct kept *k)
{
    for (uint64_t at = 0; at < m->used; at += MOVE_BYTES) {
        uint64_t some = MIN(MOVE_BYTES, m->used - at);

        if (memory_is_untouched(m->mem + at, some))
            continue;
        move_piece(m, k, at, at + some);
        memory_give_back(m->mem + at, some);
    }
}

static int memory_save(struct store *s, struct err *e)
{
    struct memory_store *m = memory_of(s);
    struct kept k;
    int rc;

    if (m->kept.at)
        return 0;
    rc = keep_get(&k, s->id, m->keep_name, m->page_bytes + m->room, e);
    if (rc < 0)
        return rc;
    move_out(m, &k);
    move_in(m, &k);
    keep_size(m);
    return 0;
}

static void copy(struct store_req *r, struct iovec piece, uint64_t at)
{
    struct memory_store *m = memory_of(r->channel->store);

    if (r->op == STORE_READ)
        memcpy(piece.iov_base, m->mem + at, piece.iov_len);
    else
        memcpy(m->mem + at, piece.iov_base, piece.iov_len);
}

static bool unmaps(const struct store_req *r)
{
    return r->op == STORE_DISCARD || r->flags & STORE_UNMAP;
}

static bool is_range(const struct store_req *r)
{
    return r->op == STORE_DISCARD || r->op == STORE_ZERO;
}

/* What is given back ends at a whole page each time: half of one would be
 * written to, and take room. */
static void step(struct store_req *r)
{
    uint64_t at = r->offset + r->progress, len;

    if (!is_range(r)) {
        steps_move(r, STEP_BYTES, copy);
        return;
    }
    len = unmaps(r) ? STEP_UNMAP_BYTES - at % STEP_UNMAP_BYTES : STEP_BYTES;
    len = MIN(len, r->len - r->progress);
    clear(memory_of(r->channel->store), at, len, unmaps(r));
    r->progress += len;
}

static void memory_drain(struct store_channel *ch, const void *owner,
                         bool cancel)
{
    struct memory_channel *c = container_of(ch, struct memory_channel, ch);

    if (cancel)
        steps_give_up(&c->steps, owner);
}

static int memory_submit(struct store_channel *ch, struct store_req *r)
{
    struct memory_channel *c = container_of(ch, struct memory_channel, ch);
    struct memory_store *m = memory_of(ch->store);

    r->result = 0;
    if (r->op == STORE_FLUSH)
        return STORE_DONE;
    if (UNLIKELY(r->len > (is_range(r) ? INLINE_RANGE_BYTES : INLINE_BYTES))) {
        steps_add(&c->steps, r);
        return STORE_PENDING;
    }
    if (UNLIKELY(is_range(r))) {
        clear(m, r->offset, r->len, unmaps(r));
        return STORE_DONE;
    }
    if (LIKELY(copies_add(&c->copies, r)))
        return STORE_PENDING;
    copies_one(r, m->mem + r->offset);
    copies_end();
    return STORE_DONE;
}

/* What comes of an answer may add to the next batch. */
static void memory_kick(struct store_channel *ch)
{
    struct memory_channel *c = container_of(ch, struct memory_channel, ch);
    struct memory_store *m = memory_of(ch->store);
    struct copies batch;

    while (c->copies.num > 0) {
        batch = c->copies;
        c->copies.num = 0;
        for (unsigned i = 0; i < batch.num; i++)
            copies_step(&batch, i, m->mem);
        copies_end();
        for (unsigned i = 0; i < batch.num; i++)
            store_complete(batch.req[i], 0);
    }
}

static int memory_channel_open(struct store_channel **out, struct store *s,
                               struct loop *loop, struct err *e)
{
    struct memory_channel *c = calloc(1, sizeof(*c));

    (void)s;
    if (!c)
        return err_nomem(e);
    steps_init(&c->steps, loop, step);
    *out = &c->ch;
    return 0;
}

static void memory_channel_close(struct store_channel *ch)
{
    struct memory_channel *c = container_of(ch, struct memory_channel, ch);

    steps_fini(&c->steps);
    free(c);
}

static const struct store_ops memory_ops = {
    .type = "memory",
    .open = memory_open,
    .close = memory_close,
    .resize = memory_resize,
    .keep = memory_keep,
    .save = memory_save,
    .channel_open = memory_channel_open,
    .channel_close = memory_channel_close,
    .submit = memory_submit,
    .kick = memory_kick,
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
