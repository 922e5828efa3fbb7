/* One thing at a time: state says what is waited for. What is said in it is
 * hand_over_say.c's. */
#include "daemon/hand_over_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "vhost/transcript.h"

/* The other one may take so long for what it does between two packets. */
#define OTHER_MS 20000

/* Our end of the pair. */
struct hand_channel {
    struct watch watch;
    struct hand_over *owner;
};

static bool is_away(const struct handed *d)
{
    return d->wanted && !d->served;
}

/* ---- the list ---- */

static void free_list(struct hand_over *h)
{
    for (int i = 0; i < h->count; i++) {
        struct handed *d = &h->list[i];

        place_drop(&d->place);
        heritage_drop(&d->heritage);
        conf_free(d->doc);
    }
    free(h->list);
    h->list = NULL;
    h->count = 0;
}

static int note(struct handed *d, struct served *s, struct err *e)
{
    int fd = -1;

    *d = (struct handed){.served = s,
                         .conf = *s->conf,
                         .doc = s->doc ? conf_ref(s->doc) : NULL,
                         .place = s->place,
                         .heritage = HERITAGE_NONE};
    d->place.fd = -1;
    d->place.path = NULL;
    d->place.taken = true;
    if (s->place.path && !(d->place.path = strdup(s->place.path)))
        return err_nomem(e);
    if (s->place.kind == SOCK_LISTENING) {
        fd = sock_copy(s->listener);
        if (fd < 0)
            return err_sys(e, -fd, "", "the socket of %s cannot be copied",
                           s->common->id);
    }
    d->place.fd = fd;
    return 0;
}

static int note_all(struct hand_over *h, struct err *e)
{
    const struct devices *ds = h->devices;
    int rc = 0;

    h->list = calloc((size_t)ds->count + 1, sizeof(*h->list));
    if (!h->list)
        return err_nomem(e);
    for (int i = 0; i < ds->count && rc == 0; i++)
        if (!ds->list[i]->closing)
            rc = note(&h->list[h->count++], ds->list[i], e);
    return rc;
}

static struct handed *find(struct hand_over *h, const char *id)
{
    for (int i = 0; i < h->count; i++)
        if (strcmp(handed_id(&h->list[i]), id) == 0)
            return &h->list[i];
    return NULL;
}

static struct handed *find_served(struct hand_over *h, const struct served *s)
{
    for (int i = 0; i < h->count; i++)
        if (h->list[i].served == s)
            return &h->list[i];
    return NULL;
}

static void give_up(struct hand_over *h, const char *why, bool is_there);
static void hang_up(struct hand_over *h);

/* As much as fits. */
static void speak(struct hand_over *h)
{
    struct hand_saying s;
    int rc = 0;

    if (h->fd < 0)
        return;
    while (rc == 0 && hand_say_next(h, &s)) {
        rc = hand_send(h->fd, &s.packet, s.fds, s.num_fds);
        if (rc == 0)
            hand_said_it(h);
    }
    if (rc < 0 && rc != -EAGAIN) {
        give_up(h,
                rc == -EPIPE || rc == -ECONNRESET ? "it has ended"
                                                  : strerror(-rc),
                false);
        return;
    }
    watch_start(&h->channel->watch, UV_READABLE | (rc < 0 ? UV_WRITABLE : 0));
    if (h->state == HAND_IDLE && !h->owes)
        hang_up(h);
}

/* ---- life of one ---- */

static void on_watch_gone(struct watch *w)
{
    free(container_of(w, struct hand_channel, watch));
}

static void hang_up(struct hand_over *h)
{
    if (h->fd < 0)
        return;
    watch_close(&h->channel->watch);
    close(h->fd);
    h->channel = NULL;
    h->fd = -1;
    h->owes = false;
}

/* All is as it was, or nearly. Whoever does not read is told when it does: it
 * would take a mere hang-up for our death. */
static void end(struct hand_over *h)
{
    timer_stop(&h->patience);
    free_list(h);
    h->state = HAND_IDLE;
    h->under_way = 0;
    speak(h);
    changer_over(h->changer);
}

static void wait_for_other(struct hand_over *h)
{
    timer_start(&h->patience, OTHER_MS);
}

static void has_gone(struct hand_over *h)
{
    timer_stop(&h->patience);
    for (int i = 0; i < h->count; i++) {
        struct handed *d = &h->list[i];

        d->place.taken = !d->keeps_socket;
        place_close(&d->place); /* removes it, or does not */
    }
    free_list(h);
    hang_up(h);
    h->state = HAND_DONE;
    log_info(NULL, "process %d has taken over", h->pid);
    h->over(h);
}

/* ---- back to what was ---- */

static void on_reopened(void *arg, const struct errs *e)
{
    struct hand_over *h = arg;

    for (int i = 0; i < e->count; i++)
        log_error(NULL, "%s: %s", e->list[i].where, e->list[i].text);
    if (errs_total(e) == 0)
        log_info(NULL, "all is served here again");
    end(h);
}

static void reopen(struct hand_over *h)
{
    struct change *c = change_new(h->changer);
    int rc = c ? 0 : -ENOMEM;

    h->state = HAND_REOPENS;
    timer_stop(&h->patience);
    for (int i = 0; i < h->count && rc == 0; i++) {
        struct handed *d = &h->list[i];

        if (!is_away(d))
            continue;
        keep_untake(handed_id(d));
        rc = change_return(c, &d->conf, d->doc, &d->place, &d->heritage);
    }
    if (rc < 0)
        log_error(NULL, "there is no memory to serve all devices again");
    if (c)
        change_restore(c, on_reopened, h);
    else
        end(h);
}

static void give_up(struct hand_over *h, const char *why, bool is_there)
{
    if (h->state == HAND_IDLE || h->state == HAND_DONE) {
        hang_up(h);
        return;
    }
    h->owes = is_there;
    if (!is_there)
        hang_up(h);
    if (h->state >= HAND_RETURNS)
        return;
    snprintf(h->give_up.why, sizeof(h->give_up.why), "%s", why);
    log_warn(NULL, "process %d does not take over: %s", h->pid, why);
    if (h->state == HAND_GOES)
        service_take_back(h->service);
    if (h->state == HAND_OFFERS) {
        end(h);
        return;
    }
    h->state = HAND_RETURNS;
    if (h->under_way > 0)
        timer_start(&h->patience,
                    devices_drain_ms(h->devices) + LEAVE_GRACE_MS);
    else
        reopen(h);
    speak(h);
}

/* ---- letting devices go ---- */

static void give(struct hand_over *h)
{
    h->state = HAND_GIVES;
    h->at = h->step = 0;
    wait_for_other(h);
    speak(h);
}

/* One suspension is over. */
static void one_is_over(struct hand_over *h)
{
    if (--h->under_way > 0)
        return;
    if (h->state == HAND_RETURNS)
        reopen(h);
    else if (h->state == HAND_SUSPENDS)
        give(h);
}

void hand_over_gone(struct hand_over *h, struct served *s)
{
    struct handed *d = find_served(h, s);
    int kept = s->heritage.num_kept;
    char why[120];

    if (!d)
        return; /* it was not waited for any more */
    d->served = NULL;
    d->heritage = s->heritage;
    s->heritage = HERITAGE_NONE;
    d->num_kept = (unsigned)MAX(kept, 0);
    if (d->heritage.visitor.said)
        d->num_said = transcript_count(d->heritage.visitor.said);
    if (kept < 0 && h->state == HAND_SUSPENDS) {
        snprintf(why, sizeof(why), "what %s knows cannot be handed over: %s",
                 handed_id(d), strerror(-kept));
        give_up(h, why, true);
    }
    one_is_over(h);
}

void hand_over_refused(struct hand_over *h, struct served *s,
                       const struct err *why)
{
    struct handed *d = find_served(h, s);
    char text[300];

    if (!d)
        return;
    d->wanted = false;
    if (h->state == HAND_SUSPENDS) {
        snprintf(text, sizeof(text), "%s: %s", handed_id(d), why->text);
        give_up(h, text, true);
    }
    one_is_over(h);
}

static void suspend_all(struct hand_over *h)
{
    h->state = HAND_SUSPENDS;
    timer_start(&h->patience, devices_drain_ms(h->devices) + LEAVE_GRACE_MS);
    h->under_way = 1; /* answers come later, but if there are none */
    for (int i = 0; i < h->count; i++) {
        if (!h->list[i].wanted)
            continue;
        h->under_way++;
        served_suspend(h->list[i].served);
    }
    one_is_over(h);
}

static void on_impatient(struct timer *t)
{
    struct hand_over *h = container_of(t, struct hand_over, patience);
    char why[160];

    if (h->state == HAND_RETURNS) {
        for (int i = 0; i < h->count; i++) {
            struct handed *d = &h->list[i];

            if (!d->wanted || !d->served)
                continue;
            log_error(handed_id(d), "its requests do not end; it is gone when "
                                    "they have");
            d->served = NULL;
            d->wanted = false;
        }
        h->under_way = 0;
        reopen(h);
        return;
    }
    if (h->state == HAND_SUSPENDS)
        snprintf(why, sizeof(why), "the requests of some device do not end");
    else
        snprintf(why, sizeof(why), "it has said nothing for %d seconds",
                 OTHER_MS / 1000);
    give_up(h, why, true);
}

/* ---- what the other says ---- */

static void on_want(struct hand_over *h, const struct hand_want *w)
{
    struct handed *d = find(h, w->id);

    if (!w->id[0]) {
        h->wants_control = true;
    } else if (d) {
        d->wanted = true;
        d->keeps_socket = !w->socket;
    } else {
        give_up(h, "it wants a device that there is not", true);
    }
}

static void take_packet(struct hand_over *h, const struct hand_packet *p)
{
    if (p->kind == HAND_GIVE_UP) {
        give_up(h, p->give_up.why[0] ? p->give_up.why : "it does not say why",
                false);
    } else if (h->state == HAND_OFFERS && p->kind == HAND_WANT) {
        on_want(h, &p->want);
    } else if (h->state == HAND_OFFERS && p->kind == HAND_BEGIN) {
        suspend_all(h);
    } else if (h->state == HAND_GIVES && p->kind == HAND_READY &&
               h->at > h->count) {
        /* Before it may speak for itself. */
        service_hand_over(h->service, h->pid);
        h->state = HAND_GOES;
        h->at = 0;
        /* However long it takes: it may go on at any moment from here. */
        timer_stop(&h->patience);
        speak(h);
    } else if (h->state == HAND_GOES && p->kind == HAND_MINE && h->at > 0) {
        has_gone(h);
    } else if (h->state < HAND_RETURNS) {
        give_up(h, "it says what makes no sense here", true);
    }
}

static void on_ready(struct watch *w, int status, int events)
{
    struct hand_channel *c = container_of(w, struct hand_channel, watch);
    struct hand_over *h = c->owner;
    struct hand_packet p;
    struct hand_fds fds;
    int rc = 1;

    (void)status;
    (void)events;
    while (h->channel == c && rc == 1) {
        rc = hand_receive(h->fd, &p, &fds);
        if (rc == 1)
            take_packet(h, &p);
        if (rc == 1)
            hand_close_fds(&fds);
    }
    if (h->channel != c)
        return;
    if (rc == 0)
        give_up(h, "it has ended", false);
    else if (rc != -EAGAIN)
        give_up(h, "it says what makes no sense", true);
    else
        speak(h);
}

/* ---- begin and end ---- */

void hand_over_init(struct hand_over *h)
{
    h->fd = -1;
    h->patience.fire = on_impatient;
    timer_open(&h->patience, h->main);
    h->has_timer = true;
}

static int open_channel(struct hand_over *h, int *other, struct err *e)
{
    struct hand_channel *c = calloc(1, sizeof(*c));
    int ends[2], rc;

    if (!c)
        return err_nomem(e);
    rc = sock_packet_pair(ends);
    if (rc < 0) {
        free(c);
        return err_sys(e, -rc, "", "cannot make a socket");
    }
    c->owner = h;
    c->watch.ready = on_ready;
    c->watch.gone = on_watch_gone;
    rc = watch_open(&c->watch, h->main, ends[0]);
    if (rc < 0) {
        free(c);
        close(ends[0]);
        close(ends[1]);
        return err_sys(e, -rc, "", "cannot watch a socket");
    }
    h->channel = c;
    h->fd = ends[0];
    *other = ends[1];
    return 0;
}

int hand_over_begin(struct hand_over *h, int pid, struct err *e)
{
    int other = -1, rc;

    if (h->has_command)
        return err_set(e, -EINVAL, "",
                       "this vub runs a command (--run), which cannot be "
                       "handed over");
    if (h->fd >= 0)
        return err_set(e, -EBUSY, "",
                       "process %d, which was to take over, has not ended yet",
                       h->pid);
    rc = note_all(h, e);
    if (rc == 0)
        rc = open_channel(h, &other, e);
    if (rc < 0) {
        free_list(h);
        return rc;
    }
    log_info(NULL, "process %d is about to take over", pid);
    h->pid = pid;
    h->state = HAND_OFFERS;
    h->at = h->step = 0;
    h->wants_control = h->owes = false;
    wait_for_other(h);
    speak(h);
    return other;
}

void hand_over_stop(struct hand_over *h)
{
    struct hand_packet p;

    if (h->state == HAND_DONE || h->fd < 0)
        return;
    memset(&p, 0, sizeof(p));
    p.kind = HAND_GIVE_UP;
    snprintf(p.give_up.why, sizeof(p.give_up.why), "it is stopping");
    hand_send(h->fd, &p, NULL, 0);
    hang_up(h);
    timer_stop(&h->patience);
    h->state = HAND_IDLE;
}

void hand_over_close(struct hand_over *h)
{
    if (!h->has_timer)
        return;
    h->has_timer = false;
    hang_up(h);
    timer_close(&h->patience);
    /* Those that vub stopped in the middle of. */
    for (int i = 0; i < h->count; i++) {
        h->list[i].place.taken = !h->list[i].wanted;
        place_close(&h->list[i].place);
    }
    free_list(h);
}
