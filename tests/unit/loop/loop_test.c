/* A loop: mail from other threads, work put off to the end of a turn, and the
 * spinner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/spin.h"
#include "loop/timer.h"
#include "loop/watch.h"
#include "os/event.h"
#include "os/thread.h"

#define LETTERS 10000

struct letter {
    struct mail mail;
    int number;
};

static struct loop loop;
static struct letter letters[LETTERS];
static int read_so_far;

static void on_letter(struct mail *m)
{
    struct letter *l = container_of(m, struct letter, mail);

    assert_int_equal(l->number, read_so_far);
    if (++read_so_far == LETTERS)
        loop_stop(&loop);
}

static void write_letters(void *arg)
{
    (void)arg;
    for (int i = 0; i < LETTERS; i++) {
        letters[i].number = i;
        letters[i].mail.run = on_letter;
        loop_post(&loop, &letters[i].mail);
    }
}

static void mail_arrives_in_the_order_sent(void **state)
{
    struct thread writer;
    struct err e;

    (void)state;
    read_so_far = 0;
    assert_int_equal(loop_open(&loop, "test"), 0);
    assert_int_equal(thread_start(&writer, "writer", write_letters, NULL, &e),
                     0);
    loop_run(&loop);
    thread_join(&writer);
    assert_int_equal(read_so_far, LETTERS);
    loop_close(&loop);
}

/* ---- deferred work ---- */

static struct defer deferred;
static struct watch bell;
static int bell_fd, rung, deferred_runs, deferred_before_return;

static void on_deferred(struct defer *d)
{
    (void)d;
    deferred_runs++;
    loop_stop(&loop);
}

static void on_bell(struct watch *w, int status, int events)
{
    (void)w;
    (void)events;
    assert_int_equal(status, 0);
    assert_int_equal(event_clear(bell_fd), 1);
    rung++;
    loop_defer(&loop, &deferred);
    loop_defer(&loop, &deferred);
    deferred_before_return = deferred_runs;
}

static void deferred_work_runs_once_after_the_callback(void **state)
{
    (void)state;
    rung = deferred_runs = 0;
    assert_int_equal(loop_open(&loop, "test"), 0);
    bell_fd = event_open();
    defer_init(&deferred, on_deferred);
    bell = (struct watch){.ready = on_bell};
    assert_int_equal(watch_open(&bell, &loop, bell_fd), 0);
    watch_start(&bell, UV_READABLE);
    event_signal(bell_fd);
    loop_run(&loop);
    assert_int_equal(rung, 1);
    assert_int_equal(deferred_before_return, 0);
    assert_int_equal(deferred_runs, 1);
    watch_close(&bell);
    loop_close(&loop);
    close(bell_fd);
}

/* ---- deferred work that defers itself ---- */

#define ENDLESS 1000000 /* runs: nothing came between */

static struct spin word;
static struct timer clock_;
static struct letter note;
static bool timer_fired, note_read, looked_at;

static void stop_when_all_had_a_turn(void)
{
    if (rung && timer_fired && note_read && looked_at)
        loop_stop(&loop);
}

static void on_deferred_again(struct defer *d)
{
    if (++deferred_runs == ENDLESS)
        fail_msg("fd %d, timer %d, mail %d, word %d", rung, timer_fired,
                 note_read, looked_at);
    loop_defer(&loop, d);
}

static void on_bell_once(struct watch *w, int status, int events)
{
    (void)w;
    (void)status;
    (void)events;
    event_clear(bell_fd);
    rung++;
    stop_when_all_had_a_turn();
}

static void on_time_once(struct timer *t)
{
    (void)t;
    timer_fired = true;
    stop_when_all_had_a_turn();
}

static void on_note(struct mail *m)
{
    (void)m;
    note_read = true;
    stop_when_all_had_a_turn();
}

static bool on_word(struct spin *s)
{
    (void)s;
    looked_at = true;
    stop_when_all_had_a_turn();
    return false;
}

static bool on_word_armed(struct spin *s)
{
    (void)s;
    fail_msg("the loop is about to sleep");
    return false;
}

static void deferred_work_without_end_lets_others_have_their_turn(void **state)
{
    (void)state;
    rung = deferred_runs = 0;
    timer_fired = note_read = looked_at = false;
    assert_int_equal(loop_open(&loop, "test"), 0);
    bell_fd = event_open();
    bell = (struct watch){.ready = on_bell_once};
    assert_int_equal(watch_open(&bell, &loop, bell_fd), 0);
    watch_start(&bell, UV_READABLE);
    event_signal(bell_fd);
    clock_ = (struct timer){.fire = on_time_once};
    timer_open(&clock_, &loop);
    timer_start(&clock_, 1);
    note.mail.run = on_note;
    loop_post(&loop, &note.mail);
    word = (struct spin){.poll = on_word, .arm = on_word_armed};
    list_init(&word.node);
    loop_spin_add(&loop, &word);
    defer_init(&deferred, on_deferred_again);
    loop_defer(&loop, &deferred);
    loop_run(&loop);
    assert_true(rung && timer_fired && note_read && looked_at);
    defer_cancel(&deferred);
    loop_spin_del(&word);
    timer_close(&clock_);
    watch_close(&bell);
    loop_close(&loop);
    close(bell_fd);
}

/* ---- the spinner ---- */

static int polls, arms, work_when_armed;
static bool fd_is_awaited; /* by what the first look finds */

static bool on_poll(struct spin *s)
{
    (void)s;
    if (++polls == 1 && fd_is_awaited) {
        loop_unseen(&loop, true);
        return true;
    }
    return false;
}

static bool on_arm(struct spin *s)
{
    (void)s;
    arms++;
    if (work_when_armed) {
        work_when_armed--;
        return true;
    }
    event_signal(bell_fd); /* or the loop would sleep for ever */
    return false;
}

static void on_bell_stop(struct watch *w, int status, int events)
{
    (void)w;
    (void)status;
    (void)events;
    event_clear(bell_fd);
    loop_stop(&loop);
}

static void run_with_budget(uint32_t max_us, uint64_t now_ns)
{
    polls = arms = 0;
    assert_int_equal(loop_open(&loop, "test"), 0);
    loop.spin_max_us = max_us;
    loop.spin_ns[0] = now_ns;
    bell_fd = event_open();
    bell = (struct watch){.ready = on_bell_stop};
    assert_int_equal(watch_open(&bell, &loop, bell_fd), 0);
    watch_start(&bell, UV_READABLE);
    word.poll = on_poll;
    word.arm = on_arm;
    list_init(&word.node);
    loop_spin_add(&loop, &word);
    loop_run(&loop);
    loop_spin_del(&word);
    watch_close(&bell);
    loop_close(&loop);
    close(bell_fd);
}

static void a_loop_without_budget_arms_and_sleeps(void **state)
{
    (void)state;
    run_with_budget(0, 0);
    assert_int_equal(polls, 0);
    assert_int_equal(arms, 1);
}

static void a_loop_with_budget_looks_before_it_arms(void **state)
{
    (void)state;
    run_with_budget(100, 20000);
    assert_true(polls > 0);
    assert_int_equal(arms, 1);
}

/* Until then it spins, an hour if it may. */
static void a_loop_where_an_fd_is_awaited_does_not_spin(void **state)
{
    (void)state;
    fd_is_awaited = true;
    run_with_budget(UINT32_MAX - 1, UINT64_C(3600000000000));
    fd_is_awaited = false;
    assert_int_equal(polls, 1);
    assert_int_equal(arms, 1);
}

static void a_loop_that_finds_work_when_armed_does_not_sleep(void **state)
{
    (void)state;
    work_when_armed = 3;
    run_with_budget(0, 0);
    assert_int_equal(arms, 4);
}

static void a_sleep_shorter_than_the_limit_grows_the_budget(void **state)
{
    (void)state;
    /* A second to be caught by spinning: the bell rings at once. */
    run_with_budget(1000000, 0);
    assert_true(loop.spin_ns[0] > 0);
}

static void wait_for(uint64_t us)
{
    loop.slept_at_ns = loop_now_ns() - us * 1000;
    loop_woke(&loop);
}

/* A disk that answers after long, and a guest that asks again at once. */
static void what_follows_a_long_wait_is_learnt_by_itself(void **state)
{
    (void)state;
    assert_int_equal(loop_open(&loop, "test"), 0);
    loop.spin_max_us = 1000000;
    for (int i = 0; i < 3; i++) {
        wait_for(2000000);
        wait_for(1);
    }
    assert_int_equal(loop.spin_ns[0], 0);
    assert_true(loop.spin_ns[1] > 0);
    loop_close(&loop);
}

/* ---- timers ---- */

static void on_time(struct timer *t)
{
    (void)t;
    loop_stop(&loop);
}

static struct spin other;

static bool on_look_takes_off(struct spin *s)
{
    (void)s;
    loop_spin_del(&other);
    return false;
}

static bool on_look_that_was_taken_off(struct spin *s)
{
    (void)s;
    fail_msg("it is not on the list any more");
    return false;
}

static void who_is_looked_at_may_take_others_off_the_list(void **state)
{
    (void)state;
    assert_int_equal(loop_open(&loop, "test"), 0);
    word = (struct spin){.poll = on_look_takes_off, .arm = on_look_takes_off};
    other = (struct spin){.poll = on_look_that_was_taken_off,
                          .arm = on_look_that_was_taken_off};
    for (loop.spin_max_us = 0; loop.spin_max_us < 2; loop.spin_max_us++) {
        loop.spin_ns[0] = loop.spin_ns[1] = loop.spin_max_us * 1000;
        loop_spin_add(&loop, &word);
        loop_spin_add(&loop, &other);
        uv_run(&loop.uv, UV_RUN_NOWAIT);
        loop_spin_del(&word);
    }
    loop_close(&loop);
}

static void a_timer_fires_once(void **state)
{
    (void)state;
    assert_int_equal(loop_open(&loop, "test"), 0);
    clock_ = (struct timer){.fire = on_time};
    timer_open(&clock_, &loop);
    assert_false(timer_runs(&clock_));
    timer_start(&clock_, 1);
    assert_true(timer_runs(&clock_));
    loop_run(&loop);
    assert_false(timer_runs(&clock_));
    timer_close(&clock_);
    timer_close(&clock_);
    loop_close(&loop);
}

/* Each takes longer than until the other is due. */
#define BUSY 500 /* times: nothing came between */

static struct timer busy[2];
static int busy_for_ms, fired;

static void on_busy(struct timer *t)
{
    uint64_t end = loop_now_ns() + (uint64_t)busy_for_ms * 1000000;

    while (loop_now_ns() < end)
        ;
    if (++fired == BUSY)
        fail_msg("only timers have their turn");
    timer_start(t, busy_for_ms ? 1 : 0);
}

static void timers_without_end_let_others_have_their_turn(void **state)
{
    (void)state;
    for (busy_for_ms = 0; busy_for_ms < 4; busy_for_ms += 2) {
        fired = 0;
        assert_int_equal(loop_open(&loop, "test"), 0);
        bell_fd = event_open();
        bell = (struct watch){.ready = on_bell_stop};
        assert_int_equal(watch_open(&bell, &loop, bell_fd), 0);
        watch_start(&bell, UV_READABLE);
        event_signal(bell_fd);
        for (unsigned i = 0; i < ARRAY_LEN(busy); i++) {
            busy[i] = (struct timer){.fire = on_busy};
            timer_open(&busy[i], &loop);
            on_busy(&busy[i]);
        }
        while (!loop.stopping && uv_run(&loop.uv, UV_RUN_NOWAIT))
            ;
        for (unsigned i = 0; i < ARRAY_LEN(busy); i++)
            timer_close(&busy[i]);
        watch_close(&bell);
        loop_close(&loop);
        close(bell_fd);
    }
}

/* ---- the end ---- */

static struct timer last;
static bool last_is_gone;

static void on_last_gone(struct timer *t)
{
    (void)t;
    last_is_gone = true;
}

static void on_deferred_to_close(struct defer *d)
{
    if (++deferred_runs < 3)
        loop_defer(&loop, d);
    else
        timer_close(&last);
}

static void on_last_letter(struct mail *m)
{
    (void)m;
    defer_init(&deferred, on_deferred_to_close);
    loop_defer(&loop, &deferred);
}

static void what_is_closed_by_deferred_work_keeps_a_loop_open(void **state)
{
    static struct mail mail = {.run = on_last_letter};

    (void)state;
    deferred_runs = 0;
    last_is_gone = false;
    assert_int_equal(loop_open(&loop, "test"), 0);
    last = (struct timer){.gone = on_last_gone};
    timer_open(&last, &loop);
    timer_start(&last, 3600000);
    loop_post(&loop, &mail);
    loop_close(&loop);
    assert_true(last_is_gone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_arrives_in_the_order_sent),
        cmocka_unit_test(deferred_work_runs_once_after_the_callback),
        cmocka_unit_test(deferred_work_without_end_lets_others_have_their_turn),
        cmocka_unit_test(a_loop_without_budget_arms_and_sleeps),
        cmocka_unit_test(a_loop_with_budget_looks_before_it_arms),
        cmocka_unit_test(a_loop_where_an_fd_is_awaited_does_not_spin),
        cmocka_unit_test(a_loop_that_finds_work_when_armed_does_not_sleep),
        cmocka_unit_test(a_sleep_shorter_than_the_limit_grows_the_budget),
        cmocka_unit_test(what_follows_a_long_wait_is_learnt_by_itself),
        cmocka_unit_test(who_is_looked_at_may_take_others_off_the_list),
        cmocka_unit_test(a_timer_fires_once),
        cmocka_unit_test(timers_without_end_let_others_have_their_turn),
        cmocka_unit_test(what_is_closed_by_deferred_work_keeps_a_loop_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
