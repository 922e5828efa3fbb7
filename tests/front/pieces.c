#include "front/pieces.h"

#include <string.h>

#define GUARD 16
#define GUARD_BYTE 0x5c

unsigned pieces_cut(struct front *f, uint32_t len, const uint32_t *cuts,
                    struct vq_buf *b, unsigned room)
{
    unsigned n = 0;
    uint32_t piece;

    while (len) {
        piece = cuts && *cuts ? *cuts++ : len;
        if (piece > len || n == room)
            front_fail("cuts do not fit %u bytes", len);
        b[n].gpa = front_alloc(f, piece + 2 * GUARD, 1) + GUARD;
        b[n].len = piece;
        memset((uint8_t *)front_ptr(f, b[n].gpa) - GUARD, GUARD_BYTE,
               piece + 2 * GUARD);
        len -= piece;
        n++;
    }
    return n;
}

void pieces_put(struct front *f, const struct vq_buf *b, unsigned n,
                const uint8_t *from)
{
    for (unsigned i = 0; i < n; from += b[i++].len)
        memcpy(front_ptr(f, b[i].gpa), from, b[i].len);
}

void pieces_get(struct front *f, const struct vq_buf *b, unsigned n,
                uint8_t *to)
{
    for (unsigned i = 0; i < n; to += b[i++].len)
        memcpy(to, front_ptr(f, b[i].gpa), b[i].len);
}

void pieces_check_guards(struct front *f, const struct vq_buf *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *p = front_ptr(f, b[i].gpa);

        for (int k = 1; k <= GUARD; k++)
            if (p[-k] != GUARD_BYTE ||
                p[b[i].len + (uint32_t)k - 1] != GUARD_BYTE)
                front_fail("bytes beside piece %u of %u were written", i, n);
    }
}
