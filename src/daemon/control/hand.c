/* hand-over: the command by which another vub asks for everything. It takes a
 * turn as changes do, and is answered when that has come, with one end of a
 * pair of sockets; the rest is hand_over.c's. Whoever may use the control
 * socket may have all that vub has; nobody else can get that end. */
#include <errno.h>

#include "daemon/control/commands.h"
#include "daemon/control/control.h"

struct hand_args {
    unsigned protocol;
};

static struct request *request_of(struct turn *t)
{
    return container_of(t, struct request, turn);
}

static void fail(struct request *r, int code, const char *text)
{
    struct changer *ch = r->control->changer;
    struct err e;

    err_set(&e, code, "", "%s", text);
    request_fail(r, RPC_FAILED, &e);
    changer_over(ch);
}

static void on_turn(struct turn *t)
{
    struct request *r = request_of(t);
    struct err e;
    int fd;

    if (!r->client || !r->rpc.id) {
        fail(r, -ECANCELED, "nobody waits for the answer");
        return;
    }
    fd = hand_over_begin(r->control->hand_over, r->client->pid, &e);
    if (fd < 0) {
        fail(r, fd, e.text);
        return;
    }
    client_give(r->client, fd);
    json_add_str(&r->call.out, "version", VUB_VERSION);
    request_done(r);
}

static void on_drop(struct turn *t)
{
    struct err e;

    err_set(&e, -ECANCELED, "", "vub is stopping");
    request_fail(request_of(t), RPC_FAILED, &e);
}

void hand_over_run(struct request *r)
{
    const struct hand_args *args = r->call.args;
    struct err e;

    if (args->protocol != HAND_PROTOCOL) {
        err_set(&e, -EPROTONOSUPPORT, "/params/protocol",
                "vub %s hands over by protocol %d, not %u", VUB_VERSION,
                HAND_PROTOCOL, args->protocol);
        request_fail(r, RPC_FAILED, &e);
        return;
    }
    r->turn.run = on_turn;
    r->turn.drop = on_drop;
    changer_wait(r->control->changer, &r->turn);
}

static const struct conf_key hand_keys[] = {
    {"protocol", CONF_U32, CONF_AT(struct hand_args, protocol),
     .required = true, .max = UINT32_MAX,
     .help = "What the other vub speaks; this one may know another."},
    {NULL},
};

const struct conf_table hand_over_table = {
    .name = "hand-over",
    .size = sizeof(struct hand_args),
    .keys = hand_keys,
};
