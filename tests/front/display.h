/* front/display.h: the front-end's display of a GPU, as QEMU is one.
 *
 * Spec: vhost-user-gpu. It reads messages whole, keeps the picture and the
 * cursor of each scanout, and answers what it is asked, as it is told to. Like
 * all of this library it is for one thread: it reads when it is called, and
 * what it does not read stays in the socket.
 *
 *     struct display *d = display_new();
 *
 *     display_size(d, 0, 1024, 768);            what it says it would like
 *     display_plug(d, f);                       GPU_SET_SOCKET
 *     display_greet(d);                         until it has said that
 *     ... the guest shows something ...
 *     display_need_picture(d, 0, pixels, 64, 32);
 *
 * It fails the test at whatever a back-end must not do: sizes that are wrong,
 * scanouts there are not, pixels outside of a scanout or before there is one.
 */
#ifndef FRONT_DISPLAY_H
#define FRONT_DISPLAY_H

#include "front/session.h"

#define DISPLAY_SCANOUTS 16
#define DISPLAY_CURSOR 64 /* pixels wide and high */
#define DISPLAY_EDID_BYTES 1024

enum display_request {
    DISPLAY_GET_PROTOCOL_FEATURES = 1,
    DISPLAY_SET_PROTOCOL_FEATURES,
    DISPLAY_GET_DISPLAY_INFO,
    DISPLAY_CURSOR_POS,
    DISPLAY_CURSOR_POS_HIDE,
    DISPLAY_CURSOR_UPDATE,
    DISPLAY_SCANOUT,
    DISPLAY_UPDATE,
    DISPLAY_DMABUF_SCANOUT,
    DISPLAY_DMABUF_UPDATE,
    DISPLAY_GET_EDID,
    DISPLAY_DMABUF_SCANOUT2,
    DISPLAY_REQUESTS
};

#define DISPLAY_REPLY 4u
#define DISPLAY_F_EDID 1u
#define DISPLAY_F_DMABUF2 2u

struct display_rect {
    uint32_t x, y, width, height;
};

struct display_cursor {
    bool visible;
    uint32_t x, y, hot_x, hot_y;
    uint32_t image[DISPLAY_CURSOR * DISPLAY_CURSOR];
};

/* What is seen. */
struct display_view {
    uint32_t width, height;   /* 0: it is off */
    uint32_t *pixels;         /* 0xXXRRGGBB, no gaps */
    bool fresh;               /* nothing of this mode has come yet */
    struct display_rect last; /* updated */
    unsigned scanouts, updates;
    struct display_cursor cursor;

    /* of a dma-buf */
    int dmabuf; /* -1: none */
    uint8_t *dmabuf_at;
    size_t dmabuf_len;
    uint32_t dmabuf_x, dmabuf_y, dmabuf_stride;
    int32_t fourcc;
    bool unanswered; /* an update */
};

struct display {
    int sock; /* -1: not plugged, or the back-end has hung up */

    /* How it answers; to be changed any time. */
    uint64_t offers; /* protocol features */
    uint32_t silent; /* not at all: requests, 1 << each */
    bool dribble;    /* byte by byte */
    struct virtio_gpu_resp_display_info info;
    struct virtio_gpu_resp_edid edid[DISPLAY_SCANOUTS];

    /* What has come. */
    bool agreed; /* SET_PROTOCOL_FEATURES */
    uint64_t features;
    unsigned count[DISPLAY_REQUESTS];
    uint32_t last_edid; /* the scanout it was asked about last */
    uint64_t bytes;
    struct display_view view[DISPLAY_SCANOUTS];

    /* the message that has come in part */
    uint8_t *in;
    size_t in_bytes, in_room;
    int in_fd; /* -1: none */
    struct display *next;
};

/* Answers all, offers EDID; every scanout off but 0, of 1280 times 800. */
struct display *display_new(void);
void display_free(struct display *d); /* d may be NULL */
void display_free_all(void);
/* As the answer says it; 0 times 0: not enabled. */
void display_size(struct display *d, unsigned scanout, uint32_t width,
                  uint32_t height);
/* An EDID of so many bytes of `fill`. */
void display_edid(struct display *d, unsigned scanout, uint32_t bytes,
                  uint8_t fill);

/* GPU_SET_SOCKET, over a new pair of sockets; must be taken. What it has seen
 * before is forgotten. */
void display_plug(struct display *d, struct front *f);
/* Hangs up. */
void display_unplug(struct display *d);

/* Takes one message, if it is there within the time. False: none, or the
 * back-end has hung up. */
bool display_step(struct display *d, int timeout_ms);
/* Takes all that is there. */
void display_look(struct display *d);
/* Waits for one more message of this kind. */
void display_need(struct display *d, enum display_request request);
/* Answers until it has said how large it is, and what it was asked then. */
void display_greet(struct display *d);
/* Reads so many bytes more, at most, and takes nothing. */
size_t display_read(struct display *d, size_t bytes);
/* Waits for the back-end to hang up, whatever it says before. */
void display_need_hangup(struct display *d);

/* Takes messages until the scanout shows this: width times height of
 * 0xXXRRGGBB. */
void display_need_picture(struct display *d, unsigned scanout,
                          const uint32_t *pixels, uint32_t width,
                          uint32_t height);
bool display_shows(const struct display *d, unsigned scanout,
                   const uint32_t *pixels, uint32_t width, uint32_t height);
void display_need_off(struct display *d, unsigned scanout);

/* Says something, whole; with fds. */
void display_say(struct display *d, uint32_t request, uint32_t flags,
                 const void *payload, uint32_t size, const int *fds,
                 unsigned num_fds);
/* Bytes as they are. */
void display_say_bytes(struct display *d, const void *bytes, size_t len);
/* The reply to a DMABUF_UPDATE that was held back (silent). */
void display_shown(struct display *d, unsigned scanout);

#endif
