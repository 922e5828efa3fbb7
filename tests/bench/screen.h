/* tests/bench/screen.h: a front-end's display, as QEMU is one.
 *
 * Spec: vhost-user-gpu. Messages are read whole, and the reader waits for all
 * of one it has begun, which is how QEMU does it; a back-end that asks what
 * there is to show on is told: one display, no protocol features, as QEMU 7.2
 * answers. What goes wrong ends the program. */
#ifndef VUB_BENCH_SCREEN_H
#define VUB_BENCH_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct screen {
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
int screen_open(struct screen *d, uint32_t width, uint32_t height);
void screen_close(struct screen *d);
/* Waits for a message, and answers it if it asks something. True: it is an
 * update. */
bool screen_read(struct screen *d, struct update *u);

#endif
