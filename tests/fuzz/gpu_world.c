/* The loop, its clock, the device and its sessions, for GPUs that are fuzzed.
 *
 * The clock of loops stands still but for clock_forward(): libuv asks for it by
 * clock_gettime, which is ours here, so that timers fire when the input says
 * so, and an input does the same each time. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "gpu.h"
#include "os/closer.h"
#include "os/keep.h"
#include "os/udmabuf.h"

#define CONFIGS_MAX 4

const struct world_conf *world;
const struct device_type *device_type;
struct loop loop;
struct device *device;
uint64_t features;

static struct loop *ring_loops[RINGS] = {&loop, &loop};
static const struct world_conf *worlds;
static const struct conf_any *confs[CONFIGS_MAX];
static uint64_t clock_ms = 1000000;

static enum { NO_SESSION, STARTING, STARTED } session;
static bool rings_run, begins_anew;

/* Sockets that the device has, by number. */
static bool held[1024];
static unsigned num_held;
static int display_fd = -1;
static bool display_was_given; /* by this session */
static int fds_used;

/* ---- the clock ---- */

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int clock_gettime(clockid_t id, struct timespec *ts)
{
    if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)
        return (int)syscall(SYS_clock_gettime, id, ts);
    ts->tv_sec = (time_t)(clock_ms / 1000);
    ts->tv_nsec = (long)(clock_ms % 1000) * 1000000;
    return 0;
}

void clock_forward(unsigned ms)
{
    clock_ms += ms;
}

/* ---- dma-bufs ---- */

/* Those of a kernel that has them, whose dma-bufs are the files they are of. */

bool udmabuf_is_there(void)
{
    return true;
}

int udmabuf_create(int memfd, uint64_t offset, uint64_t len)
{
    CHECK(offset % 4096 == 0 && len % 4096 == 0);
    /* A file has them from its beginning. */
    if (offset > 0 || u8() == 0xee)
        return -ENODEV;
    return fcntl(memfd, F_DUPFD_CLOEXEC, 0);
}

/* ---- the input ---- */

static const uint8_t *in_at, *in_end;

void input_set(const uint8_t *data, size_t size)
{
    in_at = data;
    in_end = data + size;
}

bool input_ended(void)
{
    return in_at >= in_end;
}

uint8_t u8(void)
{
    return in_at < in_end ? *in_at++ : 0;
}

uint16_t u16(void)
{
    uint16_t low = u8();

    return (uint16_t)(low | u8() << 8);
}

uint32_t u32(void)
{
    uint32_t low = u16();

    return low | (uint32_t)u16() << 16;
}

/* ---- vhost's part ---- */

static void on_started(struct device *d, const struct err *e)
{
    CHECK(d == device && !e && session == STARTING);
    session = STARTED;
}

static void on_config_changed(struct device *d)
{
    CHECK(d == device);
}

static void on_give_back(struct device *d, int fd)
{
    CHECK(d == device && fd >= 0 && fd < (int)ARRAY_LEN(held));
    CHECK(held[fd] || front_lies); /* else the front has sent it */
    num_held -= held[fd];
    held[fd] = false;
    if (fd == display_fd) {
        /* Nobody but the front may be the reason. */
        CHECK(front_lies || !front_is_open() || world->headless);
        display_fd = -1;
    }
    close(fd);
}

static const struct device_host host = {
    .started = on_started,
    .config_changed = on_config_changed,
    .give_back = on_give_back,
};

/* ---- displays ---- */

static void let_go_of_display(void)
{
    /* It is no more the one that has to be kept. */
    display_fd = -1;
    front_close();
}

void display_give(unsigned send_bytes)
{
    int fds[2], size = (int)send_bytes;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                     fds) == 0);
    CHECK(fds[0] < (int)ARRAY_LEN(held) && !held[fds[0]]);
    let_go_of_display();
    held[fds[0]] = true;
    num_held++;
    display_fd = fds[0];
    front_open(fds[1]);
    display_was_given = true;
    device->ops->display(device, fds[0]);
    if (display_fd >= 0) /* however much it has asked for */
        CHECK(setsockopt(display_fd, SOL_SOCKET, SO_SNDBUF, &size,
                         sizeof(size)) == 0);
}

void display_take(void)
{
    let_go_of_display();
    display_was_given = false;
    device->ops->display(device, -1);
}

bool display_is_held(void)
{
    return display_fd >= 0;
}

/* ---- sessions ---- */

bool session_runs(void)
{
    return session == STARTED && rings_run;
}

void session_begin(uint64_t ack, bool recovered)
{
    const struct device_start start = {.features = ack, .recovered = recovered};

    if (session != NO_SESSION)
        return;
    features = ack;
    session = STARTING;
    begins_anew = !recovered;
    device->ops->start(device, &start);
}

void session_end(void)
{
    if (session == NO_SESSION)
        return;
    if (rings_run)
        rings_end();
    rings_run = false;
    session = NO_SESSION;
    if (display_was_given)
        display_take();
    if (device->ops->stop)
        device->ops->stop(device);
}

static void look(void)
{
    if (session == STARTED && !rings_run) {
        rings_begin(begins_anew);
        rings_run = true;
    }
    guest_look();
}

void world_turn(void)
{
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    look();
}

/* ---- the config space ---- */

void config_look(void)
{
    struct virtio_gpu_config c;

    memset(&c, 0xee, sizeof(c));
    CHECK(device->ops->config_len == sizeof(c));
    device->ops->config_read(device, &c);
    CHECK((le32toh(c.events_read) & ~VIRTIO_GPU_EVENT_DISPLAY) == 0);
    CHECK(c.events_clear == 0 && c.num_capsets == 0);
    CHECK(le32toh(c.num_scanouts) >= 1 &&
          le32toh(c.num_scanouts) <= VIRTIO_GPU_MAX_SCANOUTS);
}

void config_write(uint32_t offset, uint32_t value, uint32_t len)
{
    le32 bytes[4] = {htole32(value), htole32(value), htole32(value),
                     htole32(value)};

    CHECK(offset <= sizeof(bytes) && len <= sizeof(bytes) - offset);
    if (device->ops->config_write)
        device->ops->config_write(device, offset, bytes, len);
    config_look();
}

/* ---- all of it ---- */

static const struct conf_key root_keys[] = {
    {"device", CONF_UNION, 0, .required = true, .of = &device_union},
    {NULL},
};

static const struct conf_table root_table = {
    .name = "fuzz",
    .size = sizeof(struct conf_any),
    .keys = root_keys,
};

void world_init(const struct world_conf *configs, unsigned num)
{
    static struct conf_doc *docs[CONFIGS_MAX]; /* kept */
    struct errs errs = ERRS_EMPTY;

    CHECK(num <= CONFIGS_MAX);
    worlds = configs;
    log_set(LOG_ERROR, LOG_TEXT);
    CHECK(loop_open(&loop, "fuzz") == 0);
    loop.devices = 1;
    for (unsigned i = 0; i < num; i++) {
        const char *text = configs[i].text;
        void *out;

        CHECK(conf_read_text(&docs[i], &out, &root_table, text, strlen(text),
                             "/", NULL, &errs) == 0);
        confs[i] = out;
    }
    guest_init();
}

/* All others are in use. */
static int lowest_fd(void)
{
    int fd = dup(STDERR_FILENO);

    CHECK(fd >= 0);
    close(fd);
    return fd;
}

static void device_open(void)
{
    const struct conf_any *conf = confs[world - worlds];
    struct errs errs = ERRS_EMPTY;
    struct err e;

    CHECK(device_type->open(&device, conf, &errs) == 0);
    CHECK(device->num_queues == RINGS);
    device->home = &loop;
    device->ring_loop = ring_loops;
    device->host = &host;
    if (device->ops->begin)
        CHECK(device->ops->begin(device, &e) == 0);
    CHECK((device->ops->features(device) & ~ALL_FEATURES) == 0);
    config_look();
}

static void device_close(void)
{
    CHECK(session == NO_SESSION);
    device->ops->close(device);
    device = NULL;
    display_fd = -1;
    for (int i = 0; i < 4; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    calls_end();
    CHECK(num_held == 0);
    front_close();
    CHECK(loop.unseen == 0);
}

void world_open(const struct world_conf *config)
{
    world = config;
    device_type = device_type_of(confs[config - worlds]);
    guest_begin();
    model_begin();
    calls_begin();
    front_lies = false;
    fds_used = lowest_fd();
    device_open();
}

void world_close(void)
{
    device_close();
    closer_unmap_wait(); /* a thread closes what is large */
    CHECK(lowest_fd() == fds_used);
    model_begin(); /* frees */
}

/* ---- another device goes on ---- */

#define ID "fuzz" /* of each device */

/* Where there are pages: the n-th word there that is not 0, or so. */
static uint64_t *find_word(int fd, uint64_t *words, unsigned n)
{
    uint64_t *last = words;
    off_t at = 0, end;

    while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
        end = lseek(fd, at, SEEK_HOLE);
        for (; at < end; at += (off_t)sizeof(*words)) {
            if (words[at / 8] == 0)
                continue;
            last = &words[at / 8];
            if (n-- == 0)
                return last;
        }
    }
    return last;
}

static uint64_t spoilt(uint64_t word, const uint64_t *other)
{
    switch (u8() % 8) {
    case 0:
        return word + 1;
    case 1:
        return word - 1;
    case 2:
        return word ^ UINT64_C(1) << (u8() & 63);
    case 3:
        return 0;
    case 4:
        return *other;
    case 5:
        return word ^ (uint64_t)u32() << 32;
    case 6:
        return (word & ~(uint64_t)UINT32_MAX) | u32();
    default:
        return word << 32 | word >> 32;
    }
}

static void spoil(const struct keep_item *item)
{
    size_t num = item->len / sizeof(uint64_t);
    uint64_t *words =
        mmap(NULL, item->len, PROT_READ | PROT_WRITE, MAP_SHARED, item->fd, 0);

    CHECK(words != MAP_FAILED);
    for (unsigned n = 1 + u8() % 8; n > 0; n--) {
        uint64_t *word = find_word(item->fd, words, u16());
        size_t more = u8() % 4; /* what is zero too, some of it */

        if ((size_t)(word - words) + more < num)
            word += more;
        *word = spoilt(*word, find_word(item->fd, words, u8()));
    }
    munmap(words, item->len);
}

#define SPOILT_MAX (UINT64_C(1) << 30) /* more is pixels, which may be any */

void world_hand_over(bool spoils)
{
    struct keep_item *items;
    struct err e;
    int num;

    display_take();
    CHECK(device->ops->save(device, &e) == 0);
    num = keep_take(ID, &items);
    CHECK(num > 0);
    device_close();
    for (int i = 0; i < num; i++) {
        if (spoils && items[i].len <= SPOILT_MAX)
            spoil(&items[i]);
        close(items[i].fd);
    }
    free(items);
    keep_untake(ID);
    calls_begin();
    device_open();
}
