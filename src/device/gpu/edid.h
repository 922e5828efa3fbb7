/* device/gpu/edid.h: what a display says of itself.
 *
 * Spec: VESA E-EDID 1.4; sides beyond 4095 pixels, which that has no room for,
 * are in a DisplayID 1.3 extension. Threads: any. */
#ifndef VUB_DEVICE_GPU_EDID_H
#define VUB_DEVICE_GPU_EDID_H

#include "base/base.h"

#define EDID_BYTES_MAX 256

struct edid_conf {
    uint32_t width, height; /* pixels, at most GPU_SIDE_MAX */
    uint32_t refresh;       /* Hz */
    const char *name;       /* 13 bytes of it are seen */
    const char *serial;     /* likewise; NULL: none */
};

/* Writes it; how many bytes: 128 or 256. */
unsigned edid_make(uint8_t out[EDID_BYTES_MAX], const struct edid_conf *c);

#endif
