#include "front/input.h"

#include <stdlib.h>
#include <string.h>

#define EVENT_BYTES 8
#define CONFIG_HEAD 8 /* select, subsel, size, five reserved bytes */

/* A buffer is known by its address, which is its cookie. */
static void give(struct input *in, uint64_t gpa)
{
    const struct vq_buf b = {gpa, EVENT_BYTES};

    if (vq_add(in->events, &b, 0, 1, (void *)(uintptr_t)gpa) == VQ_NONE)
        front_fail("no room for an event buffer");
}

struct input *input_new(struct vub *v, const char *id,
                        const struct front_conf *conf, unsigned num_buffers)
{
    struct front_conf c = conf ? *conf : (struct front_conf){0};
    struct input *in = calloc(1, sizeof(*in));

    c.queues = 2;
    in->f = front_new(v, id, &c);
    in->events = in->f->vq[0];
    in->status = in->f->vq[1];
    in->num_buffers = num_buffers;
    in->buffers_gpa =
        front_alloc(in->f, (uint64_t)num_buffers * EVENT_BYTES, 8);
    in->status_gpa = front_alloc(in->f, EVENT_BYTES, 8);
    for (unsigned i = 0; i < num_buffers; i++)
        give(in, in->buffers_gpa + i * EVENT_BYTES);
    vq_kick(in->events);
    return in;
}

void input_free(struct input *in)
{
    if (!in)
        return;
    front_free(in->f);
    free(in);
}

bool input_take(struct input *in, struct input_ev *ev)
{
    uint8_t bytes[EVENT_BYTES];
    uint32_t written;
    void *cookie;
    uint64_t gpa;

    if (vq_pop(in->events, &written, &cookie) == VQ_NONE)
        return false;
    gpa = (uintptr_t)cookie;
    if (written != EVENT_BYTES)
        front_fail("an event of %u bytes", written);
    front_peek(in->f, gpa, bytes, sizeof(bytes));
    ev->type = (uint16_t)(bytes[0] | bytes[1] << 8);
    ev->code = (uint16_t)(bytes[2] | bytes[3] << 8);
    ev->value = (int32_t)(bytes[4] | (uint32_t)bytes[5] << 8 |
                          (uint32_t)bytes[6] << 16 | (uint32_t)bytes[7] << 24);
    if (in->hold) {
        in->held_gpa[in->held++] = gpa;
    } else {
        give(in, gpa);
        vq_kick(in->events);
    }
    return true;
}

void input_need(struct input *in, unsigned type, unsigned code, int32_t value)
{
    struct input_ev ev;

    while (!input_take(in, &ev))
        vq_wait(in->events);
    if (ev.type != type || ev.code != code || ev.value != value)
        front_fail("event %u, %u, %d, not %u, %u, %d", ev.type, ev.code,
                   ev.value, type, code, value);
}

void input_need_frame(struct input *in, unsigned type, unsigned code,
                      int32_t value)
{
    input_need(in, type, code, value);
    input_need(in, 0, 0, 0);
}

void input_refill(struct input *in, unsigned n)
{
    for (; n > 0 && in->held > 0; n--)
        give(in, in->held_gpa[--in->held]);
    vq_kick(in->events);
}

void input_status(struct input *in, unsigned type, unsigned code, int32_t value)
{
    const uint32_t v = (uint32_t)value;
    const uint8_t bytes[EVENT_BYTES] = {
        (uint8_t)type,        (uint8_t)(type >> 8), (uint8_t)code,
        (uint8_t)(code >> 8), (uint8_t)v,           (uint8_t)(v >> 8),
        (uint8_t)(v >> 16),   (uint8_t)(v >> 24)};
    const struct vq_buf b = {in->status_gpa, EVENT_BYTES};

    front_poke(in->f, in->status_gpa, bytes, sizeof(bytes));
    if (vq_add(in->status, &b, 1, 0, NULL) == VQ_NONE)
        front_fail("no room for a status event");
    vq_kick(in->status);
    while (vq_pop(in->status, NULL, NULL) == VQ_NONE)
        vq_wait(in->status);
}

/* As QEMU does: the whole struct is written for the sake of two bytes. */
unsigned input_config(struct input *in, uint8_t select, uint8_t subsel,
                      uint8_t *out)
{
    uint8_t space[CONFIG_HEAD + 128] = {select, subsel};

    if (front_set_config(in->f, 0, space, sizeof(space)) != 0)
        front_fail("select and subsel are refused");
    front_config(in->f, 0, space, sizeof(space));
    memcpy(out, space + CONFIG_HEAD, 128);
    return space[2];
}
