/* What is told of the start is noted while it goes on, since struct take_over
 * ends with it. */
#include "daemon/origin.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "loop/loop.h"

void origin_begin(struct origin *o)
{
    o->started_s = (int64_t)time(NULL);
}

void origin_note(struct origin *o, const struct take_over *t)
{
    o->pid = t->pid;
    snprintf(o->version, sizeof(o->version), "%s", t->version);
}

void origin_tell(struct origin *o, const struct take_over *t)
{
    o->front_ends = t->front_ends;
    o->pause_ms = (loop_now_ns() - t->began_ns) / 1000000;
    log_info(NULL,
             "%u front-end%s taken over from process %d, within %" PRIu64 " ms",
             o->front_ends, o->front_ends == 1 ? "" : "s", o->pid, o->pause_ms);
}

void origin_status(const struct origin *o, struct json_out *out)
{
    time_t seconds = (time_t)o->started_s;
    char text[40] = "";
    struct tm tm;

    if (gmtime_r(&seconds, &tm) &&
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
        json_add_str(out, "started", text);
    if (!o->pid)
        return;
    json_begin(out, "taken_over", '{');
    json_add_i64(out, "pid", o->pid);
    json_add_str(out, "version", o->version);
    json_add_u64(out, "front_ends", o->front_ends);
    json_add_u64(out, "pause_ms", o->pause_ms);
    json_end(out, '}');
}
