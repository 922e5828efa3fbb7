/* tests/bench/meter.h: time, latencies, CPU and disturbance of a run.
 *
 * Ticks are the processor's time stamp counter, which costs a few
 * nanoseconds to read; how many make a second is found out over the run
 * itself, by the system's clock at both ends. A latency goes into a bucket
 * 1/32 of its power of two wide, so a percentile is off by 3 % at most.
 *
 * A run is disturbed when the cores it uses did other work meanwhile: theirs,
 * as the kernel counts it, less ours and the back-end's. Whoever takes the
 * sample may then take another. */
#ifndef VUB_BENCH_METER_H
#define VUB_BENCH_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

static inline uint64_t meter_ticks(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#elif defined(__aarch64__)
    uint64_t v;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(v));
    return v;
#else
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
#endif
}

#define METER_SUB_BITS 5
#define METER_SUB (1u << METER_SUB_BITS)
#define METER_BUCKETS ((64 - METER_SUB_BITS + 1) * METER_SUB)

struct meter {
    uint64_t from_ticks, from_ns, from_cpu_ns, from_own_ns, from_busy_ns;
    uint64_t ticks, ns, cpu_ns; /* of the run, after meter_stop */
    double foreign;             /* cores' worth of others' work on ours */
    uint64_t ops;               /* the caller counts */
    pid_t pid;
    uint64_t bucket[METER_BUCKETS];
};

static inline unsigned meter_bucket(uint64_t ticks)
{
    unsigned top;

    if (ticks < METER_SUB)
        return (unsigned)ticks;
    top = 63 - (unsigned)__builtin_clzll(ticks);
    return (top - METER_SUB_BITS + 1) * METER_SUB +
           (unsigned)(ticks >> (top - METER_SUB_BITS)) - METER_SUB;
}

/* `num` requests took so many ticks each. */
static inline void meter_add_some(struct meter *m, uint64_t ticks, unsigned num)
{
    m->bucket[meter_bucket(ticks)] += num;
    m->ops += num;
}

static inline void meter_add(struct meter *m, uint64_t ticks)
{
    meter_add_some(m, ticks, 1);
}

/* "0,1": the cores on which no others should work. NULL: not watched. Of
 * every run from here on. */
void meter_watch(const char *cores);

/* The run starts now; the CPU time is that of process pid, all its threads,
 * those of the kernel that work in its name too (0: of this process). Forgets
 * what was measured before. */
void meter_start(struct meter *m, pid_t pid);
void meter_stop(struct meter *m);

/* Of the run, after meter_stop; share from 0 to 1. */
double meter_ns(const struct meter *m, double share);

/* "ops":...,"seconds":...,"cpu_ns":...,"p50_ns":... without braces. */
void meter_print(const struct meter *m);

/* Monotonic. */
uint64_t meter_clock_ns(void);

/* Random block numbers: the same cheap generator for everybody, so that a
 * floor reads what a back-end is asked for. */
static inline uint64_t meter_random(uint64_t *state, uint64_t below)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return (uint64_t)(((unsigned __int128)x * below) >> 64);
}

/* This thread runs on that core only; -1: anywhere. */
void meter_pin(int core);
/* Ends the program with a sentence. */
void meter_die(const char *format, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

#endif
