/* device/input/impl.h: what the files of the input device share. */
#ifndef VUB_DEVICE_INPUT_IMPL_H
#define VUB_DEVICE_INPUT_IMPL_H

#include "base/list.h"
#include "base/log.h"
#include "device/input/input.h"
#include "device/input/source.h"
#include "device/input/state.h"
#include "loop/loop.h"
#include "virtio/spec.h"

/* Events that wait for a guest, at most; frames of nothing but motion leave
 * the last quarter to keys. */
#define EVENTS_MAX 4096
#define EVENTS_MOTION_MAX 3072

/* Since the device was opened. */
struct input_stats {
    uint64_t frames, events; /* that the guest was given, those of our own
                              * making too */
    uint64_t dropped;        /* frames, while a driver ran */
    uint64_t refills;        /* times that a frame went on with new buffers */
    uint64_t status;         /* events from the guest */
    uint64_t bad;            /* buffers, of either queue, of no use */
};

/* events.c */
struct events {
    struct input_event16 queue[EVENTS_MAX];
    unsigned head, count;
    uint64_t put;      /* events that were ever queued */
    bool inside;       /* part of the frame at the head has been given */
    bool behind;       /* what is queued does not lead to `source` */
    bool told;         /* of this overflow */
    struct ring *ring; /* NULL: no driver runs */
    struct input_state source; /* as it is now */
    struct input_state guest;  /* after what it was given */

    /* Buffers, since the ring started. */
    uint64_t offered, used;
    uint64_t returned; /* of those used, offered again */

    struct list waits; /* struct wait, oldest first: see events.c */
    struct list done;  /* the same, decided */
    struct defer tell;
    struct log_limit limit;
};

struct waiting;

struct input {
    struct device device;
    const struct input_conf *conf;
    struct source *source;
    struct source_desc desc; /* what the guest sees of it */
    struct filter filter;    /* of the source's frames */
    bool has_begun;          /* the source has been started */
    uint8_t select, subsel;  /* config_space.c */
    struct events events;
    struct input_stats stats;
    struct log_limit limit; /* of lines that a guest can cause */
    struct waiting *typing; /* commands.c: the call that types; NULL: none */
};

static inline struct input *input_of(struct device *d)
{
    return container_of(d, struct input, device);
}

/* config_space.c */
void input_config_read(struct device *d, void *config);
int input_config_write(struct device *d, uint32_t offset, const void *data,
                       uint32_t len);

/* events.c. All on the home loop. */
void events_init(struct input *in);
/* As source_host has it. */
enum frame_fate events_frame(struct input *in, const struct input_event16 *ev,
                             unsigned n, void (*sent)(void *arg, bool taken),
                             void *arg);
void events_lost(struct input *in);
void events_ring_start(struct input *in, struct ring *q);
void events_ring_kick(struct input *in);
void events_ring_drain(struct input *in);
void events_ring_stop(struct input *in);
/* A new guest comes: what the old one was not given is dropped. */
void events_reset(struct input *in);
/* No ring runs. Tells all who wait. */
void events_fini(struct input *in);

/* commands.c */
extern const struct command input_commands[];
/* The driver that a text is typed to listens no more. */
void commands_driver_gone(struct input *in);

/* status.c */
void status_ring_kick(struct input *in, struct ring *q);

/* One event's worth of a buffer is of no use. */
void input_bad_buffer(struct input *in, const struct ring *q, const char *why);

#endif
