/* front/gpu.h: the driver's side of a GPU.
 *
 * Spec: virtio, "GPU Device". Ring 0 takes control commands, ring 1 cursors.
 *
 *     struct gpu *g = gpu_open(v, "screen", NULL);
 *     struct gpu_fb *fb = gpu_fb_new(g, 640, 480, 4096);   in 4 KiB pieces
 *
 *     gpu_show(g, 0, 1, XRGB, fb);      resource 1, whole, on scanout 0
 *     gpu_fb_fill(fb, seed);
 *     gpu_draw(g, 1, fb, 0, 0, 640, 480);           transfer and flush
 *     gpu_need(gpu_unref(g, 1), OK_NODATA);
 *     gpu_close(g);
 *
 * Each command is a function that returns the type of the response; gpu_need
 * fails, with names, when that is another. A command of any bytes is gpu_do;
 * several under way are struct gpu_req.
 *
 * Whoever waits here for a response checks what must be true of every one: its
 * type is one that there is, its fence is the request's, what has no meaning is
 * zero, the used length is what its type has, cut to the room there was, and no
 * byte behind that is touched. */
#ifndef FRONT_GPU_H
#define FRONT_GPU_H

#include "front/session.h"
#include "front/vq.h"

#define GPU_CONTROLQ VIRTIO_GPU_CONTROLQ
#define GPU_CURSORQ VIRTIO_GPU_CURSORQ
#define GPU_RESP_MAX 1056  /* bytes: of an EDID */
#define GPU_UNTOUCHED 0xee /* what responses are filled with before */

/* ---- A session ---- */

struct gpu {
    struct front *f;
    struct vq *control, *cursor;
    uint64_t fence; /* the last one that was used */
    /* Every command has one, unless this says that none has. */
    bool no_fences;
    struct gpu_req *reqs, *spare;
    struct gpu_fb *fbs;
};

/* A session of device `id`; conf NULL: all zero. queues is set to 2. */
struct gpu *gpu_open(struct vub *v, const char *id,
                     const struct front_conf *conf);
/* The same on a session that is set up; it ends with the front-end. */
struct gpu *gpu_on(struct front *f);
/* Disconnects and frees; g may be NULL. */
void gpu_close(struct gpu *g);
void gpu_config(struct gpu *g, struct virtio_gpu_config *c);

/* ---- Pictures in guest memory ---- */

/* Bytes in pieces of one size, the last one first: no two are neighbours. */
struct gpu_fb {
    struct gpu *g;
    uint32_t width, height, stride; /* pixels; bytes */
    uint64_t len;                   /* bytes */
    uint32_t piece;
    uint32_t num; /* of entries */
    struct virtio_gpu_mem_entry *entries;
    struct gpu_fb *next;
};

/* Rows without gaps. piece 0: all in one. Freed with g. */
struct gpu_fb *gpu_fb_new(struct gpu *g, uint32_t width, uint32_t height,
                          uint32_t piece);
/* Just bytes, in a region of one's own; stride is 0. */
struct gpu_fb *gpu_fb_new_in(struct gpu *g, unsigned region, uint64_t len,
                             uint32_t piece);
void gpu_fb_write(struct gpu_fb *fb, uint64_t at, const void *from,
                  uint64_t len);
void gpu_fb_read(struct gpu_fb *fb, uint64_t at, void *to, uint64_t len);
/* All of it, with bytes that depend on seed: byte i as front_fill has it. */
void gpu_fb_fill(struct gpu_fb *fb, uint64_t seed);

/* ---- Commands, from beginning to end ---- */

/* Any bytes to the control queue, or to any; room: bytes for the response,
 * which is copied to resp (NULL: nobody looks). The type of the response,
 * GPU_NO_RESPONSE if none was written. */
#define GPU_NO_RESPONSE 0u
uint32_t gpu_do(struct gpu *g, const void *req, uint32_t len);
uint32_t gpu_ask(struct vq *q, const void *req, uint32_t len, void *resp,
                 uint32_t room);
/* The same in pieces, as blk_cut does it: cuts of the request and of the room,
 * 0-ended, with guard bytes around each. */
uint32_t gpu_cut(struct vq *q, const void *req, uint32_t len, void *resp,
                 uint32_t room, const uint32_t *req_cuts,
                 const uint32_t *resp_cuts);

uint32_t gpu_create(struct gpu *g, uint32_t id, uint32_t format, uint32_t width,
                    uint32_t height);
uint32_t gpu_unref(struct gpu *g, uint32_t id);
uint32_t gpu_attach(struct gpu *g, uint32_t id,
                    const struct virtio_gpu_mem_entry *entries, uint32_t num);
/* Entries as Linux sends them: the command in one piece, the entries in pages
 * of 4096 bytes. */
uint32_t gpu_attach_paged(struct gpu *g, uint32_t id,
                          const struct virtio_gpu_mem_entry *entries,
                          uint32_t num);
uint32_t gpu_detach(struct gpu *g, uint32_t id);
uint32_t gpu_set_scanout(struct gpu *g, uint32_t scanout, uint32_t id,
                         uint32_t x, uint32_t y, uint32_t width,
                         uint32_t height);
uint32_t gpu_scanout_off(struct gpu *g, uint32_t scanout);
uint32_t gpu_transfer(struct gpu *g, uint32_t id, uint32_t x, uint32_t y,
                      uint32_t width, uint32_t height, uint64_t offset);
uint32_t gpu_flush(struct gpu *g, uint32_t id, uint32_t x, uint32_t y,
                   uint32_t width, uint32_t height);
uint32_t gpu_create_blob(struct gpu *g, uint32_t id, uint64_t size,
                         const struct virtio_gpu_mem_entry *entries,
                         uint32_t num);
/* A picture in a blob, and which part of it is shown. */
struct gpu_blob_view {
    uint32_t format, width, height, stride, offset;
    struct {
        uint32_t x, y, width, height;
    } r;
};
uint32_t gpu_set_scanout_blob(struct gpu *g, uint32_t scanout, uint32_t id,
                              const struct gpu_blob_view *view);
uint32_t gpu_assign_uuid(struct gpu *g, uint32_t id, uint8_t uuid[16]);
uint32_t
gpu_display_info(struct gpu *g,
                 struct virtio_gpu_display_one d[VIRTIO_GPU_MAX_SCANOUTS]);
/* *len: how many bytes of edid mean something. */
uint32_t gpu_edid(struct gpu *g, uint32_t scanout,
                  uint8_t edid[VIRTIO_GPU_EDID_BYTES], uint32_t *len);
/* On the cursor queue, with room for an answer. */
uint32_t gpu_update_cursor(struct gpu *g, uint32_t scanout, uint32_t id,
                           uint32_t x, uint32_t y, uint32_t hot_x,
                           uint32_t hot_y);
uint32_t gpu_move_cursor(struct gpu *g, uint32_t scanout, uint32_t id,
                         uint32_t x, uint32_t y);

/* The response must be this one: gpu_need(gpu_unref(g, 1), OK_NODATA). */
#define gpu_need(type, want)                                                   \
    gpu_need_at(__FILE__, __LINE__, #type, type, VIRTIO_GPU_RESP_##want)
void gpu_need_at(const char *file, int line, const char *what, uint32_t type,
                 uint32_t want);
/* "OK_NODATA" */
const char *gpu_resp_name(uint32_t type);

/* ---- Several at once, which must succeed ---- */

/* Makes resource `id` of fb's size, with fb as its backing. */
void gpu_picture(struct gpu *g, uint32_t id, uint32_t format,
                 const struct gpu_fb *fb);
/* The same, and shows it whole. */
void gpu_show(struct gpu *g, uint32_t scanout, uint32_t id, uint32_t format,
              const struct gpu_fb *fb);
/* Transfers and flushes a rectangle. */
void gpu_draw(struct gpu *g, uint32_t id, const struct gpu_fb *fb, uint32_t x,
              uint32_t y, uint32_t width, uint32_t height);
/* A blob of fb's pages, shown whole. */
void gpu_show_blob(struct gpu *g, uint32_t scanout, uint32_t id,
                   uint32_t format, const struct gpu_fb *fb);

/* ---- Several under way ---- */

struct gpu_req {
    struct gpu *g;
    uint8_t *req, *resp; /* in guest memory */
    uint64_t req_gpa, resp_gpa;
    uint32_t req_room; /* resp has GPU_RESP_MAX */
    uint32_t len, room;
    uint64_t fence; /* 0: it has none */
    bool done;
    unsigned order;   /* the how-manieth response of all it was */
    uint32_t written; /* bytes of the response */
    uint32_t type;    /* of it */
    struct gpu_req *next, *next_spare;
};

/* Room for a request of len bytes. Freed with g. */
struct gpu_req *gpu_req_new(struct gpu *g, uint32_t len);
/* May be given out again by gpu_req_new. */
void gpu_req_free(struct gpu_req *r);
/* Puts what is at r->req on the ring, len bytes of it, with so much room for
 * the response. It gets a fence, unless g->no_fences. Not shown before vq_kick.
 * False: the ring is full. */
bool gpu_add(struct vq *q, struct gpu_req *r, uint32_t len, uint32_t room);
/* The request's bytes, gpu_add, which must succeed, and vq_kick. */
void gpu_go(struct vq *q, struct gpu_req *r, const void *req, uint32_t len,
            uint32_t room);
/* Waits until r is done; others that end meanwhile are marked. Its type. */
uint32_t gpu_wait(struct vq *q, struct gpu_req *r);
/* Those that have ended by now are marked. Is r? */
bool gpu_is_done(struct vq *q, struct gpu_req *r);

/* The session that a ring is of. */
struct gpu *gpu_of(const struct vq *q);

/* Requests, filled in, for gpu_go and gpu_cut. */
struct virtio_gpu_transfer_to_host_2d
gpu_transfer_cmd(uint32_t id, uint32_t x, uint32_t y, uint32_t width,
                 uint32_t height, uint64_t offset);
struct virtio_gpu_resource_flush gpu_flush_cmd(uint32_t id, uint32_t x,
                                               uint32_t y, uint32_t width,
                                               uint32_t height);
struct virtio_gpu_ctrl_hdr gpu_head(uint32_t type);
struct virtio_gpu_rect gpu_rect(uint32_t x, uint32_t y, uint32_t width,
                                uint32_t height);

#endif
