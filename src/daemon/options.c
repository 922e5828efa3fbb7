/* The rows, and what each does to struct options. An option only notes what is
 * asked for; that options go together, and that there is a config at all, is
 * looked at when all have been read, unless one of them (--help) asks for
 * nothing but a text. */
#include "daemon/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/text.h"
#include "daemon/complete.h"
#include "daemon/config.h"
#include "daemon/print_args.h"

enum {
    OPT_CONFIG = 1,
    OPT_CHECK,
    OPT_SET,
    OPT_READY_FD,
    OPT_RUN,
    OPT_SCENARIO,
    OPT_REPORT,
    OPT_EXIT_WITH_PARENT,
    OPT_TAKE_OVER,
    OPT_PRINT_ARGS,
    OPT_PRINT_COMPLETION,
    OPT_LOG_LEVEL,
    OPT_LOG_FORMAT,
    OPT_VERSION,
    OPT_HELP,
    OPT_PRINT_DOCS,
};

static const char *const docs_words[] = {[DOCS_SCHEMA] = "schema",
                                         [DOCS_KEYS] = "keys",
                                         [DOCS_OPTIONS] = "options",
                                         [DOCS_COMMANDS] = "commands",
                                         [DOCS_PROGRAMS] = "programs",
                                         [DOCS_TRACE] = "trace",
                                         [DOCS_SCENARIO] = "scenario",
                                         [DOCS_SCENARIO_SCHEMA] =
                                             "scenario-schema",
                                         NULL};

static const struct option_row rows[] = {
    {OPT_CONFIG, "config", "FILE", "Serve the devices of this JSON file."},
    {OPT_CHECK, "check", NULL,
     "Read the config, tell its errors, open nothing and stop."},
    {OPT_SET, "set", "POINTER=VALUE",
     "Change the config before it is read: /devices/0/store/path=x.img. The "
     "last part of the pointer may be - to append to a list; the value is "
     "JSON, or else a string. May be given several times.",
     .shared = true},
    {OPT_READY_FD, "ready-fd", "N",
     "Write a line to this inherited descriptor, and close it, when every "
     "socket listens.",
     .shared = true},
    {OPT_RUN, "run", "COMMAND",
     "Start this shell command when every socket listens, and end when it "
     "ends, "
     "with its exit status. In its environment VUB_ID is the socket of the "
     "device ID in capitals, and VUB_CONTROL the control socket."},
    {OPT_SCENARIO, "scenario", "FILE",
     "Run this scenario when every socket listens, and end when it ends: with "
     "status 0 if it has passed, 1 if it has failed. It is read before "
     "anything starts; with --check it is only read. Needs \"control\" in the "
     "config. Not with --run."},
    {OPT_REPORT, "report", "PATH",
     "Of --scenario: a directory, which is made if it is missing, for "
     "report.html, junit.xml, pictures, and what processes have written."},
    {OPT_EXIT_WITH_PARENT, "exit-with-parent", NULL,
     "End, as on SIGTERM, when the process that has started this one ends.",
     .shared = true},
    {OPT_TAKE_OVER, "take-over", "SOCKET",
     "Take over from a vub that runs, which ends then: sockets, and front-ends "
     "with their guests, who notice a pause and nothing else. SOCKET is the "
     "control socket of that vub; by default it is where this config has its "
     "own. If it comes to nothing the other goes on. Not with --run or "
     "--scenario.",
     .optional = true},
    {OPT_PRINT_ARGS, "print-args", "VMM",
     "Print how a VMM is started that uses the devices of this config, with a "
     "sentence for each that it cannot use, and stop: qemu, libvirt, "
     "cloud-hypervisor, crosvm or libkrun.",
     .words = vmm_words},
    {OPT_PRINT_COMPLETION, "print-completion", "SHELL",
     "Print what makes bash, zsh or fish complete the arguments of vub, and "
     "stop.",
     .words = complete_shells},
    {OPT_LOG_LEVEL, "log-level", "LEVEL",
     "error, warning, info or debug, whatever the config says.", .shared = true,
     .words = log_level_words},
    {OPT_LOG_FORMAT, "log-format", "FORMAT",
     "text or json, whatever the config says.", .shared = true,
     .words = log_format_words},
    {OPT_VERSION, "version", NULL, "Print the version and stop.",
     .shared = true},
    {OPT_HELP, "help", NULL, "Print this and stop.", .shared = true},
    {OPT_PRINT_DOCS, "print-docs", "PART", NULL, .words = docs_words},
    {0},
};

/* ---- texts ---- */

void options_help(FILE *f)
{
    fputs("usage: vub --config FILE [OPTION...]\n"
          "       vub ctl COMMAND [KEY=VALUE...], see vub ctl --help\n"
          "       vub iscsi-list HOST[:PORT], see vub iscsi-list --help\n"
          "       vub trace COMMAND FILE, see vub trace --help\n"
          "       vub scenario FILE, see vub scenario --help\n"
          "       vub block|scsi|input|gpu, see vub block --help\n\n"
          "Serves vhost-user devices to virtual machines.\n\n",
          f);
    for (const struct option_row *r = rows; r->name; r++)
        if (r->help)
            option_row_help(f, r);
    fputs("\nvub(1) tells more, vub.json(5) all keys of the config.\n", f);
}

void options_man(FILE *f)
{
    for (const struct option_row *r = rows; r->name; r++)
        if (r->help)
            option_row_man(f, r);
}

/* ---- parsing ---- */

static int parse_word(const char *text, const char *const *words, int *out,
                      const char *where, struct err *e)
{
    char known[160] = ""; /* all words of an option */
    size_t len = 0;

    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return 0;
        }
        text_add_word(known, sizeof(known), &len, words[i], !words[i + 1]);
    }
    return err_set(e, -EINVAL, where, "must be %s, not \"%.40s\"", known, text);
}

static int parse_fd(const char *text, int *out, struct err *e)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || n > INT32_MAX)
        return err_set(e, -EINVAL, "--ready-fd",
                       "must be the number of an open descriptor, not "
                       "\"%.40s\"",
                       text);
    *out = (int)n;
    return 0;
}

static int take_path(const char **out, const char *arg, const char *where,
                     struct err *e)
{
    if (*out)
        return err_set(e, -EINVAL, where, "is given twice");
    if (!arg[0])
        return err_set(e, -EINVAL, where, "needs a path");
    *out = arg;
    return 0;
}

int options_take(struct options *o, int id, char *arg, struct err *e)
{
    switch (id) {
    case OPT_CONFIG:
        if (o->config)
            return err_set(e, -EINVAL, "--config", "is given twice");
        if (!arg[0])
            return err_set(e, -EINVAL, "--config", "needs the name of a file");
        o->config = arg;
        return 0;
    case OPT_CHECK:
        o->action = ACTION_CHECK;
        return 0;
    case OPT_SET:
        o->sets[o->num_sets++] = arg;
        return 0;
    case OPT_READY_FD:
        if (o->how.ready_fd >= 0)
            return err_set(e, -EINVAL, "--ready-fd", "is given twice");
        return parse_fd(arg, &o->how.ready_fd, e);
    case OPT_RUN:
        if (o->how.run)
            return err_set(e, -EINVAL, "--run", "is given twice");
        if (!arg[0])
            return err_set(e, -EINVAL, "--run", "needs a command");
        o->how.run = arg;
        return 0;
    case OPT_SCENARIO:
        return take_path(&o->how.scenario, arg, "--scenario", e);
    case OPT_REPORT:
        return take_path(&o->how.report, arg, "--report", e);
    case OPT_EXIT_WITH_PARENT:
        o->how.exit_with_parent = true;
        return 0;
    case OPT_TAKE_OVER:
        if (o->how.take_over)
            return err_set(e, -EINVAL, "--take-over", "is given twice");
        if (arg && !arg[0])
            return err_set(e, -EINVAL, "--take-over",
                           "needs the path of a socket behind =");
        o->how.take_over = arg ? arg : "";
        return 0;
    case OPT_PRINT_ARGS:
        o->action = ACTION_PRINT_ARGS;
        return parse_word(arg, vmm_words, &o->vmm, "--print-args", e);
    case OPT_PRINT_COMPLETION:
        o->action = ACTION_COMPLETION;
        return parse_word(arg, complete_shells, &o->shell, "--print-completion",
                          e);
    case OPT_LOG_LEVEL:
        return parse_word(arg, log_level_words, &o->log_level, "--log-level",
                          e);
    case OPT_LOG_FORMAT:
        return parse_word(arg, log_format_words, &o->log_format, "--log-format",
                          e);
    case OPT_VERSION:
        o->action = ACTION_VERSION;
        return 0;
    case OPT_HELP:
        o->action = ACTION_HELP;
        return 0;
    default:
        o->action = ACTION_DOCS;
        return parse_word(arg, docs_words, &o->docs, "--print-docs", e);
    }
}

static int take(void *arg, const struct option_row *r, char *value,
                struct err *e)
{
    struct options *o = arg;
    int rc = options_take(o, r->id, value, e);

    return rc == 0 && o->action >= ACTION_HELP ? 1 : rc;
}

int options_init(struct options *o, int argc, struct err *e)
{
    *o =
        (struct options){.how.ready_fd = -1, .log_level = -1, .log_format = -1};
    o->sets = calloc((size_t)argc + 1, sizeof(*o->sets));
    return o->sets ? 0 : err_nomem(e);
}

void options_add(struct option_scan *s)
{
    option_rows_add(s, rows);
}

void options_add_shared(struct option_scan *s)
{
    for (const struct option_row *r = rows; r->name; r++)
        if (r->shared)
            s->rows[s->count++] = r;
}

/* Which options go together. */
static int check_together(const struct options *o, struct err *e)
{
    const struct daemon_conf *how = &o->how;

    if (how->take_over && how->run)
        return err_set(e, -EINVAL, "--take-over",
                       "takes over front-ends that run: there is no command to "
                       "be started by --run");
    if (how->take_over && how->scenario)
        return err_set(e, -EINVAL, "--take-over",
                       "takes over front-ends that run: a scenario begins "
                       "without them; vub scenario runs one on a vub that "
                       "serves already");
    if (how->scenario && how->run)
        return err_set(e, -EINVAL, "--scenario",
                       "has steps that run commands: it does not go with "
                       "--run");
    if (how->report && !how->scenario)
        return err_set(e, -EINVAL, "--report",
                       "is that of a scenario: give --scenario, too");
    if (!o->config)
        return err_set(e, -EINVAL, "--config", "is missing; see vub --help");
    return 0;
}

int options_parse(struct options *o, int argc, char **argv, struct err *e)
{
    struct option_scan s = {.program = "vub", .take = take, .arg = o};
    int used, rc = options_init(o, argc, e);

    if (rc < 0)
        return rc;
    options_add(&s);
    used = option_rows_scan(&s, argc, argv, e);
    if (used < 0)
        rc = used;
    else if (o->action < ACTION_HELP && used < argc)
        rc = err_set(e, -EINVAL, argv[used],
                     "is no option; the config is named by --config");
    else if (o->action < ACTION_HELP)
        rc = check_together(o, e);
    if (rc < 0)
        options_free(o);
    return rc;
}

void options_free(struct options *o)
{
    free(o->sets);
    free(o->text);
    o->sets = NULL;
    o->text = NULL;
}
