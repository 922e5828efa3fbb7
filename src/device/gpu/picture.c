/* Pictures: taken, hashed, compared. What masks hide is left out row by row, as
 * the one pass goes on: which pixels of a row are looked at is the same for
 * many rows.
 *
 * The cursor's place is that of its image's upper left corner. The spec only
 * says "position"; Linux puts there where the image begins (its plane's crtc_x
 * and crtc_y) whatever the hot spot is, and QEMU's Spice display adds the hot
 * spot to get the pointer's. */
#include "device/gpu/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL /* its functions are in its header */
#include <xxhash.h>

#include "device/gpu/impl.h"

#define BAND_PIXELS 4096 /* are bytes at a time, on a thread's stack */

static uint64_t large_bytes; /* atomic: of all that are large */

static uint64_t bytes_of(const struct picture *p)
{
    return (uint64_t)p->width * p->height * PIXEL_BYTES;
}

/* What of it counts among the large. */
static uint64_t large_of(const struct picture *p)
{
    return bytes_of(p) > PICTURE_LARGE ? bytes_of(p) : 0;
}

struct picture *picture_new(uint32_t width, uint32_t height, struct err *e)
{
    struct picture *p;

    if (width == 0 || height == 0 || width > GPU_SIDE_MAX ||
        height > GPU_SIDE_MAX) {
        err_set(e, -EINVAL, "", "%ux%u is no size: the sides are 1 to %u",
                width, height, GPU_SIDE_MAX);
        return NULL;
    }
    p = calloc(1, sizeof(*p));
    if (!p) {
        err_nomem(e);
        return NULL;
    }
    *p = (struct picture){.width = width, .height = height, .refs = 1};
    if (large_of(p) &&
        __atomic_add_fetch(&large_bytes, large_of(p), __ATOMIC_RELAXED) >
            PICTURES_LARGE_MAX) {
        err_set(e, -EBUSY, "",
                "as many large pictures are in work as there may be: try again "
                "when they are done");
        picture_unref(p);
        return NULL;
    }
    p->argb = malloc(bytes_of(p));
    if (!p->argb) {
        err_nomem(e);
        picture_unref(p);
        return NULL;
    }
    return p;
}

struct picture *picture_ref(struct picture *p)
{
    __atomic_fetch_add(&p->refs, 1, __ATOMIC_RELAXED);
    return p;
}

void picture_unref(struct picture *p)
{
    if (!p || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    __atomic_fetch_sub(&large_bytes, large_of(p), __ATOMIC_RELAXED);
    free(p->argb);
    free(p);
}

/* ---- from a scanout ---- */

struct picture *picture_take(struct gpu *g, unsigned i, bool cursor,
                             struct err *e)
{
    const struct cursor *c = &g->scanouts[i].cursor;
    const struct frame *f = &g->scanouts[i].frame;
    const struct rect all = {0, 0, f->width, f->height};
    struct picture *p;

    if (!f->res) {
        err_set(e, -ENOENT, "", "scanout %u shows nothing", i);
        return NULL;
    }
    if (!frame_is_there(f)) {
        err_set(e, -EAGAIN, "",
                "the picture of scanout %u is in the guest's memory, which is "
                "not there while the guest is stopped",
                i);
        return NULL;
    }
    p = picture_new(f->width, f->height, e);
    if (!p)
        return NULL;
    frame_read(f, &all, p->argb);
    if (cursor && c->visible && c->drawn)
        pixels_over(p->argb, p->width, p->height, c->image,
                    VIRTIO_GPU_CURSOR_PIXELS, (int32_t)c->x, (int32_t)c->y);
    return p;
}

/* ---- what it is ---- */

void picture_rgb(const struct picture *p, size_t first, size_t num,
                 uint8_t *out)
{
    const uint32_t *from = p->argb + first;

    for (size_t i = 0; i < num; i++) {
        out[3 * i] = (uint8_t)(from[i] >> 16);
        out[3 * i + 1] = (uint8_t)(from[i] >> 8);
        out[3 * i + 2] = (uint8_t)from[i];
    }
}

/* What becomes of pixels, in their order: those that are looked at, and those
 * that masks hide (NULL: nothing). num of them that follow each other: of a
 * row, or of many. */
struct pass {
    void (*look)(struct pass *pass, size_t first, size_t num);
    void (*hide)(struct pass *pass, size_t first, size_t num);
};

static void hide(struct pass *pass, size_t first, size_t num)
{
    if (pass->hide && num > 0)
        pass->hide(pass, first, num);
}

static void pass_row(struct pass *pass, size_t row, uint32_t width,
                     const struct span *span, unsigned n)
{
    uint32_t x = 0;

    for (unsigned i = 0; i < n; i++) {
        hide(pass, row + x, span[i].x - x);
        pass->look(pass, row + span[i].x, span[i].width);
        x = span[i].x + span[i].width;
    }
    hide(pass, row + x, width - x);
}

static void pass_over(struct pass *pass, const struct picture *p,
                      const struct masks *m)
{
    struct span span[MASK_SPANS_MAX];
    uint32_t until;

    for (uint32_t y = 0; y < p->height; y = until) {
        unsigned n = mask_spans(m, y, p->width, span, &until);

        until = MIN(until, p->height);
        if (n == 1 && span[0].width == p->width)
            pass->look(pass, (size_t)y * p->width,
                       (size_t)(until - y) * p->width);
        else
            for (; y < until; y++)
                pass_row(pass, (size_t)y * p->width, p->width, span, n);
    }
}

struct hashing {
    struct pass pass;
    const struct picture *p;
    XXH3_state_t *state;
};

static void hash_pixels(struct pass *pass, size_t first, size_t num)
{
    struct hashing *h = container_of(pass, struct hashing, pass);
    uint8_t band[3 * BAND_PIXELS];

    for (size_t n; num > 0; num -= n, first += n) {
        n = MIN(num, (size_t)BAND_PIXELS);
        picture_rgb(h->p, first, n, band);
        XXH3_128bits_update(h->state, band, 3 * n);
    }
}

static void hash_black(struct pass *pass, size_t first, size_t num)
{
    static const uint8_t black[3 * BAND_PIXELS];
    struct hashing *h = container_of(pass, struct hashing, pass);

    (void)first;
    for (size_t n; num > 0; num -= n) {
        n = MIN(num, (size_t)BAND_PIXELS);
        XXH3_128bits_update(h->state, black, 3 * n);
    }
}

int picture_hash(const struct picture *p, const struct masks *m,
                 struct picture_hash *out)
{
    static const char digits[] = "0123456789abcdef";
    struct hashing h = {{hash_pixels, hash_black}, p, XXH3_createState()};
    XXH128_canonical_t hash;
    char head[PICTURE_PPM_HEAD];

    if (!h.state)
        return -ENOMEM;
    XXH3_128bits_reset(h.state);
    XXH3_128bits_update(h.state, head, picture_ppm_head(p, head));
    pass_over(&h.pass, p, m);
    XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(h.state));
    XXH3_freeState(h.state);
    for (unsigned i = 0; i < sizeof(hash.digest); i++) {
        out->digits[2 * i] = digits[hash.digest[i] >> 4];
        out->digits[2 * i + 1] = digits[hash.digest[i] & 15];
    }
    out->digits[PICTURE_HASH_DIGITS] = '\0';
    return 0;
}

struct blackening {
    struct pass pass;
    struct picture *p;
};

static void leave_pixels(struct pass *pass, size_t first, size_t num)
{
    (void)pass;
    (void)first;
    (void)num;
}

static void blacken_pixels(struct pass *pass, size_t first, size_t num)
{
    struct blackening *b = container_of(pass, struct blackening, pass);

    memset(b->p->argb + first, 0, num * PIXEL_BYTES);
}

void picture_blacken(struct picture *p, const struct masks *m)
{
    struct blackening b = {{leave_pixels, blacken_pixels}, p};

    if (m)
        pass_over(&b.pass, p, m);
}

static bool differ(uint32_t a, uint32_t b, unsigned tolerance)
{
    for (unsigned shift = 0; shift < 24; shift += 8) {
        int d = (int)(a >> shift & 0xff) - (int)(b >> shift & 0xff);

        if ((unsigned)abs(d) > tolerance)
            return true;
    }
    return false;
}

struct comparing {
    struct pass pass;
    const struct picture *a, *b;
    unsigned tolerance;
    uint64_t different;
};

static void compare_pixels(struct pass *pass, size_t first, size_t num)
{
    struct comparing *c = container_of(pass, struct comparing, pass);
    const uint32_t *a = c->a->argb + first, *b = c->b->argb + first;
    uint64_t n = 0;

    for (size_t i = 0; i < num; i++)
        if ((a[i] ^ b[i]) & 0xffffff)
            n += differ(a[i], b[i], c->tolerance);
    c->different += n;
}

uint64_t picture_different(const struct picture *a, const struct picture *b,
                           const struct masks *m, unsigned tolerance)
{
    struct comparing c = {{compare_pixels, NULL}, a, b, tolerance, 0};

    pass_over(&c.pass, a, m);
    return c.different;
}
