/* Our own commands first, then those of the device types and of the stores, in
 * the order of their tables. */
#include "daemon/control/commands.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "conf/docs.h"
#include "conf/text.h"
#include "daemon/control/control.h"

/* ---- what they do ---- */

static void help_param(struct json_out *o, const struct conf_key *k)
{
    char wants[160];

    json_begin(o, NULL, '{');
    json_add_str(o, "name", k->name);
    text_expected(k, wants, sizeof(wants));
    json_add_str(o, "value", wants);
    json_add_bool(o, "required", k->required);
    if (k->def)
        json_add_raw(o, "default", k->def);
    if (k->help)
        json_add_str(o, "help", k->help);
    json_end(o, '}');
}

static void help_params(struct json_out *o, const struct conf_table *t)
{
    if (!t)
        return;
    for (const struct conf_key *k = t->keys; k->name; k++)
        help_param(o, k);
}

static void run_help(struct request *r)
{
    struct json_out *o = &r->call.out;
    struct command_row row;

    json_begin(o, "commands", '[');
    for (unsigned i = 0; commands_at(i, &row); i++) {
        json_begin(o, NULL, '{');
        json_add_str(o, "name", row.name);
        json_add_str(o, "help", row.help);
        json_begin(o, "params", '[');
        help_params(o, command_common(&row));
        help_params(o, row.params);
        json_end(o, ']');
        json_end(o, '}');
    }
    json_end(o, ']');
    request_done(r);
}

static void run_events(struct request *r)
{
    if (r->client)
        control_subscribe(r->control, r->client);
    request_done(r);
}

struct level_args {
    unsigned level;
};

static void run_log_level(struct request *r)
{
    unsigned level = ((const struct level_args *)r->call.args)->level;
    unsigned was = log_level();
    struct json_out event = JSON_OUT_EMPTY;

    log_set((enum log_level)level, log_format());
    devices_set_log(r->control->devices);
    json_add_str(&r->call.out, "level", log_level_words[level]);
    json_add_str(&r->call.out, "was", log_level_words[was]);
    if (level != was) {
        json_add_str(&event, "event", "log.level");
        json_add_str(&event, "level", log_level_words[level]);
        json_add_str(&event, "was", log_level_words[was]);
        control_event(r->control, &event);
    }
    request_done(r); /* whatever it causes comes after the event */
}

static void run_quit(struct request *r)
{
    struct control *c = r->control;
    int pid = r->client ? r->client->pid : 0;

    request_done(r); /* it is told before anything ends */
    c->quit(c->arg, pid);
}

/* ---- the table ---- */

static const struct conf_key device_keys[] = {
    {"device", CONF_STR, CONF_AT(struct command_device, device),
     .required = true, .min = 1, .help = "The id of the device."},
    {NULL},
};

const struct conf_table command_device_table = {
    .name = "device",
    .size = sizeof(struct command_device),
    .keys = device_keys,
};

static const struct conf_key store_keys[] = {
    {"device", CONF_STR, CONF_AT(struct command_store, device.device),
     .required = true, .min = 1, .help = "The id of the device."},
    {"filter", CONF_STR, CONF_AT(struct command_store, filter), .min = 1,
     .help = "The \"name\" that the config gives the filter, if the device has "
             "more than one of the type."},
    {NULL},
};

static const struct conf_table store_table = {
    .name = "store",
    .size = sizeof(struct command_store),
    .keys = store_keys,
};

const struct conf_table *command_common(const struct command_row *row)
{
    if (row->store)
        return &store_table;
    return row->device ? &command_device_table : NULL;
}

/* Of those that ask all devices. */
static const struct conf_key only_keys[] = {
    {"device", CONF_STR, CONF_AT(struct command_device, device), .min = 1,
     .help = "The id of the only device to tell of."},
    {NULL},
};

const struct conf_table command_only_table = {
    .name = "only",
    .size = sizeof(struct command_device),
    .keys = only_keys,
};

static const struct conf_key level_keys[] = {
    {"level", CONF_CHOICE, CONF_AT(struct level_args, level), .required = true,
     .words = log_level_words,
     .help = "Lines of this weight and above are written from now on."},
    {NULL},
};

static const struct conf_table level_table = {
    .name = "log.level",
    .size = sizeof(struct level_args),
    .keys = level_keys,
};

static const struct command_row own[] = {
    {"help", NULL, "Tell all commands and their parameters.", .run = run_help},
    {"status", &command_only_table,
     "Tell what there is to know of the devices: sessions, features, rings and "
     "counters. A device whose worker does not answer within a second is said "
     "not to answer.",
     .run = status_run},
    {"stats", &command_only_table,
     "Tell all counters of the devices, and of each ring how long its requests "
     "took.",
     .run = stats_run},
    {"metrics", &command_only_table,
     "Tell the same for a monitoring system, in the text format of "
     "OpenMetrics.",
     .run = metrics_run},
    {"events", NULL,
     "Tell what happens from now on, each event as a notification: front-ends "
     "that connect and disconnect, rings that break, devices whose config "
     "changes, that come and go or have a new process, iSCSI sessions that "
     "are lost and come back, a new log level.",
     .run = run_events},
    {"log.level", &level_table, "Change the log level.", .run = run_log_level},
    {"throttle.set", &throttle_set_table,
     "Change limits of a throttle, for all that wait there, too. Those that "
     "are not given stay as they are.",
     .run = throttle_run_set},
    {"device.add", &device_add_table,
     "Serve one more device, from now on and until vub ends; the config file "
     "stays as it is. Answered when its socket listens, and if something is "
     "wrong, with all that is.",
     .run = changes_run_add},
    {"device.remove", &command_device_table,
     "Serve a device no more. Its front-end is disconnected, what is in flight "
     "ends within drain_timeout, and the socket is removed; answered when it "
     "is "
     "gone.",
     .run = changes_run_remove},
    {"device.reload", &command_device_table,
     "Close a device and open it again, by what the config file says of it "
     "now. Its front-end has to connect again.",
     .run = changes_run_reload_device},
    {"config.reload", NULL,
     "Read the config file again, and add, remove and change the devices that "
     "differ; others do not notice, but look at their sources again. If "
     "anything is wrong, or cannot change while vub runs, nothing changes.",
     .run = changes_run_reload},
    {"hand-over", &hand_over_table,
     "Hand all devices, with the front-ends that they have, to another vub: "
     "for vub --take-over, which gets a socket with the answer. Nothing else "
     "changes until that has come to something or nothing.",
     .run = hand_over_run},
    {"quit", NULL, "Stop vub, as SIGTERM does.", .run = run_quit},
};

static bool store_row(unsigned i, struct command_row *row)
{
    const char *type;
    const struct store_command *c = store_command_at(i, &type);

    if (!c)
        return false;
    *row = (struct command_row){.name = c->name,
                                .params = c->params,
                                .help = c->help,
                                .store = c,
                                .store_type = type};
    return true;
}

bool commands_at(unsigned i, struct command_row *row)
{
    if (i < ARRAY_LEN(own)) {
        *row = own[i];
        return true;
    }
    i -= ARRAY_LEN(own);
    for (const struct conf_table *const *t = device_union.tables; *t; t++) {
        const struct device_type *type = (*t)->ops;

        for (const struct command *c = type->commands; c && c->name; c++) {
            if (i-- > 0)
                continue;
            *row = (struct command_row){.name = c->name,
                                        .params = c->params,
                                        .help = c->help,
                                        .device = c,
                                        .type = *t};
            return true;
        }
    }
    return store_row(i, row);
}

int commands_find(const char *name, struct command_row *row, struct errs *e)
{
    const char *near = NULL;
    unsigned best = UINT32_MAX;

    for (unsigned i = 0; commands_at(i, row); i++) {
        if (strcmp(row->name, name) == 0)
            return 0;
        if (text_is_slip(name, row->name, &best))
            near = row->name;
    }
    if (near)
        errs_add(e, -ENOENT, "/method",
                 "there is no such command; did you mean \"%s\"?", near);
    else
        errs_add(e, -ENOENT, "/method",
                 "there is no such command; \"help\" tells all");
    return RPC_NO_METHOD;
}

/* ---- for people ---- */

static void add_usage(char *text, size_t room, const struct conf_table *t)
{
    size_t len = strlen(text);

    for (const struct conf_key *k = t ? t->keys : NULL; k && k->name; k++) {
        snprintf(text + len, room - len, k->required ? " %s=..." : " [%s=...]",
                 k->name);
        len += strlen(text + len);
    }
}

static void put_params(FILE *f, const struct conf_table *t)
{
    char wants[160], text[256];

    if (!t)
        return;
    for (const struct conf_key *k = t->keys; k->name; k++) {
        text_expected(k, wants, sizeof(wants));
        snprintf(text, sizeof(text), "%s: %s%s%s", k->name, wants,
                 k->def ? ", by default " : "", k->def ? k->def : "");
        fputs("      ", f);
        text_wrap(f, text, 6, 8);
    }
}

void commands_help(FILE *f)
{
    struct command_row row;
    char usage[512];

    for (unsigned i = 0; commands_at(i, &row); i++) {
        snprintf(usage, sizeof(usage), "%s", row.name);
        add_usage(usage, sizeof(usage), command_common(&row));
        add_usage(usage, sizeof(usage), row.params);
        fputs("  ", f);
        text_wrap(f, usage, 2, 6);
        fputs("      ", f);
        text_wrap(f, row.help, 6, 6);
        put_params(f, row.params);
    }
}

void commands_man(FILE *f)
{
    const struct conf_table *common;
    struct command_row row;

    for (unsigned i = 0; commands_at(i, &row); i++) {
        fprintf(f, ".It Cm %s\n", row.name);
        conf_man_text(f, row.help);
        common = command_common(&row);
        if (!row.params && !common)
            continue;
        fputs(".Bl -tag -width Ds\n", f);
        if (common)
            conf_man_keys(f, common->keys);
        if (row.params)
            conf_man_keys(f, row.params->keys);
        fputs(".El\n", f);
    }
}
