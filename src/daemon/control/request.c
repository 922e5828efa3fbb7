/* The letters of a call: `there` carries it home, where the device may keep it;
 * `back` brings the answer. If the client goes meanwhile, a call that has not
 * yet begun does not begin, and `stop` follows it home, and comes back as
 * `stopped`, whether it found the call there or not.
 * The request is freed when all of its letters are back.
 *
 * To the process of an isolated device it goes as a request of its own, whose
 * answer is passed on as it is. */
#include "daemon/control/request.h"

#include <errno.h>
#include <stdlib.h>

#include "conf/conf.h"
#include "conf/json.h"
#include "daemon/control/commands.h"
#include "daemon/control/control.h"

/* ---- the end of one ---- */

void request_free(struct request *r)
{
    if (r->process_of)
        isolate_forget(&r->process);
    list_del(&r->node);
    list_del(&r->all);
    json_out_free(&r->call.out);
    rpc_free(&r->rpc);
    free(r);
}

static void leave_client(struct request *r)
{
    struct client *c = r->client;

    r->client = NULL;
    if (list_empty(&r->node))
        return;
    list_del(&r->node);
    if (c->num_requests-- == CLIENT_REQUESTS_MAX)
        client_next(c);
}

/* code 0: the result is r's. */
static void answer(struct request *r, int code, const struct errs *e)
{
    struct client *c = r->client;

    if (!c)
        return;
    if (code == 0 && r->call.out.failed)
        code = RPC_INTERNAL;
    leave_client(r);
    if (r->rpc.id && client_may_answer(c)) {
        if (code == 0)
            rpc_add_result(&c->out, r->rpc.id, r->call.out.text);
        else
            rpc_add_error(&c->out, r->rpc.id, code, e);
    }
    client_send(c);
}

static const struct errs no_errors = {NULL, 0, 0};

void request_done(struct request *r)
{
    answer(r, 0, &no_errors);
    request_free(r);
}

void request_fail(struct request *r, int code, const struct err *why)
{
    struct err one = *why;
    const struct errs e = {&one, 1, 0};

    request_fail_all(r, code, &e);
}

void request_fail_all(struct request *r, int code, const struct errs *e)
{
    answer(r, code, e);
    request_free(r);
}

/* ---- on the home loop ---- */

static void on_answered(struct call *call, const struct err *e)
{
    struct request *r = container_of(call, struct request, call);
    struct served *s = r->served;

    r->failed = e != NULL;
    if (e)
        r->why = *e;
    served_call_end(&r->at_home);
    loop_post(r->control->main, &r->back); /* main may free it now */
    served_call_ended(s);
}

/* Among the stores of the device, the one that the command is for. */
static void run_store(struct request *r, struct device *d)
{
    const struct device_type *type = device_type_of(r->served->conf);
    struct store *s;
    struct err e;

    for (unsigned i = 0; type->stores && (s = type->stores(d, i)) != NULL; i++)
        store_search(&r->search, s);
    if (store_search_over(&r->search, &e) < 0)
        call_fail(&r->call, &e);
    else
        r->store->run(r->search.found, &r->call);
}

static void on_there(struct mail *m)
{
    struct request *r = container_of(m, struct request, there);
    struct device *d = served_call_begin(r->served, &r->at_home, &r->call);
    struct err e;

    if (__atomic_load_n(&r->abandoned, __ATOMIC_RELAXED)) {
        err_set(&e, -ECANCELED, "", "nobody waits any more");
        on_answered(&r->call, &e);
        return;
    }
    if (d) {
        if (r->store)
            run_store(r, d);
        else
            r->command->run(d, &r->call);
        return;
    }
    err_set(&e, -ENODEV, "/params/device", "the device is closed");
    on_answered(&r->call, &e);
}

static void on_stop(struct mail *m)
{
    struct request *r = container_of(m, struct request, stop);
    struct loop *main = r->control->main;

    served_call_cancel(&r->at_home);
    loop_post(main, &r->stopped);
}

/* ---- back on the main loop ---- */

static void letter_back(struct request *r)
{
    if (--r->under_way > 0)
        return;
    served_unref(r->served);
    if (!r->failed) {
        request_done(r);
        return;
    }
    request_fail(r, RPC_FAILED, &r->why);
}

static void on_back(struct mail *m)
{
    letter_back(container_of(m, struct request, back));
}

static void on_stopped(struct mail *m)
{
    letter_back(container_of(m, struct request, stopped));
}

void request_cancel(struct request *r)
{
    if (r->process_of)
        isolate_cancel(r->process_of->isolated, &r->process);
    /* Once: who asks again may do so when only `stopped` is under way. */
    if ((!r->command && !r->store) || r->under_way != 1 || r->stop.run)
        return;
    /* A notification is done, so it begins. */
    __atomic_store_n(&r->abandoned, r->rpc.id != NULL, __ATOMIC_RELAXED);
    r->stop.run = on_stop;
    r->stopped.run = on_stopped;
    r->under_way++;
    served_post(r->served, &r->stop);
}

void request_abandon(struct request *r)
{
    leave_client(r);
    request_cancel(r);
}

/* ---- to a process and back ---- */

static void answer_written(struct request *r, const char *error)
{
    struct client *c = r->client;

    if (!c)
        return;
    leave_client(r);
    if (r->rpc.id && client_may_answer(c))
        rpc_add_written_error(&c->out, r->rpc.id, error);
    client_send(c);
}

void request_pass_on(struct request *r, const char *members, const char *error)
{
    if (members) {
        if (members[0])
            json_add_raw(&r->call.out, NULL, members);
        request_done(r);
        return;
    }
    answer_written(r, error);
    request_free(r);
}

static void on_process_answered(struct isolate_call *call, const char *members,
                                const char *error)
{
    struct request *r = container_of(call, struct request, process);
    struct served *s = r->process_of;

    r->process_of = NULL;
    r->passed(r, s, members, error);
    served_unref(s);
}

int request_pass(struct request *r, struct served *s,
                 void (*answered)(struct request *r, struct served *s,
                                  const char *members, const char *error))
{
    char *params = r->rpc.params ? json_text(r->rpc.params) : NULL;
    int rc;

    r->passed = answered;
    r->process.answered = on_process_answered;
    if (r->rpc.params && !params)
        rc = err_nomem(&r->why);
    else
        rc = isolate_ask(s->isolated, &r->process, r->rpc.method, params,
                         &r->why);
    free(params);
    if (rc == 0)
        r->process_of = served_ref(s);
    return rc;
}

static void on_command_answered(struct request *r, struct served *s,
                                const char *members, const char *error)
{
    struct err e;

    (void)s;
    if (members || error) {
        request_pass_on(r, members, error);
        return;
    }
    err_set(&e, -EPIPE, "",
            "the process of the device has ended before it has answered; it is "
            "started again");
    request_fail(r, RPC_FAILED, &e);
}

static void send_home(struct request *r)
{
    struct err e;

    if (served_is_closing(r->served)) {
        err_set(&e, -ENODEV, "/params/device", "the device is closing");
        request_fail(r, RPC_FAILED, &e);
        return;
    }
    if (r->served->isolated) {
        r->process.waits = true;
        if (request_pass(r, r->served, on_command_answered) < 0)
            request_fail(r, RPC_FAILED, &r->why);
        return;
    }
    r->call.answered = on_answered;
    r->there.run = on_there;
    r->back.run = on_back;
    r->under_way = 1;
    served_ref(r->served);
    served_post(r->served, &r->there);
}

/* ---- from a line to a command ---- */

/* The device that the parameters name, of the type that has the command. */
static int find_device(struct request *r, const struct command_row *row,
                       const char *id, struct errs *e)
{
    r->served = devices_find(r->control->devices, id);
    if (!r->served)
        errs_add(e, -ENODEV, "/params/device", "there is no device \"%.64s\"",
                 id);
    else if (row->device && row->type && r->served->conf->table != row->type)
        errs_add(e, -EINVAL, "/params/device",
                 "\"%s\" is of the type %s; %s is for those of the type %s", id,
                 r->served->conf->table->name, row->name, row->type->name);
    else
        return 0;
    return RPC_BAD_PARAMS;
}

static int read_params(struct request *r, const struct command_row *row,
                       struct errs *e)
{
    const struct conf_table *const tables[] = {command_common(row),
                                               row->params};
    void *out[2];
    int rc;

    rc = conf_read_object(r->rpc.doc, out, tables, r->rpc.params, "params",
                          r->control->dir, e);
    if (rc < 0)
        return rc == -ENOMEM ? RPC_INTERNAL : RPC_BAD_PARAMS;
    r->call.args = out[1];
    r->call.doc = r->rpc.doc;
    r->call.params = r->rpc.params;
    r->call.dir = r->control->dir;
    if (!tables[0])
        return 0;
    r->command = row->device;
    r->store = row->store;
    if (r->store)
        r->search = (struct store_search){
            .type = row->store_type,
            .name = ((struct command_store *)out[0])->filter};
    return find_device(r, row, ((struct command_device *)out[0])->device, e);
}

void request_run(struct control *control, struct client *client,
                 const char *line, size_t len)
{
    struct request *r = calloc(1, sizeof(*r));
    struct errs e = ERRS_EMPTY;
    struct command_row row;
    int rc;

    if (!r) {
        if (client_may_answer(client))
            rpc_add_error(&client->out, NULL, RPC_INTERNAL, &e);
        return; /* whoever gave the line sends it */
    }
    r->control = control;
    r->client = client;
    list_init(&r->node);
    list_add(&control->requests, &r->all);
    rc = rpc_read(&r->rpc, line, len, &e);
    if (rc == 0 && !(control->keeper_gone && keeper_find(r->rpc.method, &row)))
        rc = commands_find(r->rpc.method, &row, &e);
    if (rc == 0)
        rc = read_params(r, &row, &e);
    if (rc < 0) {
        answer(r, rc, &e);
        errs_free(&e);
        request_free(r);
        return;
    }
    list_add(&client->requests, &r->node);
    client->num_requests++;
    if (row.device || row.store)
        send_home(r);
    else
        row.run(r);
}
