/* os/notify.h: whoever started us as a service, and wants to know how we are.
 *
 * The protocol is systemd's, sd_notify(3): one datagram of "NAME=value" lines
 * to the socket that $NOTIFY_SOCKET names. Threads: the main one. */
#ifndef VUB_OS_NOTIFY_H
#define VUB_OS_NOTIFY_H

#include "base/err.h"

struct notify {
    int fd;               /* -1: nobody wants to know */
    uint64_t watchdog_us; /* 0: not watched; else "WATCHDOG=1" is wanted at
                           * least that often */

    char name[108]; /* os/'s: the socket's */
    unsigned name_len;
};

/* Reads the environment, and takes what is meant for us out of it: before
 * other threads exist. On failure nobody is told anything, which a service can
 * live with; there is nothing to close. */
int notify_open(struct notify *n, struct err *e);
/* $NOTIFY_SOCKET, as it was; false: there was none. */
bool notify_name(const struct notify *n, char *out, size_t room);
/* Of a process that this one takes over from: what it was told is for us too,
 * but for what we were told ourselves. */
int notify_join(struct notify *n, const char *name, uint64_t watchdog_us,
                struct err *e);
/* Sends lines; does not wait: -EAGAIN if they do not fit now. */
int notify_send(const struct notify *n, const char *lines);
void notify_close(struct notify *n); /* safe twice */

#endif
