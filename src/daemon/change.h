/* daemon/change.h: devices that come and go while others are served.
 *
 * A change is a list of devices to come, of devices to leave, and of devices
 * that stay with other limits; it is done as a whole, or all is as it was
 * before. One is under way at a time; who wants
 * one takes a turn.
 * Threads: the main one; images are opened, and sockets bound, in others. */
#ifndef VUB_DAEMON_CHANGE_H
#define VUB_DAEMON_CHANGE_H

#include "daemon/config.h"
#include "daemon/devices.h"
#include "loop/timer.h"

struct change;

/* A wish to change something. */
struct turn {
    struct list node;
    /* Nothing else changes until turn_over. */
    void (*run)(struct turn *t);
    /* vub stops: it does not get its turn. */
    void (*drop)(struct turn *t);
};

struct changer {
    /* Set before the first turn. */
    struct loop *main;
    struct devices *devices;
    const struct served_events *events;
    const struct config *conf; /* the config as it was read last: what of it */
    struct conf_doc *doc;      /* is no device counts */
    const struct conf_doc *first; /* that vub has started with */

    /* change*.c's */
    struct list waiting;
    struct turn *turn; /* whose it is; NULL: nobody's */
    bool serving;
    struct change *now;
    bool stopped;
};

void changer_init(struct changer *ch);
/* t gets its turn when those before it are over, perhaps at once. */
void changer_wait(struct changer *ch, struct turn *t);
void changer_over(struct changer *ch);
/* vub stops: the change under way ends in the middle, and no other begins.
 * devices has those that came and have to be closed. */
void changer_stop(struct changer *ch);

/* Whoever has a turn makes one, says what is to be done, and runs it. NULL: no
 * memory. */
struct change *change_new(struct changer *ch);
/* A device comes; in the place of another, which leaves. One more owner of
 * doc. */
int change_come(struct change *c, const struct conf_any *conf,
                struct conf_doc *doc, struct served *replaced);
int change_leave(struct change *c, struct served *s);
/* A device stays, whose config says other limits (throttles_can_change). One
 * more owner of doc. */
int change_adjust(struct change *c, const struct served *s,
                  const struct conf_any *conf, struct conf_doc *doc);
/* Do those that come agree with those that stay? */
int change_check(const struct change *c, struct errs *e);
/* A device that has left already, by whatever way, comes back with its socket
 * and what it has left, both of which are taken; for change_restore. */
int change_return(struct change *c, const struct conf_any *conf,
                  struct conf_doc *doc, struct place *place,
                  struct heritage *heritage);
/* Those come back that can: e says which do not. */
void change_restore(struct change *c,
                    void (*done)(void *arg, const struct errs *e), void *arg);
/* Does it. done comes later, once: e is empty, or says why all is as it was,
 * or what could not be brought back. The change is gone then. */
void change_run(struct change *c, void (*done)(void *arg, const struct errs *e),
                void *arg);
/* Not run. */
void change_free(struct change *c);

/* What the events of a device that waits for a change say: s->change is set. */
void change_started(struct served *s, const struct err *e);
void change_gone(struct served *s);

#endif
