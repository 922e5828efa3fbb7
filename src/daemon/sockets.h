/* daemon/sockets.h: all sockets of a config: those that were given to us, and
 * those we bind, before anything that may be slow is done.
 *
 * A front-end that comes early waits in the backlog, and a second vub with the
 * same config touches nothing else. Threads: the main one, before others
 * exist, but for what is said to be later. */
#ifndef VUB_DAEMON_SOCKETS_H
#define VUB_DAEMON_SOCKETS_H

#include "daemon/config.h"
#include "daemon/inherit.h"
#include "os/sock.h"

/* One of them. Whoever takes it clears what it has taken. */
struct place {
    int fd;     /* -1: none, or taken */
    int given;  /* its number, if it was given to us; -1: we have made it */
    char *path; /* of its file, absolute; NULL: none is known */
    enum sock_kind kind;
    bool taken; /* over from another vub: there is nothing to bind, and its
                 * file is not ours to remove yet */
};

#define PLACE_NONE ((struct place){.fd = -1, .given = -1})

/* What the control socket is called among those of devices: by who gives
 * sockets to us, and by who is told of them. */
#define SOCKETS_CONTROL "control"

struct sockets {
    struct place *devices; /* [count], as in the config */
    int count;
    struct place control; /* fd -1 if the config has none */
};

/* Nothing is there yet. */
int sockets_init(struct sockets *s, const struct config *c, struct errs *e);
/* Is what the config and the environment say of given sockets possible? Those
 * that were taken over are there already, but what is given wins. in is read,
 * and all of it taken by somebody, or it is an error. To be asked before
 * anything is opened: numbers that were named to us are open now or never. */
int sockets_take(struct sockets *s, const struct config *c,
                 struct inherited *in, int ready_fd, struct errs *e);
/* Binds the others. */
int sockets_bind(struct sockets *s, const struct config *c, struct errs *e);
/* In the process of an isolated device, which has this instead: takes it. */
void sockets_take_door(struct sockets *s, int door);
/* Closes what nobody has taken. Safe on a zero struct. */
void sockets_close(struct sockets *s);

/* Binds the socket of a device that comes later, into p, which has none. What
 * was not given to us at the start cannot be: its config must name a path. */
int place_bind(struct place *p, const struct conf_any *device,
               const struct config *c, struct errs *e);
/* Closes it, and removes its file if we have made it. Safe twice. */
void place_close(struct place *p);
/* Closes it; its file is for somebody else, who listens. Safe twice. */
void place_drop(struct place *p);

#endif
