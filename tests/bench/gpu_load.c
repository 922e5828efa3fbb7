/* The load of a GPU: a guest's driver and a front-end's display in one program,
 * without a virtual machine. It shows a screen of 1920 x 1080, and redraws a
 * part of it, again and again, and prints what it saw as one JSON object.
 *
 *     bench_gpu --socket S --pid P --damage 64x64 --scattered [--blob]
 *
 * A frame is what a guest's driver does for one: TRANSFER_TO_HOST_2D and
 * RESOURCE_FLUSH of the damage, for a blob RESOURCE_FLUSH alone, shown by one
 * kick. It ends when all its pixels have come out of the display socket and
 * both commands are answered; then the next one begins. Its latency is from the
 * kick to the last pixel.
 *
 * The damage is somewhere else each time, at places of the same generator for
 * everybody. In every frame some of its pixels are new, and must arrive; in
 * the first ones and the last ones all of them are. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front/front.h"
#include "front/gpu.h"
#include "meter.h"
#include "reader.h"
#include "words.h"

#define WIDTH 1920u
#define HEIGHT 1080u
#define PIXEL 4u
#define BYTES (WIDTH * HEIGHT * PIXEL)
#define PAGE 4096u
#define PAGES ((BYTES + PAGE - 1) / PAGE)

#define RESOURCE 1u
#define FORMAT VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define COLOUR 0xffffffu /* the rest of a pixel is nobody's */

#define STAMPS 8        /* new pixels of a frame */
#define FRAMES_WHOLE 3  /* of new pixels only, before and after */
#define COMMAND_LEN 128 /* bytes of room, each */
#define SETTLE_MS 100   /* of silence */

struct options {
    const char *socket;
    uint32_t width, height; /* of the damage */
    bool scattered, blob, packed;
    double seconds, warm;
    int core;
    pid_t pid;
};

/* A command of the guest, and the header of its answer behind it. */
struct command {
    void *request;
    volatile struct virtio_gpu_ctrl_hdr *answer;
    struct vq_buf bufs[2];
};

struct guest {
    const struct options *o;
    struct front *f;
    struct gpu *gpu;
    struct vq *control;
    struct reader display;
    uint8_t *page[PAGES]; /* the picture's, in order */
    struct command transfer, flush;
    uint64_t random;
    uint32_t frame; /* its number */

    struct meter meter;
    uint64_t updates, calls;
};

/* A pixel that is new, and arrives. */
struct stamp {
    uint32_t x, y, colour;
};

/* ---- The picture ---- */

static uint32_t *pixel(struct guest *g, uint32_t x, uint32_t y)
{
    uint32_t at = (y * WIDTH + x) * PIXEL;

    return (uint32_t *)(g->page[at / PAGE] + at % PAGE);
}

/* Pages in no order, as a guest's are after a while. */
static void shuffle(struct guest *g, struct gpu_fb *fb)
{
    struct virtio_gpu_mem_entry swap;

    for (uint32_t i = fb->num - 1; i > 0; i--) {
        uint32_t k = (uint32_t)meter_random(&g->random, i + 1);

        swap = fb->entries[i];
        fb->entries[i] = fb->entries[k];
        fb->entries[k] = swap;
    }
}

static struct gpu_fb *make_picture(struct guest *g)
{
    bool scattered = g->o->scattered;
    struct gpu_fb *fb = gpu_fb_new(g->gpu, WIDTH, HEIGHT, scattered ? PAGE : 0);
    uint64_t gpa;

    if (scattered)
        shuffle(g, fb);
    for (uint32_t i = 0; i < PAGES; i++) {
        gpa = scattered ? le64toh(fb->entries[i].addr)
                        : le64toh(fb->entries[0].addr) + i * PAGE;
        g->page[i] = front_ptr(g->f, gpa);
        front_fill(g->page[i], PAGE, i);
    }
    return fb;
}

/* ---- Commands ---- */

static struct command new_command(struct guest *g, uint32_t len)
{
    uint64_t gpa = front_alloc(g->f, len + COMMAND_LEN, 64);
    struct command c = {
        .request = front_ptr(g->f, gpa),
        .answer = front_ptr(g->f, gpa + len),
        .bufs = {{gpa, len}, {gpa + len, sizeof(struct virtio_gpu_ctrl_hdr)}},
    };

    return c;
}

static void add(struct guest *g, struct command *c, uint32_t type)
{
    struct virtio_gpu_ctrl_hdr *hdr = c->request;

    hdr->type = htole32(type);
    c->answer->type = 0;
    if (vq_add(g->control, c->bufs, 1, 1, c) == VQ_NONE)
        meter_die("the ring is full");
}

static void take_answers(struct guest *g, unsigned num)
{
    struct command *c;
    void *cookie;

    while (num) {
        if (vq_pop(g->control, NULL, &cookie) == VQ_NONE) {
            vq_wait(g->control);
            continue;
        }
        c = cookie;
        if (c->answer->type != htole32(VIRTIO_GPU_RESP_OK_NODATA))
            meter_die("command %#x is answered by %#x",
                      le32toh(*(le32 *)c->request), le32toh(c->answer->type));
        num--;
    }
}

/* Answers what it is asked, and reads what it is shown without having drawn
 * it: a back-end may show at once what a new scanout has. */
static void settle(struct guest *g)
{
    struct pollfd fd = {g->display.fd, POLLIN, 0};
    struct update u;

    while (poll(&fd, 1, SETTLE_MS) > 0)
        reader_read(&g->display, &u);
}

/* ---- Life ---- */

/* In QEMU's order: the display socket comes before the rings start. Its other
 * end is the back-end's alone. */
static void open_session(struct guest *g)
{
    const struct options *o = g->o;
    struct front_conf conf = {
        .queues = 2,
        .size = 64, /* QEMU's */
        .packed = o->packed,
        .event_idx = true,
        .mem_bytes = (uint64_t)BYTES * 2 + (1 << 20),
        /* It would be asked of the display, which has none. */
        .features_off = FEATURE(VIRTIO_GPU_F_EDID),
    };
    struct gpu_fb *fb;
    int end;

    g->f = front_connect_wait(o->socket);
    front_negotiate(g->f, &conf);
    if (o->blob && !(g->f->acked & FEATURE(VIRTIO_GPU_F_RESOURCE_BLOB)))
        meter_die("there are no blobs");
    end = reader_open(&g->display, WIDTH, HEIGHT);
    front_ok(g->f, WIRE_GPU_SET_SOCKET, NULL, 0, &end, 1);
    close(end);
    front_share(g->f);
    front_start_rings(g->f);
    g->gpu = gpu_on(g->f);
    g->control = g->gpu->control;
    settle(g);
    fb = make_picture(g);
    if (o->blob)
        gpu_show_blob(g->gpu, 0, RESOURCE, FORMAT, fb);
    else
        gpu_show(g->gpu, 0, RESOURCE, FORMAT, fb);
    settle(g);
    g->transfer = new_command(g, sizeof(struct virtio_gpu_transfer_to_host_2d));
    g->flush = new_command(g, sizeof(struct virtio_gpu_resource_flush));
}

/* ---- Frames ---- */

static uint32_t hash(uint32_t x, uint32_t y, uint32_t frame)
{
    uint32_t h = x * 0x9e3779b1u ^ y * 0x85ebca77u ^ frame * 0xc2b2ae3du;

    return (h ^ h >> 15) & COLOUR;
}

static void ask(struct guest *g, const struct virtio_gpu_rect *r)
{
    struct virtio_gpu_transfer_to_host_2d *transfer = g->transfer.request;
    struct virtio_gpu_resource_flush *flush = g->flush.request;

    if (!g->o->blob) {
        transfer->r = *r;
        transfer->offset =
            htole64(((uint64_t)le32toh(r->y) * WIDTH + le32toh(r->x)) * PIXEL);
        transfer->resource_id = htole32(RESOURCE);
        add(g, &g->transfer, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D);
    }
    flush->r = *r;
    flush->resource_id = htole32(RESOURCE);
    add(g, &g->flush, VIRTIO_GPU_CMD_RESOURCE_FLUSH);
}

/* Does u show those of the stamps that lie in it? How many do. */
static unsigned check_stamps(const struct update *u, const struct stamp *s)
{
    unsigned seen = 0;

    for (unsigned i = 0; i < STAMPS; i++) {
        uint32_t x = s[i].x - u->x, y = s[i].y - u->y;

        if (x >= u->width || y >= u->height)
            continue;
        if ((u->pixels[y * u->width + x] & COLOUR) != s[i].colour)
            meter_die("a pixel at %u, %u arrives as it is not", s[i].x, s[i].y);
        seen++;
    }
    return seen;
}

static void check_whole(struct guest *g, const struct update *u)
{
    for (uint32_t y = 0; y < u->height; y++)
        for (uint32_t x = 0; x < u->width; x++)
            if ((u->pixels[y * u->width + x] & COLOUR) !=
                (*pixel(g, u->x + x, u->y + y) & COLOUR))
                meter_die("the pixel at %u, %u arrives as it is not", u->x + x,
                          u->y + y);
}

/* Every pixel of it is new. */
static void repaint(struct guest *g, uint32_t left, uint32_t top)
{
    for (uint32_t y = top; y < top + g->o->height; y++)
        for (uint32_t x = left; x < left + g->o->width; x++)
            *pixel(g, x, y) = hash(x, y, g->frame);
}

/* One frame. Updates may come in parts that do not overlap. */
static void frame(struct guest *g, bool whole)
{
    const struct options *o = g->o;
    uint32_t left = (uint32_t)meter_random(&g->random, WIDTH - o->width + 1);
    uint32_t top = (uint32_t)meter_random(&g->random, HEIGHT - o->height + 1);
    const struct virtio_gpu_rect r = {htole32(left), htole32(top),
                                      htole32(o->width), htole32(o->height)};
    uint32_t pixels = o->width * o->height, seen = 0, begin;
    struct stamp stamps[STAMPS];
    uint64_t from, n;
    struct update u;

    g->frame++;
    if (whole)
        repaint(g, left, top);
    begin = (uint32_t)meter_random(&g->random, pixels);
    for (unsigned i = 0; i < STAMPS; i++) {
        /* Never the same one twice. */
        uint32_t at = (begin + pixels / STAMPS * i) % pixels;
        struct stamp *s = &stamps[i];

        s->x = left + at % o->width;
        s->y = top + at / o->width;
        s->colour = hash(s->x, s->y, g->frame);
        *pixel(g, s->x, s->y) = s->colour;
    }
    ask(g, &r);
    vq_calls(g->control, true); /* the driver has its interrupts on */
    from = meter_ticks();
    vq_kick(g->control);
    for (uint32_t left_over = pixels; left_over;) {
        if (!reader_read(&g->display, &u))
            continue;
        if (u.x < left || u.y < top || u.x + u.width > left + o->width ||
            u.y + u.height > top + o->height || u.width * u.height > left_over)
            meter_die("an update of what was not flushed");
        left_over -= u.width * u.height;
        if (!left_over)
            meter_add(&g->meter, meter_ticks() - from);
        g->updates++;
        seen += check_stamps(&u, stamps);
        if (whole)
            check_whole(g, &u);
    }
    if (seen != STAMPS)
        meter_die("updates overlap: not all that was flushed has arrived");
    take_answers(g, o->blob ? 1 : 2);
    if (read(g->control->call_fd, &n, sizeof(n)) == sizeof(n))
        g->calls += n;
}

static void frames_whole(struct guest *g)
{
    for (unsigned i = 0; i < FRAMES_WHOLE; i++)
        frame(g, true);
}

static void run(struct guest *g, double seconds)
{
    uint64_t end_ns;

    g->updates = g->calls = g->control->kicks = 0;
    meter_start(&g->meter, g->o->pid);
    end_ns = g->meter.from_ns + (uint64_t)(seconds * 1e9);
    do
        frame(g, false);
    while (meter_clock_ns() < end_ns);
    meter_stop(&g->meter);
}

/* ---- The program ---- */

/* WIDTHxHEIGHT */
static void parse_damage(void *to, const char *value)
{
    struct options *o = to;

    if (sscanf(value, "%" SCNu32 "x%" SCNu32, &o->width, &o->height) != 2)
        meter_die("--damage WIDTHxHEIGHT");
}

static void parse(struct options *o, int argc, char **argv)
{
    const struct word words[] = {
        {"socket", WORD_TEXT, &o->socket},
        {"pid", WORD_INT, &o->pid},
        {"damage", WORD_OTHER, o, parse_damage},
        {"seconds", WORD_SECONDS, &o->seconds},
        {"warm", WORD_SECONDS, &o->warm},
        {"core", WORD_INT, &o->core},
        {"watch", WORD_OTHER, NULL, words_watch},
        {"scattered", WORD_TRUE, &o->scattered},
        {"blob", WORD_TRUE, &o->blob},
        {"packed", WORD_TRUE, &o->packed},
        {NULL},
    };

    words_read(words, argc, argv);
    if (!o->socket || !o->width || !o->height || o->width > WIDTH ||
        o->height > HEIGHT || o->width * o->height < STAMPS)
        meter_die("usage: bench_gpu --socket PATH --damage WIDTHxHEIGHT ...");
}

int main(int argc, char **argv)
{
    static struct guest guest = {.random = 88172645463325252u};
    struct options o = {
        .width = WIDTH,
        .height = HEIGHT,
        .seconds = 1,
        .warm = 0.2,
        .core = -1,
    };

    parse(&o, argc, argv);
    meter_pin(o.core);
    guest.o = &o;
    open_session(&guest);
    frames_whole(&guest);
    run(&guest, o.warm);
    run(&guest, o.seconds);
    printf("{");
    meter_print(&guest.meter);
    printf(",\"max_ns\":%.0f,\"updates\":%" PRIu64 ",\"kicks\":%" PRIu64
           ",\"calls\":%" PRIu64 "}\n",
           meter_ns(&guest.meter, 1), guest.updates, guest.control->kicks,
           guest.calls);
    fflush(stdout);
    frames_whole(&guest);
    front_free(guest.f);
    reader_close(&guest.display);
    return 0;
}
