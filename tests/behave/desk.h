/* behave/desk.h: input devices that a test has in its hands from both sides: as
 * a guest, and over the control socket. */
#ifndef BEHAVE_DESK_H
#define BEHAVE_DESK_H

#include "ctl.h"
#include "front/input.h"

/* more: further keys of the device, "" for none. */
#define KEY_OF(id, more, preset)                                               \
    "{'id': '" id "', 'type': 'input', " more "'source': {'type': "            \
    "'virtual', 'preset': '" preset "'}}"
#define KEY(id, preset) KEY_OF(id, "", preset)

enum { SYN, EVKEY, REL, ABS, LED = 0x11 };
enum {
    KEY_A = 30,
    KEY_B = 48,
    KEY_SHIFT = 42,
    BTN_LEFT = 0x110,
    BTN_MIDDLE = 0x112,
    BTN_TOUCH = 0x14a
};

/* A vub, its control socket, and a session of one of its devices. */
struct desk {
    struct vub *v;
    struct ctl c;
    struct input *in;
};

/* The session is of device id, with so many buffers for events. */
static inline struct desk desk_open(const char *devices, const char *id,
                                    const struct front_conf *c,
                                    unsigned buffers)
{
    struct desk d = {.v = ctl_start(devices)};

    ctl_open(&d.c, d.v);
    d.in = input_new(d.v, id, c, buffers);
    return d;
}

static inline void desk_close(struct desk *d)
{
    input_free(d->in);
    ctl_close(&d->c);
    vub_free(d->v);
}

#endif
