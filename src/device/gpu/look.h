/* device/gpu/look.h: scanouts are looked at, for those who wait for a picture.
 *
 * To look is to copy the picture, on the device's loop, and to have a thread
 * hash it and compare it with references. Whoever looks does so when it says,
 * and again whenever the scanout may look otherwise (waits_changed). All for
 * whom that is due share a look, and one look of a device is with a thread at a
 * time, so that neither many who wait nor a busy guest cost more than one core
 * and a few copies. What changes meanwhile is looked at afterwards.
 * Threads: the device's. */
#ifndef VUB_DEVICE_GPU_LOOK_H
#define VUB_DEVICE_GPU_LOOK_H

#include "device/gpu/impl.h"
#include "device/gpu/picture.h"

#define LOOKING_MAX 64 /* at a device */

struct seen {
    struct picture_hash hash;
    uint32_t width, height;
    uint64_t different; /* pixels, from the reference: if it is as large */
    uint64_t taken_ns;
};

/* One who looks. */
struct looking {
    uint32_t scanout;
    bool cursor;
    struct picture *reference; /* a ref; NULL: none. What a look has begun with
                                * is not changed by another one */
    unsigned tolerance;
    struct masks *masks; /* a ref; NULL: none. Of the hash, too */
    void (*seen)(struct looking *l, const struct seen *s);
    /* Why there was nothing to see, as picture_take says; from inside
     * looking_now too. Either may end it. */
    void (*not_seen)(struct looking *l, const struct err *why);

    /* look.c only */
    struct list node;
    struct looker *looker;
    struct look_part *part; /* of a look that is not over; NULL: of none */
    bool begun;             /* has said looking_now */
    bool due;
};

/* What is not look.c's alone has been set. -ENOMEM. Nothing is looked at yet.
 */
int looking_begin(struct looking *l, struct gpu *g);
/* Nothing is called any more; l may be freed. Its refs are given back. */
void looking_end(struct looking *l);
/* At what is shown now, whatever is under way, and at all that comes. */
void looking_now(struct looking *l);
/* Is there something that it will be told of, without a further change? */
bool looking_is_busy(const struct looking *l);

/* Nobody looks; what is under way is given up. */
void looker_free(struct gpu *g);

#endif
