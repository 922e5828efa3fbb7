/* device/input/source.h: the seam between the input device and where its
 * events come from.
 *
 * A source says what it is (its description: name, ids, which events it may
 * have, axes) and delivers frames: events that belong together, the last of
 * them SYN_REPORT, and the only one. It takes status events from the guest
 * (LEDs, sounds, key repeat). Kinds: `evdev`, `replay`, `virtual`; a new one is
 * a file and a line in source.c. Numbers are those of Linux' input event codes.
 *
 * Commands of a kind stand with the others in commands.c.
 *
 * Threads: open on the main one, before the loops run; all else on the device's
 * home loop, but for close. Nothing blocks. */
#ifndef VUB_DEVICE_INPUT_SOURCE_H
#define VUB_DEVICE_INPUT_SOURCE_H

#include "conf/conf.h"
#include "device/command.h"

struct loop;
struct source;

/* As on the wire, but in our byte order. */
struct input_event16 {
    uint16_t type, code;
    int32_t value;
};

#define SOURCE_FRAME_MAX                                                       \
    256 /* events, SYN_REPORT too; longer ones are cut by                      \
         * who makes them, between two SYN_MT_REPORT or                        \
         * slots if that can be */
#define SOURCE_EV_TYPES 0x20
#define SOURCE_BITS_BYTES 128 /* the most a virtio config select can carry */
#define SOURCE_ABS_MAX 0x40

struct source_abs {
    int32_t min, max, fuzz, flat, res;
};

/* What a guest sees of the device. */
struct source_desc {
    char name[128], serial[128]; /* UTF-8, '\0' ended */
    uint16_t bustype, vendor, product, version;
    uint8_t props[SOURCE_BITS_BYTES];                 /* INPUT_PROP_* bits */
    uint8_t bits[SOURCE_EV_TYPES][SOURCE_BITS_BYTES]; /* of each event type but
                                                       * EV_SYN; a type with no
                                                       * bit is not had */
    struct source_abs abs[SOURCE_ABS_MAX]; /* of those in bits[EV_ABS] */
    int32_t repeat_ms[2]; /* REP_DELAY, REP_PERIOD; if EV_REP */
};

/* What has become of a frame. */
enum frame_fate {
    FRAME_WAITS, /* for the guest */
    FRAME_EMPTY, /* nothing of it is for the guest */
    FRAME_LOST,  /* no driver runs, or too many events wait already */
};

/* What a source leaves to a process that goes on with it, as it likes. */
#define SOURCE_NOTE_WORDS 24
struct source_note {
    uint64_t word[SOURCE_NOTE_WORDS];
};

struct input_state; /* device/input/state.h */

/* What a source asks of its device. */
struct source_host {
    /* A frame of n events. From it on the device knows which keys are held.
     * Events that the description does not have are left out, and so are
     * LEDs and sounds, and repeats of keys if the description has EV_REP.
     * sent: NULL, or called once if it waits, never from inside, when the guest
     * has taken the frame: true, or false if it was dropped or the guest has
     * gone. */
    enum frame_fate (*frame)(struct source *s, const struct input_event16 *ev,
                             unsigned n, void (*sent)(void *arg, bool taken),
                             void *arg);
    /* The source has gone: keys and buttons that are held are released. It may
     * come back; the next frame says that it has. */
    void (*lost)(struct source *s);
    /* s->note is another now. Frames that come between hold and release, and
     * what it says then, are kept together. */
    void (*noted)(struct source *s);
    void (*hold)(struct source *s);
    void (*release)(struct source *s);
    /* From inside go_on: what is so now, as n events that nobody has told.
     * Those that make a difference are told after. */
    void (*moved)(struct source *s, const struct input_event16 *ev, unsigned n);
};

struct source_ops {
    const char *type; /* "evdev" */
    /* [main] c->data is the struct of this kind's conf table; outlives s. Fills
     * (*out)->desc. On failure errors are in e. */
    int (*open)(struct source **out, const struct conf_any *c, const char *id,
                struct errs *e);
    /* [home] Once, before anything else: events may be delivered from now on,
     * and are dropped by the device while no driver runs. */
    int (*start)(struct source *s, struct loop *home, struct err *e);
    /* [home] A driver begins or ceases to listen: grab or give back, begin a
     * recording. NULL: all the same to it. */
    void (*attend)(struct source *s, bool listens);
    /* [home] Just after start: s->note is what the source has noted in a
     * process before this one, and may be anything. NULL: it notes nothing. */
    void (*recall)(struct source *s);
    /* [home] Another process goes on, where the driver listens as it did:
     * nothing is to be told or noted any more, and what it has of the host's it
     * gives back. close follows, or go_on. NULL: there is nothing to do. */
    void (*pause)(struct source *s);
    /* [home] Instead of attend(true): the driver that listens did so before,
     * and knows this. Afterwards it is told what is different now. NULL: attend
     * does as well. */
    void (*go_on)(struct source *s, const struct input_state *known);
    /* [home] From the guest: EV_LED, EV_SND, EV_REP, EV_FF. NULL: ignored. */
    void (*status)(struct source *s, uint16_t type, uint16_t code,
                   int32_t value);
    /* [home] Adds members to the device's status object. NULL: none. */
    void (*describe)(struct source *s, struct json_out *o);
    /* [home] The ends of start: handles are closed; then gone, never from
     * inside. NULL: there is nothing to wait for, and gone is called by the
     * device. No frame comes after. */
    void (*stop)(struct source *s, void (*gone)(struct source *s));
    /* [where the device is closed] After gone, or if it was never started.
     * Frees s. */
    void (*close)(struct source *s);
};

struct source {
    const struct source_ops *ops;
    const char *id; /* the device's, for log lines */
    struct source_desc desc;
    const struct source_host *host; /* the device's, set before start */
    void *host_data;
    struct source_note note;
};

static inline void source_frame(struct source *s,
                                const struct input_event16 *ev, unsigned n)
{
    s->host->frame(s, ev, n, NULL, NULL);
}

static inline bool source_has(const struct source_desc *d, unsigned type,
                              unsigned code)
{
    return type < SOURCE_EV_TYPES && code < SOURCE_BITS_BYTES * 8 &&
           d->bits[type][code / 8] & 1u << code % 8;
}

static inline void source_set(struct source_desc *d, unsigned type,
                              unsigned code)
{
    d->bits[type][code / 8] |= (uint8_t)(1u << code % 8);
}

static inline bool source_has_type(const struct source_desc *d, unsigned type)
{
    for (unsigned i = 0; type < SOURCE_EV_TYPES && i < SOURCE_BITS_BYTES; i++)
        if (d->bits[type][i])
            return true;
    return false;
}

/* Key "source" of an input device. */
extern const struct conf_union source_union;

/* The source of an input device; for commands of a kind. */
struct device;
struct source *input_source_of(struct device *d);

#endif
