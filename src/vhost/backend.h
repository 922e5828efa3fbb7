/* vhost/backend.h: the back-end channel: messages of ours to the front-end.
 *
 * Spec: vhost-user, "Back-end communication". Nothing of ours waits for an
 * answer to them; what comes back is not read. Nothing new is sent while a
 * message of the front-end is being handled: it may be waiting for us with its
 * main thread. Threads: the session's home loop. */
#ifndef VUB_VHOST_BACKEND_H
#define VUB_VHOST_BACKEND_H

#include "loop/loop.h"
#include "os/closer.h"

struct backend;

/* Takes fd, which must be a connected unix socket: -ENOTSOCK (closed). closer
 * outlives it. */
int backend_open(struct backend **out, struct loop *loop, int fd,
                 struct closer *closer);
/* b may be NULL; it frees itself. */
void backend_close(struct backend *b);
/* Tells that the config space has changed. One that still waits to be sent
 * stands for later ones too. */
void backend_config_change(struct backend *b);

#endif
