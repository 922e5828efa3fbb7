/* The other end of the display's socket: reads messages in pieces of any size,
 * and holds them to the protocol; answers when the input says so.
 *
 * Spec: vhost-user-gpu. What a message changes is kept as a display would have
 * it. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gpu.h"

enum {
    GET_PROTOCOL_FEATURES = 1,
    SET_PROTOCOL_FEATURES,
    GET_DISPLAY_INFO,
    CURSOR_POS,
    CURSOR_POS_HIDE,
    CURSOR_UPDATE,
    SCANOUT,
    UPDATE,
    DMABUF_UPDATE = 10,
    GET_EDID,
    DMABUF_SCANOUT2,
};

#define F_EDID 1u
#define F_DMABUF2 2u
#define FLAG_REPLY 4u
#define IMAGE_BYTES sizeof(front_cursors[0].image)
/* Of payload, in front of pixels. */
#define UPDATE_BYTES 20
#define FIXED_MAX 48
#define QUESTIONS_MAX 256
#define FDS_MAX 8

struct header {
    uint32_t request, flags, size;
};

struct front_scanout front_scanouts[VIRTIO_GPU_MAX_SCANOUTS];
struct front_cursor front_cursors[VIRTIO_GPU_MAX_SCANOUTS];
bool front_lies;

static int sock = -1;
static int fd_came = -1; /* with what has been read, and is of no message yet */

/* The message that is being read. */
static union {
    struct header header;
    uint8_t bytes[sizeof(struct header)];
} head;
static size_t head_len; /* bytes there are of it */
static union {
    uint32_t words[FIXED_MAX / 4];
    uint8_t bytes[FIXED_MAX];
} fixed;
static size_t payload_len; /* bytes there have been of it */
static uint8_t word[4];    /* of the pixel that is being read */

static struct question {
    uint32_t request, scanout;
} questions[QUESTIONS_MAX];
static unsigned num_questions;
static bool has_features; /* it was told which of them are used */
static bool asked_features;
static uint32_t offered, accepted;

/* What is said. */
static uint8_t said[4096];
static size_t said_from, said_to;

/* ---- life ---- */

static void scanout_off(struct front_scanout *s)
{
    free(s->pixels);
    free(s->fresh);
    if (s->dmabuf)
        munmap(s->dmabuf, s->dmabuf_len);
    memset(s, 0, sizeof(*s));
}

static void scanout_size(struct front_scanout *s, uint32_t width,
                         uint32_t height)
{
    size_t n = (size_t)width * height;

    scanout_off(s);
    if (n == 0)
        return;
    s->width = width;
    s->height = height;
    s->pixels = calloc(n, sizeof(*s->pixels));
    s->fresh = calloc(n, sizeof(*s->fresh));
    CHECK(s->pixels && s->fresh);
}

/* DMABUF_SCANOUT2, as it is in fixed.words. */
static void scanout_dmabuf(struct front_scanout *s)
{
    const uint32_t *w = fixed.words;
    const struct rect r = {w[1], w[2], w[3], w[4]};
    void *at;

    scanout_off(s);
    if (r.width == 0)
        return;
    CHECK(fd_came >= 0 && rect_fits(&r, w[5], w[6]));
    CHECK(w[7] == w[5] * 4 && w[8] == 0 && w[10] == 0 && w[11] == 0);
    s->dmabuf_len = (size_t)w[7] * w[6];
    at = mmap(NULL, s->dmabuf_len, PROT_READ, MAP_SHARED, fd_came, 0);
    CHECK(at != MAP_FAILED);
    close(fd_came);
    fd_came = -1;
    s->dmabuf = at;
    s->width = r.width;
    s->height = r.height;
    s->stride = w[7];
    s->offset = (uint64_t)r.y * s->stride + r.x * 4;
    s->fresh = calloc((size_t)r.width * r.height, sizeof(*s->fresh));
    CHECK(s->fresh);
}

void front_open(int fd)
{
    front_close();
    sock = fd;
    head_len = payload_len = 0;
    num_questions = 0;
    has_features = asked_features = false;
    offered = accepted = 0;
    said_from = said_to = 0;
    memset(front_cursors, 0, sizeof(front_cursors));
}

void front_close(void)
{
    if (sock >= 0)
        close(sock);
    if (fd_came >= 0)
        close(fd_came);
    sock = fd_came = -1;
    for (unsigned i = 0; i < ARRAY_LEN(front_scanouts); i++)
        scanout_off(&front_scanouts[i]);
}

bool front_is_open(void)
{
    return sock >= 0;
}

unsigned front_questions(void)
{
    return num_questions;
}

/* ---- what it is told ---- */

static size_t fixed_len(uint32_t request)
{
    switch (request) {
    case SET_PROTOCOL_FEATURES:
        return 8;
    case CURSOR_POS:
    case CURSOR_POS_HIDE:
    case SCANOUT:
        return 12;
    case CURSOR_UPDATE:
    case UPDATE:
    case DMABUF_UPDATE:
        return UPDATE_BYTES;
    case GET_EDID:
        return 4;
    case DMABUF_SCANOUT2:
        return 48;
    default:
        return 0;
    }
}

static void check_header(const struct header *h)
{
    size_t len = fixed_len(h->request);

    CHECK(h->flags == 0);
    CHECK(asked_features || h->request == GET_PROTOCOL_FEATURES);
    switch (h->request) {
    case GET_PROTOCOL_FEATURES:
        CHECK(!asked_features);
        asked_features = true;
        break;
    case GET_EDID:
        CHECK(has_features && accepted & F_EDID);
        break;
    case CURSOR_UPDATE:
        len += IMAGE_BYTES;
        break;
    case UPDATE:
        CHECK(h->size > len);
        return;
    case DMABUF_UPDATE:
    case DMABUF_SCANOUT2:
        CHECK(has_features && accepted & F_DMABUF2);
        break;
    case GET_DISPLAY_INFO:
    case SET_PROTOCOL_FEATURES:
    case CURSOR_POS:
    case CURSOR_POS_HIDE:
    case SCANOUT:
        break;
    default:
        abort();
    }
    CHECK(h->size == len);
}

static struct rect update_rect(void)
{
    return (struct rect){fixed.words[1], fixed.words[2], fixed.words[3],
                         fixed.words[4]};
}

static bool is_asked(uint32_t request)
{
    for (unsigned i = 0; i < num_questions; i++)
        if (questions[i].request == request)
            return true;
    return false;
}

static void update_is_here(void)
{
    struct front_scanout *s = &front_scanouts[fixed.words[0]];
    struct rect r = update_rect();

    for (uint32_t y = r.y; y < r.y + r.height; y++)
        memset(s->fresh + (size_t)y * s->width + r.x, true, r.width);
}

/* The part in front of pixels is there. */
static void check_fixed(const struct header *h)
{
    uint32_t scanout = fixed.words[0];
    struct rect r;

    switch (h->request) {
    case SET_PROTOCOL_FEATURES:
        CHECK(!has_features && fixed.words[1] == 0);
        CHECK((fixed.words[0] & ~(F_EDID | F_DMABUF2)) == 0);
        CHECK((fixed.words[0] & ~offered) == 0 || front_lies);
        accepted = fixed.words[0];
        has_features = true;
        return;
    case GET_PROTOCOL_FEATURES:
    case GET_DISPLAY_INFO:
        return;
    default:
        CHECK(scanout < VIRTIO_GPU_MAX_SCANOUTS);
    }
    if (h->request == SCANOUT) {
        CHECK(fixed.words[1] <= GPU_SIDE_MAX && fixed.words[2] <= GPU_SIDE_MAX);
        CHECK((fixed.words[1] == 0) == (fixed.words[2] == 0));
    } else if (h->request == UPDATE || h->request == DMABUF_UPDATE) {
        r = update_rect();
        CHECK(rect_fits(&r, front_scanouts[scanout].width,
                        front_scanouts[scanout].height));
        if (h->request == UPDATE)
            CHECK(h->size == UPDATE_BYTES + (uint64_t)r.width * r.height * 4);
        CHECK(!front_scanouts[scanout].pixels == (h->request != UPDATE));
    }
    /* Whoever has not answered is not sent more fds. */
    if (h->request == DMABUF_UPDATE ||
        (h->request == DMABUF_SCANOUT2 && fixed.words[3]))
        CHECK(front_lies || !is_asked(DMABUF_UPDATE));
}

static void pixel(const struct header *h, size_t n, uint32_t value)
{
    struct front_scanout *s = &front_scanouts[fixed.words[0]];
    struct rect r = update_rect();
    size_t at;

    if (h->request == CURSOR_UPDATE) {
        front_cursors[fixed.words[0]].image[n] = value;
        return;
    }
    at = (r.y + n / r.width) * s->width + r.x + n % r.width;
    s->pixels[at] = value;
}

static void question(const struct header *h)
{
    CHECK(num_questions < QUESTIONS_MAX);
    questions[num_questions++] = (struct question){
        h->request, h->request == GET_EDID ? fixed.words[0] : 0};
}

static void message_done(const struct header *h)
{
    struct front_cursor *c;

    switch (h->request) {
    case SCANOUT:
        scanout_size(&front_scanouts[fixed.words[0]], fixed.words[1],
                     fixed.words[2]);
        break;
    case CURSOR_POS:
    case CURSOR_POS_HIDE:
    case CURSOR_UPDATE:
        c = &front_cursors[fixed.words[0]];
        c->x = fixed.words[1];
        c->y = fixed.words[2];
        c->visible = h->request != CURSOR_POS_HIDE;
        if (h->request != CURSOR_UPDATE)
            break;
        c->defined = true;
        c->hot_x = fixed.words[3];
        c->hot_y = fixed.words[4];
        break;
    case DMABUF_SCANOUT2:
        scanout_dmabuf(&front_scanouts[fixed.words[0]]);
        break;
    case DMABUF_UPDATE:
        update_is_here();
        question(h);
        break;
    case UPDATE:
        update_is_here();
        break;
    case GET_PROTOCOL_FEATURES:
    case GET_DISPLAY_INFO:
    case GET_EDID:
        question(h);
        break;
    default:
        break;
    }
}

static void hear(uint8_t b)
{
    const struct header *h = &head.header;

    if (head_len < sizeof(head.bytes)) {
        head.bytes[head_len++] = b;
        if (head_len < sizeof(head.bytes))
            return;
        check_header(h);
        if (fixed_len(h->request) == 0)
            check_fixed(h);
    } else {
        size_t n = payload_len++, len = fixed_len(h->request);

        if (n < len) {
            fixed.bytes[n] = b;
            if (n + 1 == len)
                check_fixed(h);
        } else {
            uint32_t value;

            word[(n - len) % 4] = b;
            memcpy(&value, word, 4);
            if ((n - len) % 4 == 3)
                pixel(h, (n - len) / 4, value);
        }
    }
    if (payload_len == h->size) {
        message_done(h);
        head_len = payload_len = 0;
    }
}

static ssize_t receive(uint8_t *to, size_t len)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {to, len};
    struct msghdr m = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t got = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&m) : NULL;

    if (!c)
        return got;
    /* One at a time. What was sent before may have come with it. */
    CHECK(!(m.msg_flags & MSG_CTRUNC) && c->cmsg_type == SCM_RIGHTS);
    CHECK(c->cmsg_len == CMSG_LEN(sizeof(int)) && fd_came < 0);
    memcpy(&fd_came, CMSG_DATA(c), sizeof(fd_came));
    return got;
}

size_t front_read(size_t max)
{
    static uint8_t bytes[65536];
    size_t all = 0;

    while (sock >= 0 && all < max) {
        ssize_t got = receive(bytes, MIN(sizeof(bytes), max - all));

        if (got <= 0)
            break;
        for (ssize_t i = 0; i < got; i++)
            hear(bytes[i]);
        all += (size_t)got;
    }
    return all;
}

/* ---- what it says ---- */

void front_say_bytes(const void *bytes, size_t len)
{
    if (said_from == said_to)
        said_from = said_to = 0;
    len = MIN(len, sizeof(said) - said_to);
    memcpy(said + said_to, bytes, len);
    said_to += len;
}

size_t front_say(size_t max)
{
    size_t len = MIN(max, said_to - said_from);
    ssize_t sent;

    if (sock < 0 || len == 0)
        return 0;
    sent = send(sock, said + said_from, len, MSG_NOSIGNAL);
    if (sent < 0) /* it has hung up, or does not read */
        return 0;
    said_from += (size_t)sent;
    return (size_t)sent;
}

void front_hang_up(bool read, bool write)
{
    if (sock < 0)
        return;
    if (read && write)
        front_close();
    else if (read || write)
        shutdown(sock, read ? SHUT_RD : SHUT_WR);
}

void front_say_fds(unsigned num)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control;
    uint8_t byte = u8();
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    struct cmsghdr *c;
    int fds[FDS_MAX];

    if (sock < 0)
        return;
    CHECK(num <= FDS_MAX);
    for (unsigned i = 0; i < num; i++)
        fds[i] = STDERR_FILENO;
    memset(&control, 0, sizeof(control));
    m.msg_control = &control;
    m.msg_controllen = CMSG_SPACE(num * sizeof(int));
    c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(num * sizeof(int));
    memcpy(CMSG_DATA(c), fds, num * sizeof(int));
    sendmsg(sock, &m, MSG_NOSIGNAL);
}

static uint32_t side(void)
{
    static const uint32_t sides[] = {1, 16, 64, 640, 1024, 4095, 4096, 16384};

    return sides[u8() % ARRAY_LEN(sides)];
}

static void say_displays(void)
{
    struct virtio_gpu_resp_display_info info;
    uint8_t which = u8();

    memset(&info, 0, sizeof(info));
    info.hdr.type = htole32(VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
    for (unsigned i = 0; i < VIRTIO_GPU_MAX_SCANOUTS; i++) {
        struct virtio_gpu_display_one *d = &info.pmodes[i];

        d->r.width = htole32(64);
        d->r.height = htole32(48);
        d->enabled = htole32(i == 0);
        if (i >= 4 || !(which & 1u << i))
            continue;
        d->r.x = htole32(u8());
        d->r.width = htole32(side());
        d->r.height = htole32(side());
        d->enabled = htole32(which >> 4 & 1);
    }
    front_say_bytes(&info, sizeof(info));
}

static void say_edid(void)
{
    struct virtio_gpu_resp_edid edid;

    memset(&edid, u8(), sizeof(edid));
    memset(&edid.hdr, 0, sizeof(edid.hdr));
    edid.hdr.type = htole32(VIRTIO_GPU_RESP_OK_EDID);
    edid.size = htole32(128u * (u8() % 9));
    front_say_bytes(&edid, sizeof(edid));
}

bool front_answer(void)
{
    const struct question q = questions[0];
    struct header h = {q.request, FLAG_REPLY, 0};
    uint64_t all;

    if (num_questions == 0 || said_to - said_from > 2048)
        return false;
    if (said_from > 0) {
        memmove(said, said + said_from, said_to - said_from);
        said_to -= said_from;
        said_from = 0;
    }
    memmove(questions, questions + 1, --num_questions * sizeof(questions[0]));
    switch (q.request) {
    case GET_PROTOCOL_FEATURES:
        h.size = 8;
        front_say_bytes(&h, sizeof(h));
        offered = u8();
        all = offered;
        front_say_bytes(&all, sizeof(all));
        break;
    case DMABUF_UPDATE:
        front_say_bytes(&h, sizeof(h));
        break;
    case GET_DISPLAY_INFO:
        h.size = sizeof(struct virtio_gpu_resp_display_info);
        front_say_bytes(&h, sizeof(h));
        say_displays();
        break;
    default:
        h.size = sizeof(struct virtio_gpu_resp_edid);
        front_say_bytes(&h, sizeof(h));
        say_edid();
    }
    return true;
}
