/* Lines either way. What is sent waits here while vub does not read, which it
 * does not while we do not. An answer to a call that nobody waits for any more
 * is passed over. */
#include "daemon/scenario/peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/rpc.h"
#include "os/sock.h"

/* Lines, and pieces of one, before others have their turn. */
#define AT_ONCE 256

int peer_open(struct peer *p, const char *socket, const char *config)
{
    *p = (struct peer){.wire = {.fd = -1, .socket = socket, .config = config}};
    return ctl_connect(&p->wire);
}

void peer_close(struct peer *p)
{
    json_free(p->answer);
    free(p->out);
    ctl_close(&p->wire);
    *p = (struct peer){.gone = true, .wire = {.fd = -1}};
}

int peer_ask(struct peer *p, const char *method, const char *params)
{
    struct json_out o = JSON_OUT_EMPTY;
    size_t left = p->out_len - p->out_sent;
    char *out;

    json_free(p->answer);
    p->answer = NULL;
    rpc_add_request(&o, ++p->id, method, params);
    if (o.failed) {
        json_out_free(&o);
        return -ENOMEM;
    }
    if (!p->out) {
        p->out = o.text;
        p->out_len = o.len;
        p->out_sent = 0;
        peer_send(p);
        return 0;
    }
    out = malloc(left + o.len);
    if (out) {
        memcpy(out, p->out + p->out_sent, left);
        memcpy(out + left, o.text, o.len);
        free(p->out);
        p->out = out;
        p->out_len = left + o.len;
        p->out_sent = 0;
    }
    json_out_free(&o);
    return out ? 0 : -ENOMEM;
}

void peer_send(struct peer *p)
{
    ssize_t n = 0;

    while (p->out && p->out_sent < p->out_len && !p->gone) {
        n = sock_send(p->wire.fd, p->out + p->out_sent,
                      p->out_len - p->out_sent, NULL, 0);
        if (n <= 0)
            break;
        p->out_sent += (size_t)n;
    }
    /* Who refuses us says so, and hangs up: that is seen by reading. */
    if (p->out_sent < p->out_len && n == -EAGAIN)
        return;
    free(p->out);
    p->out = NULL;
    p->out_len = p->out_sent = 0;
}

static void take_line(struct peer *p, const char *line,
                      void (*event)(const struct json *params, void *arg),
                      void *arg)
{
    struct json *tree = json_parse(line, strlen(line), NULL);
    const struct json *id = json_member(tree, "id");

    if (strcmp(json_member_string(tree, "method"), "event") == 0) {
        if (json_member(tree, "params"))
            event(json_member(tree, "params"), arg);
    } else if (id && !p->answer &&
               (json_type(id) == JSON_NULL ||
                json_member_number(tree, "id") == (double)p->id)) {
        p->answer = tree;
        tree = NULL; /* p's now */
    }
    json_free(tree);
}

void peer_receive(struct peer *p,
                  void (*event)(const struct json *params, void *arg),
                  void *arg)
{
    int rc = 0;

    p->more = false;
    for (unsigned n = 0; !p->gone; n++) {
        const char *line;

        if (n == AT_ONCE) {
            p->more = true;
            break;
        }
        line = ctl_take_line(&p->wire);
        if (line) {
            take_line(p, line, event, arg);
            continue;
        }
        rc = ctl_receive(&p->wire);
        if (rc == -EAGAIN)
            break;
        p->gone = rc < 0;
    }
}

const struct json *peer_result(const struct json *answer, struct err *e)
{
    const struct json *error = json_member(answer, "error");
    const struct json *data = json_member(error, "data");
    const struct json *list = json_member(data, "errors");
    const struct json *one = list ? json_first(list) : NULL;
    const char *at = json_member_string(one ? one : data, "at");

    if (!error && !json_member(answer, "result"))
        err_set(e, -EPROTO, "", "what vub says is no answer");
    if (!error)
        return json_member(answer, "result");
    if (strncmp(at, "/params", 7) == 0)
        at += 7;
    err_set(e, -EPROTO, "", "%s%s%s", at, at[0] ? ": " : "",
            json_member_string(one ? one : error, "message"));
    return NULL;
}
