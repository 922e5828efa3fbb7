/* States are bits and values by code, of which some may not be known. Applying
 * an event forgets what was before; the difference of two states is what a
 * receiver of the first has to hear to be at the second, contact by contact,
 * with the slot it is about said first. */
#include "device/input/state.h"

#include <string.h>

#define ID (ABS_MT_TRACKING_ID - ABS_MT_TOUCH_MAJOR)

static bool is_in_use(const struct state_contact *c)
{
    return c->known & 1u << ID && c->value[ID] >= 0;
}

static void set_bit(uint64_t *word, unsigned bit, bool on)
{
    *word = (*word & ~(UINT64_C(1) << bit)) | (uint64_t)on << bit;
}

static bool is_of_contact(unsigned code)
{
    return code >= ABS_MT_TOUCH_MAJOR && code <= ABS_MT_TOOL_Y;
}

static void apply_abs(struct input_state *s, unsigned code, int32_t value)
{
    struct state_contact *c;

    if (code >= ABS_CNT)
        return;
    if (code == ABS_MT_SLOT) {
        s->slot = value;
        return;
    }
    if (!is_of_contact(code)) {
        s->abs[code] = value;
        s->abs_known |= UINT64_C(1) << code;
        return;
    }
    if (!s->has_slots || s->slot < 0 || s->slot >= STATE_SLOTS)
        return;
    c = &s->contact[s->slot];
    c->value[code - ABS_MT_TOUCH_MAJOR] = value;
    c->known |= (uint16_t)(1u << (code - ABS_MT_TOUCH_MAJOR));
}

void state_init(struct input_state *s, const struct source_desc *d)
{
    *s = (struct input_state){
        .has_slots = source_has(d, EV_ABS, ABS_MT_SLOT),
    };
}

void state_apply(struct input_state *s, const struct input_event16 *e)
{
    switch (e->type) {
    case EV_SYN:
        if (e->code == SYN_MT_REPORT)
            s->anonymous = true;
        break;
    case EV_KEY:
        if (e->code < KEY_CNT)
            set_bit(&s->keys[e->code / 64], e->code % 64, e->value != 0);
        break;
    case EV_SW:
        if (e->code >= STATE_SW_CNT)
            break;
        set_bit(&s->sw, e->code, e->value != 0);
        set_bit(&s->sw_known, e->code, true);
        break;
    case EV_ABS:
        apply_abs(s, e->code, e->value);
        break;
    default:
        break;
    }
}

void state_move(struct input_state *s, const struct input_event16 *e)
{
    int32_t *sum;

    if (e->type != EV_REL || e->code >= REL_CNT)
        return;
    sum = &s->rel[e->code];
    if (__builtin_add_overflow(*sum, e->value, sum))
        *sum = e->value < 0 ? INT32_MIN : INT32_MAX;
}

void state_release(struct input_state *s)
{
    memset(s->keys, 0, sizeof(s->keys));
    for (unsigned i = 0; i < STATE_SLOTS; i++)
        if (is_in_use(&s->contact[i]))
            s->contact[i].value[ID] = -1;
    s->anonymous = false;
}

void state_forget(struct input_state *s)
{
    s->sw_known = s->abs_known = 0;
    for (unsigned i = 0; i < STATE_SLOTS; i++)
        s->contact[i].known &= is_in_use(&s->contact[i]) ? 1u << ID : 0;
    if (s->slot != 0) /* 0 it is with a new driver, too */
        s->slot = -1;
}

/* ---- from one to the other ---- */

struct events_out {
    struct input_event16 *ev;
    unsigned n;
    int32_t slot;
};

static void put(struct events_out *o, unsigned type, unsigned code,
                int32_t value)
{
    o->ev[o->n++] =
        (struct input_event16){(uint16_t)type, (uint16_t)code, value};
}

static void put_contact(struct events_out *o, int32_t slot,
                        const struct state_contact *from,
                        const struct state_contact *to)
{
    /* Who it is comes first, then where. */
    for (unsigned k = 0; k < STATE_CONTACT_CNT; k++) {
        unsigned i = k == 0 ? ID : k <= ID ? k - 1 : k;

        if (!(to->known & 1u << i) ||
            (from->known & 1u << i && from->value[i] == to->value[i]))
            continue;
        if (i == ID && !is_in_use(from) && !is_in_use(to))
            continue;
        if (o->slot != slot)
            put(o, EV_ABS, ABS_MT_SLOT, slot);
        o->slot = slot;
        put(o, EV_ABS, ABS_MT_TOUCH_MAJOR + i, to->value[i]);
    }
}

static void put_contacts(struct events_out *o, const struct input_state *from,
                         const struct input_state *to)
{
    o->slot = from->slot;
    for (int32_t i = 0; i < STATE_SLOTS; i++)
        put_contact(o, i, &from->contact[i], &to->contact[i]);
    if (o->slot != to->slot && to->slot >= 0)
        put(o, EV_ABS, ABS_MT_SLOT, to->slot);
    if (from->anonymous && !to->anonymous)
        put(o, EV_SYN, SYN_MT_REPORT, 0);
}

static void put_keys(struct events_out *o, const struct input_state *from,
                     const struct input_state *to, bool down)
{
    for (unsigned i = 0; i < ARRAY_LEN(to->keys); i++) {
        uint64_t change = (from->keys[i] ^ to->keys[i]) &
                          (down ? to->keys[i] : from->keys[i]);

        for (; change; change &= change - 1)
            put(o, EV_KEY, i * 64 + (unsigned)__builtin_ctzll(change), down);
    }
}

unsigned state_diff(const struct input_state *from,
                    const struct input_state *to, struct input_event16 *ev)
{
    struct events_out o = {ev, 0, 0};

    for (unsigned i = 0; i < REL_CNT; i++)
        if (to->rel[i])
            put(&o, EV_REL, i, to->rel[i]);
    for (unsigned i = 0; i < ABS_CNT; i++) {
        uint64_t bit = UINT64_C(1) << i;

        if (to->abs_known & bit &&
            (!(from->abs_known & bit) || from->abs[i] != to->abs[i]))
            put(&o, EV_ABS, i, to->abs[i]);
    }
    put_contacts(&o, from, to);
    for (unsigned i = 0; i < STATE_SW_CNT; i++) {
        uint64_t bit = UINT64_C(1) << i;

        if (to->sw_known & bit &&
            (!(from->sw_known & bit) || (from->sw ^ to->sw) & bit))
            put(&o, EV_SW, i, (to->sw & bit) != 0);
    }
    put_keys(&o, from, to, false);
    put_keys(&o, from, to, true);
    return o.n;
}
