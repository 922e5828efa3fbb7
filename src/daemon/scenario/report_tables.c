/* What filters did, what vub has told, and what processes have said. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/scenario/report_impl.h"

#define JSON_BYTES (2u << 10)
#define EVENTS_HEAD 500 /* of more than REPORT_EVENTS_MAX */
#define EVENTS_OPEN 25  /* more are closed at first */
#define EVENT_KINDS 40  /* that are counted by name */
#define OUTPUT_BYTES (64u << 10)

/* ---- filters and rules ---- */

static void put_filter(FILE *f, const struct record_filter *filter, bool room)
{
    fprintf(f, "<tr class=\"%s\"><th scope=\"row\">",
            filter->fired ? "fired" : "idle");
    report_put_line(f, filter->device, 100);
    fputs("</th><td>", f);
    report_put_line(f, filter->filter, 200);
    fputs("</td><td>", f);
    if (filter->rule)
        report_put_line(f, filter->rule, 200);
    else
        fputs("<span class=\"muted\">all of it</span>", f);
    /* Rules count; of a filter as a whole nobody does. */
    if (filter->rule || filter->matched || filter->fired)
        fprintf(f,
                "</td><td class=\"n\">%" PRIu64 "</td><td class=\"n\">%" PRIu64
                "</td><td>",
                filter->matched, filter->fired);
    else
        fputs("</td><td></td><td></td><td>", f);
    if (*filter->json && room) {
        fputs("<details><summary>all it says</summary><pre tabindex=\"0\">", f);
        report_put_json(f, filter->json, JSON_BYTES);
        fputs("</pre></details>", f);
    }
    fputs("</td></tr>\n", f);
}

void report_fired(FILE *f, const struct record *r)
{
    off_t full = ftello(f) + (off_t)REPORT_SECTION_BYTES;
    unsigned shown = 0;

    fputs("<section id=\"fired\" aria-labelledby=\"fired-h\">\n"
          "<h2 id=\"fired-h\">Filters and rules</h2>\n",
          f);
    if (r->num_filters == 0) {
        fputs("<p class=\"none\">No filter has counted anything.</p>\n"
              "</section>\n",
              f);
        return;
    }
    fputs("<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Device"
          "</th><th scope=\"col\">Filter</th><th scope=\"col\">Rule</th>"
          "<th scope=\"col\" class=\"n\">Matched</th>"
          "<th scope=\"col\" class=\"n\">Fired</th>"
          "<th scope=\"col\">Details</th></tr></thead><tbody>\n",
          f);
    /* What has fired is what one looks for. */
    for (int fired = 1; fired >= 0; fired--)
        for (unsigned i = 0; i < r->num_filters; i++) {
            if ((r->filters[i].fired > 0) != fired ||
                shown == REPORT_OTHERS_MAX)
                continue;
            put_filter(f, &r->filters[i], ftello(f) < full);
            shown++;
        }
    fputs("</tbody></table></div>\n", f);
    if (shown < r->num_filters)
        fprintf(f, "<p class=\"note\">%u more are left out.</p>\n",
                r->num_filters - shown);
    fputs("</section>\n", f);
}

/* ---- events ---- */

static int event_order(const void *context, unsigned a, unsigned b)
{
    const struct record_event *events = context;

    return strcmp(events[a].event, events[b].event);
}

/* "fault.fired 12", for each kind. */
static bool put_kinds(FILE *f, const struct record *r)
{
    struct {
        unsigned first, times;
    } kinds[EVENT_KINDS] = {{0}};
    unsigned num, shown,
        *of = report_groups(r->num_events, event_order, r->events, &num);

    if (!of)
        return false;
    shown = MIN(num, (unsigned)EVENT_KINDS);
    for (unsigned i = 0; i < r->num_events; i++)
        if (of[i] < shown && kinds[of[i]].times++ == 0)
            kinds[of[i]].first = i;
    fputs("<ul class=\"chips\">", f);
    for (unsigned i = 0; i < shown; i++) {
        fputs("<li>", f);
        report_put_line(f, r->events[kinds[i].first].event, 60);
        fprintf(f, " <b>%u</b></li>", kinds[i].times);
    }
    if (shown < num)
        fprintf(f, "<li>%u other kinds</li>", num - shown);
    fputs("</ul>\n", f);
    free(of);
    return true;
}

static void put_event(FILE *f, const struct record *r, unsigned i)
{
    const struct record_event *ev = &r->events[i];
    char at[REPORT_TIME_BYTES];

    fprintf(
        f, "<tr id=\"event-%u\"><td class=\"n\">%s</td><th scope=\"row\">",
        i + 1,
        report_time(ev->at_ns > r->begin_ns ? ev->at_ns - r->begin_ns : 0, at));
    report_put_line(f, ev->event, 100);
    fputs("</th><td>", f);
    report_put_line(f, ev->device, 100);
    fputs("</td><td><code>", f);
    report_put_line(f, ev->json, JSON_BYTES / 2);
    fputs("</code></td></tr>\n", f);
}

bool report_events(FILE *f, const struct record *r)
{
    unsigned head = r->num_events, tail = r->num_events;
    bool ok = true;

    fputs("<section id=\"events\" aria-labelledby=\"events-h\">\n"
          "<h2 id=\"events-h\">Events</h2>\n",
          f);
    if (r->events_lost)
        fprintf(f,
                "<p class=\"note\">%u events before these were not kept.</p>\n",
                r->events_lost);
    if (r->num_events == 0) {
        fputs("<p class=\"none\">vub has told of none.</p>\n</section>\n", f);
        return true;
    }
    ok = put_kinds(f, r);
    if (r->num_events > REPORT_EVENTS_MAX) {
        head = EVENTS_HEAD;
        tail = r->num_events - (REPORT_EVENTS_MAX - EVENTS_HEAD);
    }
    fprintf(f,
            "<details%s><summary>All in order of time</summary>"
            "<div class=\"scroll\"><table><thead><tr>"
            "<th scope=\"col\" class=\"n\">At</th><th scope=\"col\">Event</th>"
            "<th scope=\"col\">Device</th><th scope=\"col\">All it says</th>"
            "</tr></thead><tbody>\n",
            r->num_events <= EVENTS_OPEN ? " open" : "");
    for (unsigned i = 0; i < head; i++)
        put_event(f, r, i);
    if (tail > head)
        fprintf(f,
                "<tr class=\"gap\"><td colspan=\"4\">%u events are left out "
                "here.</td></tr>\n",
                tail - head);
    for (unsigned i = tail; i < r->num_events; i++)
        put_event(f, r, i);
    fputs("</tbody></table></div></details>\n</section>\n", f);
    return ok;
}

/* ---- processes ---- */

static void put_status(FILE *f, const struct record_process *p)
{
    if (p->status < 0)
        fputs("<span class=\"badge running\">not ended</span>", f);
    else if (p->status == REPORT_STOPPED)
        fputs("<span class=\"badge stopped\">stopped</span>", f);
    else if (p->status > 128)
        fprintf(f, "<span class=\"badge failed\">signal %d</span>",
                p->status - 128);
    else
        fprintf(f, "<span class=\"badge %s\">status %d</span>",
                p->status ? "failed" : "passed", p->status);
}

static void put_log(FILE *f, const struct record_process *p, const char *path)
{
    const char *name;

    if (!p->log_path)
        return;
    name = strrchr(p->log_path, '/');
    fputs("<p class=\"links\">All of it: ", f);
    if (report_is_beside(p->log_path, path)) {
        fputs("<a href=\"", f);
        report_put_link(f, p->log_path);
        fputs("\">", f);
        report_put_line(f, name ? name + 1 : p->log_path, 200);
        fputs("</a></p>\n", f);
        return;
    }
    fputs("<code>", f);
    report_put_line(f, p->log_path, 500);
    fputs("</code></p>\n", f);
}

/* Worth a look: it went wrong, or was there when a step did. */
static bool is_open(const struct record *r, const struct record_process *p)
{
    const struct record_step *s = report_failed(r);

    if (p->status > 0 && p->status != REPORT_STOPPED)
        return true;
    return !r->passed &&
           (!s || report_end(r, p->end_ns) >= report_end(r, s->end_ns));
}

static void put_process(FILE *f, const struct record *r,
                        const struct record_process *p, const char *path,
                        size_t max)
{
    uint64_t end = report_end(r, p->end_ns);
    char took[REPORT_TIME_BYTES];

    fprintf(f, "<li class=\"process\"><details%s><summary>",
            is_open(r, p) ? " open" : "");
    put_status(f, p);
    fputs("<span class=\"name\">", f);
    report_put_line(f, p->name, 200);
    fprintf(f, "</span><span class=\"took\">%s</span></summary>\n",
            report_time(end > p->begin_ns ? end - p->begin_ns : 0, took));
    fputs("<div class=\"body\"><p class=\"label\">Command</p>"
          "<pre tabindex=\"0\">",
          f);
    report_put_start(f, p->command, 4u << 10);
    fputs("</pre>\n<p class=\"label\">The end of its output</p>", f);
    if (*p->output) {
        fputs("<pre class=\"output\" tabindex=\"0\">", f);
        if (p->cut)
            fputs("[... there was more before this]\n", f);
        report_put_end(f, p->output, max);
        fputs("</pre>\n", f);
    } else {
        fputs("<p class=\"none\">It has written nothing.</p>\n", f);
    }
    put_log(f, p, path);
    fputs("</div></details></li>\n", f);
}

void report_processes(FILE *f, const struct record *r, const char *path)
{
    off_t full = ftello(f) + (off_t)REPORT_SECTION_BYTES;
    unsigned shown = MIN(r->num_processes, (unsigned)REPORT_OTHERS_MAX);

    fputs("<section id=\"processes\" aria-labelledby=\"processes-h\">\n"
          "<h2 id=\"processes-h\">Processes</h2>\n",
          f);
    if (r->num_processes == 0)
        fputs("<p class=\"none\">No step has started one.</p>\n", f);
    fputs("<ul>\n", f);
    for (unsigned i = 0; i < shown; i++)
        put_process(f, r, &r->processes[i], path,
                    ftello(f) < full ? OUTPUT_BYTES : 1u << 10);
    fputs("</ul>\n", f);
    if (shown < r->num_processes)
        fprintf(f, "<p class=\"note\">%u more are left out.</p>\n",
                r->num_processes - shown);
    fputs("</section>\n", f);
}
