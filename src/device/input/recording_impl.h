/* device/input/recording_impl.h: inside recording*.c: what both forms are made
 * with.
 *
 * A form's reader describes the device, says recording_described, and then
 * adds events in their order, each with the line that it is on. */
#ifndef VUB_DEVICE_INPUT_RECORDING_IMPL_H
#define VUB_DEVICE_INPUT_RECORDING_IMPL_H

#include "device/input/recording.h"

struct recording_maker {
    struct recording *r;
    struct err *e;
    bool described;
    bool has_first;
    unsigned in_frame;              /* events of a frame that has not ended */
    uint64_t first_usec, last_usec; /* as written */
    bool has_abs[SOURCE_ABS_MAX];
    uint8_t left_out[SOURCE_EV_TYPES / 8]; /* types that are not taken */
};

/* Refuses: "line 3: ...". Returns -EINVAL. line 0: it is about no line. */
int recording_fail(struct recording_maker *m, unsigned long line,
                   const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The device has this event; of types that are not taken, nothing is noted.
 * Refuses what no device can have. */
int recording_has(struct recording_maker *m, unsigned long line, uint64_t type,
                  uint64_t code);
int recording_abs(struct recording_maker *m, unsigned long line, uint64_t code,
                  const struct source_abs *abs);
/* The description is whole: checks what must fit together. Safe twice. */
int recording_described(struct recording_maker *m, unsigned long line);

struct recorded_event {
    uint64_t sec, usec, type, code;
    int64_t value;
};

int recording_event(struct recording_maker *m, unsigned long line,
                    const struct recorded_event *ev);
/* Nothing follows. */
int recording_end(struct recording_maker *m, unsigned long line);

int recording_read_evemu(struct recording_maker *m, const char *text,
                         size_t len);
int recording_read_libinput(struct recording_maker *m, const char *text,
                            size_t len, unsigned device);

#endif
