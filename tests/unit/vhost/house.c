#include "house.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/devices.h"
#include "device_text.h"

#define DISK_BYTES (64 << 20)

/* ---- the house ---- */

static void run_loop(void *arg)
{
    loop_run(arg);
}

struct house *house_new(void)
{
    struct house *h = calloc(1, sizeof(*h));
    char disk[96];
    struct err e;
    int fd;

    assert_non_null(h);
    address_open(&h->at);
    snprintf(disk, sizeof(disk), "%s/disk", h->at.dir);
    fd = open(disk, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, DISK_BYTES), 0);
    close(fd);
    for (unsigned i = 0; i < ARRAY_LEN(h->loops); i++) {
        assert_int_equal(loop_open(&h->loops[i], i ? "other" : "home"), 0);
        assert_int_equal(
            thread_start(&h->threads[i], "loop", run_loop, &h->loops[i], &e),
            0);
    }
    return h;
}

struct stop {
    struct mail mail;
    struct loop *loop;
};

static void on_stop(struct mail *m)
{
    loop_stop(container_of(m, struct stop, mail)->loop);
}

void house_free(struct house *h)
{
    for (unsigned i = 0; i < ARRAY_LEN(h->loops); i++) {
        struct stop stop = {.mail.run = on_stop, .loop = &h->loops[i]};

        loop_post(&h->loops[i], &stop.mail);
        thread_join(&h->threads[i]);
        loop_close(&h->loops[i]);
    }
    address_close(&h->at);
    free(h);
}

/* ---- a tenant ---- */

static void on_event(struct endpoint *ep, const struct endpoint_event *event,
                     void *arg)
{
    struct tenant *t = arg;

    (void)ep;
    if (event->what == ENDPOINT_CONNECTED)
        __atomic_add_fetch(&t->connected, 1, __ATOMIC_RELAXED);
    if (event->what == ENDPOINT_DISCONNECTED)
        __atomic_add_fetch(&t->disconnected, 1, __ATOMIC_RELAXED);
    if (event->what == ENDPOINT_RING_BROKEN)
        __atomic_add_fetch(&t->broken, 1, __ATOMIC_RELAXED);
}

static void on_arrived(struct endpoint *ep, const struct err *e, void *arg)
{
    struct tenant *t = arg;

    (void)ep;
    if (e)
        t->why = *e;
    else
        t->why.code = 0;
    sem_post(&t->arrived);
}

static void on_gone(void *arg)
{
    struct tenant *t = arg;

    sem_post(&t->gone);
}

/* Of the tenant whose device it is. */
static struct tenant *tenant_of(struct device *d)
{
    return container_of(d->ops, struct tenant, ops);
}

static void device_start(struct device *d, const struct device_start *s)
{
    tenant_of(d)->start = *s;
    tenant_of(d)->real->start(d, s);
}

struct tenant *tenant_new(struct house *h, const char *config,
                          struct endpoint_visitor *visitor)
{
    struct tenant *t = calloc(1, sizeof(*t));
    struct errs errs = ERRS_EMPTY;
    const struct device_common *common;
    struct endpoint_conf conf;
    struct conf_any any;
    char text[2048];
    struct err e;

    assert_non_null(t);
    t->house = h;
    t->visited = visitor != NULL;
    sem_init(&t->did, 0, 0);
    sem_init(&t->suspended, 0, 0);
    sem_init(&t->closed, 0, 0);
    sem_init(&t->gone, 0, 0);
    sem_init(&t->arrived, 0, 0);
    snprintf(text, sizeof(text), "'id': 'd', %s", config);
    any = device_text(&t->doc, text, h->at.dir);
    if (device_type_of(&any)->open(&t->device, &any, &errs) < 0)
        fail_msg("%s: %s", errs.list[0].where, errs.list[0].text);
    t->real = t->device->ops;
    t->ops = *t->real;
    if (t->ops.start)
        t->ops.start = device_start;
    t->device->ops = &t->ops;
    t->device->home = &h->loops[0];
    for (unsigned i = 0; i < t->device->num_queues; i++)
        t->ring_loop[i] = &h->loops[device_type_of(&any)->is_block ? i % 2 : 0];
    t->device->ring_loop = t->ring_loop;
    common = any.data;
    conf = (struct endpoint_conf){
        .fd = fcntl(h->at.listen_fd, F_DUPFD_CLOEXEC, 0),
        .kind = SOCK_LISTENING,
        .path = h->at.path,
        .queue_size = (uint16_t)common->queue_size,
        .drain_timeout_ms = common->drain_timeout,
        .event = on_event,
        .arg = t,
        .visitor = visitor,
        .arrived = on_arrived,
    };
    assert_int_equal(endpoint_open(&t->ep, t->device, &conf, &e), 0);
    return t;
}

static void on_mail(struct mail *m)
{
    struct tenant *t = container_of(m, struct tenant, mail);

    t->run(t);
    sem_post(&t->did);
}

void tenant_do(struct tenant *t, void (*run)(struct tenant *t))
{
    t->mail.run = on_mail;
    t->run = run;
    loop_post(&t->house->loops[0], &t->mail);
    sem_wait(&t->did);
}

static void do_start(struct tenant *t)
{
    t->rc = endpoint_start(t->ep, &t->why);
}

void tenant_begin(struct tenant *t)
{
    tenant_do(t, do_start);
    assert_int_equal(t->rc, 0);
}

void tenant_start(struct tenant *t)
{
    tenant_begin(t);
    if (t->visited)
        sem_wait(&t->arrived);
}

struct tenant *tenant_move_in(struct house *h, const char *config,
                              struct endpoint_visitor *visitor)
{
    struct tenant *t = tenant_new(h, config, visitor);

    tenant_start(t);
    if (t->why.code)
        fail_msg("%s", t->why.text);
    return t;
}

/* ---- moving out ---- */

static void do_free(struct tenant *t)
{
    endpoint_free(t->ep);
}

/* It is closed. */
static void end(struct tenant *t)
{
    t->device->gone = on_gone;
    t->device->gone_arg = t;
    tenant_do(t, do_free);
    sem_wait(&t->gone);
    conf_free(t->doc);
    sem_destroy(&t->did);
    sem_destroy(&t->suspended);
    sem_destroy(&t->closed);
    sem_destroy(&t->gone);
    sem_destroy(&t->arrived);
    free(t);
}

static void on_closed(struct endpoint *ep, void *arg)
{
    struct tenant *t = arg;

    (void)ep;
    sem_post(&t->closed);
}

static void on_suspended(struct endpoint *ep, struct endpoint_visitor *visitor,
                         const struct err *e, void *arg)
{
    struct tenant *t = arg;

    (void)ep;
    t->why.code = 0;
    if (e)
        t->why = *e;
    else
        t->visitor = *visitor;
    sem_post(&t->suspended);
}

static void do_suspend(struct tenant *t)
{
    endpoint_suspend(t->ep, on_suspended, on_closed, t);
}

void tenant_suspend(struct tenant *t)
{
    tenant_do(t, do_suspend);
}

bool tenant_is_moving(struct tenant *t)
{
    int count;

    sem_getvalue(&t->suspended, &count);
    return count == 0;
}

bool tenant_moved_out(struct tenant *t, struct endpoint_visitor *v)
{
    struct house *h = t->house;

    sem_wait(&t->suspended);
    if (t->why.code)
        return false;
    sem_wait(&t->closed);
    *v = t->visitor;
    if (h->keeps)
        left_take(&h->left, "d");
    end(t);
    if (h->keeps)
        left_put(&h->left);
    return true;
}

void tenant_move_out(struct tenant *t, struct endpoint_visitor *v)
{
    tenant_suspend(t);
    if (!tenant_moved_out(t, v))
        fail_msg("%s", t->why.text);
}

static void do_close(struct tenant *t)
{
    endpoint_close(t->ep, on_closed, t);
}

void tenant_free(struct tenant *t)
{
    tenant_do(t, do_close);
    sem_wait(&t->closed);
    end(t);
}

/* ---- with a front-end ---- */

void stay_visit(struct stay *s, const struct front_conf *conf)
{
    s->f = front_connect_path(s->h->at.path);
    front_set_up(s->f, conf);
}

struct stay stay_begin(const char *config, unsigned queues)
{
    struct stay s = {.h = house_new()};

    s.t = tenant_move_in(s.h, config, NULL);
    stay_visit(&s, &(struct front_conf){.queues = queues});
    return s;
}

void stay_move(struct stay *s, const char *config)
{
    struct endpoint_visitor v;

    tenant_move_out(s->t, &v);
    s->t = tenant_move_in(s->h, config, &v);
}

void stay_end(struct stay *s)
{
    front_free(s->f);
    tenant_free(s->t);
    house_free(s->h);
}
