/* A spinner's entry is what runs once in every turn, and keeps the loop from
 * sleeping, for as long as it is on the list. It can be taken off at any
 * moment, so that when the last request is given up nothing is on its way.
 *
 * A turn is measured, not counted in bytes: what is written to for the first
 * time takes fifty times as long as what is in a cache. */
#include "store/steps.h"

#include <assert.h>

#include "base/iov.h"

#define TURN_NS 1000000u

static bool run(struct spin *spin)
{
    struct steps *s = container_of(spin, struct steps, spin);
    struct store_req *r =
        container_of(list_pop(&s->waiting), struct store_req, node);
    uint64_t until_ns;

    until_ns = loop_now_ns() + TURN_NS;
    do {
        s->step(r);
    } while (r->progress < r->len && loop_now_ns() < until_ns);
    if (r->progress < r->len)
        list_add(&s->waiting, &r->node);
    if (list_empty(&s->waiting))
        loop_spin_del(&s->spin);
    if (r->progress == r->len)
        store_complete(r, 0);
    return true;
}

void steps_init(struct steps *s, struct loop *loop,
                void (*step)(struct store_req *r))
{
    s->loop = loop;
    s->step = step;
    s->spin.poll = s->spin.arm = run;
    list_init(&s->spin.node);
    list_init(&s->waiting);
}

void steps_fini(struct steps *s)
{
    assert(list_empty(&s->waiting));
    (void)s;
}

void steps_add(struct steps *s, struct store_req *r)
{
    /* It may be there with nothing to do: who is told of a request that was
     * given up may bring the next one. */
    if (list_empty(&s->spin.node))
        loop_spin_add(s->loop, &s->spin);
    list_add(&s->waiting, &r->node);
}

void steps_give_up(struct steps *s, const void *owner)
{
    store_give_up(&s->waiting, owner);
    if (list_empty(&s->waiting))
        loop_spin_del(&s->spin);
}

void steps_move(struct store_req *r, uint64_t len, steps_piece *piece)
{
    struct iov_range left = iov_range(r->iov, r->iov_num, r->progress, len);
    struct iovec v;

    while (iov_next(&left, &v)) {
        piece(r, v, r->offset + r->progress);
        r->progress += v.iov_len;
    }
}
