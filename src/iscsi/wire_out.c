/* What libiscsi writes: gathered, and followed PDU by PDU, so that it is known
 * which task it may still look at. */
#include <errno.h>
#include <string.h>

#include "iscsi/wire.h"

#define HEADER_BYTES 48
#define COPY_MAX                                                               \
    8192 /* bytes of data that are rather copied than sent alone               \
          */

/* Writes what was gathered. False: not all of it went. */
bool wire_flush(struct wire *w)
{
    while (wire_has_output(w)) {
        struct iovec iov = {w->out + w->out_at, w->out_end - w->out_at};
        ssize_t n = tap_writev(w->sock, &iov, 1);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                wire_fault(w, "writing to it: %s", strerror(errno));
            return false;
        }
        w->out_at += (size_t)n;
    }
    w->out_at = w->out_end = 0;
    return true;
}

static ssize_t later(struct wire *w)
{
    errno = w->why[0] ? EPROTO : EAGAIN;
    return -1;
}

static bool make_room(struct wire *w, size_t len)
{
    if (WIRE_WRITE_BYTES - w->out_end >= len)
        return true;
    if (w->out_at > 0) {
        memmove(w->out, w->out + w->out_at, w->out_end - w->out_at);
        w->out_end -= w->out_at;
        w->out_at = 0;
    }
    if (WIRE_WRITE_BYTES - w->out_end >= len)
        return true;
    wire_flush(w);
    return !w->why[0] && WIRE_WRITE_BYTES - w->out_end >= len;
}

static void append(struct wire *w, const struct iovec *iov, int num)
{
    for (int i = 0; i < num; i++) {
        memcpy(w->out + w->out_end, iov[i].iov_base, iov[i].iov_len);
        w->out_end += iov[i].iov_len;
    }
}

/* n bytes more of the PDU are libiscsi's business no longer. */
static ssize_t wrote(struct wire *w, size_t n)
{
    w->out_left -= (uint32_t)n;
    if (w->out_left == 0 && w->out_task) {
        w->out_task->writing = false;
        if (w->out_command)
            w->out_task->sent = true;
        w->out_task = NULL;
    }
    return (ssize_t)n;
}

/* Large data: behind what was gathered, in the same call. */
static ssize_t direct(struct wire *w, const struct iovec *iov, int num)
{
    struct iovec v[TAP_IOV_MAX];
    size_t before = w->out_end - w->out_at;
    ssize_t n;
    int k = 0;

    if (before > 0) {
        v[k].iov_base = w->out + w->out_at;
        v[k++].iov_len = before;
    }
    for (int i = 0; i < num && k < TAP_IOV_MAX; i++)
        v[k++] = iov[i];
    do {
        n = tap_writev(w->sock, v, k);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EFAULT) {
        /* Guest memory that is gone: a copy, which goes on in the handler of
         * such faults, shows what is in its place. */
        struct iovec one = {iov->iov_base, MIN(iov->iov_len, COPY_MAX)};

        if (!make_room(w, one.iov_len))
            return later(w);
        append(w, &one, 1);
        return wrote(w, one.iov_len);
    }
    if (n < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            wire_fault(w, "writing to it: %s", strerror(errno));
        return later(w);
    }
    if ((size_t)n < before) {
        w->out_at += (size_t)n;
        return later(w);
    }
    w->out_at = w->out_end = 0;
    if ((size_t)n == before)
        return later(w);
    return wrote(w, (size_t)n - before);
}

/* The start of a PDU: its header, and with texts their data. */
static ssize_t start(struct wire *w, const uint8_t *h, size_t len)
{
    const uint8_t opcode = h[0] & 0x3f;
    const uint32_t data = (be24_at(h + 5) + 3) & ~3u;
    const struct iovec iov = {(void *)h, len};

    if (len > WIRE_WRITE_BYTES / 2) {
        wire_fault(w, "a login of %zu bytes", len);
        return later(w);
    }
    if (!make_room(w, len))
        return later(w);
    wire_note_sent(w, h, len);
    append(w, &iov, 1);
    w->out_left = (uint32_t)len;
    /* Of these two the data follows by itself. */
    if (opcode == 0x01 || opcode == 0x05) {
        w->out_left += data;
        w->out_task = wire_find(w, be32_at(h + 16));
        w->out_command = opcode == 0x01;
        if (w->out_task)
            w->out_task->writing = true;
    }
    return wrote(w, len);
}

ssize_t wire_write(struct tap *tap, const struct iovec *iov, int num)
{
    struct wire *w = container_of(tap, struct wire, tap);
    size_t len = 0;

    if (w->why[0])
        return later(w);
    for (int i = 0; i < num; i++)
        len += iov[i].iov_len;
    if (w->out_left == 0) {
        if (num != 1 || len < HEADER_BYTES) {
            wire_fault(w, "libiscsi has lost its place");
            return later(w);
        }
        return start(w, iov->iov_base, len);
    }
    if (len > w->out_left) {
        wire_fault(w, "libiscsi has lost its place");
        return later(w);
    }
    if (len > COPY_MAX)
        return direct(w, iov, num);
    if (!make_room(w, len))
        return later(w);
    append(w, iov, num);
    return wrote(w, len);
}
