/* A kid is this same program again, with the text of its device behind "child":
 * connections come to it over its door, one after the other. Between it and the
 * relay stands a struct between, which counts messages, and kills when one is
 * due. */
#include "kids.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/log.h"
#include "device/devices.h"
#include "device_text.h"
#include "loop/timer.h"
#include "os/process.h"
#include "os/sock.h"
#include "vhost/conn.h"
#include "vhost/endpoint.h"

extern char **environ;

#define DOOR_FD 3

/* ---- the child ---- */

struct server {
    struct loop loop;
    struct loop *ring_loop[DEVICE_MAX_QUEUES];
    struct conf_doc *doc;
    struct endpoint *endpoint;
    bool done;
};

static void fail_child(const char *what)
{
    fprintf(stderr, "child: %s\n", what);
    _exit(1);
}

static void on_device_gone(void *arg)
{
    struct server *s = arg;

    s->done = true;
}

static void on_closed(struct endpoint *ep, void *arg)
{
    (void)arg;
    endpoint_free(ep);
}

static void on_disconnected(struct endpoint *ep, void *arg)
{
    endpoint_close(ep, on_closed, arg);
}

static struct device *open_device(struct server *s, const char *config)
{
    struct errs errs = ERRS_EMPTY;
    struct conf_any conf;
    struct device *d;

    if (device_text_read(&conf, &s->doc, config, NULL, &errs) < 0 ||
        device_type_of(&conf)->open(&d, &conf, &errs) < 0)
        fail_child(errs.list[0].text);
    errs_free(&errs);
    d->home = &s->loop;
    for (unsigned i = 0; i < d->num_queues; i++)
        s->ring_loop[i] = &s->loop;
    d->ring_loop = s->ring_loop;
    d->gone = on_device_gone;
    d->gone_arg = s;
    return d;
}

static void serve(struct server *s, const char *config, int fd)
{
    const struct endpoint_conf c = {
        .fd = fd,
        .kind = SOCK_CONNECTED,
        .queue_size = 1024,
        .drain_timeout_ms = 5000,
        .recovers_first = true,
        .exit_on_disconnect = true,
        .disconnected = on_disconnected,
    };
    struct err e;

    if (endpoint_open(&s->endpoint, open_device(s, config), &c, &e) < 0 ||
        endpoint_start(s->endpoint, &e) < 0)
        fail_child(e.text);
    while (!s->done)
        uv_run(&s->loop.uv, UV_RUN_ONCE);
    s->done = false;
    conf_free(s->doc);
}

void kids_main(int argc, char **argv)
{
    struct server s = {0};
    int fds[SOCK_FDS_ROOM];
    unsigned num;
    char byte;

    if (argc != 3 || strcmp(argv[1], "child") != 0)
        return;
    process_init();
    rig_setup(NULL);
    if (loop_open(&s.loop, "child") < 0)
        fail_child("no loop");
    s.loop.devices = s.loop.block_devices = 1;
    for (;;) {
        num = 0;
        if (sock_wait(DOOR_FD, false, -1) < 0)
            continue;
        if (sock_recv(DOOR_FD, &byte, 1, fds, &num) <= 0 || num != 1)
            break;
        serve(&s, argv[2], fds[0]);
    }
    _exit(0);
}

/* ---- who passes messages on ---- */

struct between {
    struct kids *kids;
    struct conn relay, child;
    unsigned handles;
};

struct kids {
    struct rig *r;
    char config[256], sticky[400];
    bool sticks; /* the next one */
    struct closer *closer;
    pid_t pid;
    int door;
    struct between *between; /* the newest; NULL: none */
    unsigned alive;          /* of those */
    struct timer timer;      /* to kill a little later */
    bool timer_gone, kills, stopping;
    enum kids_kill when;
    unsigned at, every, killed;
};

static void on_gone(struct between *b)
{
    if (--b->handles > 0)
        return;
    b->kids->alive--;
    free(b);
}

static void on_relay_gone(struct conn *c)
{
    on_gone(container_of(c, struct between, relay));
}

static void on_child_gone(struct conn *c)
{
    on_gone(container_of(c, struct between, child));
}

static void drop_between(struct kids *k)
{
    struct between *b = k->between;

    if (!b)
        return;
    k->between = NULL;
    conn_close(&b->relay);
    conn_close(&b->child);
}

static void spawn(struct kids *k)
{
    char *argv[] = {"unit_vhost_kid", "child",
                    k->sticks ? k->sticky : k->config, NULL};
    posix_spawn_file_actions_t actions;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        abort();
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[1], DOOR_FD);
    if (posix_spawn(&k->pid, "/proc/self/exe", &actions, NULL, argv, environ))
        abort();
    posix_spawn_file_actions_destroy(&actions);
    close(pair[1]);
    k->door = pair[0];
    k->sticks = false;
    relay_child_here(k->r->relay);
}

static void bury(struct kids *k)
{
    kill(k->pid, SIGKILL);
    while (waitpid(k->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close(k->door);
    k->door = -1;
    drop_between(k);
}

static void kill_now(struct kids *k)
{
    k->killed++;
    bury(k);
    relay_child_lost(k->r->relay);
    spawn(k);
}

static void on_timer(struct timer *t)
{
    kill_now(container_of(t, struct kids, timer));
}

/* Is this the message, and the time? */
static bool is_due(struct kids *k, enum kids_kill when)
{
    return k->kills && k->when == when && k->at == 0;
}

static void count(struct kids *k)
{
    if (!k->kills)
        return;
    if (k->at > 0)
        k->at--;
    else if (k->every)
        k->at = k->every - 1;
    else
        k->kills = false;
}

static void on_question(struct conn *c, struct msg *m)
{
    struct between *b = container_of(c, struct between, relay);
    struct kids *k = b->kids;
    int fds[SOCK_FDS_MAX];

    if (k->between != b)
        return;
    if (is_due(k, KILL_BEFORE)) {
        count(k);
        kill_now(k);
        return;
    }
    for (unsigned i = 0; i < m->num_fds; i++)
        fds[i] = fcntl(m->fds[i], F_DUPFD_CLOEXEC, 0);
    conn_send_fds(&b->child, &m->header, &m->payload, fds, m->num_fds);
}

static void on_answer(struct conn *c, struct msg *m)
{
    struct between *b = container_of(c, struct between, child);
    struct kids *k = b->kids;
    bool unanswered = is_due(k, KILL_UNANSWERED);
    bool answered = is_due(k, KILL_ANSWERED);

    if (k->between != b)
        return;
    count(k);
    if (unanswered) {
        kill_now(k);
        return;
    }
    conn_send_fds(&b->relay, &m->header, &m->payload, m->fds, m->num_fds);
    m->num_fds = 0;
    conn_next(&b->relay);
    conn_next(&b->child);
    if (answered)
        timer_start(&k->timer, 1);
}

static void on_broken(struct conn *c, bool mistake, const char *why)
{
    (void)mistake;
    (void)why;
    (void)c; /* the timer, or kids_kill, ends the child */
}

static void on_relay_broken(struct conn *c, bool mistake, const char *why)
{
    struct between *b = container_of(c, struct between, relay);

    (void)mistake;
    (void)why;
    if (b->kids->between == b)
        drop_between(b->kids);
}

static void on_half_done(struct conn *c)
{
    (void)c;
}

static int on_pass(struct rig *r, uint64_t leg, int fd)
{
    struct kids *k = r->user;
    struct between *b = calloc(1, sizeof(*b));
    int pair[2];

    (void)leg;
    if (!b || sock_pair(pair) < 0)
        abort();
    b->kids = k;
    b->handles = 2;
    b->relay.closer = b->child.closer = k->closer;
    b->relay.message = on_question;
    b->child.message = on_answer;
    b->relay.broken = on_relay_broken;
    b->child.broken = on_broken;
    b->relay.half_done = b->child.half_done = on_half_done;
    b->relay.gone = on_relay_gone;
    b->child.gone = on_child_gone;
    if (conn_open(&b->relay, &r->loop, fd) < 0 ||
        conn_open(&b->child, &r->loop, pair[0]) < 0)
        abort();
    if (sock_send(k->door, "f", 1, &pair[1], 1) != 1)
        abort();
    close(pair[1]);
    drop_between(k);
    k->between = b;
    k->alive++;
    return 0;
}

/* ---- the test's ---- */

static void do_start(struct rig *r, void *arg)
{
    (void)arg;
    spawn(r->user);
}

static void on_timer_gone(struct timer *t)
{
    container_of(t, struct kids, timer)->timer_gone = true;
}

void kids_start(struct rig *r, uint64_t bytes)
{
    struct kids *k = front_calloc(1, sizeof(*k));
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/disk", r->at.dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    close(fd);
    snprintf(k->config, sizeof(k->config),
             "'id': 'd', 'type': 'block', 'store': {'type': 'file', 'path': "
             "'%s'}",
             path);
    snprintf(k->sticky, sizeof(k->sticky),
             "'id': 'd', 'type': 'block', 'store': {'type': 'fault', 'rules': "
             "[{'op': 'write', 'stuck': true, 'offset': %u, 'length': 512}], "
             "'next': {'type': 'file', 'path': '%s'}}",
             KIDS_STUCK * 512, path);
    k->r = r;
    k->timer.fire = on_timer;
    k->timer.gone = on_timer_gone;
    r->user = k;
    r->pass = on_pass;
    k->closer = closer_new(NULL, NULL);
    timer_open(&k->timer, &r->loop);
    rig_do(r, do_start, NULL);
}

struct plan {
    unsigned at, every;
    enum kids_kill when;
};

static void do_kill_at(struct rig *r, void *arg)
{
    const struct plan *p = arg;
    struct kids *k = r->user;

    k->at = p->at;
    k->every = p->every;
    k->when = p->when;
    k->kills = true;
}

void kids_kill_at(struct rig *r, unsigned n, enum kids_kill when,
                  unsigned every)
{
    rig_do(r, do_kill_at, &(struct plan){n, every, when});
}

static void do_kill(struct rig *r, void *arg)
{
    (void)arg;
    kill_now(r->user);
}

void kids_kill(struct rig *r)
{
    rig_do(r, do_kill, NULL);
}

static void do_stick(struct rig *r, void *arg)
{
    struct kids *k = r->user;

    (void)arg;
    k->sticks = true;
    kill_now(k);
}

void kids_stick(struct rig *r)
{
    rig_do(r, do_stick, NULL);
}

static void do_count(struct rig *r, void *arg)
{
    struct kids *k = r->user;

    if (timer_runs(&k->timer)) {
        timer_stop(&k->timer);
        kill_now(k);
    }
    *(unsigned *)arg = k->killed;
}

unsigned kids_killed(struct rig *r)
{
    unsigned killed;

    rig_do(r, do_count, &killed);
    return killed;
}

static void end_child(struct rig *r)
{
    relay_child_lost(r->relay);
    bury(r->user);
}

bool kids_hand_on(struct rig *r)
{
    bool had = rig_hand_on(r, end_child);

    rig_do(r, do_start, NULL);
    return had;
}

static void do_stop(struct rig *r, void *arg)
{
    struct kids *k = r->user;

    if (!k->stopping) {
        k->stopping = true;
        k->kills = false;
        timer_close(&k->timer);
        relay_child_lost(r->relay);
        bury(k);
    }
    *(bool *)arg = k->timer_gone && k->alive == 0;
}

void kids_stop(struct rig *r)
{
    bool gone = false;

    while (!gone)
        rig_do(r, do_stop, &gone);
    closer_free(((struct kids *)r->user)->closer);
    free(r->user);
    r->user = NULL;
}
