/* Work for threads that nobody waits for. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/job.h"
#include "os/event.h"
#include "os/thread.h"

/* What became of a task; it outlives that. */
struct fate {
    int run, done, released; /* atomic */
    pthread_t ran_on, done_on;
};

struct task {
    struct fate *fate;
    int gate; /* run ends when this can be read; -1: at once */
};

static struct loop loop;

static int read_int(const int *n)
{
    return __atomic_load_n(n, __ATOMIC_ACQUIRE);
}

static void add_one(int *n)
{
    __atomic_add_fetch(n, 1, __ATOMIC_ACQ_REL);
}

static void task_run(void *arg)
{
    struct task *t = arg;
    uint64_t n;

    __atomic_store_n(&t->fate->ran_on, pthread_self(), __ATOMIC_RELAXED);
    add_one(&t->fate->run); /* jobs may have a fate in common */
    if (t->gate >= 0)
        while (read(t->gate, &n, sizeof(n)) < 0)
            thread_yield();
}

static void task_done(void *arg)
{
    struct task *t = arg;

    assert_int_equal(read_int(&t->fate->released), 0);
    t->fate->done_on = pthread_self();
    add_one(&t->fate->done);
    loop_stop(&loop);
}

static void task_release(void *arg)
{
    struct task *t = arg;
    struct fate *f = t->fate;

    free(t);
    add_one(&f->released);
}

static const struct job_ops ops = {
    .name = "job",
    .run = task_run,
    .done = task_done,
    .release = task_release,
};

static struct job *start(struct fate *f, int gate)
{
    struct task *t = calloc(1, sizeof(*t));
    struct job *j;
    struct err e;

    assert_non_null(t);
    t->fate = f;
    t->gate = gate;
    assert_int_equal(job_start(&j, &loop, &ops, t, &e), 0);
    return j;
}

static void until(const int *n, int value)
{
    while (read_int(n) != value)
        thread_yield();
}

static void turn(void)
{
    uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static void a_job_is_done_where_it_was_started(void **state)
{
    struct fate f = {0};

    (void)state;
    assert_int_equal(loop_open(&loop, "test"), 0);
    start(&f, -1);
    loop_run(&loop);
    assert_int_equal(f.run, 1);
    assert_int_equal(f.done, 1);
    assert_int_equal(f.released, 1);
    assert_false(pthread_equal(f.ran_on, pthread_self()));
    assert_true(pthread_equal(f.done_on, pthread_self()));
    loop_close(&loop);
}

static void a_job_that_takes_long_keeps_no_loop_from_closing(void **state)
{
    struct fate f = {0};
    int gate = event_open();
    struct job *j;

    (void)state;
    assert_int_equal(loop_open(&loop, "test"), 0);
    j = start(&f, gate);
    until(&f.run, 1);
    job_give_up(j);
    turn();
    loop_close(&loop);
    assert_int_equal(read_int(&f.released), 0);
    event_signal(gate);
    until(&f.released, 1);
    assert_int_equal(f.done, 0);
    close(gate);
}

static void a_job_that_is_given_up_when_it_has_ended_is_not_done(void **state)
{
    struct fate f = {0};
    struct job *j;

    (void)state;
    assert_int_equal(loop_open(&loop, "test"), 0);
    j = start(&f, -1);
    while (!__atomic_load_n(&loop.mail, __ATOMIC_ACQUIRE))
        thread_yield();
    job_give_up(j);
    assert_int_equal(read_int(&f.released), 0);
    turn();
    assert_int_equal(f.released, 1);
    assert_int_equal(f.done, 0);
    loop_close(&loop);
}

/* Whoever gives them up has them counted all the same, until they end. */
static void there_are_so_many_jobs_and_no_more(void **state)
{
    struct fate f = {0}, last = {0};
    int gate = event_open();
    struct task none;
    struct job *j;
    struct err e;

    (void)state;
    assert_int_equal(loop_open(&loop, "test"), 0);
    for (int i = 0; i < JOBS_MAX; i++)
        job_give_up(start(&f, gate));
    assert_int_equal(job_start(&j, &loop, &ops, &none, &e), -EBUSY);
    until(&f.run, JOBS_MAX);
    for (int i = 1; i <= JOBS_MAX; i++) { /* one read takes all there is */
        event_signal(gate);
        until(&f.released, i);
    }
    start(&last, -1);
    loop_run(&loop);
    assert_int_equal(last.done, 1);
    loop_close(&loop);
    close(gate);
}

/* Neither is known to be first. */
static void a_job_is_released_once_whoever_is_first(void **state)
{
    enum { JOBS = 100 };
    struct fate f[JOBS] = {{0}};
    struct job *jobs[JOBS];

    (void)state;
    assert_int_equal(loop_open(&loop, "test"), 0);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = start(&f[i], -1);
        if (i % 2)
            job_give_up(jobs[i]);
        if (i % 16 == 15)
            turn();
    }
    for (int i = 0; i < JOBS; i++) {
        while (read_int(&f[i].released) == 0) {
            turn();
            thread_yield();
        }
        assert_int_equal(f[i].run, 1);
        assert_int_equal(f[i].done, i % 2 ? 0 : 1);
        assert_int_equal(f[i].released, 1);
    }
    loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_done_where_it_was_started),
        cmocka_unit_test(a_job_that_takes_long_keeps_no_loop_from_closing),
        cmocka_unit_test(a_job_that_is_given_up_when_it_has_ended_is_not_done),
        cmocka_unit_test(there_are_so_many_jobs_and_no_more),
        cmocka_unit_test(a_job_is_released_once_whoever_is_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
