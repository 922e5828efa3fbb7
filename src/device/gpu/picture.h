/* device/gpu/picture.h: pictures in memory: what a scanout shows at a moment,
 * or a reference that it is compared with. They are hashed, compared, written
 * to files and read from them by threads of their own.
 *
 * The hash of a picture is XXH3, 128 bits, of the bytes that its PPM file has,
 * hence what `xxh128sum` says of a screenshot in that format.
 * Threads: any; a picture does not change once others have a ref. */
#ifndef VUB_DEVICE_GPU_PICTURE_H
#define VUB_DEVICE_GPU_PICTURE_H

#include <stdio.h>

#include "base/err.h"
#include "device/gpu/mask.h"

/* Of all large pictures in memory, of all devices: two of the largest. Others
 * are bounded by how many calls there may be, so that a guest with a vast
 * screen takes nobody else's room. */
#define PICTURE_LARGE (UINT64_C(32) << 20) /* bytes: more than 3840x2160 */
#define PICTURES_LARGE_MAX (UINT64_C(2) << 30)
/* Of a file that is read: the largest PPM, and what a PNG may have beside. */
#define PICTURE_FILE_MAX (UINT64_C(1) << 30)
#define PICTURE_HASH_DIGITS 32

struct gpu;

struct picture {
    uint32_t width, height; /* 1..GPU_SIDE_MAX */
    unsigned refs;          /* atomic */
    uint32_t *argb; /* without gaps; the top bytes mean nothing. Owned */
};

struct picture_hash {
    char digits[PICTURE_HASH_DIGITS + 1];
};

enum { PICTURE_PNG, PICTURE_PPM };

/* Of any contents. NULL: e says why; the sides may be anything. */
struct picture *picture_new(uint32_t width, uint32_t height, struct err *e);
struct picture *picture_ref(struct picture *p);
void picture_unref(struct picture *p); /* p may be NULL */

/* What scanout i of g shows now, which has the device's turn for as long as
 * copying takes. NULL: e says why: -ENOENT: it shows nothing; -EAGAIN: the
 * memory that it is in is not there. [the device's thread] */
struct picture *picture_take(struct gpu *g, unsigned i, bool cursor,
                             struct err *e);

/* What masks hide of p is black from now on. m may be NULL, in these three. */
void picture_blacken(struct picture *p, const struct masks *m);
/* As if they had been blackened. -ENOMEM. */
int picture_hash(const struct picture *p, const struct masks *m,
                 struct picture_hash *out);
/* How many pixels differ by more than `tolerance` in one of their channels.
 * They have the same sides. */
uint64_t picture_different(const struct picture *a, const struct picture *b,
                           const struct masks *m, unsigned tolerance);

/* `num` pixels from the index `first` on, as bytes: red, green, blue. */
void picture_rgb(const struct picture *p, size_t first, size_t num,
                 uint8_t *out);

/* The head of its PPM file; how many bytes. */
#define PICTURE_PPM_HEAD 32
unsigned picture_ppm_head(const struct picture *p, char out[PICTURE_PPM_HEAD]);

/* Both wait for the disk. e has no place. */

/* Writes the file `path`, which is there only when it is whole: it is written
 * beside, as <path>.part. What was there before must be a file. */
int picture_save(const struct picture *p, const char *path, unsigned format,
                 uint64_t *bytes, struct err *e);
/* A PNG or a PPM (P6 with a maximum of 255), by what it begins with. */
struct picture *picture_load(const char *path, struct err *e);

#endif
