/* A program of its own: it asks, waits, prints and ends. What targets say of
 * themselves is printed for eyes, where it is escaped, or as JSON. It logs
 * nothing but errors, for what it has found out is its output. */
#include "daemon/iscsi_list.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/control/ctl.h"
#include "iscsi/discover.h"

enum { EXIT_LISTED, EXIT_NOT, EXIT_ASKED_WRONGLY };

#define TIMEOUT_MS 10000

struct list_options {
    struct iscsi_query query;
    bool json, help;
};

static int fail(int status, const char *where, const char *text)
{
    show_failure(where, text);
    return status;
}

const struct option_row iscsi_list_rows[] = {
    {'i', "initiator", "NAME",
     "The iSCSI name to have. Default: one made of the host's name."},
    {'u', "chap-user", "NAME", "Who to log in as."},
    {'f', "chap-secret-file", "PATH",
     "The file whose first line is the secret;"},
    {'e', "chap-secret-env", "NAME", "or the environment variable that is."},
    {'U', "mutual-user", "NAME", "Who the target must prove to be;"},
    {'F', "mutual-secret-file", "PATH", "and its secret, in a file"},
    {'E', "mutual-secret-env", "NAME", "or the environment."},
    {'d', "header-digest", NULL, "Protect headers by CRC32C."},
    {'t', "timeout", "MS", "For each step; 10000."},
    {'j', "json", NULL, "Print JSON, on one line."},
    {'h', "help", NULL, "Print this and stop."},
    {0},
};

static void help(void)
{
    fputs("usage: vub iscsi-list [OPTION...] HOST[:PORT]\n\n"
          "Lists the targets of an iSCSI portal, and their units.\n\n",
          stdout);
    for (const struct option_row *r = iscsi_list_rows; r->name; r++)
        option_row_help(stdout, r);
    fputs("\nWhat it prints is what goes into a config: \"url\": "
          "\"iscsi://PORTAL/TARGET/UNIT\".\n",
          stdout);
}

/* Options whose value is kept as it is given. */
static const char **text_of(struct iscsi_query *q, int id)
{
    switch (id) {
    case 'i':
        return &q->initiator;
    case 'u':
        return &q->chap.user;
    case 'f':
        return &q->chap.secret_file;
    case 'e':
        return &q->chap.secret_env;
    case 'U':
        return &q->mutual_chap.user;
    case 'F':
        return &q->mutual_chap.secret_file;
    case 'E':
        return &q->mutual_chap.secret_env;
    default:
        return NULL;
    }
}

static int take_timeout(struct iscsi_query *q, const char *value, struct err *e)
{
    char *end;
    long ms;

    errno = 0;
    ms = strtol(value, &end, 10);
    if (*end || errno || ms < 1 || ms > 3600000)
        return err_set(e, -EINVAL, "--timeout",
                       "must be 1 to 3600000 milliseconds");
    q->timeout = (uint32_t)ms;
    return 0;
}

static int take(void *arg, const struct option_row *r, char *value,
                struct err *e)
{
    struct list_options *o = arg;
    const char **text = text_of(&o->query, r->id);

    if (text) {
        *text = value;
        return 0;
    }
    switch (r->id) {
    case 'd':
        o->query.header_digest = true;
        return 0;
    case 't':
        return take_timeout(&o->query, value, e);
    case 'j':
        o->json = true;
        return 0;
    default:
        o->help = true;
        return 1;
    }
}

/* -1: go on; else the exit status. */
static int parse(struct list_options *o, int argc, char **argv)
{
    struct option_scan s = {
        .program = "vub iscsi-list", .take = take, .arg = o};
    struct err e;
    int used;

    option_rows_add(&s, iscsi_list_rows);
    used = option_rows_scan(&s, argc, argv, &e);
    if (used < 0)
        return fail(EXIT_ASKED_WRONGLY, e.where, e.text);
    if (o->help) {
        help();
        return EXIT_LISTED;
    }
    if (used != argc - 1)
        return fail(EXIT_ASKED_WRONGLY, "",
                    "which portal? See vub iscsi-list --help");
    o->query.portal = argv[used];
    return -1;
}

static const char *type_word(uint8_t type, char room[16])
{
    static const char *const words[] = {
        [0] = "disk",       [1] = "tape",          [3] = "processor",
        [5] = "CD/DVD",     [8] = "changer",       [12] = "array",
        [13] = "enclosure", [0x1e] = "well known",
    };

    if (type < ARRAY_LEN(words) && words[type])
        return words[type];
    snprintf(room, 16, "type %02xh", type);
    return room;
}

static const char *size_text(uint64_t bytes, char room[32])
{
    static const char units[] = "BKMGTPE";
    unsigned u = 0;
    double n = (double)bytes;

    for (; n >= 1024 && u < sizeof(units) - 2; u++)
        n /= 1024;
    if (u == 0)
        snprintf(room, 32, "%" PRIu64 " bytes", bytes);
    else
        snprintf(room, 32, n < 10 ? "%.1f %ciB" : "%.0f %ciB", n, units[u]);
    return room;
}

static void show_target(const struct found_target *t)
{
    char room[32];

    show_text(stdout, t->name);
    for (int i = 0; i < t->num_portals; i++) {
        fputs(i ? ", " : "  at ", stdout);
        show_text(stdout, t->portals[i]);
    }
    putchar('\n');
    if (t->why[0]) {
        fputs("  ", stdout);
        show_text(stdout, t->why);
        putchar('\n');
    }
    for (int i = 0; i < t->num_units; i++) {
        const struct found_unit *u = &t->units[i];

        printf("  unit %-5u ", u->lun);
        if (u->why[0]) {
            show_text(stdout, u->why);
        } else {
            printf("%-10s ", type_word(u->type, room));
            printf("%-12s ", u->size ? size_text(u->size, room) : "");
            show_text(stdout, u->vendor);
            putchar(' ');
            show_text(stdout, u->product);
            if (u->block != 512 && u->block)
                printf("  (blocks of %" PRIu32 ")", u->block);
        }
        putchar('\n');
    }
}

static void add_target(struct json_out *o, const struct found_target *t)
{
    json_begin(o, NULL, '{');
    json_add_str(o, "target", t->name);
    json_begin(o, "portals", '[');
    for (int i = 0; i < t->num_portals; i++)
        json_add_str(o, NULL, t->portals[i]);
    json_end(o, ']');
    if (t->why[0])
        json_add_str(o, "error", t->why);
    json_begin(o, "units", '[');
    for (int i = 0; i < t->num_units; i++) {
        const struct found_unit *u = &t->units[i];

        json_begin(o, NULL, '{');
        json_add_u64(o, "unit", u->lun);
        if (u->why[0]) {
            json_add_str(o, "error", u->why);
        } else {
            json_add_u64(o, "type", u->type);
            json_add_str(o, "vendor", u->vendor);
            json_add_str(o, "product", u->product);
            json_add_str(o, "revision", u->revision);
        }
        if (u->size) {
            json_add_u64(o, "size", u->size);
            json_add_u64(o, "block_size", u->block);
        }
        json_end(o, '}');
    }
    json_end(o, ']');
    json_end(o, '}');
}

static bool show(const struct found *f, bool json)
{
    struct json_out o = JSON_OUT_EMPTY;
    bool good;

    if (json) {
        json_begin(&o, NULL, '{');
        json_begin(&o, "targets", '[');
        for (int i = 0; i < f->num_targets; i++)
            add_target(&o, &f->targets[i]);
        json_end(&o, ']');
        json_end(&o, '}');
        if (!o.failed)
            puts(o.text);
    } else {
        for (int i = 0; i < f->num_targets; i++)
            show_target(&f->targets[i]);
        if (f->num_targets == 0)
            puts("no targets");
        if (f->more)
            printf("and more than these %d\n", f->num_targets);
    }
    good = !o.failed && fflush(stdout) == 0 && !ferror(stdout);
    json_out_free(&o);
    return good;
}

int iscsi_list_main(int argc, char **argv)
{
    struct list_options o = {.query.timeout = TIMEOUT_MS};
    struct errs e = ERRS_EMPTY;
    struct found f;
    int status = parse(&o, argc, argv);

    if (status >= 0)
        return status;
    log_set(LOG_ERROR, LOG_TEXT); /* what fails is said here */
    if (iscsi_discover(&o.query, &f, &e) < 0) {
        status = EXIT_NOT;
        for (int i = 0; i < e.count; i++) {
            fail(0, e.list[i].where, e.list[i].text);
            if (e.list[i].code == -EINVAL)
                status = EXIT_ASKED_WRONGLY;
        }
        errs_free(&e);
        return status;
    }
    status = show(&f, o.json)
                 ? EXIT_LISTED
                 : fail(EXIT_NOT, "", "cannot write to standard output");
    found_free(&f);
    return status;
}
