/* store/trace_output.h: the files of a trace that is written: one, or two that
 * are a ring.
 *
 * Knows where it is in them and how large they may get. Errors are negative
 * errno, unless said otherwise; after one of writing the file ends where it
 * ended before.
 * Threads: one at a time, but for `bytes`. For store/trace_writer.c only. */
#ifndef VUB_STORE_TRACE_OUTPUT_H
#define VUB_STORE_TRACE_OUTPUT_H

#include "base/log.h"
#include "store/trace_file.h"

struct trace_output {
    /* The caller's to set, before open. */
    const char *id;      /* of the device, for log lines */
    const char *path[2]; /* second NULL: no ring */
    uint64_t max_size;   /* of all files, bytes; 0: none */
    struct log_limit limit;
    /* And this before they begin; but part is ours. */
    struct trace_head head;

    int fd[2];      /* -1: closed */
    unsigned now;   /* which of them is written to */
    uint64_t at;    /* where that ends, bytes; 0: it has no head yet */
    uint64_t bytes; /* atomic: written so far, of all */
};

/* Opens them: what is there must be empty, or a trace, and nothing is changed.
 * Errors are in e, under the keys "path" and "second" of what is at `at`. Close
 * is due also on failure, and safe before open if fd are -1. */
int trace_output_open(struct trace_output *o, const char *at, struct errs *e);
void trace_output_close(struct trace_output *o);

/* True: nobody else writes until unlock, or there are no locks on this file
 * system. False: another process has the lock. */
bool trace_output_try_lock(struct trace_output *o);
void trace_output_unlock(struct trace_output *o);

/* All anew: a head, and nothing else. */
int trace_output_begin(struct trace_output *o);
/* Instead: behind what another process of this session has written. False:
 * there is no such. */
bool trace_output_go_on(struct trace_output *o);
/* The head is there, if there was no room for it when the file began. */
int trace_output_ready(struct trace_output *o);
/* Of a ring: the other file begins anew. */
int trace_output_swap(struct trace_output *o);

/* How many records still fit into the file. */
uint64_t trace_output_room(const struct trace_output *o);
/* All of it, or nothing. len: bytes, whole records. */
int trace_output_put(struct trace_output *o, const uint8_t *bytes,
                     uint64_t len);

static inline bool trace_output_is_ring(const struct trace_output *o)
{
    return o->path[1] != NULL;
}

static inline const char *trace_output_path(const struct trace_output *o)
{
    return o->path[o->now];
}

#endif
