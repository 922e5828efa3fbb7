/* base/base.h: the few words every file uses. */
#ifndef VUB_BASE_BASE_H
#define VUB_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
/* <sys/param.h>, which other headers drag in, has the same two. */
#undef MIN
#undef MAX
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* The struct of which `ptr` is the member named `member`. */
#define container_of(ptr, type, member)                                        \
    ((type *)((char *)(ptr)-offsetof(type, member)))

/* a + b, or false if that does not fit. For sizes and offsets that come from
 * a guest or a front-end. */
static inline bool add_u64(uint64_t a, uint64_t b, uint64_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

/* Do [a, a + alen) and [b, b + blen) share a byte? The sums must fit. */
static inline bool ranges_meet(uint64_t a, uint64_t alen, uint64_t b,
                               uint64_t blen)
{
    return a < b + blen && b < a + alen;
}

#endif
