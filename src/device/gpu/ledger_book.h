/* device/gpu/ledger_book.h: how the ledger lies in kept memory.
 *
 * Words (uint64_t) that are changed while they count are changed by a noted
 * store; all else is written where nothing points to it yet, and then a word
 * is made to point there. So there are two copies of what is no word. 0 is a
 * good start for all of it. */
#ifndef VUB_DEVICE_GPU_LEDGER_BOOK_H
#define VUB_DEVICE_GPU_LEDGER_BOOK_H

#include "device/gpu/impl.h"
#include "device/gpu/ledger.h"
#include "os/keep.h"

#define BOOK_NAME "gpu.1"

/* Words that a command changes: UNREF of what all scanouts show has most. */
#define BOOK_NOTES 64
#define BOOK_RINGS 2
/* More than may be in flight, and those of a turn of the loop, and of the turns
 * of some who died while they went on with it. */
#define BOOK_ANSWERS 4096
/* Entries of backings are in blocks, each but the last one of a list full. */
#define BOOK_BLOCK 64u
#define BOOK_BLOCKS (RESOURCES_ENTRIES_MAX / BOOK_BLOCK + RESOURCES_MAX)

struct book_note {
    uint64_t at;  /* bytes into the book */
    uint64_t was; /* the word there */
};

struct book_answer {
    uint32_t id; /* of the chain */
    uint32_t type;
    uint32_t body_len, padding;
    uint8_t body[16];
};

/* The answers from number `first` on, up to `last`: those that the guest may
 * not have. */
struct book_answers {
    uint64_t first, last;
    struct book_answer list[BOOK_ANSWERS]; /* number n is at n modulo that */
};

struct book_frame {
    uint32_t slot, format, stride;
    struct rect rect;
    uint32_t padding;
    uint64_t offset;
};

struct book_scanout {
    uint64_t which; /* copy, from 1; 0: it is off */
    struct book_frame copies[2];
};

/* Of book_cursor.how; the hot spot is above these. */
enum {
    BOOK_CURSOR_VISIBLE = 1,
    BOOK_CURSOR_DRAWN = 2,
    BOOK_CURSOR_SECOND = 4, /* which image */
    BOOK_CURSOR_HOT_X = 8,  /* first bit */
    BOOK_CURSOR_HOT_Y = 16,
};

struct book_cursor {
    uint64_t how;
    uint64_t place; /* x, and y above it */
    uint32_t images[2][VIRTIO_GPU_CURSOR_PIXELS * VIRTIO_GPU_CURSOR_PIXELS];
};

struct book_display {
    struct rect r;
    uint32_t enabled;
};

/* Of book_displays.which, beside the copy, from 1; 0: nothing was written. */
#define BOOK_DISPLAYS_SAID UINT64_C(4)

struct book_displays {
    uint64_t which;
    struct book_display copies[2][VIRTIO_GPU_MAX_SCANOUTS];
};

enum { BOOK_NOTHING, BOOK_2D, BOOK_BLOB };

struct book_resource {
    uint64_t kind;
    uint64_t backing; /* number of entries, and the first block above it; 0:
                       * none is attached */
    uint64_t pixels;  /* where in the arena, and 1; 0: not there */
    uint64_t has_uuid;
    uint64_t bytes;
    uint32_t id, format, width, height;
    uint8_t uuid[16];
};

struct book_entry {
    uint64_t gpa;
    uint32_t len, padding;
};

/* Of book.control; where the queue stopped is below. */
#define BOOK_CONTROL_RUNS (UINT64_C(1) << 32)
#define BOOK_CONTROL_CONFIG_READ (UINT64_C(1) << 33)

struct book {
    uint64_t num_notes;
    struct book_note notes[BOOK_NOTES];
    uint64_t control, events_read, shown;
    struct book_displays displays;
    struct book_answers answers[BOOK_RINGS];
    struct book_scanout scanouts[VIRTIO_GPU_MAX_SCANOUTS];
    struct book_cursor cursors[VIRTIO_GPU_MAX_SCANOUTS];
    struct book_resource resources[RESOURCES_MAX];
    uint32_t next[BOOK_BLOCKS]; /* block of a list */
    struct book_entry blocks[BOOK_BLOCKS][BOOK_BLOCK];
};

/* What we know of the book without reading it: others may write there. */
struct ledger {
    struct book *book;
    struct kept kept; /* at NULL: the book is in memory of our own until it is
                       * saved, for somebody else has the kept one */
    unsigned num_notes;

    unsigned displays_copy; /* as in `which` */
    unsigned scanout_copy[VIRTIO_GPU_MAX_SCANOUTS];
    bool second_image[VIRTIO_GPU_MAX_SCANOUTS];

    uint16_t free_slots[RESOURCES_MAX];
    unsigned num_free_slots;
    uint32_t first_block[RESOURCES_MAX], num_blocks[RESOURCES_MAX];
    uint32_t next[BOOK_BLOCKS];
    uint32_t free_block; /* the first of a list; BOOK_BLOCKS: none */

    struct ledger_ring {
        uint64_t first, last;
        unsigned recovered; /* that ring_pop has not given yet */
        unsigned again; /* the chain, from 1, of a command that was done and is
                         * done again; 0: none */
        uint64_t known[RING_SIZE_MAX]; /* by chain: an answer's number, and 1;
                                        * 0: there is none */
    } rings[BOOK_RINGS];
};

_Static_assert(BOOK_BLOCKS <= UINT32_MAX, "numbers of blocks");
_Static_assert(sizeof(struct book_answer) == 32, "no gaps");

#endif
