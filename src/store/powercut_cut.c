/* What a power cut leaves of writes that were not flushed.
 *
 * Each write draws its fate, in the order in which they came, from a stream of
 * numbers that is the seed's: the same writes and the same seed have the same
 * outcome. A write that was cut into pieces has one fate. Which of two that
 * overlap is over the other is its rank: its age, or, where the order is not
 * kept, a number that is drawn, too. */
#include "store/powercut_impl.h"

enum fate { FATE_LOST, FATE_KEPT, FATE_TORN };

/* One write, while its pieces are looked at. */
struct lot {
    uint64_t write, rank;
    enum fate fate;
    uint64_t kept, lost; /* sectors */
};

static enum fate draw_fate(struct prng *g, enum power_outcome how)
{
    switch (how) {
    case POWER_LOST:
        return FATE_LOST;
    case POWER_KEPT:
        return FATE_KEPT;
    case POWER_REORDERED:
        return (enum fate)prng_below(g, FATE_TORN);
    case POWER_TORN:
    case POWER_MIXED:
        break;
    }
    return (enum fate)prng_below(g, FATE_TORN + 1);
}

static struct lot draw(struct prng *g, enum power_outcome how, uint64_t write)
{
    struct lot l = {.write = write, .fate = draw_fate(g, how)};

    l.rank =
        how == POWER_REORDERED || how == POWER_MIXED ? prng_next(g) : write;
    return l;
}

/* Whole ones of what is written as a whole, by chance. */
static uint64_t draw_sectors(struct prng *g, unsigned whole)
{
    uint64_t chance = prng_next(g), sectors = 0;

    for (unsigned i = 0; i < 64; i += whole)
        if (chance & UINT64_C(1) << i)
            sectors |= spot_mask(i, whole);
    return sectors;
}

static void count(struct power_cut *cut, const struct lot *l)
{
    cut->writes++;
    cut->sectors_kept += l->kept;
    cut->sectors_lost += l->lost;
    if (!l->kept)
        cut->lost++;
    else if (!l->lost)
        cut->kept++;
    else
        cut->torn++;
}

void powercut_choose(struct powercut *p, struct power_cut *cut)
{
    struct prng g = prng_of(cut->seed, cut->has_seed ? 0 : cut->number);
    unsigned whole =
        MAX(p->filter.store.info.block_size, p->conf->sector) / SPOT_SECTOR;
    struct lot lot = {.write = UINT64_MAX};

    LIST_EACH (&p->cache.ages, node) {
        struct cached *piece = cached_of(node);

        if (piece->write != lot.write) {
            if (lot.write != UINT64_MAX)
                count(cut, &lot);
            lot = draw(&g, cut->how, piece->write);
        }
        piece->rank = lot.rank;
        piece->todo = lot.fate == FATE_LOST ? 0 : piece->live;
        if (lot.fate == FATE_TORN)
            piece->todo &= draw_sectors(&g, whole);
        lot.kept += (unsigned)__builtin_popcountll(piece->todo);
        lot.lost += (unsigned)__builtin_popcountll(piece->live & ~piece->todo);
    }
    if (lot.write != UINT64_MAX)
        count(cut, &lot);
}
