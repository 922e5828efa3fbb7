/* device/input/framing.h: single events become frames, for sources.
 *
 * Events are collected up to SYN_REPORT. What a driver could not do anything
 * with is left out: LEDs and sounds that the device tells of (they are set by
 * the guest, and hearing of them again it would set them again), and all of
 * EV_SYN but SYN_REPORT and SYN_MT_REPORT; a frame of which nothing is left
 * does not exist. A frame that is too long is cut before a slot or a contact,
 * if that can be: a slot that goes on in the next frame says so itself.
 * What went out last is known: keys that are down and touches that last can be
 * released. Threads: the source's. */
#ifndef VUB_DEVICE_INPUT_FRAMING_H
#define VUB_DEVICE_INPUT_FRAMING_H

#include "device/input/source.h"

#define FRAMING_SLOTS 256

struct framing {
    /* A frame, SYN_REPORT and all. */
    void (*emit)(struct framing *f, const struct input_event16 *ev, unsigned n);
    struct input_event16 ev[SOURCE_FRAME_MAX];
    unsigned n;   /* collected */
    unsigned cut; /* where a slot or contact begins, the last one; 0: nowhere */

    unsigned slot; /* in what was emitted */
    uint8_t keys[SOURCE_BITS_BYTES];
    uint8_t touches[FRAMING_SLOTS / 8];
};

void framing_init(struct framing *f,
                  void (*emit)(struct framing *f,
                               const struct input_event16 *ev, unsigned n));

/* Would the event be in a frame? */
bool framing_takes(unsigned type, unsigned code);
/* May call emit. */
void framing_add(struct framing *f, unsigned type, unsigned code,
                 int32_t value);
/* Forgets what has no SYN_REPORT yet. */
void framing_drop(struct framing *f);
/* Emits a frame, if any is needed, in which every key goes up and every touch
 * ends, and after which slot 0 is the current one. What was collected is
 * dropped. */
void framing_release(struct framing *f);
/* These were emitted before f was. */
void framing_assume(struct framing *f, const struct input_event16 *ev,
                    unsigned n);
/* As framing_release, but nobody needs to be told. */
void framing_forget(struct framing *f);

#endif
