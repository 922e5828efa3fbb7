/* The command line is read up to the last word as its parser would: options
 * with their arguments, then for ctl a command and its parameters. Ids of
 * devices are asked of the vub that the line names, which has half a second. */
#include "daemon/complete.h"

#include <string.h>

#include "daemon/control/commands.h"
#include "daemon/control/ctl_impl.h"
#include "daemon/iscsi_list.h"
#include "daemon/program.h"
#include "daemon/scenario/scenario.h"
#include "daemon/trace/trace.h"
#include "loop/loop.h"

#define DEVICES_MS 500

const char *const complete_shells[] = {"bash", "zsh", "fish", NULL};

/* The line so far. */
struct typed {
    char **words; /* [count], without the program and its command */
    int count;
    const char *last; /* what is to be completed; "": nothing of it is there */
};

/* ---- what is offered ---- */

/* A candidate that begins with what is typed; help: its first sentence. */
static void offer(const struct typed *t, const char *prefix, const char *word,
                  const char *end, const char *help)
{
    size_t len = strlen(prefix);
    const char *rest;

    if (strncmp(t->last, prefix, MIN(len, strlen(t->last))) != 0)
        return;
    rest = strlen(t->last) > len ? t->last + len : "";
    if (strncmp(word, rest, strlen(rest)) != 0)
        return;
    printf("%s%s%s", prefix, word, end);
    if (help)
        printf("\t%.*s", (int)strcspn(help, ".:;"), help);
    putchar('\n');
}

static void offer_words(const struct typed *t, const char *prefix,
                        const char *const *words)
{
    for (; *words; words++)
        offer(t, prefix, *words, "", NULL);
}

static void offer_options(const struct typed *t, const struct option_scan *s)
{
    for (int i = 0; i < s->count; i++)
        if (s->rows[i]->help)
            offer(t, "--", s->rows[i]->name, "", s->rows[i]->help);
}

static void offer_argument(const struct typed *t, const char *prefix,
                           const struct option_row *row)
{
    if (row->words)
        offer_words(t, prefix, row->words);
    else if (strcmp(row->argument, "FILE") == 0 ||
             strcmp(row->argument, "SOCKET") == 0 ||
             strcmp(row->argument, "PATH") == 0)
        puts(":files");
}

/* ---- options ---- */

/* The row of "--name", "--name=value" or "-n"; NULL: none. */
static const struct option_row *row_of(const struct option_scan *s,
                                       const char *word)
{
    size_t len = strcspn(word, "=");
    bool is_long = strncmp(word, "--", 2) == 0;

    for (int i = 0; i < s->count; i++) {
        const struct option_row *r = s->rows[i];

        if (is_long && strlen(r->name) == len - 2 &&
            strncmp(r->name, word + 2, len - 2) == 0)
            return r;
        if (word[0] == '-' && r->letter && word[1] == r->letter && !word[2])
            return r;
    }
    return NULL;
}

/* The index of the first word from `at` on that is no option; count - 1, the
 * last word, at most. *open: the option whose argument the last word is. */
static int skip_options(const struct typed *t, int at,
                        const struct option_scan *s,
                        const struct option_row **open)
{
    *open = NULL;
    for (; at < t->count - 1 && t->words[at][0] == '-'; at++) {
        const struct option_row *row = row_of(s, t->words[at]);

        if (!row || !row->argument || row->optional ||
            strchr(t->words[at], '='))
            continue;
        if (++at == t->count - 1)
            *open = row;
    }
    return MIN(at, t->count - 1);
}

/* Has it to do with options? Then they are offered. */
static bool complete_option(const struct typed *t, const struct option_scan *s,
                            const struct option_row *open)
{
    const struct option_row *row = row_of(s, t->last);
    const char *equals = strchr(t->last, '=');
    char prefix[64];

    if (open) {
        offer_argument(t, "", open);
        return true;
    }
    if (t->last[0] != '-')
        return false;
    if (row && row->argument && equals) {
        snprintf(prefix, sizeof(prefix), "%.*s", (int)(equals + 1 - t->last),
                 t->last);
        offer_argument(t, prefix, row);
    } else {
        offer_options(t, s);
    }
    return true;
}

/* ---- ctl ---- */

/* The value of an option that stands before the last word. */
static const char *value_of(const struct typed *t, const char *option)
{
    size_t len = strlen(option);

    for (int i = 0; i < t->count - 1; i++) {
        if (strncmp(t->words[i], option, len) != 0)
            continue;
        if (t->words[i][len] == '=')
            return t->words[i] + len + 1;
        if (t->words[i][len] == '\0' && i < t->count - 2)
            return t->words[i + 1];
    }
    return NULL;
}

/* type: of devices; NULL: any. */
static void offer_devices(const struct typed *t, const char *type)
{
    struct ctl c = {.fd = -1,
                    .socket = value_of(t, "--socket"),
                    .config = value_of(t, "--config")};
    struct json *answer = NULL;
    const struct json *list = NULL;
    int rc;

    if (ctl_connect(&c) < 0) {
        c.deadline_ns = loop_now_ns() + (uint64_t)DEVICES_MS * 1000000;
        answer = ctl_call(
            &c, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}", &rc);
    }
    if (answer)
        list = json_member(json_member(answer, "result"), "devices");
    if (list && json_type(list) == JSON_ARRAY)
        for (const struct json *d = json_first(list); d; d = json_next(d))
            if (!type || strcmp(json_member_string(d, "type"), type) == 0)
                offer(t, "device=", json_member_string(d, "id"), "",
                      json_member_string(d, "type"));
    json_free(answer);
    ctl_close(&c);
}

static void offer_value(const struct typed *t, const struct conf_key *key)
{
    static const char *const bools[] = {"true", "false", NULL};
    char prefix[80];

    snprintf(prefix, sizeof(prefix), "%.70s=", key->name);
    if (key->type == CONF_PATH)
        puts(":files");
    else if (key->type == CONF_BOOL)
        offer_words(t, prefix, bools);
    else if (key->words)
        offer_words(t, prefix, key->words);
}

static bool is_given(const struct typed *t, const char *name)
{
    size_t len = strlen(name);

    for (int i = 0; i < t->count - 1; i++)
        if (strncmp(t->words[i], name, len) == 0 && t->words[i][len] == '=')
            return true;
    return false;
}

/* type: of the devices that the command is for; NULL: of all. */
static void offer_params(const struct typed *t, const struct conf_table *table,
                         const char *type)
{
    size_t len = strcspn(t->last, "=");

    for (const struct conf_key *k = table ? table->keys : NULL; k && k->name;
         k++) {
        if (t->last[len] == '\0') {
            if (!is_given(t, k->name))
                offer(t, "", k->name, "=", k->help);
        } else if (strlen(k->name) == len &&
                   strncmp(k->name, t->last, len) == 0) {
            if (strcmp(k->name, "device") == 0)
                offer_devices(t, type);
            else
                offer_value(t, k);
        }
    }
}

static void complete_ctl(const struct typed *t)
{
    struct option_scan s = {.count = 0};
    const struct option_row *open;
    struct command_row row;
    const char *command;
    int at;

    option_rows_add(&s, ctl_rows);
    at = skip_options(t, 0, &s, &open);
    command = t->words[at];
    if (at < t->count - 1 && strcmp(command, "top") == 0) {
        skip_options(t, at + 1, &s, &open);
        if (!complete_option(t, &s, open))
            offer_params(t, &command_only_table, NULL);
        return;
    }
    if (at == t->count - 1) {
        if (complete_option(t, &s, open))
            return;
        for (unsigned i = 0; commands_at(i, &row); i++)
            offer(t, "", row.name, "", row.help);
        offer(t, "", "top", "", "Show what the devices do");
        return;
    }
    for (unsigned i = 0; commands_at(i, &row); i++) {
        if (strcmp(row.name, command) != 0)
            continue;
        if (row.device)
            offer_params(t, &command_device_table, row.type->name);
        offer_params(t, row.params, NULL);
    }
}

/* ---- all ---- */

/* A command that has options, and nothing else that is known. */
static bool complete_options(const struct typed *t, const struct option_scan *s)
{
    const struct option_row *open;
    int at = skip_options(t, 0, s, &open);

    return at < t->count - 1 || complete_option(t, s, open);
}

static void complete_vub(const struct typed *t)
{
    struct option_scan s = {.count = 0};

    options_add(&s);
    if (complete_options(t, &s) || t->count > 1)
        return; /* it has options, and is no other command */
    offer(t, "", "ctl", "", "Ask a running vub");
    offer(t, "", "iscsi-list", "", "List what an iSCSI portal has");
    offer(t, "", "trace", "", "Show or replay a trace of requests");
    offer(t, "", "scenario", "", "Run the steps of a scenario");
    for (const struct conf_table *const *d = device_union.tables; *d; d++)
        offer(t, "", (*d)->name, "", "Be a program of one device");
}

static void complete_iscsi_list(const struct typed *t)
{
    struct option_scan s = {.count = 0};

    option_rows_add(&s, iscsi_list_rows);
    complete_options(t, &s);
}

static void complete_scenario(const struct typed *t)
{
    struct option_scan s = {.count = 0};

    option_rows_add(&s, scenario_options);
    if (!complete_options(t, &s) && t->last[0] != '-')
        puts(":files");
}

static void complete_trace(const struct typed *t)
{
    struct option_scan s = {.count = 0};
    struct trace_command_row row;
    struct typed rest = *t;

    for (unsigned i = 0; trace_commands_at(i, &row); i++) {
        if (t->count == 1)
            offer(t, "", row.name, "", row.help);
        else if (strcmp(row.name, t->words[0]) == 0)
            option_rows_add(&s, row.options);
    }
    if (t->count == 1 || s.count == 0)
        return;
    rest.words++;
    rest.count--;
    if (!complete_options(&rest, &s) && t->last[0] != '-')
        puts(":files");
}

static void complete_program(const struct typed *t, const struct program *p)
{
    struct option_scan s = {.count = 0};

    program_rows(p, &s);
    complete_options(t, &s);
}

/* words: the program, and at least one more. */
static void complete(int count, char **words)
{
    /* The word that is being typed names nothing yet. */
    int named = count - 1;
    const struct program *p = program_called(&named, &words);
    struct typed t = {.words = words + 1, .count = named};

    t.last = t.words[t.count - 1];
    if (p) {
        complete_program(&t, p);
    } else if (t.count > 1 && strcmp(t.words[0], "ctl") == 0) {
        t.words++;
        t.count--;
        complete_ctl(&t);
    } else if (t.count > 1 && strcmp(t.words[0], "iscsi-list") == 0) {
        t.words++;
        t.count--;
        complete_iscsi_list(&t);
    } else if (t.count > 1 && strcmp(t.words[0], "scenario") == 0) {
        t.words++;
        t.count--;
        complete_scenario(&t);
    } else if (t.count > 1 && strcmp(t.words[0], "trace") == 0) {
        t.words++;
        t.count--;
        complete_trace(&t);
    } else {
        complete_vub(&t);
    }
}

int complete_main(int argc, char **argv)
{
    if (argc > 2)
        complete(argc - 1, argv + 1);
    return EXIT_CLEAN;
}
