/* What a target sends, as libiscsi would read it: header by header, data where
 * it says that they belong.
 *
 * Held: libiscsi is shown no PDU that it could not survive (what is passed is
 * within what was asked for, answers are plain GOOD ones), and the tasks'
 * counters stay within their lengths. The first byte of an input says how the
 * connection stands; the rest is what the target sends, piece by piece. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "iscsi/wire.h"

#define TASKS 4
#define LEN 8192

struct rig {
    struct wire w;
    int fds[2]; /* ours, the target's */
    struct wire_task tasks[TASKS];
    uint8_t memory[TASKS][LEN];
    size_t header_len;
};

static void check_tasks(const struct rig *r)
{
    for (int i = 0; i < TASKS; i++) {
        const struct wire_task *t = &r->tasks[i];

        assert(t->got <= t->len && t->asked <= t->len && t->under <= t->len);
        assert(t->sense_len <= SCSI_SENSE_MAX);
        assert(t->in || t->got == 0);
        assert(t->out || t->asked == 0);
    }
}

/* Reads n bytes as libiscsi does: until they are there, or there is nothing.
 * False: the latter. */
static bool take(struct rig *r, uint8_t *to, size_t n)
{
    while (n > 0) {
        struct iovec iov = {to, n};
        ssize_t got = wire_read(&r->w.tap, &iov, 1);

        if (got <= 0)
            return false;
        assert((size_t)got <= n);
        to += got;
        n -= (size_t)got;
    }
    return true;
}

/* What libiscsi sends when it is asked for data. */
static void send_data(struct rig *r, struct wire_task *t, uint32_t offset,
                      uint32_t len)
{
    int i = (int)(t - r->tasks);

    assert(t->out && offset <= t->len && len > 0 && len <= t->len - offset);
    while (len > 0) {
        uint32_t n = MIN(len, 3000);
        uint8_t h[48] = {0x05, n == len ? 0x80 : 0};
        struct iovec iov = {h, sizeof(h)};
        uint8_t zeros[4] = {0};

        h[6] = (uint8_t)(n >> 8);
        h[7] = (uint8_t)n;
        be32_put(h + 16, t->itt);
        if (wire_write(&r->w.tap, &iov, 1) != sizeof(h))
            return;
        iov = (struct iovec){r->memory[i] + offset, n};
        if (wire_write(&r->w.tap, &iov, 1) != n)
            return;
        iov = (struct iovec){zeros, -n & 3};
        if (iov.iov_len && wire_write(&r->w.tap, &iov, 1) < 0)
            return;
        offset += n;
        len -= n;
    }
}

/* One PDU; false: no more. */
static bool one(struct rig *r)
{
    uint8_t h[52], *data = NULL;
    struct wire_task *t;
    uint32_t len, pad;
    bool more;

    if (!take(r, h, r->header_len))
        return false;
    len = be24_at(h + 5);
    pad = -len & 3;
    assert(h[4] == 0 && len + pad <= 262144);
    t = wire_find(&r->w, be32_at(h + 16));
    switch (h[0] & 0x3f) {
    case 0x21:
        assert(t && t->answered && len == 0 && h[3] == 0 && h[1] == 0x80);
        break;
    case 0x25: {
        uint32_t offset = be32_at(h + 40);

        assert(t && t->in && offset <= t->len && len <= t->len - offset);
        assert(!(h[1] & 0x40) && (!(h[1] & 1) || h[3] == 0));
        if (len > 0)
            return take(r, r->memory[t - r->tasks] + offset, len) &&
                   take(r, h, pad);
        break;
    }
    case 0x31:
        assert(t);
        send_data(r, t, be32_at(h + 40), be32_at(h + 44));
        break;
    case 0x32:
    case 0x3f:
        assert(!"it does not survive these");
        break;
    default:
        break;
    }
    if (len > 0)
        data = malloc(len + pad);
    more = len == 0 || take(r, data, len + pad);
    if (more && len > 0 && ((h[0] & 0x3f) == 0x23 || (h[0] & 0x3f) == 0x24))
        assert(data[len - 1] == '\0'); /* a text that ends */
    free(data);
    return more;
}

static void make_tasks(struct rig *r, uint8_t how)
{
    for (int i = 0; i < TASKS; i++) {
        struct wire_task *t = &r->tasks[i];

        *t = (struct wire_task){.itt = (uint32_t)i, .len = LEN};
        t->in = i == 0 || i == 3;
        t->out = i == 1;
        if (i == 2)
            t->len = 0;
        t->deaf = i == 3;
        t->started = t->sent = !(how & 8) || i != 2;
        list_init(&t->bucket);
        wire_add(&r->w, t);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rig r;
    uint8_t how = size ? data[0] : 0;
    struct tap *before;
    size_t at = 1;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, r.fds) < 0 ||
        wire_init(&r.w, how & 1) < 0)
        abort();
    r.w.sock = r.fds[0];
    r.header_len = how & 2 ? 52 : 48;
    r.w.phase = how & 4 ? WIRE_LOGIN : WIRE_FULL;
    make_tasks(&r, how);
    do {
        /* In pieces, as they may come. */
        size_t n = at < size ? MIN(size - at, how & 16 ? 37u : 65536u) : 0;
        ssize_t put = n ? write(r.fds[1], data + at, n) : 0;
        uint8_t sink[4096];

        before = wire_enter(&r.w, r.fds[0]);
        while (one(&r))
            check_tasks(&r);
        wire_leave(&r.w, before);
        check_tasks(&r);
        while (read(r.fds[1], sink, sizeof(sink)) > 0)
            ;
        if (put <= 0)
            break;
        at += (size_t)put;
    } while (!r.w.why[0] && at < size);
    for (int i = 0; i < TASKS; i++)
        wire_del(&r.w, &r.tasks[i]);
    wire_fini(&r.w);
    close(r.fds[0]);
    close(r.fds[1]);
    return 0;
}
