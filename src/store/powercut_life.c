/* What a `powercut` has and does without a session.
 *
 * The image is ours for as long as something is cached, or is on its way down,
 * also when the session that wrote it is over: what is below is released then,
 * and our own channel is closed. A disk that is closed has its cache written
 * down first; if that does not go on, since something below holds it, it is
 * given up, and lost.
 *
 * Another process knows nothing of the cache: it goes on if there is nothing in
 * it, which a word of kept memory says at each moment. */
#include <inttypes.h>

#include "base/log.h"
#include "store/powercut_impl.h"

#define PATIENCE_MS 2000

/* ---- our own channel ---- */

bool powercut_open_own(struct powercut *p)
{
    struct err e;

    if (p->own)
        return true;
    if (store_channel_open(&p->own, p->filter.next, p->home, &e) == 0)
        return true;
    p->own = NULL;
    log_error(p->filter.store.id, "powercut: %s", e.text);
    return false;
}

void powercut_send(struct powercut *p, struct part *part)
{
    if (store_submit(p->own, &part->req) == STORE_DONE)
        part->req.done(&part->req);
}

static void on_flushed(struct store_req *r)
{
    struct powercut *p = container_of(r, struct powercut, flush);

    p->ends++;
    p->flushed(p, r->result);
}

void powercut_flush(struct powercut *p,
                    void (*flushed)(struct powercut *p, int result))
{
    p->flushed = flushed;
    p->flush = (struct store_req){
        .op = STORE_FLUSH,
        .flags = STORE_HURRY,
        .done = on_flushed,
        .owner = p,
    };
    if (store_submit(p->own, &p->flush) == STORE_DONE)
        flushed(p, p->flush.result);
}

/* ---- rest ---- */

static bool has_to_do(const struct powercut *p)
{
    return p->busy || p->cut || !list_empty(&p->queue) ||
           (p->gone && p->cache.num);
}

static bool may_release(const struct powercut *p)
{
    return p->locked && !p->used && p->cache.num == 0;
}

static void on_timer_gone(struct timer *t)
{
    struct powercut *p = container_of(t, struct powercut, timer);

    store_filter_end(&p->filter.store, p->gone, p->gone_arg);
}

void powercut_rest(struct powercut *p)
{
    if (has_to_do(p))
        return;
    if (p->own && p->channels == 0) {
        store_channel_close(p->own);
        p->own = NULL;
    }
    if (may_release(p)) {
        store_filter_release(&p->filter.store);
        p->locked = false;
    }
    if (p->gone && !p->rests)
        timer_close(&p->timer);
}

static void on_rest(struct mail *m)
{
    struct powercut *p = container_of(m, struct powercut, resting);

    p->rests = false;
    powercut_rest(p);
}

void powercut_rest_later(struct powercut *p)
{
    bool closes = p->channels == 0 && p->own;

    if (p->rests || !(closes || may_release(p) || p->gone))
        return;
    p->rests = true;
    loop_post(p->home, &p->resting);
}

void powercut_forget(struct powercut *p)
{
    LIST_EACH_SAFE (&p->cache.ages, node)
        write_cache_drop(&p->cache, cached_of(node));
    p->spill.num = 0;
    powercut_keep_state(p);
}

/* ---- begin and end ---- */

/* What was written below is forgotten, and so is what was to come on top. */
static void on_forgot(void *arg)
{
    struct powercut *p = arg;

    powercut_forget(p);
    powercut_rest_later(p);
    store_tell_forgotten(&p->filter.store);
}

/* Nothing of ours has ended since the last time. */
static void on_timer(struct timer *t)
{
    struct powercut *p = container_of(t, struct powercut, timer);

    if (p->busy && p->ends == p->seen)
        store_drain(p->own, p, true);
    p->seen = p->ends;
    timer_start(t, PATIENCE_MS);
}

void powercut_life_init(struct powercut *p)
{
    p->resting.run = on_rest;
    defer_init(&p->trip, powercut_on_trip);
    p->timer.fire = on_timer;
    p->timer.gone = on_timer_gone;
}

int powercut_begin(struct store *s, struct loop *home, struct err *e)
{
    struct powercut *p = powercut_of(s);
    int rc = store_filter_begin(s, home, e);

    if (rc < 0)
        return rc;
    store_on_forget(p->filter.next, on_forgot, p);
    p->home = home;
    timer_open(&p->timer, home);
    return 0;
}

void powercut_end(struct store *s, void (*gone)(void *arg), void *arg)
{
    struct powercut *p = powercut_of(s);

    p->gone = gone;
    p->gone_arg = arg;
    if (p->cache.num && !powercut_open_own(p)) {
        log_error(s->id, "writes that were not flushed are lost");
        powercut_forget(p);
    }
    p->used = false;
    p->seen = p->ends;
    timer_start(&p->timer, PATIENCE_MS);
    if (p->own)
        store_drain(p->own, p, p->busy && !p->cut);
    powercut_go_on(p);
}

/* ---- the image lock ---- */

int powercut_acquire(struct store *s, struct err *e)
{
    struct powercut *p = powercut_of(s);
    int rc;

    if (p->cut)
        return err_set(e, -EAGAIN, "",
                       "the power was cut: what is left of the cache is being "
                       "written");
    /* Also if we have it: another filter below may have its say. */
    rc = store_filter_acquire(s, e);
    if (rc < 0)
        return rc;
    p->used = p->locked = true;
    p->off = false; /* another session, though channels may have stayed */
    return 0;
}

void powercut_release(struct store *s)
{
    struct powercut *p = powercut_of(s);

    p->used = false;
    powercut_rest(p);
}

/* ---- what is cached, and others ---- */

/* [any thread] The cache is the loop's: it goes down with the next batch. */
int powercut_sync(struct store *s)
{
    __atomic_store_n(&powercut_of(s)->sync, true, __ATOMIC_RELAXED);
    return store_filter_sync(s);
}

struct powercut_state {
    uint64_t is_empty;
    uint64_t cuts; /* so that the next is another one */
};

void powercut_keep_state(struct powercut *p)
{
    struct powercut_state now = {.is_empty = p->cache.num == 0 && !p->cut,
                                 .cuts = p->cuts};

    if (!p->kept.at || p->kept_empty == (bool)now.is_empty)
        return;
    p->kept_empty = now.is_empty;
    keep_pair_write(p->kept.at, &now, sizeof(now));
}

int powercut_keep(struct store *s, const char *name, struct err *e)
{
    struct powercut *p = powercut_of(s);
    struct powercut_state was;
    int rc = store_filter_keep_empty(s, name, "powercut.1", &p->kept, &was,
                                     sizeof(was), e);

    if (rc < 0)
        return rc;
    p->cuts = was.cuts;
    p->size = store_size(p->filter.next);
    /* What is lost stays so for whoever comes until another session has run. */
    if (!p->kept.found || was.is_empty)
        powercut_keep_state(p);
    return 0;
}

int powercut_save(struct store *s, struct err *e)
{
    const struct powercut *p = powercut_of(s);

    if (p->cache.num || p->cut)
        return err_set(e, -EBUSY, "",
                       "filter powercut has %" PRIu64 " bytes that the guest "
                       "has not flushed, which cannot be handed on: flush, or "
                       "cut the power, first",
                       p->cache.bytes);
    return store_filter_save(s, e);
}
