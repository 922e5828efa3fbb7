/* tests/bench/reader.h: a front-end's display that is quick.
 *
 * Spec: vhost-user-gpu. Messages are read whole, and the reader waits for all
 * of one it has begun, which is how QEMU does it; it looks at pixels where they
 * were read to, and keeps no picture (front/display.h does). A back-end that
 * asks what there is to show on is told: one display, no protocol features, as
 * QEMU 7.2 answers. What goes wrong ends the program. */
#ifndef VUB_BENCH_READER_H
#define VUB_BENCH_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader {
    int fd; /* our end */
    uint32_t width, height;
    uint8_t *payload; /* of the message read last */
    size_t room;      /* bytes of it */
};

/* Pixels of scanout 0 have arrived: rows without gaps, good until the next
 * message is read. */
struct update {
    uint32_t x, y, width, height;
    const uint32_t *pixels;
};

/* The other end, for the back-end; the caller's. */
int reader_open(struct reader *r, uint32_t width, uint32_t height);
void reader_close(struct reader *r);
/* Waits for a message, and answers it if it asks something. True: it is an
 * update. */
bool reader_read(struct reader *r, struct update *u);

#endif
