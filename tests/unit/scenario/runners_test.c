/* A text in what a process writes, however it comes: here the test writes. */
#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "daemon/scenario/runners.h"
#include "os/process.h"

struct rig {
    struct runner r;
    struct runner *list[1];
    struct runners all;
    int to;
};

static void rig_open(struct rig *g, size_t keep)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    memset(g, 0, sizeof(*g));
    g->r = (struct runner){.name = strdup("x"),
                           .system = {0, -1, ends[0]},
                           .record = UINT32_MAX,
                           .log = -1,
                           .keep = keep};
    g->to = ends[1];
    g->list[0] = &g->r;
    g->all.list = g->list;
    g->all.count = 1;
}

static void rig_close(struct rig *g)
{
    if (g->r.system.out >= 0)
        close(g->r.system.out);
    close(g->to);
    free(g->r.out);
    free(g->r.name);
}

/* It has written that, and it is taken. */
static void wrote(struct rig *g, const char *text, size_t len)
{
    const struct await ready[2] = {{.ready = AWAIT_READ}, {.fd = -1}};

    while (len) {
        ssize_t n = write(g->to, text, len);

        assert_true(n > 0);
        text += n;
        len -= (size_t)n;
        runners_take(&g->all, ready);
    }
}

static void says(struct rig *g, const char *text)
{
    wrote(g, text, strlen(text));
}

static void a_text_is_found_over_the_borders_of_pieces(void **state)
{
    static const char text[] = "login: ";
    struct rig g;

    (void)state;
    for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
        rig_open(&g, 1024);
        runner_seek(&g.r, text);
        says(&g, "llogi\nlog");
        assert_false(g.r.found);
        says(&g, "\n");
        wrote(&g, text, cut);
        assert_false(g.r.found);
        says(&g, text + cut);
        assert_true(g.r.found);
        rig_close(&g);
    }
    rig_open(&g, 1024);
    runner_seek(&g.r, text);
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        assert_false(g.r.found);
        wrote(&g, text + i, 1);
    }
    assert_true(g.r.found);
    rig_close(&g);
}

static void what_was_taken_is_not_found_again(void **state)
{
    struct rig g;

    (void)state;
    rig_open(&g, 1024);
    says(&g, "aaa");
    runner_seek(&g.r, "aa");
    assert_true(g.r.found);
    runner_seek(&g.r, "aa");
    assert_false(g.r.found);
    says(&g, "a");
    assert_true(g.r.found);
    runner_seek(&g.r, "a");
    assert_false(g.r.found);
    says(&g, "b");
    assert_false(g.r.found);
    says(&g, "a");
    assert_true(g.r.found);
    rig_close(&g);
}

static void a_text_may_hold_anything_but_nul_and_the_output_that_too(void **s)
{
    struct rig g;

    (void)s;
    rig_open(&g, 1024);
    runner_seek(&g.r, "\x1b[1mok\xff");
    wrote(&g, "\0\x1b[1mok\0\x1b[1m", 12);
    assert_false(g.r.found);
    wrote(&g, "ok\xff", 3);
    assert_true(g.r.found);
    rig_close(&g);
}

static void the_end_of_much_is_kept_and_all_of_it_is_looked_at(void **state)
{
    char piece[1000];
    struct rig g;

    (void)state;
    memset(piece, 'x', sizeof(piece));
    rig_open(&g, 4096);
    runner_seek(&g.r, "needle");
    for (unsigned i = 0; i < 1000; i++) {
        wrote(&g, piece, sizeof(piece));
        assert_in_range(g.r.len, 0, 2 * 4096 + sizeof(piece));
    }
    says(&g, "need");
    says(&g, "le");
    for (unsigned i = 0; i < 1000; i++)
        wrote(&g, piece, sizeof(piece));
    assert_true(g.r.found);
    assert_int_equal(g.r.taken, 1000 * sizeof(piece) + 6);
    assert_in_range(g.r.len, 4096, 2 * 4096 + sizeof(piece));
    assert_int_equal(g.r.offset + g.r.len, 2000 * sizeof(piece) + 6);
    /* The next one is sought behind. */
    runner_seek(&g.r, "needle");
    assert_false(g.r.found);
    says(&g, "needle");
    assert_true(g.r.found);
    rig_close(&g);
}

static void names_of_logs_are_plain(void **state)
{
    static const struct {
        const char *name, *safe;
    } cases[] = {
        {"vm", "vm"},         {"a/../b", "a_.._b"},   {"..", "_."},
        {"a b\n\"", "a_b__"}, {".hidden", "_hidden"}, {"\xc3\xa4", "__"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        char *safe = runner_safe_name(cases[i].name);

        assert_string_equal(safe, cases[i].safe);
        free(safe);
    }
}

/* A real one, and another after it, and logs of names that become the same. */
static void a_name_has_one_log_and_no_other_has_it(void **state)
{
    char dir[] = "/tmp/vub-runners-XXXXXX", path[64];
    struct record record = {NULL};
    struct runners rs = {.record = &record, .report = dir, .dir = "/"};
    static const char *const names[] = {"a/b", "a_b", "a/b", "a:b"};
    char *none[] = {NULL};
    struct err e;

    (void)state;
    assert_non_null(mkdtemp(dir));
    rs.variables = none;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        const struct runner_conf c = {
            .name = names[i], .command = "echo so", .keep = RUNNER_SHOWN};
        struct runner *r = runners_start(&rs, &c, &e);

        if (!r)
            fail_msg("%s", e.text);
        assert_null(runners_start(&rs, &c, &e));
        assert_int_equal(e.code, -EBUSY);
        while (runner_runs(r)) {
            struct await list[8];
            unsigned n = runners_want(&rs, list);

            await_any(list, n, 100);
            runners_take(&rs, list);
            runners_reap(&rs);
        }
        assert_int_equal(r->status, 0);
    }
    assert_int_equal(record.num_processes, 4);
    assert_string_equal(record.processes[0].log_path,
                        record.processes[2].log_path);
    assert_string_equal(record.processes[3].output, "so\n");
    rs.variables = NULL;
    runners_free(&rs);
    record_free(&record);
    for (unsigned i = 0; i < 3; i++) {
        static const char *const logs[] = {"a_b", "a_b-2", "a_b-3"};

        snprintf(path, sizeof(path), "%s/%s.log", dir, logs[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_found_over_the_borders_of_pieces),
        cmocka_unit_test(what_was_taken_is_not_found_again),
        cmocka_unit_test(
            a_text_may_hold_anything_but_nul_and_the_output_that_too),
        cmocka_unit_test(the_end_of_much_is_kept_and_all_of_it_is_looked_at),
        cmocka_unit_test(names_of_logs_are_plain),
        cmocka_unit_test(a_name_has_one_log_and_no_other_has_it),
    };

    process_init(); /* limits of those that it starts */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
