/* os/linux/cachestat.h: a system call of Linux 6.5 for older headers. */
#ifndef VUB_OS_LINUX_CACHESTAT_H
#define VUB_OS_LINUX_CACHESTAT_H

#include <stdint.h>
#include <sys/syscall.h>

#ifdef SYS_cachestat
#include <linux/mman.h>
#define CALL_CACHESTAT SYS_cachestat
#else
/* The number is the same everywhere but on these two. */
#if defined(__mips__) || defined(__alpha__)
#define CALL_CACHESTAT (-1)
#else
#define CALL_CACHESTAT 451
#endif
struct cachestat_range {
    uint64_t off, len;
};
struct cachestat {
    uint64_t nr_cache, nr_dirty, nr_writeback, nr_evicted, nr_recently_evicted;
};
#endif

#endif
