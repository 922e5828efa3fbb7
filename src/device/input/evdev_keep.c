/* A device of this machine that another process goes on with.
 *
 * It is another open file then, and what happened in between nobody has read.
 * But the kernel tells what it has led to: which keys are down, where axes,
 * switches and contacts are. */
#include <string.h>

#include "device/input/codes.h"
#include "device/input/evdev_impl.h"
#include "device/input/state.h"

enum { NOTE_LEDS, NOTE_LEDS_SET, NOTE_GIVEN_BACK, NOTE_STALE };

void evdev_note(struct evdev *v)
{
    uint64_t *word = v->source.note.word;

    _Static_assert(NOTE_STALE + sizeof(v->stale) / 8 <= SOURCE_NOTE_WORDS,
                   "there is no room for them");
    word[NOTE_LEDS] = v->leds;
    word[NOTE_LEDS_SET] = v->leds_set;
    word[NOTE_GIVEN_BACK] = v->given_back;
    memcpy(word + NOTE_STALE, v->stale, sizeof(v->stale));
    v->source.host->noted(&v->source);
}

void evdev_recall(struct source *s)
{
    struct evdev *v = evdev_of(s);
    const uint64_t *word = s->note.word;

    v->leds = (uint16_t)word[NOTE_LEDS];
    v->leds_set = (uint16_t)word[NOTE_LEDS_SET];
    v->given_back = word[NOTE_GIVEN_BACK] != 0 && v->conf->hotkey.count > 0;
    memcpy(v->stale, word + NOTE_STALE, sizeof(v->stale));
    if (v->node && !v->given_back)
        evdev_show_leds(v);
}

void evdev_pause(struct source *s)
{
    evdev_attend(s, false);
}

/* Keys as they are for the guest now. A key that came up meanwhile is stale no
 * more. */
static unsigned put_keys(struct evdev *v, const struct input_state *known,
                         struct input_event16 *ev)
{
    unsigned n = 0;

    for (uint16_t code = 0; code < KEY_CNT; code++) {
        bool down = node_key_is_down(v->node, code);
        uint8_t bit = (uint8_t)(1u << code % 8);

        if (!down)
            v->stale[code / 8] &= (uint8_t)~bit;
        if (v->stale[code / 8] & bit)
            continue;
        if (down || state_key(known, code))
            ev[n++] = (struct input_event16){EV_KEY, code, down};
    }
    return n;
}

/* What happened while nobody read is not known, but what it has led to. */
static void find_state(struct evdev *v, const struct input_state *known)
{
    struct input_event16 ev[MAX(KEY_CNT, NODE_PLACES_MAX)];
    unsigned n;

    framing_forget(&v->framing);
    n = put_keys(v, known, ev);
    framing_assume(&v->framing, ev, n);
    v->source.host->moved(&v->source, ev, n);
    n = node_places(v->node, ev);
    framing_assume(&v->framing, ev, n);
    v->source.host->moved(&v->source, ev, n);
}

void evdev_go_on(struct source *s, const struct input_state *known)
{
    struct evdev *v = evdev_of(s);

    v->attended = true;
    v->grab_refused = false;
    evdev_mind_grab(v, true);
    if (!v->node)
        s->host->lost(s);
    else if (!v->given_back)
        find_state(v, known);
    evdev_note(v);
}
