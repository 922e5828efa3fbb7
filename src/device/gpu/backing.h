/* device/gpu/backing.h: the guest's pages behind a resource.
 *
 * Spec: virtio, "VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING". The entries are kept
 * as the guest wrote them, and resolved by a memory map into pieces: host
 * addresses, joined where neighbours are neighbours here too, each with the
 * number of bytes before it, so that an offset is found by halving, and the
 * next one from there. A map is kept by a ref for as long as pieces point into
 * it.
 * Threads: the device's. */
#ifndef VUB_DEVICE_GPU_BACKING_H
#define VUB_DEVICE_GPU_BACKING_H

#include <sys/uio.h>

#include "virtio/mem.h"

#define BACKING_ENTRIES_MAX 65536u /* of a resource */

struct backing_entry {
    uint64_t gpa;
    uint32_t len;
};

struct backing_piece {
    uint8_t *host;
    uint64_t at; /* bytes before it */
};

struct backing {
    struct backing_entry *entries; /* [num_entries]; owned */
    uint32_t num_entries;
    uint64_t len; /* bytes, of all of them */
    bool attached;

    struct mem *mem; /* by which they are resolved, one ref; NULL: they are
                      * not */
    struct backing_piece *pieces; /* [num_pieces + 1]: the last one's `at` is
                                   * len; owned */
    uint32_t num_pieces;
};

/* Takes entries (malloc'ed, none empty), whatever is returned, and resolves
 * them. -EFAULT: some are outside of mem; -ENOMEM; b is zero then. */
int backing_attach(struct backing *b, struct backing_entry *entries,
                   uint32_t num, struct mem *mem);
/* Safe on a zero struct, which it is then. */
void backing_detach(struct backing *b);
/* By another map. -EFAULT: they do not lie in it, and have no pieces until they
 * do. mem NULL: likewise, and 0. */
int backing_resolve(struct backing *b, struct mem *mem);

/* Where a walk through it has come to; {0} is a good start. */
struct backing_at {
    uint32_t piece;
};

/* The host address of the byte at `offset`, and how many follow there at least
 * (*len). It is resolved, and offset < len. Quickest a little behind where `at`
 * was last. */
uint8_t *backing_find(const struct backing *b, struct backing_at *at,
                      uint64_t offset, uint64_t *len);
/* [offset, offset + len), which lies in it, copied to `to`. In how many pieces
 * it lay. */
uint32_t backing_read(const struct backing *b, struct backing_at *at,
                      uint64_t offset, void *to, uint64_t len);

#endif
