/* Rows are looked at by spans: of those masks that meet a row, sorted by where
 * they begin, the gaps between are what is looked at. Rows between two edges of
 * masks are alike, so a picture has few different ones, and whoever walks down
 * asks again only at `until`.
 *
 * Sides and places are at most GPU_SIDE_MAX each: ends fit 32 bits. */
#include "device/gpu/mask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void insert(struct span *sorted, unsigned n, struct span s)
{
    while (n > 0 && sorted[n - 1].x > s.x) {
        sorted[n] = sorted[n - 1];
        n--;
    }
    sorted[n] = s;
}

/* Those of row y, by where they begin. */
static unsigned masked(const struct masks *m, uint32_t y,
                       struct span out[MASKS_MAX], uint32_t *until)
{
    unsigned n = 0;

    *until = UINT32_MAX;
    for (unsigned i = 0; i < m->num; i++) {
        const struct rect *r = &m->rect[i];

        if (y < r->y) {
            *until = MIN(*until, r->y);
        } else if (y < r->y + r->height) {
            *until = MIN(*until, r->y + r->height);
            insert(out, n++, (struct span){r->x, r->width});
        }
    }
    return n;
}

unsigned mask_spans(const struct masks *m, uint32_t y, uint32_t width,
                    struct span out[MASK_SPANS_MAX], uint32_t *until)
{
    struct span hidden[MASKS_MAX];
    unsigned n = 0, num_hidden = 0;
    uint32_t x = 0;

    *until = UINT32_MAX;
    if (m)
        num_hidden = masked(m, y, hidden, until);
    for (unsigned i = 0; i < num_hidden && x < width; i++) {
        const struct span *h = &hidden[i];

        if (h->x > x)
            out[n++] = (struct span){x, MIN(h->x, width) - x};
        x = MAX(x, h->x + h->width);
    }
    if (x < width)
        out[n++] = (struct span){x, width - x};
    return n;
}

int masks_new(struct masks **out, const struct conf_anys *list)
{
    struct masks *m;

    *out = NULL;
    if (list->count == 0)
        return 0;
    m = malloc(sizeof(*m) + (size_t)list->count * sizeof(m->rect[0]));
    if (!m)
        return -ENOMEM;
    m->refs = 1;
    m->num = (unsigned)list->count;
    for (unsigned i = 0; i < m->num; i++)
        m->rect[i] = *(const struct rect *)list->list[i].data;
    *out = m;
    return 0;
}

struct masks *masks_ref(struct masks *m)
{
    if (m)
        __atomic_fetch_add(&m->refs, 1, __ATOMIC_RELAXED);
    return m;
}

void masks_unref(struct masks *m)
{
    if (m && __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(m);
}

bool masks_same(const struct masks *a, const struct masks *b)
{
    if (!a || !b)
        return a == b;
    return a->num == b->num &&
           memcmp(a->rect, b->rect, a->num * sizeof(a->rect[0])) == 0;
}

static const struct conf_key mask_keys[] = {
    {"x", CONF_U32, CONF_AT(struct rect, x), .required = true,
     .max = GPU_SIDE_MAX, .help = "Of its upper left corner, from 0 on."},
    {"y", CONF_U32, CONF_AT(struct rect, y), .required = true,
     .max = GPU_SIDE_MAX, .help = "Of its upper left corner, from 0 on."},
    {"width", CONF_U32, CONF_AT(struct rect, width), .required = true, .min = 1,
     .max = GPU_SIDE_MAX, .help = "Pixels."},
    {"height", CONF_U32, CONF_AT(struct rect, height), .required = true,
     .min = 1, .max = GPU_SIDE_MAX, .help = "Pixels."},
    {NULL},
};

const struct conf_table mask_table = {
    .name = "mask",
    .size = sizeof(struct rect),
    .keys = mask_keys,
};
