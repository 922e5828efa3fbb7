/* vub scenario: its options, and what stands around a scenario: the directory
 * of the report, the connection, the reports. */
#include "daemon/scenario/scenario.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "conf/docs.h"
#include "conf/text.h"
#include "daemon/run.h"
#include "daemon/scenario/engine.h"
#include "loop/loop.h"
#include "os/process.h"

#define ANSWER_MS 30000 /* that vub has for its first answers */

struct asked {
    const char *file, *socket, *config, *report;
    bool help;
};

const struct option_row scenario_options[] = {
    {'s', "socket", "PATH",
     "The control socket of the vub. Default: control.sock in vub in "
     "$XDG_RUNTIME_DIR, or else in /run/vub."},
    {'c', "config", "FILE",
     "The socket that this config names; the scenario is checked against it."},
    {'r', "report", "PATH",
     "A directory, which is made if it is missing, for report.html, junit.xml, "
     "pictures, and what processes have written."},
    {'h', "help", NULL, "Print this and stop."},
    {0},
};

/* ---- texts ---- */

/* As vub tells of its config: for people and editors. */
static void tell(const char *file, const struct err *e)
{
    show_text(stderr, file);
    fputs(": ", stderr);
    show_text(stderr, e->where);
    fputs(e->where[0] ? ": " : "", stderr);
    show_text(stderr, e->text);
    putc('\n', stderr);
}

static int wrong(const char *where, const char *text)
{
    ctl_fail(where, text);
    return SCENARIO_WRONG;
}

static int wrong_all(const char *file, struct errs *e)
{
    struct err rest;

    for (int i = 0; i < e->count; i++)
        tell(file, &e->list[i]);
    if (e->more) {
        err_set(&rest, -EINVAL, "",
                "there %s %u more error%s; repair these first",
                e->more == 1 ? "is" : "are", e->more, e->more == 1 ? "" : "s");
        tell(file, &rest);
    }
    errs_free(e);
    return SCENARIO_WRONG;
}

static void help(void)
{
    const struct conf_key *k = scenario_table.keys;
    struct conf_keyed_row row;

    fputs("usage: vub scenario [OPTION...] FILE\n\n"
          "Runs the steps of a scenario, a JSON file, over the control socket "
          "of a vub.\nExit status: 0 passed, 1 failed, 2 wrong.\n\n",
          stdout);
    for (const struct option_row *r = scenario_options; r->name; r++)
        option_row_help(stdout, r);
    while (k->type != CONF_KEYED)
        k++;
    fputs("\nSteps:\n", stdout);
    for (unsigned i = 0; k->keyed->row(i, &row); i++) {
        printf("  %s\n      ", row.name);
        text_wrap(stdout, row.help, 6, 6);
    }
    fputs("\nvub(1) tells more.\n", stdout);
}

/* Steps of our own; commands are in the page of vub ctl. */
void scenario_man(FILE *f)
{
    const struct conf_key *k = scenario_table.keys;
    struct conf_keyed_row row;

    fputs(".Ss Options\n.Bl -tag -width Ds\n", f);
    for (const struct option_row *r = scenario_options; r->name; r++)
        option_row_man(f, r);
    fputs(".El\n.Ss The file\n.Bl -tag -width Ds\n", f);
    conf_man_keys(f, k);
    fputs(".El\n.Ss Steps\n"
          "Each step may have, beside the key that says what it is:\n"
          ".Bl -tag -width Ds\n",
          f);
    while (k->type != CONF_KEYED)
        k++;
    conf_man_keys(f, k->keyed->common->keys);
    fputs(".El\n.Pp\nBeside the commands of\n.Xr vub-ctl 1 ,\n"
          "with their parameters, steps are:\n.Bl -tag -width Ds\n",
          f);
    for (unsigned i = 0;
         k->keyed->row(i, &row) &&
         strcmp(row.name, row.tables[0] ? row.tables[0]->name : "") == 0;
         i++) {
        fprintf(f, ".It Cm %s\n", row.name);
        conf_man_text(f, row.help);
        fputs(".Bl -tag -width Ds\n", f);
        conf_man_keys(f, row.tables[0]->keys);
        fputs(".El\n", f);
    }
    fputs(".El\n", f);
}

/* ---- options ---- */

static int take_option(void *arg, const struct option_row *r, char *value,
                       struct err *e)
{
    struct asked *a = arg;

    (void)e;
    switch (r->id) {
    case 's':
        a->socket = value;
        return 0;
    case 'c':
        a->config = value;
        return 0;
    case 'r':
        a->report = value;
        return 0;
    default:
        a->help = true;
        return 1;
    }
}

/* How many words of argv were taken, and argv[0]; negative: it is told. */
static int scan(struct asked *a, int argc, char **argv)
{
    struct option_scan s = {
        .program = "vub scenario", .take = take_option, .arg = a};
    struct err e;
    int used;

    option_rows_add(&s, scenario_options);
    used = option_rows_scan(&s, argc, argv, &e);
    if (used < 0)
        ctl_fail(e.where, e.text);
    return used;
}

/* -1: go on; else the exit status. */
static int parse(struct asked *a, int argc, char **argv)
{
    int used = scan(a, argc, argv);

    /* Options may stand behind the file, too. */
    if (used > 0 && used < argc && !a->help) {
        a->file = argv[used];
        argv += used;
        argc -= used;
        used = scan(a, argc, argv);
    }
    if (used < 0)
        return SCENARIO_WRONG;
    if (a->help) {
        help();
        return SCENARIO_PASSED;
    }
    if (!a->file)
        return wrong("", "which scenario? See vub scenario --help");
    if (used < argc)
        return wrong(argv[used], "is one file more than can be run");
    if (a->socket && a->config)
        return wrong("--config", "names the socket, as --socket does: leave "
                                 "one out");
    return -1;
}

/* ---- before ---- */

/* Absolute, to be freed; NULL: *status is set. */
static char *make_report_dir(const char *path, int *status)
{
    char *real, probe[] = "/.vub-XXXXXX", *name = NULL;
    struct err e;
    int fd = -1;

    if (mkdir(path, 0777) < 0 && errno != EEXIST) {
        err_sys(&e, errno, "", "cannot make the directory %s", path);
        *status = wrong("--report", e.text);
        return NULL;
    }
    real = realpath(path, NULL);
    if (real && asprintf(&name, "%s%s", real, probe) >= 0)
        fd = mkstemp(name);
    if (fd < 0) {
        err_sys(&e, errno, "", "cannot write into %s", path);
        *status = wrong("--report", e.text);
        free(real);
        real = NULL;
    } else {
        unlink(name);
        close(fd);
    }
    free(name);
    return real;
}

/* The scenario, and if there is a config, whether they go together. */
static int read_file(struct scenario *s, const struct asked *a)
{
    const struct config_source source = {
        .path = a->config, .log_level = -1, .log_format = -1};
    struct plan_devices devices = {NULL, 0};
    const struct config *config;
    struct conf_doc *doc = NULL;
    struct errs e = ERRS_EMPTY;
    int status = -1;

    if (a->config && config_read(&doc, &config, &source, &e) < 0)
        return wrong_all(a->config, &e);
    if (doc && !plan_devices_of(&devices, config))
        status = wrong("", "out of memory");
    else if (scenario_read(s, a->file, doc ? &devices : NULL, &e) < 0)
        status = wrong_all(a->file, &e);
    free(devices.list);
    conf_free(doc);
    return status;
}

/* "VUB_ID=path", and what is ours. False: no memory. */
static bool add_variable(struct engine *g, unsigned *n, const char *id,
                         const char *value)
{
    char *name = run_variable(id);
    bool done =
        name && asprintf(&g->runners.variables[*n], "%s=%s", name, value) >= 0;

    free(name);
    if (done)
        ++*n;
    else
        g->runners.variables[*n] = NULL;
    return done;
}

static bool add_variables(struct engine *g, const struct json *devices)
{
    unsigned n = 0, count = 3;
    bool done = true;

    for (const struct json *d = json_first(devices); d; d = json_next(d))
        count++;
    g->runners.variables = calloc(count, sizeof(char *));
    if (!g->runners.variables)
        return false;
    for (const struct json *d = json_first(devices); d && done;
         d = json_next(d)) {
        const char *socket = json_member_string(d, "socket");

        if (socket[0])
            done = add_variable(g, &n, json_member_string(d, "id"), socket);
    }
    if (done)
        done = add_variable(g, &n, SOCKETS_CONTROL, g->peer.wire.path);
    if (done && g->report)
        done = add_variable(g, &n, "report", g->report);
    return done;
}

/* Devices by what vub says, for a scenario that was read without a config. */
static int check_devices(const struct engine *g, const struct json *list)
{
    struct plan_devices devices = {NULL, 0};
    struct errs e = ERRS_EMPTY;
    int status = -1;

    for (const struct json *d = json_first(list); d; d = json_next(d))
        if (!plan_devices_add(&devices, json_member_string(d, "id"),
                              json_member_string(d, "type"), NULL))
            status = wrong("", "out of memory");
    if (status < 0 && plan_check_names(g->scenario->plan, &devices, &e) < 0)
        status = wrong_all(g->scenario->path, &e);
    free(devices.list);
    return status;
}

/* Before the first step, but not for what is asked: that is in the report. */
static int fail(struct engine *g, const char *text)
{
    ctl_fail("", text);
    g->record.why = strdup(text);
    return SCENARIO_FAILED;
}

/* What is to be known of vub before the first step. */
static int meet(struct engine *g, const struct asked *a)
{
    const struct json *status, *devices;
    struct err e;
    int rc;

    g->timeout_ms = ANSWER_MS;
    g->deadline_ns = loop_now_ns() + UINT64_C(1000000) * ANSWER_MS;
    if (!engine_ask(g, "events", NULL, &e))
        return fail(g, e.text);
    status = engine_ask(g, "status", NULL, &e);
    if (!status)
        return fail(g, e.text);
    devices = json_member(status, "devices");
    if (!devices || json_type(devices) != JSON_ARRAY)
        return fail(g, "what vub says is no answer");
    g->record.version = strdup(json_member_string(status, "version"));
    if (!a->config) {
        rc = check_devices(g, devices);
        if (rc >= 0)
            return rc;
    }
    return add_variables(g, devices) ? -1 : fail(g, "out of memory");
}

/* ---- after ---- */

static bool write_report(const struct engine *g, const char *name,
                         int (*write)(const struct record *r, const char *path,
                                      struct err *e))
{
    char *path = NULL;
    struct err e;
    bool done;

    if (asprintf(&path, "%s/%s", g->report, name) < 0)
        return false;
    done = write(&g->record, path, &e) == 0;
    if (!done)
        ctl_fail(path, e.text);
    free(path);
    return done;
}

static bool write_reports(const struct engine *g)
{
    bool junit, html;

    if (!g->report)
        return true;
    junit = write_report(g, "junit.xml", report_junit);
    html = write_report(g, "report.html", report_html);
    return junit && html;
}

static void begin_record(struct engine *g)
{
    struct record *r = &g->record;
    time_t now = time(NULL);
    char text[32];
    struct tm tm;

    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    r->name = strdup(g->scenario->name);
    r->path = strdup(g->scenario->path);
    r->started = strdup(text);
    r->begin_ns = loop_now_ns();
}

/* The steps, and what is left behind. status: what stands in their way, and
 * is in the report; -1: nothing does. */
static int run(struct engine *g, int status)
{
    bool passed;

    if (status < 0) {
        g->progress = progress_open(&g->record, g->scenario->num_steps);
        passed = engine_walk(g);
        status = passed ? SCENARIO_PASSED : SCENARIO_FAILED;
    }
    g->record.end_ns = loop_now_ns();
    g->record.passed = status == SCENARIO_PASSED;
    progress_close(g->progress);
    return write_reports(g) ? status : SCENARIO_FAILED;
}

int scenario_main(int argc, char **argv)
{
    struct asked a = {NULL};
    struct scenario s = {NULL};
    struct engine g = {.scenario = &s, .signals = -1, .peer.gone = true};
    char *report = NULL;
    struct err e;
    int status = parse(&a, argc, argv);

    if (status >= 0)
        return status;
    process_set_name("vub-scenario");
    status = read_file(&s, &a);
    if (status < 0 && a.report)
        report = make_report_dir(a.report, &status);
    if (status < 0 && engine_open(&g, &e) < 0)
        status = wrong("", e.text);
    if (status >= 0)
        goto out;
    subprocess_init();
    g.report = report;
    g.runners.record = &g.record;
    g.runners.report = report;
    g.runners.dir = s.dir;
    begin_record(&g);
    if (peer_open(&g.peer, a.socket, a.config) < 0)
        status = meet(&g, &a);
    else
        status = fail(&g, "vub cannot be reached");
    if (status != SCENARIO_WRONG)
        status = run(&g, status);
    engine_close(&g);
out:
    scenario_free(&s);
    free(report);
    return status;
}
