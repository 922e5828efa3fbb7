/* The status queue: what the guest wants the device to do.
 *
 * LEDs and sounds that the device has, its repeat rate, and of force feedback
 * what virtio-input can carry: effects are played, stopped and scaled, but
 * they cannot be uploaded. All else is ignored. Buffers are given back
 * whatever is in them. */
#include "device/input/impl.h"

/* A turn is bounded: each may be a system call of the source. */
#define TURN_BUFFERS 64

static bool is_for_source(const struct source_desc *d, uint16_t type,
                          uint16_t code)
{
    switch (type) {
    case EV_LED:
    case EV_SND:
    case EV_REP:
        return source_has(d, type, code);
    case EV_FF:
        /* The code is the number of an effect, or a property that the device
         * has. */
        return code < FF_GAIN ? source_has_type(d, EV_FF)
                              : source_has(d, EV_FF, code);
    default:
        return false;
    }
}

static void take(struct input *in, struct ring *q, struct chain *c)
{
    const struct source *s = in->source;
    struct virtio_input_event e;
    uint16_t type, code;

    if (chain_read(c, 0, &e, sizeof(e)) < sizeof(e)) {
        input_bad_buffer(in, q, "a status event is shorter than one");
        return;
    }
    type = le16toh(e.type);
    code = le16toh(e.code);
    in->stats.status++;
    if (s->ops->status && is_for_source(&in->desc, type, code))
        s->ops->status(in->source, type, code, (int32_t)le32toh(e.value));
}

void status_ring_kick(struct input *in, struct ring *q)
{
    for (unsigned i = 0; i < TURN_BUFFERS; i++) {
        struct chain *c = ring_pop(q);

        if (!c)
            return;
        take(in, q, c);
        chain_done(c, 0);
    }
}
