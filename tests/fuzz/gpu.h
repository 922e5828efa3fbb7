/* tests/fuzz/gpu.h: what the files of the fuzz targets `gpu` and `display`
 * share: a GPU, and all who have to do with it.
 *
 *     gpu_fuzz.c, display_fuzz.c   the targets: what the input means
 *     gpu_world.c      the loop, its clock, the device, its sessions
 *     gpu_guest.c      the guest's memory, rings and chains
 *     gpu_commands.c   the guest's commands
 *     gpu_calls.c      the control socket's calls
 *     gpu_model.c      what the guest should see, and what should be shown:
 *                      gpu_model.h
 *     gpu_front.c      the other end of the display's socket
 *
 * The device is met through virtio/device.h only. */
#ifndef VUB_TESTS_FUZZ_GPU_H
#define VUB_TESTS_FUZZ_GPU_H

#include <stdlib.h>

#include "base/bytes.h"
#include "device/devices.h"
#include "device/gpu/rect.h"
#include "fuzz.h"
#include "loop/loop.h"
#include "virtio/spec.h"

/* ---- gpu_world.c ---- */

#define SCANOUTS 3 /* of each config */
#define ALL_FEATURES                                                           \
    (FEATURE(VIRTIO_GPU_F_EDID) | FEATURE(VIRTIO_GPU_F_RESOURCE_UUID) |        \
     FEATURE(VIRTIO_GPU_F_RESOURCE_BLOB))

extern struct loop loop;
extern struct device *device;
extern uint64_t features; /* acked */

/* The input, which is 0 when it has ended. */
void input_set(const uint8_t *data, size_t size);
bool input_ended(void);
uint8_t u8(void);
uint16_t u16(void);
uint32_t u32(void);

struct world_conf {
    const char *text;    /* JSON */
    bool headless;       /* displays are not used */
    uint32_t max_memory; /* bytes */
};

extern const struct world_conf *world; /* of the device that is open */
extern const struct device_type *device_type;

/* Once. */
void world_init(const struct world_conf *configs, unsigned num);
/* A device of that config. */
void world_open(const struct world_conf *config);
/* Without a session. */
void world_close(void);
/* Likewise: the device is saved and closed, and another one goes on. spoil:
 * after something has been written to what was left, as the input says. */
void world_hand_over(bool spoil);
/* The loop turns once, and all look at what has become of it. */
void world_turn(void);
/* The clock of loops, which moves only here. */
void clock_forward(unsigned ms);

/* A session is there, and rings may run. */
bool session_runs(void);
void session_begin(uint64_t ack, bool recovered);
void session_end(void);
/* The device is given one end of a socket pair: the front's other one, which
 * takes the place of the one before. */
void display_give(unsigned send_bytes);
/* The front-end has gone. */
void display_take(void);
/* Does the device hold the display's socket still? */
bool display_is_held(void);
void config_look(void);
void config_write(uint32_t offset, uint32_t value, uint32_t len);

/* ---- gpu_guest.c ---- */

#define RINGS 2
#define PLACES 8 /* of a ring */
#define DESCS 16 /* of a place */
#define RING_SIZE (PLACES * DESCS)
#define RING_BYTES 0x1000
#define PLACE_BYTES 0x1000
#define MAPS 4
#define ENTRIES_MAX 200

/* A chain that the device may have. */
struct place {
    bool out;        /* shown, not answered */
    bool taken;      /* kicked since */
    bool lax;        /* what it answers cannot be known */
    uint32_t asked;  /* bytes to read */
    uint32_t room;   /* bytes to write */
    unsigned number; /* of all on its ring */
    _Alignas(8) uint8_t request[PLACE_BYTES]; /* as it was shown */
};

extern unsigned current_map;

void guest_init(void);
void guest_begin(void);
/* Where a guest address lies for us; NULL: nowhere. *len: bytes from there on
 * that the map has in one piece. */
uint8_t *guest_at(uint64_t gpa, uint64_t *len);
/* The front-end takes some of it away; what is there is not known then. */
void guest_shrink(void);
/* Bytes to store somewhere in the memory for pixels. */
void guest_store(unsigned where, unsigned len, uint8_t seed);
/* Is a place free? Then the request is put there, NULL if not. */
struct place *guest_place(unsigned ring, uint8_t **request);
/* The request is `asked` bytes long, and room for the answer is there. cuts: 0,
 * or how the chain is cut into descriptors. */
void guest_show(unsigned ring, struct place *p, uint32_t asked, uint32_t room,
                uint8_t cuts);
void guest_kick(unsigned ring);
/* What has been answered, and is that as it should be? */
void guest_look(void);
/* All of the memory is as it should be. */
void guest_look_closely(void);
void guest_drain(unsigned ring, enum drain how);
/* Does the control queue have a command that is not answered? */
bool guest_is_busy(void);
void guest_remap(unsigned map);
/* A ring starts: where it stopped, or from its beginning. */
void rings_begin(bool anew);
void rings_end(void);
void ring_restart(unsigned ring, bool anew);

/* ---- gpu_commands.c ---- */

/* A command of the input's. */
void command_control(void);
void command_cursor(void);
/* All that it takes to show something, if there are places enough. */
void command_scene(void);
/* A transfer that is larger than a turn of the device's, if that is possible.
 */
void command_large(void);

/* ---- gpu_calls.c ---- */

void calls_begin(void);
/* The device has closed: all are answered. */
void calls_end(void);
/* One of the control socket's commands. */
void call_something(void);
/* Nobody waits for it any more. */
void call_cancel(unsigned which);
/* One of the jobs runs, or comes back. */
void jobs_go_on(unsigned which);
bool jobs_are_there(void);

/* ---- gpu_model.c, gpu_answers.c, gpu_shown.c ---- */

void model_begin(void);
/* No resources, no scanouts, no cursors. */
void model_reset(void);
/* Nothing is known any more, until then. */
void model_lose(void);
/* Nothing is known any more, whatever is reset, until that is over. */
void model_spoil(bool spoilt);
/* The chain has been answered: `len` bytes. Applies it. */
void model_answered(unsigned ring, const struct place *p, const uint8_t *answer,
                    uint32_t len);
/* Guest memory has changed: pixels, or where they lie. busy: while a command
 * may have been reading them. */
void model_memory_changed(bool busy);
/* Everything is quiet: is what the front shows what is to be shown? */
void model_compare(void);
/* Sides of a resource, and bytes of a blob; false: there is none. */
bool model_sides(unsigned index, uint32_t *width, uint32_t *height,
                 uint64_t *bytes);

#define IDS 8
extern const uint32_t ids[IDS]; /* of resources; the first one is 0 */

/* ---- gpu_front.c ---- */

struct front_scanout {
    uint32_t width, height; /* 0: off */
    bool *fresh;            /* pixels that an update has brought */
    uint32_t *pixels;       /* NULL: they are in a dma-buf */
    uint8_t *dmabuf;        /* mapped */
    size_t dmabuf_len;
    uint32_t stride; /* bytes */
    uint64_t offset; /* of the first pixel */
};

struct front_cursor {
    bool defined, visible;
    uint32_t x, y, hot_x, hot_y;
    uint32_t image[VIRTIO_GPU_CURSOR_PIXELS * VIRTIO_GPU_CURSOR_PIXELS];
};

extern struct front_scanout front_scanouts[VIRTIO_GPU_MAX_SCANOUTS];
extern struct front_cursor front_cursors[VIRTIO_GPU_MAX_SCANOUTS];

/* Another display, whose socket it is. */
void front_open(int fd);
void front_close(void);
bool front_is_open(void);
/* It may be thrown out, for it says nonsense. */
extern bool front_lies;
/* Reads up to so many bytes; how many it has read. */
size_t front_read(size_t max);
/* Answers the oldest question, in full, as the input says; false: none, or it
 * says something that is still on its way. */
bool front_answer(void);
/* As much of what it has to say as there is, at most so many bytes. */
size_t front_say(size_t max);
/* Says what is not an answer. */
void front_say_bytes(const void *bytes, size_t len);
/* It says nothing more, or reads nothing more, or both. */
void front_hang_up(bool read, bool write);
/* A byte, and so many fds: at most 8. */
void front_say_fds(unsigned num);
/* How many questions have no answer? */
unsigned front_questions(void);

#endif
