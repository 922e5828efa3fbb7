/* store/limits.h: what a throttle may be told to hold its users to.
 *
 * Operations and bytes a second, each of everything, of what reads and of what
 * writes, and for each how many may come at once after a quiet time. The same
 * keys stand in a config and in the parameters of throttle.set, hence one list
 * of rows for both. */
#ifndef VUB_STORE_LIMITS_H
#define VUB_STORE_LIMITS_H

#include "conf/conf.h"
#include "store/store.h"

enum limit_kind { LIMIT_ALL, LIMIT_READS, LIMIT_WRITES, LIMIT_KINDS };

/* Whatever has these keys starts with it. */
struct limits_conf {
    uint32_t iops[LIMIT_KINDS], iops_burst[LIMIT_KINDS];
    uint64_t bps[LIMIT_KINDS], bps_burst[LIMIT_KINDS];
    bool has_iops[LIMIT_KINDS], has_iops_burst[LIMIT_KINDS];
    bool has_bps[LIMIT_KINDS], has_bps_burst[LIMIT_KINDS];
};

struct limit {
    uint64_t rate;  /* a second; 0: none */
    uint64_t burst; /* 0: what bucket_depth makes of it */
};

struct limits {
    struct limit ops[LIMIT_KINDS], bytes[LIMIT_KINDS];
};

void limits_of(struct limits *l, const struct limits_conf *c);
/* The keys that are given, and only they. */
void limits_change(struct limits *l, const struct limits_conf *c);
bool limits_are_none(const struct limits *l);
bool limits_are_same(const struct limits *a, const struct limits *b);
/* A burst of what has no limit is a mistake: the name of its key, or NULL. */
const char *limits_bad_burst(const struct limits *l);
/* Of operations and of bytes: "all", "read", "write". */
extern const char *const limit_kind_words[LIMIT_KINDS];
/* Members of an object, by the names of the keys; said: as a config has them,
 * without what follows from others. */
void limits_tell_said(const struct limits *l, struct json_out *o);
void limits_tell(const struct limits *l, struct json_out *o);

#define LIMITS_KEY(key, type, field, kind, what)                               \
    {                                                                          \
        key, type, CONF_AT(struct limits_conf, field[kind]),                   \
            .seen_offset = CONF_SEEN(struct limits_conf, has_##field[kind]),   \
            .live = true, .max = (type) == CONF_SIZE ? STORE_SIZE_MAX : 0,     \
            .help = what                                                       \
    }

#define LIMITS_KEYS                                                            \
    LIMITS_KEY("iops", CONF_U32, iops, LIMIT_ALL,                              \
               "How many operations a second; 0: no limit."),                  \
        LIMITS_KEY("iops_burst", CONF_U32, iops_burst, LIMIT_ALL,              \
                   "How many may come at once after a quiet time; 0: a tenth " \
                   "of a second's. No less than a hundredth of a second's "    \
                   "counts."),                                                 \
        LIMITS_KEY("iops_read", CONF_U32, iops, LIMIT_READS,                   \
                   "The same of reads alone."),                                \
        LIMITS_KEY("iops_read_burst", CONF_U32, iops_burst, LIMIT_READS,       \
                   "Their burst."),                                            \
        LIMITS_KEY("iops_write", CONF_U32, iops, LIMIT_WRITES,                 \
                   "The same of all that is no read: writes, flushes, "        \
                   "discards and zeroing."),                                   \
        LIMITS_KEY("iops_write_burst", CONF_U32, iops_burst, LIMIT_WRITES,     \
                   "Their burst."),                                            \
        LIMITS_KEY("bps", CONF_SIZE, bps, LIMIT_ALL,                           \
                   "How many bytes a second are read, written and zeroed; 0: " \
                   "no limit."),                                               \
        LIMITS_KEY("bps_burst", CONF_SIZE, bps_burst, LIMIT_ALL,               \
                   "How many may come at once after a quiet time; 0: a tenth " \
                   "of a second's. A larger request waits until it is saved "  \
                   "up for."),                                                 \
        LIMITS_KEY("bps_read", CONF_SIZE, bps, LIMIT_READS,                    \
                   "The same of reads alone."),                                \
        LIMITS_KEY("bps_read_burst", CONF_SIZE, bps_burst, LIMIT_READS,        \
                   "Their burst."),                                            \
        LIMITS_KEY("bps_write", CONF_SIZE, bps, LIMIT_WRITES,                  \
                   "The same of what is written and zeroed."),                 \
        LIMITS_KEY("bps_write_burst", CONF_SIZE, bps_burst, LIMIT_WRITES,      \
                   "Their burst.")

#endif
