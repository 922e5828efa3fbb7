/* A line to a request, and answers to lines. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/json.h"
#include "daemon/control/commands.h"
#include "daemon/control/rpc.h"

static int read_it(struct rpc_request *r, const char *line, struct errs *e)
{
    *e = ERRS_EMPTY;
    return rpc_read(r, line, strlen(line), e);
}

static void a_request_is_its_method_and_params(void **state)
{
    struct rpc_request r;
    struct errs e;

    (void)state;
    assert_int_equal(read_it(&r,
                             "{\"method\":\"m\",\"params\":{\"a\":1},"
                             "\"id\":\"x\\n\",\"jsonrpc\":\"2.0\"}",
                             &e),
                     0);
    assert_string_equal(r.method, "m");
    assert_string_equal(r.id, "\"x\\u000a\"");
    assert_int_equal(json_type(r.params), JSON_OBJECT);
    rpc_free(&r);
    rpc_free(&r); /* safe twice */
}

static void one_without_an_id_is_a_notification(void **state)
{
    struct rpc_request r;
    struct errs e;

    (void)state;
    assert_int_equal(read_it(&r, "{\"jsonrpc\":\"2.0\",\"method\":\"m\"}", &e),
                     0);
    assert_null(r.id);
    assert_null(r.params);
    rpc_free(&r);
}

/* What fails is answered: with its id if it has a good one, else with null. */
static void what_fails_has_an_id(void **state)
{
    static const struct {
        const char *line;
        int code;
        const char *id, *where;
    } cases[] = {
        {"", RPC_NOT_JSON, "null", ""},
        {"{", RPC_NOT_JSON, "null", "line 1, column 2"},
        {"[]", RPC_NO_REQUEST, "null", ""},
        {"{\"id\":5}", RPC_NO_REQUEST, "5", "/jsonrpc"},
        {"{\"id\":{}}", RPC_NO_REQUEST, "null", "/id"},
        {"{\"jsonrpc\":\"2.0\",\"id\":-7,\"method\":null}", RPC_NO_REQUEST,
         "-7", "/method"},
        {"{\"jsonrpc\":\"2.0\"}", RPC_NO_REQUEST, "null", "/method"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct rpc_request r;
        struct errs e;

        assert_int_equal(read_it(&r, cases[i].line, &e), cases[i].code);
        assert_string_equal(r.id, cases[i].id);
        assert_true(e.count > 0);
        assert_string_equal(e.list[0].where, cases[i].where);
        rpc_free(&r);
        errs_free(&e);
    }
}

static void answers_are_lines(void **state)
{
    struct json_out o = JSON_OUT_EMPTY;
    struct errs e = ERRS_EMPTY;

    (void)state;
    rpc_add_result(&o, "1", NULL);
    rpc_add_result(&o, "\"b\"", "\"a\":1");
    rpc_add_error(&o, NULL, RPC_INTERNAL, &e);
    errs_add(&e, -EINVAL, "", "no place");
    rpc_add_error(&o, "2", RPC_FAILED, &e);
    errs_free(&e);
    errs_add(&e, -EINVAL, "/a", "\"one\"");
    errs_add(&e, -EINVAL, "/b", "two");
    rpc_add_error(&o, "3", RPC_FAILED, &e);
    errs_free(&e);
    rpc_add_event(&o, "\"event\":\"x\"");
    assert_string_equal(
        o.text,
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n"
        "{\"jsonrpc\":\"2.0\",\"id\":\"b\",\"result\":{\"a\":1}}\n"
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32603,"
        "\"message\":\"out of memory\"}}\n"
        "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32000,"
        "\"message\":\"no place\"}}\n"
        "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":-32000,"
        "\"message\":\"\\\"one\\\"\",\"data\":{\"at\":\"/a\",\"errors\":["
        "{\"at\":\"/a\",\"message\":\"\\\"one\\\"\"},"
        "{\"at\":\"/b\",\"message\":\"two\"}]}}}\n"
        "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{"
        "\"event\":\"x\"}}\n");
    json_out_free(&o);
}

/* The table: names are unique, everything has a sentence. */
static void every_command_is_described_once(void **state)
{
    struct command_row row, other;

    (void)state;
    for (unsigned i = 0; commands_at(i, &row); i++) {
        assert_true(row.run || row.device || row.store);
        assert_non_null(row.help);
        assert_int_equal(row.help[strlen(row.help) - 1], '.');
        for (unsigned j = 0; j < i && commands_at(j, &other); j++)
            assert_string_not_equal(row.name, other.name);
        for (const struct conf_key *k = row.params ? row.params->keys : NULL;
             k && k->name; k++) {
            assert_non_null(k->help);
            /* That one is read before. */
            if (row.device)
                assert_string_not_equal(k->name, "device");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_its_method_and_params),
        cmocka_unit_test(one_without_an_id_is_a_notification),
        cmocka_unit_test(what_fails_has_an_id),
        cmocka_unit_test(answers_are_lines),
        cmocka_unit_test(every_command_is_described_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
