/* A list of steps is run against a vub that a child of the test plays: it says
 * what the test has written down, and nothing more. What is looked at is the
 * record. */
#include "unit.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/scenario/engine.h"
#include "os/process.h"
#include "os/sock.h"

/* What is played. An answer is the result, or an error, as JSON, or one of the
 * words of `answer`. */
struct part {
    const char *method, *answer;
};

struct rig {
    struct scenario scenario;
    struct engine g;
    pid_t vub;
};

/* ---- the vub ---- */

static void answer(FILE *to, double id, const char *what)
{
    const char *text = quoted(what);

    if (strcmp(what, "gone") == 0)
        _exit(0);
    if (strcmp(what, "silence") == 0)
        return;
    if (strcmp(what, "late") == 0) {
        /* To somebody else, and no answer at all. */
        fprintf(to,
                "{\"jsonrpc\":\"2.0\",\"id\":%.0f,\"result\":{\"x\":1}}\n"
                "no JSON\n{}\n[]\n\n",
                id + 100);
        text = "\"result\": {\"x\": 2}";
    }
    if (strcmp(what, "flood") == 0) {
        for (unsigned i = 0; i < 30000; i++)
            fprintf(to,
                    "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":"
                    "{\"event\":\"drop\",\"n\":%u}}\n",
                    i);
        text = "\"result\": {}";
    }
    fprintf(to, "{\"jsonrpc\": \"2.0\", \"id\": %.0f, %s}\n", id, text);
    fflush(to);
}

_Noreturn static void play(int fd, const struct part *parts)
{
    FILE *from = fdopen(fd, "r"), *to = fdopen(dup(fd), "w");
    char *line = NULL;
    size_t room = 0;
    sigset_t none;

    /* The scenario before has taken them. */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    while (getline(&line, &room, from) > 0) {
        struct json *n = json_parse(line, strlen(line), NULL);
        const char *method = json_member_string(n, "method");
        const char *what = "'result': {'devices': []}";

        for (const struct part *p = parts; p && p->method; p++)
            if (strcmp(p->method, method) == 0)
                what = p->answer;
        answer(to, json_member_number(n, "id"), what);
        json_free(n);
    }
    _exit(0);
}

/* ---- the rig ---- */

static bool run(struct rig *r, const char *steps, const struct part *parts)
{
    char path[] = "/tmp/vub-walk-XXXXXX.json", text[4096];
    struct errs errors = ERRS_EMPTY;
    int ends[2], fd = mkstemps(path, 5);
    struct err e;
    bool passed;

    memset(r, 0, sizeof(*r));
    snprintf(text, sizeof(text), "{'timeout_ms': 10000, 'steps': [%s]}", steps);
    assert_int_equal(write(fd, quoted(text), strlen(text)), strlen(text));
    close(fd);
    if (scenario_read(&r->scenario, path, NULL, &errors) < 0)
        fail_msg("%s: %s", errors.list[0].where, errors.list[0].text);
    unlink(path);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    r->vub = fork();
    if (r->vub == 0) {
        close(ends[0]);
        play(ends[1], parts);
    }
    close(ends[1]);
    assert_true(sock_adopt(ends[0]));
    r->g.scenario = &r->scenario;
    r->g.peer.wire.fd = ends[0];
    r->g.runners.record = &r->g.record;
    r->g.runners.dir = "/";
    r->g.runners.variables = calloc(1, sizeof(char *));
    assert_int_equal(engine_open(&r->g, &e), 0);
    passed = engine_walk(&r->g);
    /* It ends as any child of ours does. */
    assert_int_equal(kill(r->vub, 0), -1);
    return passed;
}

static void done(struct rig *r)
{
    engine_close(&r->g);
    scenario_free(&r->scenario);
}

/* "place name turn result", one a line. */
static void need_record(const struct rig *r, const char *want)
{
    static const char *const words[] = {"not run", "runs", "passed", "failed"};
    char text[4096] = "";
    size_t len = 0;

    for (unsigned i = 0; i < r->g.record.num_steps; i++) {
        const struct record_step *s = &r->g.record.steps[i];

        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s|%s|%s|%s\n",
                                s->place, s->name, s->turn ? s->turn : "",
                                words[s->result]);
    }
    assert_string_equal(text, want);
}

static const char *why(const struct rig *r, unsigned step)
{
    const char *text = r->g.record.steps[step].why;

    return text ? text : "";
}

/* ---- tests ---- */

static void what_has_not_run_is_in_the_record(void **state)
{
    struct rig r;

    (void)state;
    assert_false(
        run(&r,
            "{'sleep': {'ms': 0}},"
            "{'repeat': {'times': 2, 'steps': [{'sleep': {'ms': 1}},"
            "  {'repeat': {'times': 2, 'steps': ["
            "    {'run': {'command': 'test $PPID = 1'}, 'name': 'mine'},"
            "    {'sleep': {'ms': 2}}]}},"
            "  {'sleep': {'ms': 3}}]}},"
            "{'repeat': {'times': 9, 'steps': [{'sleep': {'ms': 4}}]}}",
            NULL));
    need_record(&r,
                "/steps/0|sleep 0 ms||passed\n"
                "/steps/1/repeat/steps/0|sleep 1 ms|1 of 2|passed\n"
                "/steps/1/repeat/steps/1/repeat/steps/0|mine|1 of 2|failed\n"
                "/steps/1/repeat/steps/1/repeat/steps/1|sleep 2 ms|1 of 2|"
                "not run\n"
                "/steps/1/repeat/steps/2|sleep 3 ms|1 of 2|not run\n"
                "/steps/2/repeat/steps/0|sleep 4 ms||not run\n");
    assert_string_equal(why(&r, 2), "it has ended with status 1, not with 0");
    done(&r);
}

static void each_turn_of_a_repeat_is_in_the_record(void **state)
{
    struct rig r;

    (void)state;
    assert_true(run(&r,
                    "{'repeat': {'times': 3, 'steps': ["
                    "{'log.level': {'level': 'info'}}]}}",
                    NULL));
    need_record(&r, "/steps/0/repeat/steps/0|log.level|1 of 3|passed\n"
                    "/steps/0/repeat/steps/0|log.level|2 of 3|passed\n"
                    "/steps/0/repeat/steps/0|log.level|3 of 3|passed\n");
    assert_string_equal(r.g.record.steps[2].answer, "{\"devices\":[]}");
    done(&r);
}

static void an_error_is_told_with_its_place(void **state)
{
    static const struct part parts[] = {
        {"device.remove", "'error': {'code': -32602, 'message': 'no', "
                          "'data': {'at': '/params/device'}}"},
        {NULL},
    };
    struct rig r;

    (void)state;
    assert_false(run(&r, "{'device.remove': {'device': 'd'}}", parts));
    assert_string_equal(why(&r, 0), "/device: no");
    done(&r);
}

static void only_its_own_answer_counts(void **state)
{
    static const struct part parts[] = {{"status", "late"}, {NULL}};
    struct rig r;

    (void)state;
    assert_true(run(&r, "{'status': {}}", parts));
    assert_string_equal(r.g.record.steps[0].answer, "{\"x\":2}");
    done(&r);
}

static void more_events_than_are_kept_come_at_once(void **state)
{
    static const struct part parts[] = {{"help", "flood"}, {NULL}};
    struct rig r;

    (void)state;
    assert_true(run(&r,
                    "{'help': {}},"
                    "{'wait.event': {'event': 'drop', 'match': {'n': 29999}}}",
                    parts));
    assert_true(r.g.record.events_lost + r.g.record.num_events == 30000);
    done(&r);
}

static void a_vub_that_goes_or_is_silent_fails_the_step(void **state)
{
    static const struct part goes[] = {{"status", "gone"}, {NULL}};
    static const struct part silent[] = {{"status", "silence"}, {NULL}};
    struct rig r;

    (void)state;
    assert_false(run(&r, "{'status': {}}, {'sleep': {'ms': 1}}", goes));
    assert_string_equal(why(&r, 0), "vub has gone");
    done(&r);
    assert_false(run(&r, "{'status': {}, 'timeout_ms': 20}", silent));
    assert_string_equal(why(&r, 0), "after 20 ms vub has not answered");
    done(&r);
}

static void a_repeat_may_be_given_a_time(void **state)
{
    struct rig r;

    (void)state;
    assert_false(run(&r,
                     "{'timeout_ms': 60, 'repeat': {'times': 100000, 'steps': ["
                     "{'repeat': {'times': 1, 'steps': ["
                     "{'sleep': {'ms': 5}}]}}]}}",
                     NULL));
    assert_in_range(r.g.record.num_steps, 1, 13);
    assert_int_equal(r.g.record.steps[r.g.record.num_steps - 1].result,
                     STEP_FAILED);
    done(&r);
    /* A step that does not wait sees it, too. */
    assert_false(run(&r,
                     "{'timeout_ms': 1, 'repeat': {'times': 99999, 'steps': ["
                     "{'sleep': {'ms': 0}}]}}",
                     NULL));
    assert_string_equal(why(&r, r.g.record.num_steps - 1),
                        "the time of the repeat around it is over");
    done(&r);
}

static void a_process_that_runs_is_not_started_again(void **state)
{
    struct rig r;

    (void)state;
    assert_false(run(&r,
                     "{'repeat': {'times': 2, 'steps': [{'run': {'process': "
                     "'p', 'command': 'exec sleep 60', 'background': true}}]}}",
                     NULL));
    need_record(&r, "/steps/0/repeat/steps/0|run p|1 of 2|passed\n"
                    "/steps/0/repeat/steps/0|run p|2 of 2|failed\n");
    assert_string_equal(why(&r, 1), "\"p\" still runs");
    done(&r);
}

static void filters_are_counted_when_it_is_over(void **state)
{
    static const struct part parts[] = {
        {"stats",
         "'result': {'devices': [{'id': 'san', 'scsi': {'luns': [{'disk': "
         "{'filters': [{'type': 'fault', 'name': 'f', 'rules': [{'name': 'bad',"
         " 'matched': 3, 'fired': 2}, {'matched': 1, 'fired': 0}]},"
         " {'type': 'delay'}]}}]}}]}"},
        {NULL},
    };
    struct record *record;
    struct rig r;

    (void)state;
    assert_true(run(&r, "{'sleep': {'ms': 0}}", parts));
    record = &r.g.record;
    assert_int_equal(record->num_filters, 4);
    assert_string_equal(record->filters[0].filter, "fault, f");
    assert_null(record->filters[0].rule);
    assert_string_equal(record->filters[1].rule, "bad");
    assert_int_equal(record->filters[1].matched, 3);
    assert_int_equal(record->filters[1].fired, 2);
    assert_string_equal(record->filters[2].rule, "1");
    assert_string_equal(record->filters[3].filter, "delay");
    done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_not_run_is_in_the_record),
        cmocka_unit_test(each_turn_of_a_repeat_is_in_the_record),
        cmocka_unit_test(an_error_is_told_with_its_place),
        cmocka_unit_test(only_its_own_answer_counts),
        cmocka_unit_test(more_events_than_are_kept_come_at_once),
        cmocka_unit_test(a_vub_that_goes_or_is_silent_fails_the_step),
        cmocka_unit_test(a_repeat_may_be_given_a_time),
        cmocka_unit_test(a_process_that_runs_is_not_started_again),
        cmocka_unit_test(filters_are_counted_when_it_is_over),
    };

    process_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
