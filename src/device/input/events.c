/* Events on their way to the guest.
 *
 * Frames are queued and given to the guest in order, an event for each of its
 * buffers, whenever it has offered some: what fits goes with one call, and of
 * a frame that is longer the rest goes first with the next buffers. Buffers
 * stay in the ring until then (ring_rest), so a drain waits for nothing.
 *
 * Two states are kept: that of the source (after all it has said), and that of
 * the guest (after all it was given). The queue leads from the one to the
 * other, unless it is `behind`.
 *
 * Overflow. A frame that finds no room is dropped whole, the newest, so that
 * what was typed first arrives; frames that only move something find no room
 * earlier than those with keys. From then on the queue is behind. Before the
 * next frame that finds room, or as soon as there is room, a frame of our own
 * is queued that leads from where the queue ends to where the source is: keys
 * that went up meanwhile go up, those that are down go down, axes and contacts
 * get their places, and relative motion is made up for. So no key is stuck,
 * and a click is where it was meant to be; only what was pressed and let go
 * within the gap is lost.
 *
 * A source that goes lets go of everything it holds: the same frame does it.
 *
 * Drivers come and go. While none runs, frames are dropped, but the source's
 * state is known. When a driver stops, what it was not given is dropped, but
 * for the rest of a frame that it has begun to get, and a frame is added in
 * which everything goes up. If it has no buffers for that, or its ring was
 * disabled before, the next driver gets it first. To a driver that starts
 * nothing is held, whatever is held here; where axes and switches are it is
 * told, for nobody else can tell it.
 *
 * A driver may also change hands: the process ends, by its own will or not, and
 * another one goes on (keep.c). Then nothing is dropped, and nothing goes up
 * but what has.
 *
 * A frame is taken when the guest has offered as many buffers as it was given
 * up to the end of the frame, not counting those it offered before it had any
 * back: it queues a buffer again when it has dealt with what was in it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "device/input/impl.h"

/* Somebody who wants to know when a frame is taken. */
struct wait {
    struct list node;
    void (*sent)(void *arg, bool taken);
    void *arg;
    uint64_t end;  /* events->put after the frame */
    uint64_t used; /* buffers, after its last event; 0: not yet given */
    bool taken;
};

static struct events *events_of(struct input *in)
{
    return &in->events;
}

/* ---- who waits ---- */

static void decide(struct input *in, struct wait *w, bool taken)
{
    struct events *ev = events_of(in);

    w->taken = taken;
    list_del(&w->node);
    list_add(&ev->done, &w->node);
    loop_defer(in->device.home, &ev->tell);
}

/* They may send frames, and wait for those. */
static void tell_all(struct events *ev)
{
    struct list now, *node;

    list_init(&now);
    list_move(&now, &ev->done);
    while ((node = list_pop(&now)) != NULL) {
        struct wait *w = container_of(node, struct wait, node);

        w->sent(w->arg, w->taken);
        free(w);
    }
}

static void on_tell(struct defer *d)
{
    tell_all(container_of(d, struct events, tell));
}

/* The guest has given buffers back. */
static void decide_taken(struct input *in)
{
    struct events *ev = events_of(in);

    LIST_EACH_SAFE (&ev->waits, node) {
        struct wait *w = container_of(node, struct wait, node);

        if (!w->used || w->used > ev->returned)
            break;
        decide(in, w, true);
    }
}

/* Those who wait for frames that end behind `end` wait in vain. */
static void decide_dropped(struct input *in, uint64_t end)
{
    LIST_EACH_SAFE (&events_of(in)->waits, node) {
        struct wait *w = container_of(node, struct wait, node);

        if (w->end > end)
            decide(in, w, false);
    }
}

/* For the frame at the end of the queue. False: there is no memory. */
static bool wait_for(struct events *ev, void (*sent)(void *arg, bool taken),
                     void *arg)
{
    struct wait *w = calloc(1, sizeof(*w));

    if (!w)
        return false;
    list_init(&w->node);
    w->sent = sent;
    w->arg = arg;
    w->end = ev->put;
    list_add(&ev->waits, &w->node);
    return true;
}

/* ---- the queue ---- */

static bool ends_frame(const struct input_event16 *e)
{
    return e->type == EV_SYN && e->code == SYN_REPORT;
}

static struct input_event16 *queued(struct events *ev, unsigned i)
{
    return &ev->queue[(ev->head + i) % EVENTS_MAX];
}

static void append(struct events *ev, const struct input_event16 *e, unsigned n)
{
    struct input *in = container_of(ev, struct input, events);

    assert(n <= EVENTS_MAX - ev->count);
    for (unsigned i = 0; i < n; i++) {
        *queued(ev, ev->count++) = e[i];
        kept_event_put(in, ev->put++, &e[i]);
    }
}

/* Leaves only the rest of a frame of which the guest has a part. Returns how
 * many frames are lost. */
static unsigned drop_unbegun(struct input *in)
{
    struct events *ev = events_of(in);
    unsigned keep = 0, frames = 0;

    if (ev->inside)
        while (!ends_frame(queued(ev, keep++)))
            ;
    for (unsigned i = keep; i < ev->count; i++)
        frames += ends_frame(queued(ev, i));
    ev->put -= ev->count - keep;
    ev->count = keep;
    decide_dropped(in, ev->put);
    return frames;
}

/* Where the queue leads. */
static void find_end(struct events *ev, struct input_state *s)
{
    *s = ev->guest;
    for (unsigned i = 0; i < ev->count; i++)
        state_apply(s, queued(ev, i));
}

/* Queues a frame that leads to state `to`, if any is needed; false: there is
 * no room for it and `more` events besides, below `limit`. */
static bool lead_to(struct events *ev, const struct input_state *to,
                    unsigned limit, unsigned more)
{
    struct input_event16 diff[STATE_DIFF_MAX + 1];
    struct input_state end;
    unsigned n;

    if (ev->count + more >= limit)
        return false;
    find_end(ev, &end);
    n = state_diff(&end, to, diff);
    if (n == 0)
        return true;
    diff[n++] = (struct input_event16){EV_SYN, SYN_REPORT, 0};
    if (n > limit - ev->count - more)
        return false;
    append(ev, diff, n);
    return true;
}

/* Makes good what was dropped, if there is room for that and `more` events. */
static void catch_up(struct events *ev, unsigned limit, unsigned more)
{
    if (!ev->behind || !lead_to(ev, &ev->source, limit, more))
        return;
    ev->behind = false;
    memset(ev->source.rel, 0, sizeof(ev->source.rel));
}

/* ---- from the source ---- */

/* Copies what the guest is to know of a frame to `to`; how many events, the
 * last of which is SYN_REPORT.
 * - LEDs, sounds and repeat settings are the guest's to say: told what it has
 *   said it would say it again, and so on for ever.
 * - A guest that is told that the device repeats keys (EV_REP) does it by
 *   itself, and would repeat every repeat. */
static unsigned take_over(const struct source_desc *d,
                          const struct input_event16 *ev, unsigned n,
                          struct input_event16 *to)
{
    bool repeats = source_has_type(d, EV_REP);
    unsigned taken = 0;

    assert(n <= SOURCE_FRAME_MAX);
    for (unsigned i = 0; i < n; i++) {
        if (ev[i].type == EV_SYN) {
            if (ev[i].code != SYN_MT_REPORT)
                continue;
        } else if (ev[i].type >= EV_LED ||
                   !source_has(d, ev[i].type, ev[i].code) ||
                   (repeats && ev[i].type == EV_KEY && ev[i].value == 2)) {
            continue;
        }
        to[taken++] = ev[i];
    }
    to[taken++] = (struct input_event16){EV_SYN, SYN_REPORT, 0};
    return taken;
}

/* Does nothing but move something? */
static bool is_motion(const struct input_event16 *ev, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (ev[i].type == EV_KEY || ev[i].type == EV_SW ||
            (ev[i].type == EV_ABS && ev[i].code == ABS_MT_TRACKING_ID))
            return false;
    return true;
}

static void note_overflow(struct input *in)
{
    struct events *ev = events_of(in);

    in->stats.dropped++;
    if (ev->told)
        return;
    ev->told = true;
    log_limited(&ev->limit, LOG_WARN, in->device.id,
                "%u events wait for the guest, which does not take them: "
                "frames are dropped until it does; what is held then is made "
                "known to it",
                ev->count);
}

/* True: it is queued. */
static bool admit(struct input *in, const struct input_event16 *f, unsigned n)
{
    struct events *ev = events_of(in);
    unsigned limit = is_motion(f, n) ? EVENTS_MOTION_MAX : EVENTS_MAX;

    if (!ev->ring)
        return false;
    catch_up(ev, limit, n);
    if (!ev->behind && ev->count + n <= limit) {
        append(ev, f, n);
        return true;
    }
    note_overflow(in);
    ev->behind = true;
    for (unsigned i = 0; i < n; i++)
        state_move(&ev->source, &f[i]);
    return false;
}

static void want_turn(struct events *ev)
{
    if (ev->ring && ev->count > 0)
        ev->ring->want_kick(ev->ring);
}

enum frame_fate events_frame(struct input *in,
                             const struct input_event16 *frame, unsigned n,
                             void (*sent)(void *arg, bool taken), void *arg)
{
    struct events *ev = events_of(in);
    struct input_event16 f[SOURCE_FRAME_MAX + 1];
    enum frame_fate fate = FRAME_LOST;

    n = take_over(&in->desc, frame, n, f);
    if (n > 1 && admit(in, f, n))
        fate = !sent || wait_for(ev, sent, arg) ? FRAME_WAITS : FRAME_LOST;
    else if (n == 1 && ev->ring)
        fate = FRAME_EMPTY;
    for (unsigned i = 0; i < n; i++)
        state_apply(&ev->source, &f[i]);
    if (ev->ring && n > 1)
        kept_queue(in);
    want_turn(ev);
    return fate;
}

void events_lost(struct input *in)
{
    struct events *ev = events_of(in);

    state_release(&ev->source);
    if (!ev->ring)
        return;
    events_catch_up(in);
}

void events_moved(struct input *in, const struct input_event16 *ev, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (source_has(&in->desc, ev[i].type, ev[i].code))
            state_apply(&in->events.source, &ev[i]);
}

void events_catch_up(struct input *in)
{
    struct events *ev = events_of(in);

    ev->behind = true;
    catch_up(ev, EVENTS_MAX, 0);
    kept_queue(in);
    want_turn(ev);
}

void events_hold(struct input *in)
{
    events_of(in)->held++;
}

void events_release(struct input *in)
{
    events_of(in)->held--;
    kept_queue(in);
}

/* ---- to the guest ---- */

/* False: the buffer is of no use. */
static bool put_event(struct chain *c, const struct input_event16 *e)
{
    const struct virtio_input_event wire = {htole16(e->type), htole16(e->code),
                                            htole32((uint32_t)e->value)};

    if (c->in_len < sizeof(wire)) {
        chain_done(c, 0);
        return false;
    }
    chain_write(c, 0, &wire, sizeof(wire));
    chain_done(c, sizeof(wire));
    return true;
}

/* The event at the head has been given. */
static void step(struct input *in)
{
    struct events *ev = events_of(in);
    const struct input_event16 *e = queued(ev, 0);
    uint64_t at = ev->put - ev->count + 1;

    state_apply(&ev->guest, e);
    ev->inside = !ends_frame(e);
    in->stats.events++;
    in->stats.frames += !ev->inside;
    ev->count--;
    ev->head = ev->count ? (ev->head + 1) % EVENTS_MAX : 0;
    kept_given(in);
    if (!ev->count && !ev->behind)
        ev->told = false;
    if (ev->inside)
        return;
    LIST_EACH (&ev->waits, node) {
        struct wait *w = container_of(node, struct wait, node);

        if (w->end == at)
            w->used = ev->used;
        if (w->end >= at)
            break;
    }
}

/* Looks how many buffers there are; how many. */
static unsigned look(struct input *in)
{
    struct events *ev = events_of(in);
    unsigned waiting = ring_rest(ev->ring);
    uint64_t offered = ev->used + waiting;

    if (offered <= ev->offered)
        return waiting;
    ev->returned = MIN(ev->returned + (offered - ev->offered), ev->used);
    ev->offered = offered;
    decide_taken(in);
    return waiting;
}

/* As many events as there are buffers for. */
static void give(struct input *in, unsigned buffers)
{
    struct events *ev = events_of(in);
    struct ring *q = ev->ring;

    for (unsigned i = 0; i < buffers && ev->count > 0; i++) {
        struct chain *c = ring_pop(q);

        if (!c)
            break;
        ev->used++;
        if (put_event(c, queued(ev, 0)))
            step(in);
        else
            input_bad_buffer(in, q, "a buffer for events is shorter than one");
    }
}

void events_ring_kick(struct input *in)
{
    struct events *ev = events_of(in);
    unsigned buffers;

    if (!ev->ring)
        return;
    kept_turn(in);
    buffers = look(in);
    if (buffers > 0 && ev->inside)
        in->stats.refills++;
    give(in, buffers);
    if (ev->behind) {
        catch_up(ev, EVENTS_MOTION_MAX, 0);
        kept_queue(in);
    }
    if (look(in) > 0 && ev->count > 0)
        ring_stir(ev->ring);
}

/* ---- rings come and go ---- */

bool events_ring_start(struct input *in, struct ring *q)
{
    struct events *ev = events_of(in);
    bool goes_on = kept_take(in, q->recovered > 0) || ev->goes_on;

    ev->ring = q;
    ev->offered = ev->used = ev->returned = 0;
    ev->goes_on = false;
    if (!goes_on) {
        state_release(&ev->source);
        state_forget(&ev->guest);
        kept_guest(in);
    }
    /* What came while nobody could be told of it counts, too. */
    events_catch_up(in);
    kept_listens(in, true);
    return goes_on;
}

void events_ring_drain(struct input *in)
{
    struct events *ev = events_of(in);
    struct input_state released;

    if (!ev->ring || in->device.suspends)
        return;
    kept_turn(in);
    in->stats.dropped += drop_unbegun(in);
    ev->behind = ev->told = false;
    memset(ev->source.rel, 0, sizeof(ev->source.rel));
    state_release(&ev->source);
    find_end(ev, &released);
    state_release(&released);
    lead_to(ev, &released, EVENTS_MAX, 0);
    kept_queue(in);
    if (ev->ring->enabled)
        give(in, look(in));
}

void events_driver_gone(struct input *in)
{
    in->events.goes_on = false;
    kept_listens(in, false);
}

void events_ring_stop(struct input *in)
{
    struct events *ev = events_of(in);

    ev->ring = NULL;
    ev->goes_on = true;
    if (!in->device.suspends)
        events_driver_gone(in);
    LIST_EACH_SAFE (&ev->waits, node)
        decide(in, container_of(node, struct wait, node), false);
}

void events_reset(struct input *in)
{
    struct events *ev = events_of(in);

    ev->inside = ev->behind = ev->told = false;
    ev->head = ev->count = 0;
    state_init(&ev->guest, &in->desc);
    free(in->inherited);
    in->inherited = NULL;
    kept_queue(in);
    kept_guest(in);
}

/* ---- life ---- */

void events_init(struct input *in)
{
    struct events *ev = events_of(in);

    state_init(&ev->source, &in->desc);
    state_init(&ev->guest, &in->desc);
    list_init(&ev->waits);
    list_init(&ev->done);
    defer_init(&ev->tell, on_tell);
}

void events_fini(struct input *in)
{
    struct events *ev = events_of(in);

    assert(!ev->ring && list_empty(&ev->waits));
    while (!list_empty(&ev->done))
        tell_all(ev);
    defer_cancel(&ev->tell);
}
