/* Flushes of a `cow` whose map is on a file.
 *
 * What is written is made stable, then the map as it was before that is
 * written, and made stable. One such is under way at a time, and does for all
 * requests that had come when it began, by whichever channel. It goes by the
 * channel of one of them, which stays until that one is answered. */
#include <stdlib.h>
#include <string.h>

#include "store/cow_impl.h"

static struct store_req *req_of(struct list *node)
{
    return container_of(node, struct store_req, node);
}

static void flush_over(struct cow *c, int result)
{
    struct cow_flush *f = &c->flush;
    struct list over, *node;

    for (uint64_t i = 0; result < 0 && i < f->num; i++)
        if (!c->dirty[f->number[i]]) {
            c->dirty[f->number[i]] = 1;
            c->num_dirty++;
        }
    free(f->pages);
    free(f->number);
    f->pages = NULL;
    f->number = NULL;
    f->busy = false;
    list_init(&over);
    list_move(&over, &f->now);
    while ((node = list_pop(&over)) != NULL)
        store_complete(req_of(node), result);
    cow_flush_next(c);
}

static void step(struct cow *c);

static void on_step(struct store_req *r)
{
    struct cow *c = container_of(r, struct cow, flush.req);

    if (r->result < 0)
        flush_over(c, r->result);
    else
        step(c);
}

/* The i-th: data, page after page of the map, and the whole once more. */
static void fill(struct cow *c, uint64_t i)
{
    struct cow_flush *f = &c->flush;

    f->req = (struct store_req){
        .op = STORE_FLUSH,
        .done = on_step,
        .owner = c,
    };
    if (i == 0 || i > f->num)
        return;
    f->iov =
        (struct iovec){f->pages + (i - 1) * COW_PAGE_BYTES, COW_PAGE_BYTES};
    f->req.op = STORE_WRITE;
    f->req.offset = c->data_len + (f->number[i - 1] + 1) * COW_PAGE_BYTES;
    f->req.len = COW_PAGE_BYTES;
    f->req.iov = &f->iov;
    f->req.iov_num = 1;
}

static void step(struct cow *c)
{
    struct cow_flush *f = &c->flush;
    struct cow_channel *by = cow_channel_of(req_of(f->now.next)->channel);
    int rc;

    do {
        if (f->next > f->num + 1) {
            flush_over(c, 0);
            return;
        }
        fill(c, f->next++);
        rc = store_submit(by->over, &f->req);
    } while (rc == STORE_DONE && f->req.result == 0);
    if (rc == STORE_DONE)
        flush_over(c, f->req.result);
    else
        store_kick(by->over);
}

/* The map as it is now, whose data is made stable first. */
static int copy_map(struct cow *c)
{
    struct cow_flush *f = &c->flush;

    f->num = 0;
    f->pages = malloc(c->num_dirty * COW_PAGE_BYTES + 1);
    f->number = malloc((c->num_dirty + 1) * sizeof(*f->number));
    if (!f->pages || !f->number)
        return -ENOMEM;
    for (uint64_t i = 0; c->num_dirty; i++) {
        if (!c->dirty[i])
            continue;
        memcpy(f->pages + f->num * COW_PAGE_BYTES, c->ours + i * COW_PAGE_BYTES,
               COW_PAGE_BYTES);
        f->number[f->num++] = i;
        c->dirty[i] = 0;
        c->num_dirty--;
    }
    return 0;
}

void cow_flush_next(struct cow *c)
{
    struct cow_flush *f = &c->flush;
    int rc;

    if (f->busy || list_empty(&f->waiting))
        return;
    f->busy = true;
    list_move(&f->now, &f->waiting);
    f->next = 0;
    rc = copy_map(c);
    if (rc < 0)
        flush_over(c, rc);
    else
        step(c);
}

int cow_flush_submit(struct cow_channel *ch, struct store_req *r)
{
    struct cow *c = cow_of(ch->filter.ch.store);

    if (!cow_is_on_file(c)) {
        r->result = 0;
        return STORE_DONE;
    }
    if (!c->num_dirty && !c->flush.busy)
        return store_filter_pass(ch->over, r);
    list_add(&c->flush.waiting, &r->node);
    return STORE_PENDING;
}
