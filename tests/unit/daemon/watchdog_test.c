/* Which worker hangs, and which only waits. */
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/watchdog.h"
#include "os/process.h"

static unsigned queues(const void *conf)
{
    (void)conf;
    return 1;
}

static const struct device_type type = {.queues = queues};
static const struct conf_table table = {.name = "type", .ops = &type};

static struct device_common busy = {.id = "busy"}, waits = {.id = "waits"};
static const struct conf_any devices[] = {
    {.table = &table, .at = "/devices/0", .data = &busy},
    {.table = &table, .at = "/devices/1", .data = &waits},
};

static struct loop main_loop;
static struct workers workers;
static struct watchdog watchdog;
static struct worker_uses uses[2];
static bool enough; /* atomic */
static int never[2];
static struct mail work, sleep_well;
static sem_t works, sleeps;

/* [busy] */
static void compute(struct mail *m)
{
    (void)m;
    sem_post(&works);
    while (!__atomic_load_n(&enough, __ATOMIC_RELAXED))
        ;
}

/* [waits] */
static void wait_for_nothing(struct mail *m)
{
    struct pollfd p = {never[0], POLLIN, 0};

    (void)m;
    sem_post(&sleeps);
    while (!__atomic_load_n(&enough, __ATOMIC_RELAXED))
        poll(&p, 1, -1);
}

static const struct worker *worker(const char *name)
{
    for (int i = 0; i < workers.count; i++)
        if (strcmp(workers.list[i]->name, name) == 0)
            return workers.list[i];
    return NULL;
}

static int begin(void **state)
{
    struct err e;

    (void)state;
    enough = false;
    sem_init(&works, 0, 0);
    sem_init(&sleeps, 0, 0);
    if (pipe(never) < 0 || loop_open(&main_loop, "main") < 0)
        return -1;
    workers = (struct workers){.main = &main_loop};
    if (watchdog_open(&watchdog, &main_loop, &workers, &e) < 0)
        return -1;
    for (int i = 0; i < 2; i++)
        if (workers_use(&workers, &devices[i], &uses[i], &e) < 0)
            return -1;
    return workers_start(&workers, &e);
}

static int end(void **state)
{
    (void)state;
    __atomic_store_n(&enough, true, __ATOMIC_RELAXED);
    if (write(never[1], "", 1) < 0)
        return -1;
    workers_stop(&workers);
    watchdog_close(&watchdog);
    workers_close(&workers);
    for (int i = 0; i < 2; i++)
        workers_leave(&workers, &uses[i]);
    loop_close(&main_loop);
    close(never[0]);
    close(never[1]);
    return 0;
}

/* Until the worker has not come back for so long, as it is looked at. */
static const struct worker *need_stuck(const char *name, unsigned seconds)
{
    const struct worker *w = worker(name);

    while (w->stuck_s < seconds)
        uv_run(&main_loop.uv, UV_RUN_ONCE);
    return w;
}

static void one_that_computes_and_does_not_end_is_known(void **state)
{
    const struct worker *w;

    (void)state;
    work.run = compute;
    loop_post(workers_loop(&uses[0], 0), &work);
    sem_wait(&works);
    w = need_stuck("busy", 1);
    while (w->busy_ms == 0)
        uv_run(&main_loop.uv, UV_RUN_ONCE);
    assert_ptr_equal(watchdog_busiest(&watchdog), w);
    __atomic_store_n(&enough, true, __ATOMIC_RELAXED);
    while (w->busy_ms > 0)
        uv_run(&main_loop.uv, UV_RUN_ONCE);
    assert_null(watchdog_busiest(&watchdog));
}

static void one_that_waits_for_the_system_is_not_taken_for_it(void **state)
{
    const struct worker *w;

    (void)state;
    sleep_well.run = wait_for_nothing;
    loop_post(workers_loop(&uses[1], 0), &sleep_well);
    sem_wait(&sleeps);
    w = need_stuck("waits", 3);
    /* That it is woken, to look, takes no more than moments. */
    assert_true(w->busy_ms < 1000);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(one_that_computes_and_does_not_end_is_known),
        T(one_that_waits_for_the_system_is_not_taken_for_it),
    };

    process_init();
    return cmocka_run_group_tests_name("watchdog", tests, NULL, NULL);
}
