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
 * says. A GET_INFLIGHT_FD leaves nothing: what it was answered is the
 * front-end's, and counts when SET_INFLIGHT_FD brings it back.
 *
 * A message is heard before it is handled, since handling takes its fds, and
 * counts when it is done. Whatever is heard, a transcript does not grow beyond
 * what the rings and regions of one device can take.
 * Threads: one at a time. */
#ifndef VUB_VHOST_TRANSCRIPT_H
#define VUB_VHOST_TRANSCRIPT_H

#include "os/closer.h"
#include "vhost/msg.h"

struct transcript;

/* closer: of the fds' copies, for closing what a front-end sent may take long;
 * may be set later: NULL until then. NULL: no memory. */
struct transcript *transcript_new(struct closer *closer);
void transcript_set_closer(struct transcript *t, struct closer *closer);
/* Safe on NULL. */
void transcript_free(struct transcript *t);

/* m, of good form, is about to be handled. -EMFILE and the like: it must not
 * be, for its fds cannot be kept. One at a time: done or undone follows. */
int transcript_hear(struct transcript *t, const struct msg *m);
/* Of the features in it only these count: the others were not offered. */
void transcript_narrow(struct transcript *t, uint64_t features);
/* The back-end has done it, with this answer: NULL if it had none but an ack.
 * What it says holds from now on. reply's fds stay the caller's. */
void transcript_done(struct transcript *t, const struct msg *reply);
/* It has not. Safe if nothing was heard. */
void transcript_undone(struct transcript *t);
/* Ring `index` would begin there, as SET_VRING_BASE has it. */
void transcript_set_base(struct transcript *t, unsigned index, uint32_t base);
/* It is broken, or could not start: another back-end is not to try again. */
void transcript_forget_kick(struct transcript *t, unsigned index);
/* There is nobody behind it any more. */
void transcript_forget_display(struct transcript *t);

/* The messages that make a back-end what this one is: protocol features,
 * channel, log, features, memory, record, config, each ring's words with its
 * kick last, display. Their flags are those of a front-end that wants no
 * answer. */
unsigned transcript_count(const struct transcript *t);
/* fds are the transcript's; good until the next call for this one. */
const struct msg *transcript_at(struct transcript *t, unsigned i);
/* 0: not said. */
uint64_t transcript_protocol(const struct transcript *t);
uint64_t transcript_features(const struct transcript *t);
/* Has a ring all it needs to run? */
bool transcript_runs(const struct transcript *t);

#endif
