/* The process of an isolated device: a fork of the broker, which has the config
 * and nothing else. It becomes a vub with one device, a door instead of a
 * socket, and its keeper instead of a control socket; with a sandbox and a
 * broker of its own, whose rules are those of that device.
 *
 * It ends when its keeper hangs up, whatever ended that. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/confine.h"
#include "daemon/control/rpc.h"
#include "daemon/daemon.h"
#include "daemon/isolate_impl.h"
#include "os/process.h"
#include "os/sock.h"

static void set_name(const char *id)
{
    char name[80];

    snprintf(name, sizeof(name), "vub-%s", id);
    process_set_name(name);
}

/* ---- which device ---- */

static int find(const struct config *conf, const char *id, struct conf_any *out,
                struct errs *e)
{
    for (int i = 0; i < conf->devices.count; i++) {
        if (strcmp(config_device(conf, i)->id, id) != 0)
            continue;
        *out = conf->devices.list[i];
        if (isolate_wanted(out))
            return 0;
    }
    return errs_add(e, -ENOENT, "",
                    "a device that is isolated has to be in the config file "
                    "too, where its process looks it up");
}

/* reread: as it is now. *doc is the caller's. */
static int read_config(const struct confine *c, bool reread,
                       struct conf_doc **doc, const struct config **conf,
                       struct errs *e)
{
    *doc = reread ? NULL : conf_ref(c->doc);
    *conf = c->conf;
    if (reread && c->on && !c->rules.reread)
        return errs_add(e, -EPERM, "",
                        "the config file lies where the sandbox lets it be "
                        "written, so nothing can be isolated by what it says "
                        "now: start vub again for that");
    return reread ? config_read(doc, conf, c->source, e) : 0;
}

/* ---- what the keeper is told ---- */

static void add_error(struct json_out *o, const struct err *e)
{
    json_begin(o, NULL, '{');
    json_add_i64(o, "code", e->code);
    json_add_str(o, "at", e->where);
    json_add_str(o, "message", e->text);
    json_end(o, '}');
}

/* It reads until we have ended. */
static void send_all(int sock, const struct json_out *o)
{
    size_t sent = 0;
    ssize_t n;

    while (!o->failed && sent < o->len) {
        n = sock_send(sock, o->text + sent, o->len - sent, NULL, 0);
        if (n == -EAGAIN)
            sock_wait(sock, true, -1);
        else if (n < 0)
            return;
        else
            sent += (size_t)n;
    }
}

static void tell_failed(int sock, const struct errs *e)
{
    struct json_out o = JSON_OUT_EMPTY, line = JSON_OUT_EMPTY;

    json_begin(&o, "errors", '[');
    for (int i = 0; i < e->count; i++)
        add_error(&o, &e->list[i]);
    json_end(&o, ']');
    if (!o.failed)
        rpc_add_notification(&line, "failed", o.text);
    send_all(sock, &line);
    json_out_free(&line);
    json_out_free(&o);
}

/* ---- the process ---- */

static int serve(const struct confine *c, const char *id, bool reread,
                 const struct isolate_ends *ends, struct errs *e)
{
    const struct daemon_conf how = {.ready_fd = -1, .isolated = ends};
    const struct config *whole;
    struct conf_doc *doc = NULL;
    struct conf_any device;
    struct config conf;
    int rc, status = EXIT_USAGE;

    rc = read_config(c, reread, &doc, &whole, e);
    if (rc == 0)
        rc = find(whole, id, &device, e);
    if (rc == 0) {
        conf = *whole;
        conf.devices = (struct conf_anys){&device, 1};
        status = daemon_run(&conf, doc, c->source, &how, e);
    }
    conf_free(doc);
    return status;
}

int isolate_spawn(const struct sandbox_rules *rules, const char *id,
                  bool reread, const int *fds)
{
    const struct confine *c = container_of(rules, struct confine, rules);
    struct isolate_ends ends = {fds[0], fds[1], fds[2]};
    int words = process_copy_fd(ends.control), status = EXIT_RUN_TIME;
    struct errs e = ERRS_EMPTY;

    set_name(id);
    if (words >= 0 && isolate_keep_begin(ends.keep) == 0)
        status = serve(c, id, reread, &ends, &e);
    if (errs_total(&e))
        tell_failed(words, &e);
    errs_free(&e);
    if (words >= 0)
        close(words);
    return status;
}
