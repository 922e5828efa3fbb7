/* A program is a config with one device and a table of options that change it.
 * Each option puts its value at a JSON Pointer; the config is then read as one
 * from a file is, so values are checked once, in one place, and in the same
 * words; only the place of an error is told as the option it came from.
 *
 * As its model in contrib does, a program serves one front-end and ends with
 * it: who starts it anew for each virtual machine relies on that. The disks and
 * hosts have as many queues as there can be: QEMU asks for one for each
 * processor, and does not start if there are fewer. */
#include "daemon/program.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "conf/json.h"

struct program_row {
    struct option_row option;
    const char *pointer; /* where the value goes, in the config */
    const char *value;   /* JSON: that of an option without argument; or NULL:
                          * the argument, as a string */
    bool is_json;        /* the argument is JSON */
    bool required;
    bool is_feature;     /* the conventions name it as something one can do */
    const char *refused; /* it is known, but cannot be had: a sentence */
    int action;          /* instead of a pointer; 0: none */
};

struct program {
    const char *name, *type;
    const char *help;
    const char *base;               /* the config, without options */
    const struct program_row *rows; /* ended by one without a name */
    bool has_features;              /* the conventions have some of its type */
};

static const struct program_row common_rows[] = {
    {.option = {0, "socket-path", "PATH",
                "Listen on a unix socket there, for one front-end.", 's'},
     .pointer = "/devices/0/socket/path"},
    {.option = {0, "fd", "FDNUM",
                "Instead: use this inherited socket. If it listens a front-end "
                "is accepted on it, if it is connected it is used.",
                'f'},
     .pointer = "/devices/0/socket/fd",
     .is_json = true},
    {.option = {0, "print-capabilities", NULL,
                "Print, in JSON, what this program can do, and stop.", 'c'},
     .action = ACTION_CAPABILITIES},
    {.option = {0, "help", NULL, "Print this and stop.", 'h'},
     .action = ACTION_HELP},
    {.option = {0}},
};

static const struct program_row block_rows[] = {
    {.option = {0, "blk-file", "PATH",
                "The disk's image, or a block device. Raw: nothing is guessed "
                "from what is in it.",
                'b'},
     .pointer = "/devices/0/store/path",
     .required = true,
     .is_feature = true},
    {.option = {0, "read-only", NULL, "Refuse everything that writes.", 'r'},
     .pointer = "/devices/0/read_only",
     .value = "true",
     .is_feature = true},
    {.option = {0}},
};

static const struct program_row scsi_rows[] = {
    {.option = {0, "iscsi-uri", "URL",
                "The iSCSI unit that is unit 0 of target 0: "
                "iscsi://HOST[:PORT]/TARGET/UNIT.",
                'i'},
     .pointer = "/devices/0/luns/0/iscsi/url",
     .required = true},
    {.option = {0, "socket-path", "PATH",
                "Listen on a unix socket there, for one front-end.", 'u'},
     .pointer = "/devices/0/socket/path"},
    {.option = {0}},
};

static const struct program_row input_rows[] = {
    {.option = {0, "evdev-path", "PATH",
                "The input device of this machine: /dev/input/event3, or "
                "better a link of /dev/input/by-id.",
                'p'},
     .pointer = "/devices/0/source/path",
     .required = true,
     .is_feature = true},
    {.option = {0, "no-grab", NULL, "Let this machine have its events, too.",
                'n'},
     .pointer = "/devices/0/source/grab",
     .value = "false",
     .is_feature = true},
    {.option = {0}},
};

#define NO_3D                                                                  \
    "vub draws in two dimensions, without a GPU of the host: leave this out"

static const struct program_row gpu_rows[] = {
    {.option = {0, "virgl", NULL, "Refused: there is no 3D.", 'v'},
     .refused = NO_3D},
    {.option = {0, "render-node", "PATH", "Refused: there is no 3D.", 'r'},
     .refused = NO_3D},
    {.option = {0}},
};

#define BASE(type, more)                                                       \
    "{\"devices\": [{\"id\": \"" type "\", \"type\": \"" type                  \
    "\", \"on_disconnect\": \"exit\"" more "}]}"

static const struct program programs[] = {
    {"vub-block", "block", "Serves one disk, to one virtual machine.",
     BASE("block", ", \"queues\": 64, \"store\": {\"type\": \"file\"}"),
     block_rows, true},
    {"vub-scsi", "scsi",
     "Serves a SCSI host with one iSCSI unit, to one virtual machine.",
     BASE("scsi", ", \"queues\": 62, \"luns\": [{\"target\": 0, \"lun\": 0}]"),
     scsi_rows, false},
    {"vub-input", "input",
     "Serves an input device of this machine, to one virtual machine.",
     BASE("input", ", \"source\": {\"type\": \"evdev\"}"), input_rows, true},
    {"vub-gpu", "gpu", "Serves a GPU, to one virtual machine.", BASE("gpu", ""),
     gpu_rows, true},
};

/* ---- which one ---- */

const struct program *program_called(int *argc, char ***argv)
{
    const char *name, *slash;

    if (*argc < 1)
        return NULL;
    slash = strrchr((*argv)[0], '/');
    name = slash ? slash + 1 : (*argv)[0];
    for (unsigned i = 0; i < ARRAY_LEN(programs); i++) {
        if (strcmp(name, programs[i].name) == 0)
            return &programs[i];
        if (*argc > 1 && strcmp((*argv)[1], programs[i].type) == 0) {
            (*argc)--;
            (*argv)++;
            return &programs[i];
        }
    }
    return NULL;
}

const char *program_name(const struct program *p)
{
    return p->name;
}

/* ---- rows ---- */

/* Its own come first: one of them may be in the place of a common one. */
static const struct program_row *row_at(const struct program *p, unsigned i)
{
    unsigned n = 0;

    for (const struct program_row *r = p->rows; r->option.name; r++)
        if (n++ == i)
            return r;
    for (const struct program_row *r = common_rows; r->option.name; r++)
        if (n++ == i)
            return r;
    return NULL;
}

static bool is_listed(const struct option_scan *s, const char *name)
{
    for (int i = 0; i < s->count; i++)
        if (strcmp(s->rows[i]->name, name) == 0)
            return true;
    return false;
}

void program_rows(const struct program *p, struct option_scan *s)
{
    struct option_scan shared = {.count = 0};
    const struct program_row *r;

    for (unsigned i = 0; (r = row_at(p, i)) != NULL; i++)
        if (!is_listed(s, r->option.name))
            s->rows[s->count++] = &r->option;
    options_add_shared(&shared);
    for (int i = 0; i < shared.count; i++)
        if (!is_listed(s, shared.rows[i]->name))
            s->rows[s->count++] = shared.rows[i];
}

/* ---- texts ---- */

void program_help(FILE *f, const struct program *p)
{
    struct option_scan s = {.count = 0};

    program_rows(p, &s);
    fprintf(f, "usage: %s --socket-path PATH|--fd FDNUM [OPTION...]\n\n%s\n\n",
            p->name, p->help);
    for (int i = 0; i < s.count; i++)
        option_row_help(f, s.rows[i]);
    fputs("\nvub(1) tells more.\n", f);
}

void program_man(FILE *f)
{
    fputs(".Bl -tag -width Ds\n", f);
    for (const struct program_row *r = common_rows; r->option.name; r++)
        option_row_man(f, &r->option);
    fputs(".El\n", f);
    for (unsigned i = 0; i < ARRAY_LEN(programs); i++) {
        const struct program *p = &programs[i];

        fprintf(f, ".Ss vub\\-%s\n%s\n.Bl -tag -width Ds\n", p->type, p->help);
        for (const struct program_row *r = p->rows; r->option.name; r++)
            option_row_man(f, &r->option);
        fputs(".El\n", f);
    }
}

void program_capabilities(FILE *f, const struct program *p)
{
    const char *comma = "\n    ";

    fprintf(f, "{\n  \"type\": \"%s\"", p->type);
    if (p->has_features) {
        fputs(",\n  \"features\": [", f);
        for (const struct program_row *r = p->rows; r->option.name; r++) {
            if (!r->is_feature)
                continue;
            fprintf(f, "%s\"%s\"", comma, r->option.name);
            comma = ",\n    ";
        }
        fputs(comma[0] == ',' ? "\n  ]" : "]", f);
    }
    fputs("\n}\n", f);
}

/* ---- the config ---- */

struct parse {
    const struct program *p;
    struct options *o;
    struct json *config;
};

static int put(struct parse *s, const struct program_row *r, const char *value,
               struct err *e)
{
    char name[32];

    snprintf(name, sizeof(name), "--%s", r->option.name);
    if (r->refused)
        return err_set(e, -ENOTSUP, name, "%s", r->refused);
    if (value && !utf8_is_valid(value))
        return err_set(e, -EINVAL, name, "is not valid UTF-8");
    return json_put(s->config, r->pointer, strlen(r->pointer),
                    r->value ? r->value : value, !r->value && !r->is_json, name,
                    e);
}

static int take(void *arg, const struct option_row *option, char *value,
                struct err *e)
{
    struct parse *s = arg;
    const struct program_row *r;
    int rc;

    for (unsigned i = 0; (r = row_at(s->p, i)) != NULL; i++) {
        if (&r->option != option)
            continue;
        if (r->action) {
            s->o->action = (enum action)r->action;
            return 1;
        }
        s->o->given |= 1u << i;
        return put(s, r, value, e);
    }
    rc = options_take(s->o, option->id, value, e);
    return rc == 0 && s->o->action >= ACTION_HELP ? 1 : rc;
}

static bool is_given(const struct program *p, const struct options *o,
                     const char *name)
{
    const struct program_row *r;

    for (unsigned i = 0; (r = row_at(p, i)) != NULL; i++)
        if (strcmp(r->option.name, name) == 0 && (o->given & 1u << i))
            return true;
    return false;
}

static int check_given(const struct program *p, const struct options *o,
                       struct err *e)
{
    bool path = is_given(p, o, "socket-path"), fd = is_given(p, o, "fd");
    char name[32];

    for (const struct program_row *r = p->rows; r->option.name; r++) {
        snprintf(name, sizeof(name), "--%s", r->option.name);
        if (r->required && !is_given(p, o, r->option.name))
            return err_set(e, -EINVAL, name, "is missing; see %s --help",
                           p->name);
    }
    if (path && fd)
        return err_set(e, -EINVAL, "--fd",
                       "there is --socket-path already: a socket has a path or "
                       "an fd, not both");
    if (!path && !fd)
        return err_set(e, -EINVAL, "--socket-path",
                       "is missing, and there is no --fd; see %s --help",
                       p->name);
    return 0;
}

/* The conventions: with this, other options are ignored; also wrong ones. */
static bool asks_capabilities(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--print-capabilities") == 0)
            return true;
    return false;
}

/* A relative path is one from the current directory. */
static int put_directory(struct json *config, struct err *e)
{
    static const char pointer[] = "/runtime_dir";
    char path[PATH_MAX];

    if (!getcwd(path, sizeof(path)))
        return err_sys(e, errno, "", "cannot find the current directory");
    if (!utf8_is_valid(path))
        return err_set(e, -EINVAL, "",
                       "the name of the current directory is not valid UTF-8");
    return json_put(config, pointer, sizeof(pointer) - 1, path, true, "", e);
}

static int parse(struct parse *s, int argc, char **argv, struct err *e)
{
    struct option_scan scan = {.program = s->p->name, .take = take, .arg = s};
    int used, rc;

    program_rows(s->p, &scan);
    used = option_rows_scan(&scan, argc, argv, e);
    if (used < 0 || s->o->action >= ACTION_HELP)
        return MIN(used, 0);
    if (used < argc)
        return err_set(e, -EINVAL, argv[used], "is no option; see %s --help",
                       s->p->name);
    rc = check_given(s->p, s->o, e);
    if (rc == 0)
        rc = put_directory(s->config, e);
    if (rc < 0)
        return rc;
    s->o->config = s->p->name;
    s->o->text = json_text(s->config);
    return s->o->text ? 0 : err_nomem(e);
}

int program_parse(struct options *o, const struct program *p, int argc,
                  char **argv, struct err *e)
{
    struct parse s = {p, o, NULL};
    int rc = options_init(o, argc, e);

    if (rc < 0)
        return rc;
    if (asks_capabilities(argc, argv)) {
        o->action = ACTION_CAPABILITIES;
        return 0;
    }
    s.config = json_parse(p->base, strlen(p->base), e);
    rc = s.config ? parse(&s, argc, argv, e) : e->code;
    json_free(s.config);
    if (rc < 0)
        options_free(o);
    return rc;
}

/* Does a place lead to the pointer, and to nothing but this device's part? */
static bool leads_to(const char *where, const char *pointer)
{
    size_t len = strlen(where);

    return len > strlen("/devices/0") && strncmp(where, pointer, len) == 0 &&
           (pointer[len] == '\0' || pointer[len] == '/');
}

void program_place(const struct program *p, const struct options *o,
                   struct err *e)
{
    const struct program_row *r;

    for (unsigned i = 0; (r = row_at(p, i)) != NULL; i++) {
        if (!(o->given & 1u << i) || !leads_to(e->where, r->pointer))
            continue;
        snprintf(e->where, sizeof(e->where), "--%s", r->option.name);
        return;
    }
}
