/* vub trace summary: a trace in figures. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/trace/impl.h"

#define SPANS 20
#define REGIONS 64
#define REGION_MIN (UINT64_C(1) << 20)
#define TOP 8
#define BAR 30

struct op_sum {
    uint64_t count, errors, sequential;
    double bytes;  /* of a hostile file: more than 64 bits have */
    uint64_t next; /* where the last one ended */
    struct histogram took;
};

struct region {
    unsigned index;
    uint64_t reads, others;
    double bytes;
};

struct summary {
    struct op_sum ops[TRACE_OPS];
    struct region regions[REGIONS];
    uint64_t region_bytes;
    struct trace_span spans[SPANS];
    uint64_t end_ns;
};

/* ---- summing up ---- */

static void add_request(struct summary *s, const struct trace_record *r)
{
    struct op_sum *op = &s->ops[r->op];
    struct region *region;

    histogram_add(&op->took, trace_took_ns(r), 1);
    op->errors += r->error != 0;
    op->bytes += (double)r->len;
    if (r->op != STORE_FLUSH) {
        op->sequential += op->count && r->offset == op->next;
        op->next = r->offset + r->len;
        region = &s->regions[MIN(r->offset / s->region_bytes,
                                 REGIONS - UINT64_C(1))];
        region->bytes += (double)r->len;
        if (r->op == STORE_READ)
            region->reads++;
        else
            region->others++;
    }
    op->count++;
}

static uint64_t region_size(const struct trace_set *set)
{
    uint64_t end = set->head.size, size = REGION_MIN;

    for (size_t i = 0; i < set->num; i++)
        end = MAX(end, set->requests[i].offset + set->requests[i].len);
    while (size < end / REGIONS)
        size *= 2;
    return size;
}

static int compare(const void *a, const void *b)
{
    const struct region *x = a, *y = b;
    uint64_t of_x = x->reads + x->others, of_y = y->reads + y->others;

    if (of_x != of_y)
        return of_x < of_y ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

static bool sum_up(struct summary *s, const struct trace_set *set)
{
    s->region_bytes = region_size(set);
    s->end_ns = trace_end_ns(set);
    for (unsigned i = 0; i < REGIONS; i++)
        s->regions[i].index = i;
    for (size_t i = 0; i < set->num; i++)
        add_request(s, &set->requests[i]);
    qsort(s->regions, REGIONS, sizeof(s->regions[0]), compare);
    return trace_spans(set, s->spans, SPANS);
}

/* ---- telling ---- */

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void tell_ops(const struct summary *s)
{
    printf("\n%-8s %10s %7s %9s %6s %9s %9s %9s %9s %9s\n", "", "requests",
           "errors", "bytes", "seq.", "50%", "90%", "99%", "99.9%", "all");
    for (unsigned i = 0; i < TRACE_OPS; i++) {
        const struct op_sum *op = &s->ops[i];
        char size[32];

        if (!op->count)
            continue;
        trace_size_text(op->bytes, size, sizeof(size));
        printf("%-8s %10" PRIu64 " %7" PRIu64, trace_op_name(i), op->count,
               op->errors);
        if (i == STORE_FLUSH)
            printf(" %9s %6s", "", "");
        else
            printf(" %9s %4.0f %%", size, percent(op->sequential, op->count));
        trace_quantiles(stdout, &op->took);
        putchar('\n');
    }
}

static void tell_spans(const struct summary *s)
{
    double width = seconds(s->spans[1].from_ns), top = 0;

    for (unsigned i = 0; i < SPANS; i++)
        top = MAX(top, s->spans[i].depth);
    printf("\n%10s %10s %10s %10s %7s %7s\n", "from s", "req/s", "read/s",
           "written/s", "depth", "most");
    for (unsigned i = 0; i < SPANS; i++) {
        const struct trace_span *p = &s->spans[i];
        char read[32], written[32];
        int bar = top > 0 ? (int)(p->depth / top * BAR + 0.5) : 0;

        trace_size_text((double)p->bytes_read / width, read, sizeof(read));
        trace_size_text((double)p->bytes_written / width, written,
                        sizeof(written));
        printf("%10.3f %10.0f %10s %10s %7.2f %7" PRIu64 " %.*s\n",
               seconds(p->from_ns), (double)p->submitted / width, read, written,
               p->depth, p->depth_max, bar, "##############################");
    }
}

static void tell_regions(const struct summary *s)
{
    char size[32];

    trace_size_text((double)s->region_bytes, size, sizeof(size));
    printf("\nThe busiest regions, of %s:\n%20s %10s %10s %10s\n", size,
           "from byte", "reads", "others", "bytes");
    for (unsigned i = 0; i < TOP; i++) {
        const struct region *r = &s->regions[i];

        if (r->reads + r->others == 0)
            break;
        trace_size_text(r->bytes, size, sizeof(size));
        printf("%20" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10s\n",
               r->index * s->region_bytes, r->reads, r->others, size);
    }
}

static void tell(const struct summary *s, const struct trace_set *set)
{
    trace_about(stdout, &set->head);
    printf("%zu requests in %.3f s\n", set->num, seconds(s->end_ns));
    if (set->lost)
        printf("%" PRIu64 " more are lost: the trace could not be written as "
               "fast as they came\n",
               set->lost);
    if (set->stopped)
        puts("the file is full: what came later is not in it");
    if (set->torn)
        puts("the last record is not whole");
    if (set->num == 0)
        return;
    tell_ops(s);
    tell_spans(s);
    tell_regions(s);
}

/* ---- JSON ---- */

static void add_double(struct json_out *o, const char *key, double value,
                       int digits)
{
    char text[64];

    snprintf(text, sizeof(text), "%.*f", digits, value);
    json_add_raw(o, key, text);
}

static void add_ops(struct json_out *o, const struct summary *s)
{
    json_begin(o, "operations", '{');
    for (unsigned i = 0; i < TRACE_OPS; i++) {
        const struct op_sum *op = &s->ops[i];

        if (!op->count)
            continue;
        json_begin(o, trace_op_name(i), '{');
        json_add_u64(o, "requests", op->count);
        json_add_u64(o, "errors", op->errors);
        add_double(o, "bytes", op->bytes, 0);
        json_add_u64(o, "sequential", op->sequential);
        trace_add_quantiles(o, &op->took);
        json_end(o, '}');
    }
    json_end(o, '}');
}

static void add_spans(struct json_out *o, const struct summary *s)
{
    json_begin(o, "spans", '[');
    for (unsigned i = 0; i < SPANS; i++) {
        const struct trace_span *p = &s->spans[i];

        json_begin(o, NULL, '{');
        json_add_u64(o, "from_ns", p->from_ns);
        json_add_u64(o, "requests", p->submitted);
        json_add_u64(o, "bytes_read", p->bytes_read);
        json_add_u64(o, "bytes_written", p->bytes_written);
        add_double(o, "depth", p->depth, 3);
        json_add_u64(o, "depth_max", p->depth_max);
        json_end(o, '}');
    }
    json_end(o, ']');
}

static void add_regions(struct json_out *o, const struct summary *s)
{
    json_add_u64(o, "region_bytes", s->region_bytes);
    json_begin(o, "regions", '[');
    for (unsigned i = 0; i < TOP; i++) {
        const struct region *r = &s->regions[i];

        if (r->reads + r->others == 0)
            break;
        json_begin(o, NULL, '{');
        json_add_u64(o, "offset", r->index * s->region_bytes);
        json_add_u64(o, "reads", r->reads);
        json_add_u64(o, "others", r->others);
        add_double(o, "bytes", r->bytes, 0);
        json_end(o, '}');
    }
    json_end(o, ']');
}

static int print_json(const struct summary *s, const struct trace_set *set,
                      struct err *e)
{
    struct json_out o = JSON_OUT_EMPTY;

    json_begin(&o, NULL, '{');
    json_add_str(&o, "device", set->head.device);
    json_add_str(&o, "store", set->head.store);
    json_add_u64(&o, "size", set->head.size);
    json_add_u64(&o, "block_size", set->head.block_size);
    json_add_u64(&o, "start_ns", set->head.start_real_ns);
    json_add_u64(&o, "duration_ns", s->end_ns);
    json_add_u64(&o, "requests", set->num);
    json_add_u64(&o, "lost", set->lost);
    json_add_bool(&o, "full", set->stopped);
    json_add_bool(&o, "torn", set->torn);
    add_ops(&o, s);
    add_spans(&o, s);
    add_regions(&o, s);
    json_end(&o, '}');
    return trace_print_json(&o, e);
}

int trace_summary(const struct trace_options *o, struct err *e)
{
    struct summary *s = calloc(1, sizeof(*s));
    struct trace_set set;
    int rc;

    if (!s)
        return err_nomem(e);
    rc = trace_load(&set, o, e);
    if (rc < 0)
        goto out;
    if (!sum_up(s, &set))
        rc = err_nomem(e);
    else if (o->json)
        rc = print_json(s, &set, e);
    else
        tell(s, &set);
    trace_free(&set);
out:
    free(s);
    return rc;
}
