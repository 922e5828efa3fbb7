/* base/prng.h: numbers that look random and are the same each time.
 *
 * For filters that do things by chance: with the same seed and the same
 * questions the same answers come, on every machine. SplitMix64 (Steele, Lea,
 * Flood 2014): any seed is good, and its state is one word, so it can be kept
 * and told. Nothing here is for secrets. */
#ifndef VUB_BASE_PRNG_H
#define VUB_BASE_PRNG_H

#include "base/base.h"

struct prng {
    uint64_t state;
};

static inline uint64_t prng_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* What a number takes the state further: so any of a sequence can be had. */
#define PRNG_STEP UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t prng_next(struct prng *p)
{
    p->state += PRNG_STEP;
    return prng_mix(p->state);
}

/* The stream-th of the many that a seed has: they have nothing in common. */
static inline struct prng prng_of(uint64_t seed, uint64_t stream)
{
    return (struct prng){
        prng_mix(prng_mix(seed) + stream * UINT64_C(0xd1342543de82ef95))};
}

/* 0..n - 1, each as likely as the others but for n in 2^64; n 0: 0. */
static inline uint64_t prng_below(struct prng *p, uint64_t n)
{
    return (uint64_t)((__extension__(unsigned __int128) prng_next(p) * n) >>
                      64);
}

/* Is it one of those `parts` in a million? */
static inline bool prng_happens(struct prng *p, uint32_t parts)
{
    return prng_below(p, 1000000) < parts;
}

/* Around 0, as a bell: the sum of twelve uniform numbers, in units of a
 * deviation / 65536. Within six deviations; whole numbers only, so that it is
 * the same everywhere. */
static inline int64_t prng_bell(struct prng *p)
{
    int64_t sum = -6 * 65536;

    for (int i = 0; i < 3; i++) {
        uint64_t x = prng_next(p);

        for (int j = 0; j < 4; j++, x >>= 16)
            sum += (int64_t)(x & 0xffff);
    }
    return sum;
}

#endif
