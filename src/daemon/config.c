/* The root of the config, and what tables cannot say: ids are names of files
 * and log lines, so they are plain; no two devices share an id, a socket or an
 * inherited fd; workers are workers.c's. Devices with errors of their own are
 * in the list too: their bad keys are zero and are passed over here. */
#include "daemon/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"
#include "daemon/confine.h"
#include "daemon/isolate.h"
#include "daemon/workers.h"

#define ID_MAX_BYTES 64

const char *const log_level_words[] = {"error", "warning", "info", "debug",
                                       NULL};
const char *const log_format_words[] = {"text", "json", NULL};

/* ---- places ---- */

char *config_runtime_dir(const struct config *c)
{
    const char *base = getenv("XDG_RUNTIME_DIR");
    char *dir;

    if (c->runtime_dir)
        return strdup(c->runtime_dir);
    /* The XDG specification: a relative path is to be ignored. */
    if (!base || base[0] != '/')
        return strdup("/run/vub");
    return asprintf(&dir, "%s/vub", base) < 0 ? NULL : dir;
}

char *config_socket_path(const char *runtime_dir, const struct device_common *d)
{
    const struct device_socket *s = &d->socket;
    char *path;
    int n;

    if (s->has_fd)
        return NULL;
    if (s->path && s->path[0] == '/')
        return strdup(s->path);
    if (s->path)
        n = asprintf(&path, "%s/%s", runtime_dir, s->path);
    else
        n = asprintf(&path, "%s/%s.sock", runtime_dir, d->id);
    return n < 0 ? NULL : path;
}

char *config_control_path(const char *runtime_dir, const struct config *c)
{
    char *path;

    if (c->control.path[0] == '/')
        return strdup(c->control.path);
    return asprintf(&path, "%s/%s", runtime_dir, c->control.path) < 0 ? NULL
                                                                      : path;
}

/* "a//b/./c" to "a/b/c": the same file must not hide behind another text.
 * Links are not followed; binding finds those. */
static void tidy(char *path)
{
    char *out = path;

    for (const char *in = path; *in;) {
        if (in[0] == '/' && in[1] == '/')
            in++;
        else if (in[0] == '/' && in[1] == '.' && in[2] == '/')
            in += 2;
        else
            *out++ = *in++;
    }
    *out = '\0';
}

/* ---- rules ---- */

/* A text that only one device may have, or the control socket. */
#define CONTROL (-1)

struct claim {
    char *text;
    int device; /* an index, or CONTROL */
};

static const char *claim_at(const struct config *c, const struct claim *claim)
{
    return claim->device == CONTROL ? "/control"
                                    : c->devices.list[claim->device].at;
}

static int compare_claims(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;
    int order = strcmp(x->text, y->text);

    return order ? order : (x->device > y->device) - (x->device < y->device);
}

/* Reports every claim that an earlier device made too, and notes it in
 * repeated[device]; frees the texts. */
static void check_claims(struct claim *claims, int count,
                         const struct config *c, const char *key,
                         const char *what, bool *repeated, struct errs *e)
{
    size_t len, shown;
    int first = 0;

    if (count)
        qsort(claims, (size_t)count, sizeof(*claims), compare_claims);
    for (int i = 1; i < count; i++) {
        if (strcmp(claims[i].text, claims[first].text) != 0) {
            first = i;
            continue;
        }
        len = strlen(claims[i].text);
        shown = len > 120 ? utf8_cut(claims[i].text, 120) : len;
        errs_at(e, claim_at(c, &claims[i]), key, "%s has %s %.*s%s already",
                claim_at(c, &claims[first]), what, (int)shown, claims[i].text,
                shown < len ? "..." : "");
        repeated[claims[i].device] = true;
    }
    for (int i = 0; i < count; i++)
        free(claims[i].text);
}

static void check_id(const char *id, const char *at, struct errs *e)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(id);

    if (len > ID_MAX_BYTES)
        errs_at(e, at, "id", "has %zu bytes, %d are the most", len,
                ID_MAX_BYTES);
    else if (strspn(id, plain) != len)
        errs_at(e, at, "id",
                "may have letters, digits, point, dash and underscore only, "
                "not \"%s\"",
                id);
}

static void check_socket(const char *path, const char *at, struct errs *e)
{
    size_t len = path ? strlen(path) : 0;

    if (path && (len == 0 || path[len - 1] == '/'))
        errs_at(e, at, "socket", "must be the path of a file, not \"%s\"",
                path);
}

static void check_sockets(const struct config *c, const char *runtime_dir,
                          struct claim *claims, bool *repeated, struct errs *e)
{
    int count = 0;

    if (c->has_control) {
        char *path = config_control_path(runtime_dir, c);

        check_socket(c->control.path, "/control", e);
        if (path) {
            tidy(path);
            claims[count++] = (struct claim){path, CONTROL};
        }
    }
    for (int i = 0; i < c->devices.count; i++) {
        const struct device_common *d = config_device(c, i);
        char *path = NULL;

        check_socket(d->socket.path, c->devices.list[i].at, e);
        /* A repeated id has been told; so has its socket then. */
        if (d->id && (d->socket.path || !repeated[i]))
            path = config_socket_path(runtime_dir, d);
        if (path) {
            tidy(path);
            claims[count++] = (struct claim){path, i};
        }
    }
    check_claims(claims, count, c, "socket", "the socket", repeated, e);
    count = 0;
    for (int i = 0; i < c->devices.count; i++) {
        const struct device_common *d = config_device(c, i);
        char *text;

        if (d->socket.has_fd && asprintf(&text, "%u", d->socket.fd) >= 0)
            claims[count++] = (struct claim){text, i};
    }
    check_claims(claims, count, c, "socket/fd", "the fd", repeated, e);
}

void config_check(const struct config *c, struct errs *e)
{
    struct claim *claims;
    bool *repeated;
    char *runtime_dir = config_runtime_dir(c);
    int count = 0;

    claims = calloc((size_t)c->devices.count + 2, sizeof(*claims));
    repeated = calloc((size_t)c->devices.count + 1, sizeof(*repeated));
    if (!claims || !repeated || !runtime_dir) {
        errs_nomem(e);
        goto out;
    }
    for (int i = 0; i < c->devices.count; i++) {
        const struct device_common *d = config_device(c, i);
        char *text = d->id ? strdup(d->id) : NULL;

        if (d->id)
            check_id(d->id, c->devices.list[i].at, e);
        if (text)
            claims[count++] = (struct claim){text, i};
    }
    check_claims(claims, count, c, "id", "the id", repeated, e);
    check_sockets(c, runtime_dir, claims, repeated, e);
    workers_check(&c->devices, e);
    isolate_check(c, e);
out:
    free(runtime_dir);
    free(repeated);
    free(claims);
}

static void check_config(void *data, const char *at, struct errs *e)
{
    (void)at;
    config_check(data, e);
}

/* ---- tables ---- */

static const struct conf_key log_keys[] = {
    {"level", CONF_CHOICE, CONF_AT(struct log_config, level), .def = "\"info\"",
     .words = log_level_words,
     .help = "Lines of this weight and above are written to standard error."},
    {"format", CONF_CHOICE, CONF_AT(struct log_config, format),
     .def = "\"text\"", .words = log_format_words,
     .help = "\"text\" for people, \"json\" for one JSON object per line."},
    {NULL},
};

static const struct conf_table log_table = {
    .name = "log",
    .size = sizeof(struct log_config),
    .keys = log_keys,
    .help = "What is told, and how.",
};

static const struct conf_key control_keys[] = {
    {"socket", CONF_STR, CONF_AT(struct control_config, path),
     .def = "\"control.sock\"",
     .help = "The socket's file, relative to runtime_dir."},
    {"mode", CONF_MODE, CONF_AT(struct control_config, mode), .def = "\"0600\"",
     .help = "Permission bits of the socket's file. Whatever they are, only "
             "the user who runs vub, and root, are listened to."},
    {NULL},
};

static const struct conf_table control_table = {
    .name = "control",
    .size = sizeof(struct control_config),
    .keys = control_keys,
    .help = "Where vub is controlled.",
};

static const struct conf_key config_keys[] = {
    {"$schema", CONF_ANY, .help = "For editors: vub.schema.json. Ignored."},
    {"runtime_dir", CONF_PATH, CONF_AT(struct config, runtime_dir),
     .help = "Where sockets are made. It is made itself if it is missing, for "
             "its owner only, but not its parents. Default: vub in "
             "$XDG_RUNTIME_DIR if that is set, else /run/vub."},
    {"control", CONF_TABLE, CONF_AT(struct config, control),
     .table = &control_table, .shorthand = "socket",
     .seen_offset = CONF_SEEN(struct config, has_control),
     .help = "The control socket, for vub ctl: a path, or an object. Without "
             "this key there is none."},
    {"log", CONF_TABLE, CONF_AT(struct config, log), .table = &log_table,
     .help = "Log lines go to standard error. Options of the command line "
             "come before these."},
    {"sandbox", CONF_TABLE, CONF_AT(struct config, sandbox),
     .table = &sandbox_table, .shorthand = "enabled",
     .help = "What vub may not do any more once it has started: true, false, "
             "or an object. By default all that it does not need, where the "
             "system can."},
    {"devices", CONF_UNIONS, CONF_AT(struct config, devices), .required = true,
     .min = 1, .of = &device_union, .help = "The devices to serve."},
    {NULL},
};

const struct conf_table config_table = {
    .name = "vub config",
    .size = sizeof(struct config),
    .keys = config_keys,
    .help = "One file says all devices that one vub serves. Paths are relative "
            "to the file.",
    .check = check_config,
};

/* ---- reading ---- */

static int read_text(struct conf_doc **doc, void **out,
                     const struct config_source *source, struct errs *e)
{
    char dir[PATH_MAX];

    if (!getcwd(dir, sizeof(dir)))
        return errs_add(e, -errno, "", "cannot find the current directory: %s",
                        strerror(errno));
    return conf_read_text(doc, out, &config_table, source->text,
                          strlen(source->text), dir, source->sets, e);
}

static int read_file(struct conf_doc **doc, void **out,
                     const struct config_source *source, struct errs *e)
{
    struct stat st;

    /* What cannot be looked at cannot be opened either, which says why. */
    if (source->again && stat(source->path, &st) == 0 &&
        (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
        return errs_add(e, -ESPIPE, "",
                        "is no file, and cannot be read a second time");
    return conf_read_file(doc, out, &config_table, source->path, source->sets,
                          e);
}

int config_read(struct conf_doc **doc, const struct config **out,
                const struct config_source *source, struct errs *e)
{
    void *data;
    int rc = source->text ? read_text(doc, &data, source, e)
                          : read_file(doc, &data, source, e);

    if (rc == 0)
        *out = data;
    return rc;
}

void config_set_log(const struct config_source *source,
                    const struct log_config *log)
{
    log_set(source->log_level >= 0 ? (enum log_level)source->log_level
                                   : (enum log_level)log->level,
            source->log_format >= 0 ? (enum log_format)source->log_format
                                    : (enum log_format)log->format);
}
