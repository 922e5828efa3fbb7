/* device/input/recording.h: what an input device did, from a file.
 *
 * Two forms are read, told apart by their first line that is no comment: that
 * of evemu-record (versions 1.0 to 1.3) and that of `libinput record` (YAML,
 * version 1, one device of it). A recording describes its device, and has
 * whole frames whose events the description knows; anything else is refused
 * with the line and the reason, so that a replay never leaves out in silence
 * what somebody has recorded.
 *
 * Not taken: force feedback, which no guest could use, and key repeat: a
 * recording has the repeats that were, and the guest is not told to make its
 * own. What framing_takes() leaves out is left out here.
 *
 * Everything is bounded: bytes of the file, events, also those of a frame,
 * times, depth of YAML. Threads: the main one. */
#ifndef VUB_DEVICE_INPUT_RECORDING_H
#define VUB_DEVICE_INPUT_RECORDING_H

#include "base/err.h"
#include "device/input/source.h"

#define RECORDING_BYTES_MAX ((size_t)64 << 20)
#define RECORDING_EVENTS_MAX 10000000
/* Of a frame, SYN_REPORT too: more than a device of Linux ever says at once,
 * and no more than a guest can be kept to get whole. */
#define RECORDING_FRAME_MAX 1024
/* Of times: until the year 2242, and in 64 bits as nanoseconds. */
#define RECORDING_SECONDS_MAX (UINT64_C(1) << 33)

struct recorded {
    uint64_t usec; /* since the first event; never less than the one before */
    uint16_t type, code;
    int32_t value;
};

struct recording {
    struct source_desc desc;
    struct recorded *events; /* the last is a SYN_REPORT; owned */
    size_t count, room;
    size_t frames; /* at least one */
    uint64_t usec; /* of the last event */
};

/* Loads libyaml, which reading does too if it has to. e: as of library_load. */
int recording_ready(struct err *e);
/* Reads len bytes of text. device: which of several, from 0; -ENODEV with a
 * sentence if there are not that many. On failure e has a sentence without a
 * place, and r is empty. */
int recording_read(struct recording *r, const char *text, size_t len,
                   unsigned device, struct err *e);
/* The same of a file. */
int recording_load(struct recording *r, const char *path, unsigned device,
                   struct err *e);
void recording_free(struct recording *r);

#endif
