/* Recordings of input devices, of both forms. The first byte chooses the
 * device.
 *
 * Held: what is read is as recording.h says: whole frames, in the order of
 * time, of events that the description has; what is refused leaves nothing,
 * and has a sentence. */
#include <assert.h>
#include <string.h>

#include "device/input/codes.h"
#include "device/input/framing.h"
#include "device/input/recording.h"
#include "fuzz.h"

static void check_event(const struct recording *r, const struct recorded *ev)
{
    assert(framing_takes(ev->type, ev->code));
    if (ev->type != EV_SYN)
        assert(source_has(&r->desc, ev->type, ev->code));
}

static void check(const struct recording *r)
{
    uint64_t usec = 0;
    size_t frames = 0;
    unsigned in_frame = 0;

    assert(r->count > 0 && r->frames > 0);
    assert(memchr(r->desc.name, '\0', sizeof(r->desc.name)));
    for (size_t i = 0; i < r->count; i++) {
        const struct recorded *ev = &r->events[i];
        bool ends = ev->type == EV_SYN && ev->code == SYN_REPORT;

        check_event(r, ev);
        assert(ev->usec >= usec);
        usec = ev->usec;
        in_frame++;
        if (!ends)
            continue;
        assert(in_frame > 1);
        in_frame = 0;
        frames++;
    }
    assert(in_frame == 0 && frames == r->frames && usec == r->usec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct recording r;
    struct err e = {0};

    if (size == 0)
        return 0;
    if (recording_read(&r, (const char *)data + 1, size - 1, data[0] & 3, &e) ==
        0) {
        check(&r);
        recording_free(&r);
    } else {
        assert(e.code < 0 && e.text[0]);
        assert(!r.events && r.count == 0);
    }
    return 0;
}
