/* vhost/vring_impl.h: what vring.c has for the changes of a ring that runs,
 * vring_change.c. [home] and [ring] as in vring.h. */
#ifndef VUB_VHOST_VRING_IMPL_H
#define VUB_VHOST_VRING_IMPL_H

#include "vhost/vring.h"

/* [home] Has the ring's loop do run, and home then, which may be NULL. run ends
 * with vring_command_done, at once or later. */
void vring_command(struct vring *v, void (*run)(struct vring *v),
                   void (*then)(struct vring *v));
/* [ring] */
void vring_command_done(struct vring *v);

/* [ring] The device takes what there is, if it may. */
void vring_serve(struct vring *v);
/* [ring] After anything that may have broken the ring, or emptied it. */
void vring_look_after(struct vring *v);
/* [ring] Watches v->kick_fd, or polls if there is none. */
void vring_open_kick(struct vring *v);
/* [any] Call or VRING_ERR; -1: nobody. */
void vring_signal(struct vring *v, int fd);

#endif
