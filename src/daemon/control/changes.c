/* Commands that change which devices there are. They wait for each other: each
 * takes a turn (change.h), and looks at what there is when that has come. One
 * whose client goes before does not begin, as with other commands. */
#include <errno.h>

#include "daemon/control/commands.h"
#include "daemon/control/control.h"

struct add_args {
    struct conf_any device;
};

/* ---- turns ---- */

static struct request *request_of(struct turn *t)
{
    return container_of(t, struct request, turn);
}

/* Its turn is over, and with it the request. */
static void fail(struct request *r, const struct errs *e)
{
    struct changer *ch = r->control->changer;

    request_fail_all(r, RPC_FAILED, e);
    changer_over(ch);
}

static void fail_one(struct request *r, int code, const char *where,
                     const char *text)
{
    struct changer *ch = r->control->changer;
    struct err e;

    err_set(&e, code, where, "%s", text);
    request_fail(r, RPC_FAILED, &e);
    changer_over(ch);
}

static void on_done(void *arg, const struct errs *e)
{
    struct request *r = arg;
    struct changer *ch = r->control->changer;

    if (errs_total(e) > 0)
        request_fail_all(r, RPC_FAILED, e);
    else
        request_done(r);
    changer_over(ch);
}

static void on_drop(struct turn *t)
{
    struct err e;

    err_set(&e, -ECANCELED, "", "vub is stopping");
    request_fail(request_of(t), RPC_FAILED, &e);
}

/* Nobody waits any more, and it has not begun. */
static bool is_abandoned(const struct request *r)
{
    return !r->client && r->rpc.id;
}

static void wait_for_turn(struct request *r, void (*run)(struct turn *t))
{
    r->turn.run = run;
    r->turn.drop = on_drop;
    changer_wait(r->control->changer, &r->turn);
}

/* The change that r wants, or NULL: it has failed. */
static struct change *begin(struct request *r)
{
    struct change *c = NULL;

    if (is_abandoned(r))
        fail_one(r, -ECANCELED, "", "nobody waits any more");
    else if (!(c = change_new(r->control->changer)))
        fail_one(r, -ENOMEM, "", "out of memory");
    return c;
}

/* Does it, if it can be done. rc: that of making it. */
static void do_change(struct request *r, struct change *c, int rc,
                      void (*done)(void *arg, const struct errs *e))
{
    struct errs e = ERRS_EMPTY;

    if (rc < 0)
        errs_nomem(&e);
    else
        rc = change_check(c, &e);
    if (rc == 0) {
        change_run(c, done, r);
        return;
    }
    change_free(c);
    fail(r, &e);
    errs_free(&e);
}

/* ---- device.add ---- */

static void on_added(void *arg, const struct errs *e)
{
    struct request *r = arg;
    const struct add_args *args = r->call.args;
    const struct device_common *d = args->device.data;
    struct served *s = devices_find(r->control->devices, d->id);

    if (errs_total(e) == 0)
        json_add_str(&r->call.out, "socket", s->place.path);
    on_done(r, e);
}

static void on_add(struct turn *t)
{
    struct request *r = request_of(t);
    const struct add_args *args = r->call.args;
    struct change *c = begin(r);

    if (c)
        do_change(r, c, change_come(c, &args->device, r->rpc.doc, NULL),
                  on_added);
}

void changes_run_add(struct request *r)
{
    wait_for_turn(r, on_add);
}

static const struct conf_key add_keys[] = {
    {"config", CONF_UNION, CONF_AT(struct add_args, device), .required = true,
     .of = &device_union, .help = "The device, as the config would have it."},
    {NULL},
};

const struct conf_table device_add_table = {
    .name = "device.add",
    .size = sizeof(struct add_args),
    .keys = add_keys,
};

/* ---- device.remove, device.reload ---- */

/* Of the one that the parameters name; NULL: r has failed. */
static struct served *find(struct request *r)
{
    const struct command_device *args = r->call.args;
    struct served *s = devices_find(r->control->devices, args->device);
    char text[120];

    if (s && !s->closing)
        return s;
    if (s)
        snprintf(text, sizeof(text), "the device is closing");
    else
        snprintf(text, sizeof(text), "there is no device \"%.64s\"",
                 args->device);
    fail_one(r, -ENODEV, "/params/device", text);
    return NULL;
}

static void on_remove(struct turn *t)
{
    struct request *r = request_of(t);
    struct change *c = begin(r);
    struct served *s = c ? find(r) : NULL;

    if (s)
        do_change(r, c, change_leave(c, s), on_done);
    else if (c)
        change_free(c);
}

void changes_run_remove(struct request *r)
{
    wait_for_turn(r, on_remove);
}

/* Closes it and opens it again, unless nothing but limits differs. */
static int come_again(struct change *c, struct served *s,
                      const struct conf_any *conf, struct conf_doc *doc,
                      struct errs *e)
{
    int rc;

    if (!conf_same(s->conf, conf, &device_union) && served_can_adjust(s, conf))
        rc = change_adjust(c, s, conf, doc);
    else if (s->place.given < 0)
        rc = change_come(c, conf, doc, s);
    else
        return errs_add(e, -EINVAL, "/params/device",
                        "its socket was given to vub when it started, and "
                        "would be lost");
    return rc < 0 ? errs_nomem(e) : 0;
}

static void reload_device(struct request *r, struct change *c, struct served *s)
{
    struct errs e = ERRS_EMPTY;
    struct conf_doc *doc;
    struct conf_any conf;
    int rc;

    rc = reload_find(r->control->reload, s->common->id, &conf, &doc, &e);
    if (rc == 0) {
        rc = come_again(c, s, &conf, doc, &e);
        conf_free(doc);
    }
    if (rc == 0)
        rc = change_check(c, &e);
    if (rc < 0) {
        change_free(c);
        fail(r, &e);
    } else {
        change_run(c, on_done, r);
    }
    errs_free(&e);
}

static void on_reload_device(struct turn *t)
{
    struct request *r = request_of(t);
    struct change *c = begin(r);
    struct served *s = c ? find(r) : NULL;

    if (s)
        reload_device(r, c, s);
    else if (c)
        change_free(c);
}

void changes_run_reload_device(struct request *r)
{
    wait_for_turn(r, on_reload_device);
}

/* ---- config.reload ---- */

static void on_reload(struct turn *t)
{
    struct request *r = request_of(t);

    if (is_abandoned(r))
        fail_one(r, -ECANCELED, "", "nobody waits any more");
    else
        reload_run(r->control->reload, &r->call.out, on_done, r);
}

void changes_run_reload(struct request *r)
{
    wait_for_turn(r, on_reload);
}
