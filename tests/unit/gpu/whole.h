/* tests/unit/gpu/whole.h: a whole GPU, met as vhost meets it, and its guest's
 * driver.
 *
 * The driver goes through a script of commands, in order, with so many under
 * way at a time; what it knows is in memory that is shared with children of the
 * test, as are the guest's memory, its rings and their records. So a child may
 * die at any moment, and another one goes on. */
#ifndef VUB_TESTS_UNIT_GPU_WHOLE_H
#define VUB_TESTS_UNIT_GPU_WHOLE_H

#include "../virtio/guest.h"
#include "device/gpu/impl.h"

/* ---- the script ---- */

#define REQUEST_MAX 1536
#define RESPONSE_MAX 448
#define SCRIPT_MAX 64

struct command_step {
    unsigned ring;
    size_t len;
    _Alignas(8) uint8_t request[REQUEST_MAX];
};

struct script {
    unsigned num;
    struct command_step steps[SCRIPT_MAX];
};

/* Each adds a command. Pixels of the guest are from SCRIPT_PIXELS on. */
#define SCRIPT_PIXELS GUEST_SECOND
void script_create(struct script *s, uint32_t id, uint32_t width,
                   uint32_t height);
/* The backing is in `entries` pieces of piece_bytes, which begin `from` bytes
 * behind SCRIPT_PIXELS. */
void script_create_blob(struct script *s, uint32_t id, uint64_t size,
                        uint64_t from, unsigned entries, uint32_t piece_bytes);
void script_attach(struct script *s, uint32_t id, uint64_t from,
                   unsigned entries, uint32_t piece_bytes);
/* Of those that name a resource only. */
void script_ref(struct script *s, uint32_t command, uint32_t id);
void script_scanout(struct script *s, unsigned scanout, uint32_t id,
                    const struct rect *r);
void script_scanout_blob(struct script *s, unsigned scanout, uint32_t id,
                         const struct rect *r, uint32_t stride);
void script_transfer(struct script *s, uint32_t id, const struct rect *r,
                     uint64_t offset);
void script_flush(struct script *s, uint32_t id, const struct rect *r);
void script_display_info(struct script *s);
void script_cursor(struct script *s, bool image, unsigned scanout, uint32_t id,
                   uint32_t x, uint32_t y);

/* ---- the guest ---- */

struct response {
    uint32_t len;
    _Alignas(8) uint8_t bytes[RESPONSE_MAX];
};

/* Shared. */
struct world {
    struct guest rings[2];
    unsigned offered, answered; /* steps of the script */
    struct response responses[SCRIPT_MAX];
    char state[65536]; /* world_write_state() */
};

/* A guest that has done nothing yet; its memory is full of bytes that all
 * differ from their neighbours. */
struct world *world_new(bool packed);
void world_free(struct world *w);

/* ---- the device ---- */

struct whole {
    struct loop loop;
    struct device *device;
    struct gpu *gpu;
    struct world *world; /* NULL: no ring has run */
    bool started[2];
    unsigned config_changes;
    struct conf_doc *doc;
};

/* Its id is "gpu"; more: members of its config, each with a comma in front, '
 * standing for ". */
struct whole *whole_open(const char *more);
/* The rings start: where they stopped, or where their record says. */
void whole_start(struct whole *d, struct world *w, bool recovered);
/* The device does what there is to do, and its answers are shown. */
void whole_serve(struct whole *d);
/* All of the script, as far as it is not done yet; so many at a time. */
void whole_run(struct whole *d, const struct script *s, unsigned window);
void whole_stop(struct whole *d);
void whole_save(struct whole *d);
/* Stops it first. */
void whole_close(struct whole *d);

/* All that another process has to know, in words: w->state. */
void world_write_state(struct world *w, struct gpu *g);

#endif
