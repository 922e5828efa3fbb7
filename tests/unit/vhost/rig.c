#include "rig.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"
#include "os/sock.h"

/* ---- the loop ---- */

struct call {
    struct mail mail;
    struct rig *r;
    void (*fn)(struct rig *r, void *arg);
    void *arg;
    bool done;
};

static void on_call(struct mail *m)
{
    struct call *c = container_of(m, struct call, mail);
    struct rig *r = c->r;

    c->fn(r, c->arg);
    pthread_mutex_lock(&r->lock);
    c->done = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

/* With the lock held. */
static void wait_changed(struct rig *r, const char *what)
{
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += front_timeout_ms() / 1000;
    if (pthread_cond_timedwait(&r->changed, &r->lock, &end))
        front_fail("the time is up: %s", what);
}

void rig_do(struct rig *r, void (*fn)(struct rig *r, void *arg), void *arg)
{
    struct call c = {.mail.run = on_call, .r = r, .fn = fn, .arg = arg};

    loop_post(&r->loop, &c.mail);
    pthread_mutex_lock(&r->lock);
    while (!c.done)
        wait_changed(r, "a call of the relay");
    pthread_mutex_unlock(&r->lock);
}

static void *run(void *arg)
{
    loop_run(arg);
    return NULL;
}

/* ---- the owner ---- */

static int on_pass(struct relay *relay, uint64_t leg, int fd, int pid,
                   unsigned uid, void *arg)
{
    struct rig *r = arg;

    (void)relay;
    (void)pid;
    (void)uid;
    if (r->pass)
        return r->pass(r, leg, fd);
    pthread_mutex_lock(&r->lock);
    if (r->num_legs == ARRAY_LEN(r->legs))
        abort();
    r->legs[r->num_legs++] = (struct rig_leg){leg, fd};
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return 0;
}

static void on_event(struct relay *relay, const struct endpoint_event *e,
                     void *arg)
{
    struct rig *r = arg;

    (void)relay;
    pthread_mutex_lock(&r->lock);
    r->connected += e->what == ENDPOINT_CONNECTED;
    r->disconnected += e->what == ENDPOINT_DISCONNECTED;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void on_arrived(struct relay *relay, const struct err *e, void *arg)
{
    struct rig *r = arg;

    (void)relay;
    pthread_mutex_lock(&r->lock);
    r->arrived += !e;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void do_start(struct rig *r, void *arg)
{
    struct err e;

    (void)arg;
    if (relay_start(r->relay, &e) < 0)
        abort();
}

struct rig *rig_new(const struct relay_conf *conf)
{
    struct rig *r = front_calloc(1, sizeof(*r));
    struct relay_conf c = conf ? *conf : (struct relay_conf){0};
    struct err e;

    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    address_open(&r->at);
    assert_int_equal(loop_open(&r->loop, "relay"), 0);
    c.id = "d";
    c.home = &r->loop;
    c.fd = dup(r->at.listen_fd);
    c.kind = SOCK_LISTENING;
    c.path = r->at.path;
    if (!c.queue_size)
        c.queue_size = 1024;
    c.pass = on_pass;
    c.event = on_event;
    c.arrived = on_arrived;
    c.arg = r;
    r->conf = c;
    assert_int_equal(relay_open(&r->relay, &c, &e), 0);
    pthread_create(&r->thread, NULL, run, &r->loop);
    rig_do(r, do_start, NULL);
    return r;
}

static void on_closed(struct relay *relay, void *arg)
{
    struct rig *r = arg;

    relay_free(relay);
    loop_stop(&r->loop);
}

static void do_close(struct rig *r, void *arg)
{
    (void)arg;
    relay_close(r->relay, on_closed, r);
}

void rig_free(struct rig *r)
{
    rig_do(r, do_close, NULL);
    pthread_join(r->thread, NULL);
    loop_close(&r->loop);
    for (unsigned i = 0; i < r->num_legs; i++)
        close(r->legs[i].fd);
    assert_int_not_equal(access(r->at.path, F_OK), 0);
    address_close(&r->at);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
    free(r);
}

static void set(struct rig *r, bool *what)
{
    pthread_mutex_lock(&r->lock);
    *what = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void need_set(struct rig *r, bool *what, const char *why)
{
    pthread_mutex_lock(&r->lock);
    while (!*what)
        wait_changed(r, why);
    *what = false;
    pthread_mutex_unlock(&r->lock);
}

static void on_suspended(struct relay *relay, struct endpoint_visitor *v,
                         void *arg)
{
    struct rig *r = arg;

    (void)relay;
    r->visitor = *v;
    set(r, &r->suspended);
}

static void do_suspend(struct rig *r, void *arg)
{
    (void)arg;
    relay_suspend(r->relay, on_suspended, r);
}

static void on_closed_to_go_on(struct relay *relay, void *arg)
{
    struct rig *r = arg;

    relay_free(relay);
    set(r, &r->closed);
}

static void do_close_to_go_on(struct rig *r, void *arg)
{
    void (**between)(struct rig *) = arg;

    (*between)(r);
    relay_close(r->relay, on_closed_to_go_on, r);
}

static void do_go_on(struct rig *r, void *arg)
{
    struct err e;

    r->conf.fd = dup(r->at.listen_fd);
    r->conf.visitor = &r->visitor;
    if (relay_open(&r->relay, &r->conf, &e) < 0)
        abort();
    do_start(r, arg);
}

bool rig_hand_on(struct rig *r, void (*between)(struct rig *r))
{
    bool had;

    rig_do(r, do_suspend, NULL);
    need_set(r, &r->suspended, "a suspension");
    had = r->visitor.fd >= 0;
    rig_do(r, do_close_to_go_on, &between);
    need_set(r, &r->closed, "the end of a relay");
    rig_do(r, do_go_on, NULL);
    return had;
}

static void do_child_here(struct rig *r, void *arg)
{
    (void)arg;
    relay_child_here(r->relay);
}

void rig_child_here(struct rig *r)
{
    rig_do(r, do_child_here, NULL);
}

static void do_child_lost(struct rig *r, void *arg)
{
    (void)arg;
    relay_child_lost(r->relay);
}

void rig_child_lost(struct rig *r)
{
    rig_do(r, do_child_lost, NULL);
}

static void do_leg_ended(struct rig *r, void *arg)
{
    relay_leg_ended(r->relay, *(uint64_t *)arg, "a test wants it so");
}

void rig_leg_ended(struct rig *r, uint64_t leg)
{
    rig_do(r, do_leg_ended, &leg);
}

static void do_give_up(struct rig *r, void *arg)
{
    (void)arg;
    relay_give_up(r->relay, "a test gives up");
}

void rig_give_up(struct rig *r)
{
    rig_do(r, do_give_up, NULL);
}

void rig_need_disconnected(struct rig *r, unsigned count)
{
    pthread_mutex_lock(&r->lock);
    while (r->disconnected < count)
        wait_changed(r, "a front-end that goes");
    pthread_mutex_unlock(&r->lock);
}

/* ---- the child ---- */

int rig_leg(struct rig *r)
{
    int fd;

    pthread_mutex_lock(&r->lock);
    while (r->num_legs == 0)
        wait_changed(r, "a leg");
    fd = r->legs[0].fd;
    r->last_leg = r->legs[0].number;
    r->num_legs--;
    memmove(r->legs, r->legs + 1, r->num_legs * sizeof(r->legs[0]));
    pthread_mutex_unlock(&r->lock);
    return fd;
}

void child_need(int leg, uint32_t request, struct front_msg *m)
{
    if (!front_recv_from(leg, m))
        front_fail("the relay hung up before request %u", request);
    if (m->h.request != request)
        front_fail("request %u comes, not %u", m->h.request, request);
}

void child_answer(int leg, uint32_t request, const void *payload, uint32_t len)
{
    struct {
        struct wire_header h;
        uint8_t payload[512];
    } m = {.h = {request, WIRE_VERSION | WIRE_REPLY, len}};

    if (len)
        memcpy(m.payload, payload, len);
    front_send_on(leg, false, &m, sizeof(m.h) + len, NULL, 0);
}

void child_answer_u64(int leg, uint32_t request, uint64_t value)
{
    child_answer(leg, request, &value, sizeof(value));
}

void child_ok(int leg, uint32_t request)
{
    struct front_msg m;

    child_need(leg, request, &m);
    assert_true(m.h.flags & WIRE_NEED_REPLY);
    for (unsigned i = 0; i < m.num_fds; i++)
        close(m.fds[i]);
    child_answer_u64(leg, request, 0);
}

int child_greet(struct rig *r, uint64_t features, unsigned queues)
{
    int leg = rig_leg(r);
    struct front_msg m;

    child_need(leg, WIRE_SET_PROTOCOL_FEATURES, &m);
    assert_true(m.u64 & FEATURE(WIRE_PF_REPLY_ACK));
    child_answer_u64(leg, WIRE_SET_PROTOCOL_FEATURES, 0);
    child_need(leg, WIRE_GET_FEATURES, &m);
    child_answer_u64(leg, WIRE_GET_FEATURES, features);
    if (queues) {
        child_need(leg, WIRE_GET_QUEUE_NUM, &m);
        child_answer_u64(leg, WIRE_GET_QUEUE_NUM, queues);
    }
    return leg;
}

void child_need_hangup(int leg)
{
    struct front_msg m;

    if (front_recv_from(leg, &m))
        front_fail("request %u comes, and no hang-up", m.h.request);
    close(leg);
}

int child_record(int leg)
{
    struct front_msg m;

    child_need(leg, WIRE_SET_INFLIGHT_FD, &m);
    assert_int_equal(m.inflight.num_queues, 1);
    assert_int_equal(m.inflight.queue_size, 1024);
    assert_int_equal(m.num_fds, 1);
    child_answer_u64(leg, WIRE_SET_INFLIGHT_FD, 0);
    return m.fds[0];
}

/* ---- both ---- */

struct talk talk_begin(uint64_t protocol)
{
    struct talk t = {.r = rig_new(NULL)};
    struct front_msg m;

    rig_child_here(t.r);
    t.f = front_connect_path(t.r->at.path);
    t.leg = child_greet(t.r, RIG_FEATURES, 1);
    if (!protocol)
        return t;
    front_send(t.f, WIRE_SET_PROTOCOL_FEATURES, 0, &protocol, sizeof(protocol),
               NULL, 0);
    child_need(t.leg, WIRE_SET_PROTOCOL_FEATURES, &m);
    assert_int_equal(m.u64, protocol | FEATURE(WIRE_PF_REPLY_ACK) |
                                FEATURE(WIRE_PF_INFLIGHT_SHMFD));
    child_answer_u64(t.leg, WIRE_SET_PROTOCOL_FEATURES, 0);
    t.f->protocol = protocol;
    return t;
}

void talk_next_child(struct talk *t, uint64_t features)
{
    close(t->leg);
    rig_child_lost(t->r);
    rig_child_here(t->r);
    t->leg = child_greet(t->r, features, 0);
}

void talk_kick(struct talk *t)
{
    uint64_t u64 = WIRE_VRING_NOFD;

    front_send(t->f, WIRE_SET_VRING_KICK, 0, &u64, sizeof(u64), NULL, 0);
}

void talk_end(struct talk *t)
{
    front_free(t->f);
    child_need_hangup(t->leg);
    rig_free(t->r);
}

/* ---- cmocka ---- */

static void on_failure(const char *file, int line)
{
    _fail(file, line);
}

int rig_setup(void **state)
{
    (void)state;
    front_on_failure = on_failure;
    __atomic_store_n(&address_sockets_are_own, false, __ATOMIC_RELAXED);
    log_set(getenv("VUB_TEST_LOG") ? LOG_DEBUG : LOG_ERROR, LOG_TEXT);
    return 0;
}

int rig_teardown(void **state)
{
    (void)state;
    front_cleanup();
    return 0;
}
