/* store/trace_writer.h: writes a trace, by a thread of its own.
 *
 * Whoever has records fills a batch and gives it; the thread writes it and
 * makes it free again. There are so many batches, and no more: while the disk
 * is too slow for the requests none is free, and what has no room is counted.
 * Two may name one file, an old vub and the one that takes over from it: the
 * file is locked, and who does not have the lock waits, and fills batches
 * meanwhile.
 * Threads: any, unless said otherwise. For store/trace.c only. */
#ifndef VUB_STORE_TRACE_WRITER_H
#define VUB_STORE_TRACE_WRITER_H

#include "base/list.h"
#include "store/metrics.h"
#include "store/trace_file.h"

struct loop;
struct trace_writer;

#define TRACE_BATCH_RECORDS 1600u
#define TRACE_BATCH_BYTES (TRACE_BATCH_RECORDS * TRACE_RECORD_BYTES)

struct trace_batch {
    struct list node;
    unsigned num; /* records */
    uint8_t bytes[TRACE_BATCH_BYTES];
};

struct trace_writer_conf {
    const char *path, *second; /* second: NULL: no ring */
    uint64_t max_size;         /* of all files, bytes; 0: none */
    uint64_t buffer;           /* bytes */
    const struct store *store; /* whose it is: for words and events */
};

/* Opens the files, which nobody has locked or changed by then: what is there
 * must be empty, or a trace. [where the store is opened] */
int trace_writer_open(struct trace_writer **out,
                      const struct trace_writer_conf *c, const char *at,
                      struct errs *e);
/* What another process needs to go on. */
struct trace_session {
    uint64_t id, start_ns;
};
struct trace_session trace_writer_session(const struct trace_writer *w);
/* Another process has begun this session: what the file has is kept. Before
 * start. */
void trace_writer_go_on(struct trace_writer *w, struct trace_session s);
/* The thread begins; head: all but its session, part, device and times.
 * Safe twice. */
int trace_writer_start(struct trace_writer *w, const struct trace_head *head,
                       struct err *e);
/* [home] No batch comes any more. What was given is written; gone then, in a
 * turn of the loop, which does not end before, or at once. */
void trace_writer_end(struct trace_writer *w, struct loop *home,
                      void (*gone)(void *arg), void *arg);
/* Waits for the thread, if it has not ended. */
void trace_writer_close(struct trace_writer *w);

/* The monotonic time that records count from. */
uint64_t trace_writer_start_ns(const struct trace_writer *w);
/* The files are full: nothing is wanted any more. */
bool trace_writer_is_full(const struct trace_writer *w);
/* An empty one; NULL: none is free. */
struct trace_batch *trace_writer_take(struct trace_writer *w);
void trace_writer_give(struct trace_writer *w, struct trace_batch *b);
/* There was no room for so many records. */
void trace_writer_lost(struct trace_writer *w, uint64_t num);

/* Adds members to an object. */
void trace_writer_status(struct trace_writer *w, struct json_out *o);
void trace_writer_metrics(struct trace_writer *w,
                          const struct store_metrics_to *to);

#endif
