/* daemon/hand_over_impl.h: what the files of hand_over*.c share. Threads: the
 * main one. */
#ifndef VUB_DAEMON_HAND_OVER_IMPL_H
#define VUB_DAEMON_HAND_OVER_IMPL_H

#include "daemon/hand_over.h"

/* What a device may take for its end, beside its drain. */
#define LEAVE_GRACE_MS 5000

/* A device, and what it takes to serve it, here or there. */
struct handed {
    struct served *served; /* NULL: gone from here */
    struct conf_any conf;
    struct conf_doc *doc;
    struct place place; /* its fd is a copy */
    bool wanted;
    bool keeps_socket; /* it is another's place there, so this one goes */
    struct heritage heritage;
    unsigned num_said, num_kept;
};

static inline const char *handed_id(const struct handed *d)
{
    const struct device_common *common = d->conf.data;

    return common->id;
}

struct hand_saying {
    struct hand_packet packet;
    const int *fds; /* [num_fds] somebody else's */
    unsigned num_fds;
};

/* hand_over_say.c */
/* What is to be said next. False: nothing now. */
bool hand_say_next(struct hand_over *h, struct hand_saying *s);
/* It is said. */
void hand_said_it(struct hand_over *h);

#endif
