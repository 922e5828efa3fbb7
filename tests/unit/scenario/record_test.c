/* What is written down of a scenario, and the lines that people see of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/scenario/record.h"

static void what_was_added_stays(void **state)
{
    struct record r = {0};
    char name[32];

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        struct record_step *s;

        snprintf(name, sizeof(name), "step %u", i);
        s = record_add_step(&r, "/steps/0", name, "sleep", "{}",
                            i % 2 ? "1 of 2" : NULL);
        assert_non_null(s);
        assert_int_equal(s->result, STEP_TO_COME);
        for (unsigned j = 0; j < i % 5; j++)
            assert_non_null(record_add_picture(s, "screen", "a.png", NULL));
        assert_non_null(record_add_process(&r, name, "true"));
        assert_non_null(record_add_filter(&r, name, "fault", NULL, "{}"));
    }
    assert_int_equal(r.num_steps, 1000);
    assert_int_equal(r.num_processes, 1000);
    assert_int_equal(r.num_filters, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "step %u", i);
        assert_string_equal(r.steps[i].name, name);
        assert_int_equal(r.steps[i].num_pictures, i % 5);
        assert_int_equal(r.steps[i].turn != NULL, i % 2);
        assert_string_equal(r.processes[i].name, name);
        assert_int_equal(r.processes[i].status, -1);
        assert_string_equal(r.filters[i].device, name);
        assert_null(r.filters[i].rule);
    }
    record_free(&r);
    assert_null(r.steps);
    record_free(&r);
}

/* A scenario has up to 100000 steps. */
static void many_long_answers_do_not_all_stay(void **state)
{
    const unsigned num = 2 * RECORD_ANSWERS_BYTES / 16384;
    struct record r = {0};
    uint64_t sum = 0;

    (void)state;
    for (unsigned i = 0; i < num; i++) {
        struct record_step *s = record_add_step(&r, "/", "", "", "", NULL);

        assert_non_null(s);
        s->answer = malloc(16385);
        assert_non_null(s->answer);
        memset(s->answer, 'x', 16384);
        s->answer[16384] = '\0';
        record_bound_answer(&r, s);
        sum += strlen(s->answer);
    }
    assert_int_equal(strlen(r.steps[0].answer), 16384);
    assert_int_equal(strlen(r.steps[num - 1].answer), RECORD_ANSWER_LITTLE);
    assert_true(sum <= RECORD_ANSWERS_BYTES + num * RECORD_ANSWER_LITTLE);
    record_bound_answer(&r, record_add_step(&r, "/", "", "", "", NULL));
    record_free(&r);
}

static void what_is_not_said_is_an_empty_text(void **state)
{
    struct record r = {0};
    struct record_step *s = record_add_step(&r, NULL, NULL, NULL, NULL, NULL);
    struct record_event *ev = record_add_event(&r, NULL, NULL, NULL);
    struct record_process *p = record_add_process(&r, NULL, NULL);
    struct record_picture *pic = record_add_picture(s, NULL, NULL, NULL);

    (void)state;
    assert_string_equal(s->place, "");
    assert_string_equal(s->args, "");
    assert_null(s->turn);
    assert_null(s->why);
    assert_string_equal(ev->device, "");
    assert_string_equal(p->output, "");
    assert_null(p->log_path);
    assert_string_equal(pic->hash, "");
    record_free(&r);
}

static void of_too_many_events_the_oldest_go(void **state)
{
    struct record r = {0};
    char name[32];

    (void)state;
    for (unsigned i = 0; i < 3 * RECORD_EVENTS_MAX; i++) {
        struct record_event *ev;

        snprintf(name, sizeof(name), "%u", i);
        ev = record_add_event(&r, name, "d", "{}");
        assert_string_equal(ev->event, name);
        assert_true(r.num_events <= RECORD_EVENTS_MAX);
        assert_int_equal(r.num_events + r.events_lost, i + 1);
        snprintf(name, sizeof(name), "%u", r.events_lost);
        assert_string_equal(r.events[0].event, name);
    }
    assert_true(r.num_events > RECORD_EVENTS_MAX / 2);
    record_free(&r);
}

/* ---- progress ---- */

/* What progress prints to a pipe; to be freed. */
static char *printed(void (*print)(struct progress *p, struct record *r),
                     struct record *r, unsigned num)
{
    int before = dup(STDOUT_FILENO), len;
    FILE *f = tmpfile();
    char *text = calloc(1, 65536);

    fflush(stdout);
    dup2(fileno(f), STDOUT_FILENO);
    print(progress_open(r, num), r);
    fflush(stdout);
    dup2(before, STDOUT_FILENO);
    close(before);
    rewind(f);
    len = (int)fread(text, 1, 65535, f);
    assert_true(len >= 0);
    fclose(f);
    return text;
}

static void run_one(struct progress *p, struct record *r, const char *name,
                    const char *turn, const char *why)
{
    struct record_step *s =
        record_add_step(r, "/steps/0", name, "run", "{}", turn);

    s->result = STEP_RUNS;
    s->begin_ns = 1000000;
    progress_step_begins(p, s);
    s->result = why ? STEP_FAILED : STEP_PASSED;
    s->why = why ? strdup(why) : NULL;
    s->end_ns = 13000000;
    progress_step_ends(p, s);
}

static void run_some(struct progress *p, struct record *r)
{
    run_one(p, r, "boot", NULL, NULL);
    run_one(p, r, "cut", "7 of 50", NULL);
    run_one(p, r, "log\033[2J in\n", NULL, "it has\nnot come");
    r->end_ns = 2000000000;
    progress_close(p);
}

static void a_pipe_has_lines_of_begins_and_ends(void **state)
{
    struct record r = {.begin_ns = 500000000, .name = strdup("boot test")};
    char *text = printed(run_some, &r, 12);

    (void)state;
    assert_string_equal(text, "[ 1/12]         boot\n"
                              "[ 1/12] passed  boot  12 ms\n"
                              "[ 2/12] passed  cut (7 of 50)  12 ms\n"
                              "[ 3/12]         log?[2J in?\n"
                              "[ 3/12] FAILED  log?[2J in?  12 ms\n"
                              "        it has?not come\n"
                              "FAILED: boot test, 3 of 12 steps in 1.50 s\n");
    free(text);
    record_free(&r);
}

static void run_none(struct progress *p, struct record *r)
{
    (void)r;
    progress_close(p);
}

static void the_last_word_says_why(void **state)
{
    struct record r = {.name = strdup("x"), .why = strdup("vub has gone")};
    char *text = printed(run_none, &r, 3);

    (void)state;
    assert_string_equal(text, "FAILED: x, 0 of 3 steps in 0 us\n"
                              "        vub has gone\n");
    free(text);
    free(r.why);
    r.why = NULL;
    r.passed = true;
    text = printed(run_none, &r, 0);
    assert_string_equal(text, "passed: x, 0 of 0 steps in 0 us\n");
    free(text);
    record_free(&r);
    progress_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_stays),
        cmocka_unit_test(many_long_answers_do_not_all_stay),
        cmocka_unit_test(what_is_not_said_is_an_empty_text),
        cmocka_unit_test(of_too_many_events_the_oldest_go),
        cmocka_unit_test(a_pipe_has_lines_of_begins_and_ends),
        cmocka_unit_test(the_last_word_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
