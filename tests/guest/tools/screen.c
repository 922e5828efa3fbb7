/* A guest's program that has a screen, by libdrm: it shows pictures whose every
 * pixel the test knows (rig/picture.py computes the same), and a cursor, which
 * modetest cannot hold still. One command per line of standard input, each
 * answered when the kernel has taken it:
 *
 *     mode W H            the mode of that size, with painted() in it
 *     box X Y W H COLOUR  a rectangle of one colour: only that is flushed
 *     storm SEED N        N boxes by a generator that rig/picture.py has too;
 *                         tells "== boxes N" now and then
 *     cursor X Y HX HY    a cursor with cursor_pixel() in it, its hot spot
 * there move X Y hide preferred           tells "== preferred W H" hotplug
 * waits until the kernel says that displays have changed end
 *
 * Run in a guest (scenario gpu), as root. */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xf86drm.h>
#include <xf86drmMode.h>

#define CARD "/dev/dri/card0"
#define CURSOR_SIDE 64
#define STORM_TURN 20
#define KERNEL_EVENTS 1 /* the kernel's own group; udev has another */

struct buffer {
    uint32_t width, height, handle, fb;
    uint32_t stride; /* pixels */
    uint32_t *pixels;
    size_t bytes;
};

struct screen {
    int fd, events;
    uint32_t connector, crtc;
    struct buffer shown, cursor;
};

__attribute__((noreturn, format(printf, 1, 2))) static void
fail(const char *format, ...)
{
    va_list args;

    printf("guest_screen: ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf(": %s\n", strerror(errno));
    exit(1);
}

/* No two neighbours are alike, and each colour goes all its way. */
static uint32_t painted(const struct buffer *b, uint32_t x, uint32_t y)
{
    return x * 255 / b->width << 16 | y * 255 / b->height << 8 |
           ((x ^ y) & 255);
}

/* Premultiplied: a triangle whose rows get more solid downwards. */
static uint32_t cursor_pixel(uint32_t x, uint32_t y)
{
    uint32_t alpha = 4 * y + 3;

    return x <= y ? alpha << 24 | alpha << 16 | alpha / 2 << 8 : 0;
}

static struct buffer buffer_make(int fd, uint32_t width, uint32_t height)
{
    struct drm_mode_create_dumb create = {
        .width = width, .height = height, .bpp = 32};
    struct drm_mode_map_dumb map = {0};
    struct buffer b = {.width = width, .height = height};

    if (drmIoctl(fd, DRM_IOCTL_MODE_CREATE_DUMB, &create) < 0)
        fail("no buffer of %ux%u", width, height);
    map.handle = b.handle = create.handle;
    b.stride = create.pitch / 4;
    b.bytes = create.size;
    if (drmIoctl(fd, DRM_IOCTL_MODE_MAP_DUMB, &map) < 0)
        fail("no place of a buffer");
    b.pixels = mmap(NULL, b.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                    (off_t)map.offset);
    if (b.pixels == MAP_FAILED)
        fail("a buffer cannot be mapped");
    return b;
}

static void buffer_end(int fd, struct buffer *b)
{
    struct drm_mode_destroy_dumb destroy = {.handle = b->handle};

    if (!b->pixels)
        return;
    if (b->fb)
        drmModeRmFB(fd, b->fb);
    munmap(b->pixels, b->bytes);
    drmIoctl(fd, DRM_IOCTL_MODE_DESTROY_DUMB, &destroy);
    *b = (struct buffer){0};
}

static void screen_open(struct screen *s)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK,
                                 .nl_groups = KERNEL_EVENTS};
    drmModeRes *r;

    s->events =
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
    if (s->events < 0 ||
        bind(s->events, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
        fail("the kernel's events");
    s->fd = open(CARD, O_RDWR | O_CLOEXEC);
    if (s->fd < 0)
        fail(CARD);
    r = drmModeGetResources(s->fd);
    if (!r || r->count_connectors < 1 || r->count_crtcs < 1)
        fail("no screen");
    s->connector = r->connectors[0];
    s->crtc = r->crtcs[0];
    drmModeFreeResources(r);
}

static void mode(struct screen *s, uint32_t width, uint32_t height)
{
    drmModeConnector *c = drmModeGetConnector(s->fd, s->connector);
    struct buffer b = buffer_make(s->fd, width, height);
    drmModeModeInfo *found = NULL;

    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            b.pixels[y * b.stride + x] = painted(&b, x, y);
    for (int i = 0; c && !found && i < c->count_modes; i++)
        if (c->modes[i].hdisplay == width && c->modes[i].vdisplay == height)
            found = &c->modes[i];
    if (!found)
        fail("no mode of %ux%u", width, height);
    if (drmModeAddFB(s->fd, width, height, 24, 32, b.stride * 4, b.handle,
                     &b.fb) < 0 ||
        drmModeSetCrtc(s->fd, s->crtc, b.fb, 0, 0, &s->connector, 1, found) < 0)
        fail("the mode of %ux%u", width, height);
    drmModeFreeConnector(c);
    buffer_end(s->fd, &s->shown);
    s->shown = b;
}

static void box(struct screen *s, const uint32_t at[4], uint32_t colour)
{
    const struct buffer *b = &s->shown;
    drmModeClip clip = {(uint16_t)at[0], (uint16_t)at[1],
                        (uint16_t)(at[0] + at[2]), (uint16_t)(at[1] + at[3])};

    for (uint32_t y = at[1]; y < at[1] + at[3] && y < b->height; y++)
        for (uint32_t x = at[0]; x < at[0] + at[2] && x < b->width; x++)
            b->pixels[y * b->stride + x] = colour;
    if (drmModeDirtyFB(s->fd, b->fb, &clip, 1) < 0)
        fail("a rectangle cannot be flushed");
}

static uint32_t next_number(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1103515245 + 12345;
    return (*seed >> 16) % below;
}

static void storm(struct screen *s, uint32_t seed, uint32_t boxes)
{
    for (uint32_t i = 1; i <= boxes; i++) {
        uint32_t at[4];

        at[0] = next_number(&seed, s->shown.width);
        at[1] = next_number(&seed, s->shown.height);
        at[2] = 1 + next_number(&seed, s->shown.width - at[0]);
        at[3] = 1 + next_number(&seed, s->shown.height - at[1]);
        box(s, at, next_number(&seed, 65536) * 251);
        if (i % STORM_TURN == 0)
            printf("== boxes %u\n", i);
    }
}

static void cursor(struct screen *s, int x, int y, int hot_x, int hot_y)
{
    struct buffer b = buffer_make(s->fd, CURSOR_SIDE, CURSOR_SIDE);

    for (uint32_t j = 0; j < b.height; j++)
        for (uint32_t i = 0; i < b.width; i++)
            b.pixels[j * b.stride + i] = cursor_pixel(i, j);
    if (drmModeSetCursor2(s->fd, s->crtc, b.handle, b.width, b.height, hot_x,
                          hot_y) < 0 ||
        drmModeMoveCursor(s->fd, s->crtc, x, y) < 0)
        fail("no cursor");
    buffer_end(s->fd, &s->cursor);
    s->cursor = b;
}

static void preferred(struct screen *s)
{
    drmModeConnector *c = drmModeGetConnector(s->fd, s->connector);

    if (!c)
        fail("no connector");
    for (int i = 0; i < c->count_modes; i++)
        if (c->modes[i].type & DRM_MODE_TYPE_PREFERRED) {
            printf("== preferred %u %u\n", c->modes[i].hdisplay,
                   c->modes[i].vdisplay);
            break;
        }
    drmModeFreeConnector(c);
}

/* An event is a few words of text, each ended by NUL. Those that came before
 * the command count. */
static void hotplug(struct screen *s)
{
    static const char wanted[] = "HOTPLUG=1";
    char event[8192];

    for (;;) {
        ssize_t n = recv(s->events, event, sizeof(event), 0);

        if (n < 0)
            fail("no event");
        if (memmem(event, (size_t)n, wanted, sizeof(wanted)))
            return;
    }
}

int main(void)
{
    struct screen s = {.fd = -1};
    uint32_t n[4], colour;
    char line[128];

    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0); /* what follows "end" is not ours */
    screen_open(&s);
    printf("== screen\n");
    while (fgets(line, sizeof(line), stdin) && strcmp(line, "end\n") != 0) {
        if (sscanf(line, "mode %u %u", &n[0], &n[1]) == 2)
            mode(&s, n[0], n[1]);
        else if (sscanf(line, "box %u %u %u %u %x", &n[0], &n[1], &n[2], &n[3],
                        &colour) == 5)
            box(&s, n, colour);
        else if (sscanf(line, "storm %u %u", &n[0], &n[1]) == 2)
            storm(&s, n[0], n[1]);
        else if (sscanf(line, "cursor %u %u %u %u", &n[0], &n[1], &n[2],
                        &n[3]) == 4)
            cursor(&s, (int)n[0], (int)n[1], (int)n[2], (int)n[3]);
        else if (sscanf(line, "move %u %u", &n[0], &n[1]) == 2)
            drmModeMoveCursor(s.fd, s.crtc, (int)n[0], (int)n[1]);
        else if (strcmp(line, "hide\n") == 0)
            drmModeSetCursor(s.fd, s.crtc, 0, 0, 0);
        else if (strcmp(line, "preferred\n") == 0)
            preferred(&s);
        else if (strcmp(line, "hotplug\n") == 0)
            hotplug(&s);
        else
            fail("no command: %s", line);
        printf("== done\n");
    }
    return 0;
}
