/* device/input/impl.h: what the files of the input device share. */
#ifndef VUB_DEVICE_INPUT_IMPL_H
#define VUB_DEVICE_INPUT_IMPL_H

#include "base/list.h"
#include "base/log.h"
#include "device/input/input.h"
#include "device/input/source.h"
#include "device/input/state.h"
#include "loop/loop.h"
#include "os/keep.h"
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

    /* keep.c */
    unsigned held;    /* what changes now is kept when it is whole */
    uint64_t kept_at; /* events given, when the guest's state was kept last */
    bool goes_on;     /* the ring stopped for another process, or this one, to
                       * go on */
};

/* What another process has left, until a driver listens. */
struct inherited {
    bool listens;             /* a driver did */
    bool is_other;            /* its device was another one */
    bool inside, behind;      /* as in struct events */
    struct input_state guest; /* before these events: */
    struct input_state source;
    uint64_t base;  /* number of the first */
    unsigned given; /* of them, which the guest has seen all or none of */
    unsigned count;
    struct input_event16 events[];
};

struct waiting;

/* What the click that is under way holds down; click.c. */
struct click_hold {
    uint16_t holds_key; /* BTN_*; 0: none */
    bool holds_slot;
    uint8_t slot;
    int32_t id; /* of the last finger */
};

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
    /* The calls that type and click; NULL: none. */
    struct waiting *typing, *clicking;
    struct click_hold click;
    struct kept kept;
    struct inherited *inherited; /* NULL: nothing, or it is used up */
    bool has_note;               /* the source's is what it noted before */
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
/* True: the driver that listens did so before, with another process. */
bool events_ring_start(struct input *in, struct ring *q);
void events_ring_kick(struct input *in);
void events_ring_drain(struct input *in);
void events_ring_stop(struct input *in);
/* None goes on, whatever it was stopped for. */
void events_driver_gone(struct input *in);
/* The source is where these events lead to, which nobody was told of. */
void events_moved(struct input *in, const struct input_event16 *ev, unsigned n);
/* Tells of it. */
void events_catch_up(struct input *in);
/* What comes between these two is kept together, as what it has led to. */
void events_hold(struct input *in);
void events_release(struct input *in);
/* A new guest comes: what the old one was not given is dropped. */
void events_reset(struct input *in);
/* No ring runs. Tells all who wait. */
void events_fini(struct input *in);

/* keep.c: what another process goes on with. Everything is open but that. */
int kept_open(struct input *in, struct err *e);
void kept_close(struct input *in);
/* A driver begins to listen: the queue becomes what was left. True: the driver
 * goes on, as of events_ring_start. recovered: its ring is. */
bool kept_take(struct input *in, bool recovered);
/* What has changed. */
void kept_event_put(struct input *in, uint64_t nr,
                    const struct input_event16 *e);
void kept_queue(struct input *in);    /* put, behind, the source's note */
void kept_given(struct input *in);    /* one more, or none wait */
void kept_shown(struct input *in);    /* all that are given */
void kept_turn(struct input *in);     /* the same, now and then the state */
void kept_guest(struct input *in);    /* its state, by other than events */
void kept_selected(struct input *in); /* in the config space */
void kept_listens(struct input *in, bool listens);

/* commands.c */
extern const struct command input_commands[];
/* The driver that a text is typed to, or that is clicked for, listens no
 * more. */
void commands_driver_gone(struct input *in);

/* click.c */
/* s, which is that of the source, becomes what it is without the click; false:
 * that is the same. */
bool click_released(const struct input *in, struct input_state *s);

/* status.c */
void status_ring_kick(struct input *in, struct ring *q);

/* One event's worth of a buffer is of no use. */
void input_bad_buffer(struct input *in, const struct ring *q, const char *why);

#endif
