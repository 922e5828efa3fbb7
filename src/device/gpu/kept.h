/* device/gpu/kept.h: calls that the GPU keeps until a thread has done something
 * for them, or a picture has come.
 *
 * Threads: the device's. */
#ifndef VUB_DEVICE_GPU_KEPT_H
#define VUB_DEVICE_GPU_KEPT_H

#include "device/gpu/look.h"

#define KEPT_MAX LOOKING_MAX /* calls of a device */

struct kept_call {
    struct gpu *g;
    struct call *call; /* NULL: answered */
    /* Nobody waits any more, or the device closes: to be answered by
     * kept_fail, in here. */
    void (*end)(struct kept_call *k, const struct err *why);
};

/* k->end is set. False: there are too many; c has been answered. */
bool kept_begin(struct kept_call *k, struct gpu *g, struct call *c);
/* Answered with what is in k->call->out, or with e. k may be freed then. */
void kept_done(struct kept_call *k);
void kept_fail(struct kept_call *k, const struct err *e);

/* Is there a scanout i? If not, c has been answered. */
bool kept_has_scanout(struct gpu *g, struct call *c, uint32_t i);

/* wait.c: gpu.wait */
extern const struct conf_table wait_table;
void wait_command(struct device *d, struct call *c);

#endif
