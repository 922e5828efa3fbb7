/* tests/evdev/host.h: input devices of a host that has none.
 *
 * umockdev stands between vub and /dev/input: a device is a terminal whose
 * other end the test has, and the ioctls are answered here, from a recording
 * that describes the device. What needs a kernel is for the guest. */
#ifndef VUB_TESTS_EVDEV_HOST_H
#define VUB_TESTS_EVDEV_HOST_H

#include "device/input/recording.h"

struct host_device {
    struct recording rec;
    char node[32]; /* "/dev/input/event1" */
    int fd;
    bool grabbed; /* atomic: ioctls are answered by another thread */
    bool no_grab; /* EBUSY */
    uint8_t keys[96];
};

/* /dev/input/event<number>, as data/<name> describes it. */
struct host_device *host_add(unsigned number, const char *name);
/* Only what data/<name> has: there is no such device. */
struct host_device *host_read(const char *name);
/* Pulls it out. d stays until host_close. */
void host_remove(struct host_device *d);
/* What vub is started with so that it sees them. */
void host_begin(void);
/* Everything is gone, and what is started sees the real machine. */
void host_end(void);

/* One event, as the kernel would give it. */
void host_emit(struct host_device *d, unsigned type, unsigned code,
               int32_t value);
/* Waits for what was written to the device. */
void host_expect(struct host_device *d, unsigned type, unsigned code,
                 int32_t value);
/* Waits until it is grabbed, or given back. */
void host_wait_grab(struct host_device *d, bool grabbed);

#endif
