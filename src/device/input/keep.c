/* What a process that goes on with an input device finds.
 *
 * A copy of the queue is written as the queue changes, and never read: who
 * finds it reads it once and trusts nothing of it. Events have numbers, from
 * the first that was ever queued: `put` of them were queued, `given` were put
 * into buffers of a guest, and `shown` of those were so before the last turn
 * began, so that the guest has seen them. The rest of those given it has seen
 * all or none of: if the ring had to be recovered, none. In the copy there is
 * room for all from the last known state of the guest on, so that its state
 * after any of them can be found out again.
 *
 * What changes together is a pair of copies (keep_pair_write). A source may
 * note something beside, where a replay is for example: that changes together
 * with the queue, so that no frame comes twice and none is left out. */
#include <stdlib.h>
#include <string.h>

#include "device/input/impl.h"

#define KEPT_EVENTS 16384u /* a power of two */
/* From one known state of the guest to the next. */
#define STATE_EVERY 2048
/* From the last known state to the end of the queue: the queue may have been
 * full, all of it given, and full again. */
#define SPAN_MAX (STATE_EVERY + 2 * EVENTS_MAX)

/* Words that are whole at each moment. */
struct words {
    uint64_t what;     /* which device: a hash of its description */
    uint32_t selected; /* in the config space */
    uint32_t listens;  /* a driver does */
    uint64_t given, shown;
};

struct queue_part {
    uint64_t put;
    uint64_t behind; /* the source's state is another than the queue's end */
    struct source_note note;
};

struct guest_part {
    uint64_t at; /* events given */
    uint64_t inside;
    struct input_state state;
};

static uint64_t queue_offset(void)
{
    return sizeof(struct words);
}

static uint64_t guest_offset(void)
{
    return queue_offset() + keep_pair_bytes(sizeof(struct queue_part));
}

static uint64_t source_offset(void)
{
    return guest_offset() + keep_pair_bytes(sizeof(struct guest_part));
}

static uint64_t events_offset(void)
{
    return source_offset() + keep_pair_bytes(sizeof(struct input_state));
}

static uint64_t all_bytes(void)
{
    return events_offset() + KEPT_EVENTS * sizeof(struct input_event16);
}

static struct words *words_of(const struct input *in)
{
    return (struct words *)in->kept.at;
}

static struct input_event16 *kept_event(const struct input *in, uint64_t nr)
{
    return (struct input_event16 *)(in->kept.at + events_offset()) +
           nr % KEPT_EVENTS;
}

/* FNV-1a */
static uint64_t hash_of(const struct source_desc *d)
{
    const uint8_t *p = (const uint8_t *)d;
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < sizeof(*d); i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* ---- writing ---- */

void kept_event_put(struct input *in, uint64_t nr,
                    const struct input_event16 *e)
{
    if (in->kept.at)
        *kept_event(in, nr) = *e;
}

void kept_queue(struct input *in)
{
    const struct events *ev = &in->events;
    struct queue_part part;
    struct input_state state;

    if (!in->kept.at || in->device.suspends || in->inherited || ev->held)
        return;
    memset(&part, 0, sizeof(part));
    part.put = ev->put;
    part.note = in->source->note;
    state = ev->source;
    /* Whoever goes on does not go on with a click. */
    part.behind = click_released(in, &state) || ev->behind;
    if (part.behind)
        keep_pair_write(in->kept.at + source_offset(), &state, sizeof(state));
    keep_pair_write(in->kept.at + queue_offset(), &part, sizeof(part));
}

void kept_guest(struct input *in)
{
    struct events *ev = &in->events;
    struct guest_part part;

    if (!in->kept.at)
        return;
    memset(&part, 0, sizeof(part));
    part.at = ev->put - ev->count;
    part.inside = ev->inside;
    part.state = ev->guest;
    /* Numbers first: a state of later than what was given makes no sense. */
    kept_given(in);
    kept_shown(in);
    keep_pair_write(in->kept.at + guest_offset(), &part, sizeof(part));
    ev->kept_at = part.at;
}

void kept_given(struct input *in)
{
    const struct events *ev = &in->events;

    if (in->kept.at)
        __atomic_store_n(&words_of(in)->given, ev->put - ev->count,
                         __ATOMIC_RELEASE);
}

void kept_shown(struct input *in)
{
    const struct events *ev = &in->events;

    if (in->kept.at)
        __atomic_store_n(&words_of(in)->shown, ev->put - ev->count,
                         __ATOMIC_RELEASE);
}

void kept_turn(struct input *in)
{
    const struct events *ev = &in->events;

    if (ev->put - ev->count - ev->kept_at > STATE_EVERY)
        kept_guest(in);
    else
        kept_shown(in);
}

void kept_listens(struct input *in, bool listens)
{
    if (in->kept.at)
        __atomic_store_n(&words_of(in)->listens, listens, __ATOMIC_RELEASE);
}

void kept_selected(struct input *in)
{
    if (in->kept.at)
        __atomic_store_n(&words_of(in)->selected,
                         in->select | (uint32_t)in->subsel << 8,
                         __ATOMIC_RELEASE);
}

/* ---- reading ---- */

static bool ends_frame(const struct input_event16 *e)
{
    return e->type == EV_SYN && e->code == SYN_REPORT;
}

/* What is found, as it may be: nothing of it is sure yet. */
struct found {
    struct words words;
    struct queue_part queue;
    struct guest_part guest;
    struct input_state source;
};

/* One byte of a state is a bool, which must be one. */
static void mend(const struct input *in, struct input_state *s)
{
    s->has_slots = in->events.guest.has_slots;
    s->anonymous = s->anonymous != 0;
}

static bool read_all(const struct input *in, struct found *f)
{
    const uint8_t *at = in->kept.at;

    f->words.what = __atomic_load_n(&words_of(in)->what, __ATOMIC_ACQUIRE);
    f->words.selected =
        __atomic_load_n(&words_of(in)->selected, __ATOMIC_ACQUIRE);
    f->words.listens =
        __atomic_load_n(&words_of(in)->listens, __ATOMIC_ACQUIRE);
    f->words.given = __atomic_load_n(&words_of(in)->given, __ATOMIC_ACQUIRE);
    f->words.shown = __atomic_load_n(&words_of(in)->shown, __ATOMIC_ACQUIRE);
    if (!keep_pair_read(at + queue_offset(), &f->queue, sizeof(f->queue)) ||
        !keep_pair_read(at + guest_offset(), &f->guest, sizeof(f->guest)))
        return false;
    if (!f->queue.behind ||
        !keep_pair_read(at + source_offset(), &f->source, sizeof(f->source)))
        f->queue.behind = false;
    mend(in, &f->guest.state);
    mend(in, &f->source);
    return true;
}

/* at <= shown <= given <= put, and not too far apart. */
static bool makes_sense(const struct found *f)
{
    return f->guest.at <= f->words.shown && f->words.shown <= f->words.given &&
           f->words.given <= f->queue.put &&
           f->queue.put - f->guest.at <= SPAN_MAX &&
           f->queue.put < UINT64_MAX / 2;
}

static struct inherited *read_queue(const struct input *in,
                                    const struct found *f)
{
    struct inherited *h;
    uint64_t total = f->queue.put - f->words.shown;
    struct input_event16 e;

    h = calloc(1, sizeof(*h) + total * sizeof(h->events[0]));
    if (!h)
        return NULL;
    h->listens = f->words.listens;
    h->is_other = f->words.what != hash_of(&in->desc);
    h->guest = f->guest.state;
    h->inside = f->guest.inside != 0;
    for (uint64_t nr = f->guest.at; nr < f->words.shown; nr++) {
        e = *kept_event(in, nr);
        state_apply(&h->guest, &e);
        h->inside = !ends_frame(&e);
    }
    for (uint64_t i = 0; i < total; i++)
        h->events[i] = *kept_event(in, f->words.shown + i);
    h->base = f->words.shown;
    h->given = (unsigned)(f->words.given - f->words.shown);
    h->count = (unsigned)total;
    h->behind = f->queue.behind;
    h->source = f->source;
    return h;
}

/* From here on what is kept is ours. */
static void begin_anew(struct input *in)
{
    __atomic_store_n(&words_of(in)->what, hash_of(&in->desc), __ATOMIC_RELEASE);
    kept_selected(in);
    kept_guest(in);
    kept_queue(in);
}

int kept_open(struct input *in, struct err *e)
{
    struct found f = {0};
    int rc = keep_get(&in->kept, in->device.id, "input.1", all_bytes(), e);

    if (rc < 0)
        return rc;
    if (!in->kept.found || !read_all(in, &f)) {
        begin_anew(in);
        return 0;
    }
    in->select = (uint8_t)f.words.selected;
    in->subsel = (uint8_t)(f.words.selected >> 8);
    if (makes_sense(&f)) {
        in->inherited = read_queue(in, &f);
        if (!in->inherited) {
            keep_drop(&in->kept);
            return err_nomem(e);
        }
    }
    if (f.words.what == hash_of(&in->desc)) {
        in->source->note = f.queue.note;
        in->has_note = true;
    }
    return 0;
}

/* ---- going on ---- */

static unsigned whole_frames(const struct input_event16 *e, unsigned n)
{
    while (n > 0 && !ends_frame(&e[n - 1]))
        n--;
    return n;
}

/* The rest of a frame that a guest has a part of. */
static unsigned rest_of_frame(const struct inherited *h,
                              const struct input_event16 *e, unsigned n)
{
    unsigned rest = 0;

    if (!h->inside)
        return 0;
    while (rest < n && !ends_frame(&e[rest]))
        rest++;
    return rest < n ? rest + 1 : 0;
}

bool kept_take(struct input *in, bool recovered)
{
    struct events *ev = &in->events;
    struct inherited *h = in->inherited;
    unsigned skip, n, keep;
    const struct input_event16 *e;
    bool goes_on;

    if (!h)
        return false;
    in->inherited = NULL;
    goes_on = h->listens && !h->is_other;
    skip = recovered && h->listens ? 0 : h->given;
    for (unsigned i = 0; i < skip; i++) {
        state_apply(&h->guest, &h->events[i]);
        h->inside = !ends_frame(&h->events[i]);
    }
    e = h->events + skip;
    n = whole_frames(e, h->count - skip);
    if (!h->behind) {
        h->source = h->guest;
        for (unsigned i = 0; i < n; i++)
            state_apply(&h->source, &e[i]);
    }
    /* Events of another device are of no use, nor those that find no room. */
    keep = h->is_other ? rest_of_frame(h, e, n)
                       : whole_frames(e, MIN(n, EVENTS_MAX));
    ev->guest = h->guest;
    ev->inside = h->inside && keep > 0;
    memcpy(ev->queue, e, keep * sizeof(*e));
    ev->head = 0;
    ev->count = keep;
    ev->put = h->base + skip + keep;
    ev->behind = h->behind || keep < n;
    if (goes_on)
        ev->source = h->source;
    free(h);
    /* Nothing of what is kept is another's any more. */
    for (unsigned i = 0; i < keep; i++)
        kept_event_put(in, ev->put - keep + i, &ev->queue[i]);
    begin_anew(in);
    return goes_on;
}

void kept_close(struct input *in)
{
    free(in->inherited);
    in->inherited = NULL;
    keep_drop(&in->kept);
}
