/* What both forms of recordings have in common: a description that is complete
 * before the first event, times that do not go back, whole frames. The readers
 * give single facts with the line they stand in; here they are checked and put
 * together. */
#include "device/input/recording_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/input/codes.h"
#include "device/input/framing.h"
#include "os/broker.h"

int recording_fail(struct recording_maker *m, unsigned long line,
                   const char *fmt, ...)
{
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (line)
        return err_set(m->e, -EINVAL, "", "line %lu: %s", line, text);
    return err_set(m->e, -EINVAL, "", "%s", text);
}

/* ---- the description ---- */

/* Types whose events a replay cannot do, or should not. */
static bool is_left_out(uint64_t type)
{
    return type == EV_SYN || type == EV_REP || type > EV_SND;
}

int recording_has(struct recording_maker *m, unsigned long line, uint64_t type,
                  uint64_t code)
{
    if (type >= SOURCE_EV_TYPES)
        return recording_fail(m, line,
                              "there is no event type 0x%02" PRIx64
                              ": the last is 0x%02x",
                              type, SOURCE_EV_TYPES - 1);
    if (code >= SOURCE_BITS_BYTES * 8 ||
        (type == EV_ABS && code >= SOURCE_ABS_MAX))
        return recording_fail(m, line,
                              "there is no code 0x%02" PRIx64
                              " of the event type 0x%02" PRIx64,
                              code, type);
    if (is_left_out(type))
        m->left_out[type / 8] |= (uint8_t)(1u << type % 8);
    else
        source_set(&m->r->desc, (unsigned)type, (unsigned)code);
    return 0;
}

int recording_abs(struct recording_maker *m, unsigned long line, uint64_t code,
                  const struct source_abs *abs)
{
    if (code >= SOURCE_ABS_MAX)
        return recording_fail(m, line, "there is no axis 0x%02" PRIx64, code);
    m->r->desc.abs[code] = *abs;
    m->has_abs[code] = true;
    return 0;
}

int recording_described(struct recording_maker *m, unsigned long line)
{
    const struct source_desc *d = &m->r->desc;
    bool any = false;

    if (m->described)
        return 0;
    for (unsigned type = 1; type < SOURCE_EV_TYPES; type++) {
        for (unsigned i = 0; i < SOURCE_BITS_BYTES; i++)
            any = any || d->bits[type][i];
    }
    if (!any)
        return recording_fail(m, line,
                              "the recording does not say which events its "
                              "device has");
    for (unsigned code = 0; code < SOURCE_ABS_MAX; code++) {
        if (source_has(d, EV_ABS, code) && !m->has_abs[code])
            return recording_fail(m, line,
                                  "the device has the axis 0x%02x, but its "
                                  "range is not told",
                                  code);
    }
    m->described = true;
    return 0;
}

/* ---- events ---- */

static struct recorded *append(struct recording *r)
{
    size_t room = r->room ? r->room * 2 : 256;
    struct recorded *grown;

    if (r->count == r->room) {
        grown = realloc(r->events, room * sizeof(*grown));
        if (!grown)
            return NULL;
        r->events = grown;
        r->room = room;
    }
    return &r->events[r->count++];
}

static int check_time(struct recording_maker *m, unsigned long line,
                      const struct recorded_event *ev)
{
    uint64_t now;

    if (ev->usec >= 1000000 || (int64_t)ev->sec < 0)
        return recording_fail(
            m, line, "%" PRId64 " s and %" PRId64 " microseconds are no time",
            (int64_t)ev->sec, (int64_t)ev->usec);
    if (ev->sec >= RECORDING_SECONDS_MAX)
        return recording_fail(m, line,
                              "the time, %" PRIu64 " s, is beyond what can be "
                              "replayed: it must be less than %" PRIu64 " s",
                              ev->sec, RECORDING_SECONDS_MAX);
    now = ev->sec * 1000000 + ev->usec;
    if (!m->has_first)
        m->first_usec = now;
    else if (now < m->last_usec)
        return recording_fail(m, line,
                              "the time goes back by %" PRIu64 " microseconds",
                              m->last_usec - now);
    m->has_first = true;
    m->last_usec = now;
    return 0;
}

static int check_known(struct recording_maker *m, unsigned long line,
                       const struct recorded_event *ev)
{
    if (ev->type >= SOURCE_EV_TYPES || ev->code > UINT16_MAX ||
        ev->value < INT32_MIN || ev->value > INT32_MAX)
        return recording_fail(
            m, line, "0x%" PRIx64 " 0x%" PRIx64 " %" PRId64 " is no event",
            ev->type, ev->code, ev->value);
    if (ev->type == EV_SYN || is_left_out(ev->type) ||
        source_has(&m->r->desc, (unsigned)ev->type, (unsigned)ev->code))
        return 0;
    return recording_fail(m, line,
                          "the recording has not said that its device has "
                          "the event type 0x%02" PRIx64 " code 0x%02" PRIx64,
                          ev->type, ev->code);
}

int recording_event(struct recording_maker *m, unsigned long line,
                    const struct recorded_event *ev)
{
    bool ends = ev->type == EV_SYN && ev->code == SYN_REPORT;
    struct recorded *one;
    int rc = recording_described(m, line);

    if (rc == 0)
        rc = check_time(m, line, ev);
    if (rc == 0)
        rc = check_known(m, line, ev);
    if (rc < 0)
        return rc;
    if (!framing_takes((unsigned)ev->type, (unsigned)ev->code) ||
        (ends && !m->in_frame))
        return 0;
    if (m->r->count == RECORDING_EVENTS_MAX)
        return recording_fail(m, line, "more than %d events",
                              RECORDING_EVENTS_MAX);
    if (m->in_frame == RECORDING_FRAME_MAX - 1 && !ends)
        return recording_fail(m, line,
                              "more than %d events in a frame: SYN_REPORT is "
                              "missing",
                              RECORDING_FRAME_MAX);
    one = append(m->r);
    if (!one)
        return err_nomem(m->e);
    *one = (struct recorded){
        .usec = m->last_usec - m->first_usec,
        .type = (uint16_t)ev->type,
        .code = (uint16_t)ev->code,
        .value = (int32_t)ev->value,
    };
    m->in_frame = ends ? 0 : m->in_frame + 1;
    m->r->frames += ends;
    return 0;
}

int recording_end(struct recording_maker *m, unsigned long line)
{
    int rc = recording_described(m, line);

    if (rc < 0)
        return rc;
    if (m->in_frame)
        return recording_fail(m, line,
                              "the recording ends inside a frame: SYN_REPORT "
                              "is missing");
    if (m->r->frames == 0)
        return recording_fail(m, 0, "there are no events in it");
    m->r->usec = m->r->events[m->r->count - 1].usec;
    return 0;
}

/* ---- the whole ---- */

/* evemu: a letter, a colon and a blank begin each line that is no comment. */
static bool is_evemu(const char *text, size_t len)
{
    const char *end = text + len, *line = text;

    if (len >= 7 && memcmp(text, "# EVEMU", 7) == 0)
        return true;
    while (line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));

        if (*line >= 'A' && *line <= 'Z')
            return end - line > 1 && line[1] == ':';
        if (*line != '#' && *line != '\n' && *line != '\r')
            return false;
        line = next ? next + 1 : end;
    }
    return false;
}

int recording_read(struct recording *r, const char *text, size_t len,
                   unsigned device, struct err *e)
{
    struct recording_maker m = {.r = r, .e = e};
    int rc;

    *r = (struct recording){.events = NULL};
    if (len > RECORDING_BYTES_MAX)
        rc = recording_fail(&m, 0, "%zu bytes are too many: at most %zu", len,
                            RECORDING_BYTES_MAX);
    else if (!is_evemu(text, len))
        rc = recording_read_libinput(&m, text, len, device);
    else if (device)
        rc = err_set(e, -ENODEV, "",
                     "a recording of evemu has one device: 0 is its number");
    else
        rc = recording_read_evemu(&m, text, len);
    if (rc < 0)
        recording_free(r);
    return rc;
}

static int read_whole(int fd, char *text, size_t len, size_t *got)
{
    *got = 0;
    while (*got < len) {
        ssize_t n = read(fd, text + *got, len - *got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return 0;
}

int recording_load(struct recording *r, const char *path, unsigned device,
                   struct err *e)
{
    char *text = NULL;
    struct stat st;
    size_t got;
    int fd, rc;

    *r = (struct recording){.events = NULL};
    /* Non-blocking: it may be a FIFO. */
    fd = broker_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0) {
        rc = broker_fail(e, fd, "open", path);
        goto out;
    }
    if (fstat(fd, &st) < 0) {
        rc = err_sys(e, errno, "", "cannot open %s", path);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        rc = err_set(e, -EINVAL, "", "%s is no regular file", path);
        goto out;
    }
    if ((uint64_t)st.st_size > RECORDING_BYTES_MAX) {
        rc = err_set(e, -EFBIG, "", "%s has %jd bytes, at most %zu are read",
                     path, (intmax_t)st.st_size, RECORDING_BYTES_MAX);
        goto out;
    }
    text = malloc((size_t)st.st_size + 1);
    if (!text) {
        rc = err_nomem(e);
        goto out;
    }
    rc = read_whole(fd, text, (size_t)st.st_size, &got);
    if (rc < 0)
        rc = err_sys(e, -rc, "", "cannot read %s", path);
    else
        rc = recording_read(r, text, got, device, e);
out:
    free(text);
    if (fd >= 0)
        close(fd);
    return rc;
}

void recording_free(struct recording *r)
{
    free(r->events);
    *r = (struct recording){.events = NULL};
}
