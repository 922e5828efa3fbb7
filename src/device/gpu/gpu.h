/* device/gpu/gpu.h: the virtio GPU, two-dimensional.
 *
 * Spec: virtio, "GPU Device". The guest makes resources (resource.h), fills
 * them from its memory (backing.h), and shows parts of them on scanouts
 * (scanout.h). The pictures are ours: the front-end's display (viewer.h) is one
 * who looks at them, a screenshot (commands.c) another, nobody is enough.
 *
 *     gpu.c        config, config space, life
 *     displays.c   how displays ought to be: by the config, by the front-end
 *     control.c    the control queue: the table of commands, and their turns;
 *                  control_resource.c has those about resources,
 *                  control_transfer.c what takes many turns
 *     cursor.c     the cursor queue
 *     edid.c       what a display says of itself
 *     ledger.c     what the guest has made, for another process that goes on:
 *                  written down; ledger_read.c: found; arena.c: pixels there
 *     pixels.c     formats and regions, by pixman
 *     viewer.c     the front-end's display, what it is told; viewer_send.c:
 *                  how, viewer_dmabuf.c: without copies, viewer_recv.c: what
 *                  it says
 *     commands.c   calls of the control socket: gpu.screenshot, .hash, .resize
 *     wait.c       gpu.wait; look.c: when it looks; kept.c: calls under way
 *     picture.c    a scanout's picture; picture_file.c: as a file, png.c: by
 *                  libpng
 *
 * There is no 3D: its commands (0x0200 on) are rows that control.c does not
 * have, its feature bits are not offered, and num_capsets is 0. A renderer
 * would be a file beside resource.c, for resources whose pixels it has.
 * Threads: one, the home loop's, for both queues; pictures are written and
 * compared by threads of their own. */
#ifndef VUB_DEVICE_GPU_GPU_H
#define VUB_DEVICE_GPU_GPU_H

#include "device/devices.h"

enum { GPU_DISPLAY_FRONT_END, GPU_DISPLAY_HEADLESS };

/* An element of "scanouts". */
struct gpu_scanout_conf {
    uint32_t width, height; /* pixels: what the guest is told to prefer */
    uint32_t refresh;       /* Hz, for its EDID */
    const char *name;       /* of the monitor, for its EDID; NULL: "vub" */
    const char *serial;     /* likewise; NULL: none */
};

struct gpu_conf {
    struct device_common common;
    unsigned display; /* GPU_DISPLAY_* */
    bool dmabuf;      /* may be given to the front-end, if it can show them */
    uint64_t max_memory;       /* bytes of all resources' pixels */
    struct conf_anys scanouts; /* struct gpu_scanout_conf; none: one of the
                                * default size */
};

extern const struct conf_table gpu_table;

#endif
