/* store/trace_file.h: the file that a trace of requests is.
 *
 * A head, then one record for each request, in the order of their ends within
 * a worker; docs/trace.md has the bytes. Whoever reads one believes nothing:
 * what comes out of trace_next has been checked, so that no sum of an offset
 * and a length, or difference of two times, wraps.
 * Threads: any, one per reader. */
#ifndef VUB_STORE_TRACE_FILE_H
#define VUB_STORE_TRACE_FILE_H

#include <stdio.h>

#include "store/store.h"

#define TRACE_VERSION 1
#define TRACE_HEAD_BYTES 256
#define TRACE_RECORD_BYTES 40
#define TRACE_DEVICE_BYTES 64
#define TRACE_STORE_BYTES 16
#define TRACE_NO_WORKER 255 /* of a record that is no worker's */

/* What is no request: beyond enum store_op. */
enum trace_mark {
    TRACE_LOST = 8,    /* `len` requests are not here: there was no room for
                        * them in memory; between these times they ended */
    TRACE_STOP = 9,    /* the file has its full size: nothing comes after */
    TRACE_GOES_ON = 10 /* another process goes on, and counts from 0 */
};

struct trace_head {
    uint64_t session;       /* any number: of the two files of a ring */
    uint32_t part;          /* the how many-th file of the session, from 0 */
    uint32_t block_size;    /* bytes, a power of two */
    uint64_t size;          /* of the store, bytes; 0: it was not known */
    uint64_t start_real_ns; /* the clock on the wall, since 1970, when */
    uint64_t start_ns;      /* this was the monotonic clock: time 0 */
    char device[TRACE_DEVICE_BYTES];
    char store[TRACE_STORE_BYTES]; /* the type of what is traced */
};

struct trace_record {
    uint64_t submit_ns, done_ns; /* since the start */
    uint64_t offset, len;        /* bytes; of a flush 0 */
    uint32_t sequence;           /* how many its worker had submitted before */
    uint16_t error;              /* an errno; 0: it went well */
    uint8_t worker;
    uint8_t op;    /* enum store_op or trace_mark */
    uint8_t flags; /* STORE_FUA and so on */
};

static inline bool trace_is_mark(const struct trace_record *r)
{
    return r->op >= TRACE_LOST;
}

/* "read", "lost". */
const char *trace_op_name(unsigned op);

void trace_put_head(const struct trace_head *h, uint8_t out[TRACE_HEAD_BYTES]);
void trace_put(const struct trace_record *r, uint8_t out[TRACE_RECORD_BYTES]);
/* Both: 0, or -EINVAL and a sentence. */
int trace_get_head(struct trace_head *h, const uint8_t in[TRACE_HEAD_BYTES],
                   struct err *e);
int trace_get(struct trace_record *r, const uint8_t in[TRACE_RECORD_BYTES],
              const struct trace_head *h, struct err *e);
/* Does it begin as one of any version does? */
bool trace_is_one(const uint8_t *in, size_t len);

struct trace_reader {
    FILE *f; /* the caller's */
    struct trace_head head;
    uint64_t read; /* records */
    bool torn;     /* the last record is not whole: whoever wrote it died */
};

/* f: at its start. */
int trace_read_head(struct trace_reader *r, FILE *f, struct err *e);
/* 1: *out is the next one; 0: there are no more. */
int trace_next(struct trace_reader *r, struct trace_record *out, struct err *e);

#endif
