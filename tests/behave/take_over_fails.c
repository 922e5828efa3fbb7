/* A take-over that fails: either vub dies, at any point of it, or the new one
 * does not suit. Guests go on with the one that is left. */
#include <inttypes.h>

#include "between.h"
#include "heirs.h"

/* ---- who dies, and when ---- */

static bool has_hung_up(struct front *f)
{
    return front_wait_fd(f->sock, POLLIN, 0);
}

static const struct front_conf recorded = {.queues = 1, .inflight = true};

/* Goes on with whoever is there, as QEMU would. */
static void reconnect(struct front *f)
{
    f->vq[0]->base = le16_load(&f->vq[0]->used->idx);
    front_resume(f);
}

#define VICTIMS DISK("f", "", FILE_STORE) "," KEYBOARD

static unsigned packets_of_one(void)
{
    struct vub *first = start(VICTIMS), *v = vub_beside(first);
    const char *path = vub_path(first, "between");
    struct front *f = front_new(first, "f", &recorded);
    pid_t pid = between(first, path, 0, NOBODY);
    unsigned count;

    vub_arg(v, "--take-over=%s", path);
    vub_run(v);
    assert_int_equal(vub_wait(first), 0);
    count = between_end(pid);
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    vub_free(v);
    vub_free(first);
    return count;
}

static void the_new_one_may_be_killed_at_any_point(void **state)
{
    unsigned count = packets_of_one();
    struct vub *first = start(VICTIMS);
    const char *path = vub_path(first, "between");
    struct front *f = front_new(first, "f", &recorded);
    struct load l;

    (void)state;
    print_message("%u packets\n", count);
    load_begin(&l, f->vq[0], 0);
    /* The last is GO: then it is the new one's. */
    for (unsigned at = 0; at < count; at++) {
        struct vub *v = vub_beside(first);
        pid_t pid = between(first, path, at, THE_NEW);

        front_note("at %u", at);
        vub_arg(v, "--take-over=%s", path);
        vub_spawn(v);
        while (vub_alive(v))
            load_step(&l);
        vub_wait(v);
        vub_free(v);
        between_end(pid);
        for (unsigned n = 0; n < 50; n++)
            load_step(&l);
        ask(first, "config.reload", "{}"); /* it is over by then */
        assert_false(has_hung_up(f));
    }
    load_end(&l);
    front_free(f);
    vub_free(first);
}

static void the_old_one_may_be_killed_at_any_point(void **state)
{
    unsigned count = packets_of_one(), lost = 0;

    (void)state;
    for (unsigned at = 0; at <= count; at++) {
        struct vub *first = start(VICTIMS), *v = vub_beside(first);
        const char *path = vub_path(first, "between");
        struct front *f = front_new(first, "f", &recorded);
        pid_t pid = between(first, path, at, THE_OLD);
        struct load l;

        front_note("at %u", at);
        load_begin(&l, f->vq[0], 0);
        for (unsigned n = 0; n < 20; n++)
            load_step(&l);
        vub_arg(v, "--take-over=%s", path);
        vub_run(v);
        vub_wait(first);
        between_end(pid);
        if (has_hung_up(f)) {
            lost++;
            reconnect(f);
        }
        for (unsigned n = 0; n < 50; n++)
            load_step(&l);
        load_end(&l);
        front_free(f);
        vub_free(v);
        vub_free(first);
    }
    print_message("at %u of %u packets its front-end had to connect again\n",
                  lost, count + 1);
    assert_true(lost > 0 && lost < count);
}

/* ---- what comes to nothing ---- */

static void need_failure(struct vub *first, struct vub *v, struct load *l,
                         const char *why)
{
    vub_spawn(v);
    while (vub_alive(v))
        load_step(l);
    assert_true(vub_wait(v) > 0);
    vub_log_wait(v, why);
    vub_log_wait(first, why);
    vub_free(v);
    for (unsigned n = 0; n < 100; n++)
        load_step(l);
}

static void suits_not(const char *devices)
{
    static const struct {
        const char *set, *why;
    } cases[] = {
        {"/devices/0/queues=1", "are not offered here"},
        {"/devices/0/queue_size=16", "SET_VRING_NUM"},
        {"/devices/0/store/path=other", "other"},
    };
    struct vub *first = start(devices);
    struct front *f = front_new(first, "f", &(struct front_conf){.queues = 2});
    struct input *in = input_new(first, "k", NULL, 64);
    struct load l;

    key(first, in, KEY_A, 1);
    load_begin(&l, f->vq[1], 0);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct vub *v = next(first);

        front_note("%s", cases[i].set);
        vub_arg(v, "--set");
        vub_arg(v, "%s", cases[i].set);
        vub_log_mark(first);
        need_failure(first, v, &l, cases[i].why);
        ask(first, "config.reload", "{}");
    }
    key(first, in, KEY_A, 0);
    load_end(&l);
    front_free(f);
    input_free(in);
    vub_free(first);
}

static void another_config_may_not_suit_the_guest(void **state)
{
    (void)state;
    suits_not(DISK("f", "'queues': 2, ", FILE_STORE) "," KEYBOARD);
}

static void nor_one_of_an_isolated_device(void **state)
{
    (void)state;
    suits_not(DISK("f", "'queues': 2, " ISOLATED, FILE_STORE) "," KEYBOARD);
}

#define MUCH (32 << 20) /* guest memory: a thread closes it */

/* Of an isolated device that was opened and never started. */
static void one_that_gives_up_ends_its_processes_at_once(void **state)
{
    struct vub *first = start(DISK("f", "'queues': 2, ",
                                   FILE_STORE) "," DISK("m", ISOLATED, MEMORY)),
               *v = next(first);
    struct front *f = front_new(first, "f", &(struct front_conf){.queues = 2});
    struct front *m =
        front_new(first, "m", &(struct front_conf){.mem_bytes = 2 * MUCH});
    struct load loads[2];

    (void)state;
    memset(front_ptr(m, front_alloc(m, MUCH, 16)), 1, MUCH);
    load_begin(&loads[0], f->vq[1], 0);
    load_begin(&loads[1], m->vq[0], 0);
    vub_arg(v, "--set");
    vub_arg(v, "/devices/0/queues=1");
    vub_spawn(v);
    assert_true(vub_wait(v) > 0);
    vub_log_wait(v, "are not offered here");
    assert_int_equal(vub_log_count(v, "stopping without"), 0);
    vub_free(v);
    ask(first, "config.reload", "{}"); /* it is over by then */
    for (unsigned n = 0; n < 100; n++) {
        load_step(&loads[0]);
        load_step(&loads[1]);
    }
    load_end(&loads[0]);
    load_end(&loads[1]);
    front_free(f);
    front_free(m);
    vub_free(first);
}

BEHAVE_MAIN(T(the_new_one_may_be_killed_at_any_point),
            T(the_old_one_may_be_killed_at_any_point),
            T(another_config_may_not_suit_the_guest),
            T(nor_one_of_an_isolated_device),
            T(one_that_gives_up_ends_its_processes_at_once))
