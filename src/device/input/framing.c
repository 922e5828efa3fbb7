/* Events are collected in an array of a frame's size, of which one place is
 * always left for SYN_REPORT. What is held is noted when a frame goes out, not
 * when an event comes in, for what was not sent need not be released. */
#include "device/input/framing.h"

#include <string.h>

#include "device/input/codes.h"

void framing_init(struct framing *f,
                  void (*emit)(struct framing *f,
                               const struct input_event16 *ev, unsigned n))
{
    *f = (struct framing){.emit = emit};
}

bool framing_takes(unsigned type, unsigned code)
{
    switch (type) {
    case EV_SYN:
        return code == SYN_REPORT || code == SYN_MT_REPORT;
    case EV_KEY:
    case EV_REL:
    case EV_ABS:
    case EV_MSC:
    case EV_SW:
        return true;
    default:
        return false;
    }
}

static void set_bit(uint8_t *bits, unsigned n, bool on)
{
    if (on)
        bits[n / 8] |= (uint8_t)(1u << n % 8);
    else
        bits[n / 8] &= (uint8_t) ~(1u << n % 8);
}

static bool has_bit(const uint8_t *bits, unsigned n)
{
    return bits[n / 8] & 1u << n % 8;
}

/* What the receiver will think is held after these. */
static void note(struct framing *f, const struct input_event16 *ev, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct input_event16 *e = &ev[i];

        if (e->type == EV_KEY && e->code < sizeof(f->keys) * 8)
            set_bit(f->keys, e->code, e->value != 0);
        else if (e->type == EV_ABS && e->code == ABS_MT_SLOT)
            f->slot = (unsigned)e->value;
        else if (e->type == EV_ABS && e->code == ABS_MT_TRACKING_ID &&
                 f->slot < FRAMING_SLOTS)
            set_bit(f->touches, f->slot, e->value >= 0);
    }
}

void framing_assume(struct framing *f, const struct input_event16 *ev,
                    unsigned n)
{
    note(f, ev, n);
}

static void emit(struct framing *f, unsigned n)
{
    note(f, f->ev, n);
    f->emit(f, f->ev, n);
}

/* Emits what stands before the cut and keeps the rest. There is room for one
 * event at least after. */
static void cut(struct framing *f)
{
    struct input_event16 rest[SOURCE_FRAME_MAX];
    unsigned at = f->cut ? f->cut : f->n, left = f->n - at;

    memcpy(rest, f->ev + at, left * sizeof(rest[0]));
    f->ev[at] = (struct input_event16){EV_SYN, SYN_REPORT, 0};
    emit(f, at + 1);
    memcpy(f->ev, rest, left * sizeof(rest[0]));
    f->n = left;
    f->cut = 0;
}

void framing_add(struct framing *f, unsigned type, unsigned code, int32_t value)
{
    bool ends = type == EV_SYN && code == SYN_REPORT;

    if (!framing_takes(type, code))
        return;
    if (ends && f->n == 0)
        return;
    /* The last place is SYN_REPORT's. */
    if (!ends && f->n == SOURCE_FRAME_MAX - 1)
        cut(f);
    if (type == EV_ABS && code == ABS_MT_SLOT)
        f->cut = f->n;
    f->ev[f->n++] =
        (struct input_event16){(uint16_t)type, (uint16_t)code, value};
    if (type == EV_SYN && code == SYN_MT_REPORT)
        f->cut = f->n;
    if (ends) {
        emit(f, f->n);
        framing_drop(f);
    }
}

void framing_drop(struct framing *f)
{
    f->n = f->cut = 0;
}

void framing_release(struct framing *f)
{
    unsigned slot = f->slot;

    framing_drop(f);
    for (unsigned code = 0; code < sizeof(f->keys) * 8; code++) {
        if (has_bit(f->keys, code))
            framing_add(f, EV_KEY, code, 0);
    }
    for (unsigned i = 0; i < FRAMING_SLOTS; i++) {
        if (!has_bit(f->touches, i))
            continue;
        if (i != slot)
            framing_add(f, EV_ABS, ABS_MT_SLOT, (int32_t)i);
        slot = i;
        framing_add(f, EV_ABS, ABS_MT_TRACKING_ID, -1);
    }
    /* Who begins anew begins with slot 0. */
    if (slot)
        framing_add(f, EV_ABS, ABS_MT_SLOT, 0);
    framing_add(f, EV_SYN, SYN_REPORT, 0);
}

void framing_forget(struct framing *f)
{
    framing_drop(f);
    memset(f->keys, 0, sizeof(f->keys));
    memset(f->touches, 0, sizeof(f->touches));
    f->slot = 0;
}
