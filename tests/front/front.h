/* front/front.h: a vhost-user front-end, as a manual.
 *
 * This library is the other side of vub: it starts the program, connects,
 * negotiates, shares memory, drives rings and sends block requests; and it can
 * do each of these wrongly, byte by byte, for tests of bad input. It shares no
 * code with src but the numbers of virtio/spec.h and base/scsi.h.
 *
 *     struct vub *v = vub_start("{'id': 'd', 'type': 'block', 'store':"
 *                               " {'type': 'memory', 'size': '64M'}}");
 *     struct front *f = front_new(v, "d", &(struct front_conf){.packed = 1});
 *     struct vq *q = f->vq[0];
 *     char buf[4096] = "hello";
 *
 *     blk_write(q, 0, buf, sizeof(buf));     fails the test unless S_OK
 *     blk_read(q, 0, buf, sizeof(buf));
 *     front_free(f);
 *     vub_free(v);
 *
 * From the top: blk.h has requests (gpu.h, input.h and scsi.h are the drivers
 * of other devices), vq.h has rings (the hot path is inline: the benchmark uses
 * it too), session.h the session, daemon.h the program and check.h what happens
 * when something fails. wire.h has the messages.
 *
 * Guest memory is one memfd per region. Guest addresses, the user addresses
 * in messages and our own pointers all differ, so that no mix-up goes
 * unseen. Memory is handed out by front_alloc and comes back only when the
 * front-end is freed.
 *
 * Everything here is for one thread. */
#ifndef FRONT_FRONT_H
#define FRONT_FRONT_H

#include "front/blk.h"
#include "front/check.h"
#include "front/daemon.h"
#include "front/session.h"
#include "front/vq.h"
#include "front/wire.h"

#endif
