/* daemon/take_over_impl.h: what the files of take_over*.c share. Threads: the
 * main one. */
#ifndef VUB_DAEMON_TAKE_OVER_IMPL_H
#define VUB_DAEMON_TAKE_OVER_IMPL_H

#include "daemon/take_over.h"

/* The other may take so long to answer, beside its drains. */
#define OTHER_MS 10000

/* A device of the other's. */
struct taken {
    char id[HAND_ID_MAX + 1], type[16];
    struct place place;
    bool adopted; /* place is somebody's */
    bool wanted, there;
    struct heritage heritage;
};

struct taken *taken_find(const struct take_over *t, const char *id);

/* A deadline, by loop_now_ns(). */
uint64_t taking_in_ms(uint64_t ms);
/* Until fd can be read: 0, -ETIMEDOUT, -EINTR. */
int taking_wait(int fd, uint64_t deadline_ns);
/* The sentence for that; returns rc. */
int taking_fail_wait(const struct take_over *t, int rc, struct errs *e);
/* The other has ended. */
void taking_note_death(struct take_over *t);
/* 1: there is a packet, whose fds are the caller's; 0: the other is dead. */
int taking_next(struct take_over *t, struct hand_packet *p,
                struct hand_fds *fds, uint64_t deadline_ns, struct errs *e);
/* What it sends makes no sense; its fds are closed. */
int taking_fail_packet(const struct take_over *t, struct hand_fds *fds,
                       const char *what, struct errs *e);

#endif
