/* Does a process that serves live? It is asked again and again; one that hangs
 * is killed, and then it has ended like any other.
 *
 * It must not be taken for hanging because something else takes long. So
 *
 * - no clock says that it has not answered, but a count of our own turns: if
 *   this process has had no turn either, because it was stopped, or the machine
 *   has too much to do, that counts for no more than one;
 * - it answers on its main loop, on which nothing waits for a disk or a guest;
 * - one of its workers that does not come back hangs only if it computes all
 * the while. One that waits does so for the system, for a disk that does not
 *   answer perhaps: another process would wait for it, too.
 *
 * Whether it answers the front-end is seen by the relay (relay_conf.overdue).
 */
#include <stdio.h>
#include <string.h>

#include "conf/json.h"
#include "daemon/isolate_impl.h"

/* In a hang_timeout. */
#define PULSES 4

static uint32_t timeout_ms(const struct isolate_process *p)
{
    return p->owner->common->hang_timeout;
}

/* It may say what it likes, of itself only. */
static void hear_worker(struct isolate_process *p, const struct json *said)
{
    double busy_ms = json_member_number(said, "busy_ms");
    char why[160];

    if (busy_ms < timeout_ms(p))
        return;
    snprintf(why, sizeof(why),
             "its worker %.64s has computed for %.0f ms and does not come to "
             "an end",
             json_member_string(said, "worker"), MIN(busy_ms, 1e9));
    process_kill(p, why);
}

static void on_answered(struct isolate_call *c, const char *members,
                        const char *error)
{
    struct isolate_process *p = container_of(c, struct isolate_process, ping);
    struct json_out o = JSON_OUT_EMPTY;
    struct json *said;
    struct err e;

    (void)error; /* whatever keeps it from more: it answers */
    p->asked = false;
    p->missed = 0;
    if (!members || !p->owner)
        return;
    json_begin(&o, NULL, '{');
    json_add_raw(&o, NULL, members);
    json_end(&o, '}');
    said = o.failed ? NULL : json_parse(o.text, o.len, &e);
    if (said)
        hear_worker(p, said);
    json_free(said);
    json_out_free(&o);
}

static void ask(struct isolate_process *p)
{
    struct err e;

    if (!p->asked)
        p->asked = process_ask(p, &p->ping, "keeper.ping", NULL, &e) == 0;
    timer_start(&p->pulse, timeout_ms(p) / PULSES);
}

static void on_pulse(struct timer *t)
{
    struct isolate_process *p = container_of(t, struct isolate_process, pulse);
    char why[80];

    /* One that is to end has its time for that. */
    if (!p->owner || p->owner->closing)
        return;
    if (!p->asked || ++p->missed < PULSES) {
        ask(p);
        return;
    }
    snprintf(why, sizeof(why), "it has not answered for %u ms", timeout_ms(p));
    process_kill(p, why);
}

static void on_pulse_gone(struct timer *t)
{
    process_handle_gone(container_of(t, struct isolate_process, pulse));
}

void process_pulse_start(struct isolate_process *p)
{
    if (timeout_ms(p) == DEVICE_HANG_NEVER)
        return;
    p->ping.answered = on_answered;
    p->pulse.fire = on_pulse;
    p->pulse.gone = on_pulse_gone;
    timer_open(&p->pulse, p->owner->main);
    p->has_pulse = true;
    p->handles++;
    ask(p);
}

void process_pulse_stop(struct isolate_process *p)
{
    if (p->has_pulse)
        timer_close(&p->pulse);
    p->has_pulse = false;
}
