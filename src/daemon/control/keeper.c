/* What the keeper of an isolated device asks the process that serves it, beside
 * what it passes on for others: daemon/isolate.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/control/commands.h"
#include "daemon/control/control.h"
#include "daemon/throttles.h"
#include "daemon/watchdog.h"
#include "device/command.h"
#include "virtio/device.h"

struct log_args {
    unsigned level, format;
};

static void run_log(struct request *r)
{
    const struct log_args *args = r->call.args;

    log_set((enum log_level)args->level, (enum log_format)args->format);
    request_done(r);
}

static const struct conf_key log_keys[] = {
    {"level", CONF_CHOICE, CONF_AT(struct log_args, level), .required = true,
     .words = log_level_words},
    {"format", CONF_CHOICE, CONF_AT(struct log_args, format), .required = true,
     .words = log_format_words},
    {NULL},
};

static const struct conf_table log_table = {
    .name = "keeper.log",
    .size = sizeof(struct log_args),
    .keys = log_keys,
};

/* As SIGHUP has it. */
static void run_refresh(struct request *r)
{
    const struct devices *ds = r->control->devices;

    for (int i = 0; i < ds->count; i++)
        if (!ds->list[i]->closing)
            served_refresh(ds->list[i]);
    request_done(r);
}

struct cancel_args {
    uint64_t id;
};

/* Nobody waits for that request any more; it is answered all the same. */
static void run_cancel(struct request *r)
{
    const struct cancel_args *args = r->call.args;
    char id[24];

    snprintf(id, sizeof(id), "%" PRIu64, args->id);
    LIST_EACH (&r->client->requests, node) {
        struct request *other = container_of(node, struct request, node);

        if (other == r || !other->rpc.id || strcmp(other->rpc.id, id) != 0)
            continue;
        request_cancel(other);
        break;
    }
    request_done(r);
}

static const struct conf_key cancel_keys[] = {
    {"id", CONF_SIZE, CONF_AT(struct cancel_args, id), .required = true},
    {NULL},
};

static const struct conf_table cancel_table = {
    .name = "keeper.cancel",
    .size = sizeof(struct cancel_args),
    .keys = cancel_keys,
};

struct limits_args {
    struct conf_anys throttles;
};

/* The config says other limits now than it did when the device was opened. */
static void run_limits(struct request *r)
{
    const struct limits_args *args = r->call.args;
    const struct devices *ds = r->control->devices;

    for (int i = 0; i < ds->count; i++)
        throttles_hear(ds->list[i]->conf, &args->throttles);
    throttle_settle();
    request_done(r);
}

static const struct conf_key one_limits_keys[] = {LIMITS_KEYS, {NULL}};

static const struct conf_table one_limits_table = {
    .name = "limits",
    .size = sizeof(struct limits_conf),
    .keys = one_limits_keys,
};

static const struct conf_key limits_keys[] = {
    {"throttles", CONF_TABLES, CONF_AT(struct limits_args, throttles),
     .required = true, .max = 1u << 20, .table = &one_limits_table},
    {NULL},
};

static const struct conf_table limits_table = {
    .name = "keeper.limits",
    .size = sizeof(struct limits_args),
    .keys = limits_keys,
};

/* Is it alive? That it answers says so of this loop; of the workers, which of
 * them has computed longest without coming back to its own. */
static void run_ping(struct request *r)
{
    const struct worker *w = watchdog_busiest(r->control->watchdog);

    if (w) {
        json_add_str(&r->call.out, "worker", w->name);
        json_add_u64(&r->call.out, "busy_ms", w->busy_ms);
    }
    request_done(r);
}

/* Fails if it has what would be lost with this process. */
static void run_may_be_killed(struct device *d, struct call *c)
{
    struct err e;

    if (d->ops->may_be_killed && d->ops->may_be_killed(d, &e) < 0)
        call_fail(c, &e);
    else
        call_done(c);
}

static const struct command may_be_killed = {"keeper.may_be_killed", NULL, NULL,
                                             run_may_be_killed};

static const struct command_row rows[] = {
    {"keeper.log", &log_table, .run = run_log},
    {"keeper.refresh", NULL, .run = run_refresh},
    {"keeper.cancel", &cancel_table, .run = run_cancel},
    {"keeper.ping", NULL, .run = run_ping},
    {"keeper.may_be_killed", NULL, .device = &may_be_killed},
    {"keeper.limits", &limits_table, .run = run_limits},
};

bool keeper_find(const char *name, struct command_row *row)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].name, name) != 0)
            continue;
        *row = rows[i];
        return true;
    }
    return false;
}
