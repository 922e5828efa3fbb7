/* os/event.h: eventfds: kick and call notifiers.
 *
 * Those we use come from the front-end, which may do what it likes with its
 * end, and the flags of an open file are common to both ends: it can make a
 * full one block in the middle of our write, and no call of the kernel's adds
 * to an eventfd without that risk. So threads that signal are minded
 * (daemon/watchdog.c): one that does not come back is interrupted.
 * event_adopt is called once for each. Threads: any. */
#ifndef VUB_OS_EVENT_H
#define VUB_OS_EVENT_H

#include "base/base.h"

/* Makes a received fd non-blocking and close-on-exec. -EINVAL if it is no
 * eventfd: other kinds can block, loop or refuse to be watched at a moment that
 * the front-end chooses. Nor is one that counts as a semaphore: once full it
 * would wake us for ever. */
int event_adopt(int fd);
/* Is fd an eventfd? */
bool event_is(int fd);
/* Adds one. A full one loses nothing: it is signalled. -EINTR: it was made to
 * block, and the thread had to be interrupted. */
int event_signal(int fd);
/* Takes all there is: 1 if there was some, 0 if not, or a negative errno. Does
 * not block, whatever the other end does. */
int event_clear(int fd);
/* A new one, the caller's; negative errno. */
int event_open(void);

#endif
