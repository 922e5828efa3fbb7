/* SYNCHRONIZE CACHE over a session of its own, on a loop of its own, which the
 * calling thread runs till then. It asks nothing of the loops that serve the
 * guest: one of them may be about to wait for the caller. The cache is the
 * unit's, not a session's: what any of them has been told is written. */
#include "store/iscsi_sync.h"

#include <errno.h>
#include <string.h>

#include "loop/loop.h"
#include "loop/timer.h"
#include "store/iscsi_probe.h"

#define TICK_MS 50
#define PATIENCE_MS 30000
#define TRIES_MAX 100

struct sync {
    struct loop loop;
    struct iscsi_unit unit;
    struct iscsi_cmd cmd;
    struct timer tick;
    uint64_t end_ns;
    unsigned tries;
    bool waits; /* to be asked again, at the next tick */
    bool late;
    int result;
};

static void on_gone(struct iscsi_unit *u)
{
    loop_stop(&container_of(u, struct sync, unit)->loop);
}

static void end(struct sync *s, int result)
{
    s->result = result;
    timer_close(&s->tick);
    iscsi_close(&s->unit);
}

static void on_done(struct iscsi_cmd *c);

static void ask(struct sync *s)
{
    struct iscsi_cmd *c = &s->cmd;

    memset(c, 0, sizeof(*c));
    c->cdb[0] = SCSI_SYNC_CACHE_10;
    c->cdb_len = 10;
    c->done = on_done;
    iscsi_submit(&s->unit, c);
    iscsi_kick(&s->unit);
}

static void on_done(struct iscsi_cmd *c)
{
    struct sync *s = container_of(c, struct sync, cmd);
    bool answered = c->end == ISCSI_ANSWERED;
    uint16_t asc;

    if (answered && c->status == SCSI_GOOD)
        end(s, 0);
    else if (s->late || c->end == ISCSI_TIMED_OUT)
        end(s, -ETIMEDOUT);
    else if (++s->tries < TRIES_MAX && iscsi_is_attention(c, &asc))
        ask(s);
    else if (s->tries < TRIES_MAX && answered &&
             (c->status == SCSI_BUSY || c->status == SCSI_TASK_SET_FULL))
        s->waits = true;
    else
        end(s, -EIO);
}

static void on_tick(struct timer *t)
{
    struct sync *s = container_of(t, struct sync, tick);

    s->late = loop_now_ns() >= s->end_ns;
    if (s->waits && s->late) {
        end(s, -ETIMEDOUT);
        return;
    }
    if (s->late) {
        iscsi_give_up(&s->cmd); /* which ends it a little later */
        return;
    }
    timer_start(&s->tick, TICK_MS);
    if (s->waits) {
        s->waits = false;
        ask(s);
    }
}

int iscsi_sync(const struct iscsi_conf *c, const char *id)
{
    struct sync s = {.unit.gone = on_gone};
    uint64_t ms = c->io_timeout ? c->io_timeout : PATIENCE_MS;
    struct err e;
    int rc;

    rc = loop_open(&s.loop, "sync");
    if (rc < 0)
        return rc;
    rc = iscsi_open(&s.unit, c, &s.loop, id, &e);
    if (rc < 0)
        goto out;
    s.end_ns = loop_now_ns() + ms * 1000000;
    s.tick.fire = on_tick;
    timer_open(&s.tick, &s.loop);
    timer_start(&s.tick, TICK_MS);
    ask(&s);
    loop_run(&s.loop);
    rc = s.result;
out:
    loop_close(&s.loop);
    return rc;
}
