/* What a person sees while a scenario runs.
 *
 * A terminal has one line of the step that runs, which becomes that of its
 * end. A pipe, the log of a CI job, has a line when a step begins and one when
 * it ends, so that a job that was killed shows where it was; steps of a repeat
 * have only the second, for there are many. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "daemon/control/ctl.h"
#include "daemon/scenario/report_impl.h"
#include "os/terminal.h"

#define NAME_MAX_SHOWN 100
#define WHY_MAX_SHOWN 1000

struct progress {
    const struct record *r;
    unsigned num_steps, begun;
    bool terminal, colors;
};

struct progress *progress_open(const struct record *r, unsigned num_steps)
{
    struct progress *p = calloc(1, sizeof(*p));
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

    if (!p)
        return NULL;
    p->r = r;
    p->num_steps = num_steps;
    p->terminal =
        isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
    p->colors = p->terminal && !(no_color && *no_color);
    return p;
}

/* Text of the scenario or a guest, on one line. */
static void put_text(const char *text, size_t max)
{
    char *part;
    size_t len = strlen(text);

    part = strndup(text, len > max ? utf8_cut(text, max) : len);
    if (!part)
        return;
    show_text(stdout, part);
    if (len > max)
        fputs("...", stdout);
    free(part);
}

static void put_colored(const struct progress *p, const char *color,
                        const char *word)
{
    if (p->colors)
        printf("\033[%sm%s\033[0m", color, word);
    else
        fputs(word, stdout);
}

static void put_count(const struct progress *p)
{
    int digits = snprintf(NULL, 0, "%u", p->num_steps);

    printf("[%*u/%u] ", digits, p->begun, p->num_steps);
}

/* What fits beside the rest of the line, of a terminal. */
static size_t name_room(const struct progress *p)
{
    int columns, lines;

    if (!p->terminal)
        return NAME_MAX_SHOWN;
    terminal_size(&columns, &lines);
    columns -= 2 * snprintf(NULL, 0, "%u", p->num_steps) + 24;
    return columns < 16 ? 16 : MIN((size_t)columns, (size_t)NAME_MAX_SHOWN);
}

static void put_step(const struct progress *p, const struct record_step *s)
{
    put_text(s->name, name_room(p));
    if (s->turn) {
        fputs(" (", stdout);
        put_text(s->turn, 40);
        putchar(')');
    }
}

/* The line begins anew. */
static void clear(const struct progress *p)
{
    if (p->terminal)
        fputs("\r\033[K", stdout);
}

void progress_step_begins(struct progress *p, const struct record_step *s)
{
    if (!p)
        return;
    p->begun++;
    if (!p->terminal && s->turn)
        return;
    clear(p);
    put_count(p);
    if (!p->terminal)
        fputs("        ", stdout);
    put_step(p, s);
    fputs(p->terminal ? " ..." : "\n", stdout);
    fflush(stdout);
}

void progress_step_ends(struct progress *p, const struct record_step *s)
{
    char took[REPORT_TIME_BYTES];
    bool failed = s->result == STEP_FAILED;

    if (!p)
        return;
    clear(p);
    put_count(p);
    put_colored(p, failed ? "31" : "32", failed ? "FAILED" : "passed");
    fputs("  ", stdout);
    put_step(p, s);
    printf("  %s\n", report_time(report_took(p->r, s), took));
    if (failed && s->why) {
        fputs("        ", stdout);
        put_text(s->why, WHY_MAX_SHOWN);
        putchar('\n');
    }
    fflush(stdout);
}

void progress_close(struct progress *p)
{
    const struct record *r;
    char took[REPORT_TIME_BYTES];

    if (!p)
        return;
    r = p->r;
    clear(p);
    put_colored(p, r->passed ? "1;32" : "1;31",
                r->passed ? "passed" : "FAILED");
    fputs(": ", stdout);
    if (r->name)
        put_text(r->name, NAME_MAX_SHOWN);
    printf(", %u of %u steps in %s\n", p->begun, p->num_steps,
           report_time(r->end_ns > r->begin_ns ? r->end_ns - r->begin_ns : 0,
                       took));
    if (!r->passed && r->why) {
        fputs("        ", stdout);
        put_text(r->why, WHY_MAX_SHOWN);
        putchar('\n');
    }
    fflush(stdout);
    free(p);
}
