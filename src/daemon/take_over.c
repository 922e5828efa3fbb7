/* What comes is looked at as a stranger's would be: of an old vub, a guest may
 * have got hold. */
#include "daemon/take_over_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/loop.h"
#include "vhost/transcript.h"

/* More messages would be no vub's. */
#define SAID_MAX 4096

struct taken *taken_find(const struct take_over *t, const char *id)
{
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->list[i].id, id) == 0)
            return &t->list[i];
    return NULL;
}

/* ---- the wire ---- */

uint64_t taking_in_ms(uint64_t ms)
{
    return loop_now_ns() + ms * 1000000;
}

/* Until fd can be read. */
int taking_wait(int fd, uint64_t deadline_ns)
{
    uint64_t now = loop_now_ns();
    uint64_t ms = now < deadline_ns ? (deadline_ns - now) / 1000000 + 1 : 0;

    return ms ? sock_wait(fd, false, (int)MIN(ms, (uint64_t)INT32_MAX))
              : -ETIMEDOUT;
}

int taking_fail_wait(const struct take_over *t, int rc, struct errs *e)
{
    if (rc == -EINTR)
        return errs_add(e, rc, "--take-over", "a signal has come meanwhile");
    if (rc == -ETIMEDOUT)
        return errs_add(e, rc, "--take-over",
                        "process %d does not answer in time", t->pid);
    return errs_add(e, rc, "--take-over", "process %d cannot be understood: %s",
                    t->pid, strerror(-rc));
}

void taking_note_death(struct take_over *t)
{
    log_warn(NULL,
             "process %d has ended while it was handing over: what it has not "
             "handed over begins anew",
             t->pid);
    t->is_dead = true;
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
}

/* 1: there is a packet, whose fds are the caller's; 0: the other is dead. */
int taking_next(struct take_over *t, struct hand_packet *p,
                struct hand_fds *fds, uint64_t deadline_ns, struct errs *e)
{
    int rc;

    while ((rc = hand_receive(t->fd, p, fds)) == -EAGAIN) {
        rc = taking_wait(t->fd, deadline_ns);
        if (rc < 0)
            break;
    }
    if (rc == 0)
        taking_note_death(t);
    if (rc < 0)
        return taking_fail_wait(t, rc, e);
    if (rc == 1 && p->kind == HAND_GIVE_UP)
        return errs_add(e, -ECANCELED, "--take-over", "process %d goes on: %s",
                        t->pid, p->give_up.why);
    return rc;
}

int taking_fail_packet(const struct take_over *t, struct hand_fds *fds,
                       const char *what, struct errs *e)
{
    hand_close_fds(fds);
    return errs_add(e, -EBADMSG, "--take-over",
                    "process %d sends %s that makes no sense", t->pid, what);
}

/* Waits for room: all that we say fits easily. */
static int say(struct take_over *t, struct hand_packet *p, struct errs *e)
{
    int rc;

    while ((rc = hand_send(t->fd, p, NULL, 0)) == -EAGAIN) {
        rc = sock_wait(t->fd, true, OTHER_MS);
        if (rc < 0)
            break;
    }
    if (rc == -EPIPE || rc == -ECONNRESET)
        return 0; /* what it has said before is still to be read */
    return rc < 0 ? taking_fail_wait(t, rc, e) : 0;
}

static int say_kind(struct take_over *t, enum hand_kind kind, struct errs *e)
{
    struct hand_packet p;

    memset(&p, 0, sizeof(p));
    p.kind = kind;
    return say(t, &p, e);
}

static int say_want(struct take_over *t, const char *id, bool socket,
                    struct errs *e)
{
    struct hand_packet p;

    memset(&p, 0, sizeof(p));
    p.kind = HAND_WANT;
    snprintf(p.want.id, sizeof(p.want.id), "%s", id);
    p.want.socket = socket;
    return say(t, &p, e);
}

/* ---- sockets ---- */

static int adopt(struct place *to, struct place *from, const char *wanted,
                 bool may_be_given)
{
    bool same = wanted && from->path && strcmp(wanted, from->path) == 0;

    if (!same && !(may_be_given && from->given >= 0))
        return 0;
    *to = *from;
    *from = PLACE_NONE;
    return 1;
}

int take_over_sockets(struct take_over *t, const struct config *c,
                      struct sockets *s, struct errs *e)
{
    char *dir = config_runtime_dir(c);
    int rc = dir ? 0 : -ENOMEM;

    for (int i = 0; i < c->devices.count && rc >= 0; i++) {
        const struct device_common *d = config_device(c, i);
        struct taken *had = taken_find(t, d->id);
        char *path = had ? config_socket_path(dir, d) : NULL;

        if (had)
            rc = adopt(&s->devices[i], &had->place, path, d->socket.has_fd);
        if (had)
            had->adopted = rc == 1;
        free(path);
    }
    if (rc >= 0 && c->has_control && t->control.fd >= 0) {
        char *path = config_control_path(dir, c);

        rc = adopt(&s->control, &t->control, path, false);
        t->control_adopted = rc == 1;
        free(path);
    }
    free(dir);
    return rc < 0 ? errs_add(e, rc, "--take-over",
                             "the sockets cannot be used: %s", strerror(-rc))
                  : 0;
}

/* ---- devices ---- */

static int say_wants(struct take_over *t, const struct config *c,
                     struct errs *e)
{
    int rc = 0;

    if (t->control_adopted)
        rc = say_want(t, "", true, e);
    for (int i = 0; i < c->devices.count && rc == 0; i++) {
        struct taken *d = taken_find(t, config_device(c, i)->id);

        if (!d || strcmp(d->type, c->devices.list[i].table->name) != 0)
            continue;
        d->wanted = true;
        rc = say_want(t, d->id, d->adopted, e);
    }
    return rc < 0 ? rc : say_kind(t, HAND_BEGIN, e);
}

/* What comes of one device. */
struct coming {
    struct taken *device;
    uint32_t said, kept; /* so many more */
};

static int take_device(struct take_over *t, struct coming *c,
                       const struct hand_device *p, struct hand_fds *fds)
{
    struct taken *d = taken_find(t, p->id);
    struct endpoint_visitor *v;

    if (c->device || !d || !d->wanted || d->there || p->said > SAID_MAX ||
        p->kept > KEEP_ITEMS_MAX || (p->said > 0 && fds->count == 0) ||
        (fds->count == 1 && !sock_adopt(fds->list[0])))
        return -EBADMSG;
    *c = (struct coming){d, p->said, p->kept};
    v = &d->heritage.visitor;
    v->has_run = p->has_run;
    d->heritage.kept = calloc(p->kept + 1, sizeof(*d->heritage.kept));
    if (!d->heritage.kept)
        return -ENOMEM;
    if (fds->count == 0)
        return 0;
    v->said = transcript_new(NULL);
    if (!v->said)
        return -ENOMEM;
    v->fd = hand_take_fd(fds, 0);
    v->pid = p->pid;
    v->uid = p->uid;
    return 0;
}

/* The transcript has copies of the fds. Whether the message can be done is for
 * the session to say that hears it again. */
static int take_said(struct coming *c, const struct hand_said *p,
                     struct hand_fds *fds)
{
    struct transcript *said;
    struct msg m;
    int rc;

    if (!c->device || c->said == 0)
        return -EBADMSG;
    said = c->device->heritage.visitor.said;
    memset(&m, 0, sizeof(m));
    m.header = p->header;
    m.payload = p->payload;
    m.num_fds = fds->count;
    memcpy(m.fds, fds->list, fds->count * sizeof(*m.fds));
    rc = transcript_hear(said, &m);
    if (rc == 0)
        transcript_done(said, NULL);
    c->said--;
    return rc;
}

static int take_kept(struct coming *c, const struct hand_kept *p,
                     struct hand_fds *fds)
{
    struct keep_item *item;
    struct heritage *h;

    if (!c->device || c->said > 0 || c->kept == 0)
        return -EBADMSG;
    h = &c->device->heritage;
    item = &h->kept[h->num_kept++];
    snprintf(item->id, sizeof(item->id), "%s", c->device->id);
    snprintf(item->name, sizeof(item->name), "%s", p->name);
    item->len = p->len;
    item->fd = hand_take_fd(fds, 0);
    c->kept--;
    return 0;
}

static int take_packet(struct take_over *t, struct coming *c,
                       const struct hand_packet *p, struct hand_fds *fds)
{
    int rc;

    switch (p->kind) {
    case HAND_DEVICE:
        rc = take_device(t, c, &p->device, fds);
        break;
    case HAND_SAID:
        rc = take_said(c, &p->said, fds);
        break;
    case HAND_KEPT:
        rc = take_kept(c, &p->kept, fds);
        break;
    default:
        return -EBADMSG;
    }
    if (rc == 0 && c->device && c->said == 0 && c->kept == 0) {
        c->device->there = true;
        t->front_ends += c->device->heritage.visitor.fd >= 0;
        c->device = NULL;
    }
    return rc;
}

/* Of one that has not come as a whole nothing is used. */
static void forget_half(struct coming *c)
{
    if (c->device)
        heritage_drop(&c->device->heritage);
}

static int receive_devices(struct take_over *t, struct coming *c,
                           struct errs *e)
{
    uint64_t deadline_ns = taking_in_ms(t->drain_ms + OTHER_MS);
    struct hand_packet p;
    struct hand_fds fds;
    int rc;

    for (;;) {
        rc = taking_next(t, &p, &fds, deadline_ns, e);
        if (rc <= 0)
            return rc;
        if (p.kind == HAND_GIVEN && !c->device)
            return 0;
        rc = take_packet(t, c, &p, &fds);
        if (rc == -EBADMSG)
            return taking_fail_packet(t, &fds, "a device", e);
        hand_close_fds(&fds);
        if (rc < 0)
            return errs_add(e, rc, "--take-over",
                            "what process %d hands over cannot be used: %s",
                            t->pid, strerror(-rc));
    }
}

int take_over_devices(struct take_over *t, const struct config *c,
                      struct errs *e)
{
    struct coming coming = {NULL, 0, 0};
    int rc = 0;

    t->began_ns = loop_now_ns();
    if (!t->is_dead)
        rc = say_wants(t, c, e);
    if (rc == 0 && !t->is_dead)
        rc = receive_devices(t, &coming, e);
    forget_half(&coming);
    return rc;
}

void take_over_inherit(struct take_over *t, struct served *s)
{
    struct taken *d = taken_find(t, s->common->id);

    if (d && d->there)
        served_inherit(s, &d->heritage);
}

/* ---- the end ---- */

/* It is over, whatever has come of it. */
static void stop_waiting(struct take_over *t)
{
    if (!t->waits)
        return;
    t->waits = false;
    watch_stop(&t->watch);
    timer_stop(&t->patience);
}

static void on_answer(struct watch *w, int status, int events)
{
    struct take_over *t = container_of(w, struct take_over, watch);
    struct errs e = ERRS_EMPTY;
    struct hand_packet p;
    struct hand_fds fds;
    int rc;

    (void)status;
    (void)events;
    rc = taking_next(t, &p, &fds, 0, &e);
    if (rc == -ETIMEDOUT) { /* nothing is there after all */
        errs_free(&e);
        return;
    }
    stop_waiting(t);
    if (rc == 1 && p.kind != HAND_GO)
        rc = taking_fail_packet(t, &fds, "an end", &e);
    t->over(t, &e);
    errs_free(&e);
}

static void on_impatient(struct timer *timer)
{
    struct take_over *t = container_of(timer, struct take_over, patience);
    struct errs e = ERRS_EMPTY;

    stop_waiting(t);
    taking_fail_wait(t, -ETIMEDOUT, &e);
    t->over(t, &e);
    errs_free(&e);
}

/* The other is dead, or we cannot wait for it. */
static void on_alone(struct mail *m)
{
    struct take_over *t = container_of(m, struct take_over, alone);
    struct errs e = ERRS_EMPTY;

    if (!t->is_dead)
        errs_add(&e, -EIO, "--take-over",
                 "the answer of process %d cannot be waited for", t->pid);
    t->over(t, &e);
    errs_free(&e);
}

void take_over_finish(struct take_over *t, struct loop *main,
                      void (*over)(struct take_over *t, const struct errs *e))
{
    struct errs e = ERRS_EMPTY;

    t->over = over;
    t->watch.ready = on_answer;
    t->patience.fire = on_impatient;
    if (!t->is_dead && say_kind(t, HAND_READY, &e) == 0 &&
        watch_open(&t->watch, main, t->fd) == 0) {
        t->has_handles = t->waits = true;
        timer_open(&t->patience, main);
        timer_start(&t->patience, (uint64_t)2 * OTHER_MS);
        watch_start(&t->watch, UV_READABLE);
        return;
    }
    errs_free(&e);
    t->alone.run = on_alone;
    loop_post(main, &t->alone);
}

void take_over_stop(struct take_over *t)
{
    if (!t->has_handles)
        return;
    t->has_handles = false;
    watch_close(&t->watch);
    timer_close(&t->patience);
}

void take_over_own(struct take_over *t)
{
    struct errs e = ERRS_EMPTY;

    take_over_stop(t);
    if (t->fd >= 0) {
        say_kind(t, HAND_MINE, &e);
        close(t->fd);
    }
    errs_free(&e);
    t->fd = -1;
}

void take_over_fail(struct take_over *t, const struct errs *why)
{
    struct err text = {.text = ""};
    struct hand_packet p;

    if (t->fd < 0)
        return;
    memset(&p, 0, sizeof(p));
    p.kind = HAND_GIVE_UP;
    if (why->count > 0)
        err_set(&text, -EIO, NULL, "%s%s%s", why->list[0].where,
                why->list[0].where[0] ? ": " : "", why->list[0].text);
    snprintf(p.give_up.why, sizeof(p.give_up.why), "%s", text.text);
    hand_send(t->fd, &p, NULL, 0);
    close(t->fd);
    t->fd = -1;
}

/* The other's sockets that we do not want are its own to remove. */
void take_over_close(struct take_over *t)
{
    if (!t->under_way)
        return;
    for (int i = 0; i < t->count; i++) {
        place_drop(&t->list[i].place);
        heritage_drop(&t->list[i].heritage);
    }
    place_drop(&t->control);
    free(t->list);
    t->list = NULL;
    t->count = 0;
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    t->under_way = false;
}
