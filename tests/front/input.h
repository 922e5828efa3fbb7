/* front/input.h: the driver's side of an input device.
 *
 * Spec: virtio, "Input Device". Ring 0 brings events, ring 1 takes those for
 * the device (LEDs). Buffers of ring 0 go back to the device as soon as an
 * event is taken from them. */
#ifndef FRONT_INPUT_H
#define FRONT_INPUT_H

#include "front/vq.h"

struct input_ev {
    uint16_t type, code;
    int32_t value;
};

struct input {
    struct front *f;
    struct vq *events, *status;
    unsigned num_buffers; /* of the event queue */
    uint64_t buffers_gpa, status_gpa;
    bool hold; /* buffers stay with us until input_refill */
    unsigned held;
    uint64_t held_gpa[1024];
};

/* A session of input device `id`, with so many event buffers (at most the
 * ring's size); conf NULL: all zero. queues is set to 2. */
struct input *input_new(struct vub *v, const char *id,
                        const struct front_conf *conf, unsigned num_buffers);
/* Disconnects and frees; in may be NULL. */
void input_free(struct input *in);

/* The next event. False: there is none now. */
bool input_take(struct input *in, struct input_ev *ev);
/* Waits for the next event, which must be this one. */
void input_need(struct input *in, unsigned type, unsigned code, int32_t value);
/* A frame of one event, and its SYN_REPORT. */
void input_need_frame(struct input *in, unsigned type, unsigned code,
                      int32_t value);
/* Gives held buffers back, at most n. */
void input_refill(struct input *in, unsigned n);
/* An event for the device; waits until its buffer is back. */
void input_status(struct input *in, unsigned type, unsigned code,
                  int32_t value);
/* What select and subsel have to say: its size; out has room for 128. */
unsigned input_config(struct input *in, uint8_t select, uint8_t subsel,
                      uint8_t *out);

#endif
