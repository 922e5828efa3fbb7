/* throttle.set: throttles belong to no device, so it is a command of ours. */
#include <stdio.h>

#include "daemon/control/commands.h"
#include "daemon/control/control.h"
#include "store/throttle.h"

struct set_args {
    struct limits_conf limits;
    const char *name;
};

void throttle_run_set(struct request *r)
{
    const struct set_args *args = r->call.args;
    char key[32];
    struct err e;

    if (throttle_set(args->name, &args->limits, &r->call.out, &e) == 0) {
        request_done(r);
        return;
    }
    snprintf(key, sizeof(key), "%.31s", e.where);
    snprintf(e.where, sizeof(e.where), "/params/%s", key);
    request_fail(r, RPC_FAILED, &e);
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
