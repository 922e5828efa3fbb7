/* scripts/bench input: how long an event takes to the guest.
 *
 * A virtual mouse moves: a line on the control socket, a call to a guest that
 * sleeps. The front-end has 64 event buffers, as QEMU's has; it and vub each
 * sleep between events. A frame is two events. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "front/input.h"
#include "meter.h"
#include "proc.h"

#define SECONDS 5
#define IDLE_SECONDS 5
#define SETTLE_MS 2500

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static int connect_control(struct vub *v)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", vub_path(v, "control.sock"));
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        front_fail("%s: %s", a.sun_path, strerror(errno));
    return fd;
}

/* A notification: nobody waits for an answer. */
static void move(int control, int by)
{
    char line[200];
    int n = snprintf(line, sizeof(line),
                     "{\"jsonrpc\":\"2.0\",\"method\":\"input.send\","
                     "\"params\":{\"device\":\"m\",\"events\":[{\"type\":"
                     "\"EV_REL\",\"code\":\"REL_X\",\"value\":%d}]}}\n",
                     by);

    if (send(control, line, (size_t)n, MSG_NOSIGNAL) != n)
        front_fail("the control socket is full");
}

static void sleep_until(uint64_t at_ns)
{
    struct timespec t = {(time_t)(at_ns / 1000000000u),
                         (long)(at_ns % 1000000000u)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

static void measure(struct vub *v, struct input *in, int control, unsigned rate)
{
    unsigned frames = rate / 2 * SECONDS;
    uint64_t *took = calloc(frames, sizeof(*took)), begin, begun, period;
    int64_t cpu = vub_cpu_us(v);
    struct input_ev ev;

    period = 2000000000ull / rate;
    begin = meter_clock_ns();
    for (unsigned i = 0; i < frames; i++) {
        sleep_until(begin + i * period);
        begun = meter_clock_ns();
        move(control, (int)(i % 100) + 1);
        vq_wait(in->events);
        took[i] = meter_clock_ns() - begun;
        for (unsigned n = 0; n < 2;)
            if (input_take(in, &ev))
                n++;
            else
                vq_wait(in->events);
    }
    cpu = vub_cpu_us(v) - cpu;
    begin = meter_clock_ns() - begin;
    qsort(took, frames, sizeof(*took), compare);
    printf("%9u  %7.1f  %7.1f  %7.1f  %6.1f %%  %9.0f\n", rate,
           (double)took[frames / 2] / 1000,
           (double)took[frames * 99ull / 100] / 1000,
           (double)took[frames - 1] / 1000,
           (double)cpu * 100000.0 / (double)begin,
           (double)frames * 2e9 / (double)begin);
    free(took);
}

int main(void)
{
    struct vub *v = vub_new();
    struct input *in;
    uint64_t sleeps;
    int control;

    v->quiet = true;
    vub_config_whole(v,
                     "{'runtime_dir': '%s', 'control': 'control.sock',"
                     " 'devices': [{'id': 'm', 'type': 'input', 'source':"
                     " {'type': 'virtual', 'preset': 'mouse'}}]}",
                     v->dir);
    vub_run(v);
    in = input_new(v, "m", &(struct front_conf){.event_idx = true, .size = 64},
                   64);
    control = connect_control(v);
    puts(" events/s   p50 us   p99 us   max us  vub CPU   reached/s");
    measure(v, in, control, 1000);
    measure(v, in, control, 8000);
    poll(NULL, 0, SETTLE_MS);
    sleeps = proc_sleeps(v->pid);
    poll(NULL, 0, IDLE_SECONDS * 1000);
    printf("idle: %llu wake-ups in %d s\n",
           (unsigned long long)(proc_sleeps(v->pid) - sleeps), IDLE_SECONDS);
    close(control);
    input_free(in);
    vub_free(v);
    return 0;
}
