/* vub trace print: one line for each record, as they come in the file. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/control/ctl.h"
#include "daemon/trace/impl.h"

static const char *const flag_words[] = {"fua", "unmap", "hurry"};

static void print_text(const struct trace_record *r)
{
    char took[32];

    show_time((double)trace_took_ns(r), took, sizeof(took));
    printf("%5" PRIu64 ".%09" PRIu64 " ", r->submit_ns / 1000000000,
           r->submit_ns % 1000000000);
    if (r->worker == TRACE_NO_WORKER)
        printf("  - ");
    else
        printf("%3u ", r->worker);
    printf("%10" PRIu32 " %-8s", r->sequence, trace_op_name(r->op));
    if (r->op == TRACE_LOST)
        printf("%" PRIu64 " requests in %s", r->len, took);
    if (trace_is_mark(r)) {
        putchar('\n');
        return;
    }
    printf("%16" PRIu64 " %10" PRIu64 " %10s  %s", r->offset, r->len, took,
           r->error ? strerror(r->error) : "ok");
    for (unsigned i = 0; i < ARRAY_LEN(flag_words); i++)
        if (r->flags >> i & 1)
            printf(" %s", flag_words[i]);
    putchar('\n');
}

static int print_json(const struct trace_record *r, struct err *e)
{
    struct json_out o = JSON_OUT_EMPTY;

    json_begin(&o, NULL, '{');
    json_add_str(&o, "op", trace_op_name(r->op));
    json_add_u64(&o, "submit_ns", r->submit_ns);
    json_add_u64(&o, "done_ns", r->done_ns);
    if (r->op == TRACE_LOST)
        json_add_u64(&o, "requests", r->len);
    if (!trace_is_mark(r)) {
        json_add_u64(&o, "worker", r->worker);
        json_add_u64(&o, "sequence", r->sequence);
        json_add_u64(&o, "offset", r->offset);
        json_add_u64(&o, "length", r->len);
        json_add_u64(&o, "error", r->error);
        json_begin(&o, "flags", '[');
        for (unsigned i = 0; i < ARRAY_LEN(flag_words); i++)
            if (r->flags >> i & 1)
                json_add_str(&o, NULL, flag_words[i]);
        json_end(&o, ']');
    }
    json_end(&o, '}');
    return trace_print_json(&o, e);
}

static int take(void *arg, const struct trace_record *r, struct err *e)
{
    const bool *json = arg;

    if (*json && print_json(r, e) < 0)
        return e->code;
    if (!*json)
        print_text(r);
    /* Nobody reads: no reason to go on through gigabytes. */
    return ferror(stdout) ? err_sys(e, errno, "", "cannot write it") : 0;
}

int trace_print(const struct trace_options *o, struct err *e)
{
    struct trace_head head;
    bool torn, json = o->json;
    int rc;

    if (!json)
        printf("%15s %3s %10s %-8s%16s %10s %10s  %s\n", "seconds", "wkr",
               "sequence", "op", "offset", "length", "took", "result");
    rc = trace_each(o, &head, &torn, take, &json, e);
    if (rc == 0 && torn)
        fputs("vub: the last record is not whole\n", stderr);
    return rc;
}
