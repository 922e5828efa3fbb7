/* vub trace plot: latencies over time, as a map of how many requests took how
 * long when; below, what was read and written, and how many requests were
 * under way. One picture shows a stall, what came with it, and whether the
 * load or the disk has changed. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/decades.h"
#include "daemon/control/ctl.h"
#include "daemon/trace/canvas.h"
#include "daemon/trace/impl.h"

#define WIDTH 1000
#define HEIGHT 616
#define LEFT 72
#define CELL 4
#define COLUMNS 224 /* of cells */
#define ROWS 75
#define MAP_TOP 84
#define MAP_BOTTOM (MAP_TOP + ROWS * CELL)
#define BYTES_TOP (MAP_BOTTOM + 34)
#define DEPTH_TOP (BYTES_TOP + PANEL + 28)
#define PANEL 70
#define RIGHT (LEFT + COLUMNS * CELL)

#define INK 0xff333333
#define PALE 0xffe4e4e4
#define RED 0xffff0000

#define ERRORS TRACE_OPS /* a kind of its own, on top of the others */
#define KINDS (TRACE_OPS + 1)

static const uint32_t colors[KINDS] = {
    [STORE_READ] = 0x2166ac,  [STORE_WRITE] = 0xd95f02,
    [STORE_FLUSH] = 0x1a9850, [STORE_DISCARD] = 0x7b3294,
    [STORE_ZERO] = 0x777777,  [ERRORS] = RED,
};

struct plot {
    struct canvas *c;
    const struct trace_set *set;
    uint64_t end_ns;
    int low, high; /* decades of nanoseconds */
    struct trace_span spans[COLUMNS];
    struct histogram took[TRACE_OPS];
    uint64_t errors;
    uint32_t map[KINDS][COLUMNS][ROWS]; /* requests */
};

/* ---- the map ---- */

static void find_decades(struct plot *p)
{
    uint64_t min = UINT64_MAX, max = 1;

    for (size_t i = 0; i < p->set->num; i++) {
        uint64_t ns = MAX(trace_took_ns(&p->set->requests[i]), UINT64_C(1));

        min = MIN(min, ns);
        max = MAX(max, ns);
    }
    p->low = decades_floor((double)MIN(min, max));
    p->high = decades_floor((double)max) + 1;
}

/* 0: the top one. */
static double row_of(const struct plot *p, double ns)
{
    return (p->high - decades_log(MAX(ns, 1))) / (p->high - p->low) * ROWS;
}

static void add(struct plot *p, const struct trace_record *r)
{
    unsigned column =
        (unsigned)((double)r->submit_ns / (double)p->end_ns * COLUMNS);
    int row = (int)row_of(p, (double)trace_took_ns(r));
    unsigned kind = r->error ? (unsigned)ERRORS : r->op;

    column = MIN(column, COLUMNS - 1u);
    row = MIN(MAX(row, 0), ROWS - 1);
    p->map[kind][column][row]++;
    p->errors += r->error != 0;
    histogram_add(&p->took[r->op], trace_took_ns(r), 1);
}

static void draw_map(const struct plot *p)
{
    uint32_t most = 1;

    for (unsigned k = 0; k < TRACE_OPS; k++)
        for (unsigned x = 0; x < COLUMNS; x++)
            for (unsigned y = 0; y < ROWS; y++)
                most = MAX(most, p->map[k][x][y]);
    for (unsigned k = 0; k < KINDS; k++)
        for (unsigned x = 0; x < COLUMNS; x++)
            for (unsigned y = 0; y < ROWS; y++) {
                uint32_t n = p->map[k][x][y], alpha = 255;

                if (n == 0)
                    continue;
                if (k != ERRORS)
                    alpha = 90 + (uint32_t)(150 * decades_log(1.0 + n) /
                                            decades_log(1.0 + most));
                canvas_rect(p->c, LEFT + x * CELL, MAP_TOP + y * CELL, CELL,
                            CELL, alpha << 24 | (colors[k] & 0xffffff));
            }
}

/* "10 us": it is a power of ten. */
static void decade_text(int decade, char out[16])
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    int unit = MIN(decade / 3, 3);

    snprintf(out, 16, "%.0f %s", decades_power(decade - 3 * unit), units[unit]);
}

static void draw_decades(const struct plot *p)
{
    char text[16];

    for (int d = p->low; d <= p->high; d++) {
        double y = MAP_TOP + row_of(p, decades_power(d)) * CELL;

        canvas_rect(p->c, LEFT, y, COLUMNS * CELL, 0.5, 0xffbbbbbb);
        decade_text(d, text);
        canvas_text(p->c, LEFT - 6, y + 3, 2, INK, text);
    }
}

/* ---- panels ---- */

static void draw_scale(const struct plot *p, double top, const char *title,
                       const char *most)
{
    canvas_rect(p->c, LEFT, top, COLUMNS * CELL, 0.5, PALE);
    canvas_rect(p->c, LEFT, top + PANEL, COLUMNS * CELL, 0.5, 0xffbbbbbb);
    canvas_text(p->c, LEFT - 6, top + 3, 2, INK, most);
    canvas_text(p->c, LEFT - 6, top + PANEL + 3, 2, INK, "0");
    canvas_text(p->c, LEFT, top - 6, 0, INK, title);
}

static void draw_bytes(const struct plot *p)
{
    double seconds = (double)p->end_ns / COLUMNS / 1e9, most = 1;
    char text[40], size[32];

    for (unsigned i = 0; i < COLUMNS; i++)
        most = MAX(most, (double)p->spans[i].bytes_read +
                             (double)p->spans[i].bytes_written);
    trace_size_text(most / seconds, size, sizeof(size));
    snprintf(text, sizeof(text), "%s/s", size);
    draw_scale(p, BYTES_TOP, "read and written", text);
    for (unsigned i = 0; i < COLUMNS; i++) {
        double read = (double)p->spans[i].bytes_read / most * PANEL,
               written = (double)p->spans[i].bytes_written / most * PANEL,
               x = LEFT + i * CELL, bottom = BYTES_TOP + PANEL;

        if (read > 0)
            canvas_rect(p->c, x, bottom - read, CELL, read,
                        0xd0000000 | colors[STORE_READ]);
        if (written > 0)
            canvas_rect(p->c, x, bottom - read - written, CELL, written,
                        0xd0000000 | colors[STORE_WRITE]);
    }
}

static void draw_depth(const struct plot *p)
{
    double most = 1;
    char text[32];

    for (unsigned i = 0; i < COLUMNS; i++)
        most = MAX(most, (double)p->spans[i].depth_max);
    snprintf(text, sizeof(text), "%.0f", most);
    draw_scale(p, DEPTH_TOP,
               "requests under way: on average, and (pale) at most", text);
    for (unsigned i = 0; i < COLUMNS; i++) {
        double top = (double)p->spans[i].depth_max / most * PANEL,
               mean = p->spans[i].depth / most * PANEL, x = LEFT + i * CELL,
               bottom = DEPTH_TOP + PANEL;

        if (top > 0)
            canvas_rect(p->c, x, bottom - top, CELL, top, 0xffc9c9c9);
        if (mean > 0)
            canvas_rect(p->c, x, bottom - mean, CELL, mean, 0xff555555);
    }
}

/* ---- around them ---- */

/* Steps of 1, 2 or 5 times a power of ten, ten of them at most. */
static double step_of(double seconds)
{
    double step = decades_power(decades_floor(seconds / 10));

    if (step * 10 >= seconds)
        return step;
    return step * 20 >= seconds   ? step * 2
           : step * 50 >= seconds ? step * 5
                                  : step * 10;
}

static void draw_times(const struct plot *p)
{
    double seconds = (double)p->end_ns / 1e9, step = step_of(seconds);
    int digits = step < 1 ? -decades_floor(step) : 0;
    char text[32];

    for (unsigned i = 0; i * step <= seconds; i++) {
        double x = LEFT + i * step / seconds * COLUMNS * CELL;

        canvas_rect(p->c, x, MAP_TOP, 0.5, MAP_BOTTOM - MAP_TOP, PALE);
        canvas_rect(p->c, x, BYTES_TOP, 0.5, PANEL, PALE);
        canvas_rect(p->c, x, DEPTH_TOP, 0.5, PANEL, PALE);
        snprintf(text, sizeof(text), "%.*f s", MIN(digits, 9), i * step);
        canvas_text(p->c, x, DEPTH_TOP + PANEL + 14, i > 0, INK, text);
    }
}

static void draw_title(const struct plot *p)
{
    const struct trace_set *s = p->set;
    char text[256], size[32];
    int len;

    trace_size_text((double)s->head.size, size, sizeof(size));
    len = snprintf(text, sizeof(text), "%s: %s of %s, %zu requests in %.3f s",
                   s->head.device, s->head.store,
                   s->head.size ? size : "unknown size", s->num,
                   (double)p->end_ns / 1e9);
    if (s->lost && len > 0 && (size_t)len < sizeof(text))
        snprintf(text + len, sizeof(text) - (size_t)len,
                 ", %" PRIu64 " more are lost", s->lost);
    canvas_text(p->c, LEFT, 20, 0, 0xff000000, text);
}

/* A line each: color, name, figures. Two columns of them. */
static void draw_legend(const struct plot *p)
{
    unsigned n = 0;
    char text[160], half[32], most[32], all[32];

    for (unsigned k = 0; k < KINDS; k++) {
        uint64_t count = k == ERRORS ? p->errors : histogram_count(&p->took[k]);
        unsigned line = n / 2;
        double x = LEFT + (n % 2) * (COLUMNS * CELL / 2.0), y = 38 + line * 14;

        if (count == 0)
            continue;
        canvas_rect(p->c, x, y - 7, 8, 8, 0xff000000 | colors[k]);
        if (k == ERRORS) {
            snprintf(text, sizeof(text), "%-8s%9" PRIu64 " failed", "error",
                     count);
        } else {
            const struct histogram *h = &p->took[k];

            show_time((double)histogram_quantile(h, 500000), half,
                      sizeof(half));
            show_time((double)histogram_quantile(h, 990000), most,
                      sizeof(most));
            show_time((double)h->max, all, sizeof(all));
            snprintf(text, sizeof(text),
                     "%-8s%9" PRIu64 "  50%% %s, 99%% %s, all %s",
                     trace_op_name(k), count, half, most, all);
        }
        canvas_text(p->c, x + 14, y, 0, INK, text);
        n++;
    }
}

static void draw(const struct plot *p)
{
    draw_title(p);
    draw_legend(p);
    draw_times(p);
    draw_decades(p);
    draw_map(p);
    canvas_text(p->c, RIGHT, MAP_TOP - 4, 2, INK, "how long requests took");
    draw_bytes(p);
    draw_depth(p);
}

int trace_plot(const struct trace_options *o, struct err *e)
{
    struct plot *p = calloc(1, sizeof(*p));
    struct trace_set set;
    int rc;

    if (!p)
        return err_nomem(e);
    rc = trace_load(&set, o, e);
    if (rc < 0)
        goto out;
    p->set = &set;
    p->end_ns = trace_end_ns(&set);
    find_decades(p);
    for (size_t i = 0; i < set.num; i++)
        add(p, &set.requests[i]);
    if (!trace_spans(&set, p->spans, COLUMNS))
        rc = err_nomem(e);
    if (rc == 0)
        rc = canvas_open(&p->c, o->output, WIDTH, HEIGHT, e);
    if (rc == 0) {
        draw(p);
        rc = canvas_close(p->c, e);
    }
    trace_free(&set);
out:
    free(p);
    return rc;
}
