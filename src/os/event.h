/* os/event.h: kick and call notifiers: an eventfd, or any fd a byte count can
 * be read from or written to.
 *
 * Those we use come from the front-end, which may do what it likes with its
 * end; event_adopt is called once for each. Threads: any. */
#ifndef VUB_OS_EVENT_H
#define VUB_OS_EVENT_H

#include "base/base.h"

/* Makes a received fd non-blocking and close-on-exec. -EINVAL if it is no
 * eventfd: other kinds can block, loop or refuse to be watched at a moment that
 * the front-end chooses. */
int event_adopt(int fd);
/* Adds one. A full or closed notifier loses nothing: it is signalled. */
void event_signal(int fd);
/* Takes all there is: 1 if there was some, 0 if not, -errno if the fd is no
 * notifier, -EPIPE if its other end has gone. */
int event_clear(int fd);
/* A new one, the caller's; negative errno. */
int event_open(void);

#endif
