/* tests/unit/virtio/guest.h: a guest's side of one ring, in this process.
 *
 * Three regions of one memory file; the test has the file mapped once, as the
 * guest has it, the ring has its own mappings:
 *
 *     guest address   bytes     in the file
 *     0x10000         0x20000   0          the ring, then buffers
 *     0x30000         0x20000   0x30000    follows in the guest, not here
 *     0x100000        0x10000   0x20000    behind a hole
 *
 * The driver below is an honest one; tests that want another write to the
 * ring themselves. */
#ifndef VUB_TESTS_UNIT_VIRTIO_GUEST_H
#define VUB_TESTS_UNIT_VIRTIO_GUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "virtio/dirty.h"
#include "virtio/inflight.h"
#include "virtio/ring.h"
#include "virtio/spec.h"

#define GUEST_FILE_BYTES 0x60000
#define GUEST_UVA 0x7f0000000000 /* user address = this + guest address */
#define GUEST_DESC 0x10000
#define GUEST_DRIVER 0x14000
#define GUEST_DEVICE 0x15000
#define GUEST_DATA 0x18000   /* first address for buffers */
#define GUEST_SECOND 0x30000 /* where the second region begins */
#define GUEST_HOLE 0x50000   /* no memory here */
#define GUEST_THIRD 0x100000

/* A piece of a request. */
struct piece {
    uint64_t gpa;
    uint32_t len;
    bool write; /* the device writes it */
};

struct guest {
    bool packed, event_idx;
    uint16_t size;
    int fd;
    uint8_t *file;
    struct mem *mem;

    /* the driver */
    uint16_t next_avail; /* split: the index; packed: the place */
    uint16_t next_used;
    bool avail_wrap, used_wrap;    /* packed */
    uint16_t descs[RING_SIZE_MAX]; /* packed: of each buffer id */

    /* the device's side */
    struct ring_setup setup; /* may be changed before guest_start */
    struct ring ring;
    struct ring_stats stats;
    bool started;
    struct inflight *inflight;
    int inflight_fd;
    int call_fd;
    unsigned want_flush; /* times the ring asked */
};

/* A guest with memory and an empty ring; nothing has started. */
struct guest *guest_new(bool packed, uint16_t size);
/* What may be in flight is forgotten. */
void guest_free(struct guest *g);
/* Opens g->ring by g->setup; must succeed. */
void guest_start(struct guest *g);
/* The same, by what ring_open answers. */
int guest_try_start(struct guest *g, struct err *e);
/* Nothing is in flight: closes the ring and keeps its base. */
void guest_stop(struct guest *g);
/* Drops the ring as a crash would: nothing is flushed or answered. */
void guest_crash(struct guest *g);
/* Makes a record for the ring, to be used from the next start on. */
void guest_record(struct guest *g);

/* The guest's own view of an address, which must have memory. */
void *guest_at(struct guest *g, uint64_t gpa);
struct vring_desc *guest_desc(struct guest *g, unsigned i);
struct vring_packed_desc *guest_packed_desc(struct guest *g, unsigned i);
struct vring_avail *guest_avail(struct guest *g);
struct vring_used *guest_used(struct guest *g);
struct vring_packed_event *guest_driver_event(struct guest *g);
struct vring_packed_event *guest_device_event(struct guest *g);

/* Offers num pieces as one chain: split: descriptors id, id + 1 ...; packed:
 * the next num of the ring, with buffer id `id`. */
void guest_offer(struct guest *g, uint16_t id, const struct piece *p,
                 unsigned num);
/* One descriptor in the ring, the pieces in an indirect table at `table`. */
void guest_offer_table(struct guest *g, uint16_t id, uint64_t table,
                       const struct piece *p, unsigned num);
/* A request with 8 readable and 8 writable bytes. */
void guest_offer_small(struct guest *g, uint16_t id);

/* The next answer, if there is one. */
bool guest_take(struct guest *g, uint16_t *id, uint32_t *len);
/* There must be one, for this id and length. */
void guest_expect(struct guest *g, uint16_t id, uint32_t len);
void guest_expect_none(struct guest *g);
/* Has the guest been called since the last question? */
bool guest_called(struct guest *g);

/* cmocka takes SIGBUS for itself in each test. In main: makes the guard of
 * os/memory.h known; in a test that shrinks a file: puts it back. */
void guest_guard_init(void);
void guest_guard(void);

/* For tables of tests that hold for both formats. */
int guest_split_setup(void **state);
int guest_packed_setup(void **state);
int guest_teardown(void **state);

#define TEST_SPLIT(t)                                                          \
    {                                                                          \
        "split: " #t, t, guest_split_setup, guest_teardown, NULL               \
    }
#define TEST_PACKED(t)                                                         \
    {                                                                          \
        "packed: " #t, t, guest_packed_setup, guest_teardown, NULL             \
    }
#define TEST_BOTH(t) TEST_SPLIT(t), TEST_PACKED(t)

#endif
