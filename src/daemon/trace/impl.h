/* daemon/trace/impl.h: for daemon/trace/ only.
 *
 * Traces are strangers' files: what is in memory of one has been checked by
 * its reader, and is bounded. Times are nanoseconds since the trace began. */
#ifndef VUB_DAEMON_TRACE_IMPL_H
#define VUB_DAEMON_TRACE_IMPL_H

#include "base/histogram.h"
#include "daemon/trace/trace.h"
#include "store/trace_file.h"

/* Records that are looked at together: 1.6 GB of memory. */
#define TRACE_LOAD_MAX (UINT32_C(1) << 25)
#define TRACE_OPS (STORE_ZERO + 1)

struct trace_options {
    char **files;
    int num_files; /* 1, or 2: a ring */
    bool json, help;

    const char *output; /* of plot */

    /* of replay */
    const char *store, *config, *device;
    bool fast, write;
    uint32_t depth; /* 0: as it comes */
};

/* ---- reading: load.c ---- */

/* Calls take for each record, those of the older file first; a negative value
 * of its ends it. *torn: a file ends in the middle of one. head: of the older
 * one. */
int trace_each(const struct trace_options *o, struct trace_head *head,
               bool *torn,
               int (*take)(void *arg, const struct trace_record *r,
                           struct err *e),
               void *arg, struct err *e);

struct trace_set {
    struct trace_head head;
    struct trace_record *requests; /* in the order of submission; owned */
    size_t num;
    uint64_t lost;
    bool stopped, torn;
};

int trace_load(struct trace_set *s, const struct trace_options *o,
               struct err *e);
void trace_free(struct trace_set *s);

static inline uint64_t trace_took_ns(const struct trace_record *r)
{
    return r->done_ns - r->submit_ns;
}

/* ---- what the commands print alike: text.c ---- */

/* "4.0 KiB". */
void trace_size_text(double bytes, char *out, size_t room);
/* One line for a person: whose trace it is, when, how long. */
void trace_about(FILE *f, const struct trace_head *h);
/* A line of latencies: "12.3 us" for each of 50%, 90%, 99%, 99.9%, all. */
void trace_quantiles(FILE *f, const struct histogram *h);
void trace_add_quantiles(struct json_out *o, const struct histogram *h);
/* Prints the object on a line of its own, and frees it. 0 or -ENOMEM. */
int trace_print_json(struct json_out *o, struct err *e);

/* ---- load over time: spans.c ---- */

/* How many requests were under way, and what came, in equal spans of time. */
struct trace_span {
    uint64_t from_ns;
    uint64_t submitted, bytes_read, bytes_written;
    double depth;       /* on average */
    uint64_t depth_max; /* at any moment */
};
uint64_t trace_end_ns(const struct trace_set *s); /* at least 1 */
/* False: no memory. */
bool trace_spans(const struct trace_set *s, struct trace_span *out,
                 unsigned num);

/* ---- of replay: store.c ---- */

/* The store that the options name, opened and with its image lock. What is set
 * is the caller's, also on failure. */
int trace_open_store(const struct trace_options *o, struct conf_doc **doc,
                     struct store **out, bool *acquired, struct err *e);

/* ---- the commands ---- */

int trace_print(const struct trace_options *o, struct err *e);
int trace_summary(const struct trace_options *o, struct err *e);
int trace_plot(const struct trace_options *o, struct err *e);
int trace_replay(const struct trace_options *o, struct err *e);

#endif
