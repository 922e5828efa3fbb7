/* THE table of kinds of steps: our own, then the commands of the control
 * socket but for some. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "daemon/scenario/plan.h"
#include "daemon/scenario/scenario.h"
#include "daemon/scenario/steps.h"

#define KINDS_MAX 128

/* ---- keys ---- */

static const char *const until_words[] = {"connected", "running", "gone", NULL};

const char *plan_until(const struct wait_step *s)
{
    return until_words[s->until];
}

static const struct conf_key wait_keys[] = {
    {"device", CONF_STR, CONF_AT(struct wait_step, device), .required = true,
     .min = 1, .help = "The id of the device."},
    {"until", CONF_CHOICE, CONF_AT(struct wait_step, until), .required = true,
     .words = until_words,
     .help = "A front-end has connected; the guest's driver has started a "
             "ring; or no front-end is connected."},
    {NULL},
};
static const struct conf_table wait_table = {
    .name = "wait",
    .size = sizeof(struct wait_step),
    .keys = wait_keys,
    .help = "Waits until a device has a front-end, or has none.",
};

static const struct conf_key event_keys[] = {
    {"event", CONF_STR, CONF_AT(struct event_step, event), .required = true,
     .min = 1, .help = "What it is called: fault.fired, connect, ..."},
    {"device", CONF_STR, CONF_AT(struct event_step, device), .min = 1,
     .help = "The id of the device that it is about."},
    {"match", CONF_OBJECT, CONF_AT(struct event_step, match),
     .help = "Members that it has, with these values."},
    {NULL},
};
static const struct conf_table event_table = {
    .name = "wait.event",
    .size = sizeof(struct event_step),
    .keys = event_keys,
    .help = "Waits for an event: the next that has come since the one that "
            "such a step has had before, or since the scenario began.",
};

static const char *const of_words[] = {"stats", "status", NULL};

static const struct conf_key expect_keys[] = {
    {"of", CONF_CHOICE, CONF_AT(struct expect_step, of), .required = true,
     .words = of_words, .help = "The command that is asked."},
    {"device", CONF_STR, CONF_AT(struct expect_step, device), .min = 1,
     .help = "The id of a device: only what is told of it is looked at."},
    {"at", CONF_STR, CONF_AT(struct expect_step, at), .required = true,
     .help = "A JSON Pointer into what is told: /requests, say. With a device "
             "it starts in the object that tells of that."},
    {"is", CONF_JSON, CONF_AT(struct expect_step, is),
     .help = "What is to be found there."},
    {"at_least", CONF_REAL, CONF_AT(struct expect_step, at_least),
     .seen_offset = CONF_SEEN(struct expect_step, has_at_least),
     .help = "The least that a number there may be."},
    {"at_most", CONF_REAL, CONF_AT(struct expect_step, at_most),
     .seen_offset = CONF_SEEN(struct expect_step, has_at_most),
     .help = "The most."},
    {NULL},
};

static void check_expect(void *data, const char *at, struct errs *e)
{
    const struct expect_step *s = data;

    if (s->at[0] && s->at[0] != '/')
        errs_at(e, at, "at", "a JSON Pointer starts with /");
    if (!s->is && !s->has_at_least && !s->has_at_most)
        errs_at(e, at, NULL,
                "expects nothing: give \"is\", \"at_least\" or \"at_most\"");
    if (s->has_at_least && s->has_at_most && s->at_least > s->at_most)
        errs_at(e, at, "at_most", "is less than at_least");
}

static const struct conf_table expect_table = {
    .name = "expect",
    .size = sizeof(struct expect_step),
    .keys = expect_keys,
    .check = check_expect,
    .help = "Looks at counters or the state of devices. It fails at once if "
            "they are otherwise; with a timeout_ms of its own it looks again "
            "until then.",
};

static const struct conf_key run_keys[] = {
    {"command", CONF_STR, CONF_AT(struct run_step, command), .required = true,
     .min = 1,
     .help = "For /bin/sh -c, in the directory of the scenario. Its "
             "environment has VUB_ID, the socket of the device ID in capitals, "
             "VUB_CONTROL, the control socket, and VUB_REPORT, the directory "
             "of the report if there is one."},
    {"process", CONF_STR, CONF_AT(struct run_step, process), .min = 1,
     .max = 64, .help = "What other steps, and the report, call it."},
    {"background", CONF_BOOL, CONF_AT(struct run_step, background),
     .def = "false",
     .help = "The next step does not wait for its end. It is ended with the "
             "scenario: by SIGTERM, and by SIGKILL if it does not mind that."},
    {"status", CONF_U32, CONF_AT(struct run_step, status), .max = 255,
     .seen_offset = CONF_SEEN(struct run_step, has_status),
     .help = "The exit status that is right, by default 0; 128 + N is an end "
             "by signal N."},
    {"output", CONF_STR, CONF_AT(struct run_step, output), .min = 1,
     .help = "A text that its output has to have."},
    {NULL},
};

static void check_run(void *data, const char *at, struct errs *e)
{
    const struct run_step *s = data;

    if (s->background && s->has_status)
        errs_at(e, at, "status",
                "is not known of one in the background: \"wait.exit\" asks for "
                "it");
    if (s->background && s->output)
        errs_at(e, at, "output",
                "is not there yet of one in the background: \"wait.output\" "
                "waits for it");
}

static const struct conf_table run_table = {
    .name = "run",
    .size = sizeof(struct run_step),
    .keys = run_keys,
    .check = check_run,
    .help = "Runs a command to its end, or starts one in the background.",
};

static const struct conf_key output_keys[] = {
    {"process", CONF_STR, CONF_AT(struct text_step, process), .required = true,
     .min = 1, .help = "As a run step has named it."},
    {"text", CONF_STR, CONF_AT(struct text_step, text), .required = true,
     .min = 1, .max = 4096, .help = "What is waited for."},
    {NULL},
};
static const struct conf_table output_table = {
    .name = "wait.output",
    .size = sizeof(struct text_step),
    .keys = output_keys,
    .help = "Waits until a process has written a text, after the one that such "
            "a step has waited for before.",
};

static const struct conf_key write_keys[] = {
    {"process", CONF_STR, CONF_AT(struct text_step, process), .required = true,
     .min = 1, .help = "As a run step has named it."},
    {"text", CONF_STR, CONF_AT(struct text_step, text), .required = true,
     .min = 1, .help = "What it gets."},
    {NULL},
};
static const struct conf_table write_table = {
    .name = "write",
    .size = sizeof(struct text_step),
    .keys = write_keys,
    .help = "Writes a text to the standard input of a process. That of one to "
            "which no step writes is empty.",
};

static const struct conf_key exit_keys[] = {
    {"process", CONF_STR, CONF_AT(struct exit_step, process), .required = true,
     .min = 1, .help = "As a run step has named it."},
    {"status", CONF_U32, CONF_AT(struct exit_step, status), .max = 255,
     .seen_offset = CONF_SEEN(struct exit_step, has_status),
     .help = "The exit status that is right; by default any is."},
    {NULL},
};
static const struct conf_table exit_table = {
    .name = "wait.exit",
    .size = sizeof(struct exit_step),
    .keys = exit_keys,
    .help = "Waits until a process has ended.",
};

static const char *const signal_words[] = {"TERM", "INT",  "HUP",
                                           "QUIT", "KILL", NULL};
static const int signal_numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGKILL};

int plan_signal(const struct stop_step *s)
{
    return signal_numbers[s->signal];
}

static const struct conf_key stop_keys[] = {
    {"process", CONF_STR, CONF_AT(struct stop_step, process), .required = true,
     .min = 1, .help = "As a run step has named it."},
    {"signal", CONF_CHOICE, CONF_AT(struct stop_step, signal),
     .def = "\"TERM\"", .words = signal_words,
     .help = "The signal that it gets, and whatever it has started."},
    {NULL},
};
static const struct conf_table stop_table = {
    .name = "stop",
    .size = sizeof(struct stop_step),
    .keys = stop_keys,
    .help = "Sends a signal to a process, and waits for its end.",
};

static const struct conf_key screenshot_keys[] = {
    {"device", CONF_STR, CONF_AT(struct screenshot_step, device),
     .required = true, .min = 1, .help = "The id of the GPU."},
    {"scanout", CONF_U32, CONF_AT(struct screenshot_step, scanout), .max = 15,
     .def = "0", .help = "Which of its scanouts."},
    {"cursor", CONF_BOOL, CONF_AT(struct screenshot_step, cursor),
     .def = "false", .help = "With the cursor."},
    {"file", CONF_STR, CONF_AT(struct screenshot_step, file), .min = 1,
     .help = "Where it is written, a name that ends in .png: without a "
             "directory, in that of the report. By default the report names "
             "it, and without one nothing is written."},
    {NULL},
};

static void check_screenshot(void *data, const char *at, struct errs *e)
{
    const struct screenshot_step *s = data;
    size_t len = s->file ? strlen(s->file) : 0;

    if (s->file && (len < 5 || strcmp(s->file + len - 4, ".png") != 0 ||
                    s->file[len - 5] == '/'))
        errs_at(e, at, "file", "must be a name that ends in .png");
}

static const struct conf_table screenshot_table = {
    .name = "screenshot",
    .size = sizeof(struct screenshot_step),
    .keys = screenshot_keys,
    .check = check_screenshot,
    .help = "Takes a picture of what a GPU shows, for the report.",
};

static const struct conf_key sleep_keys[] = {
    {"ms", CONF_U32, CONF_AT(struct sleep_step, ms), .required = true,
     .max = PLAN_TIMEOUT_MAX_MS, .help = "How long."},
    {NULL},
};
static const struct conf_table sleep_table = {
    .name = "sleep",
    .size = sizeof(struct sleep_step),
    .keys = sleep_keys,
    .help = "Does nothing for a time. What can be waited for is better waited "
            "for.",
};

/* ---- the table ---- */

static const struct conf_keyed step_keyed;

static const struct conf_key repeat_keys[] = {
    {"times", CONF_U32, CONF_AT(struct repeat_step, times), .required = true,
     .min = 1, .max = PLAN_STEPS_MAX, .help = "How often."},
    {"steps", CONF_KEYED, CONF_AT(struct repeat_step, steps), .required = true,
     .min = 1, .keyed = &step_keyed, .help = "What is done each time."},
    {NULL},
};
static const struct conf_table repeat_table = {
    .name = "repeat",
    .size = sizeof(struct repeat_step),
    .keys = repeat_keys,
    .help = "Does steps several times. Repeats may hold repeats, four deep.",
};

static const struct {
    const struct conf_table *table;
    int (*run)(struct engine *g, const struct conf_keyed_one *s, struct err *e);
} own[] = {
    {&wait_table, step_wait},
    {&event_table, step_wait_event},
    {&expect_table, step_expect},
    {&run_table, step_run},
    {&output_table, step_wait_output},
    {&write_table, step_write},
    {&exit_table, step_wait_exit},
    {&stop_table, step_stop},
    {&screenshot_table, step_screenshot},
    {&sleep_table, step_sleep},
    {&repeat_table, NULL},
};

/* Commands that are no steps. */
static const char *why_not(const char *name)
{
    if (strcmp(name, "events") == 0)
        return "a scenario hears all events: \"wait.event\" waits for one";
    if (strcmp(name, "quit") == 0)
        return "a scenario that ends its vub could not go on; vub --scenario "
               "ends with its scenario";
    return strcmp(name, "hand-over") == 0 ? "is for vub --take-over only"
                                          : NULL;
}

static struct plan_kind kinds[KINDS_MAX];
static unsigned num_kinds;

static void add_kind(const struct plan_kind *k)
{
    if (num_kinds < KINDS_MAX)
        kinds[num_kinds++] = *k;
}

static void make_kinds(void)
{
    struct command_row c;

    for (unsigned i = 0; i < ARRAY_LEN(own); i++) {
        const struct conf_table *t = own[i].table;

        add_kind(&(struct plan_kind){.row = {t->name, t->help, {t, NULL}},
                                     .run = own[i].run});
    }
    for (unsigned i = 0; commands_at(i, &c); i++)
        if (!why_not(c.name))
            add_kind(&(struct plan_kind){
                .row = {c.name, c.help, {command_common(&c), c.params}},
                .run = step_command,
                .command = c});
}

static bool step_row(unsigned i, struct conf_keyed_row *out)
{
    if (num_kinds == 0)
        make_kinds();
    if (i >= num_kinds)
        return false;
    *out = kinds[i].row;
    return true;
}

const struct plan_kind *plan_kind(const struct conf_keyed_one *s)
{
    return &kinds[s->row];
}

const struct repeat_step *plan_repeat(const struct conf_keyed_one *s)
{
    return plan_kind(s)->row.tables[0] == &repeat_table ? s->data[0] : NULL;
}

static const struct conf_key common_keys[] = {
    {"name", CONF_STR, CONF_AT(struct plan_common, name), .min = 1, .max = 200,
     .help = "What the report calls the step."},
    {"timeout_ms", CONF_U32, CONF_AT(struct plan_common, timeout_ms), .min = 1,
     .max = PLAN_TIMEOUT_MAX_MS,
     .seen_offset = CONF_SEEN(struct plan_common, has_timeout),
     .help = "The step fails if it takes longer."},
    {NULL},
};
static const struct conf_table common_table = {
    .name = "step",
    .size = sizeof(struct plan_common),
    .keys = common_keys,
};

static const struct conf_keyed step_keyed = {
    .what = "step",
    .common = &common_table,
    .row = step_row,
    .why_not = why_not,
};

/* ---- the file ---- */

static const struct conf_key scenario_keys[] = {
    {"$schema", CONF_ANY,
     .help = "For editors: scenario.schema.json. Ignored."},
    {"name", CONF_STR, CONF_AT(struct plan, name), .min = 1, .max = 200,
     .help = "What reports call it; by default the name of the file."},
    {"timeout_ms", CONF_U32, CONF_AT(struct plan, timeout_ms), .min = 1,
     .max = PLAN_TIMEOUT_MAX_MS, .def = "60000",
     .help = "How long a step may take that does not say so itself."},
    {"steps", CONF_KEYED, CONF_AT(struct plan, steps), .required = true,
     .min = 1, .keyed = &step_keyed,
     .help = "What is done, one after the other, until one fails."},
    {NULL},
};

const struct conf_table scenario_table = {
    .name = "vub scenario",
    .size = sizeof(struct plan),
    .keys = scenario_keys,
    .check = plan_check,
    .help =
        "What is to happen to the devices of a vub, step by step. Paths are "
        "relative to the file.",
};
