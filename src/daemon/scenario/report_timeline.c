/* When what happened, as an SVG in the page: a bar for each step that has run,
 * marks of events, bars of processes, over one axis of time.
 *
 * A row is a step of the scenario, not of the run: the turns of a repeat lie
 * beside each other in the same rows, so fifty turns are as easy to read as
 * one, and one that took longer stands out. Where a scenario has more steps
 * than a page has rows, neighbours share one. Colors are of the style. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/decades.h"
#include "base/utf8.h"
#include "daemon/scenario/report_impl.h"

#define WIDTH 1000.0
#define LEFT 216.0 /* of it labels */
#define RIGHT 990.0
#define TOP 30.0 /* of it the axis */
#define ROW 20.0
#define GAP 12.0     /* between steps, events and processes */
#define STEP_ROWS 60 /* as long as each step has one; else */
#define MERGED_ROWS 24
#define EVENT_ROWS 12
#define PROCESS_ROWS 40
#define LABEL 34 /* letters */
#define NARROW 1.5
#define SLOT 2.0 /* events so near to each other are one mark */

/* Bars of a row that are one. */
struct bar {
    unsigned first, num; /* steps */
    double x, end;
    enum step_result result;
};

struct row {
    unsigned first; /* of its steps or events */
    unsigned last, num, places;
    struct bar bar; /* one that may still grow; num: 0: none */
    double x;       /* of the last mark */
    unsigned marks; /* in it */
};

struct timeline {
    FILE *f;
    const struct record *r;
    struct report_rows listed; /* steps that a bar can lead to */
    uint64_t total_ns;
    double y; /* of the row that is drawn */
};

static double x_of(const struct timeline *t, uint64_t ns)
{
    double at = ns > t->r->begin_ns ? (double)(ns - t->r->begin_ns) : 0;

    return LEFT + MIN(at / (double)t->total_ns, 1.0) * (RIGHT - LEFT);
}

static uint64_t since(const struct record *r, uint64_t ns)
{
    return ns > r->begin_ns ? ns - r->begin_ns : 0;
}

/* ---- the axis ---- */

/* Nanoseconds from one tick to the next. */
static double tick_of(double total)
{
    static const double longer[] = {60,   120,  300,   600,   900,  1800,
                                    3600, 7200, 21600, 43200, 86400};
    double step = decades_power(decades_floor(total / 9));
    static const double factors[] = {1, 2, 5, 10};

    for (unsigned i = 0; i < ARRAY_LEN(factors); i++)
        if (step * factors[i] * 9 >= total && step * factors[i] <= 50e9)
            return step * factors[i];
    for (unsigned i = 0; i < ARRAY_LEN(longer); i++)
        if (longer[i] * 1e9 * 9 >= total)
            return longer[i] * 1e9;
    return step * 10;
}

static void put_tick_text(FILE *f, double at, double tick)
{
    if (tick >= 3600e9)
        fprintf(f, "%.0f h", at / 3600e9);
    else if (tick >= 60e9)
        fprintf(f, "%.0f min", at / 60e9);
    else if (tick >= 1e9)
        fprintf(f, "%.0f s", at / 1e9);
    else if (tick >= 1e8)
        fprintf(f, "%.1f s", at / 1e9);
    else if (tick >= 1e6)
        fprintf(f, "%.0f ms", at / 1e6);
    else
        fprintf(f, "%.2f ms", at / 1e6);
}

static void put_axis(const struct timeline *t, double height)
{
    double tick = tick_of((double)t->total_ns);

    fputs("<g class=\"axis\">\n", t->f);
    for (unsigned i = 0; i * tick <= (double)t->total_ns && i < 100; i++) {
        double x = LEFT + i * tick / (double)t->total_ns * (RIGHT - LEFT);

        fprintf(t->f,
                "<line x1=\"%.1f\" y1=\"%.0f\" x2=\"%.1f\" y2=\"%.0f\"/>"
                "<text x=\"%.1f\" y=\"%.0f\" text-anchor=\"%s\">",
                x, TOP - 8, x, height, x, TOP - 14,
                i == 0           ? "start"
                : x > RIGHT - 20 ? "end"
                                 : "middle");
        put_tick_text(t->f, i * tick, tick);
        fputs("</text>\n", t->f);
    }
    fputs("</g>\n", t->f);
}

/* ---- rows ---- */

static void put_row(const struct timeline *t, unsigned stripe)
{
    if (stripe % 2)
        fprintf(t->f,
                "<rect class=\"stripe\" x=\"0\" y=\"%.0f\" width=\"%.0f\" "
                "height=\"%.0f\"/>\n",
                t->y, WIDTH, ROW);
    fprintf(t->f, "<text clip-path=\"url(#labels)\" x=\"8\" y=\"%.0f\">",
            t->y + 14);
}

static void put_bar_place(const struct timeline *t, const char *class,
                          const char *more, double x, double end)
{
    double width = MAX(end - x, NARROW);

    fprintf(t->f,
            "<rect class=\"%s %s\" x=\"%.2f\" y=\"%.0f\" width=\"%.2f\" "
            "height=\"%.0f\" rx=\"1.5\"><title>",
            class, more, MIN(x, RIGHT - width), t->y + 4, width, ROW - 8);
}

/* ---- steps ---- */

static int place_order(const void *context, unsigned a, unsigned b)
{
    const struct record_step *steps = context;

    return strcmp(steps[a].place, steps[b].place);
}

static void put_bar(const struct timeline *t, const struct bar *bar)
{
    const struct record_step *s = &t->r->steps[bar->first];
    bool linked = bar->num > 0 && report_has_row(&t->listed, bar->first);
    char took[REPORT_TIME_BYTES], at[REPORT_TIME_BYTES];

    if (bar->num == 0)
        return;
    if (linked)
        fprintf(t->f, "<a href=\"#step-%u\" tabindex=\"-1\">", bar->first + 1);
    put_bar_place(t, "bar", report_result(bar->result), bar->x, bar->end);
    fprintf(t->f, "%u ", bar->first + 1);
    report_put_line(t->f, s->name, 100);
    if (s->turn) {
        fputs(", turn ", t->f);
        report_put_line(t->f, s->turn, 60);
    }
    if (bar->num > 1)
        fprintf(t->f, ", and %u more", bar->num - 1);
    fprintf(t->f, ": %s, %s, at %s</title></rect>%s\n",
            report_result(bar->result), report_time(report_took(t->r, s), took),
            report_time(since(t->r, s->begin_ns), at), linked ? "</a>" : "");
}

/* Draws what has grown as far as it does, and begins another. */
static void add_bar(const struct timeline *t, struct row *row, unsigned step,
                    bool join)
{
    const struct record_step *s = &t->r->steps[step];
    double x = x_of(t, s->begin_ns), end = x_of(t, report_end(t->r, s->end_ns));
    struct bar *bar = &row->bar;

    if (join && bar->num > 0 && bar->result == s->result &&
        x < bar->end + 0.5) {
        bar->num++;
        bar->end = MAX(bar->end, end);
        return;
    }
    put_bar(t, bar);
    *bar = (struct bar){step, 1, x, MAX(end, x + NARROW), s->result};
    if (!join)
        bar->end = end;
}

static void put_step_label(const struct timeline *t, const struct row *row)
{
    const struct record_step *s = &t->r->steps[row->first];

    if (row->places > 1) {
        fprintf(t->f, "steps %u to %u", row->first + 1, row->last + 1);
    } else if (row->num > 1) {
        report_put_line(t->f, s->name, LABEL - 7);
        fprintf(t->f, " &#215; %u", row->num);
    } else {
        report_put_line(t->f, s->name, LABEL);
    }
    fputs("</text>\n", t->f);
}

static unsigned step_rows(unsigned places)
{
    return places > STEP_ROWS ? MERGED_ROWS : places;
}

/* A row whose bars are drawn one after the other: of[] is the place of each
 * step among `places`. */
static void put_step_rows(struct timeline *t, const unsigned *of,
                          unsigned places, unsigned num_run)
{
    unsigned num = step_rows(places);
    struct row rows[STEP_ROWS] = {{0}};
    double top = t->y;
    unsigned last = UINT32_MAX;

    for (unsigned i = 0; i < t->r->num_steps; i++) {
        struct row *row;

        if (!t->r->steps[i].begin_ns)
            continue;
        row = &rows[(uint64_t)of[i] * num / places];
        if (row->num++ == 0)
            row->first = i;
        row->last = i;
        if (last == UINT32_MAX || of[i] > last) {
            row->places++;
            last = of[i];
        }
    }
    for (unsigned i = 0; i < num; i++) {
        t->y = top + i * ROW;
        put_row(t, i);
        put_step_label(t, &rows[i]);
    }
    for (unsigned i = 0; i < t->r->num_steps; i++) {
        unsigned at;

        if (!t->r->steps[i].begin_ns)
            continue;
        at = (unsigned)((uint64_t)of[i] * num / places);
        t->y = top + at * ROW;
        add_bar(t, &rows[at], i, num_run > REPORT_BARS_MAX);
    }
    for (unsigned i = 0; i < num; i++) {
        t->y = top + i * ROW;
        put_bar(t, &rows[i].bar);
    }
    t->y = top + num * ROW;
}

/* ---- events ---- */

static int event_order(const void *context, unsigned a, unsigned b)
{
    const struct record_event *events = context;

    return strcmp(events[a].event, events[b].event);
}

static void put_mark(const struct timeline *t, const struct row *row)
{
    const struct record_event *ev = &t->r->events[row->first];
    char at[REPORT_TIME_BYTES];

    if (row->marks == 0)
        return;
    fprintf(t->f,
            "<rect class=\"mark\" x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" "
            "height=\"%.0f\"><title>",
            row->x - SLOT / 2, t->y + 4, SLOT, ROW - 8);
    report_put_line(t->f, ev->event, 100);
    if (*ev->device) {
        fputs(" of ", t->f);
        report_put_line(t->f, ev->device, 100);
    }
    fprintf(t->f, ", at %s", report_time(since(t->r, ev->at_ns), at));
    if (row->marks > 1)
        fprintf(t->f, ", and %u more right after", row->marks - 1);
    fputs("</title></rect>\n", t->f);
}

static void put_event_rows(struct timeline *t, const unsigned *of,
                           unsigned kinds)
{
    unsigned num = MIN(kinds, (unsigned)EVENT_ROWS);
    struct row rows[EVENT_ROWS] = {{0}};
    double top = t->y;

    for (unsigned i = t->r->num_events; i > 0; i--)
        rows[MIN(of[i - 1], num - 1)].first = i - 1;
    for (unsigned i = 0; i < num; i++) {
        t->y = top + i * ROW;
        put_row(t, i);
        if (i == num - 1 && kinds > num)
            fputs("other events", t->f);
        else
            report_put_line(t->f, t->r->events[rows[i].first].event, LABEL);
        fputs("</text>\n", t->f);
    }
    for (unsigned i = 0; i < t->r->num_events; i++) {
        struct row *row = &rows[MIN(of[i], num - 1)];
        double x = x_of(t, t->r->events[i].at_ns);

        if (row->marks && x < row->x + SLOT) {
            row->marks++;
            continue;
        }
        t->y = top + (double)(row - rows) * ROW;
        put_mark(t, row);
        row->first = i;
        row->marks = 1;
        row->x = x;
    }
    for (unsigned i = 0; i < num; i++) {
        t->y = top + i * ROW;
        put_mark(t, &rows[i]);
    }
    t->y = top + num * ROW;
}

/* ---- processes ---- */

static int name_order(const void *context, unsigned a, unsigned b)
{
    const struct record_process *processes = context;

    return strcmp(processes[a].name, processes[b].name);
}

static void put_process(const struct timeline *t,
                        const struct record_process *p)
{
    uint64_t end = report_end(t->r, p->end_ns);
    bool failed = p->status > 0 && p->status != REPORT_STOPPED;
    char took[REPORT_TIME_BYTES];

    put_bar_place(t, "process", failed ? "failed" : "ended",
                  x_of(t, p->begin_ns), x_of(t, end));
    report_put_line(t->f, p->name, 100);
    if (p->status >= 0)
        fprintf(t->f, ", status %d", p->status);
    fprintf(t->f, ", %s</title></rect>\n",
            report_time(end > p->begin_ns ? end - p->begin_ns : 0, took));
}

/* Those of one name have one row: they came one after the other. */
static void put_process_rows(struct timeline *t, const unsigned *of,
                             unsigned names)
{
    unsigned num = MIN(names, (unsigned)PROCESS_ROWS), next = 0;
    unsigned bars = MIN(t->r->num_processes, (unsigned)REPORT_BARS_MAX);
    double top = t->y;

    for (unsigned i = 0; i < t->r->num_processes && next < num; i++) {
        if (of[i] != next)
            continue;
        t->y = top + next * ROW;
        put_row(t, next++);
        report_put_line(t->f, t->r->processes[i].name, LABEL);
        fputs("</text>\n", t->f);
    }
    for (unsigned i = 0; i < bars; i++) {
        t->y = top + of[i] * ROW;
        if (of[i] < num)
            put_process(t, &t->r->processes[i]);
    }
    t->y = top + num * ROW;
}

/* ---- all of it ---- */

static void put_band(const struct timeline *t)
{
    fprintf(t->f,
            "<line class=\"band\" x1=\"0\" y1=\"%.1f\" x2=\"%.0f\" "
            "y2=\"%.1f\"/>\n",
            t->y - GAP / 2, WIDTH, t->y - GAP / 2);
}

/* Where it went wrong, through all rows. */
static void put_failure(const struct timeline *t, double height)
{
    const struct record_step *s = report_failed(t->r);
    double x;

    if (!s || !s->end_ns)
        return;
    x = x_of(t, s->end_ns);
    fprintf(t->f,
            "<line class=\"fault\" x1=\"%.1f\" y1=\"%.0f\" x2=\"%.1f\" "
            "y2=\"%.0f\"/>\n",
            x, TOP - 8, x, height);
}

static void put_caption(FILE *f, unsigned num_run, unsigned names)
{
    fputs("<figcaption><span class=\"key passed\"></span>passed "
          "<span class=\"key failed\"></span>failed "
          "<span class=\"key event\"></span>events "
          "<span class=\"key ended\"></span>processes",
          f);
    if (num_run > REPORT_BARS_MAX)
        fprintf(f, ". Of %u steps, neighbours are drawn as one bar", num_run);
    if (names > PROCESS_ROWS)
        fprintf(f, ". %u processes are left out here", names - PROCESS_ROWS);
    fputs("</figcaption>\n", f);
}

/* Places are numbered without those that have never run: they are last. */
static unsigned places_run(const struct record *r, const unsigned *of,
                           unsigned *num_run)
{
    unsigned num = 0;

    *num_run = 0;
    for (unsigned i = 0; i < r->num_steps; i++)
        if (r->steps[i].begin_ns) {
            num = MAX(num, of[i] + 1);
            ++*num_run;
        }
    return num;
}

/* For each step, event and process the row that it is in. */
struct rows {
    unsigned *place, *kind, *name;
    unsigned places, kinds, names;
};

static void draw(struct timeline *t, const struct rows *rows)
{
    const struct record *r = t->r;
    unsigned num_run, places = places_run(r, rows->place, &num_run);
    double height = TOP + ROW * step_rows(places);

    if (rows->kinds)
        height += GAP + ROW * MIN(rows->kinds, (unsigned)EVENT_ROWS);
    if (rows->names)
        height += GAP + ROW * MIN(rows->names, (unsigned)PROCESS_ROWS);
    fprintf(t->f,
            "<figure><div class=\"scroll\" tabindex=\"0\" role=\"group\" "
            "aria-label=\"Timeline\">\n<svg viewBox=\"0 0 %.0f %.0f\" "
            "role=\"group\" aria-label=\"Bars of steps and processes and marks "
            "of events over time; the parts below have the same as "
            "text\">\n<clipPath id=\"labels\"><rect width=\"%.0f\" "
            "height=\"%.0f\"/></clipPath>\n",
            WIDTH, height + 6, LEFT - 6, height);
    t->y = TOP;
    put_axis(t, height);
    if (places)
        put_step_rows(t, rows->place, places, num_run);
    if (rows->kinds) {
        t->y += GAP;
        put_band(t);
        put_event_rows(t, rows->kind, rows->kinds);
    }
    if (rows->names) {
        t->y += GAP;
        put_band(t);
        put_process_rows(t, rows->name, rows->names);
    }
    put_failure(t, height);
    fputs("</svg></div>\n", t->f);
    put_caption(t->f, num_run, rows->names);
    fputs("</figure>\n", t->f);
}

bool report_timeline(FILE *f, const struct record *r)
{
    uint64_t total = r->end_ns > r->begin_ns ? r->end_ns - r->begin_ns : 0;
    struct timeline t = {.f = f,
                         .r = r,
                         .listed = report_rows_of(r),
                         .total_ns = MAX(total, 1000u)};
    struct rows rows = {NULL};
    bool ok;

    rows.place =
        report_groups(r->num_steps, place_order, r->steps, &rows.places);
    rows.kind =
        report_groups(r->num_events, event_order, r->events, &rows.kinds);
    rows.name =
        report_groups(r->num_processes, name_order, r->processes, &rows.names);
    ok = rows.place && rows.kind && rows.name;
    fputs("<section id=\"timeline\" aria-labelledby=\"timeline-h\">\n"
          "<h2 id=\"timeline-h\">Timeline</h2>\n",
          f);
    if (ok)
        draw(&t, &rows);
    fputs("</section>\n", f);
    free(rows.place);
    free(rows.kind);
    free(rows.name);
    return ok;
}
