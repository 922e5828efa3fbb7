/* scripts/bench sandbox: what the filter of system calls costs.
 *
 * Once by the calls that requests need, in processes that are in the sandbox
 * and in others, one after the other: the least of many short loops is a time
 * that others' work on the machine hardly moves. And once by requests one at a
 * time at a vub that sleeps in between, which is where there are most calls for
 * each; pairs of vubs with and without, since ratios within a round stand
 * still when the machine does not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "front/front.h"
#include "meter.h"
#include "os/sandbox.h"

#define ROUNDS 9
#define LOOPS 200
#define LOOP_CALLS 500
#define REQUESTS 20000

/* ---- calls ---- */

enum { EVENT_WRITE, EVENT_READ, EPOLL_WAIT, PREAD, CALLS };

static const char *const names[CALLS] = {
    [EVENT_WRITE] = "write, an eventfd",
    [EVENT_READ] = "read, an eventfd",
    [EPOLL_WAIT] = "epoll_wait, nothing there",
    [PREAD] = "pread, 512 bytes of memory",
};

struct fds {
    int event, epoll, memory;
};

static void open_fds(struct fds *f)
{
    f->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    f->epoll = epoll_create1(EPOLL_CLOEXEC);
    f->memory = front_memfd(4096);
    if (f->event < 0 || f->epoll < 0)
        front_fail("no file descriptors");
}

static void call(const struct fds *f, unsigned which)
{
    static char buf[512];
    struct epoll_event event;
    uint64_t one = 1;
    long n = 0;

    switch (which) {
    case EVENT_WRITE:
        n = write(f->event, &one, sizeof(one));
        break;
    case EVENT_READ: /* of an empty one: it says so */
        n = read(f->event, &one, sizeof(one)) < 0 ? 1 : -1;
        break;
    case EPOLL_WAIT:
        n = epoll_wait(f->epoll, &event, 1, 0);
        break;
    case PREAD:
        n = pread(f->memory, buf, sizeof(buf), 0);
        break;
    }
    if (n < 0)
        front_fail("%s: a call fails in the sandbox", names[which]);
}

/* ns, of LOOP_CALLS calls. */
static uint64_t least(const struct fds *f, unsigned which)
{
    uint64_t best = UINT64_MAX, old;

    for (unsigned i = 0; i < LOOPS; i++) {
        uint64_t took, begin;

        if (read(f->event, &old, sizeof(old)) < 0)
            old = 0;
        begin = meter_clock_ns();
        for (unsigned n = 0; n < LOOP_CALLS; n++)
            call(f, which);
        took = meter_clock_ns() - begin;
        best = took < best ? took : best;
    }
    return best;
}

static void enter(void)
{
    static const struct sandbox_rules rules = {
        .needs = SANDBOX_FILES | SANDBOX_INPUT | SANDBOX_GPU};
    struct sandbox_state state;
    struct err e;

    if (sandbox_enter(&rules, &state, &e) < 0 || !state.seccomp)
        front_fail("there is no filter of system calls here");
}

/* In a process of its own, for there is no way back. */
static void measure(bool inside, uint64_t best[CALLS])
{
    uint64_t *shared =
        mmap(NULL, sizeof(*shared) * CALLS, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = shared == MAP_FAILED ? -1 : fork();
    int status;

    if (child == 0) {
        struct fds f;

        open_fds(&f);
        if (inside)
            enter();
        for (unsigned i = 0; i < CALLS; i++)
            shared[i] = least(&f, i);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
        front_fail("a process that measures has failed");
    for (unsigned i = 0; i < CALLS; i++)
        best[i] = shared[i] < best[i] ? shared[i] : best[i];
    munmap(shared, sizeof(*shared) * CALLS);
}

static void measure_calls(void)
{
    uint64_t best[2][CALLS];

    memset(best, 0xff, sizeof(best));
    for (unsigned i = 0; i < ROUNDS; i++)
        for (unsigned inside = 0; inside < 2; inside++)
            measure(inside, best[inside]);
    puts("ns a call                     without     with    more");
    for (unsigned i = 0; i < CALLS; i++) {
        double without = (double)best[0][i] / LOOP_CALLS,
               with = (double)best[1][i] / LOOP_CALLS;

        printf("%-28s %8.1f %8.1f %7.1f\n", names[i], without, with,
               with - without);
    }
}

/* ---- requests ---- */

/* What a process has had of the processors: finer than /proc tells. */
static double cpu_of(pid_t pid)
{
    struct timespec t = {0, 0};
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
        front_fail("no clock of process %d", (int)pid);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double cpu_ns(bool inside)
{
    struct vub *v = vub_new();
    struct front *f;
    char buf[4096];
    double cpu;

    v->quiet = true;
    vub_config_whole(v,
                     "{'runtime_dir': '%s', 'sandbox': %s, 'devices': ["
                     "{'id': 'd', 'type': 'block', 'poll_us': 0,"
                     " 'store': {'type': 'memory', 'size': '1M'}}]}",
                     v->dir, inside ? "true" : "false");
    vub_run(v);
    f = front_new(v, "d", NULL);
    for (unsigned i = 0; i < REQUESTS / 10; i++)
        blk_read(f->vq[0], 0, buf, sizeof(buf));
    cpu = cpu_of(v->pid);
    for (unsigned i = 0; i < REQUESTS; i++)
        blk_read(f->vq[0], 0, buf, sizeof(buf));
    cpu = cpu_of(v->pid) - cpu;
    front_free(f);
    vub_free(v);
    return cpu / REQUESTS;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure_requests(void)
{
    double ratio[ROUNDS], without, with, least_ns = 1e9;

    for (unsigned i = 0; i < ROUNDS; i++) {
        /* Who is first turns from round to round. */
        with = i % 2 ? cpu_ns(true) : 0;
        without = cpu_ns(false);
        if (i % 2 == 0)
            with = cpu_ns(true);
        ratio[i] = with / without;
        least_ns = without < least_ns ? without : least_ns;
    }
    qsort(ratio, ROUNDS, sizeof(*ratio), compare);
    printf("CPU of a request, one at a time, vub asleep in between: %.0f ns "
           "without; with, x %.3f (%.3f to %.3f)\n",
           least_ns, ratio[ROUNDS / 2], ratio[0], ratio[ROUNDS - 1]);
}

int main(void)
{
    measure_calls();
    measure_requests();
    return 0;
}
