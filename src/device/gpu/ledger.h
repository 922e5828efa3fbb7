/* device/gpu/ledger.h: what the guest has made, in memory that outlives us.
 *
 * Another process that goes on with the device (os/keep.h) must know all that
 * the guest's driver relies on: resources and their backings, scanouts,
 * cursors, sizes of displays, and where the control queue stopped. The device
 * works on structs of its own, and writes down here what changes in them; only
 * ledger_open() reads it, and believes none of it. Pixels are not here, but
 * where they lie (arena.h).
 *
 * The process may die at any instruction. A command changes several words, so
 * each one is noted with what it was before it is changed, and all of a command
 * counts when ledger_commit() forgets these notes: whoever finds notes undoes
 * the command.
 *
 * A command that is done is not answered yet: the guest sees answers when the
 * batch is published, and until then the in-flight record has the command, and
 * it is executed again. RESOURCE_CREATE_2D would fail then. So the answer is a
 * part of what a command changes, and whoever comes after a crash answers a
 * command that was done with it, instead of doing it.
 * Threads: the device's. All take NULL for a ledger: nothing is kept. */
#ifndef VUB_DEVICE_GPU_LEDGER_H
#define VUB_DEVICE_GPU_LEDGER_H

#include "base/err.h"
#include "virtio/ring.h"

struct gpu;
struct ledger;
struct resource;

/* ledger_read.c: g has nothing yet; what was left becomes g's, and resources
 * have no memory of the guest's until they are resolved. What makes no sense is
 * forgotten as a whole. On failure there is nothing to close. */
int ledger_open(struct gpu *g, struct err *e);
/* Nothing of g is written down any more. What was is forgotten, unless the
 * device is handed on. */
void ledger_close(struct gpu *g);
/* Pixels that are in no kept memory yet are moved there, for whoever comes
 * next. Nobody shows them just now. */
int ledger_save(struct gpu *g, struct err *e);

/* ---- what has changed ---- */

/* All of these count from the next ledger_commit on. */
void ledger_commit(struct ledger *l);

/* It is new and whole but for its backing. Has it a place, there is no other
 * for it until it is forgotten. */
void ledger_resource(struct ledger *l, struct resource *r);
void ledger_forget(struct ledger *l, struct resource *r);
/* It has another backing, or none any more. */
void ledger_backing(struct ledger *l, const struct resource *r);
void ledger_uuid(struct ledger *l, const struct resource *r);
/* Scanout i shows something else, or nothing. */
void ledger_scanout(struct gpu *g, unsigned i);
/* Likewise its cursor; image: not only its place. */
void ledger_cursor(struct gpu *g, unsigned i, bool image);
/* g->displays, g->displays_said; g->shown; g->events_read; where the control
 * queue stopped, or that it runs. */
void ledger_displays(struct gpu *g);
void ledger_shown(struct gpu *g);
void ledger_events(struct gpu *g);
void ledger_control(struct gpu *g);

/* ---- commands ---- */

struct answer {
    uint32_t type; /* VIRTIO_GPU_RESP_* */
    uint8_t body[16];
    uint32_t body_len;
};

/* q starts, with what it has recovered. */
void ledger_ring_start(struct ledger *l, const struct ring *q);
/* Chains are about to be popped: what was answered until now the guest has. */
void ledger_turn(struct ledger *l, const struct ring *q);
/* c has been popped. Was its command done, by somebody who could not answer it?
 * Then *a is the answer. */
bool ledger_was_done(struct ledger *l, const struct chain *c, struct answer *a);
/* The command of c is done, whatever it has changed, and is about to be
 * answered: commits. body_len: more than an answer has room for means that it
 * is done again instead, for it changes nothing. */
void ledger_done(struct ledger *l, const struct chain *c, uint32_t type,
                 const void *body, size_t body_len);

#endif
