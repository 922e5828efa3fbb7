/* See turn.h. */
#include "virtio/turn.h"

#include "virtio/ring_impl.h"

void ring_turn_begin(struct ring_turn *t, struct ring *r, bool answer_first)
{
    t->group = NULL;
    t->bytes = 0;
    t->ring = r;
    t->answer_first = answer_first;
    t->chains = t->ahead = 0;
    t->dry = t->second = false;
}

/* Asks for what a device looks at first: the first piece to read, and that of
 * the answer. A line that the guest wrote comes with the right to write it,
 * however it is asked for. What holds data is not asked for: there is much of
 * it, and it would be in the way. */
static void ask_for_ends(const struct ring_turn *t, const struct chain *c)
{
    if (LIKELY(c->out_num))
        __builtin_prefetch(c->iov[0].iov_base);
    if (LIKELY(c->in_num))
        __builtin_prefetch(
            c->iov[t->answer_first ? c->out_num : c->out_num + c->in_num - 1]
                .iov_base);
}

/* Asks for what is about to be taken. Then the clock is read: it waits for what
 * is being loaded, but not for what was asked for. */
static void ask(struct ring *r)
{
    if (UNLIKELY(r->broken || r->recovered > 0 || r->only_recovered))
        return;
    if (!r->packed && split_ask(r, TURN_GROUP) > 0)
        ring_look_at_clock(r);
}

/* Shows what is answered, if anything is. */
static void show(struct ring *r)
{
    if (r->pending > 0)
        ring_publish(r);
}

/* Takes the group that is given next. */
static void take(struct ring_turn *t)
{
    struct chain **group = t->groups[!t->second];
    struct ring *r = t->ring;
    unsigned n;

    if (t->chains >= TURN_CHAINS)
        return;
    ask(r);
    for (n = 0; n < TURN_GROUP && t->bytes < TURN_BYTES; n++) {
        struct chain *c = ring_pop(r);

        if (!c)
            break;
        group[n] = c;
        ask_for_ends(t, c);
        t->bytes += MAX(c->in_len, c->out_len);
    }
    t->ahead = n;
    t->chains += n;
}

void ring_turn_ahead(struct ring_turn *t)
{
    struct ring *r = t->ring;

    if (t->dry || r->packed ||
        (uint16_t)(r->avail_seen - r->avail_idx) < TURN_GROUP)
        return;
    show(r); /* by a store that answers at once */
    take(t);
}

unsigned ring_turn_next(struct ring_turn *t)
{
    unsigned n;

    if (t->dry)
        return 0;
    show(t->ring);
    if (t->ahead == 0)
        take(t);
    n = t->ahead;
    t->ahead = 0;
    t->dry = n < TURN_GROUP;
    t->second = !t->second;
    t->group = t->groups[t->second];
    return n;
}
