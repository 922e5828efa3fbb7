/* Nothing waits for the manager: what does not fit into its socket is sent
 * later, in order. Front-ends that come and go in a loop cost it a line a
 * second.
 *
 * The watchdog's pings come from the main loop, so they mean that signals and
 * the control socket are heard. A worker that is stuck does not end them: it
 * waits for the system, which a restart would wait for too, and the devices of
 * other workers are well. The status line tells of it. */
#include "daemon/service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/text.h"

#define STATUS_MS 1000 /* between two lines */
#define AGAIN_MS 100

static void warn(struct service *s, int rc)
{
    if (!s->warned)
        log_warn(NULL, "the service manager cannot be told anything: %s",
                 strerror(-rc));
    s->warned = true;
}

/* False: it has to be sent again. */
static bool send_lines(struct service *s, const char *lines)
{
    int rc = notify_send(&s->notify, lines);

    if (rc == -EAGAIN || rc == -ENOBUFS)
        return false;
    if (rc < 0)
        warn(s, rc);
    return true;
}

static void drop_oldest(struct service *s)
{
    s->num_owed--;
    memmove(s->owed[0], s->owed[1], s->num_owed * sizeof(s->owed[0]));
}

static bool send_owed(struct service *s)
{
    while (s->num_owed > 0 && send_lines(s, s->owed[0]))
        drop_oldest(s);
    return s->num_owed == 0;
}

static void describe(const struct service *s, char *out, size_t room)
{
    unsigned front_ends = __atomic_load_n(&s->front_ends, __ATOMIC_RELAXED);
    size_t len = 0;

    text_add(out, room, &len, "STATUS=%s%u device%s, %u with a front-end",
             s->stopping ? "stopping: " : "", s->devices,
             s->devices == 1 ? "" : "s", front_ends);
    if (s->stuck)
        text_add(out, room, &len, "; %u worker%s for the system", s->stuck,
                 s->stuck == 1 ? " waits" : "s wait");
}

static bool send_status(struct service *s)
{
    char line[200];

    describe(s, line, sizeof(line));
    return send_lines(s, line);
}

/* Whatever there is to say and may be said now. */
static void speak(struct service *s)
{
    if (!s->open || s->silent)
        return;
    if (!send_owed(s)) {
        timer_start(&s->later, AGAIN_MS);
        return;
    }
    if (!s->status_due || uv_is_active((uv_handle_t *)&s->later.uv))
        return;
    s->status_due = !send_status(s);
    timer_start(&s->later, s->status_due ? AGAIN_MS : STATUS_MS);
}

static void on_later(struct timer *t)
{
    speak(container_of(t, struct service, later));
}

/* Lines, and how things stand, in one. */
static void tell(struct service *s, const char *lines)
{
    char status[200];

    if (!s->open || s->silent)
        return;
    if (s->num_owed == SERVICE_OWED_MAX) /* the newest are what counts */
        drop_oldest(s);
    describe(s, status, sizeof(status));
    snprintf(s->owed[s->num_owed++], sizeof(s->owed[0]), "%s\n%s", lines,
             status);
    speak(s);
}

/* One that is lost is followed by another before it is late. */
static void ping(struct service *s)
{
    if (!s->open || s->notify.watchdog_us == 0)
        return;
    if (!s->silent)
        send_lines(s, "WATCHDOG=1");
    timer_start(&s->ping, MAX(s->notify.watchdog_us / 2000, UINT64_C(1)));
}

static void on_ping(struct timer *t)
{
    ping(container_of(t, struct service, ping));
}

static void on_counted(struct mail *m)
{
    struct service *s = container_of(m, struct service, counted);

    __atomic_store_n(&s->mail_sent, false, __ATOMIC_SEQ_CST);
    s->status_due = s->ready;
    speak(s);
}

void service_count(struct service *s, int change)
{
    __atomic_fetch_add(&s->front_ends, (unsigned)change, __ATOMIC_SEQ_CST);
    if (s->open && !__atomic_exchange_n(&s->mail_sent, true, __ATOMIC_SEQ_CST))
        loop_post(s->main, &s->counted);
}

void service_stuck(struct service *s, unsigned workers)
{
    s->stuck = workers;
    s->status_due = s->ready;
    speak(s);
}

void service_devices(struct service *s, unsigned devices)
{
    s->devices = devices;
    s->status_due = s->ready;
    speak(s);
}

void service_ready(struct service *s, unsigned devices)
{
    char lines[60] = "READY=1";

    s->devices = devices;
    s->ready = true;
    /* Who has taken over is another one than the manager has started. */
    if (s->has_joined)
        snprintf(lines, sizeof(lines), "READY=1\nMAINPID=%d", (int)getpid());
    tell(s, lines);
}

void service_join(struct service *s, const char *name, uint64_t watchdog_us)
{
    snprintf(s->joins, sizeof(s->joins), "%s", name);
    s->joins_watchdog_us = watchdog_us;
    s->has_joined = s->silent = true;
}

void service_speak(struct service *s)
{
    s->silent = false;
    ping(s); /* the last one of the vub before may be half the time old */
}

uint64_t service_manager(const struct service *s, char *name, size_t room)
{
    if (!s->open || !notify_name(&s->notify, name, room)) {
        name[0] = '\0';
        return 0;
    }
    return s->notify.watchdog_us;
}

static void tell_main(struct service *s, int pid)
{
    char line[40];

    snprintf(line, sizeof(line), "MAINPID=%d", pid);
    if (s->open && pid > 0)
        send_lines(s, line);
}

void service_hand_over(struct service *s, int pid)
{
    if (s->open)
        send_owed(s);
    tell_main(s, pid);
    s->silent = true;
}

void service_take_back(struct service *s)
{
    s->silent = false;
    tell_main(s, getpid());
    ping(s);
}

void service_reloading(struct service *s)
{
    char lines[100];

    if (!s->ready || s->stopping)
        return;
    /* systemd waits for one that is younger than its signal. */
    snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
             loop_now_ns() / 1000);
    tell(s, lines);
}

void service_reloaded(struct service *s)
{
    if (s->ready && !s->stopping)
        tell(s, "READY=1");
}

void service_stopping(struct service *s, uint64_t within_ms)
{
    char lines[100];

    s->stopping = true;
    snprintf(lines, sizeof(lines), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64,
             within_ms * 1000);
    tell(s, lines);
}

void service_open(struct service *s, struct loop *main)
{
    struct err why;

    s->main = main;
    if (notify_open(&s->notify, &why) < 0 ||
        notify_join(&s->notify, s->joins, s->joins_watchdog_us, &why) < 0)
        log_warn(NULL, "%s: %s", why.where, why.text);
    if (s->notify.fd < 0)
        return;
    s->open = true;
    s->counted.run = on_counted;
    s->later.fire = on_later;
    timer_open(&s->later, main);
    s->ping.fire = on_ping;
    timer_open(&s->ping, main);
    if (s->notify.watchdog_us > 0)
        timer_start(&s->ping, 1);
}

void service_close(struct service *s)
{
    if (!s->open)
        return;
    s->open = false;
    timer_close(&s->later);
    timer_close(&s->ping);
    notify_close(&s->notify);
}
