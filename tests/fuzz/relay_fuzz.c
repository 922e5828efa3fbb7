/* Fuzzes a relay from both sides: the input is a list of what a front-end, its
 * display, and children do that die and lie.
 *
 * Each step is a byte that says who does something, and a few that say what.
 * Whatever they do, the front-end gets no more answers than it has asked for,
 * and its display reads whole messages of the spec. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz.h"
#include "loop/loop.h"
#include "messages.h"
#include "os/event.h"
#include "vhost/msg.h"
#include "vhost/relay.h"
#include "virtio/display_wire.h"

#define STEPS_MAX 300
#define TURNS 4

/* In this process both ends are ours. */
bool __wrap_sock_is_own(int fd);
bool __wrap_sock_is_own(int fd)
{
    (void)fd;
    return false;
}

struct world {
    struct loop loop;
    struct relay *relay;
    struct input in;
    int mem_fd, kick_fd;
    int front, leg;             /* -1: none */
    uint64_t number;            /* of the leg */
    int display, shows;         /* the front-end's, the child's; -1: none */
    unsigned asked, answered;   /* messages of the front-end */
    struct wire_header shown;   /* what the display reads */
    size_t shown_bytes;         /* of it */
    uint64_t shown_left;        /* behind it */
    struct msg_header question; /* the child's last */
    bool closed;
};

static void drop(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void turn(struct world *w)
{
    for (int i = 0; i < TURNS; i++)
        uv_run(&w->loop.uv, UV_RUN_NOWAIT);
}

/* ---- the owner ---- */

static int on_pass(struct relay *r, uint64_t leg, int fd, int pid, unsigned uid,
                   void *arg)
{
    struct world *w = arg;

    (void)r;
    (void)pid;
    (void)uid;
    drop(&w->leg);
    w->leg = fd;
    w->number = leg;
    return 0;
}

static void on_closed(struct relay *r, void *arg)
{
    (void)r;
    *(bool *)arg = true;
}

/* ---- the front-end ---- */

static unsigned usual_fds(uint32_t request, const uint8_t *payload)
{
    switch (request) {
    case MSG_SET_MEM_TABLE:
        return payload[0] % 9u;
    case MSG_SET_LOG_BASE:
    case MSG_SET_BACKEND_REQ_FD:
    case MSG_SET_INFLIGHT_FD:
    case MSG_ADD_MEM_REG:
        return 1;
    case MSG_SET_VRING_KICK:
    case MSG_SET_VRING_CALL:
    case MSG_SET_VRING_ERR:
        return payload[1] & 1 ? 0 : 1;
    default:
        return 0;
    }
}

/* good: of good form. */
static void send_message(struct world *w, bool good)
{
    static const uint8_t requests[] = {
        MSG_GPU_SET_SOCKET,
        MSG_SET_VRING_KICK,
        MSG_GET_VRING_BASE,
        MSG_SET_VRING_CALL,
        MSG_SET_MEM_TABLE,
        MSG_SET_FEATURES,
        MSG_SET_PROTOCOL_FEATURES,
        MSG_GET_INFLIGHT_FD,
        MSG_SET_INFLIGHT_FD,
        MSG_GET_CONFIG,
        MSG_SET_CONFIG,
        MSG_RESET_DEVICE,
        MSG_SET_LOG_BASE,
        MSG_ADD_MEM_REG,
        MSG_REM_MEM_REG,
        MSG_SET_VRING_ENABLE,
    };
    uint8_t bytes[12 + 512] = {0}, *payload = bytes + 12;
    uint8_t request = input_u8(&w->in);
    uint8_t flags = input_u8(&w->in) & (good ? 0x1f : 0xff),
            fds = input_u8(&w->in);
    int list[10], pair[2] = {-1, -1};
    struct msg_header h;
    unsigned n;

    if (w->front < 0)
        return;
    input_bytes(&w->in, payload, 24);
    h.request =
        request < 128 ? requests[request % ARRAY_LEN(requests)] : request % 48u;
    h.flags = flags & 0x80 ? flags : MSG_VERSION | (flags & MSG_NEED_REPLY);
    h.size = message_bytes(h.request, payload) + (flags & 0x40 ? 1u : 0u);
    memcpy(bytes, &h, sizeof(h));
    for (n = 0; n < (good ? usual_fds(h.request, payload) : fds % 10u); n++)
        list[n] = fds & 0x80 ? w->kick_fd : w->mem_fd;
    /* A message of wrong form goes to the child as it is. */
    if (h.request == MSG_GPU_SET_SOCKET && good && !(fds & 0x40) &&
        sock_pair(pair) == 0) {
        drop(&w->display);
        w->display = pair[0];
        w->shown_bytes = w->shown_left = 0;
        list[0] = pair[1];
        n = 1;
    }
    w->asked++;
    /* A half one, sometimes. */
    sock_send(w->front, bytes, 12 + h.size - (flags & 0x20 ? 4 : 0), list, n);
    drop(&pair[1]);
}

static void read_all(int fd)
{
    uint8_t bytes[512];
    int fds[SOCK_FDS_ROOM];
    unsigned num = 0;

    while (fd >= 0 && sock_recv(fd, bytes, sizeof(bytes), fds, &num) > 0)
        ;
    while (num > 0)
        close(fds[--num]);
}

/* Answers, which come whole here. */
static void read_answers(struct world *w)
{
    struct msg_header h;
    uint8_t bytes[1024];
    int fds[SOCK_FDS_ROOM];
    unsigned num = 0;

    while (w->front >= 0 &&
           sock_recv(w->front, &h, sizeof(h), fds, &num) == sizeof(h)) {
        if (!(h.flags & MSG_REPLY) || h.size > sizeof(bytes))
            abort();
        if (h.size > 0 &&
            sock_recv(w->front, bytes, h.size, fds, &num) != (ssize_t)h.size)
            abort();
        if (++w->answered > w->asked)
            abort();
    }
    while (num > 0)
        close(fds[--num]);
}

/* ---- its display ---- */

static void look(struct world *w)
{
    uint8_t bytes[4096];
    int fds[SOCK_FDS_ROOM];
    unsigned num = 0;
    ssize_t n;

    for (int i = 0; w->display >= 0 && i < 64; i++) {
        bool head = w->shown_bytes < sizeof(w->shown);
        void *at = head ? (uint8_t *)&w->shown + w->shown_bytes : bytes;
        size_t want = head ? sizeof(w->shown) - w->shown_bytes
                           : MIN(w->shown_left, sizeof(bytes));

        n = want > 0 ? sock_recv(w->display, at, want, fds, &num) : 0;
        if (want > 0 && n <= 0)
            break;
        if (head)
            w->shown_bytes += (size_t)n;
        else
            w->shown_left -= (uint64_t)n;
        if (head && w->shown_bytes == sizeof(w->shown)) {
            if (w->shown.request < 1 || w->shown.request > 12 ||
                w->shown.flags != 0 || w->shown.size > (64u << 20) + 20)
                abort();
            w->shown_left = w->shown.size;
        }
        if (w->shown_bytes == sizeof(w->shown) && w->shown_left == 0)
            w->shown_bytes = 0;
    }
    while (num > 0)
        close(fds[--num]);
}

static void wire_say(struct world *w, int fd, uint32_t flags)
{
    static const uint32_t sizes[] = {0,  0,  8, 0,  12, 12, 20 + 16384,
                                     12, 20, 0, 20, 4,  48, 0};
    static const uint32_t replies[] = {0, 8, 0, 408, 0, 0,    0,
                                       0, 0, 0, 0,   0, 1056, 0};
    uint8_t what = input_u8(&w->in), how = input_u8(&w->in), bytes[512] = {0};
    struct wire_header h = {what % 14u, how & 0x80 ? how : flags, 0};
    size_t len;

    if (fd < 0)
        return;
    h.size = flags ? replies[h.request] : sizes[h.request];
    if (what == 200 && !flags) { /* GET_EDID has number 11 */
        h.request = WIRE_GET_EDID;
        h.size = 4;
    }
    if (flags && h.request == WIRE_GET_EDID)
        h.size = 1056;
    if (how & 0x40)
        h.size += input_u8(&w->in);
    memcpy(bytes, &h, sizeof(h));
    len = sizeof(h) + h.size;
    if (how & 0x20) /* a part */
        len = input_u8(&w->in);
    while (len > 0) {
        ssize_t n = sock_send(fd, bytes, MIN(len, sizeof(bytes)), &w->mem_fd,
                              (how & 0x0f) == 1);

        if (n <= 0)
            break;
        how = 0;
        memset(bytes, 3, sizeof(bytes));
        len -= (size_t)n;
    }
}

/* ---- the child ---- */

static void serve(struct world *w, bool good)
{
    uint8_t how = good ? 0 : input_u8(&w->in),
            bytes[sizeof(struct msg_header) + 600] = {0};
    struct msg_header h;
    int fds[SOCK_FDS_ROOM];
    unsigned num = 0;
    uint64_t value = how & 1;

    if (w->leg < 0 ||
        sock_recv(w->leg, &h, sizeof(h), fds, &num) != (ssize_t)sizeof(h))
        goto out;
    if (h.size > 0 && sock_recv(w->leg, bytes + sizeof(h), h.size, fds, &num) <
                          (ssize_t)h.size)
        goto out;
    if (h.request == MSG_GPU_SET_SOCKET && num > 0) {
        drop(&w->shows);
        w->shows = fds[--num];
    }
    if (how & 0x10) /* it dies instead */
        goto out;
    switch (h.request) {
    case MSG_GET_CONFIG:
    case MSG_GET_INFLIGHT_FD:
    case MSG_GET_VRING_BASE:
        break;
    case MSG_GET_FEATURES:
        value = UINT64_MAX;
        memcpy(bytes + sizeof(h), &value, sizeof(value));
        h.size = sizeof(value);
        break;
    case MSG_GET_QUEUE_NUM:
        value = how & 2 ? input_u8(&w->in) : 2;
        /* fall through */
    default:
        memcpy(bytes + sizeof(h), &value, sizeof(value));
        h.size = sizeof(value);
    }
    h.flags = MSG_VERSION | MSG_REPLY;
    if (how & 0x20)
        h.request = input_u8(&w->in);
    if (how & 0x40)
        h.size = input_u8(&w->in);
    memcpy(bytes, &h, sizeof(h));
    sock_send(w->leg, bytes, sizeof(h) + h.size, &w->mem_fd,
              how & 0x80 || h.request == MSG_GET_INFLIGHT_FD);
out:
    while (num > 0)
        close(fds[--num]);
}

static void lose(struct world *w)
{
    drop(&w->leg);
    drop(&w->shows);
    relay_child_lost(w->relay);
}

static void step(struct world *w)
{
    uint8_t op = input_u8(&w->in), bytes[64];
    uint8_t len;

    if (op < 70) {
        send_message(w, op < 60);
    } else if (op < 150) {
        for (int i = 0; i < (op < 145 ? 16 : 1); i++) {
            serve(w, op < 145);
            turn(w);
        }
    } else if (op < 160) {
        len = input_u8(&w->in) % 64;
        input_bytes(&w->in, bytes, len);
        if (w->leg >= 0 && len)
            sock_send(w->leg, bytes, len, NULL, 0);
    } else if (op < 190) {
        wire_say(w, w->shows, 0);
    } else if (op < 210) {
        wire_say(w, w->display, WIRE_REPLY);
    } else if (op < 225) {
        lose(w);
    } else if (op < 240) {
        relay_child_here(w->relay);
    } else if (op < 243) {
        relay_leg_ended(w->relay, w->number, "it says so");
    } else if (op < 245) {
        relay_give_up(w->relay, "nobody comes");
    } else if (op < 246) {
        drop(&w->front);
    } else if (op < 249) {
        drop(&w->display);
    } else if (op < 251) {
        drop(&w->shows);
    } else {
        drop(&w->leg);
    }
    turn(w);
    read_answers(w);
    look(w);
    turn(w);
}

static bool say_nothing(const char *bytes, size_t len)
{
    (void)bytes;
    (void)len;
    return true;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    log_set(LOG_ERROR, LOG_TEXT);
    log_set_writer(say_nothing);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {
        .in = {data, data + size}, .leg = -1, .display = -1, .shows = -1};
    struct relay_conf conf = {.id = "fuzz",
                              .home = &w.loop,
                              .kind = SOCK_CONNECTED,
                              .queue_size = 64,
                              .pass = on_pass,
                              .arg = &w};
    int pair[2];

    if (loop_open(&w.loop, "fuzz") < 0 || sock_pair(pair) < 0)
        abort();
    w.front = pair[0];
    conf.fd = pair[1];
    w.mem_fd = memfd_create("fuzz", MFD_CLOEXEC);
    w.kick_fd = event_open();
    if (w.mem_fd < 0 || ftruncate(w.mem_fd, 65536) < 0 || w.kick_fd < 0 ||
        relay_open(&w.relay, &conf, NULL) < 0 || relay_start(w.relay, NULL) < 0)
        abort();
    relay_child_here(w.relay);
    for (int i = 0; i < 3; i++) {
        turn(&w);
        serve(&w, true);
    }
    for (int i = 0; i < STEPS_MAX && w.in.at < w.in.end; i++)
        step(&w);
    relay_close(w.relay, on_closed, &w.closed);
    while (!w.closed)
        uv_run(&w.loop.uv, UV_RUN_ONCE);
    relay_free(w.relay);
    read_all(w.leg);
    drop(&w.front);
    drop(&w.leg);
    drop(&w.display);
    drop(&w.shows);
    loop_close(&w.loop);
    close(w.mem_fd);
    close(w.kick_fd);
    return 0;
}
