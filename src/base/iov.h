/* base/iov.h: memory that lies in pieces, and ranges of it.
 *
 * A range is walked piece by piece: where it ends before `len` bytes are
 * through, the walk ends too. The pieces may be a guest's, hence nothing here
 * looks at a byte twice. */
#ifndef VUB_BASE_IOV_H
#define VUB_BASE_IOV_H

#include <string.h>
#include <sys/uio.h>

#include "base/base.h"

/* What is left of a range. */
struct iov_range {
    const struct iovec *iov, *end;
    uint64_t skip; /* bytes, from iov on */
    uint64_t len;
};

static inline struct iov_range iov_range(const struct iovec *iov, int num,
                                         uint64_t offset, uint64_t len)
{
    /* No pieces may be nowhere, and nothing can be added to that. */
    return (struct iov_range){iov, num ? iov + num : iov, offset, len};
}

/* The next piece of it, which is not empty. False: that was all. */
static inline bool iov_next(struct iov_range *r, struct iovec *piece)
{
    for (; r->len > 0 && r->iov < r->end; r->iov++) {
        size_t here = r->iov->iov_len;

        if (r->skip >= here) {
            r->skip -= here;
            continue;
        }
        piece->iov_base = (char *)r->iov->iov_base + r->skip;
        piece->iov_len = MIN(here - r->skip, r->len);
        r->skip = 0;
        r->len -= piece->iov_len;
        r->iov++;
        return true;
    }
    return false;
}

/* The pieces of [offset, offset + len), at most `num`; how many. */
static inline int iov_cut(const struct iovec *iov, int num, uint64_t offset,
                          uint64_t len, struct iovec *to)
{
    struct iov_range r = iov_range(iov, num, offset, len);
    int n = 0;

    while (iov_next(&r, &to[n]))
        n++;
    return n;
}

/* Copies from there, and to there: how many bytes, fewer than len at the end of
 * the pieces. */
static inline size_t iov_read(const struct iovec *iov, int num, uint64_t offset,
                              void *buf, size_t len)
{
    struct iov_range r = iov_range(iov, num, offset, len);
    uint8_t *to = buf;
    struct iovec v;

    while (iov_next(&r, &v)) {
        memcpy(to, v.iov_base, v.iov_len);
        to += v.iov_len;
    }
    return (size_t)(len - r.len);
}

static inline size_t iov_write(const struct iovec *iov, int num,
                               uint64_t offset, const void *buf, size_t len)
{
    struct iov_range r = iov_range(iov, num, offset, len);
    const uint8_t *from = buf;
    struct iovec v;

    while (iov_next(&r, &v)) {
        memcpy(v.iov_base, from, v.iov_len);
        from += v.iov_len;
    }
    return (size_t)(len - r.len);
}

#endif
