/* One process of an isolated device, as its keeper sees it: four connections.
 * That it has ended is known by the broker's word alone, behind all that it has
 * said itself; only then are its files and locks free for the next one. If the
 * broker has ended its processes do: then it is known by their end of the door,
 * which the system closes behind their last thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/isolate_impl.h"
#include "os/broker.h"
#include "os/closer.h"
#include "os/door.h"
#include "vhost/transcript.h"

/* Of a process that is not ready: errors of its config. */
#define FIRST_WORDS_MAX (256u << 10)

/* A process may say things as fast as they are heard, and another one may have
 * its ends: so much is heard in a turn, and of one that has ended, which is
 * more than a socket can hold. */
#define HEAR_MAX 64
#define HEAR_REST_MAX 4096

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- making one ---- */

static int spawn(struct isolate_process *p, const int theirs[2], int control)
{
    const int fds[BROKER_SPAWN_FDS] = {theirs[0], theirs[1], control,
                                       STDERR_FILENO};

    p->line = broker_spawn(p->owner->common->id, p->owner->reread, fds);
    return MIN(p->line, 0);
}

/* theirs, control: its ends, which are ours until it has them. */
static int make_ends(struct isolate_process *p, int theirs[2], int *control)
{
    int pair[2], rc;

    rc = door_pair(pair);
    if (rc < 0)
        return rc;
    p->door = pair[0];
    theirs[0] = pair[1];
    rc = door_pair(pair);
    if (rc < 0)
        return rc;
    p->keep = pair[0];
    theirs[1] = pair[1];
    rc = sock_pair(pair);
    if (rc < 0)
        return rc;
    p->control = pair[0];
    *control = pair[1];
    return 0;
}

struct isolate_process *process_new(struct isolated *i, struct err *e)
{
    struct isolate_process *p = calloc(1, sizeof(*p));
    int theirs[2] = {-1, -1}, control = -1, rc;

    if (!p) {
        err_nomem(e);
        return NULL;
    }
    p->owner = i;
    p->line = p->door = p->keep = p->control = -1;
    list_init(&p->calls);
    rc = make_ends(p, theirs, &control);
    if (rc == 0)
        rc = isolate_kept_give(&i->kept, p->keep, &p->given);
    if (rc == -EAGAIN)
        rc = 0; /* the rest while it is watched */
    if (rc == 0)
        rc = spawn(p, theirs, control);
    close_fd(&theirs[0]);
    close_fd(&theirs[1]);
    close_fd(&control);
    if (rc == 0)
        return p;
    if (rc == -ENOSYS)
        err_set(e, rc, "",
                "no process can be made: without a sandbox, vub has to start "
                "with an isolated device for that");
    else if (rc == -EOWNERDEAD)
        err_set(e, rc, "",
                "no process can be made: vub-broker has ended, and vub has to "
                "start again for that");
    else
        err_sys(e, -rc, "", "cannot make a process for the device");
    process_drop(p, true);
    return NULL;
}

/* ---- until it is ready ---- */

/* Why it has ended, or there is none. */
static int say_end(struct errs *e, enum broker_news news, int value)
{
    if (news == BROKER_LOST)
        return errs_add(e, value, "",
                        "vub-broker has ended, which has made its process");
    if (news == BROKER_FAILED)
        return errs_add(e, value, "", "there is no process for it: %s",
                        strerror(-value));
    if (value > 128)
        return errs_add(e, -EPIPE, "",
                        "its process was ended by signal %d before it was "
                        "ready",
                        value - 128);
    return errs_add(e, -EPIPE, "",
                    "its process has ended with status %d before it was ready",
                    value);
}

/* What it has said: up to a whole line. */
struct words {
    char *text;
    size_t len;
};

/* 1: a line is there; 0: it says nothing more. */
static int read_words(struct isolate_process *p, struct words *w)
{
    int fds[SOCK_FDS_ROOM];
    unsigned num = 0;
    char *end = NULL;
    ssize_t n;

    n = sock_recv(p->control, w->text + w->len, FIRST_WORDS_MAX - 1 - w->len,
                  fds, &num);
    if (num > 0)
        n = -EPROTO;
    while (num > 0)
        closer_stray(fds[--num]);
    if (n <= 0)
        return n == -EAGAIN ? -EAGAIN : 0;
    w->len += (size_t)n;
    w->text[w->len] = '\0';
    end = strchr(w->text, '\n');
    if (!end)
        return w->len == FIRST_WORDS_MAX - 1 ? 0 : -EAGAIN;
    *end = '\0';
    w->len = (size_t)(end - w->text);
    return 1;
}

/* 1: not yet. */
static int hear_first(struct isolate_process *p, struct words *w,
                      struct errs *e)
{
    int rc = read_words(p, w);

    if (rc == -EAGAIN)
        return 1;
    if (rc > 0) {
        switch (process_hear(p, w->text, w->len, e)) {
        case HEARD_READY:
            p->ready = true;
            return 0;
        case HEARD_FAILED:
            return e->count ? e->list[0].code : -EINVAL;
        default:
            break;
        }
    }
    /* It has ended, or is to. */
    close_fd(&p->control);
    broker_kill(p->line);
    return 1;
}

/* 1: not yet. */
static int hear_line(struct isolate_process *p, struct errs *e)
{
    int value;
    enum broker_news news = broker_spawned(p->line, &value);

    if (news == BROKER_IS_THERE)
        p->pid = value;
    return news == BROKER_NOTHING || news == BROKER_IS_THERE
               ? 1
               : say_end(e, news, value);
}

int process_wait(struct isolate_process *p, struct errs *e)
{
    struct words w = {malloc(FIRST_WORDS_MAX), 0};
    int rc = 1;

    if (!w.text)
        return errs_nomem(e);
    w.text[0] = '\0';
    while (rc > 0) {
        /* What it has said comes before its end. */
        const int fds[] = {p->keep, p->control, p->line};

        switch (sock_wait_any(fds, ARRAY_LEN(fds))) {
        case 0:
            if (isolate_kept_hear(&p->owner->kept, p->keep, HEAR_MAX) !=
                -EAGAIN)
                close_fd(&p->keep);
            break;
        case 1:
            rc = hear_first(p, &w, e);
            break;
        case 2:
            rc = hear_line(p, e);
            break;
        default:
            rc = errs_add(e, -EIO, "", "cannot wait for its process");
            break;
        }
    }
    free(w.text);
    return rc;
}

int process_suits(const struct isolate_process *p, struct transcript *said,
                  struct err *e)
{
    const struct isolated *i = p->owner;
    uint64_t more = transcript_features(said) & ~p->offers;

    if (more)
        return err_set(e, -EINVAL, i->conf.at,
                       "SET_FEATURES, which another process has taken: "
                       "features 0x%" PRIx64 " are not offered here",
                       more);
    for (unsigned n = 0; n < transcript_count(said); n++) {
        const struct msg *m = transcript_at(said, n);

        if (m->header.request == MSG_SET_VRING_NUM &&
            m->payload.state.num > i->common->queue_size)
            return err_set(
                e, -EINVAL, i->conf.at,
                "SET_VRING_NUM, which another process has taken: a "
                "ring of %" PRIu32 " descriptors; 1 to %u are possible",
                m->payload.state.num, (unsigned)i->common->queue_size);
    }
    return 0;
}

/* ---- while it is watched ---- */

static void hear_kept(struct isolate_process *p)
{
    int rc = isolate_kept_hear(&p->owner->kept, p->keep, HEAR_MAX);

    if (rc == -EAGAIN)
        return;
    watch_stop(&p->at_keep);
    if (rc < 0)
        process_kill(p, "it says of its memory what makes no sense");
}

static void give_kept(struct isolate_process *p)
{
    int rc = isolate_kept_give(&p->owner->kept, p->keep, &p->given);

    if (rc != -EAGAIN)
        watch_start(&p->at_keep, UV_READABLE);
}

static void on_keep(struct watch *w, int status, int events)
{
    struct isolate_process *p =
        container_of(w, struct isolate_process, at_keep);

    if (status < 0)
        watch_stop(w);
    if (status < 0 || !p->owner)
        return;
    if (events & UV_WRITABLE)
        give_kept(p);
    if (events & UV_READABLE)
        hear_kept(p);
}

static void hear_door(struct isolate_process *p, unsigned most)
{
    char why[DOOR_WHY_MAX];
    uint64_t number;
    int rc = 1;

    while (rc > 0 && most-- > 0) {
        rc = door_ended(p->door, &number, why);
        if (rc > 0)
            isolate_leg_ended(p->owner, number, why[0] ? why : NULL);
    }
    if (rc <= 0 && rc != -EAGAIN) {
        watch_stop(&p->at_door);
        p->silent = true;
    }
    if (rc == -EPROTO)
        process_kill(p, "it says at its door what makes no sense");
}

/* It has ended: what it has said before comes first. */
static void on_end(struct isolate_process *p, int how)
{
    if (p->keep >= 0)
        isolate_kept_hear(&p->owner->kept, p->keep, HEAR_REST_MAX);
    if (p->door >= 0)
        hear_door(p, HEAR_REST_MAX);
    isolate_lost(p->owner, how);
}

static void on_door(struct watch *w, int status, int events)
{
    struct isolate_process *p =
        container_of(w, struct isolate_process, at_door);

    (void)events;
    if (!p->owner)
        return;
    if (status < 0) {
        watch_stop(w);
        p->silent = true;
    } else {
        hear_door(p, HEAR_MAX);
    }
    if (p->orphan && p->silent)
        on_end(p, -EOWNERDEAD);
}

static void on_line(struct watch *w, int status, int events)
{
    struct isolate_process *p =
        container_of(w, struct isolate_process, at_line);
    int value = -EOWNERDEAD;

    (void)events;
    if (!p->owner)
        return;
    switch (status < 0 ? BROKER_LOST : broker_spawned(p->line, &value)) {
    case BROKER_NOTHING:
        break;
    case BROKER_IS_THERE:
        p->pid = value;
        break;
    case BROKER_ENDED:
    case BROKER_FAILED:
        watch_stop(w);
        on_end(p, value);
        break;
    case BROKER_LOST:
        watch_stop(w);
        p->orphan = true;
        if (p->silent)
            on_end(p, value);
        break;
    }
}

static void on_said(struct client *c, const char *text, size_t len)
{
    struct isolate_process *p = container_of(c, struct isolate_process, talk);
    struct errs errors = ERRS_EMPTY;
    enum heard what;

    if (!p->owner)
        return;
    what = process_hear(p, text, len, &errors);
    if (what == HEARD_NONSENSE)
        process_kill(p, "it answers what makes no sense");
    else if (what != HEARD_NOTHING)
        isolate_was_heard(p->owner, what, &errors);
    errs_free(&errors);
}

static void on_too_long(struct client *c)
{
    process_kill(container_of(c, struct isolate_process, talk),
                 "its answers are too long");
}

/* It ends, or closes what it must not. */
static void on_silent(struct client *c, const char *why)
{
    struct isolate_process *p = container_of(c, struct isolate_process, talk);

    (void)why;
    client_close(c);
    if (p->owner && p->line >= 0)
        broker_kill(p->line);
}

void process_handle_gone(struct isolate_process *p)
{
    if (--p->handles == 0 && !p->owner)
        free(p);
}

static void on_keep_gone(struct watch *w)
{
    process_handle_gone(container_of(w, struct isolate_process, at_keep));
}

static void on_door_gone(struct watch *w)
{
    process_handle_gone(container_of(w, struct isolate_process, at_door));
}

static void on_line_gone(struct watch *w)
{
    process_handle_gone(container_of(w, struct isolate_process, at_line));
}

static void on_talk_gone(struct client *c)
{
    process_handle_gone(container_of(c, struct isolate_process, talk));
}

static int watch_one(struct isolate_process *p, struct watch *w, int fd,
                     struct loop *loop)
{
    int rc = fd >= 0 ? watch_open(w, loop, fd) : -EBADF;

    if (rc < 0)
        return rc;
    p->handles++;
    return watch_start(w, w == &p->at_keep ? UV_READABLE | UV_WRITABLE
                                           : UV_READABLE);
}

int process_watch(struct isolate_process *p, struct loop *loop, struct err *e)
{
    int rc;

    p->watched = true;
    p->at_keep.ready = on_keep;
    p->at_keep.gone = on_keep_gone;
    p->at_door.ready = on_door;
    p->at_door.gone = on_door_gone;
    p->at_line.ready = on_line;
    p->at_line.gone = on_line_gone;
    rc = watch_one(p, &p->at_keep, p->keep, loop);
    if (rc == 0)
        rc = watch_one(p, &p->at_door, p->door, loop);
    if (rc == 0)
        rc = watch_one(p, &p->at_line, p->line, loop);
    if (rc == 0) {
        p->talk.line = on_said;
        p->talk.too_long = on_too_long;
        p->talk.ended = on_silent;
        p->talk.gone = on_talk_gone;
        p->talk.keeper = true;
        rc = client_open(&p->talk, loop, p->control);
        p->control = -1;
        p->talks = rc == 0;
        p->handles += rc == 0;
    }
    return rc < 0 ? err_sys(e, -rc, "", "cannot watch the device's process")
                  : 0;
}

/* ---- the end ---- */

/* The rest follows from that it hears us no more: isolate_child.c. */
void process_end(struct isolate_process *p)
{
    if (p->talks)
        client_close(&p->talk);
    close_fd(&p->control);
}

void process_kill(struct isolate_process *p, const char *why)
{
    struct isolated *i = p->owner;

    if (!i || p->line < 0)
        return;
    if (!i->has_reason) {
        log_error(i->common->id, "its process %d is ended: %s", p->pid, why);
        snprintf(i->reason, sizeof(i->reason), "%s", why);
        i->has_reason = true;
    }
    broker_kill(p->line);
}

static void answer_all(struct isolate_process *p)
{
    struct list *node;

    while ((node = list_pop(&p->calls)) != NULL) {
        struct isolate_call *c = container_of(node, struct isolate_call, node);

        list_init(&c->node);
        c->answered(c, NULL, NULL);
    }
}

/* A watch that was not opened has nothing to close. */
static void unwatch(struct watch *w)
{
    if (w->poll.loop)
        watch_close(w);
}

/* There may be unread what closes slowly. */
static void close_later(struct isolate_process *p, int *fd)
{
    if (*fd >= 0)
        closer_fd(p->owner->kept.closer, *fd);
    *fd = -1;
}

void process_drop(struct isolate_process *p, bool quietly)
{
    if (p->watched) {
        unwatch(&p->at_keep);
        unwatch(&p->at_door);
        unwatch(&p->at_line);
    }
    process_pulse_stop(p);
    process_end(p);
    close_later(p, &p->keep);
    close_later(p, &p->door);
    close_fd(&p->line);
    p->owner = NULL;
    if (!quietly)
        answer_all(p);
    if (p->handles == 0)
        free(p);
}
