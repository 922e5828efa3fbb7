/* behave/behave.h: what every file of behaviour tests begins with.
 *
 * A test is a sentence that is true of vub, and a function of that name. It
 * starts the program by a config of its own, drives it through front/front.h,
 * and stops it again, which must end cleanly: with sanitizers that means no
 * leak either. Whatever a failed test leaves behind is cleaned up for it. */
#ifndef BEHAVE_BEHAVE_H
#define BEHAVE_BEHAVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "front/front.h"

/* The devices most tests need, for vub_start and vub_config. */
#define DISK(id, more, store)                                                  \
    "{'id': '" id "', 'type': 'block', " more "'store': " store "}"
#define MEMORY "{'type': 'memory', 'size': '64M'}"

static void behave_failed(const char *file, int line)
{
    _fail(file, line);
}

static int behave_teardown(void **state)
{
    (void)state;
    front_cleanup();
    return 0;
}

#define T(f) cmocka_unit_test_teardown(f, behave_teardown)

#define BEHAVE_MAIN(...)                                                       \
    int main(int argc, char **argv)                                            \
    {                                                                          \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                       \
                                                                               \
        front_on_failure = behave_failed;                                      \
        if (argc > 1)                                                          \
            cmocka_set_test_filter(argv[1]);                                   \
        return cmocka_run_group_tests(tests, NULL, NULL);                      \
    }

/* What the program holds with one plain session of device "d" at work: a ring
 * that serves shows that whatever was before is gone, to the last fd. */
struct footprint {
    int fds, memory, maps, threads; /* memory: mappings that are shared, */
    int kept; /* of which these outlive the process: os/keep.h */
};

static struct footprint __attribute__((unused)) footprint(struct vub *v)
{
    struct front *f = front_new(v, "d", NULL);
    struct footprint p;

    blk_verify(f->vq[0], 0, 512, 1);
    p.fds = front_fds(f, v);
    p.memory = vub_maps(v, "memfd");
    p.kept = vub_maps(v, "memfd:vub-kept");
    p.maps = vub_maps(v, NULL);
    p.threads = vub_threads(v);
    front_free(f);
    return p;
}

/* "d", with two queues, and "e" beside it, which is not to notice. */
static inline struct vub *two_disks(void)
{
    return vub_start(
        DISK("d", "'queues': 2, ", MEMORY) "," DISK("e", "", MEMORY));
}

/* The same, and both on one worker. */
static inline struct vub *two_disks_of_a_worker(void)
{
    return vub_start(DISK("d", "'worker': 'w', ",
                          MEMORY) "," DISK("e", "'worker': 'w', ", MEMORY));
}

/* Every way a ring may be set up. */
static const struct front_conf ring_modes[] __attribute__((unused)) = {
    {.queues = 2},
    {.queues = 2, .event_idx = true},
    {.queues = 2, .indirect = true},
    {.queues = 2, .event_idx = true, .indirect = true},
    {.queues = 2, .packed = true},
    {.queues = 2, .packed = true, .event_idx = true},
    {.queues = 2, .packed = true, .indirect = true},
    {.queues = 2, .packed = true, .event_idx = true, .indirect = true},
};

static __attribute__((unused)) const char *mode_name(const struct front_conf *c)
{
    static char text[64];

    snprintf(text, sizeof(text), "%s%s%s", c->packed ? "packed" : "split",
             c->event_idx ? ", event index" : "",
             c->indirect ? ", indirect" : "");
    return text;
}

#endif
