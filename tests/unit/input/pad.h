/* tests/unit/input/pad.h: an input device with one guest, in this process.
 *
 * The device comes from the text of a config, ' standing for "; its source is
 * a virtual one, for which the test speaks. The test plays vhost: it starts
 * and stops rings, and turns the loop. The guest has a number of buffers, and
 * notes every event that it gets: it believes what a Linux guest would. */
#ifndef VUB_TESTS_UNIT_INPUT_PAD_H
#define VUB_TESTS_UNIT_INPUT_PAD_H

#include "../virtio/guest.h"
#include "device/input/impl.h"

#define PAD_SEEN 65536

struct pad {
    struct loop loop;
    struct loop *ring_loop[2];
    struct conf_doc *doc;
    struct device *device;
    struct input *in;
    struct guest *events, *status; /* rings; NULL: not started */
    unsigned buffers;              /* of the event ring */
    bool kick_wanted;
    unsigned calls; /* of the event ring */

    struct input_event16 seen[PAD_SEEN];
    unsigned num_seen, num_checked;
    struct input_state believed;
    bool inside; /* the last event seen was not the end of a frame */
};

/* The device, begun; keys: of the device, without id and type. */
struct pad *pad_open(const char *keys);
/* The same, by the source's preset. */
struct pad *pad_preset(const char *preset);
/* The event ring, with so many buffers offered and not yet kicked. */
void pad_start(struct pad *p, bool packed, uint16_t size, unsigned buffers);
void pad_stop(struct pad *p);
void pad_free(struct pad *p);

/* The process of the device ends, and another one goes on with its guest, whose
 * ring has not started yet. keys: of its config. Killed, with all that was not
 * flushed; or by a hand-over. */
void pad_kill(struct pad *p, const char *keys);
void pad_hand_on(struct pad *p, const char *keys);
/* The same, where what is left has become something else. */
void pad_spoil(struct pad *p, const char *keys, unsigned seed);
/* A guest whose ring is recorded, so that one that was killed can be gone on
 * with. Before pad_start. */
void pad_record(struct pad *p, bool packed, uint16_t size);

/* Turns the loop until nothing happens any more. */
void pad_settle(struct pad *p);
/* The guest looks at what it got: how many events. Their buffers are offered
 * again if it is told to. */
unsigned pad_take(struct pad *p, bool refill);
/* Both, until nothing comes any more. */
void pad_play(struct pad *p);
/* A buffer of another form, with the id of one that the guest has. */
void pad_offer(struct pad *p, uint16_t id, uint32_t len, bool write);

/* A frame from the source: events as {type, code, value}, without SYN_REPORT,
 * the list ended by type EV_SYN. */
void pad_frame(struct pad *p, const struct input_event16 *ev);
#define FRAME(p, ...)                                                          \
    pad_frame(p, (const struct input_event16[]){__VA_ARGS__, {EV_SYN, 0, 0}})
/* A key goes down or up. */
void pad_key(struct pad *p, uint16_t code, int32_t value);

/* The next event that the guest saw must be this. */
void pad_expect(struct pad *p, uint16_t type, uint16_t code, int32_t value);
void pad_expect_syn(struct pad *p);
/* A frame of it alone. */
void pad_expect_key(struct pad *p, uint16_t code, int32_t value);
/* It saw no more than what was expected. */
void pad_expect_none(struct pad *p);
bool pad_holds(struct pad *p); /* does the guest believe that it does? */

#endif
