/* loop/watch.h: waits for an fd to become readable or writable. */
#ifndef VUB_LOOP_WATCH_H
#define VUB_LOOP_WATCH_H

#include "loop/loop.h"

/* Watches fd, which stays the caller's. */
struct watch {
    uv_poll_t poll;
    /* events: UV_READABLE, UV_WRITABLE, UV_DISCONNECT; status < 0: the fd
     * cannot be watched any more. */
    void (*ready)(struct watch *w, int status, int events);
    void (*gone)(struct watch *w);
};

/* On failure there is nothing to close. ready and gone are set before; gone
 * may be NULL. */
int watch_open(struct watch *w, struct loop *loop, int fd);
int watch_start(struct watch *w, int events);
void watch_stop(struct watch *w);
/* Safe twice. ready is not called again; the fd may be closed at once, w is
 * freed in gone. */
void watch_close(struct watch *w);

#endif
