/* A part is a request with memory for its pieces behind it, which stays with it
 * when it is put back. r->progress of a request that is split counts its parts
 * below, and one more for who still sends parts: so it is not over before all
 * have been sent. */
#include "store/parts.h"

#include <stdlib.h>

#include "base/iov.h"

void parts_init(struct parts *p)
{
    list_init(&p->spare);
}

void parts_fini(struct parts *p)
{
    struct list *node;

    while ((node = list_pop(&p->spare)) != NULL) {
        struct part *part = part_of(container_of(node, struct store_req, node));

        free(part->iov);
        free(part);
    }
}

static bool make_room(struct part *part, int iov_num)
{
    struct iovec *iov;

    if (part->room >= iov_num)
        return true;
    iov = realloc(part->iov, (size_t)iov_num * sizeof(*iov));
    if (!iov)
        return false;
    part->iov = iov;
    part->room = iov_num;
    return true;
}

struct part *parts_get(struct parts *p, int iov_num)
{
    struct list *node = list_pop(&p->spare);
    struct part *part =
        node ? part_of(container_of(node, struct store_req, node))
             : calloc(1, sizeof(*part));

    if (!part)
        return NULL;
    list_init(&part->req.node);
    if (!make_room(part, iov_num)) {
        parts_put(p, part);
        return NULL;
    }
    part->req = (struct store_req){.iov = part->iov};
    return part;
}

void parts_put(struct parts *p, struct part *part)
{
    list_add(&p->spare, &part->req.node);
}

struct part *parts_of(struct parts *p, const struct store_req *r,
                      uint64_t offset, uint64_t len)
{
    struct part *part = parts_get(p, r->iov_num);

    if (!part)
        return NULL;
    part->req.op = r->op;
    part->req.flags = r->flags;
    part->req.offset = offset;
    part->req.len = len;
    part->req.owner = r->owner;
    if (r->iov_num)
        part->req.iov_num =
            iov_cut(r->iov, r->iov_num, offset - r->offset, len, part->iov);
    return part;
}

/* ---- splitting ---- */

/* r->progress counts the parts that are below, and one for who sends them. */
static bool part_over(struct store_req *r, int result)
{
    if (result < 0)
        r->result = result;
    return --r->progress == 0;
}

static void on_part(struct store_req *below)
{
    struct part *part = part_of(below);
    struct store_req *r = below->above;
    int result = below->result;

    parts_put(part->user, part);
    if (part_over(r, result))
        store_complete(r, r->result);
}

void parts_split_begin(struct store_req *r)
{
    r->result = 0;
    r->progress = 1;
}

void parts_split_send(struct parts *p, struct store_channel *next,
                      struct store_req *r, uint64_t from, uint64_t to)
{
    struct part *part;

    if (from == to)
        return;
    part = parts_of(p, r, from, to - from);
    if (!part) {
        r->result = -ENOMEM;
        return;
    }
    part->req.done = on_part;
    part->req.above = r;
    part->user = p;
    r->progress++;
    if (store_submit(next, &part->req) == STORE_PENDING)
        return;
    part_over(r, part->req.result);
    parts_put(p, part);
}

int parts_split_end(struct store_req *r)
{
    return part_over(r, 0) ? STORE_DONE : STORE_PENDING;
}
