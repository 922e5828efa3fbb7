/* See meter.h. The CPU time of another process comes from its own clock
 * (clock_getcpuclockid), which counts threads that have ended and the ones
 * that run right now, to the nanosecond: /proc/PID/stat knows ticks of 10 ms
 * only. */
#include "meter.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void meter_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void meter_pin(int core)
{
    cpu_set_t set;

    if (core < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET((unsigned)core, &set);
    if (sched_setaffinity(0, sizeof(set), &set) < 0)
        meter_die("cannot run on core %d: %s", core, strerror(errno));
}

static uint64_t clock_read(clockid_t clock)
{
    struct timespec t;

    if (clock_gettime(clock, &t) < 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t meter_clock_ns(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

static uint64_t cpu_ns(pid_t pid)
{
    clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;

    if (pid && clock_getcpuclockid(pid, &clock) != 0)
        return 0;
    return clock_read(clock);
}

static const char *watched;

void meter_watch(const char *cores)
{
    watched = cores;
}

static bool is_watched(int core)
{
    const char *p = watched;
    char *end;

    while (p && *p) {
        if (strtol(p, &end, 10) == core)
            return true;
        p = *end ? end + 1 : end;
    }
    return false;
}

/* What the watched cores have done since the system started, whoever asked
 * for it; what a hypervisor took away is counted too. */
static uint64_t busy_ns(void)
{
    unsigned long long user, nice, sys, idle, wait, irq, soft, steal;
    uint64_t ticks = 0;
    char line[256];
    FILE *f;
    int core;

    f = watched ? fopen("/proc/stat", "r") : NULL;
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "cpu%d %llu %llu %llu %llu %llu %llu %llu %llu", &core,
                   &user, &nice, &sys, &idle, &wait, &irq, &soft,
                   &steal) == 9 &&
            is_watched(core))
            ticks += user + nice + sys + irq + soft + steal;
    if (f)
        fclose(f);
    return ticks * 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
}

void meter_start(struct meter *m, pid_t pid)
{
    *m = (struct meter){.pid = pid};
    m->from_busy_ns = busy_ns();
    m->from_own_ns = cpu_ns(0);
    m->from_cpu_ns = cpu_ns(pid);
    m->from_ns = meter_clock_ns();
    m->from_ticks = meter_ticks();
}

void meter_stop(struct meter *m)
{
    uint64_t ours, busy;

    m->ticks = meter_ticks() - m->from_ticks;
    m->ns = meter_clock_ns() - m->from_ns;
    m->cpu_ns = cpu_ns(m->pid) - m->from_cpu_ns;
    ours = cpu_ns(0) - m->from_own_ns + (m->pid ? m->cpu_ns : 0);
    busy = busy_ns() - m->from_busy_ns;
    if (watched && busy > ours)
        m->foreign = (double)(busy - ours) / (double)m->ns;
}

/* The middle of a bucket, in ticks. */
static double bucket_ticks(unsigned i)
{
    unsigned shift;
    uint64_t low;

    if (i < METER_SUB)
        return i;
    shift = i / METER_SUB - 1;
    low = (uint64_t)(METER_SUB + i % METER_SUB) << shift;
    return (double)low + (double)(UINT64_C(1) << shift) / 2;
}

double meter_ns(const struct meter *m, double share)
{
    uint64_t total = 0, seen = 0, rank;
    unsigned i;

    for (i = 0; i < METER_BUCKETS; i++)
        total += m->bucket[i];
    if (!total || !m->ticks)
        return 0;
    rank = (uint64_t)(share * (double)(total - 1));
    for (i = 0; i < METER_BUCKETS; i++) {
        seen += m->bucket[i];
        if (seen > rank)
            break;
    }
    return bucket_ticks(i) * (double)m->ns / (double)m->ticks;
}

void meter_print(const struct meter *m)
{
    printf("\"ops\":%" PRIu64 ",\"seconds\":%.6f,\"cpu_ns\":%" PRIu64
           ",\"p50_ns\":%.0f,\"p99_ns\":%.0f,\"p999_ns\":%.0f"
           ",\"foreign\":%.3f",
           m->ops, (double)m->ns / 1e9, m->cpu_ns, meter_ns(m, 0.5),
           meter_ns(m, 0.99), meter_ns(m, 0.999), m->foreign);
}
