/* What the commands of vub trace print alike: sizes, times, whose a trace is.
 */
#include <stdio.h>
#include <time.h>

#include "daemon/control/ctl.h"
#include "daemon/trace/impl.h"

void trace_size_text(double bytes, char *out, size_t room)
{
    static const char units[] = "BKMGTPE";
    unsigned u = 0;

    for (; bytes >= 1024 && u < sizeof(units) - 2; u++)
        bytes /= 1024;
    if (u == 0)
        snprintf(out, room, "%.0f B", bytes);
    else
        snprintf(out, room, bytes < 10 ? "%.1f %ciB" : "%.0f %ciB", bytes,
                 units[u]);
}

void trace_about(FILE *f, const struct trace_head *h)
{
    time_t since = (time_t)(h->start_real_ns / 1000000000);
    char when[64] = "", size[32];
    struct tm tm;

    if (gmtime_r(&since, &tm))
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm);
    trace_size_text((double)h->size, size, sizeof(size));
    show_text(f, h->device);
    fputs(", store ", f);
    show_text(f, h->store);
    fprintf(f, " of %s, since %s\n", h->size ? size : "unknown size", when);
}

static const struct {
    uint32_t millionths;
    const char *key;
} quantiles[] = {{500000, "p50_ns"},
                 {900000, "p90_ns"},
                 {990000, "p99_ns"},
                 {999000, "p999_ns"},
                 {1000000, "max_ns"}};

void trace_quantiles(FILE *f, const struct histogram *h)
{
    char time[32];

    for (unsigned i = 0; i < ARRAY_LEN(quantiles); i++) {
        show_time((double)histogram_quantile(h, quantiles[i].millionths), time,
                  sizeof(time));
        fprintf(f, " %9s", time);
    }
}

void trace_add_quantiles(struct json_out *o, const struct histogram *h)
{
    for (unsigned i = 0; i < ARRAY_LEN(quantiles); i++)
        json_add_u64(o, quantiles[i].key,
                     histogram_quantile(h, quantiles[i].millionths));
}

int trace_print_json(struct json_out *o, struct err *e)
{
    bool failed = o->failed;

    if (!failed)
        puts(o->text);
    json_out_free(o);
    return failed ? err_nomem(e) : 0;
}
