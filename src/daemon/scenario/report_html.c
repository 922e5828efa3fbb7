/* The page: one file that is whole by itself, for it is looked at in the
 * browser of a CI system, in a mail, next year. It asks nothing of any network
 * and runs no script, and says so to the browser too (Content-Security-Policy),
 * should a text of a stranger ever get through as something else. What opens
 * and closes is <details>. Its parts have ids that stay: #summary, #timeline,
 * #steps, #pictures, #fired, #events, #processes.
 *
 * It is bounded, whatever there is in the record: how much of each part is
 * shown is in report_impl.h, and what is left out is said where it would be. */
#include <inttypes.h>
#include <string.h>

#include "daemon/scenario/report_impl.h"

/* ---- of a record ---- */

uint64_t report_end(const struct record *r, uint64_t end_ns)
{
    return end_ns ? end_ns : r->end_ns;
}

uint64_t report_took(const struct record *r, const struct record_step *s)
{
    uint64_t end = report_end(r, s->end_ns);

    return s->begin_ns && end > s->begin_ns ? end - s->begin_ns : 0;
}

const char *report_result(enum step_result result)
{
    static const char *const words[] = {
        [STEP_TO_COME] = "not-run",
        [STEP_RUNS] = "running",
        [STEP_PASSED] = "passed",
        [STEP_FAILED] = "failed",
    };

    return words[result];
}

const struct record_step *report_failed(const struct record *r)
{
    for (unsigned i = 0; i < r->num_steps; i++)
        if (r->steps[i].result == STEP_FAILED)
            return &r->steps[i];
    return NULL;
}

/* ---- the head ---- */

static void put_head(FILE *f, const struct record *r)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
          "<meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\""
          "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
          "base-uri 'none'; form-action 'none'\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, "
          "initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n"
          "<meta name=\"referrer\" content=\"no-referrer\">\n<title>",
          f);
    fputs(r->passed ? "passed: " : "failed: ", f);
    report_put_line(f, r->name ? r->name : "", 200);
    fputs("</title>\n<style>\n", f);
    report_style(f);
    fputs("</style>\n</head>\n<body>\n", f);
}

/* ---- the summary ---- */

static void put_fact(FILE *f, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    fprintf(f, "<div><dt>%s</dt><dd>", key);
    report_put_line(f, value, 500);
    fputs("</dd></div>\n", f);
}

/* "12 passed, 1 failed, 4 not run". */
static void put_results(FILE *f, const struct record *r)
{
    static const char *const words[] = {"not run", "not ended", "passed",
                                        "failed"};
    static const enum step_result order[] = {STEP_PASSED, STEP_FAILED,
                                             STEP_RUNS, STEP_TO_COME};
    unsigned counts[4] = {0};
    const char *comma = "";

    for (unsigned i = 0; i < r->num_steps; i++)
        counts[r->steps[i].result]++;
    fputs("<div><dt>Steps</dt><dd>", f);
    for (unsigned i = 0; i < ARRAY_LEN(order); i++) {
        if (counts[order[i]] == 0)
            continue;
        fprintf(f, "%s%u %s", comma, counts[order[i]], words[order[i]]);
        comma = ", ";
    }
    fputs(*comma ? "</dd></div>\n" : "none</dd></div>\n", f);
}

/* What a reader has come for, if it went wrong. */
static void put_failure(FILE *f, const struct record *r)
{
    const struct record_step *s = report_failed(r);

    if (r->passed)
        return;
    fputs("<div class=\"failure\" role=\"note\">\n", f);
    if (s) {
        unsigned num = (unsigned)(s - r->steps) + 1;

        fprintf(f, "<p class=\"where\"><a href=\"#step-%u\">Step %u, ", num,
                num);
        report_put_line(f, s->name, 200);
        fputs("</a>", f);
        if (s->turn) {
            fputs(", turn ", f);
            report_put_line(f, s->turn, 80);
        }
        fputs("</p>\n<p class=\"why\">", f);
        report_put_start(f, s->why ? s->why : "it has failed", 4000);
        fputs("</p>\n", f);
    }
    if (r->why || !s) {
        fputs("<p class=\"why\">", f);
        report_put_start(f, r->why ? r->why : "It has not passed.", 4000);
        fputs("</p>\n", f);
    }
    fputs("</div>\n", f);
}

static void put_summary(FILE *f, const struct record *r)
{
    char took[REPORT_TIME_BYTES];
    const char *word = r->passed ? "passed" : "failed";

    fprintf(f,
            "<header id=\"summary\" class=\"%s\" data-verdict=\"%s\">\n"
            "<p class=\"kicker\">vub scenario</p>\n<h1>",
            word, word);
    report_put_line(f, r->name && *r->name ? r->name : "a scenario", 300);
    fprintf(f, "</h1>\n<p class=\"verdict\"><span class=\"badge %s\">%s</span>",
            word, word);
    fprintf(f, " in %s</p>\n",
            report_time(r->end_ns > r->begin_ns ? r->end_ns - r->begin_ns : 0,
                        took));
    put_failure(f, r);
    fputs("<dl class=\"facts\">\n", f);
    put_results(f, r);
    put_fact(f, "Began", r->started);
    put_fact(f, "File", r->path);
    put_fact(f, "vub", r->version);
    fputs("</dl>\n</header>\n", f);
}

/* ---- where to go ---- */

static void put_nav(FILE *f, const struct record *r)
{
    unsigned pictures = 0, fired = 0;

    for (unsigned i = 0; i < r->num_steps; i++)
        pictures += r->steps[i].num_pictures;
    for (unsigned i = 0; i < r->num_filters; i++)
        fired += r->filters[i].fired > 0;
    fprintf(f,
            "<nav aria-label=\"Parts of the report\"><ul>\n"
            "<li><a href=\"#timeline\">Timeline</a></li>\n"
            "<li><a href=\"#steps\">Steps <span>%u</span></a></li>\n"
            "<li><a href=\"#pictures\">Pictures <span>%u</span></a></li>\n"
            "<li><a href=\"#fired\">Fired <span>%u</span></a></li>\n"
            "<li><a href=\"#events\">Events <span>%u</span></a></li>\n"
            "<li><a href=\"#processes\">Processes <span>%u</span></a></li>\n"
            "</ul></nav>\n",
            r->num_steps, pictures, fired, r->num_events, r->num_processes);
}

static bool put_all(FILE *f, const struct record *r, const char *path)
{
    struct report_shots shots;
    bool ok = report_shots_find(&shots, r);

    put_head(f, r);
    fputs("<main>\n", f);
    put_summary(f, r);
    put_nav(f, r);
    ok = ok && report_timeline(f, r);
    report_steps(f, r, &shots);
    report_pictures(f, r, &shots, path);
    report_fired(f, r);
    ok = ok && report_events(f, r);
    report_processes(f, r, path);
    fputs("</main>\n<footer><p>Made by vub ", f);
    report_put_line(f, r->version ? r->version : "", 100);
    fputs(". Times are counted from the start of the scenario.</p></footer>\n"
          "</body>\n</html>\n",
          f);
    report_shots_free(&shots);
    return ok;
}

int report_html(const struct record *r, const char *path, struct err *e)
{
    struct report_file file;
    int rc = report_file_open(&file, path, e);

    if (rc < 0)
        return rc;
    if (!put_all(file.f, r, path)) {
        report_file_drop(&file);
        return err_nomem(e);
    }
    return report_file_close(&file, e);
}
