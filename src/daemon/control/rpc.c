/* A line is JSON, and an object whose keys are read by a table as those of the
 * config are; only what the table cannot say is looked at by hand: the id may
 * be of three types, and comes back as it was. */
#include "daemon/control/rpc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/json.h"

struct fields {
    unsigned version;
    const char *method;
};

static const char *const version_words[] = {"2.0", NULL};

static const struct conf_key keys[] = {
    {"jsonrpc", CONF_CHOICE, CONF_AT(struct fields, version), .required = true,
     .words = version_words},
    {"id", CONF_ANY},
    {"method", CONF_STR, CONF_AT(struct fields, method), .required = true},
    {"params", CONF_ANY},
    {NULL},
};

static const struct conf_table table = {
    .name = "request",
    .size = sizeof(struct fields),
    .keys = keys,
};

/* ---- reading ---- */

/* Whole numbers only: a fraction may come back as another one. */
static bool is_id(const struct json *n)
{
    double d;

    switch (json_type(n)) {
    case JSON_NULL:
        return true;
    case JSON_STRING:
        return strlen(json_string(n)) <= RPC_ID_MAX_BYTES;
    case JSON_NUMBER:
        d = json_number(n);
        return d > -JSON_EXACT_LIMIT && d < JSON_EXACT_LIMIT &&
               (double)(int64_t)d == d;
    default:
        return false;
    }
}

static int read_id(struct rpc_request *r, struct errs *e)
{
    const struct json *id = json_member(r->tree, "id");

    if (!id)
        return 0;
    if (!is_id(id)) {
        errs_add(e, -EINVAL, "/id",
                 "must be a whole number, null, or a string of at most %d "
                 "bytes",
                 RPC_ID_MAX_BYTES);
        return RPC_NO_REQUEST;
    }
    r->id = json_text(id);
    if (!r->id)
        errs_nomem(e);
    return r->id ? 0 : RPC_INTERNAL;
}

static int read_fields(struct rpc_request *r, struct errs *e)
{
    static const struct conf_table *const tables[] = {&table, NULL};
    void *out[2];
    int rc;

    r->doc = conf_new();
    if (!r->doc) {
        errs_nomem(e);
        return RPC_INTERNAL;
    }
    rc = conf_read_object(r->doc, out, tables, r->tree, NULL, "/", e);
    if (rc < 0)
        return rc == -ENOMEM ? RPC_INTERNAL : RPC_NO_REQUEST;
    r->method = ((const struct fields *)out[0])->method;
    return 0;
}

static int read_line(struct rpc_request *r, const char *line, size_t len,
                     struct errs *e)
{
    struct err why;
    char is[80];
    int rc;

    if (strspn(line, " \t\r") == len) {
        errs_add(e, -EINVAL, "", "the line is empty");
        return RPC_NOT_JSON;
    }
    r->tree = json_parse(line, len, &why);
    if (!r->tree) {
        errs_push(e, &why);
        return why.code == -ENOMEM ? RPC_INTERNAL : RPC_NOT_JSON;
    }
    if (json_type(r->tree) != JSON_OBJECT) {
        json_describe(r->tree, is, sizeof(is));
        errs_add(e, -EINVAL, "", "a request is an object, not %s%s", is,
                 json_type(r->tree) == JSON_ARRAY
                     ? ": there are no batches, each request has a line"
                     : "");
        return RPC_NO_REQUEST;
    }
    rc = read_id(r, e);
    if (rc == 0)
        rc = read_fields(r, e);
    r->params = json_member(r->tree, "params");
    return rc;
}

int rpc_read(struct rpc_request *r, const char *line, size_t len,
             struct errs *e)
{
    int rc;

    *r = (struct rpc_request){NULL};
    rc = read_line(r, line, len, e);
    /* What is no request is no notification either. */
    if (rc < 0 && !r->id)
        r->id = strdup("null");
    return rc;
}

void rpc_free(struct rpc_request *r)
{
    json_free(r->tree);
    conf_free(r->doc);
    free(r->id);
    *r = (struct rpc_request){NULL};
}

/* ---- writing ---- */

static void begin(struct json_out *o)
{
    o->comma = false; /* lines are not separated otherwise */
    json_begin(o, NULL, '{');
    json_add_str(o, "jsonrpc", "2.0");
}

static void end(struct json_out *o)
{
    json_end(o, '}');
    o->comma = false;
    json_add_raw(o, NULL, "\n");
}

static void add_members(struct json_out *o, const char *key,
                        const char *members)
{
    json_begin(o, key, '{');
    if (members && members[0])
        json_add_raw(o, NULL, members);
    json_end(o, '}');
}

void rpc_add_result(struct json_out *o, const char *id, const char *members)
{
    begin(o);
    json_add_raw(o, "id", id);
    add_members(o, "result", members);
    end(o);
}

static void add_data(struct json_out *o, const struct errs *e)
{
    if (e->count == 0 || (e->count == 1 && !e->list[0].where[0]))
        return;
    json_begin(o, "data", '{');
    json_add_str(o, "at", e->list[0].where);
    if (e->count > 1) {
        json_begin(o, "errors", '[');
        for (int i = 0; i < e->count; i++) {
            json_begin(o, NULL, '{');
            json_add_str(o, "at", e->list[i].where);
            json_add_str(o, "message", e->list[i].text);
            json_end(o, '}');
        }
        json_end(o, ']');
    }
    if (e->more)
        json_add_u64(o, "more", e->more);
    json_end(o, '}');
}

void rpc_add_error(struct json_out *o, const char *id, int code,
                   const struct errs *e)
{
    begin(o);
    json_add_raw(o, "id", id ? id : "null");
    json_begin(o, "error", '{');
    json_add_i64(o, "code", code);
    json_add_str(o, "message", e->count ? e->list[0].text : "out of memory");
    add_data(o, e);
    json_end(o, '}');
    end(o);
}

void rpc_add_written_error(struct json_out *o, const char *id,
                           const char *error)
{
    begin(o);
    json_add_raw(o, "id", id);
    json_add_raw(o, "error", error);
    end(o);
}

void rpc_add_request(struct json_out *o, uint64_t id, const char *method,
                     const char *params)
{
    begin(o);
    json_add_u64(o, "id", id);
    json_add_str(o, "method", method);
    if (params)
        json_add_raw(o, "params", params);
    end(o);
}

void rpc_add_notification(struct json_out *o, const char *method,
                          const char *members)
{
    begin(o);
    json_add_str(o, "method", method);
    add_members(o, "params", members);
    end(o);
}

void rpc_add_event(struct json_out *o, const char *members)
{
    rpc_add_notification(o, "event", members);
}
