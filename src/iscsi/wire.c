/* The tap of a connection: what comes in, read ahead and given out PDU by PDU.
 * wire_out.c has the other way, wire_pdu.c the rules. */
#include "iscsi/wire.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 48
#define READS_MAX 16    /* system calls per visit: others want their turn */
#define DATA_MAX 262144 /* of one PDU: what libiscsi says that it takes */

int wire_init(struct wire *w, bool mutual)
{
    *w = (struct wire){.tap.fd = -1, .sock = -1, .mutual = mutual, .group = -1};
    w->tap.readv = wire_read;
    w->tap.writev = wire_write;
    for (int i = 0; i < WIRE_BUCKETS; i++)
        list_init(&w->tasks[i]);
    w->in = malloc(WIRE_READ_BYTES);
    w->out = malloc(WIRE_WRITE_BYTES);
    if (!w->in || !w->out) {
        wire_fini(w);
        return -ENOMEM;
    }
    return 0;
}

void wire_fini(struct wire *w)
{
    free(w->in);
    free(w->out);
    w->in = w->out = NULL;
}

void wire_fault(struct wire *w, const char *fmt, ...)
{
    va_list ap;

    if (w->why[0])
        return; /* the first reason is the reason */
    va_start(ap, fmt);
    vsnprintf(w->why, sizeof(w->why), fmt, ap);
    va_end(ap);
}

struct tap *wire_enter(struct wire *w, int fd)
{
    w->tap.fd = fd;
    w->reads = 0;
    w->dry = false;
    return tap_set(&w->tap);
}

void wire_leave(struct wire *w, struct tap *before)
{
    if (!w->why[0])
        wire_flush(w);
    tap_set(before);
}

void wire_add(struct wire *w, struct wire_task *t)
{
    list_add(&w->tasks[t->itt % WIRE_BUCKETS], &t->bucket);
}

void wire_del(struct wire *w, struct wire_task *t)
{
    list_del(&t->bucket);
    if (w->in_task == t)
        w->in_task = NULL;
    if (w->out_task == t)
        w->out_task = NULL;
}

struct wire_task *wire_find(struct wire *w, uint32_t itt)
{
    LIST_EACH (&w->tasks[itt % WIRE_BUCKETS], at) {
        struct wire_task *t = container_of(at, struct wire_task, bucket);

        if (t->itt == itt)
            return t;
    }
    return NULL;
}

/* From the kernel, into iov; 0: nothing now, or it is over. */
static size_t take(struct wire *w, const struct iovec *iov, int num,
                   size_t room)
{
    ssize_t n;

    if (w->dry || w->why[0])
        return 0;
    if (w->reads++ >= READS_MAX) {
        w->dry = true;
        return 0;
    }
    do {
        n = tap_readv(w->sock, iov, num);
    } while (n < 0 && errno == EINTR);
    if (n == 0)
        wire_fault(w, "it closed the connection");
    if (n < 0 && errno == EFAULT)
        return SIZE_MAX;
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        wire_fault(w, "reading from it: %s", strerror(errno));
    if (n <= 0) {
        w->dry = true;
        return 0;
    }
    if ((size_t)n < room)
        w->dry = true;
    return (size_t)n;
}

/* Reads ahead as much as there is room for. False: nothing came. */
static bool refill(struct wire *w)
{
    struct iovec iov;
    size_t n;

    if (w->in_at > 0) {
        memmove(w->in, w->in + w->in_at, w->in_end - w->in_at);
        w->in_end -= w->in_at;
        w->in_at = 0;
    }
    iov.iov_base = w->in + w->in_end;
    iov.iov_len = WIRE_READ_BYTES - w->in_end;
    n = iov.iov_len ? take(w, &iov, 1, iov.iov_len) : 0;
    w->in_end += n;
    return n > 0;
}

static ssize_t again(struct wire *w)
{
    errno = w->why[0] ? EPROTO : EAGAIN;
    return -1;
}

/* Passes over what libiscsi is not to see. True: it is all gone. */
static bool skip(struct wire *w)
{
    while (w->skip_left > 0) {
        uint32_t n = (uint32_t)MIN(w->skip_left, w->in_end - w->in_at);

        if (n == 0 && !refill(w))
            return false;
        w->in_at += n;
        w->skip_left -= n;
    }
    return true;
}

/* With header digests each side's headers are protected; since ours may be
 * changed before libiscsi checks them, they are checked here. */
static bool digest_holds(const uint8_t *h)
{
    uint32_t crc = wire_crc32c(h, HEADER_BYTES);

    return h[48] == (uint8_t)crc && h[49] == (uint8_t)(crc >> 8) &&
           h[50] == (uint8_t)(crc >> 16) && h[51] == (uint8_t)(crc >> 24);
}

static void digest_put(uint8_t *h)
{
    uint32_t crc = wire_crc32c(h, HEADER_BYTES);

    h[48] = (uint8_t)crc;
    h[49] = (uint8_t)(crc >> 8);
    h[50] = (uint8_t)(crc >> 16);
    h[51] = (uint8_t)(crc >> 24);
}

/* The next header, of size bytes, that libiscsi may see. */
static ssize_t header(struct wire *w, uint8_t *to, size_t size)
{
    const bool digest = size > HEADER_BYTES;

    for (;;) {
        uint8_t *h;
        uint32_t len, whole;
        size_t have;

        if (!skip(w))
            return again(w);
        if (w->in_end - w->in_at < size) {
            if (!refill(w))
                return again(w);
            continue;
        }
        h = w->in + w->in_at;
        have = w->in_end - w->in_at - size;
        if (digest && !digest_holds(h)) {
            wire_fault(w, "the digest of a header is wrong");
            return again(w);
        }
        len = be24_at(h + 5);
        whole = (len + 3) & ~3u;
        if (whole > DATA_MAX) {
            wire_fault(w, "a PDU with %u bytes of data, which is too many",
                       len);
            return again(w);
        }
        if (h[4] != 0) {
            wire_fault(w, "an additional header, which was not agreed on");
            return again(w);
        }
        switch (wire_judge(w, h, h + size, have, &len)) {
        case WIRE_MORE:
            if (whole + size > WIRE_READ_BYTES) {
                wire_fault(w, "a PDU of kind %02x with %u bytes of data",
                           h[0] & 0x3f, len);
                return again(w);
            }
            if (!refill(w))
                return again(w);
            continue;
        case WIRE_BAD:
            return again(w);
        case WIRE_SKIP:
            w->heard++;
            w->in_at += size;
            w->skip_left = whole;
            continue;
        case WIRE_PASS:
            break;
        }
        w->heard++;
        if (digest)
            digest_put(h);
        memcpy(to, h, size);
        w->in_at += size;
        if (len == 0) {
            w->skip_left = whole; /* data that was taken out */
        } else {
            w->data_left = len;
            w->pad_left = whole - len;
        }
        return (ssize_t)size;
    }
}

/* Bytes of the data segment that were read ahead. */
static size_t from_buffer(struct wire *w, const struct iovec *iov, int num,
                          size_t want, bool deaf)
{
    size_t done = 0;

    for (int i = 0; i < num && done < want; i++) {
        size_t n = MIN(MIN(iov[i].iov_len, want - done), w->in_end - w->in_at);

        if (!deaf)
            memcpy(iov[i].iov_base, w->in + w->in_at, n);
        w->in_at += n;
        done += n;
        if (n < iov[i].iov_len)
            break;
    }
    return done;
}

static void passed(struct wire *w, size_t n)
{
    uint32_t data = (uint32_t)MIN(n, w->data_left);

    w->data_left -= data;
    assert(n - data <= w->pad_left);
    w->pad_left -= (uint32_t)(n - data);
    if (w->data_left + w->pad_left == 0)
        w->in_task = NULL;
}

/* Data, for what libiscsi named: at most what the header announced. */
static ssize_t data(struct wire *w, const struct iovec *iov, int num)
{
    struct iovec v[TAP_IOV_MAX];
    size_t want = 0, n, limit = w->data_left + w->pad_left;
    bool deaf = w->in_task && w->in_task->deaf;
    int k = 0;

    for (int i = 0; i < num; i++)
        want += iov[i].iov_len;
    want = MIN(want, limit);
    n = from_buffer(w, iov, num, want, deaf);
    if (n > 0) {
        passed(w, n);
        return (ssize_t)n;
    }
    /* Nothing is read ahead. Small data are, with what comes after them; large
     * go where they belong at once, and what comes after them is read ahead by
     * the same call. */
    if (deaf || want < WIRE_READ_BYTES / 8) {
        if (!refill(w))
            return again(w);
    } else {
        size_t room = 0;

        for (int i = 0; i < num && k < TAP_IOV_MAX - 1 && room < want; i++) {
            v[k] = iov[i];
            v[k].iov_len = MIN(v[k].iov_len, want - room);
            room += v[k++].iov_len;
        }
        if (room == limit) {
            w->in_at = w->in_end = 0;
            v[k].iov_base = w->in;
            v[k++].iov_len = WIRE_READ_BYTES / 4;
            n = take(w, v, k, room + WIRE_READ_BYTES / 4);
        } else {
            n = take(w, v, k, room);
        }
        if (n > 0 && n != SIZE_MAX) {
            if (n > room) {
                w->in_end = n - room;
                n = room;
            }
            passed(w, n);
            return (ssize_t)n;
        }
        /* Guest memory that the kernel cannot write, since its file became
         * shorter: what is behind it may be anything, as a copy shows. */
        if (n == 0 || !refill(w))
            return again(w);
    }
    n = from_buffer(w, iov, num, want, deaf);
    passed(w, n);
    return (ssize_t)n;
}

ssize_t wire_read(struct tap *tap, const struct iovec *iov, int num)
{
    struct wire *w = container_of(tap, struct wire, tap);

    if (w->why[0])
        return again(w);
    if (w->data_left + w->pad_left > 0)
        return data(w, iov, num);
    if (num != 1 || iov->iov_len < HEADER_BYTES ||
        iov->iov_len > HEADER_BYTES + 4) {
        wire_fault(w, "libiscsi has lost its place"); /* our own check */
        return again(w);
    }
    return header(w, iov->iov_base, iov->iov_len);
}
