/* device/gpu/impl.h: what the files of the GPU share. */
#ifndef VUB_DEVICE_GPU_IMPL_H
#define VUB_DEVICE_GPU_IMPL_H

#include "base/log.h"
#include "device/gpu/arena.h"
#include "device/gpu/gpu.h"
#include "device/gpu/ledger.h"
#include "device/gpu/resource.h"
#include "device/gpu/scanout.h"
#include "device/gpu/viewer.h"
#include "loop/loop.h"
#include "loop/timer.h"

/* Since the device was opened. */
struct gpu_stats {
    uint64_t commands, errors; /* of both queues; errors: those answered so */
    uint64_t transfers, transfer_bytes;
    uint64_t flushes;
    uint64_t updates, update_bytes; /* sent to front-ends' displays */
    uint64_t merged; /* flushes that met damage which had not gone out */
};

/* control.c: the command whose turn is not over: a large transfer, or one that
 * waits for what the viewer says. */
struct control {
    struct ring *ring;              /* NULL: the queue does not run */
    struct chain *chain;            /* NULL: none */
    struct virtio_gpu_ctrl_hdr hdr; /* the request's */
    bool awaits_displays;
    bool hurries; /* does not wait for them */
    le32 scanout; /* GET_EDID's, that waits */
    struct defer go_on;
    uint32_t left; /* bytes that this turn may copy still, or what costs as
                    * much */
    struct transfer {
        struct resource *res; /* a ref */
        struct rect r;
        uint64_t offset; /* in the backing, of the next row */
        uint32_t row;    /* of r, the next one */
        struct backing_at at;
    } transfer;
};

#define GPU_SHOWN_DMABUF 16

/* commands.c: calls whose picture is to be taken, or is at work. */
struct shots {
    struct list waiting; /* struct shot, the next one first */
    unsigned at_work;
    struct defer take;
};

struct gpu {
    struct device device;
    const struct gpu_conf *conf;
    unsigned num_scanouts; /* of the config: what our config space says */
    uint64_t features;     /* acked */
    uint32_t events_read;
    uint32_t ring_base;   /* of the control queue when it stopped last */
    bool config_was_read; /* since then */
    bool was_running;     /* it had not, when another process ended: we go on */
    bool goes_on; /* with what another process has left, and not started yet */
    bool recovered; /* as the session's device_start says */

    struct ledger *ledger; /* NULL before begin, and when it closes */
    struct arena arena;
    struct resources resources;
    struct scanout scanouts[VIRTIO_GPU_MAX_SCANOUTS];
    /* How they ought to be: by the config, until a front-end's display has
     * said otherwise, or gpu.resize has. */
    struct display_one displays[VIRTIO_GPU_MAX_SCANOUTS];
    bool displays_said; /* they are not the config's */
    struct control control;
    struct viewer *viewer; /* NULL: there is none */
    int unused_display;    /* of the front-end, without a viewer; -1: none */
    bool leaves_display;   /* display_leave is to be answered */
    bool starting;         /* start waits for the viewer to say something */
    /* Scanouts that it has been told of and not told to be off: bits, for its
     * own pixels, and from GPU_SHOWN_DMABUF on for dma-bufs. before: of what
     * another process has told. */
    uint32_t shown, shown_before;
    struct timer start_timer;
    bool has_begun;

    struct list waits; /* struct call, that are kept: kept.h */
    struct shots shots;
    struct looker *looker; /* look.c; NULL: nobody has ever looked */
    struct gpu_stats stats;
    struct log_limit limit;         /* of lines that a guest can cause */
    struct log_limit display_limit; /* and a front-end's display */
};

static inline struct gpu *gpu_of(struct device *d)
{
    return container_of(d, struct gpu, device);
}

/* displays.c */
/* Of scanouts that a guest may name: 0 to this, without it. */
unsigned gpu_scanouts(const struct gpu *g);
/* The viewer has said how it would like all scanouts to be: [16]. */
void gpu_on_displays(struct gpu *g, const struct display_one *displays);
/* Or it has not said, and may never. */
void gpu_on_no_displays(struct gpu *g);
/* The viewer is lost, which has been said, and is freed when this returns. */
void gpu_on_viewer_lost(struct gpu *g, const char *why);
/* It has been asked to leave, and does; whole: between two messages. */
void gpu_on_viewer_left(struct gpu *g, bool whole);
/* The EDID of scanout i; how many bytes. */
unsigned gpu_edid(struct gpu *g, unsigned i,
                  uint8_t out[VIRTIO_GPU_EDID_BYTES]);
/* No scanout but for those in `displays` from now on: the guest is told. */
void gpu_set_displays(struct gpu *g, const struct display_one *displays);
/* As the config has them. */
void displays_by_conf(struct gpu *g);
/* Of one that somebody says: off, if it makes no sense. */
struct display_one display_tidy(const struct display_one *d);
bool display_same(const struct display_one *a, const struct display_one *b);
/* Opens the timer, which gpu.c closes. */
void displays_begin(struct gpu *g, void (*gone)(struct timer *t));
/* device_started() comes, unless displays_stop does before. */
void displays_start(struct gpu *g);
void displays_stop(struct gpu *g);
/* device_ops.display, display_leave */
void displays_connect(struct device *d, int fd);
void displays_leave(struct device *d);

/* control.c; what its files share: control.h */
void control_init(struct control *c);
void control_ring_kick(struct gpu *g, struct ring *q);
/* Nothing is under way when it returns: what was is given up. */
void control_give_up(struct gpu *g);
/* A command that waits for how displays ought to be waits no more, if that is
 * known now or nobody says it; by force, whatever is known. */
void control_displays_known(struct gpu *g);
void control_displays_wait_over(struct gpu *g);
/* The queue's memory is another. */
void control_remapped(struct gpu *g);
/* Answers c as somebody before us would have, who had done its command. False:
 * nobody had. */
bool control_was_done(struct gpu *g, struct chain *c);
/* Copies the fixed part of a request, len bytes that begin with the header, of
 * which all is zero that was not sent. False: it is shorter. */
bool control_read(const struct chain *c, void *to, size_t len);
/* Answers a chain: type is VIRTIO_GPU_RESP_*; body_len bytes of body follow the
 * header. hdr: the request's. */
void control_answer(struct gpu *g, struct chain *c,
                    const struct virtio_gpu_ctrl_hdr *hdr, uint32_t type,
                    const void *body, size_t body_len);

/* cursor.c */
void cursor_ring_kick(struct gpu *g, struct ring *q);

/* commands.c */
extern const struct command gpu_commands[];
void shots_init(struct shots *shots);
/* No call is kept any more. */
void shots_end(struct shots *shots);

/* look.c: scanout i looks otherwise than before. */
void waits_changed(struct gpu *g, unsigned i);
/* kept.c: all that wait are answered, and nothing of theirs looks at g any
 * more: the device closes. Its loop has a turn to go. */
void waits_end(struct gpu *g);

#endif
