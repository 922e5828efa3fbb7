/* vub trace COMMAND: a table of commands, each with a table of options. */
#include "daemon/trace/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/control/ctl.h"
#include "daemon/trace/impl.h"

enum { EXIT_DONE, EXIT_NOT_DONE, EXIT_ASKED_WRONGLY };

#define DEPTH_MAX 4096

#define JSON_ROW(what)                                                         \
    {                                                                          \
        'j', "json", NULL, what, 'j'                                           \
    }
#define HELP_ROW                                                               \
    {                                                                          \
        'h', "help", NULL, "Print this and stop.", 'h'                         \
    }

static const struct option_row print_rows[] = {
    JSON_ROW("Print JSON, an object on each line."),
    HELP_ROW,
    {0},
};

static const struct option_row summary_rows[] = {
    JSON_ROW("Print JSON, on one line."),
    HELP_ROW,
    {0},
};

static const struct option_row plot_rows[] = {
    {'o', "output", "FILE",
     "Where the picture goes: a name that ends in .svg or .png.", 'o'},
    HELP_ROW,
    {0},
};

static const char *const timings[] = {"recorded", "fast", NULL};

static const struct option_row replay_rows[] = {
    {'s', "store", "JSON",
     "The store to ask, as a config has it: {\"type\": \"file\", \"path\": "
     "\"disk.img\"}.",
     's'},
    {'c', "config", "FILE", "Instead: the store of a device of this config,",
     'c'},
    {'d', "device", "ID", "which is named so.", 'd'},
    {'t', "timing", "WHEN",
     "recorded, the default: each request when it came in the trace; fast: as "
     "soon as there is room for it.",
     't', .words = timings},
    {'q', "depth", "N",
     "So many requests at once, no more: 1 to 4096. Default: 4096; with "
     "--timing=fast 32.",
     'q'},
    {'w', "write", NULL,
     "Write, discard and zero too: what is in the store is lost. Without, "
     "these requests are left out.",
     'w'},
    JSON_ROW("Print JSON, on one line."),
    HELP_ROW,
    {0},
};

static const struct command {
    const char *name, *help;
    const struct option_row *rows;
    int (*run)(const struct trace_options *o, struct err *e);
} commands[] = {
    {"print", "Prints a trace, a line for each request.", print_rows,
     trace_print},
    {"summary",
     "Tells what a trace shows as a whole: operations, latencies, depth, "
     "places.",
     summary_rows, trace_summary},
    {"plot", "Draws latencies and load of a trace over its time.", plot_rows,
     trace_plot},
    {"replay",
     "Asks a store for the requests of a trace once more, and compares.",
     replay_rows, trace_replay},
};

bool trace_commands_at(unsigned i, struct trace_command_row *out)
{
    if (i >= ARRAY_LEN(commands))
        return false;
    *out = (struct trace_command_row){commands[i].name, commands[i].help,
                                      commands[i].rows};
    return true;
}

/* ---- texts ---- */

static int fail(int status, const char *where, const char *text)
{
    show_failure(where, text);
    return status;
}

static void help(void)
{
    fputs("usage: vub trace COMMAND FILE [FILE]\n\n"
          "Traces are written by the store \"trace\". The two files of a ring "
          "are named both.\n\n",
          stdout);
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        printf("  %-10s%s\n", commands[i].name, commands[i].help);
    fputs("\nvub trace COMMAND --help tells more.\n", stdout);
}

static void command_help(const struct command *c)
{
    printf("usage: vub trace %s [OPTION...] FILE [FILE]\n\n%s\n\n", c->name,
           c->help);
    for (const struct option_row *r = c->rows; r->name; r++)
        option_row_help(stdout, r);
}

void trace_man(FILE *f)
{
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
        const struct command *c = &commands[i];

        fprintf(f,
                ".Ss vub trace %s Ar FILE Op Ar FILE\n%s\n"
                ".Bl -tag -width Ds\n",
                c->name, c->help);
        for (const struct option_row *r = c->rows; r->name; r++)
            option_row_man(f, r);
        fputs(".El\n", f);
    }
}

/* ---- options ---- */

static int take_depth(struct trace_options *o, const char *text, struct err *e)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(text, &end, 10);
    if (*end || errno || n < 1 || n > DEPTH_MAX)
        return err_set(e, -EINVAL, "--depth", "must be 1 to %d", DEPTH_MAX);
    o->depth = (uint32_t)n;
    return 0;
}

static int take(void *arg, const struct option_row *r, char *value,
                struct err *e)
{
    struct trace_options *o = arg;

    switch (r->id) {
    case 'o':
        o->output = value;
        return 0;
    case 's':
        o->store = value;
        return 0;
    case 'c':
        o->config = value;
        return 0;
    case 'd':
        o->device = value;
        return 0;
    case 't':
        o->fast = strcmp(value, "fast") == 0;
        if (!o->fast && strcmp(value, "recorded") != 0)
            return err_set(e, -EINVAL, "--timing",
                           "must be recorded or fast, not \"%.40s\"", value);
        return 0;
    case 'q':
        return take_depth(o, value, e);
    case 'w':
        o->write = true;
        return 0;
    case 'j':
        o->json = true;
        return 0;
    default:
        o->help = true;
        return 1;
    }
}

static int check(const struct command *c, const struct trace_options *o,
                 struct err *e)
{
    if (c->run == trace_plot && !o->output)
        return err_set(e, -EINVAL, "--output", "is missing");
    if (c->run == trace_replay && !!o->store == !!o->config)
        return err_set(e, -EINVAL, "--store",
                       "one of --store and --config is needed");
    if (c->run == trace_replay && !!o->config != !!o->device)
        return err_set(e, -EINVAL, "--device",
                       "--config and --device go together");
    return 0;
}

/* -1: go on; else the exit status. */
static int parse(const struct command *c, struct trace_options *o, int argc,
                 char **argv)
{
    char name[32];
    struct option_scan s = {.program = name, .take = take, .arg = o};
    struct err e;
    int used;

    snprintf(name, sizeof(name), "vub trace %s", c->name);
    option_rows_add(&s, c->rows);
    used = option_rows_scan(&s, argc, argv, &e);
    if (used < 0)
        return fail(EXIT_ASKED_WRONGLY, e.where, e.text);
    if (o->help) {
        command_help(c);
        return EXIT_DONE;
    }
    o->files = argv + used;
    o->num_files = 0;
    /* Options may stand behind the files, too. */
    while (used < argc && argv[used][0] != '-') {
        o->num_files++;
        used++;
    }
    if (used < argc) {
        used = option_rows_scan(&s, argc - used + 1, argv + used - 1, &e);
        if (used < 0)
            return fail(EXIT_ASKED_WRONGLY, e.where, e.text);
        if (o->help) {
            command_help(c);
            return EXIT_DONE;
        }
        if (o->files + o->num_files - 1 + used != argv + argc)
            return fail(EXIT_ASKED_WRONGLY, "",
                        "files stand before options or behind them");
    }
    if (o->num_files < 1 || o->num_files > 2)
        return fail(EXIT_ASKED_WRONGLY, "",
                    "which file, or which two of a ring? See vub trace --help");
    if (check(c, o, &e) < 0)
        return fail(EXIT_ASKED_WRONGLY, e.where, e.text);
    return -1;
}

static const struct command *find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

int trace_main(int argc, char **argv)
{
    struct trace_options o = {.files = NULL};
    const struct command *c = argc > 1 ? find(argv[1]) : NULL;
    struct err e;
    int status;

    if (argc > 1 &&
        (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        help();
        return EXIT_DONE;
    }
    if (!c)
        return fail(EXIT_ASKED_WRONGLY, "",
                    "print, summary, plot or replay? See vub trace --help");
    status = parse(c, &o, argc - 1, argv + 1);
    if (status >= 0)
        return status;
    log_set(LOG_ERROR, LOG_TEXT); /* what fails is said here */
    errno = 0;
    if (c->run(&o, &e) < 0)
        return e.code == -EPIPE ? EXIT_NOT_DONE
                                : fail(EXIT_NOT_DONE, e.where, e.text);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_DONE;
    if (errno == EPIPE) /* "| head" has seen enough */
        return EXIT_NOT_DONE;
    return fail(EXIT_NOT_DONE, "", "cannot write to standard output");
}
