/* What others ask the process of an isolated device: it goes there and back as
 * it is, when there is one; and if it is about the guest, when the process
 * knows that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/isolate_impl.h"
#include "daemon/throttles.h"
#include "vhost/relay.h"

/* ---- calls that wait ---- */

static void end_wait(struct isolate_call *c)
{
    list_del(&c->node);
    list_init(&c->node);
    free(c->method);
    free(c->params);
    c->method = c->params = NULL;
}

void isolate_fail_waiting(struct isolated *i)
{
    struct list *node;

    while ((node = i->waiting.next) != &i->waiting) {
        struct isolate_call *c = container_of(node, struct isolate_call, node);

        end_wait(c);
        c->answered(c, NULL, NULL);
    }
}

static int begin_wait(struct isolated *i, struct isolate_call *c,
                      const char *method, const char *params, struct err *e)
{
    c->id = 0;
    c->method = strdup(method);
    c->params = params ? strdup(params) : NULL;
    list_add(&i->waiting, &c->node);
    if (c->method && (!params || c->params))
        return 0;
    end_wait(c);
    return err_nomem(e);
}

void isolate_on_told(struct relay *r, void *arg)
{
    struct isolated *i = arg;
    struct list *node;
    struct err e;

    while (!relay_is_telling(r) && i->process && i->process->ready &&
           (node = i->waiting.next) != &i->waiting) {
        struct isolate_call *c = container_of(node, struct isolate_call, node);
        char *method = c->method, *params = c->params;

        c->method = c->params = NULL;
        end_wait(c);
        if (c->cancelled || process_ask(i->process, c, method, params, &e) < 0)
            c->answered(c, NULL, NULL);
        free(method);
        free(params);
    }
}

/* ---- what is asked ---- */

int isolate_ask(struct isolated *i, struct isolate_call *c, const char *method,
                const char *params, struct err *e)
{
    list_init(&c->node);
    c->cancelled = false;
    if (!i->process || !i->process->ready || i->closing)
        return err_set(e, -ENOTCONN, "",
                       i->closing ? "the device is closing"
                                  : "the process of the device has ended; it "
                                    "is started again");
    if (c->waits && relay_is_telling(i->relay))
        return begin_wait(i, c, method, params, e);
    return process_ask(i->process, c, method, params, e);
}

void isolate_cancel(struct isolated *i, struct isolate_call *c)
{
    struct json_out o = JSON_OUT_EMPTY;

    if (!i->process || !i->process->ready)
        return;
    if (c->method) {
        c->cancelled = true;
        return;
    }
    json_add_u64(&o, "id", c->id);
    if (!o.failed)
        process_notify(i->process, "keeper.cancel", o.text);
    json_out_free(&o);
}

void isolate_forget(struct isolate_call *c)
{
    end_wait(c);
}

/* The next one reads it. One that is starting has read it, or what it says is
 * of no use any more (hear_ready). */
void isolate_adjusted(struct isolated *i)
{
    struct json_out o = JSON_OUT_EMPTY;

    i->reread = true;
    throttles_tell(&i->conf, &o);
    if (!o.failed && i->process && i->process->ready)
        process_notify(i->process, "keeper.limits", o.text);
    json_out_free(&o);
}

void isolate_refresh(struct isolated *i)
{
    if (i->process && i->process->ready)
        process_notify(i->process, "keeper.refresh", "");
}

void isolate_set_log(struct isolated *i)
{
    if (i->process && i->process->ready)
        process_greet(i->process);
}
