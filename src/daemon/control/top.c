/* vub ctl top. What stats answers is counted since vub started, so a table is
 * made of two answers: what has come between them, and the time between them.
 * On a terminal the next table takes the place of the one before; it stays
 * there when all is over. Elsewhere there is one, and that is all. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/histogram.h"
#include "daemon/control/ctl_impl.h"
#include "loop/loop.h"
#include "os/sock.h"
#include "os/terminal.h"

#define INTERVAL_MS 1000
#define TIMEOUT_MS 30000
#define MIB 1048576.0

struct top {
    struct ctl *ctl;
    const char *request;
    struct json *before, *now; /* answers */
    uint64_t before_ns, now_ns;
    bool live;  /* on a terminal */
    int drawn;  /* lines of the table that is there */
    int status; /* when it is over */
};

/* What a device has done so far. */
struct work {
    double requests, bytes_read, bytes_written, errors;
    double things[2]; /* events; flushes and updates */
    double depth;
    struct histogram latency;
};

/* ---- what is measured ---- */

/* Elements of a list that is a member; NULL: there is none. */
static const struct json *first_of(const struct json *object, const char *name)
{
    const struct json *list = json_member(object, name);

    return list && json_type(list) == JSON_ARRAY ? json_first(list) : NULL;
}

static double sum_of(const struct json *first, const char *name)
{
    double sum = 0;

    for (const struct json *n = first; n; n = json_next(n))
        sum += json_member_number(n, name);
    return sum;
}

static uint64_t whole(const struct json *n)
{
    double d = n && json_type(n) == JSON_NUMBER ? json_number(n) : 0;

    return d > 0 && d < 1.8e19 ? (uint64_t)d : 0;
}

static void add_latency(struct histogram *h, const struct json *latency)
{
    for (const struct json *b = first_of(latency, "buckets"); b;
         b = json_next(b)) {
        const struct json *upto =
            json_type(b) == JSON_ARRAY ? json_first(b) : NULL;

        if (upto)
            h->buckets[histogram_bucket(whole(upto))] += whole(json_next(upto));
    }
    h->sum += whole(json_member(latency, "sum_ns"));
}

static void measure(const struct json *device, struct work *w)
{
    const char *type = json_member_string(device, "type");
    const struct json *own = json_member(device, type), *rings, *units;

    *w = (struct work){0};
    rings = first_of(device, "rings");
    w->depth = sum_of(rings, "in_flight");
    for (const struct json *r = rings; r; r = json_next(r))
        add_latency(&w->latency, json_member(r, "latency"));
    if (strcmp(type, "block") == 0) {
        units = first_of(own, "queues");
        w->requests = sum_of(rings, "chains");
        w->errors = sum_of(units, "errors");
    } else {
        units = first_of(own, "luns");
        w->requests = sum_of(units, "commands");
        w->errors = sum_of(units, "check_conditions") +
                    sum_of(units, "failed") +
                    json_member_number(own, "errors") +
                    json_member_number(own, "bad_requests") +
                    json_member_number(own, "dropped_frames") +
                    json_member_number(own, "bad_buffers");
    }
    w->bytes_read = sum_of(units, "bytes_read");
    w->bytes_written = sum_of(units, "bytes_written");
    w->things[0] =
        json_member_number(own, "events") + json_member_number(own, "flushes");
    w->things[1] = json_member_number(own, "updates");
}

/* What came between the two; units that have gone since count nothing. */
static void subtract(struct work *w, const struct work *before)
{
    w->requests = MAX(w->requests - before->requests, 0);
    w->bytes_read = MAX(w->bytes_read - before->bytes_read, 0);
    w->bytes_written = MAX(w->bytes_written - before->bytes_written, 0);
    for (unsigned i = 0; i < ARRAY_LEN(w->things); i++)
        w->things[i] = MAX(w->things[i] - before->things[i], 0);
    w->latency.sum -= MIN(w->latency.sum, before->latency.sum);
    w->latency.max = UINT64_MAX;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        w->latency.buckets[i] -=
            MIN(w->latency.buckets[i], before->latency.buckets[i]);
}

static const struct json *devices_of(const struct json *answer)
{
    return answer ? first_of(json_member(answer, "result"), "devices") : NULL;
}

static const struct json *find(const struct json *answer, const char *id)
{
    for (const struct json *d = devices_of(answer); d; d = json_next(d))
        if (strcmp(json_member_string(d, "id"), id) == 0)
            return d;
    return NULL;
}

/* ---- the table ---- */

#define CELL 16

static void rate_text(double n, char out[CELL])
{
    if (n < 10)
        snprintf(out, CELL, "%.1f", n);
    else if (n < 1e5)
        snprintf(out, CELL, "%.0f", n);
    else if (n < 1e7)
        snprintf(out, CELL, "%.0fk", n / 1e3);
    else
        snprintf(out, CELL, "%.1fM", n / 1e6);
}

static void put_rates(FILE *f, const struct work *w, double seconds)
{
    uint64_t count = histogram_count(&w->latency);
    char iops[CELL], average[CELL] = "-", p99[CELL] = "-";

    rate_text(w->requests / seconds, iops);
    if (count) {
        show_time((double)w->latency.sum / (double)count, average,
                  sizeof(average));
        show_time((double)histogram_quantile(&w->latency, 990000), p99,
                  sizeof(p99));
    }
    fprintf(f, " %8s %9.1f %9.1f %9s %9s", iops, w->bytes_read / seconds / MIB,
            w->bytes_written / seconds / MIB, average, p99);
}

static void put_device(FILE *f, const struct top *t, const struct json *device,
                       int width)
{
    const char *id = json_member_string(device, "id");
    const char *type = json_member_string(device, "type");
    const struct json *was = find(t->before, id);
    double seconds = MAX((double)(t->now_ns - t->before_ns) / 1e9, 1e-3);
    bool answers = json_member_true(device, "answers"), moves_blocks;
    char rates[2][CELL];
    struct work w, before;

    show_padded(f, id, width);
    fputs("  ", f);
    show_padded(f, type, 5);
    fputs("  ", f);
    show_padded(f, answers ? json_member_string(device, "state") : "no answer",
                9);
    if (!answers || !was || !json_member_true(was, "answers")) {
        putc('\n', f);
        return;
    }
    measure(device, &w);
    measure(was, &before);
    subtract(&w, &before);
    moves_blocks = strcmp(type, "block") == 0 || strcmp(type, "scsi") == 0;
    if (moves_blocks)
        put_rates(f, &w, seconds);
    else
        fprintf(f, " %8s %9s %9s %9s %9s", "-", "-", "-", "-", "-");
    fprintf(f, " %5.0f %7.0f", w.depth, w.errors);
    for (unsigned i = 0; i < ARRAY_LEN(rates); i++)
        rate_text(w.things[i] / seconds, rates[i]);
    if (strcmp(type, "input") == 0)
        fprintf(f, "  %s events/s", rates[0]);
    else if (strcmp(type, "gpu") == 0)
        fprintf(f, "  %s flushes/s, %s updates/s", rates[0], rates[1]);
    putc('\n', f);
}

static void put_table(FILE *f, const struct top *t)
{
    int width = 6;

    for (const struct json *d = devices_of(t->now); d; d = json_next(d))
        width = MAX(width, (int)MIN(strlen(json_member_string(d, "id")), 64u));
    fprintf(f, "%-*s  %-5s  %-9s %8s %9s %9s %9s %9s %5s %7s\n", width,
            "DEVICE", "TYPE", "STATE", "IOPS", "READ MiB", "WRITE MiB",
            "AVERAGE", "99 %", "DEPTH", "ERRORS");
    for (const struct json *d = devices_of(t->now); d; d = json_next(d))
        put_device(f, t, d, width);
}

/* In the place of the table before; lines are cut to the terminal. */
static void draw(struct top *t, char *text)
{
    int columns, lines, n = 0;
    char *line, *rest = text;

    terminal_size(&columns, &lines);
    if (t->drawn)
        printf("\x1b[%dA", t->drawn);
    while ((line = strsep(&rest, "\n")) && rest && n < lines - 1) {
        printf("\r%.*s\x1b[K\n", columns - 1, line);
        n++;
    }
    fputs("\x1b[J", stdout);
    fflush(stdout);
    t->drawn = n;
}

static int show(struct top *t)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return ctl_fail("", "out of memory");
    put_table(f, t);
    if (fclose(f) != 0) {
        free(text);
        return ctl_fail("", "out of memory");
    }
    if (t->live)
        draw(t, text);
    else
        fputs(text, stdout);
    free(text);
    return -1;
}

/* ---- again and again ---- */

/* -1: there is one more answer; else the exit status. */
static int look(struct top *t)
{
    struct ctl *c = t->ctl;
    const struct json *error;
    int rc;

    json_free(t->before);
    t->before = t->now;
    t->before_ns = t->now_ns;
    c->deadline_ns = loop_now_ns() + (uint64_t)c->timeout_ms * 1000000;
    t->now = ctl_call(c, t->request, &rc);
    t->now_ns = loop_now_ns();
    if (!t->now && rc == -EINTR)
        return CTL_DONE;
    if (!t->now)
        return ctl_fail_wire(c, rc);
    error = json_member(t->now, "error");
    return error ? ctl_print_error(c, error) : -1;
}

/* -1: the time is over; else the exit status. */
static int pause_until(const struct top *t, uint64_t until_ns)
{
    for (;;) {
        uint64_t now = loop_now_ns();
        int key, ms;

        if (terminal_is_over())
            return CTL_DONE;
        if (now >= until_ns)
            return -1;
        ms = (int)MIN((until_ns - now) / 1000000 + 1, INT32_MAX);
        if (!t->live) {
            /* Nothing comes, but for the end. */
            if (sock_wait(t->ctl->fd, false, ms) == 0)
                return -1;
            continue;
        }
        key = terminal_key(ms);
        if (key == 'q' || key == 'Q' || key < 0)
            return CTL_DONE;
    }
}

int top_run(struct ctl *c, const char *request)
{
    struct top t = {.ctl = c, .request = request};
    uint64_t interval_ns;
    int status;

    if (!c->timeout_ms)
        c->timeout_ms = TIMEOUT_MS;
    if (!c->interval_ms)
        c->interval_ms = INTERVAL_MS;
    interval_ns = (uint64_t)c->interval_ms * 1000000;
    t.live = !c->once && terminal_is_there() && terminal_open() == 0;
    if (t.live)
        fputs("\x1b[?25l", stdout); /* no cursor */
    status = look(&t);
    do {
        if (status < 0)
            status = pause_until(&t, t.now_ns + interval_ns);
        if (status < 0)
            status = look(&t);
        if (status < 0)
            status = show(&t);
    } while (status < 0 && t.live);
    if (t.live) {
        fputs("\x1b[?25h", stdout);
        fflush(stdout);
        terminal_close();
    }
    json_free(t.before);
    json_free(t.now);
    return MAX(status, CTL_DONE);
}
