/* device/input/evdev_impl.h: what the files of source `evdev` share. */
#ifndef VUB_DEVICE_INPUT_EVDEV_IMPL_H
#define VUB_DEVICE_INPUT_EVDEV_IMPL_H

#include "base/log.h"
#include "device/input/evdev_conf.h"
#include "device/input/evdev_node.h"
#include "device/input/framing.h"
#include "loop/timer.h"
#include "loop/watch.h"

/* An fd on the loop, which may be closed before its handle is. */
struct port {
    struct watch watch;
    struct evdev *evdev;
};

struct evdev {
    struct source source;
    const struct evdev_conf *conf;
    const char *id;
    char *link_dir; /* where path's last part is; NULL: found by match */
    uint16_t hotkey[EVDEV_HOTKEY_MAX];
    struct framing framing;

    struct evdev_node *node; /* NULL: it is away */
    struct port *port;       /* of the node, on the loop */
    struct defer more;       /* events of it are left */
    int lookout_fd;          /* -1: none */
    struct port *lookout;
    struct timer retry;
    unsigned attempts; /* since the last sign of life */
    unsigned handles;  /* on the loop, those that close too */
    struct loop *loop;
    void (*gone)(struct source *s); /* set: it stops */

    uint8_t stale[SOURCE_BITS_BYTES]; /* keys that went down for the host, and
                                       * are to come up for it too */
    /* What the guest has set, for a device that comes back. */
    uint16_t leds, leds_set;
    bool attended, given_back, grabbed;
    bool grab_refused; /* told */
    bool other_told;   /* that another device is there now */
    uint64_t dropped;  /* times that the kernel has dropped events */
    uint64_t returns;
    struct log_limit limit;
};

static inline struct evdev *evdev_of(struct source *s)
{
    return container_of(s, struct evdev, source);
}

/* evdev.c */
void evdev_attend(struct source *s, bool listens);
/* Grabs it or gives it back, as is wanted now. at_once: the host has seen no
 * key go down, so it need not be waited for all to be up. */
void evdev_mind_grab(struct evdev *v, bool at_once);
void evdev_show_leds(struct evdev *v);

/* evdev_keep.c: rows of the table, and what of v another process is to know. */
void evdev_note(struct evdev *v);
void evdev_recall(struct source *s);
void evdev_pause(struct source *s);
void evdev_go_on(struct source *s, const struct input_state *known);

#endif
