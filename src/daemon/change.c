/* What is to come and to leave, and whose turn it is to say so. Whether all
 * that there will be agrees is asked before anything is done: those that stay
 * and those that come are checked as one config. The change itself is
 * change_steps.c's. */
#include "daemon/change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/change_impl.h"
#include "daemon/throttles.h"

/* ---- making one ---- */

static void on_timer_gone(struct timer *t)
{
    free(container_of(t, struct change, patience));
}

struct change *change_new(struct changer *ch)
{
    struct change *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->changer = ch;
    c->patience.gone = on_timer_gone;
    list_init(&c->arrivals);
    list_init(&c->departures);
    list_init(&c->adjustments);
    return c;
}

int change_leave(struct change *c, struct served *s)
{
    struct departure *d = calloc(1, sizeof(*d));

    if (!d)
        return -ENOMEM;
    d->served = s;
    d->conf = *s->conf;
    d->doc = s->doc ? conf_ref(s->doc) : NULL;
    d->place = PLACE_NONE;
    d->heritage = HERITAGE_NONE;
    list_add(&c->departures, &d->node);
    return 0;
}

int change_return(struct change *c, const struct conf_any *conf,
                  struct conf_doc *doc, struct place *place,
                  struct heritage *heritage)
{
    struct departure *d = calloc(1, sizeof(*d));

    if (!d)
        return -ENOMEM;
    d->conf = *conf;
    d->doc = doc ? conf_ref(doc) : NULL;
    d->place = *place;
    d->heritage = *heritage;
    d->has_left = d->returns = true;
    *place = PLACE_NONE;
    *heritage = HERITAGE_NONE;
    list_add(&c->departures, &d->node);
    return 0;
}

int change_come(struct change *c, const struct conf_any *conf,
                struct conf_doc *doc, struct served *replaced)
{
    struct arrival *a;

    if (replaced && change_leave(c, replaced) < 0)
        return -ENOMEM;
    a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->change = c;
    a->conf = *conf;
    a->doc = doc ? conf_ref(doc) : NULL;
    a->place = PLACE_NONE;
    a->heritage = HERITAGE_NONE;
    list_add(&c->arrivals, &a->node);
    return 0;
}

int change_adjust(struct change *c, const struct served *s,
                  const struct conf_any *conf, struct conf_doc *doc)
{
    struct adjustment *a = calloc(1, sizeof(*a));

    if (!a)
        return -ENOMEM;
    a->was = *s->conf;
    a->is = *conf;
    a->was_doc = s->doc ? conf_ref(s->doc) : NULL;
    a->is_doc = doc ? conf_ref(doc) : NULL;
    list_add(&c->adjustments, &a->node);
    return 0;
}

void change_free_departure(struct departure *d)
{
    list_del(&d->node);
    place_close(&d->place);
    heritage_drop(&d->heritage);
    conf_free(d->doc);
    free(d);
}

void change_drop_arrival(struct arrival *a)
{
    if (a->job)
        change_stop_preparing(a);
    if (a->served && !a->started)
        served_free(a->served, &a->change->changer->devices->workers);
    place_close(&a->place);
    heritage_drop(&a->heritage);
    list_del(&a->node);
    conf_free(a->doc);
    free(a);
}

static void free_adjustment(struct adjustment *a)
{
    list_del(&a->node);
    conf_free(a->was_doc);
    conf_free(a->is_doc);
    free(a);
}

void change_free(struct change *c)
{
    LIST_EACH_SAFE (&c->arrivals, node)
        change_drop_arrival(arrival_at(node));
    LIST_EACH_SAFE (&c->departures, node)
        change_free_departure(departure_at(node));
    LIST_EACH_SAFE (&c->adjustments, node)
        free_adjustment(adjustment_at(node));
    errs_free(&c->errors);
    if (c->has_timer)
        timer_close(&c->patience); /* frees it */
    else
        free(c);
}

/* ---- checking one ---- */

/* As it is? */
static bool stays(const struct change *c, const struct served *s)
{
    LIST_EACH (&c->departures, node)
        if (departure_at(node)->served == s)
            return false;
    LIST_EACH (&c->adjustments, node)
        if (adjustment_at(node)->was.data == s->conf->data)
            return false;
    return true;
}

/* Those that stay are known by their ids: their places in a file, if they have
 * one, may have changed since. */
static bool add_stayer(struct config *all, const struct served *s)
{
    struct conf_any *any = &all->devices.list[all->devices.count];
    char *at;

    if (asprintf(&at, "/devices/%s", s->common->id) < 0)
        return false;
    *any = *s->conf;
    any->at = at;
    all->devices.count++;
    return true;
}

/* A list of all that there will be. *stay: how many of them were there, whose
 * places are to be freed. */
static int put_together(const struct change *c, struct config *all, int *stay)
{
    const struct devices *ds = c->changer->devices;
    size_t room = (size_t)ds->count;

    LIST_EACH (&c->arrivals, node)
        room++;
    *all = *c->changer->conf;
    all->devices =
        (struct conf_anys){calloc(room + 1, sizeof(*all->devices.list)), 0};
    *stay = 0;
    if (!all->devices.list)
        return -ENOMEM;
    for (int i = 0; i < ds->count; i++)
        if (stays(c, ds->list[i]) && !add_stayer(all, ds->list[i]))
            return -ENOMEM;
        else
            *stay = all->devices.count;
    LIST_EACH (&c->adjustments, node)
        all->devices.list[all->devices.count++] = adjustment_at(node)->is;
    LIST_EACH (&c->arrivals, node)
        all->devices.list[all->devices.count++] = arrival_at(node)->conf;
    return 0;
}

static void check_socket(const struct arrival *a, struct errs *e)
{
    if (conf_common(&a->conf)->socket.has_fd)
        errs_at(e, a->conf.at, "socket/fd",
                "a descriptor can be given to vub only when it starts: name a "
                "path");
}

int change_check(const struct change *c, struct errs *e)
{
    unsigned before = errs_total(e);
    struct config all;
    int stay, rc;

    LIST_EACH (&c->arrivals, node)
        check_socket(arrival_at(node), e);
    rc = put_together(c, &all, &stay);
    if (rc == 0) {
        config_check(&all, e);
        throttles_check(&all, e);
    } else {
        errs_nomem(e);
    }
    for (int i = 0; i < stay; i++)
        free((char *)all.devices.list[i].at);
    free(all.devices.list);
    return errs_total(e) > before ? -EINVAL : 0;
}

/* ---- turns ---- */

void changer_init(struct changer *ch)
{
    list_init(&ch->waiting);
}

/* Those that are over at once do not pile up on the stack. */
static void serve_turns(struct changer *ch)
{
    struct list *node;

    if (ch->serving)
        return;
    ch->serving = true;
    while (!ch->turn && (node = list_pop(&ch->waiting)) != NULL) {
        ch->turn = container_of(node, struct turn, node);
        ch->turn->run(ch->turn);
    }
    ch->serving = false;
}

void changer_wait(struct changer *ch, struct turn *t)
{
    if (ch->stopped) {
        t->drop(t);
        return;
    }
    list_add(&ch->waiting, &t->node);
    serve_turns(ch);
}

void changer_over(struct changer *ch)
{
    ch->turn = NULL;
    serve_turns(ch);
}

void changer_stop(struct changer *ch)
{
    struct change *c = ch->now;
    struct list *node;

    ch->stopped = true;
    while ((node = list_pop(&ch->waiting)) != NULL) {
        struct turn *t = container_of(node, struct turn, node);

        t->drop(t);
    }
    if (!c)
        return;
    for (int i = 0; i < ch->devices->count; i++)
        ch->devices->list[i]->change = NULL;
    errs_add(&c->errors, -ECANCELED, "", "vub is stopping");
    change_finish(c);
}
