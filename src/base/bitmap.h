/* base/bitmap.h: many bits, a word at a time.
 *
 * Bit n is bit n % 8 of byte n / 8, on every machine, so a map can lie on a
 * file as it is. A map is aligned to 8 bytes and has whole words. Ranges are
 * [from, to); a range that is empty has nothing in it. One thread. */
#ifndef VUB_BASE_BITMAP_H
#define VUB_BASE_BITMAP_H

#include "base/base.h"

static inline bool bitmap_has(const uint8_t *map, uint64_t bit)
{
    return map[bit / 8] & 1u << bit % 8;
}

/* Makes all bits of a range so; how many were not. Words that are so already
 * are not written to. */
uint64_t bitmap_set(uint8_t *map, uint64_t from, uint64_t to, bool value);
/* How many of a range are set. */
uint64_t bitmap_count(const uint8_t *map, uint64_t from, uint64_t to);
/* The first bit behind `at` that is not as that one is, or end; at < end. */
uint64_t bitmap_run_end(const uint8_t *map, uint64_t at, uint64_t end);

#endif
