/* device/input/waiting.h: a call over the control socket that sends frames and
 * waits for the guest to take them.
 *
 * Whoever begins one allocates it as the first member of a struct of its own,
 * and is told of each frame by `taken`. It is answered once, by
 * waiting_answer, and freed when its frame is decided and its timer closed
 * too. Threads: the device's home loop. */
#ifndef VUB_DEVICE_INPUT_WAITING_H
#define VUB_DEVICE_INPUT_WAITING_H

#include "device/input/impl.h"
#include "loop/timer.h"

#define WAITING_TIMEOUT_MS "5000"
#define WAITING_MAX_MS 3600000

struct waiting {
    struct input *in;  /* until the call is answered */
    struct call *call; /* NULL: answered */
    /* The guest has taken the frame. */
    void (*taken)(struct waiting *w);
    /* It comes to nothing: answers, with code and a sentence of why. */
    void (*give_up)(struct waiting *w, int code, const char *why);

    /* waiting.c only */
    struct timer timer;
    bool has_timer;
    bool frame_is_out; /* on_sent comes */
    uint32_t timeout_ms;
    void (*go_on)(struct waiting *w); /* NULL: it does not pause */
};

/* No driver listens: c has been answered so. */
bool waiting_refused(struct input *in, struct call *c);
/* Of size bytes, which are 0 but for the beginning; taken and give_up are the
 * caller's to set. NULL: c has been answered. */
struct waiting *waiting_new(struct input *in, struct call *c,
                            uint32_t timeout_ms, size_t size);
/* Sends a frame; then taken or give_up is called, which may be from inside: w
 * may be gone afterwards. */
void waiting_send(struct waiting *w, const struct input_event16 *ev,
                  unsigned n);
/* Calls go_on after so long. */
void waiting_pause(struct waiting *w, uint64_t ms,
                   void (*go_on)(struct waiting *w));
/* e NULL: it is done. w may be gone afterwards. */
void waiting_answer(struct waiting *w, const struct err *e);

#endif
