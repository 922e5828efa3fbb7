/* vhost/transcript.h: what a front-end has said that still holds.
 *
 * A front-end says things once: its features, its memory, where its rings are.
 * A transcript keeps of all messages those whose effect lasts, with copies of
 * their fds: the last SET_VRING_CALL of each ring, each region that was added
 * and not removed. Told to another back-end, in the order of transcript_at,
 * they make it what the first one is: so a new vub, or the next child of an
 * isolated device, goes on with a front-end that has noticed nothing.
 *
 * GET_VRING_BASE, RESET_DEVICE and the like take words back. A ring's base is
 * what the back-end has answered to GET_VRING_BASE, or transcript_set_base
 * says.
 *
 * A message is heard before it is handled, since handling takes its fds, and
 * counts when it is done.
 * Threads: one at a time. */
#ifndef VUB_VHOST_TRANSCRIPT_H
#define VUB_VHOST_TRANSCRIPT_H

#include "os/closer.h"
#include "vhost/msg.h"

struct transcript;

/* closer: of the fds' copies, for closing what a front-end sent may take long;
 * may be set later. NULL: no memory. */
struct transcript *transcript_new(struct closer *closer);
void transcript_set_closer(struct transcript *t, struct closer *closer);
/* Safe on NULL. */
void transcript_free(struct transcript *t);

/* m, of good form, is about to be handled. -EMFILE, -ENOMEM: it must not be.
 * One at a time: done or undone follows. */
int transcript_hear(struct transcript *t, const struct msg *m);
/* The back-end has done it, with this answer: NULL if it had none but an ack.
 * What it says holds from now on. reply's fds stay the caller's.
 * -EMFILE, -ENOMEM: an answer with an fd (GET_INFLIGHT_FD) cannot be kept. */
int transcript_done(struct transcript *t, const struct msg *reply);
/* It has not. */
void transcript_undone(struct transcript *t);
/* Ring `index` would begin there, as SET_VRING_BASE has it. */
void transcript_set_base(struct transcript *t, unsigned index, uint32_t base);

/* The messages that make a back-end what this one is: protocol features,
 * features, channel, memory, log, record, config, each ring's words with its
 * kick last, display. Their flags are those of a front-end that wants no
 * answer; fds are the transcript's; good until it hears the next one. */
unsigned transcript_count(const struct transcript *t);
const struct msg *transcript_at(const struct transcript *t, unsigned i);
/* Of protocol features and features; 0: not said. */
uint64_t transcript_protocol(const struct transcript *t);

#endif
