/* store/delay.h: what the files of the filter `delay` share: delay.c holds
 * requests, delay_time.c says how long.
 *
 * Threads: all of it on the one loop of its device: info.serial. */
#ifndef VUB_STORE_DELAY_H
#define VUB_STORE_DELAY_H

#include "base/prng.h"
#include "store/filter.h"

enum delay_kind {
    DELAY_FIXED,
    DELAY_UNIFORM, /* as likely anywhere within us - spread to us + spread */
    DELAY_NORMAL,  /* around us, with a standard deviation of spread */
    DELAY_DISK,    /* as an arm and a platter have it */
};

/* How long requests of one operation take. */
struct delay_time_conf {
    unsigned kind;
    uint32_t us, spread_us;
};

#define DELAY_OPS (STORE_ZERO + 1)

struct delay_conf {
    struct conf_any next;
    const char *name;
    uint64_t seed;
    struct delay_time_conf all, op[DELAY_OPS];
    bool has_op[DELAY_OPS];
    uint32_t rpm, seek_min_us, seek_max_us;
    uint64_t rate; /* bytes a second */
    bool exact;
};

/* An arm: it does one thing at a time. */
struct delay_arm {
    uint64_t at;      /* where it is, bytes */
    uint64_t free_ns; /* when it has done what it is at */
};

struct delay_clock {
    const struct delay_conf *conf;
    struct prng prng;
    struct delay_arm arm;
};

extern const struct conf_key delay_keys[];

void delay_clock_init(struct delay_clock *c, const struct delay_conf *conf);
/* When r is to go on, which comes now, to a store of `size` bytes; now_ns: at
 * once. What is drawn depends on nothing but the requests before. */
uint64_t delay_until_ns(struct delay_clock *c, const struct store_req *r,
                        uint64_t size, uint64_t now_ns);

#endif
