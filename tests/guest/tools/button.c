/* A button on a text console that is pressed with a pointer, as the last page
 * of an installer has it: guest_button ROW COLUMN LABEL draws it on standard
 * output, waits until a tablet's first button goes down and up again upon it,
 * and ends. Run in a guest (config/rigs/installer), as root.
 *
 * Places on a tablet become places on the console by its size in characters,
 * so it does not matter how many pixels these have. */
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEVICES 32
#define PLAIN "\033[30;47m"
#define PRESSED "\033[37;41m"

struct button {
    unsigned row, column; /* of its upper left corner, from 0 on */
    unsigned width;
    const char *label;
    bool pressed;
};

struct pointer {
    int fd;
    struct input_absinfo axis[2]; /* x, y */
};

__attribute__((noreturn)) static void fail(const char *what)
{
    fprintf(stderr, "guest_button: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Three rows: a button that is easy to see, and to hit. One write, so that
 * nothing of others comes in between. */
static void draw(const struct button *b)
{
    char text[1024];
    int length = 0;

    for (unsigned i = 0; i < 3; i++)
        length += snprintf(text + length, sizeof(text) - (size_t)length,
                           "\033[%u;%uH%s%-*.*s", b->row + i + 1, b->column + 1,
                           b->pressed ? PRESSED : PLAIN, (int)b->width,
                           (int)b->width, i == 1 ? b->label : "");
    length += snprintf(text + length, sizeof(text) - (size_t)length, "\033[m");
    if (write(STDOUT_FILENO, text, (size_t)length) != length)
        fail("writing");
}

static bool has(const uint8_t *bits, unsigned bit)
{
    return bits[bit / 8] >> bit % 8 & 1;
}

/* The first device that points at places. */
static struct pointer pointer_find(void)
{
    for (unsigned i = 0; i < DEVICES; i++) {
        uint8_t keys[KEY_CNT / 8] = {0};
        struct pointer p;
        char path[32];

        snprintf(path, sizeof(path), "/dev/input/event%u", i);
        p.fd = open(path, O_RDONLY | O_CLOEXEC);
        if (p.fd < 0)
            continue;
        if (ioctl(p.fd, EVIOCGBIT(EV_KEY, sizeof(keys)), keys) >= 0 &&
            has(keys, BTN_LEFT) &&
            ioctl(p.fd, EVIOCGABS(ABS_X), &p.axis[0]) == 0 &&
            ioctl(p.fd, EVIOCGABS(ABS_Y), &p.axis[1]) == 0)
            return p;
        close(p.fd);
    }
    errno = ENODEV;
    fail("a tablet");
}

/* A value of an axis as one of `cells` cells. */
static unsigned cell(const struct input_absinfo *axis, unsigned cells)
{
    int64_t range = (int64_t)axis->maximum - axis->minimum + 1;
    int64_t at = (int64_t)axis->value - axis->minimum;

    return range > 0 && at >= 0 ? (unsigned)(at * cells / range) : 0;
}

static bool is_over(const struct button *b, const struct pointer *p,
                    const struct winsize *console)
{
    unsigned x = cell(&p->axis[0], console->ws_col);
    unsigned y = cell(&p->axis[1], console->ws_row);

    return x >= b->column && x - b->column < b->width && y >= b->row &&
           y - b->row < 3;
}

/* Returns when it has been clicked at. */
static void wait_click(struct button *b, struct pointer *p)
{
    struct winsize console;
    struct input_event e;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &console) < 0)
        fail("the console's size");
    while (read(p->fd, &e, sizeof(e)) == sizeof(e)) {
        if (e.type == EV_ABS && (e.code == ABS_X || e.code == ABS_Y)) {
            p->axis[e.code == ABS_Y].value = e.value;
        } else if (e.type == EV_KEY && e.code == BTN_LEFT) {
            bool over = is_over(b, p, &console);

            if (b->pressed && !e.value && over)
                return;
            b->pressed = e.value && over;
            draw(b);
        }
    }
    fail("reading the tablet");
}

int main(int argc, char **argv)
{
    struct button b = {0};
    struct pointer p;

    if (argc != 4) {
        fprintf(stderr, "usage: guest_button ROW COLUMN LABEL\n");
        return 2;
    }
    b.row = (unsigned)atoi(argv[1]);
    b.column = (unsigned)atoi(argv[2]);
    b.label = argv[3];
    b.width = (unsigned)strlen(b.label);
    p = pointer_find();
    draw(&b);
    wait_click(&b, &p);
    return 0;
}
