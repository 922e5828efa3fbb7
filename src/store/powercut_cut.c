/* A power cut: its course, and what it leaves of writes that were not flushed.
 *
 * The session ends; what waited for its turn has failed by then. When whatever
 * is on its way down has ended, the cut has its turn: what is left goes down,
 * the rest is forgotten, and then a session may begin. Where it is a request
 * that cuts the power, from somewhere inside of submits, only the power goes at
 * once; the rest is for the end of the loop's turn. If it is one of the guest's
 * own, not one on its way down, what waits came before it, and has its turn
 * first: whether it waits yet is a matter of time, and makes no difference.
 *
 * Each write draws its fate, in the order in which they came, from a stream of
 * numbers that is the seed's: the same writes and the same seed have the same
 * outcome. A write that was cut into pieces has one fate. Which of two that
 * overlap is over the other is its rank: its age, or, where the order is not
 * kept, a number that is drawn, too. */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
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

/* Marks what is to be written. */
static void choose(struct powercut *p, struct power_cut *cut)
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

/* ---- its course ---- */

static void cut_over(struct powercut *p, int result)
{
    struct power_cut *cut = p->cut;
    const char *id = p->filter.store.id;

    p->cut = NULL;
    p->busy = p->late = false;
    powercut_keep_state(p);
    if (result < 0)
        log_error(id, "what a power cut has left could not be written: %s",
                  strerror(-result));
    else
        log_warn(id,
                 "power cut %" PRIu64 ": of %" PRIu64
                 " writes that were not flushed %" PRIu64 " are kept, %" PRIu64
                 " lost, %" PRIu64 " torn",
                 cut->number, cut->writes, cut->kept, cut->lost, cut->torn);
    cut->over(cut, result);
    powercut_go_on(p);
}

static void cut_spilled(struct powercut *p, int result)
{
    powercut_forget(p);
    if (result < 0)
        cut_over(p, result);
    else
        powercut_flush(p, cut_over);
}

void powercut_begin_cut(struct powercut *p)
{
    choose(p, p->cut);
    powercut_spill(p, cut_spilled);
}

/* From now on nothing of what was asked for is done. */
static void go_off(struct powercut *p, struct power_cut *cut)
{
    p->cut = cut;
    cut->number = ++p->cuts;
    if (!cut->has_seed)
        cut->seed = p->conf->seed;
    p->off = p->channels > 0;
    powercut_keep_state(p);
}

/* Whoever waits for something hears of it. */
static void fail_all(struct powercut *p)
{
    struct list lost, *node;

    list_init(&lost);
    if (!p->late)
        list_move(&lost, &p->queue);
    while ((node = list_pop(&lost)) != NULL)
        store_complete(container_of(node, struct store_req, node), -EIO);
    if (p->off)
        store_tell_drop(&p->filter.store, "the power of its disk was cut");
    powercut_go_on(p);
}

int powercut_cut(struct store *s, struct power_cut *cut, struct err *e)
{
    struct powercut *p = powercut_of(s);

    if (p->cut || p->gone)
        return err_set(e, -EBUSY, "", "%s",
                       p->cut ? "the power has just been cut: what is left of "
                                "the cache is being written"
                              : "the device is being closed");
    if (!powercut_open_own(p))
        return err_nomem(e);
    go_off(p, cut);
    fail_all(p);
    return 0;
}

/* ---- by a request ---- */

static void on_tripped_over(struct power_cut *cut, int result)
{
    struct powercut *p = container_of(cut, struct powercut, tripped);

    if (result == 0) /* else it has been logged */
        powercut_tell(p, cut);
}

void powercut_on_trip(struct defer *d)
{
    struct powercut *p = container_of(d, struct powercut, trip);

    p->trips = false;
    fail_all(p);
}

bool powercut_is_off(const struct store *s)
{
    const struct powercut *p = powercut_of((struct store *)s);

    return p->off || p->cut || p->gone;
}

void powercut_trip(struct store *s, enum power_outcome how, bool above)
{
    struct powercut *p = powercut_of(s);

    if (powercut_is_off(s) || !powercut_open_own(p))
        return;
    p->tripped = (struct power_cut){.how = how, .over = on_tripped_over};
    p->trips = true;
    p->late = above;
    go_off(p, &p->tripped);
    loop_defer(p->home, &p->trip);
}
