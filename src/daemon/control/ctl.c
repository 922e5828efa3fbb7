/* One request, its answer, and after `events` whatever comes. The table of
 * commands is asked only what is a string (id=1 is one, size=1 is not): a vub
 * that knows more commands than this one is asked all the same. */
#include "daemon/control/ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "daemon/control/commands.h"
#include "daemon/control/ctl_impl.h"
#include "daemon/control/rpc.h"
#include "loop/loop.h"

#define TIMEOUT_MS 30000
#define GRACE_MS 10000 /* for a call beyond its own timeout_ms */

int ctl_fail(const char *where, const char *text)
{
    show_failure(where, text);
    return CTL_FAILED;
}

int ctl_fail_usage(const char *where, const char *text)
{
    ctl_fail(where, text);
    return CTL_USAGE;
}

/* ---- options ---- */

const struct option_row ctl_rows[] = {
    {'s', "socket", "PATH",
     "Its control socket. Default: control.sock in vub in $XDG_RUNTIME_DIR, or "
     "else in /run/vub."},
    {'c', "config", "FILE", "The socket that this config names."},
    {'j', "json", NULL,
     "Print the result, or events, as JSON, on one line each."},
    {'t', "timeout", "MS",
     "How long to wait for the answer. Default: 30000, and longer for a "
     "command "
     "with a longer timeout_ms."},
    {'i', "interval", "MS", "Of top: how often it looks. Default: 1000."},
    {'o', "once", NULL, "Of top: print one table and stop."},
    {'h', "help", NULL, "Print this and stop."},
    {0},
};

static void help(void)
{
    fputs("usage: vub ctl [OPTION...] COMMAND [KEY=VALUE...]\n"
          "       vub ctl [OPTION...] top [device=ID]\n\n"
          "Asks a running vub, which has \"control\" in its config. top shows "
          "what its\ndevices do, until q is pressed.\n\n",
          stdout);
    for (const struct option_row *r = ctl_rows; r->name; r++)
        option_row_help(stdout, r);
    fputs("\nA value is JSON, or else a string; a.b=VALUE is inside an "
          "object.\n"
          "A relative path is one from the current directory.\n"
          "\nCommands:\n",
          stdout);
    commands_help(stdout);
    fputs("\nvub-ctl(1) tells more.\n", stdout);
}

static bool parse_ms(const char *text, int *ms)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(text, &end, 10);
    *ms = (int)n;
    return text[0] >= '0' && text[0] <= '9' && !*end && !errno && n >= 1 &&
           n <= INT32_MAX;
}

static int take_ms(const char *text, int *ms, const char *option, struct err *e)
{
    if (parse_ms(text, ms))
        return 0;
    return err_set(e, -EINVAL, option, "must be a number of milliseconds");
}

static int take(void *arg, const struct option_row *r, char *value,
                struct err *e)
{
    struct ctl *c = arg;

    switch (r->id) {
    case 's':
        c->socket = value;
        return 0;
    case 'c':
        c->config = value;
        return 0;
    case 'j':
        c->json = true;
        return 0;
    case 'o':
        c->once = true;
        return 0;
    case 't':
        return take_ms(value, &c->timeout_ms, "--timeout", e);
    case 'i':
        return take_ms(value, &c->interval_ms, "--interval", e);
    default:
        c->help = true;
        return 1;
    }
}

/* How many words of argv were options, and argv[0]; 0: the exit status is set.
 */
static int parse_options(struct ctl *c, int argc, char **argv, int *status)
{
    struct option_scan s = {.program = "vub ctl", .take = take, .arg = c};
    struct err e;
    int used;

    option_rows_add(&s, ctl_rows);
    used = option_rows_scan(&s, argc, argv, &e);
    if (used < 0) {
        *status = ctl_fail_usage(e.where, e.text);
        return 0;
    }
    if (c->help) {
        help();
        *status = CTL_DONE;
        return 0;
    }
    return used;
}

static bool is_top(const struct ctl *c)
{
    return strcmp(c->method, "top") == 0;
}

/* -1: go on; else the exit status. */
static int parse(struct ctl *c, int argc, char **argv)
{
    int status, used = parse_options(c, argc, argv, &status);

    if (used == 0)
        return status;
    if (used == argc)
        return ctl_fail_usage("", "which command? See vub ctl --help");
    c->method = argv[used];
    argc -= used;
    argv += used;
    used = 1;
    /* It is no command of vub's: its options may follow it. */
    if (is_top(c))
        used = parse_options(c, argc, argv, &status);
    if (used == 0)
        return status;
    if (c->socket && c->config)
        return ctl_fail_usage("--config", "names the socket, as --socket does: "
                                          "leave one out");
    if (!is_top(c) && (c->once || c->interval_ms))
        return ctl_fail_usage(c->once ? "--once" : "--interval",
                              "is for top only");
    c->values = argv + used;
    return -1;
}

/* ---- the request ---- */

static const struct conf_key *key_of(const struct conf_table *t,
                                     const char *name, size_t len)
{
    for (const struct conf_key *k = t ? t->keys : NULL; k && k->name; k++)
        if (strlen(k->name) == len && memcmp(k->name, name, len) == 0)
            return k;
    return NULL;
}

/* A parameter of a command; NULL: nothing is known here of it. */
static const struct conf_key *param_of(const char *method, const char *name,
                                       size_t len)
{
    const struct conf_key *k = NULL;
    struct errs e = ERRS_EMPTY;
    struct command_row row;

    if (commands_find(method, &row, &e) == 0) {
        k = row.device ? key_of(&command_device_table, name, len) : NULL;
        k = k ? k : key_of(row.params, name, len);
    }
    errs_free(&e);
    return k;
}

static bool is_string(enum conf_type type)
{
    return type == CONF_STR || type == CONF_PATH || type == CONF_CHOICE ||
           type == CONF_MODE;
}

/* Whoever types a relative path means one from here: vub would take it for one
 * from its config. The caller frees it; NULL: no memory. */
static char *value_of(enum conf_type type, const char *text)
{
    char *here, *path = NULL;

    if (type != CONF_PATH || text[0] == '/' || text[0] == '\0')
        return strdup(text);
    here = realpath(".", NULL);
    if (!here || asprintf(&path, "%s/%s", here, text) < 0)
        path = NULL;
    free(here);
    return path;
}

/* "a.b" to "/params/a/b". The caller frees it. */
static char *pointer_of(const char *key, size_t len)
{
    static const char start[] = "/params/";
    char *pointer = malloc(sizeof(start) + 2 * len), *out = pointer;

    if (!pointer)
        return NULL;
    out = stpcpy(out, start);
    for (size_t i = 0; i < len; i++) {
        if (key[i] == '.')
            *out++ = '/';
        else if (key[i] == '~')
            out = stpcpy(out, "~0");
        else if (key[i] == '/')
            out = stpcpy(out, "~1");
        else
            *out++ = key[i];
    }
    *out = '\0';
    return pointer;
}

static int put_value(const char *method, struct json *tree, const char *value)
{
    const char *equals = strchr(value, '=');
    size_t len = equals ? (size_t)(equals - value) : 0;
    char *pointer, *text;
    const struct conf_key *key;
    enum conf_type type;
    struct err e;
    int rc;

    if (len == 0 || !utf8_is_valid(value))
        return ctl_fail_usage(value, "a parameter is written as KEY=VALUE");
    key = param_of(method, value, len);
    type = key ? key->type : CONF_ANY;
    pointer = pointer_of(value, len);
    text = value_of(type, equals + 1);
    if (pointer && text)
        rc = json_put(tree, pointer, strlen(pointer), text, is_string(type),
                      value, &e);
    else
        rc = err_nomem(&e);
    free(pointer);
    free(text);
    if (rc == -ENOMEM)
        return ctl_fail("", "out of memory");
    return rc < 0 ? ctl_fail_usage(e.where, e.text) : -1;
}

char *ctl_compose(const struct ctl *c, const char *method, int *status)
{
    static const char frame[] = "{\"jsonrpc\":\"2.0\",\"id\":1}";
    struct json *tree = json_parse(frame, strlen(frame), NULL);
    char *line;
    struct err e;

    *status = -1;
    if (!tree) {
        *status = ctl_fail("", "out of memory");
        return NULL;
    }
    if (!utf8_is_valid(method))
        *status = ctl_fail_usage(method, "there is no such command");
    else if (json_put(tree, "/method", 7, method, true, "", &e) < 0)
        *status = ctl_fail("", e.text);
    for (char **v = c->values; *status < 0 && *v; v++)
        *status = put_value(method, tree, *v);
    line = *status < 0 ? json_text(tree) : NULL;
    json_free(tree);
    if (*status < 0 && !line)
        *status = ctl_fail("", "out of memory");
    return line;
}

/* ---- what comes ---- */

/* The object after `start` of a line of ours, as it was written: numbers and
 * all. NULL: it is written otherwise. */
static char *rest_of(char *line, const char *start)
{
    size_t len = strlen(line);

    if (strncmp(line, start, strlen(start)) != 0 || line[len - 1] != '}')
        return NULL;
    line[len - 1] = '\0';
    return line + strlen(start);
}

static void print_json(char *line, const char *start, const struct json *n)
{
    char *text = rest_of(line, start), *made = NULL;

    if (!text)
        text = made = json_text(n);
    puts(text ? text : "null");
    free(made);
}

static void print_event(struct ctl *c, char *line, const struct json *params)
{
    if (c->json)
        print_json(
            line,
            "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":", params);
    else
        show_event(stdout, params);
    fflush(stdout); /* somebody watches */
}

/* "/params/size" as the one who typed it knows it. */
static const char *place_of(const struct json *error)
{
    const char *at = json_member_string(error, "at");

    if (strncmp(at, "/params/", 8) == 0)
        return at + 8;
    return strcmp(at, "/method") == 0 ? "" : at;
}

int ctl_print_error(const struct ctl *c, const struct json *error)
{
    const struct json *code = json_member(error, "code");
    const struct json *data = json_member(error, "data");
    const struct json *list = json_member(data, "errors");
    int number =
        code && json_type(code) == JSON_NUMBER ? (int)json_number(code) : 0;

    if (number == RPC_NO_METHOD)
        ctl_fail(c->method, json_member_string(error, "message"));
    else if (!list)
        ctl_fail(place_of(data), json_member_string(error, "message"));
    for (const struct json *n = list ? json_first(list) : NULL; n;
         n = json_next(n))
        ctl_fail(place_of(n), json_member_string(n, "message"));
    return number == RPC_NO_METHOD || number == RPC_BAD_PARAMS ? CTL_USAGE
                                                               : CTL_FAILED;
}

/* -1: it was not the end. */
static int take_line(struct ctl *c, char *line)
{
    struct json *tree = json_parse(line, strlen(line), NULL);
    const struct json *result = tree ? json_member(tree, "result") : NULL;
    const struct json *error = tree ? json_member(tree, "error") : NULL;
    const struct json *params = tree ? json_member(tree, "params") : NULL;
    int status = -1;

    if (error) {
        status = ctl_print_error(c, error);
    } else if (result && strcmp(c->method, "events") == 0) {
        c->deadline_ns = 0; /* whatever comes, whenever */
    } else if (result) {
        if (c->json)
            print_json(line,
                       "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":", result);
        else
            show_result(stdout, c->method, result);
        status = CTL_DONE;
    } else if (params) {
        print_event(c, line, params);
        if (ferror(stdout))
            status = CTL_FAILED; /* nobody reads any more */
    } else {
        status = ctl_fail(c->path, "what it says is no answer");
    }
    json_free(tree);
    return status;
}

/* Longer than the command, which can say better why it has ended. */
static int patience_ms(const struct ctl *c)
{
    static const char name[] = "timeout_ms";
    const struct conf_key *k = param_of(c->method, name, strlen(name));
    const char *text = k ? k->def : NULL;
    int ms = 0;

    for (char **v = c->values; *v; v++)
        if (strncmp(*v, "timeout_ms=", strlen(name) + 1) == 0)
            text = *v + strlen(name) + 1;
    if (!text || !parse_ms(text, &ms) || ms > INT32_MAX - GRACE_MS)
        return TIMEOUT_MS;
    return MAX(TIMEOUT_MS, ms + GRACE_MS);
}

static int ask(struct ctl *c, const char *request)
{
    int rc, status = -1;
    char *line;

    if (!c->timeout_ms)
        c->timeout_ms = patience_ms(c);
    c->deadline_ns = loop_now_ns() + (uint64_t)c->timeout_ms * 1000000;
    /* Who refuses us has said so, and hung up. */
    rc = ctl_send(c, request);
    if (rc < 0 && rc != -EPIPE)
        return ctl_fail_wire(c, rc);
    while (status < 0) {
        line = ctl_next_line(c, &rc);
        if (!line)
            return ctl_fail_wire(c, rc);
        status = take_line(c, line);
    }
    return status;
}

int ctl_main(int argc, char **argv)
{
    struct ctl c = {.fd = -1};
    char *request = NULL;
    int status;

    status = parse(&c, argc, argv);
    if (status < 0)
        request = ctl_compose(&c, is_top(&c) ? "stats" : c.method, &status);
    if (status < 0)
        status = ctl_connect(&c);
    if (status < 0)
        status = is_top(&c) ? top_run(&c, request) : ask(&c, request);
    ctl_close(&c);
    free(request);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == CTL_DONE)
        status = ctl_fail("", "cannot write to standard output");
    return status;
}
