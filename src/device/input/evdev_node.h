/* device/input/evdev_node.h: an open /dev/input/eventN, by libevdev.
 *
 * Nothing blocks. Threads: one at a time. */
#ifndef VUB_DEVICE_INPUT_EVDEV_NODE_H
#define VUB_DEVICE_INPUT_EVDEV_NODE_H

#include "device/input/source.h"

struct evdev_node;

/* The keys of "match": what is NULL, or not there, is not compared. */
struct evdev_match {
    const char *name, *phys, *uniq;
    uint32_t vendor, product;
    bool has_vendor, has_product;
};

/* For reading only, if writing is not allowed. e gets a sentence without a
 * place. */
int node_open(struct evdev_node **out, const char *path, struct err *e);
void node_close(struct evdev_node *n); /* may be NULL */

/* The node with the lowest number in dir that is as m says. pass: asked of
 * each, NULL: all do. -ENOENT: none is. */
int node_find(struct evdev_node **out, const char *dir,
              const struct evdev_match *m,
              bool (*pass)(struct evdev_node *n, void *arg), void *arg,
              struct err *e);

int node_fd(const struct evdev_node *n);
const char *node_path(const struct evdev_node *n);
void node_describe(const struct evdev_node *n, struct source_desc *d);

/* 1: *ev is what happened next; 0: nothing for now; negative errno: it has
 * gone. When the kernel has dropped events, what is different since comes as
 * events of one frame, and *dropped is counted up. */
int node_next(struct evdev_node *n, struct input_event16 *ev,
              uint64_t *dropped);

/* As of the last event that node_next gave. */
bool node_key_is_down(const struct evdev_node *n, unsigned code);
bool node_any_key_is_down(const struct evdev_node *n);
/* Where switches, axes and contacts are, in at most NODE_PLACES_MAX events that
 * lead there. How many. */
#define NODE_PLACES_MAX 2048
unsigned node_places(const struct evdev_node *n,
                     struct input_event16 ev[NODE_PLACES_MAX]);

/* Whether nobody else on this machine gets its events. */
int node_grab(struct evdev_node *n, bool grab);

/* LEDs, sounds, key repeat, force feedback. */
int node_write(struct evdev_node *n, unsigned type, unsigned code,
               int32_t value);

#endif
