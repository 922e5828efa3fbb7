/* Results for people. Few have a form of their own; what else there is, and
 * what a newer vub may say, is shown by what it is: members one a line, lists
 * and objects in JSON. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "conf/json.h"
#include "daemon/control/ctl.h"

void show_text(FILE *f, const char *text)
{
    size_t len;

    for (const char *c = text; *c; c += len) {
        len = utf8_char(c, strnlen(c, 4));
        if (len == 0 || utf8_is_control(c, len)) {
            putc('?', f);
            len = MAX(len, 1u);
        } else {
            fwrite(c, 1, len, f);
        }
    }
}

void show_failure(const char *where, const char *text)
{
    fputs("vub: ", stderr);
    if (where && where[0]) {
        show_text(stderr, where);
        fputs(": ", stderr);
    }
    show_text(stderr, text);
    putc('\n', stderr);
}

/* ---- values ---- */

static bool is_scalar(const struct json *n)
{
    return json_type(n) != JSON_ARRAY && json_type(n) != JSON_OBJECT;
}

/* A value in words; the caller frees it. NULL: no memory. */
static char *words(const struct json *n)
{
    char *text = NULL;
    double d;

    if (json_type(n) == JSON_STRING)
        return strdup(json_string(n));
    if (json_type(n) == JSON_BOOL)
        return strdup(json_bool(n) ? "yes" : "no");
    if (json_type(n) != JSON_NUMBER)
        return json_text(n);
    d = json_number(n);
    if (d > -9e18 && d < 9e18 && (double)(int64_t)d == d) {
        if (asprintf(&text, "%" PRId64, (int64_t)d) < 0)
            return NULL;
        return text;
    }
    return json_text(n);
}

static void show_value(FILE *f, const struct json *n)
{
    char *text = words(n);

    show_text(f, text ? text : "?");
    free(text);
}

/* ---- tables ---- */

#define COLUMNS 6

struct row {
    char *cells[COLUMNS];
};

static void free_row(struct row *r)
{
    for (int i = 0; i < COLUMNS; i++)
        free(r->cells[i]);
}

static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += (*text & 0xc0) != 0x80;
    return width;
}

static void widen(size_t *widths, const struct row *r)
{
    for (int i = 0; i < COLUMNS; i++)
        widths[i] = MAX(widths[i], width_of(r->cells[i] ? r->cells[i] : "?"));
}

void show_padded(FILE *f, const char *text, int width)
{
    show_text(f, text);
    fprintf(f, "%*s", MAX(width - (int)width_of(text), 0), "");
}

static void show_row(FILE *f, const size_t *widths, const struct row *r)
{
    for (int i = 0; i < COLUMNS; i++) {
        const char *cell = r->cells[i] ? r->cells[i] : "?";

        show_text(f, cell);
        if (i < COLUMNS - 1)
            fprintf(f, "%*s", (int)(widths[i] - width_of(cell) + 2), "");
    }
    putc('\n', f);
}

/* ---- status ---- */

/* "a, b" of a list of strings; the caller frees it. */
static char *joined(const struct json *list)
{
    char *text = strdup(""), *more;

    if (!list || json_type(list) != JSON_ARRAY)
        return text;
    for (const struct json *n = json_first(list); text && n; n = json_next(n)) {
        const char *s = json_type(n) == JSON_STRING ? json_string(n) : "?";

        if (asprintf(&more, "%s%s%s", text, *text ? "," : "", s) < 0)
            more = NULL;
        free(text);
        text = more;
    }
    return text;
}

static struct row row_of(const struct json *device)
{
    const struct json *peer = json_member(device, "front_end");
    const struct json *path = json_member(device, "socket");
    struct row r = {{strdup(json_member_string(device, "id")),
                     strdup(json_member_string(device, "type")),
                     strdup(json_member_true(device, "answers")
                                ? json_member_string(device, "state")
                                : "no answer"),
                     NULL, joined(json_member(device, "workers")), NULL}};

    if (!peer)
        r.cells[3] = strdup("-");
    else if (asprintf(&r.cells[3], "%.0f", json_member_number(peer, "pid")) < 0)
        r.cells[3] = NULL;
    if (path)
        r.cells[5] = strdup(json_member_string(device, "socket"));
    else if (asprintf(&r.cells[5], "fd %.0f",
                      json_member_number(device, "fd")) < 0)
        r.cells[5] = NULL;
    return r;
}

static void show_ring_counters(FILE *f, const struct json *ring)
{
    fprintf(f, " %.0f in flight, %.0f kicks, %.0f calls, %.0f chains\n",
            json_member_number(ring, "in_flight"),
            json_member_number(ring, "kicks"),
            json_member_number(ring, "calls"),
            json_member_number(ring, "chains"));
}

static void show_ring(FILE *f, const struct json *ring)
{
    fprintf(f, "  ring %.0f: ", json_member_number(ring, "index"));
    if (!json_member(ring, "size"))
        fputs("not set up", f);
    else
        fprintf(f, "%s%s, %.0f %s",
                json_member_true(ring, "started") ? "started" : "stopped",
                json_member_true(ring, "enabled") ? "" : ", disabled",
                json_member_number(ring, "size"),
                json_member_true(ring, "packed") ? "packed" : "split");
    putc(',', f);
    show_ring_counters(f, ring);
}

static bool is_zero(const struct json *n)
{
    return json_type(n) == JSON_NUMBER && json_number(n) == 0;
}

/* The plain members of an object in a line. */
static void show_members(FILE *f, const char *title, const struct json *object,
                         bool zeros)
{
    const char *separator = ": ";

    fprintf(f, "  %s", title);
    for (const struct json *m = json_first(object); m; m = json_next(m)) {
        if (!is_scalar(m) || (!zeros && is_zero(m)))
            continue;
        fputs(separator, f);
        show_text(f, json_name(m));
        putc(' ', f);
        show_value(f, m);
        separator = ", ";
    }
    fputs(*separator == ':' ? ": nothing yet\n" : "\n", f);
}

static bool is_list_of_objects(const struct json *n)
{
    return json_type(n) == JSON_ARRAY && json_first(n) &&
           json_type(json_first(n)) == JSON_OBJECT;
}

/* Of an object: its lists of objects, one of them a line, and theirs. */
static void show_lists(FILE *f, const char *of, const struct json *object)
{
    char title[80];
    unsigned i;
    int len;

    for (const struct json *m = json_first(object); m; m = json_next(m)) {
        if (!is_list_of_objects(m))
            continue;
        /* "queues" to "queue 0" */
        len = (int)MIN(strlen(json_name(m)), 20u);
        if (len > 0 && json_name(m)[len - 1] == 's')
            len--;
        i = 0;
        for (const struct json *n = json_first(m); n; n = json_next(n)) {
            if (json_type(n) != JSON_OBJECT)
                continue;
            snprintf(title, sizeof(title), "%.40s%s%.*s %u", of,
                     *of ? ", " : "", len, json_name(m), i++);
            show_members(f, title, n, false);
            show_lists(f, title, n);
        }
    }
}

/* What the device type tells. */
static void show_type(FILE *f, const char *type, const struct json *object)
{
    char title[40];

    show_members(f, type, object, true);
    for (const struct json *m = json_first(object); m; m = json_next(m))
        if (json_type(m) == JSON_OBJECT) {
            snprintf(title, sizeof(title), "%.20s", json_name(m));
            show_members(f, title, m, false);
        }
    show_lists(f, "", object);
}

static void show_device(FILE *f, const struct json *device)
{
    const struct json *rings = json_member(device, "rings");
    const char *type = json_member_string(device, "type");
    const struct json *own = json_member(device, type);
    const struct json *process = json_member(device, "process");

    if (process && json_type(process) == JSON_OBJECT)
        show_members(f, "served by a process of its own", process, true);
    if (rings && json_type(rings) == JSON_ARRAY)
        for (const struct json *n = json_first(rings); n; n = json_next(n))
            show_ring(f, n);
    if (own && json_type(own) == JSON_OBJECT)
        show_type(f, type, own);
}

/* Throttles, and who uses them. */
static void show_throttles(FILE *f, const struct json *list)
{
    fputs("THROTTLES\n", f);
    for (const struct json *n = json_first(list); n; n = json_next(n)) {
        const struct json *users = json_member(n, "users");

        if (json_type(n) != JSON_OBJECT)
            continue;
        show_members(f, "throttle", n, true);
        if (!users || !is_list_of_objects(users))
            continue;
        for (const struct json *u = json_first(users); u; u = json_next(u))
            if (json_type(u) == JSON_OBJECT)
                show_members(f, "user", u, false);
    }
}

static void show_status(FILE *f, const struct json *result)
{
    struct row title = {
        {"DEVICE", "TYPE", "STATE", "PROCESS", "WORKERS", "SOCKET"}};
    const struct json *devices = json_member(result, "devices");
    const struct json *throttles = json_member(result, "throttles");
    size_t widths[COLUMNS] = {0};
    struct row r;

    fputs("vub ", f);
    show_text(f, json_member_string(result, "version"));
    fprintf(f, ", process %.0f, log level ", json_member_number(result, "pid"));
    show_text(f, json_member_string(result, "log_level"));
    putc('\n', f);
    if (!devices || json_type(devices) != JSON_ARRAY)
        return;
    widen(widths, &title);
    for (const struct json *n = json_first(devices); n; n = json_next(n)) {
        r = row_of(n);
        widen(widths, &r);
        free_row(&r);
    }
    show_row(f, widths, &title);
    for (const struct json *n = json_first(devices); n; n = json_next(n)) {
        r = row_of(n);
        show_row(f, widths, &r);
        free_row(&r);
        show_device(f, n);
    }
    if (throttles && json_type(throttles) == JSON_ARRAY)
        show_throttles(f, throttles);
}

/* ---- stats and metrics ---- */

void show_time(double ns, char *out, size_t room)
{
    if (ns < 1e3)
        snprintf(out, room, "%.0f ns", ns);
    else if (ns < 1e6)
        snprintf(out, room, "%.1f us", ns / 1e3);
    else if (ns < 1e9)
        snprintf(out, room, "%.1f ms", ns / 1e6);
    else
        snprintf(out, room, "%.1f s", ns / 1e9);
}

static void show_latency(FILE *f, const struct json *latency)
{
    static const struct {
        const char *member, *title;
    } parts[] = {
        {"p50_ns", "50 % within "}, {"p90_ns", ", 90 % "},
        {"p99_ns", ", 99 % "},      {"p999_ns", ", 99.9 % "},
        {"max_ns", ", all "},
    };

    char time[32];

    if (json_member_number(latency, "count") == 0)
        return;
    fputs("    ", f);
    for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
        show_time(json_member_number(latency, parts[i].member), time,
                  sizeof(time));
        fprintf(f, "%s%s", parts[i].title, time);
    }
    putc('\n', f);
}

static void show_counters(FILE *f, const struct json *device)
{
    const struct json *rings = json_member(device, "rings");
    const char *type = json_member_string(device, "type");
    const struct json *own = json_member(device, type);
    const struct json *sessions = json_member(device, "iscsi");

    show_text(f, json_member_string(device, "id"));
    fputs(": ", f);
    show_text(f, type);
    fputs(", ", f);
    show_text(f, json_member_true(device, "answers")
                     ? json_member_string(device, "state")
                     : "no answer");
    putc('\n', f);
    if (rings && json_type(rings) == JSON_ARRAY)
        for (const struct json *n = json_first(rings); n; n = json_next(n)) {
            fprintf(f, "  ring %.0f:", json_member_number(n, "index"));
            show_ring_counters(f, n);
            show_latency(f, json_member(n, "latency"));
        }
    if (own && json_type(own) == JSON_OBJECT)
        show_type(f, type, own);
    if (sessions && is_list_of_objects(sessions))
        for (const struct json *n = json_first(sessions); n; n = json_next(n))
            show_members(f, "iscsi", n, true);
}

static void show_stats(FILE *f, const struct json *result)
{
    const struct json *devices = json_member(result, "devices");
    const struct json *throttles = json_member(result, "throttles");

    if (!devices || json_type(devices) != JSON_ARRAY)
        return;
    for (const struct json *n = json_first(devices); n; n = json_next(n))
        show_counters(f, n);
    if (throttles && json_type(throttles) == JSON_ARRAY)
        show_throttles(f, throttles);
}

/* As it is, for whoever reads it is no person; but one may, on a terminal, and
 * names in it are as others have chosen them. */
static void show_metrics(FILE *f, const struct json *result)
{
    char *text = strdup(json_member_string(result, "text"));
    char *rest = text, *line;

    while (rest && *rest) {
        line = strsep(&rest, "\n");
        show_text(f, line);
        if (rest)
            putc('\n', f);
    }
    free(text);
}

/* ---- others ---- */

static void show_help(FILE *f, const struct json *result)
{
    const struct json *list = json_member(result, "commands"), *params;

    if (!list || json_type(list) != JSON_ARRAY)
        return;
    for (const struct json *n = json_first(list); n; n = json_next(n)) {
        show_text(f, json_member_string(n, "name"));
        params = json_member(n, "params");
        if (params && json_type(params) == JSON_ARRAY) {
            for (const struct json *p = json_first(params); p;
                 p = json_next(p)) {
                bool required = json_member_true(p, "required");

                fputs(required ? " " : " [", f);
                show_text(f, json_member_string(p, "name"));
                fputs(required ? "=..." : "=...]", f);
            }
        }
        fputs("\n    ", f);
        show_text(f, json_member_string(n, "help"));
        putc('\n', f);
    }
}

void show_result(FILE *f, const char *method, const struct json *result)
{
    static const struct {
        const char *method;
        void (*show)(FILE *f, const struct json *result);
    } forms[] = {
        {"status", show_status},
        {"stats", show_stats},
        {"metrics", show_metrics},
        {"help", show_help},
    };

    for (unsigned i = 0; i < ARRAY_LEN(forms); i++) {
        if (strcmp(method, forms[i].method) == 0) {
            forms[i].show(f, result);
            return;
        }
    }
    if (json_type(result) != JSON_OBJECT) {
        show_value(f, result);
        putc('\n', f);
        return;
    }
    for (const struct json *m = json_first(result); m; m = json_next(m)) {
        show_text(f, json_name(m));
        fputs(": ", f);
        show_value(f, m);
        putc('\n', f);
    }
}

void show_event(FILE *f, const struct json *params)
{
    show_text(f, json_member_string(params, "event"));
    if (json_type(params) != JSON_OBJECT)
        return;
    for (const struct json *m = json_first(params); m; m = json_next(m)) {
        char *text;

        if (strcmp(json_name(m), "event") == 0)
            continue;
        putc(' ', f);
        show_text(f, json_name(m));
        putc('=', f);
        text = json_text(m);
        /* A word needs no quotes. */
        if (json_type(m) == JSON_STRING && !strpbrk(json_string(m), " \"\\"))
            show_text(f, json_string(m));
        else
            show_text(f, text ? text : "?");
        free(text);
    }
    putc('\n', f);
}
