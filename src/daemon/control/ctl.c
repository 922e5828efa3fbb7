/* One request, its answer, and after `events` whatever comes. The table of
 * commands is asked only what is a string (id=1 is one, size=1 is not): a vub
 * that knows more commands than this one is asked all the same. */
#include "daemon/control/ctl.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "conf/json.h"
#include "daemon/config.h"
#include "daemon/control/commands.h"
#include "daemon/control/rpc.h"
#include "loop/loop.h"
#include "os/sock.h"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

#define TIMEOUT_MS 30000
#define GRACE_MS 10000 /* for a call beyond its own timeout_ms */

struct ctl {
    const char *socket, *config; /* as given; NULL: not */
    bool json;
    int timeout_ms; /* 0: as not given */
    const char *method;
    char **values; /* NULL-ended: key=value */

    char *path; /* of the socket */
    int fd;
    uint64_t deadline_ns; /* 0: none */
    char *in;             /* what has come: in_len bytes, [0, line) is told */
    size_t in_len, in_room, line;
};

static int fail(const char *where, const char *text)
{
    fputs("vub: ", stderr);
    if (where && where[0]) {
        show_text(stderr, where);
        fputs(": ", stderr);
    }
    show_text(stderr, text);
    putc('\n', stderr);
    return EXIT_FAILED;
}

static int fail_usage(const char *where, const char *text)
{
    fail(where, text);
    return EXIT_USAGE;
}

/* ---- options ---- */

static void help(void)
{
    fputs("usage: vub ctl [OPTION...] COMMAND [KEY=VALUE...]\n\n"
          "Asks a running vub, which has \"control\" in its config.\n\n"
          "  --socket PATH  Its control socket. Default: control.sock in vub "
          "in\n"
          "                 $XDG_RUNTIME_DIR, or else in /run/vub.\n"
          "  --config FILE  The socket that this config names.\n"
          "  --json         Print the result, or events, as JSON, on one line "
          "each.\n"
          "  --timeout MS   How long to wait for the answer. Default: 30000, "
          "and\n"
          "                 longer for a command with a longer timeout_ms.\n"
          "  --help         Print this and stop.\n\n"
          "A value is JSON, or else a string; a.b=VALUE is inside an "
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

/* -1: go on; else the exit status. */
static int parse(struct ctl *c, int argc, char **argv)
{
    static const struct option table[] = {
        {"socket", required_argument, NULL, 's'},
        {"config", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int id;

    opterr = 0;
    optind = 0;
    for (;;) {
        int at = optind ? optind : 1;

        id = getopt_long(argc, argv, "+:", table, NULL);
        if (id == -1)
            break;
        if (id == 's')
            c->socket = optarg;
        else if (id == 'c')
            c->config = optarg;
        else if (id == 'j')
            c->json = true;
        else if (id == 't' && !parse_ms(optarg, &c->timeout_ms))
            return fail_usage("--timeout", "must be a number of milliseconds");
        else if (id == ':')
            return fail_usage(argv[at], "needs a value");
        else if (id == '?')
            return fail_usage(argv[at],
                              "there is no such option; see vub ctl --help");
        else if (id == 'h') {
            help();
            return EXIT_DONE;
        }
    }
    if (c->socket && c->config)
        return fail_usage("--config", "names the socket, as --socket does: "
                                      "leave one out");
    if (optind == argc)
        return fail_usage("", "which command? See vub ctl --help");
    c->method = argv[optind];
    c->values = argv + optind + 1;
    return -1;
}

/* ---- where ---- */

/* The config that vub runs with. */
static int path_of_config(struct ctl *c)
{
    struct errs e = ERRS_EMPTY;
    struct conf_doc *doc = NULL;
    struct config *config;
    void *out;
    char *dir = NULL;
    int status = -1;

    if (conf_read_file(&doc, &out, &config_table, c->config, NULL, &e) < 0) {
        for (int i = 0; i < e.count; i++)
            fail(e.list[i].where[0] ? e.list[i].where : c->config,
                 e.list[i].text);
        errs_free(&e);
        return EXIT_USAGE;
    }
    config = out;
    dir = config_runtime_dir(config);
    if (!config->has_control)
        status = fail_usage(c->config, "has no \"control\": such a vub cannot "
                                       "be asked");
    else if (dir)
        c->path = config_control_path(dir, config);
    free(dir);
    conf_free(doc);
    return status;
}

static int find_path(struct ctl *c)
{
    const struct config nothing = {.control.path = "control.sock"};
    char *dir;
    int status = -1;

    if (c->config) {
        status = path_of_config(c);
    } else if (c->socket && c->socket[0] == '/') {
        c->path = strdup(c->socket);
    } else if (c->socket) {
        char *here = realpath(".", NULL);

        if (here && asprintf(&c->path, "%s/%s", here, c->socket) < 0)
            c->path = NULL;
        free(here);
    } else {
        dir = config_runtime_dir(&nothing);
        if (dir)
            c->path = config_control_path(dir, &nothing);
        free(dir);
    }
    if (status < 0 && !c->path)
        return fail("", "out of memory");
    return status;
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

static int put_value(struct ctl *c, struct json *tree, const char *value)
{
    const char *equals = strchr(value, '=');
    size_t len = equals ? (size_t)(equals - value) : 0;
    char *pointer, *text;
    const struct conf_key *key;
    enum conf_type type;
    struct err e;
    int rc;

    if (len == 0 || !utf8_is_valid(value))
        return fail_usage(value, "a parameter is written as KEY=VALUE");
    key = param_of(c->method, value, len);
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
        return fail("", "out of memory");
    return rc < 0 ? fail_usage(e.where, e.text) : -1;
}

/* -1, and the line; or the exit status. */
static int compose(struct ctl *c, char **line)
{
    static const char frame[] = "{\"jsonrpc\":\"2.0\",\"id\":1}";
    struct json *tree = json_parse(frame, strlen(frame), NULL);
    int status = -1;
    struct err e;

    if (!tree)
        return fail("", "out of memory");
    if (!utf8_is_valid(c->method))
        status = fail_usage(c->method, "there is no such command");
    else if (json_put(tree, "/method", 7, c->method, true, "", &e) < 0)
        status = fail("", e.text);
    for (char **v = c->values; status < 0 && *v; v++)
        status = put_value(c, tree, *v);
    *line = status < 0 ? json_text(tree) : NULL;
    json_free(tree);
    if (status < 0 && !*line)
        return fail("", "out of memory");
    return status;
}

/* ---- the wire ---- */

static int wait_for(struct ctl *c, bool write)
{
    uint64_t now = loop_now_ns();
    int ms = -1, rc;

    if (c->deadline_ns) {
        if (now >= c->deadline_ns)
            return -ETIMEDOUT;
        ms = (int)MIN((c->deadline_ns - now) / 1000000 + 1, INT32_MAX);
    }
    rc = sock_wait(c->fd, write, ms);
    return rc == -EINTR ? 0 : rc;
}

static int send_line(struct ctl *c, const char *line, size_t len)
{
    ssize_t n;
    int rc;

    while (len) {
        n = sock_send(c->fd, line, len, NULL, 0);
        if (n == -EAGAIN) {
            rc = wait_for(c, true);
            if (rc < 0)
                return rc;
            continue;
        }
        if (n < 0)
            return (int)n;
        line += n;
        len -= (size_t)n;
    }
    return 0;
}

static int receive(struct ctl *c)
{
    int fds[SOCK_FDS_ROOM], rc;
    unsigned num_fds = 0;
    size_t room = MAX(c->in_room, 4096u);
    ssize_t n;
    char *in;

    while (room - c->in_len < 2048)
        room *= 2;
    if (room != c->in_room) {
        in = realloc(c->in, room);
        if (!in)
            return -ENOMEM;
        c->in = in;
        c->in_room = room;
    }
    for (;;) {
        n = sock_recv(c->fd, c->in + c->in_len, room - c->in_len, fds,
                      &num_fds);
        if (n != -EAGAIN)
            break;
        rc = wait_for(c, false);
        if (rc < 0)
            return rc;
    }
    for (unsigned i = 0; i < num_fds; i++)
        close(fds[i]);
    if (n <= 0)
        return n < 0 ? (int)n : -EPIPE;
    c->in_len += (size_t)n;
    return 0;
}

/* The next line, without its end; good until the next. NULL: *rc says why. */
static char *next_line(struct ctl *c, int *rc)
{
    size_t seen = 0;
    char *end;

    if (c->line) {
        memmove(c->in, c->in + c->line, c->in_len - c->line);
        c->in_len -= c->line;
        c->line = 0;
    }
    for (;;) {
        end = c->in ? memchr(c->in + seen, '\n', c->in_len - seen) : NULL;
        if (end)
            break;
        seen = c->in_len;
        *rc = receive(c);
        if (*rc < 0)
            return NULL;
    }
    *end = '\0';
    c->line = (size_t)(end - c->in) + 1;
    return c->in;
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

static const char *string_of(const struct json *n)
{
    return n && json_type(n) == JSON_STRING ? json_string(n) : "";
}

/* "/params/size" as the one who typed it knows it. */
static const char *place_of(const struct json *error)
{
    const char *at = string_of(show_member(error, "at"));

    if (strncmp(at, "/params/", 8) == 0)
        return at + 8;
    return strcmp(at, "/method") == 0 ? "" : at;
}

static int print_error(struct ctl *c, const struct json *error)
{
    const struct json *code = show_member(error, "code");
    const struct json *data = show_member(error, "data");
    const struct json *list = show_member(data, "errors");
    int number =
        code && json_type(code) == JSON_NUMBER ? (int)json_number(code) : 0;

    if (number == RPC_NO_METHOD)
        fail(c->method, string_of(show_member(error, "message")));
    else if (!list)
        fail(place_of(data), string_of(show_member(error, "message")));
    for (const struct json *n = list ? json_first(list) : NULL; n;
         n = json_next(n))
        fail(place_of(n), string_of(show_member(n, "message")));
    return number == RPC_NO_METHOD || number == RPC_BAD_PARAMS ? EXIT_USAGE
                                                               : EXIT_FAILED;
}

/* -1: it was not the end. */
static int take_line(struct ctl *c, char *line)
{
    struct json *tree = json_parse(line, strlen(line), NULL);
    const struct json *result = tree ? show_member(tree, "result") : NULL;
    const struct json *error = tree ? show_member(tree, "error") : NULL;
    const struct json *params = tree ? show_member(tree, "params") : NULL;
    int status = -1;

    if (error) {
        status = print_error(c, error);
    } else if (result && strcmp(c->method, "events") == 0) {
        c->deadline_ns = 0; /* whatever comes, whenever */
    } else if (result) {
        if (c->json)
            print_json(line,
                       "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":", result);
        else
            show_result(stdout, c->method, result);
        status = EXIT_DONE;
    } else if (params) {
        print_event(c, line, params);
        if (ferror(stdout))
            status = EXIT_FAILED; /* nobody reads any more */
    } else {
        status = fail(c->path, "what it says is no answer");
    }
    json_free(tree);
    return status;
}

static int fail_wire(struct ctl *c, int rc)
{
    char text[80];

    if (rc == -ETIMEDOUT) {
        snprintf(text, sizeof(text), "no answer for %d ms", c->timeout_ms);
        return fail(c->path, text);
    }
    if (rc != -EPIPE && rc != -ECONNRESET)
        return fail(c->path, strerror(-rc));
    if (!c->deadline_ns)
        return EXIT_DONE; /* there are no more events */
    return fail(c->path, "the connection ended before the answer");
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
    rc = send_line(c, request, strlen(request));
    if (rc == 0)
        rc = send_line(c, "\n", 1);
    if (rc < 0 && rc != -EPIPE)
        return fail_wire(c, rc);
    while (status < 0) {
        line = next_line(c, &rc);
        if (!line)
            return fail_wire(c, rc);
        status = take_line(c, line);
    }
    return status;
}

static int fail_connect(const struct err *e)
{
    fail("", e->text);
    if (e->code == -ENOENT || e->code == -ECONNREFUSED)
        fail("", "does a vub run, with \"control\" in its config? --socket and "
                 "--config say where");
    return EXIT_FAILED;
}

int ctl_main(int argc, char **argv)
{
    struct ctl c = {.fd = -1};
    char *request = NULL;
    struct err e;
    int status;

    status = parse(&c, argc, argv);
    if (status < 0)
        status = compose(&c, &request);
    if (status < 0)
        status = find_path(&c);
    if (status < 0) {
        c.fd = sock_connect(c.path, &e);
        status = c.fd < 0 ? fail_connect(&e) : ask(&c, request);
    }
    if (c.fd >= 0)
        close(c.fd);
    free(c.in);
    free(c.path);
    free(request);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_DONE)
        status = fail("", "cannot write to standard output");
    return status;
}
