/* throttle.set: throttles belong to no device, so it is a command of ours. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/control/commands.h"
#include "daemon/control/control.h"
#include "store/throttle.h"

struct set_args {
    struct limits_conf limits;
    const char *name;
};

static void on_process_answered(struct request *r, struct served *s,
                                const char *members, const char *error);

static void fail(struct request *r, struct err *e)
{
    char key[32];

    snprintf(key, sizeof(key), "%.31s", e->where);
    snprintf(e->where, sizeof(e->where), "/params/%s", key);
    request_fail(r, RPC_FAILED, e);
}

/* Those of isolated devices are their processes': who has one of that name says
 * so. */
static void ask_next(struct request *r, const struct served *after)
{
    const struct devices *ds = r->control->devices;
    bool behind = after == NULL;

    for (int i = 0; i < ds->count; i++) {
        struct served *s = ds->list[i];

        if (behind && s->isolated &&
            request_pass(r, s, on_process_answered) == 0)
            return;
        behind |= s == after;
    }
    fail(r, &r->why);
}

static void on_process_answered(struct request *r, struct served *s,
                                const char *members, const char *error)
{
    if (members)
        request_pass_on(r, members, NULL);
    else if (error && !strstr(error, "\"there is no throttle "))
        request_pass_on(r, NULL, error);
    else
        ask_next(r, s);
}

void throttle_run_set(struct request *r)
{
    const struct set_args *args = r->call.args;

    if (throttle_set(args->name, &args->limits, &r->call.out, &r->why) == 0)
        request_done(r);
    else if (r->why.code == -ENOENT)
        ask_next(r, NULL);
    else
        fail(r, &r->why);
}

static const struct conf_key set_keys[] = {
    {"name", CONF_STR, CONF_AT(struct set_args, name), .required = true,
     .min = 1,
     .help = "The name of the throttle: if its config says none, the id of its "
             "device."},
    LIMITS_KEYS,
    {NULL},
};

const struct conf_table throttle_set_table = {
    .name = "throttle.set",
    .size = sizeof(struct set_args),
    .keys = set_keys,
};
