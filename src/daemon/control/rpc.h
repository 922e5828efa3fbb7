/* daemon/control/rpc.h: what a line on the control socket says, and how it is
 * answered.
 *
 * Spec: JSON-RPC 2.0. One object per line, in either direction. A request has
 * an "id", which is its answer's too; one without is a notification and gets no
 * answer. Parameters are named, never a list; there are no batches: lines do
 * as well.
 * Nothing here knows a socket. Threads: any. */
#ifndef VUB_DAEMON_CONTROL_RPC_H
#define VUB_DAEMON_CONTROL_RPC_H

#include "base/err.h"
#include "base/json_out.h"

struct json;
struct conf_doc;

enum rpc_code {
    RPC_NOT_JSON = -32700,
    RPC_NO_REQUEST = -32600,
    RPC_NO_METHOD = -32601,
    RPC_BAD_PARAMS = -32602,
    RPC_INTERNAL = -32603, /* no memory, so far */
    RPC_FAILED = -32000,   /* ours: the command was not done */
    RPC_DENIED = -32001,   /* ours: not for this user */
};

#define RPC_ID_MAX_BYTES 128

struct rpc_request {
    struct json *tree;
    struct conf_doc *doc;
    const char *method;        /* doc's */
    const struct json *params; /* tree's; NULL: none were given */
    char *id;                  /* JSON; NULL: a notification */
};

/* Reads a line of len bytes, without its end; line[len] is '\0'. 0, or one of
 * the codes, with errors in e; then r->id is "null" unless it is known.
 * rpc_free is due either way. */
int rpc_read(struct rpc_request *r, const char *line, size_t len,
             struct errs *e);
void rpc_free(struct rpc_request *r);

/* Appends a line: members: those of the result's object, NULL or "" for
 * none. */
void rpc_add_result(struct json_out *o, const char *id, const char *members);
/* The sentence is the first error's; "data" has its place, and all errors if
 * there are several. e may be empty: no memory. */
void rpc_add_error(struct json_out *o, const char *id, int code,
                   const struct errs *e);
/* error: the object, as somebody else has written it. */
void rpc_add_written_error(struct json_out *o, const char *id,
                           const char *error);
/* A request; params: JSON, NULL: none. */
void rpc_add_request(struct json_out *o, uint64_t id, const char *method,
                     const char *params);
/* members: of the params. */
void rpc_add_notification(struct json_out *o, const char *method,
                          const char *members);
/* A notification "event". */
void rpc_add_event(struct json_out *o, const char *members);

#endif
