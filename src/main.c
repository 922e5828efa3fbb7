/* vub: options, config, run; or vub ctl, daemon/control/ctl.c; or vub
 * iscsi-list. Exit status: daemon/daemon.h. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "conf/docs.h"
#include "daemon/control/commands.h"
#include "daemon/control/ctl.h"
#include "daemon/daemon.h"
#include "daemon/iscsi_list.h"
#include "daemon/options.h"
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

static int serve(const struct options *o)
{
    static const struct log_config log_default = {LOG_INFO, LOG_TEXT};
    const struct config_source source = {o->config, o->sets, o->log_level,
                                         o->log_format};
    const struct config *config;
    struct errs e = ERRS_EMPTY;
    struct conf_doc *doc = NULL;
    int status = EXIT_USAGE;

    config_set_log(&source, &log_default);
    if (config_read(&doc, &config, &source, &e) < 0)
        goto out;
    config_set_log(&source, &config->log);
    if (o->action == ACTION_RUN) {
        status = daemon_run(config, doc, &source, &o->how, &e);
    } else {
        printf("%s: no errors\n", o->config);
        status = EXIT_CLEAN;
    }
out:
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
    struct options o;
    struct err e;
    int status = EXIT_CLEAN;

    process_init();
    if (argc > 1 && strcmp(argv[1], "ctl") == 0)
        return ctl_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "iscsi-list") == 0)
        return iscsi_list_main(argc - 1, argv + 1);
    if (options_parse(&o, argc, argv, &e) < 0) {
        tell("vub", &e);
        return EXIT_USAGE;
    }
    switch (o.action) {
    case ACTION_HELP:
        options_help(stdout);
        break;
    case ACTION_VERSION:
        puts("vub " VUB_VERSION);
        break;
    case ACTION_DOCS:
        print_docs((enum docs)o.docs);
        break;
    case ACTION_CHECK:
    case ACTION_RUN:
        status = check_ready_fd(o.how.ready_fd) ? serve(&o) : EXIT_USAGE;
        break;
    }
    options_free(&o);
    if (!stdout_is_written() && status == EXIT_CLEAN)
        status = EXIT_RUN_TIME;
    return status;
}
