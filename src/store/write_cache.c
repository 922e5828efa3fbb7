/* Pieces are found by a table of lists. A list has pieces of several spots,
 * the youngest first, so that who reads may stop as soon as everything that it
 * wants is found. */
#include "store/write_cache.h"

#include <errno.h>
#include <stdlib.h>

#include "base/iov.h"

int write_cache_init(struct write_cache *c)
{
    *c = (struct write_cache){0};
    list_init(&c->ages);
    c->buckets = malloc(WRITE_CACHE_BUCKETS * sizeof(*c->buckets));
    if (!c->buckets)
        return -ENOMEM;
    for (unsigned i = 0; i < WRITE_CACHE_BUCKETS; i++)
        list_init(&c->buckets[i]);
    return 0;
}

static uint64_t cost_of(unsigned sectors)
{
    return sizeof(struct cached) + sectors * (uint64_t)SPOT_SECTOR;
}

void write_cache_drop(struct write_cache *c, struct cached *p)
{
    c->bytes -= cost_of(p->num);
    c->num--;
    list_del(&p->node);
    list_del(&p->bucket);
    free(p);
}

void write_cache_fini(struct write_cache *c)
{
    LIST_EACH_SAFE (&c->ages, node)
        write_cache_drop(c, cached_of(node));
    free(c->buckets);
    c->buckets = NULL;
}

static struct list *bucket_of(const struct write_cache *c, uint64_t spot)
{
    return &c->buckets[spot % WRITE_CACHE_BUCKETS];
}

static uint64_t spot_of(uint64_t offset)
{
    return offset / SPOT_BYTES;
}

/* The last spot of a range that is not empty. */
static uint64_t last_spot(uint64_t offset, uint64_t len)
{
    return spot_of(offset + len - 1);
}

uint64_t write_cache_cost(uint64_t offset, uint64_t len)
{
    return len + sizeof(struct cached) *
                     (last_spot(offset, len) - spot_of(offset) + 1);
}

static struct cached *make_piece(uint64_t spot, uint64_t live)
{
    unsigned num = (unsigned)__builtin_popcountll(live);
    struct cached *p = malloc(cost_of(num));

    if (!p)
        return NULL;
    *p = (struct cached){
        .spot = spot,
        .live = live,
        .first = (unsigned)__builtin_ctzll(live),
        .num = num,
    };
    return p;
}

int write_cache_add(struct write_cache *c, uint64_t offset, uint64_t len,
                    const struct iovec *iov, int iov_num)
{
    struct list made, *node;
    struct cached *p;

    list_init(&made);
    for (uint64_t s = spot_of(offset); s <= last_spot(offset, len); s++) {
        p = make_piece(s, spot_part(s, offset, len));
        if (!p) {
            while ((node = list_pop(&made)) != NULL)
                free(cached_of(node));
            return -ENOMEM;
        }
        list_add(&made, &p->node);
    }
    while ((node = list_pop(&made)) != NULL) {
        uint64_t at;

        p = cached_of(node);
        at = p->spot * SPOT_BYTES + p->first * (uint64_t)SPOT_SECTOR;
        iov_read(iov, iov_num, at - offset, p->data,
                 p->num * (size_t)SPOT_SECTOR);
        p->write = c->writes;
        list_add(&c->ages, &p->node);
        list_add(bucket_of(c, p->spot)->next, &p->bucket); /* the first */
        c->bytes += cost_of(p->num);
        c->num++;
    }
    c->writes++;
    return 0;
}

static struct cached *in_bucket(struct list *node)
{
    return container_of(node, struct cached, bucket);
}

/* Whole lists are worth the way only where there are fewer than pieces: a guest
 * may ask to discard terabytes. */
static bool has_many_spots(const struct write_cache *c, uint64_t offset,
                           uint64_t len)
{
    return last_spot(offset, len) - spot_of(offset) >= c->num;
}

/* The piece's sectors of [offset, offset + len) that are its own to give. */
static uint64_t live_in(const struct cached *p, uint64_t offset, uint64_t len)
{
    if (p->spot < spot_of(offset) || p->spot > last_spot(offset, len))
        return 0;
    return p->live & spot_part(p->spot, offset, len);
}

bool write_cache_meets(const struct write_cache *c, uint64_t offset,
                       uint64_t len)
{
    if (c->num == 0)
        return false;
    if (UNLIKELY(has_many_spots(c, offset, len))) {
        LIST_EACH (&c->ages, node)
            if (live_in(cached_of(node), offset, len))
                return true;
        return false;
    }
    for (uint64_t s = spot_of(offset); s <= last_spot(offset, len); s++)
        LIST_EACH (bucket_of(c, s), node)
            if (in_bucket(node)->spot == s &&
                live_in(in_bucket(node), offset, len))
                return true;
    return false;
}

/* Sectors of p to where they are in iov. */
static void copy_out(const struct cached *p, uint64_t sectors, uint64_t offset,
                     const struct iovec *iov, int iov_num)
{
    unsigned first, num;

    while (sectors) {
        spot_run(&sectors, &first, &num);
        iov_write(iov, iov_num,
                  p->spot * SPOT_BYTES + first * (uint64_t)SPOT_SECTOR - offset,
                  p->data + (first - p->first) * (size_t)SPOT_SECTOR,
                  num * (size_t)SPOT_SECTOR);
    }
}

uint64_t write_cache_read(const struct write_cache *c, uint64_t spot,
                          uint64_t wanted, uint64_t offset,
                          const struct iovec *iov, int iov_num)
{
    uint64_t left = wanted;

    LIST_EACH (bucket_of(c, spot), node) {
        const struct cached *p = in_bucket(node);

        if (p->spot != spot || !(p->live & left))
            continue;
        copy_out(p, p->live & left, offset, iov, iov_num);
        left &= ~p->live;
        if (!left)
            break;
    }
    return wanted & ~left;
}

static void trim_piece(struct write_cache *c, struct cached *p, uint64_t offset,
                       uint64_t len)
{
    p->live &= ~live_in(p, offset, len);
    if (!p->live)
        write_cache_drop(c, p);
}

void write_cache_trim(struct write_cache *c, uint64_t offset, uint64_t len)
{
    if (c->num == 0)
        return;
    if (UNLIKELY(has_many_spots(c, offset, len))) {
        LIST_EACH_SAFE (&c->ages, node)
            trim_piece(c, cached_of(node), offset, len);
        return;
    }
    for (uint64_t s = spot_of(offset); s <= last_spot(offset, len); s++)
        LIST_EACH_SAFE (bucket_of(c, s), node)
            trim_piece(c, in_bucket(node), offset, len);
}
