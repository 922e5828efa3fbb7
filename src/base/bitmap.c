/* Words are used as they lie in memory, and masks are turned to that order: to
 * compare and count bits is the same in any. Only where one is to be found a
 * word is turned. */
#include "base/bitmap.h"

#include <endian.h>

#define WORD_BITS 64

/* The bits of [from, to) that are in the word of `at`; from <= at < to, and at
 * is from or the first of its word. As they lie in memory. */
static uint64_t mask_of(uint64_t at, uint64_t to)
{
    uint64_t first = at % WORD_BITS;
    uint64_t num = MIN(to - at, WORD_BITS - first);

    return htole64((UINT64_MAX >> (WORD_BITS - num)) << first);
}

static uint64_t next_word(uint64_t at)
{
    return at - at % WORD_BITS + WORD_BITS;
}

uint64_t bitmap_set(uint8_t *map, uint64_t from, uint64_t to, bool value)
{
    uint64_t *words = (uint64_t *)(void *)map, changed = 0;

    for (uint64_t at = from; at < to; at = next_word(at)) {
        uint64_t *w = &words[at / WORD_BITS], mask = mask_of(at, to);
        uint64_t others = (value ? ~*w : *w) & mask;

        if (!others)
            continue;
        changed += (unsigned)__builtin_popcountll(others);
        *w ^= others;
    }
    return changed;
}

uint64_t bitmap_count(const uint8_t *map, uint64_t from, uint64_t to)
{
    const uint64_t *words = (const uint64_t *)(const void *)map;
    uint64_t count = 0;

    for (uint64_t at = from; at < to; at = next_word(at))
        count += (unsigned)__builtin_popcountll(words[at / WORD_BITS] &
                                                mask_of(at, to));
    return count;
}

uint64_t bitmap_run_end(const uint8_t *map, uint64_t at, uint64_t end)
{
    const uint64_t *words = (const uint64_t *)(const void *)map;
    uint64_t same = bitmap_has(map, at) ? UINT64_MAX : 0, others;

    for (; at < end; at = next_word(at)) {
        others = (words[at / WORD_BITS] ^ same) & mask_of(at, end);
        if (others)
            return at - at % WORD_BITS +
                   (unsigned)__builtin_ctzll(le64toh(others));
    }
    return end;
}
