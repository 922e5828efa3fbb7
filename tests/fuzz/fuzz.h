/* tests/fuzz/fuzz.h: what libFuzzer calls, and how an input is read. */
#ifndef VUB_TESTS_FUZZ_FUZZ_H
#define VUB_TESTS_FUZZ_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv); /* if it is there */

/* Whatever the input is, x is so. */
#define CHECK(x)                                                               \
    do {                                                                       \
        if (!(x))                                                              \
            abort();                                                           \
    } while (0)

/* Read from its beginning; behind its end are zeros. */
struct input {
    const uint8_t *at, *end;
};

static inline uint8_t input_u8(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static inline uint16_t input_u16(struct input *in)
{
    uint16_t low = input_u8(in);

    return (uint16_t)(low | input_u8(in) << 8);
}

static inline void input_bytes(struct input *in, void *to, size_t n)
{
    size_t have = MIN(n, (size_t)(in->end - in->at));

    memcpy(to, in->at, have);
    memset((uint8_t *)to + have, 0, n - have);
    in->at += have;
}

#endif
