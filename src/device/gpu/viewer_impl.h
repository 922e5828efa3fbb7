/* device/gpu/viewer_impl.h: what the files of the viewer share. */
#ifndef VUB_DEVICE_GPU_VIEWER_IMPL_H
#define VUB_DEVICE_GPU_VIEWER_IMPL_H

#include "base/log.h"
#include "device/gpu/pixels.h"
#include "device/gpu/scanout.h"
#include "device/gpu/viewer.h"
#include "loop/timer.h"
#include "loop/watch.h"
#include "virtio/display_wire.h"

/* What a scanout is, as the display was told last. */
struct view_mode {
    enum { VIEW_OFF, VIEW_SURFACE, VIEW_DMABUF } kind;
    uint32_t width, height; /* pixels; 0 if it is off */
    struct resource *res;   /* a ref; NULL unless VIEW_DMABUF */
    uint32_t x, y;          /* in it, likewise */
};

/* A scanout, as the display sees it. */
struct view {
    struct view_mode mode;
    struct region *damage; /* of the scanout's frame: not shown yet */
    bool cursor;           /* it is otherwise than was said */
    bool cursor_image;     /* likewise */
    uint32_t edid_bytes;   /* 0: nothing is known */
    uint8_t edid[VIRTIO_GPU_EDID_BYTES];
};

#define OUT_HEAD_MAX                                                           \
    (5 * sizeof(struct wire_header) + sizeof(struct wire_dmabuf_scanout2) +    \
     sizeof(struct wire_scanout) + sizeof(struct wire_cursor_update) +         \
     WIRE_CURSOR_BYTES + sizeof(struct wire_update))

/* Messages that go out together: the head is whole ones, but that the last one
 * may lack its pixels, which are those of a rectangle. */
struct outgoing {
    uint64_t len, sent; /* bytes, with pixels; len 0: nothing */
    uint32_t head_len;
    int fd; /* of frame's resource; goes with the first byte; -1: none */
    unsigned scanout;
    struct frame frame; /* a ref; off: there are no pixels, and no fd */
    struct rect r;
    bool converts; /* rows are not sent as they lie there */
    bool torn;     /* the frame was not there for a part of it */
    bool unmapped; /* its memory is not what it seems: the rest is zeros */
    uint64_t band_at, band_len; /* of the pixels: what `band` has */
    uint8_t head[OUT_HEAD_MAX];
};

#define IN_MAX                                                                 \
    (sizeof(struct wire_header) + sizeof(struct virtio_gpu_resp_edid))

struct viewer {
    struct gpu *g;
    int fd;
    struct watch watch;
    struct timer timer; /* what it does not say is not waited for any more */
    bool late;          /* it has not said by then what it was asked */
    bool leaving;       /* the timer is for that, then */
    struct defer send_later;
    unsigned handles; /* whose gone is to come */
    bool closing;
    bool full;        /* nothing is sent until the socket is writable */
    bool awaits_room; /* which is watched for; for a while afterwards, too */
    bool unseen;      /* the loop does not spin meanwhile: loop_unseen() */
    struct timer unseen_timer;

    /* what it was asked, and has said */
    bool features_due, features_asked, features_known;
    bool agree_due; /* SET_PROTOCOL_FEATURES */
    bool info_due, info_asked;
    bool info_news;    /* the device has not been told */
    bool info_told;    /* ever */
    bool update_asked; /* DMABUF_UPDATE */
    uint32_t edid_due; /* scanouts to be asked about: bits */
    int edid_asked;    /* -1: none */
    uint64_t features; /* agreed */
    struct display_one displays[VIRTIO_GPU_MAX_SCANOUTS];
    size_t in_bytes;
    uint8_t in[IN_MAX];

    /* what goes out */
    bool shows; /* scanouts: a guest has run since it is there */
    struct view views[VIRTIO_GPU_MAX_SCANOUTS];
    uint32_t due;  /* scanouts there may be something to say of: bits */
    unsigned next; /* of them, whose turn it is */
    uint8_t *band; /* [BAND_BYTES], converted pixels; NULL: not needed yet */
    struct outgoing out;
};

/* viewer.c */
/* The end of it: says so, tells the device, and closes v, which is good until
 * the caller returns to the loop. */
void viewer_lost(struct viewer *v, enum log_level level, const char *why);

/* Between two messages in both directions: if it is leaving, it has left. */
void viewer_look_left(struct viewer *v);

/* viewer_recv.c */
/* Takes what it has said. v may be lost then. */
void viewer_receive(struct viewer *v);
/* What it has not said by now is not waited for. */
void viewer_tell(struct viewer *v);
/* What it has been asked it has a while to say, from now on if that does not
 * run yet. */
void viewer_be_patient(struct viewer *v);

/* viewer_send.c */
/* At the end of the loop's turn, unless the socket is full. */
void viewer_stir(struct viewer *v);
void viewer_stir_scanout(struct viewer *v, unsigned i);
/* Sends what fits. v may be lost then. */
void viewer_send(struct viewer *v);
/* The loop may spin again. */
void viewer_room_seen(struct viewer *v);
/* Nothing is under way. */
void outgoing_drop(struct outgoing *o);
/* Adds a message, without fd. */
void outgoing_put(struct outgoing *o, uint32_t request, const void *payload,
                  uint32_t size);
void view_set_mode(struct view *w, const struct view_mode *mode);
/* What it is told is told, to the end; or it is going to be. */
void viewer_note_shown(struct viewer *v, bool told);
/* All of its frame is damaged. */
void view_damage_all(struct view *w, const struct frame *f);
/* Adds what there is to say of the cursor. */
void compose_cursor(struct viewer *v, unsigned i);

/* viewer_dmabuf.c */
/* Is DMABUF2 something to agree to? */
bool viewer_has_dmabufs(const struct viewer *v);
/* The frame's resource as a dma-buf, which is the resource's; -1: it is shown
 * by its pixels. */
int viewer_dmabuf(struct viewer *v, const struct frame *f);
/* Adds what there is to say of a scanout that shows such a one. */
void compose_dmabuf(struct viewer *v, unsigned i, int dmabuf);
/* Adds that w shows it no more. */
void compose_dmabuf_off(struct viewer *v, unsigned i);

#endif
