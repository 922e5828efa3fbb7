/* vub: options, config, run; or a program of one device, daemon/program.c; or
 * vub ctl, daemon/control/ctl.c; or vub iscsi-list; or vub trace; or vub
 * scenario; or vub complete, for shells. Exit status: daemon/daemon.h. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "conf/docs.h"
#include "daemon/complete.h"
#include "daemon/control/commands.h"
#include "daemon/control/ctl.h"
#include "daemon/daemon.h"
#include "daemon/iscsi_list.h"
#include "daemon/options.h"
#include "daemon/print_args.h"
#include "daemon/program.h"
#include "daemon/scenario/scenario.h"
#include "daemon/trace/trace.h"
#include "os/process.h"

/* "file: place: sentence", with what of it there is, to standard error: as
 * it is for people and editors, or as a log line for programs. */
static void tell(const char *file, const struct err *e)
{
    char line[PATH_MAX + sizeof(*e)];
    bool place = e->where[0] != '\0';
    size_t len;

    snprintf(line, sizeof(line), "%.*s: %s%s%s", PATH_MAX - 1, file, e->where,
             place ? ": " : "", e->text);
    if (log_format() == LOG_JSON || log_is_journal()) {
        log_error(NULL, "%s", line);
        return;
    }
    /* Names in a config may hold anything. */
    for (char *c = line; *c; c += len) {
        len = utf8_char(c, strnlen(c, 4));
        if (len == 0 || utf8_is_control(c, len)) {
            memset(c, '?', MAX(len, 1u));
            len = MAX(len, 1u);
        }
    }
    fprintf(stderr, "%s\n", line);
}

static void tell_all(const char *file, const struct errs *es)
{
    struct err rest;

    for (int i = 0; i < es->count; i++)
        tell(file, &es->list[i]);
    if (es->more == 0)
        return;
    err_set(&rest, -EINVAL, "", "there %s %u more error%s; repair these first",
            es->more == 1 ? "is" : "are", es->more, es->more == 1 ? "" : "s");
    tell(file, &rest);
}

static void print_docs(enum docs part)
{
    switch (part) {
    case DOCS_SCHEMA:
        conf_schema_write(stdout, &config_table);
        break;
    case DOCS_KEYS:
        conf_man_write(stdout, &config_table);
        break;
    case DOCS_OPTIONS:
        options_man(stdout);
        break;
    case DOCS_COMMANDS:
        commands_man(stdout);
        break;
    case DOCS_PROGRAMS:
        program_man(stdout);
        break;
    case DOCS_TRACE:
        trace_man(stdout);
        break;
    case DOCS_SCENARIO:
        scenario_man(stdout);
        break;
    case DOCS_SCENARIO_SCHEMA:
        conf_schema_write(stdout, &scenario_table);
        break;
    }
}

/* A full disk, a closed pipe. */
static bool stdout_is_written(void)
{
    struct err e;

    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    err_sys(&e, errno, "", "cannot write to standard output");
    tell("vub", &e);
    return false;
}

/* Together with the config, which is good. */
static bool check_scenario(const struct options *o, const struct config *c)
{
    const char *path = o->how.scenario;
    struct errs e = ERRS_EMPTY;
    int rc = 0;

    if (!path)
        return true;
    if (!c->has_control)
        rc = errs_add(&e, -EINVAL, "/control",
                      "is missing: a scenario asks vub over its control "
                      "socket");
    tell_all(o->config, &e);
    errs_free(&e);
    if (scenario_check(path, o->action == ACTION_RUN, c, &e) < 0)
        rc = -EINVAL;
    tell_all(path, &e);
    errs_free(&e);
    return rc == 0;
}

/* What is done with a config. program: NULL, or whose options it is. */
static int serve(const struct options *o, const struct program *program)
{
    static const struct log_config log_default = {LOG_INFO, LOG_TEXT};
    struct config_source source = {
        .path = o->config,
        .text = o->text,
        .sets = o->sets,
        .log_level = o->log_level,
        .log_format = o->log_format,
    };
    const struct config *config;
    struct errs e = ERRS_EMPTY;
    struct conf_doc *doc = NULL;
    int status = EXIT_USAGE;

    config_set_log(&source, &log_default);
    if (config_read(&doc, &config, &source, &e) < 0)
        goto out;
    source.again = true;
    config_set_log(&source, &config->log);
    if (!check_scenario(o, config))
        goto out;
    if (o->action == ACTION_RUN) {
        status = daemon_run(config, doc, &source, &o->how, &e);
    } else if (o->action == ACTION_PRINT_ARGS) {
        status = print_args(stdout, (enum vmm)o->vmm, config, &e) < 0
                     ? EXIT_RUN_TIME
                     : EXIT_CLEAN;
    } else {
        printf("%s: no errors\n", o->config);
        if (o->how.scenario)
            printf("%s: no errors\n", o->how.scenario);
        status = EXIT_CLEAN;
    }
out:
    for (int i = 0; program && i < e.count; i++)
        program_place(program, o, &e.list[i]);
    tell_all(o->config, &e);
    errs_free(&e);
    conf_free(doc);
    return status;
}

static bool check_ready_fd(int fd)
{
    struct err e;

    if (fd < 0 || (fd != STDERR_FILENO && process_has_fd(fd)))
        return true;
    if (fd == STDERR_FILENO)
        err_set(&e, -EINVAL, "--ready-fd",
                "fd %d is standard error, where log lines go", fd);
    else
        err_set(&e, -EBADF, "--ready-fd", "fd %d is not open", fd);
    tell("vub", &e);
    return false;
}

int main(int argc, char **argv)
{
    const struct program *program;
    const char *name;
    struct options o;
    struct err e;
    int rc, status = EXIT_CLEAN;

    process_init();
    program = program_called(&argc, &argv);
    if (!program && argc > 1 && strcmp(argv[1], "ctl") == 0)
        return ctl_main(argc - 1, argv + 1);
    if (!program && argc > 1 && strcmp(argv[1], "iscsi-list") == 0)
        return iscsi_list_main(argc - 1, argv + 1);
    if (!program && argc > 1 && strcmp(argv[1], "trace") == 0)
        return trace_main(argc - 1, argv + 1);
    if (!program && argc > 1 && strcmp(argv[1], "scenario") == 0)
        return scenario_main(argc - 1, argv + 1);
    if (!program && argc > 1 && strcmp(argv[1], "complete") == 0)
        return complete_main(argc - 1, argv + 1);
    name = program ? program_name(program) : "vub";
    rc = program ? program_parse(&o, program, argc, argv, &e)
                 : options_parse(&o, argc, argv, &e);
    if (rc < 0) {
        tell(name, &e);
        return EXIT_USAGE;
    }
    switch (o.action) {
    case ACTION_HELP:
        if (program)
            program_help(stdout, program);
        else
            options_help(stdout);
        break;
    case ACTION_VERSION:
        printf("%s %s\n", name, VUB_VERSION);
        break;
    case ACTION_DOCS:
        print_docs((enum docs)o.docs);
        break;
    case ACTION_COMPLETION:
        complete_print(stdout, o.shell);
        break;
    case ACTION_CAPABILITIES:
        program_capabilities(stdout, program);
        break;
    case ACTION_PRINT_ARGS:
    case ACTION_CHECK:
    case ACTION_RUN:
        status =
            check_ready_fd(o.how.ready_fd) ? serve(&o, program) : EXIT_USAGE;
        break;
    }
    options_free(&o);
    if (!stdout_is_written() && status == EXIT_CLEAN)
        status = EXIT_RUN_TIME;
    return status;
}
