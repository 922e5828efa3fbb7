/* Extents of the arena, in a list by place.
 *
 * A search begins behind what was taken last and goes once around: so what has
 * been returned lies far behind, and has long been given back when its place
 * comes again. If there is no place at all it may be one that is still to be
 * given back, and then that is not put off any longer. */
#include "device/gpu/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"
#include "os/memory.h"

/* In a turn of the loop: so many bytes, which takes about as long as to copy
 * them, and so many calls. */
#define TURN_BYTES (UINT64_C(4) << 20)
#define TURN_EXTENTS 64

static struct extent *extent_of(struct list *node)
{
    return container_of(node, struct extent, node);
}

static uint64_t end_of(const struct extent *x)
{
    return x->at + x->len;
}

/* 0: no such length. */
static uint64_t whole_pages(uint64_t bytes)
{
    uint64_t page = memory_page_bytes();

    return bytes > ARENA_BYTES ? 0 : (bytes + page - 1) / page * page;
}

static int zero(struct arena *a, uint64_t at, uint64_t len)
{
    return len > 0 ? file_discard(a->kept.fd, FILE_REGULAR, at, len) : 0;
}

/* ---- what is returned ---- */

static void forget(struct arena *a, struct extent *x)
{
    if (a->last == &x->node)
        a->last = x->node.prev;
    list_del(&x->node);
    list_del(&x->of_dirty);
    free(x);
}

/* So many bytes of what is dirty, from the front; it may be less. */
static uint64_t clean_one(struct arena *a, uint64_t bytes)
{
    struct extent *x = container_of(a->dirty.next, struct extent, of_dirty);
    uint64_t len = MIN(x->len, bytes);

    if (zero(a, x->at, len) < 0)
        memset(a->kept.at + x->at, 0, len); /* no room is made, but zeros are */
    x->at += len;
    x->len -= len;
    if (x->len == 0)
        forget(a, x);
    return len;
}

static void on_give_back(struct defer *d)
{
    struct arena *a = container_of(d, struct arena, give_back);
    uint64_t left = TURN_BYTES;

    for (unsigned i = 0; i < TURN_EXTENTS && left > 0; i++) {
        if (list_empty(&a->dirty))
            return;
        left -= clean_one(a, left);
    }
    if (!list_empty(&a->dirty))
        loop_defer(a->loop, d);
}

void arena_return(struct arena *a, struct extent *x)
{
    list_add(&a->dirty, &x->of_dirty);
    if (!a->stopped)
        loop_defer(a->loop, &a->give_back);
}

int arena_give_back_rest(struct arena *a)
{
    uint64_t at = 0;
    int rc = 0;

    LIST_EACH (&a->extents, it) {
        const struct extent *x = extent_of(it);

        if (rc == 0)
            rc = zero(a, at, x->at - at);
        at = end_of(x);
    }
    return rc < 0 ? rc : zero(a, at, ARENA_BYTES - at);
}

/* ---- what is taken ---- */

/* Is there room behind `before`, which is an extent or the head? */
static bool has_room(const struct arena *a, const struct list *before,
                     uint64_t len, uint64_t *at)
{
    uint64_t to = ARENA_BYTES;

    *at = 0;
    if (before != &a->extents)
        *at = end_of(container_of(before, struct extent, node));
    if (before->next != &a->extents)
        to = container_of(before->next, struct extent, node)->at;
    return to - *at >= len;
}

/* Behind which one there is room; NULL: nowhere. */
static struct list *find_room(struct arena *a, uint64_t len, uint64_t *at)
{
    struct list *it = a->last;

    do {
        if (has_room(a, it, len, at))
            return it;
        it = it->next;
    } while (it != a->last);
    return NULL;
}

static struct extent *add(struct list *before, uint64_t at, uint64_t len)
{
    struct extent *x = calloc(1, sizeof(*x));

    if (!x)
        return NULL;
    x->at = at;
    x->len = len;
    list_init(&x->of_dirty);
    list_add(before->next, &x->node); /* in front of the next one */
    return x;
}

struct extent *arena_take(struct arena *a, uint64_t bytes)
{
    uint64_t len = whole_pages(bytes), at;
    struct list *before;
    struct extent *x;

    if (len == 0)
        return NULL;
    before = find_room(a, len, &at);
    if (!before) {
        while (!list_empty(&a->dirty))
            clean_one(a, UINT64_MAX);
        before = find_room(a, len, &at);
    }
    if (!before)
        return NULL;
    x = add(before, at, len);
    if (x)
        a->last = &x->node;
    return x;
}

struct extent *arena_claim(struct arena *a, uint64_t at, uint64_t bytes)
{
    uint64_t len = whole_pages(bytes);
    struct list *before = a->extents.prev;

    if (len == 0 || at > ARENA_BYTES - len || at % memory_page_bytes())
        return NULL;
    while (before != &a->extents && extent_of(before)->at > at)
        before = before->prev;
    if (before != &a->extents && end_of(extent_of(before)) > at)
        return NULL;
    if (before->next != &a->extents && extent_of(before->next)->at < at + len)
        return NULL;
    return add(before, at, len);
}

/* ---- life ---- */

int arena_open(struct arena *a, const char *id, struct loop *loop,
               struct err *e)
{
    int rc = keep_get(&a->kept, id, "pixels.1", ARENA_BYTES, e);

    if (rc < 0)
        return rc;
    a->loop = loop;
    list_init(&a->extents);
    list_init(&a->dirty);
    a->last = &a->extents;
    defer_init(&a->give_back, on_give_back);
    return 0;
}

void arena_stop(struct arena *a)
{
    a->stopped = true;
    if (arena_is_open(a))
        defer_cancel(&a->give_back);
}

void arena_close(struct arena *a)
{
    if (!arena_is_open(a))
        return;
    arena_stop(a);
    LIST_EACH_SAFE (&a->extents, it)
        forget(a, extent_of(it));
    keep_drop(&a->kept);
}
