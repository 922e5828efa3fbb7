/* Fuzzes a whole vhost-user session: the input is a list of messages with fds,
 * sent to an endpoint over a socket pair, and writes to the shared memory in
 * between, so that rings start, run, and stop on whatever is there.
 *
 * Each step is a byte that says what to do:
 *   0..199  a message: request = byte % 48, then flags byte, fd byte (how many
 *           of which kind), then up to 64 bytes of payload, the rest zeros up
 *           to the size the message should have (or one off, by flags)
 *   200..229 bytes into guest memory
 *   230..255 kick a ring
 * A small device pops every chain, reads and writes a little, and answers. */
#include <fcntl.h>
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
#include "vhost/endpoint.h"
#include "vhost/msg.h"
#include "virtio/device.h"

#define GUEST_BYTES 65536
#define STEPS_MAX 200
#define TURNS 4
#define QUEUES 2

/* ---- the device ---- */

static uint64_t features(struct device *d)
{
    (void)d;
    return 0x3f;
}

static void config_read(struct device *d, void *config)
{
    (void)d;
    memset(config, 7, 32);
}

static int config_write(struct device *d, uint32_t offset, const void *data,
                        uint32_t len)
{
    (void)d;
    (void)data;
    return offset + len > 16 ? 0 : -13;
}

static void ring_kick(struct device *d, struct ring *q)
{
    uint8_t bytes[64];
    struct chain *c;

    (void)d;
    while ((c = ring_pop(q)) != NULL) {
        chain_read(c, 3, bytes, sizeof(bytes));
        chain_done(c, (uint32_t)chain_write(c, 0, bytes, sizeof(bytes)));
    }
}

static void device_close(struct device *d)
{
    (void)d;
}

static const struct device_ops ops = {
    .features = features,
    .config_len = 32,
    .config_read = config_read,
    .config_write = config_write,
    .ring_kick = ring_kick,
    .close = device_close,
};

/* ---- the front-end ---- */

struct front {
    int sock, mem_fd, kick[QUEUES];
    uint8_t *mem;
};

static void send_message(struct front *f, uint8_t op, struct input *in)
{
    uint8_t bytes[12 + 512] = {0}, *payload = bytes + 12;
    uint32_t head[3];
    uint8_t flags = input_u8(in), fds = input_u8(in);
    int list[16];
    unsigned n = 0;

    input_bytes(in, payload, 64);
    head[0] = op % 48u;
    head[1] = flags & 0x80 ? flags : (MSG_VERSION | (flags & MSG_NEED_REPLY));
    head[2] = message_bytes(head[0], payload) + ((flags & 0x40) ? 1u : 0u);
    memcpy(bytes, head, sizeof(head));
    for (n = 0; n < (fds & 0xfu) % 10u; n++) {
        switch ((fds >> 4) % 4) {
        case 0:
        case 1:
            list[n] = f->mem_fd;
            break;
        case 2:
            list[n] = f->kick[n % QUEUES];
            break;
        default:
            list[n] = f->sock;
        }
    }
    sock_send(f->sock, bytes, 12 + head[2], list, n);
}

static void drain_replies(struct front *f)
{
    uint8_t bytes[512];
    int fds[SOCK_FDS_MAX];
    unsigned n;

    for (;;) {
        n = 0;
        if (sock_recv(f->sock, bytes, sizeof(bytes), fds, &n) <= 0)
            break;
        while (n)
            close(fds[--n]);
    }
    while (n)
        close(fds[--n]);
}

static void turn(struct loop *l)
{
    for (int i = 0; i < TURNS; i++)
        uv_run(&l->uv, UV_RUN_NOWAIT);
}

static void on_closed(struct endpoint *ep, void *arg)
{
    (void)ep;
    *(bool *)arg = true;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    log_set(LOG_ERROR, LOG_TEXT);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct loop loop;
    struct loop *loops[QUEUES] = {&loop, &loop};
    struct device d = {.ops = &ops,
                       .id = "fuzz",
                       .num_queues = QUEUES,
                       .priv_size = 16,
                       .home = &loop,
                       .ring_loop = loops};
    struct endpoint_conf conf = {
        .kind = SOCK_CONNECTED, .queue_size = 1024, .drain_timeout_ms = 1000};
    struct endpoint *ep;
    struct front f;
    bool closed = false;
    int pair[2];

    if (loop_open(&loop, "fuzz") < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   pair) < 0)
        abort();
    f.sock = pair[0];
    conf.fd = pair[1];
    f.mem_fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (f.mem_fd < 0 || ftruncate(f.mem_fd, GUEST_BYTES) < 0)
        abort();
    f.mem = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                 f.mem_fd, 0);
    if (f.mem == MAP_FAILED)
        abort();
    for (int i = 0; i < QUEUES; i++)
        f.kick[i] = event_open();
    if (endpoint_open(&ep, &d, &conf, NULL) < 0 || endpoint_start(ep, NULL) < 0)
        abort();

    for (int step = 0; step < STEPS_MAX && in.at < in.end; step++) {
        uint8_t op = input_u8(&in);

        if (op < 200) {
            send_message(&f, op, &in);
        } else if (op < 230) {
            uint32_t at = (uint32_t)input_u8(&in) << 8 | input_u8(&in);
            uint8_t len = input_u8(&in);

            input_bytes(&in, f.mem + MIN(at, GUEST_BYTES - 256u), len);
        } else {
            event_signal(f.kick[op % QUEUES]);
        }
        turn(&loop);
        drain_replies(&f);
    }

    close(f.sock);
    endpoint_close(ep, on_closed, &closed);
    while (!closed)
        uv_run(&loop.uv, UV_RUN_ONCE);
    endpoint_free(ep);
    loop_close(&loop);
    munmap(f.mem, GUEST_BYTES);
    close(f.mem_fd);
    for (int i = 0; i < QUEUES; i++)
        close(f.kick[i]);
    return 0;
}
