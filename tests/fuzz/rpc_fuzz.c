/* Lines of the control socket, as they are read until a command would run: the
 * request, the command, its parameters.
 *
 * Held: a line that fails has a code, an id and at least one sentence; one that
 * passes has neither error nor a method that is not in the table; what is
 * answered is one line of JSON, whatever is asked. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf/json.h"
#include "daemon/control/commands.h"
#include "daemon/control/rpc.h"
#include "fuzz.h"

static void check_answer(const struct json_out *o)
{
    struct json *tree;

    assert(!o->failed && o->len > 1 && o->text[o->len - 1] == '\n');
    assert(!memchr(o->text, '\n', o->len - 1));
    tree = json_parse(o->text, o->len, NULL);
    assert(tree);
    json_free(tree);
}

static int read_params(struct rpc_request *r, const struct command_row *row,
                       struct errs *e)
{
    const struct conf_table *const tables[] = {
        row->device ? &command_device_table : NULL, row->params};
    void *out[2];
    int rc = conf_read_object(r->doc, out, tables, r->params, "params", "/", e);

    assert((rc < 0) == (e->count > 0));
    assert(rc < 0 || (!tables[0] == !out[0] && !tables[1] == !out[1]));
    return rc < 0 ? RPC_BAD_PARAMS : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_out o = JSON_OUT_EMPTY;
    struct errs e = ERRS_EMPTY;
    struct command_row row;
    struct rpc_request r;
    char *line = malloc(size + 1);
    int rc;

    if (!line)
        abort();
    memcpy(line, data, size);
    line[size] = '\0';
    rc = rpc_read(&r, line, size, &e);
    assert((rc < 0) == (e.count > 0));
    assert(rc == 0 || r.id);
    assert(rc < 0 || r.method);
    if (rc == 0)
        rc = commands_find(r.method, &row, &e);
    if (rc == 0)
        rc = read_params(&r, &row, &e);
    assert((rc < 0) == (e.count > 0));
    if (rc < 0)
        rpc_add_error(&o, r.id, rc, &e);
    else
        rpc_add_result(&o, r.id ? r.id : "null", NULL);
    check_answer(&o);
    json_out_free(&o);
    rpc_free(&r);
    errs_free(&e);
    free(line);
    return 0;
}
