/* virtio/dirty.h: the dirty log of live migration.
 *
 * Spec: vhost-user, "Migration". A bit per 4 KiB page of guest memory, set
 * with atomics: the front-end clears them while we set them.
 * Threads: any may mark; the log is shared by ref. */
#ifndef VUB_VIRTIO_DIRTY_H
#define VUB_VIRTIO_DIRTY_H

#include "base/base.h"
#include "base/err.h"

#define DIRTY_PAGE_BYTES 4096

struct dirty;

/* Maps size bytes of fd (the caller's) from offset. One ref. */
int dirty_open(struct dirty **out, int fd, uint64_t size, uint64_t offset,
               struct err *e);
struct dirty *dirty_ref(struct dirty *d);
void dirty_unref(struct dirty *d); /* d may be NULL */
/* Guest addresses below this have a bit. */
uint64_t dirty_end(const struct dirty *d);
/* Marks the pages of [gpa, gpa + len); what lies beyond the end is left out. */
void dirty_mark(struct dirty *d, uint64_t gpa, uint64_t len);
/* True once the front-end has taken the log away (its file shrank). */
bool dirty_poisoned(const struct dirty *d);

#endif
