/* device/input/keymap.h: which keys make a character.
 *
 * A virtual keyboard has keys, not characters: what a key means is said by the
 * keymap of the guest, which must be the one named here. Threads: any. */
#ifndef VUB_DEVICE_INPUT_KEYMAP_H
#define VUB_DEVICE_INPUT_KEYMAP_H

#include "base/base.h"

enum { STROKE_SHIFT = 1, STROKE_ALTGR = 2 };

/* A key that is pressed while others are held. */
struct stroke {
    uint16_t key;
    unsigned held; /* STROKE_* */
    bool dead;     /* it waits for another, and is typed by a space after it */
};

/* The names of the keymaps, NULL-ended: "us" is the first. */
extern const char *const keymap_words[];

/* The character of n bytes at s, in keymap_words[map]; false: it has none. */
bool keymap_find(unsigned map, const char *s, size_t n, struct stroke *out);

#endif
