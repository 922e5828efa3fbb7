/* getopt_long does the splitting; the sentences are ours, as those for the
 * config are, and come from the same table as --help. */
#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "conf/text.h"
#include "daemon/config.h"

enum {
    OPT_CONFIG = 1,
    OPT_CHECK,
    OPT_SET,
    OPT_READY_FD,
    OPT_RUN,
    OPT_EXIT_WITH_PARENT,
    OPT_LOG_LEVEL,
    OPT_LOG_FORMAT,
    OPT_VERSION,
    OPT_HELP,
    OPT_PRINT_DOCS,
};

static const struct row {
    int id;
    const char *name;
    const char *argument; /* NULL: it takes none */
    const char *help;     /* NULL: for building the project only */
} rows[] = {
    {OPT_CONFIG, "config", "FILE", "Serve the devices of this JSON file."},
    {OPT_CHECK, "check", NULL,
     "Read the config, tell its errors, open nothing and stop."},
    {OPT_SET, "set", "POINTER=VALUE",
     "Change the config before it is read: /devices/0/store/path=x.img. The "
     "last part of the pointer may be - to append to a list; the value is "
     "JSON, or else a string. May be given several times."},
    {OPT_READY_FD, "ready-fd", "N",
     "Write a line to this inherited descriptor, and close it, when every "
     "socket listens."},
    {OPT_RUN, "run", "COMMAND",
     "Start this shell command when every socket listens, and end when it "
     "ends, "
     "with its exit status. In its environment VUB_ID is the socket of the "
     "device ID in capitals, and VUB_CONTROL the control socket."},
    {OPT_EXIT_WITH_PARENT, "exit-with-parent", NULL,
     "End, as on SIGTERM, when the process that has started this one ends."},
    {OPT_LOG_LEVEL, "log-level", "LEVEL",
     "error, warning, info or debug, whatever the config says."},
    {OPT_LOG_FORMAT, "log-format", "FORMAT",
     "text or json, whatever the config says."},
    {OPT_VERSION, "version", NULL, "Print the version and stop."},
    {OPT_HELP, "help", NULL, "Print this and stop."},
    {OPT_PRINT_DOCS, "print-docs", "PART", NULL},
};

static const char *const docs_words[] = {[DOCS_SCHEMA] = "schema",
                                         [DOCS_KEYS] = "keys",
                                         [DOCS_OPTIONS] = "options",
                                         [DOCS_COMMANDS] = "commands",
                                         NULL};

/* ---- texts ---- */

void options_help(FILE *f)
{
    const int indent = 26, width = 78;

    fputs("usage: vub --config FILE [OPTION...]\n"
          "       vub ctl COMMAND [KEY=VALUE...], see vub ctl --help\n"
          "       vub iscsi-list HOST[:PORT], see vub iscsi-list --help\n\n"
          "Serves vhost-user devices to virtual machines.\n\n",
          f);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        int column;

        if (!r->help)
            continue;
        column = fprintf(f, "  --%s%s%s", r->name, r->argument ? " " : "",
                         r->argument ? r->argument : "");
        if (column >= indent)
            column = fprintf(f, "\n") - 1;
        fprintf(f, "%*s", indent - column, "");
        column = indent;
        for (const char *w = r->help; *w;) {
            int len = (int)strcspn(w, " ");

            if (column > indent && column + 1 + len > width) {
                fprintf(f, "\n%*s", indent, "");
                column = indent;
            }
            column += fprintf(f, "%s%.*s", column > indent ? " " : "", len, w);
            w += len + (w[len] == ' ');
        }
        putc('\n', f);
    }
    fputs("\nvub(1) tells more, vub.json(5) all keys of the config.\n", f);
}

void options_man(FILE *f)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];

        if (!r->help)
            continue;
        fprintf(f, ".It Fl \\-%s%s%s\n%s\n", r->name, r->argument ? " Ar " : "",
                r->argument ? r->argument : "", r->help);
    }
}

/* ---- parsing ---- */

static int parse_word(const char *text, const char *const *words, int *out,
                      const char *where, struct err *e)
{
    char known[80] = "";
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

/* getopt says only that something is wrong; arg is what it stumbled over. */
static int fail_unknown(const char *arg, struct err *e)
{
    char name[ERR_WHERE_BYTES + 1]; /* err_set sees that it is cut */
    const char *near = NULL;
    unsigned best = UINT32_MAX;

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, "="), arg);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        if (strncmp(name, "--", 2) == 0 && rows[i].help &&
            text_is_slip(name + 2, rows[i].name, &best))
            near = rows[i].name;
    }
    if (near)
        return err_set(e, -EINVAL, name,
                       "there is no such option; did you mean --%s?", near);
    return err_set(e, -EINVAL, name, "there is no such option; see vub --help");
}

static int take(struct options *o, int id, char *arg, int *num_sets,
                struct err *e)
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
        o->sets[(*num_sets)++] = arg;
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
    case OPT_EXIT_WITH_PARENT:
        o->how.exit_with_parent = true;
        return 0;
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

int options_parse(struct options *o, int argc, char **argv, struct err *e)
{
    struct option table[ARRAY_LEN(rows) + 1] = {{NULL}};
    int id, rc = 0, num_sets = 0;

    *o =
        (struct options){.how.ready_fd = -1, .log_level = -1, .log_format = -1};
    o->sets = calloc((size_t)argc + 1, sizeof(*o->sets));
    if (!o->sets)
        return err_nomem(e);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        table[i].name = rows[i].name;
        table[i].has_arg = rows[i].argument ? required_argument : no_argument;
        table[i].val = rows[i].id;
    }
    opterr = 0;
    optind = 0; /* the GNU way to start over */
    while (rc == 0 && o->action < ACTION_HELP) {
        int at = optind ? optind : 1;

        id = getopt_long(argc, argv, "+:", table, NULL);
        if (id == -1)
            break;
        if (id == ':')
            rc = err_set(e, -EINVAL, argv[at], "needs a value");
        else if (id == '?' && optopt > 0 && optopt <= OPT_PRINT_DOCS)
            rc = err_set(e, -EINVAL, argv[at], "takes no value");
        else if (id == '?')
            rc = fail_unknown(argv[at], e);
        else
            rc = take(o, id, optarg, &num_sets, e);
    }
    if (rc == 0 && o->action <= ACTION_CHECK && optind < argc)
        rc = err_set(e, -EINVAL, argv[optind],
                     "is no option; the config is named by --config");
    if (rc == 0 && o->action <= ACTION_CHECK && !o->config)
        rc = err_set(e, -EINVAL, "--config", "is missing; see vub --help");
    if (rc < 0)
        options_free(o);
    return rc;
}

void options_free(struct options *o)
{
    free(o->sets);
    o->sets = NULL;
}
