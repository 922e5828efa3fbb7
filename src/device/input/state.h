/* device/input/state.h: what somebody knows who has seen all events of a
 * device up to some point: the guest, the source.
 *
 * Keys, contacts of a touch screen, switches and the places of absolute axes
 * are states: what was before the last event of each does not matter. So
 * whatever was lost between two points can be made good by the events that
 * lead from the one state to the other. Motion of relative axes adds up.
 * Threads: any, one per struct. */
#ifndef VUB_DEVICE_INPUT_STATE_H
#define VUB_DEVICE_INPUT_STATE_H

#include "device/input/codes.h"
#include "device/input/source.h"

#define STATE_SLOTS 64 /* slots beyond pass as they are, and are not known */
#define STATE_SW_CNT 64
#define STATE_CONTACT_CNT (ABS_MT_TOOL_Y - ABS_MT_TOUCH_MAJOR + 1)

/* A slot: what its last contact was like. */
struct state_contact {
    uint16_t known; /* bit i: value[i] has been said */
    int32_t value[STATE_CONTACT_CNT];
};

struct input_state {
    uint8_t has_slots;           /* else contacts are not told apart */
    uint64_t keys[KEY_CNT / 64]; /* bits: is down */
    uint64_t sw, sw_known;
    uint64_t abs_known; /* of the axes that belong to no contact */
    int32_t abs[ABS_CNT];
    int32_t slot; /* that events are about; -1: not known */
    struct state_contact contact[STATE_SLOTS];
    uint8_t anonymous; /* contacts without slots, in the last frame */
    int32_t rel[REL_CNT];
};

/* The most events that state_diff makes. */
#define STATE_DIFF_MAX                                                         \
    (KEY_CNT + STATE_SW_CNT + ABS_CNT + REL_CNT + 2 +                          \
     STATE_SLOTS * (STATE_CONTACT_CNT + 1))

/* Nothing is held, nothing is known. */
void state_init(struct input_state *s, const struct source_desc *d);
/* After event e. Relative motion counts only with state_move. */
void state_apply(struct input_state *s, const struct input_event16 *e);
void state_move(struct input_state *s, const struct input_event16 *e);
/* Everything that can be held is let go. */
void state_release(struct input_state *s);
/* Only what is held is known. */
void state_forget(struct input_state *s);
/* Fills ev[STATE_DIFF_MAX] with what leads from one to the other, motion of
 * `to` included, without SYN_REPORT: how many. Motion comes before keys, so
 * that a click is where it was meant to be; releases before presses. */
unsigned state_diff(const struct input_state *from,
                    const struct input_state *to, struct input_event16 *ev);

static inline bool state_key(const struct input_state *s, unsigned code)
{
    return s->keys[code / 64] >> code % 64 & 1;
}

#endif
