/* tests/bench/proc.h: what /proc says of a back-end. */
#ifndef VUB_BENCH_PROC_H
#define VUB_BENCH_PROC_H

#include <stdint.h>
#include <sys/types.h>

/* Bytes resident, without what is mapped from files whose name contains
 * `without` (guest memory). 0: unknown. */
uint64_t proc_rss(pid_t pid, const char *without);

/* How often its threads went to sleep, since they started: each time somebody
 * or something had to wake one. */
uint64_t proc_sleeps(pid_t pid);

#endif
