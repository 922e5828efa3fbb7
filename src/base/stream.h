/* base/stream.h: copies to where nobody will look soon.
 *
 * A line that is written whole need not be read before, nor take the place of
 * another in a cache; but a processor only knows that if it is told. For what
 * is larger than the caches, and written at random, that is a third of a copy's
 * time. What was copied so is in no order with other stores until
 * stream_end(). */
#ifndef VUB_BASE_STREAM_H
#define VUB_BASE_STREAM_H

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__

#include <emmintrin.h>

#define STREAM_LINE 64

/* As memcpy. Only whole lines go past the caches. */
static inline void stream_copy(void *to, const void *from, size_t len)
{
    const __m128i *in = (const __m128i *)from;
    __m128i *out = (__m128i *)to;

    if ((uintptr_t)to % STREAM_LINE || len % STREAM_LINE) {
        memcpy(to, from, len);
        return;
    }
    for (; len > 0; len -= STREAM_LINE, in += 4, out += 4) {
        __m128i a = _mm_loadu_si128(in), b = _mm_loadu_si128(in + 1);
        __m128i c = _mm_loadu_si128(in + 2), d = _mm_loadu_si128(in + 3);

        _mm_stream_si128(out, a);
        _mm_stream_si128(out + 1, b);
        _mm_stream_si128(out + 2, c);
        _mm_stream_si128(out + 3, d);
    }
}

/* Whoever sees what we store from now on sees what was copied before. */
static inline void stream_end(void)
{
    _mm_sfence();
}

#else

static inline void stream_copy(void *to, const void *from, size_t len)
{
    memcpy(to, from, len);
}

static inline void stream_end(void)
{
}

#endif

#endif
