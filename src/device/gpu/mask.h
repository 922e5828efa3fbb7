/* device/gpu/mask.h: what of a picture is not looked at: a clock, a cursor that
 * blinks.
 *
 * Masks are rectangles of pixels. They may overlap, and lie outside of the
 * picture in part or as a whole: a guest changes the size of what it shows, and
 * what is outside masks nothing then.
 * Threads: any; masks do not change once others have a ref. */
#ifndef VUB_DEVICE_GPU_MASK_H
#define VUB_DEVICE_GPU_MASK_H

#include "conf/conf.h"
#include "device/gpu/rect.h"

#define MASKS_MAX 64

struct masks {
    unsigned refs; /* atomic */
    unsigned num;
    struct rect rect[];
};

/* Pixels of a row. */
struct span {
    uint32_t x, width;
};

/* What is looked at of row y of so many pixels: spans from left to right, none
 * of which meet. Returns how many; *until: the first row of which other things
 * may be so. m NULL: there are no masks. */
#define MASK_SPANS_MAX (MASKS_MAX + 1)
unsigned mask_spans(const struct masks *m, uint32_t y, uint32_t width,
                    struct span out[MASK_SPANS_MAX], uint32_t *until);

/* list: struct rect. *out NULL: there are none. -ENOMEM. */
int masks_new(struct masks **out, const struct conf_anys *list);
struct masks *masks_ref(struct masks *m); /* m may be NULL, in these */
void masks_unref(struct masks *m);
bool masks_same(const struct masks *a, const struct masks *b);

/* Key "masks" of a command's parameters, a struct conf_anys. */
extern const struct conf_table mask_table;
#define MASKS_KEY(type)                                                        \
    {                                                                          \
        "masks", CONF_TABLES, CONF_AT(type, masks),                            \
            .max = MASKS_MAX, .table = &mask_table,                            \
            .help = "Rectangles that are not looked at, a clock or a cursor "  \
                    "that blinks: they are taken to be black. What of them "   \
                    "is outside of the picture does not matter."               \
    }

#endif
