/* JUnit's XML, as CI systems read it.
 *
 * There is no standard; this is what Jenkins' schema (junit-10.xsd of its
 * xUnit plugin), GitLab and the usual GitHub actions agree on: one suite, the
 * scenario, with a test case for each step. Readers tell cases apart by class
 * and name, hence the number in front. Pictures are named in the form that
 * Jenkins and GitLab take for attachments. They would take any file of their
 * own that an output names so, hence no output may.
 *
 * What went wrong outside of any step is a case of its own, an error: readers
 * take a suite for passed when all its cases are. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/scenario/report_impl.h"

#define NAME_MAX_BYTES 400
#define WHY_MAX_BYTES 4000
#define TEXT_MAX_BYTES (16u << 10)
#define ALL_MAX_BYTES (16u << 20) /* after that no texts of what passed */

struct counts {
    unsigned tests, failed, errors, skipped;
};

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* Nothing in the steps says that it failed. */
static bool is_error(const struct record *r)
{
    return !r->passed && (r->why || !report_failed(r));
}

static const char *error_text(const struct record *r)
{
    return r->why ? r->why : "it has not passed";
}

static struct counts count(const struct record *r)
{
    struct counts c = {.tests = r->num_steps};

    for (unsigned i = 0; i < r->num_steps; i++) {
        c.failed += r->steps[i].result == STEP_FAILED;
        c.skipped += r->steps[i].result == STEP_TO_COME;
        c.errors += r->steps[i].result == STEP_RUNS;
    }
    if (is_error(r)) {
        c.errors++;
        c.tests++;
    }
    return c;
}

static void put_value(FILE *f, const char *key, const char *value, size_t max)
{
    fprintf(f, " %s=\"", key);
    report_put_value(f, value ? value : "", max);
    putc('"', f);
}

/* "2026-11-30T08:15:00": readers know no zone. */
static void put_timestamp(FILE *f, const struct record *r)
{
    char text[20];

    if (!r->started || strlen(r->started) < sizeof(text) - 1)
        return;
    memcpy(text, r->started, sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    put_value(f, "timestamp", text, sizeof(text));
}

static void put_counts(FILE *f, const struct record *r, struct counts c,
                       bool with_skipped)
{
    fprintf(f, " tests=\"%u\" failures=\"%u\" errors=\"%u\"", c.tests, c.failed,
            c.errors);
    if (with_skipped)
        fprintf(f, " skipped=\"%u\"", c.skipped);
    fprintf(f, " time=\"%.6f\"",
            seconds(r->end_ns > r->begin_ns ? r->end_ns - r->begin_ns : 0));
}

static void put_property(FILE *f, const char *name, const char *value)
{
    fputs("      <property", f);
    put_value(f, "name", name, NAME_MAX_BYTES);
    put_value(f, "value", value, NAME_MAX_BYTES);
    fputs("/>\n", f);
}

#define ATTACHMENT "[[ATTACHMENT|"

/* What report_put_start and its like make of a text of strangers, and nothing
 * in it that names an attachment: also where that comes of what they leave out.
 */
static void put_output(FILE *f, const char *text, size_t max,
                       void (*put)(FILE *f, const char *text, size_t max))
{
    char *made = NULL, *at, *from;
    size_t len;
    FILE *m = open_memstream(&made, &len);

    if (!m)
        return;
    put(m, text, max);
    if (fclose(m) != 0) {
        free(made);
        return;
    }
    for (from = made; (at = strcasestr(from, ATTACHMENT)) != NULL;
         from = at + 1) {
        fwrite(from, 1, (size_t)(at + 1 - from), f);
        putc(' ', f);
    }
    fputs(from, f);
    free(made);
}

static void put_out(FILE *f, const struct record_step *s, bool with_answer)
{
    bool answer = s->answer && with_answer;

    if (!answer && s->num_pictures == 0)
        return;
    fputs("      <system-out>", f);
    if (answer) {
        put_output(f, s->answer, TEXT_MAX_BYTES, report_put_start);
        putc('\n', f);
    }
    for (unsigned i = 0; i < s->num_pictures && i < REPORT_PICTURES_MAX; i++) {
        fputs(ATTACHMENT, f);
        report_put_line(f, s->pictures[i].path, 4096);
        fputs("]]\n", f);
    }
    fputs("</system-out>\n", f);
}

static void put_case(FILE *f, const struct record *r, unsigned i)
{
    const struct record_step *s = &r->steps[i];
    bool room = ftello(f) < (off_t)ALL_MAX_BYTES;

    fprintf(f, "    <testcase name=\"%u ", i + 1);
    report_put_value(f, s->name, NAME_MAX_BYTES);
    if (s->turn) {
        fputs(" (", f);
        report_put_value(f, s->turn, NAME_MAX_BYTES);
        putc(')', f);
    }
    putc('"', f);
    put_value(f, "classname", r->name, NAME_MAX_BYTES);
    fprintf(f, " time=\"%.6f\">\n", seconds(report_took(r, s)));
    if (s->result == STEP_TO_COME) {
        fputs("      <skipped message=\"not run: the scenario has ended before "
              "it\"/>\n",
              f);
    } else if (s->result != STEP_PASSED) {
        const char *why = s->why ? s->why : "it has not ended";
        const char *tag = s->result == STEP_FAILED ? "failure" : "error";

        fprintf(f, "      <%s", tag);
        put_value(f, "message", why, WHY_MAX_BYTES);
        put_value(f, "type", s->kind, NAME_MAX_BYTES);
        putc('>', f);
        report_put_line(f, s->place, NAME_MAX_BYTES);
        fputs(": ", f);
        report_put_start(f, why, WHY_MAX_BYTES);
        fputs("\n\n", f);
        report_put_start(f, s->kind, NAME_MAX_BYTES);
        fputs(": ", f);
        report_put_start(f, s->args, WHY_MAX_BYTES);
        fprintf(f, "\n</%s>\n", tag);
    }
    put_out(f, s, room || s->result == STEP_FAILED);
    fputs("    </testcase>\n", f);
}

static void put_error(FILE *f, const struct record *r)
{
    fputs("    <testcase name=\"the scenario as a whole\"", f);
    put_value(f, "classname", r->name, NAME_MAX_BYTES);
    fputs(" time=\"0\">\n      <error", f);
    put_value(f, "message", error_text(r), WHY_MAX_BYTES);
    fputs(" type=\"scenario\">", f);
    report_put_start(f, error_text(r), WHY_MAX_BYTES);
    fputs("</error>\n    </testcase>\n", f);
}

/* What processes have said last: of the suite, for they outlive steps. */
static void put_processes(FILE *f, const struct record *r)
{
    off_t end = ftello(f) + (off_t)ALL_MAX_BYTES;

    if (r->num_processes == 0)
        return;
    fputs("    <system-out>", f);
    for (unsigned i = 0; i < r->num_processes && ftello(f) < end; i++) {
        const struct record_process *p = &r->processes[i];

        fputs("==== ", f);
        report_put_line(f, p->name, NAME_MAX_BYTES);
        if (p->status >= 0)
            fprintf(f, ", status %d", p->status);
        fputs(" ====\n", f);
        if (p->cut)
            fputs("[... there was more before this]\n", f);
        put_output(f, p->output, 2 * TEXT_MAX_BYTES, report_put_end);
        putc('\n', f);
    }
    fputs("</system-out>\n", f);
}

static void put_all(FILE *f, const struct record *r)
{
    struct counts c = count(r);

    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites", f);
    put_value(f, "name", "vub", NAME_MAX_BYTES);
    put_counts(f, r, c, false);
    fputs(">\n  <testsuite", f);
    put_value(f, "name", r->name, NAME_MAX_BYTES);
    put_counts(f, r, c, true);
    put_timestamp(f, r);
    fputs(">\n    <properties>\n", f);
    put_property(f, "scenario", r->path);
    put_property(f, "vub", r->version);
    fputs("    </properties>\n", f);
    for (unsigned i = 0; i < r->num_steps; i++)
        put_case(f, r, i);
    if (is_error(r))
        put_error(f, r);
    put_processes(f, r);
    fputs("  </testsuite>\n</testsuites>\n", f);
}

int report_junit(const struct record *r, const char *path, struct err *e)
{
    struct report_file file;
    int rc = report_file_open(&file, path, e);

    if (rc < 0)
        return rc;
    put_all(file.f, r);
    return report_file_close(&file, e);
}
