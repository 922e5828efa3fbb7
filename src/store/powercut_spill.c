/* Cached writes go down.
 *
 * Where two of them overlap, the one of the higher rank is to be on the disk
 * at last. So of the lower one only the sectors go down that no higher one
 * has, and all can be sent at once, in any order, so many at a time. */
#include <stdlib.h>
#include <string.h>

#include "store/powercut_impl.h"

#define AT_ONCE 32

void powercut_mark(struct powercut *p, uint64_t bytes)
{
    uint64_t freed = 0;
    uint64_t write = UINT64_MAX; /* whole writes */

    LIST_EACH (&p->cache.ages, node) {
        struct cached *piece = cached_of(node);

        piece->rank = piece->write;
        piece->todo = 0;
        if (freed >= bytes && piece->write != write)
            continue;
        piece->todo = piece->live;
        write = piece->write;
        freed += piece->num * (uint64_t)SPOT_SECTOR;
    }
}

/* By spots; the highest rank first. Pieces of one spot with the same rank do
 * not overlap. */
static int compare(const void *a, const void *b)
{
    const struct cached *x = *(struct cached *const *)a;
    const struct cached *y = *(struct cached *const *)b;

    if (x->spot != y->spot)
        return x->spot < y->spot ? -1 : 1;
    return (x->rank < y->rank) - (x->rank > y->rank);
}

static int collect(struct powercut *p)
{
    struct spill *s = &p->spill;

    if (s->room < p->cache.num) {
        struct cached **list = realloc(s->list, p->cache.num * sizeof(*list));

        if (!list)
            return -ENOMEM;
        s->list = list;
        s->room = p->cache.num;
    }
    s->num = 0;
    LIST_EACH (&p->cache.ages, node)
        if (cached_of(node)->todo)
            s->list[s->num++] = cached_of(node);
    if (s->num)
        qsort(s->list, s->num, sizeof(*s->list), compare);
    return 0;
}

/* The set is what goes down; todo stays, for powercut_drop_marked, but for
 * sectors that are covered. */
static void uncover(struct spill *s)
{
    uint64_t covered = 0, some;

    for (size_t i = 0; i < s->num; i++) {
        if (i == 0 || s->list[i]->spot != s->list[i - 1]->spot)
            covered = 0;
        some = s->list[i]->todo;
        s->list[i]->todo &= ~covered;
        covered |= some;
    }
}

static void pump(struct powercut *p);

static void on_written(struct store_req *r)
{
    struct part *part = part_of(r);
    struct powercut *p = part->user;

    if (r->result < 0 && p->spill.result == 0)
        p->spill.result = r->result;
    parts_put(&p->parts, part);
    p->ends++;
    p->spill.in_flight--;
    pump(p);
    powercut_go_on(p); /* with what pump has sent, or what comes next */
}

static void send_run(struct powercut *p, struct cached *piece, unsigned first,
                     unsigned num)
{
    struct part *part = parts_get(&p->parts, 1);

    if (!part) {
        p->spill.result = -ENOMEM;
        return;
    }
    part->iov[0].iov_base =
        piece->data + (first - piece->first) * (size_t)SPOT_SECTOR;
    part->iov[0].iov_len = num * (size_t)SPOT_SECTOR;
    part->req.op = STORE_WRITE;
    part->req.flags = STORE_HURRY;
    part->req.offset = piece->spot * SPOT_BYTES + first * (uint64_t)SPOT_SECTOR;
    part->req.len = part->iov[0].iov_len;
    part->req.iov_num = 1;
    part->req.owner = p;
    part->req.done = on_written;
    part->user = p;
    p->spill.in_flight++;
    powercut_send(p, part);
}

/* What is done at once comes back from inside the sending: the loop goes on
 * with it, no deeper. */
static void pump(struct powercut *p)
{
    struct spill *s = &p->spill;
    unsigned first, num;

    if (s->pumping)
        return;
    s->pumping = true;
    while (s->in_flight < AT_ONCE && s->next < s->num && s->result == 0) {
        struct cached *piece = s->list[s->next++];
        uint64_t left = piece->todo;

        while (left && s->result == 0) {
            spot_run(&left, &first, &num);
            send_run(p, piece, first, num);
        }
    }
    s->pumping = false;
    if (s->in_flight == 0 && s->over && (s->next == s->num || s->result < 0)) {
        void (*over)(struct powercut *, int) = s->over;

        s->over = NULL;
        over(p, s->result);
    }
}

void powercut_spill(struct powercut *p,
                    void (*over)(struct powercut *p, int result))
{
    struct spill *s = &p->spill;

    s->next = 0;
    s->in_flight = 0;
    s->result = collect(p);
    if (s->result == 0)
        uncover(s);
    s->over = over;
    pump(p);
}

void powercut_drop_marked(struct powercut *p)
{
    for (size_t i = 0; i < p->spill.num; i++)
        write_cache_drop(&p->cache, p->spill.list[i]);
    p->spill.num = 0;
}
