/* device/gpu/png.h: PNG files. The only file that names libpng is png.c.
 *
 * Threads: any, one per FILE. */
#ifndef VUB_DEVICE_GPU_PNG_H
#define VUB_DEVICE_GPU_PNG_H

#include "device/gpu/picture.h"

/* Loads libpng, which the calls below do too. e: as of library_load. */
int png_ready(struct err *e);
/* RGB, 8 bits, packed quickly rather than well. -EIO: f has an error; -ENOMEM;
 * that of png_ready.
 * e has no place. */
int png_save(const struct picture *p, FILE *f, struct err *e);
/* Of any kind that PNG has, from f's start; transparency is not looked at. The
 * file may be of anybody's making. NULL: e says why. */
struct picture *png_load(FILE *f, struct err *e);

#endif
