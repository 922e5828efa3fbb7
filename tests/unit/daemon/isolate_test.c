/* What a process says to its keeper, who believes nothing of it: lines of its
 * control connection, and metrics. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/control/gather.h"
#include "daemon/isolate_impl.h"
#include "os/door.h"
#include "os/sock.h"

static struct isolated keeper;
static struct isolate_process process;
static struct conf_doc *doc;

static int make_process(void **state)
{
    static const char text[] =
        "{\"devices\": [{\"id\": \"d\", \"type\": \"block\", \"isolation\": "
        "\"process\", \"store\": {\"type\": \"null\", \"size\": \"1M\"}}]}";
    struct errs e = ERRS_EMPTY;
    void *data;
    const struct config *c;

    (void)state;
    if (conf_read_text(&doc, &data, &config_table, text, strlen(text), "/",
                       NULL, &e) < 0)
        return -1;
    c = data;
    keeper = (struct isolated){.conf = c->devices.list[0],
                               .common = c->devices.list[0].data};
    process = (struct isolate_process){.owner = &keeper};
    list_init(&process.calls);
    return 0;
}

static int free_process(void **state)
{
    (void)state;
    conf_free(doc);
    return 0;
}

static enum heard hear(const char *text, struct errs *e)
{
    char *line = strdup(text);
    enum heard what = process_hear(&process, line, strlen(line), e);

    free(line);
    return what;
}

static void nonsense_is_known(void **state)
{
    static const char *const lines[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"jsonrpc\":\"2.0\"}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"none\",\"params\":{}}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"ready\",\"params\":[]}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"failed\"}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"failed\",\"params\":{\"errors\":[]}"
        "}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"failed\",\"params\":{\"errors\":3}}",
        "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1e99,\"result\":{}}",
        "{\"jsonrpc\":\"2.0\",\"id\":77,\"result\":{}}", /* nobody asked */
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(lines); i++) {
        struct errs e = ERRS_EMPTY;

        if (hear(lines[i], &e) != HEARD_NONSENSE)
            fail_msg("%s", lines[i]);
        errs_free(&e);
    }
}

static void errors_are_told_with_their_places(void **state)
{
    struct errs e = ERRS_EMPTY;

    (void)state;
    assert_int_equal(
        hear(
            "{\"jsonrpc\":\"2.0\",\"method\":\"failed\",\"params\":{\"errors\":"
            "[{\"code\":-16,\"at\":\"/devices/0\",\"message\":\"it is busy\"},"
            "7,{\"code\":1e300,\"message\":\"what\"}]}}",
            &e),
        HEARD_FAILED);
    assert_int_equal(e.count, 2);
    assert_int_equal(e.list[0].code, -EBUSY);
    assert_string_equal(e.list[0].where, "/devices/0");
    assert_string_equal(e.list[0].text, "it is busy");
    assert_int_equal(e.list[1].code, -EINVAL);
    errs_free(&e);
}

static void a_process_of_another_config_is_not_ready(void **state)
{
    struct errs e = ERRS_EMPTY;
    char line[200];

    (void)state;
    assert_int_equal(hear("{\"jsonrpc\":\"2.0\",\"method\":\"ready\","
                          "\"params\":{\"config\":\"1234\"}}",
                          &e),
                     HEARD_FAILED);
    assert_int_equal(e.list[0].code, -ESTALE);
    errs_free(&e);
    snprintf(line, sizeof(line),
             "{\"jsonrpc\":\"2.0\",\"method\":\"ready\",\"params\":"
             "{\"config\":\"%llx\",\"config_acts\":true}}",
             (unsigned long long)conf_digest(&keeper.conf, &device_union));
    assert_int_equal(hear(line, &e), HEARD_READY);
    assert_true(process.config_acts);
    process.ready = true; /* once */
    assert_int_equal(hear(line, &e), HEARD_NONSENSE);
    process.ready = process.config_acts = false;
}

/* ---- answers ---- */

static char said_members[200], said_error[200];

static void answered(struct isolate_call *c, const char *members,
                     const char *error)
{
    (void)c;
    snprintf(said_members, sizeof(said_members), "%s", members ? members : "-");
    snprintf(said_error, sizeof(said_error), "%s", error ? error : "-");
}

static enum heard answer(const char *text)
{
    struct isolate_call call = {.answered = answered};
    struct errs e = ERRS_EMPTY;
    struct err why;
    char line[300];
    enum heard what;

    said_members[0] = said_error[0] = '\0';
    assert_int_equal(process_ask(&process, &call, "status", NULL, &why), 0);
    snprintf(line, sizeof(line), "{\"jsonrpc\":\"2.0\",\"id\":%llu,%s}",
             (unsigned long long)call.id, text);
    what = hear(line, &e);
    if (what == HEARD_NONSENSE)
        list_del(&call.node);
    errs_free(&e);
    return what;
}

static void answers_come_as_they_were_written(void **state)
{
    (void)state;
    assert_int_equal(answer("\"result\":{\"a\":18446744073709551615}"),
                     HEARD_NOTHING);
    assert_string_equal(said_members, "\"a\":18446744073709551615");
    assert_int_equal(answer("\"result\":{}"), HEARD_NOTHING);
    assert_string_equal(said_members, "");
    assert_int_equal(
        answer("\"error\":{\"code\":-32000,\"message\":\"no\",\"data\":{}}"),
        HEARD_NOTHING);
    assert_string_equal(said_error,
                        "{\"code\":-32000,\"message\":\"no\",\"data\":{}}");
}

static void answers_of_another_form_are_not_passed_on(void **state)
{
    static const char *const texts[] = {
        "\"result\":3",
        "\"result\":[]",
        "\"result\": {}",
        "\"error\":\"no\"",
        "\"error\":{\"code\":1,\"message\":\"no\"}",
        "\"error\":{\"code\":-1}",
        "\"method\":\"x\",\"result\":{}",
        "\"result\":{\"a\":1}}, {\"b\":{}",
        "\"result\":{\"a\":1},\"b\":{}",
        "\"error\":{\"code\":-1,\"message\":\"no\"},\"b\":1",
        "\"error\":{\"code\":-1,\"message\":\"no\"},\"result\":{}",
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        if (answer(texts[i]) != HEARD_NONSENSE || said_members[0])
            fail_msg("%s", texts[i]);
}

/* What it says of its throttles goes elsewhere, and both into our own text. */
static void throttles_are_told_apart(void **state)
{
    static const struct {
        const char *members, *out, *throttles;
    } rows[] = {
        {"\"a\":1,\"throttles\":[{\"b\":[2]}]", "\"a\":1", "{\"b\":[2]}"},
        {"\"a\":1,\"throttles\":[]", "\"a\":1", NULL},
        {"\"a\":1", "\"a\":1", NULL},
        {"\"a\":\",\\\"throttles\\\":[\"", "\"a\":\",\\\"throttles\\\":[\"",
         NULL},
        {"\"a\":{\"b\":1,\"throttles\":[2]}",
         "\"a\":{\"b\":1,\"throttles\":[2]}", NULL},
        {"\"a\":[{\"b\":1,\"throttles\":[2]}]",
         "\"a\":[{\"b\":1,\"throttles\":[2]}]", NULL},
        {"\"a\":1,\"throttles\":[{\"b\":1,\"throttles\":[2]}]", "\"a\":1",
         "{\"b\":1,\"throttles\":[2]}"},
        {"\"a\":1,\"throttles\":[2],\"b\":[3]",
         "\"a\":1,\"throttles\":[2],\"b\":[3]", NULL},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct found f = {.refs = 1};

        gather_read_process(&f, rows[i].members);
        if (strcmp(f.out.text, rows[i].out) != 0)
            fail_msg("%s gives %s", rows[i].members, f.out.text);
        if (!rows[i].throttles != !f.throttles.text ||
            (f.throttles.text &&
             strcmp(f.throttles.text, rows[i].throttles) != 0))
            fail_msg("%s gives throttles %s", rows[i].members,
                     f.throttles.text ? f.throttles.text : "-");
        json_out_free(&f.out);
        json_out_free(&f.throttles);
    }
}

/* ---- kept memory ---- */

static int tell_item(int sock, const char *id, unsigned name, int fd)
{
    struct {
        char id[KEEP_NAME_MAX + 1], name[KEEP_NAME_MAX + 1];
        uint64_t len;
    } m = {.len = 4096};

    snprintf(m.id, sizeof(m.id), "%s", id);
    snprintf(m.name, sizeof(m.name), "%u", name);
    return (int)sock_send(sock, &m, sizeof(m), &fd, fd >= 0);
}

/* As a process has it. */
static struct kept make_memory(void)
{
    struct kept k;
    struct err e;

    assert_int_equal(keep_get(&k, "d", "memory", 4096, &e), 0);
    return k;
}

/* One that says more than is heard does not keep its keeper from others. */
static void kept_memory_is_heard_in_turns(void **state)
{
    struct kept memory = make_memory();
    struct isolate_kept k = {NULL};
    int ends[2], fd = memory.fd;

    (void)state;
    assert_int_equal(door_pair(ends), 0);
    assert_int_equal(isolate_kept_open(&k, "d", 20), 0);
    for (unsigned i = 0; i < 5; i++)
        assert_true(tell_item(ends[1], "d", i, fd) > 0);
    assert_int_equal(isolate_kept_hear(&k, ends[0], 2), -EAGAIN);
    assert_int_equal(k.count, 2);
    assert_int_equal(isolate_kept_hear(&k, ends[0], 64), -EAGAIN);
    assert_int_equal(k.count, 5);
    assert_true(tell_item(ends[1], "d", 3, -1) > 0);
    assert_int_equal(isolate_kept_hear(&k, ends[0], 64), -EAGAIN);
    assert_int_equal(k.count, 4);
    assert_true(tell_item(ends[1], "e", 3, fd) > 0);
    assert_int_equal(isolate_kept_hear(&k, ends[0], 64), -EPROTO);
    close(ends[1]);
    assert_int_equal(isolate_kept_hear(&k, ends[0], 64), 0);
    close(ends[0]);
    isolate_kept_close(&k);
    keep_drop(&memory);
}

static void no_more_memory_is_kept_than_there_is_a_use_for(void **state)
{
    struct kept memory = make_memory();
    struct isolate_kept k = {NULL};
    int ends[2];

    (void)state;
    assert_int_equal(door_pair(ends), 0);
    assert_int_equal(isolate_kept_open(&k, "d", 20), 0);
    for (unsigned i = 0; i < 50; i++) {
        assert_true(tell_item(ends[1], "d", i, memory.fd) > 0);
        assert_int_equal(isolate_kept_hear(&k, ends[0], 64), -EAGAIN);
    }
    assert_int_equal(k.count, 20);
    /* What is there may be dropped, and come anew. */
    assert_true(tell_item(ends[1], "d", 7, -1) > 0);
    assert_true(tell_item(ends[1], "d", 60, memory.fd) > 0);
    assert_int_equal(isolate_kept_hear(&k, ends[0], 64), -EAGAIN);
    assert_int_equal(k.count, 20);
    close(ends[0]);
    close(ends[1]);
    isolate_kept_close(&k);
    keep_drop(&memory);
}

/* Files of any other kind may be slow to close. */
static void what_is_no_memory_is_not_kept(void **state)
{
    int fds[] = {open("/dev/null", O_RDWR | O_CLOEXEC),
                 memfd_create("plain", MFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};

    (void)state;
    assert_int_equal(ftruncate(fds[1], 4096), 0);
    for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
        struct isolate_kept k = {NULL};
        int ends[2];

        assert_int_equal(door_pair(ends), 0);
        assert_int_equal(isolate_kept_open(&k, "d", 20), 0);
        assert_true(tell_item(ends[1], "d", 1, fds[i]) > 0);
        assert_int_equal(isolate_kept_hear(&k, ends[0], 64), -EPROTO);
        assert_int_equal(k.count, 0);
        close(ends[0]);
        close(ends[1]);
        close(fds[i]);
        isolate_kept_close(&k);
    }
}

/* ---- metrics ---- */

static void write_metrics(const char *members, char *out, size_t room)
{
    struct found f = {.refs = 1};
    struct metrics_of of = {"d", &f.metrics};
    FILE *file = fmemopen(out, room, "w");

    process_metrics_read(&f, members);
    assert_int_equal(metrics_write(file, &of, 1), 0);
    fclose(file);
    metrics_free(&f.metrics);
    metrics_free(&f.common);
}

static void metrics_arrive_as_they_were(void **state)
{
    static const struct metric_family family = {
        "vub_ring_kicks", METRIC_COUNTER, NULL, "A sentence."};
    static const struct metric_family times = {
        "vub_ring_latency_seconds", METRIC_HISTOGRAM, "seconds", "Another."};
    struct histogram h = {0};
    struct json_out o = JSON_OUT_EMPTY;
    struct metrics m = METRICS_EMPTY;
    struct metrics_of of = {"d", &m};
    char want[8192], got[8192];
    FILE *file = fmemopen(want, sizeof(want), "w");

    (void)state;
    histogram_add(&h, 1000, 3);
    metrics_add(&m, &family, UINT64_MAX, "queue=\"%u\"", 1);
    metrics_add(&m, &family, 0, "%s", "");
    metrics_add_about(&m, &family, 2, "throttle", "a \"b\"\n", "queue=\"%u\"",
                      1);
    metrics_add_histogram(&m, &times, &h, "queue=\"%u\"", 2);
    assert_int_equal(metrics_write(file, &of, 1), 0);
    fclose(file);
    json_begin(&o, "metrics", '[');
    metrics_tell(&m, &o);
    json_end(&o, ']');
    write_metrics(o.text, got, sizeof(got));
    assert_string_equal(got, want);
    json_out_free(&o);
    metrics_free(&m);
}

static void metrics_that_would_spoil_the_text_are_left_out(void **state)
{
#define KICKS "{\"name\":\"vub_ring_kicks\",\"help\":\"a\",\"type\":"
    static const char *const rows[] = {
        "7",
        "{}",
        KICKS "7,\"value\":\"1\"}",
        "{\"name\":\"other\",\"type\":0,\"help\":\"a\",\"value\":\"1\"}",
        "{\"name\":\"vub_x y\",\"type\":0,\"help\":\"a\",\"value\":\"1\"}",
        "{\"name\":\"vub_gpu_errors\",\"type\":0,\"help\":\"a\\nb\","
        "\"value\":\"1\"}",
        KICKS "0,\"value\":\"-1\"}",
        KICKS "0,\"value\":3}",
        KICKS "0,\"value\":\"1\",\"labels\":\"queue=\\\"b\\\"} 5\\nvub_z\"}",
        KICKS "0,\"value\":\"1\",\"labels\":\"queue=b\"}",
        KICKS "0,\"value\":\"1\",\"label\":\"device\",\"about\":\"d\"}",
        "{\"name\":\"vub_ring_latency_seconds\",\"type\":2,\"help\":\"a\","
        "\"sum\":\"1\"}",
    };
    char members[400], got[2000];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(members, sizeof(members), "\"metrics\":[%s]", rows[i]);
        write_metrics(members, got, sizeof(got));
        if (strcmp(got, "# EOF\n") != 0)
            fail_msg("%s gives %s", rows[i], got);
    }
}

/* What it says is of its device, and of families as they are. */
static void metrics_of_others_are_not_its_to_tell(void **state)
{
    static const char *const rows[] = {
        /* another family, one of another type, one that would look like it */
        "{\"name\":\"vub_mine\",\"type\":0,\"help\":\"a\",\"value\":\"1\"}",
        KICKS "1,\"value\":\"1\"}",
        "{\"name\":\"vub_ring_kicks_total\",\"type\":1,\"help\":\"a\","
        "\"value\":\"1\"}",
        /* what only the keeper says */
        "{\"name\":\"vub_version\",\"type\":1,\"help\":\"a\",\"value\":\"1\"}",
        "{\"name\":\"vub_device_restarts\",\"type\":0,\"help\":\"a\","
        "\"value\":\"1\"}",
        /* what is told of no device */
        "{\"name\":\"vub_throttle_limit_bytes\",\"type\":1,\"help\":\"a\","
        "\"value\":\"1\"}",
        /* another device's, or a label twice */
        KICKS "0,\"value\":\"1\",\"labels\":\"device=\\\"x\\\"\"}",
        KICKS "0,\"value\":\"1\",\"labels\":\"le=\\\"x\\\"\"}",
        KICKS "0,\"value\":\"1\","
              "\"labels\":\"queue=\\\"1\\\",queue=\\\"2\\\"\"}",
        KICKS "0,\"value\":\"1\",\"label\":\"target\",\"about\":\"a\","
              "\"labels\":\"target=\\\"1\\\"\"}",
    };
    char members[400], got[2000];
    struct found f = {.refs = 1};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(members, sizeof(members), "\"metrics\":[%s]", rows[i]);
        write_metrics(members, got, sizeof(got));
        if (strcmp(got, "# EOF\n") != 0)
            fail_msg("%s gives %s", rows[i], got);
    }
    process_metrics_read(&f, "\"common\":[" KICKS "0,\"value\":\"1\"},"
                             "{\"name\":\"vub_throttle_limit_bytes\","
                             "\"type\":1,\"help\":\"a\",\"value\":\"1\","
                             "\"label\":\"throttle\",\"about\":\"t\"}]");
    assert_int_equal(f.metrics.count, 0);
    assert_int_equal(f.common.count, 1);
    assert_string_equal(f.common.list[0].family->name,
                        "vub_throttle_limit_bytes");
    metrics_free(&f.common);
}

/* A list in a list has no names to be compared with. */
static void buckets_that_are_none_are_passed_over(void **state)
{
    char got[8192];

    (void)state;
    write_metrics(
        "\"metrics\":[{\"name\":\"vub_ring_latency_seconds\",\"type\":2,"
        "\"unit\":\"seconds\",\"help\":\"a\",\"sum\":\"1\","
        "\"buckets\":[[1],7,{\"at\":0,\"count\":\"3\"}]}]",
        got, sizeof(got));
    assert_non_null(
        strstr(got, "vub_ring_latency_seconds_count{device=\"d\"} 3\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonsense_is_known),
        cmocka_unit_test(errors_are_told_with_their_places),
        cmocka_unit_test(a_process_of_another_config_is_not_ready),
        cmocka_unit_test(answers_come_as_they_were_written),
        cmocka_unit_test(answers_of_another_form_are_not_passed_on),
        cmocka_unit_test(throttles_are_told_apart),
        cmocka_unit_test(kept_memory_is_heard_in_turns),
        cmocka_unit_test(no_more_memory_is_kept_than_there_is_a_use_for),
        cmocka_unit_test(what_is_no_memory_is_not_kept),
        cmocka_unit_test(metrics_arrive_as_they_were),
        cmocka_unit_test(metrics_that_would_spoil_the_text_are_left_out),
        cmocka_unit_test(metrics_of_others_are_not_its_to_tell),
        cmocka_unit_test(buckets_that_are_none_are_passed_over),
    };

    return cmocka_run_group_tests(tests, make_process, free_process);
}
