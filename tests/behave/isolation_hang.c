/* Processes of isolated devices that hang: they are noticed, killed, and
 * started again, and front-ends wait no longer than that takes; and those that
 * only take their time, which are let be. docs/isolation.md. */
#include "isolated.h"

#define HANGS "'hang_timeout': 500, "
/* For one that is not to be taken for hanging, whatever else there is to do. */
#define PATIENT_MS 2000
#define PATIENT "'hang_timeout': 2000, "
#define STOPS 3

/* One that is ready: one that starts may take as long as it likes. Where there
 * is much else to do one may be taken for hanging that is not, and end just
 * now. */
static void stop_process(struct ctl *c, const char *device)
{
    int64_t end = front_now_ms() + front_timeout_ms();
    char params[64];
    const char *at;

    snprintf(params, sizeof(params), "{'device': '%s'}", device);
    for (;;) {
        ctl_call(c, "status", params);
        at = strstr(ctl_answer(c), "\"process\":{\"state\":\"running\"");
        at = at ? strstr(at, "\"pid\":") : NULL;
        if (at && kill(atoi(at + strlen("\"pid\":")), SIGSTOP) == 0)
            return;
        if (front_now_ms() > end)
            front_fail("no process serves %s", device);
    }
}

/* ---- those that hang ---- */

/* The disk "d" is at work; its process is stopped again and again. */
static void stop_under_load(const char *devices)
{
    struct vub *v = start(devices);
    struct load d, e;
    struct ctl c;

    ctl_open(&c, v);
    load_start(&d, v, "d", &ring_modes[3]);
    load_start(&e, v, "e", &ring_modes[7]);
    for (unsigned i = 0; i < STOPS; i++) {
        load_turn(&d, 1 + 7 * i);
        load_turn(&e, 8);
        stop_process(&c, "d");
        load_turn(&e, 64);
        load_turn(&d, 64); /* its workers may go on for a moment */
        need_restarts(&c, "d", i + 1);
    }
    assert_int_equal(process_number(&c, "e", "restarts"), -1);
    assert_true(front_lives(d.f));
    load_turn(&d, 64);
    front_free(d.f);
    front_free(e.f);
    ctl_close(&c);
    vub_free(v);
}

static void a_disk_of_a_file_survives_a_process_that_hangs(void **state)
{
    (void)state;
    stop_under_load(
        DISK("d", APART HANGS "'queues': 2, ",
             FILE_OF("img")) ", " DISK("e", "'queues': 2, ", MEMORY));
}

static void a_disk_in_memory_survives_a_process_that_hangs(void **state)
{
    (void)state;
    stop_under_load(DISK("d", APART HANGS "'queues': 2, ",
                         MEMORY) ", " DISK("e", "'queues': 2, ", MEMORY));
}

/* Nobody is there who might miss it. */
static void it_is_told_why_one_is_ended(void **state)
{
    struct vub *v = ctl_start(DISK("d", APART HANGS, MEMORY));
    struct ctl c, events;

    (void)state;
    ctl_open(&c, v);
    ctl_open(&events, v);
    ctl_listen(&events);
    stop_process(&c, "d");
    ctl_need(&events,
             "\"restarts\":1,\"why\":\"it has not answered for 500 ms\"");
    vub_log_wait(v, "is ended: it has not answered for 500 ms");
    ctl_call(&c, "status", "{'device': 'd'}");
    ctl_need(&c, "\"last_end\":\"it has not answered for 500 ms\"");
    ctl_close(&events);
    ctl_close(&c);
    vub_free(v);
}

/* A front-end's message is with it when it hangs. */
static void the_front_end_is_answered_by_the_next_one(void **state)
{
    struct drive d = drive_open(DISK("d", APART HANGS, MEMORY), NULL);

    (void)state;
    blk_verify(d.f->vq[0], 0, 4096, 1);
    stop_process(&d.c, "d");
    front_settle(d.f);
    vq_stop(d.f->vq[0]);
    vq_start(d.f->vq[0]);
    need_restarts(&d.c, "d", 1);
    stop_process(&d.c, "d");
    vq_stop(d.f->vq[0]);
    vq_start(d.f->vq[0]);
    blk_verify(d.f->vq[0], 8, 4096, 2);
    need_restarts(&d.c, "d", 2);
    assert_true(front_lives(d.f));
    drive_close(&d);
}

/* ---- those that do not ---- */

/* It answers while its requests take longer than it might. */
static void a_slow_disk_is_not_taken_for_hanging(void **state)
{
    struct drive d = drive_open(
        DISK("d", APART PATIENT,
             "{'type': 'delay', 'all': {'us': 5000000}, 'next': " MEMORY "}"),
        NULL);
    uint8_t block[512] = {1};

    (void)state;
    blk_write(d.f->vq[0], 0, block, sizeof(block));
    assert_int_equal(process_number(&d.c, "d", "restarts"), 0);
    drive_close(&d);
}

/* As a debugger has it: for as long as another one is noticed twice. */
static void one_may_be_stopped_for_ever(void **state)
{
    struct drive d =
        drive_open(DISK("d", APART "'hang_timeout': 'never', ",
                        MEMORY) ", " DISK("o", APART HANGS, MEMORY),
                   NULL);
    pid_t pid;

    (void)state;
    pid = need_process(&d.c, "d");
    stop_process(&d.c, "d");
    for (unsigned i = 0; i < 2; i++) {
        stop_process(&d.c, "o");
        need_restarts(&d.c, "o", i + 1);
    }
    assert_int_equal(process_of(&d.c, "d"), pid);
    assert_int_equal(kill(pid, SIGCONT), 0);
    blk_verify(d.f->vq[0], 0, 4096, 1);
    assert_int_equal(process_number(&d.c, "d", "restarts"), 0);
    drive_close(&d);
}

/* One that is stopped with its keeper, as a machine that sleeps does it, has
 * not hung: it answers when both go on. */
static void one_that_is_stopped_with_its_keeper_is_let_be(void **state)
{
    struct drive d = drive_open(DISK("d", APART PATIENT, MEMORY), NULL);
    pid_t pid;

    (void)state;
    pid = need_process(&d.c, "d");
    assert_int_equal(kill(d.v->pid, SIGSTOP), 0);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_false(front_wait_fd(d.f->sock, 1 /* POLLIN */, 2 * PATIENT_MS));
    assert_int_equal(kill(d.v->pid, SIGCONT), 0);
    assert_int_equal(kill(pid, SIGCONT), 0);
    blk_verify(d.f->vq[0], 0, 4096, 1);
    assert_int_equal(process_number(&d.c, "d", "restarts"), 0);
    assert_int_equal(process_of(&d.c, "d"), pid);
    drive_close(&d);
}

BEHAVE_MAIN(T(a_disk_of_a_file_survives_a_process_that_hangs),
            T(a_disk_in_memory_survives_a_process_that_hangs),
            T(it_is_told_why_one_is_ended),
            T(the_front_end_is_answered_by_the_next_one),
            T(a_slow_disk_is_not_taken_for_hanging),
            T(one_may_be_stopped_for_ever),
            T(one_that_is_stopped_with_its_keeper_is_let_be))
