/* tests/fuzz/gpu_model.h: a GPU in a few lines: which answers are right, and
 * which pixels are to be seen then.
 *
 *     gpu_model.c      commands: what each would do, and does
 *     gpu_answers.c    answers, which are held to that
 *     gpu_shown.c      pixels, and what is to be seen of them
 *
 * A command is applied when its answer is seen, which is when the device has
 * done it: they are answered in order. Where the spec leaves it to the device
 * whether it does something, its answer decides (EITHER). What cannot be known,
 * because something changed while a command was under way, is not compared. */
#ifndef VUB_TESTS_FUZZ_GPU_MODEL_H
#define VUB_TESTS_FUZZ_GPU_MODEL_H

#include "gpu.h"

#define HEAD sizeof(struct virtio_gpu_ctrl_hdr)
#define CURSOR_SIDE VIRTIO_GPU_CURSOR_PIXELS

struct entry {
    uint64_t gpa;
    uint32_t len;
};

struct res {
    bool there, is_blob, attached, has_uuid;
    bool blurred;  /* its pixels cannot be known */
    bool is_large; /* nobody minds them */
    uint32_t format, width, height;
    uint64_t bytes; /* a blob's size; else of pixels */
    uint8_t *pixels;
    uint8_t uuid[16];
    struct entry entries[ENTRIES_MAX];
    unsigned num_entries;
    uint64_t backing_len;
};

struct cursor {
    bool visible, drawn, unknown;
    uint32_t x, y, hot_x, hot_y;
    uint32_t image[CURSOR_SIDE * CURSOR_SIDE];
};

extern struct cursor cursors[VIRTIO_GPU_MAX_SCANOUTS];
/* An answer that would have said what was done had no room. */
extern bool is_lost;

/* ---- gpu_shown.c ---- */

bool format_is_known(uint32_t format);
/* Of the bytes of a pixel. */
uint32_t to_argb(uint32_t format, const uint8_t *b);
/* Are they, as a whole, in the guest's memory? */
bool entry_is_there(const struct entry *e);
bool backing_is_there(const struct res *r);
/* The byte of its backing there; NULL: none. */
const uint8_t *backing_byte(const struct res *r, uint64_t offset);

/* Scanout i shows rect of a picture of r, which begins at `offset`. */
void shown_set(unsigned i, struct res *r, uint32_t format, uint32_t stride,
               uint64_t offset, const struct rect *rect);
void shown_off(unsigned i);
/* Nobody shows r any more. */
void shown_drop(const struct res *r);
void shown_flush(const struct res *r, const struct rect *rect);
/* Pixels may have changed. */
void shown_look(void);

/* ---- gpu_model.c ---- */

enum verdict { FAILS, WORKS, EITHER };

/* A request, and what it would do. */
struct ask {
    const uint8_t *bytes; /* all zero behind len */
    uint32_t len;
    unsigned scanout;
    struct res *res; /* that it names, NULL: there is none like that */
    uint32_t id;
    struct rect rect;
    struct entry entries[ENTRIES_MAX];
    unsigned num_entries;
    uint64_t entries_len;
    bool odd_entries; /* some are empty */
    bool has_more;    /* behind them */
};

/* A command. */
struct row {
    uint32_t type, feature;
    size_t in, body; /* bytes: of the request; behind an answer's header */
    uint32_t answer;
    enum verdict (*verdict)(struct ask *a);
    void (*apply)(struct ask *a); /* NULL: nothing */
};

/* The word at the byte `at`. */
uint32_t ask_word(const struct ask *a, size_t at);
/* NULL: there is no such command on that ring, or the request is too short. */
const struct row *ask_row(unsigned ring, const struct ask *a);

#endif
