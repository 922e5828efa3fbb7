/* What is said on the control connection of a process: JSON-RPC, as on the
 * control socket. Answers are cut out of their lines as they were written, for
 * whoever has asked; but a line must be JSON as a whole, since it ends among
 * our own. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/json.h"
#include "daemon/control/rpc.h"
#include "daemon/isolate_impl.h"

/* ---- what it says by itself ---- */

static void read_error(const struct json *one, struct errs *out)
{
    double code = json_member_number(one, "code");
    struct err e;

    err_set(&e, code < 0 && code > -4096 ? (int)code : -EINVAL,
            json_member_string(one, "at"), "%s",
            json_member_string(one, "message"));
    errs_push(out, &e);
}

void process_read_error(const char *text, struct err *e)
{
    struct err why;
    struct json *one = json_parse(text, strlen(text), &why);

    err_set(e, -EBUSY, "", "%s",
            one && json_type(one) == JSON_OBJECT
                ? json_member_string(one, "message")
                : "its process does not want to be killed");
    json_free(one);
}

/* Why the device cannot be opened. */
static enum heard hear_failed(const struct json *params, struct errs *out)
{
    const struct json *list = json_member(params, "errors");

    for (const struct json *one =
             list && json_type(list) == JSON_ARRAY ? json_first(list) : NULL;
         one; one = json_next(one))
        if (json_type(one) == JSON_OBJECT)
            read_error(one, out);
    if (errs_total(out) == 0)
        return HEARD_NONSENSE;
    return HEARD_FAILED;
}

/* It has looked the device up by itself, perhaps in a file that says something
 * else by now. */
static enum heard hear_ready(struct isolate_process *p,
                             const struct json *params, struct errs *errors)
{
    char digest[20];

    snprintf(digest, sizeof(digest), "%" PRIx64,
             conf_digest(&p->owner->conf, &device_union));
    if (strcmp(json_member_string(params, "config"), digest) != 0) {
        errs_add(errors, -ESTALE, "",
                 "an isolated device is what the config file says, which says "
                 "something else of it by now");
        return HEARD_FAILED;
    }
    p->config_acts = json_member_true(params, "config_acts");
    p->offers = strtoull(json_member_string(params, "offers"), NULL, 16);
    return HEARD_READY;
}

/* Those that are not told by us. */
static bool is_event_of_device(const struct json *params, const char *id)
{
    static const char *const names[] = {
        "ring.broken", "config",     "iscsi.lost",  "iscsi.back",
        "fault.fired", "trace.full", "powercut.cut"};
    const char *name = json_member_string(params, "event");

    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return strcmp(json_member_string(params, "device"), id) == 0;
    return false;
}

static void hear_event(struct isolate_process *p, const struct json *params)
{
    char *text = json_text(params);
    size_t len = text ? strlen(text) : 0;

    if (len > 2 && p->watched)
        isolate_event_told(p->owner, text + 1, len - 2);
    free(text);
}

static enum heard hear_notification(struct isolate_process *p,
                                    const struct json *tree,
                                    struct errs *errors)
{
    const char *method = json_member_string(tree, "method");
    const struct json *params = json_member(tree, "params");

    if (params && json_type(params) != JSON_OBJECT)
        return HEARD_NONSENSE;
    if (strcmp(method, "ready") == 0 && !p->ready)
        return hear_ready(p, params, errors);
    if (strcmp(method, "failed") == 0)
        return hear_failed(params, errors);
    if (strcmp(method, "event") != 0)
        return HEARD_NONSENSE;
    if (is_event_of_device(params, p->owner->common->id))
        hear_event(p, params);
    return HEARD_NOTHING;
}

/* ---- answers ---- */

static struct isolate_call *find_call(const struct isolate_process *p,
                                      uint64_t id)
{
    LIST_EACH (&p->calls, node) {
        struct isolate_call *c = container_of(node, struct isolate_call, node);

        if (c->id == id)
            return c;
    }
    return NULL;
}

/* "...HEAD" at the start of text, and "}TAIL" at its end: what is between, as a
 * text of its own. NULL: it is not of that form, or there is no memory. */
static char *cut(const char *text, size_t len, const char *head,
                 const char *tail)
{
    size_t begin = strlen(head), end = strlen(tail);

    if (len < begin + end || strncmp(text, head, begin) != 0 ||
        strcmp(text + len - end, tail) != 0)
        return NULL;
    return strndup(text + begin, len - begin - end);
}

/* As rpc.c writes it. */
static enum heard hear_answer(struct isolate_process *p, uint64_t id,
                              const char *text, size_t len)
{
    struct isolate_call *c = find_call(p, id);
    char *members, *error = NULL;
    char head[80];

    if (!c)
        return HEARD_NONSENSE;
    snprintf(head, sizeof(head),
             "{\"jsonrpc\":\"2.0\",\"id\":%" PRIu64 ",\"result\":{", id);
    members = cut(text, len, head, "}}");
    if (!members) {
        snprintf(head, sizeof(head),
                 "{\"jsonrpc\":\"2.0\",\"id\":%" PRIu64 ",\"error\":", id);
        error = cut(text, len, head, "}");
    }
    if (!members && !error)
        return HEARD_NONSENSE;
    list_del(&c->node);
    c->answered(c, members, error);
    free(members);
    free(error);
    return HEARD_NOTHING;
}

/* Of an answer: an error is an object that has a number and a sentence. What is
 * cut out ends where the line does, so that nothing may be behind it. */
static bool is_answer(const struct json *tree, uint64_t *id)
{
    const struct json *version = json_first(tree);
    const struct json *number = version ? json_next(version) : NULL;
    const struct json *said = number ? json_next(number) : NULL;
    double n = json_member_number(tree, "id");

    if (n < 1 || n >= JSON_EXACT_LIMIT || !said || json_next(said) ||
        json_type(said) != JSON_OBJECT)
        return false;
    *id = (uint64_t)n;
    if (strcmp(json_name(said), "result") == 0)
        return true;
    return strcmp(json_name(said), "error") == 0 &&
           json_member_string(said, "message")[0] &&
           json_member_number(said, "code") < 0;
}

enum heard process_hear(struct isolate_process *p, const char *text, size_t len,
                        struct errs *errors)
{
    enum heard what = HEARD_NONSENSE;
    struct json *tree;
    struct err e;
    uint64_t id;

    tree = json_parse(text, len, &e);
    if (!tree)
        return HEARD_NONSENSE;
    if (json_type(tree) != JSON_OBJECT)
        what = HEARD_NONSENSE;
    else if (is_answer(tree, &id))
        what = hear_answer(p, id, text, len);
    else
        what = hear_notification(p, tree, errors);
    json_free(tree);
    return what;
}

/* ---- what it is asked ---- */

static void say(struct isolate_process *p, struct json_out *line)
{
    if (!line->failed && p->talks && client_may_answer(&p->talk)) {
        p->talk.out.comma = false;
        json_add_raw(&p->talk.out, NULL, line->text);
        p->talk.out.comma = false;
        client_send(&p->talk);
    }
    json_out_free(line);
}

int process_ask(struct isolate_process *p, struct isolate_call *c,
                const char *method, const char *params, struct err *e)
{
    struct json_out line = JSON_OUT_EMPTY;

    c->id = ++p->last_id;
    rpc_add_request(&line, c->id, method, params);
    if (line.failed) {
        json_out_free(&line);
        return err_nomem(e);
    }
    list_add(&p->calls, &c->node);
    say(p, &line);
    return 0;
}

void process_notify(struct isolate_process *p, const char *method,
                    const char *members)
{
    struct json_out line = JSON_OUT_EMPTY;

    rpc_add_notification(&line, method, members);
    say(p, &line);
}

void process_greet(struct isolate_process *p)
{
    struct json_out o = JSON_OUT_EMPTY;

    json_add_str(&o, "level", log_level_words[log_level()]);
    json_add_str(&o, "format", log_format_words[log_format()]);
    if (!o.failed)
        process_notify(p, "keeper.log", o.text);
    json_out_free(&o);
}
