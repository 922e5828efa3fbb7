/* Traces, which may be of anybody's making.
 *
 * The first byte says whether the head is put right, since little would be
 * read otherwise; the rest is the file. What must hold: what is read is what
 * docs/trace.md allows, written again it is the same bytes, and sums over time
 * come out. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/trace/impl.h"
#include "fuzz.h"

#define SPANS 7

static int file_fd;
static char path[64];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    file_fd = memfd_create("trace", MFD_CLOEXEC);
    CHECK(file_fd >= 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file_fd);
    return 0;
}

static void check_record(const struct trace_record *r,
                         const struct trace_head *h)
{
    CHECK(trace_op_name(r->op) && r->submit_ns <= r->done_ns);
    CHECK(r->done_ns <= INT64_MAX && !trace_is_mark(r));
    CHECK(r->op < TRACE_OPS && r->error < 4096);
    CHECK(r->offset <= STORE_SIZE_MAX && r->len <= STORE_SIZE_MAX - r->offset);
    CHECK(r->offset % h->block_size == 0 && r->len % h->block_size == 0);
}

/* Through the bytes and back. */
static void check_again(const struct trace_record *r,
                        const struct trace_head *h)
{
    uint8_t bytes[2][TRACE_RECORD_BYTES];
    struct trace_record again;
    struct err e;

    trace_put(r, bytes[0]);
    CHECK(trace_get(&again, bytes[0], h, &e) == 0);
    trace_put(&again, bytes[1]);
    CHECK(memcmp(bytes[0], bytes[1], TRACE_RECORD_BYTES) == 0);
}

static void check_spans(const struct trace_set *s)
{
    struct trace_span spans[SPANS];
    uint64_t submitted = 0;

    CHECK(trace_spans(s, spans, SPANS));
    for (unsigned i = 0; i < SPANS; i++) {
        submitted += spans[i].submitted;
        CHECK(spans[i].depth >= 0 &&
              spans[i].depth <= (double)spans[i].depth_max * 1.001 + 1e-6);
        CHECK(spans[i].depth_max <= s->num);
    }
    CHECK(submitted == s->num);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *files[] = {path, path};
    struct trace_options o = {.files = files, .num_files = 1};
    const struct trace_head good = {.block_size = 512, .size = 1 << 20};
    uint8_t head[TRACE_HEAD_BYTES];
    struct trace_set s;
    struct err e = {0};

    if (size == 0)
        return 0;
    CHECK(ftruncate(file_fd, 0) == 0);
    trace_put_head(&good, head);
    if (data[0] & 1)
        CHECK(pwrite(file_fd, head, sizeof(head), 0) > 0);
    CHECK(pwrite(file_fd, data + 1, size - 1, data[0] & 1 ? sizeof(head) : 0) ==
          (ssize_t)size - 1);
    if (trace_load(&s, &o, &e) < 0) {
        CHECK(e.code < 0 && e.text[0] != '\0' && !s.requests);
        return 0;
    }
    for (size_t i = 0; i < s.num; i++) {
        check_record(&s.requests[i], &s.head);
        check_again(&s.requests[i], &s.head);
        CHECK(i == 0 || s.requests[i].submit_ns >= s.requests[i - 1].submit_ns);
    }
    check_spans(&s);
    trace_free(&s);
    o.num_files = 2; /* the same part twice */
    CHECK(trace_load(&s, &o, &e) < 0);
    return 0;
}
