/* virtio/inflight.h: the record of requests in flight, shared with the
 * front-end so that it outlives us.
 *
 * Spec: vhost-user, "Inflight I/O tracking", both layouts, as written there.
 * The memory is the front-end's to scribble on: it is only written while a
 * ring runs (free lists live in our own memory), and read once, every value
 * checked, when a ring starts.
 * Threads: created, opened and unreferenced on the home loop; a queue's part
 * belongs to its ring's thread while the ring runs. */
#ifndef VUB_VIRTIO_INFLIGHT_H
#define VUB_VIRTIO_INFLIGHT_H

#include "base/base.h"
#include "base/err.h"

struct inflight;
struct inflight_queue;

/* Bytes for num_queues queues of queue_size: enough for either ring format,
 * for QEMU may ask before it has said which. */
uint64_t inflight_bytes(unsigned num_queues, uint16_t queue_size);
/* A new zeroed memory file of that size. The fd is the caller's. */
int inflight_create(unsigned num_queues, uint16_t queue_size, int *fd,
                    struct err *e);
/* Maps what SET_INFLIGHT_FD brought; every number is checked against the
 * file. fd stays the caller's. One ref. */
int inflight_open(struct inflight **out, int fd, uint64_t mmap_size,
                  uint64_t mmap_offset, unsigned num_queues,
                  uint16_t queue_size, struct err *e);
void inflight_unref(struct inflight *f); /* f may be NULL */

/* NULL if it has no such queue. */
struct inflight_queue *inflight_queue(struct inflight *f, unsigned index);
/* [home, no ring runs] Has a ring run with it: is it more than fresh memory?
 * For device_start. */
bool inflight_in_use(const struct inflight *f);
/* [ring `index` does not run, in any process] Its part is as fresh: the ring
 * starts where its base says. */
void inflight_renew(struct inflight *f, unsigned index);

#endif
