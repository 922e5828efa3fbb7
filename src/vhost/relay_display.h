/* vhost/relay_display.h: what an isolated GPU shows, on its way from the child
 * to the front-end's display.
 *
 * Spec: vhost-user-gpu. A display reads a stream of messages; if a child dies
 * in the middle of one, the next child's would be taken for the rest of it. So
 * the child has a socket of the relay's, and whole messages are counted as they
 * go by: what is missing of the last one is filled with zeros, and the next
 * child, which knows nothing of what is shown, tells all again. Answers of the
 * display's to what a dead child has asked are dropped.
 *
 * Of messages some are in memory at a time (ROOM_BYTES): a child waits for the
 * display as it would without a relay. What is no message of the spec, or
 * larger than any, is the end of the display. Threads: the relay's. */
#ifndef VUB_VHOST_RELAY_DISPLAY_H
#define VUB_VHOST_RELAY_DISPLAY_H

#include "base/base.h"

struct relay;
struct relay_display;
struct relay_session;

/* Takes fd, a connected unix stream that does not block. NULL: no memory, or it
 * cannot be watched; fd is closed. */
struct relay_display *relay_display_open(struct relay *r,
                                         struct relay_session *s, int fd);
/* Safe on NULL; it frees itself. */
void relay_display_close(struct relay_display *d);
/* Another process may go on with it: it is not shut down. */
void relay_display_share(struct relay_display *d, bool shared);
/* Nothing more is shown; relay_session_display_left comes when nothing is under
 * way, perhaps at once. */
void relay_display_leave(struct relay_display *d);
/* A socket for the next child, which is the caller's; of the one before nothing
 * is taken any more. Negative errno: there is none to be had. */
int relay_display_connect(struct relay_display *d);
/* The child is lost. */
void relay_display_disconnect(struct relay_display *d);
/* The front-end's end has gone, or what was on the way made no sense. */
bool relay_display_is_lost(const struct relay_display *d);

#endif
